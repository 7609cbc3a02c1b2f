//! Summaries of the connections of each `[[traffic]]` entry.

use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::scenario::{Scenario, entry_name};
use crate::statistics::Percentiles;
use crate::traffic::connections::{Connections, Offered};
use crate::transport::{Answer, ConnectionRecord};
use crate::units::{PS_PER_S, Time};

/// The summary of the connections of a `[[traffic]]` entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConnectionSummary {
    /// The entry's name, or its kind and position.
    pub entry: String,
    /// The congestion control.
    pub congestion_control: &'static str,
    /// The offered traffic, for entries whose flows arrive at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered: Option<Offered>,
    /// The number of connections. With a warm-up, connections that ended before its end are not counted.
    pub flows: u64,
    /// Connections whose last byte and FIN were acknowledged.
    pub finished: u64,
    /// Connections that had neither finished nor been given up when the run ended.
    pub unfinished: u64,
    /// Connections given up because the peer did not answer for too long.
    pub gave_up: u64,
    /// Bytes acknowledged by receivers.
    pub bytes_acknowledged: u64,
    /// Acknowledged bytes in bits per second, from the first SYN to the last acknowledgement of new bytes.
    /// `None` if nothing was acknowledged.
    pub goodput_bps: Option<f64>,
    /// Jain's fairness index of the goodputs of its connections: 1 if all are equal, 1 / n if one of n has
    /// everything. `None` for fewer than two connections.
    pub jain: Option<f64>,
    /// Completion times, from the SYN, of the finished connections that began after the warm-up. `None` if
    /// there are none.
    pub completion_s: Option<CompletionTimes>,
    /// Completion time divided by ideal completion time. `None` for connections whose application decides how
    /// long they last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowdown: Option<Slowdowns>,
    /// Slowdowns by flow size.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slowdown_by_size: Vec<SizeBin>,
    /// Times from a request to the last byte of its response. `None` if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_s: Option<ResponseTimes>,
    /// Retransmitted segments.
    pub retransmissions: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Segments delivered by acknowledgements that carried an ECN echo.
    pub delivered_ce: u64,
}

/// Percentiles of completion times, in seconds, by the nearest-rank method.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CompletionTimes {
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// Percentiles of slowdowns. A slowdown is the completion time divided by the ideal completion time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Slowdowns {
    /// The number of flows.
    pub flows: u64,
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// The slowdowns of flows in a range of sizes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SizeBin {
    /// The lower end of the range in bytes, exclusive.
    pub above_bytes: u64,
    /// The upper end in bytes, inclusive; `None` for the last range.
    pub up_to_bytes: Option<u64>,
    /// The slowdowns.
    #[serde(flatten)]
    pub slowdowns: Slowdowns,
}

/// Percentiles of response times, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ResponseTimes {
    /// The number of requests with a complete response.
    pub requests: u64,
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// The upper ends of the size ranges, in bytes.
pub(crate) const SIZE_BINS: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];

impl Slowdowns {
    /// The percentiles of these values; `None` without any.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let at = |part| nearest_rank(&values, part);
        Some(Slowdowns { flows: values.len() as u64, p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)? })
    }
}

