//! The received bytes of a socket: in order for the application, and out of order after holes.

use std::collections::VecDeque;

use crate::transport::segment::{Block, Sack};

/// The memory charged for a received buffer, in addition to its payload: descriptor (256) and head (512).
///
/// # Source
/// Linux 6.1, x86-64: `SKB_TRUESIZE` of a head that holds the headers alone.
pub const OVERHEAD: u32 = 768;

/// The maximum number of memory fragments of a buffer (`MAX_SKB_FRAGS`).
const MOST_PIECES: u32 = 17;

/// The maximum number of remembered SACK blocks (`TCP_NUM_SACKS`).
const MOST_REMEMBERED: usize = 4;

/// A buffer of received bytes.
#[derive(Debug, Clone, Copy)]
struct Buffer {
    start: u64,
    /// The sequence number after the last byte.
    end: u64,
    /// The memory charged for it.
    memory: u32,
    pieces: u32,
    /// Whether the stream ends with it.
    is_last: bool,
}

impl Buffer {
    fn new(start: u64, end: u64, pieces: u8, is_last: bool) -> Self {
        let pieces = if end > start { u32::from(pieces) } else { 0 };
        Buffer { start, end, memory: (end - start) as u32 + OVERHEAD, pieces, is_last }
    }

    /// The sequence number after its last one; the end of the stream counts as one.
    fn past_end(&self) -> u64 {
        self.end + u64::from(self.is_last)
    }

    /// Takes the fragments of the following buffer, whose head is freed.
    fn join(&mut self, next: &Buffer) -> bool {
        let joins = self.past_end() == next.start && self.pieces + next.pieces <= MOST_PIECES;
        if joins {
            self.end = next.end;
            self.memory += next.memory - OVERHEAD;
            self.pieces += next.pieces;
            self.is_last |= next.is_last;
        }
        joins
    }
}

/// The received bytes of a socket.
#[derive(Debug)]
pub struct Reassembly {
    /// The next byte in order (RCV.NXT).
    pub next: u64,
    /// The next byte that the application reads.
    pub read: u64,
    /// In order, not yet read.
    ready: VecDeque<Buffer>,
    /// Out of order, by start.
    early: VecDeque<Buffer>,
    /// The last changes of the out-of-order ranges, newest first.
    blocks: Vec<Block>,
    /// A range that arrived twice, until it is reported.
    pub duplicate: Option<Block>,
    /// The memory charged for all buffers.
    pub memory: u32,
    /// Whether the FIN has arrived in order.
    pub finished: bool,
}

/// The handling of bytes that arrived out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Early {
    /// Merged with a buffer.
    Joined,
    /// Stored in a new buffer.
    Stored,
    /// Already received.
    Duplicate,
}

impl Reassembly {
    /// Before the first byte, which has this number.
    pub fn new(next: u64) -> Self {
        Reassembly {
            next,
            read: next,
            ready: VecDeque::new(),
            early: VecDeque::new(),
            blocks: Vec::new(),
            duplicate: None,
            memory: 0,
            finished: false,
        }
    }

    /// Whether no data waits after a hole.
    pub fn is_in_order(&self) -> bool {
        self.early.is_empty()
    }

