//! One TCP packet at a vantage, and its identity.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::passes::Passes;
use crate::transport::{Flags, Segment};

/// SACK blocks, each from its first position to one past its last.
pub type Blocks = Box<[(i64, i64)]>;

/// A TCP packet that passes a vantage. Positions in its stream count from the SYN, which is 0, and do not
/// wrap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transmission {
    /// Time in picoseconds since the start of the run.
    pub at_ps: i64,
    /// Its first position.
    pub start: i64,
    /// One past its last position; equal to `start` for a pure acknowledgement. A SYN and a FIN take one
    /// position each.
    pub end: i64,
    /// Positions taken by SYN and FIN.
    pub control: u8,
    /// Its acknowledgement: every position of the other direction before this.
    pub acknowledgement: Option<i64>,
    /// Its window in bytes; `None` if the capture does not have it.
    pub window: Option<u64>,
    /// Its SACK blocks; `None` if the capture does not have them.
    pub sack: Option<Blocks>,
    /// ECE flag.
    pub ece: bool,
    /// CWR flag.
    pub cwr: bool,
    /// Number of the transmission of its range, or of the same acknowledgement, at this vantage, from 1.
    pub nth: u32,
    /// Whether it starts below the highest position that has passed.
    pub is_again: bool,
    /// Bytes that pass for the first time: of payload, or acknowledged by a pure acknowledgement.
    pub new_bytes: u64,
    /// Reference on its own side: the index of the sighting, or the match key in the capture (0: none).
    pub tag: u64,
}

/// The identity of a transmission within its flow. Equal transmissions have equal identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identity<'a> {
    /// A range of positions, for the n-th time.
    Range {
        /// its first position
        start: i64,
        /// one past its last position
        end: i64,
        /// number of the transmission, from 1
        nth: u32,
    },
    /// An acknowledgement without a range, for the n-th time.
    Acknowledgement {
        /// the acknowledgement number
        number: i64,
        /// the SACK blocks, if both sides have them
        sack: &'a [(i64, i64)],
        /// number of the transmission, from 1
        nth: u32,
    },
}

/// A transmission in readable form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownTransmission {
    /// Time when it passed the vantage, in seconds since the start of the run.
    pub at_s: f64,
    /// Its first position in the stream; the SYN is 0.
    pub start: i64,
    /// One past its last position.
    pub end: i64,
    /// Number of the transmission of its range, or of the same acknowledgement.
    pub nth: u32,
    /// Its acknowledgement.
    pub acknowledgement: Option<i64>,
    /// Its window in bytes.
    pub window: Option<u64>,
    /// Its SACK blocks.
    pub sack: Option<Vec<(i64, i64)>>,
    /// ECE flag.
    pub ece: bool,
    /// CWR flag.
    pub cwr: bool,
}

impl ShownTransmission {
    /// The ECN flags that are set, such as `ECE CWR`; empty if none is.
    pub fn ecn_flags(&self) -> String {
        let flags = [(self.ece, "ECE"), (self.cwr, "CWR")];
        flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    }
}

impl Transmission {
    /// A simulated segment at the vantage.
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

    /// Whether it carries a range of its stream, including a lone SYN or FIN.
    pub fn has_range(&self) -> bool {
        self.end > self.start
    }

    /// Bytes of payload.
    pub fn payload(&self) -> u64 {
        (self.end - self.start) as u64 - u64::from(self.control)
    }

    /// Its identity. SACK blocks are included only if both sides have them.
    pub fn identity(&self, with_sack: bool) -> Identity<'_> {
        let nth = self.nth;
        if self.has_range() {
            return Identity::Range { start: self.start, end: self.end, nth };
        }
        let sack = self.sack.as_deref().filter(|_| with_sack).unwrap_or_default();
        Identity::Acknowledgement { number: self.acknowledgement.unwrap_or(self.start), sack, nth }
    }

    /// The readable form.
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

/// Numbers the transmissions of a flow, which are in time order.
///
/// The number of a range is one more than the maximum number of earlier passes of any of its bytes. Data
/// retransmitted in another size therefore counts as retransmitted, and does not change the numbers of later
/// data.
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
