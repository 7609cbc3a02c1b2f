//! Distributions in a bounded number of points: complementary cumulative, quantile against quantile, histogram of errors.

use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use super::base64::singles;
use crate::units::PS_PER_S;

const SECONDS: f64 = 1.0 / PS_PER_S as f64;

/// Bins of the histogram of errors.
const BINS: usize = 80;

/// Delays of one or two sides, in seconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Distribution {
    /// Packets.
    pub packets: usize,
    /// Some delays, ascending.
    pub delays: Vec<f64>,
    /// Per side: the fraction of packets whose delay exceeds each. Small fractions keep their digits in single precision.
    pub above: Vec<Vec<f64>>,
    /// Quantiles of the second side and of the first, at the same levels; empty for one side.
    pub quantiles: [Vec<f64>; 2],
    /// The lower end of the first bin, and the width of each.
    pub errors_from: f64,
    /// The width of a bin.
    pub errors_width: f64,
    /// Errors per bin; errors outside count in the outermost bins. Empty for one side.
    pub errors: Vec<u64>,
}

/// Levels from 0 to 1, closer towards 1.
fn levels() -> impl Iterator<Item = f64> {
    let even = (0..=200).map(|step| f64::from(step) / 200.0);
    let tail = |from: f64| (1..50).map(move |step| from + (1.0 - from) * f64::from(step) / 50.0);
    even.chain(tail(0.95)).chain(tail(0.995)).chain(tail(0.9995))
}

/// Number of delays that are kept exactly.
const EXACT: usize = 1 << 18;

/// Significant bits of the others.
const BITS: u32 = 12;

/// Delays in bounded memory: exact up to 262,144 of them, then rounded to 1/8192, less than a pixel of any chart.
/// The least and the greatest stay exact.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collected {
    exact: Vec<i64>,
    /// By the lower end of their interval, with the width of 12 significant bits: how many.
    rounded: FxHashMap<i64, u64>,
    extremes: Option<(i64, i64)>,
}

impl Collected {
    #[inline]
    pub fn push(&mut self, delay: i64) {
        if self.rounded.is_empty() {
            self.exact.push(delay);
            if self.exact.len() > EXACT {
                for delay in std::mem::take(&mut self.exact) {
                    self.round(delay);
                }
            }
        } else {
            self.round(delay);
        }
    }

    #[inline]
    fn round(&mut self, delay: i64) {
        let (least, greatest) = self.extremes.get_or_insert((delay, delay));
        (*least, *greatest) = ((*least).min(delay), (*greatest).max(delay));
        let cut = width(delay);
        *self.rounded.entry(delay >> cut << cut).or_default() += 1;
    }

    fn into_sorted(self) -> Box<dyn Sorted> {
        let Some((least, greatest)) = self.extremes else {
            let mut exact = self.exact;
            exact.sort_unstable();
            return Box::new(exact);
        };
        let mut rounded: Vec<(i64, u64)> = self.rounded.into_iter().collect();
        rounded.sort_unstable();
        let mut below = 0;
        let middle = |lower: i64| (lower + ((1 << width(lower)) >> 1)).clamp(least, greatest);
        let mut places: Vec<(i64, u64)> = rounded
            .into_iter()
            .map(|(lower, count)| {
                below += count;
                (middle(lower), below)
            })
            .collect();
        // One delay each at the two ends.
        if let Some(last) = places.last_mut() {
            last.1 -= 1;
        }
        places.insert(0, (least, 1));
        places.push((greatest, below));
        Box::new(Rounded(places))
    }
}

/// How many bits of a delay are cut.
fn width(delay: i64) -> u32 {
    (u64::BITS - delay.unsigned_abs().leading_zeros()).saturating_sub(BITS)
}

/// Delays in order.
trait Sorted {
    fn count(&self) -> usize;
    /// The delay of a rank.
    fn at(&self, rank: usize) -> i64;
    /// How many exceed a delay.
    fn above(&self, delay: i64) -> usize;

    fn nearest(&self, level: f64) -> i64 {
        self.at((level * (self.count() - 1) as f64).round() as usize)
    }
}

impl Sorted for Vec<i64> {
    fn count(&self) -> usize {
        self.len()
    }

    fn at(&self, rank: usize) -> i64 {
        self[rank]
    }

