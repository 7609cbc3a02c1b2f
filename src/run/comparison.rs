//! A measured capture against what the simulation did at its vantage.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use rustc_hash::{FxHashMap, FxHashSet};

use super::RunError;
use super::summary::MeasuredSummary;
use crate::capture::{MatchFields, Sorted};
use crate::compare::{
    ByOrigin, ClockSummary, Clocks, Delays, GroupComparison, Loss, Matched, Passage, PathComparison,
    Recorded, Sighting, Window, Windows, compare_delays, compare_groups, match_packets, ps_since, reordered,
};
use crate::scenario::{CaptureClock, DelayScope, Direction, Measured};
use crate::table::{OpenTable, TableError, Tables, write_table};
use crate::topology::{DeviceId, Topology};
use crate::units::Timestamp;

/// When packets reached a device, where a capture measured that and a vantage with `delay = "hop"` wants it.
pub(super) struct MeasuredIngress {
    wanted: FxHashSet<DeviceId>,
    /// By device and pid, in picoseconds since the run's start.
    at_ps: FxHashMap<(DeviceId, u64), i64>,
}

impl MeasuredIngress {
    /// Nothing is measured yet.
    pub(super) fn new(topology: &Topology, measured: &[Measured]) -> Self {
        let hops = measured.iter().filter(|target| target.delay == DelayScope::Hop);
        let wanted = hops.map(|target| topology.port(target.at.port).device).collect();
        MeasuredIngress { wanted, at_ps: FxHashMap::default() }
    }
}

/// A measured capture, opened.
pub(super) struct Reading<'a> {
    pub(super) capture: &'a mut Sorted,
    /// What match keys cover.
    pub(super) fields: MatchFields,
    /// The run's start.
    pub(super) start: Timestamp,
}

impl Reading<'_> {
    /// All its packets, and how many nothing recognizes.
    fn recorded(self) -> Result<(Recorded, u64), RunError> {
        let mut recorded = Recorded::new(self.fields);
        let mut without_key = 0;
        while let Some(observation) = self.capture.next_observation()? {
            match observation.frame.match_key_over(&self.fields) {
                Some(key) => {
                    let at_ps = ps_since(self.start, &observation, self.capture)?;
                    recorded.add(&observation.frame, key, at_ps);
                }
                None => without_key += 1,
            }
        }
        Ok((recorded, without_key))
    }
}

/// Where the packets of each flow enter: the source of its first packet, and the name of that place.
pub(super) struct Entries {
    /// By `fid`.
    pub sources: Vec<u32>,
    /// By number of a source.
    pub names: Vec<String>,
}

