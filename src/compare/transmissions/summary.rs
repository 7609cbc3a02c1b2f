//! The summary of the TCP packets at a vantage.

use serde::{Deserialize, Serialize};

use super::divergence::{Difference, Divergence, Place};
use super::flow::FlowAt;
use super::pairing::PairedBy;
use super::transmission::Transmission;
use crate::compare::metrics::ByOrigin;

/// The TCP packets at a vantage, simulated against measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransmissionComparison {
    /// Maximum time between equal transmissions, in seconds.
    pub tolerance_s: f64,
    /// Offset subtracted from the measured times, in seconds, which aligns the first transmission on both
    /// sides. `None` if the capture shares the clock of the replayed captures.
    pub aligned_s: Option<f64>,
    /// Counts of paired connections.
    pub connections: ConnectionCounts,
    /// Transmissions on both sides.
    pub matched: u64,
    /// Transmissions in the simulation only.
    pub only_simulated: u64,
    /// Transmissions in the capture only.
    pub only_measured: u64,
    /// Transmissions after the end of the other side. No other count includes them.
    pub after_end: ByOrigin<u64>,
    /// Frames of the capture that are longer than any segment of their flow in the simulation.
    pub segmented: u64,
    /// Segments that start below the highest position that has passed.
    pub retransmissions: ByOrigin<u64>,
    /// Packets lost between the captures at the ingress of the device and this one; `None` without such
    /// captures.
    pub drops: Option<ByOrigin<u64>>,
    /// By flow, in order of the start of the connections.
    pub flows: Vec<FlowTransmissions>,
    /// The first transmission that differs between the two sides.
    pub first_divergence: Option<Divergence>,
}

/// Counts of paired connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConnectionCounts {
    /// Paired by addresses and ports.
    pub by_ports: u64,
    /// Paired by addresses and the order in which they begin.
    pub by_order: u64,
    /// Connections without a captured SYN. Their positions count from their first packets.
    pub without_syn: u64,
    /// Connections in the simulation only.
    pub only_simulated: u64,
    /// Connections in the capture only.
    pub only_measured: u64,
}

/// A flow at a vantage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowTransmissions {
    /// Its number in the run.
    pub fid: u32,
    /// The flow as simulated.
    pub flow: String,
    /// The flow as measured; `None` if it is not.
    pub measured_flow: Option<String>,
    /// How the two were paired.
    pub paired: Option<PairedBy>,
    /// Whether it carries payload, not only acknowledgements.
    pub has_payload: bool,
    /// Transmissions on both sides.
    pub matched: u64,
    /// Transmissions in the simulation only.
    pub only_simulated: u64,
    /// Transmissions in the capture only.
    pub only_measured: u64,
    /// The simulated side.
    pub simulated: FlowSide,
    /// The measured side.
    pub measured: FlowSide,
    /// Time of the first transmission that differs, in seconds since the start of the run.
    pub diverges_at_s: Option<f64>,
    /// The kind of difference.
    pub difference: Option<Difference>,
}

/// A flow at a vantage, on one side, up to the end of the other.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct FlowSide {
    /// TCP packets.
    pub transmissions: u64,
    /// Bytes of payload that passed for the first time; in a flow without payload, bytes acknowledged.
    pub bytes: u64,
    /// The same in bits per second, from the first packet of the flow to its last.
    pub goodput_bps: Option<f64>,
    /// Segments that start below the highest position that has passed.
    pub retransmissions: u64,
    /// Packets lost between the captures at the ingress of the device and this one; `None` without such
    /// captures.
    pub drops: Option<u64>,
}

impl FlowSide {
    /// The totals of transmissions up to `end_ps`.
    fn new(transmissions: &[Transmission], end_ps: i64, drops: Option<u64>) -> Self {
        let inside = transmissions.partition_point(|packet| packet.at_ps <= end_ps);
        let inside = &transmissions[..inside];
        let bytes = inside.iter().map(|packet| packet.new_bytes).sum();
        let seconds = match inside {
            [first, .., last] => (last.at_ps - first.at_ps) as f64 / 1e12,
            _ => 0.0,
        };
        FlowSide {
            transmissions: inside.len() as u64,
            bytes,
            goodput_bps: (seconds > 0.0).then(|| 8.0 * bytes as f64 / seconds),
            retransmissions: inside.iter().filter(|packet| packet.is_again).count() as u64,
            drops,
        }
    }
}

impl FlowTransmissions {
    /// The summary of a flow up to `end_ps`.
    pub fn new(
        flow: &FlowAt,
        name: String,
        measured: Option<(String, PairedBy)>,
        (end_ps, difference): (i64, Option<Place>),
        drops: Option<[u64; 2]>,
    ) -> Self {
        let [only_simulated, only_measured] = flow.alone(end_ps);
        let (measured_flow, paired) = measured.unzip();
        FlowTransmissions {
            fid: flow.fid,
            flow: name,
            measured_flow,
            paired,
            has_payload: flow.has_payload,
            matched: flow.same.len() as u64,
            only_simulated,
            only_measured,
            simulated: FlowSide::new(&flow.simulated, end_ps, drops.map(|[simulated, _]| simulated)),
            measured: FlowSide::new(&flow.measured, end_ps, drops.map(|[_, measured]| measured)),
            diverges_at_s: difference.map(|place| place.at_ps as f64 / 1e12),
            difference: difference.map(|place| place.difference),
        }
    }
}
