//! [`TcpSegment`]: the TCP fields of a captured frame.

use std::net::SocketAddr;

use super::frame::Offsets;
use super::{Frame, LinkType};

/// The TCP flags, as in [`Frame::tcp_flags`].
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const ECE: u8 = 0x40;
const CWR: u8 = 0x80;
const TCP: u8 = 6;
/// The TCP header without options, in bytes.
const FIXED_HEADER: usize = 20;

/// A TCP segment, with the fields of its header.
///
/// # Source
/// RFC 9293, section 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSegment {
    /// Source address and port.
    pub source: SocketAddr,
    /// Destination address and port.
    pub destination: SocketAddr,
    /// Sequence number of its first byte, or of its SYN.
    pub sequence: u32,
    /// Acknowledgement number, if the ACK flag is set.
    pub acknowledgement: Option<u32>,
    /// SYN flag: opens the connection.
    pub syn: bool,
    /// FIN flag: closes the connection.
    pub fin: bool,
    /// RST flag: resets the connection.
    pub rst: bool,
    /// ECE flag: the sender received a congestion mark; in a SYN, it requests or accepts ECN (RFC 3168).
    pub ece: bool,
    /// CWR flag: the sender has reduced its window; in a SYN, it requests ECN (RFC 3168).
    pub cwr: bool,
    /// Bytes of payload on the wire, whether captured or not.
    pub payload_length: u32,
    /// The window field, not scaled; `None` if it was not captured.
    pub window: Option<u16>,
    /// Shift count for later windows of the sender (RFC 7323), if the option is present.
    pub window_scale: Option<u8>,
    /// The blocks received out of order; `None` if the options were not captured completely.
    pub sack: Option<TcpSack>,
    /// The timestamps option, if it was captured.
    pub timestamps: Option<TcpTimestamps>,
}

/// The blocks of a SACK option (RFC 2018): up to four, each from its first sequence number to one past its
/// last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpSack {
    blocks: [(u32, u32); 4],
    count: u8,
}

impl TcpSack {
    /// The blocks, in the order of the option.
    pub fn blocks(&self) -> &[(u32, u32)] {
        &self.blocks[..usize::from(self.count)]
    }

    /// Parses the blocks in the body of an option.
    fn parse(body: &[u8]) -> Self {
        let mut sack = TcpSack::default();
        for (slot, block) in sack.blocks.iter_mut().zip(body.chunks_exact(8)) {
            let number =
                |at: usize| u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
            *slot = (number(0), number(4));
            sack.count += 1;
        }
        sack
    }
}

/// The TCP timestamps option (RFC 7323, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpTimestamps {
    /// TSval: the timestamp clock of the sender.
    pub value: u32,
    /// TSecr: the echoed TSval of the other side; meaningless without the ACK flag.
    pub echo_reply: u32,
}

impl TcpSegment {
    /// The segment in the captured `bytes` of a frame of `original_length` bytes. `None` if there is none:
    /// another protocol, a fragment (which does not give the length of the segment), an invalid header, or a
    /// header that was not captured up to its flags (14 bytes).
    pub fn parse(link_type: LinkType, bytes: &[u8], original_length: u32) -> Option<Self> {
        let (frame, offsets) = Frame::parse_with_offsets(link_type, bytes, original_length);
        Self::of_frame(&frame, &offsets, bytes)
    }

