//! Statistics of a topology: counts, diameter, bandwidths.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{DeviceKind, Topology};
use crate::units::{Bandwidth, Span};

/// Counts and measures of a topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopologyStatistics {
    /// The number of devices of all kinds.
    pub devices: usize,
    /// The number of hosts.
    pub hosts: usize,
    /// The number of switches.
    pub switches: usize,
    /// The number of routers.
    pub routers: usize,
    /// The number of ports.
    pub ports: usize,
    /// The number of links, each of two directions.
    pub links: usize,
    /// The number of connected components; 1 if the network is connected.
    pub pieces: usize,
    /// The number of links on the longest shortest path between two connected devices.
    pub diameter: usize,
    /// Whether `diameter` is exact; otherwise it is a lower bound, as in a ring or torus of 100,000 devices.
    pub diameter_is_exact: bool,
    /// The bandwidths in use, highest first.
    pub bandwidths: Vec<BandwidthCount>,
    /// The shortest propagation delay of a link, in picoseconds.
    pub min_delay_ps: Option<u64>,
    /// The longest propagation delay of a link, in picoseconds.
    pub max_delay_ps: Option<u64>,
}

/// The number of link directions with a bandwidth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BandwidthCount {
    /// The bandwidth.
    pub bandwidth: Bandwidth,
    /// The number of link directions: two for a link that is equal in both.
    pub directions: usize,
}

impl Topology {
    /// The statistics of the topology.
    ///
    /// # Complexity
    /// That of the diameter: some searches, each O(links), limited to some seconds.
    pub fn statistics(&self) -> TopologyStatistics {
        let count = |kind| self.devices().filter(|(_, device)| device.kind == kind).count();
        let delays = || self.links().map(|(_, link)| link.link.propagation_delay());
        let diameter = self.diameter();
        TopologyStatistics {
            devices: self.devices().len(),
            hosts: count(DeviceKind::Host),
            switches: count(DeviceKind::Switch),
            routers: count(DeviceKind::Router),
            ports: self.ports().len(),
            links: self.forward_links().len(),
            pieces: diameter.pieces,
            diameter: diameter.links,
            diameter_is_exact: diameter.is_exact,
            bandwidths: self.bandwidths(),
            min_delay_ps: delays().min().map(Span::as_ps),
            max_delay_ps: delays().max().map(Span::as_ps),
        }
    }

    fn bandwidths(&self) -> Vec<BandwidthCount> {
        let mut counts: BTreeMap<u64, BandwidthCount> = BTreeMap::new();
        for (_, link) in self.links() {
            let bandwidth = link.link.bandwidth;
            let rate = match bandwidth {
                Bandwidth::Limited(rate) => rate.as_bps(),
                Bandwidth::Unlimited => u64::MAX,
            };
            counts.entry(rate).or_insert(BandwidthCount { bandwidth, directions: 0 }).directions += 1;
        }
        counts.into_values().rev().collect()
    }

    /// The neighbours of each device, one entry per link.
    pub(super) fn neighbours(&self) -> Vec<Vec<usize>> {
        let mut neighbours = vec![Vec::new(); self.devices().len()];
        for (_, link) in self.links() {
            let [from, to] = self.ends(link);
            neighbours[from.index()].push(to.index());
        }
        neighbours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(generate: &str) -> TopologyStatistics {
        let text = format!("name = \"t\"\ndefaults.link.bandwidth = \"1 Gbps\"\n{generate}");
        Topology::from_toml("t.toml", &text).unwrap().statistics()
    }

    #[test]
    fn diameters_and_pieces() {
        for (text, pieces, diameter) in [
            ("generate = { kind = \"fat-tree\", k = 4 }", 1, 6),
            ("generate = { kind = \"ring\", switches = 6 }", 1, 5),
            ("generate = { kind = \"ring\", switches = 7, hosts = 0 }", 1, 3),
            ("generate = { kind = \"star\", hosts = 1 }", 1, 1),
            ("generate = { kind = \"star\", hosts = 2 }", 1, 2),
            ("generate = { kind = \"line\", switches = 1, hosts = 0 }", 1, 0),
            ("generate = { kind = \"line\", switches = 2, hosts = 0 }", 1, 1),
            ("generate = { kind = \"line\", switches = 5, hosts = 3, ends_only = true }", 1, 6),
            ("generate = { kind = \"star\", hosts = 3 }\n[[device]]\nname = \"x\"\nkind = \"host\"", 2, 2),
        ] {
            let found = statistics(text);
            assert_eq!((found.pieces, found.diameter), (pieces, diameter), "{text}");
        }
    }

    #[test]
    fn counts() {
        let found = statistics(
            "generate = { kind = \"dumbbell\", left = 2, right = 3 }\ndefaults.access_link = { bandwidth = \"10 Gbps\", delay = \"5 us\" }",
        );
        assert_eq!((found.devices, found.hosts, found.switches, found.routers), (7, 5, 2, 0));
        assert_eq!((found.ports, found.links), (12, 6));
        let bandwidths =
            found.bandwidths.iter().map(|count| format!("{} {}", count.bandwidth, count.directions));
        assert_eq!(bandwidths.collect::<Vec<_>>(), ["10 Gbps 10", "1 Gbps 2"]);
        assert_eq!((found.min_delay_ps, found.max_delay_ps), (Some(0), Some(5_000_000)));
    }
}
