//! `taunet tune TUNE`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use indexmap::IndexMap;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::error::to_stderr;
use super::interrupt::Interrupt;
use super::sweep::{LISTED, failed};
use super::text::{count, counted, significant};
use super::write::check_is_no_hyphen;
use super::{CliError, Global, Output};
use crate::config::{did_you_mean, nearest};
use crate::sweep::{Execution, Mean, Parameter, Shard, Store, SweepResults, in_shell, metrics};
use crate::table::{Format, TableFiles};
use crate::tune::{self, Ending, Objective, PointResult, Tune, TuneProgress, TuneResults};

/// Find the values of parameters that make a metric smallest, largest, or what is wanted
///
/// Searches between bounds by the simplex method of Nelder and Mead, once per replication and point. What has run is kept: a search that was interrupted goes on with the same command. Writes a table of all points. Exit code 1: no point has the metric.
#[derive(Debug, Args)]
pub struct TuneVerb {
    /// The tune file
    #[arg(value_name = "TUNE")]
    file: PathBuf,
    /// The directory of the search [default: tunings/<name of the search>]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Set one value of the scenario in all runs, such as until="2 s"
    #[arg(long = "set", value_name = "PATH.TO.KEY=VALUE")]
    overrides: Vec<String>,
    /// Runs at a time [default: one per core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// The format of the tables
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct TuneSummary {
    tune: String,
    directory: PathBuf,
    metric: String,
    target: Option<f64>,
    best: Option<Best>,
    evaluations: usize,
    failed: usize,
    converged: bool,
    at_bounds: Vec<String>,
    wall_s: f64,
}

/// The best point.
#[derive(Debug, Serialize)]
struct Best {
    /// The values as they stand in TOML.
    values: IndexMap<String, String>,
    #[serde(flatten)]
    metric: Mean,
}

impl TuneVerb {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        let tune = Tune::load(&self.file, &self.overrides)?;
        let directory = self.out.clone().unwrap_or_else(|| Path::new("tunings").join(tune.name()));
        check_is_no_hyphen(&directory)?;
        let store = Store::open(&directory).map_err(failed)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let execution = Execution {
            threads: self.jobs.map_or(cores, usize::from),
            shard: Shard::WHOLE,
            registry: global.registry.clone(),
            runs: true,
        };
        let interrupt = Interrupt::watch();
        let began = Instant::now();
        let mut bar = Points::new(global, tune.name());
        let searched = tune::tune(&tune, &store, &execution, |progress| {
            bar.show(progress);
            interrupt.as_control_flow()
        });
        bar.clear();
        let (points, endings) = searched.map_err(failed)?;
        let results = TuneResults::new(&tune, &points);
        if let Some(other) = store.replace_owner(tune.file()).map_err(failed)? {
            global.warn(&[format!(
                "{} held the results of {}: its tables are replaced, its runs are kept",
                directory.display(),
                other.display()
            )]);
        }
        for name in ["evaluations", "results", "means", "differences"] {
            for format in [Format::Parquet, Format::Csv] {
                store.remove(&format!("{name}.{}", format.extension())).map_err(failed)?;
            }
        }
        results
            .write(&TableFiles::new(store.directory(), self.format))
            .map_err(|error| CliError::Failed(Box::new(error)))?;
        let page = tune::tune_page(&tune, &points);
        store.write(&directory.join("report.html"), page.as_bytes()).map_err(failed)?;
        let summary = TuneSummary {
            tune: tune.name().to_owned(),
            directory,
            metric: tune.metric.clone(),
            target: match tune.objective {
                Objective::Nearest(target) => Some(target),
                Objective::Smallest | Objective::Largest => None,
            },
            best: results.best().map(|(best, metric)| Best {
                values: tune
                    .bounds
                    .iter()
                    .map(|bound| bound.key.clone())
                    .zip(best.point.iter().cloned())
                    .collect(),
                metric,
            }),
            evaluations: points.len(),
            failed: points.iter().filter(|point| point.metric.is_none()).count(),
            converged: endings.iter().all(|ending| matches!(ending, Ending::Converged | Ending::Failed)),
            at_bounds: results.at_bounds().into_iter().map(str::to_owned).collect(),
            wall_s: began.elapsed().as_secs_f64(),
        };
        let Some(best) = &summary.best else {
            return Err(CliError::Failed(no_metric(&tune, &points).into()));
        };
        self.warn(&summary, &tune, &points, &endings, global);
        match (global.json, global.quiet) {
            (true, _) => output.json(&summary),
            (false, true) => Ok(()),
            (false, false) => self.print(&summary, best, &tune, output),
        }
    }

