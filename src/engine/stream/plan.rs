//! The order of visits to the ports: each port follows those that feed it.

use std::ops::Range;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use rustc_hash::FxHashSet;

use crate::engine::network::{Feeder, Network};
use crate::topology::PortId;

/// The feeders of each port, as far as flows are known.
#[derive(Debug)]
pub(super) struct Edges {
    /// By feeder: a bit for each port of its device, set if the edge is known.
    known: BitRows,
    /// By device other than hosts: a bit for each class of flows, set if its edges from there on are known.
    /// Used for classes whose flows all have the same paths.
    walked: BitRows,
    /// Edges added since the last plan.
    pub fresh: Vec<(u32, PortId)>,
}

/// Rows of bits, each as long as needed.
#[derive(Debug)]
struct BitRows(Vec<BitRow>);

/// Most rows are short and stored in place.
#[derive(Debug, Default, Clone)]
struct BitRow {
    first: u64,
    more: Vec<u64>,
}

impl BitRows {
    fn new(rows: usize) -> Self {
        BitRows(vec![BitRow::default(); rows])
    }

    /// Sets a bit. Returns whether it was clear before.
    #[inline]
    fn insert(&mut self, row: usize, bit: usize) -> bool {
        let BitRow { first, more } = &mut self.0[row];
        let word = match (bit / 64).checked_sub(1) {
            None => first,
            Some(place) => {
                if more.len() <= place {
                    more.resize(place + 1, 0);
                }
                &mut more[place]
            }
        };
        let is_new = *word >> (bit % 64) & 1 == 0;
        *word |= 1 << (bit % 64);
        is_new
    }
}

impl Edges {
    pub fn new(network: &Network) -> Self {
        Edges {
            known: BitRows::new(network.feeders.len()),
            walked: BitRows::new(network.nodes.len()),
            fresh: Vec::new(),
        }
    }

    /// Adds the edges of a class of flows whose packets all take one path, from a source's feeder.
    pub fn add_class(&mut self, network: &Network, feeder: usize, class: u32) {
        let (mut feeder, mut device) = (feeder, network.feeders[feeder].device);
        let mut is_host = network.nodes[device.index()].is_host;
        // A host forwards its own packets, and keeps those of others.
        if is_host && network.feeders[feeder].in_port != u16::MAX {
            return;
        }
        loop {
            // A host with one link sends everything there.
            let only = network.only_way_out(device);
            let Some(port) = only.or_else(|| network.pfm.port_of_class(class, device)) else { return };
            self.add(network, feeder, port);
            if !is_host && !self.walked.insert(device.index(), class as usize) {
                return;
            }
            (feeder, device) = (port.index(), network.feeders[port.index()].device);
            is_host = network.nodes[device.index()].is_host;
            if is_host {
                return;
            }
        }
    }

    /// Adds the edges of a flow on every path, from a source's feeder.
    pub fn add_flow(&mut self, network: &Network, feeder: usize, fid: u32) {
        let Feeder { device, in_port, .. } = network.feeders[feeder];
        if network.nodes[device.index()].is_host && in_port != u16::MAX {
            return;
        }
        // Only spraying, prescribed paths and rules can reach one place twice.
        let meets = network.pfm.may_meet(fid);
        let (mut passed, mut met) = (0, FxHashSet::default());
        let mut ahead = vec![(feeder, device)];
        while let Some((feeder, device)) = ahead.pop() {
            if network.pfm.ends_at(fid, device) && passed > 0 {
                continue;
            }
            network.pfm.ways(&network.flows, fid, device, &mut |port| {
                if (meets || passed >= network.nodes.len()) && !met.insert((feeder, port)) {
                    return;
                }
                passed += 1;
                self.add(network, feeder, port);
                let next = network.feeders[port.index()].device;
                if !network.nodes[next.index()].is_host {
                    ahead.push((port.index(), next));
                }
            });
        }
    }

    #[inline]
    fn add(&mut self, network: &Network, feeder: usize, port: PortId) {
        let device = network.feeders[feeder].device;
        if self.known.insert(feeder, port.index() - network.nodes[device.index()].first_port) {
            self.fresh.push((feeder as u32, port));
        }
    }
}

