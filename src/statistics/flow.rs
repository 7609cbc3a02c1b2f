//! [`FlowStatistics`]: the packets of a flow that were sent, and those that arrived.

use super::quantiles::{Percentiles, Quantiles};
use super::sketch::Sketch;
use crate::packet::{FlowKey, Tau};
use crate::units::Time;

/// The statistics of a flow.
#[derive(Debug, Clone)]
pub struct FlowStatistics {
    /// Its key.
    pub key: FlowKey,
    /// The number of the source of its first packet.
    pub source: u32,
    /// Packets injected.
    pub injected: u64,
    /// Bytes injected.
    pub injected_bytes: u64,
    /// Packets lost.
    pub dropped: u64,
    /// Packets marked by a queue of the network: congestion experienced (RFC 3168).
    pub marked: u64,
    /// The packets that arrived.
    pub delivery: Delivery,
}

/// Statistics of the packets of a flow that arrived. Delays are from injection to arrival, in picoseconds.
///
/// # Memory
/// 48 B, and 8 B for each of the first 64 packets; then about 150 B and the memory of [`Sketch`].
#[derive(Debug, Clone)]
pub struct Delivery(Kept);

#[derive(Debug, Clone)]
enum Kept {
    Few(Few),
    Many(Box<Many>),
}

/// Maximum number of packets that are kept individually.
const FEW: usize = 64;

/// Few packets; their sums are computed on demand.
#[derive(Debug, Clone, Default)]
struct Few {
    /// Delays in order of arrival.
    delays: Vec<u64>,
    latest: Latest,
    reordered: u32,
    bytes: u32,
}

/// The sums of many packets.
#[derive(Debug, Clone)]
struct Many {
    sums: Sums,
    bytes: u64,
    delays: Sketch,
    latest: Latest,
    reordered: u64,
}

/// The time of sending and the pid of the latest sent packet among those that have arrived.
#[derive(Debug, Clone, Copy, Default)]
struct Latest(Time, u64);

impl Latest {
    /// Adds a packet that arrived. Returns whether it was sent before one that had arrived already.
    #[inline]
    fn arrive(&mut self, injected: Time, pid: u64) -> bool {
        let is_late = (injected, pid) < (self.0, self.1);
        if !is_late {
            *self = Latest(injected, pid);
        }
        is_late
    }
}

/// Sums over packets.
#[derive(Debug, Clone)]
struct Sums {
    packets: u64,
    delay: u128,
    delay_min: u64,
    delay_max: u64,
    last_delay: u64,
    variation: u128,
    variation_min: i64,
    variation_max: i64,
}

impl Default for Sums {
    fn default() -> Self {
        Sums {
            packets: 0,
            delay: 0,
            delay_min: u64::MAX,
            delay_max: 0,
            last_delay: 0,
            variation: 0,
            variation_min: i64::MAX,
            variation_max: i64::MIN,
        }
    }
}

impl Sums {
    #[inline]
    fn add(&mut self, delay: u64) {
        if self.packets > 0 {
            self.variation += u128::from(delay.abs_diff(self.last_delay));
            let variation = i128::from(delay) - i128::from(self.last_delay);
            let variation = variation.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            self.variation_min = self.variation_min.min(variation);
            self.variation_max = self.variation_max.max(variation);
        }
        self.packets += 1;
        self.delay += u128::from(delay);
        self.delay_min = self.delay_min.min(delay);
        self.delay_max = self.delay_max.max(delay);
        self.last_delay = delay;
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Delivery(Kept::Few(Few::default()))
    }
}

impl Delivery {
    /// Adds the packet `pid` that was sent at `injected` and arrived at `at`. Packets are added in order of
    /// arrival.
    #[inline]
    pub(crate) fn arrive(&mut self, tau: &Tau, injected: Time) {
        let (pid, length) = (tau.packet.pid, tau.packet.length);
        let delay = tau.timestamp.since(injected).as_ps();
        match &mut self.0 {
            Kept::Many(many) => many.arrive(pid, injected, delay, length),
            Kept::Few(few) if few.delays.len() < FEW && few.bytes.checked_add(length).is_some() => {
                if few.delays.len() == few.delays.capacity() {
                    // Grows by a half: most flows are short, and there may be millions of them.
                    few.delays.reserve_exact((few.delays.len() / 2).max(2));
                }
                few.delays.push(delay);
                few.bytes += length;
                few.reordered += u32::from(few.latest.arrive(injected, pid));
            }
            Kept::Few(few) => {
                let mut many = few.many();
                many.arrive(pid, injected, delay, length);
                self.0 = Kept::Many(Box::new(many));
            }
        }
    }

