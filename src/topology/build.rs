//! The constructor of [`Topology`]: validates devices and links.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use petgraph::graph::{DiGraph, NodeIndex};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    DeviceId, DeviceKind, DeviceNode, DirectedLink, Forwarding, LinkId, NameError, Port, PortId, PortName,
    Position, StaticRoute, Topology, TopologyError,
};
use crate::impairment::ImpairmentSpec;
use crate::link::Link;
use crate::ptm::PtmSpec;
use crate::units::Span;

/// A device for [`Topology::new`]. Its ports follow from the links.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSpec {
    /// Its name.
    pub name: String,
    /// Its forwarding behaviour.
    pub kind: DeviceKind,
    /// Its addresses (hosts only). A host without an address gets a unique one.
    pub addresses: Vec<IpNet>,
    /// The time from ingress until the packet joins the egress port's PTM.
    pub processing: Span,
    /// The traffic management of each egress port whose link does not set its own.
    pub ptm: PtmSpec,
    /// Routes that override the shortest path.
    pub routes: Vec<RouteSpec>,
    /// Its position, if known. Used for pictures only.
    pub position: Option<Position>,
}

impl DeviceSpec {
    /// A device without addresses, routes or processing delay, and with an unlimited FIFO at each port.
    pub fn new(name: impl Into<String>, kind: DeviceKind) -> Self {
        DeviceSpec {
            name: name.into(),
            kind,
            addresses: Vec::new(),
            processing: Span::ZERO,
            ptm: PtmSpec::default(),
            routes: Vec::new(),
            position: None,
        }
    }
}

/// A static route for [`Topology::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteSpec {
    /// The prefix of destination addresses.
    pub destination: IpNet,
    /// The number of the egress port.
    pub port: u16,
}

/// A link for [`Topology::new`], in both directions.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkSpec {
    /// Its ends.
    pub between: [PortName; 2],
    /// The direction from the first end to the second.
    pub forward: Link,
    /// The direction from the second end to the first.
    pub backward: Link,
    /// The traffic management of each end's egress port; `None` for the device's own.
    pub ptm: [Option<PtmSpec>; 2],
    /// Random loss and delay in each direction, forward first.
    pub impairment: [ImpairmentSpec; 2],
}

impl LinkSpec {
    /// A link that is equal in both directions, without random loss or delay.
    pub fn new(from: PortName, to: PortName, link: Link) -> Self {
        LinkSpec {
            between: [from, to],
            forward: link,
            backward: link,
            ptm: [None, None],
            impairment: [ImpairmentSpec::default(); 2],
        }
    }
}

impl Topology {
    /// Builds the topology of these devices and links.
    ///
    /// Devices keep their order, and so do links, forward before backward. Ports are ordered by device, then
    /// by number. A host without an address gets a unique one: `fd00::1` if it is the first device, `fd00::2`
    /// if it is the second, and so on. If another host has that address, the host takes the next free one,
    /// and hosts after it take later ones.
    ///
    /// # Errors
    /// One variant of [`TopologyError`] for each violated condition:
    /// - there is a device;
    /// - device names are unique, and neither empty nor with a colon or white space;
    /// - only hosts have addresses, and no prefix occurs twice;
    /// - each end of a link names an existing device;
    /// - each port is the end of one link only, and a link joins two different ports;
    /// - each route names a port of its own device, and no two routes of a device have the same destination;
    /// - the parameters of each PTM are consistent with each other and with its link.
    ///
    /// The first mistake is returned. For a topology file, all mistakes are reported.
    ///
    /// # Complexity
    /// O(devices + links log links).
    ///
    /// # Examples
    /// ```
    /// use taunet::link::Link;
    /// use taunet::topology::{DeviceKind, DeviceSpec, LinkSpec, PortName, Topology};
    ///
    /// let link = Link::with_delay("1 Gbps".parse()?, "5 us".parse()?);
    /// let topology = Topology::new(
    ///     "pair",
    ///     vec![DeviceSpec::new("a", DeviceKind::Host), DeviceSpec::new("b", DeviceKind::Host)],
    ///     vec![LinkSpec::new(PortName::new("a", 0), PortName::new("b", 0), link)],
    /// )?;
    /// assert_eq!(topology.ports().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        name: impl Into<String>,
        devices: Vec<DeviceSpec>,
        links: Vec<LinkSpec>,
    ) -> Result<Self, TopologyError> {
        match problems(&devices, &links).into_iter().next() {
            Some(error) => Err(error),
            None => Ok(build(name.into(), devices, links)),
        }
    }
}

