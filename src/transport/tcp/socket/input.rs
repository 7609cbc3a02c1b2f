//! Processing of arriving segments: the handshake, acknowledgements, data, and answers.

use super::output::outgoing;
use super::{Context, LateAnswer, Phase, Socket};
use crate::transport::clock::HostTime;
use crate::transport::congestion::INFINITE;
use crate::transport::segment::{Block, Flags, Outgoing, Segment};
use crate::transport::tcp::acks::{Duplicate, MOST_QUICK};
use crate::transport::tcp::reassembly::{Early, OVERHEAD};
use crate::transport::timers::Purpose;
use crate::units::Span;

/// The maximum delay of compressed acknowledgements, in ns (`tcp_comp_sack_delay_ns`).
const LONGEST_COMPRESSION: u64 = 1_000_000;
/// The delay of the timer of compressed acknowledgements, in ns: always the maximum
/// (`tcp_comp_sack_slack_ns`).
const COMPRESSION_SLACK: u64 = 100_000;
/// The age in ms up to which a timestamp does not mark an old segment (`TCP_PAWS_WINDOW`).
const PAWS_WINDOW: u64 = 1;
/// The minimum ticks between answers to unacceptable empty segments (`tcp_invalid_ratelimit`).
const REFUSAL_GAP: u64 = 500;
/// The minimum segment length that lets the window grow.
const LEAST_GROWTH: u64 = 128;
/// The number of SACK blocks that a receiver expects to be able to report. One more flushes the compressed
/// acknowledgements (`TCP_SACK_BLOCKS_EXPECTED`).
const EXPECTED_BLOCKS: usize = 2;

impl Socket {
    /// Processes a segment that arrived in a packet with this ECN field.
    ///
    /// An exact timer that is due at this instant fires first: in Linux its interrupt precedes the processing
    /// of the packet.
    pub fn receive(&mut self, segment: &Segment, ecn: u8, context: &mut Context<'_>) {
        if self.compressed.is_set() && context.clock.read(self.compressed.at()) <= context.now {
            self.compressed.cancel();
            self.compressed_timer(context);
        }
        self.clock = context.now;
        let is_first = self.phase == Phase::SynReceived;
        match self.phase {
            Phase::SynSent => return self.receive_answer(segment, context),
            Phase::SynReceived if segment.flags.has(Flags::SYN) => {
                // The SYN again: answer it again.
                self.answered_again = true;
                return self.send_syn(context);
            }
            Phase::SynReceived => {
                self.establish(segment, context);
                self.wakes.connected = true;
            }
            Phase::TimeWait | Phase::Closed => return,
            Phase::Open => {}
        }
        // The timestamps of the segment that completes the handshake are not a sample.
        self.receive_open(segment, ecn, !is_first, context);
    }

    /// Processes the answer to the SYN.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_rcv_synsent_state_process`.
    fn receive_answer(&mut self, segment: &Segment, context: &mut Context<'_>) {
        if !segment.flags.has(Flags::SYN) {
            return;
        }
        self.peer = segment.from;
        self.recent = segment.timestamp;
        self.establish(segment, context);
        self.wakes.connected = true;
        self.send_ack(context);
    }

