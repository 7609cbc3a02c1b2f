//! RED: random early detection. Drops arriving packets at random as the average queue grows.

mod port;

pub(super) use port::RedPort;

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::buffer::{Backlog, Buffer};
use super::discipline::{Discipline, Next};
use super::fifo::FifoQueue;
use super::parameter::{bytes_above_zero, probability_above_zero};
use super::psched;
use super::{Loss, Place};
use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::random::{self, Stream, stream};
use crate::units::{Bandwidth, ByteCount, Probability, Rate, Span, Time};

/// The parameters of a `red`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedSpec {
    /// The average queue below which no packet is dropped, in bytes or in packets. If `max` is equal to it,
    /// as for DCTCP, every packet is marked or dropped from this average on.
    pub min: Buffer,
    /// The average queue from which every packet is dropped, in the unit of `min`.
    pub max: Buffer,
    /// The drop probability when the average reaches `max` (default: 0.02).
    #[serde(default = "default_max_p", deserialize_with = "probability_above_zero")]
    pub max_p: Probability,
    /// The weight of the current queue in the average (default: 0.002).
    #[serde(default = "default_weight", deserialize_with = "probability_above_zero")]
    pub weight: Probability,
    /// Whether the probability continues to grow from `max_p` at `max` to 1 at twice `max` (default: false).
    #[serde(default)]
    pub gentle: bool,
    /// Whether at least `1 / p` packets pass between drops, where `p` is the drop probability at the average.
    /// Gaps are then uniform on 1/p to 2/p instead of 1 to 1/p (default: false; ns-2 and ns-3 use true by
    /// default).
    #[serde(default)]
    pub wait: bool,
    /// Whether to mark ECN-capable packets instead of dropping them at random (default: false).
    #[serde(default)]
    pub ecn: bool,
    /// Whether ECN-capable packets are dropped too where every packet is dropped (default: true).
    #[serde(default = "default_hard_drop")]
    pub hard_drop: bool,
    /// The packet length that the decay of the average in idle time assumes (default: 500 B).
    #[serde(default = "default_mean_packet", deserialize_with = "bytes_above_zero")]
    pub mean_packet: ByteCount,
    /// The rate that the decay of the average in idle time assumes (default: the link's bandwidth).
    #[serde(default)]
    pub bandwidth: Option<Rate>,
    /// The maximum backlog (default: unlimited).
    #[serde(default)]
    pub buffer: Option<Buffer>,
    /// Whether `max_p` is adjusted every half second, within about 1% to 50%, to keep the average between 40%
    /// and 60% of the way from `min` to `max` (default: false).
    #[serde(default)]
    pub adaptive: bool,
    /// The kernel's timer frequency, in interrupts (jiffies) per second, for `adaptive` (default: 250).
    #[serde(default = "default_hz")]
    pub hz: NonZeroU32,
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

fn default_hz() -> NonZeroU32 {
    psched::DEFAULT_HZ
}

/// Reads the parameters, and compares the thresholds.
pub(super) fn checked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RedSpec, D::Error> {
    let spec = RedSpec::deserialize(deserializer)?;
    let rising = match (spec.min, spec.max) {
        (Buffer::Bytes(min), Buffer::Bytes(max)) => min <= max,
        (Buffer::Packets(min), Buffer::Packets(max)) => min <= max,
        (min, max) => {
            let message = "`min` and `max` must both be in bytes or both in packets";
            return Err(de::Error::custom(format_args!("{message}, found {min} and {max}")));
        }
    };
    if !rising {
        let RedSpec { min, max, .. } = spec;
        let message = "`min` must not be more than `max`";
        return Err(de::Error::custom(format_args!(
            "{message}, found {min} and {max}; max = 3 * min is usual"
        )));
    }
    Ok(spec)
}

