//! Arrival processes: when a source sends, and the clock that the processes share.

use crate::random::Stream;
use crate::units::Time;

/// An arrival process.
pub trait Arrivals: Send {
    /// Whether the process assigns each packet to a flow.
    const HAS_FLOWS: bool = false;

    /// The instant of the next packet, not before the previous one.
    fn next_instant(&mut self, random: &mut Stream) -> Time;

    /// The flow of the last packet, if the process has flows.
    fn flow(&self) -> u32 {
        0
    }
}

/// An instant to which gaps with a fraction of a picosecond are added.
///
/// The fraction is carried over to the next gap. The n-th instant is the sum of n gaps, rounded down once, so
/// errors do not accumulate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    now: Time,
    /// In [0, 1) ps.
    fraction: f64,
}

impl Clock {
    pub(super) fn new(start: Time) -> Self {
        Clock { now: start, fraction: 0.0 }
    }

    /// Advances by `gap` picoseconds; saturates at [`Time::NEVER`].
    #[inline]
    pub(super) fn advance(&mut self, gap: f64) -> Time {
        let gap = gap + self.fraction;
        let whole = gap as u64;
        self.fraction = gap - whole as f64;
        self.now = Time::from_ps(self.now.as_ps().saturating_add(whole));
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_a_picosecond_add_up() {
        let mut clock = Clock::new(Time::from_ps(5));
        let instants: Vec<u64> = (0..8).map(|_| clock.advance(1.25).as_ps()).collect();
        assert_eq!(instants, [6, 7, 8, 10, 11, 12, 13, 15]);
        assert_eq!(clock.advance(1e40), Time::NEVER);
        assert_eq!(clock.advance(f64::INFINITY), Time::NEVER);
    }
}
