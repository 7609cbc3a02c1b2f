//! Scenarios and their runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use pyo3::prelude::*;
use taunet::capture::Options as CaptureOptions;
use taunet::config::Document;
use taunet::engine::{Engine, Unwatched};
use taunet::run::{RunOptions, Stage, Summary, run_into};
use taunet::scenario::Scenario as Resolved;
use taunet::table::{Format, MemoryTables};

use crate::busy::{Watch, busy};
use crate::failure::{Failure, json, quantity};
use crate::kinds::{known_to_python, registry};
use crate::table::{Table, tables};
use crate::topology::Topology;

/// A scenario, with the text that it was read from and the changes to it.
#[pyclass(frozen, module = "taunet._taunet")]
pub struct Scenario {
    written: Written,
    resolved: Arc<Resolved>,
}

/// What a scenario is read from.
#[derive(Clone)]
struct Written {
    text: String,
    /// The name in errors.
    name: String,
    /// Paths in the text are relative to the folder of this one.
    path: PathBuf,
    set: Vec<String>,
    seed: Option<u64>,
    topology: Option<Document>,
}

impl Written {
    fn resolve(self) -> Result<Scenario, Failure> {
        let mut document = Document::parse(&self.name, &self.text)?.with(&registry());
        document.set_from_shell(&self.set)?;
        let resolved = match &self.topology {
            Some(topology) => Resolved::from_document_on(&document, &self.path, self.seed, topology)?,
            None => Resolved::from_document(&document, &self.path, self.seed)?,
        };
        Ok(Scenario { written: self, resolved: Arc::new(resolved) })
    }
}

/// How a run is executed.
struct Execution {
    out: Option<PathBuf>,
    replace: bool,
    format: Format,
    engine: Option<Engine>,
    threads: usize,
    reading: CaptureOptions,
    overrides: Vec<String>,
}

#[pymethods]
impl Scenario {
    /// Reads a file, with changes and on a network that was built before.
    #[staticmethod]
    #[pyo3(signature = (path, set, seed=None, topology=None))]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        set: Vec<String>,
        seed: Option<u64>,
        topology: Option<Bound<'_, Topology>>,
    ) -> PyResult<Self> {
        let topology = topology.map(|topology| topology.get().document().clone());
        busy(py, None, move |_| {
            let text = Document::read(&path)?.source().text.clone();
            Written { text, name: path.display().to_string(), path, set, seed, topology }.resolve()
        })
    }

    /// Reads a text; paths in it are relative to the folder of `path`.
    #[staticmethod]
    #[pyo3(signature = (text, name, path, set, seed=None, topology=None))]
    fn from_text(
        py: Python<'_>,
        text: String,
        name: String,
        path: PathBuf,
        set: Vec<String>,
        seed: Option<u64>,
        topology: Option<Bound<'_, Topology>>,
    ) -> PyResult<Self> {
        let topology = topology.map(|topology| topology.get().document().clone());
        busy(py, None, move |_| Written { text, name, path, set, seed, topology }.resolve())
    }

    /// The same scenario with further changes, and another seed where one is given.
    #[pyo3(signature = (set, seed=None))]
    fn changed(&self, py: Python<'_>, set: Vec<String>, seed: Option<u64>) -> PyResult<Self> {
        let mut written = self.written.clone();
        written.set.extend(set);
        written.seed = seed.or(written.seed);
        busy(py, None, move |_| written.resolve())
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.resolved.name
    }

    /// Its seed.
    #[getter]
    fn seed(&self) -> u64 {
        self.resolved.seed
    }

    /// The text, without the changes.
    #[getter]
    fn toml(&self) -> &str {
        &self.written.text
    }

    /// The changes to the text.
    #[getter]
    fn set(&self) -> Vec<String> {
        self.written.set.clone()
    }

    /// Its network, with what the changes set in it.
    fn topology(&self, py: Python<'_>) -> PyResult<Topology> {
        let (resolved, given) = (Arc::clone(&self.resolved), self.written.topology.clone());
        busy(py, None, move |_| {
            let document = given.map_or_else(|| Document::read(&resolved.inputs[1]), Ok)?;
            Ok(Topology::of(document, Arc::clone(&resolved.topology)))
        })
    }

    /// The end of the simulation in picoseconds, if the scenario sets it.
    #[getter]
    fn until_ps(&self) -> Option<u64> {
        self.resolved.until.map(|until| until.as_ps())
    }

    /// Every file that it was read from.
    #[getter]
    fn inputs(&self) -> Vec<PathBuf> {
        self.resolved.inputs.clone()
    }

    /// Warnings about its traffic.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.resolved.warnings()
    }

    /// Whether it records captures, which are files.
    #[getter]
    fn records_captures(&self) -> bool {
        !self.resolved.record.vantages.is_empty()
    }

    /// Simulates: gives the summary as JSON, and the tables by name.
    #[pyo3(signature = (*, out, replace, format, engine, threads, lenient, reorder_window, progress))]
    #[allow(clippy::too_many_arguments)]
    fn run(
        &self,
        py: Python<'_>,
        out: Option<PathBuf>,
        replace: bool,
        format: &str,
        engine: Option<&str>,
        threads: usize,
        lenient: bool,
        reorder_window: Option<&str>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<(String, BTreeMap<String, Table>)> {
        let execution = Execution {
            out,
            replace,
            format: match format {
                "parquet" => Format::Parquet,
                "csv" => Format::Csv,
                other => {
                    let message = format!("`{other}` is no format of tables: write \"parquet\" or \"csv\"");
                    return Err(Failure::argument("format", message).into());
                }
            },
            engine: engine.map(engine_of).transpose()?,
            threads,
            reading: reading(lenient, reorder_window)?,
            overrides: self.written.set.clone(),
        };
        let scenario = Arc::clone(&self.resolved);
        busy(py, progress, move |watch| {
            let memory = MemoryTables::default();
            let summary = known_to_python(|| simulate(&scenario, execution, &memory, watch))?;
            Ok((json(&summary)?, tables(&memory)?))
        })
    }
}

