//! The state of loss recovery, for undoing reductions, and the state of RACK.

use crate::transport::sample::State;

/// The state of loss recovery.
#[derive(Debug)]
pub(super) struct Recovery {
    pub state: State,
    /// The state ends when this is acknowledged.
    pub end: u64,
    /// For a reduction that may be undone: the acknowledgement number at its start.
    pub undo_from: Option<u64>,
    /// Retransmissions not known to be spurious; -1 before the first.
    pub undo_left: i64,
    /// The window before the reduction.
    pub window_before: u32,
    /// The threshold before the reduction; 0 if it may not be undone.
    pub threshold_before: u32,
    /// Segments delivered, and sent, since the reduction began (PRR).
    pub delivered: u32,
    pub sent: u32,
    /// The tick of the first retransmission; 0 if there is none.
    pub first_retransmission: u64,
    /// Whether a timeout may turn out spurious (F-RTO).
    pub suspects_timeout: bool,
    /// Timeouts since the last advance.
    pub timeouts: u32,
    /// The extent of reordering, in segments.
    pub reordering: u32,
    /// The number of times that reordering was seen.
    pub reordering_seen: u32,
    /// The end of the data that a loss probe sent, and whether it was a retransmission.
    pub probe: Option<(u64, bool)>,
    pub rack: Rack,
    /// Whether the application closed before the peer.
    pub closed_first: bool,
}

/// The state of RACK.
#[derive(Debug)]
pub(super) struct Rack {
    /// When the most recently sent of the delivered segments was sent, in us; and its end.
    pub sent: (u64, u64),
    /// Its round-trip time, in us.
    pub rtt: u64,
    /// Whether it has changed since losses were last detected.
    pub advanced: bool,
    /// Whether a spurious retransmission was reported.
    pub duplicate_seen: bool,
    /// The reordering window, in quarters of the minimum round-trip time.
    pub steps: u64,
    /// The number of recoveries for which the reordering window is kept.
    pub persist: u32,
    /// The number of delivered segments at its last change.
    pub changed_at: u64,
}

/// The number of reordered segments that does not yet indicate a loss (`tcp_reordering`).
pub(super) const REORDERING: u32 = 3;
/// Its maximum (`tcp_max_reordering`).
pub(super) const MOST_REORDERING: u64 = 300;
/// The number of recoveries for which a larger reordering window is kept (`TCP_RACK_RECOVERY_THRESH`).
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

    /// Counts sent segments.
    pub fn note_sent(&mut self, segments: u32) {
        if self.reduces() {
            self.sent += segments;
        }
    }
}

/// What to send after the window is updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repair {
    Nothing,
    /// New data, to test whether the timeout was spurious.
    New,
    /// Lost segments.
    Lost,
}
