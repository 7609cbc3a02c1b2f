//! What is said of the TCP packets at a vantage.

use serde::{Deserialize, Serialize};

use super::divergence::{Difference, Divergence, Place};
use super::flow::FlowAt;
use super::pairing::PairedBy;
use super::transmission::Transmission;
use crate::compare::metrics::ByOrigin;

/// The TCP packets at a vantage, simulated against measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransmissionComparison {
    /// The same transmission may be so far away in time, in seconds.
    pub tolerance_s: f64,
    /// What was taken off the measured times, in seconds, so that the first transmission that is on both sides is at one instant; none
    /// where the capture has the clock of the replayed ones.
    pub aligned_s: Option<f64>,
    /// Which connections are which.
    pub connections: ConnectionCounts,
    /// Transmissions on both sides.
    pub matched: u64,
    /// In the simulation alone.
    pub only_simulated: u64,
    /// In the capture alone.
    pub only_measured: u64,
    /// After the end of the other side: they count nowhere else.
    pub after_end: ByOrigin<u64>,
    /// Frames of the capture that are longer than any segment that their flow has in the simulation.
    pub segmented: u64,
    /// Segments that start below what has passed already.
    pub retransmissions: ByOrigin<u64>,
    /// Packets lost between the captures at the ingress of the device and this one; none without such captures.
    pub drops: Option<ByOrigin<u64>>,
    /// By flow, in order of the connections' starts.
    pub flows: Vec<FlowTransmissions>,
    /// The first transmission that is not the same on both sides.
    pub first_divergence: Option<Divergence>,
}

/// Which connections were found on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConnectionCounts {
    /// By addresses and ports.
    pub by_ports: u64,
    /// By addresses and the order in which they begin.
    pub by_order: u64,
    /// Those of which no SYN was captured: their positions count from their first packets.
    pub without_syn: u64,
    /// In the simulation alone.
    pub only_simulated: u64,
    /// In the capture alone.
    pub only_measured: u64,
}

/// A flow at a vantage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowTransmissions {
    /// Its number in the run.
    pub fid: u32,
    /// As it is simulated.
    pub flow: String,
    /// As it is measured; none where it is not.
    pub measured_flow: Option<String>,
    /// How the two were found to be one.
    pub paired: Option<PairedBy>,
    /// Whether it carries payload, and not acknowledgements alone.
    pub has_payload: bool,
    /// Transmissions on both sides.
    pub matched: u64,
    /// In the simulation alone.
    pub only_simulated: u64,
    /// In the capture alone.
    pub only_measured: u64,
    /// What is simulated.
    pub simulated: FlowSide,
    /// What is measured.
    pub measured: FlowSide,
    /// When the first transmission comes that is not the same, in seconds since the run's start.
    pub diverges_at_s: Option<f64>,
    /// How it differs.
    pub difference: Option<Difference>,
}

/// A flow at a vantage, on one side, up to the end of the other.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct FlowSide {
    /// TCP packets.
    pub transmissions: u64,
    /// Bytes of payload that passed for the first time; bytes acknowledged, where it carries no payload.
    pub bytes: u64,
    /// The same in bits per second, from the flow's first packet to its last.
    pub goodput_bps: Option<f64>,
    /// Segments that start below what has passed already.
    pub retransmissions: u64,
    /// Packets lost between the captures at the ingress of the device and this one; none without such captures.
    pub drops: Option<u64>,
}

impl FlowSide {
    /// Of its transmissions until `end_ps`.
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
    /// Of a flow, until `end_ps`.
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
