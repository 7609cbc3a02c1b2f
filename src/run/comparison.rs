//! Compares a measured capture with the simulated packets at its vantage.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use rustc_hash::{FxHashMap, FxHashSet};

use super::RunError;
use super::summary::MeasuredSummary;
use super::transmissions::{transmission_doubts, write_goodput, write_transmissions};
use crate::capture::{MatchFields, Sorted};
use crate::compare::{
    AtVantage, ByOrigin, CapturePoint, ClockSummary, Clocks, Delays, GroupComparison, Loss, Matched,
    MeasuredFlows, Passage, PathComparison, REACH_PS, Recorded, SameTransmission, Sighting, Transmissions,
    VantageTransmissions, WatchedVantage, Window, Windows, compare_delays, compare_groups, match_packets,
    ps_since, reordered,
};
use crate::scenario::{CaptureClock, DelayScope, Direction, Measured};
use crate::table::{OpenTable, TableError, Tables, write_table};
use crate::topology::{DeviceId, Topology};
use crate::units::Timestamp;

/// Measured ingress times of packets at a device, kept where a vantage with `delay = "hop"` needs them.
pub(super) struct MeasuredIngress {
    wanted: FxHashSet<DeviceId>,
    /// By device and pid, in picoseconds since the run's start.
    at_ps: FxHashMap<(DeviceId, u64), i64>,
}

impl MeasuredIngress {
    /// Starts with no measured time.
    pub(super) fn new(topology: &Topology, measured: &[Measured]) -> Self {
        let hops = measured.iter().filter(|target| target.delay == DelayScope::Hop);
        let wanted = hops.map(|target| topology.port(target.at.port).device).collect();
        MeasuredIngress { wanted, at_ps: FxHashMap::default() }
    }
}

/// An open measured capture.
pub(super) struct Reading<'a> {
    pub(super) capture: &'a mut Sorted,
    /// The fields that match keys cover.
    pub(super) fields: MatchFields,
    /// The run's start.
    pub(super) start: Timestamp,
    /// Whether only packets of connections are compared.
    pub(super) of_connections: bool,
}

/// The packets of a capture.
struct Contents {
    /// The packets with a match key.
    recorded: Recorded,
    /// The packets of connections.
    flows: MeasuredFlows,
    /// The number of packets without a match key.
    without_key: u64,
    /// When the last packet was seen, in picoseconds since the run's start.
    end_ps: i64,
}

impl Reading<'_> {
    fn contents(self, transmissions: &Transmissions) -> Result<Contents, RunError> {
        let (recorded, flows) = (Recorded::new(self.fields), MeasuredFlows::default());
        let mut contents = Contents { recorded, flows, without_key: 0, end_ps: -REACH_PS };
        while let Some(observation) = self.capture.next_observation()? {
            let frame = &observation.frame;
            let key = frame.match_key_over(&self.fields);
            let segment = self.capture.take_segment(observation.record);
            let segment = segment.map(|segment| (segment, frame.flow_key()));
            match (segment.filter(|(_, flow)| transmissions.may_have(flow)), key) {
                (Some((segment, flow)), _) => {
                    let at_ps = ps_since(self.start, &observation, self.capture)?;
                    let is_identified = frame.identification.is_some_and(|number| number != 0);
                    contents.flows.add(flow, &segment, at_ps, (key, is_identified));
                    contents.end_ps = at_ps;
                }
                (None, _) if self.of_connections => {}
                (None, Some(key)) => {
                    let at_ps = ps_since(self.start, &observation, self.capture)?;
                    contents.recorded.add(frame, key, at_ps);
                    contents.end_ps = at_ps;
                }
                (None, None) => contents.without_key += 1,
            }
        }
        Ok(contents)
    }
}

/// The comparisons of a run, vantage by vantage.
pub(super) struct Comparisons {
    pub(super) tables: ComparisonTables,
    pub(super) ingress: MeasuredIngress,
    pub(super) transmissions: Transmissions,
    /// The last simulated instant.
    pub(super) end_ps: i64,
}

/// The place where the packets of each flow enter: the source of the first packet, and its name.
pub(super) struct Entries {
    /// By `fid`.
    pub sources: Vec<u32>,
    /// By source number.
    pub names: Vec<String>,
}

impl Entries {
    /// The delays to a vantage, by the place where packets entered.
    fn paths(&self, delays: &Delays, fids: &[u32], vantage: &str) -> Vec<PathComparison> {
        let groups: Vec<u32> = fids.iter().map(|fid| self.sources[*fid as usize]).collect();
        let paths = compare_groups(delays, &groups, fids).into_iter().map(|(source, metrics)| {
            let from = self.names.get(source as usize).cloned().unwrap_or_default();
            PathComparison { from, to: vantage.to_owned(), metrics }
        });
        paths.collect()
    }
}

