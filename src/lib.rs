#![deny(unsafe_code)]
#![warn(missing_docs)]
//! taunet: a discrete-event network simulator that is checked against recorded captures.

pub mod capture;
pub mod cli;
pub mod compare;
pub mod config;
pub mod device;
pub mod engine;
pub mod link;
pub mod packet;
pub mod pfm;
pub mod ptm;
pub mod record;
pub mod run;
pub mod scenario;
pub mod table;
pub mod topology;
pub mod traffic;
pub mod units;
