//! The event queue: one entry per entity (a busy link, a waiting port, a source), keyed by its
//! earliest event and re-keyed as that changes.

use std::cmp::Reverse;

use priority_queue::PriorityQueue;
use rustc_hash::FxBuildHasher;

use crate::units::Time;

/// Which entity acts when. Entities that act at one instant act in the order of their numbers.
#[derive(Default)]
pub struct EventQueue {
    entries: PriorityQueue<u32, Reverse<(Time, u32)>, FxBuildHasher>,
}

impl EventQueue {
    /// The entity's next event is at `time`, whatever it was before.
    ///
    /// # Complexity
    /// O(log entities).
    #[inline]
    pub fn schedule(&mut self, entity: u32, time: Time) {
        self.entries.push(entity, Reverse((time, entity)));
    }

    /// The entity has no next event.
    #[inline]
    pub fn cancel(&mut self, entity: u32) {
        self.entries.remove(&entity);
    }

    /// The earliest event; it stays until it is re-scheduled or cancelled.
    #[inline]
    pub fn peek(&self) -> Option<(Time, u32)> {
        self.entries.peek().map(|(_, Reverse(key))| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut EventQueue) -> Vec<(u64, u32)> {
        let mut events = Vec::new();
        while let Some((time, entity)) = queue.peek() {
            events.push((time.as_ps(), entity));
            queue.cancel(entity);
        }
        events
    }

    #[test]
    fn simultaneous_events_come_by_number_whatever_the_insertion_order() {
        let mut queue = EventQueue::default();
        for (entity, time) in [(3, 5), (1, 5), (2, 4), (0, 6)] {
            queue.schedule(entity, Time::from_ps(time));
        }
        assert_eq!(drain(&mut queue), [(4, 2), (5, 1), (5, 3), (6, 0)]);
    }

    #[test]
    fn an_entity_is_re_keyed_both_ways_and_cancelled() {
        let mut queue = EventQueue::default();
        queue.schedule(0, Time::from_ps(5));
        queue.schedule(1, Time::from_ps(6));
        queue.schedule(2, Time::from_ps(7));
        queue.schedule(0, Time::from_ps(9));
        queue.schedule(2, Time::from_ps(1));
        queue.cancel(1);
        queue.cancel(1);
        assert_eq!(drain(&mut queue), [(1, 2), (9, 0)]);
    }
}
