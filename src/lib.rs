#![deny(unsafe_code)]
#![warn(missing_docs)]
//! taunet: a discrete-event network simulator that is checked against recorded captures.

pub mod link;
pub mod packet;
pub mod ptm;
pub mod topology;
pub mod units;
