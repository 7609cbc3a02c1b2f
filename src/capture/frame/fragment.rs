//! [`Fragment`]: the place of an IP packet in a fragmented datagram.

use super::Frame;
use super::key::Bytes;

/// A fragment of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// Hash of the fields that identify a datagram: addresses and identification, and for IPv4 the protocol
    /// (RFC 791; RFC 8200, section 4.5).
    pub(crate) datagram: u64,
    /// Start of the fragment in the payload of the datagram, in units of 8 bytes.
    pub(crate) offset: u16,
    /// Bytes of payload in the fragment.
    pub(crate) length: u16,
    /// Whether this is the last fragment of the datagram.
    pub(crate) is_last: bool,
}

impl Fragment {
    /// The fragment of a frame whose IP header has been read. `header` is the number of bytes before the
    /// fragmentable part. `None` for a whole packet.
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

    /// The range of payload bytes of the datagram in this fragment.
    pub(crate) fn bytes(&self) -> std::ops::Range<u32> {
        let start = u32::from(self.offset) * 8;
        start..start + u32::from(self.length)
    }

    /// A hash that identifies the same fragment at another vantage, for a fragment whose inner packet cannot.
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
