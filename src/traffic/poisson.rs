//! Poisson arrivals: independent exponential gaps.

use super::arrivals::{Arrivals, Clock};
use super::draw::exponential;
use super::rate::{Gap, RateSpec};
use super::spec::generated;
use crate::config::Spanned;
use crate::random::Stream;
use crate::units::Time;

generated!(
    /// The parameters of a `poisson`.
    PoissonSpec {
        /// The mean rate of each sending host (not needed with a matrix from a file).
        #[schemars(with = "Option<RateSpec>")]
        rate: Option<Spanned<RateSpec>>,
    }
);

/// The number of gaps drawn at once: logarithms computed in a row are cheaper than single ones.
const BLOCK: usize = 32;

/// Poisson arrivals.
pub struct Poisson {
    clock: Clock,
    gap_ps: f64,
    /// The gaps drawn ahead, from `used` on.
    gaps_ps: [f64; BLOCK],
    used: usize,
}

impl Poisson {
    /// Arrivals after `start` with this mean gap.
    pub fn new(gap: Gap, start: Time) -> Self {
        Poisson { clock: Clock::new(start), gap_ps: gap.as_ps_f64(), gaps_ps: [0.0; BLOCK], used: BLOCK }
    }

    #[inline(never)]
    fn draw(&mut self, random: &mut Stream) {
        for gap in &mut self.gaps_ps {
            *gap = exponential(random) * self.gap_ps;
        }
        self.used = 0;
    }
}

impl Arrivals for Poisson {
    #[inline]
    fn next_instant(&mut self, random: &mut Stream) -> Time {
        if self.used == BLOCK {
            self.draw(random);
        }
        let gap = self.gaps_ps[self.used];
        self.used += 1;
        self.clock.advance(gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::statistics::{counts_per_window, gaps_s, moments};

    #[test]
    fn gaps_are_exponential_and_counts_have_dispersion_1() {
        let gap = Gap::new(2_000_000, 1);
        let mut poisson = Poisson::new(gap, Time::ZERO);
        let gaps = gaps_s(&mut poisson, 400_000);
        let (mean, variation) = moments(&gaps);
        assert!((mean / 2e-6 - 1.0).abs() < 0.005, "{mean}");
        assert!((variation - 1.0).abs() < 0.01, "{variation}");
        // The variance over the mean of the packets in windows of 20 mean gaps.
        let (mean, variation) = moments(&counts_per_window(&gaps, 40e-6));
        assert!((mean - 20.0).abs() < 0.1, "{mean}");
        assert!((variation * mean - 1.0).abs() < 0.03, "{}", variation * mean);
    }
}
