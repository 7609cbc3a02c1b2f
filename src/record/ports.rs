//! `ports`: one row per egress port, by device and port number. A packet that a replay starts directly onto a
//! link, at an egress vantage, has not passed the port and is not counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray, UInt16Array, UInt64Array};
use serde::Serialize;

use super::flows::percentile_columns;
use crate::packet::DropReason;
use crate::statistics::{Percentiles, PortStatistics};
use crate::table::{TableError, Tables, write_table};
use crate::topology::{DeviceId, Port, PortId, Topology};
use crate::units::{PS_PER_S, Time};

/// Packets lost at one place for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DropCount {
    /// The device's name.
    pub device: String,
    /// The egress port; `None` if the packet was lost before a port was selected.
    pub port: Option<String>,
    /// The reason.
    pub reason: &'static str,
    /// Number of packets.
    pub packets: u64,
}

/// Packets marked at one egress port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MarkCount {
    /// The device's name.
    pub device: String,
    /// The egress port.
    pub port: String,
    /// Number of packets.
    pub packets: u64,
}

/// The table `ports`, the drops by place and reason, and the marks by place.
#[derive(Debug, Clone)]
pub struct PortRecords {
    ports: Vec<PortStatistics>,
    /// Maximum long-term rate of each port, in bits per second; `None` if unlimited.
    capacities: Vec<Option<u64>>,
    drops: BTreeMap<(DeviceId, Option<PortId>, DropReason), u64>,
}

impl PortRecords {
    /// Creates the table for the ports of a run.
    pub fn new(
        topology: &Topology,
        ports: Vec<PortStatistics>,
        drops: BTreeMap<(DeviceId, Option<PortId>, DropReason), u64>,
    ) -> Self {
        let capacity = |port: &Port| port.ptm.capacity_bps(&topology.link(port.egress).link);
        let capacities = topology.ports().map(|(_, port)| capacity(port)).collect();
        PortRecords { ports, capacities, drops }
    }

    /// The statistics of every egress port, by its number.
    pub fn ports(&self) -> &[PortStatistics] {
        &self.ports
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

    /// The load of each port: what it sent divided by what it can send (the bandwidth of its link, or the
    /// rate of its shaper if lower). `None` if it is unlimited, and in a run of zero duration.
    pub fn loads(&self, end: Time) -> Vec<Option<f64>> {
        let load = |(port, capacity): (&PortStatistics, &Option<u64>)| {
            let sent = 8.0 * port.bytes as f64 / (*capacity)? as f64;
            let length = end.since(port.from()).as_seconds_f64();
            (length > 0.0).then(|| sent / length)
        };
        self.ports.iter().zip(&self.capacities).map(load).collect()
    }

    /// Writes the table of a run that ended at `end`. `docs/results.md` describes its columns. Waiting is
    /// from joining the PTM to the start of transmission, sojourn from ingress to the start of transmission.
    /// `utilization` is the fraction of the run during which the port was transmitting (0 on an unlimited
    /// link, null in a run of zero duration).
    ///
    /// # Errors
    /// The table cannot be written.
    pub fn write(&self, tables: &dyn Tables, topology: &Topology, end: Time) -> Result<(), TableError> {
        let ports = &self.ports;
        let names = || topology.ports().map(|(_, port)| topology.device(port.device).name.as_str());
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("device", Arc::new(StringArray::from_iter_values(names()))),
            ("port", Arc::new(UInt16Array::from_iter_values(topology.ports().map(|(_, port)| port.number)))),
            ("packets", Arc::new(UInt64Array::from_iter_values(ports.iter().map(|port| port.packets)))),
            ("bytes", Arc::new(UInt64Array::from_iter_values(ports.iter().map(|port| port.bytes)))),
            (
                "packets_dropped",
                Arc::new(UInt64Array::from_iter_values(ports.iter().map(|port| port.dropped_in_all()))),
            ),
            ("packets_marked", Arc::new(UInt64Array::from_iter_values(ports.iter().map(|port| port.marked)))),
            (
                "utilization",
                Arc::new(Float64Array::from_iter(ports.iter().map(|port| utilization(port, end)))),
            ),
            (
                "waiting_mean_ps",
                Arc::new(Float64Array::from_iter(ports.iter().map(|port| port.waiting_mean()))),
            ),
            (
                "waiting_max_ps",
                Arc::new(UInt64Array::from_iter_values(ports.iter().map(|port| port.waiting_max().as_ps()))),
            ),
            (
                "sojourn_mean_ps",
                Arc::new(Float64Array::from_iter(ports.iter().map(|port| port.sojourn_mean()))),
            ),
            (
                "sojourn_max_ps",
                Arc::new(UInt64Array::from_iter_values(ports.iter().map(|port| port.sojourn_max().as_ps()))),
            ),
        ];
        let columns = columns.into_iter().chain(self.metrics(end)).collect();
        write_table(tables, "ports", columns)
    }

