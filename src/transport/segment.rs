//! Segments: the TCP headers, which only endpoints read.

use super::sample::TransportSample;
use crate::packet::{FlowKey, Packet};
use crate::units::Time;

/// A range of sequence numbers: the first, and the one after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Block {
    /// The first sequence number.
    pub start: u64,
    /// The sequence number after the last.
    pub end: u64,
}

/// The maximum number of SACK blocks beside timestamps (RFC 2018, Section 3).
pub const MOST_BLOCKS: usize = 3;

/// The SACK option of a segment (RFC 2018), with a D-SACK block first if there is one (RFC 2883). As on the
/// wire, it holds the low 32 bits of sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sack {
    blocks: [(u32, u32); MOST_BLOCKS],
    count: u8,
}

impl Sack {
    /// Appends a block if there is space.
    pub fn push(&mut self, block: Block) {
        if let Some(slot) = self.blocks.get_mut(usize::from(self.count)) {
            *slot = (block.start as u32, block.end as u32);
            self.count += 1;
        }
    }

    /// Its number of blocks.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there is no block.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The flags of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u8);

impl Flags {
    /// The first segment of a connection.
    pub const SYN: Flags = Flags(1);
    /// The acknowledgement number is valid.
    pub const ACK: Flags = Flags(2);
    /// The end of the stream.
    pub const FIN: Flags = Flags(4);
    /// The receiver should deliver the data without waiting for more.
    pub const PSH: Flags = Flags(8);
    /// The segment has no timestamps and no SACK blocks.
    pub const PLAIN: Flags = Flags(16);
    /// Echoes a congestion mark (RFC 3168). In a SYN it requests ECN; in the answer it agrees.
    pub const ECE: Flags = Flags(64);
    /// Reports a reduced window (RFC 3168). In a SYN it requests ECN.
    pub const CWR: Flags = Flags(128);

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Adds `flags` if `when` holds.
    #[inline]
    #[must_use]
    pub const fn with(self, flags: Flags, when: bool) -> Flags {
        if when { Flags(self.0 | flags.0) } else { self }
    }
}

/// A TCP segment without its payload, whose content is not simulated.
///
/// Sequence numbers count from 0, which is the SYN, and do not wrap. The first byte of a stream has number 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// The connection's number at the receiving host; for a SYN, the number of the service.
    pub to: u32,
    /// The connection's number at the sending host.
    pub from: u32,
    /// Flags.
    pub flags: Flags,
    /// The number of memory fragments of the payload, which decides whether a receiver can merge it.
    pub pieces: u8,
    /// The first sequence number.
    pub seq: u64,
    /// The sequence number after the last. A SYN and a FIN count as one each.
    pub end: u64,
    /// The next sequence number expected from the peer.
    pub ack: u64,
    /// The window, in bytes (scaled).
    pub window: u32,
    /// The sender's clock in ms (RFC 7323).
    pub timestamp: u64,
    /// The timestamp that it echoes.
    pub echo: u64,
    /// The SACK option.
    pub sack: Sack,
}

impl Segment {
    /// Bytes of payload.
    pub fn payload(&self) -> u64 {
        let control = u64::from(self.flags.has(Flags::SYN)) + u64::from(self.flags.has(Flags::FIN));
        self.end - self.seq - control
    }

    /// The SACK blocks, in the order of the option.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = Block> + '_ {
        // They are within 2 GiB of the acknowledgement number.
        let whole = |low: u32| {
            let ahead = low.wrapping_sub(self.ack as u32) as i32;
            self.ack.wrapping_add_signed(ahead.into())
        };
        let blocks = self.sack.blocks[..self.sack.len()].iter();
        blocks.map(move |(start, end)| Block { start: whole(*start), end: whole(*end) })
    }
}

/// A packet that an endpoint sends at the time of the call.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing {
    /// Its flow, by the endpoint's own number.
    pub flow: u32,
    /// Its length and fields. The engine assigns its ids.
    pub packet: Packet,
    /// The TCP header for the peer.
    pub segment: Segment,
}

/// The output of an endpoint, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The packets.
    pub packets: Vec<Outgoing>,
    /// The keys of new flows, numbered consecutively after the existing ones.
    pub flows: Vec<FlowKey>,
    /// Samples of its connections, if they were requested.
    pub samples: Vec<TransportSample>,
    /// Answered requests.
    pub answers: Vec<Answer>,
    /// The number of connections opened here whose last byte and FIN have been acknowledged.
    pub finished: u64,
}

/// A request of a connection, with its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The flow of the request: the endpoint's own number in an [`Outbox`], the run's number in results.
    pub fid: u32,
    /// When the request was written.
    pub began: Time,
    /// When the last byte of the response was read.
    pub ended: Time,
    /// The bytes of the request.
    pub request: u64,
    /// The bytes of the response.
    pub response: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_whole_on_both_sides_of_a_border_of_32_bits() {
        let border = 3 << 32;
        for ack in [5, border - 1, border, border + 7] {
            let before = Block { start: ack - 3, end: ack - 1 };
            let behind = Block { start: ack + 1_448, end: ack + (1 << 30) };
            let mut segment = Segment { ack, ..Segment::default() };
            assert_eq!(segment.blocks().len(), 0);
            [before, behind, behind, before].into_iter().for_each(|block| segment.sack.push(block));
            assert_eq!(
                segment.blocks().collect::<Vec<_>>(),
                [before, behind, behind],
                "there is room for three"
            );
        }
    }
}
