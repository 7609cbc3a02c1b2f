//! `summary.json` and `meta.json` as the page wants them.

use serde::Deserialize;

use crate::compare::{ByOrigin, DelayComparison, OverTime, PathComparison, TransmissionComparison};

/// `summary.json`.
#[derive(Debug, Deserialize)]
pub(super) struct Summary {
    pub scenario: String,
    pub engine: String,
    pub engine_reason: String,
    pub seed: u64,
    pub fingerprint: String,
    pub packets: Packets,
    pub flows: u64,
    pub hops: u64,
    pub simulated_s: f64,
    pub drops: Vec<Drops>,
    pub marked: u64,
    pub marks: Vec<Marks>,
    #[serde(default)]
    pub tcp: Vec<Connections>,
    pub measured: Vec<Measured>,
    pub accept: Accept,
    pub warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Packets {
    pub injected: u64,
    pub delivered: u64,
    pub dropped: u64,
    pub inside: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Drops {
    pub device: String,
    pub port: Option<String>,
    pub reason: String,
    pub packets: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Marks {
    pub port: String,
    pub packets: u64,
}

/// The connections of a `[[traffic]]` entry.
#[derive(Debug, Deserialize)]
pub(super) struct Connections {
    pub entry: String,
    pub congestion_control: String,
    pub flows: u64,
    pub finished: u64,
    pub bytes_acknowledged: u64,
    pub goodput_bps: Option<f64>,
    pub jain: Option<f64>,
    pub completion_s: Option<CompletionTimes>,
    pub slowdown: Option<Slowdowns>,
    #[serde(default)]
    pub slowdown_by_size: Vec<SizeBin>,
    pub retransmissions: u64,
    pub timeouts: u64,
    pub delivered_ce: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct CompletionTimes {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
}

/// Percentiles of slowdowns.
#[derive(Debug, Deserialize)]
pub(super) struct Slowdowns {
    pub flows: u64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// The slowdowns of flows of some sizes.
#[derive(Debug, Deserialize)]
pub(super) struct SizeBin {
    pub above_bytes: u64,
    pub up_to_bytes: Option<u64>,
    #[serde(flatten)]
    pub slowdowns: Slowdowns,
}

/// A measured capture against the simulation.
#[derive(Debug, Deserialize)]
pub(super) struct Measured {
    pub vantage: String,
    pub capture: String,
    pub delay: crate::scenario::DelayScope,
    pub matched: u64,
    pub ambiguous: u64,
    pub only_simulated: u64,
    pub only_measured: u64,
    #[serde(flatten)]
    pub delays: Option<DelayComparison>,
    pub reordered: ByOrigin<u64>,
    pub over_time: Option<OverTime>,
    pub paths: Vec<PathComparison>,
    pub loss: Loss,
    pub tcp: Option<TransmissionComparison>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Loss {
    pub both: u64,
    pub only_simulated: u64,
    pub only_measured: u64,
    pub neither: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Accept {
    pub bounds: usize,
    pub passed: bool,
    pub missed: Vec<Missed>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Missed {
    pub vantage: String,
    pub metric: String,
    pub relation: String,
    pub bound: f64,
    pub value: Option<f64>,
}

/// `meta.json`.
#[derive(Debug, Deserialize)]
pub(super) struct Meta {
    pub version: String,
    pub overrides: Vec<String>,
    pub start: String,
    pub sources: Vec<String>,
    pub inputs: Vec<Input>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Input {
    pub path: String,
    pub bytes: Option<u64>,
    pub sha256: Option<String>,
}