/// How captures are read.
///
/// # Errors
/// The window is no time.
pub fn reading(lenient: bool, reorder_window: Option<&str>) -> Result<CaptureOptions, Failure> {
    let mut options = CaptureOptions { lenient, ..CaptureOptions::default() };
    if let Some(window) = reorder_window {
        options.reorder_window = quantity("reorder_window", window)?;
    }
    Ok(options)
}

fn engine_of(name: &str) -> Result<Engine, Failure> {
    let all = [Engine::Auto, Engine::Stream, Engine::Event];
    all.into_iter().find(|engine| engine.name() == name).ok_or_else(|| {
        let message = format!("`{name}` is no engine: write \"auto\", \"stream\" or \"event\"");
        Failure::argument("engine", message)
    })
}

fn simulate(
    scenario: &Resolved,
    execution: Execution,
    memory: &MemoryTables,
    watch: &Watch,
) -> Result<Summary, Failure> {
    let Execution { out, replace, format, engine, threads, reading, overrides } = execution;
    let began = Instant::now();
    let progress = |stage: Stage<'_>| {
        show(watch, stage, began);
        watch.go_on()
    };
    if let Some(out) = out {
        let options = RunOptions { out, replace, format, capture: reading, overrides, engine, threads };
        return Ok(run_into(scenario, &options, memory, progress)?);
    }
    let mut open = scenario.open(&reading)?;
    watch.check()?;
    open.settings.engine = engine.unwrap_or(scenario.engine);
    open.settings.threads = threads;
    Ok(open.run(memory, Unwatched, progress)?.summary)
}

/// Shows a stage of a run that began at an instant.
pub fn show(watch: &Watch, stage: Stage<'_>, began: Instant) {
    match stage {
        Stage::Simulating(progress) => {
            let rate = progress.injected as f64 / began.elapsed().as_secs_f64().max(1e-3) / 1e6;
            let simulated = progress.time.as_seconds_f64();
            watch.show(progress.fraction, format!("{simulated:.3} s simulated, {rate:.2} M packets/s"));
        }
        Stage::Comparing(capture) => watch.show(None, format!("comparing with {}", capture.display())),
    }
}
