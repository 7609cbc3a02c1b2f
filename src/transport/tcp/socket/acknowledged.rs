//! Processing of an acknowledgement: the state of each buffer, and the congestion window.

use super::state::{PERSIST, REORDERING, Repair};
use super::{Context, Socket};
use crate::transport::clock::HostTime;
use crate::transport::sample::State;
use crate::transport::segment::{Block, Flags, MOST_BLOCKS, Segment};
use crate::transport::tcp::buffers::{Buffer, Id};

/// The content of an acknowledgement.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    /// Whether it advances.
    pub advanced: bool,
    /// The acknowledgement number before.
    pub before: u64,
    /// The timestamp that it echoes.
    pub echo: u64,
    /// Whether it updates the window.
    window: bool,
    /// Whether it carries data.
    has_data: bool,
    /// The number of segments acknowledged in order.
    segments: u32,
    /// Whether these include retransmitted segments.
    retransmitted: bool,
    /// Whether it carries an ECN echo.
    pub echoes_mark: bool,
    /// Whether it reports segments by SACK.
    pub sacked: bool,
    /// Whether it reports data that arrived twice.
    reports_duplicate: bool,
    /// Whether that is the segment of a loss probe.
    pub is_of_probe: bool,
    /// Whether segments without a retransmission have arrived that were sent before the state.
    pub original: bool,
    /// The number of segments delivered after a hole, or twice.
    delivered: u64,
    /// Whether the receiver has discarded sacked data (reneging).
    pub reneged: bool,
    /// Whether the receiver may have delayed it.
    pub may_be_delayed: bool,
    /// The round-trip time of the last delivered segment, in us.
    pub rtt: Option<u64>,
    /// When the first and the last newly sacked segment were sent, in us.
    reported: Option<(u64, u64)>,
    /// The lowest sequence number that arrived late.
    late_from: u64,
    /// Whether a retransmission is lost.
    pub lost_retransmission: bool,
    /// Whether the timer is to be restarted.
    pub sets_timer: bool,
    /// The most recently sent of the delivered buffers: its time, its end, and the number of segments
    /// delivered by then.
    newest: Option<((HostTime, u64), u64)>,
}

impl Acknowledged {
    /// Whether it carries or acknowledges data, or updates the window, as each advancing one does.
    pub fn brings_anything(&self) -> bool {
        self.has_data || self.window || self.segments > 0
    }

    /// Whether it signals reordering, as it would without SACK.
    pub fn is_duplicate(&self) -> bool {
        !self.brings_anything() && !self.reports_duplicate
    }

    /// Records a delivered buffer. The most recently sent one provides the number delivered at its sending.
    fn note_delivery(&mut self, buffer: &Buffer) {
        let sent = (buffer.sent, buffer.end);
        if self.newest.is_none_or(|(newest, _)| sent > newest) {
            self.newest = Some((sent, buffer.delivered));
        }
    }

    /// Whether it needs further examination.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_ack_is_dubious`.
    fn is_dubious(&self, state: State) -> bool {
        !self.brings_anything()
            || self.sacked
            || self.reports_duplicate
            || self.echoes_mark
            || state != State::Open
    }
}

impl Socket {
    /// The sequence number after the highest one sacked (`tcp_highest_sack_seq`).
    pub(super) fn highest_sacked(&self) -> u64 {
        match self.buffers.sacked {
            0 => self.unacknowledged,
            _ => self.buffers.highest_sacked,
        }
    }

