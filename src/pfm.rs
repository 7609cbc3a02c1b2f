//! Packet forwarding: which egress port a packet takes.
//!
//! The destination address names a host by its longest matching prefix. A device sends towards that host along a
//! cheapest path ([`Weight`](crate::topology::Weight)); [`Multipath`] says which of several equally good ports. An explicit path
//! that fits the flow comes first, then a static route of the device for the address, then the rule of another crate
//! ([`ForwardingRule`]), if there is one. Hosts forward nothing, so that no path leads through one.

mod addresses;
mod tables;

pub use addresses::Addresses;

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::flow::Flows;
use crate::packet::{DropReason, FlowKey, Packet};
use crate::random::Draws;
use crate::topology::{
    DeviceId, DeviceKind, ExplicitPath, ForwardingChoice, ForwardingRule, Multipath, PortId, Topology,
};
use tables::{Entry, Several, Tables};

/// The forwarding of a whole topology: every device's tables, and where each flow goes.
///
/// Tables are made when a flow first asks for its destination. Hosts on one access switch share a column of them:
/// `[devices, access switches in use]` entries.
pub struct Pfm {
    topology: Arc<Topology>,
    addresses: Addresses,
    tables: Tables,
    classes: Vec<Class>,
    /// The ports that explicit paths and static routes prescribe, by device.
    prescribed: Vec<Box<[(DeviceId, PortId)]>>,
    class_of: FxHashMap<ClassKey, u32>,
    /// Per flow: its class.
    flows: Vec<u32>,
    /// Per device and class: the port, where a flow of the class was followed and the packet has no say in it.
    resolved: Vec<Vec<u32>>,
    routers: Vec<bool>,
    /// The devices that have static routes.
    routed: Vec<DeviceId>,
    multipath: Multipath,
    /// Per device: how it picks one of several ports.
    draws: Vec<Draws>,
}

/// Flows that are forwarded alike.
#[derive(Debug, Clone, Copy)]
struct Class {
    /// The destination; [`NONE`] without one.
    host: u32,
    /// Where the destination hangs, for one with a single link, and the port there.
    access: u32,
    access_port: u32,
    /// The column of the tables; [`Tables::NONE`] without a destination.
    column: u32,
    /// The destination's number among the hosts.
    number: u32,
    /// The number of the prescribed ports; [`NONE`] where there are none.
    prescribed: u32,
}

/// No device, or no prescribed ports.
const NONE: u32 = u32::MAX;

/// The forwarding of one device.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pfm: &'a Pfm,
    device: DeviceId,
    /// Per flow: its class.
    flows: &'a [u32],
    resolved: &'a [u32],
    is_router: bool,
}

type ClassKey = (Option<DeviceId>, Box<[(DeviceId, PortId)]>);

/// The way of a flow through the network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    /// The egress ports that its packets may pass, in the order in which they are first reached.
    pub ports: Vec<PortId>,
    /// The way comes back to one of its devices, and no router on the cycle would stop it.
    pub endless: bool,
}

impl Pfm {
    /// The forwarding of `topology`, with no flow yet, in a run of this seed.
    pub fn new(topology: impl Into<Arc<Topology>>, seed: u64) -> Self {
        let topology = topology.into();
        let multipath = topology.forwarding().multipath;
        let draws = match multipath {
            Multipath::Ecmp | Multipath::Spray => {
                topology.devices().map(|(_, device)| Draws::new(seed, "multipath", &device.name)).collect()
            }
            Multipath::LowestPort | Multipath::DModK => Vec::new(),
        };
        Pfm {
            addresses: Addresses::new(&topology),
            tables: Tables::new(&topology),
            classes: Vec::new(),
            prescribed: Vec::new(),
            class_of: FxHashMap::default(),
            flows: Vec::new(),
            resolved: vec![Vec::new(); topology.devices().len()],
            routers: topology.devices().map(|(_, device)| device.kind == DeviceKind::Router).collect(),
            routed: topology
                .devices()
                .filter_map(|(id, device)| (!device.routes.is_empty()).then_some(id))
                .collect(),
            multipath,
            draws,
            topology: Arc::clone(&topology),
        }
    }

    /// The host with the longest prefix that holds `address`.
    pub fn host_of(&self, address: std::net::IpAddr) -> Option<DeviceId> {
        self.addresses.host_of(address)
    }

