//! A network emulator: delay, jitter, loss, reordering, a rate and slots. Linux `netem`.

mod chance;
mod check;
mod child;
mod distribution;
mod error;
mod loss;
mod rate;
mod slot;
mod spec;
mod time_fifo;

pub use distribution::DelayDistribution;
pub use error::NetemError;
pub use loss::{FourStateLoss, GilbertElliottLoss, LossModel, LossSpec};
pub use slot::SlotSpec;
pub use spec::NetemSpec;

use std::collections::VecDeque;

use super::psched::{LATEST, instant, nanoseconds, span_ns};
use chance::{Correlated, fraction};
use child::Child;
use distribution::drawn_around;
use loss::LossProcess;
use rate::Pace;
use slot::Slots;
use time_fifo::TimeFifo;

use super::buffer::Backlog;
use super::discipline::Next;
use super::held::Queueing;
use super::{Loss, Place};
use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::random::{Stream, stream};
use crate::units::{Probability, Time};

/// The network emulator of Linux.
///
/// An arriving packet is processed in this order:
///
/// 1. The loss model decides whether the packet is lost. A lost packet is dropped (`random-loss`); with
///    `ecn`, an ECN-capable packet is marked and joins instead.
/// 2. If `limit` packets are inside, the packet is dropped (`buffer-full`).
/// 3. With `reorder`, if at least `gap - 1` packets have been delayed since the last reordered one, the
///    packet is reordered with that probability: it leaves at once, before all waiting packets.
/// 4. Otherwise it is delayed by `delay`, varied by a draw from the jitter distribution. With a `rate`, the
///    delay counts from the latest planned departure; the time until then is credited against the delay, and
///    the packet's transmission time is added.
///
/// Delayed packets leave in the order of their due times; packets with equal due times leave in order of
/// arrival. So jitter reorders packets. With `slot`, packets leave in batches. With a `ptm`, a packet that is
/// due joins that discipline and leaves by its rule.
///
/// Time is counted in whole nanoseconds, as in the kernel; the present is rounded down. Random numbers have
/// 32 bits and come from the stream of the port. A time beyond the end of a run (213 days) counts as never.
///
/// # Complexity
/// O(1) per packet without jitter, O(log n) for a packet that is due before another.
///
/// # Source
/// Linux 6.1 `net/sched/sch_netem.c` (`netem_enqueue`, `netem_dequeue`, `tfifo_enqueue`, `get_slot_next`; the
/// submodules name the rest), and `qdisc_peek_dequeued`: a peek takes the packet from the queue and holds it.
/// Defaults are those of iproute2 `tc/q_netem.c`. Duplication and corruption of packets are not implemented.
pub struct Netem {
    limit: u64,
    /// In nanoseconds, like the jitter.
    delay: i64,
    jitter: i32,
    delay_chance: Correlated,
    distribution: Option<&'static [i16]>,
    loss: LossProcess,
    ecn: bool,
    reorder: u32,
    reorder_chance: Correlated,
    /// One packet in this many may be reordered; 0 without reordering.
    gap: u32,
    /// Packets delayed since the last one that was reordered.
    counter: u32,
    pace: Option<Pace>,
    slots: Option<Slots>,
    /// Reordered packets with their arrival times, the last one first.
    front: VecDeque<(i64, Tau)>,
    delayed: TimeFifo,
    child: Option<Child>,
    /// The last instant at which no packet could leave, and the answer; reset by an arrival.
    answered: Option<(Time, Next)>,
    /// The backlog outside the child.
    own: Backlog,
    random: Stream,
}

impl Netem {
    /// Creates an empty emulator.
    pub fn new(spec: &NetemSpec, place: &Place<'_>) -> Self {
        let mut random = stream(place.seed, "ptm", place.port);
        Netem {
            limit: spec.limit,
            delay: span_ns(spec.delay),
            jitter: i32::try_from(span_ns(spec.jitter)).unwrap_or(i32::MAX),
            delay_chance: Correlated::new(spec.correlation, &mut random),
            distribution: spec.distribution.table(),
            loss: LossProcess::new(&spec.loss, spec.loss_correlation, &mut random),
            ecn: spec.ecn,
            reorder: fraction(spec.reorder.get()),
            reorder_chance: Correlated::new(spec.reorder_correlation, &mut random),
            gap: match spec.reorder {
                Probability::ZERO => 0,
                _ => spec.gap.map_or(1, u32::from),
            },
            counter: 0,
            pace: spec.rate.map(|rate| Pace::new(spec, rate)),
            slots: spec.slot.as_ref().map(Slots::new),
            front: VecDeque::new(),
            delayed: TimeFifo::default(),
            child: spec.ptm.as_ref().map(|ptm| Child::new(ptm.inside(place))),
            answered: None,
            own: Backlog::default(),
            random,
        }
    }

