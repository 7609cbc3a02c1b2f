//! The buffers of a sender: unsent ones, and sent but unacknowledged ones, which are also linked in order of
//! sending.
//!
//! A buffer holds one or more segments, which are sent as one burst.

use std::collections::VecDeque;

use super::delivery::Sending;
use crate::transport::clock::HostTime;

/// The memory charged for a sender's buffer, in addition to its payload.
///
/// # Source
/// Linux 6.1, x86-64: `SKB_TRUESIZE` of a head of `MAX_TCP_HEADER`.
pub const OVERHEAD: u64 = 768;

/// The maximum size of merged buffers (`tcp_skb_shift`).
const MOST_JOINED: u64 = 65_535 * 8;

/// A buffer.
#[derive(Debug, Clone, Copy)]
pub struct Buffer {
    /// The first sequence number.
    pub seq: u64,
    /// The sequence number after the last; a FIN counts as one.
    pub end: u64,
    /// When it was last sent.
    pub sent: HostTime,
    /// The number of segments delivered by then.
    pub delivered: u64,
    /// The memory charged for it.
    pub memory: u64,
    /// The number of its segments.
    pub segments: u32,
    /// The number of the connection's segments that had entered the host's queue when its last one was sent.
    pub mark: u32,
    /// The receiver should deliver the data without waiting for more.
    pub push: bool,
    /// Whether the stream ends with it.
    pub fin: bool,
    /// Whether the receiver has reported it by SACK.
    pub sacked: bool,
    /// Whether it is marked lost.
    pub lost: bool,
    /// Whether a retransmission of it is in flight.
    pub retransmitted: bool,
    /// Whether it was ever retransmitted.
    pub ever_retransmitted: bool,
    /// The neighbours in order of sending.
    before: u32,
    after: u32,
}

/// The number of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(u32);

/// The head of the list in order of sending, which is not a buffer.
const HEAD: Id = Id(0);

impl Buffer {
    /// An unsent buffer of these sequence numbers.
    pub fn new(seq: u64, end: u64) -> Self {
        Buffer {
            seq,
            end,
            sent: HostTime::default(),
            delivered: 0,
            memory: OVERHEAD + (end - seq),
            segments: 1,
            mark: 0,
            push: false,
            fin: false,
            sacked: false,
            lost: false,
            retransmitted: false,
            ever_retransmitted: false,
            before: 0,
            after: 0,
        }
    }

    /// Bytes of payload.
    pub fn length(&self) -> u64 {
        self.end - self.seq - u64::from(self.fin)
    }

    /// The length of its segments, except the last.
    fn segment_length(&self, mss: u64) -> u64 {
        if self.segments > 1 { mss } else { self.length() }
    }

    /// Counts its segments.
    pub fn count(&mut self, mss: u64) {
        self.segments = (self.length().div_ceil(mss) as u32).max(1);
    }
}

/// The buffers of a sender, with counts of their segments by state.
#[derive(Debug)]
pub struct Buffers {
    /// Buffer 0 is the head of the list in order of sending.
    slots: Vec<Buffer>,
    free: Vec<Id>,
    /// By buffer number: the state at its sending, if delivery rates are sampled.
    sendings: Vec<Sending>,
    /// By sequence number.
    pub unsent: VecDeque<Id>,
    /// By sequence number.
    pub sent: VecDeque<Id>,
    /// The memory charged for all buffers.
    pub memory: u64,
    /// Unacknowledged segments (`packets_out`).
    pub out: u32,
    /// The number of these reported by SACK (`sacked_out`).
    pub sacked: u32,
    /// The number of these marked lost (`lost_out`).
    pub lost: u32,
    /// The number of these with a retransmission in flight (`retrans_out`).
    pub retransmitted: u32,
    /// The total number of segments marked lost.
    pub ever_lost: u64,
    /// No buffer below this sequence number waits for retransmission.
    pub repair_from: u64,
    /// The sequence number after the highest one reported by SACK.
    pub highest_sacked: u64,
    mss: u64,
}

impl std::ops::Index<Id> for Buffers {
    type Output = Buffer;
    fn index(&self, id: Id) -> &Buffer {
        &self.slots[id.0 as usize]
    }
}

impl std::ops::IndexMut<Id> for Buffers {
    fn index_mut(&mut self, id: Id) -> &mut Buffer {
        &mut self.slots[id.0 as usize]
    }
}

