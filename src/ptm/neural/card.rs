//! The card beside a model's weights: its training data, its quality, and the parameters of inference.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NeuralClass;
use super::deepqueuenet::DeepQueueNetCard;
use super::residual::ResidualCard;

/// The version of cards and weights that this build reads.
pub const FORMAT: u32 = 1;

/// The description of a model and its origin: `x.toml` beside `x.safetensors`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The version of the format: [`FORMAT`].
    pub format: u32,
    /// The version of taunet that wrote the card.
    pub taunet: String,
    /// The command that created the model.
    pub command: String,
    /// The seed of the training.
    pub seed: u64,
    /// SHA-256 of the weights file, in hexadecimal digits.
    pub weights_sha256: String,
    /// The architecture, and the parameters of its inference besides the weights.
    pub architecture: Architecture,
    /// The classes that the model distinguishes, in order; empty for a single queue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<NeuralClass>,
    /// How the model was trained.
    pub training: TrainingCard,
    /// The training data.
    #[serde(default)]
    pub data: Vec<DataCard>,
    /// The quality of the model on each part of the data: `train`, `validation`, `test`.
    #[serde(default)]
    pub scores: BTreeMap<String, ScoreCard>,
}

impl Card {
    /// Its file.
    pub fn to_toml(&self) -> String {
        crate::config::to_text(self)
    }
}

/// A model's architecture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Corrections to a mechanistic estimate.
    Residual(ResidualCard),
    /// The published network.
    DeepQueueNet(DeepQueueNetCard),
}

impl Architecture {
    /// The name of the architecture in files.
    pub fn name(&self) -> &'static str {
        match self {
            Architecture::Residual(_) => "residual",
            Architecture::DeepQueueNet(_) => "deepqueuenet",
        }
    }
}

/// How a model was trained.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingCard {
    /// Passes over the training data until the best result.
    pub epochs: u32,
    /// Passes over the training data in total.
    pub epochs_in_all: u32,
    /// The number of trained parameters.
    pub parameters: u64,
    /// The duration of the training, in seconds.
    pub seconds: f64,
    /// The loss on the training part, per epoch.
    pub loss: Vec<f64>,
    /// The loss on the validation part, per epoch.
    pub validation_loss: Vec<f64>,
}

/// A source of training data.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataCard {
    /// The name of the source in the training file.
    pub name: String,
    /// Its files, and the SHA-256 of each.
    pub files: BTreeMap<String, String>,
    /// The number of packets.
    pub packets: u64,
    /// The part for which the data was used: split by time into all parts, or one part.
    pub part: String,
}

/// How close a model is to the measurement, over the packets of a part.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreCard {
    /// Packets that left in both the simulation and the measurement.
    pub packets: u64,
    /// Pearson's correlation of the delays.
    pub pearson: Option<f64>,
    /// W1(simulated, measured) / mean(measured).
    pub w1_normalized: Option<f64>,
    /// Mean absolute error, in microseconds.
    pub mae_us: f64,
    /// Mean measured delay, in microseconds.
    pub mean_us: f64,
    /// Packets lost in the measurement.
    pub lost: u64,
    /// Packets lost in the simulation.
    pub lost_simulated: u64,
}
