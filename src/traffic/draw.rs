//! Random quantities: exponential, Pareto, normal, log-normal.
//!
//! Logarithms and exponentials come from `libm`, implemented in Rust: those of the platform differ in the
//! last bit between platforms, and the same seed must give the same packets everywhere. For the same reason
//! the samplers of `rand_distr` are not used: they call the platform's functions as soon as any crate in the
//! build enables `num-traits/std`.

use rand::Rng;

use crate::random::Stream;

/// Uniform in (0, 1], in steps of 2^-53.
#[inline]
pub(super) fn unit(random: &mut Stream) -> f64 {
    ((random.next_u64() >> 11) + 1) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Uniform over `0..count`, by a multiplication (with a bias below count / 2^64).
///
/// # Source
/// Lemire, "Fast random integer generation in an interval", 2019.
#[inline]
pub(super) fn below(random: &mut Stream, count: u32) -> u32 {
    ((u128::from(random.next_u64()) * u128::from(count)) >> 64) as u32
}

/// Exponential with mean 1, by inversion.
#[inline]
pub(super) fn exponential(random: &mut Stream) -> f64 {
    -libm::log(unit(random))
}

/// Pareto (type I) with mean 1, by inversion: the scale is `(shape - 1) / shape`; `shape` must be above 1.
#[inline]
pub(super) fn pareto(random: &mut Stream, shape: f64) -> f64 {
    (shape - 1.0) / shape * libm::exp(exponential(random) / shape)
}

/// Standard normal, by the polar method; one of its two values is used.
///
/// # Source
/// Marsaglia and Bray, "A convenient method for generating normal variables", 1964.
#[inline]
pub(super) fn normal(random: &mut Stream) -> f64 {
    loop {
        let (x, y) = (2.0 * unit(random) - 1.0, 2.0 * unit(random) - 1.0);
        let square = x * x + y * y;
        if square < 1.0 && square > 0.0 {
            return x * (-2.0 * libm::log(square) / square).sqrt();
        }
    }
}

/// Log-normal with mean 1, where `sigma` is the standard deviation of its logarithm.
#[inline]
pub(super) fn log_normal(random: &mut Stream, sigma: f64) -> f64 {
    libm::exp(sigma * normal(random) - 0.5 * sigma * sigma)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;

    const DRAWS: u32 = 400_000;

    fn moments(mut draw: impl FnMut(&mut Stream) -> f64) -> (f64, f64) {
        let mut random = stream(1, "test", "draw");
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..DRAWS {
            let value = draw(&mut random);
            sum += value;
            squares += value * value;
        }
        let mean = sum / f64::from(DRAWS);
        (mean, squares / f64::from(DRAWS) - mean * mean)
    }

    #[track_caller]
    fn near(value: f64, expected: f64, error: f64) {
        assert!((value - expected).abs() < error, "{value}, not {expected}");
    }

    #[test]
    fn the_exponential_has_mean_and_variance_1() {
        let (mean, variance) = moments(exponential);
        near(mean, 1.0, 0.005);
        near(variance, 1.0, 0.02);
    }

    #[test]
    fn the_normal_has_mean_0_and_variance_1() {
        let (mean, variance) = moments(normal);
        near(mean, 0.0, 0.005);
        near(variance, 1.0, 0.01);
    }

    #[test]
    fn the_log_normal_has_its_moments() {
        let sigma = 0.5;
        let (mean, variance) = moments(|random| log_normal(random, sigma));
        near(mean, 1.0, 0.005);
        near(variance, libm::exp(sigma * sigma) - 1.0, 0.01);
    }

    #[test]
    fn the_pareto_has_its_mean_and_its_tail() {
        let shape = 2.5;
        let (mean, _) = moments(|random| pareto(random, shape));
        near(mean, 1.0, 0.01);
        // P(X > x) = (scale / x)^shape
        let scale: f64 = (shape - 1.0) / shape;
        for times in [1.0, 2.0, 5.0, 10.0] {
            let (tail, _) = moments(|random| f64::from(u8::from(pareto(random, shape) > times * scale)));
            near(tail, libm::pow(times, -shape), 0.003);
        }
    }

    #[test]
    fn below_is_uniform() {
        let mut counts = [0u32; 7];
        let mut random = stream(1, "test", "below");
        (0..70_000).for_each(|_| counts[below(&mut random, 7) as usize] += 1);
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 400), "{counts:?}");
    }

    #[test]
    fn draws_are_portable() {
        // Must never change: a changed value changes every generated packet.
        let mut random = stream(1, "test", "portable");
        let bits = [
            exponential(&mut random).to_bits(),
            pareto(&mut random, 1.5).to_bits(),
            log_normal(&mut random, 0.5).to_bits(),
        ];
        assert_eq!(bits, [4_607_615_794_129_452_066, 4_601_139_100_995_163_445, 4_608_231_295_808_834_942]);
    }
}
