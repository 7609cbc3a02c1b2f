//! Classic pcap and its variants.

use std::path::Path;

use pcap_file::pcap::{PcapParseError, PcapParser, PcapTsResolution};

use super::RawRecord;
use super::fill::{ByteOrder, MAX_CAPTURED, absurd, cut_off, fill};
use crate::capture::input::Input;
use crate::capture::{CaptureDirection, CaptureError, LinkType};
use crate::units::{PS_PER_S, Timestamp};

pub(super) const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// Length of a record header of modified pcap: the usual header, then interface index, protocol, packet type,
/// padding.
const MODIFIED_RECORD_HEADER: usize = 24;

/// A variant of classic pcap, identified by its magic number.
///
/// # Source
///
/// libpcap's `sf-pcap.c` and Wireshark's `wiretap/libpcap.c`. The modified format is Alexey Kuznetsov's
/// (patch ss991029); home routers write it. Ixia's two variants add the length of all records to the file
/// header.
pub(in crate::capture) struct Variant {
    /// The magic number of the same file without the additions of this variant, in the file's byte order.
    usual: [u8; 4],
    file_header: usize,
    record_header: usize,
    order: ByteOrder,
}

impl Variant {
    pub fn of(magic: &[u8; 4]) -> Option<Self> {
        const MICROSECONDS: u32 = 0xa1b2_c3d4;
        const NANOSECONDS: u32 = 0xa1b2_3c4d;
        let known = |number: u32| match number {
            MICROSECONDS | NANOSECONDS => Some((number, FILE_HEADER, RECORD_HEADER)),
            0xa1b2_cd34 => Some((MICROSECONDS, FILE_HEADER, MODIFIED_RECORD_HEADER)),
            0x1c00_01ac => Some((NANOSECONDS, FILE_HEADER + 4, RECORD_HEADER)),
            0x1c00_01ab => Some((MICROSECONDS, FILE_HEADER + 4, RECORD_HEADER)),
            _ => None,
        };
        [ByteOrder { is_big_endian: true }, ByteOrder { is_big_endian: false }].into_iter().find_map(
            |order| {
                let (usual, file_header, record_header) = known(order.u32(magic, 0))?;
                let usual = if order.is_big_endian { usual.to_be_bytes() } else { usual.to_le_bytes() };
                Some(Variant { usual, file_header, record_header, order })
            },
        )
    }
}

/// Classic pcap.
pub(in crate::capture) struct Pcap {
    parser: PcapParser,
    link_type: LinkType,
    /// 0 means no limit.
    pub snap_length: u32,
    /// Picoseconds per unit of a timestamp's fraction.
    fraction_ps: i128,
    record_header: usize,
    order: ByteOrder,
}

impl Pcap {
    pub fn open(input: &mut Input, path: &Path, variant: &Variant) -> Result<Self, CaptureError> {
        let damaged = |what: String| CaptureError::Damaged { path: path.to_owned(), offset: 0, what };
        let header = [&variant.usual, &input.bytes()[4..FILE_HEADER]].concat();
        let (_, parser) =
            PcapParser::new(&header).map_err(|error| damaged(format!("its header: {error}")))?;
        let header = parser.header();
        // Before version 2.3, the two lengths of a record had the opposite order.
        if header.version_major != 2 || header.version_minor < 3 {
            return Err(CaptureError::UnknownVersion {
                path: path.to_owned(),
                offset: 0,
                format: "pcap",
                major: header.version_major,
                minor: header.version_minor,
                expected: "2.3 or 2.4",
            });
        }
        // The upper bits give the presence of a frame check sequence, and are otherwise reserved.
        let link_type = LinkType((u32::from(header.datalink) & 0xffff) as u16);
        if !link_type.is_supported() {
            return Err(CaptureError::UnsupportedLinkType { path: path.to_owned(), offset: 0, link_type });
        }
        if !fill(input, path, variant.file_header)? {
            return Err(cut_off(input, path, "file header", variant.file_header));
        }
        input.take(variant.file_header);
        let fraction_ps = match header.ts_resolution {
            PcapTsResolution::MicroSecond => 1_000_000,
            PcapTsResolution::NanoSecond => 1_000,
        };
        let Variant { record_header, order, .. } = *variant;
        Ok(Pcap { parser, link_type, snap_length: header.snaplen, fraction_ps, record_header, order })
    }

    pub fn is_modified(&self) -> bool {
        self.record_header == MODIFIED_RECORD_HEADER
    }

    /// Interface and direction from the record header.
    fn place(&self, record: &[u8]) -> (u32, Option<CaptureDirection>) {
        match self.is_modified() {
            true => (self.order.u32(record, 16), CaptureDirection::of_packet_type(record[22].into())),
            false => (0, None),
        }
    }

    #[inline]
    pub fn next(&mut self, input: &mut Input, path: &Path) -> Result<Option<RawRecord>, CaptureError> {
        loop {
            let offset = input.offset();
            let bytes = input.bytes();
            let missing = match self.parser.next_raw_packet(bytes) {
                Ok((_, packet))
                    if packet.incl_len <= MAX_CAPTURED
                        && self.record_header + packet.incl_len as usize <= bytes.len() =>
                {
                    let length = self.record_header + packet.incl_len as usize;
                    let (interface, direction) = self.place(bytes);
                    let ps = i128::from(packet.ts_sec) * i128::from(PS_PER_S)
                        + i128::from(packet.ts_frac) * self.fraction_ps;
                    return Ok(Some(RawRecord {
                        offset,
                        timestamp: Some(Timestamp::from_ps(ps)),
                        original_length: packet.orig_len,
                        link_type: self.link_type,
                        interface,
                        direction,
                        is_plain: self.link_type == LinkType::ETHERNET && !self.is_modified(),
                        captured: self.record_header..length,
                        length,
                    }));
                }
                Ok((_, packet)) => packet.incl_len as usize,
                Err(PcapParseError::IncompleteBuffer(missing, _)) => missing,
                Err(PcapParseError::Validation(error)) => {
                    return Err(CaptureError::Damaged {
                        path: path.to_owned(),
                        offset,
                        what: error.to_string(),
                    });
                }
            };
            let (what, wanted) = if bytes.len() < self.record_header {
                ("record header", self.record_header)
            } else if missing > MAX_CAPTURED as usize {
                return Err(absurd(path, offset, "record", missing as u64, MAX_CAPTURED));
            } else {
                ("record", self.record_header + missing)
            };
            if !fill(input, path, wanted)? {
                if input.bytes().is_empty() {
                    return Ok(None);
                }
                return Err(cut_off(input, path, what, wanted));
            }
        }
    }
}
