//! In which order the ports are visited: each after those that feed it.

use std::ops::Range;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use rustc_hash::FxHashSet;

use crate::engine::InjectionPoint;
use crate::engine::network::Network;
use crate::topology::{DeviceId, PortId};

/// Which feeders bring packets to which ports, as far as flows are known.
#[derive(Debug, Default)]
pub(super) struct Edges {
    known: FxHashSet<(u32, u32)>,
    /// Edges that no plan has seen yet.
    pub fresh: Vec<(u32, PortId)>,
}

impl Edges {
    /// Adds the edges of a flow that enters through a source's feeder.
    pub fn add_flow(&mut self, network: &Network, source: usize, at: InjectionPoint, fid: u32) {
        let feeder = network.feeder_of(source);
        let device = network.feeders[feeder].device;
        // What a host itself sends goes out; what others send it, stays.
        let enters = matches!(at, InjectionPoint::Host(_)) || !network.nodes[device.index()].is_host;
        if enters {
            self.walk(network, fid, feeder as u32, device);
        }
    }

    /// Adds the edges of every way from a device on.
    fn walk(&mut self, network: &Network, fid: u32, feeder: u32, device: DeviceId) {
        // Only spraying, prescribed paths and rules can come to one place twice.
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
                if self.known.insert((feeder, port.index() as u32)) {
                    self.fresh.push((feeder, port));
                }
                let next = network.feeders[port.index()].device;
                if !network.nodes[next.index()].is_host {
                    ahead.push((port.index() as u32, next));
                }
            });
        }
    }
}

/// The ports in use, in an order in which each comes after its feeders, as far as there is one.
#[derive(Debug, Default, Clone)]
pub(super) struct Plan {
    /// The ports; places are positions here.
    pub ports: Vec<PortId>,
    /// Runs of places that are visited together: one port, or a cycle of ports.
    pub tasks: Vec<Range<usize>>,
    /// Runs of tasks that do not feed each other.
    pub levels: Vec<Range<usize>>,
}

impl Plan {
    /// The plan for ports with these feeders; `inputs[port]` are feeders, of which those below the number of ports
    /// are ports themselves. On a cycle the ports go by their depth: after those that reach them without delay.
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
        // Successors come first. Without recursion: a way may be long.
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
        let mut plan = Plan::default();
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
