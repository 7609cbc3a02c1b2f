//! A sweep file, resolved into the jobs that it asks for.

use std::ops::Range;
use std::path::{Path, PathBuf};

use rand::Rng;
use schemars::JsonSchema;
use serde::Deserialize;

use super::vary::{Parameter, VaryTable};
use crate::config::{ConfigError, Document, FileKind, Registry, Spanned, find_file};
use crate::random::stream;
use crate::record::TABLES;
use crate::scenario::Scenario;

/// The most jobs of a sweep.
const MOST_JOBS: u64 = 1_000_000;

/// A sweep file: a scenario that is run with many values of its keys, and several times with each.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SweepFile {
    /// The name of the sweep (default: that of the file).
    pub name: Option<String>,
    /// The scenario, relative to this file.
    #[schemars(with = "PathBuf")]
    pub scenario: Spanned<PathBuf>,
    /// The seed from which the seeds of the replications are drawn (default: 0).
    #[serde(default)]
    pub seed: u64,
    /// How often each combination of values is run, each time with another seed (default: 1). With `[stop]`, at most so often.
    #[serde(default = "one")]
    #[schemars(with = "u32")]
    pub replications: Spanned<u32>,
    /// The tables that are kept of each job, such as ["flows"] (default: none).
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub tables: Vec<Spanned<String>>,
    /// The metrics of the results, by their names (default: all that the summary has).
    #[serde(default)]
    pub metrics: Vec<String>,
    /// The keys that vary. Every combination of their values is run.
    #[serde(default)]
    pub vary: VaryTable,
    /// Keys whose values are taken together: the first of each, the second of each, and so on.
    #[serde(default)]
    #[schemars(with = "Vec<VaryTable>")]
    pub zip: Vec<Spanned<VaryTable>>,
    /// Ends the replications of a combination early.
    pub stop: Option<StopFile>,
}

/// Replications of a combination end when a metric's mean is known well enough.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopFile {
    /// The metric.
    pub metric: String,
    /// The half-width of the confidence interval of its mean, relative to the mean.
    #[schemars(with = "f64")]
    pub relative_half_width: Spanned<f64>,
    /// The confidence (default: 0.95).
    #[serde(default = "confidence")]
    #[schemars(with = "f64")]
    pub confidence: Spanned<f64>,
    /// The fewest replications (default: 3).
    #[serde(default = "three")]
    #[schemars(with = "u32")]
    pub at_least: Spanned<u32>,
}

fn one() -> Spanned<u32> {
    Spanned::new(0..0, 1)
}

fn three() -> Spanned<u32> {
    Spanned::new(0..0, 3)
}

fn confidence() -> Spanned<f64> {
    Spanned::new(0..0, 0.95)
}

/// A resolved sweep.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Its name.
    pub name: String,
    /// The scenario.
    pub scenario: PathBuf,
    /// The file that it was read from.
    pub file: PathBuf,
    /// The seeds of the replications.
    pub seeds: Vec<u64>,
    /// The tables that are kept of each job.
    pub tables: Vec<String>,
    /// The metrics that are wanted; all of them where there is none.
    pub metrics: Vec<String>,
    /// The parameters, in the order of the file.
    pub parameters: Vec<Parameter>,
    /// The parameters that change together, by their places: one of `[vary]`, or those of a `[[zip]]`.
    pub axes: Vec<Range<usize>>,
    /// The combinations of values: for each parameter the place of its value. The last parameter varies fastest.
    pub points: Vec<Vec<usize>>,
    /// When replications end early.
    pub stop: Option<Stop>,
    /// Changes of the command line, which hold for all jobs; paths in them are relative to the current directory.
    pub overrides: Vec<String>,
}

/// When the replications of a combination end.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// The metric.
    pub metric: String,
    /// The half-width of its interval, relative to the mean.
    pub relative_half_width: f64,
    /// The confidence.
    pub confidence: f64,
    /// The fewest replications.
    pub at_least: usize,
}

/// One run of a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The combination of values, by number.
    pub point: usize,
    /// The replication, from 0.
    pub replication: usize,
    /// Its seed: that of the replication, whatever the point. Points differ by their values alone (common random numbers).
    pub seed: u64,
    /// The values: changes to the scenario.
    pub overrides: Vec<String>,
}

