//! The engine moves packets through devices, PTMs and links, and reports events to an [`Observer`].
//!
//! # The life of a packet
//! 1. A [`Source`] emits the packet at its injection point. The engine assigns its `pid` and `fid`.
//! 2. The packet reaches a device (ingress). The PFM selects the egress port, and the processing delay
//!    passes.
//! 3. The port's PTM decides when the packet starts onto the link (egress), or drops it.
//! 4. The link delivers the packet to the next device. Steps 2 to 4 repeat until it reaches its destination
//!    host.
//!
//! # Simultaneous events
//! Events at one instant have a fixed order:
//! - Departures precede arrivals, so a departing packet makes room for an arriving one.
//! - Departures are ordered by port.
//! - Arrivals are ordered by device, ingress port and order on the link. Packets injected at a port follow
//!   those from its link.
//!
//! The order does not depend on the order of insertion. The same scenario therefore gives the same
//! fingerprint on every machine.

mod chunks;
mod collector;
mod contract;
mod custom;
mod endpoints;
mod event;
mod fingerprint;
mod flow_numbers;
mod inside;
mod network;
mod observer;
mod queue;
mod read_ahead;
mod running;
mod simulation;
mod stream;
mod tally;
mod told;
mod ways;

pub use crate::scenario::Engine;
pub use custom::ObserverPlace;
pub use fingerprint::Fingerprint;
pub use observer::{Interrupted, Observed, Observer, ObserverError, OnProgress, Unwatched};
pub use simulation::{Finished, Simulation, simulate};

use crate::packet::{DropReason, Packet, Tau};
use crate::topology::{DeviceId, PortId};
use crate::traffic::{Source, TrafficError};
use crate::transport::{Endpoint, Sampling, Segment};
use crate::units::{Time, Timestamp};

/// The place where a source's packets enter the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectionPoint {
    /// The packets arrive at this port of its device.
    Ingress(PortId),
    /// The packets start onto this port's link.
    Egress(PortId),
    /// The host itself sends the packets.
    Host(DeviceId),
}

/// A source with the place where its packets enter.
pub struct Injection {
    /// The source of the packets.
    pub source: Box<dyn Source>,
    /// The injection point.
    pub at: InjectionPoint,
}

/// An endpoint with its host.
pub struct Hosted {
    /// The endpoint.
    pub endpoint: Box<dyn Endpoint>,
    /// The host. It has no other endpoint.
    pub host: DeviceId,
}

/// All senders: sources, which follow a plan, and endpoints, which react to arriving packets.
#[derive(Default)]
pub struct Workload {
    /// The sources.
    pub injections: Vec<Injection>,
    /// The endpoints.
    pub endpoints: Vec<Hosted>,
}

impl Workload {
    /// The injection points by source number. The endpoints follow the sources.
    pub fn places(&self) -> impl Iterator<Item = InjectionPoint> + '_ {
        let hosts = self.endpoints.iter().map(|endpoint| InjectionPoint::Host(endpoint.host));
        self.injections.iter().map(|injection| injection.at).chain(hosts)
    }
}

impl From<Vec<Injection>> for Workload {
    fn from(injections: Vec<Injection>) -> Self {
        Workload { injections, endpoints: Vec::new() }
    }
}

impl Injection {
    /// The fraction of the traffic that has been injected, 0 to 1; `None` unless all sources report theirs.
    fn fraction<'a>(injections: impl Iterator<Item = &'a Injection>) -> Option<f64> {
        let fractions = injections.map(|injection| injection.source.progress());
        fractions.reduce(|least, next| Some(least?.min(next?))).flatten()
    }
}

/// A packet that enters the network.
#[derive(Debug, Clone, Copy)]
pub struct Injected<'a> {
    /// The packet with the instant of its injection.
    pub tau: Tau,
    /// The number of its source, in the order of the scenario.
    pub source: u32,
    /// Its number within the source.
    pub record: u64,
    /// Its match key, which identifies it in a measured capture.
    pub match_key: Option<u64>,
    /// The egress ports on its path to the destination.
    pub path: &'a [PortId],
    /// The segment that an endpoint sends with it.
    pub segment: Option<&'a Segment>,
}

/// A packet's passage through one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// The packet; `in_port` is the number of the ingress port.
    pub packet: Packet,
    /// The device.
    pub device: DeviceId,
    /// The egress port.
    pub port: PortId,
    /// When its last bit arrived.
    pub ingress: Time,
    /// When it joined the PTM: ingress plus processing delay.
    pub joined: Time,
    /// When its first bit starts onto the link.
    pub egress: Time,
}

