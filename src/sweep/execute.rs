//! Runs the jobs of a sweep that are not done, on several threads.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::SweepError;
use super::file::{Job, Sweep};
use super::metrics::metrics;
use super::shard::Shard;
use super::store::{Done, JobHash, Store};
use super::student::Mean;
use crate::config::Registry;
use crate::engine::{EngineError, Unwatched};
use crate::run::{RunError, Summary};
use crate::scenario::Scenario;
use crate::table::{Format, NoTables, TableError, TableFiles, TableSink, Tables};

/// A job of a sweep and what became of it.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The job.
    pub job: Job,
    /// Its hash; none where its scenario could not be read.
    pub hash: Option<JobHash>,
    /// Its result, or why there is none.
    pub outcome: Outcome,
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is done.
    Done(Box<Done>),
    /// It failed: why.
    Failed(String),
    /// It has not run.
    Missing,
}

impl Ran {
    /// Its result, if it is done.
    pub fn done(&self) -> Option<&Done> {
        match &self.outcome {
            Outcome::Done(done) => Some(done),
            Outcome::Failed(_) | Outcome::Missing => None,
        }
    }
}

/// How far a sweep is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Jobs of this call that are done, those that were there already included.
    pub done: usize,
    /// All jobs of this call, as far as they are known.
    pub of: usize,
    /// Jobs that failed.
    pub failed: usize,
    /// Jobs that were there already.
    pub found: usize,
    /// Wall time that finished jobs took, in all.
    pub busy: Duration,
}

/// How jobs are run.
#[derive(Debug, Clone)]
pub struct Execution {
    /// Threads, each with a job of its own.
    pub threads: usize,
    /// The jobs of this call.
    pub shard: Shard,
    /// The kinds that files may name beside taunet's own.
    pub registry: Registry,
    /// Whether jobs run; without it, only those that are done are found.
    pub runs: bool,
}

/// Runs every job of a sweep that is not done, where `execution` runs any; gives all jobs of the shard in their order. `progress`
/// hears of each job that ends, is asked several times a second besides, and may break the sweep off: what is done by then is
/// kept.
///
/// # Errors
/// The directory cannot be read or written, or `progress` broke it off. A job that fails is no error of the sweep.
pub fn execute(
    sweep: &Sweep,
    store: &Store,
    execution: &Execution,
    mut progress: impl FnMut(Progress, Option<&Ran>) -> ControlFlow<()>,
) -> Result<Vec<Ran>, SweepError> {
    let mut state = Progress { done: 0, of: 0, failed: 0, found: 0, busy: Duration::ZERO };
    let mut all: Vec<Ran> = Vec::new();
    // With [stop] a point's next replication depends on those before.
    let rounds: Vec<Vec<usize>> = match &sweep.stop {
        None => vec![(0..sweep.seeds.len()).collect()],
        Some(_) => (0..sweep.seeds.len()).map(|replication| vec![replication]).collect(),
    };
    for round in rounds {
        let jobs = round.iter().flat_map(|replication| sweep.jobs_of(*replication));
        let jobs: Vec<Job> = jobs
            .filter(|job| execution.shard.has(sweep, job) && !is_known_well(sweep, &all, job.point))
            .collect();
        if jobs.is_empty() {
            break;
        }
        state.of += jobs.len();
        let ran = round_of(sweep, store, execution, jobs, &mut |ended| {
            if let Some((ran, busy, found)) = ended {
                state.done += 1;
                state.failed += usize::from(matches!(ran.outcome, Outcome::Failed(_)));
                state.found += usize::from(found);
                state.busy += busy;
            }
            progress(state, ended.map(|(ran, ..)| ran))
        })?;
        all.extend(ran);
    }
    Ok(all)
}

/// How long `progress` may not be asked.
const ASKED: Duration = Duration::from_millis(200);

/// Whether the replications of a point have ended, by the rule of `[stop]`.
fn is_known_well(sweep: &Sweep, ran: &[Ran], point: usize) -> bool {
    let Some(stop) = &sweep.stop else { return false };
    let values: Vec<f64> = ran
        .iter()
        .filter(|ran| ran.job.point == point)
        .filter_map(|ran| metrics(&ran.done()?.summary).get(&stop.metric).copied())
        .collect();
    values.len() >= stop.at_least
        && Mean::of(&values, stop.confidence).is_some_and(|mean| mean.is_within(stop.relative_half_width))
}

/// A job that has ended, how long it took, and whether it was done before.
type Ended<'r> = (&'r Ran, Duration, bool);

