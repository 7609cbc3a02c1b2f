//! Sending: bursts, their size and deferral, and segments without data.

use super::retransmission::Pending;
use super::{Context, Phase, Socket};
use crate::packet::Packet;
use crate::transport::congestion::{CongestionWindow, LARGEST_BURST};
use crate::transport::sample::State;
use crate::transport::segment::{Flags, Outgoing, Segment};
use crate::transport::tcp::buffers::{Buffer, Id};
use crate::transport::tcp::{PROTOCOL, TIMESTAMPS};

/// The bytes of headers below TCP's options: Ethernet, IPv4, TCP.
const HEADERS: u64 = 14 + 20 + 20;

/// The bytes of options in a SYN: segment size, SACK permitted, timestamps, window scale.
const SYN_OPTIONS: u64 = 20;

/// The window scale alone, padded.
const WINDOW_SCALE: u64 = 4;

/// The time to live of a Linux host.
const TTL: u8 = 64;

/// The maximum time in ns after the last burst that a burst is deferred, to wait for a larger window.
const DEFERRAL: u64 = 1_000_000;

/// The maximum memory in the host's queue without pacing (`tcp_limit_output_bytes`).
const MOST_QUEUED: u64 = 1 << 20;

/// The reason for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Push {
    /// The window has space.
    Pending,
    /// The same, and partial segments are not held back: the stream ends, or a timeout is examined.
    Whole,
    /// The application has filled a buffer: sends one burst.
    One,
    /// A loss probe: one segment beyond the window.
    Probe,
}

/// The reason why a burst waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deferral {
    No,
    /// It waits for the congestion window.
    Congestion,
    /// It waits for the receiver's window.
    Receiver,
}

impl Push {
    /// Whether it is not limited to one burst.
    fn is_regular(self) -> bool {
        matches!(self, Push::Pending | Push::Whole)
    }
}

/// A segment in its packet.
pub(super) fn outgoing(segment: Segment) -> Outgoing {
    let blocks = segment.sack.len() as u64;
    let is_plain = segment.flags.has(Flags::PLAIN);
    let options = match (segment.flags.has(Flags::SYN), blocks) {
        (true, _) if is_plain => WINDOW_SCALE,
        (false, _) if is_plain => 0,
        (true, _) => SYN_OPTIONS,
        (false, 0) => TIMESTAMPS.into(),
        (false, _) => u64::from(TIMESTAMPS) + 4 + 8 * blocks,
    };
    let length = (HEADERS + options + segment.payload()) as u32;
    let packet = Packet { length, trp: PROTOCOL, ttl: TTL, ..Packet::default() };
    // A connection's flow has the connection's number.
    Outgoing { flow: segment.from, packet, segment }
}

impl Socket {
    /// Passes a segment to the host, for a packet with this ECN field.
    pub(super) fn emit(&mut self, segment: Segment, ecn: u8, context: &mut Context<'_>) {
        let mut outgoing = outgoing(segment);
        outgoing.packet.ecn = ecn;
        context.out.packets.push(outgoing);
    }

    /// Selects the window to announce now.
    pub(super) fn select_window(&mut self) -> u32 {
        let (window, is_short) = self.receive_window.select(self.reassembly.memory, self.acks.segment);
        if is_short {
            self.acks.quick = 0;
        }
        window
    }

    /// The fields of a segment that acknowledges. Clears the due acknowledgement.
    fn acknowledging(&mut self) -> Segment {
        let segment = self.header(self.reassembly.next);
        self.acks.sent();
        segment
    }

    /// The fields of a segment that acknowledges up to `ack`.
    fn header(&mut self, ack: u64) -> Segment {
        let selected = self.select_window();
        let next = self.reassembly.next;
        let window = self.receive_window.announce(selected, next);
        self.departure = self.departure.max(self.clock);
        let segment = Segment {
            to: self.peer,
            from: self.number,
            flags: self.options(Flags::ACK).with(self.ecn.flags(), true),
            pieces: 1,
            ack,
            window,
            timestamp: self.departure.ticks(),
            echo: self.recent,
            sack: self.reassembly.sack(),
            ..Segment::default()
        };
        self.compressed.cancel();
        segment
    }

    /// Sends a segment without data.
    pub(super) fn send_ack(&mut self, context: &mut Context<'_>) {
        self.send_empty(self.next, context);
    }

    /// Sends a segment without data, with this sequence number.
    pub(super) fn send_empty(&mut self, seq: u64, context: &mut Context<'_>) {
        let segment = self.acknowledging();
        self.emit(Segment { seq, end: seq, ..segment }, self.ecn.field(false), context);
    }

