//! Forwarding tables: the shortest paths from every device to an access switch.

use std::collections::VecDeque;
use std::sync::Arc;

use petgraph::algo::dijkstra;
use petgraph::graph::NodeIndex;
use petgraph::visit::{EdgeFiltered, EdgeRef, Reversed};
use rustc_hash::FxHashMap;

use crate::topology::{DeviceId, DeviceKind, DeviceNode, DirectedLink, PortId, Topology, Weight};
use crate::units::{Bandwidth, ByteCount};

/// An entry of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// There is no path.
    None,
    /// One best port.
    Port(PortId),
    /// Several equal-cost ports, sorted by number.
    Several(&'a Several),
}

/// Equal-cost ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Several {
    /// Sorted by number.
    pub ports: Box<[PortId]>,
    /// For D-mod-k: the number of ports to the power of the device's level.
    pub divisor: u32,
}

/// The table of one device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    entries: &'a [u32],
    /// The only port of a host with a single link, which it uses for everything that its switch can reach.
    only: Option<PortId>,
}

/// The tables of every device.
///
/// A column leads to an access switch and to all hosts attached to it by a single link, or to a host with
/// several links. A host with a single link needs no table: it sends everything that its switch can reach to
/// the switch. In a small network it has a table nevertheless, because a look-up in it is faster.
pub(super) struct Tables {
    topology: Arc<Topology>,
    /// `[devices][columns]`: the number of a port, or of a set with [`Tables::SET`]. Empty without a table.
    rows: Vec<Vec<u32>>,
    columns: FxHashMap<DeviceId, u32>,
    column_count: u32,
    /// Sets of equal-cost ports, each stored once.
    sets: Vec<Several>,
    set_of: FxHashMap<Box<[PortId]>, u32>,
    /// Per host: its number among the hosts. Per other device: its level above the devices next to hosts.
    ranks: Vec<u32>,
    /// Per host with a single link: its port, and the device at the other end.
    uplinks: Vec<Option<(PortId, DeviceId)>>,
    /// Per device: whether it has a table.
    has_row: Vec<bool>,
}

impl Tables {
    /// No path, or no column.
    pub(super) const NONE: u32 = u32::MAX;
    /// The target itself.
    pub(super) const HERE: u32 = u32::MAX - 1;
    /// Marks a set of ports; smaller values are ports.
    pub(super) const SET: u32 = 1 << 31;

    /// Creates empty tables; with `for_all` also for hosts with a single link.
    pub(super) fn new(topology: &Arc<Topology>, for_all: bool) -> Self {
        let needs_row = |device: &DeviceNode| device.kind != DeviceKind::Host || device.ports.len() > 1;
        Tables {
            rows: vec![Vec::new(); topology.devices().len()],
            columns: FxHashMap::default(),
            column_count: 0,
            sets: Vec::new(),
            set_of: FxHashMap::default(),
            ranks: ranks(topology),
            has_row: topology.devices().map(|(_, device)| for_all || needs_row(device)).collect(),
            uplinks: topology.devices().map(|(_, device)| uplink(topology, device)).collect(),
            topology: Arc::clone(topology),
        }
    }

    /// The number of the host among the hosts.
    pub(super) fn host_number(&self, host: DeviceId) -> u32 {
        self.ranks[host.index()]
    }

    /// The device to which a host with a single link is attached, and the port there that leads to the host.
    pub(super) fn access(&self, host: DeviceId) -> Option<(DeviceId, PortId)> {
        let (port, switch) = self.uplinks[host.index()]?;
        Some((switch, self.topology.link(self.topology.port(port).egress).to))
    }

    /// The entries of a device by column; empty without a table.
    #[inline]
    pub(super) fn own_row(&self, device: DeviceId) -> &[u32] {
        &self.rows[device.index()]
    }

