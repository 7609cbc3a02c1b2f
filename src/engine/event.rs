//! The event engine: the reference. Each ingress Tau is an event that schedules its egress event by
//! link and PTM.
//!
//! A link is first-in first-out, so that the queue needs one entry per busy link, keyed by its earliest
//! arrival; a port whose PTM decides later has one too, keyed by its next departure; and a source has
//! one, keyed by its next packet.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use super::queue::EventQueue;
use super::{
    EngineError, Fingerprint, Hop, Injected, Injection, InjectionPoint, Observer, Outcome, PacketCounts,
    Progress,
};
use crate::device::Device;
use crate::flow::Flows;
use crate::link::Link;
use crate::packet::{DropReason, Tau};
use crate::pfm::{Path, Pfm};
use crate::ptm::Arrival;
use crate::topology::{DeviceId, DeviceKind, PortId, Topology};
use crate::traffic::Emission;
use crate::units::{Span, Time};

/// Events between two calls of the progress function.
const EVENTS_PER_REPORT: u64 = 1 << 16;

/// The last instant that a run can reach.
const LAST: Time = Time::from_ps(u64::MAX - 1);

/// A network at work.
pub struct Simulation<'t> {
    topology: &'t Topology,
    pfm: Pfm<'t>,
    devices: Vec<Device>,
    ports: Vec<PortState>,
    links: Vec<LinkState>,
    sources: Vec<SourceState>,
    entities: Vec<Entity>,
    queue: EventQueue,
    flows: Flows,
    counts: Vec<PacketCounts>,
    until: Time,
    now: Time,
    injected: u64,
    hops: u64,
    fingerprint: Fingerprint,
}

/// What an entry of the event queue stands for.
#[derive(Debug, Clone, Copy)]
enum Entity {
    /// The port's PTM lets a packet go.
    Departure(PortId),
    /// The link into this port brings a packet.
    Arrival(PortId),
    /// The source sends a packet.
    Emission(usize),
}

/// What the engine keeps per port, besides its PTM.
struct PortState {
    device: DeviceId,
    position: usize,
    number: u16,
    egress: usize,
    ingress: usize,
    departure: u32,
    arrival: u32,
    /// Between the arrival of a packet and the event that takes it on: a host takes its own packets at once.
    arrival_processing: Span,
    /// What the event queue holds for the next departure.
    scheduled: Option<Time>,
}

/// A link and the packets on it, each with the instant of its arrival.
struct LinkState {
    link: Link,
    propagation: Span,
    to: PortId,
    /// What the PTM sent, in order.
    packets: VecDeque<Tau>,
    /// What sources start onto the link, in order: the PTM may know of a later start long before.
    injected: VecDeque<Tau>,
}

impl LinkState {
    /// The packet that arrives next; the PTM's before an injected one at the same instant.
    #[inline]
    fn first(&mut self) -> &mut VecDeque<Tau> {
        match (self.packets.front(), self.injected.front()) {
            (Some(sent), Some(injected)) if injected.timestamp < sent.timestamp => &mut self.injected,
            (None, Some(_)) => &mut self.injected,
            _ => &mut self.packets,
        }
    }
}

struct SourceState {
    injection: Injection,
    entity: u32,
    next: Option<Emission>,
    /// Between the instant of a packet and the event that sends it: the processing delay of the device.
    processing: Span,
    /// Per flow of the source: the run's flow and its way from here.
    flows: Vec<(u32, Path)>,
}

impl<'t> Simulation<'t> {
    /// A network in which nothing has happened yet.
    ///
    /// # Errors
    /// A source whose first packet cannot be had.
    pub fn new(
        topology: &'t Topology,
        injections: Vec<Injection>,
        until: Option<Time>,
    ) -> Result<Self, EngineError> {
        let devices: Vec<Device> = topology.devices().map(|(id, _)| Device::new(topology, id, 1)).collect();
        let links = topology
            .links()
            .map(|(_, directed)| LinkState {
                link: directed.link,
                propagation: directed.link.propagation_delay(),
                to: directed.to,
                packets: VecDeque::new(),
                injected: VecDeque::new(),
            })
            .collect();
        let (entities, ports, source_entities) = number_entities(topology, &injections);
        let sources = injections
            .into_iter()
            .zip(source_entities)
            .map(|(injection, entity)| {
                let processing = match injection.at {
                    InjectionPoint::Ingress(port) => ports[port.index()].arrival_processing,
                    InjectionPoint::Host(host) => devices[host.index()].processing(),
                    InjectionPoint::Egress(_) => Span::ZERO,
                };
                SourceState { injection, entity, next: None, processing, flows: Vec::new() }
            })
            .collect();
        let mut simulation = Simulation {
            topology,
            pfm: Pfm::new(topology),
            devices,
            ports,
            links,
            sources,
            entities,
            queue: EventQueue::default(),
            flows: Flows::default(),
            counts: Vec::new(),
            until: until.unwrap_or(LAST),
            now: Time::ZERO,
            injected: 0,
            hops: 0,
            fingerprint: Fingerprint::default(),
        };
        for source in 0..simulation.sources.len() {
            simulation.read_source(source)?;
        }
        Ok(simulation)
    }

