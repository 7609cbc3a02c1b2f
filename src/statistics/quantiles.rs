//! [`Quantiles`]: percentiles of any number of times in bounded memory.

use crate::capture::Histogram;

/// Number of values that are stored exactly.
const EXACT: usize = 128;

/// Buckets per octave, as a power of two.
const PRECISION: u32 = 7;

/// Percentiles of times in picoseconds. Exact for up to 128 values; for more, the relative error is at most
/// 1/256.
///
/// The percentile `q` is the smallest value that at least the fraction `q` of the values does not exceed.
///
/// # Memory
/// At most 1 KiB for each octave between the smallest and the largest value.
#[derive(Debug, Clone)]
pub struct Quantiles(Kept);

#[derive(Debug, Clone)]
enum Kept {
    Values(Vec<u64>),
    Buckets(Box<Histogram>),
}

/// Percentiles, in picoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentiles {
    /// The median.
    pub p50: u64,
    /// The 90th percentile.
    pub p90: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The 99.9th percentile.
    pub p999: u64,
}

impl Percentiles {
    /// Calls `quantile` for each fraction.
    pub(super) fn of(quantile: impl Fn(f64) -> Option<u64>) -> Option<Self> {
        Some(Percentiles {
            p50: quantile(0.5)?,
            p90: quantile(0.9)?,
            p99: quantile(0.99)?,
            p999: quantile(0.999)?,
        })
    }

    /// The percentiles of sorted values; `None` without values.
    pub(crate) fn of_sorted(sorted: &[u64]) -> Option<Self> {
        let rank = |part: f64| ((part * sorted.len() as f64).ceil() as usize).max(1);
        Percentiles::of(|part| sorted.get(rank(part) - 1).copied())
    }
}

impl Default for Quantiles {
    fn default() -> Self {
        Quantiles(Kept::Values(Vec::new()))
    }
}

impl Quantiles {
    /// Adds values, each increased by `plus`.
    #[inline]
    pub fn record_all(&mut self, values: &[u64], plus: u64) {
        match &mut self.0 {
            Kept::Buckets(histogram) => histogram.record_all(values, plus),
            Kept::Values(kept) if kept.len() + values.len() <= EXACT => {
                kept.extend(values.iter().map(|value| value.saturating_add(plus)));
            }
            Kept::Values(kept) => {
                let mut histogram = Histogram::new(PRECISION);
                histogram.record_all(kept, 0);
                histogram.record_all(values, plus);
                self.0 = Kept::Buckets(Box::new(histogram));
            }
        }
    }

    /// Takes in a value that occurs `count` times.
    pub fn record_many(&mut self, value: u64, count: u64) {
        match &mut self.0 {
            Kept::Buckets(histogram) => histogram.record_many(value.into(), count),
            Kept::Values(kept) if kept.len() as u64 + count <= EXACT as u64 => {
                kept.extend((0..count).map(|_| value));
            }
            Kept::Values(kept) => {
                let mut histogram = Histogram::new(PRECISION);
                histogram.record_all(kept, 0);
                histogram.record_many(value.into(), count);
                self.0 = Kept::Buckets(Box::new(histogram));
            }
        }
    }

    /// The percentiles; `None` without values.
    pub fn percentiles(&self) -> Option<Percentiles> {
        match &self.0 {
            Kept::Buckets(histogram) => {
                Percentiles::of(|part| histogram.quantile(part).and_then(|value| u64::try_from(value).ok()))
            }
            Kept::Values(values) => {
                let mut sorted = values.clone();
                sorted.sort_unstable();
                Percentiles::of_sorted(&sorted)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_has_no_percentiles() {
        assert_eq!(Quantiles::default().percentiles(), None);
    }

    proptest! {
        #[test]
        fn percentiles_are_within_the_stated_error(
            mut values in prop::collection::vec((any::<u64>(), 0..64u32), 1..400),
        ) {
            let mut quantiles = Quantiles::default();
            for (value, shift) in &mut values {
                *value >>= *shift;
                quantiles.record_all(&[*value - *value / 3], *value / 3);
            }
            let mut sorted: Vec<u64> = values.iter().map(|(value, _)| *value).collect();
            sorted.sort_unstable();
            let Percentiles { p50, p90, p99, p999 } = quantiles.percentiles().unwrap();
            for (part, found) in [(0.5, p50), (0.9, p90), (0.99, p99), (0.999, p999)] {
                let right = sorted[(part * sorted.len() as f64).ceil() as usize - 1];
                let error = if sorted.len() <= EXACT { 0.0 } else { right as f64 / 256.0 };
                prop_assert!(found.abs_diff(right) as f64 <= error, "{part}: {found}, not {right}");
            }
        }
    }
}
