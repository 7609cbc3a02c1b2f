//! CoDel: controlled delay. Drops packets at departure when all packets have waited too long for a while.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::buffer::{Backlog, Buffer};
use super::discipline::Next;
use super::held::Queueing;
use super::parameter::span_above_zero;
use super::psched::{Clock, span_ns};
use super::{Loss, Place};
use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::units::{ByteCount, Span, Time};

/// The parameters of a `codel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodelSpec {
    /// The maximum backlog (default: unlimited).
    #[serde(default)]
    pub buffer: Option<Buffer>,
    /// The acceptable standing waiting time (default: 5 ms).
    #[serde(default = "default_target")]
    pub target: Span,
    /// How long packets must wait longer than `target` before one is dropped (default: 100 ms).
    #[serde(default = "default_interval", deserialize_with = "span_above_zero")]
    pub interval: Span,
    /// CoDel drops nothing while at most this much waits: the longest packet (default: 1514 B).
    #[serde(default = "default_mtu")]
    pub mtu: ByteCount,
    /// Whether to mark ECN-capable packets instead of dropping them (default: false).
    #[serde(default)]
    pub ecn: bool,
    /// Marks every ECN-capable packet that has waited longer than this (default: no such marking).
    #[serde(default)]
    pub ce_threshold: Option<Span>,
}

pub(super) fn default_target() -> Span {
    TARGET
}

pub(super) fn default_interval() -> Span {
    INTERVAL
}

pub(super) fn default_mtu() -> ByteCount {
    ByteCount::new(1_514)
}

/// RFC 8289, Section 4.4: 5% to 10% of the interval.
const TARGET: Span = Span::from_ns(5_000_000);

/// RFC 8289, Section 4.3: about the longest round-trip time.
const INTERVAL: Span = Span::from_ns(100_000_000);

impl Default for CodelSpec {
    fn default() -> Self {
        CodelSpec {
            buffer: None,
            target: TARGET,
            interval: INTERVAL,
            mtu: default_mtu(),
            ecn: false,
            ce_threshold: None,
        }
    }
}

/// Instants and spans of CoDel's clock: ticks of 1,024 ns, in 32 bits that wrap.
type Ticks = u32;

/// A tick is 2^10 ns.
const TICK_SHIFT: u32 = 10;

/// Whether tick `a` is after tick `b`; they are less than 2^31 ticks (2,199 s) apart.
#[inline]
fn is_after(a: Ticks, b: Ticks) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// The parameters of CoDel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Law {
    clock: Clock,
    target: Ticks,
    interval: Ticks,
    /// Above this sojourn time every ECN-capable packet is marked.
    ce_threshold: Option<Ticks>,
    mtu: u64,
    ecn: bool,
}

impl Law {
    pub fn new(spec: &CodelSpec, place: &Place<'_>) -> Self {
        let ticks =
            |span| u32::try_from(span_ns(span) >> TICK_SHIFT).map_or(LONGEST, |span| span.min(LONGEST));
        Law {
            clock: Clock::new(place.start),
            target: ticks(spec.target),
            interval: ticks(spec.interval),
            ce_threshold: spec.ce_threshold.map(ticks),
            mtu: spec.mtu.get(),
            ecn: spec.ecn,
        }
    }

    #[inline]
    fn ticks(&self, time: Time) -> Ticks {
        (self.clock.ns(time) >> TICK_SHIFT) as Ticks
    }
}

/// Longer spans make no difference: the clock cannot distinguish them from the past.
const LONGEST: Ticks = i32::MAX as u32;

/// The queue on whose head CoDel decides.
pub(crate) trait Dequeue {
    /// Takes the head.
    fn take(&mut self) -> Option<Tau>;
    /// The waiting bytes.
    fn bytes(&self) -> u64;
}

/// The state of CoDel, under the names of RFC 8289, Section 5.3.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// When the sojourn time will have been above the target for an interval; 0 while it is below.
    first_above_time: Ticks,
    /// When the next packet is dropped, in drop state.
    drop_next: Ticks,
    /// Packets dropped in this drop state.
    count: u32,
    /// `count` when drop state was entered.
    lastcount: u32,
    /// Whether the queue is in drop state.
    dropping: bool,
    /// About `2^16 / sqrt(count)`.
    inverse_sqrt: u16,
    /// The sojourn time of the packet judged last.
    sojourn: Ticks,
}

