//! The states of loss recovery: their transitions, and the use of the congestion window in each.

use super::acknowledged::Acknowledged;
use super::state::{MOST_REORDERING, PERSIST, REORDERING, Repair};
use super::{Context, Socket};
use crate::transport::sample::State;

impl Socket {
    /// The threshold to restore when a reduction is undone.
    ///
    /// # Source
    /// Linux `include/net/tcp.h`, `tcp_current_ssthresh`.
    pub(super) fn present_threshold(&self) -> u32 {
        let size = self.congestion.size;
        match self.recovery.reduces() {
            true => self.congestion.threshold,
            false => self.congestion.threshold.max((size >> 1) + (size >> 2)),
        }
    }

    fn remember_for_undo(&mut self) {
        self.recovery.undo_from = Some(self.unacknowledged);
        let probes = self.recovery.probe.is_some_and(|(_, is_retransmission)| is_retransmission);
        let out = i64::from(self.buffers.retransmitted) + i64::from(probes);
        // 0 would mean that all retransmissions were spurious.
        self.recovery.undo_left = if out > 0 { out } else { -1 };
    }

    /// Starts the reduction of the window.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_init_cwnd_reduction`.
    fn begin_reduction(&mut self) {
        let recovery = &mut self.recovery;
        recovery.end = self.next;
        recovery.probe = None;
        recovery.window_before = self.congestion.size;
        recovery.delivered = 0;
        recovery.sent = 0;
        self.congestion.counted = 0;
        self.congestion.threshold = self.algorithm.threshold(&self.congestion);
        self.report_reduction();
    }

    /// Completes the reduction.
    fn end_reduction(&mut self, context: &Context<'_>) {
        if self.pacing.is_none()
            && (self.recovery.state == State::Reduced || self.recovery.undo_from.is_some())
        {
            self.congestion.size = self.congestion.threshold;
            self.usage.stamp = context.now.ticks();
        }
    }

    /// An ECN echo: reduces the window. This is not undone.
    ///
    /// # Source
    /// RFC 3168, Section 6.1.2; Linux `net/ipv4/tcp_input.c`, `tcp_enter_cwr`.
    fn enter_reduced(&mut self) {
        self.recovery.threshold_before = 0;
        if self.recovery.state < State::Reduced {
            self.recovery.undo_from = None;
            self.begin_reduction();
            self.recovery.state = State::Reduced;
        }
    }

    /// Starts loss recovery. With an ECN echo, the reduction is not undone.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_enter_recovery`.
    pub(super) fn enter_recovery(&mut self, echoes_mark: bool) {
        if !self.any_retransmission() {
            self.recovery.first_retransmission = 0;
        }
        self.recovery.threshold_before = 0;
        self.remember_for_undo();
        if !self.recovery.reduces() {
            if !echoes_mark {
                self.recovery.threshold_before = self.present_threshold();
            }
            self.begin_reduction();
        }
        self.algorithm.lost(&mut self.congestion);
        self.recovery.state = State::Recovery;
    }

    /// The retransmission timeout has expired: segments older than a round trip are lost.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_enter_loss`, `tcp_timeout_mark_lost`.
    pub(super) fn enter_loss(&mut self, context: &mut Context<'_>) {
        let is_new = self.recovery.state < State::Recovery;
        self.mark_timed_out(context);
        let recovery = &self.recovery;
        if recovery.state <= State::Disorder
            || recovery.end <= self.unacknowledged
            || (recovery.state == State::Loss && recovery.timeouts == 0)
        {
            self.recovery.threshold_before = self.present_threshold();
            self.recovery.window_before = self.congestion.size;
            self.congestion.threshold = self.algorithm.threshold(&self.congestion);
            self.algorithm.lost(&mut self.congestion);
            self.remember_for_undo();
        }
        self.congestion.size = self.buffers.in_flight() + 1;
        self.congestion.counted = 0;
        self.usage.stamp = context.now.ticks();
        let recovery = &mut self.recovery;
        if recovery.state <= State::Disorder && self.buffers.sacked >= REORDERING {
            recovery.reordering = recovery.reordering.min(REORDERING);
        }
        recovery.state = State::Loss;
        recovery.end = self.next;
        recovery.probe = None;
        recovery.suspects_timeout = is_new || recovery.timeouts > 0;
        recovery.timeouts += 1;
        self.report_reduction();
        let connection = self.connection(context);
        self.algorithm.timed_out(&connection);
        self.rate_control(context.now, |control, sender| control.timer_expired(sender));
    }

