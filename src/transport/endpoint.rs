//! The interface between the engine and a host's transport: a state machine that reacts to arriving packets.

use super::sample::Sampling;
use super::segment::{Outbox, Segment};
use crate::flow::Flows;
use crate::packet::Tau;
use crate::units::Time;

/// A host's transport. It has no clock, queue, input or output of its own.
///
/// The engine calls it when a packet has arrived ([`receive`](Endpoint::receive)), and at the time that it
/// requests ([`next`](Endpoint::next), [`wake`](Endpoint::wake)). Packets in the [`Outbox`] are sent at that
/// time, in order.
///
/// At one instant, deliveries precede the wake-up of the endpoint.
pub trait Endpoint: Send {
    /// A packet has arrived. `tau` holds its time and its flow in the run's numbering.
    fn receive(&mut self, tau: &Tau, segment: &Segment, flows: &Flows, out: &mut Outbox);

    /// The time of the next wake-up; [`Time::NEVER`] if there is none. A result after `now` may be too early:
    /// the event may be postponed by then, which the call at that time reports.
    fn next(&mut self, now: Time) -> Time;

    /// The requested wake-up.
    fn wake(&mut self, now: Time, out: &mut Outbox);

    /// A port of its host can hold packets: departures of its own packets will be reported.
    fn start_queueing(&mut self) {}

    /// The last bit of its own packet leaves the host at `at`, which may be later than now, or the packet was
    /// dropped there.
    fn leaves(&mut self, _segment: &Segment, _at: Time) {}

    /// Requests samples of its connections, from the run's start. For samples at every change, the endpoint
    /// puts them into the [`Outbox`] itself; otherwise [`sample`](Endpoint::sample) requests them.
    fn start_sampling(&mut self, _sampling: Sampling) {}

    /// The states of its connections at `now`, after all events up to then.
    fn sample(&mut self, _now: Time, _out: &mut Outbox) {}

    /// Sets the warm-up: events before `warm_up` are not counted in the records of its connections.
    fn count_from(&mut self, _warm_up: Time) {}

    /// Passes the records of its connections to `each`, by number, and removes them. The engine holds the
    /// keys of their flows.
    fn take_connections(&mut self, _each: &mut dyn FnMut(super::ConnectionRecord)) {}
}
