//! Estimates from a part of the recording, each from the packets that show it.
//!
//! `candidates` builds models from the estimates; `unseen` lists what they leave open.

mod candidates;
mod unseen;

use std::ops::Range;

use serde::Serialize;

use super::bucket::{BurstEstimate, Figure};
use super::buffer::LossFinding;
use super::classes::{self, Classification, quanta};
use super::model::Model;
use super::path::{JitterBehind, PathEstimate};
use super::rate::{LookedFor, RateEstimate, framed};
use super::sample::{Alone, Sample, quantile, roundest, transmission};
use super::transit::{Joined, Transit};
use super::{Baselines, baseline};
use crate::units::Timestamp;

/// Default noise of timestamps, in us, if it cannot be estimated: that of captures of a software router.
const USUAL_GUARD: f64 = 30.0;

/// The delay of a packet through an idle device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ProcessingEstimate {
    /// The median sojourn of packets that found the device empty and did not wait, in microseconds; used in
    /// the topology.
    pub typical_us: f64,
    /// The first percentile of these sojourns, in microseconds.
    pub least_us: f64,
    /// Half the interquartile range, in microseconds.
    pub uncertainty_us: f64,
    /// Number of these packets.
    pub packets: u64,
}

/// The quantum of a class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct QuantumEstimate {
    /// The class, numbered from 0.
    pub class: usize,
    /// Mean bytes per round while other classes wait.
    pub bytes: Option<Figure>,
}

/// All direct estimates from the captures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimates {
    /// Sojourns longer than this count as waiting, in microseconds.
    pub guard_us: f64,
    /// The delay through the idle device; `None` if it was never idle.
    pub processing: Option<ProcessingEstimate>,
    /// The bottleneck; `None` if nothing waited.
    pub rate: Option<RateEstimate>,
    /// The token bucket.
    pub burst: Option<BurstEstimate>,
    /// Losses of all packets.
    pub losses: LossFinding,
    /// Losses by class.
    pub class_losses: Vec<LossFinding>,
    /// Packets that overtook one of another flow.
    pub overtaking: u64,
    /// The classes; `None` if no packet overtook another.
    pub classes: Option<Classification>,
    /// The quantum of each class.
    pub quanta: Vec<QuantumEstimate>,
    /// Whether the egress capture was taken behind the link.
    pub at_far_end: bool,
}

/// A part of the recording and its estimates.
pub(super) struct Fitting {
    sample: Sample,
    estimates: Estimates,
    routes: bool,
    longest: f64,
    window: Range<i64>,
    /// Start of the recording.
    start: Timestamp,
    /// The constant delay of the path, in us.
    path_delay_us: f64,
}

/// The maximum sojourn, in us, that is noise and not waiting: from the packets that found the device empty,
/// for the longest time.
fn guard(alone: &[Alone]) -> f64 {
    if alone.len() < 40 {
        return USUAL_GUARD;
    }
    let mut idle: Vec<f64> = alone.iter().map(|alone| alone.idle).collect();
    let long = quantile(&mut idle, 0.75).unwrap_or(0.0);
    let mut sojourns: Vec<f64> =
        alone.iter().filter(|alone| alone.idle >= long).map(|alone| alone.sojourn).collect();
    let middle = quantile(&mut sojourns, 0.5).unwrap_or(0.0);
    let high = quantile(&mut sojourns, 0.95).unwrap_or(middle);
    let tail = high + 0.25 * (high - middle) + 0.5;
    // Under load, even the longest idleness may not fill a bucket, and some of these packets waited. The
    // limit is bounded by what the lower quarter of all predicts.
    let mut sojourns: Vec<f64> = alone.iter().map(|alone| alone.sojourn).collect();
    let least = quantile(&mut sojourns, 0.01).unwrap_or(0.0);
    let quarter = quantile(&mut sojourns, 0.25).unwrap_or(0.0);
    tail.min((quarter + 5.0 * (quarter - least) + 1.0).max(USUAL_GUARD / 2.0))
}

