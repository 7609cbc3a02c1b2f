//! A learned PTM: a device's delays learned from data.
//!
//! A model is a safetensors file with weights and a TOML card beside it; `taunet train` makes both. There are two
//! architectures: [`residual`] corrects a mechanistic estimate, and [`deepqueuenet`] is the published network, as a
//! reference. Inference is written by hand and needs no framework.

pub mod card;
pub mod deepqueuenet;
pub mod math;
pub mod residual;
mod tensors;

pub use card::{Architecture, Card};
pub use tensors::{Tensor, Tensors};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::Place;
use super::classes::{AsClass, ClassParts, Classifier, Match};
use super::discipline::Discipline;
use super::error::PtmError;
use crate::config::Document;
use crate::flow::Flows;
use crate::link::Link;
use crate::packet::Packet;
use crate::units::Rate;

/// What a learned model's distribution becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Drawn from it, seeded: the distribution of delays comes out right.
    #[default]
    Sample,
    /// Its median: packet by packet, the smallest absolute error.
    Median,
    /// Its mean: packet by packet, the smallest squared error.
    Mean,
}

impl Output {
    /// All of them.
    pub const ALL: [Output; 3] = [Output::Sample, Output::Median, Output::Mean];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Output::Sample => "sample",
            Output::Median => "median",
            Output::Mean => "mean",
        }
    }
}

/// The parameters of `neural`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeuralSpec {
    /// The file with the weights; its card lies beside it. Relative to the topology file.
    pub model: ModelFile,
    /// What the predicted distributions become (default: a seeded sample).
    #[serde(default)]
    pub output: Output,
    /// The rate of the shaper that the model was trained on, where this port's is another one; a model of a plain link
    /// takes the link's bandwidth.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// Which of the devices of a model that was trained on several of them: a name on its card.
    #[serde(default)]
    pub context: Option<String>,
    /// The classes; without them, those of the model's card.
    #[serde(default)]
    pub class: Vec<NeuralClass>,
}

/// A class of `neural`: what belongs to it, and its share of the port as far as that is known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeuralClass {
    /// Its name, for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What belongs to it; without it, everything.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matched: Option<Match>,
    /// Its share of the rate while all classes have something to send, relative to the others'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Bytes that it sends in a turn: the quantum of deficit round robin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_bytes: Option<f64>,
    /// Packets that it sends in a turn: the weight of weighted round robin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_packets: Option<f64>,
}

impl AsClass for NeuralClass {
    fn parts(&self) -> ClassParts<'_> {
        ClassParts { name: self.name.as_deref(), matched: self.matched.as_ref(), buffer: None, ptm: None }
    }
}

/// Which class packets belong to.
pub struct Classing(Classifier);

impl Classing {
    /// The first class whose `match` fits takes a packet, the last one what fits none; a single class without any.
    pub fn new(classes: &[NeuralClass]) -> Self {
        let matches = classes.iter().map(|class| class.matched.as_ref()).enumerate();
        Classing(Classifier::new(matches, classes.len().saturating_sub(1)))
    }

    /// The class of a packet, from 0.
    #[inline]
    pub fn class(&mut self, packet: &Packet, flows: &Flows) -> usize {
        self.0.classify(packet, flows)
    }
}

/// A model's file, and the model once it is loaded.
#[derive(Debug, Clone, Default)]
pub struct ModelFile {
    path: PathBuf,
    loaded: Option<Result<Arc<Model>, Arc<str>>>,
}

impl ModelFile {
    /// A model that is in memory.
    pub fn of(model: Arc<Model>) -> Self {
        ModelFile { path: PathBuf::new(), loaded: Some(Ok(model)) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model; `None` before it is loaded, and where that failed.
    pub fn model(&self) -> Option<&Arc<Model>> {
        self.loaded.as_ref()?.as_ref().ok()
    }
}

impl PartialEq for ModelFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Serialize for ModelFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.path.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ModelFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(ModelFile { path: PathBuf::deserialize(deserializer)?, loaded: None })
    }
}

impl JsonSchema for ModelFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

/// Models by their file, so that each is read once.
#[derive(Debug, Default)]
pub struct ModelCache(FxHashMap<PathBuf, Result<Arc<Model>, Arc<str>>>);

impl ModelCache {
    /// The files of the models, each with its card, by name.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut weights: Vec<&PathBuf> = self.0.keys().collect();
        weights.sort_unstable();
        weights.into_iter().flat_map(|path| [path.clone(), path.with_extension("toml")]).collect()
    }
}

impl NeuralSpec {
    /// Reads the model; its path is relative to `base`. What fails is told by the check of the port.
    pub fn load(&mut self, base: &Path, cache: &mut ModelCache) {
        if self.model.loaded.is_none() {
            let path = base.join(&self.model.path);
            let load = || Model::load(&path).map(Arc::new).map_err(|error| error.to_string().into());
            self.model.loaded = Some(cache.0.entry(path.clone()).or_insert_with(load).clone());
            self.model.path = path;
        }
    }

