//! The packets that have reached a port on a cycle, which is visited several times in a window.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::inboxes::{Bringer, Inbox};
use crate::packet::Tau;
use crate::units::Time;

/// The packets that wait for a visit to the port, ordered by the time at which they join, then by feeder.
///
/// # Complexity
/// O(log feeders) to take a packet and O(1) to add one. If packets of a feeder overtake each other, adding
/// costs O(packets of that feeder).
#[derive(Default)]
pub(super) struct Arrivals {
    /// By rank.
    feeders: Vec<Brought>,
    /// The first packet of each feeder: the time at which it joins, and the feeder's rank.
    first: BinaryHeap<Reverse<(Time, u32)>>,
}

/// The packets of one feeder, in order.
struct Brought {
    turn: u32,
    taus: VecDeque<Tau>,
}

impl Arrivals {
    /// Adds the packets of an inbox.
    pub fn receive(&mut self, inbox: &Inbox) {
        let Arrivals { feeders, first } = self;
        for (Bringer { turn, is_unordered }, run) in inbox.runs() {
            let place = feeders.binary_search_by_key(&turn, |feeder| feeder.turn).unwrap_or_else(|place| {
                feeders.insert(place, Brought { turn, taus: VecDeque::new() });
                place
            });
            let taus = &mut feeders[place].taus;
            let before = taus.front().map(|tau| tau.timestamp);
            taus.extend(run);
            if is_unordered {
                taus.make_contiguous().sort_by_key(|tau| tau.timestamp);
            }
            let now = taus.front().map(|tau| tau.timestamp);
            if before != now {
                if before.is_some() {
                    first.retain(|Reverse((_, other))| *other != turn);
                }
                if let Some(time) = now {
                    first.push(Reverse((time, turn)));
                }
            }
        }
    }

    /// When the first packet joins.
    #[inline]
    pub fn next(&self) -> Option<Time> {
        self.first.peek().map(|Reverse((time, _))| *time)
    }

    /// Takes all packets that join before `end`.
    pub fn take(&mut self, end: Time, taken: &mut Vec<Tau>) {
        while let Some(&Reverse((time, turn))) = self.first.peek()
            && time < end
        {
            self.first.pop();
            let Ok(place) = self.feeders.binary_search_by_key(&turn, |feeder| feeder.turn) else { continue };
            let taus = &mut self.feeders[place].taus;
            // Packets of this feeder up to the first packet of any other feeder can be taken together.
            let until = self.first.peek().map_or((end, 0), |Reverse(other)| (*other).min((end, 0)));
            while let Some(tau) = taus.front()
                && (tau.timestamp, turn) < until
            {
                taken.push(*tau);
                taus.pop_front();
            }
            if let Some(tau) = taus.front() {
                self.first.push(Reverse((tau.timestamp, turn)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stream::inboxes::Inboxes;
    use crate::packet::Packet;
    use crate::topology::PortId;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_are_taken_by_time_feeder_and_as_they_came(
            steps in prop::collection::vec((0..5u32, prop::collection::vec(0..9u64, 0..4), 0..4u64), 0..40),
        ) {
            let (mut arrivals, mut waiting, mut pid, mut now) = (Arrivals::default(), Vec::new(), 0, 0);
            let mut last = [0; 5];
            for (turn, later, ahead) in steps {
                // Feeders with even ranks keep their packets in order.
                let is_unordered = turn % 2 == 1;
                let mut inboxes = Inboxes::new(1);
                inboxes.begin(Time::NEVER);
                for later in later {
                    let time = if is_unordered { now + later } else { last[turn as usize].max(now) + later };
                    last[turn as usize] = time;
                    let packet = Packet { pid, ..Packet::default() };
                    let tau = Tau { timestamp: Time::from_ps(time), packet };
                    inboxes.push(Bringer { turn, is_unordered }, PortId::new(0), &tau);
                    waiting.push((time, turn, pid));
                    pid += 1;
                }
                if let Some(inbox) = inboxes.take(PortId::new(0)) {
                    arrivals.receive(&inbox);
                }
                waiting.sort_unstable();
                prop_assert_eq!(arrivals.next().map(Time::as_ps), waiting.first().map(|first| first.0));
                now += ahead;
                let mut taken = Vec::new();
                arrivals.take(Time::from_ps(now), &mut taken);
                let expected: Vec<u64> =
                    waiting.extract_if(.., |(time, ..)| *time < now).map(|(.., pid)| pid).collect();
                prop_assert_eq!(taken.iter().map(|tau| tau.packet.pid).collect::<Vec<_>>(), expected);
            }
        }
    }
}
