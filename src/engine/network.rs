//! Shared by both engines: the feeders of each device, their order at one instant, and the next hop.

use std::collections::VecDeque;
use std::sync::Arc;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::contract::{CHECKED, Checked};
use super::observer::Observer;
use super::told::Telling;
use super::{EngineError, Hosted, Injection, InjectionPoint, Settings, Workload};
use crate::flow::Flows;
use crate::impairment::Impairment;
use crate::link::Transmission;
use crate::packet::{DropReason, FlowKey, Packet, Tau};
use crate::pfm::{At, Pfm};
use crate::ptm::{FifoSpec, Lindley, Place, Ptm, PtmSpec};
use crate::topology::{DeviceId, DeviceKind, DirectedLink, PortId, Topology};
use crate::units::{ByteCount, Span, Time, Timestamp};

/// A network and its flows.
pub(super) struct Network {
    pub topology: Arc<Topology>,
    pub pfm: Pfm,
    pub flows: Flows,
    /// By device.
    pub nodes: Vec<Node>,
    /// By number: one feeder per egress port, whose link brings packets, then one per source.
    pub feeders: Vec<Feeder>,
    /// By feeder: its rank among the feeders that bring a packet at one instant, or [`NO_TURN`].
    pub turns: Vec<u32>,
    /// By port: its rank among the feeders, if it decides after the arrivals of an instant.
    decision_turns: Vec<Option<u32>>,
    /// By feeder: the maximum number of links without delay that its packets can pass at one instant.
    pub ranks: Vec<u32>,
    /// The last simulated instant.
    pub until: Time,
    /// The absolute time of the run's start.
    start: Timestamp,
    sources: u64,
    /// The sources that start packets onto a link.
    pub starting: Vec<usize>,
    /// By endpoint: the rank of its wake-up among the events of one instant.
    pub wake_turns: Vec<u32>,
}

/// The properties of a device that the engines read most often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub processing: Span,
    pub is_host: bool,
    /// Its first egress port. Its other ports follow.
    pub first_port: usize,
}

/// A feeder brings packets to a device: the link of an egress port, or a source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Feeder {
    /// The device.
    pub device: DeviceId,
    /// The number of the ingress port there; `u16::MAX` for packets that a host itself sends.
    pub in_port: u16,
    /// The time between a packet's ingress and its joining a PTM. A host takes its own packets without delay.
    pub processing: Span,
}

/// The kind of an endpoint's sending in an [`Order`].
const SENDING: u8 = 4;
/// The kind of an endpoint's wake-up in an [`Order`].
const WAKING: u8 = 5;

/// The rank of a feeder without events.
pub(super) const NO_TURN: u32 = u32::MAX;

/// The order of feeders at one instant. Packets over links without delay follow the packets that can have
/// caused them. Then the order is by device and ingress port, with the link before packets injected there.
/// Packets that the host itself sends come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    /// The maximum number of links without delay that can have been passed at this instant.
    rank: u32,
    device: DeviceId,
    in_port: u16,
    kind: u8,
    source: usize,
}

/// The next step of a packet at a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landing {
    /// It has reached its destination.
    Home,
    /// It is lost.
    Lost(DropReason),
    /// It joins the PTM of this port.
    Joins(PortId),
}

/// A running egress port.
pub(super) struct Egress {
    pub device: DeviceId,
    pub service: Service,
    pub wire: Wire,
    /// Its rank at one instant, if it decides after the arrivals ([`Ptm::decides_last`]).
    pub decision_turn: Option<u32>,
    /// Whether an endpoint sends through it and receives the departures of its packets.
    pub tells_endpoint: bool,
}

impl Egress {
    /// Whether a packet can leave later than it arrived.
    pub fn holds(&self) -> bool {
        !matches!(self.service, Service::Lindley(_)) || self.wire.transmission(1) > Span::ZERO
    }
}

