//! COBALT: CoDel and BLUE in parallel, per queue.

use rand::Rng;

use crate::packet::{DropReason, Tau};
use crate::ptm::psched::nanoseconds;
use crate::random::Stream;

/// The parameters of COBALT.
#[derive(Debug, Clone, Copy)]
pub(super) struct Law {
    /// The acceptable sojourn time [ns].
    target: i64,
    /// How long the sojourn time may be above the target before a packet is dropped [ns].
    interval: i64,
    /// The transmission time of the longest packet at the tin's rate [ns].
    longest: i64,
}

impl Law {
    /// For a tin at whose rate the longest packet takes `longest`. At a low rate, target and interval grow
    /// with it [ns].
    ///
    /// # Source
    /// Linux 6.1 `net/sched/sch_cake.c` (`cake_set_rate`).
    pub fn new(target: i64, interval: i64, longest: i64) -> Self {
        let slow = target.max(longest * 3 / 2);
        Law { target: slow, interval: (interval + slow - target).max(2 * slow), longest }
    }
}

/// The steps of BLUE's probability: up by 1/256, down by 1/4096 [2^-32].
const BLUE_STEPS: (u32, u32) = (1 << 24, 1 << 20);

/// The state of COBALT.
#[derive(Debug, Clone)]
pub(super) struct Cobalt {
    /// CoDel's count of drops.
    count: u32,
    /// About `2^32 / sqrt(count)`.
    inverse_sqrt: u32,
    /// When CoDel drops next, or until when the queue counts as active [ns].
    drop_next: i64,
    /// Whether sojourn times are above the target.
    dropping: bool,
    /// BLUE's probability of a drop [2^-32].
    blue: u32,
    /// When that was last changed [ns].
    blue_changed: i64,
}

/// Before any run [ns].
const LONG_AGO: i64 = i64::MIN / 4;

impl Default for Cobalt {
    fn default() -> Self {
        // As in the kernel, the root is 0 until `count` first changes: the first interval of a queue is 0.
        Cobalt {
            count: 0,
            inverse_sqrt: 0,
            drop_next: LONG_AGO,
            dropping: false,
            blue: 0,
            blue_changed: LONG_AGO,
        }
    }
}

/// Below this count, the root is computed in four steps from that of the previous count.
const EXACT: usize = 16;

/// The roots of the counts below [`EXACT`].
const ROOTS: [u32; EXACT] = {
    let mut roots = [u32::MAX; EXACT];
    let mut count = 1;
    while count < EXACT {
        let mut root = roots[count - 1];
        let mut steps = 0;
        while steps < 4 {
            root = newton_step(count as u32, root);
            steps += 1;
        }
        roots[count] = root;
        count += 1;
    }
    roots
};

/// One step of Newton's method towards `1 / sqrt(count)`, with 32 fractional bits.
const fn newton_step(count: u32, root: u32) -> u32 {
    let root = root as u64;
    let square = (root * root) >> 32;
    // 3 - count * root^2, without two bits, so that the product fits into 64 bits.
    let rest = (3u64 << 32).wrapping_sub((count as u64).wrapping_mul(square));
    ((rest >> 2).wrapping_mul(root) >> 31) as u32
}

impl Cobalt {
    #[inline]
    fn count_to(&mut self, count: u32) {
        self.count = count;
        self.inverse_sqrt = match ROOTS.get(count as usize) {
            Some(root) => *root,
            None => newton_step(count, self.inverse_sqrt),
        };
    }

    /// The time of the next drop after one at `t`: `t + interval / sqrt(count)`, where the interval has 32
    /// bits.
    #[inline]
    fn control_law(&self, law: &Law, t: i64) -> i64 {
        let interval = u64::from(law.interval as u32);
        t + ((interval * u64::from(self.inverse_sqrt)) >> 32) as i64
    }

    /// Reduces the count by one, when the time of the next drop has passed without one.
    #[inline]
    fn decay(&mut self, law: &Law) {
        self.count_to(self.count - 1);
        self.drop_next = self.control_law(law, self.drop_next);
    }

    #[inline]
    fn is_due(&self, now: i64) -> bool {
        self.count > 0 && now >= self.drop_next
    }

    /// Decides on a departing packet: marks it, or returns why to drop it. `bulk_flows` raises the acceptable
    /// sojourn time.
    pub fn judge(
        &mut self,
        law: &Law,
        now: i64,
        tau: &mut Tau,
        bulk_flows: u32,
        random: &mut Stream,
    ) -> Option<DropReason> {
        let sojourn = now - nanoseconds(tau.timestamp);
        let is_above = sojourn > law.target
            && sojourn > law.longest.saturating_mul(2 * i64::from(bulk_flows))
            && sojourn > law.longest * 4;
        let was_due = self.is_due(now);
        // Whether the last due drop is in the past.
        let mut is_past = now > self.drop_next;
        if is_above {
            if !self.dropping {
                self.drop_next = self.control_law(law, now);
            }
            self.count = self.count.max(1);
        }
        self.dropping = is_above;
        let mut verdict = None;
        if was_due && self.dropping {
            if !tau.packet.mark_congestion() {
                verdict = Some(DropReason::SojournAboveTarget);
            }
            self.count_to(self.count.saturating_add(1));
            self.drop_next = self.control_law(law, self.drop_next);
            is_past = now > self.drop_next;
        } else if was_due {
            while self.is_due(now) {
                self.decay(law);
            }
            is_past = now > self.drop_next;
        }
        if self.blue > 0 && random.next_u32() < self.blue && verdict.is_none() {
            verdict = Some(DropReason::EarlyDrop);
        }
        if self.count == 0 {
            self.drop_next = now + law.interval;
        } else if is_past && verdict.is_none() {
            self.drop_next = now;
        }
        verdict
    }

