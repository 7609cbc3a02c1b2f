//! The card beside a model's weights: what it was trained on, how good it is, and what it needs to run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NeuralClass;
use super::deepqueuenet::DeepQueueNetCard;
use super::residual::ResidualCard;

/// The version of cards and weights that this build reads.
pub const FORMAT: u32 = 1;

/// What a model is and where it comes from: `x.toml` beside `x.safetensors`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The version of the format: [`FORMAT`].
    pub format: u32,
    /// The version of taunet that wrote it.
    pub taunet: String,
    /// The command that made it.
    pub command: String,
    /// The seed of the training.
    pub seed: u64,
    /// SHA-256 of the file with the weights, in hexadecimal digits.
    pub weights_sha256: String,
    /// The architecture, and what its inference needs beside the weights.
    pub architecture: Architecture,
    /// The classes that it tells apart, in order; none for a single queue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<NeuralClass>,
    /// How it was trained.
    pub training: TrainingCard,
    /// What it was trained on.
    #[serde(default)]
    pub data: Vec<DataCard>,
    /// How good it is, per part of the data: `train`, `validation`, `test`.
    #[serde(default)]
    pub scores: BTreeMap<String, ScoreCard>,
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
    /// Its name in files.
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
    /// Passes over the training data until the best.
    pub epochs: u32,
    /// Passes over the training data in all.
    pub epochs_in_all: u32,
    /// Trained numbers.
    pub parameters: u64,
    /// How long it took, in seconds.
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
    /// Its name in the training file.
    pub name: String,
    /// Its files, and the SHA-256 of each.
    pub files: BTreeMap<String, String>,
    /// Its packets.
    pub packets: u64,
    /// What it was used for: all parts by time, or one of them.
    pub part: String,
}

/// How close a model comes to what was measured, over the packets of a part.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreCard {
    /// Packets that left in both.
    pub packets: u64,
    /// Pearson's correlation of the delays.
    pub pearson: Option<f64>,
    /// W1(simulated, measured) / mean(measured).
    pub w1_normalized: Option<f64>,
    /// Mean absolute error, in microseconds.
    pub mae_us: f64,
    /// Mean measured delay, in microseconds.
    pub mean_us: f64,
    /// Packets lost in the data.
    pub lost: u64,
    /// Packets that the model loses.
    pub lost_simulated: u64,
}
