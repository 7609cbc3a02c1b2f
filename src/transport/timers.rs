//! The timers of a host.
//!
//! A timer is stored where it is used ([`Timer`]); the host's heap ([`Timers`]) determines the next one. Most
//! timers are postponed repeatedly. Such a timer keeps its entry in the heap, which is updated when it
//! becomes the first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::clock::{Clock, HostTime};
use crate::units::Time;

/// The purpose of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Retransmission timeout, loss probe, reordering timeout, window probe: TCP has one timer for all of
    /// them.
    Retransmission,
    /// A delayed acknowledgement.
    DelayedAck,
    /// A compressed acknowledgement.
    CompressedAck,
    /// The pacing rate allows the next burst.
    Pacing,
    /// The application was woken.
    Process,
    /// The application wanted to run.
    Alarm,
}

/// One timer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timer {
    /// When it fires.
    key: Key,
    /// Its first entry in the heap, which is not later than the timer.
    queued: Key,
    /// The requested tick, for a timer of the timer wheel.
    tick: u64,
}

/// When a timer fires, and its rank among those of one instant. No two settings at a host are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// [`Time::NEVER`] if it is not set.
    at: Time,
    rank: u64,
}

impl Default for Key {
    fn default() -> Self {
        Key { at: Time::NEVER, rank: u64::MAX }
    }
}

impl Timer {
    /// When it fires; [`Time::NEVER`] if it is not set.
    pub fn at(&self) -> Time {
        self.key.at
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.key.at < Time::NEVER
    }

    /// Stops the timer.
    pub fn cancel(&mut self) {
        self.key.at = Time::NEVER;
    }
}

/// The timers of a host, in order of time.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<Due>>,
    settings: u64,
}

/// A setting of a timer, in the order in which timers fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    key: Key,
    /// The connection that set it.
    pub connection: u32,
    /// The purpose.
    pub purpose: Purpose,
}

impl Due {
    /// When it fires.
    pub fn at(&self) -> Time {
        self.key.at
    }

    /// Whether `timer` still has this setting. If so, clears it.
    pub fn take(&self, timer: &mut Timer) -> bool {
        if timer.queued == self.key {
            timer.queued = Key::default();
        }
        let is_set = timer.key == self.key;
        if is_set {
            timer.cancel();
        }
        is_set
    }
}

/// The kernel counts its ticks, and the steps of the wheel, from 300 s before 0.
const FIRST_TICK: u64 = 300_000;

/// The number of slots of one level of the wheel, minus one.
const SLOTS: u64 = 63;

/// Ranks of ticks are below; all others start here.
const EXACT: u64 = 1 << 63;

impl Timers {
    /// Sets a timer of the kernel's timer wheel to a tick. It fires in the slot after that tick: a
    /// millisecond later up to 62 ms ahead, then in steps of 8, 64 and 512 ms. Timers of one slot fire in
    /// reverse order of setting.
    ///
    /// # Source
    /// Linux `kernel/time/timer.c`, `calc_wheel_index`; `INITIAL_JIFFIES`.
    pub fn set_tick(
        &mut self,
        timer: &mut Timer,
        whose: (u32, Purpose),
        tick: u64,
        clock: &Clock,
        now: HostTime,
    ) {
        // A timer already set to this tick keeps its slot.
        if timer.is_set() && timer.tick == tick {
            return;
        }
        timer.tick = tick;
        let now = now.ticks();
        let mut level = 0;
        while tick.saturating_sub(now) >= SLOTS << (3 * level) {
            level += 1;
        }
        let bits = 3 * level;
        let slot = ((((tick.max(now + 1) - FIRST_TICK) >> bits) + 1) << bits) + FIRST_TICK;
        let at = clock.time_of(HostTime::from_ns(slot * 1_000_000));
        if timer.key.at != at {
            // A coarse level expires before a finer one, and within a slot the last set timer fires first.
            self.push(timer, whose, at, EXACT - 1 - (level << 56) - self.settings);
        }
    }

    /// Sets a timer to an instant. Timers of one instant fire in the order in which they were set.
    pub fn set(&mut self, timer: &mut Timer, whose: (u32, Purpose), at: Time) {
        if timer.key.at != at {
            self.push(timer, whose, at, EXACT + self.settings);
        }
    }

    /// Sets a timer to the current instant, after all other timers of the instant. The caller fires it.
    pub fn set_now(&mut self, timer: &mut Timer, (connection, purpose): (u32, Purpose), now: Time) -> Due {
        timer.key = Key { at: now, rank: EXACT + self.settings };
        self.settings += 1;
        Due { key: timer.key, connection, purpose }
    }

    fn push(&mut self, timer: &mut Timer, (connection, purpose): (u32, Purpose), at: Time, rank: u64) {
        self.settings += 1;
        timer.key = Key { at, rank };
        if timer.key < timer.queued {
            timer.queued = timer.key;
            self.heap.push(Reverse(Due { key: timer.key, connection, purpose }));
        }
    }

