//! One simulation end to end: traffic, engine, tables, comparison with every measured capture, summary.

mod again;
mod comparison;
mod observer;
mod sources;

pub(crate) use sources::open as open_sources;
mod summary;

pub use again::{AgainError, Against, AgainstCapture, compare_run};
pub use summary::{Input, MeasuredSummary, Meta, Summary};

use std::collections::BTreeMap;
use std::fs::File;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::capture::{
    CaptureError, CaptureKeys, MatchFields, Options as CaptureOptions, Sorted, standard_input,
};
use crate::compare::{
    AcceptSummary, CompareError, RttWatch, Watch, WatchError, WatchedVantage, compare_rtts,
};
use crate::engine::{Engine, EngineError, Injection, Progress, Settings, Simulation};
use crate::pfm::Addresses;
use crate::record::{DirectoryError, FlowRecords, RunDirectory, TooManySamples, VantageError};
use crate::report::{ReportError, write_report};
use crate::scenario::{Direction, Scenario};
use crate::table::{Format, TableError};
use crate::topology::Topology;
use comparison::{ComparisonTables, Entries, MeasuredIngress, Reading, compare_vantage};
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
    /// The engine, instead of the scenario's.
    pub engine: Option<Engine>,
    /// Threads of the stream engine; 0 means one per core.
    pub threads: usize,
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
    /// A measured capture and the simulation cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// The measured captures cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// Queue lengths would be sampled too often.
    #[error(transparent)]
    Queues(#[from] TooManySamples),
    /// A capture of a vantage cannot be written.
    #[error(transparent)]
    Vantage(#[from] VantageError),
    /// The report cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Generated traffic has no address to go to, or to come from.
    #[error("no address leads to host {host}: other hosts have longer prefixes of all that were tried")]
    NoAddress {
        /// the host
        host: String,
    },
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
            RunError::Engine(error) => !matches!(
                error,
                EngineError::NotConserved { .. } | EngineError::Interrupted | EngineError::Threads(_)
            ),
            RunError::Capture(_)
            | RunError::Compare(_)
            | RunError::Watch(_)
            | RunError::Queues(_)
            | RunError::NoAddress { .. } => true,
            RunError::Directory(error) => !matches!(error, DirectoryError::Io { .. }),
            RunError::Table(_) | RunError::Vantage(_) | RunError::Report(_) | RunError::Input { .. } => false,
        }
    }
}