/// The running traffic management of a port.
pub(super) enum Service {
    /// The bare Lindley recursion of a `fifo` that never drops. Most ports use it, so it is built in.
    Lindley(Lindley),
    /// Any other traffic management.
    Model(Box<dyn Ptm>),
}

impl Service {
    fn new(spec: &PtmSpec, place: &Place<'_>) -> Self {
        match spec {
            PtmSpec::Fifo(FifoSpec { buffer: None }) => Service::Lindley(Lindley::new(&place.link)),
            _ if CHECKED => Service::Model(Box::new(Checked::new(spec.build(place), place.port))),
            _ => Service::Model(spec.build(place)),
        }
    }

    /// When the next waiting packet leaves, if that is already decided.
    #[inline]
    pub fn next_departure(&self) -> Option<Time> {
        match self {
            Service::Lindley(_) => None,
            Service::Model(ptm) => ptm.next_departure(),
        }
    }

    /// The packets whose departure is not decided yet.
    pub fn waiting(&self) -> Vec<Tau> {
        match self {
            Service::Lindley(_) => Vec::new(),
            Service::Model(ptm) => ptm.waiting(),
        }
    }
}

/// A running link.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    transmission: Transmission,
    propagation: Span,
    /// When the last packet arrives. No packet arrives before it, unless the impairment reorders.
    last: Time,
    impairment: Option<Box<Impairment>>,
}

impl Wire {
    fn new(topology: &Topology, port: PortId, seed: u64) -> Self {
        let DirectedLink { link, impairment, .. } = topology.link(topology.port(port).egress);
        let impairment = Impairment::new(impairment, seed, &topology.port_name(port));
        Wire {
            transmission: Transmission::new(link),
            propagation: link.propagation_delay(),
            last: Time::ZERO,
            impairment: impairment.map(Box::new),
        }
    }

    /// The minimum delay: that of a packet of one byte.
    pub fn least_delay(&self) -> Span {
        self.transmission.time(1) + self.propagation
    }

    /// When a packet whose first bit starts at `start` has arrived in full; `None` if the link loses it.
    #[inline]
    pub fn carry(&mut self, packet: &Packet, start: Time) -> Option<Time> {
        let mut arrival = start + self.transmission.time(packet.length) + self.propagation;
        if let Some(impairment) = &self.impairment {
            arrival = arrival + impairment.pass(packet.pid)?;
            if !impairment.keeps_order() {
                return Some(arrival);
            }
        }
        self.last = self.last.max(arrival);
        Some(self.last)
    }

    /// The transmission time of a packet.
    #[inline]
    pub fn transmission(&self, length: u32) -> Span {
        self.transmission.time(length)
    }

    /// The propagation delay.
    #[inline]
    pub fn propagation(&self) -> Span {
        self.propagation
    }

    /// Whether the link loses or delays packets at random.
    #[inline]
    pub fn is_impaired(&self) -> bool {
        self.impairment.is_some()
    }

    /// Whether a packet may arrive before one that started earlier.
    #[inline]
    pub fn breaks_order(&self) -> bool {
        self.impairment.as_ref().is_some_and(|impairment| !impairment.keeps_order())
    }
}

/// On a reordering link, moves the last packet before those that arrive after it. Returns its position.
#[cold]
pub(super) fn overtake(packets: &mut VecDeque<Tau>) -> usize {
    let mut place = packets.len() - 1;
    while place > 0 && packets[place - 1].timestamp > packets[place].timestamp {
        packets.swap(place - 1, place);
        place -= 1;
    }
    place
}

