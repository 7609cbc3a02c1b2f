//! The ports that the packets of an entry pass.

use std::net::IpAddr;
use std::sync::Arc;

use crate::flow::Flows;
use crate::packet::FlowKey;
use crate::pfm::{Addresses, Pfm};
use crate::topology::{DeviceId, DeviceKind, PortId, Topology};

/// Pairs of hosts whose paths are looked at.
pub(super) const MOST_PAIRS: usize = 1_024;

/// Flows of a pair that are looked at: equal-cost paths are chosen by flow.
const FLOWS: u16 = 16;

/// Finds the paths between hosts.
pub(super) struct Paths {
    topology: Arc<Topology>,
    addresses: Addresses,
    pfm: Pfm,
    flows: Flows,
}

impl Paths {
    pub(super) fn new(topology: &Arc<Topology>, seed: u64) -> Self {
        Paths {
            topology: Arc::clone(topology),
            addresses: Addresses::new(topology),
            pfm: Pfm::new(Arc::clone(topology), seed),
            flows: Flows::default(),
        }
    }

    /// The egress ports that a flow passes; none where a host's first address leads to another host, and of a flow that was
    /// asked for before.
    pub(super) fn ports(
        &mut self,
        (from, to): (DeviceId, DeviceId),
        protocol: u8,
        ports: (u16, u16),
    ) -> Vec<PortId> {
        let address = |host: DeviceId| -> Option<IpAddr> {
            let address = self.topology.device(host).addresses.first()?.addr();
            (self.addresses.host_of(address) == Some(host)).then_some(address)
        };
        let (Some(source), Some(destination)) = (address(from), address(to)) else { return Vec::new() };
        let key = FlowKey::Ip { source, destination, protocol, ports: Some(ports) };
        let (fid, is_new) = self.flows.add(key);
        if !is_new {
            return Vec::new();
        }
        self.pfm.add_flow(&key);
        self.pfm.path(&self.flows, fid, from).ports
    }
}

/// A sender's destinations; `to` has their places among the hosts of the entry, or means all of them.
pub(super) fn destinations(to: Option<&[usize]>, hosts: &[DeviceId]) -> Vec<DeviceId> {
    match to {
        Some(to) => to.iter().map(|place| hosts[*place]).collect(),
        None => hosts.to_vec(),
    }
}

/// A warning where the packets of an entry do not pass the port whose load it gives.
pub(super) fn off_path(
    label: &str,
    port: PortId,
    senders: impl Iterator<Item = (DeviceId, Vec<DeviceId>)>,
    protocol: u8,
    mut paths: Paths,
) -> Option<String> {
    let pairs = senders.flat_map(|(from, to)| to.into_iter().map(move |to| (from, to)));
    let pairs: Vec<(DeviceId, DeviceId)> =
        pairs.filter(|(from, to)| from != to).take(MOST_PAIRS + 1).collect();
    if pairs.len() > MOST_PAIRS {
        return None;
    }
    let mut example = None;
    for pair in pairs {
        for source_port in 0..FLOWS {
            let passed = paths.ports(pair, protocol, (u16::MAX - source_port, 9));
            if passed.contains(&port) {
                return None;
            }
            let topology = &paths.topology;
            let is_host = |port: PortId| topology.device(topology.port(port).device).kind == DeviceKind::Host;
            example = example.or(passed.iter().copied().find(|port| !is_host(*port)));
        }
    }
    let topology = &paths.topology;
    let such_as = example.map_or(String::new(), |port| format!(", such as {}", topology.port_name(port)));
    Some(format!(
        "[[traffic]] `{label}` gives its rate as a load of {}, but its packets do not pass that port: name one on their \
         way{such_as}",
        topology.port_name(port)
    ))
}
