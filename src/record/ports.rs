//! `ports`: one row per egress port, by device and port number. What a replay starts onto a link, at an egress
//! vantage, has not passed the port and is not counted.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray, UInt16Array, UInt64Array};
use serde::Serialize;

use super::flows::percentile_columns;
use super::quantiles::Quantiles;
use crate::engine::{Dropped, Hop};
use crate::link::Link;
use crate::packet::{DropReason, Tau};
use crate::table::{TableError, Tables, write_table};
use crate::topology::{DeviceId, PortId, Topology};
use crate::units::{PS_PER_S, Span, Time};

/// What is kept of one egress port.
#[derive(Debug, Clone)]
struct PortRecord {
    link: Link,
    /// What it can send in the long run, in bits per second; `None` without a bound.
    capacity: Option<u64>,
    packets: u64,
    bytes: u64,
    busy: Span,
    /// When the last transmission ends.
    free: Time,
    waiting_sum: u128,
    waiting_max: Span,
    sojourn_sum: u128,
    sojourn_max: Span,
    waiting: Quantiles,
    sojourn: Quantiles,
    /// By the number of the reason.
    dropped: [u64; DropReason::ALL.len()],
    marked: u64,
    /// Who joined the queue: those that passed, were lost from it or before it, or still wait.
    joined: u64,
    /// How long those waited that were lost.
    lost_waiting_sum: u128,
    /// Since when those have waited that wait at the run's end.
    still: Vec<Time>,
}

/// Packets lost at one place for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DropCount {
    /// The device's name.
    pub device: String,
    /// The egress port; none for what was lost before one was picked.
    pub port: Option<String>,
    /// Why.
    pub reason: &'static str,
    /// How many.
    pub packets: u64,
}

/// Packets marked at one egress port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MarkCount {
    /// The device's name.
    pub device: String,
    /// The egress port.
    pub port: String,
    /// How many.
    pub packets: u64,
}

/// Collects the table `ports`, the drops by place and reason, and the marks by place.
#[derive(Debug, Clone)]
pub struct PortRecords {
    ports: Vec<PortRecord>,
    drops: std::collections::BTreeMap<(DeviceId, Option<PortId>, DropReason), u64>,
}

impl PortRecords {
    /// Idle ports.
    pub fn new(topology: &Topology) -> Self {
        let ports = topology
            .ports()
            .map(|(_, port)| PortRecord {
                link: topology.link(port.egress).link,
                capacity: port.ptm.capacity_bps(&topology.link(port.egress).link),
                packets: 0,
                bytes: 0,
                busy: Span::ZERO,
                free: Time::ZERO,
                waiting_sum: 0,
                waiting_max: Span::ZERO,
                sojourn_sum: 0,
                sojourn_max: Span::ZERO,
                waiting: Quantiles::default(),
                sojourn: Quantiles::default(),
                dropped: [0; DropReason::ALL.len()],
                marked: 0,
                joined: 0,
                lost_waiting_sum: 0,
                still: Vec::new(),
            })
            .collect();
        PortRecords { ports, drops: std::collections::BTreeMap::new() }
    }

    /// A packet passed.
    #[inline]
    pub fn hop(&mut self, hop: &Hop) {
        let port = &mut self.ports[hop.port.index()];
        let (waiting, sojourn) = (hop.egress.since(hop.joined), hop.egress.since(hop.ingress));
        port.packets += 1;
        port.joined += 1;
        port.waiting.record(waiting.as_ps());
        port.sojourn.record(sojourn.as_ps());
        port.bytes += u64::from(hop.packet.length);
        let transmission = port.link.transmission_time(hop.packet.byte_count());
        port.busy += transmission;
        port.free = hop.egress + transmission;
        port.waiting_sum += u128::from(waiting.as_ps());
        port.waiting_max = port.waiting_max.max(waiting);
        port.sojourn_sum += u128::from(sojourn.as_ps());
        port.sojourn_max = port.sojourn_max.max(sojourn);
    }

    /// A packet that passed carries a mark from here: its ECN field was not CE before, and is now (RFC 3168).
    #[inline]
    pub fn marked(&mut self, port: PortId) {
        self.ports[port.index()].marked += 1;
    }

