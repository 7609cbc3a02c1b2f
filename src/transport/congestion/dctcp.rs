//! DCTCP.

use super::{CongestionControl, CongestionWindow, Connection, Reno};

/// Reno, with a window reduced by the fraction of marked segments, and by half after a loss.
///
/// The receiver side, which echoes each change of the marks, is in the socket.
///
/// # Source
/// RFC 8257; Linux `net/ipv4/tcp_dctcp.c`. M. Alizadeh et al., "Data Center TCP (DCTCP)", SIGCOMM 2010.
#[derive(Debug, Clone)]
pub struct Dctcp {
    /// The fraction of marked segments, smoothed over windows, in 1/1024 (`dctcp_alpha`).
    alpha: u32,
    /// The sequence number after which the observation window ends.
    end: u64,
    /// The numbers of delivered and of marked segments at its start.
    before: (u64, u64),
    /// The window before the last reduction.
    last_window: u32,
}

/// Alpha if all segments are marked.
const MOST_ALPHA: u32 = 1 << ALPHA_BITS;
/// The number of bits of the fraction: it is in 1/1024.
const ALPHA_BITS: u32 = 10;
/// The weight of a window: 1/16 (`dctcp_shift_g`).
const GAIN_BITS: u32 = 4;

impl Dctcp {
    /// For a new connection: the first mark halves the window. Only the SYN has been sent and delivered.
    pub fn new() -> Self {
        Dctcp { alpha: MOST_ALPHA, end: 1, before: (1, 0), last_window: 0 }
    }
}

impl Default for Dctcp {
    fn default() -> Self {
        Self::new()
    }
}

impl CongestionControl for Dctcp {
    /// # Source
    /// `dctcp_ssthresh`.
    fn threshold(&mut self, window: &CongestionWindow) -> u32 {
        self.last_window = window.size;
        let less = (u64::from(window.size) * u64::from(self.alpha)) >> (ALPHA_BITS + 1);
        (window.size - less as u32).max(2)
    }

    fn acknowledged(&mut self, window: &mut CongestionWindow, delivered: u32, connection: &Connection) {
        Reno.acknowledged(window, delivered, connection);
    }

    /// Once per window, updates alpha with the fraction marked in it.
    ///
    /// # Source
    /// RFC 8257, Section 3.3, equation (1); `dctcp_update_alpha`.
    fn answered(&mut self, connection: &Connection) {
        if connection.unacknowledged < self.end {
            return;
        }
        let (delivered, marked) = (connection.delivered - self.before.0, connection.marked - self.before.1);
        // Values below the gain are removed at once.
        self.alpha -= match self.alpha >> GAIN_BITS {
            0 => self.alpha,
            part => part,
        };
        let part = (marked << (ALPHA_BITS - GAIN_BITS)) / delivered.max(1);
        self.alpha = (u64::from(self.alpha) + part).min(MOST_ALPHA.into()) as u32;
        self.end = connection.next;
        self.before = (connection.delivered, connection.marked);
    }

    /// # Source
    /// `dctcp_react_to_loss`.
    fn lost(&mut self, window: &mut CongestionWindow) {
        self.last_window = window.size;
        window.threshold = (window.size >> 1).max(2);
    }

    /// # Source
    /// `dctcp_cwnd_undo`.
    fn undone(&self, window: &CongestionWindow, _before: u32) -> u32 {
        window.size.max(self.last_window)
    }

    fn alpha(&self) -> Option<u32> {
        Some(self.alpha)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::clock::HostTime;

    fn window(size: u32) -> CongestionWindow {
        CongestionWindow { size, threshold: 100, counted: 0 }
    }

    /// The state after windows of the given numbers of segments and of marked segments.
    fn after(windows: &[(u64, u64)]) -> Dctcp {
        let mut dctcp = Dctcp::new();
        let mut connection = Connection {
            now: HostTime::default(),
            next: 1,
            unacknowledged: 1,
            pacing_rate: 0,
            last_sent: 0,
            delivered: 1,
            marked: 0,
        };
        for (delivered, marked) in windows {
            connection.unacknowledged = connection.next;
            connection.next += delivered;
            connection.delivered += delivered;
            connection.marked += marked;
            dctcp.answered(&connection);
        }
        dctcp
    }

    #[test]
    fn alpha_is_the_part_of_marked_segments() {
        assert_eq!(after(&[]).alpha, 1024);
        assert_eq!(after(&[(10, 0)]).alpha, 960);
        assert_eq!(after(&[(10, 10)]).alpha, 1024);
        assert_eq!(after(&[(10, 5)]).alpha, 992);
        // Below the gain there is no sixteenth to remove.
        assert_eq!(after(&[(10, 0); 80]).alpha, 0);
        let settled = after(&[(100, 25); 200]).alpha;
        assert!((241..=271).contains(&settled), "{settled}");
    }

    #[test]
    fn marks_reduce_by_half_of_alpha_and_losses_by_half() {
        let mut dctcp = after(&[(10, 0)]);
        assert_eq!(dctcp.threshold(&window(64)), 64 - 64 * 960 / 2048);
        assert_eq!(dctcp.undone(&window(34), 0), 64);
        let mut lost = window(40);
        dctcp.lost(&mut lost);
        assert_eq!((lost.threshold, dctcp.undone(&window(20), 0)), (20, 40));
        assert_eq!(after(&[(10, 0); 80]).threshold(&window(64)), 64);
        assert_eq!(Dctcp::new().threshold(&window(2)), 2);
    }
}
