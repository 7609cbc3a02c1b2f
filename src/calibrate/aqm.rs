//! Rules by which a queue loses or marks packets: tail drop, random loss, or active queue management.
//!
//! Each rule gets the state and the history of the queue, packet by packet, and returns the probability that
//! the next packet is lost or marked. Its parameters maximize the likelihood of the first half of the
//! recording. Its score is the log loss on the second half, in nats. The rule is given what was recorded
//! before each packet, not its own earlier decisions, so one different decision does not affect the following
//! ones.

mod chance;
mod codel;
mod pie;
mod red;

use serde::Serialize;

use super::buffer::{self, BufferEstimate, Counts};
use super::queue::{Newcomer, Queue};
use crate::ptm::PtmSpec;
use crate::units::{Span, Time, Timestamp};

/// A rule by which a queue loses or marks packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AqmKind {
    /// A full buffer.
    TailDrop,
    /// A limit on the packets that wait and those on the path behind the queue: the limit of `netem`.
    PathLimit,
    /// Independent random loss.
    RandomLoss,
    /// Random loss in bursts: the Gilbert-Elliott model.
    BurstyLoss,
    /// Random early detection.
    Red,
    /// Proportional Integral controller Enhanced: controls the waiting time.
    Pie,
    /// Controlled Delay.
    Codel,
}

impl AqmKind {
    /// The name, as in a topology.
    pub fn words(self) -> &'static str {
        match self {
            AqmKind::TailDrop => "tail drop",
            AqmKind::PathLimit => "netem's limit",
            AqmKind::RandomLoss => "random loss",
            AqmKind::BurstyLoss => "loss in bursts",
            AqmKind::Red => "red",
            AqmKind::Pie => "pie",
            AqmKind::Codel => "codel",
        }
    }
}

/// A parameter of a rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parameter {
    /// Its name, as in a topology.
    pub name: &'static str,
    /// The estimate.
    pub value: f64,
    /// Half the width of the interval of values that are about as likely.
    pub uncertainty: f64,
    /// Its unit.
    pub unit: &'static str,
}

impl Parameter {
    /// A limit on the number of waiting packets.
    fn limit(packets: u64) -> Self {
        Parameter { name: "buffer", value: packets as f64, uncertainty: 0.0, unit: "packets" }
    }
}

/// A rule fitted to a queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AqmEstimate {
    /// The rule.
    pub kind: AqmKind,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// Log loss on the part that it was fitted on, in nats.
    pub fitted_nats: f64,
    /// Log loss on the other part, in nats; on the same part if there is no other.
    pub held_out_nats: f64,
    /// What the recording does not show about it, as text.
    pub not_shown: Vec<String>,
    /// The buffer of tail drop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer: Option<BufferEstimate>,
    /// The discipline for the topology; `None` for tail drop.
    #[serde(skip)]
    pub(super) spec: Option<PtmSpec>,
    /// The probability of a loss or mark that the rule gives for each packet of the recording.
    #[serde(skip)]
    pub(super) predicted: Vec<f64>,
}

/// The context of a queue, for the rules.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// Start of the recording.
    pub start: Timestamp,
    /// Whether packets are delayed by a path behind the queue.
    pub has_path: bool,
    /// Whether packets wait at all.
    pub has_bottleneck: bool,
    /// The bottleneck's rate, in bits per second.
    pub rate_bps: f64,
    /// Whether the queue is polled while it is empty: a link does this, `htb` and `tbf` do not.
    pub asks_when_empty: bool,
}

/// Minimum number of losses and marks for fitting rules.
const LEAST_HITS: usize = 1;

