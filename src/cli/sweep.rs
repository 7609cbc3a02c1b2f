//! `taunet sweep SWEEP`

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use indexmap::IndexMap;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::error::to_stderr;
use super::interrupt::Interrupt;
use super::text::{count, counted, decimal_bytes, significant};
use super::write::check_is_no_hyphen;
use super::{CliError, Global, Output};
use crate::config::{did_you_mean, nearest};
use crate::sweep::{
    self, Execution, Outcome, Parameter, Progress, Ran, Scheduler, Shard, Store, Sweep, SweepError,
    SweepResults, metrics,
};
use crate::table::Format;

/// Run a scenario with many values of its keys, and several seeds for each
///
/// A job is one run. Jobs that are done are kept and never run again: a sweep that was interrupted goes on, and shards on several machines fill one directory. Writes a table with a row per job, the means over replications with confidence intervals, and paired differences. Exit code 1: a job failed.
#[derive(Debug, Args)]
pub struct SweepVerb {
    /// The sweep file
    #[arg(value_name = "SWEEP")]
    file: PathBuf,
    /// The directory of the sweep [default: sweeps/<name of the sweep>]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Set one value of the scenario in all jobs, such as until="2 s"
    #[arg(long = "set", value_name = "PATH.TO.KEY=VALUE")]
    overrides: Vec<String>,
    /// Jobs at a time [default: one per core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Run one of several parts, from 0: 0/4 is the first of four [default: what the array job of Slurm, Kubernetes or GNU parallel says]
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Count the jobs and estimate time and disk space; runs the first job, if none is done
    #[arg(long)]
    dry_run: bool,
    /// Print a job file that runs the sweep elsewhere, one process per shard
    #[arg(long, value_enum, value_name = "SCHEDULER", conflicts_with_all = ["dry_run", "shard"])]
    script: Option<Scheduler>,
    /// Shards of the job file [default: one per job, at most 16]
    #[arg(long, value_name = "N", requires = "script", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    shards: Option<u32>,
    /// The format of the tables
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct SweepSummary {
    sweep: String,
    directory: PathBuf,
    jobs: usize,
    done: usize,
    missing: usize,
    failed: Vec<Failure>,
    wall_s: f64,
}

/// A job that failed.
#[derive(Debug, Serialize)]
struct Failure {
    values: String,
    replication: usize,
    seed: u64,
    error: String,
}

/// What `--dry-run --json` prints.
#[derive(Debug, Serialize)]
struct Estimate {
    sweep: String,
    points: usize,
    replications: usize,
    jobs: usize,
    done: usize,
    seconds_per_job: f64,
    seconds_left: f64,
    bytes_per_job: u64,
    bytes_left: u64,
}

impl SweepVerb {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        let sweep = Sweep::load(&self.file, &self.overrides)?;
        let directory = self.out.clone().unwrap_or_else(|| Path::new("sweeps").join(&sweep.name));
        check_is_no_hyphen(&directory)?;
        if let Some(scheduler) = self.script {
            return self.print_script(scheduler, &sweep, &directory, output);
        }
        let shard = match self.shard {
            Some(shard) => shard,
            None => Shard::of_environment(|name| std::env::var(name).ok())
                .map_err(|error| CliError::Usage(error.to_string()))?
                .unwrap_or(Shard::WHOLE),
        };
        let store = Store::open(&directory).map_err(failed)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.jobs.map_or(cores, usize::from);
        let execution = Execution { threads, shard, registry: global.registry.clone(), runs: true };
        let interrupt = Interrupt::watch();
        if self.dry_run {
            return estimate(&sweep, &store, &execution, &interrupt, global, output);
        }
        if let Some(other) = store.replace_owner(&sweep.file).map_err(failed)? {
            global.warn(&[format!(
                "{} held the results of {}: its tables are replaced, its jobs are kept",
                directory.display(),
                other.display()
            )]);
        }
        let began = Instant::now();
        let mut bar = Jobs::new(global, &sweep.name, threads);
        let mut first = None;
        let ran = sweep::execute(&sweep, &store, &execution, |progress, ran| {
            bar.show(progress);
            if let (None, Some(done)) = (&first, ran.and_then(Ran::done)) {
                let lacking = lacking(&sweep, &metrics(&done.summary));
                bar.hide_while(|| global.warn(&lacking.metrics));
                let ends = lacking.stop.is_some();
                first = Some(lacking);
                if ends {
                    return ControlFlow::Break(());
                }
            }
            interrupt.as_control_flow()
        });
        bar.clear();
        if let Some(wrong) = first.and_then(|lacking| lacking.stop) {
            return Err(CliError::Usage(wrong));
        }
        let ran = ran.map_err(failed)?;
        let all = join(&sweep, &store, &execution, ran, self.format).map_err(failed)?;
        let summary = summary(&sweep, &store, &all, began.elapsed());
        let results = SweepResults::new(&sweep, &all);
        if results.is_deterministic() {
            global.warn(&[
                "all replications are the same run: the scenario draws no random numbers, so one \
                           replication says as much, and intervals have no width"
                    .to_owned(),
            ]);
        }
        if global.json {
            output.json(&summary)?;
        } else if !global.quiet {
            print(&summary, &sweep, shard, self.format, output)?;
            print_means(&sweep, &results, output)?;
        }
        match summary.failed.len() {
            0 => Ok(()),
            number => {
                let list = failures(&summary.failed);
                Err(CliError::Failed(format!("{} failed{list}", counted(number as u64, "job")).into()))
            }
        }
    }