    /// A packet was lost; at its device, packets take `processing` before they join a queue.
    pub fn dropped(&mut self, drop: &Dropped, processing: Span) {
        let Dropped { tau, device, port, reason, at } = *drop;
        if let Some(port) = port {
            let record = &mut self.ports[port.index()];
            record.dropped[reason.number() as usize] += 1;
            // What is lost on a link has passed the port.
            if reason != DropReason::LostOnLink {
                record.joined += 1;
                record.lost_waiting_sum += u128::from(at.since(tau.timestamp + processing).as_ps());
            }
        }
        *self.drops.entry((device, port, reason)).or_default() += 1;
    }

    /// A packet waits at the run's end.
    pub fn waits(&mut self, port: PortId, joined: &Tau) {
        let record = &mut self.ports[port.index()];
        record.joined += 1;
        record.still.push(joined.timestamp);
    }

    /// The drops by place and reason, in the order of the topology.
    pub fn drops(&self, topology: &Topology) -> Vec<DropCount> {
        self.drops
            .iter()
            .map(|(&(device, port, reason), &packets)| DropCount {
                device: topology.device(device).name.clone(),
                port: port.map(|port| topology.port_name(port)),
                reason: reason.name(),
                packets,
            })
            .collect()
    }

    /// The ports that marked packets, in the order of the topology.
    pub fn marks(&self, topology: &Topology) -> Vec<MarkCount> {
        topology
            .ports()
            .map(|(id, port)| MarkCount {
                device: topology.device(port.device).name.clone(),
                port: topology.port_name(id),
                packets: self.ports[id.index()].marked,
            })
            .filter(|marks| marks.packets > 0)
            .collect()
    }

    /// What each port sent over what it can send (its link's bandwidth, or the rate of its shaper where that is
    /// less), by port; `None` where there is no bound, and in a run of no length.
    pub fn loads(&self, end: Time) -> Vec<Option<f64>> {
        let load = |port: &PortRecord| {
            let sent = 8.0 * port.bytes as f64 / port.capacity? as f64;
            (end > Time::ZERO).then(|| sent / end.as_seconds_f64())
        };
        self.ports.iter().map(load).collect()
    }

