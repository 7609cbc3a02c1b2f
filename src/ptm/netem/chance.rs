//! Probabilities as 32-bit fractions, and correlated random numbers.

use rand::Rng;

use crate::random::Stream;
use crate::units::Probability;

/// A probability as a fraction of 2^32 - 1, rounded to the nearest.
///
/// # Source
/// iproute2 `tc/q_netem.c` (`set_percent`).
pub(super) fn fraction(probability: f64) -> u32 {
    (probability * f64::from(u32::MAX)).round_ties_even() as u32
}

/// Random numbers of 32 bits. With a correlation, each depends on the previous one.
///
/// # Source
/// Linux 6.1 `net/sched/sch_netem.c` (`init_crandom`, `get_crandom`).
pub(super) struct Correlated {
    /// The weight of the previous number; 0 without correlation.
    rho: u32,
    last: u32,
}

impl Correlated {
    /// Starts from a random number, which is drawn only if it is needed.
    pub fn new(correlation: Probability, random: &mut Stream) -> Self {
        let rho = fraction(correlation.get());
        Correlated { rho, last: if rho == 0 { 0 } else { random.next_u32() } }
    }

    /// The next number.
    #[inline]
    pub fn draw(&mut self, random: &mut Stream) -> u32 {
        let value = random.next_u32();
        if self.rho == 0 {
            return value;
        }
        let rho = u64::from(self.rho) + 1;
        let sum = u64::from(value) * ((1 << 32) - rho) + u64::from(self.last) * rho;
        self.last = (sum >> 32) as u32;
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;

    fn of(correlation: f64) -> Vec<u32> {
        let mut random = stream(1, "ptm", "r1:0");
        let mut chance = Correlated::new(Probability::new(correlation).unwrap(), &mut random);
        (0..20_000).map(|_| chance.draw(&mut random)).collect()
    }

    #[test]
    fn a_percentage_is_the_one_of_tc() {
        assert_eq!([0.0, 0.02, 0.5, 1.0].map(fraction), [0, 85_899_346, 2_147_483_648, u32::MAX]);
    }

    #[test]
    fn without_correlation_the_numbers_are_those_of_the_stream() {
        let mut random = stream(1, "ptm", "r1:0");
        assert!(of(0.0).iter().all(|&number| number == random.next_u32()));
    }

    #[test]
    fn a_number_is_the_weighted_sum_of_the_stream_and_the_last() {
        let mut random = stream(1, "ptm", "r1:0");
        let (mut last, rho) = (u128::from(random.next_u32()), 1_u128 << 30);
        for number in of(0.25) {
            // 0.25 of 2^32 - 1 is rounded to 2^30, and one is added.
            last = (u128::from(random.next_u32()) * ((1 << 32) - rho - 1) + last * (rho + 1)) >> 32;
            assert_eq!(u128::from(number), last);
        }
    }

    #[test]
    fn full_correlation_repeats_the_first_number() {
        let numbers = of(1.0);
        assert!(numbers.iter().all(|number| *number == numbers[0]));
    }
}
