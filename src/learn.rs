//! Training a learned PTM: data, the networks in a framework, and how good they are.

pub mod csv;
#[cfg(feature = "train")]
pub mod deepqueuenet;
pub mod trace;