    /// Marks segments lost by a timeout: the first buffer, and all segments older than RACK's round trip. If
    /// the receiver has discarded sacked data, all segments.
    fn mark_timed_out(&mut self, context: &Context<'_>) {
        let Some(first) = self.buffers.sent.front().copied() else { return };
        let reneged = self.buffers[first].sacked;
        if reneged {
            for place in 0..self.buffers.sent.len() {
                let id = self.buffers.sent[place];
                self.buffers[id].sacked = false;
            }
            self.buffers.sacked = 0;
        }
        for place in 0..self.buffers.sent.len() {
            let id = self.buffers.sent[place];
            let age = context.now.us().saturating_sub(self.buffers[id].sent.us());
            if reneged || place == 0 || age >= self.recovery.rack.rtt {
                self.buffers.mark_lost(id);
            }
        }
    }

    /// Whether a retransmitted segment is unacknowledged.
    pub(super) fn any_retransmission(&self) -> bool {
        let first = self.buffers.sent.front();
        self.buffers.retransmitted > 0 || first.is_some_and(|first| self.buffers[*first].ever_retransmitted)
    }

    /// Processes an acknowledgement that needs further examination: changes the state, and returns what to
    /// repair.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_fastretrans_alert`.
    pub(super) fn alert(&mut self, acknowledged: &mut Acknowledged, context: &mut Context<'_>) -> Repair {
        if acknowledged.echoes_mark {
            self.recovery.threshold_before = 0;
        }
        if acknowledged.reneged && acknowledged.advanced {
            self.expect_reneging(context);
            acknowledged.sets_timer = false;
            return Repair::Nothing;
        }
        match self.recovery.state {
            State::Open => self.recovery.first_retransmission = 0,
            _ if self.unacknowledged < self.recovery.end => {}
            State::Reduced if self.unacknowledged != self.recovery.end => {
                self.end_reduction(context);
                self.recovery.state = State::Open;
            }
            State::Recovery => {
                self.try_undo_recovery(acknowledged, context);
                self.end_reduction(context);
            }
            _ => {}
        }
        let mut repair = Repair::Nothing;
        match self.recovery.state {
            State::Recovery => {
                if acknowledged.advanced && self.try_undo_partial(acknowledged, context) {
                    return Repair::Nothing;
                }
                if self.try_undo_duplicate(context) {
                    self.try_to_open(acknowledged);
                }
                self.find_losses(acknowledged, context);
                if self.recovery.state != State::Recovery {
                    if self.buffers.lost == 0 {
                        return Repair::Nothing;
                    }
                    self.enter_recovery(acknowledged.echoes_mark);
                }
                return Repair::Lost;
            }
            State::Loss => {
                repair = self.process_loss(acknowledged, context);
                self.find_losses(acknowledged, context);
                if self.recovery.state != State::Open && !acknowledged.lost_retransmission {
                    return repair;
                }
            }
            State::Open | State::Disorder | State::Reduced => {}
        }
        if self.recovery.state <= State::Disorder {
            self.try_undo_duplicate(context);
        }
        self.find_losses(acknowledged, context);
        if self.buffers.lost == 0 {
            self.try_to_open(acknowledged);
            return repair;
        }
        self.enter_recovery(acknowledged.echoes_mark);
        Repair::Lost
    }

