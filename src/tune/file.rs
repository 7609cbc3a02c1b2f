//! A tune file, resolved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::bounds::Bound;
use crate::config::{ConfigError, Document, FileKind, Spanned, find_file};
use crate::sweep::{NAMES, Parameter, SEEDS, Sweep, VaryTable, seeds, sets_seed, wrong_name};

/// The most points of a search.
const MOST_EVALUATIONS: u32 = 100_000;

/// A tune file: a scenario, parameters between bounds, and what they are to make best.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TuneFile {
    /// The name of the search (default: that of the file).
    pub name: Option<String>,
    /// The scenario, relative to this file.
    #[schemars(with = "PathBuf")]
    pub scenario: Spanned<PathBuf>,
    /// The seed from which the seeds of the replications and the places of further starts are drawn (default: 0).
    #[serde(default)]
    pub seed: u64,
    /// How often each point is run, each time with another seed; the metric is the mean (default: 1).
    #[serde(default = "one")]
    #[schemars(with = "u32")]
    pub replications: Spanned<u32>,
    /// Searches from so many places: the middle of the bounds, then random ones (default: 1).
    #[serde(default = "one")]
    #[schemars(with = "u32")]
    pub starts: Spanned<u32>,
    /// The most points that are run from each start (default: 100).
    #[serde(default = "hundred")]
    #[schemars(with = "u32")]
    pub evaluations: Spanned<u32>,
    /// The metrics in the table of results, by their names (default: all that the summary has).
    #[serde(default)]
    pub metrics: Vec<String>,
    /// What is wanted.
    #[schemars(with = "ObjectiveFile")]
    pub objective: Spanned<ObjectiveFile>,
    /// The parameters: keys of the scenario, as --set takes them, each with { from, to } and optionally step and scale.
    #[schemars(with = "BTreeMap<String, BTreeMap<String, serde_json::Value>>")]
    pub bounds: Spanned<VaryTable>,
}

/// What a search is for.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveFile {
    /// A number of the run's summary, by its name, such as "delay_s.p99".
    pub metric: String,
    /// Whether it is to be small or large (default: "minimize").
    pub goal: Option<Goal>,
    /// The value that it is to have, instead of `goal`.
    pub target: Option<f64>,
}

/// In which direction a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// The smaller the better.
    Minimize,
    /// The larger the better.
    Maximize,
}

fn one() -> Spanned<u32> {
    Spanned::new(0..0, 1)
}

fn hundred() -> Spanned<u32> {
    Spanned::new(0..0, 100)
}

/// What a search is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// The smallest value.
    Smallest,
    /// The largest value.
    Largest,
    /// The value nearest to this one.
    Nearest(f64),
}

impl Objective {
    /// How far from the best a metric is: the smaller, the better.
    pub fn cost(self, metric: f64) -> f64 {
        match self {
            Objective::Smallest => metric,
            Objective::Largest => -metric,
            Objective::Nearest(target) => (metric - target).abs(),
        }
    }
}

/// A resolved tune file.
#[derive(Debug, Clone)]
pub struct Tune {
    /// The runs of a point: the scenario with its seeds, and a parameter for each of `bounds`, without values.
    pub(super) sweep: Sweep,
    /// The bounds of each parameter.
    pub bounds: Vec<Bound>,
    /// The metric.
    pub metric: String,
    /// What it is to be.
    pub objective: Objective,
    /// Searches, each from another place.
    pub starts: usize,
    /// The most points of each.
    pub evaluations: usize,
    /// The seed of the places.
    pub(super) seed: u64,
}

