//! Training the published network of DeepQueueNet.
//!
//! As published: mean squared error, Adam with a rate of 0.001, batches of 256 windows of 42 packets, everything scaled
//! by the least and the greatest of the training part. Where the publication trains for a fixed number of passes, the
//! weights of the least loss on the validation part are kept here.

mod framework;
mod samples;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::time::Instant;

use super::trace::Trace;
use crate::ptm::neural::Tensors;
use crate::ptm::neural::card::TrainingCard;
use crate::ptm::neural::deepqueuenet::correction::Correction;
use crate::ptm::neural::deepqueuenet::{DeepQueueNetCard, PORTS, PORTS_AT_MOST, features, network};
use crate::random::stream;
use crate::units::Rate;
use framework::Training;
use samples::{Chooser, Samples};

/// Windows whose losses are averaged before a step.
const BATCH: usize = 256;

/// Windows of the training part whose errors become the correction, at least, where there are as many.
const CORRECTED: usize = 10_000;

/// How much a training may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Epochs, at most.
    pub epochs: u32,
    /// Windows of an epoch, at most. Epochs go through the training part in turn, in random order.
    pub windows_per_epoch: usize,
    /// Epochs without a lesser loss on the validation part, after which the training ends.
    pub patience: u32,
}

/// What a training reports after each epoch. Losses are mean squared errors of the scaled waiting time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Its number, from 1.
    pub number: u32,
    /// The loss on its windows.
    pub loss: f64,
    /// The loss on the validation part.
    pub validation_loss: f64,
    /// Since the training began, in seconds.
    pub seconds: f64,
}

/// What a training gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The architecture's part of the card.
    pub card: DeepQueueNetCard,
    /// The weights and the correction.
    pub tensors: Tensors,
    /// How it went.
    pub training: TrainingCard,
}

/// Why a network cannot be trained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// Nothing to learn from.
    #[error("the {part} part has no packets that left: give it more of the traces")]
    Empty {
        /// training or validation
        part: &'static str,
    },
    /// The service rate is not known.
    #[error("`{trace}` has a link of unlimited bandwidth: give the rate at which its port serves")]
    NoRate {
        /// the trace
        trace: String,
    },
    /// More ingress ports than a network can have.
    #[error("`{trace}` has packets from {ports} ingress ports, and there may be {PORTS_AT_MOST}")]
    Ports {
        /// the trace
        trace: String,
        /// its ports
        ports: usize,
    },
    /// A class that does not exist.
    #[error("`{trace}` has a packet of class {class}, and there are {classes} classes, from 0")]
    Class {
        /// the trace
        trace: String,
        /// the class
        class: u16,
        /// how many there are
        classes: usize,
    },
    /// The loss is no number any more.
    #[error("the training has diverged in epoch {0}: its loss is no number")]
    Diverged(u32),
}

/// Trains a network for so many classes on the traces of `train`, until it gets no better on those of `validation`,
/// the budget is used up, or `progress` breaks. `rate` is that of the port's shaper, where its link does not set the
/// pace.
///
/// The same arguments give the same network on the same machine.
///
/// # Errors
/// The traces do not hold together, or the training diverges.
pub fn train(
    train: &[Trace],
    validation: &[Trace],
    classes: usize,
    rate: Option<Rate>,
    seed: u64,
    budget: &Budget,
    progress: &mut dyn FnMut(Epoch) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    let began = Instant::now();
    let classes = classes.max(1);
    let ports = samples::ports(train.iter().chain(validation))?.max(PORTS);
    let mut samples = Samples::of(train, "training", ports, classes, rate)?;
    let mut validation = Samples::of(validation, "validation", ports, classes, rate)?;
    let scale = samples.scale(&features::kinds(ports, classes));
    samples.apply(&scale);
    validation.apply(&scale);

    let windows_per_epoch = budget.windows_per_epoch.max(1);
    let validated = validation.evenly(windows_per_epoch.div_ceil(4).max(BATCH));
    let mut chooser = Chooser::new(samples.len(), stream(seed, "train", "windows"));
    let features = features::count(ports, classes);
    let mut training = Training::new(network::initial(features, seed), features);
    let mut card = TrainingCard { parameters: network::parameters(features), ..TrainingCard::default() };
    let (mut best, mut least) = (training.weights(), f64::INFINITY);
    for number in 1..=budget.epochs {
        let chosen = chooser.next(windows_per_epoch);
        let mut sum = 0.0;
        for batch in chosen.chunks(BATCH) {
            sum += training.step(&samples.batch(batch)) * batch.len() as f64;
        }
        let loss = sum / chosen.len() as f64;
        let validation_loss = loss_on(&training, &validation, &validated);
        if !(loss.is_finite() && validation_loss.is_finite()) {
            return Err(TrainError::Diverged(number));
        }
        card.loss.push(loss);
        card.validation_loss.push(validation_loss);
        card.epochs_in_all = number;
        if validation_loss < least {
            (best, least, card.epochs) = (training.weights(), validation_loss, number);
        }
        let seconds = began.elapsed().as_secs_f64();
        let goes_on = progress(Epoch { number, loss, validation_loss, seconds }).is_continue();
        if !goes_on || number - card.epochs >= budget.patience.max(1) {
            break;
        }
    }

    let training = Training::new(best.clone(), features);
    let mut pairs = vec![Vec::new(); classes];
    let (mut outputs, mut tensors) = (Vec::new(), best);
    for batch in samples.evenly(windows_per_epoch.max(CORRECTED)).chunks(BATCH) {
        training.predict(&samples.batch(batch), &mut outputs);
        for (&sample, &output) in batch.iter().zip(&outputs) {
            let (class, waiting_s) = samples.truth(sample);
            pairs[class].push((scale.waiting_s(output), waiting_s));
        }
    }
    Correction::of(&pairs).insert(&mut tensors);
    card.seconds = began.elapsed().as_secs_f64();
    Ok(Trained { card: DeepQueueNetCard { ports, rate, scale }, tensors, training: card })
}

/// The mean squared error on these samples.
fn loss_on(training: &Training, samples: &Samples, chosen: &[usize]) -> f64 {
    let (mut sum, mut outputs) = (0.0, Vec::new());
    for batch in chosen.chunks(BATCH) {
        let batch = samples.batch(batch);
        training.predict(&batch, &mut outputs);
        let errors = outputs.iter().zip(&batch.targets).map(|(output, target)| f64::from(output - target));
        sum += errors.map(|error| error * error).sum::<f64>();
    }
    sum / chosen.len() as f64
}
