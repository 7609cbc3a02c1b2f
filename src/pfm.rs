//! Packet forwarding: the choice of the egress port.
//!
//! The destination address of a flow selects a host by the longest matching prefix. A device sends towards
//! that host along a shortest path ([`Weight`](crate::topology::Weight)); [`Multipath`] selects one of
//! several equal-cost ports. An explicit path that matches the flow takes precedence, then a static route of
//! the device for the address, then the rule of another crate ([`ForwardingRule`]), if there is one. Hosts do
//! not forward, so no path leads through a host.

mod addresses;
mod tables;

pub use addresses::Addresses;

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::flow::{Flows, flow_hash};
use crate::packet::{DropReason, FlowKey, Packet, Way};
use crate::random::Draws;
use crate::topology::{
    DeviceId, DeviceKind, DeviceNode, ExplicitPath, ForwardingChoice, ForwardingRule, Multipath, PortId,
    Topology,
};
use tables::{Entry, Several, Tables};

/// The forwarding of a whole topology: the tables of every device, and the path of each flow.
///
/// A table column is computed when a flow first needs its destination. All hosts on one access switch share a
/// column: the tables have `[devices, access switches in use]` entries.
pub struct Pfm {
    topology: Arc<Topology>,
    addresses: Addresses,
    tables: Tables,
    classes: Vec<Class>,
    /// The ports prescribed by explicit paths and static routes, by device.
    prescribed: Vec<Box<[(DeviceId, PortId)]>>,
    /// The classes of flows with prescribed ports, or without a destination.
    class_of: FxHashMap<ClassKey, u32>,
    /// Per device: the class of all other flows to that device; [`NONE`] before the first.
    class_of_host: Vec<u32>,
    /// The class of each flow.
    flows: Vec<u32>,
    routers: Vec<bool>,
    /// The devices with static routes.
    routed: Vec<DeviceId>,
    multipath: Multipath,
    /// Per device: the random choice between several ports.
    draws: Vec<Draws>,
    /// The hash of each flow, if ports are selected by it.
    hashes: Vec<u64>,
    /// Whether every class has its own column with the complete result, because the tables are small.
    is_small: bool,
}

/// Flows that are forwarded in the same way.
#[derive(Debug, Clone, Copy)]
struct Class {
    /// The destination; [`NONE`] if there is none.
    host: u32,
    /// For a destination with a single link: the switch at its other end, and the port there.
    access: u32,
    access_port: u32,
    /// The column of the tables, before prescribed ports; [`Tables::NONE`] without a destination.
    column: u32,
    /// The number of the destination among the hosts.
    number: u32,
    /// The index of the prescribed ports; [`NONE`] if there are none.
    prescribed: u32,
}

/// No device, or no prescribed ports.
const NONE: u32 = u32::MAX;

/// The forwarding of one device.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pfm: &'a Pfm,
    device: DeviceId,
    /// Its entries by column; empty if forwarding must be computed.
    entries: &'a [u32],
    is_router: bool,
}

type ClassKey = (Option<DeviceId>, Box<[(DeviceId, PortId)]>);

/// The path of a flow through the network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    /// The egress ports that packets of the flow may take, in the order in which they are first reached.
    pub ports: Vec<PortId>,
    /// Whether the path returns to one of its devices, with no router on the cycle to stop the packets.
    pub endless: bool,
}

impl Pfm {
    /// The forwarding of `topology`, without flows yet, in a run with this seed.
    pub fn new(topology: impl Into<Arc<Topology>>, seed: u64) -> Self {
        let topology = topology.into();
        let multipath = topology.forwarding().multipath;
        let (is_small, fits_hosts) = sizes(&topology);
        let draws = match multipath {
            Multipath::Ecmp | Multipath::Spray => {
                topology.devices().map(|(_, device)| Draws::new(seed, "multipath", &device.name)).collect()
            }
            Multipath::LowestPort | Multipath::DModK => Vec::new(),
        };
        Pfm {
            addresses: Addresses::new(&topology),
            tables: Tables::new(&topology, fits_hosts),
            classes: Vec::new(),
            prescribed: Vec::new(),
            class_of: FxHashMap::default(),
            flows: Vec::new(),
            class_of_host: vec![NONE; topology.devices().len()],
            routers: topology.devices().map(|(_, device)| device.kind == DeviceKind::Router).collect(),
            routed: topology
                .devices()
                .filter_map(|(id, device)| (!device.routes.is_empty()).then_some(id))
                .collect(),
            multipath,
            draws,
            hashes: Vec::new(),
            is_small,
            topology: Arc::clone(&topology),
        }
    }

