//! [`Record`]: one packet of a capture.

use super::{CaptureDirection, LinkType};
use crate::units::Timestamp;

/// One packet of a capture, as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Index in the file, from 0.
    pub index: u64,
    /// When it was captured. A pcapng Simple Packet Block has no time: it takes that of the record
    /// before it, or the start of 1970; see [`Reader::untimed`](super::Reader::untimed).
    pub timestamp: Timestamp,
    /// Length of the frame on the wire, in bytes. Where the file says less than was captured, it lies: the captured
    /// length counts; see [`Reader::understated`](super::Reader::understated).
    pub original_length: u32,
    /// The link-layer header that `bytes` starts with.
    pub link_type: LinkType,
    /// The interface that captured it: in pcapng numbered over all sections of the file, in Linux SLL2 and modified pcap
    /// by its index in the machine; else 0.
    pub interface: u32,
    /// The name of that interface, where the file has it.
    pub interface_name: Option<&'a str>,
    /// Which way it passed, where the file says so.
    pub direction: Option<CaptureDirection>,
    /// Whether other packets of the file may be of other interfaces.
    pub(crate) has_other_places: bool,
    /// The captured bytes: the frame, or its start.
    pub bytes: &'a [u8],
}
