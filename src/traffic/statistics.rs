//! Statistics of arrivals, for the tests of the processes.

use super::arrivals::Arrivals;
use crate::random::stream;

/// The first `count` gaps of a process in seconds, from time 0 on.
pub(super) fn gaps_s(arrivals: &mut impl Arrivals, count: usize) -> Vec<f64> {
    let mut random = stream(1, "test", "arrivals");
    let mut last = 0;
    (0..count)
        .map(|_| {
            let now = arrivals.next_instant(&mut random).as_ps();
            let gap = (now - last) as f64 / 1e12;
            last = now;
            gap
        })
        .collect()
}

/// The mean, and the squared coefficient of variation: variance divided by squared mean.
pub(super) fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance =
        values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / values.len() as f64;
    (mean, variance / (mean * mean))
}

/// The correlation of successive values.
pub(super) fn lag_1_correlation(values: &[f64]) -> f64 {
    let (mean, variation) = moments(values);
    let products = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean));
    products.sum::<f64>() / (values.len() - 1) as f64 / (variation * mean * mean)
}

/// The number of arrivals in each window of `window_s`.
pub(super) fn counts_per_window(gaps_s: &[f64], window_s: f64) -> Vec<f64> {
    let mut counts = Vec::new();
    let mut now = 0.0;
    for gap in gaps_s {
        now += gap;
        let window = (now / window_s) as usize;
        counts.resize(counts.len().max(window + 1), 0.0);
        counts[window] += 1.0;
    }
    counts.pop();
    counts
}
