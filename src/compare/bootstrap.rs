//! Confidence intervals by the moving-block bootstrap.
//!
//! Delays are autocorrelated: a busy period delays all its packets. Resampling single packets would treat
//! them as independent. Blocks of consecutive packets keep the dependence within them.
//!
//! # Method
//! 1. The matched packets, in order of sending, are divided into at most 1,000 segments of consecutive
//!    packets. For each segment, sums are kept (of delays, their squares and products, of ranks, of |error|
//!    and |IPDV|), and the number of its simulated delays, measured delays and errors in each of 256 bins.
//! 2. Blocks are `length` consecutive segments and overlap. A resample draws blocks with replacement until it
//!    has as many segments as the original. All metrics follow from the sums of its blocks, without access to
//!    single packets.
//! 3. The interval is the 2.5th to the 97.5th percentile of 500 resamples. It is shifted by the error of the
//!    bins (the exact metric minus the metric from the bins) and clipped to the range of the metric.
//!
//! The bins are bounded by quantiles of both sides, closer together towards the tail. Ranks (for Spearman's
//! correlation) are those of all packets and are not recomputed per resample. The generator has a constant
//! seed: the same packets give the same intervals.
//!
//! # Source
//! Blocks: H. R. Kunsch, "The jackknife and the bootstrap for general stationary observations", Annals of
//! Statistics 17 (1989). Block length: D. N. Politis, H. White, "Automatic block-length selection for the
//! dependent bootstrap", Econometric Reviews 23 (2004), with the correction of A. Patton, D. N. Politis, H.
//! White, ibid. 28 (2009): the rule for overlapping blocks, applied to the segment means of simulated delays,
//! measured delays, errors and absolute errors. The longest of the four lengths is used. A block is never
//! shorter than a segment: if segments are longer than the blocks of the rule, intervals are as wide as with
//! the longer blocks.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::distribution::DelaySummary;
use super::metrics::{Agreement, ByOrigin, Delays, RelativeError};
use super::variation::Predecessors;
use crate::random::{Stream, stream};
use crate::units::PS_PER_S;

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Confidence intervals of statistics of delays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StatisticIntervals {
    /// Interval of the mean.
    pub mean: Option<Interval>,
    /// Interval of the median.
    pub p50: Option<Interval>,
    /// Interval of the 90th percentile.
    pub p90: Option<Interval>,
    /// Interval of the 99th percentile.
    pub p99: Option<Interval>,
    /// Interval of the 99.9th percentile.
    pub p999: Option<Interval>,
}

/// Confidence intervals of the metrics; `None` for an undefined metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// Nominal coverage of each interval.
    pub level: f64,
    /// Number of resamples.
    pub resamples: usize,
    /// Packets per segment. Segments are never divided.
    pub segment_packets: usize,
    /// Packets per block.
    pub block_packets: usize,
    /// Intervals of the delays, in seconds.
    pub delay_s: ByOrigin<StatisticIntervals>,
    /// Intervals of (simulated - measured) / measured.
    pub relative_error: StatisticIntervals,
    /// Interval of the normalized distance of the distributions.
    pub w1_normalized: Option<Interval>,
    /// Interval of Pearson's correlation.
    pub pearson: Option<Interval>,
    /// Interval of the rank correlation.
    pub spearman: Option<Interval>,
    /// Interval of the Kolmogorov-Smirnov distance.
    pub ks: Option<Interval>,
    /// Interval of the mean absolute error.
    pub mae_s: Option<Interval>,
    /// Interval of the median absolute error.
    pub median_abs_error_s: Option<Interval>,
    /// Interval of the 99th percentile of the absolute error.
    pub p99_abs_error_s: Option<Interval>,
    /// Interval of the jitter.
    pub jitter_s: ByOrigin<Option<Interval>>,
}

/// A fraction of some packets, with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The fraction, from 0 to 1.
    pub ratio: f64,
    /// Its 95 % interval. `None` with fewer than 100 packets, and for a fraction of 0 or 1, where all
    /// resamples would be equal.
    pub interval: Option<Interval>,
    /// Packets per block.
    pub block_packets: Option<usize>,
}

