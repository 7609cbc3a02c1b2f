//! Training a learned PTM: data, the networks in a framework, and how good they are.

pub mod trace;
