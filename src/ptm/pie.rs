//! PIE: a proportional integral controller of the waiting time. An arriving packet is dropped at random.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::buffer::{Backlog, Buffer};
use super::discipline::{Discipline, Next};
use super::fifo::FifoQueue;
use super::parameter::{bytes_above_zero, not_negative};
use super::{Loss, Place};
use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::random::{self, Stream, stream};
use crate::units::{ByteCount, Probability, Span, Time};

/// The parameters of a `pie`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PieSpec {
    /// How much may wait; without it, any number.
    #[serde(default)]
    pub buffer: Option<Buffer>,
    /// The waiting time that is aimed at: QDELAY_REF (default: 15 ms).
    #[serde(default = "default_target")]
    pub target: Span,
    /// How often the drop probability is set, 1 us or more: T_UPDATE (default: 15 ms).
    #[serde(default = "default_target", deserialize_with = "t_update")]
    pub t_update: Span,
    /// How long a burst passes without drops: MAX_BURST (default: 150 ms).
    #[serde(default = "default_max_burst")]
    pub max_burst: Span,
    /// The weight of the distance from the target, per second (default: 0.125).
    #[serde(default = "default_alpha", deserialize_with = "not_negative")]
    #[schemars(range(min = 0))]
    pub alpha: f64,
    /// The weight of the change since the last update, per second (default: 1.25).
    #[serde(default = "default_beta", deserialize_with = "not_negative")]
    #[schemars(range(min = 0))]
    pub beta: f64,
    /// With two of these waiting, or less, nothing is dropped: MEAN_PKTSIZE (default: 1024 B).
    #[serde(default = "default_mean_packet", deserialize_with = "bytes_above_zero")]
    pub mean_packet: ByteCount,
    /// Whether packets that are capable of ECN are marked instead of dropped (default: false).
    #[serde(default)]
    pub ecn: bool,
    /// The drop probability from which on they are dropped, too (default: 0.1).
    #[serde(default = "default_mark_ecnth")]
    pub mark_ecnth: Probability,
}

fn default_target() -> Span {
    Span::from_ns(15_000_000)
}

fn default_max_burst() -> Span {
    Span::from_ns(150_000_000)
}

fn default_alpha() -> f64 {
    0.125
}

fn default_beta() -> f64 {
    1.25
}

fn default_mean_packet() -> ByteCount {
    ByteCount::new(1_024)
}

fn default_mark_ecnth() -> Probability {
    const { Probability::new(0.1).expect("0.1 is a probability") }
}

/// Reads an update period that is no burden.
fn t_update<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let period = Span::deserialize(deserializer)?;
    if period < Span::from_ns(1_000) {
        let message = "is too short between updates; write 1 us or more, such as \"15 ms\"";
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
            mean_packet: default_mean_packet(),
            ecn: false,
            mark_ecnth: default_mark_ecnth(),
        }
    }
}

/// PIE over a FIFO.
///
/// - The current waiting time is that of the packet which left last, and zero when it left nothing behind
///   (the variant with timestamps).
/// - Every `t_update`, counted from the run's start, the drop probability grows by
///   `alpha * (current - target) + beta * (current - last)`, in seconds, divided by 2048 to 2 while the probability is
///   below 0.000001 to 0.1, and capped at 0.02 above that. When the waiting time was zero twice, the probability
///   falls to 98% as well.
/// - A newcomer passes while there is burst allowance: `max_burst` at first, `t_update` less per update, and anew when
///   the probability is zero and the waiting time was below half the target, now and at the update before.
/// - It passes when the waiting time was below half the target and the probability is below 0.2, and when no more than
///   two `mean_packet` wait.
/// - Otherwise it is dropped with that probability, but not before the probabilities of the arrivals since the last drop
///   add up to 0.85, and for certain when they reach 8.5.
/// - With `ecn` and a probability below `mark_ecnth`, a packet that can carry the mark gets it and joins instead.
///
/// The update is worked out when the discipline is next asked, with what held at its instant; at one instant, it
/// comes before arrivals and departures.
///
/// # Complexity
/// O(1) per packet and update; a long time without packets ends in a state that no update changes.
///
/// # Source
/// RFC 8033, Sections 4 and 5.1, 5.4 and 5.5, and the pseudocode of its Appendices A and B; not taken are the optional
/// inactive state of Section 5.3 and the estimation of the departure rate of Section 5.2, of which timestamps take the
/// place, as in Linux (`net/sched/sch_pie.c`). Where Linux differs the RFC is taken: Linux takes the burst allowance
/// down as packets leave, marks up to and with a probability of 0.1, forgets the sum when the buffer is full, and adds 0.02
/// above 250 ms. The probability falls to 98% by the rule of Section 4.2, which Linux and FreeBSD follow; with that of
/// Appendix A (below half the target twice), the delay of a noisy queue settles above the target.
pub struct Pie {
    spec: PieSpec,
    queue: FifoQueue,
    drop_prob: f64,
    /// The sum of the drop probabilities since the last drop.
    accu_prob: f64,
    /// The waiting time of the packet that left last.
    current_qdelay: Span,
    /// The same, as of the last update.
    qdelay_old: Span,
    burst_allowance: Span,
    /// When the drop probability is set next.
    update: Time,
    random: Stream,
}