impl Network {
    /// # Errors
    /// A closed loop has no delay, or a host has two endpoints.
    pub fn new(
        topology: Arc<Topology>,
        workload: &Workload,
        until: Time,
        settings: &Settings,
    ) -> Result<Self, EngineError> {
        let Workload { injections, endpoints } = workload;
        let answers = answering(&topology, endpoints)?;
        let nodes = topology
            .devices()
            .map(|(_, device)| Node {
                processing: device.processing,
                is_host: device.kind == DeviceKind::Host,
                first_port: device.ports.first().map_or(0, |port| port.index()),
            })
            .collect::<Vec<_>>();
        let hosts: Vec<DeviceId> = endpoints.iter().map(|endpoint| endpoint.host).collect();
        let ranks = ranks(&topology, injections, &answers);
        let (mut feeders, orders): (Vec<Feeder>, Vec<Order>) =
            feeders(&topology, &nodes, injections, &hosts, &ranks).into_iter().unzip();
        // An endpoint's packets join the port of its host at once, if the host has no processing delay.
        let has_events =
            |order: &Order| order.kind != SENDING || nodes[order.device.index()].processing > Span::ZERO;
        let (mut turns, decision_turns) = turns(&topology, &orders, &answers, has_events);
        // The last feeders represent only the endpoints' own events.
        let wakes = feeders.len() - hosts.len();
        let wake_turns = turns.split_off(wakes);
        feeders.truncate(wakes);
        Ok(Network {
            pfm: Pfm::new(Arc::clone(&topology), settings.seed),
            topology,
            flows: Flows::default(),
            nodes,
            turns,
            decision_turns,
            ranks: orders[..feeders.len()].iter().map(|order| order.rank).collect(),
            until,
            start: settings.start,
            sources: (injections.len() + hosts.len()) as u64,
            starting: (0..injections.len())
                .filter(|source| matches!(injections[*source].at, InjectionPoint::Egress(_)))
                .collect(),
            wake_turns,
            feeders,
        })
    }

