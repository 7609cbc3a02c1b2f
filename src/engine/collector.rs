//! Collects the statistics of a run while it proceeds.
//!
//! Each port, each destination host and each source has its own statistics. Threads that work on different
//! ones record concurrently, and no merged result depends on the order of threads.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::inside::{Inside, InsidePacket};
use super::{Dropped, Hop, Settings};
use crate::flow::Flows;
use crate::link::Transmission;
use crate::packet::{CE, DropReason, Packet, Tau};
use crate::statistics::{Delivery, End, EndedPacket, FlowStatistics, PortStatistics, Statistics};
use crate::topology::{DeviceId, DeviceKind, PortId, Topology};
use crate::units::{Span, Time};

/// The statistics collected so far.
pub(super) struct Collector {
    /// Whether every packet is recorded.
    pub packets: bool,
    /// The end of the warm-up. Packets that entered before are left out of flows; events before are left out
    /// of ports.
    warm_up: Time,
    /// By source number.
    pub sources: Vec<SourceCollector>,
    /// By port number. The stream engine keeps them with its own ports.
    pub ports: Vec<PortStatistics>,
    /// By port number: the transmission times of its link.
    transmissions: Vec<Transmission>,
    /// By `fid`.
    flows: Vec<FlowRecord>,
    hosts: Vec<Host>,
    /// By device: its position among the hosts.
    host_of: Vec<u32>,
    /// By device: the processing delay.
    processing: Vec<Span>,
    drops: BTreeMap<(DeviceId, Option<PortId>, DropReason), u64>,
    /// Lost packets that are not settled yet, with the instant of the loss.
    lost: Vec<(Time, EndedPacket)>,
    settled: Vec<(Time, EndedPacket)>,
    /// Instant, pid and position of each settled packet, in order.
    order: Vec<((Time, u64), u32)>,
    rows: Vec<EndedPacket>,
}

/// The records of a source.
#[derive(Default)]
pub(super) struct SourceCollector {
    /// Its packets in the network.
    pub inside: Inside,
    /// Whether every packet is recorded.
    pub packets: bool,
    /// Packets that enter before are not counted.
    warm_up: Time,
    /// By the source's own flow number.
    sent: Vec<Sent>,
}

/// The packets of a flow that a source sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    fid: u32,
    packets: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct FlowRecord {
    /// Its position among the flows that end at its host.
    place: u32,
    /// The source of its first packet.
    source: u32,
    dropped: u64,
    marked: u64,
}

/// The records at a host where flows end.
#[derive(Default)]
struct Host {
    device: Option<DeviceId>,
    deliveries: Vec<Delivery>,
    /// By position: the flow.
    fids: Vec<u32>,
    /// The feeders that bring packets to the host.
    feeders: Vec<usize>,
    /// Packets that have arrived and are not settled yet.
    arrived: Vec<Tau>,
    /// For each settled packet: the position of its flow, and the time of its injection.
    injected: Vec<(u32, Time)>,
    settled: Vec<(Time, EndedPacket)>,
}

/// No flow.
const NONE: u32 = u32::MAX;

/// The packets of all sources in the network.
#[derive(Clone, Copy)]
pub(super) struct AllInside<'a> {
    sources: &'a [SourceCollector],
    /// Whether every packet is recorded.
    pub packets: bool,
}

impl AllInside<'_> {
    /// A packet with its source number.
    #[inline]
    fn find(&self, pid: u64) -> Option<(u32, InsidePacket<'_>)> {
        // Matches the numbering in `Network::pid`.
        let sources = self.sources.len() as u64;
        let (source, number) = (pid % sources, pid / sources);
        Some((source as u32, self.sources[source as usize].inside.packet(number)?))
    }

    /// Records a packet that passed a port. If the port marked it (`marks`), returns the time of its
    /// injection.
    #[inline]
    pub fn pass(&self, packet: &Packet, marks: bool) -> Option<Time> {
        let may_be_marked = marks && packet.ecn == CE;
        if !self.packets && !may_be_marked {
            return None;
        }
        let (_, inside) = self.find(packet.pid)?;
        inside.pass();
        (marks && inside.leave(packet.ecn) != CE && packet.ecn == CE).then(|| inside.injected())
    }
}

impl SourceCollector {
    /// Records a packet of the source's flow `local` that enters. `record` is its number in the source's
    /// input, if every packet is recorded.
    #[inline]
    pub fn enter(&mut self, tau: &Tau, local: u32, record: Option<u64>) {
        self.inside.enter(tau, record);
        if tau.timestamp >= self.warm_up {
            let sent = &mut self.sent[local as usize];
            sent.packets += 1;
            sent.bytes += u64::from(tau.packet.length);
        }
    }
}

