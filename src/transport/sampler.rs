//! Which connections of a host are sampled.

use rustc_hash::FxHashMap;

use super::sample::{Sampling, TransportSample};
use super::segment::Outbox;
use super::tcp::Socket;
use crate::units::{Span, Time};

/// What a host samples of its connections.
#[derive(Debug, Default)]
pub(super) enum Sampler {
    /// Nothing.
    #[default]
    Off,
    /// Every change: per connection that is not over, its last sample.
    Changes(FxHashMap<u32, TransportSample>),
    /// What is asked for: the connections that are not known to be over.
    Instants(Vec<u32>),
}

impl Sampler {
    /// As it is asked for.
    pub fn new(sampling: Sampling) -> Self {
        match sampling {
            Sampling::Changes | Sampling::Every(Span::ZERO) => Sampler::Changes(FxHashMap::default()),
            Sampling::Every(_) => Sampler::Instants(Vec::new()),
        }
    }

    /// A connection begins.
    pub fn begin(&mut self, number: u32) {
        if let Sampler::Instants(connections) = self {
            connections.push(number);
        }
    }

    /// Something has happened at a connection; `is_over` says whether that was the last.
    #[inline]
    pub fn note(&mut self, number: u32, socket: &Socket, is_over: bool, now: Time, out: &mut Outbox) {
        if let Sampler::Changes(last) = self {
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
