//! The two capture file formats, read with `pcap-file`. Only this file and those below it name that crate.
//!
//! `pcap-file` delimits records and blocks and handles their byte order. The content of a record is read
//! here, because version 3.0.0-rc.3 rejects what occurs in real files: times finer than a nanosecond
//! (`if_tsresol` above 9), options that are not UTF-8, microseconds above 999,999, captured lengths above the
//! snap length of the file. Its own reader has a window of 8 MB and reports no byte offsets, so [`Input`]
//! provides the window.
//!
//! # Source
//!
//! The drafts draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.

mod fill;
mod link_type_name;
mod pcap;
mod pcapng;

use std::ops::Range;
use std::path::Path;

use super::input::Input;
use super::{CaptureDirection, CaptureError, LinkType};
use crate::units::Timestamp;
pub(super) use link_type_name::link_type_name;
use pcap::{FILE_HEADER, Pcap, Variant};
use pcapng::{PcapNg, SECTION_HEADER};

/// The place of a record in the window, and the fields of its header.
pub(super) struct RawRecord {
    /// Offset of the record in the capture.
    pub(super) offset: u64,
    /// `None` for a Simple Packet Block.
    pub(super) timestamp: Option<Timestamp>,
    pub(super) original_length: u32,
    pub(super) link_type: LinkType,
    /// Index of the interface in the whole file; in modified pcap, its index in the capturing machine.
    pub(super) interface: u32,
    /// Direction of the packet, if the record header gives it.
    pub(super) direction: Option<CaptureDirection>,
    /// Whether this is Ethernet in a usual pcap file: one interface, without a name, and no direction.
    pub(super) is_plain: bool,
    /// The captured bytes, in the window.
    pub(super) captured: Range<usize>,
    /// Length of the whole record in the window.
    pub(super) length: usize,
}

/// How a file begins that is no capture, in words.
fn beginning(start: &[u8]) -> String {
    const SHOWN: usize = 8;
    let start = &start[..start.len().min(SHOWN)];
    match std::str::from_utf8(start) {
        Ok(text) if text.chars().all(|sign| !sign.is_control() || sign.is_ascii_whitespace()) => {
            format!("the text {text:?}")
        }
        _ => {
            let bytes: Vec<String> = start.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("the bytes {}", bytes.join(" "))
        }
    }
}

/// A capture file format, after its header.
pub(super) enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

impl Format {
    /// Recognizes the format and reads the file header.
    pub(super) fn open(input: &mut Input, path: &Path) -> Result<Self, CaptureError> {
        let read = |error, offset| CaptureError::Read { path: path.to_owned(), offset, error };
        let is_long_enough = match input.fill(FILE_HEADER) {
            Ok(is_long_enough) => is_long_enough,
            Err(error) => return Err(read(error, input.bytes().len() as u64)),
        };
        let start = input.bytes();
        if start.is_empty() {
            return Err(CaptureError::Empty { path: path.to_owned() });
        }
        if start.starts_with(&SECTION_HEADER.to_be_bytes()) {
            return Ok(Format::PcapNg(PcapNg::default()));
        }
        let Some(variant) = start.first_chunk().and_then(Variant::of) else {
            return Err(CaptureError::NotACapture { path: path.to_owned(), found: beginning(start) });
        };
        if !is_long_enough {
            return Err(CaptureError::CutOff {
                path: path.to_owned(),
                offset: 0,
                what: "file header",
                needed: FILE_HEADER as u64,
                present: start.len() as u64,
            });
        }
        Pcap::open(input, path, &variant).map(Format::Pcap)
    }

    /// The next record, or `None` at the end of the file.
    #[inline]
    pub(super) fn next(&mut self, input: &mut Input, path: &Path) -> Result<Option<RawRecord>, CaptureError> {
        match self {
            Format::Pcap(pcap) => pcap.next(input, path),
            Format::PcapNg(pcapng) => pcapng.next(input, path),
        }
    }

    /// The number of bytes kept per frame, as far as the file has been read. `None`: no known limit.
    pub(super) fn snap_length(&self) -> Option<u32> {
        match self {
            Format::Pcap(pcap) => Some(pcap.snap_length),
            Format::PcapNg(pcapng) => pcapng.snap_length(),
        }
        .filter(|length| *length > 0)
    }

    /// The interfaces described so far, in order of their numbers: name and link type. A pcap file describes
    /// none.
    pub(super) fn interfaces(&self) -> &[(Option<String>, LinkType)] {
        match self {
            Format::Pcap(_) => &[],
            Format::PcapNg(pcapng) => &pcapng.described,
        }
    }

    /// Whether the packets may belong to several interfaces, as far as the file has been read.
    #[inline]
    pub(super) fn has_several_interfaces(&self) -> bool {
        match self {
            Format::Pcap(pcap) => pcap.is_modified(),
            Format::PcapNg(pcapng) => pcapng.described.len() > 1,
        }
    }

    /// A link type that excludes every packet read so far from parsing, and its offset in the file.
    pub(super) fn unsupported(&self) -> Option<(LinkType, u64)> {
        match self {
            Format::Pcap(_) => None,
            Format::PcapNg(pcapng) => pcapng.unsupported(),
        }
    }
}