    /// The host with the longest prefix that contains `address`.
    pub fn host_of(&self, address: std::net::IpAddr) -> Option<DeviceId> {
        self.addresses.host_of(address)
    }

    /// Adds the next flow; `fid` counts up from 0 with each call.
    ///
    /// # Complexity
    /// O(links x log devices) for the first flow to an access switch, else O(static routes + explicit paths).
    pub fn add_flow(&mut self, key: &FlowKey) -> u32 {
        let class = self.class_of_key(key);
        self.push_flow(key, class)
    }

    /// The class of a flow.
    pub(crate) fn class_of_key(&mut self, key: &FlowKey) -> u32 {
        let host = key.destination_address().and_then(|address| self.addresses.host_of(address));
        let prescribed = self.prescribed(key);
        if let Some(host) = host.filter(|_| prescribed.is_empty()) {
            if self.class_of_host[host.index()] == NONE {
                self.class_of_host[host.index()] = self.add_class(Some(host), prescribed);
            }
            return self.class_of_host[host.index()];
        }
        let key = (host, prescribed);
        if let Some(class) = self.class_of.get(&key) {
            return *class;
        }
        let class = self.add_class(host, key.1.clone());
        self.class_of.insert(key, class);
        class
    }

    /// Adds the next flow, of this class.
    pub(crate) fn push_flow(&mut self, key: &FlowKey, class: u32) -> u32 {
        let fid = u32::try_from(self.flows.len()).expect("fewer than 2^32 flows");
        self.flows.push(class);
        if self.multipath == Multipath::Ecmp {
            self.hashes.push(flow_hash(key));
        }
        fid
    }

    fn add_class(&mut self, host: Option<DeviceId>, prescribed: Box<[(DeviceId, PortId)]>) -> u32 {
        let access = host.and_then(|host| self.tables.access(host));
        let works_out = host.is_some() && (self.is_small || !prescribed.is_empty());
        let mut class = Class {
            host: host.map_or(NONE, |host| host.index() as u32),
            access: access.map_or(NONE, |(device, _)| device.index() as u32),
            access_port: access.map_or(NONE, |(_, port)| port.index() as u32),
            column: host.map_or(Tables::NONE, |host| self.tables.column(host)),
            number: host.map_or(0, |host| self.tables.host_number(host)),
            prescribed: if prescribed.is_empty() { NONE } else { self.prescribed.len() as u32 },
        };
        if !prescribed.is_empty() {
            self.prescribed.push(prescribed);
        }
        if works_out {
            let entries = self.topology.devices().map(|(device, _)| self.entry_of(&class, device)).collect();
            class.column = self.tables.push_column(entries);
        }
        self.classes.push(class);
        self.classes.len() as u32 - 1
    }

    /// The table entry of a class at a device: its port, as far as it does not depend on the packet.
    fn entry_of(&self, class: &Class, device: DeviceId) -> u32 {
        match self.at(device).entry(class) {
            Entry::None => Tables::NONE,
            Entry::Port(port) => port.index() as u32,
            Entry::Several(several) => match self.port_of_all(class, several) {
                Some(port) => port.index() as u32,
                None => {
                    self.tables.own_row(device).get(class.column as usize).copied().unwrap_or(Tables::NONE)
                }
            },
        }
    }

