//! `flows`: one row per flow, in order of first appearance.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, StringArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};

use super::flow_names::FlowNames;
use crate::engine::PacketCounts;
use crate::packet::FlowKey;
use crate::pfm::Addresses;
use crate::statistics::{FlowStatistics, Percentiles};
use crate::table::{OpenTable, TableError, Tables, schema};
use crate::topology::Topology;
use crate::transport::{ConnectionRecord, ideal};
use crate::units::Span;

/// The table `flows`.
#[derive(Debug, Clone, Default)]
pub struct FlowRecords {
    flows: Vec<FlowStatistics>,
    /// The ends of connections.
    connections: Vec<ConnectionRecord>,
    /// By `fid`: the index of the connection end that sends the flow; `NONE` if the flow belongs to no
    /// connection. Empty in a run without connections.
    places: Vec<u32>,
}

/// The flow belongs to no connection.
const NONE: u32 = u32::MAX;

/// Maximum number of rows per batch.
const ROWS: usize = 1 << 15;

impl FlowRecords {
    /// Creates the table from the flows of a run, by `fid`, and its connections.
    pub fn new(flows: Vec<FlowStatistics>, connections: Vec<ConnectionRecord>) -> Self {
        let mut places = Vec::new();
        if !connections.is_empty() {
            places.resize(flows.len(), NONE);
        }
        for (place, connection) in (0u32..).zip(&connections) {
            if let Some(slot) = places.get_mut(connection.fid as usize) {
                *slot = place;
            }
        }
        FlowRecords { flows, connections, places }
    }

    /// The connection of each flow that belongs to one, by `fid`.
    pub fn connection(&self, fid: usize) -> Option<&ConnectionRecord> {
        self.connections.get(*self.places.get(fid)? as usize)
    }

    /// The statistics of the connection ends, ordered by host.
    pub fn connections(&self) -> &[ConnectionRecord] {
        &self.connections
    }

    /// The statistics of every flow, by `fid`.
    pub fn flows(&self) -> &[FlowStatistics] {
        &self.flows
    }

    /// The packet counts of all flows.
    pub fn packets(&self) -> PacketCounts {
        let mut packets = PacketCounts::default();
        for flow in &self.flows {
            packets.injected += flow.injected;
            packets.delivered += flow.delivery.packets();
            packets.dropped += flow.dropped;
        }
        packets.inside = packets.injected - packets.delivered - packets.dropped;
        packets
    }