impl Sweep {
    /// Reads a sweep file; `overrides` are changes to the scenario for all jobs.
    ///
    /// # Errors
    /// Every mistake in the file, with its place. The scenario is only looked for.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let document = Document::read(path)?;
        document.must_be(FileKind::Sweep)?;
        let file: SweepFile = document.deserialize()?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut reader = Reader { document: &document, errors: Vec::new(), overrides };
        let scenario = folder.join(file.scenario.get_ref());
        if let Err((message, help)) = find_file(&scenario) {
            reader.errors.push(document.error(file.scenario.span(), message).with_help(help));
        }
        if let Some(set) = overrides.iter().find(|set| sets_seed(set)) {
            let message =
                format!("--set {set} changes nothing: the seeds of a sweep are those of its replications");
            reader.wrong(0..0, message, SEEDS);
        }
        if let Some(message) = file.name.as_deref().and_then(wrong_name) {
            reader.wrong(document.span_in_table("", "name"), message, NAMES);
        }
        let axes = reader.axes(&file);
        let replications = reader.replications(&file.replications);
        let tables = reader.tables(&file.tables);
        let stop = file.stop.as_ref().map(|stop| reader.stop(stop, &file.metrics));
        let jobs = axes.iter().fold(u64::from(replications), |jobs, axis| {
            jobs.saturating_mul(axis.first().map_or(1, |parameter| parameter.values.len() as u64))
        });
        if jobs > MOST_JOBS {
            let message = format!("these are {jobs} runs, more than {MOST_JOBS}");
            reader.wrong(0..0, message, "take fewer values, or split the sweep into several files");
        }
        if let Some(error) = ConfigError::all(reader.errors) {
            return Err(error);
        }
        let stem = path.file_stem().map_or("sweep".to_owned(), |stem| stem.to_string_lossy().into_owned());
        Ok(Sweep {
            name: file.name.unwrap_or(stem),
            scenario,
            file: path.to_owned(),
            seeds: seeds(file.seed, replications),
            tables,
            metrics: file.metrics,
            points: points(&axes),
            axes: places(&axes),
            parameters: axes.into_iter().flatten().collect(),
            stop,
            overrides: overrides.to_vec(),
        })
    }

    /// The runs of one replication: one per point.
    pub fn jobs_of(&self, replication: usize) -> impl Iterator<Item = Job> + '_ {
        let seed = self.seeds[replication];
        self.points.iter().enumerate().map(move |(point, values)| {
            let set = self.parameters.iter().zip(values);
            let set = set.map(|(parameter, place)| format!("{}={}", parameter.key, parameter.values[*place]));
            Job { point, replication, seed, overrides: set.collect() }
        })
    }

    /// The scenario of a job.
    ///
    /// # Errors
    /// Every mistake in the scenario and its topology, as the job's values make them.
    pub fn scenario(&self, job: &Job, registry: &Registry) -> Result<Scenario, ConfigError> {
        let mut document = Document::read(&self.scenario)?.with(registry);
        document.must_be(FileKind::Scenario)?;
        document.set_from_shell(&self.overrides)?;
        document.set_all_of(&format!("values of {}", self.file.display()), &job.overrides)?;
        Scenario::from_document(&document, &self.scenario, Some(job.seed))
    }

    /// All changes to the scenario of a job.
    pub(super) fn overrides_of(&self, job: &Job) -> Vec<String> {
        self.overrides.iter().chain(&job.overrides).cloned().collect()
    }

    /// A parameter's value at a point, as it stands in TOML.
    pub fn value(&self, point: usize, parameter: usize) -> &str {
        &self.parameters[parameter].values[self.points[point][parameter]]
    }

    /// The values of a point in words: `load = 0.5, kind = red`.
    pub fn words(&self, point: usize) -> String {
        let of = |place: usize| {
            format!("{} = {}", self.parameters[place].key, Parameter::label(self.value(point, place)))
        };
        match self.parameters.len() {
            0 => "the scenario as it is".to_owned(),
            count => (0..count).map(of).collect::<Vec<_>>().join(", "),
        }
    }

    /// All runs, replication by replication.
    pub fn jobs(&self) -> impl Iterator<Item = Job> + '_ {
        (0..self.seeds.len()).flat_map(|replication| self.jobs_of(replication))
    }
}

/// What to write for seeds.
pub(crate) const SEEDS: &str = "write `replications`, and `seed` at the top of the file";

/// What to write for a name.
pub(crate) const NAMES: &str =
    "write letters, digits, spaces, dots and hyphens; --out names another directory";

/// Whether a change of the command line sets the scenario's seed.
pub(crate) fn sets_seed(set: &str) -> bool {
    set.split('=').next().is_some_and(|path| path.trim() == "seed")
}

/// Why a name cannot be that of a directory.
pub(crate) fn wrong_name(name: &str) -> Option<String> {
    let is_bad = |c: char| c.is_control() || "/\\:".contains(c);
    let message = format!("{name:?} cannot be the name of a directory");
    (name.trim().is_empty() || name.starts_with(['.', '-']) || name.contains(is_bad)).then_some(message)
}