    /// The ports that explicit paths and static routes prescribe for a flow: at most one per device.
    fn prescribed(&self, key: &FlowKey) -> Box<[(DeviceId, PortId)]> {
        let Some(destination) = key.destination_address() else { return Box::default() };
        let fits = |path: &&ExplicitPath| {
            path.destinations.iter().any(|prefix| prefix.contains(&destination))
                && (path.sources.is_empty()
                    || key
                        .source_address()
                        .is_some_and(|source| path.sources.iter().any(|prefix| prefix.contains(&source))))
        };
        let path = self.topology.forwarding().paths.iter().find(fits);
        let mut prescribed: Vec<(DeviceId, PortId)> = path.map_or(Vec::new(), |path| path.egress.clone());
        for &id in &self.routed {
            let routes = &self.topology.device(id).routes;
            let fitting = routes.iter().filter(|route| route.destination.contains(&destination));
            if let Some(route) = fitting.max_by_key(|route| route.destination.prefix_len())
                && prescribed.iter().all(|(device, _)| *device != id)
            {
                prescribed.push((id, route.port));
            }
        }
        prescribed.into()
    }

    /// Whether packets of the flow have reached their destination at `device`.
    #[inline]
    pub fn ends_at(&self, fid: u32, device: DeviceId) -> bool {
        self.class(fid).host == device.index() as u32
    }

    /// The destination host of the flow, if there is one.
    pub fn destination(&self, fid: u32) -> Option<DeviceId> {
        let host = self.class(fid).host;
        (host != NONE).then(|| DeviceId::new(host as usize))
    }

    /// How the flow's packets are forwarded.
    #[inline]
    pub(crate) fn way(&self, fid: u32) -> Way {
        self.way_of_class(self.flows[fid as usize])
    }

    /// How packets of a class are forwarded.
    #[inline]
    pub(crate) fn way_of_class(&self, class: u32) -> Way {
        match self.classes.get(class as usize) {
            Some(Class { column, .. }) => Way { class, column: *column },
            None => Way::UNKNOWN,
        }
    }

    #[inline]
    fn class(&self, fid: u32) -> &Class {
        &self.classes[self.flows[fid as usize] as usize]
    }

    /// The egress port of `packet` at `device`. A router decrements the time to live.
    ///
    /// # Errors
    /// [`DropReason::NoRoute`] and [`DropReason::TtlExpired`], checked in this order (Linux `ip_forward`).
    #[inline]
    pub fn forward(
        &self,
        flows: &Flows,
        device: DeviceId,
        packet: &mut Packet,
    ) -> Result<PortId, DropReason> {
        let at = self.at(device);
        let port = at.forward(flows, &Packet { way: self.way(packet.fid), ..*packet })?;
        packet.ttl -= at.hops_counted();
        Ok(port)
    }