impl State {
    /// One step of Newton's method towards `1 / sqrt(count)`, from the value of the previous step. It has 32
    /// fractional bits, of which 16 are kept.
    #[inline]
    fn newton_step(&mut self) {
        let inverse = u64::from(self.inverse_sqrt) << 16;
        let square = (inverse * inverse) >> 32;
        // 3 - count * inverse^2, halved below; the kernel's shifts keep it within 64 bits.
        let rest = (3u64 << 32).wrapping_sub(u64::from(self.count).wrapping_mul(square));
        self.inverse_sqrt = ((((rest >> 2).wrapping_mul(inverse)) >> (32 - 2 + 1)) >> 16) as u16;
    }

    /// The time of the next drop after one at `t`: `t + interval / sqrt(count)`.
    #[inline]
    fn control_law(&self, law: &Law, t: Ticks) -> Ticks {
        let step = (u64::from(law.interval) * (u64::from(self.inverse_sqrt) << 16)) >> 32;
        t.wrapping_add(step as Ticks)
    }

    /// Takes the head, and says whether CoDel may drop it.
    #[inline]
    fn judge(&mut self, law: &Law, now: Ticks, source: &mut impl Dequeue) -> (Option<Tau>, bool) {
        let Some(head) = source.take() else {
            self.first_above_time = 0;
            return (None, false);
        };
        self.sojourn = now.wrapping_sub(law.ticks(head.timestamp));
        if is_after(law.target, self.sojourn) || source.bytes() <= law.mtu {
            self.first_above_time = 0;
            return (Some(head), false);
        }
        if self.first_above_time == 0 {
            self.first_above_time = now.wrapping_add(law.interval);
            return (Some(head), false);
        }
        (Some(head), is_after(now, self.first_above_time))
    }

    /// The packet that leaves at `now`; the packets that CoDel drops before it go to `losses`.
    pub fn dequeue(
        &mut self,
        law: &Law,
        now: Time,
        source: &mut impl Dequeue,
        losses: &mut Vec<Loss>,
    ) -> Option<Tau> {
        let ticks = law.ticks(now);
        let (mut head, mut ok_to_drop) = self.judge(law, ticks, source);
        if head.is_none() {
            self.dropping = false;
            return None;
        }
        if self.dropping {
            self.dropping = ok_to_drop;
            while self.dropping
                && !is_after(self.drop_next, ticks)
                && let Some(tau) = &mut head
            {
                self.count = self.count.wrapping_add(1);
                self.newton_step();
                if law.ecn && tau.packet.mark_congestion() {
                    self.drop_next = self.control_law(law, self.drop_next);
                    break;
                }
                losses.push(dropped(*tau, now));
                (head, ok_to_drop) = self.judge(law, ticks, source);
                if ok_to_drop {
                    self.drop_next = self.control_law(law, self.drop_next);
                } else {
                    self.dropping = false;
                }
            }
        } else if ok_to_drop && let Some(tau) = &mut head {
            if !(law.ecn && tau.packet.mark_congestion()) {
                losses.push(dropped(*tau, now));
                (head, _) = self.judge(law, ticks, source);
            }
            self.enter_drop_state(law, ticks);
        }
        if let (Some(threshold), Some(tau)) = (law.ce_threshold, &mut head)
            && is_after(self.sojourn, threshold)
        {
            tau.packet.mark_congestion();
        }
        head
    }

    /// The same where `hits` packets are known to be dropped or marked at `now`, whatever the law says; the
    /// law continues from there. In drop state, returns how much later the law would have dropped the first
    /// of them.
    pub fn follow(&mut self, law: &Law, now: Time, source: &mut impl Dequeue, hits: u32) -> Option<Span> {
        let ticks = law.ticks(now);
        let (head, above) = self.judge(law, ticks, source);
        self.dropping &= head.is_some() && (above || hits > 0);
        let early = self.dropping && is_after(self.drop_next, ticks);
        let by = early.then(|| Span::from_ns(u64::from(self.drop_next.wrapping_sub(ticks)) << TICK_SHIFT));
        for _ in 0..hits {
            if self.dropping {
                self.count = self.count.wrapping_add(1);
                self.newton_step();
                self.drop_next = self.control_law(law, ticks);
            } else {
                self.enter_drop_state(law, ticks);
            }
            self.judge(law, ticks, source);
        }
        by
    }

