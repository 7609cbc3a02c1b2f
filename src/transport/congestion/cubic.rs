//! CUBIC, as in Linux.

use super::{CongestionControl, CongestionWindow, Connection, LARGEST_BURST};
use crate::transport::clock::HostTime;

/// CUBIC with HyStart, fast convergence and the Reno-friendly region, in the kernel's fixed-point arithmetic.
///
/// # Source
/// RFC 9438; Linux `net/ipv4/tcp_cubic.c`. Times of an epoch are in ticks of a millisecond, those of HyStart
/// in us.
#[derive(Debug, Clone)]
pub struct Cubic {
    /// The number of acknowledged segments per growth of the window by one.
    per_segment: u32,
    /// The window before the last loss.
    last_max: u32,
    /// The window and the tick of the last calculation.
    last: (u32, u64),
    /// When the epoch started; 0 if there is none.
    epoch: u64,
    /// The window at the plateau of the epoch's curve.
    origin: u32,
    /// The time from the start of the epoch to the plateau, in 1/1024 s.
    plateau: u64,
    /// The minimum round-trip time, in us; 0 before the first sample.
    least_rtt: u64,
    /// Segments acknowledged in this epoch since Reno's window grew.
    counted: u32,
    /// The window of Reno.
    reno: u32,
    hystart: HyStart,
}

/// Detects when slow start should end: acknowledgement trains as long as half a round trip, or increasing
/// delay.
///
/// # Source
/// S. Ha, I. Rhee, "Hybrid Slow Start for High-Bandwidth and Long-Distance Networks", PFLDnet 2008.
#[derive(Debug, Clone)]
struct HyStart {
    /// When this round started, in us.
    round: u64,
    /// The sequence number after which the round ends.
    end: u64,
    /// When the last acknowledgement of the train arrived, in us.
    last: u64,
    /// The minimum round-trip time of the round, in us.
    least: u64,
    samples: u32,
    found: bool,
}

/// Multiplicative decrease, in 1/1024.
const BETA: u64 = 717;
/// The scale of the decrease.
const BETA_SCALE: u64 = 1024;
/// C of the cubic function, times 1024 / 10, times 10 x 2^10 / 2^40.
const CUBE_RATE: u64 = 410;
/// The scale of the curve: time is in 1/2^10 s, so its cube is shifted by 30, and the scale of [`CUBE_RATE`]
/// by 10.
const CUBE_SHIFT: u32 = 40;
/// Reno's growth with CUBIC's decrease, in 1/8 (RFC 9438, Section 4.3).
const RENO_SCALE: u64 = 8 * (BETA_SCALE + BETA) / 3 / (BETA_SCALE - BETA);
/// The minimum window in segments for HyStart.
const LOW_WINDOW: u32 = 16;
/// The number of delay samples per round.
const MIN_SAMPLES: u32 = 8;
/// The gap between acknowledgements that ends a train, in us.
const TRAIN_GAP: u64 = 2_000;
/// The bounds of the delay increase that ends slow start, in us.
const RISE: std::ops::RangeInclusive<u64> = 4_000..=16_000;

impl Cubic {
    /// Before the first acknowledgement.
    pub fn new(now: HostTime) -> Self {
        Cubic {
            per_segment: 0,
            last_max: 0,
            last: (0, 0),
            epoch: 0,
            origin: 0,
            plateau: 0,
            least_rtt: 0,
            counted: 0,
            reno: 0,
            hystart: HyStart::new(now, 1),
        }
    }

    /// Calculates the number of acknowledged segments per growth of the window by one.
    ///
    /// # Source
    /// `bictcp_update`.
    fn update(&mut self, size: u32, delivered: u32, now: u64) {
        self.counted += delivered;
        let (last_size, last_tick) = self.last;
        if last_size == size && now <= last_tick + 1_000 / 32 {
            return;
        }
        // The curve is calculated at most once per tick; Reno's window with every acknowledgement.
        if self.epoch == 0 || now != last_tick {
            self.last = (size, now);
            if self.epoch == 0 {
                self.begin_epoch(size, delivered, now);
            }
            self.follow_curve(size, now);
        }
        let friendly = ((u64::from(size) * RENO_SCALE) >> 3) as u32;
        while self.counted > friendly {
            self.counted -= friendly;
            self.reno += 1;
        }
        if self.reno > size {
            self.per_segment = self.per_segment.min(size / (self.reno - size));
        }
        self.per_segment = self.per_segment.max(2);
    }

    fn begin_epoch(&mut self, size: u32, delivered: u32, now: u64) {
        self.epoch = now;
        self.counted = delivered;
        self.reno = size;
        if self.last_max <= size {
            (self.plateau, self.origin) = (0, size);
        } else {
            let factor = (1u64 << CUBE_SHIFT) / CUBE_RATE;
            self.plateau = cubic_root(factor * u64::from(self.last_max - size)).into();
            self.origin = self.last_max;
        }
    }

