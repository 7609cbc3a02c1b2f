//! Maps flows across address translation from one capture to the other.

use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::capture::{FlowTable, Frame};
use crate::packet::FlowKey;

/// Minimum number of packets that identify two flows, without other evidence.
const SURE_FROM: u32 = 3;
/// Minimum percentage of the recognized packets of a flow that must agree.
const AGREED_PERCENT: u32 = 90;
const ACK: u8 = 0x10;

/// A packet recognized by its payload, on one side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recognized {
    /// Its flow id on this side.
    pub(crate) fid: u32,
    /// Its TCP sequence number.
    pub(crate) sequence: u32,
    /// Its TCP acknowledgement number.
    pub(crate) acknowledgement: u32,
}

/// Evidence for the mapping of flows, from packets recognized by their payload.
#[derive(Debug, Default)]
pub(crate) struct Votes {
    /// By first flow, second flow, and the differences of sequence and acknowledgement numbers.
    votes: FxHashMap<(u32, u32, u32, u32), u32>,
}

impl Votes {
    /// Adds a packet that is in both captures.
    pub(crate) fn add(&mut self, first: Recognized, second: Recognized) {
        let sequence = second.sequence.wrapping_sub(first.sequence);
        let acknowledgement = second.acknowledgement.wrapping_sub(first.acknowledgement);
        *self.votes.entry((first.fid, second.fid, sequence, acknowledgement)).or_default() += 1;
    }

    /// The translation that the packets agree on, between the flows of the two captures.
    pub(crate) fn decide(self, first: &FlowTable, second: &FlowTable) -> Translation {
        let mut of_first: FxHashMap<u32, u32> = FxHashMap::default();
        let mut of_second: FxHashMap<u32, u32> = FxHashMap::default();
        for ((from, to, ..), votes) in &self.votes {
            *of_first.entry(*from).or_default() += votes;
            *of_second.entry(*to).or_default() += votes;
        }
        let mut agreed: Vec<_> = self
            .votes
            .into_iter()
            .filter(|((from, to, ..), votes)| {
                let most = |all: u32| u64::from(*votes) * 100 >= u64::from(all) * u64::from(AGREED_PERCENT);
                most(of_first[from]) && most(of_second[to])
            })
            .collect();
        agreed.sort_unstable();
        let addresses = |from: u32, to: u32| -> Option<[IpAddr; 4]> {
            let [Some((a, b)), Some((c, d))] = [first.key(from)?, second.key(to)?].map(|key| match key {
                FlowKey::Ip { source, destination, .. } => Some((*source, *destination)),
                FlowKey::Link { .. } => None,
            }) else {
                return None;
            };
            Some([a, b, c, d])
        };
        let known: FxHashSet<[IpAddr; 4]> = agreed
            .iter()
            .filter(|(_, votes)| *votes >= SURE_FROM)
            .filter_map(|((from, to, ..), _)| addresses(*from, *to))
            .collect();
        let mut translation = Translation { flows: vec![None; first.len()], images: FxHashSet::default() };
        for ((from, to, sequence, acknowledgement), votes) in agreed {
            let is_supported = addresses(from, to).is_some_and(|addresses| known.contains(&addresses));
            if let Some(key) = second.key(to)
                && (votes >= SURE_FROM || is_supported)
            {
                translation.flows[from as usize] = Some(Image { key: *key, sequence, acknowledgement });
            }
        }
        translation.add_reverse(first);
        translation.images = translation.flows.iter().flatten().map(|image| image.key).collect();
        translation
    }
}

/// The image of a flow of the first capture in the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Image {
    key: FlowKey,
    /// Difference added to sequence numbers.
    sequence: u32,
    /// Difference added to acknowledgement numbers.
    acknowledgement: u32,
}

/// The mapping from flows of the first capture to flows of the second.
#[derive(Debug)]
pub(crate) struct Translation {
    /// By flow id in the first capture.
    flows: Vec<Option<Image>>,
    images: FxHashSet<FlowKey>,
}

impl Translation {
    /// The reverse direction of a flow is translated backwards, even if its own packets give no evidence
    /// (pure acknowledgements).
    fn add_reverse(&mut self, first: &FlowTable) {
        let ids: FxHashMap<FlowKey, usize> = first.keys().copied().zip(0..).collect();
        let reversed: Vec<(usize, Image)> = first
            .keys()
            .zip(&self.flows)
            .filter_map(|(key, image)| {
                let image = (*image)?;
                let place = *ids.get(&key.reverse()?)?;
                let (sequence, acknowledgement) = (image.acknowledgement, image.sequence);
                Some((place, Image { key: image.key.reverse()?, sequence, acknowledgement }))
            })
            .collect();
        for (place, image) in reversed {
            self.flows[place].get_or_insert(image);
        }
    }

