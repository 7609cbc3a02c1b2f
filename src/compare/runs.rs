//! Two runs of the same traffic, packet by packet: the effect of another discipline, rate or version.

use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

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

/// The packets of two runs. The same record of the same source is the same packet in both.
///
/// The first run is the baseline: in the metrics it takes the place of the measurement, the second run that of the
/// simulation, so that errors are (second - first) / first. As JSON, the keys of both sides are `first` and `second`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunsComparison {
    /// Packets delivered in both.
    pub matched: u64,
    /// Packets that only the first run has.
    pub only_first: u64,
    /// Packets that only the second run has.
    pub only_second: u64,
    /// One-way delays of packets delivered in both, and all metrics of them.
    pub delays: Option<DelayComparison>,
    /// Dropped in the second run against dropped in the first.
    pub loss: Confusion,
}

impl Serialize for RunsComparison {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let RunsComparison { matched, only_first, only_second, delays, loss } = self;
        let of = |value: Result<Value, serde_json::Error>| value.map_err(serde::ser::Error::custom);
        let mut all = json!({
            "matched": matched, "only_first": only_first, "only_second": only_second, "loss": of(serde_json::to_value(loss))?,
        });
        if let (Some(Value::Object(delays)), Some(all)) =
            (delays.map(|delays| of(serde_json::to_value(delays))).transpose()?, all.as_object_mut())
        {
            all.extend(delays);
        }
        by_order(all).serialize(serializer)
    }
}

/// The same with the keys of two runs instead of those of a simulation and a measurement.
fn by_order(value: Value) -> Value {
    let key = |key: String| match key.as_str() {
        "simulated" => "second".to_owned(),
        "measured" => "first".to_owned(),
        "only_simulated" => "only_second".to_owned(),
        "only_measured" => "only_first".to_owned(),
        _ => key,
    };
    match value {
        Value::Object(map) => map.into_iter().map(|(name, value)| (key(name), by_order(value))).collect(),
        Value::Array(values) => values.into_iter().map(by_order).collect(),
        value => value,
    }
}

/// The packets that were delivered in both runs, in the order in which the first run sent them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunsPackets {
    /// When the first run injected each, in picoseconds since its start.
    pub injected_ps: Vec<i128>,
    /// The flow of each in the first run.
    pub fids: Vec<u32>,
    /// Delays: of the second run as simulated, of the first as measured.
    pub delays: Delays,
}

/// A packet at its end.
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
            // A delay of more than 106 days counts as 106 days.
            delay_ps: cell(4, row).map(|delay| i64::try_from(delay).unwrap_or(i64::MAX)),
            dropped: batch[5].text(row) == Some("dropped"),
        }));
    })?;
    if found { Ok(packets) } else { Err(RunsError::NoPackets(run.to_owned())) }
}

/// Compares the runs in two directories; the first is the baseline.
///
/// # Errors
/// One of them has no table of packets.
///
/// # Complexity
/// O(packets x log packets); the packets of both runs are held in memory.
pub fn compare_runs(first: &Path, second: &Path) -> Result<RunsComparison, RunsError> {
    Ok(compare_runs_by_packet(first, second)?.0)
}

/// The same, with the packets that were delivered in both.
///
/// # Errors
/// One of the runs has no table of packets.
pub fn compare_runs_by_packet(
    first: &Path,
    second: &Path,
) -> Result<(RunsComparison, RunsPackets), RunsError> {
    let mut packets = read(first)?;
    let others = read(second)?;
    let by_name: FxHashMap<(i128, i128), &PacketEnd> =
        others.iter().map(|packet| ((packet.source, packet.record), packet)).collect();
    packets.sort_unstable_by_key(|packet| (packet.injected_ps, packet.source, packet.record));
    let mut found = RunsPackets::default();
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
            (true, false) => loss.only_measured += 1,
            (false, true) => loss.only_simulated += 1,
            (false, false) => loss.neither += 1,
        }
        if let (Some(delay), Some(other)) = (packet.delay_ps, other.delay_ps) {
            found.delays.measured.push(delay);
            found.delays.simulated.push(other);
            found.fids.push(packet.fid);
            found.injected_ps.push(packet.injected_ps);
        }
    }
    let comparison = RunsComparison {
        matched: found.fids.len() as u64,
        only_first,
        only_second: others.len() as u64 - in_both,
        delays: compare_delays(&found.delays, &found.fids),
        loss,
    };
    Ok((comparison, found))
}