    /// Runs to the end, or to `until`, and checks that every flow's packets are conserved. `progress` may break it off.
    ///
    /// # Errors
    /// A source fails, a flow would circle for ever, or the time runs over.
    pub fn run(
        &mut self,
        observer: &mut impl Observer,
        mut progress: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, EngineError> {
        let mut events = 0u64;
        while let Some((time, entity)) = self.queue.peek() {
            if time > self.until {
                if time == Time::NEVER && self.until == LAST {
                    return Err(EngineError::TimeOverflow);
                }
                self.now = self.until;
                break;
            }
            self.now = time;
            match self.entities[entity as usize] {
                Entity::Departure(port) => self.depart(port, observer),
                Entity::Arrival(port) => self.take_from_link(port, observer),
                Entity::Emission(source) => self.emit(source, observer)?,
            }
            events += 1;
            if events.is_multiple_of(EVENTS_PER_REPORT) && progress(&self.progress()).is_break() {
                return Err(EngineError::Interrupted);
            }
        }
        self.emit_the_rest(observer)?;
        if progress(&self.progress()).is_break() {
            return Err(EngineError::Interrupted);
        }
        self.finish()
    }

    /// What the sources let pass, in words.
    pub fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        self.sources.iter().flat_map(|source| source.injection.source.warnings())
    }

    fn progress(&self) -> Progress {
        let fractions = self.sources.iter().map(|source| source.injection.source.progress());
        let fraction = fractions.reduce(|least, next| Some(least?.min(next?))).flatten();
        Progress { time: self.now, injected: self.injected, fraction }
    }

    /// Reads the source's next packet and schedules it.
    fn read_source(&mut self, index: usize) -> Result<(), EngineError> {
        let source = &mut self.sources[index];
        source.next = source.injection.source.next_emission()?;
        match source.next {
            Some(next) => self.queue.schedule(source.entity, next.tau.timestamp + source.processing),
            None => self.queue.cancel(source.entity),
        }
        Ok(())
    }

    /// Sends the packet that the source holds, and reads its next one.
    fn emit(&mut self, index: usize, observer: &mut impl Observer) -> Result<(), EngineError> {
        let Some(emission) = self.sources[index].next else { return Ok(()) };
        let tau = self.inject(index, emission, observer)?;
        match self.sources[index].injection.at {
            InjectionPoint::Ingress(port) => self.arrive(self.ports[port.index()].device, tau, observer),
            InjectionPoint::Host(host) => self.forward(host, tau, observer),
            InjectionPoint::Egress(port) => self.put_on_link(port, tau, |link| &mut link.injected),
        }
        self.read_source(index)
    }

    /// Gives a source's packet its ids, and counts it.
    fn inject(
        &mut self,
        index: usize,
        emission: Emission,
        observer: &mut impl Observer,
    ) -> Result<Tau, EngineError> {
        let local = emission.tau.packet.fid as usize;
        if local == self.sources[index].flows.len() {
            self.add_flow(index, observer)?;
        }
        let source = &self.sources[index];
        let (fid, path) = &source.flows[local];
        let mut tau = emission.tau;
        tau.packet.fid = *fid;
        tau.packet.pid = self.injected;
        tau.packet.in_port = match source.injection.at {
            InjectionPoint::Ingress(port) => self.ports[port.index()].number,
            InjectionPoint::Egress(_) | InjectionPoint::Host(_) => u16::MAX,
        };
        self.injected += 1;
        self.counts[*fid as usize].injected += 1;
        observer.injected(&Injected {
            tau,
            source: index as u32,
            record: emission.record,
            match_key: emission.match_key,
            path: &path.ports,
        });
        Ok(tau)
    }

    /// Takes in the next flow of a source.
    fn add_flow(&mut self, index: usize, observer: &mut impl Observer) -> Result<(), EngineError> {
        let source = &mut self.sources[index];
        let key = source.injection.source.flow(source.flows.len() as u32);
        let (fid, new) = self.flows.add(key);
        if new {
            self.counts.push(PacketCounts::default());
            self.pfm.add_flow(key.destination_address());
            observer.flow(fid, key);
        }
        let (first, from) = match source.injection.at {
            InjectionPoint::Ingress(port) => (None, self.ports[port.index()].device),
            InjectionPoint::Host(host) => (None, host),
            InjectionPoint::Egress(port) => {
                (Some(port), self.ports[self.links[self.ports[port.index()].egress].to.index()].device)
            }
        };
        let mut path = self.pfm.path(fid, from);
        if path.endless {
            let ports: Vec<String> = path.ports.iter().map(|port| self.topology.port_name(*port)).collect();
            return Err(EngineError::EndlessPath { flow: key.to_string(), ports: ports.join(" > ") });
        }
        path.ports.splice(0..0, first);
        source.flows.push((fid, path));
        Ok(())
    }

