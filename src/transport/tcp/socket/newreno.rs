//! NewReno by the RFCs, as an alternative to Linux's recovery: without SACK and timestamps, an
//! acknowledgement for each segment, and a window in bytes.

use super::{Context, Socket};
use crate::transport::congestion::{CongestionWindow, INFINITE};
use crate::transport::sample::State;
use crate::transport::segment::Segment;
use crate::transport::tcp::LossRecovery;

/// The window of a sender, in bytes.
#[derive(Debug)]
pub(super) struct NewReno {
    window: u64,
    /// The slow start threshold.
    threshold: u64,
    /// The number of duplicate acknowledgements since the last one that advanced.
    duplicates: u64,
    mss: u64,
}

/// The number of duplicate acknowledgements that indicate a loss (RFC 5681, Section 3.2).
const DUPLICATES: u64 = 3;

impl NewReno {
    /// The window of a new connection.
    pub fn new(mss: u32, initial_window: u32) -> Self {
        let mss = mss.into();
        let window = mss * u64::from(initial_window);
        NewReno { window, threshold: u64::MAX, duplicates: 0, mss }
    }

    /// Grows the window after an acknowledgement of `bytes`: slow start or congestion avoidance.
    ///
    /// # Source
    /// RFC 5681, Section 3.1, equations (2) and (3).
    fn grow(&mut self, bytes: u64) {
        self.window += match self.window < self.threshold {
            true => bytes.min(self.mss),
            false => (self.mss * self.mss / self.window).max(1),
        };
    }

    /// Reduces the threshold after a loss with `in_flight` bytes in flight.
    ///
    /// # Source
    /// RFC 5681, Section 3.1, equation (4).
    fn halve(&mut self, in_flight: u64) {
        self.threshold = (in_flight / 2).max(2 * self.mss);
    }

    /// The third duplicate: starts fast recovery.
    ///
    /// The segments behind the duplicates have left the network and do not count as in flight, as in ns-3.
    ///
    /// # Source
    /// RFC 6582, Section 3.2, steps 1 and 2.
    fn recover(&mut self, in_flight: u64) {
        self.halve(in_flight.saturating_sub(DUPLICATES * self.mss));
        self.window = self.threshold + DUPLICATES * self.mss;
    }

    /// A part of the data in recovery is acknowledged: `bytes`.
    ///
    /// # Source
    /// RFC 6582, Section 3.2, step 3, partial acknowledgements.
    fn acknowledged_in_part(&mut self, bytes: u64) {
        self.window = self.window.saturating_sub(bytes);
        if bytes >= self.mss {
            self.window += self.mss;
        }
    }

    /// All data in recovery is acknowledged; `in_flight` bytes remain. The acknowledgement then counts in
    /// congestion avoidance.
    ///
    /// # Source
    /// RFC 6582, Section 3.2, step 3, full acknowledgements, option 1.
    fn recovered(&mut self, in_flight: u64) {
        self.window = self.threshold.min(in_flight.max(self.mss) + self.mss);
    }

    /// The retransmission timeout: slow start from one segment. Only the first timeout of a loss halves the
    /// threshold.
    ///
    /// # Source
    /// RFC 5681, Section 3.1; RFC 6582, Section 3.2, step 4.
    fn timed_out(&mut self, in_flight: u64, is_first: bool) {
        if is_first {
            self.halve(in_flight);
        }
        self.window = self.mss;
        self.duplicates = 0;
    }

    /// The window in segments, for results.
    fn in_segments(&self) -> CongestionWindow {
        let segments = |bytes: u64| u32::try_from(bytes / self.mss).unwrap_or(INFINITE).min(INFINITE);
        CongestionWindow { size: segments(self.window), threshold: segments(self.threshold), counted: 0 }
    }
}

impl Socket {
    /// Whether NewReno repairs losses.
    pub(super) fn is_newreno(&self) -> bool {
        self.parameters.recovery == LossRecovery::Rfc6582
    }

    /// Runs `act` on NewReno's window, and publishes the result.
    fn with_newreno(&mut self, act: impl FnOnce(&mut NewReno, &mut Self)) {
        let Some(mut newreno) = self.newreno.take() else { return };
        act(&mut newreno, self);
        self.congestion = newreno.in_segments();
        self.newreno = Some(newreno);
    }

    /// Enters a state that ends when all data sent so far is acknowledged.
    fn enter_newreno(&mut self, state: State) {
        self.recovery.state = state;
        self.recovery.end = self.next;
    }

    /// Bytes of the stream that are unacknowledged and not marked lost by a timeout. The FIN does not count.
    fn bytes_in_flight(&self) -> u64 {
        let lost = u64::from(self.buffers.lost - self.buffers.retransmitted) * self.mss();
        let fin = u64::from(self.is_shut && self.next == self.written);
        (self.next - self.unacknowledged).saturating_sub(lost + fin)
    }

