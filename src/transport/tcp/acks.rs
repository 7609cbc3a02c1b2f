//! When a receiver acknowledges: at once, delayed or compressed.

use super::Parameters;

/// The minimum and usual delay of an acknowledgement, in ticks (`TCP_ATO_MIN`, `TCP_DELACK_MIN`).
pub const LEAST_DELAY: u64 = 40;
/// The maximum delay, in ticks (`TCP_DELACK_MAX`).
pub const LONGEST_DELAY: u64 = 200;
/// The number of acknowledgements that are not delayed at the start of a connection (`TCP_MAX_QUICKACKS`).
pub const MOST_QUICK: u32 = 16;
/// The number of duplicates per hole that are acknowledged at once, before acknowledgements are compressed.
const DUPLICATES: u32 = 3;
/// The assumed segment size before the first segment (`TCP_MSS_DEFAULT`).
const DEFAULT_SEGMENT: u32 = 536;
/// The minimum segment size (`TCP_MIN_MSS`).
const LEAST_SEGMENT: u32 = 88;
/// The header without options.
const HEADER: u32 = 20;

/// The acknowledgement state of a receiver.
#[derive(Debug)]
pub struct Acks {
    /// The observed size of the peer's segments.
    pub segment: u32,
    last_segment: u32,
    /// The number of acknowledgements to send at once.
    pub quick: u32,
    /// The delay, in ticks; 0 before the first data.
    pub delay: u64,
    /// When data was last received, in ticks.
    received: u64,
    /// Whether requests and responses alternate: acknowledgements are sent with the response.
    pub is_interactive: bool,
    /// Whether an acknowledgement is due.
    pub scheduled: bool,
    /// Whether an acknowledgement is due at once.
    pub now: bool,
    /// Whether data was pushed.
    pub pushed: bool,
    /// Whether data was pushed twice.
    pub pushed_twice: bool,
    /// The tick at which a delayed acknowledgement is due.
    pub due: Option<u64>,
    /// The number of compressed acknowledgements.
    pub compressed: u32,
    /// The maximum of that number.
    most_compressed: u32,
    /// The hole whose duplicates are counted.
    hole: u64,
    duplicates: u32,
}

/// The action for an acknowledgement due because of a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicate {
    /// Send it.
    Send,
    /// Compress it with others.
    Compress,
}

impl Acks {
    /// For a new connection that announces `window`.
    pub fn new(parameters: &Parameters, window: u32) -> Self {
        // tcp_initialize_rcv_mss
        let hint = parameters.mss.min(window / 2).clamp(LEAST_SEGMENT, DEFAULT_SEGMENT);
        Acks {
            segment: hint,
            last_segment: 0,
            quick: 0,
            delay: 0,
            received: 0,
            is_interactive: false,
            scheduled: false,
            now: false,
            pushed: false,
            pushed_twice: false,
            due: None,
            compressed: 0,
            most_compressed: parameters.compressed_acks,
            hole: 0,
            duplicates: 0,
        }
    }

    /// Records `length` bytes of data that arrived in order.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_event_data_recv`; `window` as announced, `rto` and `now` in ticks.
    pub fn data(&mut self, window: u32, rto: u64, now: u64) {
        if self.delay == 0 {
            self.add_quick(window, MOST_QUICK);
            self.delay = LEAST_DELAY;
        } else {
            let gap = now - self.received;
            if gap <= LEAST_DELAY / 2 {
                self.delay = (self.delay >> 1) + LEAST_DELAY / 2;
            } else if gap < self.delay {
                self.delay = ((self.delay >> 1) + gap).min(rto);
            } else if gap > rto {
                self.add_quick(window, MOST_QUICK);
            }
        }
        self.received = now;
    }

