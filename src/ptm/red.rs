//! RED: random early detection. An arriving packet is dropped at random as the average queue grows.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::buffer::{Backlog, Buffer};
use super::discipline::{Discipline, Next};
use super::fifo::FifoQueue;
use super::parameter::{bytes_above_zero, probability_above_zero};
use super::{Loss, Place};
use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::random::{self, Stream, stream};
use crate::units::{ByteCount, Probability, Rate, Span, Time};

/// The parameters of a `red`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedSpec {
    /// The average queue below which no packet is dropped, in bytes or in packets.
    pub min: Buffer,
    /// The average queue from which every packet is dropped; in the unit of `min`.
    pub max: Buffer,
    /// The probability of a drop as the average reaches `max` (default: 0.02).
    #[serde(default = "default_max_p", deserialize_with = "probability_above_zero")]
    pub max_p: Probability,
    /// The weight of the present queue in the average (default: 0.002).
    #[serde(default = "default_weight", deserialize_with = "probability_above_zero")]
    pub weight: Probability,
    /// Whether the probability grows on from `max_p` at `max` to 1 at twice `max` (default: false).
    #[serde(default)]
    pub gentle: bool,
    /// Whether packets that are capable of ECN are marked instead of dropped at random (default: false).
    #[serde(default)]
    pub ecn: bool,
    /// Whether capable packets are dropped, too, where every packet is (default: true).
    #[serde(default = "default_hard_drop")]
    pub hard_drop: bool,
    /// The length of the packets that the average takes to have passed while nothing waited (default: 500 B).
    #[serde(default = "default_mean_packet", deserialize_with = "bytes_above_zero")]
    pub mean_packet: ByteCount,
    /// The rate at which they pass (default: the link's bandwidth).
    #[serde(default)]
    pub bandwidth: Option<Rate>,
    /// How much may wait; without it, any number.
    #[serde(default)]
    pub buffer: Option<Buffer>,
}

fn default_max_p() -> Probability {
    const { Probability::new(0.02).expect("0.02 is a probability") }
}

fn default_weight() -> Probability {
    const { Probability::new(0.002).expect("0.002 is a probability") }
}

fn default_hard_drop() -> bool {
    true
}

fn default_mean_packet() -> ByteCount {
    ByteCount::new(500)
}

/// Reads the parameters, and holds the thresholds against each other.
pub(super) fn checked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RedSpec, D::Error> {
    let spec = RedSpec::deserialize(deserializer)?;
    let rising = match (spec.min, spec.max) {
        (Buffer::Bytes(min), Buffer::Bytes(max)) => min < max,
        (Buffer::Packets(min), Buffer::Packets(max)) => min < max,
        (min, max) => {
            let message = "`min` and `max` must both be in bytes or both in packets";
            return Err(de::Error::custom(format_args!("{message}, found {min} and {max}")));
        }
    };
    if !rising {
        let RedSpec { min, max, .. } = spec;
        let message = "`min` must be less than `max`";
        return Err(de::Error::custom(format_args!(
            "{message}, found {min} and {max}; max = 3 * min is usual"
        )));
    }
    Ok(spec)
}

/// RED over a FIFO.
///
/// - Every arrival averages what waits, in the unit of the thresholds:
///   `average += weight * (waiting - average)`. An arrival that finds nothing waiting lets the average decay instead
///   as if `m` packets had found an empty queue: `average *= (1 - weight)^m`, `m` being how many packets of
///   `mean_packet` bytes the link could have sent since the last one left the queue, rounded down.
/// - Below `min` no packet is dropped. Between `min` and `max` one is with
///   `p_a = p_b / (1 - count * p_b)`, `p_b = max_p * (average - min) / (max - min)`, where `count` is the number of
///   arrivals in this range since the last drop: gaps between drops are uniform, not geometric. From `max` on
///   every packet is.
/// - `gentle`: from `max` to twice `max`, `p_b` grows from `max_p` to 1; every packet is dropped from there on.
/// - `ecn`: a packet that can carry the mark gets it and joins where another would be dropped at random. Where every
///   packet is dropped, it is too, unless `hard_drop` is false.
/// - Where `buffer` has no room for it, a packet is dropped whatever the average.
///
/// The variant: the average is in the unit of the thresholds (packet or byte mode), and the probability does not
/// depend on the packet's length (packet mode), as RFC 7141 recommends and Linux does.
///
/// # Source
/// S. Floyd and V. Jacobson, "Random Early Detection Gateways for Congestion Avoidance", IEEE/ACM Transactions on
/// Networking 1(4), 1993, Figure 2; S. Floyd, "Recommendation on using the gentle variant of RED", 2000; RFC 3168,
/// Section 7 (routers drop rather than mark above the upper threshold). Linux (`include/net/red.h`) marks there unless
/// told `harddrop`, takes weights that are powers of two, and decays the average by a table.
pub struct Red {
    spec: RedSpec,
    min: f64,
    max: f64,
    queue: FifoQueue,
    average: f64,
    /// Arrivals between the thresholds since the last drop or mark there, less one at first.
    count: i64,
    /// Since when nothing has waited; `None` while something does.
    empty_since: Option<Time>,
    /// How long the link takes for a packet of mean length.
    mean_time: Span,
    random: Stream,
}

