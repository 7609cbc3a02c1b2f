//! Checks shared by several tables of `netem`.

use super::error::NetemError;
use crate::ptm::PtmError;
use crate::units::Span;

/// The error for a key that has no effect.
pub(super) fn idle(key: &'static str, place: &str, help: &'static str) -> PtmError {
    PtmError::IdleKey { key, place: place.to_owned(), help }
}

/// Checks that a time is in the kernel's resolution.
pub(super) fn whole_nanoseconds(key: &'static str, span: Span) -> Result<(), NetemError> {
    if span.as_ps().is_multiple_of(1_000) {
        Ok(())
    } else {
        Err(NetemError::NotWholeNanoseconds { key, span })
    }
}
