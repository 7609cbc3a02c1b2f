//! `flows`: one row per flow, in order of first appearance.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, StringArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};

use rustc_hash::FxHashMap;

use crate::packet::FlowKey;
use crate::pfm::Addresses;
use crate::statistics::{FlowStatistics, Percentiles};
use crate::table::{TableError, Tables, write_table};
use crate::topology::Topology;
use crate::transport::ConnectionRecord;

/// The table `flows`.
#[derive(Debug, Clone, Default)]
pub struct FlowRecords {
    flows: Vec<FlowStatistics>,
    /// By `fid`: of the end that sends it, where the flow is one of a connection.
    connections: Vec<Option<ConnectionRecord>>,
}

impl FlowRecords {
    /// Of the flows of a run, by `fid`, and the connections that they belong to.
    pub fn new(flows: Vec<FlowStatistics>, connections: &[ConnectionRecord]) -> Self {
        let by_key: FxHashMap<FlowKey, &ConnectionRecord> =
            connections.iter().map(|connection| (connection.key, connection)).collect();
        let connections = match by_key.is_empty() {
            true => Vec::new(),
            false => flows.iter().map(|flow| by_key.get(&flow.key).map(|found| **found)).collect(),
        };
        FlowRecords { flows, connections }
    }

    /// The connection of each flow that is one, by `fid`; empty where there is none at all.
    pub fn connections(&self) -> &[Option<ConnectionRecord>] {
        &self.connections
    }

    /// What every flow did, by `fid`.
    pub fn flows(&self) -> &[FlowStatistics] {
        &self.flows
    }

    /// A word on the packets whose destination no host has, if there are any.
    pub fn homeless(&self, topology: &Topology) -> Option<String> {
        let addresses = Addresses::new(topology);
        let mut homeless: BTreeMap<IpAddr, u64> = BTreeMap::new();
        for flow in &self.flows {
            if let Some(address) = flow.key.destination_address()
                && addresses.host_of(address).is_none()
            {
                *homeless.entry(address).or_default() += flow.injected;
            }
        }
        let (example, _) = homeless.iter().max_by_key(|(_, packets)| **packets)?;
        Some(format!(
            "{} packets go to {} addresses that no host has, such as {example}: give a host these `addresses`",
            homeless.values().sum::<u64>(),
            homeless.len(),
        ))
    }

    /// The number of the source of each flow's first packet, by `fid`.
    pub fn sources(&self) -> Vec<u32> {
        self.flows.iter().map(|flow| flow.source).collect()
    }

