//! Reno.

use super::{CongestionControl, CongestionWindow, Connection};

/// Slow start, then one segment per window; half the window after a loss.
///
/// # Source
/// RFC 5681; Linux `net/ipv4/tcp_cong.c`, `tcp_reno_cong_avoid`, `tcp_reno_ssthresh`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reno;

impl CongestionControl for Reno {
    fn threshold(&mut self, window: &CongestionWindow) -> u32 {
        (window.size >> 1).max(2)
    }

    fn acknowledged(&mut self, window: &mut CongestionWindow, mut delivered: u32, _connection: &Connection) {
        if window.is_in_slow_start() {
            delivered = window.slow_start(delivered);
            if delivered == 0 {
                return;
            }
        }
        window.grow(window.size, delivered);
    }
}
