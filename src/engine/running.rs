//! What both engines are to a [`Simulation`](super::Simulation).

use super::tally::Tally;
use super::{EngineError, Progress};
use crate::statistics::Statistics;
use crate::transport::{Answer, ConnectionRecord};
use crate::units::Time;

/// The last instant that a run can reach.
pub(super) const LAST: Time = Time::from_ps(u64::MAX - 1);

/// What an engine does between its start and its end.
pub(super) trait Running<O>: Send {
    /// Does everything up to and at `end`, or to the end of the run if that comes first.
    fn run_until(&mut self, end: Time, observer: &mut O) -> Result<(), EngineError>;
    /// Counts who is still inside, once everything has been done.
    fn finish(&mut self, observer: &mut O) -> Result<Tally, EngineError>;
    /// What was kept of a run that is finished, where that was wanted.
    fn statistics(&mut self) -> Option<Statistics>;
    /// What the ends of connections have done, of a run that is finished.
    fn take_connections(&mut self) -> Vec<ConnectionRecord> {
        Vec::new()
    }
    /// The requests that have been answered.
    fn take_answers(&mut self) -> Vec<Answer> {
        Vec::new()
    }
    fn progress(&self) -> Progress;
    fn warnings(&self) -> Vec<String>;
}
