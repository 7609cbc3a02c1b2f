//! Disciplines whose peek takes the packet out.

use super::Loss;
use super::buffer::Backlog;
use super::discipline::{Discipline, Next};
use crate::flow::Flows;
use crate::packet::Tau;
use crate::units::Time;

/// Packets that wait, and the rule by which the next one is taken. [`Held`] makes a [`Discipline`] of it.
pub trait Queueing: Send {
    /// `tau` joins at its timestamp. `held` has been taken out and still waits. Packets that are lost by it, the newcomer or
    /// others, go to `losses`.
    fn enqueue(&mut self, tau: Tau, flows: &Flows, held: Backlog, losses: &mut Vec<Loss>);

    /// Takes the packet that goes next out; packets that are dropped on the way go to `losses`.
    ///
    /// # Errors
    /// Why there is none: [`Next::Nothing`] or [`Next::Throttled`].
    fn take(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<Tau, Next>;

    /// Nothing waits, and the parent has asked; see [`Discipline::idle`].
    fn idle(&mut self, _now: Time) {}

    /// What waits and has not been taken out.
    fn backlog(&self) -> Backlog;

    /// Appends every packet that waits and has not been taken out, in no particular order.
    fn waiting(&self, waiting: &mut Vec<Tau>);
}

/// Takes the packet that is asked about out of a [`Queueing`], and holds it until it is dequeued.
///
/// It still counts as waiting, but no longer as waiting in its class.
///
/// # Source
/// Linux `include/net/sch_generic.h` (`qdisc_peek_dequeued`, `qdisc_dequeue_peeked`), the `peek` of `cake`, `codel`, `drr`, `ets`, `fq`,
/// `fq_codel`, `fq_pie`, `htb`, `netem`, `pie`, `sfq` and `tbf`.
pub struct Held<Q> {
    pub(super) queue: Q,
    head: Option<Tau>,
}

impl<Q: Queueing> Held<Q> {
    /// Nothing is held.
    pub fn new(queue: Q) -> Self {
        Held { queue, head: None }
    }

    /// What is held.
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
                    // To be asked is to be dequeued.
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