    fn above(&self, delay: i64) -> usize {
        self.len() - self.partition_point(|other| *other <= delay)
    }
}

/// Delays, and how many are not above each.
struct Rounded(Vec<(i64, u64)>);

impl Sorted for Rounded {
    fn count(&self) -> usize {
        self.0.last().map_or(0, |(_, count)| *count as usize)
    }

    fn at(&self, rank: usize) -> i64 {
        let place = self.0.partition_point(|(_, below)| *below <= rank as u64);
        self.0[place.min(self.0.len() - 1)].0
    }

    fn above(&self, delay: i64) -> usize {
        let place = self.0.partition_point(|(other, _)| *other <= delay);
        let below = place.checked_sub(1).map_or(0, |place| self.0[place].1);
        self.count() - below as usize
    }
}

impl Distribution {
    /// Of one side, in picoseconds.
    pub fn of_one(delays: Collected) -> Self {
        let sorted = delays.into_sorted();
        match sorted.count() {
            0 => Distribution::default(),
            packets => Distribution { packets, ..tails(&[&*sorted]) },
        }
    }

    /// Of several sides, each of its own packets, in picoseconds: without quantiles and errors. Empty where a side is.
    pub fn of_several(mut sides: Vec<Vec<i64>>) -> Self {
        if sides.iter().any(Vec::is_empty) {
            return Distribution::default();
        }
        sides.iter_mut().for_each(|side| side.sort_unstable());
        let packets = sides.last().map_or(0, Vec::len);
        let sides: Vec<&dyn Sorted> = sides.iter().map(|side| side as &dyn Sorted).collect();
        Distribution { packets, ..tails(&sides) }
    }

    /// Of two sides `[packets]` of the same packets, in picoseconds.
    pub fn of_two(mut simulated: Vec<i64>, mut measured: Vec<i64>) -> Self {
        if simulated.is_empty() {
            return Distribution::default();
        }
        let mut errors: Vec<i64> = simulated
            .iter()
            .zip(&measured)
            .map(|(simulated, measured)| simulated.saturating_sub(*measured))
            .collect();
        let (errors_from, errors_width, errors) = histogram(&mut errors);
        simulated.sort_unstable();
        measured.sort_unstable();
        let mut levels: Vec<f64> = levels().collect();
        levels.sort_by(f64::total_cmp);
        let mut pairs: Vec<(i64, i64)> =
            levels.iter().map(|level| (measured.nearest(*level), simulated.nearest(*level))).collect();
        pairs.dedup();
        let side = |of: fn(&(i64, i64)) -> i64| pairs.iter().map(|pair| of(pair) as f64 * SECONDS).collect();
        Distribution {
            packets: simulated.len(),
            quantiles: [side(|pair| pair.0), side(|pair| pair.1)],
            errors_from,
            errors_width,
            errors,
            ..tails(&[&simulated, &measured])
        }
    }

    /// Whether delays differ: of one value, no delay is exceeded.
    pub fn varies(&self) -> bool {
        self.delays.len() > 1
    }

    /// As the page's script reads it.
    pub fn to_json(&self) -> Value {
        json!({
            "delays": singles(self.delays.iter().copied()),
            "above": self.above.iter().map(|side| singles(side.iter().copied())).collect::<Vec<_>>(),
            "quantiles": self.quantiles.iter().map(|side| singles(side.iter().copied())).collect::<Vec<_>>(),
            "errors_from": self.errors_from,
            "errors_width": self.errors_width,
            "errors": self.errors,
        })
    }
}

fn tails(sides: &[&dyn Sorted]) -> Distribution {
    let mut delays: Vec<i64> =
        sides.iter().flat_map(|side| levels().map(|level| side.nearest(level))).collect();
    delays.sort_unstable();
    delays.dedup();
    let of = |side: &&dyn Sorted| {
        delays.iter().map(|delay| side.above(*delay) as f64 / side.count() as f64).collect()
    };
    Distribution {
        above: sides.iter().map(of).collect(),
        delays: delays.iter().map(|delay| *delay as f64 * SECONDS).collect(),
        ..Distribution::default()
    }
}

