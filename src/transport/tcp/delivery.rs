//! The rate at which data is delivered, sampled with each acknowledgement.

use crate::transport::congestion::RateSample;

/// What was known when a buffer was sent, besides the segments delivered by then.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sending {
    /// When the buffer was sent whose delivery was known last, in us (`first_tx_mstamp`).
    reference: u64,
    /// When a segment was delivered last, in us (`delivered_mstamp`).
    delivered_at: u64,
    /// The process had nothing to send (`is_app_limited`).
    is_limited: bool,
}

/// The sampler of a sender.
///
/// # Source
/// Linux `net/ipv4/tcp_rate.c`. What the kernel keeps of each buffer is a [`Sending`].
#[derive(Debug, Default)]
pub struct Delivery {
    /// When the buffer was sent whose delivery became known last, in us.
    reference: u64,
    /// When a segment was delivered last, in us.
    pub at: u64,
    /// The process limits the sender until more segments than this are delivered; 0: it does not (`app_limited`).
    pub limited_until: u64,
    /// Segments in flight before this acknowledgement.
    in_flight_before: u32,
    /// Of the buffers that it delivers, the one that was sent last.
    newest: Option<Newest>,
}

#[derive(Debug)]
struct Newest {
    end: u64,
    delivered_before: u64,
    delivered_at: u64,
    is_limited: bool,
    /// In us: from the sending that it counts from to its own.
    sending: u64,
}

impl Delivery {
    /// A buffer is sent, at `now` in us; `is_first` says whether nothing is in flight.
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

    /// An acknowledgement has arrived.
    pub fn begin(&mut self, in_flight: u32) {
        self.in_flight_before = in_flight;
        self.newest = None;
    }

    /// It delivers a buffer that was sent last at `sent`, in us, ends with `end`, and was sent after `delivered_before` segments had been
    /// delivered.
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

    /// The sample of the acknowledgement, which `now`, in us, delivers `acknowledged` segments and makes `lost` known to be lost.
    /// `delivered` are all so far. It has no round-trip time yet.
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
        // The longer phase: acknowledgements may have been compressed.
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