impl Comparisons {
    /// Matches the packets of a capture with the simulated ones, writes the matches, and summarizes them.
    pub(super) fn vantage(
        &mut self,
        topology: &Topology,
        (number, target): (usize, &Measured),
        vantage: WatchedVantage,
        reading: Reading<'_>,
    ) -> Result<MeasuredSummary, RunError> {
        let contents = reading.contents(&self.transmissions)?;
        let point = CapturePoint {
            number,
            device: topology.port(target.at.port).device,
            is_egress: target.at.direction == Direction::Egress,
            has_own_clock: target.clock == CaptureClock::Skewed,
            tolerance_ps: i64::try_from(target.tolerance.as_ps()).unwrap_or(i64::MAX),
            simulated_end_ps: self.end_ps,
            measured_end_ps: contents.end_ps,
        };
        let found = self.transmissions.compare(point, &vantage.transmissions, contents.flows);
        let packets = (vantage.sightings, contents.recorded, contents.without_key);
        compare_vantage(topology, (number, target), packets, found, &mut self.ingress, &mut self.tables)
    }

    /// Writes the remaining tables and adds the comparison of connections to each summary. Returns warnings.
    pub(super) fn finish(
        self,
        tables: &dyn Tables,
        measured: &mut [MeasuredSummary],
    ) -> Result<Vec<String>, TableError> {
        self.tables.finish(tables)?;
        if self.transmissions.is_empty() {
            return Ok(Vec::new());
        }
        let vantages = self.transmissions.finish();
        let name = |number: usize| measured[number].vantage.as_str();
        write_transmissions(tables, &vantages, &name)?;
        write_goodput(tables, &vantages, &name)?;
        let mut doubts = Vec::new();
        for VantageTransmissions { number, summary, .. } in vantages {
            doubts.extend(transmission_doubts(&measured[number].vantage, &summary));
            measured[number].tcp = Some(summary);
        }
        Ok(doubts)
    }
}

/// Compares the packets of a vantage: the packets with match keys, and the transmissions `found` to be the
/// same.
fn compare_vantage(
    topology: &Topology,
    (number, target): (usize, &Measured),
    (sightings, recorded, without_key): (Vec<Sighting>, Recorded, u64),
    found: AtVantage,
    measured_ingress: &mut MeasuredIngress,
    tables: &mut ComparisonTables,
) -> Result<MeasuredSummary, RunError> {
    let (measurements, fragments) = recorded.finish(sightings.iter().map(|sighting| sighting.key));
    let (mut matched, mut counts, mut loss, mut losses) = match_packets(sightings, measurements);
    counts.fragments = fragments;
    let clock = (target.clock == CaptureClock::Skewed).then(|| put_right(&mut matched)).flatten();
    let device = topology.port(target.at.port).device;
    if target.at.direction == Direction::Ingress && measured_ingress.wanted.contains(&device) {
        let ingress = matched.iter().map(|packet| ((device, packet.sighting.pid), packet.measured_ps));
        measured_ingress.at_ps.extend(ingress);
    }
    counts.add(&found);
    loss.add(&found.loss);
    losses.extend(&found.losses);
    losses.sort_by_key(|loss| loss.pid);
    let reacting = add_transmissions(&mut matched, &found.same);
    let measured_from = |packet: &Matched| match (reacting.get(&packet.sighting.pid), target.delay) {
        (Some(ingress_ps), DelayScope::Hop) => *ingress_ps,
        (Some(_), DelayScope::Path) => None,
        (None, DelayScope::Hop) if !packet.sighting.injected_here => {
            measured_ingress.at_ps.get(&(device, packet.sighting.pid)).copied()
        }
        (None, _) => Some(packet.sighting.injected_ps),
    };
    let delays = take_delays(&mut matched, measured_from);
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
    Ok(MeasuredSummary {
        capture: target.capture.clone(),
        delay: target.delay,
        counts,
        clock,
        without_key,
        without_ingress,
        reordered,
        over_time,
        paths: tables.entries.paths(&delays, &fids, &vantage),
        delays: compare_delays(&delays, &fids),
        loss,
        vantage,
        tcp: None,
    })
}

/// Adds the transmissions found to be the same to the matched packets. Returns, by packet id, the measured
/// ingress time, if there is one.
///
/// A sender with congestion control sends at different times in the two. Only the delays of these packets can
/// be compared.
fn add_transmissions(matched: &mut Vec<Matched>, same: &[SameTransmission]) -> FxHashMap<u64, Option<i64>> {
    matched.extend(same.iter().filter_map(SameTransmission::matched));
    same.iter().map(|same| (same.sighting.pid, same.ingress_ps)).collect()
}

/// The delays of the packets for which `measured_from` gives a start; the other packets are removed. The
/// delays are in order of sending.
fn take_delays(matched: &mut Vec<Matched>, measured_from: impl Fn(&Matched) -> Option<i64>) -> Delays {
    // Packet ids have another order where sources are numbered separately.
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
    delays
}

/// Removes the offset and skew of the capture's clock, estimated from the delays between injection and
/// vantage. The minimum delay is assumed to equal the minimum simulated delay.
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

/// The comparison that a row belongs to. Several comparisons may be at one vantage.
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
    /// Creates them. `entries` gives the place where each flow enters.
    pub(super) fn create(tables: &dyn Tables, entries: Entries) -> Result<Self, TableError> {
        let matched = MatchedRows::create(tables)?;
        Ok(ComparisonTables { entries, matched, flows: Vec::new(), losses: Vec::new(), windows: Vec::new() })
    }

    /// Writes the remaining tables.
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

/// The columns of `agreement`: one row per vantage and flow.
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

/// The columns of `losses`: one row per packet lost on either side.
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

/// The columns of `windows`: one row per vantage and time window.
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