    /// The same sweep as the arguments of each shard.
    fn print_script(
        &self,
        scheduler: Scheduler,
        sweep: &Sweep,
        directory: &Path,
        output: &mut Output,
    ) -> Result<(), CliError> {
        let absolute =
            |path: &Path| std::path::absolute(path).map_err(|error| CliError::Failed(Box::new(error)));
        let directory = absolute(directory)?;
        // Slurm writes its logs there, and fails without it.
        Store::open(&directory).map_err(failed)?;
        let mut arguments = vec!["sweep".to_owned(), absolute(&self.file)?.display().to_string()];
        arguments.extend(["--out".to_owned(), directory.display().to_string()]);
        for set in &self.overrides {
            arguments.extend(["--set".to_owned(), set.clone()]);
        }
        if self.format != Format::default() {
            arguments.extend(["--format".to_owned(), self.format.extension().to_owned()]);
        }
        arguments.push("--quiet".to_owned());
        let shards = self.shards.unwrap_or_else(|| sweep.jobs().take(16).count() as u32);
        let text = sweep::script(scheduler, &sweep.name, &arguments, &directory, shards);
        output.bytes(text.as_bytes())
    }
}

/// What a sweep asks of its jobs and the first one does not have.
struct Lacking {
    /// A warning for each of the metrics.
    metrics: Vec<String>,
    /// What is wrong with the metric that ends replications.
    stop: Option<String>,
}

fn lacking(sweep: &Sweep, known: &IndexMap<String, f64>) -> Lacking {
    let hint = |name: &String| match nearest(name, known.keys().map(String::as_str)) {
        Some(near) => did_you_mean(near),
        None => "without `metrics`, the table `results` has all that there are".to_owned(),
    };
    let lacks = |name: &&String| !known.contains_key(*name);
    let of_metrics = |name: &String| format!("the first job has no metric `{name}`; {}", hint(name));
    let of_stop = |name: &String| {
        let file = sweep.file.display();
        format!("the first job has no metric `{name}`, which [stop] in {file} watches; {}", hint(name))
    };
    Lacking {
        metrics: sweep.metrics.iter().filter(lacks).map(of_metrics).collect(),
        stop: sweep.stop.as_ref().map(|stop| &stop.metric).filter(lacks).map(of_stop),
    }
}

/// The jobs that failed, those with the same error together.
fn failures(failed: &[Failure]) -> String {
    let mut by_error: IndexMap<&str, Vec<&Failure>> = IndexMap::new();
    for failure in failed {
        by_error.entry(&failure.error).or_default().push(failure);
    }
    let entry = |(error, jobs): (&&str, &Vec<&Failure>)| {
        let first = jobs
            .first()
            .map_or(String::new(), |first| format!("{}, replication {}", first.values, first.replication));
        let others = match jobs.len() - 1 {
            0 => String::new(),
            others => format!(", and {others} more"),
        };
        format!("\n  {first}{others}: {error}")
    };
    let list: String = by_error.iter().take(LISTED).map(entry).collect();
    match by_error.len().saturating_sub(LISTED) {
        0 => list,
        more => format!("{list}\n  and {more} other errors"),
    }
}

/// Errors of jobs that are listed.
pub(super) const LISTED: usize = 20;

pub(super) fn failed(error: SweepError) -> CliError {
    match error {
        SweepError::Interrupted => CliError::Interrupted(
            "the jobs that are done are kept; the same command runs the others".to_owned(),
        ),
        SweepError::NotASweep(_) | SweepError::Damaged { .. } | SweepError::Changed(_) => {
            CliError::Usage(error.to_string())
        }
        error => CliError::Failed(Box::new(error)),
    }
}

