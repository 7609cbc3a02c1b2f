//! Learned PTMs: models of a device's delays, learned from data.
//!
//! A model is a safetensors file with weights, and a TOML card beside it; `taunet train` creates both. There
//! are two architectures: [`residual`] corrects a mechanistic estimate, and [`deepqueuenet`] is the published
//! network, as a reference. Inference is implemented here and needs no machine-learning framework.

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

/// How the predicted distribution becomes one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// A seeded random sample, which preserves the distribution of delays.
    #[default]
    Sample,
    /// The median, which minimizes the absolute error per packet.
    Median,
    /// The mean, which minimizes the squared error per packet.
    Mean,
}

impl Output {
    /// All outputs.
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
    /// The weights file; its card is beside it. The path is relative to the topology file.
    pub model: ModelFile,
    /// How predicted distributions become values (default: a seeded sample).
    #[serde(default)]
    pub output: Output,
    /// The rate of this port's shaper, if it differs from that of the shaper in training. A model of a plain
    /// link uses the link's bandwidth.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// For a model trained on several devices: the name of the device, as on the model's card.
    #[serde(default)]
    pub context: Option<String>,
    /// The classes (default: those on the model's card).
    #[serde(default)]
    pub class: Vec<NeuralClass>,
}

/// A class of `neural`: the packets that belong to it, and its share of the port if known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeuralClass {
    /// Its name, for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The packets that belong to the class (default: all packets).
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matched: Option<Match>,
    /// The share of the rate while all classes have packets to send, relative to the other classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Bytes sent per round: the quantum of deficit round robin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_bytes: Option<f64>,
    /// Packets sent per round: the weight of weighted round robin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_packets: Option<f64>,
}

impl AsClass for NeuralClass {
    fn parts(&self) -> ClassParts<'_> {
        ClassParts { name: self.name.as_deref(), matched: self.matched.as_ref(), buffer: None, ptm: None }
    }
}

/// The assignment of packets to classes.
pub struct Classing(Classifier);

impl Classing {
    /// The first class whose `match` fits takes a packet; a packet that fits none goes to the last class. A
    /// single class takes all packets.
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

/// The path of a model, and the model once it is loaded.
#[derive(Debug, Clone, Default)]
pub struct ModelFile {
    path: PathBuf,
    loaded: Option<Result<Arc<Model>, Arc<str>>>,
}

impl ModelFile {
    /// A model that is already in memory.
    pub fn of(model: Arc<Model>) -> Self {
        ModelFile { path: PathBuf::new(), loaded: Some(Ok(model)) }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model; `None` before it is loaded, or if loading failed.
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

/// Models by path, so that each is read only once.
#[derive(Debug, Default)]
pub struct ModelCache(FxHashMap<PathBuf, Result<Arc<Model>, Arc<str>>>);

impl ModelCache {
    /// The files of the models, each followed by its card, sorted by name.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut weights: Vec<&PathBuf> = self.0.keys().collect();
        weights.sort_unstable();
        weights.into_iter().flat_map(|path| [path.clone(), path.with_extension("toml")]).collect()
    }
}

impl NeuralSpec {
    /// Reads the model; its path is relative to `base`. The check of the port reports failures.
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
            None => return Err(PtmError::Model("the model is not loaded".to_owned())),
            Some(Err(error)) => return Err(PtmError::Model(error.to_string())),
            Some(Ok(model)) => model,
        };
        match &model.network {
            Network::Residual(network) => network.check(self, &model.card, link),
            Network::DeepQueueNet(network) => network.check(self, &model.card, link),
        }
    }

    /// Builds the model. [`check`](Self::check) must have accepted the spec.
    pub(super) fn discipline(&self, place: &Place<'_>) -> Box<dyn Discipline> {
        let model = self.model.model().expect("the spec was checked");
        match &model.network {
            Network::Residual(network) => network.discipline(self, &model.card, place),
            Network::DeepQueueNet(network) => network.discipline(self, &model.card, place),
        }
    }

    /// The rate of its shaper in bits per second, if it has one.
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
    /// Reads the weights at `path` and the card beside them.
    ///
    /// # Errors
    /// A file is missing or damaged, has another format version, or does not match the other file.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let bytes = crate::limits::read(path).map_err(|error| {
            ModelError::Unreadable(path.to_owned(), crate::config::why_unreadable(path, &error).0)
        })?;
        let card = path.with_extension("toml");
        let document = Document::read(&card).map_err(|error| ModelError::Card(error.to_string()))?;
        let card: Card = document.deserialize().map_err(|error| ModelError::Card(error.to_string()))?;
        Model::from_bytes(card, &bytes).map_err(|error| ModelError::In(path.to_owned(), Box::new(error)))
    }

    /// Builds a model from a card and the bytes of a safetensors file.
    ///
    /// # Errors
    /// The two do not match, or one is damaged.
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
    /// The weights file cannot be read.
    #[error("{}: {}; `taunet train` makes models", .0.display(), .1)]
    Unreadable(PathBuf, String),
    /// The card cannot be read.
    #[error("the model's card, a TOML file beside the weights, cannot be read: {0}")]
    Card(String),
    /// The card has another format version.
    #[error("the card has format {0}, but this version of taunet reads format {FORMAT}: train the model again", FORMAT = card::FORMAT)]
    Format(u32),
    /// Not a safetensors file, or truncated.
    #[error("not a safetensors file, or a damaged one: {0}")]
    Damaged(String),
    /// The weights do not match the card.
    #[error("the weights do not match the card: their SHA-256 is {found}, but the card says {expected}")]
    OtherWeights {
        /// on the card
        expected: String,
        /// of the file
        found: String,
    },
    /// An array of another type.
    #[error("`{name}` has type {found}: weights must be F32")]
    Type {
        /// the array
        name: String,
        /// its type
        found: String,
    },
    /// A weight is infinite or not a number.
    #[error("`{0}` contains a value that is not finite")]
    NotFinite(String),
    /// An array is missing.
    #[error("the array `{0}` is missing")]
    Missing(String),
    /// An array has the wrong shape.
    #[error("the array `{name}` has the shape {found:?}, but the card requires {expected:?}")]
    Shape {
        /// the array
        name: String,
        /// required by the card
        expected: Vec<usize>,
        /// found in the file
        found: Vec<usize>,
    },
    /// An array that is not part of the architecture.
    #[error("the array `{0}` is not part of this architecture")]
    Unknown(String),
    /// The card is inconsistent.
    #[error("the card is inconsistent: {0}")]
    Contradiction(String),
    /// Any of these errors, with the path of the file.
    #[error("{}: {}", .0.display(), .1)]
    In(PathBuf, #[source] Box<ModelError>),
}