/// The ports in use, in an order in which each follows its feeders, except on cycles.
#[derive(Debug, Default, Clone)]
pub(super) struct Plan {
    /// The ports. Positions in this list are called places.
    pub ports: Vec<PortId>,
    /// Ranges of places that are visited together: one port, or a cycle of ports.
    pub tasks: Vec<Range<usize>>,
    /// Ranges of tasks that do not feed each other.
    pub levels: Vec<Range<usize>>,
    /// By port: the number of its level, from 1; 0 if it is not in use.
    level_of: Vec<usize>,
}

impl Plan {
    /// The plan for ports with these feeders. `inputs[port]` holds feeders; those below the number of ports
    /// are ports themselves. On a cycle the ports are ordered by depth: after those that reach them without
    /// delay.
    pub fn new(inputs: &[Vec<u32>], depth: &[u32]) -> Self {
        let used: Vec<usize> = (0..inputs.len()).filter(|port| !inputs[*port].is_empty()).collect();
        let mut graph: DiGraph<usize, ()> = DiGraph::with_capacity(used.len(), 4 * used.len());
        let mut node_of = vec![NodeIndex::end(); inputs.len()];
        for &port in &used {
            node_of[port] = graph.add_node(port);
        }
        for &port in &used {
            for &feeder in inputs[port].iter().filter(|feeder| (**feeder as usize) < inputs.len()) {
                graph.add_edge(node_of[feeder as usize], node_of[port], ());
            }
        }
        // Successors come first. Without recursion, because a path may be long.
        let mut cycles = kosaraju_scc(&graph);
        cycles.reverse();
        let mut level_of = vec![0usize; inputs.len()];
        let mut cycle_of = vec![usize::MAX; inputs.len()];
        let mut tasks: Vec<(usize, Vec<usize>)> = cycles
            .into_iter()
            .enumerate()
            .map(|(number, cycle)| {
                let mut ports: Vec<usize> = cycle.into_iter().map(|node| graph[node]).collect();
                ports.sort_unstable_by_key(|port| (depth[*port], *port));
                let feeders = ports.iter().flat_map(|port| &inputs[*port]).map(|feeder| *feeder as usize);
                ports.iter().for_each(|port| cycle_of[*port] = number);
                let before = feeders.filter(|feeder| *feeder < inputs.len() && cycle_of[*feeder] != number);
                let level = before.map(|feeder| level_of[feeder] + 1).max().unwrap_or(0);
                ports.iter().for_each(|port| level_of[*port] = level);
                (level, ports)
            })
            .collect();
        tasks.sort();
        level_of.iter_mut().zip(inputs).for_each(|(level, inputs)| *level += usize::from(!inputs.is_empty()));
        let mut plan = Plan { level_of, ..Plan::default() };
        for (level, ports) in tasks {
            let start = plan.ports.len();
            plan.ports.extend(ports.into_iter().map(PortId::new));
            let task = plan.tasks.len();
            plan.tasks.push(start..plan.ports.len());
            match plan.levels.get_mut(level) {
                Some(tasks) => tasks.end = task + 1,
                None => plan.levels.push(task..task + 1),
            }
        }
        plan
    }

    /// Whether the order of the ports still holds with one more edge.
    pub fn allows(&self, (feeder, port): (u32, PortId)) -> bool {
        let level = |port: usize| self.level_of.get(port).copied().unwrap_or(0);
        let after = if (feeder as usize) < self.level_of.len() { level(feeder as usize) } else { 0 };
        let from_source = !self.level_of.is_empty() && feeder as usize >= self.level_of.len();
        let is_planned = from_source || after > 0;
        is_planned && level(port.index()) > after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeders_come_first_and_cycles_together() {
        // 9 is a source; 0 -> 1 -> 2 -> 1 (a cycle), 2 -> 3, 9 -> 4.
        let inputs = vec![vec![9], vec![0, 2], vec![1], vec![2], vec![9], vec![]];
        let plan = Plan::new(&inputs, &[0; 6]);
        assert_eq!(plan.ports.iter().map(|port| port.index()).collect::<Vec<_>>(), [0, 4, 1, 2, 3]);
        assert_eq!(plan.tasks, [0..1, 1..2, 2..4, 4..5]);
        assert_eq!(plan.levels, [0..2, 2..3, 3..4]);
    }
}
