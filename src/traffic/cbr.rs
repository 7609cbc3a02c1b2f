//! Constant bit rate: evenly spaced packets.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arrivals::Arrivals;
use super::draw::unit;
use super::generator::{GeneratedSource, Limits};
use super::matrix::Destinations;
use super::rate::{Gap, RateSpec};
use super::size::Sizes;
use super::spec::{Spread, generated};
use crate::config::Spanned;
use crate::packet::{FlowKey, Packet};
use crate::random::{Stream, stream};
use crate::units::{ByteCount, Span, Time};

/// The IP protocol number of UDP.
pub const UDP: u8 = 17;

generated!(
    /// The parameters of a `cbr`.
    CbrSpec {
        /// The mean rate of each sending host; or give the `interval`.
        #[schemars(with = "Option<RateSpec>")]
        rate: Option<Spanned<RateSpec>>,
        /// The time from one packet to the next; or give the `rate`.
        #[schemars(with = "Option<Span>")]
        interval: Option<Spanned<Span>>,
        /// When the first packet is sent, within the first interval (default: start).
        #[serde(default)]
        phase: Phase,
    }
);

/// When the first of evenly spaced packets is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// At once: hosts of one entry send in step.
    #[default]
    Start,
    /// At a random part of the first interval, for each host its own.
    Random,
}

/// Even spacing, exact: packet `n` is sent at `start + n * gap`, rounded half up to 1 ps.
pub struct EvenSpacing {
    next: Time,
    phase: Phase,
    /// The gap: this many picoseconds, and `rest / denominator` of one.
    whole: u64,
    rest: u128,
    denominator: u128,
    /// The part of a picosecond that `next` is short of, plus a half, over `denominator`.
    short: u128,
}

impl EvenSpacing {
    /// One packet each `gap`, from `start` on.
    pub fn new(gap: Gap, phase: Phase, start: Time) -> Self {
        let (numerator, denominator) = gap.parts();
        EvenSpacing {
            next: start,
            phase,
            whole: u64::try_from(numerator / denominator).unwrap_or(u64::MAX),
            rest: numerator % denominator,
            denominator,
            short: denominator / 2,
        }
    }
}

impl Arrivals for EvenSpacing {
    #[inline]
    fn next_instant(&mut self, random: &mut Stream) -> Time {
        if self.phase == Phase::Random {
            self.phase = Phase::Start;
            let part = unit(random) * (self.whole as f64 + self.rest as f64 / self.denominator as f64);
            self.next = self.next + Span::from_ps(part as u64);
        }
        let now = self.next;
        self.short += self.rest;
        let carried = self.short >= self.denominator;
        if carried {
            self.short -= self.denominator;
        }
        self.next = self.next + Span::from_ps(self.whole.saturating_add(u64::from(carried)));
        now
    }
}

/// Evenly spaced packets of one length and one flow.
pub type Cbr = GeneratedSource<EvenSpacing>;

impl Cbr {
    /// `packets` packets of `size`, the first at `start`, then one each `interval`.
    pub fn new(flow: FlowKey, size: ByteCount, interval: Span, packets: u64, start: Time) -> Self {
        let length = u32::try_from(size.get()).unwrap_or(u32::MAX);
        let gap = Gap::new(interval.as_ps().into(), 1);
        let arrivals = EvenSpacing::new(gap, Phase::Start, start);
        let limits = Limits { packets: Some(packets), ..Limits::default() };
        let template = Packet { trp: UDP, ttl: 64, ..Packet::default() };
        // Nothing here is random: the stream's name does not matter.
        let random = stream(0, "traffic", "cbr");
        GeneratedSource::of_parts(
            arrivals,
            random,
            Sizes::constant(length),
            Destinations::One,
            Arc::new([flow]),
            (1, Spread::Random),
            template,
            limits,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacing_is_exact_for_ever() {
        // 1000 B at 3 Mbps: 2,666,666,666.67 ps.
        let mut spacing = EvenSpacing::new(Gap::new(8_000_000_000, 3), Phase::Start, Time::from_ps(7));
        let mut random = stream(1, "test", "cbr");
        for n in 0..1_000_000u128 {
            let exact = 7 + (n * 8_000_000_000 * 2 + 3) / 6;
            assert_eq!(u128::from(spacing.next_instant(&mut random).as_ps()), exact, "packet {n}");
        }
        let mut halves = EvenSpacing::new(Gap::new(5, 2), Phase::Start, Time::ZERO);
        let instants: Vec<u64> = (0..5).map(|_| halves.next_instant(&mut random).as_ps()).collect();
        assert_eq!(instants, [0, 3, 5, 8, 10]);
    }

    #[test]
    fn a_random_phase_stays_within_the_first_interval() {
        let mut random = stream(1, "test", "phase");
        let mut firsts: Vec<u64> = (0..100)
            .map(|_| {
                let mut spacing = EvenSpacing::new(Gap::new(1_000, 1), Phase::Random, Time::from_ps(50));
                let first = spacing.next_instant(&mut random).as_ps();
                assert_eq!(spacing.next_instant(&mut random).as_ps(), first + 1_000);
                first
            })
            .collect();
        firsts.sort_unstable();
        assert!(firsts[0] >= 50 && firsts[0] < 120 && firsts[99] > 950 && firsts[99] <= 1_050, "{firsts:?}");
    }
}
