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

/// What a run shows: `summary.json`, and what `taunet run --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The scenario's name.
    pub scenario: String,
    /// The engine that ran it.
    pub engine: &'static str,
    /// Why that one.
    pub engine_reason: &'static str,
    /// The seed.
    pub seed: u64,
    /// Of everything that happened: the same for the same scenario and seed, on every machine.
    pub fingerprint: String,
    /// How long the warm-up lasted, in seconds: what happened in it is in no statistics. Not there without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up_s: Option<f64>,
    /// The run was to stop when so many connections had finished. Not there without such an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_after_flows: Option<u64>,
    /// The run's packets; with a warm-up, those that were injected from its end on.
    pub packets: PacketCounts,
    /// Flows.
    pub flows: u64,
    /// Passages of packets through devices.
    pub hops: u64,
    /// From the run's start to the last event, in seconds.
    pub simulated_s: f64,
    /// How long the run took, in seconds: reading, simulating, comparing and writing the tables.
    pub wall_s: f64,
    /// Delay, loss, load and the busiest ports.
    #[serde(flatten)]
    pub overview: Overview,
    /// Losses by place and reason.
    pub drops: Vec<DropCount>,
    /// Packets that left a port with a mark from its queue, congestion experienced; each counts once.
    pub marked: u64,
    /// The same by place.
    pub marks: Vec<MarkCount>,
    /// One entry per `[[traffic]]` entry with connections.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<ConnectionSummary>,
    /// One entry per measured capture.
    pub measured: Vec<MeasuredSummary>,
    /// One entry per capture with round-trip times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rtts: Vec<RttComparison>,
    /// The bounds.
    pub accept: AcceptSummary,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// A measured capture against the simulation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasuredSummary {
    /// Where: `r1:1 egress`.
    pub vantage: String,
    /// The capture, as the scenario names it.
    pub capture: PathBuf,
    /// `path`: delays count from the injection; `hop`: from the ingress at the device.
    pub delay: crate::scenario::DelayScope,
    /// Who was matched.
    #[serde(flatten)]
    pub counts: MatchCounts,
    /// How the capture's clock ran, where it has one of its own (`clock = "skewed"`): taken away before all else.
    pub clock: Option<ClockSummary>,
    /// Packets of the capture that nothing recognizes (no IP, or less captured than of the others).
    pub without_key: u64,
    /// Matched packets whose measured ingress at the device is not known (`delay = "hop"`): left out of delays.
    pub without_ingress: u64,
    /// The delays of matched packets and all metrics of them; none when no packet was matched.
    #[serde(flatten)]
    pub delays: Option<DelayComparison>,
    /// Matched packets that arrived after one that was sent later (RFC 4737).
    pub reordered: ByOrigin<u64>,
    /// How delay and rate follow each other over time; none when no packet was matched.
    pub over_time: Option<OverTime>,
    /// By where packets came from.
    pub paths: Vec<PathComparison>,
    /// Lost in the simulation against lost in reality.
    pub loss: Confusion,
    /// The packets of simulated connections, transmission by transmission; none without connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TransmissionComparison>,
}

impl MeasuredSummary {
    /// Why the comparison may say little: `expected` packets were sent towards the vantage.
    pub(super) fn doubts(&self, expected: u64) -> Option<String> {
        let MatchCounts { matched, ambiguous, .. } = self.counts;
        let vantage = &self.vantage;
        if expected == 0 {
            Some(format!("no packet of the traffic is on its way to {vantage}: is the vantage right?"))
        } else if ambiguous > matched {
            Some(format!(
                "most packets at {vantage} look like another one, and were left out: is a capture replayed twice?"
            ))
        } else if matched == 0 && self.counts.only_measured > 0 {
            Some(format!(
                "no packet at {vantage} was recognized: captures of one path need the same addresses and ports, and \
                 snap lengths that leave the same 8 bytes of payload"
            ))
        } else if let (None, Some(delays)) = (&self.clock, &self.delays)
            && delays.delay_s.measured.min < 0.0
        {
            Some(format!(
                "delays measured at {vantage} are negative: if the capture has a clock of its own, say clock = \"skewed\""
            ))
        } else {
            None
        }
    }
}

/// How a run came about: `meta.json`.
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
    /// Changes made to the scenario on the command line.
    pub overrides: Vec<String>,
    /// The instant at which the run starts: 0 ps in its tables.
    pub start: String,
    /// The same in nanoseconds since 1970-01-01 00:00 UTC.
    pub start_ns: Option<i64>,
    /// The names of the sources, by number.
    pub sources: Vec<String>,
    /// Every file read.
    pub inputs: Vec<Input>,
    /// The format of the tables.
    pub format: Format,
    /// The run's fingerprint.
    pub fingerprint: String,
}

/// A file that a run read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Input {
    /// Its path as it was opened.
    pub path: PathBuf,
    /// Its size; none for what is not a regular file (a pipe cannot be read twice).
    pub bytes: Option<u64>,
    /// Its SHA-256, in hexadecimal.
    pub sha256: Option<String>,
}
