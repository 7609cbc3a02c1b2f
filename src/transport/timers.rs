//! The timers of a host.
//!
//! A timer lives where it is used ([`Timer`]); the host's heap ([`Timers`]) says which is next. Setting one again
//! leaves a stale entry in the heap, which is skipped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::clock::{Clock, HostTime};
use crate::units::Time;

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Retransmission timeout, loss probe, reordering timeout, window probe: TCP has one timer for them.
    Retransmission,
    /// A delayed acknowledgement.
    DelayedAck,
    /// A compressed acknowledgement.
    CompressedAck,
    /// The pacing rate allows the next burst.
    Pacing,
    /// The process was woken.
    Process,
    /// The process wanted to run.
    Alarm,
}

/// One timer.
#[derive(Debug, Clone, Copy)]
pub struct Timer {
    /// When it fires; [`Time::NEVER`] where it is not set.
    at: Time,
    /// Which setting of all settings at the host this is.
    setting: u64,
    /// The tick that was asked for, where it goes by ticks.
    tick: u64,
}

impl Default for Timer {
    fn default() -> Self {
        Timer { at: Time::NEVER, setting: 0, tick: 0 }
    }
}

impl Timer {
    /// When it fires; [`Time::NEVER`] where it is not set.
    pub fn at(&self) -> Time {
        self.at
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.at < Time::NEVER
    }

    /// It does not fire.
    pub fn cancel(&mut self) {
        self.at = Time::NEVER;
    }
}

/// The timers of a host, by instant.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    settings: u64,
}

/// A setting of a timer, in the order in which timers fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Time,
    rank: u64,
    setting: u64,
    connection: u32,
    purpose: Purpose,
}

/// A timer that fires.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// The connection that set it.
    pub connection: u32,
    /// What it was set for.
    pub purpose: Purpose,
    setting: u64,
    at: Time,
}

impl Due {
    /// When it fires.
    pub fn at(&self) -> Time {
        self.at
    }

    /// Whether this is the setting that `timer` still has; it is taken from it.
    pub fn take(&self, timer: &mut Timer) -> bool {
        let is_set = self.is_of(timer);
        if is_set {
            timer.cancel();
        }
        is_set
    }

    /// Whether this is the setting that `timer` still has.
    pub fn is_of(&self, timer: &Timer) -> bool {
        timer.at == self.at && timer.setting == self.setting
    }
}

/// The kernel counts its ticks from 300 s before 0, and the steps of the wheel with them.
const FIRST_TICK: u64 = 300_000;

/// Slots of one level of the wheel, less one.
const SLOTS: u64 = 63;

/// Ranks of ticks are below, all others from here on.
const EXACT: u64 = 1 << 63;

impl Timers {
    /// Sets a timer of the kernel's wheel to a tick. It fires in the slot after that one: a millisecond later up to 62 ms
    /// ahead, then in steps of 8, 64 and 512 ms. Of the timers of one slot the last set fires first.
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
        // What is set to this tick already stays in its slot.
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
        if timer.at != at {
            // A coarse level expires before a finer one, and of a slot the last set comes first.
            self.push(timer, whose, at, EXACT - 1 - (level << 56) - self.settings);
        }
    }

    /// Sets a timer to an instant. Timers of one instant fire in the order in which they were set.
    pub fn set(&mut self, timer: &mut Timer, whose: (u32, Purpose), at: Time) {
        if timer.at != at {
            self.push(timer, whose, at, EXACT + self.settings);
        }
    }

    /// Sets a timer to this very instant, which the caller sees to itself, behind all other timers of the instant.
    pub fn set_now(&mut self, timer: &mut Timer, (connection, purpose): (u32, Purpose), now: Time) -> Due {
        self.settings += 1;
        (timer.at, timer.setting) = (now, self.settings);
        Due { connection, purpose, setting: self.settings, at: now }
    }

    fn push(&mut self, timer: &mut Timer, (connection, purpose): (u32, Purpose), at: Time, rank: u64) {
        self.settings += 1;
        let setting = self.settings;
        (timer.at, timer.setting) = (at, setting);
        self.heap.push(Reverse(Entry { at, rank, setting, connection, purpose }));
    }

    /// The next entry, which may be stale.
    pub fn first(&self) -> Option<Due> {
        self.heap.peek().map(|Reverse(entry)| Due {
            connection: entry.connection,
            purpose: entry.purpose,
            setting: entry.setting,
            at: entry.at,
        })
    }

    /// Removes the next entry.
    pub fn pop(&mut self) {
        self.heap.pop();
    }
}