    /// Takes in the next flow: `fid` counts up from 0 with each call.
    ///
    /// # Complexity
    /// O(links x log devices) for the first flow to an access switch, else O(static routes + explicit paths).
    pub fn add_flow(&mut self, key: &FlowKey) -> u32 {
        let fid = u32::try_from(self.flows.len()).expect("fewer than 2^32 flows");
        let host = key.destination_address().and_then(|address| self.addresses.host_of(address));
        let class_key = (host, self.prescribed(key));
        let class = match self.class_of.get(&class_key) {
            Some(class) => *class,
            None => self.add_class(class_key),
        };
        self.flows.push(class);
        fid
    }

    fn add_class(&mut self, key: ClassKey) -> u32 {
        let (host, prescribed) = key.clone();
        let access = host.and_then(|host| self.tables.access(host));
        let class = Class {
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
        self.classes.push(class);
        let class = self.classes.len() as u32 - 1;
        self.class_of.insert(key, class);
        class
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

    /// Whether the flow's packets have arrived once they reach `device`.
    #[inline]
    pub fn ends_at(&self, fid: u32, device: DeviceId) -> bool {
        self.class(fid).host == device.index() as u32
    }

    /// The host that the flow's packets go to, if there is one.
    pub fn destination(&self, fid: u32) -> Option<DeviceId> {
        let host = self.class(fid).host;
        (host != NONE).then(|| DeviceId::new(host as usize))
    }

    #[inline]
    fn class(&self, fid: u32) -> &Class {
        &self.classes[self.flows[fid as usize] as usize]
    }

    /// The egress port of `packet` at `device`; takes one from its time to live at a router.
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
        let port = at.forward(flows, packet)?;
        packet.ttl -= at.hops_counted();
        Ok(port)
    }

    /// The forwarding of one device.
    #[inline]
    pub(crate) fn at(&self, device: DeviceId) -> At<'_> {
        At {
            pfm: self,
            device,
            flows: &self.flows,
            resolved: &self.resolved[device.index()],
            is_router: self.routers[device.index()],
        }
    }

    #[inline]
    fn pick(
        &self,
        flows: &Flows,
        class: &Class,
        device: DeviceId,
        packet: &Packet,
        several: &Several,
    ) -> PortId {
        let ports = &several.ports;
        let share = |bits: u64| ((u128::from(bits) * ports.len() as u128) >> 64) as usize;
        match self.multipath {
            Multipath::DModK => ports[(class.number / several.divisor) as usize % ports.len()],
            Multipath::LowestPort => ports[0],
            Multipath::Ecmp => ports[share(self.draws[device.index()].bits(flows.hash(packet.fid)))],
            Multipath::Spray => ports[share(self.draws[device.index()].bits(packet.pid))],
        }
    }

    /// Follows a flow from `device` on and keeps the port of its class at every switch, so that forwarding finds it at once.
    ///
    /// # Complexity
    /// O(devices on the way); a class that was followed from here costs one look-up.
    pub(crate) fn follow(&mut self, flows: &Flows, fid: u32, device: DeviceId) {
        let class = self.flows[fid as usize] as usize;
        let mut here = device;
        loop {
            let node = self.topology.device(here);
            if node.kind != DeviceKind::Host {
                let known = self.resolved[here.index()].get(class).is_some_and(|port| *port != NONE);
                if known || self.rule(self.class(fid), here).is_some() {
                    return;
                }
            } else if here != device || self.ends_at(fid, here) {
                return;
            }
            let port = match self.at(here).entry(self.class(fid)) {
                Entry::None => return,
                Entry::Port(port) => port,
                Entry::Several(_) if matches!(self.multipath, Multipath::Ecmp | Multipath::Spray) => return,
                Entry::Several(several) => {
                    let packet = Packet { fid, ..Packet::default() };
                    self.pick(flows, self.class(fid), here, &packet, several)
                }
            };
            if node.kind != DeviceKind::Host {
                let resolved = &mut self.resolved[here.index()];
                if resolved.len() <= class {
                    resolved.resize(class + 1, NONE);
                }
                resolved[class] = port.index() as u32;
            }
            here = self.topology.port(self.topology.link(self.topology.port(port).egress).to).device;
        }
    }

