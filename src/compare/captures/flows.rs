//! The result of a comparison of two captures, per flow.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, UInt32Array, UInt64Array};
use rustc_hash::FxHashMap;

use super::{Joined, Unpaired, Way};
use crate::compare::distribution::{DelaySummary, summarize_sorted};
use crate::compare::metrics::jitter_ps;
use crate::packet::FlowKey;
use crate::record::key_columns;
use crate::table::{Format, TableError, Tables, write_columns, write_table};
use crate::units::PS_PER_S;

/// One flow from the first capture to the second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlowPassage {
    /// Its number. Flows are numbered from 0 by first appearance in either capture, including those of the
    /// other direction.
    pub fid: u32,
    /// Its key, as in the second capture.
    pub flow: FlowKey,
    /// Packets in both captures.
    pub matched: u64,
    /// Packets lost on the way, between the first and the last matched packet of all flows.
    pub lost: u64,
    /// Matched packets that arrived after a packet of the flow that was sent later (RFC 4737).
    pub reordered: u64,
    /// One-way delay; `None` without matched packets.
    pub delay_s: Option<DelaySummary>,
    /// Mean |IPDV| (RFC 3393), in seconds; `None` with fewer than two packets.
    pub jitter_s: Option<f64>,
}

impl FlowPassage {
    /// Lost packets divided by lost and matched packets (RFC 7680).
    pub fn loss_ratio(&self) -> f64 {
        self.lost as f64 / (self.lost + self.matched) as f64
    }
}

/// The flows from the first capture to the second, in order of their numbers.
///
/// # Complexity
/// O(packets x log packets).
pub(super) fn flows(joined: &Joined, lost: &[&Unpaired]) -> Vec<FlowPassage> {
    let mut lost_of: FxHashMap<u32, u64> = FxHashMap::default();
    lost.iter().for_each(|packet| *lost_of.entry(packet.fid).or_default() += 1);
    let forward = joined.pairs.iter().filter(|pair| joined.way(pair.fid) != Way::Backward);
    let mut pairs: Vec<_> = forward.copied().collect();
    // The sort is stable: within a flow, pairs stay in order of sending.
    pairs.sort_by_key(|pair| pair.fid);
    let key = |fid: u32| *joined.flows.key(fid).expect("a flow of a packet that was seen");
    let mut found: Vec<FlowPassage> = Vec::new();
    for pairs in pairs.chunk_by(|a, b| a.fid == b.fid) {
        let fid = pairs[0].fid;
        let mut delays: Vec<i64> = pairs.iter().map(|pair| pair.second_ps - pair.first_ps).collect();
        let jitter = jitter_ps(delays.iter().map(|delay| (fid, *delay)));
        delays.sort_unstable();
        let mut latest = i64::MIN;
        let mut reordered = 0;
        for pair in pairs {
            reordered += u64::from(pair.second_ps < latest);
            latest = latest.max(pair.second_ps);
        }
        found.push(FlowPassage {
            fid,
            flow: key(fid),
            matched: pairs.len() as u64,
            lost: lost_of.remove(&fid).unwrap_or_default(),
            reordered,
            delay_s: summarize_sorted(&delays),
            jitter_s: jitter.map(|jitter| jitter / PS_PER_S as f64),
        });
    }
    found.extend(lost_of.into_iter().map(|(fid, lost)| FlowPassage {
        fid,
        flow: key(fid),
        matched: 0,
        lost,
        reordered: 0,
        delay_s: None,
        jitter_s: None,
    }));
    found.sort_unstable_by_key(|flow| flow.fid);
    found
}

/// Writes a table with one row per flow. `docs/matching.md` describes its columns.
///
/// # Errors
/// The file cannot be written.
pub fn write_flows(path: &Path, format: Format, flows: &[FlowPassage]) -> Result<(), TableError> {
    write_columns(path, format, columns(flows))
}

/// The same as the table `flows` of `tables`.
///
/// # Errors
/// The table cannot be written.
pub fn write_flows_to(tables: &dyn Tables, flows: &[FlowPassage]) -> Result<(), TableError> {
    write_table(tables, "flows", columns(flows))
}

fn columns(flows: &[FlowPassage]) -> Vec<(&'static str, ArrayRef)> {
    let ps = |seconds: f64| (seconds * PS_PER_S as f64).round();
    let keys: Vec<&FlowKey> = flows.iter().map(|flow| &flow.flow).collect();
    let count = |of: fn(&FlowPassage) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(flows.iter().map(of)))
    };
    let delay = |of: fn(&DelaySummary) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter(flows.iter().map(|flow| Some(ps(of(flow.delay_s.as_ref()?))))))
    };
    let mut columns: Vec<(&'static str, ArrayRef)> =
        vec![("fid", Arc::new(UInt32Array::from_iter_values(flows.iter().map(|flow| flow.fid))))];
    columns.extend(key_columns(&keys));
    columns.extend([
        ("packets_matched", count(|flow| flow.matched)),
        ("packets_lost", count(|flow| flow.lost)),
        (
            "loss_ratio",
            Arc::new(Float64Array::from_iter_values(flows.iter().map(FlowPassage::loss_ratio))) as ArrayRef,
        ),
        ("packets_reordered", count(|flow| flow.reordered)),
        ("delay_mean_ps", delay(|delay| delay.mean)),
        ("delay_min_ps", delay(|delay| delay.min)),
        ("delay_max_ps", delay(|delay| delay.max)),
        ("delay_p50_ps", delay(|delay| delay.p50)),
        ("delay_p90_ps", delay(|delay| delay.p90)),
        ("delay_p99_ps", delay(|delay| delay.p99)),
        ("delay_p999_ps", delay(|delay| delay.p999)),
        ("jitter_ps", Arc::new(Float64Array::from_iter(flows.iter().map(|flow| flow.jitter_s.map(ps))))),
    ]);
    columns
}
