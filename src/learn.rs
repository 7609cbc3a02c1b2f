//! Training a learned PTM: data, the networks in a framework, and how good they are.

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

/// Why no model comes of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// The training file, or a scenario, is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Captures cannot be joined.
    #[error(transparent)]
    Captures(#[from] CalibrateError),
    /// A scenario's sources cannot be opened.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A scenario stopped.
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
    /// A model cannot be at a port of the data.
    #[error("{0}: {1}")]
    Unfit(String, PtmError),
    /// A scenario has no such port.
    #[error("{0}")]
    Port(String),
    /// No packets.
    #[error("`{0}` holds no packet that passes the port")]
    Nothing(String),
    /// No data for the training part.
    #[error(
        "there is nothing to train on: every [[data]] is for the test, or `split` leaves nothing to `train`"
    )]
    NothingToTrainOn,
    /// Nothing waits.
    #[error("`{0}` shows no bottleneck: nothing waits in it, and there is nothing to learn")]
    NoBottleneck(String),
    /// Cells, a shortest length, or bytes that the framing takes away.
    #[error(
        "{0}: its bottleneck counts packets with a framing that is more than an overhead; give the pace with `pace`"
    )]
    Framing(String),
    /// Captured where the last bit has arrived.
    #[error(
        "the egress capture of `{0}` was taken behind the link, where the last bit of a packet arrives: take it at the device's \
         egress port"
    )]
    FarEnd(String),
    /// A class is not in order.
    #[error(
        "{packets} of {of} packets of `{name}` overtake others of their class: the device keeps more classes apart; give \
         them as `class`"
    )]
    Overtaking {
        /// the trace
        name: String,
        /// how many
        packets: u64,
        /// of how many
        of: u64,
    },
    /// A table of DeepQueueNet's is wrong.
    #[error(transparent)]
    Csv(#[from] csv::CsvError),
    /// The published network cannot be trained.
    #[cfg(feature = "train")]
    #[error(transparent)]
    DeepQueueNet(#[from] deepqueuenet::TrainError),
    /// The loss is no number any more.
    #[error("the training has diverged in pass {0}: its loss is no number; a lower `learning_rate` may help")]
    Diverged(u32),
    /// A checkpoint cannot be used.
    #[error("{}: {}", .0.display(), .1)]
    Checkpoint(PathBuf, String),
    /// There is no such device to train on.
    #[error("{0}")]
    Device(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}
