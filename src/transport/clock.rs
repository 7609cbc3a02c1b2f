//! A host's clock, as the kernel reads it: nanoseconds, microseconds and ticks.

use crate::units::{Span, Time, Timestamp};

/// An instant on a host's clock: nanoseconds since the host's clock began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct HostTime(u64);

impl HostTime {
    /// An instant by its nanoseconds.
    pub const fn from_ns(nanoseconds: u64) -> Self {
        HostTime(nanoseconds)
    }

    /// Nanoseconds since the clock began.
    pub const fn ns(self) -> u64 {
        self.0
    }

    /// Microseconds since the clock began, rounded down: TCP's stamps.
    pub const fn us(self) -> u64 {
        self.0 / 1_000
    }

    /// Ticks (jiffies) since the clock began. `HZ` is 1000: one tick is a millisecond.
    pub const fn ticks(self) -> u64 {
        self.0 / 1_000_000
    }
}

/// The clock of every host of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// What it shows at the run's start.
    start_ns: u64,
}

/// What the clock shows in 1970, so that no instant of a run is 0, which the kernel takes for "never". A multiple of
/// the coarsest step of the timer wheel that matters.
const EPOCH_NS: u64 = 4_096 * 1_000_000_000;

impl Clock {
    /// The clock of a run with this absolute start. Ticks fall on whole milliseconds of absolute time.
    pub fn new(start: Timestamp) -> Self {
        let since_epoch = start.as_ns().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
        Clock { start_ns: since_epoch + EPOCH_NS }
    }

    /// What it shows at an instant of the run.
    #[inline]
    pub fn read(&self, now: Time) -> HostTime {
        HostTime(self.start_ns + now.as_ps() / 1_000)
    }

    /// The instant of the run at which it shows this.
    #[inline]
    pub fn time_of(&self, at: HostTime) -> Time {
        Time::ZERO + Span::from_ns(at.0.saturating_sub(self.start_ns))
    }
}
