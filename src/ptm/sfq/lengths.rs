//! Queues indexed by their number of packets.

/// The queues of each length, the most recently changed first: a doubly linked list per length.
///
/// # Complexity
/// O(1) per change. Finding the longest is O(1) amortized, since a change adds at most one list to the
/// search.
///
/// # Source
/// Linux 6.1 `net/sched/sch_sfq.c` (`sfq_link`, `sfq_inc`, `sfq_dec`).
pub(super) struct Lengths {
    /// The first queue of each length; [`NONE`] if there is none.
    first: Vec<u32>,
    /// The neighbours of each queue in its list.
    links: Vec<Links>,
    /// No queue is longer than this.
    longest: usize,
}

#[derive(Clone, Copy)]
struct Links {
    before: u32,
    after: u32,
}

const NONE: u32 = u32::MAX;

impl Lengths {
    /// Creates empty queues that hold at most `most` packets.
    pub fn new(queues: usize, most: usize) -> Self {
        Lengths {
            first: vec![NONE; most + 1],
            links: vec![Links { before: NONE, after: NONE }; queues],
            longest: 0,
        }
    }

    /// Records that the length of a queue changed from `before` to `now` packets.
    pub fn change(&mut self, queue: usize, before: usize, now: usize) {
        if before > 0 {
            let Links { before: left, after: right } = self.links[queue];
            match left {
                NONE => self.first[before] = right,
                left => self.links[left as usize].after = right,
            }
            if right != NONE {
                self.links[right as usize].before = left;
            }
        }
        if now > 0 {
            let second = std::mem::replace(&mut self.first[now], queue as u32);
            self.links[queue] = Links { before: NONE, after: second };
            if second != NONE {
                self.links[second as usize].before = queue as u32;
            }
            self.longest = self.longest.max(now);
        }
    }

    /// The longest queue; among several, the most recently changed. `None` if all are empty.
    pub fn longest(&mut self) -> Option<usize> {
        while self.longest > 0 && self.first[self.longest] == NONE {
            self.longest -= 1;
        }
        (self.longest > 0).then(|| self.first[self.longest] as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The same result as a search through all queues.
        #[test]
        fn the_longest_that_changed_last_is_found(
            changes in prop::collection::vec((0..5usize, any::<bool>()), 0..200),
        ) {
            let mut lengths = Lengths::new(5, 8);
            let mut plain = [(0usize, 0usize); 5];
            for (step, (queue, grows)) in changes.into_iter().enumerate() {
                let before = plain[queue].0;
                let now = if grows { (before + 1).min(8) } else { before.saturating_sub(1) };
                if now == before {
                    continue;
                }
                lengths.change(queue, before, now);
                plain[queue] = (now, step + 1);
                let longest = (0..5).filter(|queue| plain[*queue].0 > 0).max_by_key(|queue| plain[*queue]);
                prop_assert_eq!(lengths.longest(), longest);
            }
        }
    }
}
