//! One simulation end to end: traffic, engine, tables, comparison with every measured capture, summary.

mod accept;
mod observer;
mod summary;

pub use summary::{
    AcceptSummary, ByOrigin, Input, MeasuredSummary, Meta, MissedBound, RelativeError, Summary,
};

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Int64Array, StringArray, UInt16Array, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};

use crate::capture::{CaptureError, Options as CaptureOptions, Sorted};
use crate::compare::{
    Delays, Matched, Measurement, Sighting, Watch, WatchError, WatchedVantage, agreement, jitter_ps,
    match_packets, ps_since,
};
use crate::engine::{EngineError, Injection, InjectionPoint, Progress, Simulation};
use crate::packet::FlowKey;
use crate::record::{DirectoryError, PacketRows, PortRecords, RunDirectory};
use crate::scenario::{DelayScope, Direction, Measured, Scenario, Traffic};
use crate::table::{Format, TableError, TableWriter, batch};
use crate::topology::{DeviceId, Topology, Vantage};
use crate::traffic::{Cbr, Replay, UDP};
use crate::units::{PS_PER_S, Time, Timestamp};
use observer::RunObserver;

/// How a scenario is run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run directory.
    pub out: PathBuf,
    /// Whether an earlier run there is replaced.
    pub replace: bool,
    /// The format of the tables.
    pub format: Format,
    /// How captures are read.
    pub capture: CaptureOptions,
    /// What the command line changed in the scenario, for the record.
    pub overrides: Vec<String>,
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage<'a> {
    /// Packets move.
    Simulating(Progress),
    /// A measured capture is compared.
    Comparing(&'a Path),
}

/// Why a run gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The simulation stopped.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A table cannot be written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The run directory cannot be written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The measured captures cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// An input cannot be read again for its hash.
    #[error("cannot read {}: {source}", path.display())]
    Input {
        /// the file
        path: PathBuf,
        /// what the file system said
        source: std::io::Error,
    },
}

impl RunError {
    /// Whether an input is at fault, and not the machine or taunet.
    pub fn is_bad_input(&self) -> bool {
        match self {
            RunError::Engine(error) => !matches!(error, EngineError::NotConserved { .. }),
            RunError::Capture(_) | RunError::Watch(_) => true,
            RunError::Directory(error) => !matches!(error, DirectoryError::Io { .. }),
            RunError::Table(_) | RunError::Input { .. } => false,
        }
    }
}

/// The name of the engine.
const ENGINE: &str = "event";

/// Runs a scenario and writes its directory, complete or not at all.
///
/// # Errors
/// An input is bad, or the directory cannot be written; nothing is then left behind.
pub fn run(
    scenario: &Scenario,
    options: &RunOptions,
    mut progress: impl FnMut(Stage<'_>),
) -> Result<Summary, RunError> {
    let clock = Instant::now();
    let topology = &scenario.topology;
    let directory = RunDirectory::begin(&options.out, options.replace)?;
    let file = |name: &str| directory.file(&format!("{name}.{}", options.format.extension()));
    let (start, injections) = open_traffic(scenario, &options.capture)?;
    let watch = Watch::new(topology, &scenario.measured)?;
    let mut observer = RunObserver {
        topology,
        packets: PacketRows::create(&file("packets"), options.format, start)?,
        flows: Default::default(),
        ports: PortRecords::new(topology),
        watch,
        inside: FxHashMap::default(),
        failure: None,
    };
    let mut simulation = Simulation::new(topology, injections, scenario.until)?;
    let outcome = simulation.run(&mut observer, |state| progress(Stage::Simulating(*state)))?;
    let mut warnings: Vec<String> = simulation.warnings().collect();
    drop(simulation);
    let observer::Records { flows, ports, watch } = observer.finish()?;
    flows.write(&file("flows"), options.format)?;
    ports.write(&file("ports"), options.format, topology, outcome.end)?;

    let mut matched_rows = MatchedRows::create(&file("matched"), options.format)?;
    let mut measured_ingress = MeasuredIngress::default();
    let mut measured = Vec::new();
    // Those at an ingress first: they say when packets reached the device of a vantage at its egress.
    let mut order: Vec<(usize, WatchedVantage)> = watch.into_vantages().into_iter().enumerate().collect();
    order.sort_by_key(|(index, _)| scenario.measured[*index].at.direction == Direction::Egress);
    for (index, vantage) in order {
        let target = &scenario.measured[index];
        progress(Stage::Comparing(&target.capture));
        let mut capture = Sorted::open(&target.capture, &options.capture)?;
        let summary = compare_vantage(
            topology,
            target,
            vantage.sightings,
            &mut capture,
            start,
            &mut measured_ingress,
            &mut matched_rows,
        )?;
        warnings.extend(capture.warnings().map(ToString::to_string));
        measured.push((index, summary));
    }
    measured.sort_by_key(|(index, _)| *index);
    let measured: Vec<MeasuredSummary> = measured.into_iter().map(|(_, summary)| summary).collect();
    matched_rows.finish()?;

    let inputs = scenario.inputs.iter().map(|path| hash(path)).collect::<Result<Vec<_>, _>>()?;
    let fingerprint = outcome.fingerprint.to_string();
    let summary = Summary {
        scenario: scenario.name.clone(),
        engine: ENGINE,
        seed: scenario.seed,
        fingerprint: fingerprint.clone(),
        packets: outcome.packets,
        flows: flows.len() as u64,
        hops: outcome.hops,
        simulated_s: outcome.end.as_seconds_f64(),
        wall_s: clock.elapsed().as_secs_f64(),
        drops: ports.drops(topology),
        accept: accept::check(scenario, &measured),
        measured,
        warnings,
    };
    directory.write_json("summary.json", &summary)?;
    directory.write_json(
        "meta.json",
        &Meta {
            version: env!("CARGO_PKG_VERSION"),
            scenario: scenario.name.clone(),
            seed: scenario.seed,
            engine: ENGINE,
            overrides: options.overrides.clone(),
            start: start.to_string(),
            start_ns: start.as_ns(),
            sources: scenario.traffic.iter().map(|traffic| source_name(topology, traffic)).collect(),
            inputs,
            format: options.format,
            fingerprint,
        },
    )?;
    directory.commit()?;
    Ok(summary)
}

/// The name of a vantage: `r1:1 egress`.
pub fn vantage_name(topology: &Topology, vantage: Vantage) -> String {
    let direction = match vantage.direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    };
    format!("{} {direction}", topology.port_name(vantage.port))
}

