//! A training file: the data and the settings of a training.

use std::ops::Range;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::trace::Trace;
use crate::config::{ConfigError, Document, FileKind, Spanned, find_file, listed};
use crate::ptm::neural::NeuralClass;
use crate::ptm::neural::residual::Pace;
use crate::scenario::Scenario;
use crate::topology::PortName;
use crate::units::Rate;

/// A training file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "taunet training")]
pub struct TrainingFile {
    /// The architecture (default: residual).
    #[serde(default)]
    pub architecture: ArchitectureKind,
    /// The seed of the training (default: 1).
    #[serde(default = "one")]
    pub seed: u64,
    /// The classes that the model distinguishes, in order (default: one queue).
    #[serde(default)]
    pub class: Vec<NeuralClass>,
    /// The bottleneck (default: estimated from the training data).
    #[serde(default)]
    pub pace: Option<Pace>,
    /// How each source of data is divided into parts by time.
    #[serde(default)]
    pub split: Split,
    /// The settings of the training.
    #[serde(default)]
    pub training: TrainingPlan,
    /// The data.
    #[schemars(with = "Vec<DataFile>")]
    pub data: Vec<Spanned<DataFile>>,
}

fn one() -> u64 {
    1
}

/// An architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ArchitectureKind {
    /// Corrections to a mechanistic estimate.
    #[default]
    Residual,
    /// The published DeepQueueNet network.
    DeepQueueNet,
}

impl ArchitectureKind {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            ArchitectureKind::Residual => "residual",
            ArchitectureKind::DeepQueueNet => "deepqueuenet",
        }
    }
}

/// How data are divided by time. The packets after both parts are the test part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The fraction of the packets to train on, from the first (default: 0.6).
    #[serde(default = "six_tenths")]
    pub train: f64,
    /// The fraction after that for validation, which decides when to stop (default: 0.2).
    #[serde(default = "two_tenths")]
    pub validation: f64,
}

impl Default for Split {
    fn default() -> Self {
        Split { train: six_tenths(), validation: two_tenths() }
    }
}

fn six_tenths() -> f64 {
    0.6
}

fn two_tenths() -> f64 {
    0.2
}

/// The settings of the training of a network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingPlan {
    /// Maximum number of passes over the training data.
    pub epochs: u32,
    /// Number of passes without a decrease of the validation loss after which the learning rate is decreased.
    /// The training ends at the fifth such decrease, that of `deepqueuenet` at the first.
    pub patience: u32,
    /// `residual`: number of outputs of each hidden layer.
    pub hidden: usize,
    /// `residual`: number of values in the recurrent state.
    pub recurrent: usize,
    /// `residual`: number of parallel streams into which the data are divided.
    pub streams: usize,
    /// `residual`: number of packets of each stream for truncated backpropagation.
    pub steps: usize,
    /// The initial learning rate (default: 0.003; `deepqueuenet`: 0.001, as published).
    pub learning_rate: Option<f64>,
    /// `deepqueuenet`: number of windows of packets per pass.
    pub windows_per_epoch: usize,
}

impl Default for TrainingPlan {
    fn default() -> Self {
        TrainingPlan {
            epochs: 40,
            patience: 2,
            hidden: 32,
            recurrent: 16,
            streams: 128,
            steps: 32,
            learning_rate: None,
            windows_per_epoch: 10_000,
        }
    }
}

/// A source of data: captures, a scenario, or a DeepQueueNet table.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// The name (default: the name of its file).
    #[serde(default)]
    pub name: Option<String>,
    /// Captures of every ingress port and the egress port of a device.
    #[serde(default)]
    pub captures: Option<CapturesFile>,
    /// A scenario, whose exact disciplines are learned.
    #[serde(default)]
    #[schemars(with = "Option<PathBuf>")]
    pub scenario: Option<Spanned<PathBuf>>,
    /// With `scenario`: the egress ports that are learned.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub ports: Vec<Spanned<PortName>>,
    /// With `scenario`: values to set in it, as by `--set` of `taunet run`.
    #[serde(default)]
    pub set: Vec<String>,
    /// A DeepQueueNet table, with `timestamp (sec)`, `pkt len (byte)`, `priority`, `src`, `dst` and
    /// `time_in_sys`. The priority is used as the DSCP.
    #[serde(default)]
    #[schemars(with = "Option<PathBuf>")]
    pub deepqueuenet: Option<Spanned<PathBuf>>,
    /// With `deepqueuenet`: the rate of the ports.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// The use of the data (default: all parts, by time).
    #[serde(default)]
    pub part: PartOfData,
    /// The device that the data belong to, if the model learns several devices.
    #[serde(default)]
    pub context: Option<String>,
}