    /// Translates a frame of the flow `fid` of the first capture into its form in the second. Returns `false`
    /// if the translation is unknown and the unchanged frame would look like one of another flow.
    pub(crate) fn apply(&self, fid: u32, frame: &mut Frame) -> bool {
        let Some(Image { key, sequence, acknowledgement }) = self.flows.get(fid as usize).copied().flatten()
        else {
            return !self.images.contains(&frame.flow_key());
        };
        let FlowKey::Ip { source, destination, ports, .. } = key else { return false };
        (frame.source, frame.destination) = (Some(source), Some(destination));
        if let (Some((from, to)), true) = (ports, frame.source_port.is_some()) {
            (frame.source_port, frame.destination_port) = (Some(from), Some(to));
        }
        frame.tcp_sequence = frame.tcp_sequence.map(|number| number.wrapping_add(sequence));
        if frame.tcp_flags.is_some_and(|flags| flags & ACK != 0) {
            frame.tcp_acknowledgement =
                frame.tcp_acknowledgement.map(|number| number.wrapping_add(acknowledgement));
        }
        true
    }

    /// Number of flows with another key, or other numbers, in the second capture.
    pub(crate) fn changed(&self, first: &FlowTable) -> u64 {
        let flows = first.keys().zip(&self.flows);
        let is_changed = |key: &FlowKey, image: &Image| {
            image.key != *key || image.sequence != 0 || image.acknowledgement != 0
        };
        flows.filter(|(key, image)| image.is_some_and(|image| is_changed(key, &image))).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(source: u8, port: u16, destination: u8) -> Frame {
        Frame {
            source: Some([10, 0, 0, source].into()),
            destination: Some([10, 0, 0, destination].into()),
            protocol: Some(6),
            source_port: Some(port),
            destination_port: Some(80),
            tcp_sequence: Some(1000),
            tcp_acknowledgement: Some(5000),
            tcp_flags: Some(ACK),
            ..Frame::default()
        }
    }

    fn recognized(fid: u32, sequence: u32) -> Recognized {
        Recognized { fid, sequence, acknowledgement: 5000 }
    }

    fn tables(first: &[Frame], second: &[Frame]) -> [FlowTable; 2] {
        [first, second].map(|frames| {
            let mut table = FlowTable::new();
            for frame in frames {
                table.fid(frame);
            }
            table
        })
    }

    #[test]
    fn payloads_teach_the_ports_and_the_sequence_numbers() {
        let inside = frame(1, 1234, 9);
        let outside = frame(200, 40_000, 9);
        let mut back = frame(9, 80, 1);
        back.destination_port = Some(1234);
        let [first, second] = tables(&[inside, back], &[outside]);
        let mut votes = Votes::default();
        (0..3).for_each(|_| votes.add(recognized(0, 1000), recognized(0, 7000)));
        let translation = votes.decide(&first, &second);
        let mut translated = inside;
        assert!(translation.apply(0, &mut translated));
        assert_eq!(translated, Frame { tcp_sequence: Some(7000), ..outside });
        // the reverse direction is translated too
        assert!(translation.apply(1, &mut back));
        assert_eq!((back.source, back.destination), (outside.destination, outside.source));
        assert_eq!((back.source_port, back.destination_port), (Some(80), Some(40_000)));
        assert_eq!((back.tcp_sequence, back.tcp_acknowledgement), (Some(1000), Some(11_000)));
        assert_eq!(translation.changed(&first), 2);
    }

    #[test]
    fn packets_that_disagree_teach_nothing() {
        let [first, second] = tables(&[frame(1, 1, 9)], &[frame(2, 1, 9), frame(2, 2, 9)]);
        let mut votes = Votes::default();
        (0..5).for_each(|_| votes.add(recognized(0, 0), recognized(0, 0)));
        (0..3).for_each(|_| votes.add(recognized(0, 0), recognized(1, 0)));
        assert_eq!(votes.decide(&first, &second).flows, [None]);
    }

    #[test]
    fn few_packets_are_enough_where_the_addresses_are_known() {
        let [first, second] = tables(
            &[frame(1, 1, 9), frame(1, 2, 9), frame(7, 3, 9)],
            &[frame(2, 11, 9), frame(2, 12, 9), frame(8, 13, 9)],
        );
        let mut votes = Votes::default();
        (0..3).for_each(|_| votes.add(recognized(0, 0), recognized(0, 0)));
        votes.add(recognized(1, 0), recognized(1, 0));
        votes.add(recognized(2, 0), recognized(2, 0));
        let translation = votes.decide(&first, &second);
        let known: Vec<bool> = translation.flows.iter().map(Option::is_some).collect();
        assert_eq!(known, [true, true, false]);
    }

    #[test]
    fn an_unknown_flow_that_looks_like_another_is_left_out() {
        let [first, second] = tables(&[frame(1, 1, 9), frame(1, 2, 9), frame(1, 3, 9)], &[frame(1, 2, 9)]);
        let mut votes = Votes::default();
        (0..3).for_each(|_| votes.add(recognized(0, 0), recognized(0, 0)));
        let translation = votes.decide(&first, &second);
        assert!(
            !translation.apply(1, &mut frame(1, 2, 9)),
            "port 2 of the second capture is port 1 of the first"
        );
        assert!(translation.apply(2, &mut frame(1, 3, 9)), "nothing translates it");
    }
}
