//! What a network carries from some hosts to others.

use petgraph::algo::ford_fulkerson;
use petgraph::graph::DiGraph;

use super::{DeviceId, DeviceKind, Topology};
use crate::units::Bandwidth;

impl Topology {
    /// The most bits per second that the links carry from the hosts `from` to the hosts `to`: the maximum flow. Other hosts forward
    /// nothing. None where nothing bounds it.
    ///
    /// # Source
    /// Edmonds, Karp, "Theoretical improvements in algorithmic efficiency for network flow problems", 1972.
    pub fn capacity_between(&self, from: &[DeviceId], to: &[DeviceId]) -> Option<u64> {
        /// More than any link has.
        const UNLIMITED: u64 = 1 << 60;
        let mut graph = DiGraph::<(), u64>::new();
        let nodes: Vec<_> = self.devices().map(|_| graph.add_node(())).collect();
        let (source, sink) = (graph.add_node(()), graph.add_node(()));
        for host in from {
            graph.add_edge(source, nodes[host.index()], UNLIMITED);
        }
        for host in to {
            graph.add_edge(nodes[host.index()], sink, UNLIMITED);
        }
        let forwards = |device: DeviceId, ends: &[DeviceId]| {
            self.device(device).kind != DeviceKind::Host || ends.contains(&device)
        };
        for (_, port) in self.ports() {
            let link = self.link(port.egress);
            let next = self.port(link.to).device;
            if forwards(port.device, from) && forwards(next, to) {
                let bps = match link.link.bandwidth {
                    Bandwidth::Limited(rate) => rate.as_bps(),
                    _ => UNLIMITED >> 20,
                };
                graph.add_edge(nodes[port.device.index()], nodes[next.index()], bps);
            }
        }
        let (most, _) = ford_fulkerson(&graph, source, sink);
        (most < UNLIMITED >> 20).then_some(most)
    }
}