/// Fits all rules to a queue; empty if it loses and marks nothing. The rule that is most likely on the second
/// half comes first. Among about equally likely rules, the one with the fewest parameters comes first. With
/// `kinds`, only these rules are fitted.
pub(super) fn fit(queue: &Queue, setting: &Setting, kinds: Option<&[AqmKind]>) -> Vec<AqmEstimate> {
    if queue.hits(&queue.fit) < LEAST_HITS {
        return Vec::new();
    }
    let score = Scoring { queue, seen: &queue.up_to_fit() };
    let wanted = |kind: AqmKind| kinds.is_none_or(|kinds| kinds.contains(&kind));
    let behind_bottleneck = |kind: AqmKind| setting.has_bottleneck && wanted(kind);
    let fitted = [
        wanted(AqmKind::TailDrop).then(|| tail_drop(&score)),
        (setting.has_path && wanted(AqmKind::PathLimit)).then(|| path_limit(&score)),
        wanted(AqmKind::RandomLoss).then(|| chance::random(&score)),
        wanted(AqmKind::BurstyLoss).then(|| chance::bursty(&score)).flatten(),
        behind_bottleneck(AqmKind::Red).then(|| red::fit(&score, setting)).flatten(),
        behind_bottleneck(AqmKind::Pie).then(|| pie::fit(&score, setting)).flatten(),
        behind_bottleneck(AqmKind::Codel).then(|| codel::fit(&score, setting)).flatten(),
    ];
    let mut fitted: Vec<AqmEstimate> = fitted.into_iter().flatten().collect();
    // The sort is stable: of equals, the simpler one comes first.
    fitted.sort_by(|a, b| a.held_out_nats.total_cmp(&b.held_out_nats));
    let about_as_likely = indistinguishable(&fitted).len();
    fitted[..about_as_likely].sort_by_key(|aqm| aqm.parameters.len());
    fitted
}

/// Odds of 100 to 1, in nats. The recording does not distinguish rules with a smaller difference.
const INDISTINGUISHABLE: f64 = 4.6;

/// The rules that are about as likely as the first.
pub(super) fn indistinguishable(fitted: &[AqmEstimate]) -> &[AqmEstimate] {
    let best = fitted.iter().map(|aqm| aqm.held_out_nats).fold(f64::INFINITY, f64::min);
    let apart = |aqm: &AqmEstimate| aqm.held_out_nats > best + INDISTINGUISHABLE;
    &fitted[..fitted.iter().position(apart).unwrap_or(fitted.len())]
}

/// A queue, with functions to make estimates.
pub(super) struct Scoring<'q> {
    pub queue: &'q Queue,
    /// The part that parameters are estimated from.
    pub seen: &'q Queue,
}

impl Scoring<'_> {
    /// Makes an estimate from the probabilities that a rule gives.
    fn estimate(
        &self,
        kind: AqmKind,
        parameters: Vec<Parameter>,
        predicted: &[f64],
        spec: Option<PtmSpec>,
    ) -> AqmEstimate {
        let queue = self.queue;
        let fitted_nats = queue.log_loss(predicted, &queue.fit);
        // Without a held-out part, each parameter costs one nat: H. Akaike, "A New Look at the Statistical
        // Model Identification", IEEE Transactions on Automatic Control 19(6), 1974.
        let held_out_nats = match queue.score.is_empty() {
            true => fitted_nats + parameters.len() as f64,
            false => queue.log_loss(predicted, &queue.score),
        };
        let predicted = predicted.to_vec();
        AqmEstimate {
            kind,
            parameters,
            fitted_nats,
            held_out_nats,
            not_shown: Vec::new(),
            buffer: None,
            spec,
            predicted,
        }
    }
}

fn tail_drop(score: &Scoring<'_>) -> AqmEstimate {
    let queue = score.queue;
    let found = queue.joined[queue.fit.clone()]
        .iter()
        .map(|joined| (joined.bytes + joined.length, joined.packets + 1.0, joined.taken.is_none()));
    let buffer = buffer::best_limit(found);
    let signal: Vec<usize> = queue
        .joined
        .iter()
        .map(|joined| {
            let waits = match buffer.counts {
                Counts::Bytes => joined.bytes + joined.length,
                Counts::Packets => joined.packets + 1.0,
            };
            match waits {
                waits if waits > buffer.limit + buffer.uncertainty => 2,
                waits if waits >= buffer.limit - buffer.uncertainty => 1,
                _ => 0,
            }
        })
        .collect();
    let unit = if buffer.counts == Counts::Bytes { "B" } else { "packets" };
    let limit = Parameter { name: "buffer", value: buffer.limit, uncertainty: buffer.uncertainty, unit };
    let mut found = score.estimate(AqmKind::TailDrop, vec![limit], &queue.by_counts(&signal), None);
    found.buffer = Some(buffer);
    found
}

