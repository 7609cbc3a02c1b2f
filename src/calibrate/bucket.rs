//! The burst that leaves at once after idleness, and the delay of a head that waited for its tokens.
//!
//! The time at which a fluid bottleneck of the measured rate would have sent everything so far is compared
//! with the recording. A packet that would have to stay longer than `burst / rate` waits; the others leave at
//! once. The border between both is the burst. The additional delay of the waiting packets is the slack.
//!
//! A late departure is compensated by the tokens that arrived meanwhile, except those that overflowed. Their
//! number cannot be observed: the egress capture may have paused instead of the device. After such a
//! departure, the fluid bottleneck is uncertain until it idles again. Estimates
//! from the certain packets take precedence over those from all packets.

use serde::Serialize;

use super::rate::{RateEstimate, framed};
use super::sample::{Sample, deviation, quantile, roundest};

/// A figure with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// The value.
    pub value: f64,
    /// Half the width of the interval consistent with the data.
    pub uncertainty: f64,
}

/// The estimate of a token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BurstEstimate {
    /// Bytes that leave at once after idleness; 0 for a plain link.
    pub bytes: Option<Figure>,
    /// The roundest burst within the uncertainty, used in the topology.
    pub taken_bytes: Option<f64>,
    /// Delay of a head that waited, given the burst used, in microseconds.
    pub slack_us: Option<Figure>,
    /// Burst minus slack, as time at the rate, in microseconds. Overload shows only this difference.
    pub head_start_us: f64,
    /// Packets that waited.
    pub waited: u64,
    /// Packets that left at once although the fluid bottleneck was busy.
    pub at_once: u64,
    /// Packets on the wrong side of the border.
    pub misfits: u64,
}

/// Minimum number of packets that waited.
const LEAST: usize = 20;

/// Minimum number of packets that left at once on credit for locating the border. Overload shows a few such
/// packets, but not that the border is there.
const LEAST_AT_ONCE: usize = 200;

/// One packet compared with the fluid bottleneck.
struct Step {
    /// Time from its arrival until the fluid bottleneck serves it.
    fluid: f64,
    /// How much earlier it left.
    ahead: f64,
    waited: bool,
    /// Whether no tokens have overflowed while packets waited, since the fluid bottleneck last idled.
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
            // A pause of the device longer than the bucket is lost; noise of the timestamps is not.
            let began = done.max(joined.min(at));
            sure &= idle || at <= began;
            done = service + if at > began + 10.0 * guard { at } else { began };
            step
        })
        .collect()
}

/// Whether a bucket that must hold a whole packet is so shallow that it overflows while the longest packet
/// waits for a late timer.
pub(super) fn loses_tokens(burst_bytes: f64, slack_us: f64, longest: f64, bps: f64) -> bool {
    burst_bytes < longest + slack_us * bps / 8e6 + 8.0
}

impl BurstEstimate {
    /// Whether the observations are consistent with a bucket that holds no more tokens than the longest
    /// packet.
    pub(super) fn holds_one_packet(&self, rate: &RateEstimate, sample: &Sample) -> bool {
        let longest = sample.crossings.iter().map(|crossing| crossing.length).fold(0.0, f64::max);
        self.bytes.is_none() && self.head_start_us <= rate.service(longest) * (1.0 + 1e-3)
    }

    /// Increases the uncertainty of burst and slack for departures with a path jitter of this standard
    /// deviation.
    pub(super) fn blurred(&mut self, jitter_us: f64, rate: &RateEstimate) {
        for (figure, least) in
            [(&mut self.bytes, jitter_us * rate.bps / 8e6), (&mut self.slack_us, jitter_us)]
        {
            if let Some(figure) = figure {
                figure.uncertainty = figure.uncertainty.max(least);
            }
        }
    }

    /// Estimates the bucket from a sample with a known rate; `None` if nothing waited.
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
        // If every long packet overflows the bucket, the rate is that of the packets that get through,
        // overflow included.
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
        // At a link, nothing leaves at once while it is busy: the border is 0, which is also an observation.
        let is_link = head_start.abs() <= guard;
        let border = if is_link { 0.0 } else { border };
        let noise = (0.5 * guard).max(spread);
        let width = if is_link { noise } else { noise.max(high - border).max(border - low) };
        let burst = Figure { value: border * bytes_per_us, uncertainty: width * bytes_per_us };
        let round = roundest(burst.value, burst.uncertainty);
        // A bucket that must hold a whole packet is as deep as the longest one that passed.
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
        // No packet leaves before its tokens are there, nor long after. Otherwise the border was not at the
        // burst.
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
    /// The delay of the timer, in us.
    const SLACK: f64 = 25.0;

    /// Bursts of packets through a token bucket. If it pauses, every ninth packet that waited leaves only
    /// when the bucket has overflowed for 100 us.
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