    /// The forwarding of one device.
    #[inline]
    pub(crate) fn at(&self, device: DeviceId) -> At<'_> {
        At {
            pfm: self,
            device,
            entries: match self.topology.forwarding().rule {
                Some(_) => &[],
                None => self.tables.own_row(device),
            },
            is_router: self.routers[device.index()],
        }
    }

    /// Selects one of several ports for a packet.
    #[inline]
    fn pick(&self, class: &Class, device: DeviceId, packet: &Packet, several: &Several) -> PortId {
        let share =
            |bits: u64| several.ports[((u128::from(bits) * several.ports.len() as u128) >> 64) as usize];
        match self.multipath {
            Multipath::Ecmp => share(self.draws[device.index()].bits(self.hashes[packet.fid as usize])),
            Multipath::Spray => share(self.draws[device.index()].bits(packet.pid)),
            Multipath::DModK | Multipath::LowestPort => {
                self.port_of_all(class, several).unwrap_or(several.ports[0])
            }
        }
    }

    /// The port, of several, that all packets of a class take; `None` if it depends on other properties of
    /// the packet.
    #[inline]
    fn port_of_all(&self, class: &Class, several: &Several) -> Option<PortId> {
        match self.multipath {
            Multipath::DModK => {
                Some(several.ports[(class.number / several.divisor) as usize % several.ports.len()])
            }
            Multipath::LowestPort => Some(several.ports[0]),
            Multipath::Ecmp | Multipath::Spray => None,
        }
    }

    /// Calls `visit` with every egress port that packets of a flow may take at `device`.
    pub(crate) fn ways(&self, flows: &Flows, fid: u32, device: DeviceId, visit: &mut dyn FnMut(PortId)) {
        let class = self.class(fid);
        if let Some(rule) = self.rule(class, device) {
            let packet = Packet { fid, ..Packet::default() };
            let best = self.at(device).best(class);
            let choice = choice(flows, device, &packet, &best);
            return rule.ways(&choice).into_iter().for_each(visit);
        }
        match self.at(device).entry(class) {
            Entry::None => {}
            Entry::Port(port) => visit(port),
            Entry::Several(several) if self.multipath == Multipath::Spray => {
                several.ports.iter().for_each(|port| visit(*port));
            }
            Entry::Several(several) => {
                let packet = Packet { fid, ..Packet::default() };
                visit(self.pick(class, device, &packet, several));
            }
        }
    }

    /// Whether all packets of a class take the same port at a device.
    pub(crate) fn decides_by_class(&self) -> bool {
        let by_class = matches!(self.multipath, Multipath::LowestPort | Multipath::DModK);
        by_class && self.topology.forwarding().rule.is_none()
    }

    /// The port of a class at a device, if all its packets take the same one.
    pub(crate) fn port_of_class(&self, class: u32, device: DeviceId) -> Option<PortId> {
        let class = &self.classes[class as usize];
        match self.at(device).entry(class) {
            Entry::None => None,
            Entry::Port(port) => Some(port),
            Entry::Several(several) => self.port_of_all(class, several),
        }
    }

    /// Whether packets of a flow can reach a device by several paths, or more than once.
    pub(crate) fn may_meet(&self, fid: u32) -> bool {
        self.multipath == Multipath::Spray || self.is_prescribed(fid)
    }

    /// Whether explicit paths, static routes or a rule determine the path of the flow, so it may return to a
    /// device.
    pub fn is_prescribed(&self, fid: u32) -> bool {
        self.class(fid).prescribed != NONE || self.topology.forwarding().rule.is_some()
    }

    /// The rule that chooses for a class at a device, if there is one and nothing else prescribes the port.
    /// Hosts send by their link.
    fn rule(&self, class: &Class, device: DeviceId) -> Option<&dyn ForwardingRule> {
        let rule = self.topology.forwarding().rule.as_ref()?;
        let forwards = self.topology.device(device).kind != DeviceKind::Host;
        (forwards && self.at(device).prescribed(class).is_none()).then(|| rule.get())
    }

    /// The egress ports that a flow may take from `device` on, up to its destination or to where it is
    /// dropped.
    ///
    /// # Complexity
    /// O(devices and ports on the path).
    pub fn path(&self, flows: &Flows, fid: u32, device: DeviceId) -> Path {
        let mut path = Path::default();
        let mut seen = FxHashSet::default();
        let mut trail = Trail::default();
        self.step(flows, fid, device, &mut trail, &mut path);
        while let Some(ahead) = trail.ahead() {
            let Some(port) = ahead.pop() else {
                trail.back();
                continue;
            };
            if seen.insert(port) {
                path.ports.push(port);
                let there = self.topology.link(self.topology.port(port).egress).to;
                self.step(flows, fid, self.topology.port(there).device, &mut trail, &mut path);
            }
        }
        path
    }

    /// The flow reaches a device, and may continue from there.
    fn step(&self, flows: &Flows, fid: u32, here: DeviceId, trail: &mut Trail, path: &mut Path) {
        if let Some(routers) = trail.routers_since(here) {
            path.endless |= routers == 0;
            return;
        }
        let stuck = self.topology.device(here).kind == DeviceKind::Host && !trail.is_empty();
        if self.ends_at(fid, here) || stuck {
            return;
        }
        let mut ways = Vec::new();
        self.ways(flows, fid, here, &mut |port| ways.push(port));
        ways.reverse();
        trail.go_on(here, self.routers[here.index()], ways);
    }
}

