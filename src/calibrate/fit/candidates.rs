//! Builds candidate models from the estimates: one per discipline and drop rule.

use std::ops::Range;

use super::{Estimates, Fitting, QuantumEstimate, burst_bytes, is_link};
use crate::calibrate::CalibrateError;
use crate::calibrate::aqm::{self, AqmEstimate, AqmKind, Setting};
use crate::calibrate::bucket::Figure;
use crate::calibrate::buffer::LossFinding;
use crate::calibrate::classes::{Classification, quanta};
use crate::calibrate::flow_queues;
use crate::calibrate::model::{Bottleneck, ClassModel, DisciplineKind, Model, PathLimit};
use crate::calibrate::queue::Queue;
use crate::calibrate::sample::{Crossing, Sample, quantile, roundest};
use crate::calibrate::simulate::Replays;
use crate::calibrate::transit::Joined;
use crate::ptm::Framing;

/// Minimum fraction of overtaking packets that indicates several queues.
const SEVERAL_QUEUES: f64 = 0.02;

/// Minimum fraction of overtaking within classes that indicates a queue per flow within each class.
const WITHIN_CLASSES: f64 = 0.02;

/// Minimum decrease of the cost for moving a parameter away from its direct estimate.
const WORTH_IT: f64 = 0.01;

impl Fitting {
    /// Fits every drop rule to the queue of the device without classes, on this part; in descending order of
    /// likelihood on `score`. If `score` is empty, the likelihood on this part is used, reduced by one nat
    /// per parameter.
    pub fn aqms(&self, joined: &Joined, score: Range<i64>, kinds: Option<&[AqmKind]>) -> Vec<AqmEstimate> {
        // Overtaking implies more than one queue.
        if self.estimates.overtaking as f64 > SEVERAL_QUEUES * self.sample.order.len() as f64 {
            return Vec::new();
        }
        let model = self.plain();
        let us = |ps: i64| ps as f64 / 1e6;
        let window = |range: &Range<i64>| us(range.start)..us(range.end);
        let processing = us(model.processing_ps as i64);
        let peeks = model.bottleneck == Bottleneck::TokenBucket;
        // A link observed at its far end: the path behind it begins after the transmission.
        let far_end = self.estimates.rate.filter(|_| model.at_far_end);
        let path = |length: f64| self.path_delay_us + far_end.map_or(0.0, |rate| rate.service(length));
        let sample = self.as_found(&joined.transits);
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

    /// The device without a classful discipline.
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
            // Rounded to 10 ns: timestamps are no finer.
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
        // A bucket that must hold a whole packet is as deep as the longest one that passed.
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
        // A round that is interrupted by a class of higher priority counts as one.
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

    /// The quanta of classes, relative to those of equal priority.
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

    /// Classful candidate models, the simplest first.
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
        // The first few classes have strict priority, and the others share.
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

    /// Candidate models with a queue per flow; none if no packet overtook one of another flow.
    pub fn per_flow(&self) -> Vec<Model> {
        let model = self.plain();
        match self.estimates.overtaking > 0 && model.bottleneck != Bottleneck::None {
            true => flow_queues::candidates(&model, &self.sample),
            false => Vec::new(),
        }
    }

    /// The model of the same kind as `other`, for this part of the recording.
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

    /// Finds by simulation what is not observed directly: burst and slack if only their difference is known,
    /// and the quanta of classes that rarely wait.
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

    /// Slack and burst by simulation, if only the burst minus the slack was observed.
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
}

/// The quanta of these classes, one after the other, by coordinate descent with ever finer steps.
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

/// The priority of each class: 0 goes first. Classes that precede equally many others share a priority.
fn strict_order(found: &Classification) -> Vec<u8> {
    order(found, 0.5)
}

/// As [`strict_order`], for classes that almost always precede others.
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
