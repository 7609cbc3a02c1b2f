//! A run against a capture that it was not compared with: simulated again, which gives the same packets at the same times.
//!
//! The tables of a run do not say what recognizes a packet in a capture, nor when each one passed each port. Its inputs do, and
//! their hashes and the fingerprint say that nothing has changed since.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{MeasuredSummary, RunError, Stage, hash_input};
use crate::capture::{CaptureKeys, Options as CaptureOptions, standard_input};
use crate::compare::AcceptSummary;
use crate::config::{ConfigError, Registry};
use crate::engine::Unwatched;
use crate::scenario::{
    Accept, CaptureClock, DelayScope, Direction, Measured, Record, Scenario, Traffic, VantageText,
};
use crate::table::NoTables;
use crate::topology::Vantage;
use crate::units::{Span, Timestamp};

/// Why a run cannot be compared with a capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgainError {
    /// It is not a run directory.
    #[error("{} is no run directory: {reason}", path.display())]
    NotARun {
        /// the directory
        path: PathBuf,
        /// what is wrong with it
        reason: String,
    },
    /// An input is not what it was, or not where it was.
    #[error(
        "{} has changed since the run, or is not where it was: run the scenario again, from the folder where it was run",
        .0.display()
    )]
    Changed(PathBuf),
    /// A capture was standard input.
    #[error(
        "the run read standard input, which cannot be read again: save the capture to a file, and run the scenario with it"
    )]
    StandardInput,
    /// The scenario cannot be read any more.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The vantage is not one to compare at.
    #[error("{0}")]
    Vantage(String),
    /// The simulation cannot be repeated.
    #[error(transparent)]
    Run(Box<RunError>),
    /// The simulation gave something else.
    #[error(
        "the run was {expected}, and is {found} now: another version of taunet wrote it; run the scenario again"
    )]
    AnotherRun {
        /// the fingerprint of the run
        expected: String,
        /// the fingerprint of its repetition
        found: String,
    },
}

/// What to compare a run with.
#[derive(Debug, Clone)]
pub struct Against<'a> {
    /// The capture.
    pub capture: &'a Path,
    /// Which of its packets count.
    pub keys: CaptureKeys,
    /// Where it was taken.
    pub at: &'a VantageText,
    /// What delays count from; with [`DelayScope::Hop`] the captures that the scenario has at ingress ports of the same
    /// device say when packets reached it.
    pub delay: DelayScope,
    /// The bounds to keep.
    pub accept: Accept,
    /// The clock of the capture.
    pub clock: CaptureClock,
    /// How far apart in time the same TCP packet may be.
    pub tolerance: Span,
    /// How captures are read.
    pub options: CaptureOptions,
    /// The kinds that the scenario of the run may name beside taunet's own.
    pub registry: &'a Registry,
}

/// A run against a capture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgainstCapture {
    /// The fingerprint of the run.
    pub fingerprint: String,
    /// The comparison.
    pub measured: MeasuredSummary,
    /// The bounds.
    pub accept: AcceptSummary,
    /// What was let pass.
    pub warnings: Vec<String>,
}

/// `meta.json`, as far as it says how to repeat a run.
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
/// It is not a run, its inputs are not what they were, or the capture cannot be compared.
pub fn compare_run(
    directory: &Path,
    against: &Against<'_>,
    progress: impl FnMut(Stage<'_>) -> ControlFlow<()>,
) -> Result<AgainstCapture, AgainError> {
    let not_a_run = |reason: String| AgainError::NotARun { path: directory.to_owned(), reason };
    let text = std::fs::read_to_string(directory.join("meta.json"))
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
    let mut scenario = Scenario::load_with(path, &meta.overrides, Some(meta.seed), against.registry)?;
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
    // The clocks of TCP endpoints count from there.
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

/// The vantage, if packets can be compared there, and whether a replay enters there.
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
        let message = "this would compare the replay with itself: it is where the replay enters";
        return Err(AgainError::Vantage(message.to_owned()));
    }
    if (against.delay, at.direction) == (DelayScope::Hop, Direction::Ingress) {
        let message =
            "a packet at its ingress has spent no time in the device: `--delay hop` is for egress vantages";
        return Err(AgainError::Vantage(message.to_owned()));
    }
    Ok((at, is_entry))
}
