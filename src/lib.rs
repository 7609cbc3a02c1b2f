#![deny(unsafe_code)]
#![warn(missing_docs)]
//! taunet: a discrete-event network simulator that is checked against recorded captures.

pub mod units;
pub mod packet;
pub mod link;
pub mod table;
pub mod config;
pub mod capture;
pub mod ptm;
pub mod topology;
pub mod pfm;
pub mod device;
pub mod traffic;
pub mod scenario;
pub mod engine;
pub mod record;
pub mod compare;
pub mod run;
pub mod cli;