impl Collector {
    /// A collector for these settings; `None` if they ask for no statistics. `feeders` gives the device of
    /// each feeder.
    pub fn new(
        topology: &Topology,
        feeders: impl Iterator<Item = DeviceId>,
        sources: usize,
        settings: &Settings,
    ) -> Option<Self> {
        if !settings.statistics && !settings.packets {
            return None;
        }
        let mut hosts: Vec<Host> = Vec::new();
        let host_of = topology.devices().map(|(id, device)| {
            if device.kind != DeviceKind::Host {
                return NONE;
            }
            hosts.push(Host { device: Some(id), ..Host::default() });
            hosts.len() as u32 - 1
        });
        let host_of: Vec<u32> = host_of.collect();
        for (number, device) in feeders.enumerate() {
            if let Some(host) = hosts.get_mut(host_of[device.index()] as usize) {
                host.feeders.push(number);
            }
        }
        let processing: Vec<Span> = topology.devices().map(|(_, device)| device.processing).collect();
        let warm_up = settings.warm_up;
        let port = |device: DeviceId| PortStatistics::new(processing[device.index()]).counting_from(warm_up);
        let ports = topology.ports().map(|(_, of)| port(of.device));
        let links = topology.ports().map(|(_, port)| Transmission::new(&topology.link(port.egress).link));
        let source = || SourceCollector { packets: settings.packets, warm_up, ..SourceCollector::default() };
        Some(Collector {
            packets: settings.packets,
            warm_up,
            sources: (0..sources).map(|_| source()).collect(),
            ports: ports.collect(),
            transmissions: links.collect(),
            flows: Vec::new(),
            hosts,
            host_of,
            processing,
            drops: BTreeMap::new(),
            lost: Vec::new(),
            settled: Vec::new(),
            order: Vec::new(),
            rows: Vec::new(),
        })
    }

    /// Assigns `fid` to the flow `local` of a source. `host` is its destination, if it has one.
    pub fn add_flow(&mut self, fid: u32, (source, local): (usize, u32), host: Option<DeviceId>) {
        let sent = &mut self.sources[source].sent;
        if sent.len() <= local as usize {
            sent.resize(local as usize + 1, Sent { fid: NONE, packets: 0, bytes: 0 });
        }
        sent[local as usize].fid = fid;
        if fid as usize == self.flows.len() {
            let host = host.and_then(|host| self.hosts.get_mut(self.host_of[host.index()] as usize));
            let place = host.map_or(NONE, |host| {
                host.deliveries.push(Delivery::default());
                host.fids.push(fid);
                host.fids.len() as u32 - 1
            });
            self.flows.push(FlowRecord { place, source: source as u32, dropped: 0, marked: 0 });
        }
    }

