//! Applications: processes that write into connections and read from them, and the hosts where they run.
//!
//! What a `[[traffic]]` entry of connections comes to is a list of [`Flow`]s; [`hosts`] makes the endpoints that carry them.

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

/// Random quantities of one connection, one after the other.
pub type Drawn<T> = Box<dyn Iterator<Item = T> + Send>;

/// A request, its response, and the time until the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Bytes of the request.
    pub request: u64,
    /// Bytes of the response.
    pub response: u64,
    /// From the last byte of the response to the next request.
    pub think: Span,
}

/// Silence, and then a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Burst {
    /// How long the process is silent.
    pub off: Span,
    /// How long it then writes.
    pub on: Span,
}

/// What the processes of a connection do.
#[derive(Clone, Default)]
pub enum Program {
    /// The opener writes as fast as it can; the other end reads.
    #[default]
    Stream,
    /// The opener writes at a rate or in bursts; the other end reads.
    Paced(Pacing),
    /// The opener asks; the other end answers.
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
