//! PIE: a proportional-integral controller of the waiting time, which drops arriving packets at random.

use std::num::NonZeroU32;

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::buffer::{Backlog, Buffer};
use super::discipline::{Discipline, Next};
use super::fifo::FifoQueue;
use super::held::Queueing;
use super::parameter::{bytes_above_zero, not_negative};
use super::psched::{self, Clock};
use super::{Loss, Place};
use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::random::{Stream, stream};
use crate::units::{ByteCount, Probability, Span, Time};

/// The parameters of a `pie`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PieSpec {
    /// The maximum backlog (default: unlimited).
    #[serde(default)]
    pub buffer: Option<Buffer>,
    /// The target waiting time: QDELAY_REF (default: 15 ms).
    #[serde(default = "default_target")]
    pub target: Span,
    /// The update interval of the drop probability, 1 us or more: T_UPDATE; rounded up to jiffies, plus one
    /// jiffy (default: 15 ms).
    #[serde(default = "default_target", deserialize_with = "t_update")]
    pub t_update: Span,
    /// The length of a burst that is admitted without drops: MAX_BURST (default: 150 ms).
    #[serde(default = "default_max_burst")]
    pub max_burst: Span,
    /// The weight of the deviation from the target, per second (default: 0.125).
    #[serde(default = "default_alpha", deserialize_with = "not_negative")]
    #[schemars(range(min = 0))]
    pub alpha: f64,
    /// The weight of the change since the last update, per second (default: 1.25).
    #[serde(default = "default_beta", deserialize_with = "not_negative")]
    #[schemars(range(min = 0))]
    pub beta: f64,
    /// PIE drops nothing while less than two of these wait: the longest packet (default: 1514 B).
    #[serde(default = "default_mtu", deserialize_with = "bytes_above_zero")]
    pub mtu: ByteCount,
    /// Whether to mark ECN-capable packets instead of dropping them (default: false).
    #[serde(default)]
    pub ecn: bool,
    /// The drop probability above which ECN-capable packets are dropped too (default: 0.1).
    #[serde(default = "default_mark_ecnth")]
    pub mark_ecnth: Probability,
    /// The kernel's timer frequency, in interrupts (jiffies) per second (default: 250).
    #[serde(default = "default_hz")]
    pub hz: NonZeroU32,
}

pub(super) fn default_target() -> Span {
    Span::from_ns(15_000_000)
}

pub(super) fn default_max_burst() -> Span {
    Span::from_ns(150_000_000)
}

pub(super) fn default_alpha() -> f64 {
    0.125
}

pub(super) fn default_beta() -> f64 {
    1.25
}

pub(super) fn default_mtu() -> ByteCount {
    ByteCount::new(1_514)
}

pub(super) fn default_mark_ecnth() -> Probability {
    const { Probability::new(0.1).expect("0.1 is a probability") }
}

pub(super) fn default_hz() -> NonZeroU32 {
    psched::DEFAULT_HZ
}

/// Reads an update interval that is not too short.
pub(super) fn t_update<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let period = Span::deserialize(deserializer)?;
    if period < Span::from_ns(1_000) {
        let message = "between updates is too short; write 1 us or more, such as \"15 ms\"";
        return Err(de::Error::custom(format_args!("{period} {message}")));
    }
    Ok(period)
}

impl Default for PieSpec {
    fn default() -> Self {
        PieSpec {
            buffer: None,
            target: default_target(),
            t_update: default_target(),
            max_burst: default_max_burst(),
            alpha: default_alpha(),
            beta: default_beta(),
            mtu: default_mtu(),
            ecn: false,
            mark_ecnth: default_mark_ecnth(),
            hz: default_hz(),
        }
    }
}

/// A probability in steps of 2^-56.
type Fraction = u64;

/// The probability 1.
const ONE: Fraction = u64::MAX >> 8;

/// Waiting times are in ticks of 64 ns.
const TICK_SHIFT: u32 = 6;

