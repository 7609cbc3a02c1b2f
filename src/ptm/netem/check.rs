//! What several tables of `netem` are checked for.

use super::error::NetemError;
use crate::ptm::PtmError;
use crate::units::Span;

/// A key that has no effect where it stands.
pub(super) fn idle(key: &'static str, place: &str, help: &'static str) -> PtmError {
    PtmError::IdleKey { key, place: place.to_owned(), help }
}

/// Whether a span is one of the kernel's.
pub(super) fn whole_nanoseconds(key: &'static str, span: Span) -> Result<(), NetemError> {
    if span.as_ps().is_multiple_of(1_000) {
        Ok(())
    } else {
        Err(NetemError::NotWholeNanoseconds { key, span })
    }
}
