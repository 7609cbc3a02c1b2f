//! Trains the published DeepQueueNet network.
//!
//! As published: mean squared error, Adam (with a learning rate of 0.001 unless the training file gives
//! another), batches of 256 windows of 42 packets, all values scaled by the minimum and maximum of the
//! training part. The publication trains for a fixed number of passes. Here, the weights with the minimum
//! loss on the validation part are kept.

mod framework;
mod samples;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use burn::tensor::Device;

use super::passes::{Learner, Told};
use super::trace::Trace;
use crate::ptm::neural::Tensors;
use crate::ptm::neural::deepqueuenet::correction::Correction;
use crate::ptm::neural::deepqueuenet::{DeepQueueNetCard, PORTS, PORTS_AT_MOST, Scale, features, network};
use crate::random::stream;
use crate::units::Rate;
use framework::Framework;
use samples::{Chooser, Samples};

/// Number of windows per batch.
const BATCH: usize = 256;

/// Minimum number of windows of the training part for the error correction, if there are as many.
const CORRECTED: usize = 10_000;

/// Errors of training the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// There are no samples.
    #[error("the {part} part has no packets that left: give it more of the traces")]
    Empty {
        /// training or validation
        part: &'static str,
    },
    /// The service rate is unknown.
    #[error("`{trace}` has a link of unlimited bandwidth: give the rate at which its port serves")]
    NoRate {
        /// the trace
        trace: String,
    },
    /// There are more ingress ports than the network supports.
    #[error("`{trace}` has packets from {ports} ingress ports; the maximum is {PORTS_AT_MOST}")]
    Ports {
        /// the trace
        trace: String,
        /// number of its ports
        ports: usize,
    },
    /// The class does not exist.
    #[error("`{trace}` has a packet of class {class}, but there are {classes} classes, numbered from 0")]
    Class {
        /// the trace
        trace: String,
        /// the class
        class: u16,
        /// number of classes
        classes: usize,
    },
}

/// A network in training. Equal arguments give equal networks on the same machine.
pub struct Training {
    framework: Framework,
    samples: Samples,
    validation: Samples,
    /// The windows of the validation part that are evaluated.
    validated: Vec<usize>,
    chooser: Chooser,
    windows_per_pass: usize,
    classes: usize,
    card: DeepQueueNetCard,
}

impl Training {
    /// Creates an untrained network for `classes` classes, with its training data. `rate` is that of the
    /// port's shaper, if the link is not the bottleneck. A pass covers at most `windows_per_pass` windows;
    /// consecutive passes cover the training part in random order.
    ///
    /// # Errors
    /// The traces are inconsistent.
    pub fn new(
        train: &[Trace],
        validation: &[Trace],
        classes: usize,
        rate: Option<Rate>,
        seed: u64,
        windows_per_pass: usize,
        device: Device,
    ) -> Result<Self, TrainError> {
        let classes = classes.max(1);
        let ports = samples::ports(train.iter().chain(validation))?.max(PORTS);
        let mut samples = Samples::of(train, "training", ports, classes, rate)?;
        let mut validation = Samples::of(validation, "validation", ports, classes, rate)?;
        let scale = samples.scale(&features::kinds(ports, classes));
        samples.apply(&scale);
        validation.apply(&scale);
        let windows_per_pass = windows_per_pass.max(1);
        let validated = validation.evenly(windows_per_pass.div_ceil(4).max(BATCH));
        let chooser = Chooser::new(samples.len(), stream(seed, "train", "windows"));
        let features = features::count(ports, classes);
        let framework = Framework::new(network::initial(features, seed), features, device);
        let card = DeepQueueNetCard { ports, rate, scale };
        Ok(Training { framework, samples, validation, validated, chooser, windows_per_pass, classes, card })
    }

    /// Takes these weights. Returns the card, and the weights with the correction of their errors on the
    /// training part.
    pub fn corrected(mut self, mut weights: Tensors) -> (DeepQueueNetCard, Tensors) {
        self.framework.set(weights.clone());
        let scale: &Scale = &self.card.scale;
        let mut pairs = vec![Vec::new(); self.classes];
        let mut outputs = Vec::new();
        for batch in self.samples.evenly(self.windows_per_pass.max(CORRECTED)).chunks(BATCH) {
            self.framework.predict(&self.samples.batch(batch), &mut outputs);
            for (&sample, &output) in batch.iter().zip(&outputs) {
                let (class, waiting_s) = self.samples.truth(sample);
                pairs[class].push((scale.waiting_s(output), waiting_s));
            }
        }
        Correction::of(&pairs).insert(&mut weights);
        (self.card, weights)
    }
}

impl Learner for Training {
    fn pass(&mut self, _number: u32, rate: f64, told: Told<'_>) -> ControlFlow<(), f64> {
        let chosen = self.chooser.next(self.windows_per_pass);
        let batches = chosen.chunks(BATCH);
        let (mut sum, mut windows, of) = (0.0, 0, batches.len());
        for (done, batch) in batches.enumerate() {
            sum += self.framework.step(&self.samples.batch(batch), rate) * batch.len() as f64;
            windows += batch.len();
            told(done + 1, of, sum / windows as f64)?;
        }
        ControlFlow::Continue(sum / windows as f64)
    }

    /// The mean squared error of scaled waiting times on the validation part.
    fn validate(&self) -> Option<f64> {
        let (mut sum, mut outputs) = (0.0, Vec::new());
        for batch in self.validated.chunks(BATCH) {
            let batch = self.validation.batch(batch);
            self.framework.predict(&batch, &mut outputs);
            let errors =
                outputs.iter().zip(&batch.targets).map(|(output, target)| f64::from(output - target));
            sum += errors.map(|error| error * error).sum::<f64>();
        }
        Some(sum / self.validated.len() as f64)
    }

    fn weights(&self) -> Tensors {
        self.framework.weights()
    }

    fn optimizer(&self) -> Result<Vec<u8>, String> {
        self.framework.optimizer()
    }

    fn restore(&mut self, passes: u32, weights: Tensors, optimizer: Vec<u8>) -> Result<(), String> {
        for _ in 0..passes {
            self.chooser.next(self.windows_per_pass);
        }
        self.framework.set(weights);
        self.framework.set_optimizer(optimizer)
    }
}