    /// The egress ports, idle.
    pub fn egress_ports(&self, seed: u64) -> impl Iterator<Item = Egress> + use<'_> {
        self.topology.ports().map(move |(id, port)| {
            let link = self.topology.link(port.egress).link;
            let name = self.topology.port_name(id);
            let service = Service::new(&port.ptm, &Place { link, seed, port: &name, start: self.start });
            let decision_turn = self.decision_turns[id.index()];
            let wire = Wire::new(&self.topology, id, seed);
            Egress { device: port.device, service, wire, decision_turn, tells_endpoint: false }
        })
    }

    /// The link of a port, idle.
    pub fn wire(&self, port: PortId, seed: u64) -> Wire {
        Wire::new(&self.topology, port, seed)
    }

    /// The pid of a source's `record`th packet.
    #[inline]
    pub fn pid(&self, source: usize, record: u64) -> u64 {
        record * self.sources + source as u64
    }

    /// Assigns the ids of the `record`th packet of a source, which belongs to the run's flow `fid`.
    #[inline]
    pub fn identify(&self, packet: &mut Packet, source: usize, record: u64, fid: u32) {
        packet.fid = fid;
        packet.way = self.pfm.way(fid);
        packet.pid = self.pid(source, record);
        packet.in_port = self.feeders[self.feeder_of(source)].in_port;
    }

    /// The source of a packet, and the packet's number there.
    #[inline]
    pub fn source_of(&self, pid: u64) -> (usize, u64) {
        ((pid % self.sources) as usize, pid / self.sources)
    }

    /// When the event of a source's packet occurs: its ingress plus processing delay. Packets that start onto
    /// a link do so at once.
    #[inline]
    pub fn event_time(&self, at: InjectionPoint, source: usize, emission: Time) -> Time {
        match at {
            InjectionPoint::Egress(_) => emission,
            _ => emission + self.feeders[self.feeder_of(source)].processing,
        }
    }

    /// A source's rank among the events of one instant. Sources that start packets onto a link come first,
    /// because they can cause an arrival at the same instant; the others are ordered with the feeders.
    pub fn source_turn(&self, source: usize) -> u32 {
        match self.starting.binary_search(&source) {
            Ok(place) => place as u32,
            Err(_) => self.starting.len() as u32 + self.turns[self.feeder_of(source)],
        }
    }

    /// The feeder of a source.
    #[inline]
    pub fn feeder_of(&self, source: usize) -> usize {
        self.nodes_ports() + source
    }

    #[inline]
    fn nodes_ports(&self) -> usize {
        self.feeders.len() - self.sources as usize
    }

    /// Adds a flow that enters at a place, and reports it to the observer if it is new. `class` is its
    /// forwarding class, if known.
    ///
    /// # Errors
    /// Its packets would never leave a forwarding loop.
    pub fn add_flow<O: Observer, const WATCHES: bool>(
        &mut self,
        at: InjectionPoint,
        key: FlowKey,
        class: Option<u32>,
        telling: &mut Telling<'_, O, WATCHES>,
    ) -> Result<u32, EngineError> {
        let (fid, new) = self.flows.add(key);
        if new {
            let class = class.unwrap_or_else(|| self.pfm.class_of_key(&key));
            self.pfm.push_flow(&key, class);
            telling.flow(fid, &key);
            telling.check()?;
        }
        if self.pfm.is_prescribed(fid) {
            let path = self.pfm.path(&self.flows, fid, self.first_device(at));
            if path.endless {
                let ports: Vec<String> =
                    path.ports.iter().map(|port| self.topology.port_name(*port)).collect();
                return Err(EngineError::EndlessPath { flow: key.to_string(), ports: ports.join(" > ") });
            }
        }
        Ok(fid)
    }

    /// The egress ports that a flow's packets may pass after entering at `at`.
    pub fn path(&self, fid: u32, at: InjectionPoint) -> Vec<PortId> {
        let mut ports = self.pfm.path(&self.flows, fid, self.first_device(at)).ports;
        if let InjectionPoint::Egress(port) = at {
            ports.insert(0, port);
        }
        ports
    }

    /// The first device of a source's packets.
    fn first_device(&self, at: InjectionPoint) -> DeviceId {
        match at {
            InjectionPoint::Ingress(port) => self.topology.port(port).device,
            InjectionPoint::Host(host) => host,
            InjectionPoint::Egress(port) => self.feeders[port.index()].device,
        }
    }

    /// The port of a host with a single port.
    pub fn only_way_out(&self, device: DeviceId) -> Option<PortId> {
        match self.topology.device(device).ports[..] {
            [port] if self.nodes[device.index()].is_host => Some(port),
            _ => None,
        }
    }

    /// Whether the packets of a feeder are certain to be forwarded, if there is a path. Packets that reach a
    /// host end there, and a router may drop packets whose time to live has expired.
    pub fn forwards(&self, feeder: usize) -> bool {
        let Feeder { device, .. } = self.feeders[feeder];
        let ends = self.landing(&self.feeders[feeder]).is_end();
        !ends && self.topology.device(device).kind != DeviceKind::Router
    }

    /// The port that every packet of a flow joins at a feeder's device, if there is only one.
    pub fn only_port(&self, feeder: usize, fid: u32) -> Option<PortId> {
        let Feeder { device, .. } = self.feeders[feeder];
        if !self.forwards(feeder) {
            return None;
        }
        let (mut port, mut ports) = (None, 0);
        self.pfm.ways(&self.flows, fid, device, &mut |way| {
            port = Some(way);
            ports += 1;
        });
        port.filter(|_| ports == 1)
    }

    /// The handling of packets at a feeder's device.
    #[inline]
    pub fn landing(&self, feeder: &Feeder) -> LandingPlace<'_> {
        LandingPlace {
            flows: &self.flows,
            at: self.pfm.at(feeder.device),
            // A host forwards its own packets, and keeps those of others.
            takes: feeder.in_port != u16::MAX && self.nodes[feeder.device.index()].is_host,
        }
    }
}

/// A feeder's device, as packets reach it.
pub(super) struct LandingPlace<'a> {
    flows: &'a Flows,
    at: At<'a>,
    takes: bool,
}

