//! `summary.json` and `meta.json`.

use std::path::PathBuf;

use serde::Serialize;

use super::connections::ConnectionSummary;
use super::overview::Overview;
use crate::compare::{
    AcceptSummary, ByOrigin, ClockSummary, Confusion, DelayComparison, MatchCounts, OverTime, PathComparison,
    RttComparison, TransmissionComparison,
};
use crate::engine::PacketCounts;
use crate::record::{DropCount, MarkCount};
use crate::table::Format;

/// The results of a run, written to `summary.json` and printed by `taunet run --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The scenario's name.
    pub scenario: String,
    /// The engine that ran the simulation.
    pub engine: &'static str,
    /// Why this engine was chosen.
    pub engine_reason: &'static str,
    /// The seed.
    pub seed: u64,
    /// The fingerprint of all events. The same scenario and seed give the same fingerprint on every machine.
    pub fingerprint: String,
    /// The length of the warm-up, in seconds. Statistics leave it out. Absent without a warm-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up_s: Option<f64>,
    /// The number of finished connections after which the run stops. Absent if the scenario sets none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_after_flows: Option<u64>,
    /// Packet counts; with a warm-up, of the packets injected after it.
    pub packets: PacketCounts,
    /// The number of flows.
    pub flows: u64,
    /// The number of hops: passages of packets through devices.
    pub hops: u64,
    /// The time from the run's start to the last event, in seconds.
    pub simulated_s: f64,
    /// The wall-clock time of the run, in seconds: reading, simulating, comparing and writing the tables.
    pub wall_s: f64,
    /// Delay, loss, load and the busiest ports.
    #[serde(flatten)]
    pub overview: Overview,
    /// Losses by place and reason.
    pub drops: Vec<DropCount>,
    /// Packets that left a port with a congestion-experienced mark set by its queue; each packet counts once.
    pub marked: u64,
    /// Marks by place.
    pub marks: Vec<MarkCount>,
    /// One entry per `[[traffic]]` entry with connections.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<ConnectionSummary>,
    /// One entry per measured capture.
    pub measured: Vec<MeasuredSummary>,
    /// One entry per capture with round-trip times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rtts: Vec<RttComparison>,
    /// The acceptance bounds and their results.
    pub accept: AcceptSummary,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// The comparison of a measured capture with the simulation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasuredSummary {
    /// The vantage, such as `r1:1 egress`.
    pub vantage: String,
    /// The capture, as the scenario names it.
    pub capture: PathBuf,
    /// `path`: delays count from the injection. `hop`: delays count from the ingress at the device.
    pub delay: crate::scenario::DelayScope,
    /// Counts of matched and unmatched packets.
    #[serde(flatten)]
    pub counts: MatchCounts,
    /// The offset and skew of the capture's clock (`clock = "skewed"`), removed before the comparison.
    pub clock: Option<ClockSummary>,
    /// Packets of the capture without a match key: not IP, or with a shorter snap length than the other
    /// captures.
    pub without_key: u64,
    /// Matched packets without a measured ingress at the device (`delay = "hop"`), left out of the delays.
    pub without_ingress: u64,
    /// The delays of matched packets and their metrics; `None` if no packet was matched.
    #[serde(flatten)]
    pub delays: Option<DelayComparison>,
    /// Matched packets that arrived after a packet that was sent later (RFC 4737).
    pub reordered: ByOrigin<u64>,
    /// Delay and rate over time; `None` if no packet was matched.
    pub over_time: Option<OverTime>,
    /// The comparison by the place where packets entered.
    pub paths: Vec<PathComparison>,
    /// Packets lost in the simulation against packets lost in reality.
    pub loss: Confusion,
    /// The packets of simulated connections, compared transmission by transmission; `None` without
    /// connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TransmissionComparison>,
}

impl MeasuredSummary {
    /// A warning if the comparison may mislead. `expected` packets were sent towards the vantage.
    pub(super) fn doubts(&self, expected: u64) -> Option<String> {
        let MatchCounts { matched, ambiguous, .. } = self.counts;
        let vantage = &self.vantage;
        if expected == 0 {
            Some(format!("no packet of the traffic has {vantage} on its path: check the vantage"))
        } else if ambiguous > matched {
            Some(format!(
                "most packets at {vantage} have the match key of another packet and were left out: is a capture replayed twice?"
            ))
        } else if matched == 0 && self.counts.only_measured > 0 {
            Some(format!(
                "no packet at {vantage} was matched: captures of one path need the same addresses and ports, and \
                 snap lengths that leave the same 8 bytes of payload"
            ))
        } else if let (None, Some(delays)) = (&self.clock, &self.delays)
            && delays.delay_s.measured.p50 < 0.0
        {
            Some(format!(
                "most packets are measured at {vantage} before they are sent, by {:.3} us in the median: the captures of \
                 [[traffic]] and [[measured]] look swapped; if they are not, say clock = \"skewed\" in [[measured]]",
                -1e6 * delays.delay_s.measured.p50
            ))
        } else if let (None, Some(delays)) = (&self.clock, &self.delays)
            && delays.delay_s.measured.min < 0.0
        {
            Some(format!(
                "delays measured at {vantage} are negative: if the capture was taken with another clock, write clock = \"skewed\""
            ))
        } else {
            None
        }
    }
}

/// The settings and inputs of a run: `meta.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Meta {
    /// taunet's version.
    pub version: &'static str,
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// The engine.
    pub engine: &'static str,
    /// The changes that the command line made to the scenario.
    pub overrides: Vec<String>,
    /// The absolute time at which the run starts, which is 0 ps in its tables.
    pub start: String,
    /// The same time in nanoseconds since 1970-01-01 00:00 UTC.
    pub start_ns: Option<i64>,
    /// The names of the sources, by source number.
    pub sources: Vec<String>,
    /// The files that the run read.
    pub inputs: Vec<Input>,
    /// The format of the tables.
    pub format: Format,
    /// The run's fingerprint.
    pub fingerprint: String,
}

/// A file that a run read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Input {
    /// The path as it was opened.
    pub path: PathBuf,
    /// The size in bytes; `None` unless it is a regular file (a pipe cannot be read twice).
    pub bytes: Option<u64>,
    /// The SHA-256 in hexadecimal.
    pub sha256: Option<String>,
}