/// Minimum number of packets for an interval.
const FEWEST: usize = 100;
const MOST_SEGMENTS: usize = 1_000;
const RESAMPLES: usize = 500;
const LEVEL: f64 = 0.95;
const BINS: usize = 256;
const SECONDS: f64 = 1.0 / PS_PER_S as f64;

/// Number of metrics of a resample, NaN if not defined; in the order of [`Figures::exact`].
const FIGURES: usize = 24;

#[derive(Debug, Clone, Copy)]
struct Figures([f64; FIGURES]);

/// The packets of a comparison `[packets]`, in order of sending.
pub(super) struct Sample<'a> {
    pub delays: &'a Delays,
    /// Twice the rank of each packet.
    pub ranks: [&'a [i64]; 2],
    /// Simulated delays, measured delays and absolute errors, each sorted.
    pub sorted: [&'a [i64]; 3],
    pub predecessors: &'a Predecessors,
}

/// The confidence intervals; `None` for fewer than 100 packets.
///
/// # Complexity
/// O(packets), and with at most 1,000 segments in blocks of one, 500,000 additions of 768 numbers.
pub(super) fn confidence(
    sample: &Sample<'_>,
    summaries: [&DelaySummary; 2],
    agreement: &Agreement,
    jitter_s: [Option<f64>; 2],
) -> Option<Confidence> {
    let packets = sample.delays.measured.len();
    if packets < FEWEST {
        return None;
    }
    let segment_packets = packets.div_ceil(MOST_SEGMENTS);
    let bins = Bins::new(&sample.sorted);
    let segments = segments(sample, segment_packets, &bins);
    let length = block_length(&segments);
    let blocks = Blocks::new(&segments, length);

    let by_bins = segments.iter().fold(Segment::default(), |sum, segment| sum.plus(segment)).figures(&bins);
    let exact = Figures::exact(summaries, agreement, jitter_s);
    let mut random = stream(0, "bootstrap", "blocks");
    let mut found: Vec<Vec<f64>> = vec![Vec::new(); FIGURES];
    for _ in 0..RESAMPLES {
        let mut sum = Segment::default();
        for _ in 0..segments.len().div_ceil(length) {
            sum.add(&blocks.0[draw(&mut random, blocks.0.len())]);
        }
        for (figure, value) in found.iter_mut().zip(sum.figures(&bins).0) {
            figure.push(value);
        }
    }
    let interval = |place: usize, range: (f64, f64)| {
        let shift = exact.0[place] - by_bins.0[place];
        let mut values: Vec<f64> = found[place].iter().copied().filter(|value| value.is_finite()).collect();
        // A metric that is defined in few resamples has no meaningful interval.
        if !shift.is_finite() || values.len() < RESAMPLES * 9 / 10 {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        let at = |part: f64| {
            let value = values[(part * (values.len() - 1) as f64).round() as usize] + shift;
            value.clamp(range.0, range.1)
        };
        Some(Interval { low: at((1.0 - LEVEL) / 2.0), high: at((1.0 + LEVEL) / 2.0) })
    };
    const ANY: (f64, f64) = (f64::MIN, f64::MAX);
    const SIZE: (f64, f64) = (0.0, f64::MAX);
    const CORRELATION: (f64, f64) = (-1.0, 1.0);
    let statistics = |first: usize| StatisticIntervals {
        mean: interval(first, ANY),
        p50: interval(first + 1, ANY),
        p90: interval(first + 2, ANY),
        p99: interval(first + 3, ANY),
        p999: interval(first + 4, ANY),
    };
    Some(Confidence {
        level: LEVEL,
        resamples: RESAMPLES,
        segment_packets,
        block_packets: length * segment_packets,
        delay_s: ByOrigin { simulated: statistics(0), measured: statistics(5) },
        relative_error: statistics(10),
        w1_normalized: interval(15, SIZE),
        pearson: interval(16, CORRELATION),
        spearman: interval(17, CORRELATION),
        ks: interval(18, (0.0, 1.0)),
        mae_s: interval(19, SIZE),
        median_abs_error_s: interval(20, SIZE),
        p99_abs_error_s: interval(21, SIZE),
        jitter_s: ByOrigin { simulated: interval(22, SIZE), measured: interval(23, SIZE) },
    })
}

/// The fraction of `[packets]`, in order of sending, that are marked; `None` without packets. Blocks are as
/// in [`confidence`], with the marked fraction of each segment.
///
/// # Complexity
/// O(packets), and at most 500,000 additions.
pub(super) fn share(marked: &[bool]) -> Option<Share> {
    let packets = marked.len();
    let all = marked.iter().filter(|marked| **marked).count();
    if packets == 0 {
        return None;
    }
    let ratio = all as f64 / packets as f64;
    if packets < FEWEST || all == 0 || all == packets {
        return Some(Share { ratio, interval: None, block_packets: None });
    }
    let segment_packets = packets.div_ceil(MOST_SEGMENTS);
    let segments: Vec<(usize, usize)> = marked
        .chunks(segment_packets)
        .map(|segment| (segment.iter().filter(|marked| **marked).count(), segment.len()))
        .collect();
    let parts: Vec<f64> = segments.iter().map(|(some, of)| *some as f64 / *of as f64).collect();
    let length = politis_white(&parts).min(segments.len() / 10).max(1);
    let sum = |segments: &[(usize, usize)]| {
        segments.iter().fold((0, 0), |(some, of), segment| (some + segment.0, of + segment.1))
    };
    let blocks: Vec<(usize, usize)> = segments.windows(length).map(sum).collect();
    let mut random = stream(0, "bootstrap", "share");
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn: Vec<(usize, usize)> = (0..segments.len().div_ceil(length))
                .map(|_| blocks[draw(&mut random, blocks.len())])
                .collect();
            let (some, of) = sum(&drawn);
            some as f64 / of as f64
        })
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| ratios[(part * (RESAMPLES - 1) as f64).round() as usize];
    let interval = Interval { low: at((1.0 - LEVEL) / 2.0), high: at((1.0 + LEVEL) / 2.0) };
    Some(Share { ratio, interval: Some(interval), block_packets: Some(length * segment_packets) })
}

