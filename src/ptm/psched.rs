//! The arithmetic of Linux's packet schedulers: transmission times in whole nanoseconds, the ticks of `tc`,
//! and timers in jiffies.

use std::num::NonZeroU32;

use crate::units::{ByteCount, Rate, Span, Time, Timestamp};

/// Picoseconds in a nanosecond.
const PS_PER_NS: u64 = 1_000;

/// The kernel's clock at `time`: whole nanoseconds.
#[inline]
pub(super) fn nanoseconds(time: Time) -> i64 {
    // 2^64 ps are fewer than 2^63 ns.
    (time.as_ps() / PS_PER_NS) as i64
}

/// A span in whole nanoseconds.
pub(super) fn span_ns(span: Span) -> i64 {
    (span.as_ps() / PS_PER_NS) as i64
}

/// The last nanosecond of a run; it represents [`Time::NEVER`].
pub(super) const LATEST: i64 = (u64::MAX / PS_PER_NS) as i64;

/// The instant at which the kernel's clock changes to `nanoseconds`; the start of the run for earlier ones.
#[inline]
pub(super) fn instant(nanoseconds: i64) -> Time {
    if nanoseconds >= LATEST { Time::NEVER } else { Time::from_ps(nanoseconds.max(0) as u64 * PS_PER_NS) }
}

/// The kernel's clock, for rules that depend on its ticks.
///
/// The phase of the ticks follows the absolute start of the run, as if the machine had booted at a whole
/// multiple of 2 s. Its uptime at the start of the run is 1,000 s.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// The clock at the start of the run [ns].
    start_ns: u64,
    /// The remainder of the start below a nanosecond [ps].
    rest_ps: u64,
}

/// The uptime of the machine at the start of the run [ns].
const UP_NS: u64 = 1_000_000_000_000;

/// A multiple of every tick: of 1,024 ns, and of two jiffies at the usual frequencies [ps].
const PHASE_PS: i128 = 2_000_000_000_000;

impl Clock {
    /// The clock of a run that starts at `start`.
    pub fn new(start: Timestamp) -> Self {
        let phase = start.as_ps().rem_euclid(PHASE_PS) as u64;
        Clock { start_ns: UP_NS + phase / PS_PER_NS, rest_ps: phase % PS_PER_NS }
    }

    /// The clock at `time` [ns].
    #[inline]
    pub fn ns(self, time: Time) -> u64 {
        self.start_ns + time.as_ps().saturating_add(self.rest_ps) / PS_PER_NS
    }
}

/// A rate as the kernel divides by it: a multiplication by 32 bits and a shift.
///
/// # Source
/// Linux `net/sched/sch_generic.c` (`psched_ratecfg_precompute__`) and `include/net/sch_generic.h`
/// (`psched_l2t_ns`): rates are whole bytes per second.
#[derive(Debug, Clone, Copy)]
pub(super) struct RateNs {
    factor: u64,
    shift: u32,
}

impl RateNs {
    pub fn new(rate: Rate) -> Self {
        let bytes_per_second = (rate.as_bps() / 8).max(1);
        let mut numerator: u64 = 1_000_000_000;
        let mut shift = 0;
        loop {
            let factor = numerator / bytes_per_second;
            if factor & (1 << 31) != 0 || numerator & (1 << 63) != 0 {
                return RateNs { factor, shift };
            }
            numerator <<= 1;
            shift += 1;
        }
    }

    /// The transmission time of `bytes` [ns], rounded down; at most [`LONGEST_NS`].
    #[inline]
    pub fn time(self, bytes: u64) -> i64 {
        let ns = match bytes.checked_mul(self.factor) {
            Some(product) => product >> self.shift,
            None => {
                u64::try_from((u128::from(bytes) * u128::from(self.factor)) >> self.shift).unwrap_or(u64::MAX)
            }
        };
        ns.min(LONGEST_NS as u64) as i64
    }
}

/// 73 years, the longest time that is distinguished; four of them can be added up.
pub(super) const LONGEST_NS: i64 = i64::MAX / 4;

/// Nanoseconds per tick, the unit of time between `tc` and the kernel.
pub(crate) const NS_PER_TICK: u64 = 64;

/// Microseconds in whole ticks.
///
/// # Source
/// iproute2 6.1 `tc/tc_core.c` (`tc_core_time2tick`).
pub(crate) fn whole_ticks(us: u128) -> u64 {
    u64::try_from(us * 1_000 / u128::from(NS_PER_TICK)).unwrap_or(u64::MAX)
}

