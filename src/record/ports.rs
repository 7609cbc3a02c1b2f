//! `ports`: one row per egress port, by device and port number. What a replay starts onto a link, at an egress
//! vantage, has not passed the port and is not counted.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray, UInt16Array, UInt64Array};
use serde::Serialize;

use super::flows::write_columns;
use crate::engine::Hop;
use crate::link::Link;
use crate::packet::DropReason;
use crate::table::{Format, TableError};
use crate::topology::{DeviceId, PortId, Topology};
use crate::units::{Span, Time};

/// What is kept of one egress port.
#[derive(Debug, Clone)]
struct PortRecord {
    link: Link,
    packets: u64,
    bytes: u64,
    busy: Span,
    /// When the last transmission ends.
    free: Time,
    waiting_sum: u128,
    waiting_max: Span,
    sojourn_sum: u128,
    sojourn_max: Span,
    dropped: u64,
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

/// Collects the table `ports`, and the drops by place and reason.
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
                packets: 0,
                bytes: 0,
                busy: Span::ZERO,
                free: Time::ZERO,
                waiting_sum: 0,
                waiting_max: Span::ZERO,
                sojourn_sum: 0,
                sojourn_max: Span::ZERO,
                dropped: 0,
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
        port.bytes += u64::from(hop.packet.length);
        let transmission = port.link.transmission_time(hop.packet.byte_count());
        port.busy += transmission;
        port.free = hop.egress + transmission;
        port.waiting_sum += u128::from(waiting.as_ps());
        port.waiting_max = port.waiting_max.max(waiting);
        port.sojourn_sum += u128::from(sojourn.as_ps());
        port.sojourn_max = port.sojourn_max.max(sojourn);
    }

    /// A packet was lost.
    pub fn dropped(&mut self, device: DeviceId, port: Option<PortId>, reason: DropReason) {
        if let Some(port) = port {
            self.ports[port.index()].dropped += 1;
        }
        *self.drops.entry((device, port, reason)).or_default() += 1;
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

    /// Writes the table of a run that ended at `end`. Waiting is from joining the PTM to the start of transmission,
    /// sojourn from ingress to the start of transmission; `utilization` is the part of the run during which the port
    /// was transmitting (0 on an unlimited link, null in a run of no length).
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write(
        &self,
        path: &Path,
        format: Format,
        topology: &Topology,
        end: Time,
    ) -> Result<(), TableError> {
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
                Arc::new(UInt64Array::from_iter_values(ports.iter().map(|port| port.dropped))),
            ),
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
        write_columns(path, format, columns)
    }
}

/// The part of the run, up to `end`, during which the port was transmitting; only its last transmission can reach beyond.
fn utilization(port: &PortRecord, end: Time) -> Option<f64> {
    let busy = port.busy - port.free.since(end);
    (end > Time::ZERO).then(|| busy.as_seconds_f64() / end.as_seconds_f64())
}
