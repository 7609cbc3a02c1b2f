//! [`FlowStatistics`]: what was sent of a flow, and what arrived.

use super::quantiles::Percentiles;
use super::sketch::Sketch;
use crate::packet::FlowKey;
use crate::units::Time;

/// What is kept of one flow.
#[derive(Debug, Clone)]
pub struct FlowStatistics {
    /// What makes it.
    pub key: FlowKey,
    /// The number of the source of its first packet.
    pub source: u32,
    /// Packets that entered.
    pub injected: u64,
    /// Their bytes.
    pub injected_bytes: u64,
    /// Packets lost.
    pub dropped: u64,
    /// Packets that a queue of the network marked: congestion experienced (RFC 3168).
    pub marked: u64,
    /// What arrived.
    pub delivery: Delivery,
}

/// What arrived of one flow. Delays are from injection to arrival, in picoseconds.
#[derive(Debug, Clone)]
pub struct Delivery {
    packets: u64,
    delay_sum: u128,
    delay_min: u64,
    delay_max: u64,
    last_delay: u64,
    variation_sum: u128,
    variation_min: i64,
    variation_max: i64,
    delays: Sketch,
    /// The latest sent of those that have arrived: when, and its pid.
    latest: (Time, u64),
    reordered: u64,
}

impl Default for Delivery {
    fn default() -> Self {
        Delivery {
            packets: 0,
            delay_sum: 0,
            delay_min: u64::MAX,
            delay_max: 0,
            last_delay: 0,
            variation_sum: 0,
            variation_min: i64::MAX,
            variation_max: i64::MIN,
            delays: Sketch::default(),
            latest: (Time::ZERO, 0),
            reordered: 0,
        }
    }
}

impl Delivery {
    /// The packet `pid` arrived at `at` that was sent at `injected`; packets come in the order in which they arrive.
    #[inline]
    pub(crate) fn arrive(&mut self, pid: u64, injected: Time, at: Time) {
        let delay = at.since(injected).as_ps();
        if self.packets > 0 {
            self.variation_sum += u128::from(delay.abs_diff(self.last_delay));
            let variation = i128::from(delay) - i128::from(self.last_delay);
            let variation = variation.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            self.variation_min = self.variation_min.min(variation);
            self.variation_max = self.variation_max.max(variation);
        }
        let sent = (injected, pid);
        self.reordered += u64::from(sent < self.latest);
        self.latest = self.latest.max(sent);
        self.delays.record(delay);
        self.packets += 1;
        self.delay_sum += u128::from(delay);
        self.delay_min = self.delay_min.min(delay);
        self.delay_max = self.delay_max.max(delay);
        self.last_delay = delay;
    }

    /// Packets that arrived.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// The mean delay; none without packets.
    pub fn delay_mean(&self) -> Option<f64> {
        (self.packets > 0).then(|| self.delay_sum as f64 / self.packets as f64)
    }

    /// The least delay; none without packets.
    pub fn delay_min(&self) -> Option<u64> {
        (self.packets > 0).then_some(self.delay_min)
    }

    /// The greatest delay; none without packets.
    pub fn delay_max(&self) -> Option<u64> {
        (self.packets > 0).then_some(self.delay_max)
    }

    /// The percentiles of the delay, as [`Sketch`] has them; none without packets.
    pub fn delays(&self) -> Option<Percentiles> {
        self.delays.percentiles()
    }

    /// The mean difference in delay between one packet and the next, without its sign; none with fewer than two packets.
    pub fn jitter(&self) -> Option<f64> {
        (self.packets > 1).then(|| self.variation_sum as f64 / (self.packets - 1) as f64)
    }

    /// The least and the greatest difference in delay between one packet and the next (RFC 3393); none with fewer than two.
    pub fn variation(&self) -> Option<(i64, i64)> {
        (self.packets > 1).then_some((self.variation_min, self.variation_max))
    }

    /// Packets that arrived after one that was sent later (RFC 4737).
    pub fn reordered(&self) -> u64 {
        self.reordered
    }
}
