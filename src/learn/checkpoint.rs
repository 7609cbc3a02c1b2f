//! Checkpoints: the state of a training in one file, written completely or not at all, for resuming.

use std::collections::HashMap;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use super::LearnError;
use crate::config::Document;
use crate::foreign::contain_result;
use crate::ptm::neural::Tensors;
use crate::write::NewFile;

/// The state of a training after a pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The numeric state.
    pub state: State,
    /// The weights.
    pub weights: Tensors,
    /// The best weights so far.
    pub best: Tensors,
    /// The serialized state of the optimizer.
    pub optimizer: Vec<u8>,
}

/// The numeric state of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Identifies data and settings: a training can only be resumed from its own checkpoint.
    pub key: String,
    /// The learning rate.
    pub rate: f64,
    /// Minimum loss on the validation part.
    pub best_loss: f64,
    /// Passes since then.
    pub stale: u32,
    /// Number of decreases of the learning rate.
    pub falls: u32,
    /// All passes so far.
    pub epoch: Vec<Epoch>,
}

/// The result of a pass over the training data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// The number of the pass, from 1.
    pub number: u32,
    /// Mean loss on the training part.
    pub loss: f64,
    /// Mean loss on the validation part.
    pub validation_loss: f64,
    /// Whether that is the best so far.
    pub best: bool,
}

/// The arrays of a checkpoint.
const ARRAYS: [&str; 3] = ["weights", "best", "optimizer"];

impl Checkpoint {
    /// Writes the checkpoint to `path`, replacing an earlier one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), LearnError> {
        let arrays = [self.weights.to_bytes(), self.best.to_bytes(), self.optimizer.clone()];
        let views = ARRAYS.iter().zip(&arrays).map(|(name, bytes)| {
            (*name, TensorView::new(Dtype::U8, vec![bytes.len()], bytes).expect("one byte each"))
        });
        let state = HashMap::from([("state".to_owned(), crate::config::to_text(&self.state))]);
        let bytes = safetensors::serialize(views, Some(state)).expect("names are unique");
        NewFile::write(path, &bytes, true).map_err(|error| LearnError::Write(path.to_owned(), error))
    }

    /// Reads the checkpoint of the training `key`.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or belongs to another training.
    pub fn read(path: &Path, key: &str) -> Result<Self, LearnError> {
        let bytes = crate::limits::read(path).map_err(|error| LearnError::Read(path.to_owned(), error))?;
        let damaged = |why: String| LearnError::Checkpoint(path.to_owned(), format!("it is damaged: {why}"));
        let file = contain_result(|| SafeTensors::deserialize(&bytes)).map_err(damaged)?;
        let (_, header) = contain_result(|| SafeTensors::read_metadata(&bytes)).map_err(damaged)?;
        let state = header.metadata().as_ref().and_then(|metadata| metadata.get("state"));
        let state = state.ok_or_else(|| damaged("it has no state".to_owned()))?;
        let state: State = Document::parse("checkpoint", state)
            .and_then(|document| document.deserialize())
            .map_err(|error| damaged(error.to_string()))?;
        if state.key != key {
            let why =
                "it belongs to other data, another seed or other settings: train without --resume".to_owned();
            return Err(LearnError::Checkpoint(path.to_owned(), why));
        }
        let array = |name: &str| {
            file.tensor(name).map(|view| view.data()).map_err(|error| damaged(error.to_string()))
        };
        let tensors = |name| Tensors::read(array(name)?).map_err(|error| damaged(error.to_string()));
        let [weights, best, optimizer] = ARRAYS;
        let optimizer = array(optimizer)?.to_vec();
        Ok(Checkpoint { weights: tensors(weights)?, best: tensors(best)?, optimizer, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.checkpoint");
        let mut weights = Tensors::default();
        weights.insert("a", [2], vec![1.0, 2.0]);
        let epoch = Epoch { number: 1, loss: 0.5, validation_loss: 0.25, best: true };
        let state = State {
            key: "abc".to_owned(),
            rate: 1e-3,
            best_loss: 0.25,
            stale: 0,
            falls: 1,
            epoch: vec![epoch],
        };
        let checkpoint = Checkpoint { state, best: weights.clone(), weights, optimizer: vec![1, 2, 3] };
        checkpoint.write(&path).unwrap();
        assert_eq!(Checkpoint::read(&path, "abc").unwrap(), checkpoint);
        let other = Checkpoint::read(&path, "abd").unwrap_err().to_string();
        assert!(other.contains("without --resume"), "{other}");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(Checkpoint::read(&path, "abc").unwrap_err().to_string().contains("damaged"));
    }
}
