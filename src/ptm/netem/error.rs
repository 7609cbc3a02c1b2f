//! Errors in the parameters of netem.

use crate::units::{Rate, Span};

/// Why the parameters of netem are inconsistent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetemError {
    /// A time finer than the resolution of the kernel's clock.
    #[error("`{key}` is {span}, and netem counts whole nanoseconds")]
    NotWholeNanoseconds {
        /// the key
        key: &'static str,
        /// its value
        span: Span,
    },
    /// A jitter that is too long for the kernel.
    #[error("`{key}` is {span}, and no jitter may be longer than {}", LONGEST_JITTER)]
    JitterTooLong {
        /// the key
        key: &'static str,
        /// its value
        span: Span,
    },
    /// Reordering without delayed packets.
    #[error("`reorder` is not possible without a `delay`")]
    ReorderWithoutDelay,
    /// The probabilities of the two transitions from a state exceed 1.
    #[error("the sum of `{first}` and `{second}` of `loss` is more than 1")]
    ExitsAboveOne {
        /// one of the two probabilities
        first: &'static str,
        /// the other one
        second: &'static str,
    },
    /// A rate below one byte per second.
    #[error("`rate` is {rate}, and netem counts whole bytes per second")]
    RateTooLow {
        /// the rate
        rate: Rate,
    },
    /// A cell without payload bytes.
    #[error("`cell_overhead` leaves no bytes in a cell")]
    CellWithoutBytes,
    /// Slots without a time between them.
    #[error("`slot` has no time to the next slot")]
    SlotWithoutDelay,
    /// A slot whose minimum exceeds its maximum.
    #[error("`slot.min_delay` ({min}) is more than `slot.max_delay` ({max})")]
    SlotBounds {
        /// the minimum time
        min: Span,
        /// the maximum time
        max: Span,
    },
    /// A distribution for which the kernel has no table.
    #[error("`slot.distribution` cannot be \"uniform\"")]
    UniformSlot,
    /// A distribution without a spread.
    #[error("`slot.distribution` has no `jitter`")]
    SlotWithoutJitter,
    /// A slot that admits no bytes.
    #[error("`slot.bytes` is 0 B")]
    EmptySlot,
}

/// The longest jitter: the kernel keeps it in 31 bits.
const LONGEST_JITTER: Span = Span::from_ns(i32::MAX as u64);

impl NetemError {
    /// Checks that the kernel can draw with a jitter.
    pub(super) fn check_jitter(key: &'static str, span: Span) -> Result<(), NetemError> {
        if span > LONGEST_JITTER { Err(NetemError::JitterTooLong { key, span }) } else { Ok(()) }
    }

    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            NetemError::NotWholeNanoseconds { span, .. } => {
                let rounded = Span::from_ns((span.as_ps() / 1_000).max(1));
                format!("write whole nanoseconds, such as \"{rounded}\"")
            }
            NetemError::JitterTooLong { .. } => format!("write at most \"{LONGEST_JITTER}\""),
            NetemError::ReorderWithoutDelay => {
                "add a `delay`, such as \"10 ms\": a reordered packet is one that is not delayed".to_owned()
            }
            NetemError::ExitsAboveOne { first, second } => {
                format!("make `{first}` + `{second}` at most 1; `p31` is 1 - `p13` where it is not given")
            }
            NetemError::RateTooLow { .. } => "write 8 bps or more".to_owned(),
            NetemError::CellWithoutBytes => {
                "a negative `cell_overhead` must subtract less than `cell_size`".to_owned()
            }
            NetemError::SlotWithoutDelay => {
                "write a `min_delay` and a `max_delay` above 0 s, or a `distribution` with `delay` and `jitter`"
                    .to_owned()
            }
            NetemError::SlotBounds { .. } => "exchange them".to_owned(),
            NetemError::UniformSlot => "write `min_delay` and `max_delay` instead".to_owned(),
            NetemError::SlotWithoutJitter => {
                "add a `jitter` above 0 s, or write a `min_delay` instead".to_owned()
            }
            NetemError::EmptySlot => "write the number of bytes that a slot admits, or leave it out".to_owned(),
        }
    }
}
