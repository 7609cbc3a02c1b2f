//! Retransmissions and their timer: timeout, loss probe, reordering timeout, window probe.

use super::{Context, Socket};
use crate::transport::sample::State;
use crate::transport::tcp::buffers::Id;
use crate::transport::tcp::rtt::LONGEST_TIMEOUT;
use crate::transport::timers::{Purpose, Timer};

/// The purpose of the timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    /// The retransmission timeout (RTO).
    Timeout,
    /// The tail loss probe (TLP).
    Probe,
    /// Segments may only be out of order (RACK).
    Reordering,
    /// The peer's window is closed.
    Window,
}

/// The timer.
#[derive(Debug, Default)]
pub(super) struct Retransmission {
    /// The purpose for which it is set.
    pub pending: Option<Pending>,
    /// When it is due, in ticks.
    due: u64,
    pub timer: Timer,
    /// Window probes sent without an answer that opens the window.
    window_probes: u32,
    /// Window probes sent without any answer.
    pub unanswered: u32,
}

/// The addition to the delay of a loss probe and of a reordering timeout, in us (`TCP_TIMEOUT_MIN`).
const LEAST_TIMEOUT: u64 = 2_000;
/// The addition to a loss probe's delay if a single segment is in flight, in us: its acknowledgement may be
/// delayed (`TCP_RTO_MIN`).
const DELAYED_ACK: u64 = 200_000;
/// The minimum delay of a window probe, in ticks (`TCP_RTO_MIN`).
const LEAST_WINDOW_PROBE: u64 = 200;
/// The maximum number of doublings of a window probe's delay, and of unanswered probes before a connection is
/// given up (`tcp_retries2`).
const MOST_DOUBLINGS: u32 = 15;

/// The ticks after the first retransmission at which a connection is given up: 15 timeouts from 200 ms, each
/// twice as long as the one before, up to 120 s (`tcp_retries2`, `tcp_model_timeout`).
const LONGEST_SILENCE: u64 = ((2 << 9) - 1) * 200 + (15 - 9) * LONGEST_TIMEOUT;

impl Socket {
    fn set_timer(&mut self, pending: Pending, delay: u64, context: &mut Context<'_>) {
        let due = context.now.ticks() + delay.min(LONGEST_TIMEOUT);
        self.retransmission.pending = Some(pending);
        self.retransmission.due = due;
        self.arm(context);
    }

    /// The same, delayed by the time for which pacing holds back the next burst.
    ///
    /// # Source
    /// Linux `include/net/tcp.h`, `tcp_reset_xmit_timer`, `tcp_pacing_delay`.
    fn set_paced_timer(&mut self, pending: Pending, delay: u64, context: &mut Context<'_>) {
        let held_back = self.departure.ns().saturating_sub(context.now.ns()) / 1_000_000;
        self.set_timer(pending, delay + held_back, context);
    }

    fn arm(&mut self, context: &mut Context<'_>) {
        let whose = (self.number, Purpose::Retransmission);
        let Self { retransmission: Retransmission { timer, due, .. }, .. } = self;
        context.timers.set_tick(timer, whose, *due, &context.clock, context.now);
    }

    /// The time until the oldest segment's timeout, in us; negative if it has expired.
    ///
    /// # Source
    /// Linux `include/net/tcp.h`, `tcp_rto_delta_us`.
    fn left_of_timeout(&self, context: &Context<'_>) -> i64 {
        let timeout = (self.round_trip.timeout * 1_000) as i64;
        match self.buffers.sent.front() {
            Some(oldest) => timeout + self.buffers[*oldest].sent.us() as i64 - context.now.us() as i64,
            None => timeout,
        }
    }

    /// Restarts the retransmission timeout.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_rearm_rto`.
    pub(super) fn rearm(&mut self, context: &mut Context<'_>) {
        if self.buffers.out == 0 {
            self.retransmission.pending = None;
            return;
        }
        let delay = match self.retransmission.pending {
            Some(Pending::Reordering | Pending::Probe) => {
                (self.left_of_timeout(context).max(1) as u64).div_ceil(1_000)
            }
            _ => self.round_trip.timeout,
        };
        self.set_paced_timer(Pending::Timeout, delay, context);
    }

    /// The receiver has discarded sacked data: its window is retransmitted soon.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_check_sack_reneging`.
    pub(super) fn expect_reneging(&mut self, context: &mut Context<'_>) {
        let delay = (self.round_trip.smoothed >> 4).div_ceil(1_000).max(10);
        self.set_timer(Pending::Timeout, delay, context);
    }

    /// Waits `delay` us for segments that may only be out of order.
    pub(super) fn expect_reordering(&mut self, delay: u64, context: &mut Context<'_>) {
        let ticks = (delay + LEAST_TIMEOUT).div_ceil(1_000).min(self.round_trip.timeout);
        self.set_timer(Pending::Reordering, ticks, context);
    }

