//! A measured capture against what the simulation did at its vantage.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray, UInt16Array, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use rustc_hash::{FxHashMap, FxHashSet};

use super::summary::{ByOrigin, MeasuredSummary, RelativeError};
use super::{RunError, vantage_name};
use crate::capture::{MatchFields, Sorted};
use crate::compare::{
    ClockSummary, Clocks, Delays, Matched, Measurement, Passage, Sighting, agreement, jitter_ps,
    match_packets, ps_since,
};
use crate::scenario::{CaptureClock, DelayScope, Direction, Measured};
use crate::table::{Format, TableError, TableWriter, batch};
use crate::topology::{DeviceId, Topology};
use crate::units::{PS_PER_S, Timestamp};

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
    fn measurements(self) -> Result<(Vec<Measurement>, u64), RunError> {
        let mut measurements = Vec::new();
        let mut without_key = 0;
        while let Some(observation) = self.capture.next_observation()? {
            match observation.frame.match_key_over(&self.fields) {
                Some(key) => {
                    let at_ps = ps_since(self.start, &observation, self.capture)?;
                    measurements.push(Measurement { key, at_ps });
                }
                None => without_key += 1,
            }
        }
        Ok((measurements, without_key))
    }
}

/// Matches the packets of a capture with those seen in the simulation, writes them, and sums up.
pub(super) fn compare_vantage(
    topology: &Topology,
    target: &Measured,
    sightings: Vec<Sighting>,
    reading: Reading<'_>,
    measured_ingress: &mut MeasuredIngress,
    rows: &mut MatchedRows,
) -> Result<MeasuredSummary, RunError> {
    let (measurements, without_key) = reading.measurements()?;
    let (mut matched, counts, loss) = match_packets(sightings, measurements);
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
    let mut delays = Delays::default();
    matched.retain(|packet| {
        let Some(from) = measured_from(packet) else { return false };
        delays.simulated.push(packet.simulated_ps - packet.sighting.from_ps);
        delays.measured.push(packet.measured_ps - from);
        true
    });
    let vantage = vantage_name(topology, target.at);
    rows.write(&vantage, &matched, &delays)?;
    let agreed = agreement(&delays);
    let jitter = |delays: &[i64]| {
        let in_flows = matched.iter().map(|packet| packet.sighting.fid).zip(delays.iter().copied());
        jitter_ps(in_flows).map(|jitter| jitter / PS_PER_S as f64)
    };
    Ok(MeasuredSummary {
        vantage,
        capture: target.capture.clone(),
        delay: target.delay,
        counts,
        clock,
        without_key,
        without_ingress: counts.matched - matched.len() as u64,
        delay_s: agreed.map(|(simulated, measured, _)| ByOrigin { simulated, measured }),
        relative_error: agreed.map(|(simulated, measured, _)| RelativeError::new(&simulated, &measured)),
        agreement: agreed.map(|(_, _, agreement)| agreement),
        jitter_s: ByOrigin { simulated: jitter(&delays.simulated), measured: jitter(&delays.measured) },
        loss,
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

/// The table `matched`: one row per packet matched with a measured capture.
pub(super) struct MatchedRows {
    path: PathBuf,
    schema: Arc<Schema>,
    table: TableWriter,
}

impl MatchedRows {
    pub(super) fn create(path: &Path, format: Format) -> Result<Self, TableError> {
        let name = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
        let schema = Arc::new(Schema::new(vec![
            Field::new("vantage", name, false),
            Field::new("pid", DataType::UInt64, false),
            Field::new("fid", DataType::UInt32, false),
            Field::new("simulated_ps", DataType::Int64, false),
            Field::new("measured_ps", DataType::Int64, false),
            Field::new("simulated_delay_ps", DataType::Int64, false),
            Field::new("measured_delay_ps", DataType::Int64, false),
        ]));
        let table = TableWriter::create(path, &schema, format)?;
        Ok(MatchedRows { path: path.to_owned(), schema, table })
    }

    fn write(&mut self, vantage: &str, matched: &[Matched], delays: &Delays) -> Result<(), TableError> {
        const ROWS: usize = 1 << 15;
        let names: ArrayRef = Arc::new(StringArray::from(vec![vantage]));
        let simulated = delays.simulated.chunks(ROWS);
        let measured = delays.measured.chunks(ROWS);
        for ((packets, simulated), measured) in matched.chunks(ROWS).zip(simulated).zip(measured) {
            let keys = UInt16Array::from(vec![0; packets.len()]);
            let names = arrow_array::DictionaryArray::try_new(keys, Arc::clone(&names))
                .map_err(|source| TableError::Arrow { path: self.path.clone(), source })?;
            let columns: Vec<ArrayRef> = vec![
                Arc::new(names),
                Arc::new(UInt64Array::from_iter_values(packets.iter().map(|packet| packet.sighting.pid))),
                Arc::new(UInt32Array::from_iter_values(packets.iter().map(|packet| packet.sighting.fid))),
                Arc::new(Int64Array::from_iter_values(packets.iter().map(|packet| packet.simulated_ps))),
                Arc::new(Int64Array::from_iter_values(packets.iter().map(|packet| packet.measured_ps))),
                Arc::new(Int64Array::from(simulated.to_vec())),
                Arc::new(Int64Array::from(measured.to_vec())),
            ];
            self.table.write(&batch(&self.path, &self.schema, columns)?)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), TableError> {
        self.table.finish()
    }
}
