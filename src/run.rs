//! Runs a scenario from end to end: traffic, engine, tables, comparison with the measured captures, summary.

mod again;
mod comparison;
mod connections;
mod doubts;
mod observer;
mod open;
mod overview;
mod sources;
mod summary;
mod transmissions;

pub use again::{AgainError, Against, AgainstCapture, compare_run};
pub use connections::{CompletionTimes, ConnectionSummary, ResponseTimes, SizeBin, Slowdowns};
pub use open::{OpenScenario, Results};
pub use overview::{BusyPort, DelayOverview, Overview};
pub(crate) use sources::Sources;
pub use summary::{Input, MeasuredSummary, Meta, Summary};

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::capture::{CaptureError, Options as CaptureOptions, standard_input};
use crate::compare::{CompareError, WatchError};
use crate::engine::{Engine, EngineError, ObserverError, Progress, Unwatched};
use crate::record::{DirectoryError, RunDirectory, TooManySamples, VantageError};
use crate::report::{ReportError, write_report};
use crate::scenario::Scenario;
use crate::table::{Both, Format, NoTables, TableError, TableFiles, Tables};
use crate::traffic::SourceError;

/// Options of a run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run directory.
    pub out: PathBuf,
    /// Whether an earlier run in that directory is replaced.
    pub replace: bool,
    /// The format of the tables.
    pub format: Format,
    /// How captures are read.
    pub capture: CaptureOptions,
    /// The changes that the command line made to the scenario, recorded in `meta.json`.
    pub overrides: Vec<String>,
    /// The engine; `None` takes the scenario's.
    pub engine: Option<Engine>,
    /// The number of threads of the stream engine; 0 means one per core.
    pub threads: usize,
}

/// The current stage of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage<'a> {
    /// Packets are simulated.
    Simulating(Progress),
    /// A measured capture is compared.
    Comparing(&'a Path),
}

/// The reason why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The simulation failed or was interrupted.
    #[error(transparent)]
    Engine(EngineError),
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
    /// The measured captures cannot be compared at their vantages.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// Queue lengths are sampled too often.
    #[error(transparent)]
    Queues(#[from] TooManySamples),
    /// The capture of a vantage cannot be written.
    #[error(transparent)]
    Vantage(#[from] VantageError),
    /// The report cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// No address was found that is routed to a host with generated traffic.
    #[error(
        "host {host} has no usable address: every address tried belongs to a longer prefix of another host"
    )]
    NoAddress {
        /// the host
        host: String,
    },
    /// A source defined by another crate cannot be opened.
    #[error("the source `{kind}` cannot be opened: {source}")]
    Source {
        /// the kind of the source
        kind: String,
        /// the error that it returned
        source: SourceError,
    },
    /// No replayed capture has a packet, so that nothing can be compared with measured ones.
    #[error("{} holds no packets to replay, and the measured captures have nothing to be compared with", .0.display())]
    NothingReplayed(PathBuf),
    /// An observer defined by another crate cannot be created.
    #[error("an observer cannot be created: {0}")]
    Observer(ObserverError),
    /// An input cannot be read to compute its hash.
    #[error("cannot read {}: {source}", path.display())]
    Input {
        /// the file
        path: PathBuf,
        /// the error of the file system
        source: std::io::Error,
    },
}

impl From<EngineError> for RunError {
    /// An error of the run's own observer becomes the variant for that error.
    fn from(error: EngineError) -> Self {
        let error = match error {
            EngineError::Observer(error) => error,
            error => return RunError::Engine(error),
        };
        match error.downcast::<TableError>().map_err(|error| error.downcast::<TooManySamples>()) {
            Ok(table) => RunError::Table(*table),
            Err(Ok(samples)) => RunError::Queues(*samples),
            Err(Err(other)) => RunError::Engine(EngineError::Observer(other)),
        }
    }
}

impl RunError {
    /// Whether the error lies in an input, and not in the machine or in taunet.
    pub fn is_bad_input(&self) -> bool {
        match self {
            RunError::Engine(error) => !matches!(
                error,
                EngineError::NotConserved { .. }
                    | EngineError::Interrupted
                    | EngineError::Observer(_)
                    | EngineError::Failed
                    | EngineError::Threads(_)
            ),
            RunError::Capture(_)
            | RunError::Compare(_)
            | RunError::Watch(_)
            | RunError::Queues(_)
            | RunError::NothingReplayed(_)
            | RunError::Source { .. }
            | RunError::Observer(_)
            | RunError::NoAddress { .. } => true,
            RunError::Directory(error) => !matches!(error, DirectoryError::Io { .. }),
            RunError::Table(_) | RunError::Vantage(_) | RunError::Report(_) | RunError::Input { .. } => false,
        }
    }
}

/// Runs a scenario and writes its run directory. `progress` can interrupt the run.
///
/// The directory is written completely or not at all.
///
/// # Errors
/// An input is invalid, or the directory cannot be written.
pub fn run(
    scenario: &Scenario,
    options: &RunOptions,
    progress: impl FnMut(Stage<'_>) -> ControlFlow<()>,
) -> Result<Summary, RunError> {
    run_into(scenario, options, &NoTables, progress)
}

/// Like [`run`], and writes every table to `beside` too.
///
/// # Errors
/// As [`run`] has them, or `beside` cannot be written.
pub fn run_into(
    scenario: &Scenario,
    options: &RunOptions,
    beside: &dyn Tables,
    progress: impl FnMut(Stage<'_>) -> ControlFlow<()>,
) -> Result<Summary, RunError> {
    // Open all inputs first, so that a bad input fails before the simulation and before anything is written.
    let mut open = scenario.open(&options.capture)?;
    open.settings.engine = options.engine.unwrap_or(scenario.engine);
    open.settings.threads = options.threads;
    let directory = RunDirectory::begin(&options.out, options.replace)?;
    let tables = TableFiles::new(directory.path(), options.format);
    let results = open.run(&Both(&tables, beside), Unwatched, progress)?;
    write(scenario, options, results, directory)
}

/// Writes everything except the tables, and completes the directory.
fn write(
    scenario: &Scenario,
    options: &RunOptions,
    results: Results,
    directory: RunDirectory,
) -> Result<Summary, RunError> {
    let Results { summary, outcome, flows, ports, vantages, start, sources } = results;
    // The report reads the tables, and there may be millions of flows.
    drop(flows);
    let topology = &scenario.topology;
    vantages.write(topology, start, |name| directory.file(name))?;
    let inputs = scenario.inputs.iter().map(|path| hash_input(path)).collect::<Result<Vec<_>, _>>()?;
    directory.write_json("summary.json", &summary)?;
    let meta = Meta {
        version: env!("CARGO_PKG_VERSION"),
        scenario: scenario.name.clone(),
        seed: scenario.seed,
        engine: summary.engine,
        overrides: options.overrides.clone(),
        start: start.to_string(),
        start_ns: start.as_ns(),
        sources,
        inputs,
        format: options.format,
        fingerprint: summary.fingerprint.clone(),
    };
    directory.write_json("meta.json", &meta)?;
    directory.write_text("topology.svg", &topology.picture(&ports.loads(outcome.end)))?;
    write_report(directory.path())?;
    directory.commit()?;
    Ok(summary)
}

/// An input file with the SHA-256 of its contents.
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
