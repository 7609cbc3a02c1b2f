//! Why a queue loses packets, or marks them: tail drop, chance, or active queue management.
//!
//! Each rule is given what the queue held and did, packet by packet, and asked for the probability that it loses or marks the
//! next one. Its parameters are those with which what happened is likeliest in the first half of the recording; its
//! score is how likely it finds the second half: the log loss, in nats. The rule sees what was recorded before each
//! packet, and not what it would have done itself: one different decision does not spoil those that follow.

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
    /// A limit on the packets that wait and those on the path behind: `netem`'s.
    PathLimit,
    /// Chance, each packet for itself.
    RandomLoss,
    /// Chance in bursts: the model of Gilbert and Elliott.
    BurstyLoss,
    /// Random early detection.
    Red,
    /// A proportional integral controller of the waiting time.
    Pie,
    /// Controlled delay.
    Codel,
}

impl AqmKind {
    /// As a topology names it.
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
    /// As found.
    pub value: f64,
    /// Half the width of the interval of values that are as likely, give or take.
    pub uncertainty: f64,
    /// Its unit.
    pub unit: &'static str,
}

impl Parameter {
    /// How many packets may wait.
    fn limit(packets: u64) -> Self {
        Parameter { name: "buffer", value: packets as f64, uncertainty: 0.0, unit: "packets" }
    }
}

/// A rule fitted to a queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AqmEstimate {
    /// Which rule.
    pub kind: AqmKind,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// Nats that it leaves open of the part that it was fitted on.
    pub fitted_nats: f64,
    /// The same of the other part; of the same part where there is no other.
    pub held_out_nats: f64,
    /// What the recording does not show of it, in words.
    pub not_shown: Vec<String>,
    /// The buffer of tail drop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer: Option<BufferEstimate>,
    /// The discipline as a topology has it; none for tail drop.
    #[serde(skip)]
    pub(super) spec: Option<PtmSpec>,
    /// The probability that it gives to the loss or mark of each packet of the recording.
    #[serde(skip)]
    pub(super) predicted: Vec<f64>,
}

/// What a rule knows beside the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// When the recording starts.
    pub start: Timestamp,
    /// Whether packets are delayed by a path behind the queue.
    pub has_path: bool,
    /// Whether anything waits.
    pub has_bottleneck: bool,
    /// The bottleneck's rate, in bits per second.
    pub rate_bps: f64,
    /// Whether the queue is asked for a packet while it is empty: a link asks, `htb` and `tbf` do not.
    pub asks_when_empty: bool,
}

/// Losses and marks without which nothing is said.
const LEAST_HITS: usize = 1;

/// All rules fitted to a queue; none where it loses and marks nothing. The likeliest on the second half comes first, and
/// of those that are about as likely the one with the fewest parameters.
/// With `kinds`, no others are fitted.
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
    // A stable sort: of equals, the simpler one comes first.
    fitted.sort_by(|a, b| a.held_out_nats.total_cmp(&b.held_out_nats));
    let about_as_likely = indistinguishable(&fitted).len();
    fitted[..about_as_likely].sort_by_key(|aqm| aqm.parameters.len());
    fitted
}

/// Odds of a hundred to one, in nats: the recording does not distinguish rules closer than that.
const INDISTINGUISHABLE: f64 = 4.6;

/// The rules that are about as likely as the first.
pub(super) fn indistinguishable(fitted: &[AqmEstimate]) -> &[AqmEstimate] {
    let best = fitted.iter().map(|aqm| aqm.held_out_nats).fold(f64::INFINITY, f64::min);
    let apart = |aqm: &AqmEstimate| aqm.held_out_nats > best + INDISTINGUISHABLE;
    &fitted[..fitted.iter().position(apart).unwrap_or(fitted.len())]
}

/// A queue with the making of estimates.
pub(super) struct Scoring<'q> {
    pub queue: &'q Queue,
    /// What parameters are read off.
    pub seen: &'q Queue,
}

impl Scoring<'_> {
    /// An estimate from the probabilities that a rule gives.
    fn estimate(
        &self,
        kind: AqmKind,
        parameters: Vec<Parameter>,
        predicted: &[f64],
        spec: Option<PtmSpec>,
    ) -> AqmEstimate {
        let queue = self.queue;
        let fitted_nats = queue.log_loss(predicted, &queue.fit);
        // With nothing held out, a parameter costs a nat: H. Akaike, "A New Look at the Statistical Model Identification",
        // IEEE Transactions on Automatic Control 19(6), 1974.
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

/// The limit of `netem` counts the packets that it delays, too.
fn path_limit(score: &Scoring<'_>) -> AqmEstimate {
    let queue = score.queue;
    let found = queue.joined[queue.fit.clone()].iter().map(|joined| {
        let packets = joined.packets_and_path + 1.0;
        // In bytes it is no limit at all.
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

/// How many packets may wait beside a rule that does not predict some losses: they come as the most packets wait. Such losses
/// are predicted then; none where there is no such limit.
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
    // The most that waited as one was let in, and that one.
    Some(most as u64 + 1)
}

/// Losses from a full queue without which it has no limit.
const LEAST_AT_LIMIT: usize = 10;

/// The least cost by coordinate descent in factors of each parameter, that get finer.
pub(super) fn descend<const N: usize>(
    mut at: [f64; N],
    factors: &[f64],
    mut cost: impl FnMut(&[f64; N]) -> f64,
) -> ([f64; N], f64) {
    let mut least = cost(&at);
    for factor in factors {
        // As long as it gets better, at most eight times.
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

/// The interval around `at` in which one parameter costs no more than `most`, of a cost that rises to either side.
pub(super) fn interval(at: f64, most: f64, cost: impl Fn(f64) -> f64) -> (f64, f64) {
    let parts: Vec<f64> = (1..=STEPS).map(|step| 0.0005 * libm::pow(1.2, f64::from(step))).collect();
    let reach = |direction: f64| {
        let within = parts.partition_point(|part| cost(at * (1.0 + direction * part)) <= most);
        within.checked_sub(1).map_or(0.0, |last| parts[last])
    };
    (at * (1.0 - reach(-1.0)), at * (1.0 + reach(1.0)))
}

/// Half its width.
pub(super) fn width(at: f64, most: f64, cost: impl Fn(f64) -> f64) -> f64 {
    let (low, high) = interval(at, most, cost);
    f64::max((high - low) / 2.0, 0.0005 * at)
}

/// Steps from 0.06 % to 95 % of a parameter.
const STEPS: i32 = 41;

/// A span of so many microseconds.
pub(super) fn span(us: f64) -> Span {
    Span::from_ns((us * 1_000.0).round() as u64)
}

/// The instant so many microseconds after the start.
fn time(us: f64) -> Time {
    Time::from_ps((us.max(0.0) * 1e6).round() as u64)
}
