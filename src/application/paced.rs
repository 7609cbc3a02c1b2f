//! A process that writes at a rate, in bursts, or both.

use std::sync::Arc;

use super::{Burst, Drawn};
use crate::packet::FlowKey;
use crate::transport::{Application, Process};
use crate::units::{PS_PER_S, Rate, Span, Time};

/// The bursts of each connection, by its flow.
pub type Bursts = Arc<dyn Fn(&FlowKey) -> Drawn<Burst> + Send + Sync>;

/// How a process writes.
#[derive(Clone)]
pub struct Pacing {
    /// Bits of payload per second during bursts; without it, as fast as the connection accepts.
    pub rate: Option<Rate>,
    /// The bytes of a write.
    pub write: u64,
    /// The bursts; without them, the process always writes.
    pub bursts: Option<Bursts>,
}

/// Writes at a rate, in bursts, or both, and closes after the last byte.
///
/// With a rate, a write becomes due each time its bytes have accumulated. Data that the connection does not
/// accept waits, and is written as soon as there is room (as in `iperf3 -b`).
pub struct PacedWriter {
    pacing: Pacing,
    bursts: Option<Drawn<Burst>>,
    /// The bytes not yet due; `None` for unlimited.
    left: Option<u64>,
    stop: Option<Time>,
    /// Bytes that are due.
    due: u64,
    /// The number of writes that have become due.
    writes: u64,
    /// The total length of all previous bursts.
    on_before: Span,
    /// The start and the end of the burst.
    burst: Option<(Time, Time)>,
}

impl PacedWriter {
    /// Writes `bytes` bytes of the flow, or without end; closes at `stop` at the latest.
    pub fn new(pacing: &Pacing, key: &FlowKey, bytes: Option<u64>, stop: Option<Time>) -> Self {
        PacedWriter {
            bursts: pacing.bursts.as_ref().map(|bursts| bursts(key)),
            pacing: pacing.clone(),
            left: bytes,
            stop,
            due: 0,
            writes: 0,
            on_before: Span::ZERO,
            burst: None,
        }
    }

    /// The time in bursts until the next write is due.
    fn until_write(&self, rate: Rate) -> Span {
        let bits = u128::from(self.pacing.write) * u128::from(self.writes) * 8;
        let ps = (bits * u128::from(PS_PER_S)).div_ceil(rate.as_bps().into());
        Span::from_ps(u64::try_from(ps).unwrap_or(u64::MAX))
    }

    /// The burst after `from`.
    fn burst_after(&mut self, from: Time) -> (Time, Time) {
        let Some(bursts) = &mut self.bursts else { return (from, Time::NEVER) };
        let Burst { off, on } = bursts.next().unwrap_or_default();
        (from + off, from + off + on)
    }

    /// Makes all writes due up to `now` due. Returns when the next one is due.
    fn fall_due(&mut self, now: Time) -> Time {
        loop {
            let (from, to) = match self.burst {
                Some(burst) => burst,
                None => self.burst_after(now),
            };
            self.burst = Some((from, to));
            let at = match self.pacing.rate {
                None => from,
                Some(_) if self.left == Some(0) => return Time::NEVER,
                // The rest of a gap at the end of a burst continues in the next burst.
                Some(rate) => from + Span::from_ps(self.until_write(rate).as_ps() - self.on_before.as_ps()),
            };
            let is_over = if self.pacing.rate.is_none() { to <= now } else { to <= at };
            if is_over {
                self.on_before += to.since(from);
                self.burst = Some(self.burst_after(to));
            } else if at > now {
                // Without a rate, nothing is due between bursts.
                self.due = if self.pacing.rate.is_none() { 0 } else { self.due };
                return at;
            } else if self.pacing.rate.is_none() {
                self.due = self.left.unwrap_or(u64::MAX);
                return to;
            } else {
                let bytes = self.left.map_or(self.pacing.write, |left| left.min(self.pacing.write));
                self.left = self.left.map(|left| left - bytes);
                self.due += bytes;
                self.writes += 1;
            }
        }
    }

    /// Whether everything has been written.
    fn is_done(&self) -> bool {
        match self.pacing.rate {
            Some(_) => self.left == Some(0) && self.due == 0,
            None => self.left == Some(0),
        }
    }
}

impl Application for PacedWriter {
    fn run(&mut self, connection: &mut Process<'_, '_>) -> Option<Time> {
        let now = connection.now();
        if connection.is_closed() {
            return None;
        }
        if self.stop.is_some_and(|stop| now >= stop) {
            connection.close();
            return None;
        }
        let next = self.fall_due(now);
        while self.due > 0 && connection.poll_writable() {
            let written = connection.write(self.due.min(self.pacing.write));
            if written == 0 {
                break;
            }
            self.due -= written;
            if self.pacing.rate.is_none() {
                self.left = self.left.map(|left| left - written);
            }
        }
        if self.is_done() {
            connection.close();
            return None;
        }
        let next = self.stop.map_or(next, |stop| stop.min(next));
        (next < Time::NEVER).then_some(next)
    }
}