/// Joins all jobs of the sweep that are done, those of other shards too, and writes the tables. Another shard may end at the
/// same time: it is looked for jobs again until there are no more of them.
fn join(
    sweep: &Sweep,
    store: &Store,
    execution: &Execution,
    ran: Vec<Ran>,
    format: Format,
) -> Result<Vec<Ran>, SweepError> {
    let done = |ran: &[Ran]| ran.iter().filter(|ran| ran.done().is_some()).count();
    let mut all = ran;
    let mut written = None;
    loop {
        if !execution.shard.is_whole() {
            let find = Execution { shard: Shard::WHOLE, runs: false, ..execution.clone() };
            all = sweep::execute(sweep, store, &find, |_, _| ControlFlow::Continue(()))?;
        }
        if written == Some(done(&all)) {
            return Ok(all);
        }
        let failed = all.iter().filter(|ran| matches!(ran.outcome, Outcome::Failed(_))).count();
        sweep::write_joined(sweep, store, &all, failed, format)?;
        written = Some(done(&all));
    }
}

fn summary(sweep: &Sweep, store: &Store, all: &[Ran], wall: Duration) -> SweepSummary {
    let failure = |ran: &Ran| match &ran.outcome {
        Outcome::Failed(error) => Some(Failure {
            values: sweep.words(ran.job.point),
            replication: ran.job.replication,
            seed: ran.job.seed,
            error: error.clone(),
        }),
        Outcome::Done(_) | Outcome::Missing => None,
    };
    SweepSummary {
        sweep: sweep.name.clone(),
        directory: store.directory().to_owned(),
        jobs: all.len(),
        done: all.iter().filter(|ran| ran.done().is_some()).count(),
        missing: all.iter().filter(|ran| ran.outcome == Outcome::Missing).count(),
        failed: all.iter().filter_map(failure).collect(),
        wall_s: wall.as_secs_f64(),
    }
}

fn print(
    summary: &SweepSummary,
    sweep: &Sweep,
    shard: Shard,
    format: Format,
    output: &mut Output,
) -> Result<(), CliError> {
    let part = if shard.is_whole() { String::new() } else { format!(" (after shard {shard})") };
    output.line(format_args!(
        "{}: {} of {} jobs done{part}; {} of values, {} each",
        summary.sweep,
        count(summary.done as u64),
        count(summary.jobs as u64),
        counted(sweep.points.len() as u64, "combination"),
        match &sweep.stop {
            Some(_) => format!("at most {}", counted(sweep.seeds.len() as u64, "replication")),
            None => counted(sweep.seeds.len() as u64, "replication"),
        }
    ))?;
    let extension = format.extension();
    output.line(format_args!(
        "written to {0}: open {0}/report.html; tables: results.{extension}, means.{extension}, differences.{extension}",
        summary.directory.display()
    ))
}

/// The most rows and metrics of means that are printed.
const SHOWN: (usize, usize) = (40, 4);

/// The means of the metrics that the sweep names, if they are few: a row for each combination of values.
fn print_means(sweep: &Sweep, results: &SweepResults<'_>, output: &mut Output) -> Result<(), CliError> {
    let (rows, columns) = SHOWN;
    if results.is_empty() || sweep.points.len() > rows || !(1..=columns).contains(&sweep.metrics.len()) {
        return Ok(());
    }
    let means = results.means();
    let cell = |point: usize, metric: &String| {
        let of = means.iter().find(|of| of.point == point && of.metric == *metric);
        of.map_or("-".to_owned(), |of| match of.mean.half_width {
            Some(half_width) => format!("{} ± {}", significant(of.mean.mean), significant(half_width)),
            None => significant(of.mean.mean),
        })
    };
    let several = || (0..sweep.parameters.len()).filter(|place| sweep.parameters[*place].values.len() > 1);
    let keys = several().map(|place| sweep.parameters[place].key.clone());
    let mut table = vec![keys.chain(sweep.metrics.iter().cloned()).collect::<Vec<String>>()];
    for point in 0..sweep.points.len() {
        let values = several().map(|place| Parameter::label(sweep.value(point, place)));
        table.push(values.chain(sweep.metrics.iter().map(|metric| cell(point, metric))).collect());
    }
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..table[0].len()).map(width).collect();
    output.line(format_args!(""))?;
    for row in &table {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        output.line(format_args!("{}", cells.collect::<Vec<_>>().join("  ").trim_end()))?;
    }
    if sweep.seeds.len() > 1 {
        output.line(format_args!("means with 95 % confidence intervals"))?;
    }
    Ok(())
}

