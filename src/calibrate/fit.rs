//! Estimates from a part of the recording, and the models that they make.

use std::ops::Range;

use serde::Serialize;

use super::aqm::{self, AqmEstimate, AqmKind, Setting};
use super::bucket::{BurstEstimate, Figure, loses_tokens};
use super::buffer::LossFinding;
use super::classes::{self, Classification, Field, quanta};
use super::flow_queues;
use super::model::{Bottleneck, ClassModel, DisciplineKind, Model, PathLimit};
use super::passage::{Joined, Passage};
use super::path::{JitterBehind, PathEstimate};
use super::queue::Queue;
use super::rate::{LookedFor, RateEstimate, framed};
use super::sample::{Alone, Crossing, Sample, quantile, roundest};
use super::simulate::Replays;
use super::{Baselines, CalibrateError, baseline};
use crate::ptm::Framing;
use crate::units::Timestamp;

/// Noise of stamps, in us, where nothing tells it: that of captures of a software router.
const USUAL_GUARD: f64 = 30.0;

/// An overhead that is not seen, and could not be larger than this [B], is none.
const WELL_KNOWN_OVERHEAD: f64 = 4.0;

/// Packets overtaken, as a part of all, from which on there are several queues.
const SEVERAL_QUEUES: f64 = 0.02;

/// The part of all overtaking that is between packets of one class, from which on its flows have queues of their own.
const WITHIN_CLASSES: f64 = 0.02;

/// By how much the cost must fall for a parameter to be moved from what was seen directly.
const WORTH_IT: f64 = 0.01;

/// How long a packet takes through an idle device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ProcessingEstimate {
    /// The median sojourn of packets that found the device empty and did not wait, in microseconds: what the
    /// topology gets.
    pub typical_us: f64,
    /// The first percentile of these sojourns, in microseconds.
    pub least_us: f64,
    /// Half the distance of their quartiles, in microseconds.
    pub uncertainty_us: f64,
    /// Those packets.
    pub packets: u64,
}

/// Quanta of a class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct QuantumEstimate {
    /// The class, by number from 0.
    pub class: usize,
    /// Mean bytes in a turn of it while other classes wait.
    pub bytes: Option<Figure>,
}

/// All that was read off the captures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimates {
    /// Sojourns longer than this are waiting, in microseconds.
    pub guard_us: f64,
    /// Through the idle device; none where it never was.
    pub processing: Option<ProcessingEstimate>,
    /// The bottleneck; none where nothing waited.
    pub rate: Option<RateEstimate>,
    /// The bucket.
    pub burst: Option<BurstEstimate>,
    /// Losses of all packets together.
    pub losses: LossFinding,
    /// Losses by class.
    pub class_losses: Vec<LossFinding>,
    /// Packets that overtook one of another flow.
    pub overtaking: u64,
    /// The classes; none where no packet overtook another.
    pub classes: Option<Classification>,
    /// What each class sends in its turn.
    pub quanta: Vec<QuantumEstimate>,
    /// Whether the egress capture was taken behind the link.
    pub at_far_end: bool,
}

/// A part of the recording and what it shows.
pub(super) struct Fitting {
    sample: Sample,
    estimates: Estimates,
    routes: bool,
    longest: f64,
    window: Range<i64>,
    /// When the recording starts.
    start: Timestamp,
    /// The constant delay of the path, in us.
    path_delay_us: f64,
}

/// The largest sojourn, in us, that is noise and no waiting: from the packets that found nobody inside, for the longest.
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
    // Under load even the longest idleness may not fill a bucket, and some of them waited: not more than the lower quarter
    // of all lets expect.
    let mut sojourns: Vec<f64> = alone.iter().map(|alone| alone.sojourn).collect();
    let least = quantile(&mut sojourns, 0.01).unwrap_or(0.0);
    let quarter = quantile(&mut sojourns, 0.25).unwrap_or(0.0);
    tail.min((quarter + 5.0 * (quarter - least) + 1.0).max(USUAL_GUARD / 2.0))
}

/// The same from the packets that would find a fluid bottleneck of that rate idle, which a full bucket lets pass as well:
/// they are more, and none of them waited.
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
    // Where the device pauses, or loses tokens, some of them waited after all.
    (high + 0.25 * (high - middle) + 0.5).min(2.0 * guard)
}

