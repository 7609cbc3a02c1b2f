//! Why the parameters of netem do not hold together.

use crate::units::{Rate, Span};

/// Why the parameters of netem do not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetemError {
    /// A time that the kernel's clock cannot tell.
    #[error("`{key}` is {span}, and netem counts whole nanoseconds")]
    NotWholeNanoseconds {
        /// the key
        key: &'static str,
        /// its value
        span: Span,
    },
    /// A jitter with which the kernel cannot draw.
    #[error("`{key}` is {span}, and no jitter may be longer than {}", LONGEST_JITTER)]
    JitterTooLong {
        /// the key
        key: &'static str,
        /// its value
        span: Span,
    },
    /// A packet that goes ahead of delayed ones, where none is delayed.
    #[error("`reorder` is not possible without a `delay`")]
    ReorderWithoutDelay,
    /// Two ways out of a state are too likely.
    #[error("`{first}` and `{second}` of `loss` are more than 1 together")]
    ExitsAboveOne {
        /// the probability of one way
        first: &'static str,
        /// that of the other
        second: &'static str,
    },
    /// A rate below one byte per second.
    #[error("`rate` is {rate}, and netem counts whole bytes per second")]
    RateTooLow {
        /// the rate
        rate: Rate,
    },
    /// A cell without bytes.
    #[error("`cell_overhead` leaves nothing of a cell")]
    CellWithoutBytes,
    /// Slots that follow each other at once.
    #[error("`slot` says not how long it takes to the next slot")]
    SlotWithoutDelay,
    /// A slot between two times that are the wrong way round.
    #[error("`slot.min_delay` is {min}, more than `slot.max_delay`, {max}")]
    SlotBounds {
        /// the least time
        min: Span,
        /// the longest
        max: Span,
    },
    /// A distribution that the kernel has no table of.
    #[error("`slot.distribution` cannot be \"uniform\"")]
    UniformSlot,
    /// A distribution of one value.
    #[error("`slot.distribution` has no `jitter`")]
    SlotWithoutJitter,
    /// A slot that lets no byte pass.
    #[error("`slot.bytes` is 0 B")]
    EmptySlot,
}

/// The longest jitter: the kernel keeps it in 31 bits.
const LONGEST_JITTER: Span = Span::from_ns(i32::MAX as u64);

impl NetemError {
    /// Whether the kernel can draw with a jitter.
    pub(super) fn check_jitter(key: &'static str, span: Span) -> Result<(), NetemError> {
        if span > LONGEST_JITTER { Err(NetemError::JitterTooLong { key, span }) } else { Ok(()) }
    }

    /// What would be right.
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
                "a negative `cell_overhead` takes away less than `cell_size`".to_owned()
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
            NetemError::EmptySlot => "write how many bytes a slot lets pass, or leave it out".to_owned(),
        }
    }
}
