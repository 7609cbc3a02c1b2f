//! Fits RED to its drops, by their likelihood given the average of the recorded queue.

use super::{AqmEstimate, AqmKind, Parameter, Scoring, Setting, descend, limit, width};
use crate::calibrate::queue::Queue;
use crate::calibrate::sample::{quantile, roundest};
use crate::ptm::{Buffer, PtmSpec, RedDecay, RedSpec};
use crate::units::{ByteCount, Probability, Rate, Span};

/// The fraction of packets that something else may decide.
const ELSE: f64 = 0.01;

/// Weights that Linux supports: 2 to the power of minus these.
const WEIGHTS: std::ops::RangeInclusive<i32> = 1..=14;

/// The average at the arrival of each packet.
fn averages(queue: &Queue, weight: f64, mean_packet: f64, setting: &Setting) -> Vec<f64> {
    let packet_ticks = (mean_packet * 8e9 / setting.rate_bps / 64.0).max(1.0) as u64;
    let decay = RedDecay::new(weight, packet_ticks);
    let mut average = 0.0;
    // A newly arrived packet ends the idle period, lost or not.
    let mut last = f64::NEG_INFINITY;
    queue
        .joined
        .iter()
        .map(|joined| {
            let idle_since = joined.idle_since.filter(|since| setting.asks_when_empty && *since >= last);
            last = joined.at;
            average = match idle_since {
                Some(since) if since.is_finite() => {
                    decay.left(average, Span::from_ps(((joined.at - since).max(0.0) * 1e6) as u64))
                }
                Some(_) => 0.0,
                None => average + weight * (joined.bytes - average),
            };
            average
        })
        .collect()
}

/// Thresholds [B], and the probability at the upper one.
#[derive(Debug, Clone, Copy)]
struct Ramp {
    min: f64,
    max: f64,
    max_p: f64,
}

impl Ramp {
    /// The probability of a hit, packet by packet. Gaps between hits are uniform.
    fn predict(&self, queue: &Queue, averages: &[f64]) -> Vec<f64> {
        // Packets since the last hit between the thresholds, and the maximum of count * p_b over them.
        let (mut count, mut passed) = (-1.0f64, 0.0f64);
        queue
            .joined
            .iter()
            .zip(averages)
            .map(|(joined, average)| {
                if *average < self.min || *average >= self.max {
                    count = -1.0;
                    return if *average < self.min { 0.0 } else { 1.0 };
                }
                count += 1.0;
                if count == 0.0 {
                    passed = 0.0;
                    return if joined.is_hit() { 0.01 } else { 0.0 };
                }
                let reached = count * self.max_p * (average - self.min) / (self.max - self.min);
                let hit = if reached > passed { (reached - passed) / (1.0 - passed).max(1e-9) } else { 0.0 };
                passed = passed.max(reached).min(1.0);
                if joined.is_hit() {
                    (count, passed) = (0.0, 0.0);
                }
                hit.min(1.0)
            })
            .collect()
    }
}