impl LandingPlace<'_> {
    /// Whether a packet ends here, delivered or lost.
    #[inline]
    pub fn is_end(&self) -> bool {
        self.takes
    }

    /// Whether a packet that ends here has reached its destination.
    #[inline(always)]
    pub fn is_home(&self, packet: &Packet) -> bool {
        self.at.is_home(packet)
    }

    /// The amount by which the device reduces the time to live of forwarded packets.
    #[inline(always)]
    pub fn hops_counted(&self) -> u8 {
        self.at.hops_counted()
    }

    /// The port of a packet that is certain to be forwarded, if it is found without a search.
    #[inline(always)]
    pub fn known_port<const ROUTER: bool>(&self, packet: &Packet) -> Option<PortId> {
        self.at.known_port::<ROUTER>(packet)
    }

    /// The next step of a packet. If it joins a PTM, its time to live is reduced by [`At::hops_counted`].
    #[inline(always)]
    pub fn land(&self, packet: &Packet) -> Landing {
        if self.takes {
            return if self.is_home(packet) { Landing::Home } else { Landing::Lost(DropReason::NoRoute) };
        }
        match self.at.forward(self.flows, packet) {
            Ok(port) => Landing::Joins(port),
            Err(reason) => Landing::Lost(reason),
        }
    }
}

/// By device: whether it has an endpoint, which reacts to arriving packets.
///
/// # Errors
/// A device has two endpoints, or a reaction could return at the instant of its cause.
fn answering(topology: &Topology, endpoints: &[Hosted]) -> Result<Vec<bool>, EngineError> {
    let mut answers = vec![false; topology.devices().len()];
    for endpoint in endpoints {
        if std::mem::replace(&mut answers[endpoint.host.index()], true) {
            return Err(EngineError::TwoEndpoints { host: topology.device(endpoint.host).name.clone() });
        }
    }
    let into_endpoint = |port: &PortId| {
        let far = topology.link(topology.port(*port).egress).to;
        answers[topology.port(far).device.index()]
    };
    let cycles = instant_cycles(topology, &answers);
    match cycles.into_iter().flatten().filter(into_endpoint).min() {
        Some(port) => Err(EngineError::InstantLoop { port: topology.port_name(port) }),
        None => Ok(answers),
    }
}

/// The feeders of a network: ports, sources, `endpoints`, and the endpoints once more for their own events.
fn feeders(
    topology: &Topology,
    nodes: &[Node],
    injections: &[Injection],
    endpoints: &[DeviceId],
    ranks: &[u32],
) -> Vec<(Feeder, Order)> {
    let into = |port: PortId, rank: u32, kind: u8, source: usize| {
        let end = topology.port(port);
        let node = &nodes[end.device.index()];
        let processing = if node.is_host { Span::ZERO } else { node.processing };
        (
            Feeder { device: end.device, in_port: end.number, processing },
            Order { rank, device: end.device, in_port: end.number, kind, source },
        )
    };
    let from_host = |device: DeviceId, rank: u32, kind: u8, source: usize| {
        (
            Feeder { device, in_port: u16::MAX, processing: nodes[device.index()].processing },
            Order { rank, device, in_port: u16::MAX, kind, source },
        )
    };
    let far_end = |port: PortId| topology.link(topology.port(port).egress).to;
    let links = topology.ports().map(|(port, _)| into(far_end(port), ranks[port.index()], 0, 0));
    let sources = injections.iter().enumerate().map(|(source, injection)| match injection.at {
        InjectionPoint::Egress(port) => into(far_end(port), u32::from(is_instant(topology, port)), 1, source),
        InjectionPoint::Ingress(port) => into(port, 0, 2, source),
        InjectionPoint::Host(device) => from_host(device, 0, 3, source),
    });
    // At one instant an endpoint follows all possible arrivals at it.
    let mut rank_of = vec![0; nodes.len()];
    for (port, _) in topology.ports() {
        let rank: &mut u32 = &mut rank_of[topology.port(far_end(port)).device.index()];
        *rank = ranks[port.index()].max(*rank);
    }
    let hosted = |kind: u8| {
        let (rank_of, from_host) = (&rank_of, &from_host);
        let place = move |(number, host): (usize, &DeviceId)| {
            from_host(*host, rank_of[host.index()], kind, injections.len() + number)
        };
        endpoints.iter().enumerate().map(place)
    };
    let hosted = hosted(SENDING).chain(hosted(WAKING)).collect::<Vec<_>>();
    links.chain(sources).chain(hosted).collect()
}

