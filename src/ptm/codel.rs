//! CoDel: controlled delay. Packets are dropped as they leave, when all have waited too long for a while.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Loss;
use super::buffer::{Backlog, Buffer};
use super::discipline::{Discipline, Next};
use super::parameter::span_above_zero;
use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::units::{ByteCount, Span, Time};

/// The parameters of a `codel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodelSpec {
    /// How much may wait; without it, any number.
    #[serde(default)]
    pub buffer: Option<Buffer>,
    /// How long a packet may wait for ever (default: 5 ms).
    #[serde(default = "default_target")]
    pub target: Span,
    /// How long packets wait longer than `target` before one is dropped (default: 100 ms).
    #[serde(default = "default_interval", deserialize_with = "span_above_zero")]
    pub interval: Span,
    /// With no more than this waiting, nothing is dropped: the longest packet (default: 1514 B).
    #[serde(default = "default_mtu")]
    pub mtu: ByteCount,
    /// Whether packets that are capable of ECN are marked instead of dropped (default: false).
    #[serde(default)]
    pub ecn: bool,
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
        CodelSpec { buffer: None, target: TARGET, interval: INTERVAL, mtu: default_mtu(), ecn: false }
    }
}

/// What CoDel goes by; the names are those of RFC 8289.
#[derive(Debug, Clone, Copy)]
pub(super) struct Law {
    pub target: Span,
    pub interval: Span,
    pub maxpacket: u64,
    pub ecn: bool,
}

impl Law {
    /// The next drop after one at `t`: `t + interval / sqrt(count)`.
    ///
    /// In integers: the square root of the whole part of `interval^2 / count`, rounded down, which is
    /// `interval / sqrt(count)` rounded down to 1 ps.
    fn control_law(&self, t: Time, count: u64) -> Time {
        let interval = u128::from(self.interval.as_ps());
        let step = (interval * interval / u128::from(count.max(1))).isqrt();
        t + Span::from_ps(u64::try_from(step).unwrap_or(u64::MAX))
    }
}

/// The queue whose head CoDel judges.
pub(super) trait Source {
    /// Takes the head.
    fn take(&mut self) -> Option<Tau>;
    /// The bytes that wait.
    fn bytes(&self) -> u64;
}

/// The state of RFC 8289, Section 5.3, under its names.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// When the sojourn time will have been above the target for an interval.
    first_above_time: Option<Time>,
    /// When the next packet goes, in drop state.
    drop_next: Time,
    /// Packets dropped in this drop state; the drop rate grows with its square root.
    count: u64,
    /// `count` as drop state was entered.
    lastcount: u64,
    /// Whether it is in drop state.
    dropping: bool,
}

impl State {
    /// Takes the head, and says whether it is right to drop it.
    fn dodequeue(&mut self, law: &Law, now: Time, source: &mut impl Source) -> (Option<Tau>, bool) {
        let head = source.take();
        let above = head.is_some_and(|tau| now.since(tau.timestamp) >= law.target);
        if !above || source.bytes() <= law.maxpacket {
            self.first_above_time = None;
            return (head, false);
        }
        let first_above_time = *self.first_above_time.get_or_insert(now + law.interval);
        (head, now >= first_above_time)
    }

    /// The packet that leaves at `now`; whom CoDel drops before it goes to `losses`.
    pub fn dequeue(
        &mut self,
        law: &Law,
        now: Time,
        source: &mut impl Source,
        losses: &mut Vec<Loss>,
    ) -> Option<Tau> {
        let (mut head, mut ok_to_drop) = self.dodequeue(law, now, source);
        if self.dropping {
            self.dropping = ok_to_drop;
            while self.dropping
                && now >= self.drop_next
                && let Some(tau) = &mut head
            {
                self.count += 1;
                if law.ecn && tau.packet.mark_congestion() {
                    self.drop_next = law.control_law(self.drop_next, self.count);
                    break;
                }
                losses.push(dropped(*tau, now));
                (head, ok_to_drop) = self.dodequeue(law, now, source);
                if ok_to_drop {
                    self.drop_next = law.control_law(self.drop_next, self.count);
                } else {
                    self.dropping = false;
                }
            }
        } else if ok_to_drop && let Some(tau) = &mut head {
            if !(law.ecn && tau.packet.mark_congestion()) {
                losses.push(dropped(*tau, now));
                (head, _) = self.dodequeue(law, now, source);
            }
            self.enter_drop_state(law, now);
        }
        head
    }