/// The seeds of so many replications.
pub(crate) fn seeds(seed: u64, replications: u32) -> Vec<u64> {
    // TOML can hold each of them.
    let of = |replication: u32| stream(seed, "replication", &replication.to_string()).next_u64() >> 1;
    (0..replications).map(of).collect()
}

/// Every combination of the values of axes, the last varying fastest. Parameters of one axis go together.
fn points(axes: &[Vec<Parameter>]) -> Vec<Vec<usize>> {
    let mut points: Vec<Vec<usize>> = vec![Vec::new()];
    for axis in axes {
        let count = axis.first().map_or(1, |parameter| parameter.values.len());
        let longer = |point: &Vec<usize>| {
            let point = point.clone();
            (0..count).map(move |place| point.iter().copied().chain(axis.iter().map(|_| place)).collect())
        };
        points = points.iter().flat_map(longer).collect();
    }
    points
}

/// The places of the parameters of each axis.
fn places(axes: &[Vec<Parameter>]) -> Vec<Range<usize>> {
    let mut next = 0;
    let place = |axis: &Vec<Parameter>| {
        let first = next;
        next += axis.len();
        first..next
    };
    axes.iter().map(place).collect()
}

struct Reader<'a> {
    document: &'a Document,
    errors: Vec<ConfigError>,
    /// Changes of the command line.
    overrides: &'a [String],
}