impl Pie {
    /// An empty one.
    pub fn new(spec: &PieSpec, place: &Place<'_>) -> Self {
        Pie {
            queue: FifoQueue::new(spec.buffer),
            drop_prob: 0.0,
            accu_prob: 0.0,
            current_qdelay: Span::ZERO,
            qdelay_old: Span::ZERO,
            burst_allowance: spec.max_burst,
            update: Time::ZERO + spec.t_update,
            random: stream(place.seed, "ptm", place.port),
            spec: spec.clone(),
        }
    }

    /// The updates that are due by `now`.
    #[inline]
    fn update_until(&mut self, now: Time) {
        while self.update <= now && self.update != Time::NEVER {
            let before = (self.drop_prob.to_bits(), self.qdelay_old, self.burst_allowance);
            self.update_probability();
            self.update = self.update + self.spec.t_update;
            if before == (self.drop_prob.to_bits(), self.qdelay_old, self.burst_allowance) {
                // Nor will those that follow change anything.
                let (period, late) = (self.spec.t_update.as_ps(), now.since(self.update).as_ps());
                self.update = self.update + Span::from_ps(late - late % period);
                if self.update <= now {
                    self.update = self.update + self.spec.t_update;
                }
            }
        }
    }

    /// `calculate_drop_prob` of the RFC.
    fn update_probability(&mut self) {
        let seconds = Span::as_seconds_f64;
        let current = seconds(self.current_qdelay);
        let mut change = self.spec.alpha * (current - seconds(self.spec.target))
            + self.spec.beta * (current - seconds(self.qdelay_old));
        change *= scale(self.drop_prob);
        if self.drop_prob >= 0.1 && change > 0.02 {
            change = 0.02;
        }
        self.drop_prob += change;
        if self.current_qdelay == Span::ZERO && self.qdelay_old == Span::ZERO {
            self.drop_prob *= 0.98;
        }
        self.drop_prob = self.drop_prob.clamp(0.0, 1.0);
        self.qdelay_old = self.current_qdelay;
        self.burst_allowance = self.burst_allowance - self.spec.t_update;
        if self.drop_prob == 0.0 && self.low() {
            self.burst_allowance = self.spec.max_burst;
        }
    }

    /// Whether the waiting time was below half the target, now and at the last update.
    fn low(&self) -> bool {
        let half = |delay: Span| delay.as_ps().saturating_mul(2) < self.spec.target.as_ps();
        half(self.current_qdelay) && half(self.qdelay_old)
    }

    /// `drop_early` of the RFC.
    fn drops_early(&mut self) -> bool {
        let short = self.qdelay_old.as_ps().saturating_mul(2) < self.spec.target.as_ps();
        if (short && self.drop_prob < 0.2)
            || self.queue.backlog().bytes() <= self.spec.mean_packet.get().saturating_mul(2)
        {
            return false;
        }
        if self.drop_prob == 0.0 {
            self.accu_prob = 0.0;
        }
        self.accu_prob += self.drop_prob;
        if self.accu_prob < 0.85 {
            return false;
        }
        let drop = self.accu_prob >= 8.5 || random::unit(&mut self.random) < self.drop_prob;
        if drop {
            self.accu_prob = 0.0;
        }
        drop
    }
}

/// By how much a change of the drop probability is scaled down while it is small.
fn scale(drop_prob: f64) -> f64 {
    const STEPS: [(f64, f64); 6] = [
        (0.000001, 1.0 / 2048.0),
        (0.00001, 1.0 / 512.0),
        (0.0001, 1.0 / 128.0),
        (0.001, 1.0 / 32.0),
        (0.01, 1.0 / 8.0),
        (0.1, 1.0 / 2.0),
    ];
    STEPS.iter().find(|(below, _)| drop_prob < *below).map_or(1.0, |(_, scale)| *scale)
}

impl Discipline for Pie {
    fn enqueue(&mut self, mut tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        self.update_until(tau.timestamp);
        if self.burst_allowance == Span::ZERO && self.drops_early() {
            let may_mark = self.spec.ecn && self.drop_prob < self.spec.mark_ecnth.get();
            if !(may_mark && tau.packet.mark_congestion()) {
                losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::EarlyDrop });
                return;
            }
        }
        self.queue.enqueue(tau, flows, losses);
    }

    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        self.queue.next(now, losses)
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        self.update_until(now);
        let tau = self.queue.dequeue(now, losses)?;
        let left_behind = self.queue.backlog().packets() > 0;
        self.current_qdelay = if left_behind { now.since(tau.timestamp) } else { Span::ZERO };
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