    /// Returns to the open state, unless something prevents it.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_try_to_open`.
    fn try_to_open(&mut self, acknowledged: &Acknowledged) {
        if !self.any_retransmission() {
            self.recovery.first_retransmission = 0;
        }
        if acknowledged.echoes_mark {
            self.enter_reduced();
        }
        if self.recovery.state != State::Reduced {
            self.try_keep_open();
        }
    }

    fn try_keep_open(&mut self) {
        let is_left_out = self.buffers.sacked + self.buffers.lost > 0;
        let state = if is_left_out || self.any_retransmission() { State::Disorder } else { State::Open };
        if self.recovery.state != state {
            self.recovery.state = state;
            self.recovery.end = self.next;
        }
    }

    /// Whether the acknowledged data was sent before the first retransmission.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_packet_delayed`.
    fn was_delayed(&self, acknowledged: &Acknowledged) -> bool {
        match self.recovery.first_retransmission {
            0 => true,
            first => acknowledged.echo > 0 && acknowledged.echo < first,
        }
    }

    fn may_undo(&self, acknowledged: &Acknowledged) -> bool {
        let recovery = &self.recovery;
        recovery.undo_from.is_some() && (recovery.undo_left == 0 || self.was_delayed(acknowledged))
    }

    /// Undoes the reduction of the window.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_undo_cwnd_reduction`.
    fn undo(&mut self, unmarks: bool, context: &Context<'_>) {
        if unmarks {
            self.buffers.unmark_lost();
        }
        let before = self.recovery.threshold_before;
        if before > 0 {
            self.congestion.size = self.algorithm.undone(&self.congestion, self.recovery.window_before);
            self.rate_control(context.now, |control, sender| control.loss_undone(sender));
            if before > self.congestion.threshold {
                self.congestion.threshold = before;
                self.ecn.reports = false;
            }
        }
        self.usage.stamp = context.now.ticks();
        self.recovery.undo_from = None;
        self.recovery.rack.advanced = true;
    }

    /// # Source
    /// `tcp_try_undo_recovery`.
    fn try_undo_recovery(&mut self, acknowledged: &Acknowledged, context: &Context<'_>) {
        if self.may_undo(acknowledged) {
            self.undo(false, context);
        } else {
            self.recovery.rack.persist = self.recovery.rack.persist.saturating_sub(1);
        }
        self.recovery.state = State::Open;
    }

    /// # Source
    /// `tcp_try_undo_dsack`.
    fn try_undo_duplicate(&mut self, context: &Context<'_>) -> bool {
        let all_were_needless = self.recovery.undo_from.is_some() && self.recovery.undo_left == 0;
        if all_were_needless {
            self.recovery.rack.persist = PERSIST.min(self.recovery.rack.persist + 1);
            self.undo(false, context);
        }
        all_were_needless
    }

    /// Whether retransmissions are held back because segments marked lost had only been delayed.
    ///
    /// # Source
    /// `tcp_try_undo_partial`.
    fn try_undo_partial(&mut self, acknowledged: &Acknowledged, context: &Context<'_>) -> bool {
        if self.recovery.undo_from.is_none() || !self.was_delayed(acknowledged) {
            return false;
        }
        self.note_reordering(acknowledged.before);
        if self.buffers.retransmitted > 0 {
            return true;
        }
        if !self.any_retransmission() {
            self.recovery.first_retransmission = 0;
        }
        self.undo(true, context);
        self.try_keep_open();
        false
    }

    /// # Source
    /// `tcp_try_undo_loss`.
    fn try_undo_loss(
        &mut self,
        is_spurious: bool,
        acknowledged: &Acknowledged,
        context: &Context<'_>,
    ) -> bool {
        let undoes = is_spurious || self.may_undo(acknowledged);
        if undoes {
            self.undo(true, context);
            self.recovery.timeouts = 0;
            self.recovery.state = State::Open;
        }
        undoes
    }