/// A random number below `count`, by Lemire's multiplication; its bias is 2^-54 here.
fn draw(random: &mut Stream, count: usize) -> usize {
    ((u128::from(random.next_u64()) * count as u128) >> 64) as usize
}

impl Figures {
    fn exact(summaries: [&DelaySummary; 2], agreement: &Agreement, jitter_s: [Option<f64>; 2]) -> Self {
        let [simulated, measured] = summaries;
        let error = RelativeError::new(simulated, measured);
        let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let of = |summary: &DelaySummary| [summary.mean, summary.p50, summary.p90, summary.p99, summary.p999];
        let mut figures = [f64::NAN; FIGURES];
        figures[..5].copy_from_slice(&of(simulated));
        figures[5..10].copy_from_slice(&of(measured));
        figures[10..15]
            .copy_from_slice(&[error.mean, error.p50, error.p90, error.p99, error.p999].map(or_nan));
        figures[15..].copy_from_slice(&[
            or_nan(agreement.w1_normalized),
            or_nan(agreement.pearson),
            or_nan(agreement.spearman),
            agreement.ks,
            agreement.mae_s,
            agreement.median_abs_error_s,
            agreement.p99_abs_error_s,
            or_nan(jitter_s[0]),
            or_nan(jitter_s[1]),
        ]);
        Figures(figures)
    }
}

/// Upper bounds of the bins in ascending order, the last repeated. A value belongs to the first bin whose
/// bound is not below it.
struct Bins {
    delays: [i64; BINS],
    errors: [i64; BINS],
    /// The medians. Sums of squared differences from them lose no relevant precision.
    middles: [i64; 2],
}

impl Bins {
    fn new(sorted: &[&[i64]; 3]) -> Self {
        let [simulated, measured, errors] = sorted;
        let halves = |part: f64| [nearest(simulated, part), nearest(measured, part)];
        Bins {
            delays: padded(levels(65, 32).flat_map(halves).collect()),
            errors: padded(levels(129, 64).map(|part| nearest(errors, part)).collect()),
            middles: halves(0.5),
        }
    }
}

/// Levels from 0 to 1: `whole` evenly spaced ones, and `tail` more in each of the last 10 % and 1 %.
fn levels(whole: usize, tail: usize) -> impl Iterator<Item = f64> {
    let even = (0..whole).map(move |step| step as f64 / (whole - 1) as f64);
    let in_tail = move |from: f64| (1..tail).map(move |step| from + (1.0 - from) * step as f64 / tail as f64);
    even.chain(in_tail(0.9)).chain(in_tail(0.99))
}

