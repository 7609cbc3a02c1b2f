//! The delivery rate, sampled with each acknowledgement.

use crate::transport::congestion::RateSample;

/// The state when a buffer was sent, besides the number of delivered segments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sending {
    /// When the most recently delivered buffer was sent, in us (`first_tx_mstamp`).
    reference: u64,
    /// When a segment was last delivered, in us (`delivered_mstamp`).
    delivered_at: u64,
    /// Whether the sender was application-limited (`is_app_limited`).
    is_limited: bool,
}

/// The delivery rate sampler of a sender.
///
/// # Source
/// Linux `net/ipv4/tcp_rate.c`. A [`Sending`] holds the kernel's per-buffer state.
#[derive(Debug, Default)]
pub struct Delivery {
    /// When the most recently delivered buffer was sent, in us.
    reference: u64,
    /// When a segment was last delivered, in us.
    pub at: u64,
    /// The sender is application-limited until more segments than this are delivered; 0 if it is not
    /// (`app_limited`).
    pub limited_until: u64,
    /// Segments in flight before this acknowledgement.
    in_flight_before: u32,
    /// The most recently sent buffer that this acknowledgement delivers.
    newest: Option<Newest>,
}

#[derive(Debug)]
struct Newest {
    end: u64,
    delivered_before: u64,
    delivered_at: u64,
    is_limited: bool,
    /// The time in us from the reference sending to its own.
    sending: u64,
}

impl Delivery {
    /// Records a sent buffer, at `now` in us. `is_first` states whether nothing is in flight.
    ///
    /// # Source
    /// `tcp_rate_skb_sent`.
    pub fn sent(&mut self, now: u64, is_first: bool) -> Sending {
        if is_first {
            self.reference = now;
            self.at = now;
        }
        Sending { reference: self.reference, delivered_at: self.at, is_limited: self.limited_until > 0 }
    }

    /// Starts processing an acknowledgement.
    pub fn begin(&mut self, in_flight: u32) {
        self.in_flight_before = in_flight;
        self.newest = None;
    }

    /// The acknowledgement delivers a buffer that was last sent at `sent`, in us, ends at `end`, and was sent
    /// after the delivery of `delivered_before` segments.
    ///
    /// # Source
    /// `tcp_rate_skb_delivered`.
    pub fn delivered(&mut self, sent: u64, end: u64, delivered_before: u64, sending: Sending) {
        if self.newest.as_ref().is_some_and(|newest| (sent, end) <= (self.reference, newest.end)) {
            return;
        }
        self.reference = sent;
        self.newest = Some(Newest {
            end,
            delivered_before,
            delivered_at: sending.delivered_at,
            is_limited: sending.is_limited,
            sending: sent.saturating_sub(sending.reference),
        });
    }

    /// The sample of the acknowledgement. At `now`, in us, it delivers `acknowledged` segments and reveals
    /// `lost` to be lost. `delivered` is the total number so far. The sample has no round-trip time yet.
    ///
    /// # Source
    /// `tcp_rate_gen`.
    pub fn sample(
        &mut self,
        now: u64,
        delivered: u64,
        (acknowledged, lost): (u32, u32),
        least_rtt: Option<u64>,
    ) -> RateSample {
        if delivered > self.limited_until {
            self.limited_until = 0;
        }
        if acknowledged > 0 {
            self.at = now;
        }
        let newest = self.newest.take();
        // The longer phase, because acknowledgements may have been compressed.
        let interval =
            newest.as_ref().map(|newest| newest.sending.max(now.saturating_sub(newest.delivered_at)));
        RateSample {
            delivered: newest.as_ref().map(|newest| delivered - newest.delivered_before),
            interval: interval
                .filter(|interval| *interval > 0 && least_rtt.is_some_and(|least| *interval >= least)),
            delivered_before: newest.as_ref().map_or(0, |newest| newest.delivered_before),
            is_limited: newest.is_some_and(|newest| newest.is_limited),
            acknowledged,
            lost,
            in_flight_before: self.in_flight_before,
            rtt: None,
            may_be_delayed: false,
        }
    }
}