/// Whether a packet (of one byte or more) that starts at `port` joins a PTM at the next device at once.
fn is_instant(topology: &Topology, port: PortId) -> bool {
    let directed = topology.link(topology.port(port).egress);
    let device = topology.device(topology.port(directed.to).device);
    let processed = device.kind != DeviceKind::Host && device.processing > Span::ZERO;
    let travels = directed.link.transmission_time(ByteCount::new(1)) + directed.link.propagation_delay();
    travels == Span::ZERO && !processed
}

/// A port on a cycle that a packet could pass in zero time, if there is one.
pub(super) fn instant_cycle(topology: &Topology) -> Option<PortId> {
    let answers = vec![false; topology.devices().len()];
    instant_cycles(topology, &answers).into_iter().flatten().min()
}

/// The cycles that packets and reactions could pass in zero time. `answers`: whether each device reacts.
fn instant_cycles(topology: &Topology, answers: &[bool]) -> Vec<Vec<PortId>> {
    let instant: Vec<bool> = topology.ports().map(|(port, _)| is_instant(topology, port)).collect();
    let mut graph: DiGraph<(), ()> = DiGraph::new();
    for _ in &instant {
        graph.add_node(());
    }
    for (port, _) in topology.ports().filter(|(port, _)| instant[port.index()]) {
        for next in causes(topology, port, answers).filter(|next| instant[next.index()]) {
            graph.add_edge(NodeIndex::new(port.index()), NodeIndex::new(next.index()), ());
        }
    }
    let on_cycle = |cycle: &Vec<NodeIndex>| cycle.len() > 1 || graph.contains_edge(cycle[0], cycle[0]);
    let cycles = kosaraju_scc(&graph).into_iter().filter(on_cycle);
    cycles.map(|cycle| cycle.into_iter().map(|port| PortId::new(port.index())).collect()).collect()
}

/// The egress ports where packets from the link of `port` continue, or cause others.
fn causes<'a>(topology: &'a Topology, port: PortId, answers: &[bool]) -> impl Iterator<Item = PortId> + 'a {
    let far = topology.link(topology.port(port).egress).to;
    let device = topology.port(far).device;
    let answering: &[PortId] = if answers[device.index()] { &topology.device(device).ports } else { &[] };
    successors(topology, port).chain(answering.iter().copied())
}

/// The egress ports that packets from the link of `port` can take: all but the way back.
pub(super) fn successors(topology: &Topology, port: PortId) -> impl Iterator<Item = PortId> + '_ {
    let far = topology.link(topology.port(port).egress).to;
    let device = topology.device(topology.port(far).device);
    let forwarding = topology.forwarding();
    let turns_back = !device.routes.is_empty() || !forwarding.paths.is_empty() || forwarding.rule.is_some();
    let forwards = device.kind != DeviceKind::Host;
    device.ports.iter().copied().filter(move |next| forwards && (turns_back || *next != far))
}

