//! Flows of given sizes: from a list, or random.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::connections::TransportSpec;
use super::flow_rate::{ArrivalsSpec, FlowRateSpec};
use super::hosts::HostNames;
use super::matrix::MatrixSpec;
use super::size::SizeSpec;
use crate::config::Spanned;
use crate::limits::Rows;
use crate::table::unguarded;
use crate::units::{PS_PER_S, Span, Time};

/// The parameters of `flows`: a `file`, or hosts with a `size` and a `rate`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowsSpec {
    /// The name of the entry, which selects its random numbers (default: its index among the entries, from
    /// 0).
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// A CSV file with the columns `start_s`, `source`, `destination` and `bytes`, with hosts by name; the
    /// path is relative to the scenario file. A flow with empty `bytes` is unlimited until `stop`.
    #[schemars(with = "Option<PathBuf>")]
    pub file: Option<Spanned<PathBuf>>,
    /// The sending host, or several; requires `to`.
    #[schemars(with = "Option<HostNames>")]
    pub from: Option<Spanned<HostNames>>,
    /// The receiving host, or several: each host of `from` sends to each of them except itself.
    #[schemars(with = "Option<HostNames>")]
    pub to: Option<Spanned<HostNames>>,
    /// The traffic matrix between several hosts; replaces `from` and `to`.
    #[schemars(with = "Option<MatrixSpec>")]
    pub matrix: Option<Spanned<MatrixSpec>>,
    /// The hosts of the matrix (default: every host of the topology).
    #[schemars(with = "Option<Vec<String>>")]
    pub hosts: Option<Spanned<Vec<Spanned<String>>>>,
    /// The bytes of each flow: constant, from a named distribution (`"web-search"`), or from a table.
    #[schemars(with = "Option<SizeSpec>")]
    pub size: Option<Spanned<SizeSpec>>,
    /// The mean rate of each sending host, in bits of flows per second, in flows per second, or as a load;
    /// alternatively, give the `interval`.
    #[schemars(with = "Option<FlowRateSpec>")]
    pub rate: Option<Spanned<FlowRateSpec>>,
    /// The mean time from one flow of a sending host to the next; alternatively, give the `rate`.
    #[schemars(with = "Option<Span>")]
    pub interval: Option<Spanned<Span>>,
    /// The arrival process of the flows (default: poisson).
    #[schemars(with = "Option<ArrivalsSpec>")]
    pub arrivals: Option<Spanned<ArrivalsSpec>>,
    /// The number of flows of each sending host (default: as many as start before `stop`).
    #[schemars(with = "Option<u64>", range(min = 1))]
    pub count: Option<Spanned<u64>>,
    /// When flows start to arrive (default: 0 s).
    #[serde(default)]
    pub start: Span,
    /// No flow starts from this time on, and flows without bytes end.
    #[schemars(with = "Option<Span>")]
    pub stop: Option<Spanned<Span>>,
    /// The transport protocol (default: that of the scenario).
    pub transport: Option<TransportSpec>,
}

/// A line of a list of flows.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedFlow {
    /// The line number in the file.
    pub line: u64,
    /// When the flow starts.
    pub start: Time,
    /// The name of the sending host.
    pub source: String,
    /// The name of the receiving host.
    pub destination: String,
    /// The bytes of the flow; `None` if the field is empty.
    pub bytes: Option<u64>,
}

/// Reads a list of flows.
///
/// # Errors
/// The file is not a valid list: the error, with its line.
pub fn read_list(path: &Path) -> Result<Vec<ListedFlow>, String> {
    #[derive(Deserialize)]
    struct Row {
        start_s: f64,
        source: String,
        destination: String,
        bytes: Option<u64>,
    }
    let file = Rows::open(path).map_err(|error| error.to_string())?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let headers = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut flows = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| error.to_string())? {
        let line = record.position().map_or(0, csv::Position::line);
        let row: Row = record.deserialize(Some(&headers)).map_err(|error| format!("line {line}: {error}"))?;
        if !(0.0..=1e7).contains(&row.start_s) {
            return Err(format!("line {line}: a flow cannot start at {} s", row.start_s));
        }
        if row.bytes == Some(0) {
            return Err(format!("line {line}: a flow of 0 bytes sends nothing"));
        }
        // Whole nanoseconds, the resolution of a double for times as long as a run.
        let start = Time::from_ps((row.start_s * 1e9).round() as u64 * (PS_PER_S / 1_000_000_000));
        let bytes = row.bytes;
        let [source, destination] = [row.source, row.destination].map(|name| unguarded(&name).to_owned());
        flows.push(ListedFlow { line, start, source, destination, bytes });
    }
    Ok(flows)
}