    /// Processes an acknowledgement.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_ack`.
    pub(super) fn acknowledge(&mut self, segment: &Segment, context: &mut Context<'_>) {
        let ack = segment.ack;
        if ack > self.next {
            return;
        }
        if self.is_newreno() {
            return self.acknowledge_newreno(segment, context);
        }
        let mut acknowledged = Acknowledged {
            advanced: ack > self.unacknowledged,
            before: self.unacknowledged,
            echo: segment.echo,
            has_data: segment.end > segment.seq,
            late_from: self.next,
            ..Acknowledged::default()
        };
        if let Some(pacing) = self.pacing.as_deref_mut() {
            pacing.delivery.begin(self.buffers.in_flight());
        }
        let lost_before = self.buffers.ever_lost;
        let out_before = self.buffers.out;
        let highest_before = self.highest_sacked();
        if ack < self.unacknowledged {
            if segment.sack.is_empty() {
                return;
            }
            self.report(segment, &mut acknowledged);
            let repair = self.alert(&mut acknowledged, context);
            self.repair(repair, context);
            return;
        }
        if acknowledged.advanced {
            self.recovery.timeouts = 0;
        }
        // An acknowledgement that does not advance updates the window only if it is larger.
        let window = u64::from(segment.window);
        let is_newer = segment.seq > self.window_updated_at;
        let is_larger = segment.seq == self.window_updated_at && window > self.window;
        if acknowledged.advanced || is_newer || is_larger {
            acknowledged.window = true;
            self.window_updated_at = segment.seq;
            if window != self.window {
                self.set_window(window);
                if !self.buffers.unsent.is_empty() {
                    self.restart_after_idle(context);
                }
            }
        }
        self.unacknowledged = ack;
        self.retransmission.unanswered = 0;
        if !segment.sack.is_empty() {
            self.report(segment, &mut acknowledged);
        }
        acknowledged.echoes_mark = self.ecn.is_on && segment.flags.has(Flags::ECE);
        self.accept_report(segment);
        if out_before == 0 {
            self.count_delivered(&acknowledged);
            self.observe(context);
            if acknowledged.reports_duplicate {
                let repair = self.alert(&mut acknowledged, context);
                self.repair(repair, context);
            }
            self.check_window(context);
            self.check_probe(&acknowledged, context);
            return;
        }
        self.release(&mut acknowledged, highest_before, context);
        self.adapt_reordering_window(&acknowledged);
        self.observe(context);
        self.check_probe(&acknowledged, context);
        let mut repair = Repair::Nothing;
        if acknowledged.is_dubious(self.recovery.state) {
            repair = self.alert(&mut acknowledged, context);
        }
        if acknowledged.sets_timer && !self.schedule_probe(true, context) {
            self.rearm(context);
        }
        let delivered = acknowledged.delivered as u32;
        let lost = self.buffers.ever_lost - lost_before;
        self.control(&acknowledged, delivered, lost, context);
        self.repair(repair, context);
    }

    fn count_delivered(&mut self, acknowledged: &Acknowledged) {
        self.delivered += acknowledged.delivered;
        if acknowledged.echoes_mark {
            self.ecn.delivered += acknowledged.delivered;
        }
    }

    /// Passes each acknowledgement to an algorithm that requires ECN.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_in_ack_event`.
    fn observe(&mut self, context: &Context<'_>) {
        if self.ecn.is_exact {
            let connection = self.connection(context);
            self.algorithm.answered(&connection);
        }
    }

