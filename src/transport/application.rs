//! Applications: processes that write to and read from a connection.

use super::segment::Answer;
use super::tcp::{Context, Socket};
use crate::units::{Span, Time};

/// The event that wakes a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The connection is established.
    Connected,
    /// The send buffer has space again.
    Writable,
    /// Data or the end of the stream can be read.
    Readable,
}

/// A process at one end of a connection. It has no clock of its own.
pub trait Application: Send {
    /// The time from `wake`, at `now`, until the process runs; by default zero.
    fn latency(&mut self, _wake: Wake, _now: Time) -> Span {
        Span::ZERO
    }

    /// Runs the process on its socket. It runs again when the socket wakes it, and at the returned time.
    fn run(&mut self, connection: &mut Process<'_, '_>) -> Option<Time>;
}

/// A connection, as its process sees it.
pub struct Process<'a, 'b> {
    pub(super) socket: &'a mut Socket,
    pub(super) context: &'a mut Context<'b>,
}

impl Process<'_, '_> {
    /// The current time.
    pub fn now(&self) -> Time {
        self.context.time
    }

    /// Whether the send buffer has space. If it has not, the process is woken when it has.
    pub fn poll_writable(&mut self) -> bool {
        self.socket.poll_writable()
    }

    /// Writes at most `bytes` bytes. Returns the number written; 0 without space.
    pub fn write(&mut self, bytes: u64) -> u64 {
        self.socket.write(bytes, self.context)
    }

    /// Reads available data, at most `bytes` bytes and 64 KiB. Returns the number read; 0 without data.
    pub fn read(&mut self, bytes: u64) -> u64 {
        self.socket.read(bytes, self.context)
    }

    /// Reports that a request of `request` bytes, begun at `began`, has its response.
    pub fn answered(&mut self, began: Time, request: u64, response: u64) {
        let (fid, ended) = (self.socket.number(), self.context.time);
        self.context.out.answers.push(Answer { fid, began, ended, request, response });
    }

    /// Whether the peer has closed its direction and all data has been read.
    pub fn is_at_end(&self) -> bool {
        self.socket.is_at_end()
    }

    /// Closes this direction. The peer reads the end of the stream after the last byte.
    pub fn close(&mut self) {
        self.socket.shut(self.context);
    }

    /// Whether this direction is closed.
    pub fn is_closed(&self) -> bool {
        self.socket.is_shut()
    }
}
