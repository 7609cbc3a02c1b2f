//! Instants: relative to the start of a run, and absolute.

use std::fmt;
use std::ops::{Add, Sub};

use serde::Serialize;

use super::text::write_decimal;
use super::{PS_PER_S, Span};

/// An instant of a run: picoseconds since the start of the run, up to 213 days.
///
/// Sums saturate at [`Time::NEVER`], and an engine rejects an event there: an overflow is an error and never
/// wraps around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Time(u64);

impl Time {
    /// The start of the run.
    pub const ZERO: Time = Time(0);
    /// Later than every instant that a run can reach.
    pub const NEVER: Time = Time(u64::MAX);

    /// The instant `picoseconds` after the start of the run.
    pub const fn from_ps(picoseconds: u64) -> Self {
        Time(picoseconds)
    }

    /// Picoseconds since the start of the run.
    pub const fn as_ps(self) -> u64 {
        self.0
    }

    /// Seconds since the start of the run, rounded to a double.
    pub fn as_seconds_f64(self) -> f64 {
        self.0 as f64 / PS_PER_S as f64
    }

    /// The span from `earlier` to this instant; zero if `earlier` is later.
    pub const fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Time {
    type Output = Time;
    #[inline]
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Time;
    #[inline]
    fn sub(self, span: Span) -> Time {
        Time(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0.into(), 12)?;
        f.write_str(" s")
    }
}

/// An absolute instant: picoseconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i128);

impl Timestamp {
    /// The instant `picoseconds` after 1970-01-01 00:00 UTC.
    pub const fn from_ps(picoseconds: i128) -> Self {
        Timestamp(picoseconds)
    }

    /// The instant `nanoseconds` after 1970-01-01 00:00 UTC.
    pub const fn from_ns(nanoseconds: i128) -> Self {
        Timestamp(nanoseconds * 1_000)
    }

    /// Picoseconds since 1970-01-01 00:00 UTC.
    pub const fn as_ps(self) -> i128 {
        self.0
    }

    /// Nanoseconds since 1970-01-01 00:00 UTC, rounded down; `None` outside the years 1677 to 2262.
    pub fn as_ns(self) -> Option<i64> {
        i64::try_from(self.0.div_euclid(1_000)).ok()
    }

    /// The time from `earlier` to this instant; zero if `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Elapsed {
        Elapsed(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }

    /// This timestamp as an instant of a run that starts at `start`; `None` before `start` or more than 213
    /// days after it.
    pub fn relative_to(self, start: Timestamp) -> Option<Time> {
        let picoseconds = self.0.checked_sub(start.0)?;
        u64::try_from(picoseconds).ok().filter(|&ps| ps != u64::MAX).map(Time)
    }
}

/// The time from one [`Timestamp`] to a later one, in picoseconds, of any length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Elapsed(u128);

impl Elapsed {
    /// Picoseconds.
    pub const fn as_ps(self) -> u128 {
        self.0
    }
}

impl From<Span> for Elapsed {
    fn from(span: Span) -> Self {
        Elapsed(span.as_ps().into())
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u64::try_from(self.0) {
            Ok(picoseconds) => Span::from_ps(picoseconds).fmt(f),
            Err(_) => {
                write_decimal(f, self.0, 12)?;
                f.write_str(" s")
            }
        }
    }
}

impl Add<Span> for Timestamp {
    type Output = Timestamp;
    #[inline]
    fn add(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0.into()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = i128::from(PS_PER_S);
        let date = i64::try_from(self.0.div_euclid(second))
            .ok()
            .and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
        let Some(date) = date else {
            return write!(f, "{} ps since 1970", self.0);
        };
        let fraction = self.0.rem_euclid(second);
        write!(f, "{}", date.format("%Y-%m-%d %H:%M:%S"))?;
        if fraction % 1_000 == 0 {
            write!(f, ".{:09} UTC", fraction / 1_000)
        } else {
            write!(f, ".{fraction:012} UTC")
        }
    }
}