/// All violated conditions.
pub(super) fn problems(devices: &[DeviceSpec], links: &[LinkSpec]) -> Vec<TopologyError> {
    let mut problems = Vec::new();
    if devices.is_empty() {
        problems.push(TopologyError::NoDevices);
        return problems;
    }
    check_names(devices, &mut problems);
    let named = problems.is_empty();
    check_addresses(devices, &mut problems);
    if !named {
        // The checks of links would report consequential mistakes.
        return problems;
    }
    let ports = check_links(devices, links, &mut problems);
    check_routes(devices, &ports, &mut problems);
    check_ptms(devices, links, &mut problems);
    problems
}

fn check_names(devices: &[DeviceSpec], problems: &mut Vec<TopologyError>) {
    let mut seen = FxHashSet::default();
    for (device, spec) in devices.iter().enumerate() {
        let name = spec.name.clone();
        if name.is_empty() {
            problems.push(TopologyError::EmptyName { device });
        } else if let Some(character) = name.chars().find(|&c| c == ':' || c.is_whitespace()) {
            problems.push(TopologyError::BadName { device, name, character });
        } else if !seen.insert(spec.name.as_str()) {
            problems.push(TopologyError::DuplicateName { device, name });
        }
    }
}

fn check_addresses(devices: &[DeviceSpec], problems: &mut Vec<TopologyError>) {
    let mut owners = FxHashMap::default();
    for (device, spec) in devices.iter().enumerate() {
        if spec.kind != DeviceKind::Host {
            if !spec.addresses.is_empty() {
                let (name, kind) = (spec.name.clone(), spec.kind);
                problems.push(TopologyError::AddressOfForwarder { device, name, kind });
            }
            continue;
        }
        for (address, prefix) in spec.addresses.iter().enumerate() {
            let prefix = prefix.trunc();
            if let Some(owner) = owners.insert(prefix, &spec.name) {
                let owner = owner.clone();
                problems.push(TopologyError::DuplicatePrefix { device, address, prefix, owner });
            }
        }
    }
}

/// Checks the links. Returns the ports of each device, by name.
fn check_links<'a>(
    devices: &[DeviceSpec],
    links: &'a [LinkSpec],
    problems: &mut Vec<TopologyError>,
) -> FxHashMap<&'a str, Vec<u16>> {
    let known = devices.iter().map(|device| device.name.as_str()).collect::<FxHashSet<_>>();
    let names = devices.iter().map(|device| device.name.as_str());
    let mut ports: FxHashMap<&str, Vec<u16>> = FxHashMap::default();
    for end in links.iter().flat_map(|link| &link.between) {
        ports.entry(end.device.as_str()).or_default().push(end.port);
    }
    for numbers in ports.values_mut() {
        numbers.sort_unstable();
        numbers.dedup();
    }
    let mut taken = FxHashSet::default();
    for (link, spec) in links.iter().enumerate() {
        let [from, to] = &spec.between;
        if from == to {
            problems.push(TopologyError::LinkToItself { link, port: from.clone() });
            taken.insert(from);
            continue;
        }
        for (end, port) in spec.between.iter().enumerate() {
            if !known.contains(port.device.as_str()) {
                let error = NameError::device(&port.device, names.clone());
                problems.push(TopologyError::UnknownDevice { link, end, error });
            } else if !taken.insert(port) {
                let used = &ports[port.device.as_str()];
                let free = (0..=u16::MAX).find(|number| used.binary_search(number).is_err());
                problems.push(TopologyError::PortTaken { link, end, port: port.clone(), free });
            }
        }
    }
    ports
}

fn check_routes(
    devices: &[DeviceSpec],
    ports: &FxHashMap<&str, Vec<u16>>,
    problems: &mut Vec<TopologyError>,
) {
    for (device, spec) in devices.iter().enumerate() {
        let known = ports.get(spec.name.as_str()).map_or(&[][..], Vec::as_slice);
        let mut destinations = FxHashSet::default();
        for (route, &RouteSpec { destination, port }) in spec.routes.iter().enumerate() {
            let name = spec.name.clone();
            if known.binary_search(&port).is_err() {
                let (port, known) = (PortName::new(name, port), known.to_vec());
                problems.push(TopologyError::UnknownRoutePort { device, route, port, known });
            } else if !destinations.insert(destination.trunc()) {
                problems.push(TopologyError::DuplicateRoute { device, route, name, destination });
            }
        }
    }
}

