//! The event queues: one entry per feeder (a busy link, a source) and one per waiting port, each keyed by its
//! earliest event.

use std::cmp::Reverse;

use priority_queue::PriorityQueue;
use rustc_hash::FxBuildHasher;

use crate::units::Time;

/// The departures of ports. A port's next departure can change or be cancelled, which `priority-queue`
/// supports.
pub struct DepartureQueue {
    entries: PriorityQueue<u32, Reverse<(Time, u32)>, FxBuildHasher>,
    first: (Time, u32),
}

/// No departure.
const NOBODY: (Time, u32) = (Time::NEVER, u32::MAX);

impl Default for DepartureQueue {
    fn default() -> Self {
        DepartureQueue { entries: PriorityQueue::default(), first: NOBODY }
    }
}

impl DepartureQueue {
    /// Sets the port's next departure to `time`, or removes it.
    ///
    /// # Complexity
    /// O(log ports).
    #[inline]
    pub fn schedule(&mut self, port: u32, time: Option<Time>) {
        match time {
            Some(time) => self.entries.push(port, Reverse((time, port))).map(|_| ()),
            None => self.entries.remove(&port).map(|_| ()),
        };
        self.first = self.entries.peek().map_or(NOBODY, |(_, Reverse(key))| *key);
    }

    /// The earliest departure; at one instant that of the lowest port. Without a departure the time is
    /// [`Time::NEVER`].
    #[inline]
    pub fn first(&self) -> (Time, u32) {
        self.first
    }

    /// Whether any port has a next departure.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The arrivals of feeders: a winner tree over all feeders.
///
/// A feeder's rank is its leaf, so among simultaneous events the left one wins.
///
/// # Source
/// D. E. Knuth, The Art of Computer Programming 3, 5.4.1: a tree of winners.
pub struct ArrivalQueue {
    /// By rank: the feeder's next event in picoseconds, or [`NEVER`].
    times: Vec<u64>,
    /// `[2 x leaves]`: the rank of the earliest event below each node. The root is 1; the leaves are the
    /// second half.
    winners: Vec<u32>,
    /// The earliest event of all.
    first: (u64, u32),
}

/// No event: one less than the maximum, so that adding one does not overflow.
const NEVER: u64 = u64::MAX - 1;

impl ArrivalQueue {
    /// No event yet for any of `feeders`.
    pub fn new(feeders: usize) -> Self {
        let leaves = feeders.next_power_of_two().max(2);
        let mut winners = vec![0; 2 * leaves];
        for node in (1..2 * leaves).rev() {
            winners[node] = match node.checked_sub(leaves) {
                Some(turn) => turn as u32,
                None => winners[2 * node],
            };
        }
        ArrivalQueue { times: vec![NEVER; leaves], winners, first: (NEVER, 0) }
    }

    /// Sets the next event of the feeder with this rank to `time`; [`Time::NEVER`] means none.
    ///
    /// # Complexity
    /// O(log feeders).
    #[inline]
    pub fn schedule(&mut self, turn: u32, time: Time) {
        let ArrivalQueue { times, winners, first } = self;
        let mut earliest = time.as_ps().min(NEVER);
        times[turn as usize] = earliest;
        let (mut node, mut winner) = (times.len() + turn as usize, turn);
        while node > 1 {
            // The winner is unpredictable, so the code does not branch on it. At one instant a right node
            // loses.
            let sibling = winners[node ^ 1];
            let of_sibling = times[sibling as usize];
            let sibling_wins = of_sibling < earliest + (node as u64 & 1);
            winner = if sibling_wins { sibling } else { winner };
            earliest = if sibling_wins { of_sibling } else { earliest };
            node /= 2;
            // If another feeder won before and wins again, nothing changes above.
            if winner != turn && winners[node] == winner {
                return;
            }
            winners[node] = winner;
        }
        *first = (earliest, winner);
    }

    /// The next event of the feeder with this rank. Without an event, it is later than any time of a run.
    #[inline]
    pub fn time(&self, turn: u32) -> Time {
        Time::from_ps(self.times[turn as usize])
    }

    /// The time of the earliest event; [`Time::NEVER`] if there is none.
    #[inline]
    pub fn earliest(&self) -> Time {
        if self.first.0 == NEVER { Time::NEVER } else { Time::from_ps(self.first.0) }
    }

    /// The rank of the earliest event; at one instant the lowest.
    #[inline]
    pub fn first(&self) -> u32 {
        self.first.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn simultaneous_departures_come_by_port_whatever_the_insertion_order() {
        let mut queue = DepartureQueue::default();
        for (port, time) in [(3, 5), (1, 5), (2, 4), (0, 6), (4, 1)] {
            queue.schedule(port, Some(Time::from_ps(time)));
        }
        queue.schedule(4, None);
        queue.schedule(0, Some(Time::from_ps(3)));
        let mut events = Vec::new();
        while !queue.is_empty() {
            let (time, port) = queue.first();
            events.push((time.as_ps(), port));
            queue.schedule(port, None);
        }
        assert_eq!(events, [(3, 0), (4, 2), (5, 1), (5, 3)]);
    }

    proptest! {
        #[test]
        fn arrivals_come_by_time_and_turn(steps in prop::collection::vec((0..13u32, 0..20u64), 1..200)) {
            let mut queue = ArrivalQueue::new(13);
            let mut model = std::collections::BTreeMap::new();
            for (turn, time) in steps {
                // 0 means "no event".
                let time = if time == 0 { Time::NEVER } else { Time::from_ps(time) };
                queue.schedule(turn, time);
                model.insert(turn, time);
                let first = model.iter().min_by_key(|(turn, time)| (**time, **turn)).unwrap();
                prop_assert_eq!(queue.earliest(), *first.1);
                if *first.1 < Time::NEVER {
                    prop_assert_eq!(queue.first(), *first.0);
                }
            }
        }
    }
}