/// Packets that found the device idle without which their median says nothing.
const LEAST_IDLE: usize = 20;

fn processing(alone: &[Alone], guard: f64) -> Option<ProcessingEstimate> {
    let mut sojourns: Vec<f64> = alone.iter().map(|alone| alone.sojourn).filter(|us| *us <= guard).collect();
    let least_us = quantile(&mut sojourns, 0.01)?;
    // A few that found an overloaded device idle are not typical.
    let typical_us = if sojourns.len() < LEAST_IDLE { least_us } else { quantile(&mut sojourns, 0.5)? };
    let quartiles = quantile(&mut sojourns, 0.75)? - quantile(&mut sojourns, 0.25)?;
    let packets = sojourns.len() as u64;
    Some(ProcessingEstimate { typical_us, least_us, uncertainty_us: quartiles / 2.0, packets })
}

/// Us per byte that the sojourn through the idle device grows with a packet's length, where it does so beyond its noise:
/// the egress capture was then taken behind a link.
pub(super) fn transmission(alone: &[Alone]) -> Option<f64> {
    let mut by_length = alone.to_vec();
    by_length.sort_by(|a, b| a.length.total_cmp(&b.length));
    let groups: Vec<(f64, f64, f64)> = by_length
        .chunk_by(|a, b| (a.length / 16.0).floor() == (b.length / 16.0).floor())
        .filter(|group| group.len() >= 10)
        .filter_map(|group| {
            let mut sojourns: Vec<f64> = group.iter().map(|alone| alone.sojourn).collect();
            let lengths = group.iter().map(|alone| alone.length).sum::<f64>() / group.len() as f64;
            let low = quantile(&mut sojourns, 0.05)?;
            Some((lengths, low, quantile(&mut sojourns, 0.25)? - low))
        })
        .collect();
    let (first, last) = (groups.first()?, groups.last()?);
    let (bytes, us) = (last.0 - first.0, last.1 - first.1);
    let noise = groups.iter().map(|group| group.2).fold(0.0, f64::max);
    if bytes < 100.0 || us <= 0.0 {
        return None;
    }
    let slope = us / bytes;
    // All lengths lie on one line.
    let off = groups
        .iter()
        .map(|group| (group.1 - first.1 - slope * (group.0 - first.0)).abs())
        .fold(0.0, f64::max);
    (us > 5.0 * noise.max(0.1) && off < 0.2 * us).then_some(slope)
}

/// What leaves at once after idleness, as far as it is seen, in bytes.
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

/// Whether a link sets the pace, and no bucket.
fn is_link(rate: &RateEstimate, burst: Option<&BurstEstimate>, at_far_end: bool, guard: f64) -> bool {
    let head_start = burst_bytes(rate, burst) * 8e6 / rate.taken_bps;
    let has_framing_of_a_link = Model::link_overhead(&rate.framing).is_some();
    at_far_end || (has_framing_of_a_link && !rate.waits_for_own_length && head_start <= guard)
}