/// Ticks in a second.
const TICKS_PER_S: u64 = 1_000_000_000 >> TICK_SHIFT;

/// A waiting time above which the probability grows faster [ticks]: 250 ms.
const LONG_DELAY: i64 = 250_000_000 >> TICK_SHIFT;

/// The parameters of PIE, in its internal units.
pub(crate) struct Law {
    clock: Clock,
    /// [ticks]
    target: i64,
    /// [ticks]
    max_burst: i64,
    /// Per tick of waiting time.
    alpha: u64,
    beta: u64,
    /// Twice the longest packet [bytes].
    two_packets: u64,
    ecn: bool,
    mark_ecnth: Fraction,
    /// The time between updates.
    period: Span,
}

impl Law {
    /// An update comes every `period`.
    pub fn new(spec: &PieSpec, period: Span, place: &Place<'_>) -> Self {
        // The weights of `tc` are one sixteenth of these.
        let weight = |per_second: f64| (per_second * (ONE / TICKS_PER_S) as f64) as u64;
        Law {
            clock: Clock::new(place.start),
            target: span_ticks(spec.target),
            max_burst: span_ticks(spec.max_burst),
            alpha: weight(spec.alpha),
            beta: weight(spec.beta),
            two_packets: spec.mtu.get().saturating_mul(2),
            ecn: spec.ecn,
            mark_ecnth: (spec.mark_ecnth.get() * ONE as f64) as Fraction,
            period,
        }
    }

    /// Draws a phase of the updates, less than a period.
    pub fn draw_phase(&self, random: &mut Stream) -> Span {
        let phase = (u128::from(random.next_u64()) * u128::from(self.period.as_ps())) >> 64;
        Span::from_ps(phase as u64)
    }

    #[inline]
    fn ticks(&self, time: Time) -> i64 {
        (self.clock.ns(time) >> TICK_SHIFT) as i64
    }

    /// Whether a waiting time is below half the target.
    #[inline]
    fn is_low(&self, qdelay: i64) -> bool {
        qdelay < self.target / 2
    }
}

fn span_ticks(span: Span) -> i64 {
    psched::span_ns(span) >> TICK_SHIFT
}

/// The drop decision for an arriving packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Odds {
    /// It is not dropped.
    Never,
    /// It is dropped.
    Always,
    /// It is dropped with this probability.
    Chance(Fraction),
}

impl Odds {
    /// As a number from 0 to 1.
    pub fn probability(self) -> f64 {
        match self {
            Odds::Never => 0.0,
            Odds::Always => 1.0,
            Odds::Chance(prob) => prob as f64 / ONE as f64,
        }
    }
}

/// The state of PIE over one queue, under the names of RFC 8033.
#[derive(Debug, Clone)]
pub(crate) struct State {
    prob: Fraction,
    /// The sum of the drop probabilities since the last drop.
    accu_prob: Fraction,
    /// The waiting time of the last packet that left [ticks].
    qdelay: i64,
    /// The same, at the last update [ticks].
    qdelay_old: i64,
    /// The remaining burst allowance [ticks].
    burst_time: i64,
    /// When the last packet left [ticks]; `None` since the burst allowance was renewed.
    left: Option<i64>,
    /// When the next update of the drop probability is due.
    update: Time,
}

impl State {
    /// The state of an empty queue, whose first update comes `phase` after the start of the run.
    pub fn new(law: &Law, phase: Span) -> Self {
        State {
            prob: 0,
            accu_prob: 0,
            qdelay: 0,
            qdelay_old: 0,
            burst_time: law.max_burst,
            left: None,
            update: Time::ZERO + phase,
        }
    }

