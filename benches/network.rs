//! The network of the [`Workload`] in taunet.

use taunet::link::Link;
use taunet::topology::{DeviceKind, DeviceSpec, Forwarding, LinkSpec, Multipath, PortName, Topology};

use crate::workload::{Workload, address};

impl Workload {
    /// Devices in the order of nodes, at each the ports down before those up.
    pub fn topology(&self) -> Topology {
        let kind = |node: usize| if node < self.hosts { DeviceKind::Host } else { DeviceKind::Switch };
        let devices = (0..self.nodes).map(|node| DeviceSpec {
            addresses: (node < self.hosts).then(|| address(node as u32).into()).into_iter().collect(),
            ..DeviceSpec::new(format!("n{node}"), kind(node))
        });
        let link =
            Link::with_delay("1 Gbps".parse().expect("a bandwidth"), "10 us".parse().expect("a delay"));
        // A node's neighbours by number: hosts below edges below aggregation below cores.
        let mut neighbours: Vec<Vec<u32>> = vec![Vec::new(); self.nodes];
        for (&from, &to) in self.from.iter().zip(&self.to) {
            for (here, there) in [(from, to), (to, from)] {
                if !neighbours[here as usize].contains(&there) {
                    neighbours[here as usize].push(there);
                }
            }
        }
        neighbours.iter_mut().for_each(|list| list.sort_unstable());
        let port = |here: u32, there: u32| {
            let place = neighbours[here as usize].iter().position(|node| *node == there);
            PortName::new(format!("n{here}"), place.expect("a neighbour") as u16)
        };
        let links = (0..self.nodes as u32).flat_map(|here| {
            neighbours[here as usize]
                .iter()
                .filter(move |there| **there > here)
                .map(move |&there| (here, there))
        });
        let links =
            links.map(|(here, there)| LinkSpec::new(port(here, there), port(there, here), link)).collect();
        let multipath = if self.is_fat_tree { Multipath::DModK } else { Multipath::LowestPort };
        Topology::new(&self.name, devices.collect(), links)
            .expect("a sound topology")
            .with_forwarding(Forwarding { multipath, ..Forwarding::default() })
    }
}
