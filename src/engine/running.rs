//! The interface of both engines to a [`Simulation`](super::Simulation).

use super::tally::Tally;
use super::{EngineError, Progress};
use crate::statistics::Statistics;
use crate::transport::{Answer, ConnectionRecord};
use crate::units::Time;

/// The last instant that a run can reach.
pub(super) const LAST: Time = Time::from_ps(u64::MAX - 1);

/// A running engine.
pub(super) trait Running<O>: Send {
    /// Simulates up to and including `end`, or to the end of the run if that is earlier.
    fn run_until(&mut self, end: Time, observer: &mut O) -> Result<(), EngineError>;
    /// Counts the packets still in the network at the end.
    fn finish(&mut self, observer: &mut O) -> Result<Tally, EngineError>;
    /// The statistics of a finished run, if they were requested.
    fn statistics(&mut self) -> Option<Statistics>;
    /// The records of the connections of a finished run.
    fn take_connections(&mut self) -> Vec<ConnectionRecord> {
        Vec::new()
    }
    /// The answered requests.
    fn take_answers(&mut self) -> Vec<Answer> {
        Vec::new()
    }
    fn progress(&self) -> Progress;
    fn warnings(&self) -> Vec<String>;
}
