//! The metrics of a comparison, defined so that they can be compared with the literature.

use serde::{Deserialize, Serialize};

use super::distribution::{DelaySummary, SECONDS, mean, quantile, summarize_sorted};

/// Delays in picoseconds `[packets]` of the same packets, simulated and measured. A measured delay is
/// negative if the clocks of the two captures disagree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delays {
    /// Simulated delays.
    pub simulated: Vec<i64>,
    /// Measured delays.
    pub measured: Vec<i64>,
}

/// Agreement of simulated and measured delays. An undefined correlation or ratio (one packet, a constant
/// delay, a mean of zero) is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// W1(simulated, measured) / mean(measured): the Wasserstein-1 distance of the two distributions, divided
    /// by the mean.
    ///
    /// DeepQueueNet's definition, W1(y, y') / W1(0, y).
    pub w1_normalized: Option<f64>,
    /// Pearson's correlation over packets.
    pub pearson: Option<f64>,
    /// Spearman's rank correlation over packets; equal delays share their mean rank.
    pub spearman: Option<f64>,
    /// The Kolmogorov-Smirnov distance of the two distributions, 0 to 1.
    pub ks: f64,
    /// Mean absolute error, in seconds.
    pub mae_s: f64,
    /// Median absolute error, in seconds.
    pub median_abs_error_s: f64,
    /// 99th percentile of the absolute error, in seconds.
    pub p99_abs_error_s: f64,
}

/// A simulated and a measured value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ByOrigin<T> {
    /// The simulated value.
    pub simulated: T,
    /// The measured value.
    pub measured: T,
}

/// Relative errors, (simulated - measured) / measured, of some statistics.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RelativeError {
    /// Error of the mean.
    pub mean: Option<f64>,
    /// Error of the median.
    pub p50: Option<f64>,
    /// Error of the 90th percentile.
    pub p90: Option<f64>,
    /// Error of the 99th percentile.
    pub p99: Option<f64>,
    /// Error of the 99.9th percentile.
    pub p999: Option<f64>,
}

impl RelativeError {
    /// The relative error of each statistic.
    pub fn new(simulated: &DelaySummary, measured: &DelaySummary) -> Self {
        let of = |simulated: f64, measured: f64| (measured != 0.0).then(|| (simulated - measured) / measured);
        RelativeError {
            mean: of(simulated.mean, measured.mean),
            p50: of(simulated.p50, measured.p50),
            p90: of(simulated.p90, measured.p90),
            p99: of(simulated.p99, measured.p99),
            p999: of(simulated.p999, measured.p999),
        }
    }
}

/// The two distributions and their agreement; `None` if no packet was matched.
///
/// # Complexity
/// O(packets x log packets).
pub fn agreement(delays: &Delays) -> Option<(DelaySummary, DelaySummary, Agreement)> {
    Ordered::new(delays).agreement(delays)
}

/// Delays of both sides and their absolute errors, each sorted.
pub(super) struct Ordered {
    pub simulated: Ranks,
    pub measured: Ranks,
    pub errors: Vec<i64>,
}

impl Ordered {
    pub fn new(delays: &Delays) -> Self {
        let pairs = delays.simulated.iter().zip(&delays.measured);
        let mut errors: Vec<i64> = pairs.map(|(simulated, measured)| (simulated - measured).abs()).collect();
        errors.sort_unstable();
        Ordered { simulated: Ranks::new(&delays.simulated), measured: Ranks::new(&delays.measured), errors }
    }

    pub fn agreement(&self, delays: &Delays) -> Option<(DelaySummary, DelaySummary, Agreement)> {
        let Ordered { simulated, measured, errors } = self;
        let simulated_summary = summarize_sorted(&simulated.sorted)?;
        let measured_summary = summarize_sorted(&measured.sorted)?;
        let agreement = Agreement {
            w1_normalized: w1_normalized(&simulated.sorted, &measured.sorted),
            pearson: correlation(&delays.simulated, &delays.measured),
            spearman: correlation(&simulated.ranks, &measured.ranks),
            ks: kolmogorov_smirnov(&simulated.sorted, &measured.sorted),
            mae_s: mean(errors),
            median_abs_error_s: quantile(errors, 0.5),
            p99_abs_error_s: quantile(errors, 0.99),
        };
        Some((simulated_summary, measured_summary, agreement))
    }
}

/// W1(simulated, measured) / mean(measured) of equally many sorted delays on both sides; `None` unless the
/// mean is above zero.
pub(super) fn w1_normalized(simulated: &[i64], measured: &[i64]) -> Option<f64> {
    let pairs = simulated.iter().zip(measured);
    let distance: i128 = pairs.map(|(simulated, measured)| i128::from(simulated - measured).abs()).sum();
    let w1 = distance as f64 / measured.len() as f64 * SECONDS;
    let mean = mean(measured);
    (mean > 0.0).then(|| w1 / mean)
}

/// Sorted delays, and twice the rank of each: an integer, although equal delays share their mean rank.
pub(super) struct Ranks {
    pub sorted: Vec<i64>,
    pub ranks: Vec<i64>,
}

impl Ranks {
    fn new(delays: &[i64]) -> Self {
        let mut order: Vec<(i64, u32)> = delays.iter().copied().zip(0..).collect();
        order.sort_unstable();
        let mut ranks = vec![0; delays.len()];
        let mut first = 0;
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            let rank = 2 * first as i64 + (group.len() - 1) as i64;
            for (_, index) in group {
                ranks[*index as usize] = rank;
            }
            first += group.len();
        }
        Ranks { sorted: order.into_iter().map(|(delay, _)| delay).collect(), ranks }
    }
}

