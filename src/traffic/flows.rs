//! Flows of given lengths: from a list, or drawn at random.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::connections::TransportSpec;
use super::flow_rate::{ArrivalsSpec, FlowRateSpec};
use super::matrix::MatrixSpec;
use super::size::SizeSpec;
use crate::config::Spanned;
use crate::units::{PS_PER_S, Span, Time};

/// The parameters of `flows`: a `file`, or hosts with a `size` and a `rate`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowsSpec {
    /// The entry's name: its random numbers are by this name (default: its place among the entries, from 0).
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// A CSV file with the columns `start_s`, `source`, `destination` and `bytes`, relative to the scenario file; hosts are by name. A
    /// flow whose `bytes` are empty sends as many as the network takes until `stop`.
    #[schemars(with = "Option<PathBuf>")]
    pub file: Option<Spanned<PathBuf>>,
    /// The host that sends; with `to`.
    #[schemars(with = "Option<String>")]
    pub from: Option<Spanned<String>>,
    /// The host that receives.
    #[schemars(with = "Option<String>")]
    pub to: Option<Spanned<String>>,
    /// Who sends to whom among several hosts; stands for `from` and `to`.
    #[schemars(with = "Option<MatrixSpec>")]
    pub matrix: Option<Spanned<MatrixSpec>>,
    /// The hosts of the matrix (default: every host of the topology).
    #[schemars(with = "Option<Vec<String>>")]
    pub hosts: Option<Spanned<Vec<Spanned<String>>>>,
    /// Bytes of each flow: constant, of a named distribution (`"web-search"`), or from a table.
    #[schemars(with = "Option<SizeSpec>")]
    pub size: Option<Spanned<SizeSpec>>,
    /// How much each sending host sends on average, in bits of flows or in flows per second, or as a load; or give the `interval`.
    #[schemars(with = "Option<FlowRateSpec>")]
    pub rate: Option<Spanned<FlowRateSpec>>,
    /// The mean time from one flow of a sending host to its next; or give the `rate`.
    #[schemars(with = "Option<Span>")]
    pub interval: Option<Spanned<Span>>,
    /// How flows follow each other (default: poisson).
    #[schemars(with = "Option<ArrivalsSpec>")]
    pub arrivals: Option<Spanned<ArrivalsSpec>>,
    /// Flows of each sending host (default: as many as begin before `stop`).
    #[schemars(with = "Option<u64>", range(min = 1))]
    pub count: Option<Spanned<u64>>,
    /// When flows begin to arrive (default: 0 s).
    #[serde(default)]
    pub start: Span,
    /// No flow begins from then on, and flows without bytes end.
    #[schemars(with = "Option<Span>")]
    pub stop: Option<Spanned<Span>>,
    /// The transport (default: that of the scenario).
    pub transport: Option<TransportSpec>,
}

/// A line of a list of flows.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedFlow {
    /// The line in the file.
    pub line: u64,
    /// When it begins.
    pub start: Time,
    /// The name of the host that sends.
    pub source: String,
    /// The name of the host that receives.
    pub destination: String,
    /// Its length; none where the field is empty.
    pub bytes: Option<u64>,
}

/// Reads a list of flows.
///
/// # Errors
/// The file is no such list: what is wrong, with its line.
pub fn read_list(path: &Path) -> Result<Vec<ListedFlow>, String> {
    #[derive(Deserialize)]
    struct Row {
        start_s: f64,
        source: String,
        destination: String,
        bytes: Option<u64>,
    }
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(|error| error.to_string())?;
    let headers = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut flows = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| error.to_string())? {
        let line = record.position().map_or(0, csv::Position::line);
        let row: Row = record.deserialize(Some(&headers)).map_err(|error| format!("line {line}: {error}"))?;
        if !(0.0..=1e7).contains(&row.start_s) {
            return Err(format!("line {line}: a flow cannot begin at {} s", row.start_s));
        }
        if row.bytes == Some(0) {
            return Err(format!("line {line}: a flow of 0 bytes sends nothing"));
        }
        // Whole nanoseconds: what a double holds of times as long as a run.
        let start = Time::from_ps((row.start_s * 1e9).round() as u64 * (PS_PER_S / 1_000_000_000));
        let Row { source, destination, bytes, .. } = row;
        flows.push(ListedFlow { line, start, source, destination, bytes });
    }
    Ok(flows)
}
