//! The distribution of delays: mean and quantiles.

use serde::{Deserialize, Serialize};

use crate::units::PS_PER_S;

/// Seconds per picosecond.
pub(super) const SECONDS: f64 = 1.0 / PS_PER_S as f64;

/// A distribution of delays, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DelaySummary {
    /// Arithmetic mean.
    pub mean: f64,
    /// Minimum.
    pub min: f64,
    /// Median. Quantiles interpolate linearly between the two nearest ranks.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Maximum.
    pub max: f64,
    /// Packet delay variation: the 99th percentile minus the minimum (RFC 5481, section 4.2).
    pub pdv_p99: f64,
}

/// The distribution of `sorted` delays `[packets]` in picoseconds; `None` without delays.
pub(super) fn summarize_sorted(sorted: &[i64]) -> Option<DelaySummary> {
    let (min, max) = (*sorted.first()? as f64 * SECONDS, *sorted.last()? as f64 * SECONDS);
    let p99 = quantile(sorted, 0.99);
    Some(DelaySummary {
        mean: mean(sorted),
        min,
        p50: quantile(sorted, 0.5),
        p90: quantile(sorted, 0.9),
        p99,
        p999: quantile(sorted, 0.999),
        max,
        pdv_p99: p99 - min,
    })
}

/// The distribution of delays `[packets]` in picoseconds; `None` without delays.
///
/// # Complexity
/// O(packets x log packets).
pub fn summarize(delays: &[i64]) -> Option<DelaySummary> {
    let mut sorted = delays.to_vec();
    sorted.sort_unstable();
    summarize_sorted(&sorted)
}

/// The mean in seconds of delays in picoseconds. The sum is exact.
pub(super) fn mean(delays: &[i64]) -> f64 {
    let sum: i128 = delays.iter().map(|&delay| i128::from(delay)).sum();
    sum as f64 / delays.len().max(1) as f64 * SECONDS
}

/// The quantile `q` in seconds of sorted delays in picoseconds.
pub(super) fn quantile(sorted: &[i64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let part = position - below as f64;
    (sorted[below] as f64 * (1.0 - part) + sorted[above] as f64 * part) * SECONDS
}