    /// Updates the congestion window by the delivered segments.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_cong_control`, `tcp_may_raise_cwnd`.
    fn control(&mut self, acknowledged: &Acknowledged, delivered: u32, lost: u64, context: &Context<'_>) {
        if self.pacing.is_some() {
            return self.control_by_rate(acknowledged, (delivered, lost as u32), context.now);
        }
        let far_reordered = self.recovery.reordering > REORDERING;
        if self.recovery.reduces() {
            self.reduce(delivered, lost, acknowledged.advanced);
        } else if acknowledged.segments > 0 || (far_reordered && acknowledged.sacked) {
            if self.is_window_limited() {
                let connection = self.connection(context);
                self.algorithm.acknowledged(&mut self.congestion, delivered, &connection);
            }
            self.usage.stamp = context.now.ticks();
        }
        self.update_pacing_rate();
    }

    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_xmit_recovery`.
    fn repair(&mut self, repair: Repair, context: &mut Context<'_>) {
        if repair == Repair::Nothing {
            return;
        }
        if repair == Repair::New {
            self.send_whole(context);
            if self.next > self.recovery.end {
                return;
            }
            self.believe_timeout();
        }
        self.retransmit_lost(context);
    }

    /// Updates RACK with a delivered segment: the most recently sent one counts.
    ///
    /// # Source
    /// RFC 8985, Section 6.2; Linux `net/ipv4/tcp_recovery.c`, `tcp_rack_advance`.
    fn advance_rack(&mut self, buffer: &Buffer, now: u64) {
        let sent = buffer.sent.us();
        let rtt = now.saturating_sub(sent);
        let was_sent_again = buffer.retransmitted || buffer.ever_retransmitted;
        if was_sent_again && self.round_trip.least().is_none_or(|least| rtt < least) {
            return;
        }
        let rack = &mut self.recovery.rack;
        rack.advanced = true;
        rack.rtt = rtt;
        rack.sent = rack.sent.max((sent, buffer.end));
    }

    /// Processes the SACK option: marks the buffers that the receiver has.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_sacktag_write_queue`.
    fn report(&mut self, segment: &Segment, acknowledged: &mut Acknowledged) {
        let mut blocks = [Block::default(); MOST_BLOCKS];
        blocks.iter_mut().zip(segment.blocks()).for_each(|(slot, block)| *slot = block);
        let blocks = &blocks[..segment.sack.len()];
        let duplicate = self.check_duplicate(blocks, segment.ack, acknowledged).then(|| blocks[0]);
        if self.buffers.out == 0 {
            return;
        }
        let mut known = [Block::default(); MOST_BLOCKS];
        let mut count = 0;
        for block in blocks {
            let is_sane = block.start < block.end && block.end <= self.next;
            // Acknowledged data matters only if it arrived twice.
            let may_undo = duplicate == Some(*block) && self.recovery.undo_from.is_some();
            let is_new = block.end > self.unacknowledged || may_undo;
            if is_sane && is_new && block.end > acknowledged.before {
                known[count] = *block;
                count += 1;
            }
        }
        known[..count].sort_by_key(|block| block.start);
        for block in &known[..count] {
            self.mark_block(*block, duplicate == Some(*block), acknowledged);
        }
        if self.recovery.state != State::Loss || self.recovery.undo_from.is_some() {
            self.note_reordering(acknowledged.late_from);
        }
    }

    /// Whether the first block reports data that arrived twice (D-SACK).
    ///
    /// # Source
    /// RFC 2883; Linux `net/ipv4/tcp_input.c`, `tcp_check_dsack`, `tcp_dsack_seen`.
    fn check_duplicate(&mut self, blocks: &[Block], ack: u64, acknowledged: &mut Acknowledged) -> bool {
        let [first, rest @ ..] = blocks else { return false };
        let is_inside =
            rest.first().is_some_and(|second| first.end <= second.end && first.start >= second.start);
        if first.start >= ack && !is_inside {
            return false;
        }
        if first.start >= first.end || first.end - first.start > self.largest_window {
            return false;
        }
        let (length, mss) = (first.end - first.start, self.mss());
        if length <= mss && self.recovery.probe.is_some_and(|(end, _)| end == first.end) {
            acknowledged.is_of_probe = true;
        }
        let segments = length.div_ceil(mss).max(1);
        self.duplicates += segments;
        // More duplicates than retransmissions are not caused by this sender.
        if self.duplicates > self.counts.retransmissions {
            return false;
        }
        if self.recovery.reordering_seen > 0 && !acknowledged.is_of_probe {
            self.recovery.rack.duplicate_seen = true;
        }
        acknowledged.reports_duplicate = true;
        acknowledged.delivered += segments;
        if let Some(from) = self.recovery.undo_from
            && self.recovery.undo_left > 0
            && first.end <= acknowledged.before
            && first.end > from
        {
            self.recovery.undo_left = (self.recovery.undo_left - segments as i64).max(0);
        }
        true
    }

