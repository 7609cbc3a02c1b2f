//! What both engines share: who feeds which device, in which order at one instant, and where packets go from there.

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
    /// Per device.
    pub nodes: Vec<Node>,
    /// One per egress port, whose link brings its packets, then one per source.
    pub feeders: Vec<Feeder>,
    /// Per feeder: its turn among those that bring a packet at one instant, or [`NO_TURN`].
    pub turns: Vec<u32>,
    /// Per port: its turn among them, where it decides last.
    decision_turns: Vec<Option<u32>>,
    /// Per feeder: how many links without delay its packets can have passed at one instant.
    pub ranks: Vec<u32>,
    /// The last instant that is simulated.
    pub until: Time,
    /// The absolute time of the run's start.
    start: Timestamp,
    sources: u64,
    /// The sources that start packets onto a link.
    pub starting: Vec<usize>,
    /// Per endpoint: its turn among the events of one instant, to be woken.
    pub wake_turns: Vec<u32>,
}

/// What the engines ask of a device all the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub processing: Span,
    pub is_host: bool,
    /// Its first egress port; the others follow.
    pub first_port: usize,
}

/// What brings packets to a device: the link of an egress port, or a source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Feeder {
    /// The device.
    pub device: DeviceId,
    /// The number of the ingress port there; `u16::MAX` for what a host itself sends.
    pub in_port: u16,
    /// Between the ingress of a packet and its joining a PTM there: a host takes its own packets at once.
    pub processing: Span,
}

/// The kind of what an endpoint sends, in an [`Order`].
const SENDING: u8 = 4;
/// The kind of an endpoint's own events.
const WAKING: u8 = 5;

/// No turn: nothing ever happens at the feeder.
pub(super) const NO_TURN: u32 = u32::MAX;

/// The designed order of feeders at one instant: packets over links without delay after those that can have caused
/// them, then by device and ingress port, the link before what was injected there, and what the host sends last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    /// How many links without delay can have been passed at this instant.
    rank: u32,
    device: DeviceId,
    in_port: u16,
    kind: u8,
    source: usize,
}

/// Where a packet goes from a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landing {
    /// It has arrived.
    Home,
    /// It is lost.
    Lost(DropReason),
    /// It joins the PTM of this port.
    Joins(PortId),
}

/// One egress port at work.
pub(super) struct Egress {
    pub device: DeviceId,
    pub service: Service,
    pub wire: Wire,
    /// Its turn at one instant, where it decides last ([`Ptm::decides_last`]).
    pub decision_turn: Option<u32>,
    /// An endpoint sends through it, and hears when its packets leave.
    pub tells_endpoint: bool,
}

impl Egress {
    /// Whether a packet can leave it later than it came.
    pub fn holds(&self) -> bool {
        !matches!(self.service, Service::Lindley(_)) || self.wire.transmission(1) > Span::ZERO
    }
}

/// The traffic management of a port at work.
pub(super) enum Service {
    /// The bare Lindley recursion, of a `fifo` that never drops: most ports of most networks, so that the engines know it.
    Lindley(Lindley),
    /// Any other.
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

    /// When the next waiting packet leaves, as far as is known now.
    #[inline]
    pub fn next_departure(&self) -> Option<Time> {
        match self {
            Service::Lindley(_) => None,
            Service::Model(ptm) => ptm.next_departure(),
        }
    }

    /// Who waits for a departure that is not known yet.
    pub fn waiting(&self) -> Vec<Tau> {
        match self {
            Service::Lindley(_) => Vec::new(),
            Service::Model(ptm) => ptm.waiting(),
        }
    }
}

/// A link at work.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    transmission: Transmission,
    propagation: Span,
    /// When the last packet arrives: none comes before it, unless the impairment breaks the order.
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

    /// The least that a packet takes: one of a single byte.
    pub fn least_delay(&self) -> Span {
        self.transmission.time(1) + self.propagation
    }

    /// When a packet whose first bit starts at `start` has arrived with its last; `None` where the link loses it.
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

    /// How long a packet occupies the transmitter.
    #[inline]
    pub fn transmission(&self, length: u32) -> Span {
        self.transmission.time(length)
    }

    /// How long a bit travels.
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