/// The devices from the entry of a flow to the current position of a walk along its paths.
#[derive(Default)]
struct Trail {
    /// Each device with the ports not yet taken, the next one last.
    steps: Vec<(DeviceId, Vec<PortId>)>,
    /// Per device on the trail: the number of routers before it.
    routers_before: FxHashMap<DeviceId, u32>,
    routers: Vec<bool>,
    router_count: u32,
}

impl Trail {
    fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn go_on(&mut self, device: DeviceId, is_router: bool, ways: Vec<PortId>) {
        self.routers_before.insert(device, self.router_count);
        self.router_count += u32::from(is_router);
        self.routers.push(is_router);
        self.steps.push((device, ways));
    }

    /// The remaining ports at the current position.
    fn ahead(&mut self) -> Option<&mut Vec<PortId>> {
        self.steps.last_mut().map(|(_, ways)| ways)
    }

    fn back(&mut self) {
        if let (Some((device, _)), Some(is_router)) = (self.steps.pop(), self.routers.pop()) {
            self.routers_before.remove(&device);
            self.router_count -= u32::from(is_router);
        }
    }

    /// The number of routers from a device of the trail on; `None` for other devices.
    fn routers_since(&self, device: DeviceId) -> Option<u32> {
        self.routers_before.get(&device).map(|before| self.router_count - before)
    }
}

impl At<'_> {
    /// Whether the packet has reached its destination here.
    #[inline]
    pub(crate) fn is_home(&self, packet: &Packet) -> bool {
        // A PTM of another crate may have created a new packet.
        let class = self.pfm.classes.get(packet.way.class as usize);
        class.unwrap_or_else(|| self.pfm.class(packet.fid)).host == self.device.index() as u32
    }

    /// The decrement of the time to live at this device.
    #[inline(always)]
    pub(crate) fn hops_counted(&self) -> u8 {
        u8::from(self.is_router)
    }

    /// The port of a packet that is certainly forwarded, if a quick look-up finds it; otherwise
    /// [`forward`](At::forward) computes it. A router checks the time to live.
    #[inline(always)]
    pub(crate) fn known_port<const ROUTER: bool>(&self, packet: &Packet) -> Option<PortId> {
        let entry = *self.entries.get(packet.way.column as usize)?;
        let port = if entry < Tables::SET { entry } else { self.choose(entry, packet) };
        (port != NONE && (!ROUTER || packet.ttl > 1)).then(|| PortId::new(port as usize))
    }

    /// The port of a packet whose entry has several ports, or the port to its host.
    #[inline]
    fn choose(&self, entry: u32, packet: &Packet) -> u32 {
        let class = &self.pfm.classes[packet.way.class as usize];
        match entry {
            Tables::NONE => NONE,
            Tables::HERE => class.access_port,
            _ => self.pfm.pick(class, self.device, packet, self.pfm.tables.set(entry)).index() as u32,
        }
    }

    /// As [`Pfm::forward`], without decrementing the time to live by [`hops_counted`](At::hops_counted).
    #[inline(always)]
    pub(crate) fn forward(&self, flows: &Flows, packet: &Packet) -> Result<PortId, DropReason> {
        match self.known_port::<true>(packet) {
            Some(port) => Ok(port),
            None => self.work_out(flows, packet),
        }
    }

    fn work_out(&self, flows: &Flows, packet: &Packet) -> Result<PortId, DropReason> {
        let class = self.pfm.class(packet.fid);
        let port = match self.entry(class) {
            _ if self.pfm.rule(class, self.device).is_some() => {
                self.by_rule(flows, class, packet).ok_or(DropReason::NoRoute)?
            }
            Entry::None => return Err(DropReason::NoRoute),
            Entry::Port(port) => port,
            Entry::Several(several) => self.pfm.pick(class, self.device, packet, several),
        };
        let expires = self.is_router && packet.ttl <= 1;
        if expires { Err(DropReason::TtlExpired) } else { Ok(port) }
    }

    /// The port chosen by a rule. A port of another device counts as no route.
    fn by_rule(&self, flows: &Flows, class: &Class, packet: &Packet) -> Option<PortId> {
        let rule = self.pfm.rule(class, self.device)?;
        let best = self.best(class);
        let choice = choice(flows, self.device, packet, &best);
        let port = rule.choose(&choice)?;
        debug_assert!(
            rule.ways(&choice).contains(&port),
            "a forwarding rule chose a port that is not among its candidates"
        );
        (self.pfm.topology.port(port).device == self.device).then_some(port)
    }

    /// The egress ports of a class on shortest paths.
    fn best(&self, class: &Class) -> Vec<PortId> {
        match self.entry(class) {
            Entry::None => Vec::new(),
            Entry::Port(port) => vec![port],
            Entry::Several(several) => several.ports.to_vec(),
        }
    }

    /// The port that an explicit path or a static route prescribes for a class.
    fn prescribed(&self, class: &Class) -> Option<PortId> {
        if class.prescribed == NONE {
            return None;
        }
        let ports = self.pfm.prescribed[class.prescribed as usize].iter();
        ports.into_iter().find(|(at, _)| *at == self.device).map(|(_, port)| *port)
    }

    /// The egress port or ports of a class.
    fn entry(&self, class: &Class) -> Entry<'_> {
        if let Some(port) = self.prescribed(class) {
            return Entry::Port(port);
        }
        if class.access == self.device.index() as u32 {
            return Entry::Port(PortId::new(class.access_port as usize));
        }
        self.pfm.tables.entry(self.pfm.tables.row(self.device), class.column)
    }
}

