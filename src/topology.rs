//! The network: devices with ports, joined by links. [`DeviceId`], [`PortId`] and [`LinkId`] hide the
//! petgraph.

mod bisection;
mod build;
mod diameter;
mod draft;
mod error;
pub mod export;
mod file;
mod forwarding;
mod impairment;
pub mod generate;
pub mod import;
mod names;
mod position;
mod rule;
mod statistics;
pub mod tc;
mod write;

pub use crate::prefix::Prefix;
pub use build::{DeviceSpec, LinkSpec, RouteSpec};
pub use draft::{Draft, DraftDevice, DraftLink, DraftTiming};
pub use error::{Element, TopologyError};
pub use file::{
    DeviceDefaults, DeviceFile, DirectionFile, EndName, LinkDefaults, LinkFile, RouteFile, TopologyDefaults,
    TopologyFile,
};
pub use forwarding::{ExplicitPath, Forwarding, Multipath, Weight};
pub use impairment::{JitterFile, JitterKind};
pub use names::{Direction, NameError, PortName, Vantage, VantageSpec};
pub use position::{Position, PositionFile};
pub use rule::{ForwardingChoice, ForwardingRule, Rule, RuleSpec};
pub use statistics::{BandwidthCount, TopologyStatistics};
pub use write::{FileText, TimingText};

use ipnet::IpNet;
use std::path::PathBuf;

use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::impairment::ImpairmentSpec;
use crate::link::Link;
use crate::ptm::PtmSpec;
use crate::units::Span;

/// A device of a [`Topology`], in the order of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(u32);

/// A port of a [`Topology`]: ordered by device, then by port number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId(u32);

/// One direction of a link of a [`Topology`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(u32);

macro_rules! index {
    ($($id:ident),+) => {$(
        impl $id {
            /// The id with this index.
            #[inline]
            pub fn new(index: usize) -> Self {
                $id(u32::try_from(index).expect("fewer than 2^32 of them"))
            }

            /// The index of the id. Ids count from 0.
            #[inline]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )+};
}
index!(DeviceId, PortId, LinkId);

/// The forwarding behaviour of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// Sends and receives; does not forward.
    Host,
    /// Forwards, and leaves the time to live unchanged.
    Switch,
    /// Forwards, and reduces the time to live by one; drops a packet whose time to live has expired.
    Router,
}

/// A static route: packets to `destination` leave by `port`, regardless of the shortest path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticRoute {
    /// The prefix of destination addresses.
    pub destination: IpNet,
    /// The egress port.
    pub port: PortId,
}

/// A node of the graph: a host, switch or router.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceNode {
    /// Its name, unique in the topology.
    pub name: String,
    /// Its forwarding behaviour.
    pub kind: DeviceKind,
    /// Its addresses: one or more for a host, none for other devices.
    pub addresses: Vec<IpNet>,
    /// The time from ingress until the packet joins the egress port's PTM.
    pub processing: Span,
    /// Routes that override the shortest path.
    pub routes: Vec<StaticRoute>,
    /// Its ports, by number.
    pub ports: Vec<PortId>,
    /// Its position, if known. Used for pictures only.
    pub position: Option<Position>,
}

/// A port of a device: one end of one link.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// The device of the port.
    pub device: DeviceId,
    /// Its number at the device, such as 1 in `r1:1`.
    pub number: u16,
    /// The link of its outgoing packets.
    pub egress: LinkId,
    /// The link of its incoming packets.
    pub ingress: LinkId,
    /// The traffic management of its egress.
    pub ptm: PtmSpec,
}

/// One direction of a link.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectedLink {
    /// The sending port.
    pub from: PortId,
    /// The receiving port.
    pub to: PortId,
    /// The bandwidth, delay and overhead.
    pub link: Link,
    /// Random loss and delay on the link.
    pub impairment: ImpairmentSpec,
}

/// The petgraph of devices and links.
///
/// A constructed topology is valid; [`Topology::new`] lists the conditions.
#[derive(Debug, Clone)]
pub struct Topology {
    name: String,
    graph: DiGraph<DeviceNode, DirectedLink>,
    ports: Vec<Port>,
    by_name: FxHashMap<String, DeviceId>,
    forwarding: Forwarding,
    models: Vec<PathBuf>,
}

impl Topology {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The graph. Its nodes and edges are numbered like [`DeviceId`] and [`LinkId`].
    pub(crate) fn graph(&self) -> &DiGraph<DeviceNode, DirectedLink> {
        &self.graph
    }

    /// The forwarding configuration.
    pub fn forwarding(&self) -> &Forwarding {
        &self.forwarding
    }

    /// The files of the learned models named in the topology file, each with its card.
    pub fn models(&self) -> &[PathBuf] {
        &self.models
    }

    /// The same network with another forwarding configuration.
    pub fn with_forwarding(self, forwarding: Forwarding) -> Self {
        Topology { forwarding, ..self }
    }

    /// Every device, in the order of the file.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = (DeviceId, &DeviceNode)> {
        let nodes = self.graph.raw_nodes().iter().enumerate();
        nodes.map(|(index, node)| (DeviceId::new(index), &node.weight))
    }

    /// Every port, by device and number.
    pub fn ports(&self) -> impl ExactSizeIterator<Item = (PortId, &Port)> {
        self.ports.iter().enumerate().map(|(index, port)| (PortId::new(index), port))
    }

    /// Every direction of every link, in the order of the file; forward before backward.
    pub fn links(&self) -> impl ExactSizeIterator<Item = (LinkId, &DirectedLink)> {
        let edges = self.graph.raw_edges().iter().enumerate();
        edges.map(|(index, edge)| (LinkId::new(index), &edge.weight))
    }

    /// The forward direction of every link. The next link id is its backward direction.
    pub fn forward_links(&self) -> impl ExactSizeIterator<Item = (LinkId, &DirectedLink)> {
        self.links().step_by(2)
    }

    /// The devices at the two ends of a link.
    pub fn ends(&self, link: &DirectedLink) -> [DeviceId; 2] {
        [link.from, link.to].map(|port| self.port(port).device)
    }

    /// One device.
    pub fn device(&self, id: DeviceId) -> &DeviceNode {
        &self.graph[NodeIndex::new(id.index())]
    }

    /// One port.
    pub fn port(&self, id: PortId) -> &Port {
        &self.ports[id.index()]
    }

    /// One direction of a link.
    pub fn link(&self, id: LinkId) -> &DirectedLink {
        &self.graph[EdgeIndex::new(id.index())]
    }

    /// The device with this name.
    pub fn device_named(&self, name: &str) -> Option<DeviceId> {
        self.by_name.get(name).copied()
    }

    /// The name of a port, such as `r1:0`.
    pub fn port_name(&self, id: PortId) -> String {
        let port = self.port(id);
        format!("{}:{}", self.device(port.device).name, port.number)
    }
}