    /// The queue lost its head because memory ran out.
    pub fn overflowed(&mut self, law: &Law, now: i64) {
        if now - self.blue_changed > law.target {
            self.blue = self.blue.saturating_add(BLUE_STEPS.0);
            self.blue_changed = now;
        }
        self.dropping = true;
        self.drop_next = now;
        self.count = self.count.max(1);
    }

    /// The queue was served and was empty.
    pub fn emptied(&mut self, law: &Law, now: i64) {
        if self.blue > 0 && now - self.blue_changed > law.target {
            self.blue = self.blue.saturating_sub(BLUE_STEPS.1);
            self.blue_changed = now;
        }
        self.dropping = false;
        if self.is_due(now) {
            self.decay(law);
        }
    }

    /// Whether earlier drops still affect the state.
    pub fn is_active(&self, now: i64) -> bool {
        self.blue > 0 || self.count > 0 || now < self.drop_next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::random::stream;
    use crate::units::Time;

    const MS: i64 = 1_000_000;

    /// 5 ms and 100 ms, on a fast link.
    fn law() -> Law {
        Law::new(5 * MS, 100 * MS, 1_000)
    }

    /// The result for a packet that arrived `sojourn` before `now`.
    fn judge(cobalt: &mut Cobalt, now: i64, sojourn: i64, ecn: u8) -> (Option<DropReason>, u8) {
        let timestamp = Time::from_ps(1_000 * (now - sojourn) as u64);
        let mut tau = Tau { timestamp, packet: Packet { ecn, ..Packet::default() } };
        let verdict = cobalt.judge(&law(), now, &mut tau, 0, &mut stream(1, "ptm", "cobalt"));
        (verdict, tau.packet.ecn)
    }

    #[test]
    fn roots_are_close_and_zero_counts_as_one() {
        assert_eq!(ROOTS[..2], [u32::MAX; 2]);
        for (count, root) in ROOTS.iter().enumerate().skip(1) {
            let exact = libm::ldexp(1.0, 32) / (count as f64).sqrt();
            assert!((f64::from(*root) / exact - 1.0).abs() < 1e-3, "{count}");
        }
    }

    #[test]
    fn at_a_low_rate_target_and_interval_grow() {
        let Law { target, interval, .. } = Law::new(5 * MS, 100 * MS, 12 * MS);
        assert_eq!((target, interval), (18 * MS, 113 * MS));
        let Law { target, interval, .. } = Law::new(5 * MS, 10 * MS, 12 * MS);
        assert_eq!((target, interval), (18 * MS, 36 * MS));
    }

    #[test]
    fn the_second_packet_above_the_target_of_a_new_queue_is_dropped_and_then_by_the_control_law() {
        let mut cobalt = Cobalt::default();
        assert_eq!(judge(&mut cobalt, 10 * MS, 6 * MS, 0).0, None);
        assert_eq!(judge(&mut cobalt, 11 * MS, 6 * MS, 0).0, Some(DropReason::SojournAboveTarget));
        // 11 ms - 1 ms and 100 ms / sqrt(2).
        assert_eq!(cobalt.drop_next / MS, 80);
        assert_eq!(judge(&mut cobalt, 80 * MS, 6 * MS, 0).0, None);
        assert_eq!(judge(&mut cobalt, 81 * MS, 6 * MS, 0).0, Some(DropReason::SojournAboveTarget));
    }

    #[test]
    fn a_capable_packet_is_marked() {
        let mut cobalt = Cobalt::default();
        judge(&mut cobalt, 10 * MS, 6 * MS, 2);
        assert_eq!(judge(&mut cobalt, 11 * MS, 6 * MS, 2), (None, 3));
    }

    #[test]
    fn after_a_quiet_time_the_first_interval_is_whole() {
        let mut cobalt = Cobalt::default();
        judge(&mut cobalt, 10 * MS, 6 * MS, 0);
        // One drop is forgotten at 11 ms, because sojourn times are below the target.
        assert_eq!(judge(&mut cobalt, 11 * MS, MS, 0).0, None);
        assert_eq!(cobalt.count, 0);
        assert_eq!(judge(&mut cobalt, 20 * MS, 6 * MS, 0).0, None);
        assert_eq!(judge(&mut cobalt, 119 * MS, 6 * MS, 0).0, None);
        assert_eq!(judge(&mut cobalt, 121 * MS, 6 * MS, 0).0, Some(DropReason::SojournAboveTarget));
    }

    #[test]
    fn overflow_raises_blue_once_a_target_and_an_empty_queue_lowers_it() {
        let mut cobalt = Cobalt::default();
        for now in [0, 1, 5, 6, 11].map(|ms| ms * MS) {
            cobalt.overflowed(&law(), now);
        }
        assert_eq!(cobalt.blue, 2 << 24, "at 0 and 6 ms");
        cobalt.emptied(&law(), 11 * MS);
        assert_eq!(cobalt.blue, 2 << 24);
        cobalt.emptied(&law(), 12 * MS);
        assert_eq!(cobalt.blue, (2 << 24) - (1 << 20));
        assert!(cobalt.is_active(1_000_000 * MS));
    }
}
