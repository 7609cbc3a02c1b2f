//! Queueing disciplines: which packet is sent next when the link becomes free.
//! [`Server`](super::server::Server) turns a discipline into a PTM.

use super::Loss;
use super::buffer::Backlog;
use crate::flow::Flows;
use crate::packet::Tau;
use crate::units::Time;

/// What a discipline would send next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing waits.
    Nothing,
    /// A packet of this length in bytes is ready; [`Discipline::dequeue`] returns it.
    Ready(u32),
    /// Packets wait, but none may leave before this instant, when a timer fires: the head of a token bucket.
    /// An arrival before that asks again.
    Throttled(Time),
}

/// The packets that wait at an egress port, and the rule for their order: a queueing discipline, as in Linux.
/// A discipline may contain others, one per class.
///
/// The caller's instants never decrease.
pub trait Discipline: Send {
    /// `tau` joins at its timestamp. Packets that are dropped because of it, `tau` itself or others, go to
    /// `losses`.
    fn enqueue(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>);

    /// The same where the link is free and sends only after all arrivals of this instant
    /// ([`Ptm::decides_last`](super::Ptm::decides_last)): a packet that may start at once needs no room yet.
    /// A discipline to which this makes no difference enqueues the packet.
    fn present(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        self.enqueue(tau, flows, losses);
    }

    /// The link has started what it sends at this instant; presented packets that have not left join now.
    fn settle(&mut self, _losses: &mut Vec<Loss>) {}

    /// What is sent next at `now`: Linux's `peek`. A discipline that only shows its head (`fifo`, `priority`,
    /// `red`) may name another packet at a later instant. The others remove the packet from the queue and
    /// hold it until it is dequeued (`qdisc_peek_dequeued`). Packets dropped on the way (CoDel) go to
    /// `losses`. Two calls at the same instant give the same answer. A call while nothing waits has effects
    /// in some disciplines: CoDel leaves drop state, and `fq-codel` removes empty queues from its lists.
    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next;

    /// Takes the packet that [`next`](Discipline::next) reports, or would report, as ready at `now`: a link
    /// that becomes free does not always call `next` first. `None` if no packet is ready. The packet keeps
    /// its arrival timestamp; its ECN field may have been marked.
    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau>;

    /// The parent has tried to dequeue at `now`, and nothing waits. For RED, an idle period begins. Not every
    /// parent tries: the link, `priority` and the strict classes of `ets` do; `token-bucket`, `htb` and `drr`
    /// do not.
    fn idle(&mut self, _now: Time) {}

    /// The backlog.
    fn backlog(&self) -> Backlog;

    /// Appends every packet that waits to `waiting`, in no particular order.
    fn waiting(&self, waiting: &mut Vec<Tau>);
}

impl Discipline for Box<dyn Discipline> {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        (**self).enqueue(tau, flows, losses);
    }
    fn present(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        (**self).present(tau, flows, losses);
    }
    fn settle(&mut self, losses: &mut Vec<Loss>) {
        (**self).settle(losses);
    }
    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        (**self).next(now, losses)
    }
    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        (**self).dequeue(now, losses)
    }
    fn idle(&mut self, now: Time) {
        (**self).idle(now);
    }
    fn backlog(&self) -> Backlog {
        (**self).backlog()
    }
    fn waiting(&self, waiting: &mut Vec<Tau>) {
        (**self).waiting(waiting);
    }
}
