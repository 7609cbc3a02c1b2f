//! The sampling of a host's connections.

use rustc_hash::FxHashMap;

use super::sample::{Sampling, TransportSample};
use super::segment::Outbox;
use super::tcp::Socket;
use crate::units::Time;

/// The sampling state of a host.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    /// For sampling at every change: the last sample of each connection that is not over.
    changes: Option<FxHashMap<u32, TransportSample>>,
    /// For periodic sampling: the connections that may not be over.
    pub instants: Option<Vec<u32>>,
}

impl Sampler {
    /// The state for this sampling.
    pub fn new(sampling: Sampling) -> Self {
        Sampler {
            changes: sampling.has_changes().then(FxHashMap::default),
            instants: sampling.period().map(|_| Vec::new()),
        }
    }

    /// Adds a new connection.
    pub fn begin(&mut self, number: u32) {
        if let Some(connections) = &mut self.instants {
            connections.push(number);
        }
    }

    /// Handles an event at a connection. `is_over` states whether it was the last one.
    #[inline]
    pub fn note(&mut self, number: u32, socket: &Socket, is_over: bool, now: Time, out: &mut Outbox) {
        if let Some(last) = &mut self.changes {
            note_change(last, number, socket, is_over, now, out);
        }
    }
}

#[cold]
fn note_change(
    last: &mut FxHashMap<u32, TransportSample>,
    number: u32,
    socket: &Socket,
    is_over: bool,
    now: Time,
    out: &mut Outbox,
) {
    let Some(sample) = socket.sample(now) else { return };
    let before = if is_over { last.remove(&number) } else { last.insert(number, sample) };
    if before.is_none_or(|before| before != TransportSample { time: before.time, ..sample }) {
        out.samples.push(sample);
    }
}