/// Checks the traffic management of each port. The device's own is checked once.
fn check_ptms(devices: &[DeviceSpec], links: &[LinkSpec], problems: &mut Vec<TopologyError>) {
    let by_name = devices.iter().enumerate().map(|(index, spec)| (spec.name.as_str(), index));
    let by_name = by_name.collect::<FxHashMap<_, _>>();
    let mut told = FxHashSet::default();
    for (link, spec) in links.iter().enumerate() {
        for (end, timing) in [&spec.forward, &spec.backward].into_iter().enumerate() {
            let Some(&device) = by_name.get(spec.between[end].device.as_str()) else { continue };
            match &spec.ptm[end] {
                Some(ptm) => {
                    let error = ptm.check(timing).err();
                    problems.extend(error.map(|error| TopologyError::LinkPtm { link, end, error }));
                }
                None => {
                    let error = devices[device].ptm.check(timing).err().filter(|_| told.insert(device));
                    problems.extend(error.map(|error| TopologyError::DevicePtm { device, error }));
                }
            }
        }
    }
}

/// One end of a link, during the numbering of ports.
struct End {
    device: DeviceId,
    number: u16,
    egress: LinkId,
    ingress: LinkId,
    ptm: Option<PtmSpec>,
}

/// Builds a topology that [`problems`] found valid.
fn build(name: String, devices: Vec<DeviceSpec>, links: Vec<LinkSpec>) -> Topology {
    const SOUND: &str = "the links were checked";
    let by_name = devices
        .iter()
        .enumerate()
        .map(|(index, device)| (device.name.clone(), DeviceId::new(index)))
        .collect::<FxHashMap<_, _>>();
    let mut ends = Vec::with_capacity(2 * links.len());
    let mut timings = Vec::with_capacity(2 * links.len());
    for LinkSpec { between, forward, backward, ptm, impairment } in links {
        let links = [LinkId::new(timings.len()), LinkId::new(timings.len() + 1)];
        timings.extend([forward, backward].into_iter().zip(impairment));
        for ((end, ptm), (egress, ingress)) in
            between.into_iter().zip(ptm).zip([(links[0], links[1]), (links[1], links[0])])
        {
            let device = by_name[&end.device];
            ends.push(End { device, number: end.port, egress, ingress, ptm });
        }
    }
    ends.sort_by_key(|end| (end.device, end.number));

    let mut sender = vec![None; timings.len()];
    let mut receiver = vec![None; timings.len()];
    let mut ports_of = vec![Vec::new(); devices.len()];
    let mut ports = Vec::with_capacity(ends.len());
    for (index, End { device, number, egress, ingress, ptm }) in ends.into_iter().enumerate() {
        let id = PortId::new(index);
        sender[egress.index()] = Some(id);
        receiver[ingress.index()] = Some(id);
        ports_of[device.index()].push(id);
        let ptm = ptm.unwrap_or_else(|| devices[device.index()].ptm.clone());
        ports.push(Port { device, number, egress, ingress, ptm });
    }

    let given = devices.iter().flat_map(|device| &device.addresses).map(IpNet::trunc).collect();
    let mut next_address = 0;
    let mut graph = DiGraph::with_capacity(devices.len(), timings.len());
    for (device, device_ports) in devices.into_iter().zip(ports_of) {
        let port_numbered = |number| {
            let place = device_ports.binary_search_by_key(&number, |id: &PortId| ports[id.index()].number);
            device_ports[place.expect(SOUND)]
        };
        let routes = device
            .routes
            .iter()
            .map(|route| StaticRoute { destination: route.destination, port: port_numbered(route.port) })
            .collect();
        let DeviceSpec { name, kind, mut addresses, processing, position, .. } = device;
        if kind == DeviceKind::Host && addresses.is_empty() {
            addresses.push(free_address(graph.node_count(), &mut next_address, &given));
        }
        graph.add_node(DeviceNode {
            name,
            kind,
            addresses,
            processing,
            routes,
            ports: device_ports,
            position,
        });
    }
    for ((link, impairment), (from, to)) in timings.into_iter().zip(sender.into_iter().zip(receiver)) {
        let (from, to) = (from.expect(SOUND), to.expect(SOUND));
        let node = |port: PortId| NodeIndex::new(ports[port.index()].device.index());
        graph.add_edge(node(from), node(to), DirectedLink { from, to, link, impairment });
    }
    Topology { name, graph, ports, by_name, forwarding: Forwarding::default(), models: Vec::new() }
}

/// The address of a host without one: `fd00::1` for the first device, and so on (RFC 4193), or the next one
/// that is neither in `given` nor below `next`. Sets `next` to the address after it.
fn free_address(index: usize, next: &mut u128, given: &FxHashSet<IpNet>) -> IpNet {
    const FIRST: u128 = 0xfd00 << 112 | 1;
    let mut offset = (index as u128).max(*next);
    loop {
        let address = IpNet::from(IpAddr::V6(Ipv6Addr::from(FIRST + offset)));
        offset += 1;
        if !given.contains(&address) {
            *next = offset;
            return address;
        }
    }
}

#[cfg(test)]
mod tests;