/// Runs a scenario and writes its directory, complete or not at all. `progress` may break the run off.
///
/// # Errors
/// An input is bad, or the directory cannot be written; nothing is then left behind.
pub fn run(
    scenario: &Scenario,
    options: &RunOptions,
    mut progress: impl FnMut(Stage<'_>) -> ControlFlow<()>,
) -> Result<Summary, RunError> {
    let clock = Instant::now();
    let topology = &scenario.topology;
    // Whatever cannot be opened is told before the simulation and before anything is written.
    let (start, mut injections) = sources::open(scenario, &options.capture)?;
    let watch = Watch::new(topology, &scenario.measured)?;
    let open = |capture: &Path, keys: &CaptureKeys| Sorted::open(capture, &options.capture.with(keys));
    let captures = scenario.measured.iter().map(|measured| open(&measured.capture, &measured.keys));
    let mut captures = captures.collect::<Result<Vec<_>, _>>()?;
    let rtt_captures = scenario.rtts.iter().map(|measured| open(&measured.capture, &measured.keys));
    let mut rtt_captures = rtt_captures.collect::<Result<Vec<_>, _>>()?;
    let fields = match_fields(&mut injections, captures.iter_mut().chain(&mut rtt_captures).collect());
    captures.iter_mut().chain(&mut rtt_captures).try_for_each(Sorted::check_start)?;
    let twice: Vec<String> = rtt_captures.iter().filter_map(Sorted::passing_twice).collect();
    drop(rtt_captures);
    let rtts = RttWatch::new(topology, &scenario.rtts);
    let entries = injections.iter().map(|injection| injection.at).collect();
    let mut simulation = Simulation::new(
        topology,
        injections,
        Settings {
            until: scenario.until,
            seed: scenario.seed,
            engine: options.engine.unwrap_or(scenario.engine),
            threads: options.threads,
            start,
        },
    );
    let (engine, engine_reason) = simulation.engine();
    let directory = RunDirectory::begin(&options.out, options.replace)?;
    let file = |name: &str| directory.file(&format!("{name}.{}", options.format.extension()));
    let mut observer =
        RunObserver::create(topology, &scenario.record, (watch, rtts, entries), start, options.format, file)?;
    let outcome = simulation.run(&mut observer, |state| progress(Stage::Simulating(*state)))?;
    let mut warnings: Vec<String> = simulation.warnings().collect();
    drop(simulation);
    let observer::Records { flows, ports, queues, vantages, watch, rtts } = observer.finish()?;
    warnings.extend(nobody_has(topology, &flows));
    warnings.extend(twice);
    flows.write(&file("flows"), options.format)?;
    ports.write(&file("ports"), options.format, topology, outcome.end)?;
    if let Some(mut queues) = queues {
        queues.end(outcome.end)?;
        queues.write(&file("queues"), options.format, topology, outcome.end)?;
    }
    vantages.write(topology, start, |name| directory.file(name))?;

    let source_names: Vec<String> =
        scenario.traffic.iter().flat_map(|traffic| traffic.source_names(topology)).collect();
    let entries = Entries { sources: flows.sources(), names: scenario.entries() };
    let mut tables = ComparisonTables::create(file, options.format, entries)?;
    let mut measured_ingress = MeasuredIngress::new(topology, &scenario.measured);
    let mut measured = Vec::new();
    // Those at an ingress first: they say when packets reached the device of a vantage at its egress.
    let mut order: Vec<(usize, (WatchedVantage, Sorted))> =
        watch.into_vantages().into_iter().zip(captures).enumerate().collect();
    order.sort_by_key(|(index, _)| scenario.measured[*index].at.direction == Direction::Egress);
    for (index, (vantage, mut capture)) in order {
        let target = &scenario.measured[index];
        if progress(Stage::Comparing(&target.capture)).is_break() {
            return Err(EngineError::Interrupted.into());
        }
        let expected = vantage.expected;
        let summary = compare_vantage(
            topology,
            (index, target),
            vantage.sightings,
            Reading { capture: &mut capture, fields, start },
            &mut measured_ingress,
            &mut tables,
        )?;
        warnings.extend(capture.remarks());
        warnings.extend(summary.doubts(expected));
        measured.push((index, summary));
    }
    measured.sort_by_key(|(index, _)| *index);
    let measured: Vec<MeasuredSummary> = measured.into_iter().map(|(_, summary)| summary).collect();
    tables.finish(file, options.format)?;

    let mut rtt_comparisons = Vec::new();
    for (measured, port) in scenario.rtts.iter().zip(rtts.into_ports()) {
        if progress(Stage::Comparing(&measured.capture)).is_break() {
            return Err(EngineError::Interrupted.into());
        }
        let name = topology.port_name(measured.at);
        let (comparison, doubts) = compare_rtts(name, measured, &port, &fields, &options.capture)?;
        warnings.extend(doubts);
        rtt_comparisons.push(comparison);
    }
    let mut accept = AcceptSummary::default();
    for (target, measured) in scenario.measured.iter().zip(&measured) {
        accept.check(&measured.vantage, &target.accept, measured.delays.as_ref(), &measured.loss);
    }
    for (target, found) in scenario.rtts.iter().zip(&rtt_comparisons) {
        accept.check_rtts(&target.accept, found);
    }
    let inputs = scenario.inputs.iter().map(|path| hash_input(path)).collect::<Result<Vec<_>, _>>()?;
    let fingerprint = outcome.fingerprint.to_string();
    let marks = ports.marks(topology);
    let summary = Summary {
        scenario: scenario.name.clone(),
        engine: engine.name(),
        engine_reason,
        seed: scenario.seed,
        fingerprint: fingerprint.clone(),
        packets: outcome.packets,
        flows: flows.len() as u64,
        hops: outcome.hops,
        simulated_s: outcome.end.as_seconds_f64(),
        wall_s: clock.elapsed().as_secs_f64(),
        drops: ports.drops(topology),
        marked: marks.iter().map(|marks| marks.packets).sum(),
        marks,
        accept,
        measured,
        rtts: rtt_comparisons,
        warnings,
    };
    directory.write_json("summary.json", &summary)?;
    directory.write_json(
        "meta.json",
        &Meta {
            version: env!("CARGO_PKG_VERSION"),
            scenario: scenario.name.clone(),
            seed: scenario.seed,
            engine: engine.name(),
            overrides: options.overrides.clone(),
            start: start.to_string(),
            start_ns: start.as_ns(),
            sources: source_names,
            inputs,
            format: options.format,
            fingerprint,
        },
    )?;
    directory.write_text("topology.svg", &topology.picture(&ports.loads(outcome.end)))?;
    write_report(directory.path())?;
    directory.commit()?;
    Ok(summary)
}

/// What match keys cover: what every replayed and every measured capture holds.
fn match_fields(injections: &mut [Injection], captures: Vec<&mut Sorted>) -> MatchFields {
    if captures.is_empty() {
        return MatchFields::ALL;
    }
    let replayed = injections.iter_mut().filter_map(|injection| injection.source.match_fields());
    let measured = captures.into_iter().map(Sorted::match_fields);
    let fields = replayed.chain(measured).fold(MatchFields::ALL, MatchFields::and);
    for injection in injections {
        injection.source.match_over(fields);
    }
    fields
}

/// A word on the packets whose destination no host has, if there are any.
fn nobody_has(topology: &Topology, flows: &FlowRecords) -> Option<String> {
    let addresses = Addresses::new(topology);
    let homeless = flows.injected_per_flow().filter_map(|(key, packets)| {
        let address = key.destination_address()?;
        addresses.host_of(address).is_none().then_some((address, packets))
    });
    let homeless: BTreeMap<IpAddr, u64> = homeless.fold(BTreeMap::new(), |mut all, (address, packets)| {
        *all.entry(address).or_default() += packets;
        all
    });
    let (example, _) = homeless.iter().max_by_key(|(_, packets)| **packets)?;
    Some(format!(
        "{} packets go to {} addresses that no host has, such as {example}: give a host these `addresses`",
        homeless.values().sum::<u64>(),
        homeless.len(),
    ))
}

/// An input file, and the SHA-256 of what is in it.
pub(crate) fn hash_input(path: &Path) -> Result<Input, RunError> {
    let failed = |source| RunError::Input { path: path.to_owned(), source };
    if standard_input::is_meant(path) || !path.is_file() {
        return Ok(Input { path: path.to_owned(), bytes: None, sha256: None });
    }
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let bytes = std::io::copy(&mut file, &mut hasher).map_err(failed)?;
    let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Input { path: path.to_owned(), bytes: Some(bytes), sha256: Some(sha256) })
}
