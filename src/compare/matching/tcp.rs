//! Uses TCP byte ranges to explain packets that are in only one capture.

use std::collections::{BTreeMap, VecDeque};

use rustc_hash::FxHashMap;

use super::join::{Seen, Side};
use crate::packet::FlowKey;

/// The TCP streams of two captures: their positions, and the bytes that each capture contains.
///
/// Positions unwrap the sequence numbers of a flow: they continue after 2^32.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// By flow id.
    streams: Vec<Stream>,
    ids: FxHashMap<FlowKey, u32>,
}

#[derive(Debug, Default)]
struct Stream {
    /// The flow of its acknowledgements.
    reverse: Option<u32>,
    /// A sequence number and its position.
    latest: Option<(u32, i64)>,
    /// The receiver has every byte before this position.
    acknowledged: Option<i64>,
    /// Positions in the first and in the second capture.
    seen: [Ranges; 2],
}

impl Streams {
    /// Adds the flow `fid` if it is new. `key` returns its key.
    #[inline]
    pub(crate) fn know(&mut self, fid: u32, key: impl FnOnce() -> FlowKey) {
        if (fid as usize) < self.streams.len() {
            return;
        }
        self.streams.resize_with(fid as usize + 1, Stream::default);
        let key = key();
        if let Some(reverse) = key.reverse().and_then(|reverse| self.ids.get(&reverse)) {
            self.streams[fid as usize].reverse = Some(*reverse);
            self.streams[*reverse as usize].reverse = Some(fid);
        }
        self.ids.insert(key, fid);
    }

    /// The flow of the other direction, if there is one.
    pub(crate) fn reverse(&self, fid: u32) -> Option<u32> {
        self.streams.get(fid as usize)?.reverse
    }

    /// The position of a sequence number of a known flow.
    #[inline]
    pub(crate) fn position(&mut self, fid: u32, sequence: u32) -> i64 {
        self.streams[fid as usize].position(sequence)
    }

    /// Records that `side` captured `bytes` of payload at `position`.
    #[inline]
    pub(crate) fn saw(&mut self, side: Side, fid: u32, position: i64, bytes: u32) {
        self.streams[fid as usize].seen[side as usize].add(position, position + i64::from(bytes));
    }

    /// Records that a packet of the flow `fid` acknowledges everything before `number`.
    #[inline]
    pub(crate) fn acknowledge(&mut self, fid: u32, number: u32) {
        let Some(reverse) = self.reverse(fid) else { return };
        let stream = &mut self.streams[reverse as usize];
        if stream.latest.is_some() {
            let position = stream.position(number);
            stream.acknowledged = stream.acknowledged.max(Some(position));
        }
    }

    /// Whether `side` never captured any byte of the packet.
    fn is_unseen(&self, side: Side, packet: &Seen) -> bool {
        let end = packet.position + i64::from(packet.payload);
        !self.streams[packet.fid as usize].seen[side as usize].overlap(packet.position, end)
    }

    fn is_acknowledged(&self, packet: &Seen) -> bool {
        let end = packet.position + i64::from(packet.payload);
        self.streams[packet.fid as usize].acknowledged.is_some_and(|acknowledged| acknowledged >= end)
    }
}

impl Stream {
    #[inline]
    fn position(&mut self, sequence: u32) -> i64 {
        // The start is far above zero, so that earlier data also has a positive position.
        let (latest, at) = self.latest.unwrap_or((sequence, 1 << 40));
        let position = at + i64::from(sequence.wrapping_sub(latest) as i32);
        if position >= at {
            self.latest = Some((sequence, position));
        }
        position
    }
}

/// A set of positions, as disjoint ranges.
#[derive(Debug, Default)]
struct Ranges {
    /// Start and end of each range.
    ranges: BTreeMap<i64, i64>,
    /// The last range, which grows most often.
    last: Option<(i64, i64)>,
}

impl Ranges {
    /// Maximum number of ranges. Beyond it, the earliest is forgotten.
    const MOST: usize = 4096;

    #[inline]
    fn add(&mut self, start: i64, end: i64) {
        match &mut self.last {
            Some((first, last)) if (*first..=*last).contains(&start) => *last = end.max(*last),
            _ => self.add_apart(start, end),
        }
    }

