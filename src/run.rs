//! One simulation end to end: traffic, engine, tables, comparison with every measured capture, summary.

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
use crate::table::{Format, TableError, TableFiles};
use crate::traffic::SourceError;

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
    /// A source of another crate cannot be opened.
    #[error("the source `{kind}` cannot be opened: {source}")]
    Source {
        /// its kind
        kind: String,
        /// what it said
        source: SourceError,
    },
    /// An observer of another crate cannot be made.
    #[error("an observer cannot be made: {0}")]
    Observer(ObserverError),
    /// An input cannot be read again for its hash.
    #[error("cannot read {}: {source}", path.display())]
    Input {
        /// the file
        path: PathBuf,
        /// what the file system said
        source: std::io::Error,
    },
}

impl From<EngineError> for RunError {
    /// What a run's own observer could not write is the error of that.
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
    /// Whether an input is at fault, and not the machine or taunet.
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
            | RunError::Source { .. }
            | RunError::Observer(_)
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
    progress: impl FnMut(Stage<'_>) -> ControlFlow<()>,
) -> Result<Summary, RunError> {
    // What cannot be opened is an error before the simulation, and before anything is written.
    let mut open = scenario.open(&options.capture)?;
    open.settings.engine = options.engine.unwrap_or(scenario.engine);
    open.settings.threads = options.threads;
    let directory = RunDirectory::begin(&options.out, options.replace)?;
    let tables = TableFiles::new(directory.path(), options.format);
    let results = open.run(&tables, Unwatched, progress)?;
    write(scenario, options, results, directory)
}

/// Writes all that is not a table, and completes the directory.
fn write(
    scenario: &Scenario,
    options: &RunOptions,
    results: Results,
    directory: RunDirectory,
) -> Result<Summary, RunError> {
    let Results { summary, outcome, flows, ports, vantages, start, sources } = results;
    // What the report reads is in the tables; there may be millions of flows.
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
