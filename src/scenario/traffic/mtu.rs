//! Warns of packets that are longer than the MTU of a link on their path.

use std::sync::Arc;

use super::pace::access;
use super::paths::{MOST_PAIRS, Paths, destinations};
use crate::link::Link;
use crate::packet::VlanTag;
use crate::topology::{PortId, Topology};
use crate::traffic::Generator;
use crate::traffic::generator::Sender;

/// The bytes of a VLAN tag, which an MTU does not count.
const TAG: u64 = 4;

/// A warning about the links whose MTU is smaller than the longest packets of a generator.
pub(super) fn too_long(generator: &Generator, topology: &Arc<Topology>, seed: u64) -> Vec<String> {
    let longest = generator.sizes.max();
    let tag = if generator.template.tag == VlanTag::NONE { 0 } else { TAG };
    let link = |port: PortId| &topology.link(topology.port(port).egress).link;
    let fits = |link: &Link| u64::from(longest) <= link.mtu().get().saturating_add(tag);
    if topology.ports().all(|(port, _)| fits(link(port))) {
        return Vec::new();
    }
    let mut narrow: Vec<PortId> =
        passed(generator, topology, seed).into_iter().filter(|port| !fits(link(*port))).collect();
    let Some(first) = narrow.first().copied() else { return Vec::new() };
    narrow.sort_unstable();
    narrow.dedup();
    let bytes = |link: &Link| format!("{} B", link.mtu().get());
    let others = match narrow.len() - 1 {
        0 => String::new(),
        1 => " (and 1 other link)".to_owned(),
        others => format!(" (and {others} other links)"),
    };
    vec![format!(
        "[[traffic]] `{}` sends packets of up to {longest} B, and the link of {} carries {}{others}: a real network fragments \
         or drops them, the simulation forwards them whole; make `size` smaller, or give the link a larger `mtu`",
        generator.label,
        topology.port_name(first),
        bytes(link(first)),
    )]
}

/// The ports on the paths of a generator's packets, in the order of discovery; with more than [`MOST_PAIRS`] pairs, only
/// those of the hosts' links.
fn passed(generator: &Generator, topology: &Arc<Topology>, seed: u64) -> Vec<PortId> {
    let destinations = |sender: &Sender| destinations(sender.to.as_deref(), &generator.hosts);
    let pairs: usize = generator.senders.iter().map(|sender| destinations(sender).len()).sum();
    let mut ports = Vec::new();
    if pairs > MOST_PAIRS {
        for sender in &generator.senders {
            ports.extend(access(topology, sender.host).0);
        }
        for host in generator.hosts.iter() {
            let own = topology.device(*host).ports.iter();
            ports.extend(own.map(|port| topology.link(topology.port(*port).ingress).from));
        }
        return ports;
    }
    let mut paths = Paths::new(topology, seed);
    for sender in &generator.senders {
        ports.extend(access(topology, sender.host).0);
        for to in destinations(sender).into_iter().filter(|to| *to != sender.host) {
            let transport = (generator.source_port, generator.destination_port);
            ports.extend(paths.ports((sender.host, to), generator.template.trp, transport));
        }
    }
    ports
}
