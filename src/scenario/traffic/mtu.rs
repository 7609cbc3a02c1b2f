//! Packets that are longer than a link on their way carries.

use std::net::IpAddr;
use std::sync::Arc;

use super::pace::access;
use crate::flow::Flows;
use crate::link::Link;
use crate::packet::{FlowKey, VlanTag};
use crate::pfm::{Addresses, Pfm};
use crate::topology::{DeviceId, PortId, Topology};
use crate::traffic::Generator;

/// Pairs of hosts whose paths are looked at; of more, the links of the hosts themselves.
const MOST_PAIRS: usize = 1_024;

/// Bytes of a VLAN tag, which an MTU does not count.
const TAG: u64 = 4;

/// The links that do not carry the longest packets of a generator, in words.
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
        "[[traffic]] `{}` sends packets of up to {longest} B, and the link of {} carries {}{others}: a real network cuts \
         or loses them, here they pass whole; make `size` smaller, or give the link a larger `mtu`",
        generator.label,
        topology.port_name(first),
        bytes(link(first)),
    )]
}

/// The ports that the packets of a generator pass, in the order in which they are found.
fn passed(generator: &Generator, topology: &Arc<Topology>, seed: u64) -> Vec<PortId> {
    let destinations = |to: &Option<Vec<usize>>| -> Vec<DeviceId> {
        match to {
            Some(to) => to.iter().map(|place| generator.hosts[*place]).collect(),
            None => generator.hosts.to_vec(),
        }
    };
    let pairs: usize = generator.senders.iter().map(|sender| destinations(&sender.to).len()).sum();
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
    let addresses = Addresses::new(topology);
    // Where a host's first address leads to another one, there is none to look along.
    let address = |host: DeviceId| -> Option<IpAddr> {
        let address = topology.device(host).addresses.first()?.addr();
        (addresses.host_of(address) == Some(host)).then_some(address)
    };
    let (mut pfm, mut flows) = (Pfm::new(Arc::clone(topology), seed), Flows::default());
    for sender in &generator.senders {
        ports.extend(access(topology, sender.host).0);
        for to in destinations(&sender.to).into_iter().filter(|to| *to != sender.host) {
            let (Some(source), Some(destination)) = (address(sender.host), address(to)) else { continue };
            let transport = Some((generator.source_port, generator.destination_port));
            let key = FlowKey::Ip { source, destination, protocol: generator.template.trp, ports: transport };
            let (fid, is_new) = flows.add(key);
            if is_new {
                pfm.add_flow(&key);
                ports.extend(pfm.path(&flows, fid, sender.host).ports);
            }
        }
    }
    ports
}