/// As `guard`, from the packets that would find a fluid bottleneck of that rate idle. A full bucket forwards
/// them at once, too. There are more of them, and none waited.
fn guard_by(sample: &Sample, rate: &RateEstimate, guard: f64) -> f64 {
    let mut done = f64::NEG_INFINITY;
    let mut sojourns = Vec::new();
    for crossing in &sample.crossings {
        let Some(sojourn) = crossing.sojourn() else { continue };
        if crossing.arrival > done {
            sojourns.push(sojourn);
        }
        done = done.max(crossing.arrival) + rate.service(crossing.length);
    }
    if sojourns.len() < 100 {
        return guard;
    }
    let middle = quantile(&mut sojourns, 0.5).unwrap_or(0.0);
    let high = quantile(&mut sojourns, 0.97).unwrap_or(middle);
    // If the device pauses or loses tokens, some of them waited after all.
    (high + 0.25 * (high - middle) + 0.5).min(2.0 * guard)
}

/// Minimum number of packets that found the device idle for a meaningful median.
const LEAST_IDLE: usize = 20;

fn processing(alone: &[Alone], guard: f64) -> Option<ProcessingEstimate> {
    let mut sojourns: Vec<f64> = alone.iter().map(|alone| alone.sojourn).filter(|us| *us <= guard).collect();
    let least_us = quantile(&mut sojourns, 0.01)?;
    // A few packets that found an overloaded device idle are not typical.
    let typical_us = if sojourns.len() < LEAST_IDLE { least_us } else { quantile(&mut sojourns, 0.5)? };
    let quartiles = quantile(&mut sojourns, 0.75)? - quantile(&mut sojourns, 0.25)?;
    let packets = sojourns.len() as u64;
    Some(ProcessingEstimate { typical_us, least_us, uncertainty_us: quartiles / 2.0, packets })
}

/// Bytes that leave at once after idleness, as far as observed.
fn burst_bytes(rate: &RateEstimate, burst: Option<&BurstEstimate>) -> f64 {
    match burst {
        Some(BurstEstimate { taken_bytes: Some(bytes), .. }) => *bytes,
        Some(burst) => {
            let bytes = burst.head_start_us.max(0.0) * rate.taken_bps / 8e6;
            roundest(bytes, 0.02 * bytes)
        }
        None => 0.0,
    }
}

/// Whether a link is the bottleneck, not a bucket.
fn is_link(rate: &RateEstimate, burst: Option<&BurstEstimate>, at_far_end: bool, guard: f64) -> bool {
    let head_start = burst_bytes(rate, burst) * 8e6 / rate.taken_bps;
    let has_framing_of_a_link = Model::link_overhead(&rate.framing).is_some();
    at_far_end || (has_framing_of_a_link && !rate.waits_for_own_length && head_start <= guard)
}

