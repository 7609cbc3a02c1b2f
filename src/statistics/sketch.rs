//! [`Sketch`]: percentiles of a flow's delays in little memory.

use super::quantiles::Percentiles;
use crate::capture::{bucket_of, place_of};

/// Number of values that are stored exactly.
const EXACT: usize = 64;

/// Initial number of buckets per octave, as a power of two.
const PRECISION: u32 = 7;

/// Maximum size of the buckets, in bytes.
const BYTES: usize = 3_840;

/// Percentiles of times in picoseconds. Exact for up to 64 values. Beyond, a sparse log-linear histogram with
/// 128 buckets per octave, with a relative error of at most 1/256. If values fall into more than 960 buckets
/// (more than seven full octaves), which is rare, the width of the buckets is doubled as often as needed,
/// which doubles the error each time. If a bucket holds more than half a million values, the maximum is 480
/// buckets.
///
/// The percentile `q` is the smallest value that at least the fraction `q` of the values does not exceed.
///
/// # Memory
/// 8 B for each of the first 64 values; then 4 B for each bucket in use, and never more than 4 kB.
///
/// # Source
/// The bucket layout of HdrHistogram. Merging of buckets when there are too many, as in UDDSketch (Epicoco et
/// al., 2020).
#[derive(Debug, Clone)]
pub struct Sketch(Kept);

#[derive(Debug, Clone)]
enum Kept {
    Values(Vec<u64>),
    Narrow(Buckets<u32>),
    Wide(Buckets<u64>),
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch(Kept::Values(Vec::new()))
    }
}

impl Sketch {
    /// Adds a value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        match &mut self.0 {
            Kept::Values(values) if values.len() < EXACT => values.push(value),
            Kept::Values(values) => {
                let mut buckets = Buckets::default();
                // Sorted, so that each bucket is appended at the end.
                values.sort_unstable();
                values.iter().chain([&value]).for_each(|value| {
                    buckets.record(*value);
                });
                self.0 = Kept::Narrow(buckets);
            }
            Kept::Narrow(buckets) => {
                if !buckets.record(value) {
                    let mut wide = buckets.widened();
                    wide.record(value);
                    self.0 = Kept::Wide(wide);
                }
            }
            Kept::Wide(buckets) => {
                buckets.record(value);
            }
        }
    }

    /// Its values, or the middle of each bucket, and how often each occurs.
    pub fn values(&self) -> Box<dyn Iterator<Item = (u64, u64)> + '_> {
        match &self.0 {
            Kept::Values(values) => Box::new(values.iter().map(|value| (*value, 1))),
            Kept::Narrow(buckets) => Box::new(buckets.values()),
            Kept::Wide(buckets) => Box::new(buckets.values()),
        }
    }

    /// The percentiles; `None` without values.
    pub fn percentiles(&self) -> Option<Percentiles> {
        match &self.0 {
            Kept::Values(values) => {
                let mut sorted = values.clone();
                sorted.sort_unstable();
                Percentiles::of_sorted(&sorted)
            }
            Kept::Narrow(buckets) => buckets.percentiles(),
            Kept::Wide(buckets) => buckets.percentiles(),
        }
    }
}

/// A bucket: its number in the upper 13 bits, and its count.
trait Word: Copy + Into<u64> + TryFrom<u64> {
    const COUNT_BITS: u32 = 8 * size_of::<Self>() as u32 - 13;
    const MOST: usize = BYTES / size_of::<Self>();

    fn bucket(self) -> u64 {
        self.into() >> Self::COUNT_BITS
    }

    fn count(self) -> u64 {
        self.into() & ((1 << Self::COUNT_BITS) - 1)
    }

    /// `None` if the count is too large.
    fn new(bucket: u64, count: u64) -> Option<Self> {
        let fits = count < 1 << Self::COUNT_BITS;
        Self::try_from(bucket << Self::COUNT_BITS | count).ok().filter(|_| fits)
    }
}

impl Word for u32 {}
impl Word for u64 {}

/// The buckets in use, in order.
#[derive(Debug, Clone)]
struct Buckets<W> {
    precision: u32,
    words: Vec<W>,
    min: u64,
    max: u64,
}

impl<W> Default for Buckets<W> {
    fn default() -> Self {
        Buckets { precision: PRECISION, words: Vec::new(), min: u64::MAX, max: 0 }
    }
}

impl<W: Word> Buckets<W> {
    /// Adds a value. Returns `false` if its bucket is full.
    fn record(&mut self, value: u64) -> bool {
        let word = loop {
            // Below 2^13 for a precision of 7 or less.
            let bucket = bucket_of(value, self.precision) as u64;
            let place = self.words.partition_point(|word| word.bucket() < bucket);
            match self.words.get(place) {
                Some(word) if word.bucket() == bucket => break &mut self.words[place],
                _ if self.words.len() == W::MOST => {
                    if !self.coarsen() {
                        return false;
                    }
                }
                _ => {
                    let Some(empty) = W::new(bucket, 0) else { return false };
                    if self.words.len() == self.words.capacity() {
                        // Grows by a quarter, because there are many flows.
                        let most = W::MOST - self.words.len();
                        self.words.reserve_exact((self.words.len() / 4).max(8).min(most));
                    }
                    self.words.insert(place, empty);
                    break &mut self.words[place];
                }
            }
        };
        let Some(more) = W::new(word.bucket(), word.count() + 1) else { return false };
        *word = more;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        true
    }

