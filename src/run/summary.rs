//! `summary.json` and `meta.json`.

use std::path::PathBuf;

use serde::Serialize;

use crate::compare::{Agreement, Confusion, DelaySummary, MatchCounts, RttComparison};
use crate::engine::PacketCounts;
use crate::record::DropCount;
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
    /// The run's packets.
    pub packets: PacketCounts,
    /// Flows.
    pub flows: u64,
    /// Passages of packets through devices.
    pub hops: u64,
    /// From the run's start to the last event, in seconds.
    pub simulated_s: f64,
    /// How long the run took, in seconds: reading, simulating, comparing and writing.
    pub wall_s: f64,
    /// Losses by place and reason.
    pub drops: Vec<DropCount>,
    /// One entry per measured capture.
    pub measured: Vec<MeasuredSummary>,
    /// One entry per capture with round-trip times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rtts: Vec<RttComparison>,
    /// The bounds.
    pub accept: AcceptSummary,
    /// What was let pass.
    pub warnings: Vec<String>,
}

/// A figure, simulated and measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ByOrigin<T> {
    /// As simulated.
    pub simulated: T,
    /// As measured.
    pub measured: T,
}

/// (simulated - measured) / measured of some statistics.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RelativeError {
    /// Of the mean.
    pub mean: Option<f64>,
    /// Of the median.
    pub p50: Option<f64>,
    /// Of the 90th percentile.
    pub p90: Option<f64>,
    /// Of the 99th percentile.
    pub p99: Option<f64>,
    /// Of the 99.9th percentile.
    pub p999: Option<f64>,
}

impl RelativeError {
    /// Of each statistic.
    pub fn new(simulated: &DelaySummary, measured: &DelaySummary) -> Self {
        let of = |simulated: f64, measured: f64| (measured != 0.0).then(|| (simulated - measured) / measured);
        RelativeError {
            mean: of(simulated.mean, measured.mean),
            p50: of(simulated.p50, measured.p50),
            p90: of(simulated.p90, measured.p90),
            p99: of(simulated.p99, measured.p99),
            p999: of(simulated.p999, measured.p999),
        }
    }
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
    /// Packets of the capture that nothing recognizes (no IP).
    pub without_key: u64,
    /// Matched packets whose measured ingress at the device is not known (`delay = "hop"`): left out of delays.
    pub without_ingress: u64,
    /// The delays of matched packets, in seconds; none when no packet was matched.
    pub delay_s: Option<ByOrigin<DelaySummary>>,
    /// Of the delays' statistics.
    pub relative_error: Option<RelativeError>,
    /// How well they agree.
    #[serde(flatten)]
    pub agreement: Option<Agreement>,
    /// Mean |delay_i - delay_{i-1}| within flows, in seconds.
    pub jitter_s: ByOrigin<Option<f64>>,
    /// Lost in the simulation against lost in reality.
    pub loss: Confusion,
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
        } else {
            None
        }
    }
}

/// The bounds of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AcceptSummary {
    /// How many bounds there are.
    pub bounds: usize,
    /// Whether all were kept.
    pub passed: bool,
    /// Those that were not.
    pub missed: Vec<MissedBound>,
}

/// A bound that was missed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MissedBound {
    /// Where.
    pub vantage: String,
    /// The metric.
    pub metric: &'static str,
    /// `at most` or `at least`.
    pub relation: &'static str,
    /// The bound.
    pub bound: f64,
    /// The figure; none where it is not defined.
    pub value: Option<f64>,
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
