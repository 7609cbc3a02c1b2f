//! [`Record`]: one packet of a capture.

use super::{CaptureDirection, LinkType};
use crate::units::Timestamp;

/// One packet of a capture, as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Index in the file, from 0.
    pub index: u64,
    /// Time of capture. A pcapng Simple Packet Block has no time: it gets that of the record before it, or
    /// the start of 1970; see [`Reader::untimed`](super::Reader::untimed).
    pub timestamp: Timestamp,
    /// Length of the frame on the wire, in bytes. If the file gives less than the captured length, the
    /// captured length is used; see [`Reader::understated`](super::Reader::understated).
    pub original_length: u32,
    /// The type of the link-layer header at the start of `bytes`.
    pub link_type: LinkType,
    /// The capturing interface: in pcapng, its number over all sections of the file; in Linux SLL2 and
    /// modified pcap, its index in the machine; otherwise 0.
    pub interface: u32,
    /// The name of that interface, if the file has it.
    pub interface_name: Option<&'a str>,
    /// Direction of the packet, if the file has it.
    pub direction: Option<CaptureDirection>,
    /// Whether other packets of the file may belong to other interfaces.
    pub(crate) has_other_places: bool,
    /// The captured bytes: the frame or its beginning.
    pub bytes: &'a [u8],
}
