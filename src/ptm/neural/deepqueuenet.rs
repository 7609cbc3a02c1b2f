//! The published network of DeepQueueNet, as a reference.

use serde::{Deserialize, Serialize};

use super::card::Card;
use super::{ModelError, NeuralSpec, Tensors};
use crate::link::Link;
use crate::ptm::{Discipline, Place, PtmError};

/// What inference needs beside the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeepQueueNetCard {}

/// The trained network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {}

impl Network {
    /// From its weights.
    ///
    /// # Errors
    /// They do not fit the card.
    pub fn from_tensors(_card: &DeepQueueNetCard, _tensors: Tensors) -> Result<Self, ModelError> {
        todo!()
    }

    pub(in crate::ptm) fn check(
        &self,
        _spec: &NeuralSpec,
        _card: &Card,
        _link: &Link,
    ) -> Result<(), PtmError> {
        todo!()
    }

    pub(in crate::ptm) fn discipline(
        &self,
        _spec: &NeuralSpec,
        _card: &Card,
        _place: &Place<'_>,
    ) -> Box<dyn Discipline> {
        todo!()
    }
}