    /// After a timeout: it was spurious, or repair continues.
    ///
    /// # Source
    /// RFC 5682; Linux `net/ipv4/tcp_input.c`, `tcp_process_loss`.
    fn process_loss(&mut self, acknowledged: &Acknowledged, context: &Context<'_>) -> Repair {
        let recovered = self.unacknowledged >= self.recovery.end;
        if acknowledged.advanced && self.try_undo_loss(false, acknowledged, context) {
            return Repair::Nothing;
        }
        if self.recovery.suspects_timeout {
            if acknowledged.original && self.try_undo_loss(true, acknowledged, context) {
                return Repair::Nothing;
            }
            if self.next > self.recovery.end {
                if acknowledged.sacked || acknowledged.is_duplicate() {
                    self.recovery.suspects_timeout = false;
                }
            } else if acknowledged.advanced && !recovered {
                self.recovery.end = self.next;
                if !self.buffers.unsent.is_empty() && self.window_end() > self.next {
                    return Repair::New;
                }
                self.recovery.suspects_timeout = false;
            }
        }
        if recovered {
            self.try_undo_recovery(acknowledged, context);
            return Repair::Nothing;
        }
        Repair::Lost
    }

    /// New data after a timeout could not be sent: the timeout counts as genuine.
    pub(super) fn believe_timeout(&mut self) {
        self.recovery.suspects_timeout = false;
    }

    /// Segments are reordered by more than known so far. `low` is the oldest of them.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_check_sack_reordering`.
    pub(super) fn note_reordering(&mut self, low: u64) {
        let highest = self.highest_sacked();
        if low >= highest {
            return;
        }
        let (distance, mss) = (highest - low, self.mss());
        if distance > u64::from(self.recovery.reordering) * mss {
            self.recovery.reordering = distance.div_ceil(mss).min(MOST_REORDERING) as u32;
        }
        self.recovery.reordering_seen += 1;
    }

    /// Checks whether the acknowledgement of a loss probe reveals a loss.
    ///
    /// # Source
    /// RFC 8985, Section 7.4; Linux `net/ipv4/tcp_input.c`, `tcp_process_tlp_ack`.
    pub(super) fn check_probe(&mut self, acknowledged: &Acknowledged, context: &Context<'_>) {
        let Some((end, is_retransmission)) = self.recovery.probe else { return };
        let ack = self.unacknowledged;
        if ack < end {
            return;
        }
        if !is_retransmission || acknowledged.is_of_probe {
            self.recovery.probe = None;
        } else if ack > end {
            self.begin_reduction();
            self.recovery.state = State::Reduced;
            self.end_reduction(context);
            self.try_keep_open();
        } else if !acknowledged.brings_anything() && !acknowledged.sacked {
            self.recovery.probe = None;
        }
    }

    /// Proportional rate reduction: the amount that may be sent in recovery.
    ///
    /// # Source
    /// RFC 6937; Linux `net/ipv4/tcp_input.c`, `tcp_cwnd_reduction`.
    pub(super) fn reduce(&mut self, delivered: u32, lost: u64, advanced: bool) {
        if delivered == 0 {
            return;
        }
        let in_flight = i64::from(self.buffers.in_flight());
        let threshold = i64::from(self.congestion.threshold);
        let recovery = &mut self.recovery;
        recovery.delivered += delivered;
        let (all, before, sent) =
            (i64::from(recovery.delivered), i64::from(recovery.window_before), i64::from(recovery.sent));
        let room = threshold - in_flight;
        let mut may_send = if room < 0 {
            (threshold * all + before - 1) / before.max(1) - sent
        } else {
            let more = i64::from(advanced && lost == 0);
            room.min((all - sent).max(delivered.into()) + more)
        };
        // The first retransmission is sent regardless of the window.
        may_send = may_send.max(i64::from(sent == 0));
        self.congestion.size = (in_flight + may_send).max(0) as u32;
    }
}