/// Pearson's correlation; `None` if either side is constant. Values are taken relative to the first packet,
/// which is exact, so that a constant side has no variance from rounding.
pub(super) fn correlation(a: &[i64], b: &[i64]) -> Option<f64> {
    let (first_a, first_b) = (*a.first()?, *b.first()?);
    let varies = |values: &[i64], first: i64| values.iter().any(|value| *value != first);
    if !varies(a, first_a) || !varies(b, first_b) {
        return None;
    }
    let n = a.len() as f64;
    let from = |values: &[i64], first: i64| {
        let sum: i128 = values.iter().map(|&value| i128::from(value) - i128::from(first)).sum();
        sum as f64 / n
    };
    let (mean_a, mean_b) = (from(a, first_a), from(b, first_b));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (&x, &y) in a.iter().zip(b) {
        let x = (i128::from(x) - i128::from(first_a)) as f64 - mean_a;
        let y = (i128::from(y) - i128::from(first_b)) as f64 - mean_b;
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    let scale = aa.sqrt() * bb.sqrt();
    (scale > 0.0).then(|| ab / scale)
}

/// The maximum distance of two empirical distribution functions.
fn kolmogorov_smirnov(a: &[i64], b: &[i64]) -> f64 {
    let (mut i, mut j, mut greatest) = (0, 0, 0.0f64);
    while i < a.len() && j < b.len() {
        let here = a[i].min(b[j]);
        while i < a.len() && a[i] == here {
            i += 1;
        }
        while j < b.len() && b[j] == here {
            j += 1;
        }
        greatest = greatest.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    greatest
}

/// Jitter: the mean of |delay_i - delay_{i-1}| within a flow, over all flows, in picoseconds (the mean
/// absolute IPDV of RFC 3393 over consecutive packets). `delays` are `(flow, delay)` in order of sending;
/// `None` if no flow has two packets.
pub fn jitter_ps(delays: impl Iterator<Item = (u32, i64)>) -> Option<f64> {
    let mut last: rustc_hash::FxHashMap<u32, i64> = rustc_hash::FxHashMap::default();
    let (mut sum, mut pairs) = (0u128, 0u64);
    for (flow, delay) in delays {
        if let Some(before) = last.insert(flow, delay) {
            sum += u128::from(delay.abs_diff(before));
            pairs += 1;
        }
    }
    (pairs > 0).then(|| sum as f64 / pairs as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const US: i64 = 1_000_000;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12 * (1.0 + b.abs())
    }

    #[test]
    fn the_definitions_by_hand() {
        let delays = Delays {
            simulated: vec![3 * US, US, 2 * US, 4 * US],
            measured: vec![4 * US, US, 3 * US, 4 * US],
        };
        let (simulated, measured, agreement) = super::agreement(&delays).unwrap();
        assert!(close(simulated.mean, 2.5e-6) && close(measured.mean, 3e-6));
        assert!(close(simulated.p50, 2.5e-6) && close(measured.p50, 3.5e-6));
        assert!(close(simulated.p90, 3.7e-6), "as numpy.quantile([1, 2, 3, 4], 0.9)");
        assert!(close(measured.max, 4e-6) && close(measured.pdv_p99, measured.p99 - 1e-6));
        // sorted: 1 2 3 4 against 1 3 4 4, each 1, 1, 0, 0 apart but for the first
        assert!(close(agreement.w1_normalized.unwrap(), 0.5 / 3.0));
        assert!(close(agreement.mae_s, 0.5e-6) && close(agreement.median_abs_error_s, 0.5e-6));
        assert!(close(agreement.ks, 0.25));
        // scipy.stats.pearsonr and spearmanr of the same vectors
        assert!(close(agreement.pearson.unwrap(), 0.912_870_929_175_276_8), "{:?}", agreement.pearson);
        assert!(close(agreement.spearman.unwrap(), 0.948_683_298_050_513_8), "{:?}", agreement.spearman);
    }

    #[test]
    fn what_is_not_defined_is_none() {
        assert!(agreement(&Delays::default()).is_none());
        let constant = Delays { simulated: vec![5, 5], measured: vec![0, 0] };
        let (_, _, agreed) = agreement(&constant).unwrap();
        assert_eq!((agreed.pearson, agreed.spearman, agreed.w1_normalized), (None, None, None));
        assert_eq!(agreed.ks, 1.0);
        for measured in [vec![33_333_000; 100], (0..100).collect()] {
            let one_sided = Delays { simulated: vec![2 * US; 100], measured };
            assert_eq!(agreement(&one_sided).unwrap().2.pearson, None, "rounding is not variance");
        }
    }

    #[test]
    fn jitter_stays_within_flows() {
        let delays = [(0, 10), (1, 500), (0, 14), (1, 500), (0, 12)];
        assert_eq!(jitter_ps(delays.into_iter()), Some(2.0));
        assert_eq!(jitter_ps([(0, 1), (1, 2)].into_iter()), None);
    }

    proptest! {
        #[test]
        fn a_shift_is_its_own_distance(delays in prop::collection::vec(1..1_000_000_000i64, 2..50), shift in 0..1_000_000i64) {
            let simulated: Vec<i64> = delays.iter().map(|delay| delay + shift).collect();
            let (_, measured, agreement) = agreement(&Delays { simulated, measured: delays }).unwrap();
            let shift = shift as f64 * SECONDS;
            prop_assert!((agreement.w1_normalized.unwrap() * measured.mean - shift).abs() < 1e-15);
            prop_assert!((agreement.mae_s - shift).abs() < 1e-15);
            prop_assert!(agreement.spearman.is_none_or(|spearman| spearman > 1.0 - 1e-9));
        }
    }
}