    /// The packets in the network.
    pub fn inside(&self) -> AllInside<'_> {
        AllInside { sources: &self.sources, packets: self.packets }
    }

    /// Records a packet that passed one of the collector's ports.
    #[inline]
    pub fn hop(&mut self, hop: &Hop) {
        let port = &mut self.ports[hop.port.index()];
        let transmission = self.transmissions[hop.port.index()].time(hop.packet.length);
        port.pass_one(hop.joined, hop.packet.length, transmission, hop.egress);
        let all = AllInside { sources: &self.sources, packets: self.packets };
        if let Some(injected) = all.pass(&hop.packet, true) {
            port.marked += u64::from(hop.egress >= self.warm_up);
            if injected >= self.warm_up {
                self.mark(hop.packet.fid);
            }
        }
    }

    /// Records a mark on a packet of a flow.
    pub fn mark(&mut self, fid: u32) {
        self.flows[fid as usize].marked += 1;
    }

    /// Records an arrived packet.
    #[inline]
    pub fn arrive(&mut self, tau: &Tau, host: DeviceId) {
        if let Some(host) = self.hosts.get_mut(self.host_of[host.index()] as usize) {
            host.arrived.push(*tau);
        }
    }

    /// Records a lost packet. Returns the time at which it joined a queue.
    pub fn lose(&mut self, drop: &Dropped) -> Time {
        let Dropped { tau, device, port, reason, at } = *drop;
        if at >= self.warm_up {
            *self.drops.entry((device, port, reason)).or_default() += 1;
        }
        let all = AllInside { sources: &self.sources, packets: self.packets };
        if let Some((source, inside)) = all.find(tau.packet.pid) {
            self.flows[tau.packet.fid as usize].dropped += u64::from(inside.injected() >= self.warm_up);
            let row = inside.row(&tau, source, Some(device), End::Dropped(reason));
            self.lost.extend(row.map(|row| (at, row)));
            inside.end();
        }
        tau.timestamp + self.processing[device.index()]
    }

    /// Takes the packets that feeders have brought to their hosts. `home` yields those of a feeder.
    pub fn bring_home(&mut self, mut home: impl FnMut(usize, &mut Vec<Tau>)) {
        for Host { feeders, arrived, .. } in &mut self.hosts {
            feeders.iter().for_each(|feeder| home(*feeder, arrived));
        }
    }

    /// Settles all packets that ended before an instant. Nothing more will end before it.
    pub fn settle(&mut self, before: Time, pool: Option<&rayon::ThreadPool>) {
        let all = AllInside { sources: &self.sources, packets: self.packets };
        let (flows, hosts, warm_up) = (&self.flows, &mut self.hosts, self.warm_up);
        let settle = |host: &mut Host| host.settle(before, warm_up, flows, &all);
        match pool {
            Some(pool) => pool.install(|| hosts.par_iter_mut().with_min_len(16).for_each(settle)),
            None => hosts.iter_mut().for_each(settle),
        }
        if self.packets {
            self.settled.clear();
            self.settled.extend(self.lost.extract_if(.., |(at, _)| *at < before));
            for host in &mut self.hosts {
                self.settled.append(&mut host.settled);
            }
            // Rows are large: sort their keys, and move each row once.
            self.order.clear();
            let keys = self.settled.iter().map(|(at, row)| (*at, row.tau.packet.pid));
            self.order.extend(keys.zip(0u32..));
            self.order.sort();
            self.rows.clear();
            self.rows.extend(self.order.iter().map(|(_, place)| self.settled[*place as usize].1));
        }
    }

    /// The packets of the last settlement, ordered by the time of their end and pid.
    pub fn rows(&self) -> &[EndedPacket] {
        &self.rows
    }

    /// The packets still in the network at the end of the run, by pid.
    pub fn rows_inside(&self) -> Vec<EndedPacket> {
        let sources = self.sources.len() as u64;
        let rows = (0..).zip(&self.sources).flat_map(|(source, collected)| {
            let left = collected.inside.left();
            left.filter_map(move |(number, packet)| {
                packet.row_inside(number * sources + source, source as u32)
            })
        });
        let mut rows: Vec<EndedPacket> = rows.collect();
        rows.sort_unstable_by_key(|row| row.tau.packet.pid);
        rows
    }

    /// The statistics of the whole run.
    pub fn finish(self, keys: &Flows) -> Statistics {
        let Collector { sources, ports, flows, hosts, drops, .. } = self;
        let mut statistics = Statistics { flows: Vec::with_capacity(flows.len()), ports, drops };
        for (fid, flow) in (0..).zip(flows) {
            let Some(key) = keys.key(fid) else { continue };
            statistics.flows.push(FlowStatistics {
                key,
                source: flow.source,
                injected: 0,
                injected_bytes: 0,
                dropped: flow.dropped,
                marked: flow.marked,
                delivery: Delivery::default(),
            });
        }
        for Host { deliveries, fids, .. } in hosts {
            for (fid, delivery) in fids.into_iter().zip(deliveries) {
                statistics.flows[fid as usize].delivery = delivery;
            }
        }
        for sent in sources.iter().flat_map(|source| &source.sent).filter(|sent| sent.fid != NONE) {
            let flow = &mut statistics.flows[sent.fid as usize];
            flow.injected += sent.packets;
            flow.injected_bytes += sent.bytes;
        }
        statistics
    }
}

impl Host {
    /// Settles the packets that arrived before an instant.
    fn settle(&mut self, before: Time, warm_up: Time, flows: &[FlowRecord], all: &AllInside<'_>) {
        let Host { device, deliveries, arrived, injected, settled, .. } = self;
        if arrived.is_empty() {
            return;
        }
        let order = |tau: &Tau| (tau.timestamp, tau.packet.pid);
        if !arrived.is_sorted_by_key(order) {
            arrived.sort_by_key(order);
        }
        let count = arrived.partition_point(|tau| tau.timestamp < before);
        // Look up all packets first, so that their cache misses overlap.
        injected.clear();
        for tau in &arrived[..count] {
            let Some((source, inside)) = all.find(tau.packet.pid) else {
                injected.push((NONE, Time::ZERO));
                continue;
            };
            let entered = inside.injected();
            let place = if entered < warm_up { NONE } else { flows[tau.packet.fid as usize].place };
            injected.push((place, entered));
            let row = inside.row(tau, source, *device, End::Delivered);
            settled.extend(row.map(|row| (tau.timestamp, row)));
            inside.end();
        }
        for (tau, (place, injected)) in arrived.drain(..count).zip(injected) {
            if let Some(delivery) = deliveries.get_mut(*place as usize) {
                delivery.arrive(&tau, *injected);
            }
        }
    }
}