    /// Calls `visit` with every egress port that a flow's packets may take at `device`.
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
                visit(self.pick(flows, class, device, &packet, several));
            }
        }
    }

    /// Whether a flow's packets can come to one device on several ways, or again.
    pub(crate) fn may_meet(&self, fid: u32) -> bool {
        self.multipath == Multipath::Spray || self.is_prescribed(fid)
    }

    /// Whether explicit paths, static routes or a rule lead the flow, so that it may come back to a device.
    pub fn is_prescribed(&self, fid: u32) -> bool {
        self.class(fid).prescribed != NONE || self.topology.forwarding().rule.is_some()
    }

    /// The rule that chooses for a class at a device, where there is one and nothing else prescribes the port there. What a
    /// host sends goes by its link.
    fn rule(&self, class: &Class, device: DeviceId) -> Option<&dyn ForwardingRule> {
        let rule = self.topology.forwarding().rule.as_ref()?;
        let forwards = self.topology.device(device).kind != DeviceKind::Host;
        (forwards && self.at(device).prescribed(class).is_none()).then(|| rule.get())
    }

    /// The egress ports that a flow may pass from `device` on, up to its destination or to where it is lost.
    ///
    /// # Complexity
    /// O(devices and ports on the way).
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

    /// The flow reaches a device, and may go on from there.
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

/// The devices from where a flow enters to where a walk along its ways is.
#[derive(Default)]
struct Trail {
    /// Each with the ways that have not been taken yet, the next one last.
    steps: Vec<(DeviceId, Vec<PortId>)>,
    /// Per device on the trail: the routers before it.
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

    /// The ways from where the walk is.
    fn ahead(&mut self) -> Option<&mut Vec<PortId>> {
        self.steps.last_mut().map(|(_, ways)| ways)
    }

    fn back(&mut self) {
        if let (Some((device, _)), Some(is_router)) = (self.steps.pop(), self.routers.pop()) {
            self.routers_before.remove(&device);
            self.router_count -= u32::from(is_router);
        }
    }

    /// The routers from a device of the trail on; none for another device.
    fn routers_since(&self, device: DeviceId) -> Option<u32> {
        self.routers_before.get(&device).map(|before| self.router_count - before)
    }
}

impl At<'_> {
    /// Whether the flow's packets are at home here.
    #[inline]
    pub(crate) fn is_home(&self, fid: u32) -> bool {
        self.pfm.ends_at(fid, self.device)
    }

    /// What the device takes from the time to live of a packet that it forwards.
    #[inline(always)]
    pub(crate) fn hops_counted(&self) -> u8 {
        u8::from(self.is_router)
    }

    /// The port of a packet that is surely forwarded, if it is found at once; otherwise [`forward`](At::forward) works it out.
    /// The time to live counts at a router.
    #[inline(always)]
    pub(crate) fn known_port<const ROUTER: bool>(&self, packet: &Packet) -> Option<PortId> {
        let class = self.flows[packet.fid as usize];
        match self.resolved.get(class as usize) {
            Some(&port) if port != NONE && (!ROUTER || packet.ttl > 1) => Some(PortId::new(port as usize)),
            _ => None,
        }
    }

    /// As [`Pfm::forward`], but for the time to live: less by [`hops_counted`](At::hops_counted).
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
            Entry::Several(several) => self.pfm.pick(flows, class, self.device, packet, several),
        };
        let expires = self.is_router && packet.ttl <= 1;
        if expires { Err(DropReason::TtlExpired) } else { Ok(port) }
    }

    /// The port that a rule chooses. A port of another device is no route.
    fn by_rule(&self, flows: &Flows, class: &Class, packet: &Packet) -> Option<PortId> {
        let rule = self.pfm.rule(class, self.device)?;
        let best = self.best(class);
        let choice = choice(flows, self.device, packet, &best);
        let port = rule.choose(&choice)?;
        debug_assert!(
            rule.ways(&choice).contains(&port),
            "a forwarding rule chose a port that is not among its ways"
        );
        (self.pfm.topology.port(port).device == self.device).then_some(port)
    }

    /// The egress ports of a class on cheapest paths.
    fn best(&self, class: &Class) -> Vec<PortId> {
        match self.entry(class) {
            Entry::None => Vec::new(),
            Entry::Port(port) => vec![port],
            Entry::Several(several) => several.ports.to_vec(),
        }
    }

    /// The port that an explicit path or a static route prescribes to a class.
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

/// What a rule has to choose from.
fn choice<'a>(
    flows: &'a Flows,
    device: DeviceId,
    packet: &'a Packet,
    best: &'a [PortId],
) -> ForwardingChoice<'a> {
    let flow = flows.key(packet.fid).expect("the flow of a packet is known");
    ForwardingChoice { device, flow, flow_hash: flows.hash(packet.fid), packet, best }
}
