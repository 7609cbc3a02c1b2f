//! Two captures of one path, without a simulation: the delay of each packet from the first to the second.

mod cut;
mod flows;
mod join;
mod pair;
mod survey;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::bootstrap::{Share, share};
use super::clocks::{ClockSummary, Passage};
use super::distribution::{DelaySummary, summarize};
use super::metrics::jitter_ps;
use super::one_way::{OneWay, one_way};
use crate::capture::{CaptureError, CaptureKeys, Observation, Options, Sorted};
use crate::packet::FlowKey;
use crate::scenario::CaptureClock;
use crate::units::{PS_PER_S, Span, Timestamp};

pub use flows::{FlowPassage, write_flows, write_flows_to};
pub use join::{JoinCounts, Joined, join_captures};
pub use pair::{Pair, Unpaired, Way};
pub(crate) use survey::refuse_nat64;

/// Errors of comparing two captures, or a capture and a simulation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A packet is too far from the start of the comparison.
    #[error(
        "record {record} of {} is from {at}, more than 26 days from the start of the comparison at {start}; \
         was one of the clocks wrong? `editcap -t SECONDS IN OUT` shifts a capture, `editcap IN OUT NUMBER` (from 1) \
         leaves out a record with a wrong time",
        path.display()
    )]
    AnotherTime {
        /// the capture
        path: PathBuf,
        /// the record's number, from 0
        record: u64,
        /// its timestamp
        at: Timestamp,
        /// the start of the comparison
        start: Timestamp,
    },
    /// One capture has as IPv6 the packets that the other has as IPv4.
    #[error(
        "a translator between IPv6 and IPv4 (NAT64, RFC 6146) is between the captures: {v6} on one side is {v4} on \
         the other; packets cannot be matched across it; take both captures on one side of it, or leave its packets out \
         (tcpdump -r FILE -w OUT 'not net 64:ff9b::/96')"
    )]
    Nat64 {
        /// a flow
        v6: FlowKey,
        /// the same flow on the other side of the translator
        v4: FlowKey,
    },
}

/// Maximum distance from the start of a comparison, in picoseconds: the difference of two differences of such
/// instants fits into an `i64`.
pub(crate) const REACH_PS: i64 = i64::MAX / 4;

/// Picoseconds from `start` to the observation.
///
/// # Errors
/// The distance is more than 26 days.
pub(crate) fn ps_since(
    start: Timestamp,
    observation: &Observation,
    capture: &Sorted,
) -> Result<i64, CompareError> {
    let ps = observation.timestamp.as_ps().saturating_sub(start.as_ps());
    i64::try_from(ps).ok().filter(|ps| ps.abs() <= REACH_PS).ok_or_else(|| CompareError::AnotherTime {
        path: capture.reader().path().to_owned(),
        record: observation.record,
        at: observation.timestamp,
        start,
    })
}

/// Options for comparing two captures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompareOptions {
    /// Options for reading both captures.
    pub capture: Options,
    /// Selection of packets of the first capture.
    pub first: CaptureKeys,
    /// Selection of packets of the second capture.
    pub second: CaptureKeys,
    /// Whether a router between them translates addresses or ports. The mapping of flows is then learned in a
    /// first pass over the files.
    pub nat: bool,
    /// Maximum deviation of a packet's delay from the usual one, in either direction, by the two clocks. The
    /// packets of twice this time are held in memory.
    pub max_delay: Span,
    /// Whether the second capture has its own clock.
    pub clock: CaptureClock,
    /// The minimum delay of a packet. The offset of a separate clock is relative to it.
    pub min_delay: Span,
}

impl CompareOptions {
    /// The reading options of each capture.
    fn each(&self) -> [Options; 2] {
        [self.capture.with(&self.first), self.capture.with(&self.second)]
    }
}

impl Default for CompareOptions {
    /// Strict reading, no address translation, 10 s, one clock, no minimum delay.
    fn default() -> Self {
        CompareOptions {
            capture: Options::default(),
            first: CaptureKeys::default(),
            second: CaptureKeys::default(),
            nat: false,
            max_delay: Span::from_ps(10 * PS_PER_S),
            clock: CaptureClock::Same,
            min_delay: Span::ZERO,
        }
    }
}

/// The result of comparing two captures of a path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptureComparison {
    /// Packets in the first capture.
    pub packets_first: u64,
    /// Packets in the second capture.
    pub packets_second: u64,
    /// Counts of matched and unmatched packets.
    #[serde(flatten)]
    pub counts: JoinCounts,
    /// Packets lost on the way, between the first and the last matched packet (RFC 7680).
    pub lost: u64,
    /// Lost packets divided by lost and matched packets, in order of sending (RFC 7680); `None` without
    /// either.
    pub loss_ratio: Option<Share>,
    /// Matched packets that arrived after a packet sent later (RFC 4737).
    pub reordered: u64,
    /// One-way delay (RFC 7679) in seconds: the time of the second capture minus that of the first.
    pub delay_s: Option<DelaySummary>,
    /// Mean |IPDV| (RFC 3393) within flows, in seconds.
    pub jitter_s: Option<f64>,
    /// The variation of delays, with confidence intervals.
    #[serde(flatten)]
    pub one_way: Option<OneWay>,
    /// One-way delay of the packets from the second capture to the first.
    pub backward_delay_s: Option<DelaySummary>,
    /// The relation of the two clocks, estimated from the delays; `None` without matched packets.
    pub clock: Option<ClockSummary>,
    /// The flows from the first capture to the second: the rows of [`write_flows`].
    #[serde(skip)]
    pub flows: Vec<FlowPassage>,
    /// Warnings about the captures.
    pub warnings: Vec<String>,
}

