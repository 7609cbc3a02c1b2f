//! The choice of the next queue in disciplines that serve new flows before old ones: `fq-codel`, `fq-pie`.

use std::collections::VecDeque;

use crate::packet::Tau;
use crate::units::ByteCount;

/// The new and the old queues, and their credit. [`FqCodel`](super::FqCodel) documents the rule.
///
/// # Source
/// Linux 6.1 `net/sched/sch_fq_codel.c` (`fq_codel_dequeue`) and `sch_fq_pie.c` (`fq_pie_qdisc_dequeue`),
/// which do the same; RFC 8290, Section 4.2.
pub(super) struct FlowLists {
    quantum: i64,
    /// One per queue.
    turns: Vec<Turn>,
    new: VecDeque<u32>,
    old: VecDeque<u32>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    /// Bytes that the queue may still send in this round.
    credit: i64,
    /// Whether the queue is in one of the lists.
    listed: bool,
}

impl FlowLists {
    /// Creates lists for `queues` queues, none of which is in a list.
    pub fn new(queues: u32, quantum: ByteCount) -> Self {
        FlowLists {
            quantum: i64::try_from(quantum.get()).unwrap_or(i64::MAX),
            turns: vec![Turn::default(); queues as usize],
            new: VecDeque::new(),
            old: VecDeque::new(),
        }
    }

    /// A packet has joined `queue`, which becomes a new queue if it is in neither list.
    #[inline]
    pub fn join(&mut self, queue: usize) {
        let turn = &mut self.turns[queue];
        if !turn.listed {
            *turn = Turn { credit: self.quantum, listed: true };
            self.new.push_back(queue as u32);
        }
    }

    /// The packet that leaves; `take` takes one from a queue unless it is empty.
    pub fn next(&mut self, mut take: impl FnMut(usize) -> Option<Tau>) -> Option<Tau> {
        loop {
            let from_new = !self.new.is_empty();
            let list = if from_new { &mut self.new } else { &mut self.old };
            let queue = *list.front()?;
            let turn = &mut self.turns[queue as usize];
            if turn.credit <= 0 {
                turn.credit = turn.credit.saturating_add(self.quantum);
                list.pop_front();
                self.old.push_back(queue);
                continue;
            }
            if let Some(tau) = take(queue as usize) {
                turn.credit -= i64::from(tau.packet.length);
                return Some(tau);
            }
            list.pop_front();
            if from_new && !self.old.is_empty() {
                self.old.push_back(queue);
            } else {
                turn.listed = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;

    /// Queues of packets of 600 B, and their lists.
    struct Queues {
        lists: FlowLists,
        packets: [u32; 2],
    }

    impl Queues {
        fn join(&mut self, queue: usize) {
            self.packets[queue] += 1;
            self.lists.join(queue);
        }

        /// The queue that sends.
        fn next(&mut self) -> Option<u32> {
            let packets = &mut self.packets;
            let sent = self.lists.next(|queue| {
                packets[queue] = packets[queue].checked_sub(1)?;
                let packet = Packet { fid: queue as u32, length: 600, ..Packet::default() };
                Some(Tau { packet, ..Tau::default() })
            });
            sent.map(|tau| tau.packet.fid)
        }

        fn lengths(&self) -> (usize, usize) {
            (self.lists.new.len(), self.lists.old.len())
        }
    }

    #[test]
    fn an_empty_new_queue_becomes_old_before_it_leaves() {
        let mut queues = Queues { lists: FlowLists::new(2, ByteCount::new(1_000)), packets: [0; 2] };
        for queue in [0, 0, 0, 0, 1] {
            queues.join(queue);
        }
        // Two packets make queue 0 old. Queue 1 sends, is empty, and goes behind queue 0.
        let sent = [queues.next(), queues.next(), queues.next(), queues.next()];
        assert_eq!(sent, [Some(0), Some(0), Some(1), Some(0)]);
        assert_eq!(queues.lengths(), (0, 2));
        queues.join(1);
        assert_eq!(queues.lengths(), (0, 2), "not new again");
        while queues.next().is_some() {}
        assert_eq!(queues.lengths(), (0, 0));
        queues.join(1);
        assert_eq!(queues.lengths(), (1, 0));
    }
}
