//! The clock of a host, as the kernel reads it: nanoseconds, microseconds and ticks.

use crate::units::{Span, Time, Timestamp};

/// A time on a host's clock: nanoseconds since the clock started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct HostTime(u64);

impl HostTime {
    /// A time in nanoseconds.
    pub const fn from_ns(nanoseconds: u64) -> Self {
        HostTime(nanoseconds)
    }

    /// Nanoseconds since the clock started.
    pub const fn ns(self) -> u64 {
        self.0
    }

    /// Microseconds since the clock started, rounded down: the timestamps of TCP.
    pub const fn us(self) -> u64 {
        self.0 / 1_000
    }

    /// Ticks (jiffies) since the clock started. `HZ` is 1000, so one tick is a millisecond.
    pub const fn ticks(self) -> u64 {
        self.0 / 1_000_000
    }
}

/// The clock of every host of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Its reading at the run's start.
    start_ns: u64,
}

/// The reading of the clock in 1970. It ensures that no time of a run is 0, which the kernel uses for
/// "never". It is a multiple of the coarsest relevant step of the timer wheel.
const EPOCH_NS: u64 = 4_096 * 1_000_000_000;

impl Clock {
    /// The clock of a run with this absolute start. Ticks are at whole milliseconds of absolute time.
    pub fn new(start: Timestamp) -> Self {
        let since_epoch = start.as_ns().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
        Clock { start_ns: since_epoch + EPOCH_NS }
    }

    /// The reading at a time of the run.
    #[inline]
    pub fn read(&self, now: Time) -> HostTime {
        HostTime(self.start_ns + now.as_ps() / 1_000)
    }

    /// The time of the run with this reading.
    #[inline]
    pub fn time_of(&self, at: HostTime) -> Time {
        Time::ZERO + Span::from_ns(at.0.saturating_sub(self.start_ns))
    }
}
