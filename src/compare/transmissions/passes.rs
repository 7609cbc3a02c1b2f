//! Counts how often each position of a stream has passed.

use std::collections::BTreeMap;

/// A step function over positions: how often each has passed.
#[derive(Debug, Default)]
pub struct Passes {
    /// The count from each of these positions to the next; 0 before the first.
    steps: BTreeMap<i64, u32>,
}

impl Passes {
    /// Records that the positions in `start..end` pass. Returns the maximum number of earlier passes of any
    /// of them, and the number of positions that pass for the first time.
    ///
    /// # Complexity
    /// O(log n) for n steps, plus the number of steps in the range.
    pub fn add(&mut self, start: i64, end: i64) -> (u32, u64) {
        if start >= end {
            return (0, 0);
        }
        self.split(start);
        self.split(end);
        let (mut most, mut new) = (0, 0);
        let mut unseen_from = None;
        for (position, count) in self.steps.range_mut(start..end) {
            if let Some(from) = unseen_from.take() {
                new += (position - from) as u64;
            }
            if *count == 0 {
                unseen_from = Some(*position);
            }
            most = most.max(*count);
            *count += 1;
        }
        if let Some(from) = unseen_from {
            new += (end - from) as u64;
        }
        self.join(start);
        self.join(end);
        (most, new)
    }

    /// Inserts a step at a position.
    fn split(&mut self, position: i64) {
        let before = self.steps.range(..=position).next_back().map_or(0, |(_, count)| *count);
        self.steps.entry(position).or_insert(before);
    }

    /// Removes the step at a position if the count does not change there.
    fn join(&mut self, position: i64) {
        let before = self.steps.range(..position).next_back().map_or(0, |(_, count)| *count);
        if self.steps.get(&position) == Some(&before) {
            self.steps.remove(&position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_in_order_is_one_step() {
        let mut passes = Passes::default();
        for start in 0..100 {
            assert_eq!(passes.add(start * 10, start * 10 + 10), (0, 10));
        }
        assert_eq!(passes.steps.len(), 2);
        assert_eq!(passes.add(5, 5), (0, 0));
    }

    #[test]
    fn the_most_often_of_a_range_counts() {
        let mut passes = Passes::default();
        passes.add(0, 10);
        assert_eq!(passes.add(5, 15), (1, 5));
        assert_eq!(passes.add(0, 20), (2, 5));
        assert_eq!(passes.add(-10, 0), (0, 10));
        assert_eq!(passes.add(30, 40), (0, 10));
        assert_eq!(passes.add(15, 40), (1, 10));
    }
}
