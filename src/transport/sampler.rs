//! Which connections of a host are sampled.

use rustc_hash::FxHashMap;

use super::sample::{Sampling, TransportSample};
use super::segment::Outbox;
use super::tcp::Socket;
use crate::units::Time;

/// What a host samples of its connections.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    /// Of every change, where that is wanted: per connection that is not over, its last sample.
    changes: Option<FxHashMap<u32, TransportSample>>,
    /// At the instants that are asked for, where any are: the connections that are not known to be over.
    pub instants: Option<Vec<u32>>,
}

impl Sampler {
    /// As it is asked for.
    pub fn new(sampling: Sampling) -> Self {
        Sampler {
            changes: sampling.has_changes().then(FxHashMap::default),
            instants: sampling.period().map(|_| Vec::new()),
        }
    }

    /// A connection begins.
    pub fn begin(&mut self, number: u32) {
        if let Some(connections) = &mut self.instants {
            connections.push(number);
        }
    }

    /// Something has happened at a connection; `is_over` says whether that was the last.
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
