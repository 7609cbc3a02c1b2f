//! The memory page of an application's writes. Page boundaries limit what a receiver can merge.

use std::collections::VecDeque;

/// The size of a page of memory for payload (`SKB_FRAG_PAGE_ORDER`).
const PAGE: u64 = 32_768;

/// The page of an application, shared by all its sockets.
///
/// # Source
/// Linux `net/core/sock.c`, `skb_page_frag_refill`: a new page if less than 32 bytes are left; the same page
/// from its start if everything written into it has been freed.
#[derive(Debug, Default)]
pub struct Page {
    number: u64,
    used: u64,
    /// Sockets with bytes in it, each with the sequence number after its last byte.
    users: Vec<(u32, u64)>,
}

/// The fragments of a socket's bytes.
#[derive(Debug, Default)]
pub struct Pieces {
    /// The page of the last byte, and the offset after it.
    tail: Option<(u64, u64)>,
    /// The first bytes of fragments.
    cuts: VecDeque<u64>,
    /// The position of the last lookup; the next is usually close behind.
    place: usize,
}

impl Page {
    /// Makes space for at least one byte. `acknowledged` gives the sequence number up to which a connection's
    /// bytes are freed.
    pub fn refill(&mut self, acknowledged: impl Fn(u32) -> u64) {
        let is_full = self.used + 32 > PAGE;
        if is_full || self.users.iter().all(|(connection, end)| acknowledged(*connection) >= *end) {
            self.number += 1;
            self.used = 0;
            self.users.clear();
        }
    }

    /// The number of bytes that fit.
    pub fn room(&self) -> u64 {
        PAGE - self.used
    }

    /// Records that a connection writes `bytes` bytes, up to `end`.
    pub fn write(&mut self, connection: u32, bytes: u64, end: u64, pieces: &mut Pieces) {
        if pieces.tail != Some((self.number, self.used)) {
            pieces.cuts.push_back(end - bytes);
        }
        self.used += bytes;
        pieces.tail = Some((self.number, self.used));
        match self.users.iter_mut().find(|(user, _)| *user == connection) {
            Some((_, last)) => *last = end,
            None => self.users.push((connection, end)),
        }
    }
}

impl Pieces {
    /// The number of fragments of the bytes from `start` to `end`. Fragments before `acknowledged` are
    /// dropped.
    pub fn of(&mut self, start: u64, end: u64, acknowledged: u64) -> u8 {
        while self.cuts.get(1).is_some_and(|next| *next <= acknowledged) {
            self.cuts.pop_front();
            self.place = self.place.saturating_sub(1);
        }
        while self.cuts.get(self.place).is_some_and(|cut| *cut <= start) {
            self.place += 1;
        }
        while self.place > 0 && self.cuts[self.place - 1] > start {
            self.place -= 1;
        }
        let inside = self.cuts.iter().skip(self.place).take_while(|cut| **cut < end).count();
        (1 + inside).min(255) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_those_between_the_cuts(
            gaps in prop::collection::vec(1..50u64, 1..40),
            asked in prop::collection::vec((0..1_000u64, 1..120u64), 1..60),
        ) {
            let mut at = 0;
            let cuts: VecDeque<u64> = gaps.iter().map(|gap| { at += gap; at }).collect();
            let mut pieces = Pieces { cuts: cuts.clone(), ..Pieces::default() };
            let mut acknowledged = cuts[0];
            for (ahead, length) in asked {
                acknowledged = (acknowledged + ahead % 40).min(at);
                let start = acknowledged + ahead;
                let inside = cuts.iter().filter(|cut| (start + 1..start + length).contains(cut)).count();
                prop_assert_eq!(usize::from(pieces.of(start, start + length, acknowledged)), 1 + inside);
            }
        }
    }
}