    /// Computes the updates that are due by `now`; `bytes` have been waiting since the last one computed.
    #[inline]
    pub fn update_until(&mut self, law: &Law, now: Time, bytes: u64) {
        while self.update <= now && self.update != Time::NEVER {
            let before = (self.prob, self.qdelay_old, self.burst_time, self.accu_prob, self.left);
            self.update_probability(law, bytes > 0);
            self.update = self.update + law.period;
            if before == (self.prob, self.qdelay_old, self.burst_time, self.accu_prob, self.left) {
                // The following updates change nothing either.
                let (period, late) = (law.period.as_ps(), now.since(self.update).as_ps());
                self.update = self.update + Span::from_ps(late - late % period);
                if self.update <= now {
                    self.update = self.update + law.period;
                }
            }
        }
    }

    /// When the next update is due, for tests.
    #[cfg(test)]
    pub fn next_update(&self) -> Time {
        self.update
    }

    fn update_probability(&mut self, law: &Law, waits: bool) {
        let (mut alpha, mut beta) = (law.alpha, law.beta);
        if self.prob < ONE / 10 {
            (alpha, beta) = (alpha >> 1, beta >> 1);
            let mut power = 100;
            while self.prob < ONE / power && power <= 1_000_000 {
                (alpha, beta) = (alpha >> 2, beta >> 2);
                power *= 10;
            }
        }
        let weighed = |weight: u64, ticks: i64| i128::from(weight) * i128::from(ticks);
        let mut change =
            weighed(alpha, self.qdelay - law.target) + weighed(beta, self.qdelay - self.qdelay_old);
        if self.prob >= ONE / 10 {
            change = change.min(i128::from(ONE / 50));
        }
        if self.qdelay > LONG_DELAY {
            change += i128::from(ONE / 50);
        }
        let prob = i128::from(self.prob) + change;
        // The kernel's sum has 64 bits and may exceed 1.
        let overflows = prob > i128::from(u64::MAX);
        self.prob = if overflows { ONE } else { prob.max(0) as Fraction };
        if self.qdelay == 0 && self.qdelay_old == 0 && !waits && !overflows {
            self.prob -= self.prob / 64;
        }
        if self.prob == 0 && law.is_low(self.qdelay) && law.is_low(self.qdelay_old) {
            self.burst_time = law.max_burst;
            self.accu_prob = 0;
            self.left = None;
        }
        self.qdelay_old = self.qdelay;
    }

    /// Whether an arriving packet joins the `bytes` that wait; it may be marked.
    pub fn admits(&mut self, law: &Law, tau: &mut Tau, bytes: u64, random: &mut Stream) -> bool {
        if !self.drops_early(law, bytes, random) {
            return true;
        }
        let marked = law.ecn && self.prob <= law.mark_ecnth && tau.packet.mark_congestion();
        if !marked {
            self.dropped();
        }
        marked
    }

    fn drops_early(&mut self, law: &Law, bytes: u64, random: &mut Stream) -> bool {
        match self.odds(law, bytes) {
            Odds::Never => false,
            Odds::Always => true,
            Odds::Chance(prob) => {
                let drop = random.next_u64() >> 8 < prob;
                if drop {
                    self.accu_prob = 0;
                }
                drop
            }
        }
    }

    /// The drop decision for a packet that arrives while `bytes` wait; it affects later decisions.
    pub fn odds(&mut self, law: &Law, bytes: u64) -> Odds {
        if self.burst_time > 0 || (law.is_low(self.qdelay) && self.prob < ONE / 5) || bytes < law.two_packets
        {
            return Odds::Never;
        }
        self.accu_prob = if self.prob == 0 { 0 } else { self.accu_prob.saturating_add(self.prob) };
        match self.accu_prob {
            sum if sum < ONE / 100 * 85 => Odds::Never,
            sum if sum >= ONE / 2 * 17 => Odds::Always,
            _ => Odds::Chance(self.prob),
        }
    }

    /// An arriving packet has been dropped, for any reason.
    #[inline]
    pub fn dropped(&mut self) {
        self.accu_prob = 0;
    }

    /// A packet that arrived at `arrival` leaves at `now`, with `bytes` still waiting.
    pub fn depart(&mut self, law: &Law, arrival: Time, now: Time, bytes: u64) {
        let clock = law.ticks(now);
        self.qdelay = if bytes > 0 { clock - law.ticks(arrival) } else { 0 };
        if let Some(left) = self.left.replace(clock) {
            self.burst_time = (self.burst_time - (clock - left)).max(0);
        }
    }
}