    fn add_apart(&mut self, mut start: i64, mut end: i64) {
        if let Some((first, last)) = self.last.take() {
            self.ranges.insert(first, last);
        }
        while let Some((&from, &to)) = self.ranges.range(..=end).next_back()
            && to >= start
        {
            start = start.min(from);
            end = end.max(to);
            self.ranges.remove(&from);
        }
        self.ranges.insert(start, end);
        if self.ranges.len() > Self::MOST {
            self.ranges.pop_first();
        }
        self.last = self.ranges.pop_last();
    }

    /// Whether any position in `start..end` is in the set.
    fn overlap(&self, start: i64, end: i64) -> bool {
        let before = self.ranges.range(..end).next_back().map(|(_, to)| *to);
        before.is_some_and(|to| to > start) || self.last.is_some_and(|(from, to)| from < end && to > start)
    }
}

/// The explanation of a packet with TCP payload that is in only one capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leftover {
    /// The capture that has it.
    pub(crate) side: Side,
    /// The packet.
    pub(crate) seen: Seen,
    /// The other capture has its bytes in different segments.
    pub(crate) is_segmented: bool,
    /// The other capture has none of its bytes.
    pub(crate) is_unseen: bool,
    /// The receiver acknowledged it.
    pub(crate) is_acknowledged: bool,
}

/// The packets with TCP payload that are in only one capture, until they are explained.
#[derive(Debug)]
pub(crate) struct Leftovers {
    reach_ps: i64,
    /// By flow and side, then by position and number.
    held: FxHashMap<(u32, bool), Held>,
    due: VecDeque<(i64, Side, u32, (i64, u64))>,
}

#[derive(Debug, Default)]
struct Held {
    /// Each with whether it is segmented differently.
    packets: BTreeMap<(i64, u64), (Seen, bool)>,
    /// The longest payload so far.
    longest: u32,
}

impl Leftovers {
    /// Frames further than `reach_ps` apart do not carry the same bytes.
    pub(crate) fn new(reach_ps: i64) -> Self {
        Leftovers { reach_ps, held: FxHashMap::default(), due: VecDeque::new() }
    }

    /// Adds a packet with TCP payload that only `side` has. `now_ps` is not before any packet added so far.
    pub(crate) fn add(&mut self, side: Side, seen: Seen, now_ps: i64) {
        let end = seen.position + i64::from(seen.payload);
        let mut is_segmented = false;
        if let Some(other) = self.held.get_mut(&(seen.fid, side == Side::First)) {
            let from = (seen.position - i64::from(other.longest), 0);
            for (packet, other_is) in
                other.packets.range_mut(from..(end, 0)).map(|(_, held)| (held.0, &mut held.1))
            {
                let overlaps = packet.position + i64::from(packet.payload) > seen.position;
                let is_same = (packet.position, packet.payload) == (seen.position, seen.payload);
                if overlaps && !is_same && (packet.at_ps - seen.at_ps).abs() <= self.reach_ps {
                    (is_segmented, *other_is) = (true, true);
                }
            }
        }
        let own = self.held.entry((seen.fid, side == Side::Second)).or_default();
        own.longest = own.longest.max(seen.payload);
        own.packets.insert((seen.position, seen.order), (seen, is_segmented));
        self.due.push_back((now_ps + 2 * self.reach_ps, side, seen.fid, (seen.position, seen.order)));
    }