/// A packet lost at a device, on its way to an egress port or at one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// The packet as it reached the device; if it was lost on a link, as it started onto the link.
    pub tau: Tau,
    /// The device.
    pub device: DeviceId,
    /// The egress port; `None` if no port was selected.
    pub port: Option<PortId>,
    /// The reason for the loss.
    pub reason: DropReason,
    /// The instant of the loss. The packet may have waited before.
    pub at: Time,
}

/// The progress of a simulation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The simulated time.
    pub time: Time,
    /// The number of packets injected so far.
    pub injected: u64,
    /// The fraction of the traffic that has been injected, 0 to 1; `None` if it is unknown.
    pub fraction: Option<f64>,
}

/// Counts of packets of a run or a flow, by their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct PacketCounts {
    /// Packets that entered the network.
    pub injected: u64,
    /// Packets that arrived at their destination.
    pub delivered: u64,
    /// Packets that were lost.
    pub dropped: u64,
    /// Packets that are still in the network.
    pub inside: u64,
}

/// The outcome of a simulation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The packet counts of the whole run.
    pub packets: PacketCounts,
    /// The number of hops: passages of packets through devices.
    pub hops: u64,
    /// When the simulation stopped: at `until`, or at the last event if none was left.
    pub end: Time,
    /// The fingerprint of all events.
    pub fingerprint: Fingerprint,
}

/// The reason why a simulation stopped early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A source failed.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// A time exceeds the longest possible run.
    #[error("the simulation passed 213 days: shorten the traffic, set `until`, or raise the lowest rate")]
    TimeOverflow,
    /// An observer interrupted the simulation ([`Interrupted`]).
    #[error("interrupted: nothing was written")]
    Interrupted,
    /// An observer failed.
    #[error(transparent)]
    Observer(ObserverError),
    /// The simulation had already stopped with an error.
    #[error("this simulation has failed and cannot continue")]
    Failed,
    /// A flow's packets would never leave a forwarding loop.
    #[error(
        "{flow} is in a forwarding loop: {ports} (no router on it decrements the time to live); \
         change the static routes"
    )]
    EndlessPath {
        /// the flow
        flow: String,
        /// the egress ports of the loop
        ports: String,
    },
    /// A forwarding loop has no delay, so the stream engine cannot order its ports.
    #[error(
        "the stream engine cannot run this network: {port} is in a forwarding loop without any delay; \
         use the event engine, or give a link of the loop a delay"
    )]
    InstantCycle {
        /// a port of the loop
        port: String,
    },
    /// Endpoints would answer each other endlessly at one instant.
    #[error(
        "a closed loop has no delay: packets from {port} can be answered at the instant at which they are sent; \
         give a link of the loop a delay or a bandwidth"
    )]
    InstantLoop {
        /// a port of the loop
        port: String,
    },
    /// A host has two endpoints.
    #[error("{host} has two endpoints: a host may have one, which holds all its connections")]
    TwoEndpoints {
        /// the host
        host: String,
    },
    /// The stream engine was selected for a workload with endpoints.
    #[error("the stream engine does not run closed loops (TCP): use the event engine, or remove `engine`")]
    StreamEndpoints,
    /// The threads cannot be started.
    #[error("cannot start the threads: {0}")]
    Threads(String),
    /// Packets were created or lost by taunet itself.
    #[error("packets are not conserved: {counts:?}; this is a bug in taunet, please report it")]
    NotConserved {
        /// the packet counts of the run
        counts: PacketCounts,
    },
}

impl From<ObserverError> for EngineError {
    /// The error of a run that its observer ends.
    fn from(error: ObserverError) -> Self {
        if error.is::<Interrupted>() { EngineError::Interrupted } else { EngineError::Observer(error) }
    }
}

/// The settings of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// The last simulated instant; `None` to run until the last packet has left.
    pub until: Option<Time>,
    /// The seed of every random stream.
    pub seed: u64,
    /// The engine.
    pub engine: Engine,
    /// The number of threads of the stream engine; 0 means one per core. The results do not depend on it.
    pub threads: usize,
    /// The absolute time at which the run starts, for models that use the ticks of a clock.
    pub start: Timestamp,
    /// Whether to collect [`Finished::statistics`] for each flow and port.
    pub statistics: bool,
    /// Whether to report the end of each packet to [`Observer::ended`]. Includes statistics.
    pub packets: bool,
    /// The end of the warm-up. [`Finished::statistics`] and the records of connections leave out what happens
    /// before.
    pub warm_up: Time,
    /// The number of finished connections, of those opened after the warm-up, at which the run stops; `None`
    /// for no such stop.
    pub stop_after_flows: Option<u64>,
    /// When to report the state of connections to [`Observer::sampled`]; `None` for never.
    pub transport: Option<Sampling>,
}
