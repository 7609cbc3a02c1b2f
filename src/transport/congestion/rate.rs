//! Congestion control by the rate at which data is delivered: it paces, and sets the window after each acknowledgement.

use super::CongestionWindow;
use crate::transport::clock::HostTime;
use crate::transport::sample::State;

/// The rate at which data was delivered between a buffer's sending and its acknowledgement.
///
/// # Source
/// Linux `include/net/tcp.h`, `struct rate_sample`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateSample {
    /// Segments delivered meanwhile; none where the acknowledgement delivered nothing.
    pub delivered: Option<u64>,
    /// Meanwhile, in us: by when segments were sent, or acknowledged, whichever took longer. None where that is not known, or less than
    /// the least round-trip time.
    pub interval: Option<u64>,
    /// Segments delivered before the buffer was sent.
    pub delivered_before: u64,
    /// The process had nothing to send at some time.
    pub is_limited: bool,
    /// Segments that this acknowledgement delivered.
    pub acknowledged: u32,
    /// Segments that it made known to be lost.
    pub lost: u32,
    /// Segments in flight before it.
    pub in_flight_before: u32,
    /// The round-trip time of the last segment delivered, in us.
    pub rtt: Option<u64>,
    /// The receiver may have delayed the acknowledgement.
    pub may_be_delayed: bool,
}

impl RateSample {
    /// Segments and us, where both are known.
    pub fn rate(&self) -> Option<(u64, u64)> {
        Some((self.delivered?, self.interval?))
    }
}

/// A sender as such a congestion control sees it, and what it may set.
#[derive(Debug)]
pub struct Sender<'a> {
    /// The clock.
    pub now: HostTime,
    /// The congestion window.
    pub window: &'a mut CongestionWindow,
    /// The pacing rate, in bytes per second.
    pub pacing_rate: &'a mut u64,
    /// Once more segments than this are delivered, nothing is in flight that was sent while the process had nothing to send; 0 where
    /// nothing is.
    pub limited_until: &'a mut u64,
    /// The state of loss recovery.
    pub state: State,
    /// Bytes of payload in a full segment.
    pub mss: u64,
    /// Segments in flight.
    pub in_flight: u32,
    /// Segments delivered.
    pub delivered: u64,
    /// When one was delivered last, in us.
    pub delivered_at: u64,
    /// Segments ever taken for lost.
    pub lost: u64,
    /// The smoothed round-trip time, in us / 8; 0 before the first sample.
    pub smoothed_rtt: u64,
    /// The least round-trip time of five minutes, in us; none before the first sample.
    pub least_rtt: Option<u64>,
    /// When the pacing rate allows the next burst.
    pub next_departure: HostTime,
}

/// A congestion control that sets the pacing rate and the window by the rate at which data is delivered.
pub trait RateControl {
    /// The connection is there.
    fn begin(&mut self, sender: &mut Sender<'_>);

    /// An acknowledgement was taken.
    fn sampled(&mut self, sample: &RateSample, sender: &mut Sender<'_>);

    /// Data is sent after nothing was in flight.
    fn resumed(&mut self, sender: &mut Sender<'_>);

    /// The retransmission timer expired.
    fn timer_expired(&mut self, sender: &mut Sender<'_>);

    /// What was taken for lost had only been delayed.
    fn loss_undone(&mut self, sender: &mut Sender<'_>);

    /// Segments of a burst, at least, at a pacing rate in bytes per second.
    fn least_burst(&self, pacing_rate: u64) -> u64;

    /// Windows that the send buffer has room for.
    fn windows_buffered(&self) -> u64;
}