/// The nearest-rank percentile: the smallest value that at least this fraction of the values does not exceed.
fn nearest_rank(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

impl ConnectionSummary {
    /// Warnings about results that may mislead.
    pub(super) fn doubts(&self, entry: &Connections) -> Vec<String> {
        let Self { entry: name, flows, unfinished, gave_up, .. } = self;
        let given_up = (*gave_up > 0).then(|| {
            format!("{gave_up} of the {flows} connections of `{name}` were given up: the peer did not answer for too long")
        });
        let left = (*unfinished > 0 && entry.has_sizes()).then(|| {
            format!(
                "{unfinished} of the {flows} flows of `{name}` had not finished when the run ended: completion times and \
                 slowdowns leave them out, and look better than they are"
            )
        });
        given_up.into_iter().chain(left).collect()
    }
}

/// The summaries, in the order of the scenario's entries.
pub(super) fn summaries(
    scenario: &Scenario,
    connections: &[ConnectionRecord],
    answers: &[Answer],
) -> Vec<ConnectionSummary> {
    let entries = || scenario.connections();
    let mut of_entry: Vec<Vec<&ConnectionRecord>> = entries().map(|_| Vec::new()).collect();
    let mut entry_of: FxHashMap<u32, u32> = FxHashMap::default();
    let counts = |connection: &&ConnectionRecord| {
        let ended = connection.finished().or(connection.closed());
        connection.opened_here && ended.is_none_or(|ended| ended >= connection.counted_from)
    };
    for connection in connections.iter().filter(counts) {
        if let Some(known) = of_entry.get_mut(connection.entry as usize) {
            known.push(connection);
        }
        if !answers.is_empty() {
            entry_of.insert(connection.fid, connection.entry);
        }
    }
    let mut responses: Vec<Vec<f64>> = entries().map(|_| Vec::new()).collect();
    for answer in answers.iter().filter(|answer| answer.began.since(Time::ZERO) >= scenario.warm_up) {
        let entry = entry_of.get(&answer.fid).and_then(|entry| responses.get_mut(*entry as usize));
        if let Some(times) = entry {
            times.push(answer.ended.since(answer.began).as_seconds_f64());
        }
    }
    let summary = |((entry, of), responses): ((&Connections, Vec<&ConnectionRecord>), Vec<f64>)| {
        summary(entry_name(entry.kind, &entry.label), entry, &of, responses)
    };
    entries().zip(of_entry).zip(responses).map(summary).collect()
}

fn summary(
    name: String,
    entry: &Connections,
    of: &[&ConnectionRecord],
    mut responses: Vec<f64>,
) -> ConnectionSummary {
    let sum = |part: fn(&ConnectionRecord) -> u64| of.iter().map(|connection| part(connection)).sum::<u64>();
    let mut completions: Vec<u64> =
        of.iter().filter_map(|connection| Some(connection.completion()?.as_ps())).collect();
    completions.sort_unstable();
    let seconds = |ps: u64| ps as f64 / PS_PER_S as f64;
    let first = of.iter().map(|connection| connection.counted_from).min().unwrap_or(Time::ZERO);
    let last = of.iter().map(|connection| connection.advanced).max().unwrap_or(Time::ZERO);
    let (bytes, lasted) = (sum(|connection| connection.acknowledged), last.since(first).as_seconds_f64());
    let (flows, finished) = (of.len() as u64, sum(|connection| connection.finished().is_some().into()));
    let gave_up = sum(|connection| connection.gave_up.into());
    let (slowdown, slowdown_by_size) = slowdowns(of);
    responses.sort_unstable_by(f64::total_cmp);
    let response = |part| nearest_rank(&responses, part);
    let response_s = response(0.5)
        .zip(response(0.95))
        .zip(response(0.99))
        .map(|((p50, p95), p99)| ResponseTimes { requests: responses.len() as u64, p50, p95, p99 });
    ConnectionSummary {
        entry: name,
        congestion_control: entry.parameters.algorithm.name(),
        offered: entry.offered().cloned(),
        flows,
        finished,
        unfinished: flows.saturating_sub(finished + gave_up),
        gave_up,
        bytes_acknowledged: bytes,
        goodput_bps: (bytes > 0 && lasted > 0.0).then(|| 8.0 * bytes as f64 / lasted),
        jain: jain(of),
        completion_s: Percentiles::of_sorted(&completions).map(|found| CompletionTimes {
            p50: seconds(found.p50),
            p90: seconds(found.p90),
            p99: seconds(found.p99),
        }),
        slowdown,
        slowdown_by_size,
        response_s,
        retransmissions: sum(|connection| connection.retransmissions.into()),
        timeouts: sum(|connection| connection.timeouts.into()),
        delivered_ce: sum(|connection| connection.delivered_ce.into()),
    }
}

/// The slowdowns of all flows, and by size.
fn slowdowns(of: &[&ConnectionRecord]) -> (Option<Slowdowns>, Vec<SizeBin>) {
    let found: Vec<(u64, f64)> =
        of.iter().filter_map(|connection| Some((connection.acknowledged, connection.slowdown()?))).collect();
    let all = Slowdowns::of(found.iter().map(|(_, slowdown)| *slowdown).collect());
    let mut bins = Vec::new();
    let ends = SIZE_BINS.into_iter().map(Some).chain([None]);
    let mut above_bytes = 0;
    for up_to_bytes in ends {
        let within = |bytes: u64| bytes > above_bytes && up_to_bytes.is_none_or(|most| bytes <= most);
        let of_bin = found.iter().filter(|(bytes, _)| within(*bytes)).map(|(_, slowdown)| *slowdown);
        let slowdowns = Slowdowns::of(of_bin.collect());
        bins.extend(slowdowns.map(|slowdowns| SizeBin { above_bytes, up_to_bytes, slowdowns }));
        above_bytes = up_to_bytes.unwrap_or(u64::MAX);
    }
    (all, bins)
}

/// Jain's fairness index of goodputs.
///
/// # Source
/// Jain, Chiu, Hawe, "A quantitative measure of fairness and discrimination for resource allocation in shared
/// computer systems", 1984.
fn jain(of: &[&ConnectionRecord]) -> Option<f64> {
    let rates = of.iter().map(|connection| connection.goodput_bps().unwrap_or(0.0));
    let (sum, squares) = rates.fold((0.0, 0.0), |(sum, squares), rate| (sum + rate, squares + rate * rate));
    (of.len() > 1 && squares > 0.0).then(|| sum * sum / (of.len() as f64 * squares))
}