    /// Starts the window probe timer if the peer's window is closed and nothing is in flight.
    ///
    /// # Source
    /// Linux `include/net/tcp.h`, `tcp_check_probe_timer`.
    pub(super) fn expect_window(&mut self, context: &mut Context<'_>) {
        if self.retransmission.pending.is_none() {
            let delay = self.round_trip.timeout.max(LEAST_WINDOW_PROBE);
            self.set_paced_timer(Pending::Window, delay, context);
        }
    }

    /// Handles an acknowledgement while nothing is in flight: the window is open, or probing continues.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_ack_probe`.
    pub(super) fn check_window(&mut self, context: &mut Context<'_>) {
        let Some(first) = self.buffers.unsent.front() else { return };
        if self.buffers[*first].end <= self.window_end() {
            self.retransmission.window_probes = 0;
            if self.retransmission.pending == Some(Pending::Window) {
                self.retransmission.pending = None;
            }
        } else {
            let delay = self.window_probe_delay();
            self.set_paced_timer(Pending::Window, delay, context);
        }
    }

    fn window_probe_delay(&self) -> u64 {
        let doublings = self.retransmission.window_probes.min(MOST_DOUBLINGS);
        (self.round_trip.timeout.max(LEAST_WINDOW_PROBE) << doublings).min(LONGEST_TIMEOUT)
    }

    /// Sets the timer to a tail loss probe, if allowed. `advancing` states whether an acknowledgement has
    /// just advanced.
    ///
    /// # Source
    /// RFC 8985, Section 7; Linux `net/ipv4/tcp_output.c`, `tcp_schedule_loss_probe`.
    pub(super) fn schedule_probe(&mut self, advancing: bool, context: &mut Context<'_>) -> bool {
        let is_calm = matches!(self.recovery.state, State::Open | State::Reduced);
        if self.buffers.out == 0 || !is_calm || self.is_newreno() {
            return false;
        }
        let mut delay = match self.round_trip.smoothed {
            0 => crate::transport::tcp::rtt::INITIAL_TIMEOUT,
            smoothed => {
                let more = if self.buffers.out == 1 { DELAYED_ACK } else { LEAST_TIMEOUT };
                ((smoothed >> 2) + more).div_ceil(1_000)
            }
        };
        // Not later than the timeout.
        let left = match advancing {
            true => (self.round_trip.timeout * 1_000) as i64,
            false => self.left_of_timeout(context),
        };
        if left > 0 {
            delay = delay.min((left as u64).div_ceil(1_000));
        }
        self.set_paced_timer(Pending::Probe, delay, context);
        true
    }

    /// The timer has fired.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_timer.c`, `tcp_write_timer_handler`.
    pub(super) fn retransmission_timer(&mut self, context: &mut Context<'_>) {
        let Some(pending) = self.retransmission.pending else { return };
        if self.retransmission.due > context.now.ticks() {
            return self.arm(context);
        }
        self.clock = context.now;
        match pending {
            Pending::Reordering => self.reordering_timeout(context),
            Pending::Probe => self.probe(context),
            Pending::Timeout => {
                self.retransmission.pending = None;
                self.timeout(context);
            }
            Pending::Window => {
                self.retransmission.pending = None;
                self.probe_window(context);
            }
        }
    }

    /// Sends a tail loss probe: new data, or the last segment again.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_send_loss_probe`.
    fn probe(&mut self, context: &mut Context<'_>) {
        if self.recovery.probe.is_none() {
            let fits =
                self.buffers.unsent.front().is_some_and(|first| self.fits_window(&self.buffers[*first]));
            let sent =
                if fits { self.send_probe(context).then_some(false) } else { self.repeat_last(context) };
            if let Some(is_retransmission) = sent {
                self.recovery.probe = Some((self.next, is_retransmission));
                self.retransmission.pending = None;
            }
        }
        self.rearm(context);
    }

    /// Retransmits the last segment.
    fn repeat_last(&mut self, context: &mut Context<'_>) -> Option<bool> {
        let place = self.buffers.sent.len().checked_sub(1)?;
        let buffer = self.buffers[self.buffers.sent[place]];
        let before_last = u64::from(buffer.segments - 1) * self.mss();
        let mut id = self.buffers.sent[place];
        if buffer.segments > 1 && buffer.length() > before_last {
            self.buffers.split_sent(place, before_last);
            id = self.buffers.sent[place + 1];
        }
        self.send_again(id, 1, context).then_some(true)
    }

