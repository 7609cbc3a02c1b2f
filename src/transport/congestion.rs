//! Congestion control: the growth of the window, and its reduction after a loss.
//!
//! Each algorithm has its own file. To add one: a file with its [`CongestionControl`], and one line in
//! [`Algorithm`]. Most algorithms set the window when a segment is acknowledged or lost. A [`RateControl`]
//! also sets the pacing rate, based on the delivery rate.

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

/// The congestion control of a connection, as named in a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// CUBIC (RFC 9438), as in Linux.
    #[default]
    Cubic,
    /// Reno (RFC 5681): one segment per round trip, half the window after a loss.
    Reno,
    /// DCTCP (RFC 8257): reduces the window by the fraction of segments that queues have marked. Requires
    /// ECN.
    Dctcp,
    /// BBR version 1, as in Linux. It paces.
    Bbr,
}

impl Algorithm {
    /// Its name in a scenario.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Cubic => "cubic",
            Algorithm::Reno => "reno",
            Algorithm::Dctcp => "dctcp",
            Algorithm::Bbr => "bbr",
        }
    }

    /// Starts the algorithm on a connection. `draws` provides its random numbers.
    pub fn start(self, now: HostTime, draws: Draws) -> Box<dyn CongestionControl> {
        match self {
            Algorithm::Cubic => Box::new(Cubic::new(now)),
            Algorithm::Reno => Box::new(Reno),
            Algorithm::Dctcp => Box::new(Dctcp::new()),
            Algorithm::Bbr => Box::new(Bbr::new(draws)),
        }
    }

    /// Whether the algorithm requires ECN. Then all packets of the connection are ECN-capable, and the
    /// receiver echoes each change of the marks.
    ///
    /// # Source
    /// Linux `include/net/tcp.h`, `TCP_CONG_NEEDS_ECN`.
    pub const fn needs_ecn(self) -> bool {
        matches!(self, Algorithm::Dctcp)
    }

    /// The algorithm that replaces this one if the peer does not support ECN.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_dctcp.c`, `dctcp_init`, `dctcp_reno`.
    #[must_use]
    pub const fn without_ecn(self) -> Self {
        if self.needs_ecn() { Algorithm::Reno } else { self }
    }
}

/// The maximum payload of a burst: a packet of 64 KiB without headers
/// (`GSO_LEGACY_MAX_SIZE - 1 - MAX_TCP_HEADER`).
pub const LARGEST_BURST: u64 = 65_536 - 193;

/// An unset slow start threshold.
pub const INFINITE: u32 = 0x7fff_ffff;

/// The congestion window of a connection, in segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CongestionWindow {
    /// The window.
    pub size: u32,
    /// The slow start threshold.
    pub threshold: u32,
    /// Segments acknowledged since the window last grew.
    pub counted: u32,
}

impl CongestionWindow {
    /// Whether the window is below the threshold.
    pub fn is_in_slow_start(&self) -> bool {
        self.size < self.threshold
    }

    /// Grows by one for each delivered segment, up to the threshold. Returns the number of remaining
    /// segments.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_cong.c`, `tcp_slow_start`.
    pub fn slow_start(&mut self, delivered: u32) -> u32 {
        let size = (self.size + delivered).min(self.threshold);
        let left = delivered - (size - self.size);
        self.size = size;
        left
    }

    /// Grows by one for every `per_segment` delivered segments.
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

/// The state of a connection that its congestion control sees.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// The current time.
    pub now: HostTime,
    /// The next sequence number to send.
    pub next: u64,
    /// The oldest unacknowledged sequence number.
    pub unacknowledged: u64,
    /// The pacing rate in bytes per second.
    pub pacing_rate: u64,
    /// The tick at which data was last sent.
    pub last_sent: u64,
    /// The number of segments delivered to the peer.
    pub delivered: u64,
    /// The number of these whose acknowledgement carried an ECN echo.
    pub marked: u64,
}

/// The congestion control of a connection.
pub trait CongestionControl: Send {
    /// A loss was detected. Returns the new slow start threshold.
    fn threshold(&mut self, window: &CongestionWindow) -> u32;

    /// `delivered` segments were acknowledged, the window limits the sender, and no loss recovery is in
    /// progress.
    fn acknowledged(&mut self, window: &mut CongestionWindow, delivered: u32, connection: &Connection);

    /// The round-trip time in us of the last acknowledged segment; `None` if it is unknown.
    fn round_trip(&mut self, _sample: Option<u64>, _window: &mut CongestionWindow, _connection: &Connection) {
    }

    /// The retransmission timer expired.
    fn timed_out(&mut self, _connection: &Connection) {}

    /// Data is sent when nothing was in flight.
    fn resumed(&mut self, _connection: &Connection) {}

    /// An acknowledgement was processed. Called only for algorithms that require ECN.
    fn answered(&mut self, _connection: &Connection) {}

    /// Loss recovery starts, or the retransmission timeout expired. The threshold is already set.
    fn lost(&mut self, _window: &mut CongestionWindow) {}

    /// The reduction after a loss was wrong. Returns the new window: at least the one `before` it.
    fn undone(&self, window: &CongestionWindow, before: u32) -> u32 {
        window.size.max(before)
    }

    /// For DCTCP: the smoothed fraction of marked segments, in 1/1024.
    fn alpha(&self) -> Option<u32> {
        None
    }

    /// The algorithm as a [`RateControl`], if it is one. Then it sets the window and the pacing rate there,
    /// and not in `acknowledged`.
    fn by_rate(&mut self) -> Option<&mut dyn RateControl> {
        None
    }
}
