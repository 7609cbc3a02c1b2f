//! Slots: delayed packets leave in batches, when a slot opens.

use std::num::NonZeroU32;

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{idle, whole_nanoseconds};
use super::distribution::{DelayDistribution, drawn_around, modelled_option};
use super::error::NetemError;
use crate::ptm::PtmError;
use crate::ptm::psched::{LATEST, span_ns};
use crate::random::Stream;
use crate::units::{ByteCount, Span};

/// When slots open, and how much they admit: `min_delay` and `max_delay`, or a `distribution` with `delay`
/// and `jitter`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlotSpec {
    /// The minimum time to the next slot.
    #[serde(default)]
    pub min_delay: Option<Span>,
    /// The maximum time to the next slot, exclusive (default: `min_delay`, for a constant time).
    #[serde(default)]
    pub max_delay: Option<Span>,
    /// The distribution of the time to the next slot: `normal`, `pareto` or `paretonormal`.
    #[serde(default, deserialize_with = "modelled_option")]
    pub distribution: Option<DelayDistribution>,
    /// The mean of the distribution.
    #[serde(default)]
    pub delay: Option<Span>,
    /// The spread of the distribution, above zero.
    #[serde(default)]
    pub jitter: Option<Span>,
    /// The number of packets that a slot admits (default: 2^31 - 1).
    #[serde(default)]
    pub packets: Option<NonZeroU32>,
    /// The bytes after which a slot closes (default: 2^31 - 1); the packet that reaches this number is still
    /// admitted.
    #[serde(default)]
    pub bytes: Option<ByteCount>,
}

impl SlotSpec {
    /// Whether the time to the next slot is random.
    pub(super) fn draws(&self) -> bool {
        self.distribution.is_some() || self.max_delay.is_some_and(|max| Some(max) != self.min_delay)
    }

    /// Checks that the keys are consistent.
    pub(super) fn check(&self) -> Result<(), PtmError> {
        let spans = [
            ("slot.min_delay", self.min_delay),
            ("slot.max_delay", self.max_delay),
            ("slot.delay", self.delay),
            ("slot.jitter", self.jitter),
        ];
        for (key, span) in spans {
            whole_nanoseconds(key, span.unwrap_or_default())?;
        }
        if self.bytes == Some(ByteCount::ZERO) {
            return Err(NetemError::EmptySlot.into());
        }
        match self.distribution {
            None => self.check_bounds(),
            Some(DelayDistribution::Uniform) => Err(NetemError::UniformSlot.into()),
            Some(_) => self.check_distribution(),
        }
    }

    fn check_bounds(&self) -> Result<(), PtmError> {
        for (key, given) in [("slot.delay", self.delay), ("slot.jitter", self.jitter)] {
            if given.is_some() {
                let help = "write `min_delay` and `max_delay`, or add a `distribution`";
                return Err(idle(key, "without `slot.distribution`", help));
            }
        }
        let Some(min) = self.min_delay else { return Err(NetemError::SlotWithoutDelay.into()) };
        let max = self.max_delay.unwrap_or(min);
        if min > max {
            return Err(NetemError::SlotBounds { min, max }.into());
        }
        if max == Span::ZERO {
            return Err(NetemError::SlotWithoutDelay.into());
        }
        Ok(())
    }

    fn check_distribution(&self) -> Result<(), PtmError> {
        for (key, given) in [("slot.min_delay", self.min_delay), ("slot.max_delay", self.max_delay)] {
            if given.is_some() {
                return Err(idle(key, "beside `slot.distribution`", "keep one of them"));
            }
        }
        match self.jitter.unwrap_or_default() {
            Span::ZERO => Err(NetemError::SlotWithoutJitter.into()),
            jitter => Ok(NetemError::check_jitter("slot.jitter", jitter)?),
        }
    }
}

/// The time between slots [ns].
enum Spacing {
    Between { min: i64, range: u64 },
    Around { delay: i64, jitter: i32, table: Option<&'static [i16]> },
}

/// Running slots.
///
/// # Source
/// Linux 6.1 `net/sched/sch_netem.c` (`get_slot`, `get_slot_next`, and their use in `netem_dequeue`).
pub(super) struct Slots {
    spacing: Spacing,
    packets: i64,
    bytes: i64,
    /// When the slot opens; packets may leave from then on.
    next: i64,
    packets_left: i64,
    bytes_left: i64,
}

impl Slots {
    /// The first slot opens at the start of the run.
    pub fn new(spec: &SlotSpec) -> Self {
        let ns = |span: Option<Span>| span_ns(span.unwrap_or_default());
        let spacing = match spec.distribution {
            Some(distribution) => Spacing::Around {
                delay: ns(spec.delay),
                jitter: i32::try_from(ns(spec.jitter)).unwrap_or(i32::MAX),
                table: distribution.table(),
            },
            None => {
                let min = ns(spec.min_delay);
                let max = ns(spec.max_delay.or(spec.min_delay));
                Spacing::Between { min, range: max.saturating_sub(min).max(0) as u64 }
            }
        };
        let packets = spec.packets.map_or(i32::MAX.into(), |packets| i64::from(packets.get()));
        let bytes =
            spec.bytes.map_or(i32::MAX.into(), |bytes| i64::try_from(bytes.get()).unwrap_or(i64::MAX));
        Slots { spacing, packets, bytes, next: 0, packets_left: packets, bytes_left: bytes }
    }

    /// When the slot opens for a packet that is due at `due`, asked at `now`. A slot that opened before the
    /// packet was due is skipped, and the next one is drawn.
    pub fn opens(&mut self, due: i64, now: i64, random: &mut Stream) -> i64 {
        if self.next < due {
            self.draw_next(now, random);
        }
        self.next
    }

    /// A packet of `length` bytes leaves at `now`; the slot closes when it is used up.
    pub fn spend(&mut self, length: u32, now: i64, random: &mut Stream) {
        self.packets_left -= 1;
        self.bytes_left -= i64::from(length);
        if self.packets_left <= 0 || self.bytes_left <= 0 {
            self.draw_next(now, random);
        }
    }

    fn draw_next(&mut self, now: i64, random: &mut Stream) {
        let delay = match self.spacing {
            Spacing::Between { min, range } => {
                let share = (u128::from(range) * u128::from(random.next_u32())) >> 32;
                min.saturating_add(share as i64)
            }
            Spacing::Around { delay, jitter, table } => {
                drawn_around(delay, jitter, table, || random.next_u32())
            }
        };
        self.next = now.saturating_add(delay).min(LATEST);
        self.packets_left = self.packets;
        self.bytes_left = self.bytes;
    }
}