/// The depth of a bucket of `bytes` at `rate` [ns], as `tc` passes it to the kernel: in ticks.
pub(super) fn depth_in_ticks(rate: Rate, bytes: ByteCount) -> i64 {
    ticks(rate, bytes).saturating_mul(NS_PER_TICK).min(LONGEST_NS as u64) as i64
}

/// The transmission time of `bytes` at `rate` in ticks, as `tc` computes it: in whole microseconds first.
///
/// # Source
/// iproute2 6.1 `tc/tc_core.c` (`tc_calc_xmittime`).
pub(super) fn ticks(rate: Rate, bytes: ByteCount) -> u64 {
    whole_ticks(u128::from(bytes.get()) * 1_000_000 / u128::from((rate.as_bps() / 8).max(1)))
}

/// The default frequency of the kernel's timer, in interrupts per second.
pub(crate) const DEFAULT_HZ: NonZeroU32 = NonZeroU32::new(250).expect("250 is not 0");

/// The length of a jiffy.
pub(super) fn jiffy(hz: NonZeroU32) -> Span {
    Span::from_ps(1_000_000_000_000 / u64::from(hz.get()))
}

/// The period of a timer that rearms itself with `delay` after it has fired.
pub(super) fn timer_period(delay: Span, hz: NonZeroU32) -> Span {
    stepped_timer_period(delay, 0, hz)
}

/// The same for a timer that also fires in each of the next `steps` jiffies before it waits for the delay.
///
/// The delay is rounded up to jiffies, and the timer fires at the next boundary of the timer wheel *after*
/// it: of 1 jiffy below 63 jiffies, of 8 below 504, and so on.
///
/// # Source
/// Linux `kernel/time/time.c` (`usecs_to_jiffies`) and `kernel/time/timer.c` (`calc_wheel_index`,
/// `calc_index`).
pub(super) fn stepped_timer_period(delay: Span, steps: u64, hz: NonZeroU32) -> Span {
    let jiffy = jiffy(hz).as_ps();
    let jiffies = delay.as_ps().div_ceil(jiffy.max(1)).max(1);
    let mut granularity = 1;
    // The wheel has at most 9 levels; the clock is already one jiffy ahead when a timer's function runs.
    while granularity < 1 << 24 && jiffies > 63 * granularity {
        granularity *= 8;
    }
    // Its first step is a multiple of the granularity.
    Span::from_ps((((steps + jiffies) / granularity + 1) * granularity).saturating_mul(jiffy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> RateNs {
        RateNs::new(text.parse().unwrap())
    }

    #[test]
    fn the_present_is_rounded_down_and_the_last_nanosecond_is_never() {
        assert_eq!(nanoseconds(Time::from_ps(1_999)), 1);
        assert_eq!((instant(1), instant(-1)), (Time::from_ps(1_000), Time::ZERO));
        assert_eq!((nanoseconds(Time::NEVER), instant(LATEST)), (LATEST, Time::NEVER));
    }

    #[test]
    fn lengths_take_whole_nanoseconds() {
        assert_eq!(rate("10 Mbps").time(1514), 1_211_200);
        // 76 B take 32 us exactly at 19 Mbps; the factor is rounded down, and so is the product.
        assert_eq!(rate("19 Mbps").time(76), 31_999);
        assert_eq!(rate("19 Mbps").time(1514), 637_473);
        assert_eq!(rate("100 Gbps").time(64), 5);
        assert_eq!(rate("1 bps").time(1), 1_000_000_000);
        assert_eq!(rate("10 Mbps").time(u64::MAX), LONGEST_NS);
    }

    #[test]
    fn tc_counts_whole_microseconds_and_then_ticks() {
        let ticks = |rate: &str, bytes| ticks(rate.parse().unwrap(), ByteCount::new(bytes));
        assert_eq!(ticks("10 Mbps", 2_000), 25_000);
        assert_eq!(ticks("30 Mbps", 2_000), 8_328, "533.33 us: 8328.125 ticks of 533 us");
    }

    #[test]
    fn timers_fire_after_their_delay_on_the_wheel() {
        let period = |ms: u64, hz| timer_period(Span::from_ns(ms * 1_000_000), NonZeroU32::new(hz).unwrap());
        assert_eq!(period(15, 1_000), Span::from_ns(16_000_000));
        assert_eq!(period(15, 250), Span::from_ns(20_000_000));
        assert_eq!(period(500, 1_000), Span::from_ns(504_000_000));
        assert_eq!(period(500, 250), Span::from_ns(512_000_000));
        let hz = NonZeroU32::new(1_000).unwrap();
        assert_eq!(stepped_timer_period(Span::from_ns(15_000_000), 2, hz), Span::from_ns(18_000_000));
    }
}
