//! Delayed packets in the order of their due times.

use std::collections::{BTreeMap, VecDeque};

use crate::packet::Tau;

/// A queue in the order of due times; packets with equal due times stay in the order in which they joined.
///
/// A packet that is due no earlier than the last one to join goes to the end of a line; without jitter, this
/// holds for all packets. Any other packet goes to a tree.
///
/// # Source
/// Linux 6.1 `net/sched/sch_netem.c` (`tfifo_enqueue`, `netem_peek`).
#[derive(Default)]
pub(super) struct TimeFifo {
    line: VecDeque<(i64, Tau)>,
    /// By due time, and by the number of packets that joined before.
    tree: BTreeMap<(i64, u64), Tau>,
    joined: u64,
}

impl TimeFifo {
    /// Adds a packet that is due at `due`.
    pub fn push(&mut self, due: i64, tau: Tau) {
        self.joined += 1;
        match self.line.back() {
            Some(&(last, _)) if due < last => {
                self.tree.insert((due, self.joined), tau);
            }
            _ => self.line.push_back((due, tau)),
        }
    }

    /// The due time of the first packet.
    #[inline]
    pub fn next_time(&self) -> Option<i64> {
        let (line, tree) = (self.line.front(), self.tree.first_key_value());
        let times = line.map(|&(due, _)| due).into_iter().chain(tree.map(|(&(due, _), _)| due));
        times.min()
    }

    /// The due time of the last packet.
    #[inline]
    pub fn latest(&self) -> Option<i64> {
        let (line, tree) = (self.line.back(), self.tree.last_key_value());
        let times = line.map(|&(due, _)| due).into_iter().chain(tree.map(|(&(due, _), _)| due));
        times.max()
    }

    /// Takes the first packet.
    pub fn pop(&mut self) -> Option<Tau> {
        // Packets in the tree joined after packets in the line with equal due times.
        let from_tree = match (self.line.front(), self.tree.first_key_value()) {
            (Some(&(line, _)), Some((&(tree, _), _))) => tree < line,
            (None, _) => true,
            (_, None) => false,
        };
        if from_tree {
            self.tree.pop_first().map(|(_, tau)| tau)
        } else {
            self.line.pop_front().map(|(_, tau)| tau)
        }
    }

    /// Appends every packet.
    pub fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(self.line.iter().map(|&(_, tau)| tau));
        waiting.extend(self.tree.values());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packets_leave_by_their_times_and_ties_as_they_joined(steps in prop::collection::vec((0..20i64, 0..3u8), 0..200)) {
            let mut queue = TimeFifo::default();
            let mut model: Vec<(i64, u64)> = Vec::new();
            // As in netem, no packet joins that is due before one that has left.
            let mut left = 0;
            for (pid, (ahead, action)) in (0..).zip(steps) {
                prop_assert_eq!(queue.next_time(), model.iter().map(|&(due, _)| due).min());
                prop_assert_eq!(queue.latest(), model.iter().map(|&(due, _)| due).max());
                if action > 0 {
                    let packet = Packet { pid, ..Packet::default() };
                    queue.push(left + ahead, Tau { packet, ..Tau::default() });
                    model.push((left + ahead, pid));
                } else {
                    let first = model.iter().min().copied();
                    model.retain(|entry| Some(*entry) != first);
                    left = first.map_or(left, |(due, _)| due);
                    prop_assert_eq!(queue.pop().map(|tau| tau.packet.pid), first.map(|(_, pid)| pid));
                }
            }
        }
    }
}
