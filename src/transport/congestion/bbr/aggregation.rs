//! ACK aggregation: segments delivered at once, beyond what the bandwidth delivers.

use super::{BANDWIDTH_UNIT, RateSample, Sender};

/// The maximum number of segments beyond the bandwidth, over five to ten rounds.
///
/// # Source
/// `bbr_update_ack_aggregation`.
#[derive(Debug, Default)]
pub(super) struct Aggregation {
    /// When the epoch started, in us. Since then, more was delivered than the bandwidth delivers.
    began: u64,
    /// Segments delivered in it.
    delivered: u32,
    /// The maximum of this span of rounds and of the one before.
    largest: [u32; 2],
    place: usize,
    rounds: u32,
}

/// The number of rounds of a span.
const SPAN: u32 = 5;
/// The maximum number of segments of an epoch.
const MOST_DELIVERED: u32 = 1 << 20;

impl Aggregation {
    /// Starts an epoch, at `now` in us.
    pub fn begin_epoch(&mut self, now: u64) {
        self.began = now;
        self.delivered = 0;
    }

    pub fn largest(&self) -> u32 {
        self.largest[0].max(self.largest[1])
    }

    pub fn sample(&mut self, sample: &RateSample, bandwidth: u32, round_is_new: bool, sender: &Sender<'_>) {
        if sample.acknowledged == 0 || sample.rate().is_none() {
            return;
        }
        if round_is_new {
            self.rounds += 1;
            if self.rounds >= SPAN {
                self.rounds = 0;
                self.place = 1 - self.place;
                self.largest[self.place] = 0;
            }
        }
        let epoch = sender.delivered_at.saturating_sub(self.began);
        let mut expected = (u64::from(bandwidth) * epoch / BANDWIDTH_UNIT) as u32;
        if self.delivered <= expected || self.delivered + sample.acknowledged >= MOST_DELIVERED {
            self.begin_epoch(sender.delivered_at);
            expected = 0;
        }
        self.delivered = (self.delivered + sample.acknowledged).min(MOST_DELIVERED - 1);
        let extra = (self.delivered - expected).min(sender.window.size);
        self.largest[self.place] = self.largest[self.place].max(extra);
    }
}