/// The captures around a device.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CapturesFile {
    /// The captures of the ingress ports.
    #[schemars(with = "Vec<PathBuf>")]
    pub ingress: Vec<Spanned<PathBuf>>,
    /// The capture behind the egress port.
    #[schemars(with = "PathBuf")]
    pub egress: Spanned<PathBuf>,
}

/// The use of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartOfData {
    /// Divided by time.
    #[default]
    ByTime,
    /// For training; the end of the data is used for validation.
    Train,
    /// For the test only.
    Test,
}

impl PartOfData {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            PartOfData::ByTime => "by-time",
            PartOfData::Train => "train",
            PartOfData::Test => "test",
        }
    }
}

/// A part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// For training.
    Train,
    /// For deciding when to stop.
    Validation,
    /// Never used in training.
    Test,
}

impl Part {
    /// All parts.
    pub const ALL: [Part; 3] = [Part::Train, Part::Validation, Part::Test];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Validation => "validation",
            Part::Test => "test",
        }
    }

    /// The packets of this part in a trace.
    pub fn of(self, trace: &Trace, used: PartOfData, split: &Split) -> Range<usize> {
        let Split { train, validation } = *split;
        let (train, validation) = match used {
            PartOfData::ByTime => (train, validation),
            // The test part is also used for training.
            PartOfData::Train => (train / (train + validation), validation / (train + validation)),
            PartOfData::Test => (0.0, 0.0),
        };
        match self {
            Part::Train => trace.part(0.0, train),
            Part::Validation => trace.part(train, train + validation),
            Part::Test if used == PartOfData::Train => 0..0,
            Part::Test => trace.part(train + validation, 1.0),
        }
    }
}

impl TrainingFile {
    /// Reads a training file, with values set in it as by [`Document::set`]. Paths in it become relative to
    /// its folder.
    ///
    /// # Errors
    /// All mistakes in the file, with their places.
    pub fn load(path: &Path, set: &[String]) -> Result<Self, ConfigError> {
        let mut document = Document::read(path)?;
        document.set_all(set)?;
        Self::from_document(&document, path)
    }

