//! The receive window and its buffer.

use super::Parameters;

/// The overhead of a full segment of the peer, for the calculation of the buffer that a window needs: 192
/// bytes of headers, and 576 of descriptor and shared information.
///
/// # Source
/// Linux `net/ipv4/tcp_input.c`, `tcp_rcv_space_adjust`: `SKB_TRUESIZE(advmss + MAX_TCP_HEADER)`.
const HEADERS: u32 = 192 + 576;

/// The maximum receive buffer that an application could request (`rmem_max`), which the window scale allows
/// for.
const LARGEST_ASKED: u32 = 212_992;

/// The maximum window scale (RFC 7323, Section 2.3).
const LARGEST_SCALE: u32 = 14;

/// The announced window, and its buffer.
#[derive(Debug)]
pub struct Window {
    /// The receive buffer, in bytes of memory; it grows.
    buffer: u32,
    most_buffer: u32,
    /// The last announced window.
    pub announced: u32,
    /// The byte at which it starts.
    pub announced_at: u64,
    /// The maximum window.
    pub clamp: u32,
    /// The window that the buffer can support, given the segment sizes so far.
    pub threshold: u32,
    /// The number of bytes that the application reads per round trip.
    copied: u32,
    copied_from: u64,
    copied_at: u64,
    mss: u32,
    /// The unit of announced windows in bytes: 2 to the power of the window scale.
    unit: u32,
}

/// The unit of the window in bytes: the minimum with which the maximum buffer can be announced in 16 bits.
///
/// # Source
/// Linux `net/ipv4/tcp_output.c`, `tcp_select_initial_window`.
fn unit_of(most_buffer: u32) -> u32 {
    let bits = most_buffer.max(LARGEST_ASKED).ilog2();
    1 << bits.saturating_sub(15).min(LARGEST_SCALE)
}

/// The part of memory that is window; half of it is overhead (`tcp_adv_win_scale` 1).
fn window_of(memory: u32) -> u32 {
    memory - (memory >> 1)
}

/// Rounds up to a unit, which is a power of 2.
fn round_up(bytes: u32, unit: u32) -> u32 {
    (bytes + (unit - 1)) & !(unit - 1)
}

impl Window {
    /// The window of a new connection, which announces `first`; `now` in us.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_init_buffer_space`.
    pub fn new(parameters: &Parameters, first: u32, now: u64) -> Self {
        let Parameters { mss, receive_buffer, .. } = *parameters;
        let full = window_of(receive_buffer.initial);
        let clamp = full.saturating_sub(mss).max(2 * mss);
        let threshold = first.min(clamp);
        Window {
            buffer: receive_buffer.initial,
            most_buffer: receive_buffer.most,
            announced: first,
            announced_at: 1,
            clamp,
            threshold,
            copied: threshold.min(first).min(10 * mss),
            copied_from: 1,
            copied_at: now,
            mss,
            unit: unit_of(receive_buffer.most),
        }
    }

    /// The connection starts, at `now` in us.
    pub fn begin(&mut self, now: u64) {
        self.copied_at = now;
    }

    fn free(&self, used: u32) -> u32 {
        window_of(self.buffer.saturating_sub(used))
    }

    /// The remaining part of the announced window.
    pub fn left(&self, next: u64) -> u32 {
        (self.announced_at + u64::from(self.announced)).saturating_sub(next) as u32
    }

    /// The window that can be announced with `used` bytes of memory, and whether the buffer is scarce.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `__tcp_select_window`.
    pub fn select(&self, used: u32, segment: u32) -> (u32, bool) {
        let allowed = window_of(self.buffer);
        let full = self.clamp.min(allowed);
        let mut free = self.free(used);
        let is_short = free < full >> 1;
        if is_short {
            free &= !(self.unit - 1);
            if free < allowed >> 4 || free < segment.min(full) {
                return (0, true);
            }
        }
        (round_up(free.min(self.threshold), self.unit), is_short)
    }

    /// Announces a window, which never shrinks.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_select_window`.
    pub fn announce(&mut self, selected: u32, next: u64) -> u32 {
        let left = self.left(next);
        self.announced = if selected < left { round_up(left, self.unit) } else { selected };
        self.announced_at = next;
        self.announced.min(65_535 * self.unit) & !(self.unit - 1)
    }

    /// Handles a segment of `length` bytes that costs `memory`. Returns whether the window may grow.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_grow_window`.
    pub fn grow(&mut self, length: u32, memory: u32, used: u32, segment: u32) -> bool {
        let room = self.clamp.min(self.free(used)).saturating_sub(self.threshold);
        if room == 0 {
            return false;
        }
        let step =
            if window_of(memory) <= length { 2 * self.mss } else { self.step(length, memory, segment) };
        if step > 0 {
            self.threshold += room.min(step.max(2 * length));
        }
        step > 0
    }

    /// The growth by a segment that costs more than twice its length, while the window is small.
    fn step(&self, length: u32, memory: u32, segment: u32) -> u32 {
        let (mut cost, mut window) = (window_of(memory) >> 1, window_of(self.most_buffer) >> 1);
        while self.threshold <= window {
            if cost <= length {
                return 2 * segment;
            }
            cost >>= 1;
            window >>= 1;
        }
        0
    }

    /// The application has read up to `read`: adapts the buffer once per round trip to the bytes read in it.
    /// `now` in us, `rtt` in us / 8.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_rcv_space_adjust`: dynamic right-sizing.
    pub fn adjust(&mut self, read: u64, now: u64, rtt: u64) {
        if rtt == 0 || now - self.copied_at < rtt >> 3 {
            return;
        }
        let copied = (read - self.copied_from) as u32;
        if copied > self.copied {
            let mss = u64::from(self.mss);
            let base = (u64::from(copied) << 1) + 16 * mss;
            let growth = base * u64::from(copied - self.copied) / u64::from(self.copied);
            let window = base + (growth << 1);
            let mut memory = self.mss + HEADERS;
            while window_of(memory) < self.mss {
                memory += 128;
            }
            let buffer = (window / mss * u64::from(memory)).min(self.most_buffer.into()) as u32;
            if buffer > self.buffer {
                self.buffer = buffer;
                self.clamp = window_of(buffer);
            }
            self.copied = copied;
        }
        self.copied_from = read;
        self.copied_at = now;
    }

    /// The buffer is full: grows it to its use, and if that is not sufficient, shrinks the window. Returns
    /// whether there is space now.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_clamp_window`.
    pub fn make_room(&mut self, used: u32) -> bool {
        if self.buffer < self.most_buffer {
            self.buffer = used.min(self.most_buffer);
        }
        if used > self.buffer {
            self.threshold = self.clamp.min(2 * self.mss);
        }
        used <= self.buffer
    }

    /// Whether `used` bytes of memory exceed the buffer.
    pub fn is_over(&self, used: u32) -> bool {
        used > self.buffer
    }
}