    /// The link into `port` has brought its first packet, and its device has processed it.
    fn take_from_link(&mut self, port: PortId, observer: &mut impl Observer) {
        let state = &self.ports[port.index()];
        let (device, number, entity) = (state.device, state.number, state.arrival);
        let link = &mut self.links[state.ingress];
        let Some(mut tau) = link.first().pop_front() else { return self.queue.cancel(entity) };
        match link.first().front() {
            Some(next) => self.queue.schedule(entity, next.timestamp + state.arrival_processing),
            None => self.queue.cancel(entity),
        }
        tau.packet.in_port = number;
        self.arrive(device, tau, observer);
    }

    /// A packet has reached a device: it is at home, or goes on.
    fn arrive(&mut self, device: DeviceId, tau: Tau, observer: &mut impl Observer) {
        if self.pfm.ends_at(tau.packet.fid, device) {
            self.counts[tau.packet.fid as usize].delivered += 1;
            self.fingerprint.add(tau.packet.pid, device, tau.timestamp, tau.timestamp);
            observer.delivered(&tau, device);
        } else if self.topology.device(device).kind == DeviceKind::Host {
            self.lose(tau, device, None, DropReason::NoRoute, observer);
        } else {
            self.forward(device, tau, observer);
        }
    }

    /// PFM, then PTM. `tau` is the packet as it reached the device; now it joins the PTM.
    fn forward(&mut self, device: DeviceId, mut tau: Tau, observer: &mut impl Observer) {
        let at_work = &mut self.devices[device.index()];
        let position = match at_work.route(&self.pfm, &mut tau) {
            Ok(position) => position,
            Err(reason) => return self.lose(tau, device, None, reason, observer),
        };
        let processing = at_work.processing();
        let egress = at_work.port_mut(position);
        let port = egress.id;
        let joining = Tau { timestamp: tau.timestamp + processing, ..tau };
        let arrival = egress.ptm.arrive(&joining, &self.flows);
        match arrival {
            Arrival::Departs(start) => self.pass(port, tau, joining.timestamp, start, observer),
            Arrival::Queued => self.take_losses(port, observer),
            Arrival::Dropped(reason) => self.lose(tau, device, Some(port), reason, observer),
        }
        self.reschedule(port);
    }

    /// The port's PTM lets its next packet go.
    fn depart(&mut self, port: PortId, observer: &mut impl Observer) {
        let state = &self.ports[port.index()];
        let at_work = &mut self.devices[state.device.index()];
        let processing = at_work.processing();
        let departure = at_work.port_mut(state.position).ptm.depart();
        if let Some(departure) = departure {
            let joined = departure.tau.timestamp;
            let tau = Tau { timestamp: joined - processing, ..departure.tau };
            self.pass(port, tau, joined, departure.start, observer);
        }
        self.take_losses(port, observer);
        self.reschedule(port);
    }

    /// Whom the port's PTM has lost though they were queued.
    fn take_losses(&mut self, port: PortId, observer: &mut impl Observer) {
        let state = &self.ports[port.index()];
        let (device, position) = (state.device, state.position);
        loop {
            let at_work = &mut self.devices[device.index()];
            let Some(loss) = at_work.port_mut(position).ptm.lost() else { return };
            let tau = Tau { timestamp: loss.tau.timestamp - at_work.processing(), ..loss.tau };
            self.lose(tau, device, Some(port), loss.reason, observer);
        }
    }

    /// Brings the event queue up to date with the port's next departure.
    #[inline]
    fn reschedule(&mut self, port: PortId) {
        let state = &mut self.ports[port.index()];
        let next = self.devices[state.device.index()].port_mut(state.position).ptm.next_departure();
        if next != state.scheduled {
            state.scheduled = next;
            match next {
                Some(time) => self.queue.schedule(state.departure, time),
                None => self.queue.cancel(state.departure),
            }
        }
    }

    /// A packet's way through a device is known: it starts onto the link at `start`.
    #[inline]
    fn pass(&mut self, port: PortId, tau: Tau, joined: Time, start: Time, observer: &mut impl Observer) {
        if start <= self.until {
            let device = self.ports[port.index()].device;
            self.hops += 1;
            self.fingerprint.add(tau.packet.pid, device, tau.timestamp, start);
            observer.hop(&Hop {
                packet: tau.packet,
                device,
                port,
                ingress: tau.timestamp,
                joined,
                egress: start,
            });
        }
        self.put_on_link(port, Tau { timestamp: start, ..tau }, |link| &mut link.packets);
    }