/// Counts jobs, and estimates from those that are done what the others take.
fn estimate(
    sweep: &Sweep,
    store: &Store,
    execution: &Execution,
    interrupt: &Interrupt,
    global: &Global,
    output: &mut Output,
) -> Result<(), CliError> {
    let go_on = |_: Progress, _: Option<&Ran>| interrupt.as_control_flow();
    let find = Execution { runs: false, ..execution.clone() };
    let mut all = sweep::execute(sweep, store, &find, go_on).map_err(failed)?;
    let is_done = |ran: &&Ran| ran.done().is_some();
    if !all.iter().any(|ran| ran.done().is_some()) {
        let first = Sweep {
            points: sweep.points.iter().take(1).cloned().collect(),
            seeds: sweep.seeds.iter().take(1).copied().collect(),
            ..sweep.clone()
        };
        let whole = Execution { shard: Shard::WHOLE, ..execution.clone() };
        let ran = sweep::execute(&first, store, &whole, go_on).map_err(failed)?;
        if let Some(Ran { outcome: Outcome::Failed(error), .. }) = ran.first() {
            return Err(CliError::Failed(format!("the first job failed: {error}").into()));
        }
        all = sweep::execute(sweep, store, &find, go_on).map_err(failed)?;
    }
    let done = all.iter().filter(is_done).count();
    let wall = |ran: &Ran| ran.done().and_then(|done| done.summary["wall_s"].as_f64());
    let seconds_per_job = all.iter().filter_map(wall).sum::<f64>() / done.max(1) as f64;
    let bytes_per_job = store.bytes() / done.max(1) as u64;
    let left = all.len() - done;
    let found = Estimate {
        sweep: sweep.name.clone(),
        points: sweep.points.len(),
        replications: sweep.seeds.len(),
        jobs: all.len(),
        done,
        seconds_per_job,
        seconds_left: seconds_per_job * left as f64 / execution.threads as f64,
        bytes_per_job,
        bytes_left: bytes_per_job * left as u64,
    };
    if global.json {
        return output.json(&found);
    }
    output.line(format_args!(
        "{}: {} of values, {} each: {}, of which {} done",
        found.sweep,
        counted(found.points as u64, "combination"),
        counted(found.replications as u64, "replication"),
        counted(found.jobs as u64, "job"),
        match done {
            1 => "1 is".to_owned(),
            done => format!("{} are", count(done as u64)),
        }
    ))?;
    output.line(format_args!(
        "  the others take about {:.0} s with {} at a time and {} of disk, as the {} {:.2} s and {} each",
        found.seconds_left,
        counted(execution.threads as u64, "job"),
        decimal_bytes(found.bytes_left),
        if done == 1 { "first took" } else { "done ones took" },
        found.seconds_per_job,
        decimal_bytes(found.bytes_per_job),
    ))
}

/// How a sweep shows how far it is.
enum Jobs {
    Silent,
    Lines,
    Drawn(ProgressBar, usize),
}

impl Jobs {
    fn new(global: &Global, name: &str, threads: usize) -> Self {
        if global.verbose {
            return Jobs::Lines;
        }
        if !global.draws_progress() {
            return Jobs::Silent;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let template = "{prefix} [{bar:30}] {pos} of {len} jobs{msg}";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Jobs::Drawn(bar, threads)
    }

    fn show(&mut self, progress: Progress) {
        let Progress { done, of, failed, found, busy } = progress;
        match self {
            Jobs::Silent => {}
            Jobs::Lines => {
                to_stderr(&format!("{done} of {of} jobs, {found} of them done before, {failed} failed"))
            }
            Jobs::Drawn(bar, threads) => {
                bar.set_length(of as u64);
                bar.set_position(done as u64);
                let ran = done - found;
                let each = busy.as_secs_f64() / ran.max(1) as f64;
                let left = each * (of - done) as f64 / *threads as f64;
                let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
                bar.set_message(match ran {
                    0 => failed,
                    _ => format!("{failed}, about {left:.0} s left"),
                });
            }
        }
    }

    /// Does something that writes to the terminal, too.
    fn hide_while(&self, writes: impl FnOnce()) {
        match self {
            Jobs::Drawn(bar, _) => bar.suspend(writes),
            Jobs::Silent | Jobs::Lines => writes(),
        }
    }

    fn clear(&self) {
        if let Jobs::Drawn(bar, _) = self {
            bar.finish_and_clear();
        }
    }
}