/// Compares two captures packet by packet.
///
/// # Errors
/// As for [`join_captures`].
///
/// # Complexity
/// As for [`join_captures`], and O(n log n) in the matched packets.
pub fn compare_captures(
    first: &Path,
    second: &Path,
    options: &CompareOptions,
) -> Result<CaptureComparison, CompareError> {
    Ok(compare_captures_by_packet(first, second, options)?.0)
}

/// The same, with the packets of both captures.
///
/// # Errors
/// As for [`join_captures`].
pub fn compare_captures_by_packet(
    first: &Path,
    second: &Path,
    options: &CompareOptions,
) -> Result<(CaptureComparison, Joined), CompareError> {
    let joined = join_captures(first, second, options)?;
    let way = |fid: u32| joined.way(fid);
    let forward = || joined.pairs.iter().filter(|pair| way(pair.fid) != Way::Backward);
    let delay = |pair: &Pair| pair.second_ps - pair.first_ps;
    let delays: Vec<i64> = forward().map(delay).collect();
    let fids: Vec<u32> = forward().map(|pair| pair.fid).collect();
    let jitter = jitter_ps(forward().map(|pair| (pair.fid, delay(pair))));
    let backward = joined.pairs.iter().filter(|pair| way(pair.fid) == Way::Backward);
    let backward: Vec<i64> = backward.map(|pair| -delay(pair)).collect();
    let mut latest = i64::MIN;
    let mut reordered = 0;
    for pair in forward() {
        reordered += u64::from(pair.second_ps < latest);
        latest = latest.max(pair.second_ps);
    }
    let mut warnings = joined.warnings.clone();
    for (path, packets) in [(first, joined.packets_first), (second, joined.packets_second)] {
        if packets == 0 {
            warnings.push(format!("{} holds no packets: there is nothing to compare", path.display()));
        }
    }
    if delays.is_empty() && !backward.is_empty() {
        let [first, second] = [first, second].map(Path::display);
        warnings.push(format!(
            "all matched packets are in {second} before {first}: the captures look swapped; write `taunet compare {second} {first}`"
        ));
    } else if options.clock == CaptureClock::Same {
        warnings.extend(swapped(&delays, &backward, [first, second]));
    }
    let instants = || forward().map(|pair| pair.first_ps);
    let lost: Vec<&Unpaired> = match (instants().min(), instants().max()) {
        (Some(from), Some(to)) => joined
            .only_first
            .iter()
            .filter(|packet| (from..=to).contains(&packet.at_ps) && way(packet.fid) != Way::Backward)
            .filter(|packet| !packet.is_missed)
            .collect(),
        _ => Vec::new(),
    };
    let mut sent: Vec<(i64, bool)> = instants().map(|at_ps| (at_ps, false)).collect();
    sent.extend(lost.iter().map(|packet| (packet.at_ps, true)));
    sent.sort_unstable();
    let is_lost: Vec<bool> = sent.into_iter().map(|(_, is_lost)| is_lost).collect();
    let comparison = CaptureComparison {
        packets_first: joined.packets_first,
        packets_second: joined.packets_second,
        counts: joined.counts,
        lost: lost.len() as u64,
        loss_ratio: share(&is_lost),
        reordered,
        delay_s: summarize(&delays),
        jitter_s: jitter.map(|jitter| jitter / PS_PER_S as f64),
        one_way: one_way(delays, &fids),
        backward_delay_s: summarize(&backward),
        flows: flows::flows(&joined, &lost),
        clock: joined.clocks.as_ref().map(|clocks| clocks.summary(options.clock == CaptureClock::Skewed)),
        warnings,
    };
    Ok((comparison, joined))
}

/// That the captures look swapped, or else that their clocks differ: most packets are in the second before the first.
/// Where some go back, the sum of both ways tells, since a difference of the clocks cancels in it.
fn swapped(forward: &[i64], backward: &[i64], [first, second]: [&Path; 2]) -> Option<String> {
    let median = |delays: &[i64]| {
        let mut sorted = delays.to_vec();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    };
    let there = median(forward).filter(|delay| *delay < 0)?;
    let back = median(backward);
    let early = -there as f64 / (PS_PER_S as f64 / 1e6);
    let [first, second] = [first, second].map(Path::display);
    let says = format!("most packets are in {second} before {first}, by {early:.3} us in the median");
    Some(match back.map(|back| there.saturating_add(back)) {
        Some(0..) => {
            format!("{says}, but packets the other way are not early: the clocks differ; say --clock skewed")
        }
        _ => format!(
            "{says}: the captures look swapped; write `taunet compare {second} {first}`. If the order is right, the clocks \
             differ: say --clock skewed"
        ),
    })
}

/// The two clock readings of a pair.
fn passage(pair: &Pair) -> Passage {
    Passage { first_ps: pair.first_ps, second_ps: pair.second_ps }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_captures_are_distinguished_from_clocks_that_differ() {
        let said = |forward: &[i64], backward: &[i64]| swapped(forward, backward, ["a", "b"].map(Path::new));
        assert_eq!(said(&[5, 6, -1], &[]), None);
        assert_eq!(said(&[], &[]), None);
        let one_way = said(&[-2_000_000, -1_000_000, 5], &[]).unwrap();
        assert!(
            one_way.starts_with("most packets are in b before a, by 1.000 us in the median"),
            "{one_way}"
        );
        assert!(one_way.contains("look swapped; write `taunet compare b a`"), "{one_way}");
        // Both ways together take longer than no time, by either clock.
        let both = said(&[-2_000_000], &[3_000_000]).unwrap();
        assert!(both.contains("the clocks differ") && !both.contains("swapped"), "{both}");
        assert!(said(&[-2_000_000], &[1_000_000]).unwrap().contains("look swapped"));
    }
}
