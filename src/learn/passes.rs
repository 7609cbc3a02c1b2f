//! The passes of a training over its data, until the loss on the validation part stops decreasing, with a
//! checkpoint after each.

use std::ops::ControlFlow;
use std::path::Path;

use super::LearnError;
use super::checkpoint::{Checkpoint, Epoch, State};
use crate::foreign::contain_result;
use crate::ptm::neural::Tensors;

/// Networks that can be trained.
pub trait Learner {
    /// Makes one pass through the training part, with this learning rate, and returns the mean loss. `told`
    /// is called after every batch with the number of batches done, their total, and the mean loss so far; it
    /// can end the pass.
    fn pass(&mut self, number: u32, rate: f64, told: Told<'_>) -> ControlFlow<(), f64>;

    /// The mean loss on the validation part; `None` without such a part.
    fn validate(&self) -> Option<f64>;

    /// The current weights.
    fn weights(&self) -> Tensors;

    /// The serialized state of the optimizer.
    ///
    /// # Errors
    /// The error of the framework.
    fn optimizer(&self) -> Result<Vec<u8>, String>;

    /// Restores weights and optimizer to their state after this number of passes.
    ///
    /// # Errors
    /// They do not belong to these networks.
    fn restore(&mut self, passes: u32, weights: Tensors, optimizer: Vec<u8>) -> Result<(), String>;
}

/// A callback for batches.
pub type Told<'a> = &'a mut dyn FnMut(usize, usize, f64) -> ControlFlow<()>;

/// Duration and learning rate of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passes {
    /// Maximum number of passes.
    pub most: u32,
    /// Passes without a decrease of the validation loss after which the learning rate is divided by three.
    pub patience: u32,
    /// Number of decreases of the learning rate; at the next one, the training ends.
    pub most_falls: u32,
    /// The initial learning rate.
    pub learning_rate: f64,
}

/// Where a training writes its checkpoints.
#[derive(Debug, Clone, Copy)]
pub struct Bookmark<'a> {
    /// The file.
    pub path: &'a Path,
    /// Identifies data and settings.
    pub key: &'a str,
    /// Whether to resume from the checkpoint.
    pub resume: bool,
}

/// The progress of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// Batches of the pass that are done, their total, and the mean loss so far.
    Batch(usize, usize, f64),
    /// A pass is complete.
    Epoch(Epoch),
}

/// The result of a training.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The weights with the minimum loss on the validation part.
    pub tensors: Tensors,
    /// All passes.
    pub epochs: Vec<Epoch>,
}

/// Trains until the validation loss stops decreasing. After every pass, a checkpoint is written to the
/// bookmark, if one is given. `progress` is called after every batch and pass, and can end the training.
///
/// # Errors
/// The checkpoint cannot be written or read, or belongs to another training; the loss is not a number; or
/// `progress` ends the training.
pub fn train(
    learner: &mut impl Learner,
    passes: &Passes,
    bookmark: Option<Bookmark<'_>>,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Trained, LearnError> {
    let mut best = learner.weights();
    let mut state = State {
        key: bookmark.map_or(String::new(), |bookmark| bookmark.key.to_owned()),
        rate: passes.learning_rate,
        best_loss: f64::MAX,
        stale: 0,
        falls: 0,
        epoch: Vec::new(),
    };
    if let Some(Bookmark { path, key, resume: true }) = bookmark {
        let found = Checkpoint::read(path, key)?;
        let wrong = |error| LearnError::Checkpoint(path.to_owned(), format!("it is damaged: {error}"));
        let passes = found.state.epoch.len() as u32;
        contain_result(|| learner.restore(passes, found.weights, found.optimizer)).map_err(wrong)?;
        (state, best) = (found.state, found.best);
    }
    let first = state.epoch.len() as u32 + 1;
    for number in first..=passes.most {
        if state.falls > passes.most_falls {
            break;
        }
        let told = &mut |done, of, loss| progress(Progress::Batch(done, of, loss));
        let ControlFlow::Continue(loss) = learner.pass(number, state.rate, told) else {
            return Err(LearnError::Interrupted);
        };
        let validation_loss = learner.validate().unwrap_or(loss);
        if !(loss.is_finite() && validation_loss.is_finite()) {
            return Err(LearnError::Diverged(number));
        }
        let better = validation_loss < state.best_loss;
        if better {
            (state.best_loss, state.stale) = (validation_loss, 0);
            best = learner.weights();
        } else {
            state.stale += 1;
        }
        if state.stale >= passes.patience {
            (state.stale, state.falls, state.rate) = (0, state.falls + 1, state.rate / 3.0);
        }
        let epoch = Epoch { number, loss, validation_loss, best: better };
        state.epoch.push(epoch);
        if let Some(Bookmark { path, .. }) = bookmark {
            let cannot = |error| LearnError::Checkpoint(path.to_owned(), error);
            let (weights, optimizer) = (learner.weights(), learner.optimizer().map_err(cannot)?);
            Checkpoint { state: state.clone(), weights, best: best.clone(), optimizer }.write(path)?;
        }
        if progress(Progress::Epoch(epoch)).is_break() {
            return Err(LearnError::Interrupted);
        }
    }
    Ok(Trained { tensors: best, epochs: state.epoch })
}
