//! The burst that leaves at once after idleness, and how late the head leaves that waited for its tokens.
//!
//! The instant at which a fluid bottleneck of the measured rate would have sent everything so far is compared with what
//! happened: a packet that would have to stay longer than `burst / rate` waits, the others leave at once. The border
//! between both is the burst; what the waiting ones leave later than it says is the slack.
//!
//! A late departure is paid back by the tokens that came meanwhile, but for those that overflowed. How many did is not
//! seen: the egress capture may have paused, and not the device. From such a departure on the fluid bottleneck is not
//! sure, until it idles again. What the sure packets show goes before what all show.

use serde::Serialize;

use super::rate::{RateEstimate, framed};
use super::sample::{Sample, deviation, quantile, roundest};

/// A figure and how far off it may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// The figure.
    pub value: f64,
    /// Half the width of the interval that the data leave.
    pub uncertainty: f64,
}

/// What is known of the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BurstEstimate {
    /// Bytes that leave at once after idleness: 0 at a plain link.
    pub bytes: Option<Figure>,
    /// The roundest burst within the uncertainty: what the topology gets.
    pub taken_bytes: Option<f64>,
    /// How late the head leaves that waited, by the burst that was taken, in microseconds.
    pub slack_us: Option<Figure>,
    /// Bytes less slack, as time at the rate, in microseconds: what overload shows of both.
    pub head_start_us: f64,
    /// Packets that waited.
    pub waited: u64,
    /// Packets that left at once although the fluid bottleneck was busy.
    pub at_once: u64,
    /// Packets on the wrong side of the border.
    pub misfits: u64,
}

/// Packets that waited without which nothing is said.
const LEAST: usize = 20;

/// Packets that left at once on credit without which the border is not seen: overload shows a few, and not that it lies
/// there.
const LEAST_AT_ONCE: usize = 200;

/// One packet against the fluid bottleneck.
struct Step {
    /// How long after its arrival the fluid bottleneck serves it.
    fluid: f64,
    /// How much before that it left.
    ahead: f64,
    waited: bool,
    /// Whether no tokens overflowed while others waited, since the fluid bottleneck last idled.
    sure: bool,
}

fn steps(sample: &Sample, rate: &RateEstimate, processing: f64, guard: f64) -> Vec<Step> {
    let mut done = f64::NEG_INFINITY;
    let mut sure = true;
    sample
        .departures()
        .map(|(crossing, at)| {
            let service = rate.service(crossing.length);
            let joined = crossing.arrival + processing;
            let idle = joined > done;
            sure |= idle;
            let waited = at - crossing.arrival > guard;
            let served = done.max(if rate.waits_for_own_length { joined } else { done })
                + if rate.waits_for_own_length { service } else { 0.0 };
            let step = Step { fluid: served - joined, ahead: served - at, waited, sure };
            // A pause of the device longer than the bucket is lost; noise of the stamps is not.
            let began = done.max(joined.min(at));
            sure &= idle || at <= began;
            done = service + if at > began + 10.0 * guard { at } else { began };
            step
        })
        .collect()
}

/// Whether a bucket that must hold a whole packet is so shallow that it overflows while the longest waits for a timer
/// that is late.
pub(super) fn loses_tokens(burst_bytes: f64, slack_us: f64, longest: f64, bps: f64) -> bool {
    burst_bytes < longest + slack_us * bps / 8e6 + 8.0
}

impl BurstEstimate {
    /// Whether all that is seen is a bucket with no more than the longest packet.
    pub(super) fn holds_one_packet(&self, rate: &RateEstimate, sample: &Sample) -> bool {
        let longest = sample.crossings.iter().map(|crossing| crossing.length).fold(0.0, f64::max);
        self.bytes.is_none() && self.head_start_us <= rate.service(longest) * (1.0 + 1e-3)
    }

    /// The same of departures that a path's jitter of this standard deviation moves: burst and slack are known so well.
    pub(super) fn blurred(&mut self, jitter_us: f64, rate: &RateEstimate) {
        for (figure, least) in
            [(&mut self.bytes, jitter_us * rate.bps / 8e6), (&mut self.slack_us, jitter_us)]
        {
            if let Some(figure) = figure {
                figure.uncertainty = figure.uncertainty.max(least);
            }
        }
    }

    /// From a sample with a known rate; none where nothing waited.
    pub(super) fn of(sample: &Sample, rate: &RateEstimate, processing: f64, guard: f64) -> Option<Self> {
        let steps = steps(sample, rate, processing, guard);
        let longest = sample.crossings.iter().map(|crossing| crossing.length).fold(0.0, f64::max);
        let longest = framed(&rate.framing, longest);
        let by = |those: &[&Step]| BurstEstimate::by(those, rate, longest, guard);
        let of_all = by(&steps.iter().collect::<Vec<_>>())?;
        let slack = of_all.slack_us.map_or(0.0, |slack| slack.value);
        let is_shallow = of_all.taken_bytes.is_some_and(|bytes| {
            rate.waits_for_own_length && loses_tokens(bytes, slack, longest, rate.taken_bps)
        });
        // Where every long packet makes the bucket overflow, the rate is that of what gets through: that is part of it.
        if is_shallow {
            return Some(of_all);
        }
        let sure: Vec<&Step> = steps.iter().filter(|step| step.sure).collect();
        Some(by(&sure).filter(|of_sure| of_sure.bytes.is_some()).unwrap_or(of_all))
    }

