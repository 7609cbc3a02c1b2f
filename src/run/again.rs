//! Compares a finished run with a further capture by simulating it again.
//!
//! The tables of a run hold neither the match keys of its packets nor the time of each packet at each port.
//! The simulation is therefore repeated from the same inputs, which gives the same packets at the same times.
//! The hashes of the inputs and the fingerprint confirm that nothing has changed since.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{MeasuredSummary, RunError, Stage, hash_input};
use crate::capture::{CaptureKeys, Options as CaptureOptions, standard_input};
use crate::compare::AcceptSummary;
use crate::config::{ConfigError, Registry};
use crate::engine::Unwatched;
use crate::limits;
use crate::scenario::{
    Accept, CaptureClock, DelayScope, Direction, Measured, Record, Scenario, Traffic, VantageText,
};
use crate::table::NoTables;
use crate::topology::Vantage;
use crate::units::{Span, Timestamp};

/// The reason why a run cannot be compared with a capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgainError {
    /// The directory is not a run directory.
    #[error("{} is not a run directory: {reason}", path.display())]
    NotARun {
        /// the directory
        path: PathBuf,
        /// what is missing or wrong in it
        reason: String,
    },
    /// An input has changed or moved since the run.
    #[error(
        "{} has changed or moved since the run: run the scenario again, from the folder where it was run",
        .0.display()
    )]
    Changed(PathBuf),
    /// The run read a capture from standard input.
    #[error(
        "the run read standard input, which cannot be read again: save the capture to a file, and run the scenario with it"
    )]
    StandardInput,
    /// The scenario can no longer be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Packets cannot be compared at this vantage.
    #[error("{0}")]
    Vantage(String),
    /// The simulation cannot be repeated.
    #[error(transparent)]
    Run(Box<RunError>),
    /// The repeated simulation has another fingerprint.
    #[error(
        "the run had the fingerprint {expected}, its repetition has {found}: another version of taunet wrote it; run the scenario again"
    )]
    AnotherRun {
        /// the fingerprint of the run
        expected: String,
        /// the fingerprint of the repetition
        found: String,
    },
}

/// The capture to compare a run with, and how.
#[derive(Debug, Clone)]
pub struct Against<'a> {
    /// The capture.
    pub capture: &'a Path,
    /// The filter for its packets.
    pub keys: CaptureKeys,
    /// The vantage where it was recorded.
    pub at: &'a VantageText,
    /// Where delays start. With [`DelayScope::Hop`], the scenario's measured captures at ingress ports of the
    /// same device give the ingress times.
    pub delay: DelayScope,
    /// The acceptance bounds.
    pub accept: Accept,
    /// The clock of the capture.
    pub clock: CaptureClock,
    /// The maximum difference between the two times of one TCP packet, simulated and measured.
    pub tolerance: Span,
    /// How captures are read.
    pub options: CaptureOptions,
    /// The kinds of other crates that the run's scenario may name.
    pub registry: &'a Registry,
}

/// The result of comparing a run with a capture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgainstCapture {
    /// The fingerprint of the run.
    pub fingerprint: String,
    /// The comparison.
    pub measured: MeasuredSummary,
    /// The acceptance bounds and their results.
    pub accept: AcceptSummary,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// The fields of `meta.json` that are needed to repeat a run.
#[derive(Deserialize)]
struct Meta {
    seed: u64,
    overrides: Vec<String>,
    start_ns: Option<i64>,
    inputs: Vec<MetaInput>,
    fingerprint: String,
}

#[derive(Deserialize)]
struct MetaInput {
    path: PathBuf,
    sha256: Option<String>,
}