    /// Marks the buffers of a block. Buffers covered in part are split at segment boundaries.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_sacktag_walk`, `tcp_match_skb_to_sack`.
    fn mark_block(&mut self, block: Block, is_duplicate: bool, acknowledged: &mut Acknowledged) {
        let mss = self.mss();
        let mut place = self.buffers.place_of(block.start);
        while let Some(id) = self.buffers.sent.get(place).copied() {
            let buffer = self.buffers[id];
            if buffer.seq >= block.end {
                break;
            }
            if buffer.sacked && !is_duplicate {
                place += 1;
                continue;
            }
            let mut is_covered = block.start <= buffer.seq && buffer.end <= block.end;
            if !is_covered && buffer.segments > 1 {
                if block.start > buffer.seq {
                    // The whole segments before the block.
                    let before = (block.start - buffer.seq).div_ceil(mss) * mss;
                    if before < buffer.length() {
                        self.buffers.split_sent(place, before);
                    }
                } else {
                    let inside = (block.end - buffer.seq) / mss * mss;
                    if inside == 0 {
                        break;
                    }
                    self.buffers.split_sent(place, inside);
                    is_covered = true;
                }
            }
            if is_covered {
                let joins = is_duplicate || !buffer.retransmitted || buffer.lost;
                self.mark(id, is_duplicate, acknowledged);
                if joins && self.buffers.join_sacked(place) {
                    self.buffers.join_sacked(place);
                    continue;
                }
            }
            place += 1;
        }
    }

    /// Records a delivered buffer.
    fn note_delivery(&mut self, id: Id, buffer: &Buffer, acknowledged: &mut Acknowledged) {
        acknowledged.note_delivery(buffer);
        if let Some(pacing) = self.pacing.as_deref_mut()
            && let Some(sending) = self.buffers.sending(id)
        {
            pacing.delivery.delivered(buffer.sent.us(), buffer.end, buffer.delivered, sending);
        }
    }

    /// Marks a buffer that the receiver has after a hole.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_sacktag_one`.
    fn mark(&mut self, id: Id, is_duplicate: bool, acknowledged: &mut Acknowledged) {
        let buffer = self.buffers[id];
        let segments = buffer.segments;
        let was_sent_again = buffer.retransmitted || buffer.ever_retransmitted;
        if is_duplicate && was_sent_again {
            if let Some(from) = self.recovery.undo_from
                && self.recovery.undo_left > 0
                && buffer.end > from
            {
                self.recovery.undo_left = (self.recovery.undo_left - i64::from(segments)).max(0);
            }
            if buffer.sacked {
                acknowledged.late_from = acknowledged.late_from.min(buffer.seq);
            }
        }
        if buffer.end <= self.unacknowledged {
            return;
        }
        if !buffer.sacked {
            self.note_delivery(id, &buffer, acknowledged);
            self.advance_rack(&buffer, self.clock.us());
            if buffer.retransmitted {
                // A buffer not marked lost is assumed to be in flight still.
                if buffer.lost {
                    self.buffers[id].lost = false;
                    self.buffers[id].retransmitted = false;
                    self.buffers.lost -= segments;
                    self.buffers.retransmitted -= segments;
                }
            } else {
                if !was_sent_again {
                    if buffer.seq < self.highest_sacked() {
                        acknowledged.late_from = acknowledged.late_from.min(buffer.seq);
                    }
                    acknowledged.original |= buffer.end <= self.recovery.end;
                    let sent = buffer.sent.us();
                    let first = acknowledged.reported.map_or(sent, |(first, _)| first);
                    acknowledged.reported = Some((first, sent));
                }
                if buffer.lost {
                    self.buffers[id].lost = false;
                    self.buffers.lost -= segments;
                }
            }
            let highest = self.highest_sacked().max(buffer.end);
            self.buffers[id].sacked = true;
            self.buffers.sacked += segments;
            self.buffers.highest_sacked = highest;
            self.buffers.unlink(id);
            acknowledged.sacked = true;
            acknowledged.delivered += u64::from(segments);
        }
        if is_duplicate && self.buffers[id].retransmitted {
            self.buffers[id].retransmitted = false;
            self.buffers.retransmitted -= segments;
        }
    }

