//! The records that a host keeps of its connections. They are compact, since there may be millions.

use super::ConnectionRecord;
use super::tcp::socket::Socket;
use super::tcp::{LossRecovery, Parameters, TIMESTAMPS};
use crate::packet::FlowKey;
use crate::units::{Span, Time};

/// The record of one end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    opened: Time,
    /// [`Time::NEVER`] until then; also for the next field.
    closed: Time,
    finished: Time,
    advanced: Time,
    acknowledged: u64,
    retransmissions: u32,
    timeouts: u32,
    delivered_ce: u32,
    entry: u32,
    /// The maximum segment size: bytes of payload.
    segment: u16,
    opened_here: bool,
    gave_up: bool,
    has_timestamps: bool,
}

/// The progress of an end at the end of the warm-up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    acknowledged: u64,
    retransmissions: u32,
    timeouts: u32,
    delivered_ce: u32,
}

impl Kept {
    /// For an end that opens a connection.
    pub fn opened(entry: u32, parameters: &Parameters, at: Time) -> Self {
        Kept { entry, opened_here: true, ..Self::accepted(parameters, at) }
    }

    /// For an end that accepts a connection.
    pub fn accepted(parameters: &Parameters, at: Time) -> Self {
        Kept {
            opened: at,
            closed: Time::NEVER,
            finished: Time::NEVER,
            advanced: at,
            acknowledged: 0,
            retransmissions: 0,
            timeouts: 0,
            delivered_ce: 0,
            entry: 0,
            segment: u16::try_from(parameters.mss).unwrap_or(u16::MAX),
            opened_here: false,
            gave_up: false,
            has_timestamps: parameters.recovery == LossRecovery::Rack,
        }
    }

    /// Updates the record from a socket at `now`. Returns whether a connection opened by this end, at `from`
    /// or later, has just finished.
    pub fn note(&mut self, socket: &Socket, now: Time, from: Time) -> bool {
        let acknowledged = socket.bytes_acknowledged();
        if acknowledged > self.acknowledged {
            self.advanced = now;
        }
        let finishes = socket.is_finished() && self.finished == Time::NEVER;
        if finishes {
            self.finished = now;
        }
        let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        self.acknowledged = acknowledged;
        self.retransmissions = count(socket.counts.retransmissions);
        self.timeouts = count(socket.counts.timeouts);
        self.delivered_ce = count(socket.delivered_ce());
        self.gave_up = socket.counts.gave_up;
        finishes && self.opened_here && self.opened >= from
    }

    /// Records that both directions are closed.
    pub fn close(&mut self, now: Time) {
        self.closed = self.closed.min(now);
    }

    /// Whether it has not both finished and closed.
    pub fn is_open(&self) -> bool {
        self.closed == Time::NEVER
    }

    /// The progress so far.
    pub fn before(&self) -> Before {
        let Kept { acknowledged, retransmissions, timeouts, delivered_ce, .. } = *self;
        Before { acknowledged, retransmissions, timeouts, delivered_ce }
    }

    /// The record of flow `fid`, without the progress `before` and without events before `from`.
    pub fn record(&self, fid: u32, before: Option<&Before>, from: Time) -> ConnectionRecord {
        // A connection that ended in the warm-up does not count.
        let all = self.before();
        let nothing = Before { acknowledged: 0, retransmissions: 0, timeouts: 0, delivered_ce: 0 };
        let before = before.unwrap_or(if self.opened >= from { &nothing } else { &all });
        ConnectionRecord {
            key: FlowKey::Link { source: None, destination: None, ether_type: None },
            fid,
            entry: self.entry,
            opened_here: self.opened_here,
            gave_up: self.gave_up,
            segment: self.segment,
            options: if self.has_timestamps { TIMESTAMPS as u8 } else { 0 },
            opened: self.opened,
            counted_from: self.opened.max(from),
            closed: self.closed,
            finished: self.finished,
            ideal: Span::ZERO,
            advanced: self.advanced,
            acknowledged: self.acknowledged - before.acknowledged,
            retransmissions: self.retransmissions - before.retransmissions,
            timeouts: self.timeouts - before.timeouts,
            delivered_ce: self.delivered_ce - before.delivered_ce,
        }
    }
}
