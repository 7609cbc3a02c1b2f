//! Congestion control based on the delivery rate. It paces, and sets the window after each acknowledgement.

use super::CongestionWindow;
use crate::transport::clock::HostTime;
use crate::transport::sample::State;

/// The delivery rate between the sending of a buffer and its acknowledgement.
///
/// # Source
/// Linux `include/net/tcp.h`, `struct rate_sample`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateSample {
    /// Segments delivered in the interval; `None` if the acknowledgement delivered nothing.
    pub delivered: Option<u64>,
    /// The interval in us: the longer of the sending and the acknowledgement phase. `None` if it is unknown
    /// or below the minimum round-trip time.
    pub interval: Option<u64>,
    /// Segments delivered before the buffer was sent.
    pub delivered_before: u64,
    /// Whether the sender was application-limited at some time.
    pub is_limited: bool,
    /// Segments delivered by this acknowledgement.
    pub acknowledged: u32,
    /// Segments that this acknowledgement revealed to be lost.
    pub lost: u32,
    /// Segments in flight before this acknowledgement.
    pub in_flight_before: u32,
    /// The round-trip time of the last delivered segment, in us.
    pub rtt: Option<u64>,
    /// Whether the receiver may have delayed the acknowledgement.
    pub may_be_delayed: bool,
}

impl RateSample {
    /// Segments and us, if both are known.
    pub fn rate(&self) -> Option<(u64, u64)> {
        Some((self.delivered?, self.interval?))
    }
}

/// A sender, as its rate-based congestion control sees it, and the values that this may set.
#[derive(Debug)]
pub struct Sender<'a> {
    /// The current time.
    pub now: HostTime,
    /// The congestion window.
    pub window: &'a mut CongestionWindow,
    /// The pacing rate, in bytes per second.
    pub pacing_rate: &'a mut u64,
    /// The number of delivered segments up to which the sender counts as application-limited; 0 if it does
    /// not.
    pub limited_until: &'a mut u64,
    /// The state of loss recovery.
    pub state: State,
    /// Bytes of payload in a full segment.
    pub mss: u64,
    /// Segments in flight.
    pub in_flight: u32,
    /// Segments delivered.
    pub delivered: u64,
    /// When a segment was last delivered, in us.
    pub delivered_at: u64,
    /// The total number of segments marked lost.
    pub lost: u64,
    /// The smoothed round-trip time, in us / 8; 0 before the first sample.
    pub smoothed_rtt: u64,
    /// The minimum round-trip time of five minutes, in us; `None` before the first sample.
    pub least_rtt: Option<u64>,
    /// When the pacing rate allows the next burst.
    pub next_departure: HostTime,
}

/// A congestion control that sets pacing rate and window based on the delivery rate.
pub trait RateControl {
    /// The connection is established.
    fn begin(&mut self, sender: &mut Sender<'_>);

    /// An acknowledgement was processed.
    fn sampled(&mut self, sample: &RateSample, sender: &mut Sender<'_>);

    /// Data is sent when nothing was in flight.
    fn resumed(&mut self, sender: &mut Sender<'_>);

    /// The retransmission timer expired.
    fn timer_expired(&mut self, sender: &mut Sender<'_>);

    /// Segments marked lost had only been delayed.
    fn loss_undone(&mut self, sender: &mut Sender<'_>);

    /// The minimum number of segments of a burst, at a pacing rate in bytes per second.
    fn least_burst(&self, pacing_rate: u64) -> u64;

    /// The number of windows that fit the send buffer.
    fn windows_buffered(&self) -> u64;
}