    /// Sends a segment without data that acknowledges up to `ack`. If that is not everything, the due
    /// acknowledgement remains due.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `__tcp_send_ack`, `tcp_event_ack_sent`.
    pub(super) fn send_ack_of(&mut self, ack: u64, context: &mut Context<'_>) {
        if ack == self.reassembly.next {
            return self.send_ack(context);
        }
        let segment = self.header(ack);
        self.acks.compressed = 0;
        self.emit(Segment { seq: self.next, end: self.next, ..segment }, self.ecn.field(false), context);
    }

    /// Sends a buffer as a burst of segments.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `__tcp_transmit_skb`.
    pub(super) fn transmit(&mut self, id: Id, context: &mut Context<'_>) {
        let due = self.departure;
        self.clock = context.now;
        self.buffers[id].sent = due.max(context.now);
        self.buffers[id].delivered = self.delivered;
        if self.buffers[id].length() > 0 {
            if self.buffers.in_flight() == 0 {
                let connection = self.connection(context);
                self.algorithm.resumed(&connection);
                self.rate_control(context.now, |control, sender| control.resumed(sender));
            }
            self.last_sent = context.now.ticks();
        }
        let Buffer { seq, end, segments, push, fin, .. } = self.buffers[id];
        let mss = self.mss();
        let data_end = end - u64::from(fin);
        let header = self.acknowledging();
        let is_new = data_end > seq && seq >= self.next;
        let ecn = self.ecn.field(is_new);
        let mut reports = is_new && std::mem::take(&mut self.ecn.reports);
        let mut start = seq;
        loop {
            let stop = data_end.min(start + mss);
            let is_last = stop == data_end;
            let pieces = self.pieces_of(start, stop);
            let segment = Segment {
                flags: header
                    .flags
                    .with(Flags::PSH, is_last && (push || segments > 1))
                    .with(Flags::FIN, is_last && fin)
                    .with(Flags::CWR, std::mem::take(&mut reports)),
                pieces,
                seq: start,
                end: stop + u64::from(is_last && fin),
                ..header
            };
            context.queue.enter(&segment);
            self.emit(segment, ecn, context);
            start = stop;
            if is_last {
                break;
            }
        }
        self.buffers[id].mark = context.queue.entered(self.number);
        self.buffers.touch(id);
        if self.pacing.is_some() {
            self.pace(id, due);
        }
    }

    /// Sends what is allowed, and starts the probe of a closed window.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `__tcp_push_pending_frames`.
    pub(super) fn send_pending(&mut self, context: &mut Context<'_>) {
        self.push(Push::Pending, context);
    }

    /// The same, without Nagle's algorithm.
    pub(super) fn send_whole(&mut self, context: &mut Context<'_>) {
        self.push(Push::Whole, context);
    }

    fn push(&mut self, push: Push, context: &mut Context<'_>) {
        if self.phase != Phase::Open || self.buffers.unsent.is_empty() {
            return;
        }
        self.send_new(push, context);
        if self.buffers.out == 0 && !self.buffers.unsent.is_empty() {
            self.expect_window(context);
        }
    }

    /// Sends what is allowed, and nothing else.
    pub(super) fn send_allowed(&mut self, context: &mut Context<'_>) {
        self.send_new(Push::Pending, context);
    }

    /// Sends the buffer that the application has just filled.
    pub(super) fn send_one(&mut self, context: &mut Context<'_>) {
        if self.phase == Phase::Open {
            self.send_new(Push::One, context);
        }
    }

    /// Sends a segment of new data as a loss probe. Returns whether one was sent.
    pub(super) fn send_probe(&mut self, context: &mut Context<'_>) -> bool {
        let out = self.buffers.out;
        self.send_new(Push::Probe, context);
        self.buffers.out > out
    }

    /// Sends the part of a buffer that fits the peer's window, although its first segment does not, as a
    /// window probe.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_write_wakeup`.
    pub(super) fn send_into_window(&mut self, id: Id, context: &mut Context<'_>) {
        let buffer = self.buffers[id];
        let room = self.window_end() - buffer.seq;
        self.pushed = self.pushed.max(buffer.end);
        // Both parts have the push flag.
        self.buffers[id].push = true;
        if room < buffer.end - buffer.seq || buffer.length() > self.mss() {
            self.buffers.split_unsent(room.min(self.mss()));
            self.buffers[id].push = true;
        }
        self.transmit(id, context);
        self.account_sent(id, context);
    }

    /// The number of segments of a burst: a millisecond at the pacing rate, and more for short round trips.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_tso_autosize`.
    pub(super) fn burst(&mut self) -> u64 {
        let mut bytes = self.pacing_rate >> 10;
        let shift = self.round_trip.least().unwrap_or(u64::MAX) >> 9;
        if shift < 32 {
            bytes += LARGEST_BURST >> shift;
        }
        let least = match &self.pacing {
            None => 2,
            Some(_) => self.algorithm.by_rate().map_or(2, |control| control.least_burst(self.pacing_rate)),
        };
        (bytes.min(LARGEST_BURST) / self.mss()).max(least)
    }

