//! Training a learned PTM: training data, the networks in a framework, and their evaluation.

pub mod checkpoint;
pub mod csv;
pub mod data;
#[cfg(feature = "train")]
pub mod deepqueuenet;
pub mod evaluate;
#[cfg(feature = "train")]
pub mod passes;
#[cfg(feature = "train")]
pub mod residual;
pub mod samples;
pub mod shares;
pub mod spec;
pub mod trace;
pub mod train;

use std::path::PathBuf;

use crate::calibrate::CalibrateError;
use crate::config::ConfigError;
use crate::engine::EngineError;
use crate::ptm::PtmError;
use crate::ptm::neural::ModelError;
use crate::run::RunError;

/// Errors of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// The training file or a scenario is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Captures cannot be joined.
    #[error(transparent)]
    Captures(#[from] CalibrateError),
    /// A scenario's sources cannot be opened.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A scenario failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file cannot be read.
    #[error("{}: {}", .0.display(), .1)]
    Read(PathBuf, std::io::Error),
    /// A file cannot be written.
    #[error("{}: {}", .0.display(), .1)]
    Write(PathBuf, std::io::Error),
    /// A model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A model does not fit a port of the data.
    #[error("{0}: {1}")]
    Unfit(String, PtmError),
    /// A scenario has no port of this name.
    #[error("{0}")]
    Port(String),
    /// There are no packets.
    #[error("`{0}` has no packet that passes the port")]
    Nothing(String),
    /// There are no data for the training part.
    #[error(
        "there is nothing to train on: every [[data]] is for the test, or `split` leaves nothing to `train`"
    )]
    NothingToTrainOn,
    /// No packet waits.
    #[error("`{0}` shows no bottleneck: nothing waits in it, and there is nothing to learn")]
    NoBottleneck(String),
    /// The framing has cells, a minimum length, or a negative overhead.
    #[error("{0}: the framing of its bottleneck is not a constant overhead; give the bottleneck with `pace`")]
    Framing(String),
    /// The egress capture was taken at the arrival of the last bit.
    #[error(
        "the egress capture of `{0}` was taken behind the link, where the last bit of a packet arrives: take it at the device's \
         egress port"
    )]
    FarEnd(String),
    /// Packets of a class are not in order.
    #[error(
        "{packets} of {of} packets of `{name}` overtake others of their class: the device distinguishes more classes; give \
         them as `class`"
    )]
    Overtaking {
        /// the trace
        name: String,
        /// number of packets out of order
        packets: u64,
        /// number of all packets
        of: u64,
    },
    /// A DeepQueueNet table is invalid.
    #[error(transparent)]
    Csv(#[from] csv::CsvError),
    /// The DeepQueueNet network cannot be trained.
    #[cfg(feature = "train")]
    #[error(transparent)]
    DeepQueueNet(#[from] deepqueuenet::TrainError),
    /// The loss is not a number any more.
    #[error(
        "the training has diverged in pass {0}: its loss is not a number; a lower `learning_rate` may help"
    )]
    Diverged(u32),
    /// A checkpoint cannot be used.
    #[error("{}: {}", .0.display(), .1)]
    Checkpoint(PathBuf, String),
    /// There is no such processor to train on.
    #[error("{0}")]
    Device(String),
    /// The user interrupted the training.
    #[error("interrupted")]
    Interrupted,
}

impl LearnError {
    /// Whether the data or the options are at fault, and not the machine.
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, LearnError::Write(..) | LearnError::Engine(_) | LearnError::Interrupted)
    }
}