/// The candidates of a rule.
fn choice<'a>(
    flows: &'a Flows,
    device: DeviceId,
    packet: &'a Packet,
    best: &'a [PortId],
) -> ForwardingChoice<'a> {
    let flow = flows.key(packet.fid).expect("the flow of a packet is known");
    ForwardingChoice { device, flow, flow_hash: flow_hash(&flow), packet, best }
}

/// Whether tables with a column per host fit the cache: those of switches and routers, and those including
/// hosts.
fn sizes(topology: &Topology) -> (bool, bool) {
    const LARGEST: usize = 1 << 16;
    let is_host = |device: &DeviceNode| device.kind == DeviceKind::Host;
    let hosts = topology.devices().filter(|(_, device)| is_host(device)).count();
    let is_small = |rows: usize| topology.forwarding().rule.is_none() && hosts * rows <= LARGEST;
    (is_small(topology.devices().len() - hosts), is_small(topology.devices().len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A star with thousands of hosts must not need millions of entries: a host with one link has a table
    /// only if all tables are small.
    #[test]
    fn hosts_have_tables_in_small_networks_alone() {
        for (hosts, entries) in [(4, 2), (300, 0)] {
            let text = format!(
                "name = \"t\"\ndefaults.link = {{ bandwidth = \"1 Gbps\" }}\n[generate]\nkind = \"star\"\nhosts = {hosts}\n"
            );
            let topology = Arc::new(Topology::from_toml("t.toml", &text).unwrap());
            let mut pfm = Pfm::new(Arc::clone(&topology), 1);
            let of_host = |host: DeviceId| topology.device(host).addresses[0].addr();
            let ids: Vec<DeviceId> = topology
                .devices()
                .filter(|(_, device)| device.kind == DeviceKind::Host)
                .map(|(id, _)| id)
                .collect();
            let (from, to) = (ids[0], ids[hosts - 1]);
            let key =
                FlowKey::Ip { source: of_host(from), destination: of_host(to), protocol: 17, ports: None };
            let fid = pfm.add_flow(&key);
            assert_eq!(pfm.tables.own_row(from).len(), entries, "{hosts}");
            let mut flows = Flows::default();
            flows.add(key);
            assert_eq!(pfm.path(&flows, fid, from).ports.len(), 2, "{hosts}");
        }
    }
}