    /// Whether at least the first segment of the first unsent buffer fits the peer's window.
    pub(super) fn fits_window(&self, buffer: &Buffer) -> bool {
        let mss = self.mss();
        let end = if buffer.length() > mss { buffer.seq + mss } else { buffer.end };
        end <= self.window_end()
    }

    /// Whether Nagle's algorithm, in Minshall's variant, holds back a partial segment.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_nagle_check`, `tcp_minshall_check`.
    fn holds_back_small(&self) -> bool {
        self.buffers.out > 0 && self.small > self.unacknowledged && self.small <= self.next
    }

    /// Whether a burst is deferred for a larger window.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_tso_should_defer`.
    fn defers(&self, buffer: &Buffer, is_last: bool, burst: u64, context: &Context<'_>) -> Deferral {
        let mss = self.mss();
        if self.recovery.state >= State::Recovery || context.now.ns() > self.departure.ns() + DEFERRAL {
            return Deferral::No;
        }
        let peer = self.window_end().saturating_sub(buffer.seq);
        let congestion = u64::from(self.congestion.size.saturating_sub(self.buffers.in_flight())) * mss;
        let limit = peer.min(congestion);
        let length = buffer.length();
        if limit >= burst * mss || (!is_last && limit >= length) {
            return Deferral::No;
        }
        // A third of the window is worth a burst (tcp_tso_win_divisor).
        if limit >= self.window.min(u64::from(self.congestion.size) * mss) / 3 {
            return Deferral::No;
        }
        let Some(oldest) = self.buffers.sent.front() else { return Deferral::No };
        // An acknowledgement should arrive within half a round trip, or a millisecond.
        let smoothed = 125 * self.round_trip.smoothed;
        let expected = self.buffers[*oldest].sent.ns() + smoothed;
        if expected > context.now.ns() + (smoothed >> 1).min(DEFERRAL) {
            return Deferral::No;
        }
        if congestion < peer {
            if congestion <= length {
                return Deferral::Congestion;
            }
        } else if peer <= length {
            return Deferral::Receiver;
        }
        if buffer.fin { Deferral::No } else { Deferral::Receiver }
    }

    /// Sends new data while both windows have space.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_write_xmit`.
    fn send_new(&mut self, push: Push, context: &mut Context<'_>) {
        if self.is_newreno() {
            return self.send_newreno(context);
        }
        let mss = self.mss();
        let burst = self.burst();
        let (mut sent, mut is_limited) = (0, false);
        while let Some(id) = self.buffers.unsent.front().copied() {
            if self.pacing.is_some() && self.is_paced(context) {
                break;
            }
            let buffer = self.buffers[id];
            let is_last = self.buffers.unsent.len() == 1;
            let Some(quota) = self.quota(&buffer).or((push == Push::Probe).then_some(1)) else { break };
            if !self.fits_window(&buffer) {
                break;
            }
            if buffer.segments == 1 {
                let is_small = buffer.length() < mss && !buffer.fin && is_last;
                if is_small && push == Push::Pending && self.holds_back_small() {
                    break;
                }
            } else if push.is_regular() {
                let deferral = self.defers(&buffer, is_last, burst, context);
                is_limited |= deferral == Deferral::Congestion;
                if deferral != Deferral::No {
                    break;
                }
            }
            let most = match buffer.segments {
                1 => mss,
                _ => self.split_point(&buffer, is_last, quota.min(burst) * mss, push),
            };
            if buffer.length() > most {
                self.buffers.split_unsent(most);
            }
            if self.waits_for_queue(id, 0, context) {
                break;
            }
            self.transmit(id, context);
            sent += self.account_sent(id, context);
            if !push.is_regular() {
                break;
            }
        }
        is_limited |= self.buffers.in_flight() >= self.congestion.size;
        if sent > 0 || is_limited {
            self.note_usage(is_limited, context);
        }
        if sent > 0 {
            self.recovery.note_sent(sent);
            if push != Push::Probe {
                self.schedule_probe(false, context);
            }
        }
    }

    /// Whether a burst waits until earlier packets have left the host. The queue there may hold about a
    /// millisecond's worth, and at least two bursts. `doublings` doubles the limit.
    ///
    /// # Source
    /// TCP small queues: Linux `net/ipv4/tcp_output.c`, `tcp_small_queue_check`.
    pub(super) fn waits_for_queue(&self, id: Id, doublings: u32, context: &mut Context<'_>) -> bool {
        let queued = context.queue.memory(self.number);
        if queued == 0 {
            return false;
        }
        let most = if self.pacing.is_some() { u64::MAX } else { MOST_QUEUED };
        let limit = (2 * self.buffers[id].memory).max(self.pacing_rate >> 10).min(most);
        // The kernel counts from 1.
        let waits = queued >> doublings >= limit && self.buffers.sent.len() > 1;
        if waits {
            context.queue.wait(self.number);
        }
        waits
    }