/// Fits thresholds, probability and weight; `None` if the average is not informative.
pub(super) fn fit(score: &Scoring<'_>, setting: &Setting) -> Option<AqmEstimate> {
    let queue = score.queue;
    let mut lengths: Vec<f64> = queue.joined[queue.fit.clone()].iter().map(|joined| joined.length).collect();
    let mean_packet = lengths.iter().sum::<f64>() / lengths.len() as f64;
    let longest = quantile(&mut lengths, 1.0)?;
    let seen = score.seen;
    let cost = |at: &[f64; 3], averages: &[f64]| {
        let [min, max, max_p] = *at;
        if max_p > 1.0 || max < 1.01 * min {
            return f64::INFINITY;
        }
        let ramp = Ramp { min, max, max_p };
        seen.log_loss(&seen.softened(ramp.predict(seen, averages), ELSE), &seen.fit)
    };
    let mut starts: Vec<(f64, [f64; 3], f64)> = Vec::new();
    for log in WEIGHTS {
        let weight = libm::ldexp(1.0, -log);
        let averages = averages(seen, weight, mean_packet, setting);
        let within = |hit: bool| {
            let of = |place: &usize| seen.joined[*place].is_hit() == hit;
            seen.fit.clone().filter(of).map(|place| averages[place]).collect::<Vec<f64>>()
        };
        let (Some(low), Some(high)) =
            (quantile(&mut within(true), 0.01), quantile(&mut within(false), 0.999))
        else {
            continue;
        };
        let mins = [0.3, 0.6, 1.0].map(|part| (part * low).max(longest));
        let at = mins.into_iter().flat_map(|min| {
            let maxs = [high, 3.0 * min, 5.0 * min].map(|max| max.max(min + longest));
            let max_ps = [0.01, 0.02, 0.05, 0.1, 0.3];
            maxs.into_iter().flat_map(move |max| max_ps.into_iter().map(move |max_p| [min, max, max_p]))
        });
        let best = at.map(|at| (cost(&at, &averages), at)).min_by(|a, b| a.0.total_cmp(&b.0));
        starts.extend(best.map(|(least, at)| (least, at, weight)));
    }
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let descended = starts.into_iter().take(4).map(|(_, at, weight)| {
        let averages = averages(seen, weight, mean_packet, setting);
        let (at, least) = descend(at, &[1.5, 1.2, 1.07, 1.02, 1.005, 1.001], |at| cost(at, &averages));
        (least, at, weight)
    });
    let (_, at, weight) = descended.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let averages = averages(queue, weight, mean_packet, setting);
    let (at, least) = descend(at, &[1.02, 1.005, 1.001], |at| cost(at, &averages));
    let [min, max, max_p] = at;
    // Two standard deviations of a parameter cost 2 nats, with the other parameters at their most likely
    // values: a higher `min` goes with a higher `max_p`.
    let of = |parameter: usize, others: [usize; 2]| {
        width(at[parameter], least + 2.0, |value| {
            let (_, least) = descend(others.map(|other| at[other]), &[1.05, 1.01, 1.003], |tried| {
                let mut all = at;
                (all[parameter], all[others[0]], all[others[1]]) = (value, tried[0], tried[1]);
                cost(&all, &averages)
            });
            least
        })
    };
    let (min_off, max_off, max_p_off) = (of(0, [2, 1]), of(1, [0, 2]), of(2, [0, 1]));
    let forced = queue.fit.clone().filter(|place| averages[*place] >= max).count();
    let ramp = Ramp { min, max, max_p };
    let mut predicted = queue.softened(ramp.predict(queue, &averages), ELSE);
    let limit = limit(queue, &mut predicted);
    let mut parameters = vec![
        Parameter { name: "min", value: min, uncertainty: min_off, unit: "B" },
        Parameter { name: "max", value: max, uncertainty: max_off, unit: "B" },
        Parameter { name: "max_p", value: max_p, uncertainty: max_p_off, unit: "" },
        Parameter { name: "weight", value: weight, uncertainty: weight / 2.0, unit: "" },
    ];
    parameters.extend(limit.map(Parameter::limit));
    let hits = queue.joined[..].iter();
    let ecn = hits.clone().any(|joined| joined.marked);
    // Whether ECN-capable packets were lost, not marked, above the upper threshold.
    let hard_drop = hits
        .zip(&averages)
        .any(|(joined, average)| joined.capable && joined.taken.is_none() && *average >= max && ecn);
    let bytes =
        |value: f64, off: f64| Buffer::Bytes(ByteCount::new(roundest(value, off).round().max(1.0) as u64));
    let spec = RedSpec {
        min: bytes(min, min_off),
        max: bytes(max, max_off),
        max_p: Probability::new(roundest(max_p, max_p_off).clamp(1e-6, 1.0))?,
        weight: Probability::new(weight)?,
        gentle: false,
        wait: false,
        ecn,
        hard_drop: hard_drop || !ecn,
        mean_packet: ByteCount::new(mean_packet.round().max(1.0) as u64),
        bandwidth: Rate::from_bps(setting.rate_bps.round().max(1.0) as u64),
        buffer: limit.map(Buffer::Packets),
        adaptive: false,
        hz: crate::ptm::DEFAULT_HZ,
    };
    let mut found = score.estimate(AqmKind::Red, parameters, &predicted, Some(PtmSpec::Red(spec)));
    if forced < LEAST_FORCED {
        found.not_shown.push(format!(
            "`max` and `max_p` apart: the average reached {max:.0} B for {forced} packets only; what is seen is the \
             slope between the thresholds"
        ));
    }
    Some(found)
}

/// Minimum number of packets above the upper threshold for identifying it.
const LEAST_FORCED: usize = 10;