    /// Whether the application can read bytes.
    pub fn readable(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes bytes that continue the stream, or start before its end.
    pub fn append(&mut self, start: u64, end: u64, pieces: u8) {
        self.next = self.next.max(end);
        self.enqueue(Buffer::new(start, end, pieces, false));
    }

    fn enqueue(&mut self, buffer: Buffer) {
        if let Some(last) = self.ready.back_mut() {
            let before = last.memory;
            if last.join(&buffer) {
                self.memory += last.memory - before;
                return;
            }
        }
        self.memory += buffer.memory;
        self.ready.push_back(buffer);
    }

    /// Moves the bytes of filled holes in order. Returns whether they included the end of the stream.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_ofo_queue`.
    pub fn advance(&mut self) -> bool {
        let known = self.next;
        while let Some(buffer) = self.early.pop_front_if(|buffer| buffer.start <= self.next) {
            let end = buffer.past_end();
            if buffer.start < known {
                self.extend_duplicate(Block { start: buffer.start, end: known.min(end) });
            }
            self.memory -= buffer.memory;
            if end <= self.next {
                continue;
            }
            self.next = buffer.end;
            let is_last = buffer.is_last;
            if buffer.end > buffer.start {
                self.enqueue(buffer);
            }
            if is_last {
                return true;
            }
        }
        false
    }

    /// Records that the end of the stream has arrived in order.
    pub fn finish(&mut self) {
        self.next += 1;
        self.finished = true;
        self.memory -= self.early.drain(..).map(|buffer| buffer.memory).sum::<u32>();
        self.blocks.clear();
    }

    /// Drops the blocks that are in order.
    pub fn forget_blocks(&mut self) {
        let next = self.next;
        match self.early.is_empty() {
            true => self.blocks.clear(),
            false => self.blocks.retain(|block| block.start > next),
        }
    }

    /// Takes bytes after a hole. [`charge`](Reassembly::charge) charges them.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_data_queue_ofo`.
    pub fn insert(&mut self, start: u64, end: u64, pieces: u8, is_last: bool) -> Early {
        let buffer = Buffer::new(start, end, pieces, is_last);
        let past_end = buffer.past_end();
        let mut place = self.early.partition_point(|other| other.start <= start);
        if let Some(before) = place.checked_sub(1) {
            let other = &mut self.early[before];
            let memory = other.memory;
            if other.join(&buffer) {
                self.memory += other.memory - memory;
                return Early::Joined;
            }
            let other = *other;
            if start < other.past_end() {
                if past_end <= other.past_end() {
                    self.set_duplicate(Block { start, end: past_end });
                    return Early::Duplicate;
                }
                let known = Block { start: other.start, end: other.past_end() };
                if start > other.start {
                    self.set_duplicate(Block { start, ..known });
                } else {
                    self.extend_duplicate(known);
                    self.memory -= other.memory;
                    self.early.remove(before);
                    place = before;
                }
            }
        }
        // The part that overlaps later buffers arrived twice.
        while let Some(other) = self.early.get(place).copied().filter(|other| other.start < past_end) {
            self.extend_duplicate(Block { start: other.start, end: other.past_end().min(past_end) });
            if past_end < other.past_end() {
                break;
            }
            self.memory -= other.memory;
            self.early.remove(place);
        }
        self.early.insert(place, buffer);
        Early::Stored
    }

    /// Charges a buffer that was stored.
    pub fn charge(&mut self, start: u64, end: u64) {
        self.memory += (end - start) as u32 + OVERHEAD;
    }

    /// Adds the first block to a socket that has none.
    pub fn begin_blocks(&mut self, block: Block) {
        self.blocks.clear();
        self.blocks.push(block);
    }

    /// Merges a range into the block that it touches. Returns the position of that block, or the position
    /// after the last.
    pub fn touch_block(&mut self, block: Block) -> (usize, bool) {
        let touched = self.blocks.iter_mut().position(|known| extend(known, block));
        (touched.unwrap_or(self.blocks.len()), touched.is_some())
    }

    /// Moves the changed block at `place`, or the new `block`, to the front.
    pub fn rotate_blocks(&mut self, place: usize, block: Block, is_known: bool) {
        if !is_known {
            self.blocks.truncate(MOST_REMEMBERED - 1);
            self.blocks.insert(0, block);
            return;
        }
        self.blocks[..=place].rotate_right(1);
        let mut other = 1;
        while other < self.blocks.len() {
            let next = self.blocks[other];
            if extend(&mut self.blocks[0], next) {
                self.blocks.remove(other);
            } else {
                other += 1;
            }
        }
    }

    /// Records that a range arrived twice (RFC 2883).
    pub fn set_duplicate(&mut self, block: Block) {
        self.duplicate = Some(block);
    }

    fn extend_duplicate(&mut self, block: Block) {
        match &mut self.duplicate {
            Some(known) => drop(extend(known, block)),
            None => self.duplicate = Some(block),
        }
    }

    /// The SACK option of the next segment. A duplicate is reported once.
    pub fn sack(&mut self) -> Sack {
        let mut sack = Sack::default();
        let duplicate = self.duplicate.take();
        duplicate.iter().chain(&self.blocks).for_each(|block| sack.push(*block));
        sack
    }

    /// Reads at most `most` bytes from the first buffer. Returns the number, and whether the buffer is empty.
    pub fn read_first(&mut self, most: u64) -> Option<(u64, bool)> {
        let first = self.ready.front()?;
        let bytes = first.end.saturating_sub(self.read).min(most);
        self.read += bytes;
        Some((bytes, self.read >= first.end))
    }

    /// Frees the first buffer.
    pub fn free_first(&mut self) {
        if let Some(buffer) = self.ready.pop_front() {
            self.memory -= buffer.memory;
        }
    }
}

/// Extends a block by a range that touches it. Returns whether it does.
fn extend(known: &mut Block, block: Block) -> bool {
    let touches = block.start <= known.end && known.start <= block.end;
    if touches {
        known.start = known.start.min(block.start);
        known.end = known.end.max(block.end);
    }
    touches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fin_that_arrives_twice_behind_a_hole_is_reported() {
        let mut reassembly = Reassembly::new(1);
        assert_eq!(reassembly.insert(11, 11, 1, true), Early::Stored);
        assert_eq!(reassembly.insert(11, 11, 1, true), Early::Duplicate);
        assert_eq!(reassembly.duplicate, Some(Block { start: 11, end: 12 }));
    }
}