fn source_name(topology: &Topology, traffic: &Traffic) -> String {
    match traffic {
        Traffic::Replay { capture, at } => {
            format!("replay of {} at {}", capture.display(), vantage_name(topology, *at))
        }
        Traffic::Cbr { from, to, .. } => {
            format!("cbr from {} to {}", topology.device(*from).name, topology.device(*to).name)
        }
    }
}

/// Opens every source. The run starts at the first packet of all replayed captures, or in 1970 without any.
fn open_traffic(
    scenario: &Scenario,
    options: &CaptureOptions,
) -> Result<(Timestamp, Vec<Injection>), CaptureError> {
    let mut replays = Vec::new();
    for traffic in &scenario.traffic {
        replays.push(match traffic {
            Traffic::Replay { capture, .. } => Some(Replay::open(capture, options)?),
            Traffic::Cbr { .. } => None,
        });
    }
    let start = replays.iter().flatten().filter_map(Replay::first_timestamp).min().unwrap_or_default();
    let injections = scenario
        .traffic
        .iter()
        .zip(replays)
        .enumerate()
        .filter_map(|(index, (traffic, replay))| match (traffic, replay) {
            (Traffic::Replay { at, .. }, Some(mut replay)) => {
                replay.start_at(start);
                let at = match at.direction {
                    Direction::Ingress => InjectionPoint::Ingress(at.port),
                    Direction::Egress => InjectionPoint::Egress(at.port),
                };
                Some(Injection { source: Box::new(replay), at })
            }
            (&Traffic::Cbr { from, to, size, interval, packets, start }, _) => {
                let flow = generated_flow(&scenario.topology, index, from, to);
                let source = Cbr::new(flow, size, interval, packets, Time::ZERO + start);
                Some(Injection { source: Box::new(source), at: InjectionPoint::Host(from) })
            }
            (Traffic::Replay { .. }, None) => None,
        })
        .collect();
    Ok((start, injections))
}

/// The flow of a generated source: UDP between the hosts' first addresses, with a source port of its own.
fn generated_flow(topology: &Topology, index: usize, from: DeviceId, to: DeviceId) -> FlowKey {
    const FIRST_DYNAMIC_PORT: u16 = 49_152;
    const DISCARD_PORT: u16 = 9;
    let address = |host: DeviceId| {
        topology.device(host).addresses.first().expect("every host of a topology has an address").addr()
    };
    FlowKey::Ip {
        source: address(from),
        destination: address(to),
        protocol: UDP,
        ports: Some((FIRST_DYNAMIC_PORT.wrapping_add(index as u16), DISCARD_PORT)),
    }
}

/// When packets reached a device, where a capture measured that: by device and pid.
type MeasuredIngress = FxHashMap<(DeviceId, u64), i64>;

fn compare_vantage(
    topology: &Topology,
    target: &Measured,
    sightings: Vec<Sighting>,
    capture: &mut Sorted,
    start: Timestamp,
    measured_ingress: &mut MeasuredIngress,
    rows: &mut MatchedRows,
) -> Result<MeasuredSummary, RunError> {
    let mut measurements = Vec::new();
    let mut without_key = 0;
    while let Some(observation) = capture.next_observation()? {
        match observation.frame.match_key() {
            Some(key) => {
                measurements.push(Measurement { key, at_ps: ps_since(observation.timestamp, start) })
            }
            None => without_key += 1,
        }
    }
    let (mut matched, mut counts, loss) = match_packets(sightings, measurements);
    counts.only_measured += without_key;
    let device = topology.port(target.at.port).device;
    if target.at.direction == Direction::Ingress {
        measured_ingress
            .extend(matched.iter().map(|packet| ((device, packet.sighting.pid), packet.measured_ps)));
    }
    let measured_from = |packet: &Matched| match target.delay {
        DelayScope::Hop if !packet.sighting.injected_here => {
            measured_ingress.get(&(device, packet.sighting.pid)).copied()
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
        without_ingress: counts.matched - matched.len() as u64,
        delay_s: agreed.map(|(simulated, measured, _)| ByOrigin { simulated, measured }),
        relative_error: agreed.map(|(simulated, measured, _)| RelativeError::new(&simulated, &measured)),
        agreement: agreed.map(|(_, _, agreement)| agreement),
        jitter_s: ByOrigin { simulated: jitter(&delays.simulated), measured: jitter(&delays.measured) },
        loss,
    })
}

/// The table `matched`: one row per packet matched with a measured capture.
struct MatchedRows {
    path: PathBuf,
    schema: Arc<Schema>,
    table: TableWriter,
}

impl MatchedRows {
    fn create(path: &Path, format: Format) -> Result<Self, TableError> {
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

    fn finish(self) -> Result<(), TableError> {
        self.table.finish()
    }
}

fn hash(path: &Path) -> Result<Input, RunError> {
    let failed = |source| RunError::Input { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let bytes = std::io::copy(&mut file, &mut hasher).map_err(failed)?;
    let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Input { path: path.to_owned(), bytes, sha256 })
}