/// Matches the packets of a capture with those seen in the simulation, writes them, and sums up.
pub(super) fn compare_vantage(
    topology: &Topology,
    (number, target): (usize, &Measured),
    sightings: Vec<Sighting>,
    reading: Reading<'_>,
    measured_ingress: &mut MeasuredIngress,
    tables: &mut ComparisonTables,
) -> Result<MeasuredSummary, RunError> {
    let (recorded, without_key) = reading.recorded()?;
    let (measurements, fragments) = recorded.finish(sightings.iter().map(|sighting| sighting.key));
    let (mut matched, mut counts, loss, losses) = match_packets(sightings, measurements);
    counts.fragments = fragments;
    let clock = (target.clock == CaptureClock::Skewed).then(|| put_right(&mut matched)).flatten();
    let device = topology.port(target.at.port).device;
    if target.at.direction == Direction::Ingress && measured_ingress.wanted.contains(&device) {
        let ingress = matched.iter().map(|packet| ((device, packet.sighting.pid), packet.measured_ps));
        measured_ingress.at_ps.extend(ingress);
    }
    let measured_from = |packet: &Matched| match target.delay {
        DelayScope::Hop if !packet.sighting.injected_here => {
            measured_ingress.at_ps.get(&(device, packet.sighting.pid)).copied()
        }
        _ => Some(packet.sighting.injected_ps),
    };
    // In order of sending, which that of packet ids is not where sources are numbered apart.
    if !matched.is_sorted_by_key(|packet| packet.sighting.from_ps) {
        matched.sort_unstable_by_key(|packet| (packet.sighting.from_ps, packet.sighting.pid));
    }
    let mut delays = Delays::default();
    matched.retain(|packet| {
        let Some(from) = measured_from(packet) else { return false };
        delays.simulated.push(packet.simulated_ps - packet.sighting.from_ps);
        delays.measured.push(packet.measured_ps - from);
        true
    });
    let vantage = target.at.name(topology);
    let label = Label { number: number as u16, vantage: vantage.clone() };
    tables.matched.write(&label, &matched, &delays)?;
    tables.losses.push((label.clone(), losses));
    let fids: Vec<u32> = matched.iter().map(|packet| packet.sighting.fid).collect();
    let at_ps = Delays {
        simulated: matched.iter().map(|packet| packet.simulated_ps).collect(),
        measured: matched.iter().map(|packet| packet.measured_ps).collect(),
    };
    let lengths: Vec<u32> = matched.iter().map(|packet| packet.sighting.length).collect();
    let without_ingress = counts.matched - matched.len() as u64;
    drop(matched);
    let arrivals = |at: &[i64]| reordered(at.iter().copied());
    let reordered = ByOrigin { simulated: arrivals(&at_ps.simulated), measured: arrivals(&at_ps.measured) };
    let windows = Windows::new(&at_ps, &delays, &lengths);
    drop(at_ps);
    let over_time = windows.as_ref().map(Windows::summarize);
    tables.windows.extend(windows.map(|windows| (label.clone(), windows)));
    tables.flows.push((label, compare_groups(&delays, &fids, &fids)));
    let groups: Vec<u32> = fids.iter().map(|fid| tables.entries.sources[*fid as usize]).collect();
    let paths = compare_groups(&delays, &groups, &fids).into_iter().map(|(source, metrics)| {
        let from = tables.entries.names.get(source as usize).cloned().unwrap_or_default();
        PathComparison { from, to: vantage.clone(), metrics }
    });
    Ok(MeasuredSummary {
        capture: target.capture.clone(),
        delay: target.delay,
        counts,
        clock,
        without_key,
        without_ingress,
        reordered,
        over_time,
        paths: paths.collect(),
        delays: compare_delays(&delays, &fids),
        loss,
        vantage,
    })
}

/// Takes away how the capture's clock runs against the run's, as the delays from injection to the vantage show it. The
/// least of them is taken to be the least simulated one.
fn put_right(matched: &mut [Matched]) -> Option<ClockSummary> {
    let mut passages: Vec<Passage> = matched
        .iter()
        .map(|packet| Passage { first_ps: packet.sighting.injected_ps, second_ps: packet.measured_ps })
        .collect();
    passages.sort_unstable_by_key(|passage| (passage.first_ps, passage.second_ps));
    let least = matched.iter().map(|packet| packet.simulated_ps - packet.sighting.injected_ps).min()?;
    let clocks = Clocks::estimate(&passages, &[], least)?;
    for packet in matched {
        packet.measured_ps = clocks.corrected_ps(packet.sighting.injected_ps, packet.measured_ps);
    }
    Some(clocks.summary(true))
}

/// Which comparison a row is of: several may be at one vantage.
#[derive(Clone)]
struct Label {
    /// The number of the `[[measured]]` entry; there are at most 64.
    number: u16,
    vantage: String,
}

/// The tables of the comparisons of a run.
pub(super) struct ComparisonTables {
    entries: Entries,
    matched: MatchedRows,
    flows: Vec<(Label, Vec<(u32, GroupComparison)>)>,
    losses: Vec<(Label, Vec<Loss>)>,
    windows: Vec<(Label, Windows)>,
}