impl Tune {
    /// Reads a tune file; `overrides` are changes to the scenario for all runs.
    ///
    /// # Errors
    /// Every mistake in the file, with its place. The scenario is only looked for.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let document = Document::read(path)?;
        document.must_be(FileKind::Tune)?;
        let file: TuneFile = document.deserialize()?;
        let mut errors = Vec::new();
        let scenario = path.parent().unwrap_or(Path::new("")).join(file.scenario.get_ref());
        if let Err((message, help)) = find_file(&scenario) {
            errors.push(document.error(file.scenario.span(), message).with_help(help));
        }
        if let Some(set) = overrides.iter().find(|set| sets_seed(set)) {
            let message = format!("--set {set} changes nothing: the seeds are those of the replications");
            errors.push(document.error(0..0, message).with_help(SEEDS.to_owned()));
        }
        if let Some(message) = file.name.as_deref().and_then(wrong_name) {
            errors.push(
                document.error(document.span_in_table("", "name"), message).with_help(NAMES.to_owned()),
            );
        }
        let mut wrong = |span, message: String, help: &str| {
            errors.push(document.error(span, message).with_help(help.to_owned()));
        };
        let counts = [
            (&file.replications, "replications", MOST_EVALUATIONS),
            (&file.starts, "starts", 10_000),
            (&file.evaluations, "evaluations", MOST_EVALUATIONS),
        ];
        for (count, name, most) in counts {
            if !(1..=most).contains(count.get_ref()) {
                let message = format!("{} {name} are out of range", count.get_ref());
                wrong(count.span(), message, &format!("write 1 to {most}"));
            }
        }
        let objective = match (file.objective.get_ref().goal, file.objective.get_ref().target) {
            (Some(_), Some(_)) => {
                let message = "a metric has a `goal` or a `target`, not both".to_owned();
                wrong(file.objective.span(), message, "leave one of them out");
                Objective::Smallest
            }
            (None | Some(Goal::Minimize), None) => Objective::Smallest,
            (Some(Goal::Maximize), None) => Objective::Largest,
            (None, Some(target)) if target.is_finite() => Objective::Nearest(target),
            (None, Some(target)) => {
                let message = format!("{target} is no target");
                wrong(file.objective.span(), message, "write a number");
                Objective::Smallest
            }
        };
        let mut bounds: Vec<Bound> = Vec::new();
        for (key, value) in
            file.bounds.get_ref().leaves(|table| table.one("from").or(table.one("to")).is_some())
        {
            if key == "seed" {
                let message = "the seeds are those of the replications".to_owned();
                wrong(value.span(), message, SEEDS);
            }
            let is_set = |set: &&String| set.split('=').next().is_some_and(|path| path.trim() == key);
            if let Some(set) = overrides.iter().find(is_set) {
                let message = format!("`{key}` has bounds, and --set {set} fixes it");
                wrong(value.span(), message, "leave one of them out");
            }
            if bounds.iter().any(|bound| bound.key == key) {
                let message = format!("`{key}` has bounds twice");
                wrong(value.span(), message, "leave one of them out");
            }
            match Bound::read(key, value.get_ref()) {
                Ok(bound) => bounds.push(bound),
                Err((message, help)) => wrong(value.span(), message, help),
            }
        }
        if bounds.is_empty() && errors.is_empty() {
            let message = "no parameter has bounds".to_owned();
            let help =
                "write for example \"topology.link.0.bandwidth\" = { from = \"1 Mbps\", to = \"20 Mbps\" }";
            errors.push(document.error(file.bounds.span(), message).with_help(help.to_owned()));
        }
        if let Some(error) = ConfigError::all(errors) {
            return Err(error);
        }
        let stem = path.file_stem().map_or("tune".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let parameter = |bound: &Bound| Parameter { key: bound.key.clone(), values: Vec::new() };
        let sweep = Sweep {
            name: file.name.unwrap_or(stem),
            scenario,
            file: path.to_owned(),
            seeds: seeds(file.seed, *file.replications.get_ref()),
            tables: Vec::new(),
            metrics: file.metrics,
            parameters: bounds.iter().map(parameter).collect(),
            axes: (0..bounds.len()).map(|place| place..place + 1).collect(),
            points: Vec::new(),
            stop: None,
            overrides: overrides.to_vec(),
        };
        Ok(Tune {
            sweep,
            bounds,
            metric: file.objective.get_ref().metric.clone(),
            objective,
            starts: *file.starts.get_ref() as usize,
            evaluations: *file.evaluations.get_ref() as usize,
            seed: file.seed,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.sweep.name
    }

    /// The file that it was read from.
    pub fn file(&self) -> &Path {
        &self.sweep.file
    }

    /// The changes of the command line.
    pub fn overrides(&self) -> &[String] {
        &self.sweep.overrides
    }

    /// The scenario.
    pub fn scenario(&self) -> &Path {
        &self.sweep.scenario
    }

    /// The runs of each point.
    pub fn replications(&self) -> usize {
        self.sweep.seeds.len()
    }

    /// The values in the middle of the bounds, as a sweep of one point.
    pub fn middle(&self) -> Sweep {
        self.at(&self.bounds.iter().map(|bound| bound.value(0.5)).collect::<Vec<_>>())
    }

    /// The runs of one point, as a sweep.
    pub(super) fn at(&self, values: &[String]) -> Sweep {
        let mut sweep = self.sweep.clone();
        for (parameter, value) in sweep.parameters.iter_mut().zip(values) {
            parameter.values = vec![value.clone()];
        }
        sweep.points = vec![vec![0; values.len()]];
        sweep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Tune, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), "").unwrap();
        let path = folder.path().join("tune.toml");
        std::fs::write(&path, text).unwrap();
        Tune::load(&path, &["until=\"1 s\"".to_owned()]).map_err(|error| error.to_string())
    }

