//! [`Cut`]: datagrams that were cut into fragments between two captures, or put together.

use std::net::IpAddr;

use rustc_hash::FxHashSet;

use super::pair::Unpaired;
use crate::capture::{FlowTable, Frame};
use crate::compare::matching::fragments::{Datagrams, Whole};
use crate::compare::matching::join::{Seen, Side, Verdict};
use crate::packet::FlowKey;

/// From where to where.
type Path = (IpAddr, IpAddr);

/// The datagrams of two captures that come in fragments.
///
/// The fragments of a datagram are packets as any other. The datagram in one piece is a packet too, at the instant of its
/// last fragment: where the other capture has it in one piece, or in other fragments, the two are matched.
#[derive(Debug)]
pub(super) struct Cut {
    datagrams: [Datagrams; 2],
    /// Where the fragments of each flow went.
    paths: FxHashSet<(Path, u32)>,
    /// The flows of which the two captures have a datagram in different pieces.
    flows: FxHashSet<u32>,
    /// Datagrams that came in fragments and were matched.
    matched: [u64; 2],
    /// Datagrams that came in fragments, and are not in the other capture.
    alone: [Vec<Unpaired>; 2],
    /// Fragments that are not in the other capture.
    pieces: [Vec<Unpaired>; 2],
}

impl Cut {
    /// Fragments further than `reach_ps` apart belong to two datagrams.
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

    /// Takes the next packet of a capture; gives the datagram that is complete with it, with its flow, in one piece.
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

    /// Keeps what is said of fragments and of their datagrams; gives back what is said of other packets, and of datagrams
    /// that are in both captures.
    #[inline]
    pub(super) fn take(&mut self, verdict: Verdict) -> Option<Verdict> {
        match verdict {
            Verdict::Pair(first, second) if (first.cut, second.cut) != (0, 0) => {
                // Fragments that are the same in both are matched one by one.
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

    /// Adds what is alone to `only`; gives the fragments of each capture that are neither alone nor stand for their
    /// datagram.
    pub(super) fn finish(self, flows: &FlowTable, only: &mut [Vec<Unpaired>; 2]) -> [u64; 2] {
        let Cut { paths, flows: cut, matched, alone, pieces, .. } = self;
        let paths: FxHashSet<Path> =
            paths.into_iter().filter(|(_, fid)| cut.contains(fid)).map(|(path, _)| path).collect();
        // Of a datagram whose first fragment was lost, the addresses alone say where it belongs.
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