impl ComparisonTables {
    /// Begins them; `entries` say where flows come from.
    pub(super) fn create(tables: &dyn Tables, entries: Entries) -> Result<Self, TableError> {
        let matched = MatchedRows::create(tables)?;
        Ok(ComparisonTables { entries, matched, flows: Vec::new(), losses: Vec::new(), windows: Vec::new() })
    }

    /// Writes what is left.
    pub(super) fn finish(self, tables: &dyn Tables) -> Result<(), TableError> {
        self.matched.0.finish()?;
        write_table(tables, "agreement", flow_columns(&self.flows))?;
        write_table(tables, "losses", loss_columns(&self.losses))?;
        write_table(tables, "windows", window_columns(&self.windows))
    }
}

/// A column of numbers, one per row.
fn numbers<T>(rows: &[T], of: impl Fn(&T) -> Option<f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter(rows.iter().map(of)))
}

/// The columns of `agreement`: a row per vantage and flow.
fn flow_columns(vantages: &[(Label, Vec<(u32, GroupComparison)>)]) -> Vec<(&'static str, ArrayRef)> {
    const PS: f64 = crate::units::PS_PER_S as f64;
    type Row<'a> = (&'a Label, u32, &'a GroupComparison);
    let rows: Vec<Row<'_>> = vantages
        .iter()
        .flat_map(|(vantage, flows)| flows.iter().map(move |(fid, found)| (vantage, *fid, found)))
        .collect();
    let number = |of: fn(&GroupComparison) -> Option<f64>| numbers(&rows, |(_, _, found)| of(found));
    let matched = rows.iter().map(|(_, _, found)| found.matched);
    vec![
        ("comparison", Arc::new(UInt16Array::from_iter_values(rows.iter().map(|row| row.0.number)))),
        ("vantage", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0.vantage.as_str())))),
        ("fid", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.1)))),
        ("packets_matched", Arc::new(UInt64Array::from_iter_values(matched))),
        ("simulated_delay_mean_ps", number(|found| Some(found.delay_s.simulated.mean * PS))),
        ("measured_delay_mean_ps", number(|found| Some(found.delay_s.measured.mean * PS))),
        ("simulated_delay_p50_ps", number(|found| Some(found.delay_s.simulated.p50 * PS))),
        ("measured_delay_p50_ps", number(|found| Some(found.delay_s.measured.p50 * PS))),
        ("simulated_delay_p99_ps", number(|found| Some(found.delay_s.simulated.p99 * PS))),
        ("measured_delay_p99_ps", number(|found| Some(found.delay_s.measured.p99 * PS))),
        ("simulated_jitter_ps", number(|found| found.jitter_s.simulated.map(|jitter| jitter * PS))),
        ("measured_jitter_ps", number(|found| found.jitter_s.measured.map(|jitter| jitter * PS))),
        ("w1_normalized", number(|found| found.w1_normalized)),
        ("pearson", number(|found| found.pearson)),
        ("mean_abs_error_ps", number(|found| Some(found.mae_s * PS))),
    ]
}

/// The columns of `losses`: a row per packet that either side lost.
fn loss_columns(vantages: &[(Label, Vec<Loss>)]) -> Vec<(&'static str, ArrayRef)> {
    let rows: Vec<(&Label, Loss)> = vantages
        .iter()
        .flat_map(|(vantage, losses)| losses.iter().map(move |loss| (vantage, *loss)))
        .collect();
    let losses = || rows.iter().map(|(_, loss)| loss);
    vec![
        ("comparison", Arc::new(UInt16Array::from_iter_values(rows.iter().map(|row| row.0.number)))),
        ("vantage", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0.vantage.as_str())))),
        ("pid", Arc::new(UInt64Array::from_iter_values(losses().map(|loss| loss.pid)))),
        ("fid", Arc::new(UInt32Array::from_iter_values(losses().map(|loss| loss.fid)))),
        ("injected_ps", Arc::new(Int64Array::from_iter_values(losses().map(|loss| loss.injected_ps)))),
        ("simulated", Arc::new(BooleanArray::from_iter(losses().map(|loss| Some(loss.simulated))))),
        ("measured", Arc::new(BooleanArray::from_iter(losses().map(|loss| Some(loss.measured))))),
    ]
}