    const OBJECTIVE: &str = "[objective]\nmetric = \"delay_s.mean\"\ntarget = 0.002\n";

    #[test]
    fn a_file_is_resolved() {
        let text = format!(
            "scenario = \"s.toml\"\nreplications = 3\n{OBJECTIVE}[bounds]\n\"a.b\" = {{ from = 1, to = 3 }}\nc.d = {{ from = 1.0, to = 2.0 }}\n"
        );
        let tune = load(&text).unwrap();
        assert_eq!((tune.name(), tune.replications(), tune.starts, tune.evaluations), ("tune", 3, 1, 100));
        assert_eq!(tune.objective.cost(0.0015), 0.0005);
        let jobs: Vec<_> = tune.middle().jobs().collect();
        assert_eq!(jobs.len(), 3);
        assert_eq!(jobs[0].overrides, ["a.b=2", "c.d=1.5"]);
    }

    #[test]
    fn each_mistake_is_told() {
        let message = |text: &str| load(&format!("scenario = \"s.toml\"\n{text}")).unwrap_err();
        let of_bounds = |bounds: &str| message(&format!("{OBJECTIVE}[bounds]\n{bounds}"));
        assert!(of_bounds("").contains("no parameter has bounds"));
        assert!(of_bounds("a = [1, 2]").contains("`a` has no bounds"));
        assert!(of_bounds("seed = { from = 1, to = 2 }").contains("the seeds are those of the replications"));
        assert!(
            of_bounds("until = { from = \"1 s\", to = \"2 s\" }").contains("--set until=\"1 s\" fixes it")
        );
        assert!(of_bounds("a = { from = 2, to = 1 }").contains("not below"));
        assert!(
            of_bounds("\"a.b\" = { from = 1, to = 2 }\na.b = { from = 1, to = 2 }").contains("bounds twice")
        );
        let bounds = "[bounds]\na = { from = 1, to = 2 }";
        assert!(message(&format!("starts = 0\n{OBJECTIVE}{bounds}")).contains("0 starts are out of range"));
        assert!(
            message(&format!("[objective]\nmetric = \"x\"\ntarget = 1\ngoal = \"minimize\"\n{bounds}"))
                .contains("not both")
        );
        assert!(
            load(&format!("scenario = \"none.toml\"\n{OBJECTIVE}{bounds}"))
                .unwrap_err()
                .contains("no such file")
        );
    }
}