    /// The connection is established.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_init_transfer`, `tcp_synack_rtt_meas`.
    fn establish(&mut self, segment: &Segment, context: &mut Context<'_>) {
        self.phase = Phase::Open;
        self.unacknowledged = 1;
        self.set_window(segment.window.into());
        self.window_updated_at = segment.seq;
        self.retransmission.timer.cancel();
        self.settle_ecn(segment);
        let connects = segment.flags.has(Flags::SYN);
        let sample = if self.syn_retransmissions == 0 && !self.answered_again {
            context.now.us() - self.begun.us()
        } else {
            // The timestamp identifies the SYN that was answered.
            context.now.ticks().saturating_sub(segment.echo).max(1) * 1_000
        };
        self.round_trip.sample_least(if sample > 0 { sample } else { 1_000 }, context.now.ticks());
        self.round_trip.sample(sample, 1, 1);
        if self.syn_retransmissions == 0 && connects {
            self.recovery.rack.sent = (self.begun.us(), 1);
            self.recovery.rack.rtt = context.now.us() - self.begun.us();
        }
        // The first SYN was not lost if its timestamp is echoed (tcp_try_undo_spurious_syn).
        if self.syn_retransmissions > 1 && segment.echo != self.begun.ticks() {
            self.congestion.size = 1;
        }
        // The effect of a lost SYN on the threshold is reset (tcp_init_metrics).
        self.congestion.threshold = INFINITE;
        self.delivered = 1;
        self.last_sent = context.now.ticks();
        self.usage.stamp = context.now.ticks();
        self.receive_window.begin(context.now.us());
        let algorithm = self.parameters.algorithm;
        let algorithm = if self.ecn.is_on { algorithm } else { algorithm.without_ecn() };
        self.algorithm = algorithm.start(context.now, context.draws.of(self.number.into()));
        self.begin_control(connects, context.now);
    }

    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_rcv_established`.
    fn receive_open(&mut self, segment: &Segment, ecn: u8, is_sample: bool, context: &mut Context<'_>) {
        if segment.flags.has(Flags::SYN) {
            // The answer to the SYN again: its acknowledgement was lost.
            return self.send_ack(context);
        }
        // Segments with old timestamps (PAWS, RFC 7323) or outside the window are answered and discarded.
        let next = self.reassembly.next;
        let window_end = next + u64::from(self.receive_window.left(next));
        let is_old = segment.timestamp + PAWS_WINDOW < self.recent && !self.is_late_duplicate(segment);
        if is_old || segment.end < self.receive_window.announced_at || segment.seq > window_end {
            return self.refuse(segment, context);
        }
        if segment.seq <= self.receive_window.announced_at && segment.timestamp >= self.recent {
            self.recent = segment.timestamp;
        }
        self.acknowledge(segment, context);
        if self.is_done() {
            return self.close_down();
        }
        if segment.end > segment.seq {
            if is_sample {
                self.measure_receiver(segment, context);
            }
            self.take(segment, ecn, context);
        }
        self.send_pending(context);
        self.check_space(context);
        if self.acks.scheduled || self.acks.now {
            self.check_acks(context);
        }
        if self.is_done() {
            self.close_down();
        }
    }

    /// Whether an old empty segment changes nothing, so that its SACK blocks can be used.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_disordered_ack`.
    fn is_late_duplicate(&self, segment: &Segment) -> bool {
        segment.seq == segment.end
            && segment.seq == self.reassembly.next
            && segment.ack == self.unacknowledged
            && u64::from(segment.window) <= self.window
            && self.recent - segment.timestamp <= self.round_trip.timeout
    }

    /// Whether both directions are closed and acknowledged.
    fn is_done(&self) -> bool {
        self.is_finished() && self.reassembly.finished && !self.acks.scheduled
    }

    /// Answers an unacceptable segment with an acknowledgement.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_send_dupack`.
    fn refuse(&mut self, segment: &Segment, context: &mut Context<'_>) {
        let next = self.reassembly.next;
        if segment.end == segment.seq {
            // Without a limit, two ends that refuse each other's empty segments would not stop
            // (tcp_oow_rate_limited).
            let now = context.now.ticks();
            if now < self.refused + REFUSAL_GAP {
                return;
            }
            self.refused = now;
        } else if segment.seq < next {
            self.acks.hurry(self.receive_window.announced, MOST_QUICK);
            self.reassembly.set_duplicate(Block { start: segment.seq, end: segment.end.min(next) });
        }
        self.send_ack(context);
    }

    /// Measures the receiver's round-trip time by timestamps, of full segments with a new echo.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_rcv_rtt_measure_ts`.
    fn measure_receiver(&mut self, segment: &Segment, context: &Context<'_>) {
        if segment.echo == self.receiver.echo {
            return;
        }
        self.receiver.echo = segment.echo;
        if segment.end - segment.seq >= self.acks.segment.into() {
            let sample = context.now.ticks().saturating_sub(segment.echo).max(1) * 1_000;
            self.receiver.sample(sample, false);
        }
    }