    pub(super) fn check(&self, link: &Link) -> Result<(), PtmError> {
        let model = match &self.model.loaded {
            None => return Err(PtmError::Model("the model has not been loaded".to_owned())),
            Some(Err(error)) => return Err(PtmError::Model(error.to_string())),
            Some(Ok(model)) => model,
        };
        match &model.network {
            Network::Residual(network) => network.check(self, &model.card, link),
            Network::DeepQueueNet(network) => network.check(self, &model.card, link),
        }
    }

    /// The model at work, on a spec that [`check`](Self::check) accepts.
    pub(super) fn discipline(&self, place: &Place<'_>) -> Box<dyn Discipline> {
        let model = self.model.model().expect("the spec was checked");
        match &model.network {
            Network::Residual(network) => network.discipline(self, &model.card, place),
            Network::DeepQueueNet(network) => network.discipline(self, &model.card, place),
        }
    }

    /// The rate of its shaper, in bits per second, where it has one.
    pub(super) fn shaped_bps(&self) -> Option<u64> {
        match &self.model.model()?.network {
            Network::Residual(network) => network.shaped_bps(self),
            Network::DeepQueueNet(network) => network.shaped_bps(self),
        }
    }
}

/// A trained model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its card.
    pub card: Card,
    /// Its network.
    pub network: Network,
}

/// A trained network.
#[derive(Debug, Clone, PartialEq)]
pub enum Network {
    /// Corrections to a mechanistic estimate.
    Residual(Arc<residual::Network>),
    /// The published network.
    DeepQueueNet(deepqueuenet::Network),
}

impl Model {
    /// Reads `path`, the weights, and the card beside it.
    ///
    /// # Errors
    /// A file is missing, damaged, of another program, or does not fit the other.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path).map_err(|error| {
            ModelError::Unreadable(path.to_owned(), crate::config::why_unreadable(path, &error).0)
        })?;
        let card = path.with_extension("toml");
        let document = Document::read(&card).map_err(|error| ModelError::Card(error.to_string()))?;
        let card: Card = document.deserialize().map_err(|error| ModelError::Card(error.to_string()))?;
        Model::from_bytes(card, &bytes).map_err(|error| ModelError::In(path.to_owned(), Box::new(error)))
    }

    /// A model of a card and the bytes of a safetensors file.
    ///
    /// # Errors
    /// The two do not fit, or one is damaged.
    pub fn from_bytes(card: Card, bytes: &[u8]) -> Result<Self, ModelError> {
        if card.format != card::FORMAT {
            return Err(ModelError::Format(card.format));
        }
        let tensors = Tensors::read(bytes)?;
        let found = sha256(bytes);
        if found != card.weights_sha256 {
            return Err(ModelError::OtherWeights { expected: card.weights_sha256.clone(), found });
        }
        let network = match &card.architecture {
            Architecture::Residual(residual) => Network::Residual(Arc::new(residual::Network::from_tensors(
                residual,
                card.class.len(),
                tensors,
            )?)),
            Architecture::DeepQueueNet(deepqueuenet) => {
                let classes = card.class.len().max(1);
                Network::DeepQueueNet(deepqueuenet::Network::from_tensors(deepqueuenet, classes, tensors)?)
            }
        };
        Ok(Model { card, network })
    }
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why a model cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file of the weights cannot be read.
    #[error("{}: {}; `taunet train` makes models", .0.display(), .1)]
    Unreadable(PathBuf, String),
    /// The card cannot be read.
    #[error("the model's card, a TOML file beside the weights, cannot be read: {0}")]
    Card(String),
    /// The card is of another version.
    #[error("the card is of format {0}, and this version of taunet reads format {FORMAT}: train the model again", FORMAT = card::FORMAT)]
    Format(u32),
    /// No safetensors file, or not all of it.
    #[error("no safetensors file, or a damaged one: {0}")]
    Damaged(String),
    /// The weights are not those of the card.
    #[error("the weights are not those of the card: their SHA-256 is {found}, and the card says {expected}")]
    OtherWeights {
        /// on the card
        expected: String,
        /// of the file
        found: String,
    },
    /// Numbers of another type.
    #[error("`{name}` is of type {found}: weights are F32")]
    Type {
        /// the array
        name: String,
        /// its type
        found: String,
    },
    /// A weight is infinite or no number.
    #[error("`{0}` holds a value that is not finite")]
    NotFinite(String),
    /// An array is missing.
    #[error("the array `{0}` is missing")]
    Missing(String),
    /// An array has another shape.
    #[error("the array `{name}` has the shape {found:?}, and the card asks for {expected:?}")]
    Shape {
        /// the array
        name: String,
        /// by the card
        expected: Vec<usize>,
        /// in the file
        found: Vec<usize>,
    },
    /// An array that the architecture does not have.
    #[error("the array `{0}` is not part of this architecture")]
    Unknown(String),
    /// The card contradicts itself.
    #[error("the card does not hold together: {0}")]
    Contradiction(String),
    /// Any of these, in a file.
    #[error("{}: {}", .0.display(), .1)]
    In(PathBuf, #[source] Box<ModelError>),
}
