//! [`Fragment`]: the place of an IP packet in a datagram that was sent in pieces.

use super::Frame;
use super::key::Bytes;

/// A fragment of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// What the fragments of a datagram share, hashed: addresses and identification, and in IPv4 the protocol (RFC 791;
    /// RFC 8200, section 4.5).
    pub(crate) datagram: u64,
    /// Where in the datagram's payload it starts, in units of 8 bytes.
    pub(crate) offset: u16,
    /// Bytes of that payload.
    pub(crate) length: u16,
    /// Whether the datagram ends with it.
    pub(crate) is_last: bool,
}

impl Fragment {
    /// Of a frame whose IP header has been read; `header` bytes of it stand before what is cut into fragments. `None`
    /// for a whole packet.
    #[cold]
    pub(super) fn of(frame: &Frame, header: usize) -> Option<Self> {
        let is_last = frame.more_fragments == Some(false);
        let offset = frame.fragment_offset?;
        if is_last && offset == 0 {
            return None;
        }
        let length = u16::try_from((frame.total_length? as usize).checked_sub(header)?).ok()?;
        Some(Fragment { datagram: datagram(frame)?, offset, length, is_last })
    }

    /// The bytes of the datagram's payload that it carries.
    pub(crate) fn bytes(&self) -> std::ops::Range<u32> {
        let start = u32::from(self.offset) * 8;
        start..start + u32::from(self.length)
    }

    /// What recognizes the same fragment elsewhere, where its own packet does not: a hash.
    pub(crate) fn key(&self) -> u64 {
        let mut bytes = Bytes::default();
        bytes.add(&self.datagram.to_be_bytes());
        bytes.add(&self.offset.to_be_bytes());
        bytes.add(&self.length.to_be_bytes());
        bytes.hash()
    }
}

fn datagram(frame: &Frame) -> Option<u64> {
    let mut bytes = Bytes::default();
    bytes.add_address(frame.source?);
    bytes.add_address(frame.destination?);
    bytes.add(&frame.identification?.to_be_bytes());
    if frame.ip_version == Some(4) {
        bytes.add(&[frame.protocol?]);
    }
    Some(bytes.hash())
}
