//! Datagrams that one capture has whole and the other in fragments.

use std::collections::VecDeque;
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Measurement;
use super::join::COPY_WITHIN_PS;
use crate::capture::{Fragment, Frame, MatchFields};

/// A datagram all of whose fragments a capture saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole {
    /// The packet that it would be in one piece; inside a tunnel whose packets were cut, the inner one.
    pub(crate) frame: Frame,
    /// How it was cut: equal for the same pieces, and not 0.
    pub(crate) cut: u64,
    /// From where to where its fragments went.
    pub(crate) path: (IpAddr, IpAddr),
}

/// The datagrams of one capture of which some fragments are still to come.
#[derive(Debug)]
pub(crate) struct Datagrams {
    /// How long a datagram is waited for.
    reach_ps: i64,
    open: FxHashMap<u64, Open>,
    due: VecDeque<(i64, u64)>,
}

#[derive(Debug, Default)]
struct Open {
    /// Its first fragment.
    first: Option<Frame>,
    /// Where a later one went.
    path: Option<(IpAddr, IpAddr)>,
    /// Which bytes of its payload were seen: from where to where, in order, and none twice.
    seen: Vec<(u32, u32)>,
    /// Bytes of its payload.
    length: Option<u32>,
    cut: u64,
    /// When its latest fragment came.
    latest_ps: i64,
    /// When it is given up.
    until_ps: i64,
}

impl Datagrams {
    /// Fragments further than `reach_ps` apart belong to two datagrams.
    pub(crate) fn new(reach_ps: i64) -> Self {
        Datagrams { reach_ps, open: FxHashMap::default(), due: VecDeque::new() }
    }

    /// Takes the next packet; gives the datagram that is whole with it.
    #[inline]
    pub(crate) fn add(&mut self, frame: &Frame, at_ps: i64) -> Option<Whole> {
        let fragment = frame.fragment?;
        self.add_fragment(fragment, frame, at_ps)
    }

    fn add_fragment(&mut self, fragment: Fragment, frame: &Frame, at_ps: i64) -> Option<Whole> {
        self.forget(at_ps);
        let until_ps = at_ps.saturating_add(self.reach_ps);
        let open = self.open.entry(fragment.datagram).or_default();
        // Identifications come again (RFC 4963): the same bytes, and no copy of the frame, are another datagram's.
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
    /// Whether some of a fragment's bytes were seen.
    fn overlaps(&self, fragment: Fragment) -> bool {
        let bytes = fragment.bytes();
        self.seen.iter().any(|(start, end)| *start < bytes.end && bytes.start < *end)
    }

    fn add(&mut self, fragment: Fragment, frame: &Frame) {
        // A fragment that comes twice, or overlaps another (RFC 5722), says nothing new.
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

/// The packets of a capture, of which those of a datagram in fragments may be one packet of the other side.
#[derive(Debug)]
pub(crate) struct Recorded {
    fields: MatchFields,
    packets: Vec<Measurement>,
    datagrams: Datagrams,
    /// By datagram, where its fragments stand among the packets.
    places: FxHashMap<u64, Vec<usize>>,
    /// Datagrams in one piece, at the instants of their last fragments, and where these stand.
    whole: Vec<(Measurement, Vec<usize>)>,
}

impl Recorded {
    /// No packets yet; keys cover `fields`.
    pub(crate) fn new(fields: MatchFields) -> Self {
        /// A datagram that is not whole after this is given up, as Linux does (`ipfrag_time`): 30 s.
        const REACH_PS: i64 = 30_000_000_000_000;
        Recorded {
            fields,
            packets: Vec::new(),
            datagrams: Datagrams::new(REACH_PS),
            places: FxHashMap::default(),
            whole: Vec::new(),
        }
    }

    /// Takes the next packet, with its key. Where it completes a datagram, gives this in one piece, with its key.
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

    /// The packets, where a datagram with a key that the other side has counts in one piece; and the fragments that do
    /// not count because of it.
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

/// The packet whose first fragment is `first`, with `length` bytes of payload in all.
fn in_one_piece(first: Frame, length: u32) -> Option<Frame> {
    /// Bytes of the fragment header of IPv6 (RFC 8200, section 4.5).
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
        // The second fragment was lost; the next datagram with that identification has both, and another length.
        datagrams.add(&fragment(0, 800, false), 0);
        assert_eq!(datagrams.add(&fragment(0, 800, false), later), None);
        let whole = datagrams.add(&fragment(100, 16, true), later).unwrap();
        assert_eq!(whole.frame.total_length, Some(20 + 816));
        // What was due for the first does not end a third.
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
