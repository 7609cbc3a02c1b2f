//! What loss recovery remembers: its state, what may be undone, and RACK's view of the network.

use crate::transport::sample::State;

/// What recovery remembers.
#[derive(Debug)]
pub(super) struct Recovery {
    pub state: State,
    /// The state ends when this is acknowledged.
    pub end: u64,
    /// A reduction that may turn out wrong: what was acknowledged when it was made.
    pub undo_from: Option<u64>,
    /// Retransmissions that have not turned out to be needless; -1 before the first.
    pub undo_left: i64,
    /// The window before the reduction.
    pub window_before: u32,
    /// The threshold before the reduction; 0 where it may not be undone.
    pub threshold_before: u32,
    /// Segments delivered, and sent, since the reduction began (PRR).
    pub delivered: u32,
    pub sent: u32,
    /// The tick of the first retransmission; 0 where there is none.
    pub first_retransmission: u64,
    /// After a timeout: it may turn out needless (F-RTO).
    pub suspects_timeout: bool,
    /// Timeouts since the last advance.
    pub timeouts: u32,
    /// How far segments may be out of order, in segments.
    pub reordering: u32,
    /// How often segments were seen out of order.
    pub reordering_seen: u32,
    /// What a loss probe sent goes up to, and whether it was a retransmission.
    pub probe: Option<(u64, bool)>,
    pub rack: Rack,
    /// The process closed before the peer did.
    pub closed_first: bool,
}

/// What RACK remembers.
#[derive(Debug)]
pub(super) struct Rack {
    /// When the segment that was sent last, of those delivered, was sent, in us; and its end.
    pub sent: (u64, u64),
    /// Its round-trip time, in us.
    pub rtt: u64,
    /// It has changed since losses were looked for.
    pub advanced: bool,
    /// A needless retransmission was reported.
    pub duplicate_seen: bool,
    /// The reordering window, in quarters of the least round-trip time.
    pub steps: u64,
    /// Recoveries that the reordering window is kept for.
    pub persist: u32,
    /// Segments delivered when it was changed last.
    pub changed_at: u64,
}

/// Segments that may be out of order before that means loss (`tcp_reordering`).
pub(super) const REORDERING: u32 = 3;
/// The most (`tcp_max_reordering`).
pub(super) const MOST_REORDERING: u64 = 300;
/// Recoveries that a larger reordering window is kept for (`TCP_RACK_RECOVERY_THRESH`).
pub(super) const PERSIST: u32 = 16;

impl Default for Recovery {
    fn default() -> Self {
        Recovery {
            state: State::Open,
            end: 0,
            undo_from: None,
            undo_left: 0,
            window_before: 0,
            threshold_before: 0,
            delivered: 0,
            sent: 0,
            first_retransmission: 0,
            suspects_timeout: false,
            timeouts: 0,
            reordering: REORDERING,
            reordering_seen: 0,
            probe: None,
            rack: Rack {
                sent: (0, 0),
                rtt: 0,
                advanced: false,
                duplicate_seen: false,
                steps: 1,
                persist: 0,
                changed_at: 0,
            },
            closed_first: false,
        }
    }
}

impl Recovery {
    /// Whether the window is being reduced.
    pub fn reduces(&self) -> bool {
        matches!(self.state, State::Reduced | State::Recovery)
    }

    /// Segments were sent.
    pub fn note_sent(&mut self, segments: u32) {
        if self.reduces() {
            self.sent += segments;
        }
    }
}

/// What is to be sent once the window is up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repair {
    Nothing,
    /// New data, to see whether the timeout was needless.
    New,
    /// What is lost.
    Lost,
}