/// The last packet overtakes those that arrive after it, on a link that breaks the order; gives its place.
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
        // What an endpoint sends joins the port of its host at once, where the host takes no time over it.
        let has_events =
            |order: &Order| order.kind != SENDING || nodes[order.device.index()].processing > Span::ZERO;
        let (mut turns, decision_turns) = turns(&topology, &orders, &answers, has_events);
        // Last come those that only stand for the endpoints' own events.
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

    /// The link at a port, idle.
    pub fn wire(&self, port: PortId, seed: u64) -> Wire {
        Wire::new(&self.topology, port, seed)
    }

    /// The number of a source's `record`th packet.
    #[inline]
    pub fn pid(&self, source: usize, record: u64) -> u64 {
        record * self.sources + source as u64
    }

    /// Gives the `record`th packet of a source its ids: it is of the run's flow `fid`.
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

    /// The instant at which a source's packet is taken on, as an event: its ingress and the processing after it; what starts
    /// onto a link does so at once.
    #[inline]
    pub fn event_time(&self, at: InjectionPoint, source: usize, emission: Time) -> Time {
        match at {
            InjectionPoint::Egress(_) => emission,
            _ => emission + self.feeders[self.feeder_of(source)].processing,
        }
    }

    /// A source's turn among the events of one instant: those that start packets onto a link go first, since that can
    /// cause an arrival at the same instant; the others go with the feeders.
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

    /// Takes in a flow that enters at a place, and tells the observer if it is new. `class` is how it is forwarded, if that is known.
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

    /// The egress ports that a flow's packets may pass from where they enter.
    pub fn path(&self, fid: u32, at: InjectionPoint) -> Vec<PortId> {
        let mut ports = self.pfm.path(&self.flows, fid, self.first_device(at)).ports;
        if let InjectionPoint::Egress(port) = at {
            ports.insert(0, port);
        }
        ports
    }

    /// The device that takes a source's packets on.
    fn first_device(&self, at: InjectionPoint) -> DeviceId {
        match at {
            InjectionPoint::Ingress(port) => self.topology.port(port).device,
            InjectionPoint::Host(host) => host,
            InjectionPoint::Egress(port) => self.feeders[port.index()].device,
        }
    }

    /// The port of a host with a single one.
    pub fn only_way_out(&self, device: DeviceId) -> Option<PortId> {
        match self.topology.device(device).ports[..] {
            [port] if self.nodes[device.index()].is_host => Some(port),
            _ => None,
        }
    }

    /// Whether packets that a feeder brings are surely forwarded, if there is a way: those that reach a host end there, and
    /// at a router they may have been too long on their way.
    pub fn forwards(&self, feeder: usize) -> bool {
        let Feeder { device, .. } = self.feeders[feeder];
        let ends = self.landing(&self.feeders[feeder]).is_end();
        !ends && self.topology.device(device).kind != DeviceKind::Router
    }

    /// The port that every packet of a flow joins at the device of a feeder, where there is one.
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

    /// What becomes of packets at the device of a feeder.
    #[inline]
    pub fn landing(&self, feeder: &Feeder) -> LandingPlace<'_> {
        LandingPlace {
            flows: &self.flows,
            at: self.pfm.at(feeder.device),
            // What a host itself sends goes out; what others send it, stays.
            takes: feeder.in_port != u16::MAX && self.nodes[feeder.device.index()].is_host,
        }
    }
}

/// The device of a feeder, as packets reach it.
pub(super) struct LandingPlace<'a> {
    flows: &'a Flows,
    at: At<'a>,
    takes: bool,
}

impl LandingPlace<'_> {
    /// Whether packets end here, one way or another.
    #[inline]
    pub fn is_end(&self) -> bool {
        self.takes
    }

    /// Whether a packet that ends here has arrived.
    #[inline(always)]
    pub fn is_home(&self, packet: &Packet) -> bool {
        self.at.is_home(packet)
    }

    /// What the device takes from the time to live of packets that do not end there.
    #[inline(always)]
    pub fn hops_counted(&self) -> u8 {
        self.at.hops_counted()
    }

    /// The port of a packet that is surely forwarded, if it is found at once.
    #[inline(always)]
    pub fn known_port<const ROUTER: bool>(&self, packet: &Packet) -> Option<PortId> {
        self.at.known_port::<ROUTER>(packet)
    }

    /// Where a packet goes. Where it joins a PTM, its time to live is less by [`At::hops_counted`].
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