    /// The retransmission timeout.
    ///
    /// # Source
    /// RFC 6298, Section 5; Linux `net/ipv4/tcp_timer.c`, `tcp_retransmit_timer`.
    fn timeout(&mut self, context: &mut Context<'_>) {
        if self.buffers.out == 0 {
            return;
        }
        let first = self.recovery.first_retransmission;
        if self.recovery.timeouts > 0 && first > 0 && context.now.ticks() >= first + LONGEST_SILENCE {
            return self.give_up();
        }
        self.counts.timeouts += 1;
        if self.is_newreno() {
            self.timeout_newreno(context);
        } else {
            self.enter_loss(context);
            if let Some(first) = self.buffers.sent.front().copied() {
                self.retransmit(first, 1, context);
            }
        }
        self.round_trip.back_off();
        self.set_timer(Pending::Timeout, self.round_trip.timeout, context);
    }

    /// Probes the peer's window with a segment older than all data in flight.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_send_probe0`, `tcp_write_wakeup`.
    fn probe_window(&mut self, context: &mut Context<'_>) {
        let Some(first) = self.buffers.unsent.front().copied() else { return };
        if self.buffers.out > 0 {
            return;
        }
        if self.retransmission.unanswered >= MOST_DOUBLINGS {
            return self.give_up();
        }
        if self.buffers[first].seq < self.window_end() {
            self.send_into_window(first, context);
        } else {
            self.send_empty(self.unacknowledged - 1, context);
        }
        if self.buffers.out > 0 {
            self.retransmission.window_probes = 0;
            return;
        }
        self.retransmission.window_probes += 1;
        self.retransmission.unanswered += 1;
        let delay = self.window_probe_delay();
        self.set_paced_timer(Pending::Window, delay, context);
    }

    /// Retransmits a buffer, at most `segments` of it. Returns whether it was sent.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `__tcp_retransmit_skb`.
    pub(super) fn send_again(&mut self, id: Id, segments: u64, context: &mut Context<'_>) -> bool {
        let mss = self.mss();
        let buffer = self.buffers[id];
        if context.queue.has(self.number, buffer.mark) {
            // Data in the host's queue is not lost (skb_still_in_host_queue).
            context.queue.wait(self.number);
            return false;
        }
        let mut room = self.window_end().saturating_sub(buffer.seq);
        if room == 0 {
            // If the window has shrunk to zero, the first segment probes it.
            if buffer.seq != self.unacknowledged {
                return false;
            }
            room = mss;
        }
        let mut most = segments * mss;
        if most > room {
            most = if room >= mss { room / mss * mss } else { room };
        }
        if buffer.length() > most {
            let place = self.buffers.place_of(buffer.seq);
            self.buffers.split_sent(place, most);
        }
        self.transmit(id, context);
        self.buffers[id].ever_retransmitted = true;
        self.counts.retransmissions += u64::from(self.buffers[id].segments);
        true
    }

    /// Retransmits a buffer marked lost, at most `segments` of it.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_retransmit_skb`.
    pub(super) fn retransmit(&mut self, id: Id, segments: u64, context: &mut Context<'_>) -> bool {
        if !self.send_again(id, segments, context) {
            return false;
        }
        let segments = self.buffers[id].segments;
        self.buffers[id].retransmitted = true;
        self.buffers.retransmitted += segments;
        let recovery = &mut self.recovery;
        if recovery.first_retransmission == 0 {
            recovery.first_retransmission = context.now.ticks();
        }
        recovery.undo_left = recovery.undo_left.max(0) + i64::from(segments);
        true
    }

    /// Retransmits the buffers marked lost, oldest first, while the congestion window has space.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_xmit_retransmit_queue`.
    pub(super) fn retransmit_lost(&mut self, context: &mut Context<'_>) {
        if self.buffers.out == 0 {
            return;
        }
        let burst = self.burst();
        let mut restarts = false;
        let mut place = self.buffers.place_of(self.buffers.repair_from);
        let mut is_repaired = true;
        while let Some(id) = self.buffers.sent.get(place).copied() {
            if self.pacing.is_some() && self.is_paced(context) {
                is_repaired = false;
                break;
            }
            let room = self.congestion.size.saturating_sub(self.buffers.in_flight());
            if room == 0 || self.buffers.retransmitted >= self.buffers.lost {
                is_repaired = false;
                break;
            }
            let buffer = self.buffers[id];
            if buffer.lost && !buffer.sacked && !buffer.retransmitted {
                if self.waits_for_queue(id, 1, context)
                    || !self.retransmit(id, u64::from(room).min(burst), context)
                {
                    is_repaired = false;
                    break;
                }
                self.recovery.note_sent(self.buffers[id].segments);
                restarts |= place == 0 && self.retransmission.pending != Some(Pending::Reordering);
            }
            place += 1;
        }
        let from = self.buffers.sent.get(place).map(|id| self.buffers[*id].seq);
        self.buffers.repair_from = if is_repaired { self.next } else { from.unwrap_or(self.next) };
        if restarts {
            self.set_paced_timer(Pending::Timeout, self.round_trip.timeout, context);
        }
    }

    /// Whether the timer waits for a timeout.
    pub(super) fn waits_for_timeout(&self) -> bool {
        self.retransmission.pending == Some(Pending::Timeout)
    }
}