    /// Whether the arriving packet goes before all others. A number is drawn only outside the gap.
    fn reorders(&mut self) -> bool {
        self.gap > 0
            && self.counter >= self.gap - 1
            && self.reorder >= self.reorder_chance.draw(&mut self.random)
    }

    /// When a packet of `length` bytes that arrives at `now` is due.
    fn due(&mut self, now: i64, length: u32) -> i64 {
        let random = &mut self.random;
        let chance = &mut self.delay_chance;
        let delay = drawn_around(self.delay, self.jitter, self.distribution, || chance.draw(random));
        let Some(pace) = &self.pace else { return now.saturating_add(delay).min(LATEST) };
        let oldest_reordered = self.front.back().map(|&(came, _)| came);
        let (from, delay) = match oldest_reordered.into_iter().chain(self.delayed.latest()).max() {
            Some(last) => (last, delay.saturating_sub(last - now).max(0)),
            None => (now, delay),
        };
        from.saturating_add(delay).saturating_add(pace.transmission_time(length)).min(LATEST)
    }

    /// The packet that leaves at `now`, or when to ask again.
    fn next_packet(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<Tau, Option<Time>> {
        if let Some((_, tau)) = self.front.pop_front() {
            self.own.remove(tau.packet.length);
            return Ok(tau);
        }
        let now_ns = nanoseconds(now);
        let mut timer = None;
        while let Some(due) = self.delayed.next_time() {
            let opens = match &mut self.slots {
                None => due,
                Some(slots) => due.max(slots.opens(due, now_ns, &mut self.random)),
            };
            if opens > now_ns {
                timer = Some(instant(opens));
                break;
            }
            let tau = self.delayed.pop().expect("it has a next time");
            self.own.remove(tau.packet.length);
            if let Some(slots) = &mut self.slots {
                slots.spend(tau.packet.length, now_ns, &mut self.random);
            }
            match &mut self.child {
                None => return Ok(tau),
                Some(child) => child.join(tau, now, losses),
            }
        }
        let Some(child) = &mut self.child else { return Err(timer) };
        match child.next(now, losses) {
            Next::Ready(_) => child.dequeue(now, losses).ok_or(timer),
            Next::Throttled(fires) => Err(Some(timer.map_or(fires, |timer| timer.min(fires)))),
            Next::Nothing => Err(timer),
        }
    }
}

impl Queueing for Netem {
    fn enqueue(&mut self, mut tau: Tau, flows: &Flows, held: Backlog, losses: &mut Vec<Loss>) {
        self.answered = None;
        let at = tau.timestamp;
        if self.loss.strikes(&mut self.random) && !(self.ecn && tau.packet.mark_congestion()) {
            losses.push(Loss { tau, at, reason: DropReason::RandomLoss });
            return;
        }
        if (held + self.backlog()).packets() >= self.limit {
            losses.push(Loss { tau, at, reason: DropReason::BufferFull });
            return;
        }
        if let Some(child) = &mut self.child {
            child.learn(flows);
        }
        self.own.add(tau.packet.length);
        let now = nanoseconds(at);
        if self.reorders() {
            self.counter = 0;
            self.front.push_front((now, tau));
        } else {
            let due = self.due(now, tau.packet.length);
            self.counter = self.counter.saturating_add(1);
            self.delayed.push(due, tau);
        }
    }

    fn take(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<Tau, Next> {
        if let Some((at, answer)) = self.answered
            && at == now
        {
            return Err(answer);
        }
        self.next_packet(now, losses).map_err(|timer| {
            let answer = timer.map_or(Next::Nothing, Next::Throttled);
            self.answered = Some((now, answer));
            answer
        })
    }

    fn idle(&mut self, now: Time) {
        if let Some(child) = &mut self.child {
            child.idle(now);
        }
    }

    fn backlog(&self) -> Backlog {
        self.own + self.child.as_ref().map_or(Backlog::default(), Child::backlog)
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(self.front.iter().map(|&(_, tau)| tau));
        self.delayed.waiting(waiting);
        if let Some(child) = &self.child {
            child.waiting(waiting);
        }
    }
}

#[cfg(test)]
mod tests;