/// By port: the maximum number of links without delay that a packet can pass at one instant, including the
/// port's own; 0 for a link with a delay. On a cycle of such links the ranks are fixed.
fn ranks(topology: &Topology, injections: &[Injection], answers: &[bool]) -> Vec<u32> {
    let instant: Vec<bool> = topology.ports().map(|(port, _)| is_instant(topology, port)).collect();
    let mut ranks: Vec<u32> = instant.iter().map(|instant| u32::from(*instant)).collect();
    // A packet that a source starts onto a link can turn back at once.
    for injection in injections {
        if let InjectionPoint::Egress(port) = injection.at
            && instant[port.index()]
        {
            let back = topology.link(topology.port(port).egress).to;
            ranks[back.index()] = if instant[back.index()] { 2 } else { 0 };
        }
    }
    // Longest paths in depth-first order: predecessors first.
    for port in reverse_postorder(topology, &instant, answers) {
        for next in causes(topology, port, answers).filter(|next| instant[next.index()]) {
            ranks[next.index()] = ranks[next.index()].max(ranks[port.index()] + 1);
        }
    }
    ranks
}

/// The ranks of feeders, and of the ports that decide last. Such a port follows all feeders with the ranks of
/// those that lead to it, and precedes feeders with higher ranks: its packets arrive over links without delay
/// at the same instant. Feeders without events have [`NO_TURN`].
fn turns(
    topology: &Topology,
    orders: &[Order],
    answers: &[bool],
    has_events: impl Fn(&Order) -> bool,
) -> (Vec<u32>, Vec<Option<u32>>) {
    let mut feeders: Vec<usize> = (0..orders.len()).filter(|feeder| has_events(&orders[*feeder])).collect();
    feeders.sort_by_key(|feeder| orders[*feeder]);
    let mut decisions = decisions(topology, orders, answers).into_iter().peekable();
    let mut turns = vec![NO_TURN; orders.len()];
    let mut decision_turns = vec![None; topology.ports().len()];
    let mut next = 0..;
    for feeder in feeders {
        while let Some((_, port)) = decisions.next_if(|(rank, _)| *rank < orders[feeder].rank) {
            decision_turns[port.index()] = next.next();
        }
        turns[feeder] = next.next().unwrap_or(NO_TURN);
    }
    for (_, port) in decisions {
        decision_turns[port.index()] = next.next();
    }
    (turns, decision_turns)
}

/// The ports that decide last, each with the maximum rank of the links and sources that lead to it, in this
/// order. The orders of the links come first.
fn decisions(topology: &Topology, orders: &[Order], answers: &[bool]) -> Vec<(u32, PortId)> {
    let mut ranks: Vec<Option<u32>> =
        topology.ports().map(|(_, port)| port.ptm.decides_last().then_some(0)).collect();
    if ranks.iter().all(Option::is_none) {
        return Vec::new();
    }
    for (port, _) in topology.ports() {
        for next in causes(topology, port, answers) {
            ranks[next.index()] = ranks[next.index()].map(|rank| rank.max(orders[port.index()].rank));
        }
    }
    // A packet from a source can leave by any port, and turn back.
    for source in &orders[topology.ports().len()..] {
        for port in &topology.device(source.device).ports {
            ranks[port.index()] = ranks[port.index()].map(|rank| rank.max(source.rank));
        }
    }
    let decides = |(port, rank): (usize, Option<u32>)| Some((rank?, PortId::new(port)));
    let mut decisions: Vec<(u32, PortId)> = ranks.into_iter().enumerate().filter_map(decides).collect();
    decisions.sort();
    decisions
}

/// The ports with a zero-delay link, each before those that it leads to, except on cycles.
fn reverse_postorder(topology: &Topology, instant: &[bool], answers: &[bool]) -> Vec<PortId> {
    let mut seen = vec![false; instant.len()];
    let mut order = Vec::new();
    for (root, _) in topology.ports().filter(|(port, _)| instant[port.index()]) {
        let mut stack = vec![(root, false)];
        while let Some((port, finished)) = stack.pop() {
            if finished {
                order.push(port);
            } else if !std::mem::replace(&mut seen[port.index()], true) {
                stack.push((port, true));
                stack.extend(
                    causes(topology, port, answers)
                        .filter(|next| instant[next.index()])
                        .map(|next| (next, false)),
                );
            }
        }
    }
    order.reverse();
    order
}