    /// The percentiles, Little's law and the drops by reason.
    fn metrics(&self, end: Time) -> Vec<(&'static str, ArrayRef)> {
        let ports = &self.ports;
        let percentiles =
            |of: fn(&PortStatistics) -> Option<Percentiles>| ports.iter().map(of).collect::<Vec<_>>();
        let mut columns = percentile_columns(
            ["waiting_p50_ps", "waiting_p90_ps", "waiting_p99_ps", "waiting_p999_ps"],
            &percentiles(PortStatistics::waiting),
        );
        columns.extend(percentile_columns(
            ["sojourn_p50_ps", "sojourn_p90_ps", "sojourn_p99_ps", "sojourn_p999_ps"],
            &percentiles(PortStatistics::sojourn),
        ));
        let over_run = |of: &dyn Fn(&PortStatistics) -> f64| {
            let column = ports.iter().map(|port| {
                let length = end.since(port.from()).as_seconds_f64();
                (length > 0.0).then(|| of(port) / length)
            });
            Arc::new(Float64Array::from_iter(column)) as ArrayRef
        };
        let joined = UInt64Array::from_iter_values(ports.iter().map(|port| port.joined));
        columns.extend([
            ("throughput_bps", over_run(&|port| 8.0 * port.bytes as f64)),
            ("capacity_bps", Arc::new(UInt64Array::from_iter(self.capacities.iter().copied())) as ArrayRef),
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
            let counts = ports.iter().map(|port| port.dropped(reason));
            (name, Arc::new(UInt64Array::from_iter_values(counts)) as ArrayRef)
        }));
        columns
    }
}

/// The fraction of the run, up to `end`, during which the port was transmitting. Only its last transmission
/// can extend beyond `end`.
fn utilization(port: &PortStatistics, end: Time) -> Option<f64> {
    let busy = port.busy - port.free.since(end);
    let length = end.since(port.from()).as_seconds_f64();
    (length > 0.0).then(|| busy.as_seconds_f64() / length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    #[test]
    fn only_ports_that_marked_are_named() {
        let topology = Topology::from_toml(
            "line.toml",
            "name = \"line\"\ndevice = [{ name = \"a\", kind = \"host\" }, { name = \"b\", kind = \"host\" }]\n\
             link = [{ between = [\"a:0\", \"b:0\"], bandwidth = \"1 Mbps\" }]\n",
        )
        .unwrap();
        let ports = vec![PortStatistics::new(Span::ZERO); 2];
        let mut ports = PortRecords::new(&topology, ports, BTreeMap::new());
        assert_eq!(ports.marks(&topology), []);
        let (port, _) = topology.ports().find(|(id, _)| topology.port_name(*id) == "b:0").unwrap();
        ports.ports[port.index()].marked = 2;
        let marks = MarkCount { device: "b".to_owned(), port: "b:0".to_owned(), packets: 2 };
        assert_eq!(ports.marks(&topology), [marks]);
    }
}