    /// Processes data from a packet with this ECN field: in order, repeated, or after a hole.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_data_queue`.
    fn take(&mut self, segment: &Segment, ecn: u8, context: &mut Context<'_>) {
        let Segment { seq, end, pieces, flags, .. } = *segment;
        let is_last = flags.has(Flags::FIN);
        let data_end = end - u64::from(is_last);
        self.reassembly.duplicate = None;
        let next = self.reassembly.next;
        if end <= next {
            // Repeated data: acknowledge at once.
            self.reassembly.set_duplicate(Block { start: seq, end });
            self.acks.hurry(self.receive_window.announced, MOST_QUICK);
            self.acks.scheduled = true;
            return;
        }
        let left = u64::from(self.receive_window.left(next));
        if left == 0 || seq >= next + left {
            // Outside the window, such as a probe of a closed window.
            self.acks.hurry(self.receive_window.announced, MOST_QUICK);
            self.acks.scheduled = true;
            return;
        }
        if seq > next {
            self.note_mark(ecn, context);
        }
        if !self.make_room(seq <= next) {
            return;
        }
        if seq > next {
            self.take_early(segment, data_end, is_last, context);
            return;
        }
        if seq < next {
            self.reassembly.set_duplicate(Block { start: seq, end: next });
        }
        if data_end > seq {
            self.reassembly.append(seq, data_end, pieces);
            self.note_data(segment, data_end - seq, ecn, context);
        }
        let mut finishes = is_last;
        if !finishes && !self.reassembly.is_in_order() {
            finishes = self.reassembly.advance();
            self.acks.now |= self.reassembly.is_in_order();
        }
        if finishes {
            self.finish();
        }
        self.reassembly.forget_blocks();
        self.wakes.readable = true;
    }

    /// The peer has closed its direction.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_fin`.
    fn finish(&mut self) {
        self.reassembly.finish();
        self.acks.scheduled = true;
        if self.is_shut {
            // The application expects no more data: acknowledge at once.
            self.acks.now = true;
        } else {
            // The application probably closes soon: the acknowledgement can be sent with its FIN.
            self.acks.is_interactive = true;
        }
    }

    /// Whether another segment fits the receive buffer, which may grow.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_try_rmem_schedule`, `tcp_prune_queue`.
    fn make_room(&mut self, is_next: bool) -> bool {
        let used = self.reassembly.memory;
        if !self.receive_window.is_over(used) || (is_next && !self.reassembly.readable()) {
            return true;
        }
        self.acks.quick = 0;
        self.receive_window.make_room(used)
    }

    /// Records data that has arrived in order.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_event_data_recv`.
    fn note_data(&mut self, segment: &Segment, length: u64, ecn: u8, context: &mut Context<'_>) {
        let flags = segment.flags;
        self.acks.scheduled = true;
        self.acks.measure(
            length as u32,
            crate::transport::tcp::TIMESTAMPS,
            flags.has(Flags::PSH),
            flags.has(Flags::FIN),
            self.parameters.mss,
        );
        let window_end = self.reassembly.next + u64::from(self.receive_window.announced);
        self.receiver.window_passed(self.reassembly.next, window_end, context.now.us());
        self.acks.data(self.receive_window.announced, self.round_trip.timeout, context.now.ticks());
        self.note_mark(ecn, context);
        if length >= LEAST_GROWTH {
            self.grow_window(length, length);
        }
    }

    fn grow_window(&mut self, length: u64, memory: u64) {
        let (length, memory) = (length as u32, memory as u32);
        if self.receive_window.grow(length, memory, self.reassembly.memory, self.acks.segment) {
            self.acks.quick |= 1;
        }
    }

    /// Processes data that has arrived after a hole.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_data_queue_ofo`, `tcp_sack_new_ofo_skb`.
    fn take_early(&mut self, segment: &Segment, data_end: u64, is_last: bool, context: &mut Context<'_>) {
        let Segment { seq, end, pieces, .. } = *segment;
        self.acks.scheduled = true;
        let block = Block { start: seq, end };
        let is_first = self.reassembly.is_in_order();
        let early = self.reassembly.insert(seq, data_end, pieces, is_last);
        let length = data_end - seq;
        if early == Early::Joined {
            self.grow_window(length, length);
        }
        if is_first {
            self.reassembly.begin_blocks(block);
        } else {
            let (place, is_known) = self.reassembly.touch_block(block);
            if place >= EXPECTED_BLOCKS && self.acks.compressed > 0 {
                self.send_ack(context);
            }
            self.reassembly.rotate_blocks(place, block, is_known);
        }
        if early == Early::Stored {
            self.grow_window(length, length + u64::from(OVERHEAD));
            self.reassembly.charge(seq, data_end);
        }
    }