fn nearest(sorted: &[i64], part: f64) -> i64 {
    sorted[(part * (sorted.len() - 1) as f64).round() as usize]
}

fn padded(mut bounds: Vec<i64>) -> [i64; BINS] {
    bounds.sort_unstable();
    bounds.dedup();
    let last = bounds.last().copied().unwrap_or_default();
    let mut padded = [last; BINS];
    padded[..bounds.len()].copy_from_slice(&bounds);
    padded
}

/// Number of bounds below a value, which does not exceed the last bound.
#[inline]
fn bin(bounds: &[i64; BINS], value: i64) -> usize {
    let mut below = 0;
    let mut step = BINS / 2;
    while step > 0 {
        below += step * usize::from(bounds[below + step - 1] < value);
        step /= 2;
    }
    below
}

const SUMS: usize = 15;

/// The sums over a segment.
#[derive(Clone)]
struct Segment {
    /// packets; x, y, xx, yy, xy, relative to the medians; |error|; ranks r, s, rr, ss, rs; |IPDV| of x, of
    /// y; pairs.
    sums: [f64; SUMS],
    /// Simulated delays, measured delays, absolute errors by bin.
    counts: [[u32; BINS]; 3],
}

impl Default for Segment {
    fn default() -> Self {
        Segment { sums: [0.0; SUMS], counts: [[0; BINS]; 3] }
    }
}

fn segments(sample: &Sample<'_>, segment_packets: usize, bins: &Bins) -> Vec<Segment> {
    let Delays { simulated, measured } = sample.delays;
    let packets = measured.len();
    let mut segments = vec![Segment::default(); packets.div_ceil(segment_packets)];
    let [middle_x, middle_y] = bins.middles;
    for (number, segment) in segments.iter_mut().enumerate() {
        let range = number * segment_packets..((number + 1) * segment_packets).min(packets);
        let Segment { sums, counts } = segment;
        for packet in range {
            let (simulated, measured) = (simulated[packet], measured[packet]);
            let error = (simulated - measured).abs();
            let (x, y) = ((simulated - middle_x) as f64, (measured - middle_y) as f64);
            let r = sample.ranks[0][packet] as f64 - packets as f64;
            let s = sample.ranks[1][packet] as f64 - packets as f64;
            let values = [1.0, x, y, x * x, y * y, x * y, error as f64, r, s, r * r, s * s, r * s];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            counts[0][bin(&bins.delays, simulated)] += 1;
            counts[1][bin(&bins.delays, measured)] += 1;
            counts[2][bin(&bins.errors, error)] += 1;
        }
    }
    for (place, delays) in [(12, simulated), (13, measured)] {
        for (packet, difference) in sample.predecessors.differences(delays) {
            let sums = &mut segments[packet / segment_packets].sums;
            sums[place] += difference.unsigned_abs() as f64;
            sums[14] += 0.5;
        }
    }
    segments
}

impl Segment {
    #[inline]
    fn add(&mut self, other: &Segment) {
        self.sums.iter_mut().zip(other.sums).for_each(|(sum, value)| *sum += value);
        for (sums, values) in self.counts.iter_mut().zip(&other.counts) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    }

    fn plus(mut self, other: &Segment) -> Self {
        self.add(other);
        self
    }

