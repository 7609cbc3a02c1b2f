//! Two captures of one path, without a simulation: how long each packet took from the first to the second.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::matching::{MatchCounts, Measurement, Sighting, match_packets};
use super::metrics::{DelaySummary, jitter_ps, summarize};
use super::one_way::{OneWay, one_way};
use crate::capture::{CaptureError, FlowTable, Observation, Options, Sorted};
use crate::units::{PS_PER_S, Timestamp};

/// Why two captures, or a capture and a simulation, cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A packet is from another time.
    #[error(
        "record {record} of {} is from {at}, and the comparison starts at {start}: it reaches 26 days either way; \
         was one of the clocks wrong?",
        path.display()
    )]
    AnotherTime {
        /// the capture
        path: PathBuf,
        /// the record's number, from 0
        record: u64,
        /// its instant
        at: Timestamp,
        /// the first instant of the comparison
        start: Timestamp,
    },
}

/// The furthest instant from the start of a comparison, in picoseconds: the difference of two differences of such instants
/// fits an `i64`.
pub(crate) const REACH_PS: i64 = i64::MAX / 4;

/// Picoseconds from `start` to the observation.
///
/// # Errors
/// More than 26 days.
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

/// What two captures say of the path between them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptureComparison {
    /// Packets in the first capture.
    pub packets_first: u64,
    /// Packets in the second capture.
    pub packets_second: u64,
    /// Packets that nothing recognizes (no IP), of both captures.
    pub without_key: u64,
    /// Packets in both captures.
    pub matched: u64,
    /// Packets of the first capture whose key is not theirs alone: left out.
    pub ambiguous: u64,
    /// Packets in the first capture alone.
    pub only_first: u64,
    /// Packets in the second capture alone.
    pub only_second: u64,
    /// Lost between the first and the last matched packet (RFC 7680).
    pub lost: u64,
    /// Matched packets that arrived after one that was sent later (RFC 4737).
    pub reordered: u64,
    /// One-way delay (RFC 7679): seconds by the clock of the second capture less those by that of the first.
    pub delay_s: Option<DelaySummary>,
    /// Mean |IPDV| (RFC 3393) within flows, in seconds.
    pub jitter_s: Option<f64>,
    /// How delays vary, and how sure that is.
    #[serde(flatten)]
    pub one_way: Option<OneWay>,
}

/// Compares two captures packet by packet.
///
/// # Errors
/// One of them cannot be read, or they are more than 26 days apart.
///
/// # Complexity
/// O(n log n) in the packets of both; both captures' keys and times are held in memory.
pub fn compare_captures(
    first: &Path,
    second: &Path,
    options: &Options,
) -> Result<CaptureComparison, CompareError> {
    let mut without_key = 0;
    let mut start = None;
    let mut flows = FlowTable::new();
    let mut sent = Vec::new();
    let packets_first = read(first, options, &mut start, &mut without_key, |key, at_ps, observation| {
        sent.push(Sighting {
            key,
            pid: sent.len() as u64,
            fid: flows.fid(&observation.frame),
            injected_here: true,
            injected_ps: at_ps,
            from_ps: at_ps,
            at_ps: Some(at_ps),
        });
    })?;
    let mut received = Vec::new();
    let packets_second = read(second, options, &mut start, &mut without_key, |key, at_ps, _| {
        received.push(Measurement { key, at_ps });
    })?;
    let (matched, counts, confusion, _) = match_packets(sent, received);
    let MatchCounts { matched: both, ambiguous, only_simulated, only_measured } = counts;
    let delays: Vec<i64> = matched.iter().map(|packet| packet.measured_ps - packet.simulated_ps).collect();
    let mut latest = i64::MIN;
    let reordered = matched
        .iter()
        .filter(|packet| {
            let late = packet.measured_ps < latest;
            latest = latest.max(packet.measured_ps);
            late
        })
        .count() as u64;
    let in_flows = matched.iter().zip(&delays).map(|(packet, delay)| (packet.sighting.fid, *delay));
    let fids: Vec<u32> = matched.iter().map(|packet| packet.sighting.fid).collect();
    Ok(CaptureComparison {
        packets_first,
        packets_second,
        without_key,
        matched: both,
        ambiguous,
        only_first: only_simulated,
        only_second: only_measured,
        lost: confusion.only_measured,
        reordered,
        delay_s: summarize(&delays),
        jitter_s: jitter_ps(in_flows).map(|jitter| jitter / PS_PER_S as f64),
        one_way: one_way(delays, &fids),
    })
}

/// Reads a capture; `take` gets each packet's key and its picoseconds since `start`, which the first packet of all
/// sets. Gives the number of packets.
fn read(
    path: &Path,
    options: &Options,
    start: &mut Option<Timestamp>,
    without_key: &mut u64,
    mut take: impl FnMut(u64, i64, &Observation),
) -> Result<u64, CompareError> {
    let mut capture = Sorted::open(path, options)?;
    let mut packets = 0;
    while let Some(observation) = capture.next_observation()? {
        packets += 1;
        let start = *start.get_or_insert(observation.timestamp);
        match observation.frame.match_key() {
            Some(key) => take(key, ps_since(start, &observation, &capture)?, &observation),
            None => *without_key += 1,
        }
    }
    Ok(packets)
}