    /// The table of `device`; a host with one link uses the table of its switch.
    #[inline]
    pub(super) fn row(&self, device: DeviceId) -> Row<'_> {
        match self.uplinks[device.index()] {
            None => Row { entries: &self.rows[device.index()], only: None },
            Some((port, switch)) => Row { entries: &self.rows[switch.index()], only: Some(port) },
        }
    }

    /// A set of ports.
    #[inline]
    pub(super) fn set(&self, entry: u32) -> &Several {
        &self.sets[(entry & !Self::SET) as usize]
    }

    /// Adds a column with these entries by device.
    pub(super) fn push_column(&mut self, entries: Vec<u32>) -> u32 {
        for ((row, entry), has_row) in self.rows.iter_mut().zip(entries).zip(&self.has_row) {
            if *has_row {
                row.push(entry);
            }
        }
        self.column_count += 1;
        self.column_count - 1
    }

    /// The entry of a table for a column.
    #[inline(always)]
    pub(super) fn entry(&self, row: Row<'_>, column: u32) -> Entry<'_> {
        match (row.entries.get(column as usize), row.only) {
            (None | Some(&Self::NONE), _) => Entry::None,
            (Some(_), Some(port)) => Entry::Port(port),
            (Some(&Self::HERE), None) => Entry::None,
            (Some(&set), None) if set & Self::SET != 0 => Entry::Several(self.set(set)),
            (Some(&port), None) => Entry::Port(PortId::new(port as usize)),
        }
    }

    /// The column that leads to `host`, created if it is new.
    pub(super) fn column(&mut self, host: DeviceId) -> u32 {
        let target = match self.access(host) {
            Some((access, _)) if self.topology.device(access).kind != DeviceKind::Host => access,
            _ => host,
        };
        if let Some(column) = self.columns.get(&target) {
            return *column;
        }
        let column = self.column_count;
        self.column_count += 1;
        self.columns.insert(target, column);
        self.add_column(target);
        column
    }

    fn add_column(&mut self, target: DeviceId) {
        let costs = self.costs_to(target);
        let is_other_host =
            |device: DeviceId| device != target && self.topology.device(device).kind == DeviceKind::Host;
        let weight = self.topology.forwarding().weight;
        for (id, device) in self.topology.devices() {
            if !self.has_row[id.index()] {
                continue;
            }
            let way = |port: &PortId| {
                let link = self.topology.link(self.topology.port(*port).egress);
                let next = self.topology.port(link.to).device;
                let whole = costs[next.index()].filter(|_| !is_other_host(next))? + cost_of(weight, link);
                Some((whole, *port))
            };
            let ways: Vec<(u128, PortId)> =
                device.ports.iter().filter(|_| id != target).filter_map(way).collect();
            let least = ways.iter().map(|(whole, _)| *whole).min();
            let best: Vec<PortId> =
                ways.iter().filter(|(whole, _)| Some(*whole) == least).map(|(_, port)| *port).collect();
            let entry = match &best[..] {
                _ if id == target => Self::HERE,
                [] => Self::NONE,
                [port] => port.index() as u32,
                _ => Self::SET | intern(&mut self.sets, &mut self.set_of, best, self.ranks[id.index()]),
            };
            self.rows[id.index()].push(entry);
        }
    }

    /// The cost from every device that forwards to `target`.
    fn costs_to(&self, target: DeviceId) -> Vec<Option<u128>> {
        let topology = &*self.topology;
        let forwards = |device: NodeIndex| {
            let id = DeviceId::new(device.index());
            id == target || topology.device(id).kind != DeviceKind::Host
        };
        // No path leads through a host.
        let between = EdgeFiltered::from_fn(Reversed(topology.graph()), |edge| {
            forwards(edge.source()) && forwards(edge.target())
        });
        let weight = topology.forwarding().weight;
        let costs =
            dijkstra(&between, NodeIndex::new(target.index()), None, |edge| cost_of(weight, edge.weight()));
        let mut by_device = vec![None; topology.devices().len()];
        for (device, cost) in costs {
            by_device[device.index()] = Some(cost);
        }
        by_device
    }
}

/// The port of a host with a single link, and the device at the other end.
fn uplink(topology: &Topology, device: &DeviceNode) -> Option<(PortId, DeviceId)> {
    match (device.kind, &device.ports[..]) {
        (DeviceKind::Host, &[port]) => {
            Some((port, topology.port(topology.link(topology.port(port).egress).to).device))
        }
        _ => None,
    }
}

/// The index of a set of ports of a device at this level.
fn intern(
    sets: &mut Vec<Several>,
    set_of: &mut FxHashMap<Box<[PortId]>, u32>,
    ports: Vec<PortId>,
    level: u32,
) -> u32 {
    let ports: Box<[PortId]> = ports.into();
    *set_of.entry(ports).or_insert_with_key(|ports| {
        sets.push(Several { ports: ports.clone(), divisor: (ports.len() as u32).saturating_pow(level) });
        sets.len() as u32 - 1
    })
}

/// The cost of a link: first by weight, then by the number of links, so every step comes closer to the
/// target.
fn cost_of(weight: Weight, link: &DirectedLink) -> u128 {
    /// The amount for which the cost is the transmission time; an unlimited link costs nothing. A second at 1
    /// bps is 10^12 ps.
    const REFERENCE: ByteCount = ByteCount::new(1 << 20);
    let cost = match weight {
        Weight::Hops => 0,
        Weight::Delay => link.link.propagation_delay().as_ps(),
        Weight::InverseCapacity => match link.link.bandwidth {
            Bandwidth::Unlimited => 0,
            Bandwidth::Limited(rate) => rate.transmission_time(REFERENCE).as_ps(),
        },
    };
    (u128::from(cost) << 32) + 1
}

/// The number of each host; for every other device, its distance in links to the nearest host minus one.
fn ranks(topology: &Topology) -> Vec<u32> {
    let mut ranks = vec![u32::MAX; topology.devices().len()];
    let mut reached: VecDeque<DeviceId> = VecDeque::new();
    for (number, (id, _)) in
        topology.devices().filter(|(_, device)| device.kind == DeviceKind::Host).enumerate()
    {
        ranks[id.index()] = number as u32;
        reached.push_back(id);
    }
    while let Some(here) = reached.pop_front() {
        let device = topology.device(here);
        let level = if device.kind == DeviceKind::Host { 0 } else { ranks[here.index()] + 1 };
        for port in &device.ports {
            let there = topology.port(topology.link(topology.port(*port).egress).to).device;
            if ranks[there.index()] == u32::MAX {
                ranks[there.index()] = level;
                reached.push_back(there);
            }
        }
    }
    ranks
}
