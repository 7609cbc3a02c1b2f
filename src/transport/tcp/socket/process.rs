//! The application's use of its socket: write, read and close.

use super::{Context, Phase, Socket};
use crate::transport::congestion::LARGEST_BURST;
use crate::transport::tcp::TIMESTAMPS;
use crate::transport::tcp::page::Pieces;

/// The memory of the send buffer per segment: payload with options, headers (192) and shared information
/// (320), rounded up to a power of two, and a descriptor (256).
///
/// # Source
/// Linux `net/ipv4/tcp_input.c`, `tcp_sndbuf_expand`.
pub(super) fn memory_per_segment(mss: u32) -> u64 {
    (u64::from(mss + TIMESTAMPS) + 192 + 320).next_power_of_two() + 256
}

/// The maximum number of bytes of a read.
const READ: u64 = 65_536;

/// The minimum window that counts as one (`TCP_MSS_DEFAULT`).
const DEFAULT_SEGMENT: u64 = 536;

/// The minimum part of a window up to which buffers are filled: 68 bytes without headers.
const LEAST_GOAL: u64 = 36;

impl Socket {
    /// Whether the application can write. If it cannot, it is woken when it can.
    pub fn poll_writable(&mut self) -> bool {
        let writable = self.phase == Phase::Open && self.has_room();
        self.waits_for_room |= !writable;
        writable
    }

    /// Whether a third of the buffer is free.
    ///
    /// # Source
    /// Linux `include/net/sock.h`, `__sk_stream_is_writeable`.
    fn has_room(&self) -> bool {
        let used = self.buffers.memory;
        used < self.send_buffer && self.send_buffer - used >= used >> 1
    }

    /// The number of bytes written into one buffer.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp.c`, `tcp_xmit_size_goal`; `include/net/tcp.h`, `tcp_bound_to_half_wnd`.
    fn goal(&mut self) -> u64 {
        let mss = self.mss();
        if self.is_newreno() {
            return mss;
        }
        let half = match self.largest_window {
            window if window > DEFAULT_SEGMENT => window >> 1,
            window => window,
        };
        let goal = if half > 0 && LARGEST_BURST > half { half.max(LEAST_GOAL) } else { LARGEST_BURST };
        let known = self.goal_segments * mss;
        if goal < known || goal >= known + mss {
            self.goal_segments = goal / mss;
        }
        (self.goal_segments * mss).max(mss)
    }

    /// Writes up to `bytes` bytes. Returns the number written.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp.c`, `tcp_sendmsg_locked`.
    pub fn write(&mut self, bytes: u64, context: &mut Context<'_>) -> u64 {
        let goal = self.goal();
        let mut copied = 0;
        self.check_limited(context);
        self.restart_after_idle(context);
        while copied < bytes {
            let last = self.buffers.unsent.back().copied();
            let room = last.map_or(0, |last| goal.saturating_sub(self.buffers[last].length()));
            let (id, room) = match last {
                Some(id) if room > 0 => (id, room),
                _ => {
                    if self.buffers.memory >= self.send_buffer {
                        self.waits_for_room = true;
                        break;
                    }
                    (self.buffers.push(self.written), goal)
                }
            };
            context.page.refill(|connection| context.acknowledged[connection as usize]);
            let part = room.min(bytes - copied).min(context.page.room());
            context.page.write(self.number, part, self.written + part, &mut self.pieces);
            if copied == 0 {
                self.buffers[id].push = false;
            }
            self.buffers.fill(id, part);
            let mss = self.mss();
            self.buffers[id].count(mss);
            self.written += part;
            copied += part;
            if copied == bytes || self.buffers[id].length() < goal {
                continue;
            }
            if self.written > self.pushed + (self.largest_window >> 1) {
                self.buffers[id].push = true;
                self.pushed = self.written;
                self.send_pending(context);
            } else if self.buffers.unsent.front() == Some(&id) {
                self.send_one(context);
            }
        }
        if copied > 0 {
            if let Some(last) = self.buffers.unsent.back().copied() {
                self.buffers[last].push = true;
                self.pushed = self.written;
            }
            self.send_pending(context);
        }
        copied
    }

