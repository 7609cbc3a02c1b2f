//! Exact even spacing of packets.

use schemars::JsonSchema;
use serde::Deserialize;

use super::arrivals::Arrivals;
use super::draw::unit;
use super::rate::Gap;
use crate::random::Stream;
use crate::units::{Span, Time};

/// When the first of evenly spaced packets is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// At the start: all hosts of an entry send at the same instants.
    #[default]
    Start,
    /// At a random point of the first interval, different for each host.
    Random,
}

/// Exact even spacing: packet `n` is sent at `start + n * gap`, rounded half up to 1 ps.
pub struct EvenSpacing {
    next: Time,
    phase: Phase,
    /// The gap: this many picoseconds, plus `rest / denominator` of one.
    whole: u64,
    rest: u128,
    denominator: u128,
    /// The fraction of a picosecond by which `next` is short, plus one half, over `denominator`.
    short: u128,
}

impl EvenSpacing {
    /// One packet every `gap`, from `start` on.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;

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