/// RED over a FIFO, as Linux runs it.
///
/// - Every arrival averages the backlog, in the unit of the thresholds:
///   `average += weight * (waiting - average)`. The first arrival of an idle period decays the average
///   instead, by about `(1 - weight)^m`, where `m` is the number of packets of `mean_packet` bytes that could
///   have been sent meanwhile; the decay uses the table that `tc` computes.
/// - An idle period begins when the parent asks for a packet and none waits; see [`Discipline::idle`].
/// - Below `min` no packet is dropped. When the average enters the range from `min` to `max`, and after every
///   drop there, a number `u` is drawn from [0, 1). The first packet after that for which `count * p_b`
///   reaches `u` is dropped, where `count` is its number and `p_b = max_p * (average - min) / (max - min)`.
///   Gaps between drops are uniform, not geometric. From `max` on, every packet is dropped.
/// - `gentle`: from `max` to twice `max`, `p_b` grows from `max_p` to 1; above that, every packet is dropped.
/// - `ecn`: an ECN-capable packet is marked and joins where another would be dropped at random. Where every
///   packet is dropped, ECN-capable packets are dropped too, unless `hard_drop` is false.
/// - `wait`: after a drop, `1 / p_b` packets pass before the next drop is possible; gaps are uniform on 1 to
///   2 times that.
/// - `adaptive`: every half second, `max_p` grows by 0.01, at most by a quarter of itself, while the average
///   is above 60% of the way from `min` to `max`; it falls to 90% of itself below 40%. It stays between about
///   1% and 50%.
/// - A packet without room in `buffer` is dropped whatever the average.
///
/// The variant: the average is in the unit of the thresholds (packet or byte mode; Linux: bytes). The
/// probability does not depend on the packet's length (packet mode), as RFC 7141 recommends and Linux does.
/// `gentle` and `wait` are not in Linux.
///
/// # Source
/// Linux 6.1 `include/net/red.h` (`red_action`, `red_calc_qavg`, `red_adaptative_algo`) and
/// `net/sched/sch_red.c`; the algorithms are those of S. Floyd and V. Jacobson, "Random Early Detection
/// Gateways for Congestion Avoidance", IEEE/ACM Transactions on Networking 1(4), 1993; S. Floyd,
/// "Recommendation on using the gentle variant of RED", 2000; S. Floyd, R. Gummadi and S. Shenker, "Adaptive
/// RED", 2001. RFC 3168, Section 7, drops rather than marks above the upper threshold; Linux does so with
/// `harddrop`.
pub struct Red {
    spec: RedSpec,
    min: f64,
    max: f64,
    max_p: f64,
    queue: FifoQueue,
    average: f64,
    /// Arrivals between the thresholds since the last draw; -1 outside.
    count: i64,
    /// The drawn number, in units of the `max_p` at the draw.
    drawn: f64,
    /// The start of the idle period.
    idle_since: Option<Time>,
    /// The decay of the average in idle time; `None` if any number of packets passes in any time.
    decay: Option<Box<Decay>>,
    /// When `max_p` is adjusted next, and the period.
    adaptation: Option<(Time, Span)>,
    /// Boxed, because it is large and seldom used.
    random: Box<Stream>,
}

/// The decision of RED about an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    AtRandom,
    Every,
}

/// The decay of the average in idle time: by powers of two from a table, and linearly before the first
/// halving.
///
/// `tc` computes the table for times in ticks of 64 ns and for powers of e. The kernel looks it up by
/// microseconds and applies powers of 2. So the average decays 22.5 times as slowly as in the literature.
///
/// # Source
/// iproute2 6.1 `tc/tc_red.c` (`tc_red_eval_idle_damping`); Linux 6.1 `include/net/red.h`
/// (`red_calc_qavg_from_idle_time`).
pub(crate) struct Decay {
    /// The number of bits by which the average is shifted, by cell of time.
    shifts: [u8; CELLS],
    /// The length of a cell is 2^this.
    cell_log: u32,
}

/// Entries of the table.
const CELLS: usize = 256;

/// The maximum shift of an average.
const MOST_SHIFT: u8 = 31;

impl Decay {
    /// For a weight, and the transmission time of a packet [ticks].
    pub fn new(weight: f64, packet: u64) -> Self {
        let per_tick = -libm::log(1.0 - weight) / packet as f64;
        let longest = f64::from(MOST_SHIFT) / per_tick;
        let cell_log = (0..31).find(|log| longest / f64::from(1u32 << log) < 512.0).unwrap_or(31);
        let mut shifts = [MOST_SHIFT; CELLS];
        for (cell, shift) in shifts.iter_mut().enumerate().take(CELLS - 1) {
            *shift = (((cell as u64) << cell_log) as f64 * per_tick).min(MOST_SHIFT.into()) as u8;
        }
        shifts[0] = 0;
        Decay { shifts, cell_log }
    }