    /// Releases data acknowledged in order, and measures its round-trip time.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_clean_rtx_queue`, `tcp_ack_update_rtt`.
    fn release(&mut self, acknowledged: &mut Acknowledged, highest_before: u64, context: &mut Context<'_>) {
        let now = context.now.us();
        let mut late_from = self.next;
        let mut sent: Option<(u64, u64)> = None;
        let (mut all_whole, sacked_before) = (true, self.buffers.sacked);
        while let Some(id) = self.buffers.sent.front().copied() {
            let buffer = self.buffers[id];
            let is_whole = buffer.end <= self.unacknowledged;
            let segments = match is_whole {
                true => buffer.segments,
                false if buffer.segments == 1 => 0,
                false => self.buffers.trim_first(self.unacknowledged),
            };
            if segments == 0 {
                break;
            }
            if buffer.retransmitted || buffer.ever_retransmitted {
                if buffer.retransmitted {
                    self.buffers.retransmitted -= segments;
                }
                acknowledged.retransmitted = true;
            } else if !buffer.sacked {
                let at = buffer.sent.us();
                sent = Some((sent.map_or(at, |(first, _)| first), at));
                late_from = late_from.min(buffer.seq);
                acknowledged.original |= buffer.end <= self.recovery.end;
            }
            if buffer.sacked {
                self.buffers.sacked -= segments;
            } else {
                acknowledged.delivered += u64::from(segments);
                self.note_delivery(id, &buffer, acknowledged);
                // The echo may show that the original arrived, and not the retransmission.
                let echo = acknowledged.echo;
                let was_sent_again = buffer.retransmitted || buffer.ever_retransmitted;
                if !(was_sent_again && echo > 0 && echo < buffer.sent.ticks()) {
                    self.advance_rack(&buffer, now);
                }
            }
            if buffer.lost {
                self.buffers.lost -= segments;
            }
            self.buffers.out -= segments;
            acknowledged.segments += segments;
            if !is_whole {
                all_whole = false;
                break;
            }
            self.buffers.free_first();
        }
        acknowledged.reneged = self.buffers.sent.front().is_some_and(|first| self.buffers[*first].sacked);
        self.count_delivered(acknowledged);
        let in_order = sent.filter(|_| !acknowledged.retransmitted);
        // The acknowledgement of a single partial segment may have been delayed.
        acknowledged.may_be_delayed = acknowledged.segments == 1
            && all_whole
            && sacked_before == 0
            && in_order.is_some()
            && self.unacknowledged - acknowledged.before < self.mss()
            && acknowledged.newest.is_some_and(|(_, delivered)| delivered + 1 == self.delivered)
            && !acknowledged.sacked
            && !acknowledged.reports_duplicate
            && !acknowledged.echoes_mark;
        self.measure(in_order, acknowledged, context);
        if acknowledged.segments > 0 {
            acknowledged.sets_timer = true;
            if late_from < highest_before {
                self.note_reordering(late_from);
            }
        }
    }

    /// Measures the round-trip time of acknowledged data. `in_order` holds when the first and the last
    /// segment were sent, in us.
    fn measure(
        &mut self,
        in_order: Option<(u64, u64)>,
        acknowledged: &mut Acknowledged,
        context: &mut Context<'_>,
    ) {
        let now = context.now.us();
        let reported = acknowledged.reported;
        let mut last = reported.or(in_order).map(|(_, last)| now.saturating_sub(last));
        let mut sample = in_order.or(reported).map(|(first, _)| now.saturating_sub(first));
        if sample.is_none() && acknowledged.segments > 0 && acknowledged.echo > 0 {
            // By timestamps, in whole ms.
            sample = Some(context.now.ticks().saturating_sub(acknowledged.echo).max(1) * 1_000);
            last = sample;
        }
        if let Some(sample) = sample {
            let least = last.filter(|last| *last > 0).unwrap_or(1_000);
            let is_doubtful = acknowledged.may_be_delayed
                && self.round_trip.least().is_some_and(|known| last.unwrap_or(0) > known);
            if !is_doubtful {
                self.round_trip.sample_least(least, context.now.ticks());
            }
            self.round_trip.sample(sample, self.unacknowledged, self.next);
        }
        if acknowledged.segments == 0
            && let (Some(oldest), Some((first, _))) = (self.buffers.sent.front(), reported)
        {
            // Only if it was sent after the oldest; otherwise the timeout could be postponed without end.
            acknowledged.sets_timer |= first < self.buffers[*oldest].sent.us();
        }
        acknowledged.rtt = last;
        let connection = self.connection(context);
        self.algorithm.round_trip(last, &mut self.congestion, &connection);
    }