    /// Sends a due acknowledgement: at once, delayed or compressed.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `__tcp_ack_snd_check`.
    fn check_acks(&mut self, context: &mut Context<'_>) {
        if self.is_newreno() {
            return self.send_ack(context);
        }
        let next = self.reassembly.next;
        let unacknowledged = next - self.receive_window.announced_at;
        let is_much = unacknowledged > self.acks.segment.into()
            && (next == self.reassembly.read || self.select_window() >= self.receive_window.announced);
        if is_much || self.acks.is_quick() {
            return self.send_ack(context);
        }
        if self.reassembly.is_in_order() {
            return self.delay_ack(context);
        }
        match self.acks.duplicate(next) {
            Duplicate::Send => self.send_ack(context),
            Duplicate::Compress => self.compress_ack(context),
        }
    }

    fn delay_ack(&mut self, context: &mut Context<'_>) {
        match self.acks.delay(context.now.ticks(), self.round_trip.smoothed) {
            None => self.send_ack(context),
            Some(due) => {
                let whose = (self.number, Purpose::DelayedAck);
                context.timers.set_tick(&mut self.delayed, whose, due, &context.clock, context.now);
            }
        }
    }

    /// Delays the acknowledgement for more duplicates: 5 % of the round trip, at most a millisecond.
    fn compress_ack(&mut self, context: &mut Context<'_>) {
        if self.compressed.is_set() {
            return;
        }
        let rtt = match (self.receiver.smoothed, self.round_trip.smoothed) {
            (receiver, 0) => receiver,
            (receiver, sender) => receiver.min(sender),
        };
        // Both are in us / 8.
        let delay = (rtt * (1_000 / 8) / 20).min(LONGEST_COMPRESSION) + COMPRESSION_SLACK;
        let at = context.time + Span::from_ns(delay);
        context.timers.set(&mut self.compressed, (self.number, Purpose::CompressedAck), at);
    }

    /// The timer of compressed acknowledgements: sends one for all, without reading the clock.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_timer.c`, `tcp_compressed_ack_kick`.
    pub(super) fn compressed_timer(&mut self, context: &mut Context<'_>) {
        if self.acks.compressed > 0 {
            self.acks.compressed -= 1;
            self.send_ack(context);
        }
    }

    /// The timer of delayed acknowledgements. Sending one does not stop it, so it may find compressed ones
    /// instead.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_timer.c`, `tcp_delack_timer_handler`.
    pub(super) fn delayed_timer(&mut self, context: &mut Context<'_>) {
        if self.acks.compressed > 0 {
            self.clock = context.now;
            return self.send_ack(context);
        }
        let Some(due) = self.acks.due else { return };
        if due > context.now.ticks() {
            let whose = (self.number, Purpose::DelayedAck);
            return context.timers.set_tick(&mut self.delayed, whose, due, &context.clock, context.now);
        }
        self.acks.due = None;
        if self.acks.scheduled {
            self.acks.missed(self.round_trip.timeout);
            self.clock = context.now;
            self.send_ack(context);
        }
    }
}

impl LateAnswer {
    /// The answer to a segment after both sides have closed: the last acknowledgement was lost.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_minisocks.c`, `tcp_timewait_state_process`.
    pub fn answer(&mut self, segment: &Segment, now: HostTime) -> Option<Outgoing> {
        let is_data = segment.end > segment.seq;
        let LateAnswer { to, from, flags, window, seq, ack } = *self;
        let (timestamp, echo) = (now.ticks(), segment.timestamp);
        let answer =
            Segment { to, from, flags, window, seq, end: seq, ack, timestamp, echo, ..Segment::default() };
        is_data.then(|| outgoing(answer))
    }
}

impl super::ReceiverRoundTrip {
    /// Adds a sample, in us. A sample that depends on the window counts only if it is smaller.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_rcv_rtt_update`.
    fn sample(&mut self, sample: u64, depends_on_window: bool) {
        let new = sample << 3;
        if self.smoothed == 0 || new < self.smoothed {
            self.smoothed = new;
        } else if !depends_on_window {
            self.smoothed = self.smoothed - (self.smoothed >> 3) + sample;
        }
    }

    /// Data up to `next` has arrived: a window takes at most one round trip.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_rcv_rtt_measure`.
    fn window_passed(&mut self, next: u64, window_end: u64, now: u64) {
        match self.window {
            Some((end, _)) if next < end => return,
            Some((_, begun)) => self.sample((now - begun).max(1), true),
            None => {}
        }
        self.window = Some((window_end, now));
    }
}
