//! Two runs of the same traffic, packet by packet: what another discipline, rate or version changed.

use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::delays::{DelayComparison, compare_delays};
use super::matching::Confusion;
use super::metrics::Delays;
use crate::table::{Kind, ReadError, read_columns};

/// Why two runs cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunsError {
    /// A run has no table of packets.
    #[error("{} has no table of packets: is it a run directory, of a scenario without `packets = false`?", .0.display())]
    NoPackets(PathBuf),
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] ReadError),
}

/// The packets of two runs: one packet is what the same record of the same source became in each. In the metrics the
/// first run stands for the simulation, the second for what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunsComparison {
    /// Packets delivered in both.
    pub matched: u64,
    /// Packets that only the first run has.
    pub only_first: u64,
    /// Packets that only the second run has.
    pub only_second: u64,
    /// One-way delays of packets delivered in both, and all metrics of them.
    #[serde(flatten)]
    pub delays: Option<DelayComparison>,
    /// Dropped in the first run against dropped in the second.
    pub loss: Confusion,
}

/// What became of a packet.
struct PacketEnd {
    source: i128,
    record: i128,
    fid: u32,
    injected_ps: i128,
    delay_ps: Option<i64>,
    dropped: bool,
}

fn read(run: &Path) -> Result<Vec<PacketEnd>, RunsError> {
    let wanted = [
        ("source", Kind::Integers),
        ("record", Kind::Integers),
        ("fid", Kind::Integers),
        ("injected_ps", Kind::Integers),
        ("delay_ps", Kind::Integers),
        ("outcome", Kind::Texts),
    ];
    let mut packets = Vec::new();
    let found = read_columns(&run.join("packets"), &wanted, |batch| {
        let rows = batch[0].integers().len();
        let cell = |column: usize, row: usize| batch[column].integers().get(row).copied().flatten();
        packets.extend((0..rows).map(|row| PacketEnd {
            source: cell(0, row).unwrap_or_default(),
            record: cell(1, row).unwrap_or_default(),
            fid: cell(2, row).and_then(|fid| u32::try_from(fid).ok()).unwrap_or_default(),
            injected_ps: cell(3, row).unwrap_or_default(),
            // One of more than 106 days counts as that.
            delay_ps: cell(4, row).map(|delay| i64::try_from(delay).unwrap_or(i64::MAX)),
            dropped: batch[5].text(row) == Some("dropped"),
        }));
    })?;
    if found { Ok(packets) } else { Err(RunsError::NoPackets(run.to_owned())) }
}

/// Compares the runs in two directories.
///
/// # Errors
/// One of them has no table of packets.
///
/// # Complexity
/// O(packets x log packets); the packets of both runs are held in memory.
pub fn compare_runs(first: &Path, second: &Path) -> Result<RunsComparison, RunsError> {
    let others = read(second)?;
    let by_name: FxHashMap<(i128, i128), &PacketEnd> =
        others.iter().map(|packet| ((packet.source, packet.record), packet)).collect();
    let mut packets = read(first)?;
    packets.sort_unstable_by_key(|packet| (packet.injected_ps, packet.source, packet.record));
    let (mut delays, mut fids) = (Delays::default(), Vec::new());
    let mut loss = Confusion::default();
    let (mut only_first, mut in_both) = (0, 0);
    for packet in &packets {
        let Some(other) = by_name.get(&(packet.source, packet.record)) else {
            only_first += 1;
            continue;
        };
        in_both += 1;
        match (packet.dropped, other.dropped) {
            (true, true) => loss.both += 1,
            (true, false) => loss.only_simulated += 1,
            (false, true) => loss.only_measured += 1,
            (false, false) => loss.neither += 1,
        }
        if let (Some(delay), Some(other)) = (packet.delay_ps, other.delay_ps) {
            delays.simulated.push(delay);
            delays.measured.push(other);
            fids.push(packet.fid);
        }
    }
    Ok(RunsComparison {
        matched: fids.len() as u64,
        only_first,
        only_second: others.len() as u64 - in_both,
        delays: compare_delays(&delays, &fids),
        loss,
    })
}
