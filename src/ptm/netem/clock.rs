//! The kernel's clock: whole nanoseconds, signed, so that a time before the run's start has a place.

use crate::units::{Span, Time};

/// The last nanosecond of a run; it stands for [`Time::NEVER`].
pub(super) const LATEST: i64 = (u64::MAX / 1_000) as i64;

/// The nanosecond of `time`, rounded down.
#[inline]
pub(super) fn nanoseconds(time: Time) -> i64 {
    (time.as_ps() / 1_000) as i64
}

/// A span in nanoseconds, rounded down.
#[inline]
pub(super) fn span_nanoseconds(span: Span) -> i64 {
    (span.as_ps() / 1_000) as i64
}

/// The instant of a nanosecond: the run's start for those before it.
#[inline]
pub(super) fn instant(nanoseconds: i64) -> Time {
    if nanoseconds >= LATEST { Time::NEVER } else { Time::from_ps(nanoseconds.max(0) as u64 * 1_000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_is_rounded_down_and_the_last_nanosecond_is_never() {
        assert_eq!(nanoseconds(Time::from_ps(1_999)), 1);
        assert_eq!(instant(1), Time::from_ps(1_000));
        assert_eq!(instant(-1), Time::ZERO);
        assert_eq!((nanoseconds(Time::NEVER), instant(LATEST)), (LATEST, Time::NEVER));
    }
}
