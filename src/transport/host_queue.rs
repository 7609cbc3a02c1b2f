//! The packets of a host's connections in the queue of its port, limited by TCP small queues.

use std::collections::VecDeque;

use super::segment::Segment;
use super::tcp::SEGMENT_OVERHEAD;
use crate::units::Time;

/// The memory of each connection in the queue of the host's port, if the port can hold packets.
#[derive(Debug, Default)]
pub struct HostQueue {
    /// Whether the host's ports can hold packets.
    is_counted: bool,
    connections: Vec<Queued>,
    /// Packets whose departure time is known, ordered by it.
    leaving: VecDeque<Leaving>,
    /// The number of connections that wait for a departure of their packets.
    waiting: u32,
    /// Connections whose awaited packet has left.
    woken: VecDeque<u32>,
    woken_at: Time,
}

/// The share of a connection in the queue.
#[derive(Debug, Clone, Copy, Default)]
struct Queued {
    memory: u32,
    /// The numbers of data segments that have entered and left the queue.
    entered: u32,
    left: u32,
    /// Whether a burst waits for one of them.
    waits: bool,
}

#[derive(Debug, Clone, Copy)]
struct Leaving {
    at: Time,
    connection: u32,
    memory: u32,
}

/// The memory of a segment in the queue; 0 without data.
fn memory_of(segment: &Segment) -> u32 {
    match segment.payload() as u32 {
        0 => 0,
        payload => SEGMENT_OVERHEAD as u32 + payload,
    }
}

impl HostQueue {
    /// Records that the host's ports can hold packets.
    pub fn start(&mut self) {
        self.is_counted = true;
    }

    /// A segment enters the port's queue.
    #[inline]
    pub fn enter(&mut self, segment: &Segment) {
        if self.is_counted {
            self.add(segment.from as usize, memory_of(segment));
        }
    }

    fn add(&mut self, connection: usize, memory: u32) {
        if memory == 0 {
            return;
        }
        if connection >= self.connections.len() {
            self.connections.resize(connection + 1, Queued::default());
        }
        let queued = &mut self.connections[connection];
        queued.memory += memory;
        queued.entered = queued.entered.wrapping_add(1);
    }

    /// The last bit of a segment leaves at `at`, or the segment was dropped then.
    pub fn leaves(&mut self, segment: &Segment, at: Time) {
        let memory = memory_of(segment);
        if memory == 0 {
            return;
        }
        let leaving = Leaving { at, connection: segment.from, memory };
        if self.leaving.back().is_none_or(|last| last.at <= at) {
            return self.leaving.push_back(leaving);
        }
        let later = self.leaving.iter().rev().take_while(|leaving| leaving.at > at).count();
        self.leaving.insert(self.leaving.len() - later, leaving);
    }

    /// Removes the packets that have left. `has_left` decides by their time.
    #[inline]
    pub fn pass(&mut self, has_left: impl Fn(Time) -> bool) {
        while let Some(first) = self.leaving.front().filter(|first| has_left(first.at)).copied() {
            self.leaving.pop_front();
            self.take_out(&first);
        }
    }

    fn take_out(&mut self, leaving: &Leaving) {
        let queued = &mut self.connections[leaving.connection as usize];
        queued.memory -= leaving.memory;
        queued.left = queued.left.wrapping_add(1);
        if std::mem::take(&mut queued.waits) {
            self.waiting -= 1;
            self.woken_at = leaving.at;
            self.woken.push_back(leaving.connection);
        }
    }

    /// When the next waiting connection continues.
    #[inline]
    pub fn next(&self) -> Time {
        if !self.woken.is_empty() {
            return self.woken_at;
        }
        match self.waiting {
            0 => Time::NEVER,
            _ => self.leaving.front().map_or(Time::NEVER, |first| first.at),
        }
    }

    /// Takes a connection that waited for a departure which has happened.
    pub fn woken(&mut self) -> Option<u32> {
        self.woken.pop_front()
    }

    /// The memory of a connection in the queue.
    #[inline]
    pub fn memory(&self, connection: u32) -> u64 {
        self.connections.get(connection as usize).map_or(0, |queued| queued.memory.into())
    }

    /// The number of data segments of a connection that have entered the queue.
    #[inline]
    pub fn entered(&self, connection: u32) -> u32 {
        self.connections.get(connection as usize).map_or(0, |queued| queued.entered)
    }

    /// Whether the segment that entered as number `mark` is still in the queue.
    pub fn has(&self, connection: u32, mark: u32) -> bool {
        let queued = self.connections.get(connection as usize);
        queued.is_some_and(|queued| {
            queued.entered.wrapping_sub(mark) < queued.entered.wrapping_sub(queued.left)
        })
    }

    /// Makes a connection wait for the departure of one of its packets.
    pub fn wait(&mut self, connection: u32) {
        let Some(queued) = self.connections.get_mut(connection as usize) else { return };
        if !std::mem::replace(&mut queued.waits, true) {
            self.waiting += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(from: u32, payload: u64) -> Segment {
        Segment { from, seq: 1, end: 1 + payload, ..Segment::default() }
    }

    #[test]
    fn a_connection_waits_for_its_own_packets_alone() {
        let mut queue = HostQueue::default();
        queue.start();
        for (from, payload, at) in [(0, 1_000, 20), (1, 500, 30), (1, 0, 10)] {
            let segment = segment(from, payload);
            queue.enter(&segment);
            queue.leaves(&segment, Time::from_ps(at));
        }
        assert_eq!((queue.memory(0), queue.memory(1), queue.next()), (1_768, 1_268, Time::NEVER));
        queue.wait(1);
        queue.wait(1);
        // A segment without data takes no memory, so the first departure is that of connection 0.
        assert_eq!(queue.next(), Time::from_ps(20));
        queue.pass(|at| at <= Time::from_ps(20));
        assert_eq!((queue.memory(0), queue.woken(), queue.next()), (0, None, Time::from_ps(30)));
        queue.pass(|at| at <= Time::from_ps(40));
        assert_eq!((queue.next(), queue.woken(), queue.woken()), (Time::from_ps(30), Some(1), None));
        assert_eq!((queue.memory(1), queue.next()), (0, Time::NEVER));
    }

    #[test]
    fn a_segment_is_in_the_queue_until_it_has_left() {
        let mut queue = HostQueue::default();
        let [first, second] = [segment(0, 100), segment(0, 200)];
        queue.enter(&first);
        assert_eq!(queue.entered(0), 0, "nothing is counted where no port holds packets");
        queue.start();
        queue.enter(&first);
        let mark = queue.entered(0);
        queue.enter(&second);
        // Earlier departures are removed first, regardless of the order in which they became known.
        queue.leaves(&second, Time::from_ps(9));
        queue.leaves(&first, Time::from_ps(5));
        assert!(queue.has(0, mark) && queue.has(0, mark + 1));
        queue.pass(|at| at < Time::from_ps(9));
        assert!(!queue.has(0, mark) && queue.has(0, mark + 1));
        assert_eq!(queue.memory(0), 968);
    }
}