    fn by(steps: &[&Step], rate: &RateEstimate, longest: f64, guard: f64) -> Option<Self> {
        let mut ahead: Vec<f64> =
            steps.iter().filter(|step| step.waited && step.fluid > 0.0).map(|step| step.ahead).collect();
        let waited = ahead.len();
        if waited < LEAST {
            return None;
        }
        let head_start = quantile(&mut ahead, 0.5)?;
        let spread = deviation(&ahead, head_start);
        let mut near: Vec<(f64, bool)> =
            steps.iter().filter(|step| step.fluid > 0.0).map(|step| (step.fluid, step.waited)).collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0));
        let at_once = near.iter().filter(|(_, waited)| !waited).count();
        let mut misfits = at_once;
        let mut borders = vec![(0.0, misfits)];
        for (fluid, waited) in &near {
            if *waited {
                misfits += 1
            } else {
                misfits -= 1
            }
            borders.push((*fluid, misfits));
        }
        let (border, least) = borders.iter().copied().min_by_key(|(_, misfits)| *misfits)?;
        let as_good = least + 2 + least / 10;
        let (mut low, mut high) = (border, border);
        for (index, (fluid, misfits)) in borders.iter().enumerate() {
            if *misfits <= as_good {
                // The border lies anywhere up to the next packet.
                let next = borders.get(index + 1).map_or(*fluid, |next| next.0);
                (low, high) = (low.min(*fluid), high.max(next));
            }
        }
        let bytes_per_us = rate.taken_bps / 8e6;
        let below = near.iter().filter(|(fluid, waited)| !waited && *fluid <= border).count();
        // At a link nothing leaves at once while it is busy: the border is 0, and that is seen too.
        let is_link = head_start.abs() <= guard;
        let border = if is_link { 0.0 } else { border };
        let noise = (0.5 * guard).max(spread);
        let width = if is_link { noise } else { noise.max(high - border).max(border - low) };
        let burst = Figure { value: border * bytes_per_us, uncertainty: width * bytes_per_us };
        let round = roundest(burst.value, burst.uncertainty);
        // A bucket that must hold a whole packet is as deep as the longest that passed.
        let taken = match rate.waits_for_own_length && round < longest {
            true => burst.value.round().max(longest),
            false => round,
        };
        let mut late: Vec<f64> = steps
            .iter()
            .filter(|step| step.waited && step.fluid > border)
            .map(|step| taken / bytes_per_us - step.ahead)
            .collect();
        let slack = quantile(&mut late, 0.5).unwrap_or(0.0);
        let told = below >= LEAST_AT_ONCE && 10 * least <= at_once.min(waited);
        // Nobody leaves before the tokens are there, nor long after: else the border was not at the burst.
        let seen = is_link || (told && slack > -noise && slack < 0.2 * border);
        let bytes = seen.then_some(burst);
        let taken_bytes = seen.then_some(taken);
        let slack_us = seen.then_some(Figure { value: slack.max(0.0), uncertainty: noise });
        Some(BurstEstimate {
            bytes,
            taken_bytes,
            slack_us,
            head_start_us: head_start,
            waited: waited as u64,
            at_once: below as u64,
            misfits: least as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Crossing;
    use super::*;

    /// 20 Mbps, in bytes per us.
    const RATE: f64 = 2.5;
    const BURST: f64 = 2_000.0;
    /// The lateness of the timer, in us.
    const SLACK: f64 = 25.0;

    /// Bursts of packets through a token bucket. Where it pauses, every ninth packet that waited leaves only when the
    /// bucket has overflowed for 100 us.
    fn bursts(pauses: bool) -> Sample {
        let mut random = 1u64;
        let mut crossings = Vec::new();
        for burst in 0..600 {
            let arrival = f64::from(burst) * 20_000.0;
            let (mut tokens, mut checked, mut waited) = (BURST, arrival, 0);
            for _ in 0..40 {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let length = (200 + (random >> 33) % 800) as f64;
                let mut at = checked;
                if tokens < length {
                    waited += 1;
                    at = match pauses && waited % 9 == 0 {
                        true => checked + (BURST - tokens) / RATE + 100.0,
                        false => checked + (length - tokens) / RATE + SLACK,
                    };
                }
                tokens = (tokens + (at - checked) * RATE).min(BURST) - length;
                checked = at;
                let departure = Some(at + 3.0);
                crossings.push(Crossing {
                    arrival,
                    departure,
                    length,
                    fid: 0,
                    class: 0,
                    capable: false,
                    marked: false,
                });
            }
        }
        Sample::of(crossings)
    }

    #[test]
    fn tokens_that_overflowed_are_no_lateness() {
        let rate = RateEstimate {
            bps: 8e6 * RATE,
            uncertainty_bps: 0.0,
            taken_bps: 8e6 * RATE,
            framing: crate::ptm::Framing::default(),
            overhead_measured_bytes: 0.0,
            overhead_uncertainty_bytes: f64::INFINITY,
            departures: 0,
            periods: 0,
            waits_for_own_length: true,
        };
        for pauses in [false, true] {
            let found = BurstEstimate::of(&bursts(pauses), &rate, 3.0, 20.0).unwrap();
            let slack = found.slack_us.unwrap().value;
            assert_eq!(found.taken_bytes, Some(BURST));
            assert!((slack - SLACK).abs() < 2.0, "{slack} with pauses: {pauses}");
        }
    }
}