impl Buffers {
    /// No buffers, for segments of at most `mss` bytes.
    pub fn new(mss: u32) -> Self {
        Buffers {
            slots: vec![Buffer::new(0, 0)],
            free: Vec::new(),
            sendings: Vec::new(),
            unsent: VecDeque::new(),
            sent: VecDeque::new(),
            memory: 0,
            out: 0,
            sacked: 0,
            lost: 0,
            retransmitted: 0,
            ever_lost: 0,
            repair_from: 0,
            highest_sacked: 0,
            mss: mss.into(),
        }
    }

    /// Segments in flight.
    pub fn in_flight(&self) -> u32 {
        // Lost and sacked segments are disjoint parts of the unacknowledged ones.
        self.out - (self.sacked + self.lost) + self.retransmitted
    }

    fn add(&mut self, buffer: Buffer) -> Id {
        match self.free.pop() {
            Some(id) => {
                self[id] = buffer;
                id
            }
            None => {
                self.slots.push(buffer);
                Id(self.slots.len() as u32 - 1)
            }
        }
    }

    /// Appends an empty unsent buffer that starts at `seq`.
    pub fn push(&mut self, seq: u64) -> Id {
        let id = self.add(Buffer::new(seq, seq));
        self.memory += OVERHEAD;
        self.unsent.push_back(id);
        id
    }

    /// Writes bytes into an unsent buffer.
    pub fn fill(&mut self, id: Id, bytes: u64) {
        self[id].end += bytes;
        self[id].memory += bytes;
        self.memory += bytes;
    }

    /// Moves the first unsent buffer to the sent ones.
    pub fn advance(&mut self) {
        if let Some(id) = self.unsent.pop_front() {
            self.sent.push_back(id);
            self.out += self[id].segments;
        }
    }

    /// Splits a buffer after `length` bytes.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_fragment`.
    fn split(&mut self, id: Id, length: u64) -> Id {
        let mss = self.mss;
        let first = &mut self[id];
        let mut rest = Buffer { seq: first.seq + length, ..*first };
        let moved = first.length() - length;
        first.end = rest.seq;
        first.push = false;
        first.fin = false;
        first.memory -= moved;
        let before = first.segments;
        first.count(mss);
        rest.memory = OVERHEAD + moved;
        rest.count(mss);
        let (segments, sacked, lost, again) =
            (first.segments + rest.segments, first.sacked, first.lost, first.retransmitted);
        self.memory += OVERHEAD;
        let is_listed = self.is_listed(id);
        let new = self.add(rest);
        (self[new].before, self[new].after) = (0, 0);
        if is_listed {
            self.link_behind(new, id);
        }
        // A buffer split inside a segment has one more segment.
        if segments != before && self.sent.binary_search_by_key(&self[id].seq, |sent| self[*sent].seq).is_ok()
        {
            let more = segments - before;
            self.out += more;
            self.sacked += if sacked { more } else { 0 };
            self.lost += if lost { more } else { 0 };
            self.retransmitted += if again { more } else { 0 };
        }
        new
    }

    /// Splits the first unsent buffer after `length` bytes.
    pub fn split_unsent(&mut self, length: u64) {
        if let Some(id) = self.unsent.front().copied() {
            let rest = self.split(id, length);
            self.unsent.insert(1, rest);
        }
    }

    /// Splits the sent buffer at `place` after `length` bytes.
    pub fn split_sent(&mut self, place: usize, length: u64) {
        let first = self.sent[place];
        let rest = self.split(first, length);
        self.sent.insert(place + 1, rest);
        if let Some(sending) = self.sendings.get(first.0 as usize).copied() {
            self.note_sending(rest, sending);
        }
    }

    /// Stores the state at a buffer's sending.
    pub fn note_sending(&mut self, id: Id, sending: Sending) {
        let place = id.0 as usize;
        if self.sendings.len() <= place {
            self.sendings.resize(self.slots.len(), Sending::default());
        }
        self.sendings[place] = sending;
    }

    /// The state at a buffer's sending, if stored.
    pub fn sending(&self, id: Id) -> Option<Sending> {
        self.sendings.get(id.0 as usize).copied()
    }

    /// The position of the first sent buffer that ends after `seq`.
    pub fn place_of(&self, seq: u64) -> usize {
        self.sent.partition_point(|id| self[*id].end <= seq)
    }

