//! The capacity of a network between two sets of hosts.

use petgraph::algo::ford_fulkerson;
use petgraph::graph::DiGraph;

use super::{DeviceId, DeviceKind, Topology};
use crate::units::Bandwidth;

impl Topology {
    /// The maximum flow in bits per second from the hosts `from` to the hosts `to`. Other hosts do not
    /// forward. `None` if it is unbounded.
    ///
    /// # Source
    /// Edmonds, Karp, "Theoretical improvements in algorithmic efficiency for network flow problems", 1972.
    pub fn capacity_between(&self, from: &[DeviceId], to: &[DeviceId]) -> Option<u64> {
        /// Represents a link of unlimited bandwidth: more than all other links together.
        const UNLIMITED: u64 = 1 << 50;
        /// The capacity of hosts, as sources and destinations.
        const ENDLESS: u64 = 1 << 62;
        let mut graph = DiGraph::<(), u64>::new();
        let nodes: Vec<_> = self.devices().map(|_| graph.add_node(())).collect();
        let (source, sink) = (graph.add_node(()), graph.add_node(()));
        for host in from {
            graph.add_edge(source, nodes[host.index()], ENDLESS);
        }
        for host in to {
            graph.add_edge(nodes[host.index()], sink, ENDLESS);
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
                    Bandwidth::Unlimited => UNLIMITED,
                };
                graph.add_edge(nodes[port.device.index()], nodes[next.index()], bps);
            }
        }
        let (most, _) = ford_fulkerson(&graph, source, sink);
        (most < UNLIMITED).then_some(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The capacity between two hosts whose routers are joined by `links` links.
    fn capacity(host: &str, links: u16, link: &str) -> Option<u64> {
        let device = |name: &str, kind: &str| format!("[[device]]\nname = \"{name}\"\nkind = \"{kind}\"\n");
        let between = |one: &str, other: &str, bandwidth: &str| {
            format!(
                "[[link]]\nbetween = [\"{one}\", \"{other}\"]\nbandwidth = \"{bandwidth}\"\ndelay = \"1 us\"\n"
            )
        };
        let mut text = "name = \"two\"\n".to_owned();
        for (name, kind) in [("a", "host"), ("b", "host"), ("r", "router"), ("s", "router")] {
            text += &device(name, kind);
        }
        text += &(between("a:0", "r:0", host) + &between("b:0", "s:0", host));
        for port in 1..=links {
            text += &between(&format!("r:{port}"), &format!("s:{port}"), link);
        }
        let topology = Topology::from_toml("two.toml", &text).unwrap();
        let [a, b] = ["a", "b"].map(|name| topology.device_named(name).unwrap());
        topology.capacity_between(&[a], &[b])
    }

    #[test]
    fn the_narrowest_cut_bounds_it_however_wide_that_is() {
        assert_eq!(capacity("100 Gbps", 3, "10 Gbps"), Some(30_000_000_000));
        assert_eq!(capacity("100 Gbps", 3, "unlimited"), Some(100_000_000_000));
        // 64 hosts of a fat tree at 400 Gbps.
        assert_eq!(capacity("unlimited", 64, "400 Gbps"), Some(25_600_000_000_000));
        assert_eq!(capacity("unlimited", 1, "unlimited"), None);
    }
}
