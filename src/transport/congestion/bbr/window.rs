//! The amount of data that BBR keeps in flight.

use super::{
    BANDWIDTH_UNIT, Bbr, GAIN_SCALE, GAIN_UNIT, INITIAL_WINDOW, LEAST_WINDOW, MOST_SEGMENTS, Mode,
    RateControl, RateSample, Sender,
};
use crate::transport::congestion::LARGEST_BURST;
use crate::transport::sample::State;

impl Bbr {
    /// The number of segments of a burst.
    ///
    /// # Source
    /// `bbr_tso_segs_goal`.
    fn burst(&self, sender: &Sender<'_>) -> u32 {
        let rate = *sender.pacing_rate;
        let segments = (rate >> 10).min(LARGEST_BURST) / sender.mss;
        segments.max(self.least_burst(rate)).min(MOST_SEGMENTS) as u32
    }

    /// The bandwidth-delay product in segments, times a gain.
    ///
    /// # Source
    /// `bbr_bdp`.
    fn held(&self, bandwidth: u32, gain: u32) -> u32 {
        if self.least_rtt == u32::MAX {
            return INITIAL_WINDOW;
        }
        let held = (u64::from(bandwidth) * u64::from(self.least_rtt) * u64::from(gain)) >> GAIN_SCALE;
        held.div_ceil(BANDWIDTH_UNIT) as u32
    }

    /// Adds space for bursts at both hosts, rounds up to an even number, and adds a little when the cycle
    /// probes for bandwidth.
    ///
    /// # Source
    /// `bbr_quantization_budget`.
    fn with_bursts(&self, segments: u32, sender: &Sender<'_>) -> u32 {
        let even = (segments + 3 * self.burst(sender)).next_multiple_of(2);
        let probes = self.mode == Mode::ProbeBandwidth && self.phase == 0;
        even + if probes { 2 } else { 0 }
    }

    /// The target number of segments in flight.
    ///
    /// # Source
    /// `bbr_inflight`.
    pub(super) fn target(&self, bandwidth: u32, gain: u32, sender: &Sender<'_>) -> u32 {
        self.with_bursts(self.held(bandwidth, gain), sender)
    }

    /// The number of segments in the network when the pacing rate allows the next burst.
    ///
    /// # Source
    /// `bbr_packets_in_net_at_edt`.
    pub(super) fn in_network(&self, in_flight: u32, sender: &Sender<'_>) -> u32 {
        let interval = sender.next_departure.ns().saturating_sub(sender.now.ns()) / 1_000;
        let delivered = u64::from(self.bandwidth()) * interval / BANDWIDTH_UNIT;
        let burst = if self.pacing_gain > GAIN_UNIT { self.burst(sender) } else { 0 };
        (in_flight + burst).saturating_sub(delivered as u32)
    }

    /// Saves the window before it is reduced.
    ///
    /// # Source
    /// `bbr_save_cwnd`.
    pub(super) fn save_window(&mut self, size: u32) {
        let is_cut = self.state >= State::Recovery || self.mode == Mode::ProbeRtt;
        self.window_before = if is_cut { self.window_before.max(size) } else { size };
    }

    /// Grows the window to its target. During loss recovery, follows the delivered segments.
    ///
    /// # Source
    /// `bbr_set_cwnd`.
    pub(super) fn set_window(&mut self, sample: &RateSample, sender: &mut Sender<'_>) {
        let delivered = sample.acknowledged;
        if delivered > 0 {
            let size = self.recover(sample, sender);
            sender.window.size = if self.conserves {
                size.max(sender.in_flight + delivered)
            } else {
                let held = self.held(self.bandwidth(), self.window_gain) + self.aggregated();
                self.grown(size, delivered, self.with_bursts(held, sender), sender)
            };
        }
        if self.mode == Mode::ProbeRtt {
            sender.window.size = sender.window.size.min(LEAST_WINDOW);
        }
    }

    /// One more segment for each delivered one, up to the target.
    fn grown(&self, size: u32, delivered: u32, target: u32, sender: &Sender<'_>) -> u32 {
        let size = if self.startup.is_over {
            (size + delivered).min(target)
        } else if size < target || sender.delivered < INITIAL_WINDOW.into() {
            size + delivered
        } else {
            size
        };
        size.max(LEAST_WINDOW)
    }

    /// The window minus lost segments: the data in flight when recovery starts, the previous window when it
    /// ends.
    ///
    /// # Source
    /// `bbr_set_cwnd_to_recover_or_restore`.
    fn recover(&mut self, sample: &RateSample, sender: &Sender<'_>) -> u32 {
        let mut size = sender.window.size;
        if sample.lost > 0 {
            size = size.saturating_sub(sample.lost).max(1);
        }
        let before = std::mem::replace(&mut self.state, sender.state);
        if self.state == State::Recovery && before != State::Recovery {
            self.conserves = true;
            self.round.ends_behind = sender.delivered;
            size = sender.in_flight + sample.acknowledged;
        } else if before >= State::Recovery && self.state < State::Recovery {
            size = size.max(self.window_before);
            self.conserves = false;
        }
        size
    }

    /// Extra segments for aggregated acknowledgements, at most 100 ms of the bandwidth.
    ///
    /// # Source
    /// `bbr_ack_aggregation_cwnd`.
    fn aggregated(&self) -> u32 {
        if !self.startup.is_over {
            return 0;
        }
        let most = u64::from(self.bandwidth()) * LONGEST_LUMP / BANDWIDTH_UNIT;
        u64::from(self.aggregation.largest()).min(most) as u32
    }
}

/// In us.
const LONGEST_LUMP: u64 = 100_000;
