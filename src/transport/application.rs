//! What uses a connection: a process that writes and reads.

use super::segment::Answer;
use super::tcp::{Context, Socket};
use crate::units::{Span, Time};

/// What wakes a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The connection is there.
    Connected,
    /// There is room to write again.
    Writable,
    /// There is something to read, or the end.
    Readable,
}

/// A process at one end of a connection, without a clock of its own.
pub trait Application: Send {
    /// How long after `wake`, at `now`, it runs. At once, unless it says otherwise.
    fn latency(&mut self, _wake: Wake, _now: Time) -> Span {
        Span::ZERO
    }

    /// It runs: does with its socket what can be done. It runs again when the socket wakes it, and at the instant that it gives.
    fn run(&mut self, connection: &mut Process<'_, '_>) -> Option<Time>;
}

/// A connection in the hands of its process.
pub struct Process<'a, 'b> {
    pub(super) socket: &'a mut Socket,
    pub(super) context: &'a mut Context<'b>,
}

impl Process<'_, '_> {
    /// The instant.
    pub fn now(&self) -> Time {
        self.context.time
    }

    /// Whether there is room to write. Where not, the process is woken when there is.
    pub fn poll_writable(&mut self) -> bool {
        self.socket.poll_writable()
    }

    /// Writes at most `bytes` bytes, and gives how many; 0 where there is no room.
    pub fn write(&mut self, bytes: u64) -> u64 {
        self.socket.write(bytes, self.context)
    }

    /// Reads what is there, at most `bytes` bytes and 64 KiB, and gives how many; 0 where there is nothing.
    pub fn read(&mut self, bytes: u64) -> u64 {
        self.socket.read(bytes, self.context)
    }

    /// A request of this many bytes that began at `began` has its response.
    pub fn answered(&mut self, began: Time, request: u64, response: u64) {
        let (fid, ended) = (self.socket.number(), self.context.time);
        self.context.out.answers.push(Answer { fid, began, ended, request, response });
    }

    /// Whether the peer has closed its direction, and all of it is read.
    pub fn is_at_end(&self) -> bool {
        self.socket.is_at_end()
    }

    /// Closes this direction: the peer reads the end behind the last byte.
    pub fn close(&mut self) {
        self.socket.shut(self.context);
    }

    /// Whether this direction is closed.
    pub fn is_closed(&self) -> bool {
        self.socket.is_shut()
    }
}