impl Reader<'_> {
    fn wrong(&mut self, span: Range<usize>, message: String, help: &str) {
        self.errors.push(self.document.error(span, message).with_help(help.to_owned()));
    }

    /// Each parameter of `[vary]`, and those of each `[[zip]]` together.
    fn axes(&mut self, file: &SweepFile) -> Vec<Vec<Parameter>> {
        let mut axes = Vec::new();
        let mut known: Vec<String> = Vec::new();
        let tables = [(&file.vary, false)].into_iter();
        for (table, is_zip) in tables.chain(file.zip.iter().map(|zip| (zip.get_ref(), true))) {
            let found = match table.parameters() {
                Ok(found) => found,
                Err((span, message, help)) => {
                    self.wrong(span, message, help);
                    continue;
                }
            };
            for (parameter, span) in &found {
                if known.contains(&parameter.key) {
                    let message = format!("`{}` varies twice", parameter.key);
                    self.wrong(span.clone(), message, "give all of its values in one place");
                }
                known.push(parameter.key.clone());
                self.check_parameter(parameter, span);
            }
            if is_zip && found.is_empty() {
                let span = file.zip.iter().map(Spanned::span).next().unwrap_or(0..0);
                self.wrong(span, "this [[zip]] has no keys".to_owned(), "give two keys or more their values");
                continue;
            }
            if let (true, Some(((first, _), rest))) = (is_zip, found.split_first())
                && let Some((other, span)) =
                    rest.iter().find(|(other, _)| other.values.len() != first.values.len())
            {
                let message = format!(
                    "`{}` has {} values and `{}` has {}",
                    first.key,
                    first.values.len(),
                    other.key,
                    other.values.len()
                );
                self.wrong(span.clone(), message, "keys of one [[zip]] have equally many values");
            }
            match is_zip {
                true => axes.push(found.into_iter().map(|(parameter, _)| parameter).collect()),
                false => axes.extend(found.into_iter().map(|(parameter, _)| vec![parameter])),
            }
        }
        axes
    }

    /// Refuses what no sweep can vary: its own seeds, a key that the command line sets, a value that stands twice.
    fn check_parameter(&mut self, parameter: &Parameter, span: &Range<usize>) {
        let key = &parameter.key;
        if key == "seed" {
            let message = "the seeds of a sweep are those of its replications".to_owned();
            self.wrong(span.clone(), message, SEEDS);
        }
        let is_set = |set: &&String| set.split('=').next().is_some_and(|path| path.trim() == key);
        if let Some(set) = self.overrides.iter().find(is_set) {
            self.wrong(
                span.clone(),
                format!("`{key}` varies, and --set {set} fixes it"),
                "leave one of them out",
            );
        }
        let mut values = parameter.values.iter();
        while let Some(value) = values.next() {
            if values.clone().any(|other| other == value) {
                self.wrong(
                    span.clone(),
                    format!("`{key}` has the value {value} twice"),
                    "leave one of them out",
                );
            }
        }
    }

    fn replications(&mut self, count: &Spanned<u32>) -> u32 {
        match *count.get_ref() {
            0 => {
                self.wrong(count.span(), "no replication is no run".to_owned(), "write 1 or more");
                1
            }
            count => count,
        }
    }

    fn tables(&mut self, names: &[Spanned<String>]) -> Vec<String> {
        for name in names.iter().filter(|name| !TABLES.contains(&name.get_ref().as_str())) {
            let message = format!("there is no table `{}`", name.get_ref());
            self.wrong(name.span(), message, &format!("there are {}", TABLES.join(", ")));
        }
        names.iter().map(|name| name.get_ref().clone()).collect()
    }

    fn stop(&mut self, file: &StopFile, metrics: &[String]) -> Stop {
        let (width, confidence) = (*file.relative_half_width.get_ref(), *file.confidence.get_ref());
        if !(width > 0.0 && width.is_finite()) {
            let message = format!("{width} is not a relative half-width");
            self.wrong(file.relative_half_width.span(), message, "write a number above 0, such as 0.05");
        }
        if !(confidence > 0.0 && confidence < 1.0) {
            let message = format!("{confidence} is not a confidence");
            self.wrong(file.confidence.span(), message, "write a number between 0 and 1, such as 0.95");
        }
        if *file.at_least.get_ref() < 2 {
            let message = "an interval needs at least 2 replications".to_owned();
            self.wrong(file.at_least.span(), message, "write 2 or more");
        }
        if !metrics.is_empty() && !metrics.contains(&file.metric) {
            let message = format!("[stop] watches `{}`, which is not among the `metrics`", file.metric);
            self.wrong(file.relative_half_width.span(), message, "add it there");
        }
        Stop {
            metric: file.metric.clone(),
            relative_half_width: width,
            confidence,
            at_least: *file.at_least.get_ref() as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Sweep, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), "").unwrap();
        let path = folder.path().join("sweep.toml");
        std::fs::write(&path, text).unwrap();
        Sweep::load(&path, &["warm_up=\"1 s\"".to_owned()]).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_crossed_and_zipped() {
        let sweep = load(
            "scenario = \"s.toml\"\nseed = 3\nreplications = 2\n[vary]\na = [1, 2]\n[[zip]]\nb = [\"x\", \"y\"]\nc = [true, false]\n",
        )
        .unwrap();
        assert_eq!(sweep.name, "sweep");
        let jobs: Vec<Job> = sweep.jobs().collect();
        assert_eq!(jobs.len(), 8);
        assert_eq!(sweep.overrides_of(&jobs[1]), ["warm_up=\"1 s\"", "a=1", "b=\"y\"", "c=false"]);
        assert_eq!(jobs[2].overrides, ["a=2", "b=\"x\"", "c=true"]);
        // Common random numbers: the seed is the replication's.
        assert!(jobs[..4].iter().all(|job| job.seed == jobs[0].seed));
        assert!(jobs[4..].iter().all(|job| job.seed == jobs[4].seed) && jobs[4].seed != jobs[0].seed);
        assert!(jobs[0].seed <= i64::MAX as u64);
    }

    #[test]
    fn each_mistake_is_told() {
        let message = |text: &str| load(&format!("scenario = \"s.toml\"\n{text}")).unwrap_err();
        assert!(message("[[zip]]\n").contains("this [[zip]] has no keys"));
        assert!(message("name = \"../a\"").contains("cannot be the name of a directory"));
        assert!(load("scenario = \"none.toml\"").unwrap_err().contains("no such file"));
        assert!(message("replications = 0").contains("no replication is no run"));
        assert!(message("tables = [\"flow\"]").contains("there is no table `flow`"));
        assert!(message("[vary]\na = [1]\n[[zip]]\na = [2]").contains("`a` varies twice"));
        assert!(message("[[zip]]\na = [1]\nb = [2, 3]").contains("`a` has 1 values and `b` has 2"));
        assert!(message("[vary]\na = 1").contains("`a` is one value, 1"));
        assert!(message("[vary]\na = [1, 2, 1]").contains("`a` has the value 1 twice"));
        assert!(
            message("[vary]\nseed = [1, 2]").contains("the seeds of a sweep are those of its replications")
        );
        assert!(message("[vary]\nwarm_up = [\"2 s\"]").contains("`warm_up` varies, and --set"));
        assert!(message("replications = 4294967295\n[vary]\na = [1, 2]").contains("more than 1000000"));
        let stop = |keys: &str| message(&format!("[stop]\nmetric = \"loss_ratio\"\n{keys}"));
        assert!(stop("relative_half_width = 0").contains("not a relative half-width"));
        assert!(stop("relative_half_width = 0.1\nconfidence = 1.0").contains("not a confidence"));
        assert!(stop("relative_half_width = 0.1\nat_least = 1").contains("at least 2 replications"));
    }
}