impl Fitting {
    /// Reads everything off the packets that arrive in `window`.
    pub fn new(joined: &Joined, path: &PathEstimate, window: Range<i64>) -> Self {
        let mut sample = Sample::new(&joined.passages, window.start, window.end);
        let mut at_far_end = false;
        let transmission = transmission(&sample.alone());
        if let Some(us_per_byte) = transmission {
            let before = sample.shifted(|crossing| us_per_byte * crossing.length);
            let rate = RateEstimate::of(&before, guard(&before.alone()), LookedFor::All);
            // The same rate as while packets wait, or none waited that would tell.
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
        // What several queues do beneath a jitter is not told from it: all of it is the path's.
        let is_hidden = path.jitter.is_some_and(|jitter| jitter.behind == JitterBehind::Queues);
        let processing = processing(&alone, guard_us);
        let typical = processing.map_or(0.0, |processing| processing.typical_us);
        let overtaking = classes::overtaking(&sample, guard_us);
        let overtakes = !is_hidden && classes::is_more_than_chance(&overtaking, &sample);
        let overtaken = if overtakes { overtaking.values().sum() } else { 0 };
        let classes = match overtakes {
            true => Classification::of(&overtaking, &joined.passages, &joined.flows),
            false => None,
        };
        let looked_for = if classes.is_some() { LookedFor::Nothing } else { LookedFor::All };
        let mut rate = if is_hidden { None } else { RateEstimate::of(&sample, guard_us, looked_for) };
        if let (Some(rate), Some(jitter)) = (&mut rate, &path.jitter) {
            rate.blurred(jitter.rate_uncertainty_bps.max(rate.uncertainty_bps));
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
            // Behind a path that hides the idle device: a bucket that holds one packet, or a link of that rate seen at its
            // far end, which is likelier.
            at_far_end = true;
            sample = sample.shifted(|crossing| of_rate.service(crossing.length));
            burst = None;
        }
        // A bucket counts what it sends with its framing, and so do the queues behind it; a link adds it later.
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

    /// The passages of the whole recording as this part has them: without the link's transmission, with its framing and
    /// its classes.
    pub fn as_found(&self, passages: &[Passage]) -> Sample {
        let Estimates { rate, burst, classes, at_far_end, guard_us, .. } = &self.estimates;
        let mut sample = Sample::new(passages, i64::MIN, i64::MAX);
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

    /// Why the queue of the device without classes loses packets: every rule, fitted on this part, the likeliest on
    /// `score` first. Without `score` it is as likely as on this part, less a nat for each of its parameters.
    pub fn aqms(&self, joined: &Joined, score: Range<i64>, kinds: Option<&[AqmKind]>) -> Vec<AqmEstimate> {
        // Where packets overtake others there is more than one queue.
        if self.estimates.overtaking as f64 > SEVERAL_QUEUES * self.sample.order.len() as f64 {
            return Vec::new();
        }
        let model = self.plain();
        let us = |ps: i64| ps as f64 / 1e6;
        let window = |range: &Range<i64>| us(range.start)..us(range.end);
        let processing = us(model.processing_ps as i64);
        let peeks = model.bottleneck == Bottleneck::TokenBucket;
        // Behind the far end of a link begins what comes after the transmission.
        let far_end = self.estimates.rate.filter(|_| model.at_far_end);
        let path = |length: f64| self.path_delay_us + far_end.map_or(0.0, |rate| rate.service(length));
        let sample = self.as_found(&joined.passages);
        let queue =
            Queue::new(&sample, |_| true, processing, peeks, path, window(&self.window), window(&score));
        let setting = Setting {
            start: self.start,
            has_path: self.path_delay_us > 0.0,
            has_bottleneck: model.bottleneck != Bottleneck::None,
            rate_bps: model.rate_bps.max(1) as f64,
            asks_when_empty: model.bottleneck == Bottleneck::Link,
        };
        aqm::fit(&queue, &setting, kinds)
    }

    /// The device without classes, with that rule.
    pub fn with_aqm(&self, aqm: &AqmEstimate) -> Model {
        let mut model = self.plain();
        model.aqm = Some(aqm.kind);
        if aqm.kind != AqmKind::TailDrop {
            model.buffer = None;
            model.queue = aqm.spec.clone();
        }
        if aqm.kind == AqmKind::PathLimit {
            let packets = aqm.parameters.first().map_or(0, |limit| limit.value as u64);
            model.path_limit =
                Some(PathLimit { packets, delay_ps: (self.path_delay_us * 1e6).round() as u64 });
        }
        model
    }

    /// What was read off.
    pub fn into_estimates(self) -> Estimates {
        self.estimates
    }

    /// The device without a discipline of classes.
    pub fn plain(&self) -> Model {
        let Estimates { processing, rate, burst, losses, at_far_end, .. } = &self.estimates;
        let sojourns = || {
            let mut sojourns: Vec<f64> = self.sample.crossings.iter().filter_map(Crossing::sojourn).collect();
            quantile(&mut sojourns, 0.0).unwrap_or(0.0)
        };
        let processing_us = processing.map_or_else(sojourns, |processing| processing.typical_us).max(0.0);
        let mut model = Model {
            discipline: DisciplineKind::Unlimited,
            bottleneck: Bottleneck::None,
            // To 10 ns: stamps are no finer.
            processing_ps: (processing_us * 100.0).round() as u64 * 10_000,
            rate_bps: 0,
            framing: Framing::default(),
            burst_bytes: 0,
            release_slack_ps: 0,
            buffer: losses.buffer().copied(),
            aqm: losses.buffer().map(|_| AqmKind::TailDrop),
            queue: None,
            path_limit: None,
            field: None,
            classes: Vec::new(),
            at_far_end: *at_far_end,
            routes: self.routes,
        };
        let Some(rate) = rate else { return model };
        model.discipline = DisciplineKind::Fifo;
        model.rate_bps = rate.taken_bps.round() as u64;
        model.framing = rate.framing;
        let bytes = burst_bytes(rate, burst.as_ref());
        let slack = burst.and_then(|burst| burst.slack_us).map_or(0.0, |slack| slack.value);
        if is_link(rate, burst.as_ref(), *at_far_end, self.estimates.guard_us) {
            model.bottleneck = Bottleneck::Link;
            return model;
        }
        model.release_slack_ps = (slack * 10.0).round() as u64 * 100_000;
        model.bottleneck =
            if rate.waits_for_own_length { Bottleneck::TokenBucket } else { Bottleneck::DebtBucket };
        // A bucket that must hold a whole packet is as deep as the longest that passed.
        let least = if rate.waits_for_own_length { self.longest } else { 0.0 };
        model.burst_bytes = bytes.max(least).round() as u64;
        model
    }

    /// The classes of a model, in the order of their field.
    fn with_classes(&self, discipline: DisciplineKind, top_owns_rate: bool, prio: &[u8]) -> Option<Model> {
        let Estimates { classes, class_losses, quanta, losses, .. } = &self.estimates;
        let found = classes.as_ref()?;
        let mut model = self.plain();
        if model.bottleneck == Bottleneck::None {
            return None;
        }
        if model.bottleneck == Bottleneck::TokenBucket {
            model.bottleneck = Bottleneck::DebtBucket;
        }
        let count = found.classes.len();
        if prio.len() != count {
            return None;
        }
        let misfits = |losses: &LossFinding| losses.buffer().map_or(u64::MAX, |buffer| buffer.misfits);
        let by_class: u64 =
            class_losses.iter().filter_map(|losses| losses.buffer()).map(|buffer| buffer.misfits).sum();
        let shared =
            misfits(losses) < by_class || class_losses.iter().all(|losses| losses.buffer().is_none());
        if !shared {
            model.buffer = None;
        }
        let shares = discipline != DisciplineKind::Priority;
        // A turn that a class with a higher priority interrupts is one turn.
        let quanta = match discipline {
            DisciplineKind::PriorityAndSharing => &self.quanta_among_equals(prio),
            _ => quanta,
        };
        let known: Vec<f64> = quanta.iter().filter_map(|quantum| Some(quantum.bytes?.value)).collect();
        let quantum = |class: usize| {
            let known_least = known.iter().copied().fold(f64::INFINITY, f64::min);
            let fallback = if known.is_empty() { self.longest } else { known_least };
            let (bytes, uncertainty) = match quanta.get(class).and_then(|quantum| quantum.bytes) {
                Some(Figure { value, uncertainty }) => (value, uncertainty.max(0.03 * value)),
                None => (fallback, 0.0),
            };
            roundest(bytes, uncertainty).round().max(1.0) as u64
        };
        model.discipline = discipline;
        model.field = Some(found.field);
        model.classes = (0..count)
            .map(|class| ClassModel {
                range: found.classes[class].clone(),
                prio: prio[class],
                quantum_bytes: shares.then(|| quantum(class)),
                own_rate_bps: match top_owns_rate && prio[class] == 0 {
                    true => model.rate_bps * 95 / 100,
                    false => (model.rate_bps / 200).max(1),
                },
                buffer: class_losses[class].buffer().filter(|_| !shared).copied(),
                queue: None,
            })
            .collect();
        Some(model)
    }

    /// The quanta of classes among those of their own priority.
    fn quanta_among_equals(&self, prio: &[u8]) -> Vec<QuantumEstimate> {
        let mut found: Vec<QuantumEstimate> =
            (0..prio.len()).map(|class| QuantumEstimate { class, bytes: None }).collect();
        for place in 0..=prio.iter().copied().max().unwrap_or(0) {
            let own = |crossing: &&Crossing| prio[crossing.class] == place;
            let sample = Sample::of(self.sample.crossings.iter().filter(own).copied().collect());
            let bytes = quanta(&sample, prio.len(), self.estimates.guard_us);
            for (class, bytes) in bytes.into_iter().enumerate().filter(|(class, _)| prio[*class] == place) {
                found[class].bytes = bytes.map(|(value, uncertainty)| Figure { value, uncertainty });
            }
        }
        found
    }

    /// Models with classes to try, the simplest first.
    pub fn classful(&self) -> Vec<Model> {
        let Some(found) = &self.estimates.classes else { return Vec::new() };
        let count = found.classes.len();
        let order = strict_order(found);
        let mut models = Vec::new();
        models.extend(self.with_classes(DisciplineKind::Priority, false, &order));
        if models.last().is_some_and(|model| model.bottleneck == Bottleneck::DebtBucket) {
            models.extend(self.with_classes(DisciplineKind::Priority, true, &order));
        }
        models.extend(self.with_classes(DisciplineKind::Sharing, false, &vec![0; count]));
        // The first few go strictly first, and the others share.
        let mut shared: Vec<Vec<u8>> = vec![loose_order(found)];
        for strict in 1..count.saturating_sub(1) {
            shared.push(order.iter().map(|place| (*place).min(strict as u8)).collect());
        }
        shared.retain(|prio| prio.iter().any(|place| *place > 0));
        shared.dedup();
        if count > 2 {
            for prio in shared {
                models.extend(self.with_classes(DisciplineKind::PriorityAndSharing, false, &prio));
            }
        }
        let within = found.overtaking_within as f64;
        if within > WITHIN_CLASSES * (within + found.overtaking_between as f64) {
            let with_queues: Vec<Model> = models.iter().map(flow_queues::in_classes).collect();
            models.extend(with_queues);
        }
        models
    }

    /// Models with a queue per flow to try; none where no packet overtook one of another flow.
    pub fn per_flow(&self) -> Vec<Model> {
        let model = self.plain();
        match self.estimates.overtaking > 0 && model.bottleneck != Bottleneck::None {
            true => flow_queues::candidates(&model, &self.sample),
            false => Vec::new(),
        }
    }

    /// The model of the same kind as `other`, of this part of the recording.
    pub fn like(&self, other: &Model, aqms: &[AqmEstimate]) -> Model {
        if other.discipline.is_per_flow() {
            return Model {
                discipline: other.discipline,
                queue: other.queue.clone(),
                aqm: None,
                buffer: None,
                ..self.plain()
            };
        }
        if !other.classes.is_empty() {
            let prio: Vec<u8> = other.classes.iter().map(|class| class.prio).collect();
            let own = self.with_classes(other.discipline, other.top_owns_rate(), &prio);
            return match own {
                Some(own) if other.classes[0].queue.is_some() => flow_queues::in_classes(&own),
                Some(own) => own,
                None => other.clone(),
            };
        }
        match aqms.iter().find(|aqm| Some(aqm.kind) == other.aqm).or(aqms.first()) {
            Some(aqm) => self.with_aqm(aqm),
            None => self.plain(),
        }
    }

    /// Finds by simulation what is not seen directly: burst and slack where only their difference is known, and the quanta
    /// of classes that are rarely kept waiting.
    pub fn refine(&self, model: Model, replays: &Replays) -> Result<Model, CalibrateError> {
        let cost = |model: &Model| -> Result<f64, CalibrateError> {
            Ok(replays.score(&replays.simulate(model)?, self.window.clone()).cost())
        };
        let model = self.refine_burst(model, &cost)?;
        if model.discipline.is_per_flow() && !model.discipline.draws() {
            return flow_queues::refine(model, &cost);
        }
        if model.discipline.draws() {
            return flow_queues::refine(model, &|model: &Model| {
                Ok(replays.cost_by_flow(&replays.simulate(model)?, self.window.clone()))
            });
        }
        let unseen = |class: &usize| {
            model.classes[*class].quantum_bytes.is_some()
                && self.estimates.quanta.get(*class).is_none_or(|quantum| quantum.bytes.is_none())
        };
        let unseen: Vec<usize> = (0..model.classes.len()).filter(unseen).collect();
        refine_quanta(model, &unseen, self.longest, &cost)
    }

    /// Slack and burst by simulation, where only the burst less the slack was seen.
    fn refine_burst(
        &self,
        model: Model,
        cost: &impl Fn(&Model) -> Result<f64, CalibrateError>,
    ) -> Result<Model, CalibrateError> {
        let Estimates { rate: Some(rate), burst: Some(burst), .. } = &self.estimates else {
            return Ok(model);
        };
        if model.bottleneck != Bottleneck::DebtBucket || burst.bytes.is_some() {
            return Ok(model);
        }
        let mut best = (cost(&model)?, model);
        for slack_us in [0.0, 10.0, 20.0, 30.0, 40.0, 50.0] {
            let mut tried = best.1.clone();
            let bytes = (burst.head_start_us + slack_us) * rate.taken_bps / 8e6;
            tried.burst_bytes = roundest(bytes, 0.01 * bytes).max(0.0) as u64;
            tried.release_slack_ps = slack_us as u64 * 1_000_000;
            let found = cost(&tried)?;
            if found < (1.0 - WORTH_IT) * best.0 {
                best = (found, tried);
            }
        }
        Ok(best.1)
    }

    /// Rules of thumb, with this part's least sojourn and rate, on `window`.
    pub fn baselines(&self, joined: &Joined, window: Range<i64>) -> Baselines {
        let least = self.estimates.processing.map_or(0.0, |processing| processing.least_us);
        let rate = self.estimates.rate;
        let service = |length: f64| rate.map_or(0.0, |rate| rate.service(length));
        let no_queue = baseline::no_queue(joined, window.clone(), least, service);
        let mm1 = rate.and_then(|_| baseline::mm1(joined, window, least, service));
        Baselines { no_queue, load: mm1.as_ref().map(|(load, _)| *load), mm1: mm1.map(|(_, score)| score) }
    }

    /// What this part of the recording does not show, in words.
    pub fn not_identified(&self, model: &Model, path: &PathEstimate) -> Vec<String> {
        let Estimates { processing, rate, burst, losses, classes, quanta, .. } = &self.estimates;
        let mut unknown = Vec::new();
        let mut say = |text: String| unknown.push(text);
        match processing {
            None => say("the processing delay: the device was never idle".to_owned()),
            Some(processing) if (processing.packets as usize) < LEAST_IDLE => {
                say(format!(
                    "the usual processing delay: only {} packets found the device idle",
                    processing.packets
                ));
            }
            Some(_) => {}
        }
        if path.jitter.is_some_and(|jitter| jitter.behind == JitterBehind::Queues) {
            say(
                "the device: it has several queues, and the path's jitter hides which packet waited in which"
                    .to_owned(),
            );
        } else if rate.is_none() {
            say("the rate, the burst, the discipline: too few packets waited for another".to_owned());
        }
        if let Some(jitter) = &path.jitter {
            say(format!(
                "burst, release slack and framing, and the order of packets less than {:.1} ms apart: the path's jitter \
                 hides them",
                (jitter.most_us - jitter.p50_us).max(jitter.p50_us) / 1e3
            ));
        }
        if path.delay_us > 0.0 {
            say("whether the constant delay lies before the device or behind it, and how long the device forwards \
                 beside it"
                .to_owned());
        }
        match burst {
            Some(burst) if burst.bytes.is_none() && model.bottleneck != Bottleneck::Link => say(format!(
                "burst and release slack apart: only the burst less the slack is seen, {:.1} us at the rate",
                burst.head_start_us
            )),
            _ => {}
        }
        let slack_us = 1e-6 * model.release_slack_ps as f64;
        if model.bottleneck == Bottleneck::TokenBucket
            && loses_tokens(model.burst_bytes as f64, slack_us, self.longest, model.rate_bps as f64)
        {
            say("the rate of the tokens: the bucket is so shallow that a late timer loses some of them, and the rate is \
                 what gets through"
                .to_owned());
        }
        match losses {
            LossFinding::TailDrop(_) | LossFinding::Unexplained { .. }
                if model.buffer.is_none() && model.classes.iter().any(|class| class.buffer.is_some()) =>
            {
                for (index, _) in model.classes.iter().enumerate().filter(|(_, class)| class.buffer.is_none())
                {
                    say(format!("the buffer of class {}: nothing of it was lost", 10 * (index + 1)));
                }
            }
            LossFinding::NoneLost { waiting_bytes } if rate.is_some() => {
                say(format!("the buffer: nothing was lost, with up to {waiting_bytes:.0} B waiting"));
            }
            LossFinding::NoneLost { .. } => say("the buffer: nothing was lost".to_owned()),
            LossFinding::Unexplained { lost, .. }
                if model.classes.iter().all(|class| class.buffer.is_none()) && model.aqm.is_none() =>
            {
                say(format!(
                    "why {lost} packets were lost: no limit of what waits tells them from the others"
                ));
            }
            _ => {}
        }
        if rate.is_some() && classes.is_none() {
            say("classes: no packet overtook another; they may be there without showing".to_owned());
        }
        if let Some(rate) = rate {
            let unseen = rate.overhead_uncertainty_bytes;
            if unseen.is_infinite() {
                say("the framing overhead: packets of one length do not show it; the rate is that of recorded lengths"
                    .to_owned());
            } else if unseen > WELL_KNOWN_OVERHEAD && model.framing == Framing::default() {
                say(format!(
                    "a framing overhead below {unseen:.1} B per packet: the rate is that of recorded lengths"
                ));
            }
        }
        if model.bottleneck == Bottleneck::Link && Model::link_overhead(&model.framing).is_none() {
            say("a link that fits the framing: a link adds bytes to a packet, and knows no cells".to_owned());
        }
        if !model.classes.is_empty() && model.bottleneck == Bottleneck::DebtBucket {
            say("what each class is sure of on its own: a small part of the rate is assumed".to_owned());
        }
        if matches!(model.discipline, DisciplineKind::Sharing | DisciplineKind::PriorityAndSharing) {
            for quantum in quanta.iter().filter(|quantum| quantum.bytes.is_none()) {
                say(format!(
                    "the quantum of class {}: it rarely waited with others",
                    10 * (quantum.class + 1)
                ));
            }
        }
        unknown
    }
}

/// The quanta of these classes, one after the other, by steps that get finer: coordinate descent.
fn refine_quanta(
    model: Model,
    unseen: &[usize],
    longest: f64,
    cost: &impl Fn(&Model) -> Result<f64, CalibrateError>,
) -> Result<Model, CalibrateError> {
    if unseen.is_empty() {
        return Ok(model);
    }
    let mut best = (cost(&model)?, model);
    for factors in [[0.5, 2.0], [0.5, 2.0], [0.7, 1.4], [0.8, 1.25], [0.9, 1.1], [0.95, 1.05]] {
        for &class in unseen {
            let Some(quantum) = best.1.classes[class].quantum_bytes else { continue };
            for factor in factors {
                let bytes = (quantum as f64 * factor).clamp(0.5 * longest, 200_000.0);
                let mut tried = best.1.clone();
                tried.classes[class].quantum_bytes = Some(roundest(bytes, 0.02 * bytes) as u64);
                let found = cost(&tried)?;
                if found < (1.0 - WORTH_IT) * best.0 {
                    best = (found, tried);
                }
            }
        }
    }
    Ok(best.1)
}

/// The place of each class in the order of who goes before whom: 0 goes first, classes that go before as many others share
/// a place.
fn strict_order(found: &Classification) -> Vec<u8> {
    order(found, 0.5)
}

/// The same, of classes that go before others all but always.
fn loose_order(found: &Classification) -> Vec<u8> {
    order(found, 0.95)
}

fn order(found: &Classification, clearly: f64) -> Vec<u8> {
    let count = found.classes.len();
    (0..count)
        .map(|class| {
            let before =
                (0..count).filter(|other| *other != class && found.precedence(*other, class) > clearly);
            before.count().min(7) as u8
        })
        .collect()
}

impl Field {
    /// As a `match` names it.
    pub fn key(self) -> &'static str {
        match self {
            Field::Dscp => "dscp",
            Field::DestinationPort => "destination_ports",
            Field::SourcePort => "source_ports",
            Field::Protocol => "protocol",
            Field::IngressPort => "ingress_ports",
            Field::Destination => "destination",
            Field::Source => "source",
        }
    }
}
