//! The hosts and the traffic entry of each flow, by name.

use std::iter::repeat_n;
use std::net::IpAddr;

use arrow_array::{ArrayRef, UInt32Array};
use rustc_hash::FxHashMap;

use super::names::Names;
use crate::packet::FlowKey;
use crate::pfm::Addresses;
use crate::scenario::{Scenario, Traffic};
use crate::statistics::FlowStatistics;
use crate::topology::Topology;
use crate::transport::ConnectionRecord;

/// Names the ends of flows by the hosts that have their addresses, and the `[[traffic]]` entry that sends them.
pub struct FlowNames {
    hosts: Names,
    entries: Names,
    addresses: Addresses,
    /// By number of the source: its entry.
    of_source: Vec<u32>,
    /// The entries that have connections, in the order in which connections number them.
    with_connections: Vec<u32>,
    /// By the flow of the end that opened a connection: its number among `with_connections`. Empty where there is one such
    /// entry, which then has all connections.
    opened: FxHashMap<FlowKey, u32>,
}

impl FlowNames {
    /// Of the flows of a run in `topology`.
    pub fn new(topology: &Topology, scenario: &Scenario, connections: &[ConnectionRecord]) -> Self {
        let traffic = || (0u32..).zip(&scenario.traffic);
        let has_connections = |traffic: &Traffic| matches!(traffic, Traffic::Connections(_));
        let with_connections: Vec<u32> =
            traffic().filter(|(_, traffic)| has_connections(traffic)).map(|(place, _)| place).collect();
        let opened = match with_connections.len() {
            0 | 1 => FxHashMap::default(),
            _ => connections
                .iter()
                .filter(|connection| connection.opened_here)
                .map(|connection| (connection.key, connection.entry))
                .collect(),
        };
        FlowNames {
            hosts: Names::devices(topology),
            entries: Names::new(scenario.traffic_names().iter().map(String::as_str)),
            addresses: Addresses::new(topology),
            of_source: traffic().flat_map(|(place, traffic)| repeat_n(place, traffic.sources())).collect(),
            with_connections,
            opened,
        }
    }

    /// The entry that sends a flow; none of a packet that belongs to no connection.
    fn entry(&self, flow: &FlowStatistics, is_connection: bool) -> Option<u32> {
        if let Some(entry) = self.of_source.get(flow.source as usize) {
            return Some(*entry);
        }
        if !is_connection {
            return None;
        }
        let opened = |key: Option<FlowKey>| self.opened.get(&key?);
        let number = match self.with_connections.len() {
            1 => 0,
            _ => *opened(Some(flow.key)).or_else(|| opened(flow.key.reverse()))?,
        };
        self.with_connections.get(number as usize).copied()
    }

    /// The columns of some flows, each with whether it belongs to a connection.
    pub(super) fn columns<'f>(
        &self,
        flows: impl Iterator<Item = (&'f FlowStatistics, bool)> + Clone,
    ) -> Vec<(&'static str, ArrayRef)> {
        let host = |address: Option<IpAddr>| Some(self.addresses.host_of(address?)?.index() as u32);
        let source = flows.clone().map(|(flow, _)| host(flow.key.source_address()));
        let destination = flows.clone().map(|(flow, _)| host(flow.key.destination_address()));
        let entries = flows.clone().map(|(flow, is_connection)| self.entry(flow, is_connection));
        vec![
            ("source_host", self.hosts.column(UInt32Array::from_iter(source))),
            ("destination_host", self.hosts.column(UInt32Array::from_iter(destination))),
            ("traffic", self.entries.column(UInt32Array::from_iter(entries))),
        ]
    }
}
