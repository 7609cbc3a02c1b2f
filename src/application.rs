//! Applications: processes that write to and read from connections, and the hosts that run them.
//!
//! A `[[traffic]]` entry of connections is resolved into a list of [`Flow`]s; [`hosts`] creates the endpoints
//! that carry them.

mod dialogue;
mod hosts;
mod paced;
mod reader;
mod writer;

use std::fmt;

pub use dialogue::{AnswerService, Asker, Turns};
pub use hosts::{Entry, hosts};
pub use paced::{Bursts, PacedWriter, Pacing};
pub use reader::{Reader, ReaderService};
pub use writer::Writer;

use crate::topology::DeviceId;
use crate::units::{Span, Time};

/// One connection: its ends, its amount of data, and its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// When its SYN is sent.
    pub at: Time,
    /// The host that opens the connection and sends.
    pub from: DeviceId,
    /// The host that receives.
    pub to: DeviceId,
    /// The bytes to send; `None` for unlimited.
    pub bytes: Option<u64>,
    /// When the sender closes the connection, if not before.
    pub stop: Option<Time>,
}

/// Random quantities of one connection, in order.
pub type Drawn<T> = Box<dyn Iterator<Item = T> + Send>;

/// A request, its response, and the time until the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Bytes of the request.
    pub request: u64,
    /// Bytes of the response.
    pub response: u64,
    /// The time from the last byte of the response to the next request.
    pub think: Span,
}

/// A silence followed by a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Burst {
    /// The length of the silence.
    pub off: Span,
    /// The length of the burst.
    pub on: Span,
}

/// The behaviour of the processes of a connection.
#[derive(Clone, Default)]
pub enum Program {
    /// The opener writes as fast as possible; the other end reads.
    #[default]
    Stream,
    /// The opener writes at a rate or in bursts; the other end reads.
    Paced(Pacing),
    /// The opener sends requests; the other end responds.
    Dialogue(Turns),
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Program::Stream => "Stream",
            Program::Paced(_) => "Paced",
            Program::Dialogue(_) => "Dialogue",
        })
    }
}