/// Compares the run in a directory with a capture.
///
/// # Errors
/// The directory is not a run, its inputs have changed, or the capture cannot be compared.
pub fn compare_run(
    directory: &Path,
    against: &Against<'_>,
    progress: impl FnMut(Stage<'_>) -> ControlFlow<()>,
) -> Result<AgainstCapture, AgainError> {
    let not_a_run = |reason: String| AgainError::NotARun { path: directory.to_owned(), reason };
    let text = limits::read_text(&directory.join("meta.json"))
        .map_err(|error| not_a_run(format!("meta.json cannot be read: {error}")))?;
    let meta: Meta = serde_json::from_str(&text).map_err(|error| not_a_run(format!("meta.json: {error}")))?;
    if meta.inputs.iter().any(|input| standard_input::is_meant(&input.path)) {
        return Err(AgainError::StandardInput);
    }
    for input in &meta.inputs {
        let now = hash_input(&input.path).map_err(|_| AgainError::Changed(input.path.clone()))?;
        if now.sha256 != input.sha256 {
            return Err(AgainError::Changed(input.path.clone()));
        }
    }
    let path = meta
        .inputs
        .first()
        .map(|input| &input.path)
        .ok_or_else(|| not_a_run("it has no inputs".to_owned()))?;
    let mut scenario = Scenario::load_from_shell(path, &meta.overrides, Some(meta.seed), against.registry)?;
    let (at, is_entry) = vantage(&scenario, against)?;
    let device = scenario.topology.port(at.port).device;
    let helps = |measured: &Measured| {
        against.delay == DelayScope::Hop
            && measured.at.direction == Direction::Ingress
            && scenario.topology.port(measured.at.port).device == device
    };
    let mut measured: Vec<Measured> =
        scenario.measured.iter().filter(|measured| helps(measured)).cloned().collect();
    measured.iter_mut().for_each(|measured| measured.accept = Accept::default());
    let (capture, keys) = (against.capture.to_owned(), against.keys.clone());
    let Against { delay, clock, tolerance, accept, .. } = *against;
    measured.push(Measured { capture, keys, at, is_entry, delay, clock, tolerance, accept });
    scenario.measured = measured;
    // The clocks of TCP endpoints start at this time.
    scenario.start = meta.start_ns.map(|ns| Timestamp::from_ns(ns.into()));
    scenario.rtts.clear();
    scenario.record = Record { packets: false, ..Record::default() };

    let open = scenario.open(&against.options).map_err(|error| AgainError::Run(Box::new(error)))?;
    let results = open.run(&NoTables, Unwatched, progress);
    let mut summary = results.map_err(|error| AgainError::Run(Box::new(error)))?.summary;
    if summary.fingerprint != meta.fingerprint {
        return Err(AgainError::AnotherRun { expected: meta.fingerprint, found: summary.fingerprint });
    }
    let measured = summary.measured.pop().ok_or_else(|| not_a_run("nothing was compared".to_owned()))?;
    let AcceptSummary { bounds, passed, missed } = summary.accept;
    Ok(AgainstCapture {
        fingerprint: summary.fingerprint,
        measured,
        accept: AcceptSummary { bounds, passed, missed },
        warnings: summary.warnings,
    })
}

/// The vantage, and whether a replay enters there. Fails where packets cannot be compared.
fn vantage(scenario: &Scenario, against: &Against<'_>) -> Result<(Vantage, bool), AgainError> {
    let VantageText { port, direction } = against.at;
    let port = scenario
        .topology
        .port_named(port)
        .map_err(|error| AgainError::Vantage(format!("{error}; {}", error.help())))?;
    let at = Vantage { port, direction: *direction };
    let enters = |traffic: &Traffic| matches!(traffic, Traffic::Replay { at: entry, .. } if *entry == at);
    let is_entry = scenario.traffic.iter().any(enters);
    if is_entry && !scenario.traffic.iter().any(|traffic| matches!(traffic, Traffic::Connections(_))) {
        let message = "the replay enters at this vantage: it would be compared with itself";
        return Err(AgainError::Vantage(message.to_owned()));
    }
    if (against.delay, at.direction) == (DelayScope::Hop, Direction::Ingress) {
        let message = "a packet has no delay at the ingress of its own device: use `--delay hop` at egress vantages only";
        return Err(AgainError::Vantage(message.to_owned()));
    }
    Ok((at, is_entry))
}