    /// The sums over its packets.
    fn sums(&self) -> Sums {
        match &self.0 {
            Kept::Few(few) => few.sums(),
            Kept::Many(many) => many.sums.clone(),
        }
    }

    /// Number of packets that arrived.
    pub fn packets(&self) -> u64 {
        match &self.0 {
            Kept::Few(few) => few.delays.len() as u64,
            Kept::Many(many) => many.sums.packets,
        }
    }

    /// Bytes that arrived.
    pub fn bytes(&self) -> u64 {
        match &self.0 {
            Kept::Few(few) => few.bytes.into(),
            Kept::Many(many) => many.bytes,
        }
    }

    /// The sum of all delays, in picoseconds.
    pub fn delay_sum(&self) -> u128 {
        self.sums().delay
    }

    /// Adds the delays to those of other flows, within the error of [`Sketch`].
    pub fn add_delays(&self, to: &mut Quantiles) {
        match &self.0 {
            Kept::Few(few) => to.record_all(&few.delays, 0),
            Kept::Many(many) => many.delays.values().for_each(|(delay, count)| to.record_many(delay, count)),
        }
    }

    /// The mean delay; `None` without packets.
    pub fn delay_mean(&self) -> Option<f64> {
        let sums = self.sums();
        (sums.packets > 0).then(|| sums.delay as f64 / sums.packets as f64)
    }

    /// The minimum delay; `None` without packets.
    pub fn delay_min(&self) -> Option<u64> {
        let sums = self.sums();
        (sums.packets > 0).then_some(sums.delay_min)
    }

    /// The maximum delay; `None` without packets.
    pub fn delay_max(&self) -> Option<u64> {
        let sums = self.sums();
        (sums.packets > 0).then_some(sums.delay_max)
    }

    /// The percentiles of the delay, as in [`Sketch`]; `None` without packets.
    pub fn delays(&self) -> Option<Percentiles> {
        match &self.0 {
            Kept::Few(few) => {
                let mut sorted = few.delays.clone();
                sorted.sort_unstable();
                Percentiles::of_sorted(&sorted)
            }
            Kept::Many(many) => many.delays.percentiles(),
        }
    }

    /// The mean absolute difference in delay between consecutive packets; `None` with fewer than two packets.
    pub fn jitter(&self) -> Option<f64> {
        let sums = self.sums();
        (sums.packets > 1).then(|| sums.variation as f64 / (sums.packets - 1) as f64)
    }

    /// The minimum and the maximum difference in delay between consecutive packets (RFC 3393); `None` with
    /// fewer than two.
    pub fn variation(&self) -> Option<(i64, i64)> {
        let sums = self.sums();
        (sums.packets > 1).then_some((sums.variation_min, sums.variation_max))
    }

    /// Packets that arrived after one that was sent later (RFC 4737).
    pub fn reordered(&self) -> u64 {
        match &self.0 {
            Kept::Few(few) => few.reordered.into(),
            Kept::Many(many) => many.reordered,
        }
    }
}

impl Few {
    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        self.delays.iter().for_each(|delay| sums.add(*delay));
        sums
    }

    fn many(&self) -> Many {
        let mut delays = Sketch::default();
        self.delays.iter().for_each(|delay| delays.record(*delay));
        Many {
            sums: self.sums(),
            bytes: self.bytes.into(),
            delays,
            latest: self.latest,
            reordered: self.reordered.into(),
        }
    }
}

impl Many {
    #[inline]
    fn arrive(&mut self, pid: u64, injected: Time, delay: u64, length: u32) {
        self.bytes += u64::from(length);
        self.reordered += u64::from(self.latest.arrive(injected, pid));
        self.delays.record(delay);
        self.sums.add(delay);
    }
}
