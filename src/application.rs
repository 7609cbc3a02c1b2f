//! Applications: processes that write into connections and read from them, and the hosts where they run.
//!
//! What a `[[traffic]]` entry of connections comes to is a list of [`Flow`]s; [`hosts`] makes the endpoints that carry them.

mod hosts;
mod reader;
mod writer;

pub use hosts::{Entry, hosts};
pub use reader::{Reader, ReaderService};
pub use writer::Writer;

use crate::topology::DeviceId;
use crate::units::Time;

/// One connection: who sends what to whom, from when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// When its SYN is sent.
    pub at: Time,
    /// Who opens it, and sends.
    pub from: DeviceId,
    /// Who receives.
    pub to: DeviceId,
    /// Bytes; none for as many as the network takes.
    pub bytes: Option<u64>,
    /// When the sender closes, if not before.
    pub stop: Option<Time>,
}