    /// The reordering window, in us.
    ///
    /// # Source
    /// RFC 8985, Section 6.2; Linux `net/ipv4/tcp_recovery.c`, `tcp_rack_reo_wnd`.
    fn reordering_window(&self) -> u64 {
        let recovery = &self.recovery;
        if recovery.reordering_seen == 0
            && (recovery.state >= State::Recovery || self.buffers.sacked >= recovery.reordering)
        {
            return 0;
        }
        let least = self.round_trip.least().unwrap_or(u32::MAX.into());
        ((least >> 2) * recovery.rack.steps).min(self.round_trip.smoothed >> 3)
    }

    /// Detects losses by the time of sending. Returns how long other segments may still be out of order, in
    /// us.
    ///
    /// # Source
    /// RFC 8985, Section 6.2; Linux `net/ipv4/tcp_recovery.c`, `tcp_rack_detect_loss`.
    fn detect_losses(&mut self, context: &Context<'_>) -> Option<u64> {
        let window = self.reordering_window();
        let limit = self.recovery.rack.rtt + window;
        let mut longest = None;
        let mut next = self.buffers.oldest();
        while let Some(id) = next {
            next = self.buffers.newer(id);
            let buffer = self.buffers[id];
            if buffer.lost && !buffer.retransmitted {
                continue;
            }
            if self.recovery.rack.sent <= (buffer.sent.us(), buffer.end) {
                break;
            }
            let age = context.now.us().saturating_sub(buffer.sent.us());
            if age >= limit {
                self.buffers.mark_lost(id);
                self.buffers.unlink(id);
            } else {
                longest = longest.max(Some(limit - age));
            }
        }
        longest
    }

    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_identify_packet_loss`; `tcp_recovery.c`, `tcp_rack_mark_lost`.
    pub(super) fn find_losses(&mut self, acknowledged: &mut Acknowledged, context: &mut Context<'_>) {
        if self.buffers.sent.is_empty() || !std::mem::replace(&mut self.recovery.rack.advanced, false) {
            return;
        }
        let retransmitted = self.buffers.retransmitted;
        if let Some(longest) = self.detect_losses(context) {
            self.expect_reordering(longest, context);
            acknowledged.sets_timer = false;
        }
        acknowledged.lost_retransmission |= retransmitted > self.buffers.retransmitted;
    }

    /// Marks segments lost that could have been out of order until now.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_recovery.c`, `tcp_rack_reo_timeout`.
    pub(super) fn reordering_timeout(&mut self, context: &mut Context<'_>) {
        let (in_flight, lost) = (self.buffers.in_flight(), self.buffers.ever_lost);
        self.detect_losses(context);
        if in_flight != self.buffers.in_flight() {
            if self.recovery.state != State::Recovery {
                self.enter_recovery(false);
                if self.pacing.is_none() {
                    self.reduce(1, self.buffers.ever_lost - lost, false);
                }
            }
            self.retransmit_lost(context);
        }
        if !self.waits_for_timeout() {
            self.rearm(context);
        }
    }

    /// Increases the reordering window after spurious retransmissions, once per round trip.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_recovery.c`, `tcp_rack_update_reo_wnd`.
    fn adapt_reordering_window(&mut self, acknowledged: &Acknowledged) {
        let Some((_, delivered_before)) = acknowledged.newest else { return };
        let delivered = self.delivered;
        let rack = &mut self.recovery.rack;
        if delivered_before < rack.changed_at {
            rack.duplicate_seen = false;
        }
        if std::mem::replace(&mut rack.duplicate_seen, false) {
            rack.steps = (rack.steps + 1).min(0xff);
            rack.changed_at = delivered;
            rack.persist = PERSIST;
        } else if rack.persist == 0 {
            rack.steps = 1;
        }
    }
}