    /// The application writes no more: appends the FIN after the last byte.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_send_fin`.
    pub fn shut(&mut self, context: &mut Context<'_>) {
        if std::mem::replace(&mut self.is_shut, true) {
            return;
        }
        self.recovery.closed_first = !self.reassembly.finished;
        let id = match self.buffers.unsent.back() {
            Some(last) => *last,
            None => self.buffers.push(self.written),
        };
        let mss = self.mss();
        let buffer = &mut self.buffers[id];
        buffer.end += 1;
        buffer.fin = true;
        buffer.count(mss);
        self.written += 1;
        self.send_whole(context);
    }

    /// Whether the FIN is written.
    pub fn is_shut(&self) -> bool {
        self.is_shut
    }

    /// Whether the peer has closed its direction and all data has been read.
    pub fn is_at_end(&self) -> bool {
        self.reassembly.finished && !self.reassembly.readable()
    }

    /// Reads available data, at most `bytes` bytes and 64 KiB. Returns the number read.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp.c`, `tcp_recvmsg_locked`.
    pub fn read(&mut self, bytes: u64, context: &mut Context<'_>) -> u64 {
        let (most, mut copied) = (bytes.min(READ), 0);
        while copied < most {
            let Some((bytes, is_used_up)) = self.reassembly.read_first(most - copied) else { break };
            copied += bytes;
            self.clock = context.now;
            self.receive_window.adjust(self.reassembly.read, context.now.us(), self.receiver.smoothed);
            if is_used_up {
                self.reassembly.free_first();
            }
        }
        if copied > 0 {
            self.acknowledge_read(context);
        }
        copied
    }

    /// Sends an acknowledgement if reading makes one due: with the last byte read, or if the window opens.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp.c`, `__tcp_cleanup_rbuf`.
    fn acknowledge_read(&mut self, context: &mut Context<'_>) {
        let acks = &self.acks;
        let unacknowledged = self.reassembly.next - self.receive_window.announced_at;
        let is_pushed = acks.pushed_twice || (acks.pushed && !acks.is_interactive);
        let mut due = acks.scheduled
            && (unacknowledged > u64::from(acks.segment) || (is_pushed && self.reassembly.memory == 0));
        if !due && !self.reassembly.finished {
            let left = self.receive_window.left(self.reassembly.next);
            // If each segment is acknowledged, only a closed window needs one.
            let is_closed = u64::from(left) < self.mss();
            if (!self.is_newreno() || is_closed) && 2 * left <= self.receive_window.clamp {
                let window = self.select_window();
                due = window > 0 && window >= 2 * left;
            }
        }
        if due {
            self.send_ack(context);
        }
    }

    /// Buffers have been freed: grows the send buffer with the window, and wakes the application if there is
    /// space.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_check_space`, `tcp_new_space`.
    pub(super) fn check_space(&mut self, context: &mut Context<'_>) {
        if !self.waits_for_room {
            return;
        }
        if self.buffers.in_flight() < self.congestion.size {
            self.expand_send_buffer();
            self.usage.stamp = context.now.ticks();
        }
        if self.phase == Phase::Open && self.has_room() {
            self.waits_for_room = false;
            self.wakes.writable = true;
        }
    }

    /// Grows the send buffer to twice the congestion window, or more if the window may grow in recovery.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_sndbuf_expand`.
    pub(super) fn expand_send_buffer(&mut self) {
        let windows = match self.pacing {
            None => 2,
            Some(_) => self.algorithm.by_rate().map_or(2, |control| control.windows_buffered()),
        };
        let segments = 10.max(self.congestion.size).max(self.recovery.reordering + 1);
        let wanted = windows * u64::from(segments) * memory_per_segment(self.parameters.mss);
        if self.send_buffer < wanted {
            self.send_buffer = wanted.min(self.parameters.send_buffer.most.into());
        }
    }

    /// The number of memory fragments of these bytes.
    pub(super) fn pieces_of(&mut self, start: u64, end: u64) -> u8 {
        Pieces::of(&mut self.pieces, start, end, self.unacknowledged)
    }
}