    /// When the first timer fires, or earlier if it was postponed.
    #[inline]
    pub fn next(&self) -> Time {
        self.heap.peek().map_or(Time::NEVER, |Reverse(first)| first.key.at)
    }

    /// The first entry, if its time is not after `now`.
    #[inline]
    pub fn first(&mut self, now: Time) -> Option<First<'_>> {
        self.heap.peek_mut().filter(|first| first.0.at() <= now).map(First)
    }

    /// Removes the first entry, whose timer fires.
    pub fn pop(&mut self) {
        self.heap.pop();
    }
}

/// The first entry of the heap.
pub struct First<'a>(PeekMut<'a, Reverse<Due>>);

impl First<'_> {
    /// The setting of the entry.
    pub fn due(&self) -> Due {
        self.0.0
    }

    /// Whether its `timer` fires now. If it was postponed, the entry is moved; if it is no longer set, or is
    /// gone, the entry is removed.
    pub fn fires(mut self, timer: Option<&mut Timer>) -> bool {
        let key = self.0.0.key;
        match timer.filter(|timer| timer.queued == key) {
            Some(timer) if timer.key == key => return true,
            Some(timer) if timer.is_set() => {
                timer.queued = timer.key;
                self.0.0.key = timer.key;
                return false;
            }
            Some(timer) => timer.queued = Key::default(),
            None => {}
        }
        PeekMut::pop(self.0);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Timestamp;
    use proptest::prelude::*;

    /// An action on one of two timers of each kind: it is set to an instant or a tick some ms ahead, or
    /// stopped; or time advances.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Set(usize, u64),
        SetTick(usize, u64),
        Cancel(usize),
        GoOn(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..2usize, 0..9u64).prop_map(|(timer, ahead)| Step::Set(timer, ahead)),
            (2..4usize, 1..9u64).prop_map(|(timer, ahead)| Step::SetTick(timer, ahead)),
            (0..4usize).prop_map(Step::Cancel),
            (0..4u64).prop_map(Step::GoOn),
        ]
    }

    proptest! {
        /// After any sequence of settings and stops, timers fire at their times: those of ticks first, in
        /// reverse order of setting, then the others in order of setting.
        #[test]
        fn timers_fire_as_they_were_set_last(steps in prop::collection::vec(step(), 1..80)) {
            let clock = Clock::new(Timestamp::from_ps(0));
            let (mut timers, mut mine) = (Timers::default(), [Timer::default(); 4]);
            // By timer: when it fires, whether it is exact, and its rank among its kind.
            let mut model: [Option<(u64, bool, i64)>; 4] = [None; 4];
            let mut now = 0;
            let ms = |ms: u64| Time::from_ps(ms * 1_000_000_000);
            for (count, step) in (1..).zip(steps) {
                match step {
                    Step::Set(timer, ahead) => {
                        let whose = (timer as u32, Purpose::Pacing);
                        timers.set(&mut mine[timer], whose, ms(now + ahead));
                        if model[timer].is_none_or(|(at, ..)| at != now + ahead) {
                            model[timer] = Some((now + ahead, true, count));
                        }
                    }
                    Step::SetTick(timer, ahead) => {
                        let (whose, at) = ((timer as u32, Purpose::Pacing), clock.read(ms(now)));
                        timers.set_tick(&mut mine[timer], whose, at.ticks() + ahead, &clock, at);
                        let fires = now + ahead + 1;
                        if model[timer].is_none_or(|(at, ..)| at != fires) {
                            model[timer] = Some((fires, false, -count));
                        }
                    }
                    Step::Cancel(timer) => {
                        mine[timer].cancel();
                        model[timer] = None;
                    }
                    Step::GoOn(by) => {
                        now += by;
                        while let Some((place, (at, ..))) = model
                            .iter()
                            .enumerate()
                            .filter_map(|(place, set)| Some((place, (*set)?)))
                            .min_by_key(|(_, set)| *set)
                            .filter(|(_, (at, ..))| *at <= now)
                        {
                            prop_assert!(timers.next() <= ms(at));
                            let due = first_due(&mut timers, &mut mine, ms(now));
                            let due = due.expect("one is due");
                            prop_assert_eq!((due.connection as usize, due.at()), (place, ms(at)));
                            timers.pop();
                            prop_assert!(due.take(&mut mine[place]));
                            model[place] = None;
                        }
                        prop_assert!(first_due(&mut timers, &mut mine, ms(now)).is_none());
                        prop_assert!(timers.next() > ms(now));
                    }
                }
            }
        }
    }

    fn first_due(timers: &mut Timers, mine: &mut [Timer], now: Time) -> Option<Due> {
        while let Some(first) = timers.first(now) {
            let due = first.due();
            if first.fires(mine.get_mut(due.connection as usize)) {
                return Some(due);
            }
        }
        None
    }
}