    /// Writes the table of a run that ended at `end`; `docs/results.md` says what its columns are. Waiting is from joining the PTM to the start of transmission,
    /// sojourn from ingress to the start of transmission; `utilization` is the part of the run during which the port
    /// was transmitting (0 on an unlimited link, null in a run of no length).
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write(&self, tables: &dyn Tables, topology: &Topology, end: Time) -> Result<(), TableError> {
        let ports = &self.ports;
        let names = || topology.ports().map(|(_, port)| topology.device(port.device).name.as_str());
        let mean =
            |port: &PortRecord, sum: u128| (port.packets > 0).then(|| sum as f64 / port.packets as f64);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("device", Arc::new(StringArray::from_iter_values(names()))),
            ("port", Arc::new(UInt16Array::from_iter_values(topology.ports().map(|(_, port)| port.number)))),
            ("packets", Arc::new(UInt64Array::from_iter_values(ports.iter().map(|port| port.packets)))),
            ("bytes", Arc::new(UInt64Array::from_iter_values(ports.iter().map(|port| port.bytes)))),
            (
                "packets_dropped",
                Arc::new(UInt64Array::from_iter_values(ports.iter().map(|port| port.dropped.iter().sum()))),
            ),
            ("packets_marked", Arc::new(UInt64Array::from_iter_values(ports.iter().map(|port| port.marked)))),
            (
                "utilization",
                Arc::new(Float64Array::from_iter(ports.iter().map(|port| utilization(port, end)))),
            ),
            (
                "waiting_mean_ps",
                Arc::new(Float64Array::from_iter(ports.iter().map(|port| mean(port, port.waiting_sum)))),
            ),
            (
                "waiting_max_ps",
                Arc::new(UInt64Array::from_iter_values(ports.iter().map(|port| port.waiting_max.as_ps()))),
            ),
            (
                "sojourn_mean_ps",
                Arc::new(Float64Array::from_iter(ports.iter().map(|port| mean(port, port.sojourn_sum)))),
            ),
            (
                "sojourn_max_ps",
                Arc::new(UInt64Array::from_iter_values(ports.iter().map(|port| port.sojourn_max.as_ps()))),
            ),
        ];
        let columns = columns.into_iter().chain(self.metrics(end)).collect();
        write_table(tables, "ports", columns)
    }

    /// The percentiles, Little's law and the drops by reason.
    fn metrics(&self, end: Time) -> Vec<(&'static str, ArrayRef)> {
        let ports = &self.ports;
        let percentiles = |of: fn(&PortRecord) -> &Quantiles| {
            ports.iter().map(|port| of(port).percentiles()).collect::<Vec<_>>()
        };
        let mut columns = percentile_columns(
            ["waiting_p50_ps", "waiting_p90_ps", "waiting_p99_ps", "waiting_p999_ps"],
            &percentiles(|port| &port.waiting),
        );
        columns.extend(percentile_columns(
            ["sojourn_p50_ps", "sojourn_p90_ps", "sojourn_p99_ps", "sojourn_p999_ps"],
            &percentiles(|port| &port.sojourn),
        ));
        let over_run = |of: &dyn Fn(&PortRecord) -> f64| {
            let length = end.as_seconds_f64();
            let column = ports.iter().map(|port| (length > 0.0).then(|| of(port) / length));
            Arc::new(Float64Array::from_iter(column)) as ArrayRef
        };
        let joined = UInt64Array::from_iter_values(ports.iter().map(|port| port.joined));
        columns.extend([
            ("throughput_bps", over_run(&|port| 8.0 * port.bytes as f64)),
            (
                "capacity_bps",
                Arc::new(UInt64Array::from_iter(ports.iter().map(|port| port.capacity))) as ArrayRef,
            ),
            ("load", Arc::new(Float64Array::from_iter(self.loads(end)))),
            ("packets_joined", Arc::new(joined) as ArrayRef),
            ("joined_per_s", over_run(&|port| port.joined as f64)),
            ("queue_mean_packets", over_run(&|port| port.waited(end) as f64 / PS_PER_S as f64)),
        ]);
        let reasons: [(&str, DropReason); 7] = [
            ("dropped_buffer_full", DropReason::BufferFull),
            ("dropped_larger_than_burst", DropReason::LargerThanBurst),
            ("dropped_early_drop", DropReason::EarlyDrop),
            ("dropped_above_maximum", DropReason::AboveMaximum),
            ("dropped_sojourn_above_target", DropReason::SojournAboveTarget),
            ("dropped_lost_on_link", DropReason::LostOnLink),
            ("dropped_random_loss", DropReason::RandomLoss),
        ];
        columns.extend(reasons.map(|(name, reason)| {
            let counts = ports.iter().map(|port| port.dropped[reason.number() as usize]);
            (name, Arc::new(UInt64Array::from_iter_values(counts)) as ArrayRef)
        }));
        columns
    }
}

impl PortRecord {
    /// For how long packets waited by `end`, in all: the integral of their number over the run, in picoseconds.
    fn waited(&self, end: Time) -> u128 {
        let still = self.still.iter().map(|joined| u128::from(end.since(*joined).as_ps()));
        // Packets whose egress was known beforehand have it by the end.
        self.waiting_sum + self.lost_waiting_sum + still.sum::<u128>()
    }
}

/// The part of the run, up to `end`, during which the port was transmitting; only its last transmission can reach beyond.
fn utilization(port: &PortRecord, end: Time) -> Option<f64> {
    let busy = port.busy - port.free.since(end);
    (end > Time::ZERO).then(|| busy.as_seconds_f64() / end.as_seconds_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ports_that_marked_are_named() {
        let topology = Topology::from_toml(
            "line.toml",
            "name = \"line\"\ndevice = [{ name = \"a\", kind = \"host\" }, { name = \"b\", kind = \"host\" }]\n\
             link = [{ between = [\"a:0\", \"b:0\"], bandwidth = \"1 Mbps\" }]\n",
        )
        .unwrap();
        let mut ports = PortRecords::new(&topology);
        assert_eq!(ports.marks(&topology), []);
        let (port, _) = topology.ports().find(|(id, _)| topology.port_name(*id) == "b:0").unwrap();
        ports.marked(port);
        ports.marked(port);
        let marks = MarkCount { device: "b".to_owned(), port: "b:0".to_owned(), packets: 2 };
        assert_eq!(ports.marks(&topology), [marks]);
    }
}
