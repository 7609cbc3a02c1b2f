//! Metrics of delays without a counterpart: their distribution, variation and confidence intervals.

use serde::Serialize;

use super::bootstrap::{Interval, StatisticIntervals};
use super::delays::compare_delays;
use super::metrics::Delays;
use super::variation::{Ipdv, Pdv};

/// The variation of one-way delays, with confidence intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OneWay {
    /// Inter-packet delay variation within flows (RFC 3393), in seconds; `None` if no flow has two packets.
    pub ipdv_s: Option<Ipdv>,
    /// Packet delay variation (RFC 5481), in seconds.
    pub pdv_s: Pdv,
    /// Confidence intervals; `None` for few packets.
    pub confidence: Option<OneWayConfidence>,
}

/// Confidence intervals of one-way delays, by the moving-block bootstrap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OneWayConfidence {
    /// Nominal coverage of each interval.
    pub level: f64,
    /// Packets per block.
    pub block_packets: usize,
    /// Intervals of the delays, in seconds.
    pub delay_s: StatisticIntervals,
    /// Interval of the jitter, in seconds.
    pub jitter_s: Option<Interval>,
}

/// Evaluates delays `[packets]` in picoseconds, in order of sending, with their flows `fids` `[packets]`;
/// `None` without delays.
///
/// # Complexity
/// O(packets x log packets).
pub fn one_way(delays: Vec<i64>, fids: &[u32]) -> Option<OneWay> {
    let both = Delays { simulated: delays.clone(), measured: delays };
    let found = compare_delays(&both, fids)?;
    Some(OneWay {
        ipdv_s: found.ipdv_s.measured,
        pdv_s: found.pdv_s.measured,
        confidence: found.confidence.map(|confidence| OneWayConfidence {
            level: confidence.level,
            block_packets: confidence.block_packets,
            delay_s: confidence.delay_s.measured,
            jitter_s: confidence.jitter_s.measured,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_side_has_its_own_intervals() {
        assert!(one_way(Vec::new(), &[]).is_none());
        let delays: Vec<i64> = (0..1_000).map(|packet| 1_000_000 + packet * 7_919 % 1_000).collect();
        let found = one_way(delays, &[0; 1_000]).unwrap();
        let mean = found.confidence.unwrap().delay_s.mean.unwrap();
        assert!(mean.low < 1.0004995e-6 && 1.0004995e-6 < mean.high, "{mean:?}");
        assert!(found.pdv_s.max < 1e-9 && found.ipdv_s.unwrap().min < 0.0);
    }
}
