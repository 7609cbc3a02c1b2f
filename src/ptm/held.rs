//! A discipline whose peek takes the packet out.

use super::Loss;
use super::buffer::Backlog;
use super::discipline::{Discipline, Next};
use crate::flow::Flows;
use crate::packet::Tau;
use crate::units::Time;

/// Takes the packet that is asked about out of a discipline, and holds it until it is dequeued.
///
/// It still counts as waiting, but no longer as waiting in its class.
///
/// # Source
/// Linux `include/net/sch_generic.h` (`qdisc_peek_dequeued`, `qdisc_dequeue_peeked`), the `peek` of `tbf`, `htb`, `drr` and `ets`.
pub(super) struct Held<D> {
    inner: D,
    head: Option<Tau>,
}

impl<D: Discipline> Held<D> {
    pub fn new(inner: D) -> Self {
        Held { inner, head: None }
    }
}

impl<D: Discipline> Discipline for Held<D> {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        self.inner.enqueue(tau, flows, losses);
    }

    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        if self.head.is_none() {
            match self.inner.next(now, losses) {
                Next::Ready(_) => self.head = self.inner.dequeue(now, losses),
                Next::Nothing => {
                    // To be asked is to be dequeued.
                    self.inner.idle(now);
                    return Next::Nothing;
                }
                wait => return wait,
            }
        }
        self.head.map_or(Next::Nothing, |head| Next::Ready(head.packet.length))
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        self.head.take().or_else(|| self.inner.dequeue(now, losses))
    }

    fn idle(&mut self, now: Time) {
        self.inner.idle(now);
    }

    fn backlog(&self) -> Backlog {
        let mut backlog = self.inner.backlog();
        if let Some(head) = self.head {
            backlog.add(head.packet.length);
        }
        backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(self.head);
        self.inner.waiting(waiting);
    }
}