/// Runs some jobs; gives them in their order. `told` hears of each that ends.
fn round_of(
    sweep: &Sweep,
    store: &Store,
    execution: &Execution,
    jobs: Vec<Job>,
    told: &mut dyn FnMut(Option<Ended<'_>>) -> ControlFlow<()>,
) -> Result<Vec<Ran>, SweepError> {
    let (next, stops) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut slots: Vec<Option<Ran>> = jobs.iter().map(|_| None).collect();
    let mut wrong = None;
    std::thread::scope(|scope| {
        let (sender, ended) = mpsc::channel();
        for _ in 0..execution.threads.clamp(1, jobs.len()) {
            let (sender, jobs, next, stops) = (sender.clone(), &jobs, &next, &stops);
            scope.spawn(move || {
                while !stops.load(Ordering::Relaxed) {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(place) else { break };
                    let began = Instant::now();
                    let ran = one(sweep, store, execution, job, stops);
                    if sender.send((place, began.elapsed(), ran)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        loop {
            let (place, busy, ran) = match ended.recv_timeout(ASKED) {
                Ok(ended) => ended,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    if told(None).is_break() {
                        stops.store(true, Ordering::Relaxed);
                        wrong.get_or_insert(SweepError::Interrupted);
                    }
                    continue;
                }
            };
            match ran {
                Ok((ran, found)) => {
                    if told(Some((&ran, if found { Duration::ZERO } else { busy }, found))).is_break() {
                        stops.store(true, Ordering::Relaxed);
                        wrong.get_or_insert(SweepError::Interrupted);
                    }
                    slots[place] = Some(ran);
                }
                Err(error) => {
                    stops.store(true, Ordering::Relaxed);
                    wrong.get_or_insert(error);
                }
            }
        }
    });
    match wrong {
        Some(error) => Err(error),
        None => Ok(slots.into_iter().flatten().collect()),
    }
}

/// Runs one job, if it is not done; gives whether it was.
fn one(
    sweep: &Sweep,
    store: &Store,
    execution: &Execution,
    job: &Job,
    stops: &AtomicBool,
) -> Result<(Ran, bool), SweepError> {
    let failed = |hash, message: String| {
        Ok((Ran { job: job.clone(), hash, outcome: Outcome::Failed(message) }, false))
    };
    let mut scenario = match sweep.scenario(job, &execution.registry) {
        Ok(scenario) => scenario,
        Err(error) => return failed(None, error.to_string()),
    };
    let hash = store.hasher().hash(&scenario, &sweep.overrides_of(job), job.seed)?;
    if let Some(done) = store.find(&hash, &sweep.tables)? {
        return Ok((
            Ran { job: job.clone(), hash: Some(hash), outcome: Outcome::Done(Box::new(done)) },
            true,
        ));
    }
    if !execution.runs {
        return Ok((Ran { job: job.clone(), hash: Some(hash), outcome: Outcome::Missing }, false));
    }
    let wants = |name: &str| sweep.tables.iter().any(|wanted| wanted == name);
    scenario.record.packets &= wants("packets");
    scenario.record.hops &= wants("hops");
    let place = store.begin()?;
    // A fault of taunet's ends this job, and not the others.
    let simulated =
        catch_unwind(AssertUnwindSafe(|| simulate(&scenario, place.path(), &sweep.tables, stops)));
    let summary = match simulated {
        Ok(Ok(summary)) => summary,
        Ok(Err(RunError::Engine(EngineError::Interrupted))) => return Err(SweepError::Interrupted),
        Ok(Err(error)) => return failed(Some(hash), error.to_string()),
        Err(_) => {
            return failed(Some(hash), "the run stopped on a fault of taunet: please report it".to_owned());
        }
    };
    let summary = serde_json::to_value(&summary)
        .map_err(|error| SweepError::Damaged { path: store.directory().to_owned(), error })?;
    let done = Done {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        scenario: sweep.scenario.clone(),
        overrides: sweep.overrides_of(job),
        seed: job.seed,
        summary,
    };
    store.hasher().check(&scenario)?;
    store.keep(&hash, &done, place.path(), &sweep.tables)?;
    Ok((Ran { job: job.clone(), hash: Some(hash), outcome: Outcome::Done(Box::new(done)) }, false))
}

/// Simulates a scenario on this thread alone, and writes the tables that are wanted into a folder.
fn simulate(
    scenario: &Scenario,
    folder: &Path,
    tables: &[String],
    stops: &AtomicBool,
) -> Result<Summary, RunError> {
    let mut open = scenario.open(&Default::default())?;
    open.settings.threads = 1;
    let tables = Wanted { files: TableFiles::new(folder, Format::Parquet), names: tables };
    let results = open.run(&tables, Unwatched, |_| match stops.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })?;
    Ok(results.summary)
}

/// Writes some tables, and no others.
struct Wanted<'a> {
    files: TableFiles,
    names: &'a [String],
}

impl Tables for Wanted<'_> {
    fn begin(
        &self,
        name: &str,
        schema: &std::sync::Arc<arrow_schema::Schema>,
    ) -> Result<Box<dyn TableSink>, TableError> {
        match self.names.iter().any(|wanted| wanted == name) {
            true => self.files.begin(name, schema),
            false => NoTables.begin(name, schema),
        }
    }
}