    /// The remaining average after `idle`.
    pub fn left(&self, average: f64, idle: Span) -> f64 {
        let most = (CELLS as u64 - 1) << self.cell_log;
        let us = (idle.as_ps() / 1_000_000).min(most);
        match self.shifts[(us >> self.cell_log) as usize] {
            0 => average - (average * us as f64 / (1u64 << self.cell_log) as f64).min(average / 2.0),
            shift => average / f64::from(1u32 << shift),
        }
    }
}

impl Red {
    /// Creates an empty queue.
    pub fn new(spec: &RedSpec, place: &Place<'_>) -> Self {
        let mut random = Box::new(stream(place.seed, "ptm", place.port));
        let rate = spec.bandwidth.or(match place.link.bandwidth {
            Bandwidth::Limited(rate) => Some(rate),
            Bandwidth::Unlimited => None,
        });
        let adaptation = spec.adaptive.then(|| {
            let period = psched::timer_period(HALF_A_SECOND, spec.hz);
            let phase = random::unit(&mut random) * period.as_ps() as f64;
            (Time::ZERO + Span::from_ps(phase as u64), period)
        });
        Red {
            min: threshold(spec.min),
            max: threshold(spec.max),
            max_p: spec.max_p.get(),
            // Packets without room are dropped before.
            queue: FifoQueue::new(None),
            average: 0.0,
            count: -1,
            drawn: 0.0,
            idle_since: Some(Time::ZERO),
            decay: rate
                .map(|rate| Box::new(Decay::new(spec.weight.get(), psched::ticks(rate, spec.mean_packet)))),
            adaptation,
            random,
            spec: spec.clone(),
        }
    }

    /// The average at `now`, if the queue is idle until then.
    fn idle_average(&self, since: Time, now: Time) -> f64 {
        let idle = now.since(since);
        match &self.decay {
            Some(decay) => decay.left(self.average, idle),
            None if idle > Span::ZERO => 0.0,
            None => self.average,
        }
    }

    fn update_average(&mut self, now: Time, backlog: Backlog) {
        self.average = match self.idle_since.take() {
            Some(since) => self.idle_average(since, now),
            None => {
                let waiting = match self.spec.min {
                    Buffer::Bytes(_) => backlog.bytes(),
                    Buffer::Packets(_) => backlog.packets(),
                };
                self.average + self.spec.weight.get() * (waiting as f64 - self.average)
            }
        };
    }

    /// The adjustments of `max_p` that are due by `now`.
    #[inline]
    fn adapt_until(&mut self, now: Time) {
        if self.adaptation.is_some() {
            self.adapt(now);
        }
    }

    fn adapt(&mut self, now: Time) {
        while let Some((due, period)) = self.adaptation.filter(|(due, _)| *due <= now && *due != Time::NEVER)
        {
            let average = self.idle_since.map_or(self.average, |since| self.idle_average(since, due));
            let fifth = (self.max - self.min) / 5.0;
            let low = average < self.min + 2.0 * fifth;
            if average > self.min + 3.0 * fifth && self.max_p <= MOST_MAX_P {
                self.max_p += (self.max_p / 4.0).min(LEAST_MAX_P);
            } else if low && self.max_p >= LEAST_MAX_P {
                self.max_p *= 0.9;
            }
            let mut next = due + period;
            if self.idle_since.is_some() && low && self.max_p < LEAST_MAX_P {
                // The average is low and keeps falling: nothing changes until a packet arrives.
                let late = now.since(next).as_ps();
                next = next + Span::from_ps(late - late % period.as_ps());
            }
            self.adaptation = Some((next, period));
        }
    }

