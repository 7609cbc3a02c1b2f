//! One TCP packet at a vantage, and what makes it the same as another.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::passes::Passes;
use crate::transport::{Flags, Segment};

/// SACK blocks: from where to behind where each goes.
pub type Blocks = Box<[(i64, i64)]>;

/// A TCP packet that passes a vantage. Positions in its stream count from the SYN, which is 0, and do not wrap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transmission {
    /// When, in picoseconds since the run's start.
    pub at_ps: i64,
    /// Its first position.
    pub start: i64,
    /// Behind its last position; `start` for one that only acknowledges. A SYN and a FIN take one each.
    pub end: i64,
    /// Positions taken by SYN and FIN.
    pub control: u8,
    /// What it acknowledges: every position of the other direction before this.
    pub acknowledgement: Option<i64>,
    /// Its window in bytes; none where the capture does not have it.
    pub window: Option<u64>,
    /// Its SACK blocks; none where the capture does not have them.
    pub sack: Option<Blocks>,
    /// ECE is set.
    pub ece: bool,
    /// CWR is set.
    pub cwr: bool,
    /// The how many-th transmission of its range, or of the same acknowledgement, it is at this vantage, from 1.
    pub nth: u32,
    /// Whether it starts below what has passed already.
    pub is_again: bool,
    /// Bytes that it brings for the first time: of payload, or acknowledged where it only acknowledges.
    pub new_bytes: u64,
    /// What its side knows it by: the place among the sightings, or the match key in the capture (0: none).
    pub tag: u64,
}

/// What two transmissions of one flow have in common if they are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identity<'a> {
    /// A range of positions, for the n-th time.
    Range {
        /// its first position
        start: i64,
        /// behind its last position
        end: i64,
        /// for the how many-th time
        nth: u32,
    },
    /// An acknowledgement without a range, for the n-th time.
    Acknowledgement {
        /// the number
        number: i64,
        /// the SACK blocks, where both sides have them
        sack: &'a [(i64, i64)],
        /// for the how many-th time
        nth: u32,
    },
}

/// A transmission, for readers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownTransmission {
    /// When it passed the vantage, in seconds since the run's start.
    pub at_s: f64,
    /// Its first position in the stream; the SYN is 0.
    pub start: i64,
    /// Behind its last position.
    pub end: i64,
    /// The how many-th transmission of its range, or of the same acknowledgement.
    pub nth: u32,
    /// What it acknowledges.
    pub acknowledgement: Option<i64>,
    /// Its window in bytes.
    pub window: Option<u64>,
    /// Its SACK blocks.
    pub sack: Option<Vec<(i64, i64)>>,
    /// ECE is set.
    pub ece: bool,
    /// CWR is set.
    pub cwr: bool,
}

impl ShownTransmission {
    /// The flags of ECN that are set, such as `ECE CWR`; empty where none is.
    pub fn ecn_flags(&self) -> String {
        let flags = [(self.ece, "ECE"), (self.cwr, "CWR")];
        flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    }
}

impl Transmission {
    /// What the simulation sent, at the vantage.
    pub fn simulated(segment: &Segment, at_ps: i64, tag: u64) -> Self {
        let control = u8::from(segment.flags.has(Flags::SYN)) + u8::from(segment.flags.has(Flags::FIN));
        let blocks = segment.blocks();
        Transmission {
            at_ps,
            start: segment.seq as i64,
            end: segment.end as i64,
            control,
            acknowledgement: segment.flags.has(Flags::ACK).then_some(segment.ack as i64),
            window: Some(segment.window.into()),
            ece: segment.flags.has(Flags::ECE),
            cwr: segment.flags.has(Flags::CWR),
            sack: Some(blocks.map(|block| (block.start as i64, block.end as i64)).collect()),
            tag,
            ..Transmission::default()
        }
    }

    /// Whether it carries a range of its stream, be it a SYN or a FIN alone.
    pub fn has_range(&self) -> bool {
        self.end > self.start
    }

    /// Bytes of payload.
    pub fn payload(&self) -> u64 {
        (self.end - self.start) as u64 - u64::from(self.control)
    }

    /// What makes it the same as another; SACK blocks count only where both sides have them.
    pub fn identity(&self, with_sack: bool) -> Identity<'_> {
        let nth = self.nth;
        if self.has_range() {
            return Identity::Range { start: self.start, end: self.end, nth };
        }
        let sack = self.sack.as_deref().filter(|_| with_sack).unwrap_or_default();
        Identity::Acknowledgement { number: self.acknowledgement.unwrap_or(self.start), sack, nth }
    }

    /// As it is shown.
    pub fn shown(&self) -> ShownTransmission {
        ShownTransmission {
            at_s: self.at_ps as f64 / 1e12,
            start: self.start,
            end: self.end,
            nth: self.nth,
            acknowledgement: self.acknowledgement,
            window: self.window,
            sack: self.sack.as_deref().map(<[_]>::to_vec),
            ece: self.ece,
            cwr: self.cwr,
        }
    }
}

/// Counts how often each of the transmissions of a flow has passed; they are in order of time.
///
/// A range is one more than the most often that any of its bytes has passed. So what is sent again in another size counts as sent
/// again, and does not change the count of what comes later.
pub fn number(transmissions: &mut [Transmission], with_sack: bool) {
    let mut passes = Passes::default();
    let (mut highest, mut acknowledged) = (i64::MIN, 1);
    let mut acknowledgements: FxHashMap<(i64, Blocks), u32> = FxHashMap::default();
    for transmission in transmissions {
        if transmission.has_range() {
            let (most, new) = passes.add(transmission.start, transmission.end);
            transmission.nth = most + 1;
            transmission.new_bytes = new.min(transmission.payload());
            transmission.is_again = transmission.start < highest;
            highest = highest.max(transmission.end);
            continue;
        }
        let number = transmission.acknowledgement.unwrap_or(transmission.start);
        let sack = transmission.sack.clone().filter(|_| with_sack).unwrap_or_default();
        let count = acknowledgements.entry((number, sack)).or_default();
        *count += 1;
        transmission.nth = *count;
        transmission.new_bytes = u64::try_from(number - acknowledged).unwrap_or(0);
        acknowledged = acknowledged.max(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: i64, end: i64) -> Transmission {
        Transmission { start, end, ..Transmission::default() }
    }

    #[test]
    fn a_range_that_is_cut_differently_is_sent_again_all_the_same() {
        let mut sent =
            [range(0, 1000), range(1000, 2000), range(0, 500), range(500, 1500), range(2000, 3000)];
        number(&mut sent, true);
        let found: Vec<_> = sent.iter().map(|one| (one.nth, one.is_again, one.new_bytes)).collect();
        assert_eq!(found, [(1, false, 1000), (1, false, 1000), (2, true, 0), (2, true, 0), (1, false, 1000)]);
    }

    #[test]
    fn acknowledgements_differ_by_their_blocks() {
        let ack = |number, blocks: &[(i64, i64)]| Transmission {
            acknowledgement: Some(number),
            sack: Some(blocks.into()),
            ..Transmission::default()
        };
        let mut sent = [ack(1, &[]), ack(11, &[]), ack(11, &[(21, 31)]), ack(11, &[(21, 41)]), ack(11, &[])];
        number(&mut sent, true);
        assert_eq!(
            sent.each_ref().map(|one| (one.nth, one.new_bytes)),
            [(1, 0), (1, 10), (1, 0), (1, 0), (2, 0)]
        );
        number(&mut sent, false);
        assert_eq!(sent.each_ref().map(|one| one.nth), [1, 1, 2, 3, 4]);
    }
}