    /// Frees the first sent buffer.
    pub fn free_first(&mut self) {
        if let Some(id) = self.sent.pop_front() {
            self.release(id);
        }
    }

    fn release(&mut self, id: Id) {
        self.unlink(id);
        self.memory -= self[id].memory;
        self.free.push(id);
    }

    /// Removes the part of the first sent buffer up to `seq`, which is acknowledged. Returns the number of
    /// its acknowledged segments.
    pub fn trim_first(&mut self, seq: u64) -> u32 {
        let mss = self.mss;
        let Some(id) = self.sent.front().copied() else { return 0 };
        let first = &mut self[id];
        let (bytes, before) = (seq.saturating_sub(first.seq), first.segments);
        first.seq += bytes;
        first.memory -= bytes;
        first.count(mss);
        let segments = before - first.segments;
        self.memory -= bytes;
        segments
    }

    /// Merges the sacked buffer at `place` with the one before it, if that is also sacked and has segments of
    /// the same length. This releases its overhead.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_shift_skb_data`.
    pub fn join_sacked(&mut self, place: usize) -> bool {
        let Some((first, id)) =
            place.checked_sub(1).and_then(|before| Some((*self.sent.get(before)?, *self.sent.get(place)?)))
        else {
            return false;
        };
        let (before, buffer) = (self[first], self[id]);
        let plain = |buffer: &Buffer| buffer.sacked && !buffer.lost && !buffer.retransmitted;
        let mss = self.mss;
        if !plain(&before)
            || !plain(&buffer)
            || before.fin
            || buffer.length() == 0
            || before.length() + buffer.length() >= MOST_JOINED
            || before.segment_length(mss) != buffer.segment_length(mss)
        {
            return false;
        }
        let joined = &mut self[first];
        joined.end = buffer.end;
        joined.push |= buffer.push;
        joined.fin |= buffer.fin;
        joined.ever_retransmitted |= buffer.ever_retransmitted;
        joined.segments += buffer.segments;
        joined.memory += buffer.memory - OVERHEAD;
        // Only the overhead is released.
        self[id].memory = OVERHEAD;
        self.sent.remove(place);
        self.release(id);
        true
    }

    /// Marks a buffer lost.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_mark_skb_lost`.
    pub fn mark_lost(&mut self, id: Id) {
        let Buffer { seq, segments, sacked, lost, retransmitted, .. } = self[id];
        if sacked {
            return;
        }
        if lost {
            if !retransmitted {
                return;
            }
            // Its retransmission is also lost.
            self[id].retransmitted = false;
            self.retransmitted -= segments;
        } else {
            self[id].lost = true;
            self.lost += segments;
        }
        self.repair_from = self.repair_from.min(seq);
        self.ever_lost += u64::from(segments);
    }

    /// Clears the lost marks of all buffers.
    pub fn unmark_lost(&mut self) {
        for place in 0..self.sent.len() {
            let id = self.sent[place];
            self[id].lost = false;
        }
        self.lost = 0;
    }

    fn is_listed(&self, id: Id) -> bool {
        let Buffer { before, after, .. } = self[id];
        before != 0 || after != 0 || self[HEAD].after == id.0
    }

    /// Removes a buffer from the list in order of sending.
    pub fn unlink(&mut self, id: Id) {
        if self.is_listed(id) {
            let Buffer { before, after, .. } = self[id];
            self.slots[before as usize].after = after;
            self.slots[after as usize].before = before;
            (self[id].before, self[id].after) = (0, 0);
        }
    }

    fn link_behind(&mut self, id: Id, place: Id) {
        let after = self[place].after;
        (self[id].before, self[id].after) = (place.0, after);
        self[place].after = id.0;
        self.slots[after as usize].before = id.0;
    }

    /// Moves a buffer that was just sent to the end of the list in order of sending.
    pub fn touch(&mut self, id: Id) {
        self.unlink(id);
        self.link_behind(id, Id(self[HEAD].before));
    }

    /// The buffer in the list that was sent longest ago.
    pub fn oldest(&self) -> Option<Id> {
        self.newer(HEAD)
    }

    /// The buffer that was sent after this one.
    pub fn newer(&self, id: Id) -> Option<Id> {
        Some(Id(self[id].after)).filter(|next| *next != HEAD)
    }
}
