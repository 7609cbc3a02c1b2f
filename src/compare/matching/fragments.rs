//! Datagrams that are whole in one capture and fragmented in the other.

use std::collections::VecDeque;
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Measurement;
use super::join::COPY_WITHIN_PS;
use crate::capture::{Fragment, Frame, MatchFields};

/// A datagram whose fragments were all captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole {
    /// The packet in one piece; for fragmented tunnel packets, the inner packet.
    pub(crate) frame: Frame,
    /// Identifies the fragmentation: equal for the same fragments, and not 0.
    pub(crate) cut: u64,
    /// Source and destination of its fragments.
    pub(crate) path: (IpAddr, IpAddr),
}

/// The incomplete datagrams of one capture.
#[derive(Debug)]
pub(crate) struct Datagrams {
    /// Timeout for missing fragments.
    reach_ps: i64,
    open: FxHashMap<u64, Open>,
    due: VecDeque<(i64, u64)>,
}

#[derive(Debug, Default)]
struct Open {
    /// Its first fragment.
    first: Option<Frame>,
    /// Source and destination of a later fragment.
    path: Option<(IpAddr, IpAddr)>,
    /// The captured ranges of its payload, in order and disjoint.
    seen: Vec<(u32, u32)>,
    /// Length of its payload in bytes.
    length: Option<u32>,
    cut: u64,
    /// Time of its latest fragment.
    latest_ps: i64,
    /// Time when it is given up.
    until_ps: i64,
}

impl Datagrams {
    /// Fragments further than `reach_ps` apart belong to different datagrams.
    pub(crate) fn new(reach_ps: i64) -> Self {
        Datagrams { reach_ps, open: FxHashMap::default(), due: VecDeque::new() }
    }

    /// Adds the next packet. Returns the datagram that it completes.
    #[inline]
    pub(crate) fn add(&mut self, frame: &Frame, at_ps: i64) -> Option<Whole> {
        let fragment = frame.fragment?;
        self.add_fragment(fragment, frame, at_ps)
    }

    fn add_fragment(&mut self, fragment: Fragment, frame: &Frame, at_ps: i64) -> Option<Whole> {
        self.forget(at_ps);
        let until_ps = at_ps.saturating_add(self.reach_ps);
        let open = self.open.entry(fragment.datagram).or_default();
        // Identifications are reused (RFC 4963): the same bytes, not as a copy of the frame, belong to
        // another datagram.
        if open.seen.is_empty() || (open.overlaps(fragment) && at_ps - open.latest_ps > COPY_WITHIN_PS) {
            *open = Open { until_ps, ..Open::default() };
            self.due.push_back((until_ps, fragment.datagram));
        }
        open.latest_ps = at_ps;
        open.add(fragment, frame);
        let whole = open.whole()?;
        self.open.remove(&fragment.datagram);
        Some(whole)
    }

    fn forget(&mut self, now_ps: i64) {
        while let Some(&(due_ps, datagram)) = self.due.front()
            && due_ps < now_ps
        {
            self.due.pop_front();
            if self.open.get(&datagram).is_some_and(|open| open.until_ps == due_ps) {
                self.open.remove(&datagram);
            }
        }
    }
}

impl Open {
    /// Whether some bytes of a fragment were captured before.
    fn overlaps(&self, fragment: Fragment) -> bool {
        let bytes = fragment.bytes();
        self.seen.iter().any(|(start, end)| *start < bytes.end && bytes.start < *end)
    }

    fn add(&mut self, fragment: Fragment, frame: &Frame) {
        // A repeated or overlapping fragment (RFC 5722) adds nothing.
        if self.overlaps(fragment) {
            return;
        }
        let bytes = fragment.bytes();
        let place = self.seen.partition_point(|(start, _)| *start < bytes.start);
        self.seen.insert(place, (bytes.start, bytes.end));
        let piece = u64::from(bytes.start) << 32 | u64::from(bytes.end);
        self.cut = self.cut.wrapping_add(piece.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(1);
        if fragment.is_last {
            self.length = Some(bytes.end);
        }
        if fragment.offset == 0 {
            self.first = Some(*frame);
        } else {
            self.path = frame.source.zip(frame.destination);
        }
    }

    fn whole(&self) -> Option<Whole> {
        let length = self.length?;
        let is_complete = self.seen.first()?.0 == 0
            && self.seen.last()?.1 == length
            && self.seen.windows(2).all(|pair| pair[0].1 == pair[1].0);
        let first = self.first.filter(|_| is_complete)?;
        Some(Whole { frame: in_one_piece(first, length)?, cut: self.cut.max(1), path: self.path? })
    }
}

/// The packets of a capture. The fragments of a datagram may be one packet on the other side.
#[derive(Debug)]
pub(crate) struct Recorded {
    fields: MatchFields,
    packets: Vec<Measurement>,
    datagrams: Datagrams,
    /// By datagram: indexes of its fragments among the packets.
    places: FxHashMap<u64, Vec<usize>>,
    /// Whole datagrams, at the times of their last fragments, with the indexes of the fragments.
    whole: Vec<(Measurement, Vec<usize>)>,
}

impl Recorded {
    /// Starts without packets; keys cover `fields`.
    pub(crate) fn new(fields: MatchFields) -> Self {
        /// Timeout for incomplete datagrams, as in Linux (`ipfrag_time`): 30 s.
        const REACH_PS: i64 = 30_000_000_000_000;
        Recorded {
            fields,
            packets: Vec::new(),
            datagrams: Datagrams::new(REACH_PS),
            places: FxHashMap::default(),
            whole: Vec::new(),
        }
    }

