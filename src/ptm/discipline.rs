//! A queueing discipline: who goes next when the link falls free. [`Server`](super::server::Server) makes a PTM of it.

use super::Loss;
use super::buffer::Backlog;
use crate::flow::Flows;
use crate::packet::Tau;
use crate::units::Time;

/// What a discipline would send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing waits.
    Nothing,
    /// A packet of this length in bytes; [`Discipline::dequeue`] gives it.
    Ready(u32),
    /// Something waits, and nothing may go before this instant, at which a timer fires: a token
    /// bucket's head. An arrival asks again before.
    Throttled(Time),
}

/// Packets that wait at an egress port, and the rule by which they go: a queueing discipline, as in Linux. A
/// discipline may hold others, one per class.
///
/// The caller's instants never go back.
pub trait Discipline: Send {
    /// `tau` joins at its timestamp. Who is lost by it, the newcomer or another, goes to `losses`.
    fn enqueue(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>);

    /// The same where the link is free and sends only after everything of this instant has arrived
    /// ([`Ptm::decides_last`](super::Ptm::decides_last)): what may start at once needs no room yet. A discipline that
    /// makes no difference lets it join.
    fn present(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        self.enqueue(tau, flows, losses);
    }

    /// The link has sent what it sends at this instant: what was presented and has not gone joins now.
    fn settle(&mut self, _losses: &mut Vec<Loss>) {}

    /// What goes next at `now`: Linux's `peek`. A discipline that only shows its head (`fifo`, `priority`, `red`) may
    /// name another packet at a later instant; the others take the packet out and hold it until it is dequeued
    /// (`qdisc_peek_dequeued`). Packets dropped on the way (CoDel) go to `losses`. Asked twice at one instant, it says
    /// the same. To be asked while nothing waits matters to some: CoDel leaves drop state, and `fq-codel` strikes empty
    /// queues off its lists.
    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next;

    /// Takes the packet that [`next`](Discipline::next) says is ready at `now`, or would say: the link, falling free, does not
    /// always ask before. `None` when none is. Its timestamp is still that of its arrival; its ECN field may have been
    /// marked.
    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau>;

    /// Nothing waits, and the parent has tried to dequeue at `now`: for RED, an idle period begins. Not every
    /// parent tries: the link does, and `priority` and the strict classes of `ets`; `token-bucket`, `htb` and `drr` do not.
    fn idle(&mut self, _now: Time) {}

    /// What waits.
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