impl Fitting {
    /// Makes all estimates from the packets that arrive in `window`.
    pub fn new(joined: &Joined, path: &PathEstimate, window: Range<i64>) -> Self {
        let mut sample = Sample::new(&joined.transits, window.start, window.end);
        let mut at_far_end = false;
        let transmission = transmission(&sample.alone());
        if let Some(us_per_byte) = transmission {
            let before = sample.shifted(|crossing| us_per_byte * crossing.length);
            let rate = RateEstimate::of(&before, guard(&before.alone()), LookedFor::All);
            // The same rate as while packets wait, or none waited that would show a difference.
            at_far_end =
                rate.as_ref().is_none_or(|rate| (0.8..1.25).contains(&(us_per_byte * rate.taken_bps / 8e6)));
            if at_far_end {
                sample = sample.shifted(|crossing| match &rate {
                    Some(rate) => rate.service(crossing.length),
                    None => us_per_byte * crossing.length,
                });
            }
        }
        let alone = sample.alone();
        let mut guard_us = guard(&alone);
        if let Some(rate) = RateEstimate::of(&sample, guard_us, LookedFor::Overhead) {
            guard_us = guard_by(&sample, &rate, guard_us);
        }
        // Several queues cannot be distinguished from jitter: all of it is attributed to the path.
        let is_hidden = path.jitter.is_some_and(|jitter| jitter.behind == JitterBehind::Queues);
        let processing = processing(&alone, guard_us);
        let typical = processing.map_or(0.0, |processing| processing.typical_us);
        let overtaking = classes::overtaking(&sample, guard_us);
        let overtakes = !is_hidden && classes::is_more_than_chance(&overtaking, &sample);
        let overtaken = if overtakes { overtaking.values().sum() } else { 0 };
        let classes = match overtakes {
            true => Classification::of(&overtaking, &joined.transits, &joined.flows),
            false => None,
        };
        let looked_for = if classes.is_some() { LookedFor::Nothing } else { LookedFor::All };
        let mut rate = if is_hidden { None } else { RateEstimate::of(&sample, guard_us, looked_for) };
        if let Some(rate) = &mut rate
            && let Some(JitterBehind::Fifo { uncertainty_bps, .. }) = path.jitter.map(|jitter| jitter.behind)
        {
            rate.blurred(uncertainty_bps.max(rate.uncertainty_bps));
        }
        if let (true, None, Some(us_per_byte)) = (at_far_end, rate, transmission) {
            rate = Some(RateEstimate::of_transmission(us_per_byte));
        }
        let mut burst = rate.and_then(|rate| BurstEstimate::of(&sample, &rate, typical, guard_us));
        if let (Some(of_rate), Some(of_burst)) = (&rate, &burst)
            && !at_far_end
            && path.delay_us > 0.0
            && of_rate.waits_for_own_length
            && of_burst.holds_one_packet(of_rate, &sample)
        {
            // A path that hides the idle device leaves two explanations: a bucket that holds one packet, or a
            // link of that rate observed at its far end, which is more likely.
            at_far_end = true;
            sample = sample.shifted(|crossing| of_rate.service(crossing.length));
            burst = None;
        }
        if let (Some(of_rate), Some(of_burst), Some(jitter)) = (&rate, &mut burst, &path.jitter) {
            of_burst.blurred(jitter.std_us, of_rate);
        }
        // A bucket counts packets with framing, as do the queues behind it; a link adds framing later.
        if let Some(rate) = rate.as_ref().filter(|rate| !is_link(rate, burst.as_ref(), at_far_end, guard_us))
        {
            sample = sample.with_lengths(|length| framed(&rate.framing, length));
        }
        if let Some(classes) = &classes {
            sample = classes.applied(&sample);
        }
        let count = classes.as_ref().map_or(1, |classes| classes.classes.len());
        let losses = LossFinding::of(&sample, typical, |_| true);
        let class_losses =
            (0..count).map(|class| LossFinding::of(&sample, typical, |of| of == class)).collect();
        let quanta = quanta(&sample, count, guard_us)
            .into_iter()
            .enumerate()
            .map(|(class, found)| {
                let bytes = found.map(|(value, uncertainty)| Figure { value, uncertainty });
                QuantumEstimate { class, bytes }
            })
            .collect();
        let longest = sample.crossings.iter().map(|crossing| crossing.length).fold(0.0, f64::max);
        let estimates = Estimates {
            guard_us,
            processing,
            rate,
            burst,
            losses,
            class_losses,
            overtaking: overtaken,
            classes,
            quanta,
            at_far_end,
        };
        let (routes, start) = (joined.routes, joined.start);
        Fitting { sample, estimates, routes, longest, window, start, path_delay_us: path.delay_us }
    }

    /// The transits of the whole recording according to this part: without the transmission on the link, with
    /// its framing and its classes.
    pub fn as_found(&self, transits: &[Transit]) -> Sample {
        let Estimates { rate, burst, classes, at_far_end, guard_us, .. } = &self.estimates;
        let mut sample = Sample::new(transits, i64::MIN, i64::MAX);
        if let Some(rate) = rate {
            if *at_far_end {
                sample = sample.shifted(|crossing| rate.service(crossing.length));
            }
            if !is_link(rate, burst.as_ref(), *at_far_end, *guard_us) {
                sample = sample.with_lengths(|length| framed(&rate.framing, length));
            }
        }
        if let Some(classes) = classes {
            sample = classes.applied(&sample);
        }
        sample
    }

    /// The estimates.
    pub fn into_estimates(self) -> Estimates {
        self.estimates
    }

    /// Rules of thumb on `window`, with the minimum sojourn and the rate of this part.
    pub fn baselines(&self, joined: &Joined, window: Range<i64>) -> Baselines {
        let least = self.estimates.processing.map_or(0.0, |processing| processing.least_us);
        let rate = self.estimates.rate;
        let service = |length: f64| rate.map_or(0.0, |rate| rate.service(length));
        let no_queue = baseline::no_queue(joined, window.clone(), least, service);
        let mm1 = rate.and_then(|_| baseline::mm1(joined, window, least, service));
        Baselines { no_queue, load: mm1.as_ref().map(|(load, _)| *load), mm1: mm1.map(|(_, score)| score) }
    }
}
