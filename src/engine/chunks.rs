//! [`Chunks`]: a queue that returns its memory as it becomes shorter.

use std::collections::VecDeque;

/// A first-in first-out queue, stored in chunks of `N` values.
#[derive(Debug)]
pub(super) struct Chunks<T, const N: usize> {
    chunks: VecDeque<Vec<T>>,
    /// The number of values removed from the first chunk.
    taken: usize,
    /// The memory of an emptied chunk, kept for the next one.
    spare: Vec<T>,
}

impl<T, const N: usize> Default for Chunks<T, N> {
    fn default() -> Self {
        Chunks { chunks: VecDeque::new(), taken: 0, spare: Vec::new() }
    }
}

impl<T, const N: usize> Chunks<T, N> {
    /// The number of values.
    pub fn len(&self) -> usize {
        match self.chunks.back() {
            Some(last) => (self.chunks.len() - 1) * N + last.len() - self.taken,
            None => 0,
        }
    }

    /// Appends a value. Not inlined, to keep the common loops small.
    #[inline(never)]
    pub fn push(&mut self, value: T) {
        match self.chunks.back_mut() {
            // The first chunk grows as a vector does, because many queues stay short.
            Some(last) if last.len() < N => last.push(value),
            _ => {
                let mut chunk = std::mem::take(&mut self.spare);
                if chunk.capacity() == 0 && !self.chunks.is_empty() {
                    chunk.reserve_exact(N);
                }
                chunk.push(value);
                self.chunks.push_back(chunk);
            }
        }
    }

    /// The value at a position, counted from the front.
    #[inline]
    pub fn get(&self, place: usize) -> Option<&T> {
        let place = place + self.taken;
        self.chunks.get(place / N)?.get(place % N)
    }

    /// Removes values from the front while `forget` accepts them. Returns their number.
    pub fn forget_while(&mut self, mut forget: impl FnMut(&T) -> bool) -> usize {
        let mut count = 0;
        while let Some(chunk) = self.chunks.front() {
            let more = chunk[self.taken..].iter().take_while(|value| forget(value)).count();
            count += more;
            self.taken += more;
            if self.taken < chunk.len() || !self.drop_first() {
                break;
            }
        }
        count
    }

    /// Drops the emptied first chunk. Returns whether more chunks follow.
    fn drop_first(&mut self) -> bool {
        self.taken = 0;
        if self.chunks.len() == 1 {
            // A short queue keeps its memory.
            self.chunks[0].clear();
            return false;
        }
        if let Some(mut first) = self.chunks.pop_front()
            && self.chunks.len() > 1
        {
            first.clear();
            self.spare = first;
        }
        true
    }

    /// Removes `count` values from the front.
    pub fn forget(&mut self, count: usize) {
        let mut left = count;
        while let Some(chunk) = self.chunks.front() {
            let here = left.min(chunk.len() - self.taken);
            self.taken += here;
            left -= here;
            if self.taken < chunk.len() || !self.drop_first() {
                break;
            }
        }
    }

    /// All values, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten().skip(self.taken)
    }

    /// Removes all values.
    pub fn clear(&mut self) {
        *self = Chunks::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_are_a_queue(steps in prop::collection::vec((0..9u32, 0..9usize), 0..100)) {
            let (mut chunks, mut queue, mut next) = (Chunks::<u32, 4>::default(), VecDeque::new(), 0);
            for (push, take) in steps {
                for _ in 0..push {
                    chunks.push(next);
                    queue.push_back(next);
                    next += 1;
                }
                let until = queue.front().copied().unwrap_or(0) + take as u32;
                let count = queue.iter().take_while(|value| **value < until).count();
                queue.drain(..count);
                if take % 2 == 0 {
                    prop_assert_eq!(chunks.forget_while(|value| *value < until), count);
                } else {
                    chunks.forget(count);
                }
                prop_assert_eq!(chunks.len(), queue.len());
                prop_assert!(chunks.iter().eq(&queue));
                prop_assert!((0..20).all(|place| chunks.get(place) == queue.get(place)));
            }
            chunks.clear();
            prop_assert_eq!(chunks.len(), 0);
        }
    }
}