/// What RED makes of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    AtRandom,
    Every,
}

impl Red {
    /// An empty one.
    pub fn new(spec: &RedSpec, place: &Place<'_>) -> Self {
        let mean_time = match spec.bandwidth {
            Some(rate) => rate.transmission_time(spec.mean_packet),
            None => place.link.transmission_time(spec.mean_packet),
        };
        Red {
            min: threshold(spec.min),
            max: threshold(spec.max),
            queue: FifoQueue::new(spec.buffer),
            average: 0.0,
            count: -1,
            empty_since: Some(Time::ZERO),
            mean_time,
            random: stream(place.seed, "ptm", place.port),
            spec: spec.clone(),
        }
    }

    fn update_average(&mut self, now: Time) {
        let weight = self.spec.weight.get();
        match self.empty_since {
            None => {
                let backlog = self.queue.backlog();
                let waiting = match self.spec.min {
                    Buffer::Bytes(_) => backlog.bytes(),
                    Buffer::Packets(_) => backlog.packets(),
                };
                self.average += weight * (waiting as f64 - self.average);
            }
            Some(since) => {
                let idle = now.since(since);
                // On an unlimited link any number of packets could have passed in any time.
                match idle.as_ps().checked_div(self.mean_time.as_ps()) {
                    Some(packets) => self.average *= power(1.0 - weight, packets),
                    None if idle > Span::ZERO => self.average = 0.0,
                    None => {}
                }
            }
        }
    }

    /// The probability `p_b` at the average, or `None` where every packet is dropped.
    fn probability(&self) -> Option<f64> {
        let (average, max_p) = (self.average, self.spec.max_p.get());
        if average < self.max {
            Some(max_p * ((average - self.min) / (self.max - self.min)))
        } else if self.spec.gentle && average < 2.0 * self.max {
            Some(max_p + (1.0 - max_p) * ((average - self.max) / self.max))
        } else {
            None
        }
    }

    fn verdict(&mut self) -> Verdict {
        if self.average < self.min {
            self.count = -1;
            return Verdict::Pass;
        }
        let Some(p_b) = self.probability() else {
            self.count = 0;
            return Verdict::Every;
        };
        self.count += 1;
        let rest = 1.0 - self.count as f64 * p_b;
        let p_a = if rest > p_b { p_b / rest } else { 1.0 };
        if random::unit(&mut self.random) < p_a {
            self.count = 0;
            Verdict::AtRandom
        } else {
            Verdict::Pass
        }
    }
}

fn threshold(threshold: Buffer) -> f64 {
    match threshold {
        Buffer::Bytes(bytes) => bytes.get() as f64,
        Buffer::Packets(packets) => packets as f64,
    }
}

/// `base` to the power of `exponent` by squaring: products alone, so that every machine gives the same.
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut result = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    result
}

impl Discipline for Red {
    fn enqueue(&mut self, mut tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        self.update_average(tau.timestamp);
        let verdict = self.verdict();
        let reason = match verdict {
            Verdict::Pass => None,
            Verdict::AtRandom => Some(DropReason::EarlyDrop),
            Verdict::Every => Some(DropReason::AboveMaximum),
        };
        if let Some(reason) = reason {
            let may_mark = self.spec.ecn && (verdict == Verdict::AtRandom || !self.spec.hard_drop);
            if !(may_mark && tau.packet.mark_congestion()) {
                losses.push(Loss { tau, at: tau.timestamp, reason });
                return;
            }
        }
        self.queue.enqueue(tau, flows, losses);
        if self.queue.backlog().packets() > 0 {
            self.empty_since = None;
        }
    }

    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        self.queue.next(now, losses)
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        let tau = self.queue.dequeue(now, losses)?;
        if self.queue.backlog().packets() == 0 {
            self.empty_since = Some(now);
        }
        Some(tau)
    }

    fn backlog(&self) -> Backlog {
        self.queue.backlog()
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        self.queue.waiting(waiting);
    }
}

#[cfg(test)]
mod tests;