    /// Reports the packets that no later packet can explain.
    #[inline]
    pub(crate) fn settle(&mut self, now_ps: i64, streams: &Streams, mut tell: impl FnMut(Leftover)) {
        while let Some((due_ps, side, fid, place)) = self.due.front().copied()
            && due_ps < now_ps
        {
            self.due.pop_front();
            let flow = (fid, side == Side::Second);
            let Some(held) = self.held.get_mut(&flow) else { continue };
            let packet = held.packets.remove(&place);
            if held.packets.is_empty() {
                self.held.remove(&flow);
            }
            let Some((seen, is_segmented)) = packet else { continue };
            let other = if side == Side::First { Side::Second } else { Side::First };
            let is_unseen = streams.is_unseen(other, &seen);
            let is_acknowledged = streams.is_acknowledged(&seen);
            tell(Leftover { side, seen, is_segmented, is_unseen, is_acknowledged });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(from: u16, to: u16) -> FlowKey {
        let (source, destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let (source, destination) = if from < to { (source, destination) } else { (destination, source) };
        FlowKey::Ip { source, destination, protocol: 6, ports: Some((from, to)) }
    }

    #[test]
    fn positions_count_on_beyond_32_bits() {
        let mut streams = Streams::default();
        streams.know(0, || tcp(1, 2));
        let start = streams.position(0, 0xffff_fff0);
        assert_eq!(streams.position(0, 0x10), start + 0x20);
        assert_eq!(streams.position(0, 0xffff_ffff), start + 0xf, "late, and before the turn");
        assert_eq!(streams.position(0, 0xffff_ff00), start - 0xf0);
    }

    #[test]
    fn ranges_join_and_overlap() {
        let mut ranges = Ranges::default();
        for (start, end) in [(0, 10), (20, 30), (10, 12), (40, 50), (25, 41)] {
            ranges.add(start, end);
        }
        assert!(ranges.overlap(11, 13) && ranges.overlap(0, 1) && ranges.overlap(49, 60));
        assert!(!ranges.overlap(12, 20) && !ranges.overlap(50, 60) && !ranges.overlap(-5, 0));
        ranges.add(0, 100);
        assert!(ranges.overlap(15, 16) && !ranges.overlap(100, 101));
    }

    fn packet(fid: u32, position: i64, payload: u32, order: u64) -> Seen {
        Seen { fid, position, payload, order, ..Seen::default() }
    }

    fn leftovers(streams: &Streams, packets: &[(Side, Seen)]) -> Vec<Leftover> {
        let mut leftovers = Leftovers::new(10);
        for (side, seen) in packets {
            leftovers.add(*side, *seen, 0);
        }
        let mut all = Vec::new();
        leftovers.settle(i64::MAX, streams, |left| all.push(left));
        assert!(leftovers.held.is_empty());
        all
    }

    #[test]
    fn a_long_frame_is_the_segments_that_cover_its_bytes() {
        let mut streams = Streams::default();
        streams.know(0, || tcp(1, 2));
        let long = (Side::First, packet(0, 1000, 3000, 0));
        let parts = [0, 1, 2].map(|part| (Side::Second, packet(0, 1000 + 1000 * part, 1000, part as u64)));
        let apart = (Side::First, packet(0, 9000, 3000, 1));
        let all = leftovers(&streams, &[&[long], parts.as_slice(), &[apart]].concat());
        let segmented: Vec<bool> = all.iter().map(|left| left.is_segmented).collect();
        assert_eq!(segmented, [true, true, true, true, false]);
    }

    #[test]
    fn the_same_bytes_in_one_frame_each_are_no_segmentation() {
        let mut streams = Streams::default();
        streams.know(0, || tcp(1, 2));
        let both = [(Side::First, packet(0, 0, 1000, 0)), (Side::Second, packet(0, 0, 1000, 0))];
        assert!(leftovers(&streams, &both).iter().all(|left| !left.is_segmented));
    }

    #[test]
    fn acknowledged_bytes_that_a_capture_never_saw_were_not_lost_on_the_way() {
        let mut streams = Streams::default();
        streams.know(0, || tcp(1, 2));
        streams.know(1, || tcp(2, 1));
        assert_eq!(streams.reverse(0), Some(1));
        let start = streams.position(0, 5000);
        for sequence in [5000, 6000, 7000] {
            let at = streams.position(0, sequence);
            streams.saw(Side::First, 0, at, 1000);
        }
        // the second capture misses 6000 and gets 7000 only retransmitted
        streams.saw(Side::Second, 0, start, 1000);
        streams.saw(Side::Second, 0, start + 2000, 1000);
        streams.acknowledge(1, 8000);
        let missing = [1000, 2000, 3000].map(|at| (Side::First, packet(0, start + at, 1000, 0)));
        let all = leftovers(&streams, &missing);
        let found: Vec<_> = all.iter().map(|left| (left.is_unseen, left.is_acknowledged)).collect();
        assert_eq!(found, [(true, true), (false, true), (true, false)]);
    }
}