    /// The segment of a frame that has been parsed.
    pub(super) fn of_frame(frame: &Frame, offsets: &Offsets, bytes: &[u8]) -> Option<Self> {
        let is_fragment = frame.is_later_fragment() || frame.more_fragments == Some(true);
        if frame.protocol != Some(TCP) || is_fragment {
            return None;
        }
        let (network, transport) = (offsets.network?, offsets.transport?);
        let header = &bytes[transport..];
        let header_length = usize::from(header.get(12)? >> 4) * 4;
        let ip_length = usize::try_from(frame.total_length?).ok()?;
        let before_payload = (transport - network).checked_add(header_length)?;
        let payload_length = ip_length.checked_sub(before_payload)?;
        if header_length < FIXED_HEADER {
            return None;
        }
        let flags = frame.tcp_flags?;
        let options = header.get(FIXED_HEADER..header_length.min(header.len())).unwrap_or_default();
        let Options { timestamps, window_scale, sack } = Options::parse(options);
        Some(TcpSegment {
            source: SocketAddr::new(frame.source?, frame.source_port?),
            destination: SocketAddr::new(frame.destination?, frame.destination_port?),
            sequence: frame.tcp_sequence?,
            acknowledgement: frame.tcp_acknowledgement.filter(|_| flags & ACK != 0),
            syn: flags & SYN != 0,
            fin: flags & FIN != 0,
            rst: flags & RST != 0,
            ece: flags & ECE != 0,
            cwr: flags & CWR != 0,
            payload_length: u32::try_from(payload_length).ok()?,
            window: header.get(14..16).map(|window| u16::from_be_bytes([window[0], window[1]])),
            window_scale,
            sack: (header.len() >= header_length).then_some(sack),
            timestamps,
        })
    }

    /// The length in sequence space: the payload, plus one each for SYN and FIN.
    pub fn sequence_length(&self) -> u32 {
        self.payload_length.saturating_add(u32::from(self.syn)).saturating_add(u32::from(self.fin))
    }
}

/// The TCP options that are read.
#[derive(Debug, Default)]
struct Options {
    timestamps: Option<TcpTimestamps>,
    window_scale: Option<u8>,
    sack: TcpSack,
}

impl Options {
    /// Parses the options in `bytes`, which may be truncated.
    fn parse(mut bytes: &[u8]) -> Self {
        const END: u8 = 0;
        const NO_OPERATION: u8 = 1;
        const WINDOW_SCALE: u8 = 3;
        const SACK: u8 = 5;
        const TIMESTAMPS: u8 = 8;
        let mut options = Options::default();
        loop {
            let (kind, length) = match bytes {
                [NO_OPERATION, rest @ ..] => {
                    bytes = rest;
                    continue;
                }
                [END, ..] => return options,
                [kind, length @ 2..=u8::MAX, ..] => (*kind, usize::from(*length)),
                _ => return options,
            };
            let Some((option, rest)) = bytes.split_at_checked(length) else { return options };
            bytes = rest;
            match (kind, &option[2..]) {
                (WINDOW_SCALE, [scale]) => options.window_scale = Some(*scale),
                (SACK, body) => options.sack = TcpSack::parse(body),
                (TIMESTAMPS, [a, b, c, d, e, f, g, h]) => {
                    options.timestamps = Some(TcpTimestamps {
                        value: u32::from_be_bytes([*a, *b, *c, *d]),
                        echo_reply: u32::from_be_bytes([*e, *f, *g, *h]),
                    });
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_contradict_themselves_end_the_list() {
        let timestamps = |bytes: &[u8]| Options::parse(bytes).timestamps;
        let mine = [8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        let found = Some(TcpTimestamps { value: 1, echo_reply: 2 });
        assert_eq!(timestamps(&[&[1, 1][..], &mine].concat()), found);
        assert_eq!(timestamps(&[&[2, 4, 5, 180][..], &mine].concat()), found);
        for before in [&[0][..], &[3, 0], &[3, 1], &[3, 40]] {
            assert_eq!(timestamps(&[before, &mine].concat()), None, "{before:?}");
        }
        assert_eq!(timestamps(&mine[..9]), None);
    }
    #[test]
    fn windows_and_sack_blocks_are_read() {
        let bytes = [3, 3, 7, 1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 9, 255, 255, 255, 255, 0, 0, 0, 4];
        let Options { window_scale, sack, .. } = Options::parse(&bytes);
        assert_eq!((window_scale, sack.blocks()), (Some(7), &[(1, 9), (u32::MAX, 4)][..]));
        assert_eq!(Options::parse(&bytes[..20]).sack, TcpSack::default(), "cut off");
    }
}
