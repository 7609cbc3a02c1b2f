//! [`Histogram`]: quantiles of any number of values in bounded memory.

/// A log-linear histogram of unsigned integers.
///
/// Each octave is divided into `2^precision` buckets of equal width. Values below `2^(precision + 1)` are
/// exact. For larger ones, quantiles have a relative error of at most `2^-(precision + 1)`. Minimum and
/// maximum are exact; the mean is exact if the sum of the values fits into 128 bits.
///
/// # Examples
///
/// ```
/// use taunet::capture::Histogram;
///
/// let mut sizes = Histogram::new(8);
/// for size in [60, 60, 1514] {
///     sizes.record(size);
/// }
/// assert_eq!((sizes.quantile(0.5), sizes.max()), (Some(60), Some(1514)));
/// assert_eq!(sizes.quantile(0.99), Some(1514));
/// ```
///
/// # Source
///
/// The bucket layout of HdrHistogram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    precision: u32,
    /// Counts from the bucket of the smallest value to that of the largest.
    counts: Vec<u64>,
    /// The index of the bucket of `counts[0]`.
    first: usize,
    count: u64,
    sum: u128,
    min: u128,
    max: u128,
}

impl Histogram {
    /// Creates an empty histogram. `precision` is capped at 20: 8 MB per octave in use.
    pub fn new(precision: u32) -> Self {
        let precision = precision.min(20);
        Histogram { precision, counts: Vec::new(), first: 0, count: 0, sum: 0, min: u128::MAX, max: 0 }
    }

    /// Counts `value` once.
    #[inline]
    pub fn record(&mut self, value: u128) {
        self.record_many(value, 1);
    }

    /// Counts `value` so many times.
    #[inline]
    pub fn record_many(&mut self, value: u128, count: u64) {
        if count == 0 {
            return;
        }
        let bucket = self.bucket(value);
        let place = bucket.wrapping_sub(self.first);
        if place >= self.counts.len() {
            self.grow(bucket);
        }
        self.counts[bucket - self.first] += count;
        self.count += count;
        self.sum = self.sum.saturating_add(value.saturating_mul(count.into()));
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Counts each of `values` once, with `plus` added. Equivalent to [`record`](Histogram::record), in
    /// batches of 64-bit words.
    pub fn record_all(&mut self, values: &[u64], plus: u64) {
        let (precision, mut sum, mut min, mut max) = (self.precision, 0, u64::MAX, 0);
        for &value in values {
            let value = value.saturating_add(plus);
            let bucket = bucket_of(value, precision);
            if bucket.wrapping_sub(self.first) >= self.counts.len() {
                self.grow(bucket);
            }
            self.counts[bucket - self.first] += 1;
            sum += u128::from(value);
            (min, max) = (value.min(min), value.max(max));
        }
        if !values.is_empty() {
            self.count += values.len() as u64;
            self.sum = self.sum.saturating_add(sum);
            self.min = self.min.min(min.into());
            self.max = self.max.max(max.into());
        }
    }

    /// Makes room for a bucket.
    #[cold]
    fn grow(&mut self, bucket: usize) {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            self.counts.splice(0..0, std::iter::repeat_n(0, self.first - bucket));
            self.first = bucket;
        }
        let needed = bucket - self.first + 1;
        if needed > self.counts.len() {
            // Rounded up to whole octaves; not more, because many histograms exist at once.
            let room = needed.next_multiple_of(1 << self.precision);
            self.counts.reserve_exact(room - self.counts.len());
            self.counts.resize(needed, 0);
        }
    }

    #[inline]
    fn bucket(&self, value: u128) -> usize {
        let octave = (value | 1).ilog2().saturating_sub(self.precision);
        ((octave as usize) << self.precision) + (value >> octave) as usize
    }

    /// The middle of a bucket.
    fn middle(&self, bucket: usize) -> u128 {
        let (least, width) = place_of(bucket, self.precision);
        least + (width - 1) / 2
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The smallest value; `None` without values.
    pub fn min(&self) -> Option<u128> {
        (self.count > 0).then_some(self.min)
    }

    /// The largest value; `None` without values.
    pub fn max(&self) -> Option<u128> {
        (self.count > 0).then_some(self.max)
    }

    /// The sum of the values.
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// The mean, rounded to a double; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The quantile `q` (0 to 1): the smallest value that at least the fraction `q` of the values does not
    /// exceed, within the relative error. `None` without values.
    ///
    /// # Complexity
    ///
    /// Linear in the number of buckets in use.
    pub fn quantile(&self, q: f64) -> Option<u128> {
        if self.count == 0 {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).clamp(1, self.count);
        if rank == self.count {
            return Some(self.max);
        }
        let mut below = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return Some(self.middle(self.first + bucket).clamp(self.min, self.max));
            }
        }
        Some(self.max)
    }
}

/// The bucket of a 64-bit value.
#[inline]
pub(crate) fn bucket_of(value: u64, precision: u32) -> usize {
    let octave = (value | 1).ilog2().saturating_sub(precision);
    ((octave as usize) << precision) + (value >> octave) as usize
}

/// The minimum of a bucket, and its width.
pub(crate) fn place_of(bucket: usize, precision: u32) -> (u128, u128) {
    let bucket = bucket as u128;
    let octave = (bucket >> precision).saturating_sub(1);
    ((bucket - (octave << precision)) << octave, 1 << octave)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_has_no_quantile() {
        let empty = Histogram::new(8);
        assert_eq!((empty.quantile(0.5), empty.min(), empty.max(), empty.mean()), (None, None, None, None));
    }

    proptest! {
        #[test]
        fn a_batch_is_its_values_one_by_one(
            values in prop::collection::vec((any::<u64>(), 0..64u32), 0..100),
            plus in 0..1_000_000u64,
        ) {
            let values: Vec<u64> = values.into_iter().map(|(value, shift)| value >> shift).collect();
            let (mut batch, mut each) = (Histogram::new(7), Histogram::new(7));
            for part in values.chunks(30) {
                batch.record_all(part, plus);
            }
            values.iter().for_each(|value| each.record(value.saturating_add(plus).into()));
            prop_assert_eq!(batch, each);
        }

        #[test]
        fn quantiles_are_within_the_stated_error(
            mut values in prop::collection::vec((any::<u128>(), 0..128u32), 1..100),
            q in 0.0..=1.0f64,
        ) {
            let mut histogram = Histogram::new(8);
            for (value, shift) in &mut values {
                *value >>= *shift;
                histogram.record(*value);
            }
            let mut sorted: Vec<_> = values.iter().map(|(value, _)| *value).collect();
            sorted.sort_unstable();
            let rank = ((q * sorted.len() as f64).ceil() as usize).max(1);
            let expected = sorted[rank - 1];
            let quantile = histogram.quantile(q).unwrap();
            prop_assert!(quantile.abs_diff(expected) as f64 <= expected as f64 / 512.0, "{quantile} {expected}");
            prop_assert!(expected >= 512 || quantile == expected);
            prop_assert_eq!(histogram.max(), sorted.last().copied());
        }
    }
}
