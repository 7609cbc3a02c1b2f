//! What the connections of each `[[traffic]]` entry did.

use serde::Serialize;

use crate::scenario::{Scenario, Traffic};
use crate::statistics::Percentiles;
use crate::traffic::connections::Connections;
use crate::transport::ConnectionRecord;
use crate::units::{PS_PER_S, Time};

/// The connections of a `[[traffic]]` entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConnectionSummary {
    /// The entry: its name, or its kind and place.
    pub entry: String,
    /// The congestion control.
    pub congestion_control: &'static str,
    /// Connections that began.
    pub flows: u64,
    /// Of these, connections whose last byte, and the end behind it, were acknowledged.
    pub finished: u64,
    /// Of these, connections that were given up: nothing answered for too long.
    pub gave_up: u64,
    /// Bytes that receivers have acknowledged.
    pub bytes_acknowledged: u64,
    /// The same in bits per second, from the first SYN to the last acknowledgement of new bytes; none where nothing was acknowledged.
    pub goodput_bps: Option<f64>,
    /// Completion times of finished connections, from the SYN on; none without any.
    pub completion_s: Option<CompletionTimes>,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Segments delivered by acknowledgements that echoed a mark of congestion.
    pub delivered_ce: u64,
}

/// Percentiles of completion times, in seconds: each the smallest that at least this part does not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CompletionTimes {
    /// The median.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
}

impl ConnectionSummary {
    /// Why the results may say little.
    pub(super) fn doubts(&self) -> Option<String> {
        (self.gave_up > 0).then(|| {
            format!(
                "{} of the {} connections of `{}` were given up: nothing answered for too long",
                self.gave_up, self.flows, self.entry
            )
        })
    }
}

/// By entry, in the order of the scenario.
pub(super) fn summaries(scenario: &Scenario, connections: &[ConnectionRecord]) -> Vec<ConnectionSummary> {
    let entries = scenario.traffic.iter().filter_map(|traffic| match traffic {
        Traffic::Connections(entry) => Some(entry),
        _ => None,
    });
    let mut of_entry: Vec<Vec<&ConnectionRecord>> = entries.clone().map(|_| Vec::new()).collect();
    for connection in connections.iter().filter(|connection| connection.opened_here) {
        if let Some(known) = of_entry.get_mut(connection.entry as usize) {
            known.push(connection);
        }
    }
    let summary = |(entry, of): (&Connections, Vec<&ConnectionRecord>)| {
        let name = match entry.label.parse::<u64>() {
            Ok(place) => format!("{} {place}", entry.kind),
            Err(_) => entry.label.clone(),
        };
        summary(name, entry.parameters.algorithm.name(), &of)
    };
    entries.zip(of_entry).map(summary).collect()
}

fn summary(entry: String, congestion_control: &'static str, of: &[&ConnectionRecord]) -> ConnectionSummary {
    let sum = |part: fn(&ConnectionRecord) -> u64| of.iter().map(|connection| part(connection)).sum::<u64>();
    let mut completions: Vec<u64> =
        of.iter().filter_map(|connection| Some(connection.completion()?.as_ps())).collect();
    completions.sort_unstable();
    let seconds = |ps: u64| ps as f64 / PS_PER_S as f64;
    let first = of.iter().map(|connection| connection.opened).min().unwrap_or(Time::ZERO);
    let last = of.iter().map(|connection| connection.advanced).max().unwrap_or(Time::ZERO);
    let (bytes, lasted) = (sum(|connection| connection.acknowledged), last.since(first).as_seconds_f64());
    ConnectionSummary {
        entry,
        congestion_control,
        flows: of.len() as u64,
        finished: completions.len() as u64,
        gave_up: sum(|connection| connection.gave_up.into()),
        bytes_acknowledged: bytes,
        goodput_bps: (bytes > 0 && lasted > 0.0).then(|| 8.0 * bytes as f64 / lasted),
        completion_s: Percentiles::of_sorted(&completions).map(|found| CompletionTimes {
            p50: seconds(found.p50),
            p90: seconds(found.p90),
            p99: seconds(found.p99),
        }),
        retransmissions: sum(|connection| connection.retransmissions),
        timeouts: sum(|connection| connection.timeouts),
        delivered_ce: sum(|connection| connection.delivered_ce),
    }
}
