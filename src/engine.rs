//! The engine: runs devices, PTMs and links over the traffic, and tells an [`Observer`] what happens.
//!
//! # The life of a packet
//! 1. A [`Source`] emits it at its injection point; it gets its `pid` and `fid`.
//! 2. It reaches a device (ingress), the PFM picks the egress port, the processing delay passes.
//! 3. The port's PTM says when it starts onto the link (egress), or drops it.
//! 4. The link delivers it to the next device; back to 2, until it reaches its destination host.
//!
//! # Simultaneous events
//! At one instant, departures go before arrivals (a packet that leaves makes room for one that
//! arrives), departures by port, arrivals by device, ingress port and order on the link, and a
//! port's own injected packets after those that its link brings. Nothing depends on insertion
//! order, so that the same scenario gives the same fingerprint everywhere.

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

/// Where a source's packets enter the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectionPoint {
    /// They have just arrived at this port of its device.
    Ingress(PortId),
    /// They start onto this port's link.
    Egress(PortId),
    /// The host itself sends them.
    Host(DeviceId),
}

/// A source and where its packets enter.
pub struct Injection {
    /// The packets.
    pub source: Box<dyn Source>,
    /// The place.
    pub at: InjectionPoint,
}

/// An endpoint and the host where it is.
pub struct Hosted {
    /// The endpoint.
    pub endpoint: Box<dyn Endpoint>,
    /// The host: it has no other.
    pub host: DeviceId,
}

/// Everything that sends: sources, which follow their plan, and endpoints, which answer what arrives.
#[derive(Default)]
pub struct Workload {
    /// The sources.
    pub injections: Vec<Injection>,
    /// The endpoints.
    pub endpoints: Vec<Hosted>,
}

impl Workload {
    /// Where the packets of each source enter, by its number: the endpoints come behind the sources.
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
    /// The part of the traffic that has been injected, 0 to 1, where all sources know theirs.
    fn fraction<'a>(injections: impl Iterator<Item = &'a Injection>) -> Option<f64> {
        let fractions = injections.map(|injection| injection.source.progress());
        fractions.reduce(|least, next| Some(least?.min(next?))).flatten()
    }
}

/// A packet that enters the network.
#[derive(Debug, Clone, Copy)]
pub struct Injected<'a> {
    /// The packet and the instant.
    pub tau: Tau,
    /// The number of its source, in the order of the scenario.
    pub source: u32,
    /// Its number in the source.
    pub record: u64,
    /// What recognizes it in a measured capture.
    pub match_key: Option<u64>,
    /// The egress ports on the way from here to its destination.
    pub path: &'a [PortId],
    /// What an endpoint sends with it.
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
    /// When its last bit had arrived.
    pub ingress: Time,
    /// When it joined the PTM: ingress plus processing.
    pub joined: Time,
    /// When its first bit starts onto the link.
    pub egress: Time,
}

/// A packet's loss at a device: at one of its egress ports, or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// The packet as it reached the device; of one lost on a link, as it started onto it.
    pub tau: Tau,
    /// The device.
    pub device: DeviceId,
    /// The egress port; none where none was picked.
    pub port: Option<PortId>,
    /// Why.
    pub reason: DropReason,
    /// The instant of the loss: a packet may have waited before.
    pub at: Time,
}

/// How far a simulation is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The simulated time.
    pub time: Time,
    /// Packets injected so far.
    pub injected: u64,
    /// The part of the traffic that has been injected, 0 to 1, where that is known.
    pub fraction: Option<f64>,
}

/// Packets of a run or of a flow, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct PacketCounts {
    /// Entered.
    pub injected: u64,
    /// Arrived.
    pub delivered: u64,
    /// Lost.
    pub dropped: u64,
    /// Still on the way.
    pub inside: u64,
}

/// The end of a simulation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The packets of the whole run.
    pub packets: PacketCounts,
    /// Passages through devices.
    pub hops: u64,
    /// When the simulation stopped: `until`, or the last event where none was left.
    pub end: Time,
    /// Of everything that happened.
    pub fingerprint: Fingerprint,
}

/// Why a simulation stopped before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A source failed.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// An instant lies beyond what a run can reach.
    #[error("the simulation passed 213 days: shorten the traffic, set `until`, or raise the slowest rate")]
    TimeOverflow,
    /// An observer broke the simulation off ([`Interrupted`]).
    #[error("interrupted: nothing was written")]
    Interrupted,
    /// An observer failed.
    #[error(transparent)]
    Observer(ObserverError),
    /// The simulation had stopped with an error before.
    #[error("this simulation has failed, and cannot be run on")]
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
    /// Packets could go round without any time going by, so that no order of the ports is exact.
    #[error(
        "the stream engine cannot run this network: {port} is in a forwarding loop without any delay; \
         take the event engine, or give a link of the loop a delay"
    )]
    InstantCycle {
        /// a port of the loop
        port: String,
    },
    /// Endpoints would answer each other without end at one instant.
    #[error(
        "a closed loop has no delay at all: packets from {port} can be answered at the instant at which they are sent; \
         give a link of the loop a delay or a bandwidth"
    )]
    InstantLoop {
        /// a port of the loop
        port: String,
    },
    /// Two endpoints at one host.
    #[error("{host} has two endpoints: a host has one, which holds all its connections")]
    TwoEndpoints {
        /// the host
        host: String,
    },
    /// The stream engine was asked for endpoints.
    #[error(
        "the stream engine does not run closed loops (TCP): take the event engine, or leave `engine` out"
    )]
    StreamEndpoints,
    /// The threads cannot be had.
    #[error("cannot start the threads: {0}")]
    Threads(String),
    /// Packets appeared or vanished: a fault of taunet itself.
    #[error("packets are not conserved: {counts:?}; this is a fault of taunet, please report it")]
    NotConserved {
        /// the run's packets
        counts: PacketCounts,
    },
}

impl From<ObserverError> for EngineError {
    /// The end of a run that its observer does not let go on.
    fn from(error: ObserverError) -> Self {
        if error.is::<Interrupted>() { EngineError::Interrupted } else { EngineError::Observer(error) }
    }
}

/// How a simulation is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// The last instant; without it, the simulation runs until the last packet has left.
    pub until: Option<Time>,
    /// The seed of every random stream.
    pub seed: u64,
    /// The engine.
    pub engine: Engine,
    /// Threads of the stream engine; 0 means one per core. The results are the same for any number.
    pub threads: usize,
    /// The absolute time at which the run starts, for models that go by the ticks of a clock.
    pub start: Timestamp,
    /// Whether [`Finished::statistics`] are to be there: what each flow and each port did.
    pub statistics: bool,
    /// Whether [`Observer::ended`] is to be told what became of each packet; statistics come with it.
    pub packets: bool,
    /// What happens before is left out of [`Finished::statistics`] and of what is kept of connections.
    pub warm_up: Time,
    /// The run stops when so many connections that were opened from the warm-up on have finished; never without it.
    pub stop_after_flows: Option<u64>,
    /// When [`Observer::sampled`] is to be told of the state of connections; never without it.
    pub transport: Option<Sampling>,
}