/// PIE over a FIFO, as Linux runs it.
///
/// - The current waiting time is that of the last packet that left, and zero if it left the queue empty (the
///   variant with timestamps).
/// - Each update adds `alpha * (current - target) + beta * (current - last)` to the drop probability, in
///   seconds. The sum is divided by 2048 to 2 while the probability is below 0.000001 to 0.1, and capped at
///   0.02 above that. With a waiting time above 250 ms, 0.02 is added. If the waiting time was zero twice,
///   the probability is also reduced to 63/64 of itself, unless packets wait or it overflowed.
/// - The update comes every `t_update`, rounded up to jiffies, plus one jiffy; its phase is random.
/// - An arriving packet is admitted while there is burst allowance. The allowance is `max_burst` at first,
///   decreases by the time between departures, and is renewed when the probability is zero and the waiting
///   time was below half the target, now and at the previous update.
/// - A packet is also admitted when the waiting time is below half the target and the probability is below
///   0.2, and when less than two `mtu` wait.
/// - Otherwise it is dropped with that probability, but not before the probabilities of the arrivals since
///   the last drop add up to 0.85, and always when they reach 8.5. A packet without room in `buffer` resets
///   the sum.
/// - With `ecn` and a probability up to `mark_ecnth`, an ECN-capable packet is marked and joins instead.
///
/// An update is computed at the next call of the discipline, from the state at the update's instant. At one
/// instant, it comes before arrivals and departures.
///
/// # Complexity
/// O(1) per packet and update; a long time without packets ends in a state that no update changes.
///
/// # Source
/// Linux 6.1 `net/sched/sch_pie.c` (`pie_drop_early`, `pie_process_dequeue`, `pie_calculate_probability`,
/// `pie_timer`) and `include/net/pie.h`, without the options `bytemode` and `dq_rate_estimator`. RFC 8033
/// differs: its burst allowance decreases with each update, it uses the waiting time of the last update, it
/// marks below 0.1, and it has no rule for 250 ms.
pub struct Pie {
    law: Law,
    buffer: Option<Buffer>,
    queue: FifoQueue,
    state: State,
    random: Stream,
}

impl Pie {
    /// Creates an empty queue.
    pub fn new(spec: &PieSpec, place: &Place<'_>) -> Self {
        let mut random = stream(place.seed, "ptm", place.port);
        let law = Law::new(spec, psched::timer_period(spec.t_update, spec.hz), place);
        let state = State::new(&law, law.draw_phase(&mut random));
        Pie { law, buffer: spec.buffer, queue: FifoQueue::new(None), state, random }
    }
}

impl Queueing for Pie {
    fn enqueue(&mut self, mut tau: Tau, flows: &Flows, held: Backlog, losses: &mut Vec<Loss>) {
        let now = tau.timestamp;
        let waits = held + self.queue.backlog();
        self.state.update_until(&self.law, now, waits.bytes());
        if self.buffer.is_some_and(|buffer| !buffer.admits(waits, tau.packet.length)) {
            self.state.dropped();
            losses.push(Loss { tau, at: now, reason: DropReason::BufferFull });
        } else if !self.state.admits(&self.law, &mut tau, waits.bytes(), &mut self.random) {
            losses.push(Loss { tau, at: now, reason: DropReason::EarlyDrop });
        } else {
            self.queue.enqueue(tau, flows, losses);
        }
    }

    fn take(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<Tau, Next> {
        // No packet is held when one is taken.
        self.state.update_until(&self.law, now, self.queue.backlog().bytes());
        let tau = self.queue.dequeue(now, losses).ok_or(Next::Nothing)?;
        self.state.depart(&self.law, tau.timestamp, now, self.queue.backlog().bytes());
        Ok(tau)
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