    /// Starts from the rate of the previous drop state if that ended recently.
    fn enter_drop_state(&mut self, law: &Law, now: Ticks) {
        self.dropping = true;
        let gained = self.count.wrapping_sub(self.lastcount);
        let since = now.wrapping_sub(self.drop_next);
        if gained > 1 && is_after(law.interval.wrapping_mul(16), since) {
            self.count = gained;
            self.newton_step();
        } else {
            self.count = 1;
            self.inverse_sqrt = u16::MAX;
        }
        self.lastcount = self.count;
        self.drop_next = self.control_law(law, now);
    }

    /// Records that another rule dropped `packets` of the queue; they count as drops.
    pub fn dropped_elsewhere(&mut self, packets: u64) {
        self.count = self.count.wrapping_add(packets as u32);
    }

    /// `count`, for the tests of its users.
    #[cfg(test)]
    pub fn count_for_tests(&self) -> u32 {
        self.count
    }
}

fn dropped(tau: Tau, now: Time) -> Loss {
    Loss { tau, at: now, reason: DropReason::SojournAboveTarget }
}

/// CoDel over a FIFO, as Linux runs it.
///
/// - An arriving packet is dropped if `buffer` has no room for it.
/// - A departing packet is *above* when it has waited for `target` or longer and more than `mtu` bytes stay
///   behind. When packets have been above for longer than an `interval`, drop state begins: this packet is
///   dropped, and the next ones `interval / sqrt(count)` apart, where `count` is the number of drops so far.
///   A packet that is not above ends drop state.
/// - A drop state that begins less than 16 intervals after the next drop of the previous one would have been
///   due starts with the `count` that the previous one gained.
/// - With `ecn`, an ECN-capable packet is marked and leaves where another would be dropped. With
///   `ce_threshold`, every ECN-capable packet that has waited longer is marked.
/// - Time is counted in ticks of 1,024 ns of the absolute time of the run. `1 / sqrt(count)` has 16 bits.
///   Each drop, and each drop state that starts from an earlier one, takes one step of Newton's method from
///   the previous value, which may lag behind `count`.
///
/// The decision about a packet is final when it is taken from the queue: it leaves next, however long that
/// takes.
///
/// # Source
/// Linux 6.1 `include/net/codel.h`, `include/net/codel_impl.h` (`codel_should_drop`, `codel_dequeue`,
/// `codel_Newton_step`, `codel_control_law`), `net/sched/sch_codel.c`; the algorithm is that of RFC 8289,
/// Sections 5.4 to 5.6. The RFC differs in three points: it drops at the end of the first interval, not after
/// it; it has neither ticks nor the approximation; and it has no ECN.
pub struct Codel {
    law: Law,
    buffer: Option<Buffer>,
    queue: Queue,
    state: State,
}

#[derive(Default)]
struct Queue {
    packets: VecDeque<Tau>,
    /// The backlog of `packets`.
    backlog: Backlog,
}

impl Dequeue for Queue {
    #[inline]
    fn take(&mut self) -> Option<Tau> {
        let tau = self.packets.pop_front()?;
        self.backlog.remove(tau.packet.length);
        Some(tau)
    }

    #[inline]
    fn bytes(&self) -> u64 {
        self.backlog.bytes()
    }
}

impl Codel {
    /// Creates an empty queue.
    pub fn new(spec: &CodelSpec, place: &Place<'_>) -> Self {
        let law = Law::new(spec, place);
        Codel { law, buffer: spec.buffer, queue: Queue::default(), state: State::default() }
    }
}

impl Queueing for Codel {
    fn enqueue(&mut self, tau: Tau, _flows: &Flows, held: Backlog, losses: &mut Vec<Loss>) {
        let waits = held + self.queue.backlog;
        if self.buffer.is_some_and(|buffer| !buffer.admits(waits, tau.packet.length)) {
            losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::BufferFull });
        } else {
            self.queue.backlog.add(tau.packet.length);
            self.queue.packets.push_back(tau);
        }
    }

    fn take(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<Tau, Next> {
        self.state.dequeue(&self.law, now, &mut self.queue, losses).ok_or(Next::Nothing)
    }

    fn backlog(&self) -> Backlog {
        self.queue.backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(&self.queue.packets);
    }
}

#[cfg(test)]
mod tests;
