//! The clock by which CAKE sends.

/// The transmission time of bytes at a rate: a multiplication and a shift.
///
/// # Source
/// Linux 6.1 `net/sched/sch_cake.c` (`cake_set_rate`).
#[derive(Debug, Clone, Copy)]
pub(super) struct ByteTime {
    /// The time of a byte [2^-shift ns], below 2^34; 0 without a rate.
    factor: u64,
    shift: u32,
}

/// The minimum rate; lower rates count as this one [B/s].
const LEAST_RATE: u64 = 64;

/// The bits of a factor.
const BITS: u32 = 34;

impl ByteTime {
    /// At a rate in bytes per second; 0 for no rate.
    pub fn new(rate: u64) -> Self {
        if rate == 0 {
            return ByteTime { factor: 0, shift: 0 };
        }
        let factor = (1_000_000_000 << BITS) / rate.max(LEAST_RATE);
        let cut = (u64::BITS - factor.leading_zeros()).saturating_sub(BITS);
        ByteTime { factor: factor >> cut, shift: BITS - cut }
    }

    pub fn is_unlimited(self) -> bool {
        self.factor == 0
    }

    /// The transmission time of `bytes` [ns], rounded down.
    #[inline]
    pub fn time(self, bytes: u32) -> i64 {
        // 2^66 >> shift: the shift is at least 10 if the factor is that large.
        ((u128::from(bytes) * u128::from(self.factor)) >> self.shift) as i64
    }
}

/// The instant at which the next packet may leave. Each packet advances it by its transmission time, however
/// late it leaves: lateness does not accumulate.
///
/// # Source
/// Linux 6.1 `net/sched/sch_cake.c` (`cake_advance_shaper`, and `time_next_packet` and `failsafe_next_packet`
/// elsewhere).
#[derive(Debug, Clone, Copy)]
pub(super) struct Shaper {
    rate: ByteTime,
    /// [ns]
    next: i64,
    /// The same, except that sent packets take 1.5 times as long and dropped ones no time [ns].
    failsafe: i64,
}

impl Shaper {
    pub fn new(rate: ByteTime) -> Self {
        Shaper { rate, next: 0, failsafe: 0 }
    }

    pub fn is_unlimited(&self) -> bool {
        self.rate.is_unlimited()
    }

    /// When a packet may leave, if that is after `now`.
    #[inline]
    pub fn blocked_until(&self, now: i64) -> Option<i64> {
        let next = self.next.min(self.failsafe);
        (next > now).then_some(next)
    }

    /// A packet joins an empty queue.
    pub fn wake(&mut self, now: i64) {
        if self.next < now {
            (self.next, self.failsafe) = (now, now);
        }
    }

    /// A packet of `length` bytes is sent or dropped.
    #[inline]
    pub fn charge(&mut self, length: u32, is_lost: bool) {
        let time = self.rate.time(length);
        self.next += time;
        if !is_lost {
            self.failsafe += time + time / 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_whole_nanoseconds() {
        assert_eq!(ByteTime::new(1_250_000).time(1_514), 1_211_200);
        assert_eq!(ByteTime::new(3).time(64), 1_000_000_000, "no less than 64 B/s");
        assert_eq!(ByteTime::new(12_500_000_000).time(1_514), 121);
        assert!(ByteTime::new(0).is_unlimited() && ByteTime::new(0).time(1_514) == 0);
    }

    #[test]
    fn lateness_does_not_add_up() {
        let mut shaper = Shaper::new(ByteTime::new(1_000_000));
        shaper.wake(5_000);
        shaper.charge(100, false);
        assert_eq!(shaper.blocked_until(5_000), Some(105_000));
        assert_eq!(shaper.blocked_until(105_001), None);
        shaper.charge(100, false);
        assert_eq!(shaper.blocked_until(105_001), Some(205_000));
        shaper.wake(150_000);
        assert_eq!(shaper.blocked_until(150_000), Some(205_000), "a busy clock is kept");
    }

    #[test]
    fn dropped_packets_hold_others_back_by_half_their_time_at_most() {
        let mut shaper = Shaper::new(ByteTime::new(1_000_000));
        shaper.wake(0);
        shaper.charge(1_000, false);
        shaper.charge(10_000, true);
        assert_eq!(shaper.blocked_until(0), Some(1_500_000));
    }
}
