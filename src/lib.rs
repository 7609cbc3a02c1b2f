#![deny(unsafe_code)]
#![warn(missing_docs)]
//! taunet: a discrete-event network simulator that is checked against recorded captures.

pub mod cli;
pub mod config;
pub mod link;
pub mod packet;
pub mod ptm;
pub mod scenario;
pub mod topology;
pub mod traffic;
pub mod units;