    /// The link takes an egress Tau, of the PTM or of a source, and will bring it as an ingress Tau.
    #[inline]
    fn put_on_link(&mut self, port: PortId, tau: Tau, queue: fn(&mut LinkState) -> &mut VecDeque<Tau>) {
        let link = &mut self.links[self.ports[port.index()].egress];
        let transmission = link.link.transmission_time(tau.packet.byte_count());
        let timestamp = tau.timestamp + transmission + link.propagation;
        let earlier = link.first().front().map(|first| first.timestamp);
        queue(link).push_back(Tau { timestamp, ..tau });
        if earlier.is_none_or(|earlier| timestamp < earlier) {
            let to = &self.ports[link.to.index()];
            self.queue.schedule(to.arrival, timestamp + to.arrival_processing);
        }
    }

    fn lose(
        &mut self,
        tau: Tau,
        device: DeviceId,
        port: Option<PortId>,
        reason: DropReason,
        observer: &mut impl Observer,
    ) {
        self.counts[tau.packet.fid as usize].dropped += 1;
        self.fingerprint.add(tau.packet.pid, device, tau.timestamp, Time::NEVER);
        observer.dropped(&tau, device, port, reason);
    }

    /// Injects what was emitted by `until` and would have been processed only after it.
    fn emit_the_rest(&mut self, observer: &mut impl Observer) -> Result<(), EngineError> {
        for index in 0..self.sources.len() {
            while let Some(emission) = self.sources[index].next
                && emission.tau.timestamp <= self.until
            {
                let tau = self.inject(index, emission, observer)?;
                self.counts[tau.packet.fid as usize].inside += 1;
                self.read_source(index)?;
            }
        }
        Ok(())
    }

    /// Counts who is still inside, and checks that nobody came or went unseen.
    fn finish(&mut self) -> Result<Outcome, EngineError> {
        let on_links = self.links.iter().flat_map(|link| link.packets.iter().chain(&link.injected).copied());
        let waiting =
            self.devices.iter().flat_map(|device| device.ports()).flat_map(|port| port.ptm.waiting());
        let inside: Vec<Tau> = on_links.chain(waiting).collect();
        for tau in inside {
            self.counts[tau.packet.fid as usize].inside += 1;
        }
        let mut packets = PacketCounts::default();
        for (fid, counts) in self.counts.iter().enumerate() {
            if counts.injected != counts.delivered + counts.dropped + counts.inside {
                return Err(EngineError::NotConserved { fid: fid as u32, counts: *counts });
            }
            packets.injected += counts.injected;
            packets.delivered += counts.delivered;
            packets.dropped += counts.dropped;
            packets.inside += counts.inside;
        }
        Ok(Outcome { packets, hops: self.hops, end: self.now, fingerprint: self.fingerprint })
    }
}

/// Numbers the entities of a network in the designed order of simultaneous events: departures by port,
/// then arrivals by device and ingress port (the link's before those of sources at the port), what
/// hosts send after what they receive, and what starts onto a link from outside last.
///
/// Gives the entities, the ports and the entity of each source.
fn number_entities(topology: &Topology, injections: &[Injection]) -> (Vec<Entity>, Vec<PortState>, Vec<u32>) {
    let mut entities: Vec<Entity> = topology.ports().map(|(id, _)| Entity::Departure(id)).collect();
    let mut sources = vec![0; injections.len()];
    let mut ports = Vec::new();
    let add_sources = |entities: &mut Vec<Entity>, sources: &mut Vec<u32>, at: InjectionPoint| {
        for (index, _) in injections.iter().enumerate().filter(|(_, injection)| injection.at == at) {
            sources[index] = entities.len() as u32;
            entities.push(Entity::Emission(index));
        }
    };
    for (id, device) in topology.devices() {
        for (position, &port) in device.ports.iter().enumerate() {
            let ends = topology.port(port);
            ports.push(PortState {
                device: id,
                position,
                number: ends.number,
                egress: ends.egress.index(),
                ingress: ends.ingress.index(),
                departure: port.index() as u32,
                arrival: entities.len() as u32,
                arrival_processing: match device.kind {
                    DeviceKind::Host => Span::ZERO,
                    DeviceKind::Switch | DeviceKind::Router => device.processing,
                },
                scheduled: None,
            });
            entities.push(Entity::Arrival(port));
            add_sources(&mut entities, &mut sources, InjectionPoint::Ingress(port));
        }
        add_sources(&mut entities, &mut sources, InjectionPoint::Host(id));
    }
    for (port, _) in topology.ports() {
        add_sources(&mut entities, &mut sources, InjectionPoint::Egress(port));
    }
    (entities, ports, sources)
}