/// The columns of `windows`: a row per vantage and window of time.
fn window_columns(vantages: &[(Label, Windows)]) -> Vec<(&'static str, ArrayRef)> {
    const PS: f64 = crate::units::PS_PER_S as f64;
    let rows: Vec<_> = vantages
        .iter()
        .flat_map(|(vantage, Windows { start_ps, length_ps, windows })| {
            let starts = (0i64..).map(move |number| start_ps + number * length_ps);
            windows.iter().zip(starts).map(move |(window, start)| (vantage, start, *length_ps, window))
        })
        .collect();
    let mean = |simulated: bool| {
        numbers(&rows, |(_, _, _, window)| {
            let mean = window.mean_delay_s();
            if simulated { mean.simulated } else { mean.measured }.map(|mean| mean * PS)
        })
    };
    let count = |of: fn(&Window) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| of(row.3))))
    };
    vec![
        ("comparison", Arc::new(UInt16Array::from_iter_values(rows.iter().map(|row| row.0.number)))),
        ("vantage", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0.vantage.as_str())))),
        ("start_ps", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)))),
        ("length_ps", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2)))),
        ("simulated_packets", count(|window| window.packets.simulated)),
        ("measured_packets", count(|window| window.packets.measured)),
        ("simulated_bytes", count(|window| window.bytes.simulated)),
        ("measured_bytes", count(|window| window.bytes.measured)),
        ("simulated_delay_mean_ps", mean(true)),
        ("measured_delay_mean_ps", mean(false)),
    ]
}

/// The table `matched`: one row per packet matched with a measured capture.
struct MatchedRows(OpenTable);

impl MatchedRows {
    fn create(tables: &dyn Tables) -> Result<Self, TableError> {
        let name = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
        let schema = Schema::new(vec![
            Field::new("comparison", DataType::UInt16, false),
            Field::new("vantage", name, false),
            Field::new("pid", DataType::UInt64, false),
            Field::new("fid", DataType::UInt32, false),
            Field::new("simulated_ps", DataType::Int64, false),
            Field::new("measured_ps", DataType::Int64, false),
            Field::new("simulated_delay_ps", DataType::Int64, false),
            Field::new("measured_delay_ps", DataType::Int64, false),
        ]);
        Ok(MatchedRows(OpenTable::begin(tables, "matched", schema)?))
    }

    fn write(&mut self, label: &Label, matched: &[Matched], delays: &Delays) -> Result<(), TableError> {
        const ROWS: usize = 1 << 15;
        let names: ArrayRef = Arc::new(StringArray::from(vec![label.vantage.as_str()]));
        let simulated = delays.simulated.chunks(ROWS);
        let measured = delays.measured.chunks(ROWS);
        for ((packets, simulated), measured) in matched.chunks(ROWS).zip(simulated).zip(measured) {
            let keys = UInt16Array::from(vec![0; packets.len()]);
            let names = arrow_array::DictionaryArray::try_new(keys, Arc::clone(&names))
                .map_err(|source| TableError::Arrow { path: "matched".into(), source })?;
            let columns: Vec<ArrayRef> = vec![
                Arc::new(UInt16Array::from(vec![label.number; packets.len()])),
                Arc::new(names),
                Arc::new(UInt64Array::from_iter_values(packets.iter().map(|packet| packet.sighting.pid))),
                Arc::new(UInt32Array::from_iter_values(packets.iter().map(|packet| packet.sighting.fid))),
                Arc::new(Int64Array::from_iter_values(packets.iter().map(|packet| packet.simulated_ps))),
                Arc::new(Int64Array::from_iter_values(packets.iter().map(|packet| packet.measured_ps))),
                Arc::new(Int64Array::from(simulated.to_vec())),
                Arc::new(Int64Array::from(measured.to_vec())),
            ];
            self.0.write(columns)?;
        }
        Ok(())
    }
}