    fn figures(&self, bins: &Bins) -> Figures {
        let [n, x, y, xx, yy, xy, errors, r, s, rr, ss, rs, variation_x, variation_y, pairs] = self.sums;
        let [simulated, measured, error_counts] = [0, 1, 2].map(|side| cumulated(&self.counts[side], n));
        let mean = |sum: f64, middle: i64| (sum / n + middle as f64) * SECONDS;
        let (mean_x, mean_y) = (mean(x, bins.middles[0]), mean(y, bins.middles[1]));
        let at = |cumulated: &[f64; BINS], part: f64| quantile_of(cumulated, &bins.delays, part) * SECONDS;
        let of_errors = |part: f64| quantile_of(&error_counts, &bins.errors, part) * SECONDS;
        let (mut distance, mut greatest) = (0.0, 0.0f64);
        for place in 1..BINS {
            let [left, right] = [place - 1, place].map(|place| simulated[place] - measured[place]);
            let width = (bins.delays[place] - bins.delays[place - 1]) as f64;
            distance += width * mean_size(left, right);
            greatest = greatest.max(right.abs());
        }
        greatest = greatest.max((simulated[0] - measured[0]).abs());
        let x_quantiles = [0.5, 0.9, 0.99, 0.999].map(|part| at(&simulated, part));
        let y_quantiles = [0.5, 0.9, 0.99, 0.999].map(|part| at(&measured, part));
        let mut figures = [f64::NAN; FIGURES];
        figures[0] = mean_x;
        figures[1..5].copy_from_slice(&x_quantiles);
        figures[5] = mean_y;
        figures[6..10].copy_from_slice(&y_quantiles);
        for place in 0..5 {
            figures[10 + place] = (figures[place] - figures[5 + place]) / figures[5 + place];
        }
        figures[15] = distance * SECONDS / mean_y;
        figures[16] = correlation(n, x, y, xx, yy, xy);
        figures[17] = correlation(n, r, s, rr, ss, rs);
        figures[18] = greatest;
        figures[19] = errors / n * SECONDS;
        figures[20] = of_errors(0.5);
        figures[21] = of_errors(0.99);
        figures[22] = variation_x / pairs * SECONDS;
        figures[23] = variation_y / pairs * SECONDS;
        Figures(figures)
    }
}

fn correlation(n: f64, x: f64, y: f64, xx: f64, yy: f64, xy: f64) -> f64 {
    let (var_x, var_y) = (xx - x * x / n, yy - y * y / n);
    (xy - x * y / n) / (var_x.max(0.0).sqrt() * var_y.max(0.0).sqrt())
}

/// The cumulative fraction of the values up to each bound.
fn cumulated(counts: &[u32; BINS], n: f64) -> [f64; BINS] {
    let mut sum = 0u64;
    counts.map(|count| {
        sum += u64::from(count);
        sum as f64 / n
    })
}

/// The quantile, with linear interpolation between bounds.
fn quantile_of(cumulated: &[f64; BINS], bounds: &[i64; BINS], part: f64) -> f64 {
    let above = cumulated.partition_point(|below| *below < part).min(BINS - 1);
    let Some(before) = above.checked_sub(1) else { return bounds[0] as f64 };
    let inside = cumulated[above] - cumulated[before];
    let part = if inside > 0.0 { ((part - cumulated[before]) / inside).min(1.0) } else { 1.0 };
    bounds[before] as f64 + part * (bounds[above] - bounds[before]) as f64
}

/// The mean of |f| over an interval, for a linear f with the end values `left` and `right`.
fn mean_size(left: f64, right: f64) -> f64 {
    match left * right >= 0.0 {
        true => (left + right).abs() / 2.0,
        false => (left * left + right * right) / (2.0 * (left.abs() + right.abs())),
    }
}

/// The sums of every block.
struct Blocks(Vec<Segment>);

impl Blocks {
    fn new(segments: &[Segment], length: usize) -> Self {
        let block = |block: &[Segment]| block.iter().fold(Segment::default(), |sum, one| sum.plus(one));
        Blocks(segments.windows(length).map(block).collect())
    }
}

/// Segments per block: the maximum over the series.
fn block_length(segments: &[Segment]) -> usize {
    let series: [fn(&[f64; SUMS]) -> f64; 4] =
        [|sums| sums[1], |sums| sums[2], |sums| sums[1] - sums[2], |sums| sums[6]];
    let length = |of: fn(&[f64; SUMS]) -> f64| {
        let means: Vec<f64> = segments.iter().map(|segment| of(&segment.sums) / segment.sums[0]).collect();
        politis_white(&means)
    };
    // At least ten blocks, so that resamples vary.
    series.into_iter().map(length).max().unwrap_or(1).min(segments.len() / 10).max(1)
}