/// Where the first bin begins, how wide bins are, in seconds, and their counts: over the 0.5th to the 99.5th
/// percentile of the errors, with zero at the edge of a bin.
fn histogram(errors: &mut [i64]) -> (f64, f64, Vec<u64>) {
    let last = errors.len() - 1;
    let mut at = |level: f64| *errors.select_nth_unstable((level * last as f64).round() as usize).1;
    let (low, high) = (at(0.005), at(0.995));
    let width = high.abs_diff(low) / BINS as u64 + 1;
    let width = i64::try_from(width).unwrap_or(i64::MAX);
    let from = low.div_euclid(width) * width;
    let bins = ((high - from) / width + 1) as usize;
    let mut counts = vec![0u64; bins];
    for error in errors {
        let bin = (*error - from).div_euclid(width).clamp(0, bins as i64 - 1);
        counts[bin as usize] += 1;
    }
    (from as f64 * SECONDS, width as f64 * SECONDS, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_goes_from_its_minimum_to_its_maximum() {
        let one = Distribution::of_one(collected((1..=100_000).rev()));
        assert_eq!((one.delays[0], one.delays[one.delays.len() - 1]), (1.0 * SECONDS, 100_000.0 * SECONDS));
        assert_eq!(*one.above[0].last().unwrap(), 0.0);
        for (delay, above) in one.delays.iter().zip(&one.above[0]) {
            assert!((delay / SECONDS / 100_000.0 - (1.0 - above)).abs() < 1e-9, "{delay} {above}");
        }
        assert!(one.delays.len() < 400 && one.errors.is_empty());
        assert_eq!(Distribution::of_one(Collected::default()), Distribution::default());
    }

    fn collected(delays: impl Iterator<Item = i64>) -> Collected {
        let mut collected = Collected::default();
        delays.for_each(|delay| collected.push(delay));
        collected
    }

    #[test]
    fn many_delays_take_bounded_memory_and_keep_their_distribution() {
        // Over nine decades, and below zero, where a table of another program may be.
        let delay = |number: i64| {
            let scale = 10_i64.pow((number % 9) as u32);
            let delay = (number * 7_919 % 1_000 + 1) * scale;
            if number % 97 == 0 { -delay } else { delay }
        };
        let all = || (0..2_000_000).map(delay);
        let rounded = collected(all());
        assert!(rounded.exact.is_empty() && rounded.rounded.len() < 30_000, "{}", rounded.rounded.len());
        let rounded = rounded.into_sorted();
        let mut exact: Vec<i64> = all().collect();
        exact.sort_unstable();
        assert_eq!(rounded.count(), exact.len());
        for rank in (0..exact.len()).step_by(997).chain([0, exact.len() - 1]) {
            let (found, expected) = (rounded.at(rank), exact[rank]);
            assert!(
                (found - expected).abs() as f64 <= expected.abs() as f64 / 4_096.0 + 1.0,
                "{found} for {expected}"
            );
        }
        assert_eq!((rounded.at(0), rounded.at(exact.len() - 1)), (exact[0], exact[exact.len() - 1]));
        assert_eq!((rounded.above(i64::MIN), rounded.above(exact[exact.len() - 1])), (exact.len(), 0));
        let one = Distribution::of_one(collected(all()));
        assert_eq!(one.packets, 2_000_000);
        assert_eq!(one.delays.last().copied(), Some(exact[exact.len() - 1] as f64 * SECONDS));
    }

    #[test]
    fn every_error_is_counted_once() {
        let measured: Vec<i64> = (0..10_000).map(|packet| packet * 1_000).collect();
        let simulated: Vec<i64> = measured.iter().map(|delay| delay + delay % 7_919 - 4_000).collect();
        let two = Distribution::of_two(simulated.clone(), measured.clone());
        assert_eq!(two.errors.iter().sum::<u64>(), 10_000);
        let bin = (two.errors_from / two.errors_width).round();
        assert!((bin * two.errors_width - two.errors_from).abs() < 1e-15, "zero is the edge of a bin");
        assert_eq!(two.quantiles[0].len(), two.quantiles[1].len());
        let greatest = |delays: &[i64]| *delays.iter().max().unwrap() as f64 * SECONDS;
        assert_eq!(two.quantiles[1].last().copied(), Some(greatest(&simulated)));
        let same = Distribution::of_two(measured.clone(), measured);
        assert_eq!(same.errors, [10_000]);
    }
}
