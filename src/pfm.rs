//! Packet forwarding: which egress port a packet takes.
//!
//! The destination address names a host by its longest matching prefix. A device sends towards
//! that host along a shortest path (fewest links; among equals by the lowest port number), unless
//! one of its static routes holds for the address. Hosts forward nothing, so that no path leads
//! through one.

use std::net::IpAddr;

use ipnet::IpNet;
use petgraph::algo::dijkstra;
use petgraph::visit::{EdgeFiltered, EdgeRef, Reversed};

use crate::packet::{DropReason, Packet};
use crate::topology::{DeviceId, DeviceKind, DeviceNode, PortId, Topology};

/// The forwarding of a whole topology: every device's tables.
///
/// Tables are made when a flow first asks for its destination: `[devices]` ports per destination in use.
pub struct Pfm<'t> {
    topology: &'t Topology,
    /// Longest prefix first.
    prefixes: Vec<(IpNet, DeviceId)>,
    /// Per destination in use: the egress port of each device.
    tables: Vec<Vec<Option<PortId>>>,
    /// Per device: its table as a destination, once made.
    table_of: Vec<Option<u32>>,
    flows: Vec<Destination>,
}

/// Where a flow goes.
#[derive(Debug, Clone)]
struct Destination {
    /// The host, and the number of the table that leads to it.
    host: Option<(DeviceId, u32)>,
    /// The static routes that hold for it: at most one per device.
    routes: Box<[(DeviceId, PortId)]>,
}

/// The way of a flow through the network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    /// Egress port after egress port.
    pub ports: Vec<PortId>,
    /// The way comes back to one of its devices, and no router on the circle would stop it.
    pub endless: bool,
}

impl<'t> Pfm<'t> {
    /// The forwarding of `topology`, with no flow yet.
    pub fn new(topology: &'t Topology) -> Self {
        let mut prefixes: Vec<(IpNet, DeviceId)> = topology
            .devices()
            .flat_map(|(id, device)| device.addresses.iter().map(move |prefix| (*prefix, id)))
            .collect();
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.prefix_len()));
        Pfm {
            topology,
            prefixes,
            tables: Vec::new(),
            table_of: vec![None; topology.devices().len()],
            flows: Vec::new(),
        }
    }

    /// The host with the longest prefix that holds `address`.
    pub fn host_of(&self, address: IpAddr) -> Option<DeviceId> {
        self.prefixes.iter().find(|(prefix, _)| prefix.contains(&address)).map(|(_, host)| *host)
    }

    /// Takes in the next flow: `fid` counts up from 0 with each call.
    ///
    /// # Complexity
    /// O(links x log devices) for the first flow to a host, else O(prefixes + static routes).
    pub fn add_flow(&mut self, destination: Option<IpAddr>) -> u32 {
        let fid = u32::try_from(self.flows.len()).expect("fewer than 2^32 flows");
        let host =
            destination.and_then(|address| self.host_of(address)).map(|host| (host, self.table_to(host)));
        let routes = destination.map_or(Box::default(), |address| self.routes_to(address));
        self.flows.push(Destination { host, routes });
        fid
    }

    /// The longest static route for `address` at each device that has one.
    fn routes_to(&self, address: IpAddr) -> Box<[(DeviceId, PortId)]> {
        let longest = |(id, device): (DeviceId, &DeviceNode)| {
            let routes = device.routes.iter().filter(|route| route.destination.contains(&address));
            routes.max_by_key(|route| route.destination.prefix_len()).map(|route| (id, route.port))
        };
        self.topology.devices().filter_map(longest).collect()
    }

    /// Whether the flow's packets have arrived once they reach `device`.
    #[inline]
    pub fn ends_at(&self, fid: u32, device: DeviceId) -> bool {
        self.flows[fid as usize].host.is_some_and(|(host, _)| host == device)
    }

    /// The egress port of `packet` at `device`; takes one from its time to live at a router.
    ///
    /// # Errors
    /// [`DropReason::NoRoute`] and [`DropReason::TtlExpired`], checked in this order (Linux `ip_forward`).
    #[inline]
    pub fn forward(&self, device: DeviceId, packet: &mut Packet) -> Result<PortId, DropReason> {
        let port = self.egress(device, packet.fid).ok_or(DropReason::NoRoute)?;
        if self.topology.device(device).kind == DeviceKind::Router {
            if packet.ttl <= 1 {
                return Err(DropReason::TtlExpired);
            }
            packet.ttl -= 1;
        }
        Ok(port)
    }

    /// The egress port of a flow at `device`.
    #[inline]
    fn egress(&self, device: DeviceId, fid: u32) -> Option<PortId> {
        let flow = &self.flows[fid as usize];
        if let Some((_, port)) = flow.routes.iter().find(|(at, _)| *at == device) {
            return Some(*port);
        }
        flow.host.and_then(|(_, table)| self.tables[table as usize][device.index()])
    }

    /// The egress ports that a flow passes from `device` on, up to its destination or to where it is lost.
    pub fn path(&self, fid: u32, device: DeviceId) -> Path {
        let mut path = Path::default();
        let mut visited = vec![device];
        let mut here = device;
        while !self.ends_at(fid, here) {
            if self.topology.device(here).kind == DeviceKind::Host && !path.ports.is_empty() {
                break;
            }
            let Some(port) = self.egress(here, fid) else { break };
            path.ports.push(port);
            let there = self.topology.link(self.topology.port(port).egress).to;
            here = self.topology.port(there).device;
            if let Some(first) = visited.iter().position(|device| *device == here) {
                let circle = &visited[first..];
                path.endless =
                    circle.iter().all(|device| self.topology.device(*device).kind != DeviceKind::Router);
                break;
            }
            visited.push(here);
        }
        path
    }

    /// The number of the table that leads to `host`.
    fn table_to(&mut self, host: DeviceId) -> u32 {
        if let Some(number) = self.table_of[host.index()] {
            return number;
        }
        let topology = self.topology;
        let graph = topology.graph();
        let is_other_host =
            |device: DeviceId| device != host && topology.device(device).kind == DeviceKind::Host;
        // No link into another host is on a path.
        let passable = EdgeFiltered::from_fn(Reversed(graph), |edge| {
            !is_other_host(DeviceId::new(edge.source().index()))
        });
        let distances = dijkstra(&passable, petgraph::graph::NodeIndex::new(host.index()), None, |_| 1u32);
        let distance =
            |device: DeviceId| distances.get(&petgraph::graph::NodeIndex::new(device.index())).copied();
        let table = topology
            .devices()
            .map(|(id, device)| {
                let here = distance(id).filter(|_| id != host)?;
                device.ports.iter().copied().find(|port| {
                    let there = topology.link(topology.port(*port).egress).to;
                    let next = topology.port(there).device;
                    !is_other_host(next) && distance(next).is_some_and(|next| next + 1 == here)
                })
            })
            .collect();
        let number = u32::try_from(self.tables.len()).expect("fewer tables than devices");
        self.tables.push(table);
        self.table_of[host.index()] = Some(number);
        number
    }
}