    /// W(t + RTT) = C (t + RTT - K)^3 + origin.
    fn follow_curve(&mut self, size: u32, now: u64) {
        let time = ((now - self.epoch + self.least_rtt.div_ceil(1_000)) << 10) / 1_000;
        let offset = time.abs_diff(self.plateau);
        let delta = ((u128::from(CUBE_RATE) * u128::from(offset).pow(3)) >> CUBE_SHIFT) as u64;
        let origin = u64::from(self.origin);
        let target = if time < self.plateau { origin.saturating_sub(delta) } else { origin + delta };
        let size = u64::from(size);
        self.per_segment = match target.checked_sub(size) {
            Some(more @ 1..) => (size / more) as u32,
            _ => (100 * size) as u32,
        };
        // Before the first loss the curve has no plateau.
        if self.last_max == 0 && self.per_segment > 20 {
            self.per_segment = 20;
        }
    }
}

impl CongestionControl for Cubic {
    fn threshold(&mut self, window: &CongestionWindow) -> u32 {
        self.epoch = 0;
        let size = u64::from(window.size);
        // Fast convergence: leave bandwidth for new flows.
        let shrinks = window.size < self.last_max;
        self.last_max =
            if shrinks { (size * (BETA_SCALE + BETA) / (2 * BETA_SCALE)) as u32 } else { window.size };
        ((size * BETA / BETA_SCALE) as u32).max(2)
    }

    fn acknowledged(&mut self, window: &mut CongestionWindow, mut delivered: u32, connection: &Connection) {
        if window.is_in_slow_start() {
            delivered = window.slow_start(delivered);
            if delivered == 0 {
                return;
            }
        }
        self.update(window.size, delivered, connection.now.ticks());
        window.grow(self.per_segment, delivered);
    }

    fn round_trip(&mut self, sample: Option<u64>, window: &mut CongestionWindow, connection: &Connection) {
        let Some(sample) = sample else { return };
        // Ignore the first second after a loss, while the queue recovers.
        if self.epoch != 0 && connection.now.ticks() - self.epoch < 1_000 {
            return;
        }
        let rtt = sample.max(1);
        if self.least_rtt == 0 || self.least_rtt > rtt {
            self.least_rtt = rtt;
        }
        if !self.hystart.found && window.is_in_slow_start() {
            self.hystart.observe(rtt, self.least_rtt, window, connection);
        }
    }

    fn timed_out(&mut self, connection: &Connection) {
        *self =
            Cubic { hystart: HyStart::new(connection.now, connection.next), ..Cubic::new(connection.now) };
    }

    fn resumed(&mut self, connection: &Connection) {
        let now = connection.now.ticks();
        // The curve stops while nothing is sent.
        if self.epoch != 0 && now > connection.last_sent {
            self.epoch = (self.epoch + (now - connection.last_sent)).min(now);
        }
    }
}

impl HyStart {
    fn new(now: HostTime, end: u64) -> Self {
        HyStart { round: now.us(), end, last: now.us(), least: u64::MAX, samples: 0, found: false }
    }

    /// # Source
    /// `hystart_update`.
    fn observe(&mut self, rtt: u64, least_rtt: u64, window: &mut CongestionWindow, connection: &Connection) {
        if connection.unacknowledged > self.end {
            *self = HyStart::new(connection.now, connection.next);
        }
        if window.size < LOW_WINDOW {
            return;
        }
        let now = connection.now.us();
        if now <= self.last + TRAIN_GAP {
            self.last = now;
            let burst = match connection.pacing_rate {
                0 => 0,
                rate => (LARGEST_BURST * 4 * 1_000_000 / rate).min(1_000),
            };
            if now - self.round > (least_rtt + burst) >> 1 {
                self.end_slow_start(window);
            }
        }
        self.least = self.least.min(rtt);
        if self.samples < MIN_SAMPLES {
            self.samples += 1;
        } else if self.least > least_rtt + (least_rtt >> 3).clamp(*RISE.start(), *RISE.end()) {
            self.end_slow_start(window);
        }
    }

    fn end_slow_start(&mut self, window: &mut CongestionWindow) {
        self.found = true;
        window.threshold = window.size;
    }
}

/// The cube root, by a table and one Newton-Raphson step, as exact as the kernel's.
///
/// # Source
/// `cubic_root`; its table is 64 x the root of the numbers below 64, as it rounds them.
fn cubic_root(number: u64) -> u32 {
    const TABLE: [u8; 64] = [
        0, 54, 54, 54, 118, 118, 118, 118, 123, 129, 134, 138, 143, 147, 151, 156, 157, 161, 164, 168, 170,
        173, 176, 179, 181, 185, 187, 190, 192, 194, 197, 199, 200, 202, 204, 206, 209, 211, 213, 215, 217,
        219, 221, 222, 224, 225, 227, 229, 231, 232, 234, 236, 237, 239, 240, 242, 244, 245, 246, 248, 250,
        251, 252, 254,
    ];
    let bits = u64::BITS - number.leading_zeros();
    if bits < 7 {
        return (u32::from(TABLE[number as usize]) + 35) >> 6;
    }
    let third = ((bits * 84) >> 8) - 1;
    let guess = ((u32::from(TABLE[(number >> (third * 3)) as usize]) + 10) << third) >> 6;
    let guess = u64::from(guess);
    let better = 2 * guess + number / (guess * (guess - 1));
    ((better * 341) >> 10) as u32
}