    /// The number of flows.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there is no flow.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Writes the table; `docs/results.md` says what its columns are.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write(&self, tables: &dyn Tables) -> Result<(), TableError> {
        let flows = &self.flows;
        let keys: Vec<&FlowKey> = flows.iter().map(|flow| &flow.key).collect();
        let mut columns: Vec<(&str, ArrayRef)> =
            vec![("fid", Arc::new(UInt32Array::from_iter_values(0..flows.len() as u32)))];
        columns.extend(key_columns(&keys));
        let of_packets: Vec<(&str, ArrayRef)> = vec![
            (
                "packets_injected",
                Arc::new(UInt64Array::from_iter_values(flows.iter().map(|flow| flow.injected))),
            ),
            (
                "bytes_injected",
                Arc::new(UInt64Array::from_iter_values(flows.iter().map(|flow| flow.injected_bytes))),
            ),
            (
                "packets_delivered",
                Arc::new(UInt64Array::from_iter_values(flows.iter().map(|flow| flow.delivery.packets()))),
            ),
            (
                "packets_dropped",
                Arc::new(UInt64Array::from_iter_values(flows.iter().map(|flow| flow.dropped))),
            ),
            ("packets_marked", Arc::new(UInt64Array::from_iter_values(flows.iter().map(|flow| flow.marked)))),
            (
                "delay_mean_ps",
                Arc::new(Float64Array::from_iter(flows.iter().map(|flow| flow.delivery.delay_mean()))),
            ),
            (
                "delay_min_ps",
                Arc::new(UInt64Array::from_iter(flows.iter().map(|flow| flow.delivery.delay_min()))),
            ),
            (
                "delay_max_ps",
                Arc::new(UInt64Array::from_iter(flows.iter().map(|flow| flow.delivery.delay_max()))),
            ),
            ("jitter_ps", Arc::new(Float64Array::from_iter(flows.iter().map(|flow| flow.delivery.jitter())))),
        ];
        columns.extend(of_packets);
        columns.extend(self.metrics());
        columns.extend(self.transfers());
        write_table(tables, "flows", columns)
    }

    /// The columns of connections; there are none where the run has no connection. What is sent in answer (acknowledgements) has no
    /// bytes of its own.
    fn transfers(&self) -> Vec<(&'static str, ArrayRef)> {
        if self.connections.is_empty() {
            return Vec::new();
        }
        let of = |part: fn(&ConnectionRecord) -> Option<u64>| {
            let values = self.connections.iter().map(|connection| connection.as_ref().and_then(part));
            Arc::new(UInt64Array::from_iter(values)) as ArrayRef
        };
        let goodput = self.connections.iter().map(|connection| connection.as_ref()?.goodput_bps());
        vec![
            ("start_ps", of(|connection| Some(connection.opened.as_ps()))),
            ("bytes_acknowledged", of(|connection| Some(connection.acknowledged))),
            ("completion_ps", of(|connection| Some(connection.completion()?.as_ps()))),
            ("goodput_bps", Arc::new(Float64Array::from_iter(goodput))),
            ("retransmissions", of(|connection| Some(connection.retransmissions))),
            ("timeouts", of(|connection| Some(connection.timeouts))),
            ("delivered_ce", of(|connection| Some(connection.delivered_ce))),
        ]
    }

    /// The columns of RFC 7679, 5481, 3393, 7680 and 4737, beside those of the plain delays.
    fn metrics(&self) -> Vec<(&'static str, ArrayRef)> {
        let flows = &self.flows;
        let percentiles: Vec<Option<Percentiles>> = flows.iter().map(|flow| flow.delivery.delays()).collect();
        let mut columns = percentile_columns(
            ["delay_p50_ps", "delay_p90_ps", "delay_p99_ps", "delay_p999_ps"],
            &percentiles,
        );
        let pdv = flows.iter().zip(&percentiles);
        let pdv =
            pdv.map(|(flow, found)| Some(found.as_ref()?.p999.saturating_sub(flow.delivery.delay_min()?)));
        let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let loss = flows.iter().map(|flow| ratio(flow.dropped, flow.dropped + flow.delivery.packets()));
        let reordering = flows.iter().map(|flow| ratio(flow.delivery.reordered(), flow.delivery.packets()));
        let variation = |of: fn((i64, i64)) -> i64| {
            Arc::new(Int64Array::from_iter(flows.iter().map(|flow| flow.delivery.variation().map(of))))
        };
        columns.extend([
            ("pdv_p999_ps", Arc::new(UInt64Array::from_iter(pdv)) as ArrayRef),
            ("ipdv_min_ps", variation(|(least, _)| least)),
            ("ipdv_max_ps", variation(|(_, greatest)| greatest)),
            ("loss_ratio", Arc::new(Float64Array::from_iter(loss))),
            (
                "packets_reordered",
                Arc::new(UInt64Array::from_iter_values(flows.iter().map(|flow| flow.delivery.reordered()))),
            ),
            ("reordered_ratio", Arc::new(Float64Array::from_iter(reordering))),
        ]);
        columns
    }
}

/// What makes each flow: addresses, protocol, ports; null where there is none.
pub(crate) fn key_columns(keys: &[&FlowKey]) -> Vec<(&'static str, ArrayRef)> {
    let ip = |key: &FlowKey| match *key {
        FlowKey::Ip { protocol, ports, .. } => Some((protocol, ports)),
        FlowKey::Link { .. } => None,
    };
    let end = |key: &FlowKey, source: bool| match *key {
        FlowKey::Ip { source: from, destination: to, .. } => Some(if source { from } else { to }.to_string()),
        FlowKey::Link { source: from, destination: to, .. } => {
            if source { from } else { to }.map(|mac| mac.to_string())
        }
    };
    let protocols = keys.iter().map(|key| ip(key).map(|(number, _)| number));
    let source_ports = keys.iter().map(|key| ip(key)?.1.map(|(from, _)| from));
    let destination_ports = keys.iter().map(|key| ip(key)?.1.map(|(_, to)| to));
    vec![
        ("source", Arc::new(StringArray::from_iter(keys.iter().map(|key| end(key, true))))),
        ("destination", Arc::new(StringArray::from_iter(keys.iter().map(|key| end(key, false))))),
        ("protocol", Arc::new(UInt8Array::from_iter(protocols))),
        ("source_port", Arc::new(UInt16Array::from_iter(source_ports))),
        ("destination_port", Arc::new(UInt16Array::from_iter(destination_ports))),
    ]
}

/// A column per percentile.
pub(super) fn percentile_columns(
    names: [&'static str; 4],
    percentiles: &[Option<Percentiles>],
) -> Vec<(&'static str, ArrayRef)> {
    let parts: [fn(&Percentiles) -> u64; 4] = [|p| p.p50, |p| p.p90, |p| p.p99, |p| p.p999];
    let column = |part: fn(&Percentiles) -> u64| {
        Arc::new(UInt64Array::from_iter(percentiles.iter().map(|found| found.as_ref().map(part)))) as ArrayRef
    };
    names.into_iter().zip(parts.map(column)).collect()
}