/// The length of overlapping blocks for the mean of a series, rounded up.
fn politis_white(series: &[f64]) -> usize {
    let n = series.len() as f64;
    let mean = series.iter().sum::<f64>() / n;
    let covariance = |lag: usize| {
        let pairs = series[lag..].iter().zip(series);
        pairs.map(|(late, early)| (late - mean) * (early - mean)).sum::<f64>() / n
    };
    let variance = covariance(0);
    if variance.is_nan() || variance <= 0.0 {
        return 1;
    }
    let run = (libm::log10(n).sqrt().ceil() as usize).max(5);
    let furthest = (n.sqrt().ceil() as usize + run).min(series.len() - 1);
    let covariances: Vec<f64> = (0..=furthest).map(covariance).collect();
    let significant = 2.0 * (libm::log10(n) / n).sqrt();
    let is_small =
        |lag: usize| covariances.get(lag).is_none_or(|value| (value / variance).abs() < significant);
    // The last lag before `run` consecutive lags without significant correlation.
    let last = (0..=furthest).find(|lag| (1..=run).all(|next| is_small(lag + next))).unwrap_or(furthest);
    let window = (2 * last.max(1)).min(furthest);
    let (mut g, mut spectrum) = (0.0, variance);
    for (lag, covariance) in covariances.iter().enumerate().take(window + 1).skip(1) {
        let part = lag as f64 / window as f64;
        let weight = if part <= 0.5 { 1.0 } else { 2.0 * (1.0 - part) };
        g += 2.0 * weight * lag as f64 * covariance;
        spectrum += 2.0 * weight * covariance;
    }
    let d = 4.0 / 3.0 * spectrum * spectrum;
    let length = if d > 0.0 { libm::cbrt(2.0 * g * g / d) * libm::cbrt(n) } else { 1.0 };
    let longest = (3.0 * n.sqrt()).min(n / 3.0).ceil();
    (length.ceil().min(longest) as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::compare_delays;
    use crate::random::unit;

    /// A standard normal number, by Box and Muller.
    fn normal(random: &mut Stream) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - unit(random))).sqrt();
        radius * libm::cos(std::f64::consts::TAU * unit(random))
    }

    /// An autoregressive series with coefficient `memory` and variance 1.
    fn autoregressive(random: &mut Stream, packets: usize, memory: f64) -> Vec<f64> {
        let mut now = normal(random);
        (0..packets)
            .map(|_| {
                now = memory * now + (1.0 - memory * memory).sqrt() * normal(random);
                now
            })
            .collect()
    }

    fn delays(random: &mut Stream, packets: usize, memory: f64) -> Delays {
        let real = autoregressive(random, packets, memory);
        let off = autoregressive(random, packets, memory);
        let ps = |value: f64| (value * 1e6) as i64;
        Delays {
            simulated: real.iter().zip(&off).map(|(real, off)| ps(100.0 + 10.0 * real + off)).collect(),
            measured: real.iter().map(|real| ps(100.0 + 10.0 * real)).collect(),
        }
    }

    fn of(delays: &Delays) -> Confidence {
        let fids = vec![0; delays.measured.len()];
        compare_delays(delays, &fids).unwrap().confidence.unwrap()
    }

    #[test]
    fn blocks_are_as_long_as_the_series_remembers() {
        let mut random = stream(1, "test", "length");
        let long = |random: &mut Stream, memory: f64| politis_white(&autoregressive(random, 1_000, memory));
        let lengths = [0.0, 0.5, 0.9].map(|memory| {
            let mut all: Vec<usize> = (0..21).map(|_| long(&mut random, memory)).collect();
            all.sort_unstable();
            all[10]
        });
        // The limit of the rule for an autoregressive series: (6 a^2 / (1 - a^2)^2 n)^(1/3).
        let limit = |a: f64| libm::cbrt(6.0 * a * a / (1.0 - a * a) / (1.0 - a * a) * 1_000.0);
        assert!(lengths[0] <= 5, "{lengths:?}");
        assert!((lengths[1] as f64 / limit(0.5) - 1.0).abs() < 0.5, "{lengths:?} {}", limit(0.5));
        assert!((lengths[2] as f64 / limit(0.9) - 1.0).abs() < 0.5, "{lengths:?} {}", limit(0.9));
        assert_eq!(politis_white(&[1.0; 50]), 1);
    }

    /// About 95 % of the intervals over many recordings of the same queue must contain the true value, also
    /// for correlated delays. Intervals that assume independent packets would contain it in about a third of
    /// the cases.
    #[test]
    fn intervals_cover_the_truth() {
        let mut random = stream(1, "test", "coverage");
        let recordings = 200;
        let (mut mean, mut mae) = (0, 0);
        for _ in 0..recordings {
            let confidence = of(&delays(&mut random, 4_000, 0.9));
            let holds = |interval: Option<Interval>, truth: f64| {
                interval.is_some_and(|Interval { low, high }| (low..=high).contains(&truth))
            };
            mean += usize::from(holds(confidence.delay_s.measured.mean, 100e-6));
            // E|N(0, 1)| = sqrt(2 / pi)
            mae += usize::from(holds(confidence.mae_s, (2.0 / std::f64::consts::PI).sqrt() * 1e-6));
        }
        for covered in [mean, mae] {
            assert!(covered >= recordings * 86 / 100, "{mean} and {mae} of {recordings}");
        }
        assert!(mean < recordings, "an interval that never misses is too wide");
    }

    /// Losses come in bursts. About 95 % of the intervals over many recordings must contain the true
    /// fraction. Intervals that assume independent packets would contain it in about half of the cases.
    #[test]
    fn intervals_of_a_share_cover_the_truth() {
        let mut random = stream(1, "test", "share");
        let (recordings, mut covered) = (200, 0);
        for _ in 0..recordings {
            // A packet is lost while the series is above the 90th percentile of its normal distribution.
            let series = autoregressive(&mut random, 10_000, 0.9);
            let marked: Vec<bool> = series.iter().map(|value| *value > 1.281_551_565_5).collect();
            let Interval { low, high } = share(&marked).unwrap().interval.unwrap();
            covered += usize::from((low..=high).contains(&0.1));
        }
        assert!((recordings * 86 / 100..recordings).contains(&covered), "{covered} of {recordings}");
    }

    #[test]
    fn a_share_without_an_interval_is_still_told() {
        assert_eq!(share(&[]), None);
        let told = |marked: &[bool]| share(marked).map(|share| (share.ratio, share.interval));
        assert_eq!(told(&[true, false]), Some((0.5, None)));
        assert_eq!(told(&[false; 500]), Some((0.0, None)));
        assert_eq!(told(&[true; 500]), Some((1.0, None)));
    }

    #[test]
    fn intervals_hold_their_own_estimate() {
        let mut random = stream(1, "test", "estimate");
        for packets in [100, 999, 5_000] {
            let delays = delays(&mut random, packets, 0.5);
            let compared = compare_delays(&delays, &vec![0; packets]).unwrap();
            let confidence = compared.confidence.unwrap();
            let Agreement { pearson, spearman, mae_s, median_abs_error_s, .. } = compared.agreement;
            for (interval, estimate) in [
                (confidence.pearson, pearson.unwrap()),
                (confidence.spearman, spearman.unwrap()),
                (confidence.mae_s, mae_s),
                (confidence.median_abs_error_s, median_abs_error_s),
                (confidence.delay_s.measured.p90, compared.delay_s.measured.p90),
                (confidence.jitter_s.measured, compared.jitter_s.measured.unwrap()),
            ] {
                let Interval { low, high } = interval.unwrap();
                assert!(low <= estimate && estimate <= high && low < high, "{low} {estimate} {high}");
            }
            assert_eq!(confidence, of(&delays), "it is the same every time");
        }
    }

    #[test]
    fn what_is_constant_or_short_gives_no_nonsense() {
        let constant = Delays { simulated: vec![7; 500], measured: vec![7; 500] };
        let confidence = of(&constant);
        assert_eq!(confidence.pearson, None);
        assert_eq!(confidence.w1_normalized, Some(Interval { low: 0.0, high: 0.0 }));
        let short = Delays { simulated: vec![7; 99], measured: vec![8; 99] };
        assert!(compare_delays(&short, &[0; 99]).unwrap().confidence.is_none());
    }

    #[test]
    fn bins_count_what_is_below() {
        let bounds = padded((0..200).map(|bound| bound * 10).collect());
        for (value, place) in [(0, 0), (1, 1), (10, 1), (11, 2), (1_990, 199)] {
            assert_eq!(bin(&bounds, value), place);
        }
    }
}