/// The limit of `netem`, which also counts the packets that it delays.
fn path_limit(score: &Scoring<'_>) -> AqmEstimate {
    let queue = score.queue;
    let found = queue.joined[queue.fit.clone()].iter().map(|joined| {
        let packets = joined.packets_and_path + 1.0;
        // There is no such limit in bytes.
        (0.0, packets, joined.taken.is_none())
    });
    let buffer = buffer::best_limit(found);
    let signal: Vec<usize> = queue
        .joined
        .iter()
        .map(|joined| usize::from(joined.packets_and_path + 1.0 > buffer.limit.floor()))
        .collect();
    let limit = Parameter::limit(buffer.limit.floor().max(1.0) as u64);
    score.estimate(AqmKind::PathLimit, vec![limit], &queue.by_counts(&signal), None)
}

/// A limit on waiting packets beside a rule that does not predict some losses, if those losses occur when the
/// number of waiting packets is maximal. They are then predicted. `None` without such a limit.
fn limit(queue: &Queue, predicted: &mut [f64]) -> Option<u64> {
    let admitted = queue.joined[queue.fit.clone()].iter().filter(|joined| joined.taken.is_some());
    let most = admitted.map(|joined| joined.packets).fold(0.0, f64::max);
    let full = |joined: &Newcomer| joined.packets >= most;
    let (mut unpredicted, mut at_full, mut passed) = (0, 0, 0);
    for place in queue.fit.clone() {
        let joined = &queue.joined[place];
        if joined.taken.is_none() && predicted[place] < 0.2 {
            unpredicted += 1;
            at_full += usize::from(full(joined));
        } else if joined.taken.is_some() && full(joined) {
            passed += 1;
        }
    }
    if at_full < LEAST_AT_LIMIT || 2 * at_full < unpredicted || passed > at_full {
        return None;
    }
    for (joined, hit) in queue.joined.iter().zip(predicted) {
        if full(joined) {
            *hit = hit.max(at_full as f64 / (at_full + passed) as f64);
        }
    }
    // The maximum that waited when a packet was accepted, plus this packet.
    Some(most as u64 + 1)
}

/// Minimum number of losses from a full queue for a limit.
const LEAST_AT_LIMIT: usize = 10;

/// Minimizes the cost by coordinate descent, with ever finer factors on each parameter.
pub(super) fn descend<const N: usize>(
    mut at: [f64; N],
    factors: &[f64],
    mut cost: impl FnMut(&[f64; N]) -> f64,
) -> ([f64; N], f64) {
    let mut least = cost(&at);
    for factor in factors {
        // While it improves, at most eight times.
        for _ in 0..8 {
            let before = least;
            for parameter in 0..N {
                for by in [1.0 / factor, *factor] {
                    let mut tried = at;
                    tried[parameter] *= by;
                    let found = cost(&tried);
                    if found < least {
                        (at, least) = (tried, found);
                    }
                }
            }
            if least >= before {
                break;
            }
        }
    }
    (at, least)
}

/// The interval around `at` in which one parameter costs at most `most`, for a cost that rises to either
/// side.
pub(super) fn interval(at: f64, most: f64, cost: impl Fn(f64) -> f64) -> (f64, f64) {
    let parts: Vec<f64> = (1..=STEPS).map(|step| 0.0005 * libm::pow(1.2, f64::from(step))).collect();
    let reach = |direction: f64| {
        let within = parts.partition_point(|part| cost(at * (1.0 + direction * part)) <= most);
        within.checked_sub(1).map_or(0.0, |last| parts[last])
    };
    (at * (1.0 - reach(-1.0)), at * (1.0 + reach(1.0)))
}

/// Half the width of this interval.
pub(super) fn width(at: f64, most: f64, cost: impl Fn(f64) -> f64) -> f64 {
    let (low, high) = interval(at, most, cost);
    f64::max((high - low) / 2.0, 0.0005 * at)
}

/// Steps from 0.06 % to 95 % of a parameter.
const STEPS: i32 = 41;

/// Converts microseconds to a span.
pub(super) fn span(us: f64) -> Span {
    Span::from_ns((us * 1_000.0).round() as u64)
}

/// The time at this number of microseconds after the start.
fn time(us: f64) -> Time {
    Time::from_ps((us.max(0.0) * 1e6).round() as u64)
}