    /// Reads a training file from a document. Paths in it become relative to the folder of `path`.
    ///
    /// # Errors
    /// All mistakes in the file, with their places.
    pub fn from_document(document: &Document, path: &Path) -> Result<Self, ConfigError> {
        document.must_be(FileKind::Training)?;
        let mut file: TrainingFile = document.deserialize()?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut errors = Vec::new();
        let mut wrong = |span, message: String, help: &str| {
            errors.push(document.error(span, message).with_help(help.to_owned()));
        };
        let Split { train, validation } = file.split;
        if !(train > 0.0 && validation >= 0.0 && train + validation <= 1.0) {
            let help = "`train` is above 0, `validation` 0 or more, and both sum to 1 at most";
            wrong(
                document.span_in_table("split", "train"),
                "the fractions of `split` are invalid".to_owned(),
                help,
            );
        }
        let plan = file.training;
        let whole = [plan.epochs as usize, plan.hidden, plan.streams, plan.steps, plan.windows_per_epoch];
        if whole.contains(&0) || plan.learning_rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            let help =
                "`epochs`, `hidden`, `streams`, `steps`, `windows_per_epoch` and `learning_rate` are above 0";
            wrong(
                document.span_in_table("training", "epochs"),
                "a setting of the training is invalid".to_owned(),
                help,
            );
        }
        if file.data.is_empty() {
            wrong(0..0, "no data to train on".to_owned(), "add a [[data]] table");
        }
        for data in &mut file.data {
            let span = data.span();
            let data = data.get_mut();
            let kinds = [data.captures.is_some(), data.scenario.is_some(), data.deepqueuenet.is_some()];
            if kinds.iter().filter(|given| **given).count() != 1 {
                let message =
                    "a [[data]] table has one of `captures`, `scenario` and `deepqueuenet`".to_owned();
                wrong(span.clone(), message, "keep or add one of them");
            }
            if data.scenario.is_some() == data.ports.is_empty() {
                let help =
                    "with a `scenario`, write for example ports = [\"switch:0\"]; else leave `ports` out";
                wrong(span.clone(), "`ports` and `scenario` must be given together".to_owned(), help);
            }
            if data.deepqueuenet.is_some() != data.rate.is_some() {
                let help = "with a table of DeepQueueNet's, write for example rate = \"2621440 B/s\"; else leave it out";
                wrong(span, "`rate` and `deepqueuenet` must be given together".to_owned(), help);
            }
            let captures = data.captures.iter_mut();
            let captures =
                captures.flat_map(|captures| captures.ingress.iter_mut().chain([&mut captures.egress]));
            for path in captures.chain(&mut data.scenario).chain(&mut data.deepqueuenet) {
                let folder = document.folder_at(&path.span(), folder);
                *path.get_mut() = folder.join(path.get_ref());
            }
        }
        match ConfigError::all(errors) {
            Some(error) => Err(error),
            None => Ok(file),
        }
    }

    /// Checks that everything that the file names exists: every file, every scenario with the values set in
    /// it, every port. `document` is the document of this file.
    ///
    /// # Errors
    /// All mistakes, with their places.
    pub fn find_data(&self, document: &Document) -> Result<(), ConfigError> {
        let mut errors: Vec<ConfigError> = Vec::new();
        for table in &self.data {
            let data = table.get_ref();
            for path in data.files() {
                if let Err((message, help)) = find_file(path.get_ref()) {
                    errors.push(document.error(path.span(), message).with_help(help));
                    continue;
                }
                if data.scenario.is_none() {
                    continue;
                }
                let scenario = match Scenario::load(path.get_ref(), &data.set, None) {
                    Ok(scenario) => scenario,
                    Err(error) => {
                        for mut error in error.each() {
                            // A value set by this table has no place in a file other than this table.
                            if data.set.contains(&error.source_text().text) {
                                let text = format!("`{}`: {}", error.source_text().text, error.message());
                                let help = error.help().map(str::to_owned);
                                error = document.error(table.span(), text).with_help(help);
                            }
                            // Several tables may name the same scenario.
                            if !errors.contains(&error) {
                                errors.push(error);
                            }
                        }
                        continue;
                    }
                };
                for port in &data.ports {
                    if let Err(error) = scenario.topology.port_named(port.get_ref()) {
                        let help = error.help().to_owned();
                        errors.push(document.error(port.span(), error.to_string()).with_help(help));
                    }
                }
            }
        }
        ConfigError::in_order(errors).map_or(Ok(()), Err)
    }

    /// The path in `folder` for the DeepQueueNet table of each source, by its name.
    ///
    /// # Errors
    /// Two sources have the same name, or there are more classes than such a table supports.
    pub fn tables(&self, folder: &Path) -> Result<Vec<PathBuf>, String> {
        const MOST_CLASSES: usize = 64;
        if self.class.len() > MOST_CLASSES {
            return Err(format!("a table has at most {MOST_CLASSES} classes, not {}", self.class.len()));
        }
        let mut paths = Vec::new();
        for data in &self.data {
            let title = data.get_ref().title();
            let plain = |sign: char| if sign.is_alphanumeric() || "-_.".contains(sign) { sign } else { '-' };
            let path = folder.join(title.chars().map(plain).chain(".csv".chars()).collect::<String>());
            if paths.contains(&path) {
                return Err(format!(
                    "two sources of data would be written to {}: give each [[data]] table a `name`",
                    path.display()
                ));
            }
            paths.push(path);
        }
        Ok(paths)
    }

    /// Keeps only the data with these names.
    ///
    /// # Errors
    /// There are no data with one of the names.
    pub fn only(&mut self, names: &[String]) -> Result<(), String> {
        names.iter().try_for_each(|name| self.must_have(name))?;
        self.data.retain(|data| names.contains(&data.get_ref().title()));
        Ok(())
    }

    fn must_have(&self, name: &str) -> Result<(), String> {
        let names: Vec<String> = self.data.iter().map(|data| data.get_ref().title()).collect();
        match names.iter().any(|known| known == name) {
            true => Ok(()),
            false => Err(format!(
                "there are no data called `{name}`; expected {}",
                listed(names.iter().map(String::as_str))
            )),
        }
    }

    /// Uses the data with this name for the test only, and all others for training.
    ///
    /// # Errors
    /// There are no data with this name.
    pub fn leave_out(&mut self, name: &str) -> Result<(), String> {
        self.must_have(name)?;
        for data in &mut self.data {
            let data = data.get_mut();
            data.part = if data.title() == name { PartOfData::Test } else { PartOfData::Train };
        }
        Ok(())
    }
}

impl DataFile {
    /// The files of the source; for captures, the egress comes last.
    pub fn files(&self) -> impl Iterator<Item = &Spanned<PathBuf>> {
        let captures = self.captures.iter();
        let captures = captures.flat_map(|captures| captures.ingress.iter().chain([&captures.egress]));
        captures.chain(&self.scenario).chain(&self.deepqueuenet)
    }

    /// The name of the source.
    pub fn title(&self) -> String {
        let stem = self.files().last().and_then(|path| path.get_ref().file_stem());
        self.name.clone().unwrap_or_else(|| stem.unwrap_or_default().to_string_lossy().into_owned())
    }
}
