//! What the engine runs at a host: a state machine that answers what arrives.

use super::sample::Sampling;
use super::segment::{Outbox, Segment};
use crate::flow::Flows;
use crate::packet::Tau;
use crate::units::Time;

/// A host's transport: it has no clock, no queue and no input or output of its own.
///
/// The engine calls it with what has arrived ([`receive`](Endpoint::receive)), and at the instant that it asks for
/// ([`next`](Endpoint::next), [`wake`](Endpoint::wake)). What it puts into the [`Outbox`] is sent at that instant, in order.
///
/// At one instant, deliveries come first, then what the endpoint wanted to be woken for.
pub trait Endpoint: Send {
    /// A packet has arrived; `tau` says when, and of which of the run's flows.
    fn receive(&mut self, tau: &Tau, segment: &Segment, flows: &Flows, out: &mut Outbox);

    /// When it wants to be woken; [`Time::NEVER`] where nothing is due. An answer that is later than `now` may be too early: what was
    /// due then has been put off, as its answer to that instant says.
    fn next(&mut self, now: Time) -> Time;

    /// It is woken.
    fn wake(&mut self, now: Time, out: &mut Outbox);

    /// A port of its host can hold packets: it hears of its own when they leave there.
    fn start_queueing(&mut self) {}

    /// The last bit of a packet of its own leaves its host at `at`, which may be later, or the packet was dropped there.
    fn leaves(&mut self, _segment: &Segment, _at: Time) {}

    /// Samples of its connections are wanted, from the run's start on. At every change it puts them into the [`Outbox`] by itself;
    /// otherwise [`sample`](Endpoint::sample) asks for them.
    fn start_sampling(&mut self, _sampling: Sampling) {}

    /// The states of its connections at `now`, after everything that happens by then.
    fn sample(&mut self, _now: Time, _out: &mut Outbox) {}

    /// What happens before `warm_up` is not counted in what it keeps of its connections.
    fn count_from(&mut self, _warm_up: Time) {}

    /// Hands out what was kept of its connections, for the results, by their numbers; it has none afterwards. The engine knows their
    /// flows' keys.
    fn take_connections(&mut self, _each: &mut dyn FnMut(super::ConnectionRecord)) {}
}