    /// Merges neighbouring buckets. Returns whether all merged counts fit.
    fn coarsen(&mut self) -> bool {
        let coarse = self.precision.saturating_sub(1);
        let mut merged: Vec<W> = Vec::with_capacity(self.words.len());
        for word in &self.words {
            let (least, _) = place_of(word.bucket() as usize, self.precision);
            let (bucket, count) = (bucket_of(least as u64, coarse) as u64, word.count());
            match merged.last_mut().filter(|last| last.bucket() == bucket) {
                Some(last) => match W::new(bucket, last.count() + count) {
                    Some(sum) => *last = sum,
                    None => return false,
                },
                None => merged.extend(W::new(bucket, count)),
            }
        }
        merged.shrink_to_fit();
        (self.words, self.precision) = (merged, coarse);
        true
    }

    /// The percentiles, within the error.
    fn percentiles(&self) -> Option<Percentiles> {
        let count: u64 = self.words.iter().map(|word| word.count()).sum();
        Percentiles::of(|part| {
            let rank = ((part * count as f64).ceil() as u64).clamp(1, count);
            if rank == count {
                return Some(self.max);
            }
            let mut below = 0;
            let holds = |word: &&W| {
                below += word.count();
                below >= rank
            };
            Some(self.middle(self.words.iter().find(holds)?.bucket()))
        })
    }

    /// The middle of a bucket, within what was recorded.
    fn middle(&self, bucket: u64) -> u64 {
        let (least, width) = place_of(bucket as usize, self.precision);
        ((least + (width - 1) / 2) as u64).clamp(self.min, self.max)
    }

    /// The middle of each bucket, and how many values it holds.
    fn values(&self) -> impl Iterator<Item = (u64, u64)> {
        self.words.iter().map(|word| (self.middle(word.bucket()), word.count()))
    }
}

impl Buckets<u32> {
    /// The same buckets in wider words, with half the maximum number.
    fn widened(&mut self) -> Buckets<u64> {
        let words = self.words.iter().filter_map(|word| u64::new(word.bucket(), word.count())).collect();
        let mut wide = Buckets { words, precision: self.precision, min: self.min, max: self.max };
        while wide.words.len() >= <u64 as Word>::MOST && wide.coarsen() {}
        wide
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Sketch {
        /// Memory beyond the struct itself.
        fn bytes(&self) -> usize {
            match &self.0 {
                Kept::Values(values) => 8 * values.capacity(),
                Kept::Narrow(buckets) => 4 * buckets.words.capacity(),
                Kept::Wide(buckets) => 8 * buckets.words.capacity(),
            }
        }

        fn precision(&self) -> Option<u32> {
            match &self.0 {
                Kept::Values(_) => None,
                Kept::Narrow(buckets) => Some(buckets.precision),
                Kept::Wide(buckets) => Some(buckets.precision),
            }
        }
    }

    /// Compares a sketch with the exact percentiles.
    fn check(sketch: &Sketch, mut values: Vec<u64>) {
        values.sort_unstable();
        let exact = Percentiles::of_sorted(&values).unwrap();
        let found = sketch.percentiles().unwrap();
        let error = sketch.precision().map_or(0.0, |precision| 1.0 / f64::from(2u32 << precision));
        let parts: [fn(&Percentiles) -> u64; 4] = [|p| p.p50, |p| p.p90, |p| p.p99, |p| p.p999];
        for part in parts {
            let (right, found) = (part(&exact), part(&found));
            assert!(found.abs_diff(right) as f64 <= error * right as f64, "{found}, not {right}");
        }
    }

    proptest! {
        #[test]
        fn percentiles_are_within_the_stated_error_and_memory(
            values in prop::collection::vec((any::<u64>(), 0..64u32), 1..3_000),
        ) {
            let values: Vec<u64> = values.into_iter().map(|(value, shift)| value >> shift).collect();
            let mut sketch = Sketch::default();
            for (count, value) in values.iter().enumerate() {
                sketch.record(*value);
                prop_assert!(sketch.bytes() <= if count < 100 { 600 } else { 4_096 }, "{}", sketch.bytes());
            }
            check(&sketch, values);
        }
    }

    #[test]
    fn delays_of_a_network_keep_their_precision() {
        let values: Vec<u64> = (0..100_000u64).map(|i| 20_000_000 + i * i % 999_983 * 1_000).collect();
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.record(*value));
        assert_eq!(sketch.precision(), Some(7));
        check(&sketch, values);
    }

    #[test]
    fn a_bucket_may_hold_any_number() {
        let values: Vec<u64> =
            (0..1_200_000u64).map(|i| if i % 4 == 0 { i << (i % 37) } else { 5_000_000 }).collect();
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.record(*value));
        assert!(matches!(sketch.0, Kept::Wide(_)) && sketch.bytes() <= 4_096);
        check(&sketch, values);
    }

    #[test]
    fn nothing_has_no_percentiles() {
        assert_eq!(Sketch::default().percentiles(), None);
    }
}
