//! What a sender keeps: buffers not sent yet, buffers that are sent and not acknowledged, and these by the time of sending.
//!
//! A buffer holds one segment or several, which are sent as one burst.

use std::collections::VecDeque;

use super::delivery::Sending;
use crate::transport::clock::HostTime;

/// Memory charged for a buffer of the sender besides its payload.
///
/// # Source
/// Linux 6.1, x86-64: `SKB_TRUESIZE` of a head of `MAX_TCP_HEADER`.
pub const OVERHEAD: u64 = 768;

/// Joined buffers are shorter than this (`tcp_skb_shift`).
const MOST_JOINED: u64 = 65_535 * 8;

/// A buffer.
#[derive(Debug, Clone, Copy)]
pub struct Buffer {
    /// The first sequence number.
    pub seq: u64,
    /// Behind the last; a FIN counts as one.
    pub end: u64,
    /// When it was sent last.
    pub sent: HostTime,
    /// Segments that the peer had by then.
    pub delivered: u64,
    /// Memory that it is charged.
    pub memory: u64,
    /// Segments in it.
    pub segments: u32,
    /// Segments of the connection that had gone to the host's queue when its last was sent.
    pub mark: u32,
    /// The receiver should not wait for more.
    pub push: bool,
    /// The stream ends with it.
    pub fin: bool,
    /// The receiver has it, behind a hole.
    pub sacked: bool,
    /// It is taken for lost.
    pub lost: bool,
    /// It was sent again, and that is in flight.
    pub retransmitted: bool,
    /// It was ever sent again.
    pub ever_retransmitted: bool,
    /// The neighbours by the time of sending.
    before: u32,
    after: u32,
}

/// The number of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(u32);

/// The head of the list by the time of sending, which is no buffer.
const HEAD: Id = Id(0);

impl Buffer {
    /// An unsent one of these sequence numbers.
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

    /// The length of its segments but the last.
    fn segment_length(&self, mss: u64) -> u64 {
        if self.segments > 1 { mss } else { self.length() }
    }

    /// Counts its segments.
    pub fn count(&mut self, mss: u64) {
        self.segments = (self.length().div_ceil(mss) as u32).max(1);
    }
}

/// The buffers of a sender, and how many segments of them are where.
#[derive(Debug)]
pub struct Buffers {
    /// Buffer 0 is the head of the list by the time of sending.
    slots: Vec<Buffer>,
    free: Vec<Id>,
    /// By number of the buffer, where rates of delivery are sampled: what was known at its sending.
    sendings: Vec<Sending>,
    /// By sequence number.
    pub unsent: VecDeque<Id>,
    /// By sequence number.
    pub sent: VecDeque<Id>,
    /// Memory that all are charged.
    pub memory: u64,
    /// Segments sent and not acknowledged (`packets_out`).
    pub out: u32,
    /// Of these, segments that the receiver has behind a hole (`sacked_out`).
    pub sacked: u32,
    /// Of these, segments taken for lost (`lost_out`).
    pub lost: u32,
    /// Of these, segments sent again and in flight (`retrans_out`).
    pub retransmitted: u32,
    /// Segments ever taken for lost.
    pub ever_lost: u64,
    /// No buffer below this sequence number waits to be sent again.
    pub repair_from: u64,
    /// Behind the highest sequence number that is sacked.
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
    /// None, of segments of at most `mss` bytes.
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
        // Lost and sacked ones are disjoint parts of what is out.
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

    /// Appends an empty unsent buffer that begins at `seq`.
    pub fn push(&mut self, seq: u64) -> Id {
        let id = self.add(Buffer::new(seq, seq));
        self.memory += OVERHEAD;
        self.unsent.push_back(id);
        id
    }

    /// Bytes are written into an unsent buffer.
    pub fn fill(&mut self, id: Id, bytes: u64) {
        self[id].end += bytes;
        self[id].memory += bytes;
        self.memory += bytes;
    }

    /// The first unsent buffer is sent.
    pub fn advance(&mut self) {
        if let Some(id) = self.unsent.pop_front() {
            self.sent.push_back(id);
            self.out += self[id].segments;
        }
    }

    /// Splits a buffer behind `length` bytes, in the queue where it stands at `place`.
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
        // A buffer that was split at no boundary of segments has one more now.
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

    /// Splits the first unsent buffer behind `length` bytes.
    pub fn split_unsent(&mut self, length: u64) {
        if let Some(id) = self.unsent.front().copied() {
            let rest = self.split(id, length);
            self.unsent.insert(1, rest);
        }
    }

    /// Splits the sent buffer at `place` behind `length` bytes.
    pub fn split_sent(&mut self, place: usize, length: u64) {
        let first = self.sent[place];
        let rest = self.split(first, length);
        self.sent.insert(place + 1, rest);
        if let Some(sending) = self.sendings.get(first.0 as usize).copied() {
            self.note_sending(rest, sending);
        }
    }

    /// Keeps what was known at a buffer's sending.
    pub fn note_sending(&mut self, id: Id, sending: Sending) {
        let place = id.0 as usize;
        if self.sendings.len() <= place {
            self.sendings.resize(self.slots.len(), Sending::default());
        }
        self.sendings[place] = sending;
    }

    /// What was known at a buffer's sending, where that was kept.
    pub fn sending(&self, id: Id) -> Option<Sending> {
        self.sendings.get(id.0 as usize).copied()
    }

    /// The place of the first sent buffer that ends behind `seq`.
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

    /// The first sent buffer is acknowledged up to `seq`; how many of its segments are.
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

    /// Joins the sacked buffer at `place` to the one before it, if that is sacked as well and holds segments of the same length: its
    /// overhead is released.
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
        // What is released is the overhead alone.
        self[id].memory = OVERHEAD;
        self.sent.remove(place);
        self.release(id);
        true
    }

    /// Takes a buffer for lost.
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
            // What was sent again is lost as well.
            self[id].retransmitted = false;
            self.retransmitted -= segments;
        } else {
            self[id].lost = true;
            self.lost += segments;
        }
        self.repair_from = self.repair_from.min(seq);
        self.ever_lost += u64::from(segments);
    }

    /// No buffer is taken for lost any more.
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

    /// It is not in the list by the time of sending any more.
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

    /// It was sent just now: it goes last in the list by the time of sending.
    pub fn touch(&mut self, id: Id) {
        self.unlink(id);
        self.link_behind(id, Id(self[HEAD].before));
    }

    /// The buffer that was sent longest ago, of those in the list.
    pub fn oldest(&self) -> Option<Id> {
        self.newer(HEAD)
    }

    /// The buffer that was sent after this one.
    pub fn newer(&self, id: Id) -> Option<Id> {
        Some(Id(self[id].after)).filter(|next| *next != HEAD)
    }
}