    /// The number of segments that the congestion window allows now; `None` for none.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_cwnd_test`.
    fn quota(&self, buffer: &Buffer) -> Option<u64> {
        if buffer.fin && buffer.segments == 1 {
            return Some(1);
        }
        let window = self.congestion.size;
        let room = window.checked_sub(self.buffers.in_flight()).filter(|room| *room > 0)?;
        Some((window >> 1).max(1).min(room).into())
    }

    /// The number of bytes of a burst.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_mss_split_point`.
    fn split_point(&self, buffer: &Buffer, is_last: bool, most: u64, push: Push) -> u64 {
        let window = self.window_end() - buffer.seq;
        if most <= window && !is_last {
            return most;
        }
        let needed = buffer.length().min(window);
        if most <= needed {
            return most;
        }
        let partial = needed % self.mss();
        let holds_back = partial > 0 && push == Push::Pending && self.holds_back_small();
        if holds_back { needed - partial } else { needed }
    }

    /// Records that the first unsent buffer has been sent. Returns its number of segments.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_event_new_data_sent`.
    pub(super) fn account_sent(&mut self, id: Id, context: &mut Context<'_>) -> u32 {
        let Buffer { end, segments, .. } = self.buffers[id];
        let length = self.buffers[id].length();
        self.next = end;
        let before = self.buffers.out;
        self.buffers.advance();
        if before == 0 || self.retransmission.pending == Some(Pending::Probe) {
            self.rearm(context);
        }
        self.check_space(context);
        if length < u64::from(segments) * self.mss() {
            self.small = end;
        }
        segments
    }

    /// Records the usage of the congestion window.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_cwnd_validate`, `tcp_cwnd_application_limited`.
    fn note_usage(&mut self, is_limited: bool, context: &Context<'_>) {
        let (out, now) = (self.buffers.out, context.now.ticks());
        let usage = &mut self.usage;
        if self.unacknowledged >= usage.end || is_limited || (!usage.is_limited && out > usage.most_out) {
            usage.is_limited = is_limited;
            usage.most_out = out;
            usage.end = self.next;
        }
        if self.is_window_limited() {
            self.usage.used = 0;
            self.usage.stamp = now;
            return;
        }
        self.usage.used = self.usage.used.max(out);
        if now - self.usage.stamp < self.round_trip.timeout || self.pacing.is_some() {
            return;
        }
        if self.recovery.state == State::Open && !self.waits_for_room {
            let used = self.usage.used.max(self.parameters.initial_window);
            if used < self.congestion.size {
                self.congestion.threshold = self.present_threshold();
                self.congestion.size = (self.congestion.size + used) >> 1;
            }
            self.usage.used = 0;
        }
        self.usage.stamp = now;
    }

    /// Whether the congestion window limits the sender.
    ///
    /// # Source
    /// Linux `include/net/tcp.h`, `tcp_is_cwnd_limited`.
    pub(super) fn is_window_limited(&self) -> bool {
        let congestion = &self.congestion;
        self.usage.is_limited || (congestion.is_in_slow_start() && congestion.size < 2 * self.usage.most_out)
    }

    /// Nothing was sent for longer than the retransmission timeout: the previous window is no longer valid.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_cwnd_restart`; RFC 2861.
    pub(super) fn restart_after_idle(&mut self, context: &Context<'_>) {
        let (now, timeout) = (context.now.ticks(), self.round_trip.timeout);
        if self.buffers.out > 0 || self.last_sent == 0 || now - self.last_sent <= timeout {
            return;
        }
        // A paced sender does not send the window at once.
        if self.pacing.is_some() {
            return;
        }
        let mut idle = now - self.last_sent;
        self.congestion.threshold = self.present_threshold();
        let restart = self.parameters.initial_window.min(self.congestion.size);
        let mut window = self.congestion.size;
        while idle > timeout && window > restart {
            idle -= timeout;
            window >>= 1;
        }
        self.congestion.size = window.max(restart);
        self.usage.stamp = now;
        self.usage.used = 0;
    }

    /// The pacing rate: twice the rate of the window in slow start, 1.2 times later.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_update_pacing_rate`.
    pub(super) fn update_pacing_rate(&mut self) {
        let CongestionWindow { size, threshold, .. } = self.congestion;
        let percent = if size < threshold / 2 { 200 } else { 120 };
        let rate = self.mss() * 80_000 * percent * u64::from(size.max(self.buffers.out));
        self.pacing_rate = rate / self.round_trip.smoothed.max(1);
    }
}