/// Per device: whether it has an endpoint, which answers what arrives.
///
/// # Errors
/// It has two, or an answer could come back at the instant at which it was caused.
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

/// The feeders of a network: ports, then sources, then `endpoints`, and these once more for their own events.
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
    // At one instant an endpoint comes after all that can arrive there.
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

/// Whether a packet (of a byte or more) joins a PTM at the next device at the instant at which it starts at `port`.
fn is_instant(topology: &Topology, port: PortId) -> bool {
    let directed = topology.link(topology.port(port).egress);
    let device = topology.device(topology.port(directed.to).device);
    let processed = device.kind != DeviceKind::Host && device.processing > Span::ZERO;
    let travels = directed.link.transmission_time(ByteCount::new(1)) + directed.link.propagation_delay();
    travels == Span::ZERO && !processed
}

/// A port on a cycle that a packet could pass without any time going by, if there is one.
pub(super) fn instant_cycle(topology: &Topology) -> Option<PortId> {
    let answers = vec![false; topology.devices().len()];
    instant_cycles(topology, &answers).into_iter().flatten().min()
}

/// The cycles that packets and the answers to them could pass without any time going by; `answers` says which devices answer.
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

/// The egress ports where packets from the link of `port` go on, or cause others.
fn causes<'a>(topology: &'a Topology, port: PortId, answers: &[bool]) -> impl Iterator<Item = PortId> + 'a {
    let far = topology.link(topology.port(port).egress).to;
    let device = topology.port(far).device;
    let answering: &[PortId] = if answers[device.index()] { &topology.device(device).ports } else { &[] };
    successors(topology, port).chain(answering.iter().copied())
}

/// The egress ports that packets from the link of `port` can take: all of the device there but back.
pub(super) fn successors(topology: &Topology, port: PortId) -> impl Iterator<Item = PortId> + '_ {
    let far = topology.link(topology.port(port).egress).to;
    let device = topology.device(topology.port(far).device);
    let forwarding = topology.forwarding();
    let turns_back = !device.routes.is_empty() || !forwarding.paths.is_empty() || forwarding.rule.is_some();
    let forwards = device.kind != DeviceKind::Host;
    device.ports.iter().copied().filter(move |next| forwards && (turns_back || *next != far))
}

/// Per port: the most links without delay that a packet can pass at one instant, up to the port's own; 0 for a link
/// with a delay. On a cycle of such links the ranks are fixed, but packets may come round again.
fn ranks(topology: &Topology, injections: &[Injection], answers: &[bool]) -> Vec<u32> {
    let instant: Vec<bool> = topology.ports().map(|(port, _)| is_instant(topology, port)).collect();
    let mut ranks: Vec<u32> = instant.iter().map(|instant| u32::from(*instant)).collect();
    // What a source starts onto a link can turn back at once.
    for injection in injections {
        if let InjectionPoint::Egress(port) = injection.at
            && instant[port.index()]
        {
            let back = topology.link(topology.port(port).egress).to;
            ranks[back.index()] = if instant[back.index()] { 2 } else { 0 };
        }
    }
    // Longest paths by depth-first order: predecessors first.
    for port in reverse_postorder(topology, &instant, answers) {
        for next in causes(topology, port, answers).filter(|next| instant[next.index()]) {
            ranks[next.index()] = ranks[next.index()].max(ranks[port.index()] + 1);
        }
    }
    ranks
}

/// The turns of feeders, and of the ports that decide last. Such a port comes behind all feeders of the ranks of those that
/// lead to it, and before those of higher ranks: what it sends over links without delay arrives at the same instant. Feeders without
/// events have [`NO_TURN`].
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

/// The ports that decide last, each with the highest rank of a link or source that leads to it; in this order. The orders of the links
/// come first.
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
    // What a source brings can leave by any port, and turn back.
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

/// The ports with an instant link, each before those that it leads to, where there is no cycle.
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
