//! A process that sends a byte stream.

use crate::transport::{Application, Process};
use crate::units::Time;

/// Writes as fast as the connection accepts, and closes after the last byte.
///
/// It writes 64 KiB at a time until the buffer is full, and continues once a third of the buffer is free, as
/// usual applications do.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    /// The remaining bytes; `None` for unlimited.
    left: Option<u64>,
    stop: Option<Time>,
}

/// Bytes of a write.
const WRITE: u64 = 65_536;

impl Writer {
    /// Writes `bytes` bytes, or without end; closes at `stop` at the latest.
    pub fn new(bytes: Option<u64>, stop: Option<Time>) -> Self {
        Writer { left: bytes, stop }
    }
}

impl Application for Writer {
    fn run(&mut self, connection: &mut Process<'_, '_>) -> Option<Time> {
        if connection.is_closed() {
            return None;
        }
        if self.stop.is_some_and(|stop| connection.now() >= stop) {
            connection.close();
            return None;
        }
        let can_write = connection.poll_writable();
        while can_write && self.left != Some(0) {
            let written = connection.write(self.left.map_or(WRITE, |left| left.min(WRITE)));
            if written == 0 {
                break;
            }
            if let Some(left) = &mut self.left {
                *left -= written;
            }
        }
        if self.left == Some(0) {
            connection.close();
            return None;
        }
        self.stop
    }
}
