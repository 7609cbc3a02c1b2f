//! Sweeps.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::prelude::*;
use taunet::config::Registry;
use taunet::sweep::{self, Execution, Outcome, Ran, Shard, Store, Sweep as Resolved, SweepResults};
use taunet::table::{Format, MemoryTables};

use crate::busy::busy;
use crate::failure::{Failure, with_causes};
use crate::table::{Table, tables};

/// A sweep, resolved into jobs.
#[pyclass(frozen, module = "taunet._taunet")]
pub struct Sweep(Arc<Resolved>);

/// A job that failed: its values in words, its replication, its seed, and why.
type Failed = (String, usize, u64, String);

#[pymethods]
impl Sweep {
    /// Reads a sweep file; `set` are changes to the scenario for all jobs.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf, set: Vec<String>) -> PyResult<Self> {
        busy(py, None, move |_| Ok(Sweep(Arc::new(Resolved::load(&path, &set)?))))
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// The number of jobs, if no replication ends early.
    fn __len__(&self) -> usize {
        self.0.points.len() * self.0.seeds.len()
    }

    /// The number of replications.
    #[getter]
    fn replications(&self) -> usize {
        self.0.seeds.len()
    }

    /// Whether replications may end early, so that a replication's jobs depend on those before.
    #[getter]
    fn stops(&self) -> bool {
        self.0.stop.is_some()
    }

    /// Runs the jobs that are not done, on threads of this process; gives those that failed.
    fn execute(
        &self,
        py: Python<'_>,
        directory: PathBuf,
        threads: usize,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Vec<Failed>> {
        let sweep = Arc::clone(&self.0);
        busy(py, progress, move |watch| {
            let store = Store::open(&directory)?;
            let ran = sweep::execute(&sweep, &store, &execution(threads, true), |progress, _| {
                let fraction = progress.done as f64 / progress.of.max(1) as f64;
                watch.show(Some(fraction), format!("{} of {} jobs", progress.done, progress.of));
                watch.go_on()
            })?;
            Ok(failures(&sweep, &ran))
        })
    }

    /// The jobs of a replication that are not done, as `(point, replication)`; of all replications where none is
    /// given. Makes the directory where there is none.
    #[pyo3(signature = (directory, replication=None))]
    fn missing(
        &self,
        py: Python<'_>,
        directory: PathBuf,
        replication: Option<usize>,
    ) -> PyResult<Vec<(usize, usize)>> {
        let sweep = Arc::clone(&self.0);
        busy(py, None, move |watch| {
            let store = Store::open(&directory)?;
            let ran = sweep::execute(&sweep, &store, &execution(1, false), |_, _| watch.go_on())?;
            // One whose scenario cannot be read fails at once, and says why where it runs.
            let wanted = ran.iter().filter(|ran| ran.done().is_none());
            let wanted = wanted.filter(|ran| replication.is_none_or(|number| number == ran.job.replication));
            Ok(wanted.map(|ran| (ran.job.point, ran.job.replication)).collect())
        })
    }

    /// Runs one job, if it is not done; gives why it failed, if it did.
    fn run_job(
        &self,
        py: Python<'_>,
        directory: PathBuf,
        point: usize,
        replication: usize,
    ) -> PyResult<Option<Failed>> {
        let sweep = Arc::clone(&self.0);
        busy(py, None, move |watch| {
            let (Some(values), Some(seed)) = (sweep.points.get(point), sweep.seeds.get(replication)) else {
                return Err(Failure::Argument(format!("the sweep has no job {point}, {replication}")));
            };
            let store = Store::open(&directory)?;
            let alone =
                Resolved { points: vec![values.clone()], seeds: vec![*seed], stop: None, ..(*sweep).clone() };
            let ran = sweep::execute(&alone, &store, &execution(1, true), |_, _| watch.go_on())?;
            let failed = failures(&alone, &ran).pop();
            Ok(failed.map(|(values, _, seed, why)| (values, replication, seed, why)))
        })
    }

    /// Joins the jobs that are done: writes tables and page to the directory as `taunet sweep` does, and gives the
    /// numbers of jobs that are done and of all jobs, the tables, and warnings.
    #[allow(clippy::type_complexity)]
    fn results(
        &self,
        py: Python<'_>,
        directory: PathBuf,
        format: &str,
        failed: usize,
    ) -> PyResult<(usize, usize, BTreeMap<String, Table>, Vec<String>)> {
        let format = match format {
            "csv" => Format::Csv,
            _ => Format::Parquet,
        };
        let sweep = Arc::clone(&self.0);
        busy(py, None, move |_| join(&sweep, &directory, format, failed))
    }
}

fn execution(threads: usize, runs: bool) -> Execution {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores() } else { threads };
    Execution { threads, shard: Shard::WHOLE, registry: Registry::default(), runs }
}

fn failures(sweep: &Resolved, ran: &[Ran]) -> Vec<Failed> {
    let failed = ran.iter().filter_map(|ran| match &ran.outcome {
        Outcome::Failed(why) => {
            Some((sweep.words(ran.job.point), ran.job.replication, ran.job.seed, why.clone()))
        }
        _ => None,
    });
    failed.collect()
}

#[allow(clippy::type_complexity)]
fn join(
    sweep: &Resolved,
    directory: &Path,
    format: Format,
    failed: usize,
) -> Result<(usize, usize, BTreeMap<String, Table>, Vec<String>), Failure> {
    let store = Store::open(directory)?;
    let all = sweep::execute(sweep, &store, &execution(1, false), |_, _| ControlFlow::Continue(()))?;
    let replaced = store.replace_owner(&sweep.file)?;
    sweep::write_joined(sweep, &store, &all, failed, format)?;
    let results = SweepResults::new(sweep, &all);
    let memory = MemoryTables::default();
    results.write(&memory).map_err(|error| Failure::Failed(with_causes(&error)))?;
    let mut warnings: Vec<String> = results
        .unknown_metrics()
        .into_iter()
        .map(|name| {
            format!("no job has a metric `{name}`: `results` names those that there are, without `metrics`")
        })
        .collect();
    if results.is_deterministic() {
        warnings.push(
            "all replications are the same run: the scenario draws no random numbers, so one replication says as much, and \
             intervals have no width"
                .to_owned(),
        );
    }
    if let Some(other) = replaced {
        warnings.push(format!(
            "{} held the results of {}: its tables are replaced, its jobs are kept",
            directory.display(),
            other.display()
        ));
    }
    let done = all.iter().filter(|ran| ran.done().is_some()).count();
    Ok((done, all.len(), tables(&memory)?, warnings))
}