    /// Adds the next packet, with its key. Returns the datagram that it completes, in one piece, with its
    /// key.
    #[inline]
    pub(crate) fn add(&mut self, frame: &Frame, key: u64, at_ps: i64) -> Option<(Frame, u64)> {
        self.packets.push(Measurement { key, at_ps });
        let Fragment { datagram, .. } = frame.fragment?;
        self.places.entry(datagram).or_default().push(self.packets.len() - 1);
        let Whole { frame, .. } = self.datagrams.add(frame, at_ps)?;
        let places = self.places.remove(&datagram)?;
        let key = frame.match_key_over(&self.fields)?;
        self.whole.push((Measurement { key, at_ps }, places));
        Some((frame, key))
    }

    /// The packets. A datagram whose key is `known` on the other side is one packet, represented by its last
    /// fragment. Also returns the number of its other fragments, which are excluded.
    pub(crate) fn finish(self, known: impl Iterator<Item = u64>) -> (Vec<Measurement>, u64) {
        let Recorded { mut packets, whole, .. } = self;
        if whole.is_empty() {
            return (packets, 0);
        }
        let known: FxHashSet<u64> = known.collect();
        let (mut left_out, mut fragments) = (FxHashSet::default(), 0);
        for (datagram, places) in whole.into_iter().filter(|(datagram, _)| known.contains(&datagram.key)) {
            let Some((last, others)) = places.split_last() else { continue };
            packets[*last] = datagram;
            fragments += others.len() as u64;
            left_out.extend(others.iter().copied());
        }
        let mut place = 0;
        packets.retain(|_| {
            place += 1;
            !left_out.contains(&(place - 1))
        });
        (packets, fragments)
    }
}

/// The whole packet whose first fragment is `first`, with `length` bytes of payload in total.
fn in_one_piece(first: Frame, length: u32) -> Option<Frame> {
    /// Length of the IPv6 fragment header in bytes (RFC 8200, section 4.5).
    const FRAGMENT_HEADER: u32 = 8;
    let mut frame = first;
    frame.fragment = None;
    if first.more_fragments != Some(true) {
        return Some(frame);
    }
    let header = first.total_length?.checked_sub(first.fragment?.length.into())?;
    frame.more_fragments = Some(false);
    frame.total_length = Some(match first.ip_version {
        Some(6) => {
            frame.identification = None;
            header.checked_sub(FRAGMENT_HEADER)? + length
        }
        _ => header + length,
    });
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(offset: u16, length: u16, is_last: bool) -> Frame {
        Frame {
            ip_version: Some(4),
            source: Some([10, 0, 0, 1].into()),
            destination: Some([10, 0, 0, 2].into()),
            total_length: Some(u32::from(length) + 20),
            more_fragments: Some(!is_last),
            fragment: Some(Fragment { datagram: 7, offset, length, is_last }),
            ..Frame::default()
        }
    }

    #[test]
    fn a_datagram_is_whole_when_its_last_hole_is_filled() {
        let pieces = [fragment(0, 800, false), fragment(100, 800, false), fragment(200, 10, true)];
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]] {
            let mut datagrams = Datagrams::new(10);
            let [first, second, third] = order.map(|piece| pieces[piece]);
            assert_eq!(datagrams.add(&first, 0), None);
            assert_eq!(datagrams.add(&first, 0), None, "a copy");
            assert_eq!(datagrams.add(&second, 1), None);
            let whole = datagrams.add(&third, 2).unwrap();
            assert_eq!(whole.frame.total_length, Some(20 + 1610));
            assert_eq!((whole.frame.more_fragments, whole.frame.fragment), (Some(false), None));
            assert!(datagrams.open.is_empty());
        }
    }

    #[test]
    fn a_datagram_that_stays_incomplete_is_forgotten() {
        let mut datagrams = Datagrams::new(10);
        datagrams.add(&fragment(0, 800, false), 0);
        assert_eq!(datagrams.add(&fragment(100, 8, true), 11), None);
        assert_eq!(datagrams.open.len(), 1);
    }

    #[test]
    fn an_identification_that_comes_again_is_another_datagrams() {
        let later = 2 * COPY_WITHIN_PS;
        let mut datagrams = Datagrams::new(10 * COPY_WITHIN_PS);
        // The second fragment was lost. The next datagram with that identification has both, and another
        // length.
        datagrams.add(&fragment(0, 800, false), 0);
        assert_eq!(datagrams.add(&fragment(0, 800, false), later), None);
        let whole = datagrams.add(&fragment(100, 16, true), later).unwrap();
        assert_eq!(whole.frame.total_length, Some(20 + 816));
        // The timeout of the first datagram does not end the third.
        datagrams.add(&fragment(0, 800, false), 9 * COPY_WITHIN_PS);
        assert!(datagrams.add(&fragment(100, 8, true), 11 * COPY_WITHIN_PS).is_some());
    }

    #[test]
    fn what_overlaps_makes_no_datagram() {
        let mut datagrams = Datagrams::new(10);
        datagrams.add(&fragment(0, 800, false), 0);
        assert_eq!(datagrams.add(&fragment(50, 800, true), 0), None);
        assert!(datagrams.add(&fragment(100, 8, true), 0).is_some());
    }
}
