//! The passes of a training over its data: until the loss on the validation part falls no longer, with a checkpoint after
//! each.

use std::ops::ControlFlow;
use std::path::Path;

use super::LearnError;
use super::checkpoint::{Checkpoint, Epoch, State};
use crate::ptm::neural::Tensors;

/// Networks that learn.
pub trait Learner {
    /// Goes once through the training part, with this learning rate. `told` hears of every batch: how many are done, of how
    /// many, and the mean loss so far; it may end the pass. The mean loss.
    fn pass(&mut self, number: u32, rate: f64, told: Told<'_>) -> ControlFlow<(), f64>;

    /// The mean loss on the validation part; none where there is no such part.
    fn validate(&self) -> Option<f64>;

    /// The weights as they are.
    fn weights(&self) -> Tensors;

    /// What the optimizer remembers.
    ///
    /// # Errors
    /// What the framework says.
    fn optimizer(&self) -> Result<Vec<u8>, String>;

    /// Takes up weights and optimizer as they were after so many passes.
    ///
    /// # Errors
    /// They are not of these networks.
    fn restore(&mut self, passes: u32, weights: Tensors, optimizer: Vec<u8>) -> Result<(), String>;
}

/// Who hears of batches.
pub type Told<'a> = &'a mut dyn FnMut(usize, usize, f64) -> ControlFlow<()>;

/// For how long to learn, and how fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passes {
    /// At most so many.
    pub most: u32,
    /// So many without a lesser loss on the validation part, and the learning rate falls to a third.
    pub patience: u32,
    /// Falls of the rate; at the next one the training ends.
    pub most_falls: u32,
    /// The first learning rate.
    pub learning_rate: f64,
}

/// Where a training writes how far it is.
#[derive(Debug, Clone, Copy)]
pub struct Bookmark<'a> {
    /// The file.
    pub path: &'a Path,
    /// What is trained on what, and how.
    pub key: &'a str,
    /// Whether to go on from there.
    pub resume: bool,
}

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// Batches of the pass that are done, and how many there are; the mean loss so far.
    Batch(usize, usize, f64),
    /// A pass is over.
    Epoch(Epoch),
}

/// What came of a training.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The weights with the least loss on the validation part.
    pub tensors: Tensors,
    /// Every pass.
    pub epochs: Vec<Epoch>,
}

/// Trains until the validation loss falls no longer. After every pass a checkpoint is written to the bookmark, where one is
/// given. `progress` is told of every batch and pass, and may end it.
///
/// # Errors
/// The checkpoint cannot be written or read, or is of another training; the loss is no number; or `progress` ends it.
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
        learner.restore(found.state.epoch.len() as u32, found.weights, found.optimizer).map_err(wrong)?;
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