    /// Starts from the rate of the last drop state where that ended not long ago.
    fn enter_drop_state(&mut self, law: &Law, now: Time) {
        self.dropping = true;
        let delta = self.count - self.lastcount;
        let recent = now.since(self.drop_next).as_ps() / 16 < law.interval.as_ps();
        self.count = if delta > 1 && recent { delta } else { 1 };
        self.lastcount = self.count;
        self.drop_next = law.control_law(now, self.count);
    }

    /// Tells that `packets` were dropped for another reason, so that the next drop state is a stronger one.
    pub fn dropped_elsewhere(&mut self, packets: u64) {
        self.count += packets;
    }

    /// `count`, for the tests of who tells it.
    #[cfg(test)]
    pub fn count_for_tests(&self) -> u64 {
        self.count
    }
}

fn dropped(tau: Tau, now: Time) -> Loss {
    Loss { tau, at: now, reason: DropReason::SojournAboveTarget }
}

/// CoDel over a FIFO.
///
/// - A newcomer is dropped where `buffer` has no room for it.
/// - A packet that leaves is *above* when it has waited for `target` or longer and more than `mtu` bytes stay
///   behind. When packets have been above for an `interval`, drop state begins: this packet is dropped, and the
///   next ones `interval / sqrt(count)` apart, `count` being the number of drops so far. A packet that is not above
///   ends it.
/// - A drop state that begins less than 16 intervals after the last one's next drop would have been due starts with
///   the `count` that the last one gained.
/// - With `ecn`, a packet that can carry the mark gets it and leaves where another would be dropped.
///
/// A packet that [`next`](Discipline::next) names is decided: it has been taken from the queue and leaves next,
/// however long its turn takes, as behind `qdisc_peek_dequeued` in Linux.
///
/// # Source
/// RFC 8289, Sections 5.4 to 5.6. Its pseudocode has no ECN: a mark counts as a drop, and the packet leaves, as in Linux
/// (`include/net/codel_impl.h`). Linux differs in three places where the RFC is taken: it drops *after* the end of the
/// first interval, not at it; its clock ticks in 1.024 us; and its `1 / sqrt(count)` is an approximation in 16 bits by
/// one Newton step per drop.
pub struct Codel {
    law: Law,
    buffer: Option<Buffer>,
    queue: Queue,
    state: State,
    /// Taken from the queue to leave next.
    head: Option<Tau>,
}

#[derive(Default)]
struct Queue {
    packets: VecDeque<Tau>,
    /// What waits in `packets`.
    backlog: Backlog,
}

impl Source for Queue {
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
    /// An empty one.
    pub fn new(spec: &CodelSpec) -> Self {
        let law =
            Law { target: spec.target, interval: spec.interval, maxpacket: spec.mtu.get(), ecn: spec.ecn };
        Codel { law, buffer: spec.buffer, queue: Queue::default(), state: State::default(), head: None }
    }
}

impl Discipline for Codel {
    fn enqueue(&mut self, tau: Tau, _flows: &Flows, losses: &mut Vec<Loss>) {
        if self.buffer.is_some_and(|buffer| !buffer.admits(self.backlog(), tau.packet.length)) {
            losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::BufferFull });
        } else {
            self.queue.backlog.add(tau.packet.length);
            self.queue.packets.push_back(tau);
        }
    }

    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        if self.head.is_none() {
            self.head = self.state.dequeue(&self.law, now, &mut self.queue, losses);
        }
        self.head.map_or(Next::Nothing, |head| Next::Ready(head.packet.length))
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        self.next(now, losses);
        self.head.take()
    }

    fn backlog(&self) -> Backlog {
        let mut backlog = self.queue.backlog;
        if let Some(head) = self.head {
            backlog.add(head.packet.length);
        }
        backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(self.head);
        waiting.extend(&self.queue.packets);
    }
}

#[cfg(test)]
mod tests;
