//! `flows`: one row per flow, in order of first appearance.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, StringArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};

use super::quantiles::{Percentiles, Quantiles};
use crate::packet::{FlowKey, Packet, Tau};
use crate::pfm::Addresses;
use crate::table::{TableError, Tables, write_table};
use crate::topology::Topology;
use crate::units::Time;

/// What is kept of one flow.
#[derive(Debug, Clone)]
struct FlowRecord {
    key: FlowKey,
    /// The source of its first packet.
    source: u32,
    injected: u64,
    injected_bytes: u64,
    delivered: u64,
    dropped: u64,
    marked: u64,
    delay_sum: u128,
    delay_min: u64,
    delay_max: u64,
    last_delay: u64,
    variation_sum: u128,
    variation_min: i64,
    variation_max: i64,
    delays: Quantiles,
    /// The latest sent of those that have arrived: when, and its pid.
    latest: (Time, u64),
    reordered: u64,
}

/// Collects the table `flows`.
#[derive(Debug, Clone, Default)]
pub struct FlowRecords {
    flows: Vec<FlowRecord>,
}

impl FlowRecords {
    /// The next flow; its `fid` counts up from 0.
    pub fn flow(&mut self, key: FlowKey) {
        self.flows.push(FlowRecord {
            key,
            source: 0,
            injected: 0,
            injected_bytes: 0,
            delivered: 0,
            dropped: 0,
            marked: 0,
            delay_sum: 0,
            delay_min: u64::MAX,
            delay_max: 0,
            last_delay: 0,
            variation_sum: 0,
            variation_min: i64::MAX,
            variation_max: i64::MIN,
            delays: Quantiles::default(),
            latest: (Time::ZERO, 0),
            reordered: 0,
        });
    }

    /// A packet entered, from the source of that number.
    #[inline]
    pub fn injected(&mut self, packet: &Packet, source: u32) {
        let flow = &mut self.flows[packet.fid as usize];
        if flow.injected == 0 {
            flow.source = source;
        }
        flow.injected += 1;
        flow.injected_bytes += u64::from(packet.length);
    }

    /// A packet arrived that was sent at `injected`; packets are told in the order in which they arrive.
    #[inline]
    pub fn delivered(&mut self, tau: &Tau, injected: Time) {
        let flow = &mut self.flows[tau.packet.fid as usize];
        let delay = tau.timestamp.since(injected).as_ps();
        if flow.delivered > 0 {
            flow.variation_sum += u128::from(delay.abs_diff(flow.last_delay));
            let variation = i128::from(delay) - i128::from(flow.last_delay);
            let variation = variation.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            flow.variation_min = flow.variation_min.min(variation);
            flow.variation_max = flow.variation_max.max(variation);
        }
        let sent = (injected, tau.packet.pid);
        flow.reordered += u64::from(sent < flow.latest);
        flow.latest = flow.latest.max(sent);
        flow.delays.record(delay);
        flow.delivered += 1;
        flow.delay_sum += u128::from(delay);
        flow.delay_min = flow.delay_min.min(delay);
        flow.delay_max = flow.delay_max.max(delay);
        flow.last_delay = delay;
    }

    /// A packet was lost.
    #[inline]
    pub fn dropped(&mut self, packet: &Packet) {
        self.flows[packet.fid as usize].dropped += 1;
    }

    /// A queue of the network marked a packet: congestion experienced (RFC 3168).
    #[inline]
    pub fn marked(&mut self, packet: &Packet) {
        self.flows[packet.fid as usize].marked += 1;
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
        let some = |flow: &FlowRecord, value: u64| (flow.delivered > 0).then_some(value);
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
                Arc::new(UInt64Array::from_iter_values(flows.iter().map(|flow| flow.delivered))),
            ),
            (
                "packets_dropped",
                Arc::new(UInt64Array::from_iter_values(flows.iter().map(|flow| flow.dropped))),
            ),
            ("packets_marked", Arc::new(UInt64Array::from_iter_values(flows.iter().map(|flow| flow.marked)))),
            (
                "delay_mean_ps",
                Arc::new(Float64Array::from_iter(flows.iter().map(|flow| {
                    (flow.delivered > 0).then(|| flow.delay_sum as f64 / flow.delivered as f64)
                }))),
            ),
            (
                "delay_min_ps",
                Arc::new(UInt64Array::from_iter(flows.iter().map(|flow| some(flow, flow.delay_min)))),
            ),
            (
                "delay_max_ps",
                Arc::new(UInt64Array::from_iter(flows.iter().map(|flow| some(flow, flow.delay_max)))),
            ),
            (
                "jitter_ps",
                Arc::new(Float64Array::from_iter(flows.iter().map(|flow| {
                    (flow.delivered > 1).then(|| flow.variation_sum as f64 / (flow.delivered - 1) as f64)
                }))),
            ),
        ];
        columns.extend(of_packets);
        columns.extend(self.metrics());
        write_table(tables, "flows", columns)
    }

    /// The columns of RFC 7679, 5481, 3393, 7680 and 4737, beside those of the plain delays.
    fn metrics(&self) -> Vec<(&'static str, ArrayRef)> {
        let flows = &self.flows;
        let percentiles: Vec<Option<Percentiles>> =
            flows.iter().map(|flow| flow.delays.percentiles()).collect();
        let mut columns = percentile_columns(
            ["delay_p50_ps", "delay_p90_ps", "delay_p99_ps", "delay_p999_ps"],
            &percentiles,
        );
        let pdv = flows.iter().zip(&percentiles);
        let pdv = pdv.map(|(flow, found)| Some(found.as_ref()?.p999.saturating_sub(flow.delay_min)));
        let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let loss = flows.iter().map(|flow| ratio(flow.dropped, flow.dropped + flow.delivered));
        let reordering = flows.iter().map(|flow| ratio(flow.reordered, flow.delivered));
        let variation = |of: fn(&FlowRecord) -> i64| {
            Arc::new(Int64Array::from_iter(flows.iter().map(|flow| (flow.delivered > 1).then(|| of(flow)))))
        };
        columns.extend([
            ("pdv_p999_ps", Arc::new(UInt64Array::from_iter(pdv)) as ArrayRef),
            ("ipdv_min_ps", variation(|flow| flow.variation_min)),
            ("ipdv_max_ps", variation(|flow| flow.variation_max)),
            ("loss_ratio", Arc::new(Float64Array::from_iter(loss))),
            (
                "packets_reordered",
                Arc::new(UInt64Array::from_iter_values(flows.iter().map(|flow| flow.reordered))),
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
