//! Disciplines whose peek removes the packet from the queue.

use super::Loss;
use super::buffer::Backlog;
use super::discipline::{Discipline, Next};
use crate::flow::Flows;
use crate::packet::Tau;
use crate::units::Time;

/// Packets that wait, and the rule that selects the next one. [`Held`] turns it into a [`Discipline`].
pub trait Queueing: Send {
    /// `tau` joins at its timestamp. `held` has been taken and still waits. Packets that are dropped because
    /// of it, `tau` itself or others, go to `losses`.
    fn enqueue(&mut self, tau: Tau, flows: &Flows, held: Backlog, losses: &mut Vec<Loss>);

    /// Takes the packet that is sent next; packets dropped on the way go to `losses`.
    ///
    /// # Errors
    /// Why there is none: [`Next::Nothing`] or [`Next::Throttled`].
    fn take(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<Tau, Next>;

    /// The parent has asked, and nothing waits; see [`Discipline::idle`].
    fn idle(&mut self, _now: Time) {}

    /// The backlog without the packet that has been taken.
    fn backlog(&self) -> Backlog;

    /// Appends every packet that waits and has not been taken, in no particular order.
    fn waiting(&self, waiting: &mut Vec<Tau>);
}

/// Takes the next packet from a [`Queueing`] when asked for it, and holds it until it is dequeued.
///
/// The held packet still counts as waiting, but no longer as waiting in its class.
///
/// # Source
/// Linux `include/net/sch_generic.h` (`qdisc_peek_dequeued`, `qdisc_dequeue_peeked`), the `peek` of `cake`,
/// `codel`, `drr`, `ets`, `fq`, `fq_codel`, `fq_pie`, `htb`, `netem`, `pie`, `sfq` and `tbf`.
pub struct Held<Q> {
    pub(super) queue: Q,
    head: Option<Tau>,
}

impl<Q: Queueing> Held<Q> {
    /// Creates one that holds no packet.
    pub fn new(queue: Q) -> Self {
        Held { queue, head: None }
    }

    /// The backlog of the held packet.
    fn held(&self) -> Backlog {
        let mut held = Backlog::default();
        if let Some(head) = self.head {
            held.add(head.packet.length);
        }
        held
    }
}

impl<Q: Queueing> Discipline for Held<Q> {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        self.queue.enqueue(tau, flows, self.held(), losses);
    }

    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        if self.head.is_none() {
            match self.queue.take(now, losses) {
                Ok(tau) => self.head = Some(tau),
                Err(wait) => {
                    // In the kernel, a peek is a dequeue.
                    if wait == Next::Nothing {
                        self.queue.idle(now);
                    }
                    return wait;
                }
            }
        }
        self.head.map_or(Next::Nothing, |head| Next::Ready(head.packet.length))
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        match self.head.take() {
            None => self.queue.take(now, losses).ok(),
            head => head,
        }
    }

    fn idle(&mut self, now: Time) {
        self.queue.idle(now);
    }

    fn backlog(&self) -> Backlog {
        self.held() + self.queue.backlog()
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(self.head);
        self.queue.waiting(waiting);
    }
}