    /// The probability `p_b` at the average, or `None` if every packet is dropped.
    fn probability(&self) -> Option<f64> {
        let (average, max_p) = (self.average, self.max_p);
        if average < self.max {
            // Whole bytes, as in the kernel.
            let above = match self.spec.min {
                Buffer::Bytes(_) => (average - self.min).floor(),
                Buffer::Packets(_) => average - self.min,
            };
            Some(max_p * (above / (self.max - self.min)))
        } else if self.spec.gentle && average < 2.0 * self.max {
            Some(max_p + (1.0 - max_p) * ((average - self.max) / self.max))
        } else {
            None
        }
    }

    fn draw(&mut self) {
        self.count = 0;
        self.drawn = random::unit(&mut self.random) / self.max_p;
    }

    fn verdict(&mut self) -> Verdict {
        if self.average < self.min {
            self.count = -1;
            return Verdict::Pass;
        }
        let Some(p_b) = self.probability() else {
            self.count = -1;
            return Verdict::Every;
        };
        self.count += 1;
        if self.spec.wait {
            return self.after_a_wait(p_b);
        }
        if self.count == 0 {
            self.draw();
            Verdict::Pass
        } else if self.count as f64 * (p_b / self.max_p) >= self.drawn {
            self.draw();
            Verdict::AtRandom
        } else {
            Verdict::Pass
        }
    }

    /// The verdict with `wait`: the `count`th packet is dropped with probability `p_b / (2 - count * p_b)` if
    /// `count * p_b` is at least 1.
    ///
    /// # Source
    /// ns-3.37 `src/traffic-control/model/red-queue-disc.cc` (`RedQueueDisc::ModifyP`, `DropEarly`), after
    /// ns-2's `wait_`.
    fn after_a_wait(&mut self, p_b: f64) -> Verdict {
        if self.count == 0 {
            self.count = 1;
            return Verdict::Pass;
        }
        let expected = self.count as f64 * p_b;
        let probability = if expected < 2.0 { p_b / (2.0 - expected) } else { 1.0 };
        if expected < 1.0 || random::unit(&mut self.random) >= probability {
            return Verdict::Pass;
        }
        self.count = 0;
        Verdict::AtRandom
    }

    /// Admits an arriving packet while `backlog` waits, and marks it if required; or returns why it is
    /// dropped.
    fn admit(&mut self, tau: &mut Tau, backlog: Backlog) -> Result<(), DropReason> {
        self.adapt_until(tau.timestamp);
        self.update_average(tau.timestamp, backlog);
        let verdict = self.verdict();
        let may_mark = self.spec.ecn && (verdict == Verdict::AtRandom || !self.spec.hard_drop);
        let marks = verdict != Verdict::Pass && may_mark && tau.packet.is_ecn_capable();
        match verdict {
            Verdict::AtRandom if !marks => return Err(DropReason::EarlyDrop),
            Verdict::Every if !marks => return Err(DropReason::AboveMaximum),
            _ => {}
        }
        if self.spec.buffer.is_some_and(|buffer| !buffer.admits(backlog, tau.packet.length)) {
            return Err(DropReason::BufferFull);
        }
        if marks {
            tau.packet.mark_congestion();
        }
        Ok(())
    }
}

/// The interval between adjustments of `max_p`.
const HALF_A_SECOND: Span = Span::from_ns(500_000_000);

/// Below this, `max_p` no longer falls. It is also the maximum increase per adjustment.
const LEAST_MAX_P: f64 = 0.01;

/// Above this, `max_p` no longer grows.
const MOST_MAX_P: f64 = 0.5;

fn threshold(threshold: Buffer) -> f64 {
    match threshold {
        Buffer::Bytes(bytes) => bytes.get() as f64,
        Buffer::Packets(packets) => packets as f64,
    }
}

impl Discipline for Red {
    fn enqueue(&mut self, mut tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        match self.admit(&mut tau, self.queue.backlog()) {
            Ok(()) => self.queue.enqueue(tau, flows, losses),
            Err(reason) => losses.push(Loss { tau, at: tau.timestamp, reason }),
        }
    }

    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        self.queue.next(now, losses)
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        self.queue.dequeue(now, losses)
    }

    fn idle(&mut self, now: Time) {
        self.adapt_until(now);
        self.idle_since.get_or_insert(now);
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