    /// Processes an acknowledgement.
    ///
    /// # Source
    /// RFC 5681, Section 3.2; RFC 6582, Section 3.2.
    pub(super) fn acknowledge_newreno(&mut self, segment: &Segment, context: &mut Context<'_>) {
        let Some(bytes) = segment.ack.checked_sub(self.unacknowledged) else { return };
        let window = u64::from(segment.window);
        // RFC 5681, Section 2: no data, no advance, the same window, while data is in flight.
        let is_duplicate =
            bytes == 0 && segment.end == segment.seq && window == self.window && self.buffers.out > 0;
        self.set_window(window);
        self.window_updated_at = segment.seq;
        self.unacknowledged = segment.ack;
        self.retransmission.unanswered = 0;
        if bytes > 0 {
            self.release_newreno(context);
            self.with_newreno(|newreno, socket| socket.advance_newreno(newreno, bytes, context));
            // Each advance restarts the timer (RFC 6298, Section 5; the slow-but-steady variant of RFC 6582,
            // Section 4).
            self.retransmission.pending = None;
            self.rearm(context);
        } else if is_duplicate {
            self.with_newreno(|newreno, socket| socket.duplicate_newreno(newreno, context));
        }
        if self.buffers.out == 0 {
            self.check_window(context);
        }
        self.send_newreno(context);
    }

    fn advance_newreno(&mut self, newreno: &mut NewReno, bytes: u64, context: &mut Context<'_>) {
        newreno.duplicates = 0;
        let is_repaired = self.unacknowledged >= self.recovery.end;
        if self.recovery.state == State::Recovery && !is_repaired {
            newreno.acknowledged_in_part(bytes);
            return self.repeat_first(context);
        }
        if self.recovery.state == State::Recovery {
            newreno.recovered(self.bytes_in_flight());
        }
        if is_repaired {
            self.recovery.state = State::Open;
        }
        newreno.grow(bytes);
    }

    /// # Source
    /// RFC 5681, Section 3.2; limited transmit: RFC 3042.
    fn duplicate_newreno(&mut self, newreno: &mut NewReno, context: &mut Context<'_>) {
        newreno.duplicates += 1;
        match self.recovery.state {
            State::Recovery => newreno.window += newreno.mss,
            // Segments sent after a timeout cause duplicates of their own.
            State::Loss => {}
            _ if newreno.duplicates < DUPLICATES => {
                let limit = newreno.window + newreno.duplicates * newreno.mss;
                self.send_new_within(limit, context);
            }
            _ if newreno.duplicates == DUPLICATES && self.unacknowledged >= self.recovery.end => {
                newreno.recover(self.next - self.unacknowledged);
                self.enter_newreno(State::Recovery);
                self.repeat_first(context);
            }
            _ => {}
        }
    }

    /// Retransmits the oldest segment.
    fn repeat_first(&mut self, context: &mut Context<'_>) {
        if let Some(first) = self.buffers.sent.front().copied() {
            self.send_again(first, 1, context);
        }
    }

    /// Releases acknowledged data, and measures its round-trip time if it was sent only once (Karn).
    fn release_newreno(&mut self, context: &mut Context<'_>) {
        let mut sample = None;
        while let Some(id) = self.buffers.sent.front().copied() {
            let buffer = self.buffers[id];
            if buffer.end > self.unacknowledged {
                break;
            }
            if buffer.lost {
                self.buffers.lost -= buffer.segments;
            }
            if buffer.retransmitted {
                self.buffers.retransmitted -= buffer.segments;
            }
            self.buffers.out -= buffer.segments;
            let again = buffer.ever_retransmitted || buffer.retransmitted;
            sample = (!again).then(|| context.now.us() - buffer.sent.us());
            self.buffers.free_first();
        }
        if let Some(sample) = sample {
            self.round_trip.sample_least(sample.max(1), context.now.ticks());
            self.round_trip.sample(sample, self.unacknowledged, self.next);
        }
        self.recovery.timeouts = 0;
    }

    /// Sends what the window allows: data marked lost by a timeout, then new data.
    pub(super) fn send_newreno(&mut self, context: &mut Context<'_>) {
        let Some(window) = self.newreno.as_ref().map(|newreno| newreno.window) else { return };
        let mut place = 0;
        while self.buffers.lost > self.buffers.retransmitted
            && self.bytes_in_flight() + self.mss() <= window
            && let Some(id) = self.buffers.sent.get(place).copied()
        {
            let buffer = &self.buffers[id];
            if buffer.lost && !buffer.retransmitted && !self.retransmit(id, 1, context) {
                return;
            }
            place += 1;
        }
        self.send_new_within(window, context);
    }

    /// Sends new data up to `limit` bytes in flight.
    fn send_new_within(&mut self, limit: u64, context: &mut Context<'_>) {
        while let Some(id) = self.buffers.unsent.front().copied() {
            let buffer = self.buffers[id];
            let is_last = self.buffers.unsent.len() == 1;
            // Nagle: a partial segment waits while another is in flight (RFC 896), unless it is the last.
            let is_held = buffer.length() < self.mss() && is_last && !buffer.fin && self.buffers.out > 0;
            let is_over = buffer.length() > 0 && self.bytes_in_flight() + buffer.length() > limit;
            if is_held || is_over || !self.fits_window(&buffer) {
                break;
            }
            self.transmit(id, context);
            self.account_sent(id, context);
        }
    }

    /// The retransmission timeout: marks all data in flight lost.
    pub(super) fn timeout_newreno(&mut self, context: &mut Context<'_>) {
        let (in_flight, is_first) = (self.bytes_in_flight(), self.recovery.state != State::Loss);
        self.with_newreno(|newreno, _| newreno.timed_out(in_flight, is_first));
        self.enter_newreno(State::Loss);
        self.recovery.timeouts += 1;
        for place in 0..self.buffers.sent.len() {
            let id = self.buffers.sent[place];
            self.buffers.mark_lost(id);
        }
        self.send_newreno(context);
    }
}
