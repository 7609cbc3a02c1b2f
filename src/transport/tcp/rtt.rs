//! The round-trip time, and the retransmission timeout derived from it.

use crate::transport::best_of_window::BestOfWindow;

/// The estimator of a sender.
///
/// # Source
/// RFC 6298; Linux `net/ipv4/tcp_input.c`, `tcp_rtt_estimator`, `tcp_set_rto`.
#[derive(Debug, Clone)]
pub struct RoundTrip {
    /// Smoothed, in us / 8; 0 before the first sample.
    pub smoothed: u64,
    /// Mean deviation, in us / 4.
    deviation: u64,
    /// The maximum deviation in this window, in us / 4.
    largest: u64,
    /// The smoothed maximum deviation, in us / 4.
    variation: u64,
    /// The sequence number after which the window ends.
    window_end: u64,
    /// The timeout in ticks, with back-off.
    pub timeout: u64,
    least: BestOfWindow,
}

/// The minimum variation, in us: 200 ms (`TCP_RTO_MIN`).
const LEAST_VARIATION: u64 = 200_000;
/// The timeout before the first sample, in ticks (`TCP_TIMEOUT_INIT`).
pub const INITIAL_TIMEOUT: u64 = 1_000;
/// The maximum timeout, in ticks (`TCP_RTO_MAX`).
pub const LONGEST_TIMEOUT: u64 = 120_000;

impl Default for RoundTrip {
    fn default() -> Self {
        RoundTrip {
            smoothed: 0,
            deviation: INITIAL_TIMEOUT * 1_000,
            largest: 0,
            variation: 0,
            window_end: 0,
            timeout: INITIAL_TIMEOUT,
            least: BestOfWindow::default(),
        }
    }
}

impl RoundTrip {
    /// Adds a sample, in us, while `unacknowledged` to `next` is in flight.
    pub fn sample(&mut self, sample: u64, unacknowledged: u64, next: u64) {
        if self.smoothed == 0 {
            self.smoothed = sample << 3;
            self.deviation = sample << 1;
            self.variation = self.deviation.max(LEAST_VARIATION);
            self.largest = self.variation;
            self.window_end = next;
        } else {
            let error = sample as i64 - (self.smoothed >> 3) as i64;
            self.smoothed = self.smoothed.saturating_add_signed(error);
            let mut change = error.abs() - (self.deviation >> 2) as i64;
            // A sudden decrease reflects a lower load, not a larger deviation.
            if error < 0 && change > 0 {
                change >>= 3;
            }
            self.deviation = self.deviation.saturating_add_signed(change);
            if self.deviation > self.largest {
                self.largest = self.deviation;
                self.variation = self.variation.max(self.largest);
            }
            if unacknowledged > self.window_end {
                if self.largest < self.variation {
                    self.variation -= (self.variation - self.largest) >> 2;
                }
                self.window_end = next;
                self.largest = LEAST_VARIATION;
            }
        }
        self.smoothed = self.smoothed.max(1);
        self.set_timeout();
    }

    /// Sets the timeout from the estimate, without back-off.
    pub fn set_timeout(&mut self) {
        self.timeout = ((self.smoothed >> 3) + self.variation).div_ceil(1_000).min(LONGEST_TIMEOUT);
    }

    /// Doubles the timeout.
    pub fn back_off(&mut self) {
        self.timeout = (self.timeout << 1).min(LONGEST_TIMEOUT);
    }

    /// Adds a sample to the minimum round-trip time, in us, at `now` in ticks.
    pub fn sample_least(&mut self, sample: u64, now: u64) {
        self.least.sample_least(sample, now, WINDOW);
    }

    /// The minimum round-trip time of the last five minutes, in us; `None` before the first sample.
    pub fn least(&self) -> Option<u64> {
        self.least.get()
    }
}

/// The window of the minimum round-trip time, in ticks (`tcp_min_rtt_wlen`).
const WINDOW: u64 = 300_000;