    /// Measures the size of the peer's segments, and records pushed data.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_measure_rcv_mss`.
    pub fn measure(&mut self, length: u32, options: u32, is_pushed: bool, is_last: bool, mss: u32) {
        let before = std::mem::replace(&mut self.last_segment, 0);
        if length >= self.segment {
            self.segment = length.min(mss);
            self.pushed |= is_pushed;
            return;
        }
        let with_header = length + HEADER + options;
        let is_full = !is_pushed && !is_last;
        if with_header >= DEFAULT_SEGMENT + HEADER || (with_header >= LEAST_SEGMENT + HEADER && is_full) {
            self.last_segment = length;
            if length == before {
                self.segment = length;
                return;
            }
        }
        self.pushed_twice |= self.pushed;
        self.pushed = true;
    }

    /// Sends the next acknowledgements at once, at most `most` of them.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_incr_quickack`.
    pub fn add_quick(&mut self, window: u32, most: u32) {
        let quick = match window / (2 * self.segment) {
            0 => 2,
            segments => segments,
        };
        self.quick = self.quick.max(quick.min(most));
    }

    /// Reordering or a network problem: sends the next acknowledgements at once, at most `most` of them.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_enter_quickack_mode`.
    pub fn hurry(&mut self, window: u32, most: u32) {
        self.add_quick(window, most);
        self.is_interactive = false;
        self.delay = LEAST_DELAY;
    }

    /// Whether an acknowledgement is sent at once in any case.
    pub fn is_quick(&self) -> bool {
        (self.quick > 0 && !self.is_interactive) || self.now
    }

    /// Records that a segment with an acknowledgement is sent. This does not stop the timer of a delayed one.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_event_ack_sent`, `tcp_dec_quickack_mode`.
    pub fn sent(&mut self) {
        self.compressed = 0;
        if self.quick > 0 {
            // Acknowledgements sent without being due do not count.
            let counted = u32::from(self.scheduled);
            if counted >= self.quick {
                self.quick = 0;
                self.delay = LEAST_DELAY;
            } else {
                self.quick -= counted;
            }
        }
        self.scheduled = false;
        self.now = false;
        self.pushed = false;
        self.pushed_twice = false;
        self.due = None;
    }

    /// The action for an acknowledgement due because of a hole at `next`.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `__tcp_ack_snd_check`.
    pub fn duplicate(&mut self, next: u64) -> Duplicate {
        if self.compressed >= self.most_compressed {
            return Duplicate::Send;
        }
        if self.hole != next {
            self.hole = next;
            self.duplicates = 0;
        }
        if self.duplicates < DUPLICATES {
            self.duplicates += 1;
            return Duplicate::Send;
        }
        self.compressed += 1;
        Duplicate::Compress
    }

    /// When a delayed acknowledgement is due, in ticks; `None` if it should be sent at once. `rtt` is the
    /// sender's smoothed round-trip time in us / 8.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_send_delayed_ack`.
    pub fn delay(&mut self, now: u64, rtt: u64) -> Option<u64> {
        let mut delay = self.delay;
        if delay > LEAST_DELAY {
            let mut longest = if self.is_interactive || self.pushed { LONGEST_DELAY } else { 500 };
            if rtt > 0 {
                longest = longest.min((rtt >> 3).div_ceil(1_000).max(LEAST_DELAY));
            }
            delay = delay.min(longest);
        }
        let mut due = now + delay.min(LONGEST_DELAY);
        if let Some(pending) = self.due {
            if pending <= now + (delay.min(LONGEST_DELAY) >> 2) {
                return None;
            }
            due = due.min(pending);
        }
        self.scheduled = true;
        self.due = Some(due);
        Some(due)
    }

    /// A delayed acknowledgement was sent by its timer, without data.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_timer.c`, `tcp_delack_timer_handler`.
    pub fn missed(&mut self, rto: u64) {
        if self.is_interactive {
            self.is_interactive = false;
            self.delay = LEAST_DELAY;
        } else {
            self.delay = (self.delay << 1).min(rto);
        }
    }
}
