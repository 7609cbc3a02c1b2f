//! Variation of delays between packets: jitter, IPDV (RFC 3393), PDV (RFC 5481), reordering (RFC 4737).

use serde::{Deserialize, Serialize};

use super::distribution::{DelaySummary, quantile};
use crate::units::PS_PER_S;

/// Inter-packet delay variation (RFC 3393): the delay of a packet minus that of the previous packet of its
/// flow, in order of sending, in seconds, signed. Lost packets are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ipdv {
    /// Minimum.
    pub min: f64,
    /// First percentile.
    pub p1: f64,
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Maximum.
    pub max: f64,
}

/// Packet delay variation (RFC 5481, section 4.2): delays minus their minimum, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pdv {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Maximum.
    pub max: f64,
}

impl Pdv {
    /// The quantiles of a distribution of delays minus its minimum.
    pub fn of(delays: &DelaySummary) -> Self {
        let DelaySummary { min, p50, p90, p99, p999, max, .. } = *delays;
        Pdv { p50: p50 - min, p90: p90 - min, p99: p99 - min, p999: p999 - min, max: max - min }
    }
}

/// For each packet, in order of sending, the previous packet of the same flow.
#[derive(Debug, Clone)]
pub struct Predecessors(Vec<u32>);

/// The packet is the first of its flow.
const NONE: u32 = u32::MAX;

impl Predecessors {
    /// Computed from the flow of each packet `[packets]`, in order of sending; flows are numbered from 0.
    ///
    /// # Complexity
    /// O(packets + flows), in 4 bytes each.
    pub fn new(fids: impl Iterator<Item = u32>) -> Self {
        let mut last: Vec<u32> = Vec::new();
        let before = fids.zip(0..NONE).map(|(fid, packet)| {
            let fid = fid as usize;
            if last.len() <= fid {
                last.resize(fid + 1, NONE);
            }
            std::mem::replace(&mut last[fid], packet)
        });
        Predecessors(before.collect())
    }

    /// The IPDV of each packet with a predecessor: its index, and the difference in picoseconds.
    pub fn differences<'a>(&'a self, delays: &'a [i64]) -> impl Iterator<Item = (usize, i64)> + 'a {
        let pairs = self.0.iter().zip(delays).enumerate().filter(|(_, (before, _))| **before != NONE);
        pairs.map(|(packet, (before, delay))| (packet, delay.saturating_sub(delays[*before as usize])))
    }

    /// The jitter (mean |IPDV|, in seconds) and the IPDV of delays `[packets]` in picoseconds; `None` if no
    /// flow has two packets.
    ///
    /// # Complexity
    /// O(packets).
    pub fn variation(&self, delays: &[i64]) -> Option<(f64, Ipdv)> {
        let mut differences: Vec<i64> = self.differences(delays).map(|(_, difference)| difference).collect();
        let sum: u128 = differences.iter().map(|difference| u128::from(difference.unsigned_abs())).sum();
        let jitter_s = sum as f64 / differences.len() as f64 / PS_PER_S as f64;
        let [min, p1, p50, p99, max] = selected(&mut differences, [0.0, 0.01, 0.5, 0.99, 1.0])?;
        Some((jitter_s, Ipdv { min, p1, p50, p99, max }))
    }
}

/// The quantiles `parts`, in ascending order, of values in picoseconds; in seconds, as by [`quantile`].
fn selected<const N: usize>(values: &mut [i64], parts: [f64; N]) -> Option<[f64; N]> {
    let last = values.len().checked_sub(1)?;
    let mut sorted_from = 0;
    for part in parts {
        // The values at its rank and the next are where they would be in a sorted list; all values before
        // them are smaller.
        for rank in [(part * last as f64) as usize, ((part * last as f64) as usize + 1).min(last)] {
            if rank >= sorted_from {
                values[sorted_from..].select_nth_unstable(rank - sorted_from);
                sorted_from = rank + 1;
            }
        }
    }
    Some(parts.map(|part| quantile(values, part)))
}

/// Number of packets that arrived after one that was sent later (RFC 4737). `arrivals` are in order of
/// sending.
pub fn reordered(arrivals: impl Iterator<Item = i64>) -> u64 {
    let mut latest = i64::MIN;
    let late = arrivals.filter(|&at| {
        let late = at < latest;
        latest = latest.max(at);
        late
    });
    late.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::summarize;
    use proptest::prelude::*;

    #[test]
    fn variation_stays_within_flows() {
        let fids = [0, 1, 0, 1, 0];
        let delays = [10, 500, 14, 500, 12];
        let before = Predecessors::new(fids.into_iter());
        assert_eq!(before.differences(&delays).collect::<Vec<_>>(), [(2, 4), (3, 0), (4, -2)]);
        let (jitter_s, ipdv) = before.variation(&delays).unwrap();
        assert_eq!(jitter_s, 2.0 / PS_PER_S as f64);
        let ps = [ipdv.min, ipdv.p50, ipdv.max].map(|seconds| (seconds * PS_PER_S as f64).round());
        assert_eq!(ps, [-2.0, 0.0, 4.0]);
        assert!(Predecessors::new([0, 1].into_iter()).variation(&[1, 2]).is_none());
        assert!(Predecessors::new([].into_iter()).variation(&[]).is_none());
    }

    #[test]
    fn pdv_is_above_the_least_delay() {
        let pdv = Pdv::of(&summarize(&[3_000, 1_000, 2_000]).unwrap());
        assert!((pdv.p50 - 1e-9).abs() < 1e-18 && (pdv.max - 2e-9).abs() < 1e-18, "{pdv:?}");
    }

    #[test]
    fn late_packets_are_reordered() {
        assert_eq!(reordered([1, 2, 2, 5, 3, 4, 6].into_iter()), 2);
        assert_eq!(reordered([].into_iter()), 0);
    }

    proptest! {
        #[test]
        fn selection_is_sorting(values in prop::collection::vec(-1_000_000..1_000_000i64, 1..300)) {
            let parts = [0.0, 0.01, 0.5, 0.99, 1.0];
            let found = selected(&mut values.clone(), parts).unwrap();
            let mut sorted = values;
            sorted.sort_unstable();
            prop_assert_eq!(found, parts.map(|part| quantile(&sorted, part)));
        }
    }
}
