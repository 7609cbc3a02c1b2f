//! Congestion control: how the window grows, and what a loss leaves of it.
//!
//! One file per algorithm. To add one: its file with its [`CongestionControl`], and one line in [`Algorithm`]. Most set the window when a
//! segment is acknowledged or lost; a [`RateControl`] sets the pacing rate as well, by the rate at which data is delivered.

mod bbr;
mod cubic;
mod dctcp;
mod rate;
mod reno;

pub use bbr::Bbr;
pub use cubic::Cubic;
pub use dctcp::Dctcp;
pub use rate::{RateControl, RateSample, Sender};
pub use reno::Reno;

use schemars::JsonSchema;
use serde::Deserialize;

use super::clock::HostTime;
use crate::random::Draws;

/// The congestion control of a connection, as a scenario names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// CUBIC (RFC 9438) as Linux has it.
    #[default]
    Cubic,
    /// Reno (RFC 5681): one segment per round trip, half after a loss.
    Reno,
    /// DCTCP (RFC 8257): the window shrinks by the part of segments that queues have marked; it needs ECN.
    Dctcp,
    /// BBR, version 1, as Linux has it: it paces.
    Bbr,
}

impl Algorithm {
    /// Its name, as in a scenario.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Cubic => "cubic",
            Algorithm::Reno => "reno",
            Algorithm::Dctcp => "dctcp",
            Algorithm::Bbr => "bbr",
        }
    }

    /// The algorithm at work on a connection, whose random numbers are `draws`.
    pub fn start(self, now: HostTime, draws: Draws) -> Box<dyn CongestionControl> {
        match self {
            Algorithm::Cubic => Box::new(Cubic::new(now)),
            Algorithm::Reno => Box::new(Reno),
            Algorithm::Dctcp => Box::new(Dctcp::new()),
            Algorithm::Bbr => Box::new(Bbr::new(draws)),
        }
    }

    /// Whether it needs ECN: all that a connection sends is capable of it then, and the receiver echoes each change of the marks.
    ///
    /// # Source
    /// Linux `include/net/tcp.h`, `TCP_CONG_NEEDS_ECN`.
    pub const fn needs_ecn(self) -> bool {
        matches!(self, Algorithm::Dctcp)
    }

    /// The algorithm at work where the peer does not do ECN.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_dctcp.c`, `dctcp_init`, `dctcp_reno`.
    #[must_use]
    pub const fn without_ecn(self) -> Self {
        if self.needs_ecn() { Algorithm::Reno } else { self }
    }
}

/// The largest payload of a burst: a packet of 64 KiB less headers (`GSO_LEGACY_MAX_SIZE - 1 - MAX_TCP_HEADER`).
pub const LARGEST_BURST: u64 = 65_536 - 193;

/// A slow start threshold that is not set.
pub const INFINITE: u32 = 0x7fff_ffff;

/// The congestion window of a connection, in segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CongestionWindow {
    /// The window.
    pub size: u32,
    /// The slow start threshold.
    pub threshold: u32,
    /// Segments acknowledged since it grew last.
    pub counted: u32,
}

impl CongestionWindow {
    /// Whether it is below its threshold.
    pub fn is_in_slow_start(&self) -> bool {
        self.size < self.threshold
    }

    /// Grows by one for each segment delivered, up to the threshold; the segments that are left over.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_cong.c`, `tcp_slow_start`.
    pub fn slow_start(&mut self, delivered: u32) -> u32 {
        let size = (self.size + delivered).min(self.threshold);
        let left = delivered - (size - self.size);
        self.size = size;
        left
    }

    /// Grows by one for every `per_segment` segments delivered.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_cong.c`, `tcp_cong_avoid_ai`.
    pub fn grow(&mut self, per_segment: u32, delivered: u32) {
        if self.counted >= per_segment {
            self.counted = 0;
            self.size += 1;
        }
        self.counted += delivered;
        if self.counted >= per_segment {
            let more = self.counted / per_segment;
            self.counted -= more * per_segment;
            self.size += more;
        }
    }
}

/// What a congestion control sees of its connection.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// The clock.
    pub now: HostTime,
    /// The next sequence number to be sent.
    pub next: u64,
    /// The oldest that is not acknowledged.
    pub unacknowledged: u64,
    /// The pacing rate in bytes per second.
    pub pacing_rate: u64,
    /// The tick at which data was sent last.
    pub last_sent: u64,
    /// Segments that the peer has.
    pub delivered: u64,
    /// Of these, segments whose acknowledgement echoed a mark.
    pub marked: u64,
}

/// A congestion control at work.
pub trait CongestionControl: Send {
    /// A loss was found: the new slow start threshold.
    fn threshold(&mut self, window: &CongestionWindow) -> u32;

    /// `delivered` segments were acknowledged, the window limits the sender, and no loss is being repaired.
    fn acknowledged(&mut self, window: &mut CongestionWindow, delivered: u32, connection: &Connection);

    /// The last segment that was acknowledged took this long, in us; none where that is not known.
    fn round_trip(&mut self, _sample: Option<u64>, _window: &mut CongestionWindow, _connection: &Connection) {
    }

    /// A retransmission timer expired.
    fn timed_out(&mut self, _connection: &Connection) {}

    /// Data is sent after nothing was in flight.
    fn resumed(&mut self, _connection: &Connection) {}

    /// An acknowledgement has come, and what it delivers is counted. Asked only of algorithms that need ECN.
    fn answered(&mut self, _connection: &Connection) {}

    /// Losses are to be repaired, or the retransmission timeout has passed; the threshold is set.
    fn lost(&mut self, _window: &mut CongestionWindow) {}

    /// The reduction after a loss was an error: the window before, at least.
    fn undone(&self, window: &CongestionWindow, before: u32) -> u32 {
        window.size.max(before)
    }

    /// Of DCTCP: the part of segments that are marked, smoothed, in 1/1024.
    fn alpha(&self) -> Option<u32> {
        None
    }

    /// Itself, where it works by the rate of delivery. Then the window and the pacing rate are set there, and not by `acknowledged`.
    fn by_rate(&mut self) -> Option<&mut dyn RateControl> {
        None
    }
}
