#![deny(unsafe_code)]
#![warn(missing_docs)]
//! taunet: a discrete-event network simulator that is checked against recorded captures.

pub mod capture;
pub mod link;
pub mod packet;
pub mod units;
