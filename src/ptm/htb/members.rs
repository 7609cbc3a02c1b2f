//! Sets of classes in numerical order, and round robin within a set.

/// Classes by number.
#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    words: Vec<u64>,
    count: usize,
}

impl Members {
    /// Creates an empty set for class numbers below `classes`.
    pub fn new(classes: usize) -> Self {
        Members { words: vec![0; classes.div_ceil(64)], count: 0 }
    }

    #[inline]
    pub fn insert(&mut self, class: usize) {
        let bit = 1 << (class % 64);
        self.count += usize::from(self.words[class / 64] & bit == 0);
        self.words[class / 64] |= bit;
    }

    #[inline]
    pub fn remove(&mut self, class: usize) {
        let bit = 1 << (class % 64);
        self.count -= usize::from(self.words[class / 64] & bit != 0);
        self.words[class / 64] &= !bit;
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first at or above `class`.
    #[inline]
    pub fn at_or_above(&self, class: usize) -> Option<usize> {
        let mut word = class / 64;
        let mut bits = self.words.get(word)? & (u64::MAX << (class % 64));
        while bits == 0 {
            word += 1;
            bits = *self.words.get(word)?;
        }
        Some(64 * word + bits.trailing_zeros() as usize)
    }
}

/// Classes that share bandwidth, and the next one in the round: one feed of the kernel's `struct htb_prio`.
#[derive(Debug, Clone, Default)]
pub(super) struct Feed {
    pub members: Members,
    /// The next class in the round; `None` past the last.
    pub turn: Option<usize>,
    /// The class that left while it was next: the round continues from there.
    pub left: Option<usize>,
}

impl Feed {
    pub fn new(classes: usize) -> Self {
        Feed { members: Members::new(classes), turn: None, left: None }
    }

    /// Moves to the next class; to `None` past the last.
    #[inline]
    pub fn advance(&mut self) {
        self.turn = self.turn.and_then(|class| self.members.at_or_above(class + 1));
    }

    /// Restores the position where it was lost. Returns the next class, if there is one.
    #[inline]
    pub fn recover(&mut self) -> Option<usize> {
        if let (None, Some(left)) = (self.turn, self.left) {
            self.turn = self.members.at_or_above(left);
        }
        self.left = None;
        self.turn
    }

    /// Moves to the first class.
    #[inline]
    pub fn rewind(&mut self) {
        self.turn = self.members.at_or_above(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_in_order() {
        let mut members = Members::new(200);
        for class in [3, 64, 130] {
            members.insert(class);
            members.insert(class);
        }
        assert_eq!(
            [0, 3, 4, 65, 131].map(|from| members.at_or_above(from)),
            [Some(3), Some(3), Some(64), Some(130), None]
        );
        members.remove(3);
        members.remove(3);
        assert_eq!((members.at_or_above(0), members.is_empty()), (Some(64), false));
        members.remove(64);
        members.remove(130);
        assert!(members.is_empty());
    }

    #[test]
    fn the_turn_goes_round_and_is_found_again() {
        let mut feed = Feed::new(8);
        for class in [1, 4, 6] {
            feed.members.insert(class);
        }
        feed.rewind();
        feed.advance();
        assert_eq!(feed.turn, Some(4));
        feed.members.remove(4);
        (feed.turn, feed.left) = (None, Some(4));
        assert_eq!(feed.recover(), Some(6));
        feed.advance();
        assert_eq!(feed.recover(), None);
    }
}