    fn warn(
        &self,
        summary: &TuneSummary,
        tune: &Tune,
        points: &[PointResult],
        endings: &[Ending],
        global: &Global,
    ) {
        let mut warnings = Vec::new();
        if let Some(failure) = points.iter().find_map(|point| point.failure()) {
            warnings.push(format!(
                "{} of {} failed and count as the worst; the first: {failure}",
                counted(summary.failed as u64, "point"),
                points.len()
            ));
        } else if summary.failed > 0 {
            warnings.push(format!(
                "{} of {} have no `{}` and count as the worst",
                counted(summary.failed as u64, "point"),
                points.len(),
                tune.metric
            ));
        }
        let exhausted = endings.iter().filter(|ending| **ending == Ending::Exhausted).count();
        if exhausted > 0 {
            warnings.push(format!(
                "the search ended after {}, before it converged: raise `evaluations`, and the same command goes on",
                counted(summary.evaluations as u64, "point")
            ));
        }
        let (sweep, ran) = TuneResults::new(tune, points).as_sweep();
        for name in SweepResults::new(&sweep, &ran).unknown_metrics() {
            warnings.push(format!("no run has a metric `{name}`"));
        }
        let flat = endings.iter().filter(|ending| **ending == Ending::Flat).count();
        if flat > 0 {
            warnings.push(format!(
                "the metric is the same all around {}: narrower bounds, scale = \"logarithmic\" or more `starts` help",
                counted(flat as u64, "start")
            ));
        }
        for key in &summary.at_bounds {
            warnings
                .push(format!("the best value of `{key}` is a bound: wider bounds may have a better one"));
        }
        if let (Some(target), Some(best)) = (summary.target, &summary.best)
            && (best.metric.mean - target).abs() > 0.01 * target.abs()
        {
            warnings.push(format!(
                "{} does not reach {target}: {} is the nearest",
                tune.metric,
                significant(best.metric.mean)
            ));
        }
        global.warn(&warnings);
    }

    fn print(
        &self,
        summary: &TuneSummary,
        best: &Best,
        tune: &Tune,
        output: &mut Output,
    ) -> Result<(), CliError> {
        output.line(format_args!(
            "{}: {} = {}{} at the best of {}",
            summary.tune,
            summary.metric,
            significant(best.metric.mean),
            match best.metric.half_width {
                Some(half_width) => format!(" ± {} (95 %)", significant(half_width)),
                None => String::new(),
            },
            counted(summary.evaluations as u64, "point"),
        ))?;
        for (key, value) in &best.values {
            output.line(format_args!("  {key} = {}", Parameter::label(value)))?;
        }
        let values = best.values.iter().map(|(key, value)| format!("{key}={value}"));
        let set =
            tune.overrides().iter().cloned().chain(values).map(|set| format!(" --set {}", in_shell(&set)));
        let scenario = in_shell(&tune.scenario().display().to_string());
        let set: String = set.collect();
        output.line(format_args!("\nrun it, with the scenario's own seed: taunet run {scenario}{set}"))?;
        let extension = self.format.extension();
        output.line(format_args!(
            "written to {0}: open {0}/report.html; tables: evaluations.{extension}, results.{extension}",
            summary.directory.display()
        ))
    }
}

/// Why no point has the metric.
fn no_metric(tune: &Tune, points: &[PointResult]) -> String {
    if let Some(failure) = points.iter().find_map(|point| point.failure()) {
        let middle: Vec<String> = tune
            .bounds
            .iter()
            .map(|bound| format!("{} = {}", bound.key, Parameter::label(&bound.value(0.5))))
            .collect();
        return format!(
            "no point where the search began could be run, neither the middle of the bounds ({}) nor random ones: {failure}",
            middle.join(", ")
        );
    }
    let done = points.iter().flat_map(|point| &point.ran).find_map(|ran| ran.done());
    let known = done.map(|done| metrics(&done.summary)).unwrap_or_default();
    let near = match nearest(&tune.metric, known.keys().map(String::as_str)) {
        Some(near) => did_you_mean(near),
        None => {
            let some: Vec<&str> = known.keys().map(String::as_str).take(LISTED).collect();
            format!("there are {}, ...", some.join(", "))
        }
    };
    format!("no run has a metric `{}`; {near}", tune.metric)
}

/// How a search shows how far it is.
enum Points {
    Silent,
    Lines,
    Drawn(ProgressBar),
}

impl Points {
    fn new(global: &Global, name: &str) -> Self {
        if global.verbose {
            return Points::Lines;
        }
        if !global.draws_progress() {
            return Points::Silent;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {prefix}: {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Points::Drawn(bar)
    }

    fn show(&mut self, progress: TuneProgress) {
        let text = || {
            let best = progress
                .best
                .map_or(String::new(), |best| format!(", the best metric {}", significant(best)));
            format!(
                "{} of at most {} points{best}",
                count(progress.points as u64),
                count(progress.at_most as u64)
            )
        };
        match self {
            Points::Silent => {}
            Points::Lines => to_stderr(&text()),
            Points::Drawn(bar) => bar.set_message(text()),
        }
    }

    fn clear(&mut self) {
        if let Points::Drawn(bar) = self {
            bar.finish_and_clear();
        }
    }
}
