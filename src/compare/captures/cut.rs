//! [`Cut`]: datagrams that were fragmented or reassembled between two captures.

use std::net::IpAddr;

use rustc_hash::FxHashSet;

use super::pair::Unpaired;
use crate::capture::{FlowTable, Frame};
use crate::compare::matching::fragments::{Datagrams, Whole};
use crate::compare::matching::join::{Seen, Side, Verdict};
use crate::packet::FlowKey;

/// Source and destination.
type Path = (IpAddr, IpAddr);

/// The fragmented datagrams of two captures.
///
/// Fragments are matched like any other packet. The whole datagram is also a packet, at the time of its last
/// fragment. It is matched if the other capture has it in one piece or in other fragments.
#[derive(Debug)]
pub(super) struct Cut {
    datagrams: [Datagrams; 2],
    /// The paths of the fragments of each flow.
    paths: FxHashSet<(Path, u32)>,
    /// The flows with a datagram that is fragmented differently in the two captures.
    flows: FxHashSet<u32>,
    /// Number of datagrams that were fragmented and matched.
    matched: [u64; 2],
    /// Fragmented datagrams that are not in the other capture.
    alone: [Vec<Unpaired>; 2],
    /// Fragments that are not in the other capture.
    pieces: [Vec<Unpaired>; 2],
}

impl Cut {
    /// Fragments further than `reach_ps` apart belong to different datagrams.
    pub(super) fn new(reach_ps: i64) -> Self {
        Cut {
            datagrams: [Datagrams::new(reach_ps), Datagrams::new(reach_ps)],
            paths: FxHashSet::default(),
            flows: FxHashSet::default(),
            matched: [0, 0],
            alone: [Vec::new(), Vec::new()],
            pieces: [Vec::new(), Vec::new()],
        }
    }

    /// Adds the next packet of a capture. Returns the datagram that it completes, in one piece, with its
    /// flow.
    #[inline]
    pub(super) fn add(
        &mut self,
        side: Side,
        frame: &Frame,
        at_ps: i64,
        flows: &mut FlowTable,
    ) -> Option<(Frame, Seen)> {
        let Whole { frame, cut, path } = self.datagrams[side as usize].add(frame, at_ps)?;
        let fid = flows.fid(&frame);
        self.paths.insert((path, fid));
        Some((frame, Seen { at_ps, fid, cut, ..Seen::default() }))
    }

    /// Keeps verdicts about fragments and their datagrams. Returns verdicts about other packets, and about
    /// datagrams that are in both captures.
    #[inline]
    pub(super) fn take(&mut self, verdict: Verdict) -> Option<Verdict> {
        match verdict {
            Verdict::Pair(first, second) if (first.cut, second.cut) != (0, 0) => {
                // Equal fragments of both captures are matched individually.
                if first.cut == second.cut {
                    return None;
                }
                self.flows.insert(first.fid);
                self.matched[0] += u64::from(first.cut != 0);
                self.matched[1] += u64::from(second.cut != 0);
                Some(verdict)
            }
            Verdict::Only(side, seen) if seen.cut != 0 || seen.is_fragment => {
                let kept = if seen.cut != 0 { &mut self.alone } else { &mut self.pieces };
                kept[side as usize].push(Unpaired { at_ps: seen.at_ps, fid: seen.fid, is_missed: false });
                None
            }
            Verdict::Ambiguous(_, seen) | Verdict::Copy(_, seen) if seen.cut != 0 => None,
            other => Some(other),
        }
    }

    /// Adds the unmatched packets to `only`. Returns the number of excluded fragments of each capture: the
    /// unmatched ones of datagrams that the captures have in different pieces, except the one that represents
    /// each datagram.
    pub(super) fn finish(self, flows: &FlowTable, only: &mut [Vec<Unpaired>; 2]) -> [u64; 2] {
        let Cut { paths, flows: cut, matched, alone, pieces, .. } = self;
        let paths: FxHashSet<Path> =
            paths.into_iter().filter(|(_, fid)| cut.contains(fid)).map(|(path, _)| path).collect();
        // If the first fragment of a datagram was lost, only the addresses identify its flow.
        let is_cut = |fid: u32| {
            cut.contains(&fid)
                || flows.key(fid).is_some_and(|key| match *key {
                    FlowKey::Ip { source, destination, .. } => paths.contains(&(source, destination)),
                    FlowKey::Link { .. } => false,
                })
        };
        let mut counts = [0; 2];
        for (side, (alone, pieces)) in alone.into_iter().zip(pieces).enumerate() {
            let before = only[side].len();
            let (cut_here, others): (Vec<_>, Vec<_>) =
                pieces.into_iter().partition(|piece| is_cut(piece.fid));
            only[side].extend(others);
            let alone = alone.into_iter().filter(|datagram| cut.contains(&datagram.fid));
            let before_alone = only[side].len();
            only[side].extend(alone);
            let stand = matched[side] + (only[side].len() - before_alone) as u64;
            counts[side] = (cut_here.len() as u64).saturating_sub(stand);
            if only[side].len() > before {
                only[side].sort_by_key(|packet| packet.at_ps);
            }
        }
        counts
    }
}