    /// A warning about packets whose destination belongs to no host, if there are any.
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
            "{} packets go to {} no host has, such as {example}: give a host these `addresses`",
            homeless.values().sum::<u64>(),
            match homeless.len() {
                1 => "an address that".to_owned(),
                several => format!("{several} addresses that"),
            },
        ))
    }

    /// The number of the source of the first packet of each flow, by `fid`.
    pub fn sources(&self) -> Vec<u32> {
        self.flows.iter().map(|flow| flow.source).collect()
    }

    /// The number of flows.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there are no flows.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Writes the table. `docs/results.md` describes its columns.
    ///
    /// # Errors
    /// The table cannot be written.
    pub fn write(&self, tables: &dyn Tables, names: &FlowNames) -> Result<(), TableError> {
        let mut table: Option<OpenTable> = None;
        let mut from = 0;
        while table.is_none() || from < self.flows.len() {
            let columns = self.columns(from..(from + ROWS).min(self.flows.len()), names);
            let table = match &mut table {
                Some(table) => table,
                none => {
                    let mut schema = schema(&columns).as_ref().clone();
                    if !self.connections.is_empty() {
                        schema.metadata.insert("ideal_ps".to_owned(), ideal::DEFINITION.to_owned());
                    }
                    none.insert(OpenTable::begin(tables, "flows", schema)?)
                }
            };
            table.write(columns.into_iter().map(|(_, column)| column).collect())?;
            from += ROWS;
        }
        table.map_or(Ok(()), OpenTable::finish)
    }

    /// The columns for a range of `fid`.
    fn columns(&self, fids: Range<usize>, names: &FlowNames) -> Vec<(&'static str, ArrayRef)> {
        let flows = &self.flows[fids.clone()];
        let keys: Vec<&FlowKey> = flows.iter().map(|flow| &flow.key).collect();
        let numbers = UInt32Array::from_iter_values(fids.start as u32..fids.end as u32);
        let mut columns: Vec<(&'static str, ArrayRef)> = vec![("fid", Arc::new(numbers))];
        columns.extend(key_columns(&keys));
        let is_connection = fids.clone().map(|fid| self.connection(fid).is_some());
        columns.extend(names.columns(flows.iter().zip(is_connection)));
        let counts = |of: fn(&FlowStatistics) -> u64| {
            Arc::new(UInt64Array::from_iter_values(flows.iter().map(of))) as ArrayRef
        };
        let times = |of: fn(&FlowStatistics) -> Option<u64>| {
            Arc::new(UInt64Array::from_iter(flows.iter().map(of))) as ArrayRef
        };
        let means = |of: fn(&FlowStatistics) -> Option<f64>| {
            Arc::new(Float64Array::from_iter(flows.iter().map(of))) as ArrayRef
        };
        columns.extend([
            ("packets_injected", counts(|flow| flow.injected)),
            ("bytes_injected", counts(|flow| flow.injected_bytes)),
            ("packets_delivered", counts(|flow| flow.delivery.packets())),
            ("bytes_delivered", counts(|flow| flow.delivery.bytes())),
            ("packets_dropped", counts(|flow| flow.dropped)),
            ("packets_marked", counts(|flow| flow.marked)),
            ("delay_mean_ps", means(|flow| flow.delivery.delay_mean())),
            ("delay_min_ps", times(|flow| flow.delivery.delay_min())),
            ("delay_max_ps", times(|flow| flow.delivery.delay_max())),
            ("jitter_ps", means(|flow| flow.delivery.jitter())),
        ]);
        columns.extend(metrics(flows));
        columns.extend(self.transfers(fids));
        columns
    }

    /// The columns of connections; none in a run without connections. The flow of the acknowledgements has no
    /// bytes of its own.
    fn transfers(&self, fids: Range<usize>) -> Vec<(&'static str, ArrayRef)> {
        if self.connections.is_empty() {
            return Vec::new();
        }
        let connections: Vec<Option<&ConnectionRecord>> = fids.map(|fid| self.connection(fid)).collect();
        let of = |part: fn(&ConnectionRecord) -> Option<u64>| {
            let values = connections.iter().map(|connection| connection.and_then(part));
            Arc::new(UInt64Array::from_iter(values)) as ArrayRef
        };
        let ratio = |part: fn(&ConnectionRecord) -> Option<f64>| {
            let values = connections.iter().map(|connection| connection.and_then(part));
            Arc::new(Float64Array::from_iter(values)) as ArrayRef
        };
        vec![
            ("start_ps", of(|connection| Some(connection.opened.as_ps()))),
            ("bytes_acknowledged", of(|connection| Some(connection.acknowledged))),
            ("completion_ps", of(|connection| Some(connection.completion()?.as_ps()))),
            ("ideal_ps", of(|connection| connection.ideal().map(Span::as_ps))),
            ("slowdown", ratio(ConnectionRecord::slowdown)),
            ("goodput_bps", ratio(ConnectionRecord::goodput_bps)),
            ("retransmissions", of(|connection| Some(connection.retransmissions.into()))),
            ("timeouts", of(|connection| Some(connection.timeouts.into()))),
            ("delivered_ce", of(|connection| Some(connection.delivered_ce.into()))),
        ]
    }
}

/// The columns of the metrics of RFC 7679, 5481, 3393, 7680 and 4737.
fn metrics(flows: &[FlowStatistics]) -> Vec<(&'static str, ArrayRef)> {
    let percentiles: Vec<Option<Percentiles>> = flows.iter().map(|flow| flow.delivery.delays()).collect();
    let mut columns =
        percentile_columns(["delay_p50_ps", "delay_p90_ps", "delay_p99_ps", "delay_p999_ps"], &percentiles);
    let pdv = flows.iter().zip(&percentiles);
    let pdv = pdv.map(|(flow, found)| Some(found.as_ref()?.p999.saturating_sub(flow.delivery.delay_min()?)));
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

/// The keys of the flows: addresses, protocol, ports; null if a flow has none.
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

/// One column per percentile.
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
