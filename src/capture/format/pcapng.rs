//! pcapng.

use std::path::Path;

use pcap_file::pcapng::PcapNgParser;

use super::RawRecord;
use super::fill::{ByteOrder, MAX_CAPTURED, absurd, chunk, cut_off, fill, read};
use crate::capture::input::Input;
use crate::capture::{CaptureDirection, CaptureError, LinkType};
use crate::units::{PS_PER_S, Timestamp};

/// Largest pcapng block that is read, in bytes. Blocks of unknown types may be larger, because they are
/// skipped without being held.
const MAX_BLOCK: u32 = 16 << 20;
/// Maximum number of interfaces in one section.
const MAX_INTERFACES: usize = 65_536;

/// Block type, block length, and the trailing block length.
const BLOCK_FRAME: u32 = 12;

pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
/// Also the number of `pack_flags` of the obsolete packet block.
const EPB_FLAGS: u16 = 2;

/// The fields of an Interface Description Block, except its name.
#[derive(Clone, Copy)]
struct Interface {
    link_type: LinkType,
    /// 0 means no limit.
    snap_length: u32,
    /// `if_tsresol`: a power of 10, or of 2 if the highest bit is set.
    resolution: u8,
    /// `if_tsoffset`, in seconds.
    offset_s: i64,
}

impl Interface {
    /// The time, rounded down to a picosecond.
    fn timestamp(&self, high: u32, low: u32) -> Timestamp {
        let count = (u128::from(high) << 32) | u128::from(low);
        // 64 bits times 10^12 fit into 104 bits.
        let exponent = u32::from(self.resolution & 0x7f);
        let ps = if self.resolution & 0x80 != 0 {
            (count * u128::from(PS_PER_S)) >> exponent
        } else if exponent <= 12 {
            count * 10u128.pow(12 - exponent)
        } else {
            10u128.checked_pow(exponent - 12).map_or(0, |divisor| count / divisor)
        };
        Timestamp::from_ps(ps as i128 + i128::from(self.offset_s) * i128::from(PS_PER_S))
    }
}

/// pcapng.
#[derive(Default)]
pub(in crate::capture) struct PcapNg {
    /// Parser of the current section.
    parser: Option<PcapNgParser>,
    order: ByteOrder,
    /// Interfaces of the current section.
    interfaces: Vec<Interface>,
    /// Number of interfaces in the sections before.
    earlier_interfaces: u32,
    /// Name and link type of the interfaces of all sections.
    pub described: Vec<(Option<String>, LinkType)>,
    has_supported_interface: bool,
    /// The first interface with an unsupported link type, and the offset of its description.
    first_unsupported: Option<(LinkType, u64)>,
}

impl PcapNg {
    /// The minimum snap length of the interfaces of the current section, if any has one.
    pub fn snap_length(&self) -> Option<u32> {
        self.interfaces.iter().map(|it| it.snap_length).filter(|it| *it > 0).min()
    }

    /// The first interface with an unsupported link type and the offset of its description, if no interface
    /// has a supported one.
    pub fn unsupported(&self) -> Option<(LinkType, u64)> {
        self.first_unsupported.filter(|_| !self.has_supported_interface)
    }

    pub fn next(&mut self, input: &mut Input, path: &Path) -> Result<Option<RawRecord>, CaptureError> {
        loop {
            if !fill(input, path, BLOCK_FRAME as usize)? {
                if input.bytes().is_empty() {
                    return Ok(None);
                }
                return Err(cut_off(input, path, "block header", BLOCK_FRAME as usize));
            }
            let offset = input.offset();
            let damaged =
                |what: &str| CaptureError::Damaged { path: path.to_owned(), offset, what: what.to_owned() };
            let kind = self.u32(input.bytes(), 0);
            if kind == SECTION_HEADER {
                self.order.is_big_endian = match u32::from_be_bytes(chunk(input.bytes(), 8)) {
                    0x1a2b_3c4d => true,
                    0x4d3c_2b1a => false,
                    _ => return Err(damaged("the byte-order magic of a section header is wrong")),
                };
            } else if self.parser.is_none() {
                return Err(damaged("a block precedes the first section header"));
            }
            let length = self.u32(input.bytes(), 4);
            if length < BLOCK_FRAME || !length.is_multiple_of(4) {
                return Err(damaged(&format!(
                    "a block claims {length} bytes; expected a multiple of 4 from 12 on"
                )));
            }
            match kind {
                SECTION_HEADER | INTERFACE_DESCRIPTION | PACKET | SIMPLE_PACKET | ENHANCED_PACKET => {
                    if length > MAX_BLOCK {
                        return Err(absurd(path, offset, "block", length.into(), MAX_BLOCK));
                    }
                    if !fill(input, path, length as usize)? {
                        return Err(cut_off(input, path, "block", length as usize));
                    }
                }
                _ => {
                    self.skip(input, path, length)?;
                    continue;
                }
            }
            let block = &input.bytes()[..length as usize];
            match kind {
                SECTION_HEADER => self.start_section(block, path, offset)?,
                INTERFACE_DESCRIPTION => self.add_interface(block, offset).map_err(damaged)?,
                _ => return self.packet(kind, block, path, offset).map(Some),
            }
            input.take(length as usize);
        }
    }

    /// Skips a block without holding it.
    fn skip(&self, input: &mut Input, path: &Path, length: u32) -> Result<(), CaptureError> {
        let offset = input.offset();
        let before_trailer = u64::from(length) - 4;
        let skipped = input.skip(before_trailer).map_err(|error| read(input, path, error))?;
        if skipped < before_trailer || !fill(input, path, 4)? {
            return Err(CaptureError::CutOff {
                path: path.to_owned(),
                offset,
                what: "block",
                needed: length.into(),
                present: skipped + input.bytes().len() as u64,
            });
        }
        let trailer = self.u32(input.bytes(), 0);
        input.take(4);
        if trailer == length {
            return Ok(());
        }
        let what = format!("a block starts with the length {length} and ends with the length {trailer}");
        Err(CaptureError::Damaged { path: path.to_owned(), offset, what })
    }

    fn start_section(&mut self, block: &[u8], path: &Path, offset: u64) -> Result<(), CaptureError> {
        let damaged = |what: String| CaptureError::Damaged { path: path.to_owned(), offset, what };
        let length = block.len();
        if length < 28 {
            return Err(damaged(format!("a section header has {length} bytes; expected at least 28")));
        }
        if self.u32(block, length - 4) as usize != length {
            return Err(damaged("the two lengths of a section header differ".to_owned()));
        }
        let (major, minor) = (self.u16(block, 12), self.u16(block, 14));
        if major != 1 {
            return Err(CaptureError::UnknownVersion {
                path: path.to_owned(),
                offset,
                format: "pcapng",
                major,
                minor,
                expected: "1.0 or 1.2",
            });
        }
        // The section header without options, because `pcap-file` rejects comments that are not UTF-8.
        let short = if self.order.is_big_endian { 28u32.to_be_bytes() } else { 28u32.to_le_bytes() };
        let header = [&block[..4], &short, &block[8..24], &short].concat();
        let (_, parser) = PcapNgParser::new(&header).map_err(|error| damaged(error.to_string()))?;
        self.parser = Some(parser);
        self.earlier_interfaces = self.described.len() as u32;
        self.interfaces.clear();
        Ok(())
    }

    fn add_interface(&mut self, block: &[u8], offset: u64) -> Result<(), &'static str> {
        let length = block.len();
        if length < 20 {
            return Err("an interface description is shorter than 20 bytes");
        }
        if self.u32(block, length - 4) as usize != length {
            return Err("the two lengths of an interface description differ");
        }
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err("a section has more than 65536 interfaces");
        }
        let mut interface = Interface {
            link_type: LinkType(self.u16(block, 8)),
            snap_length: self.u32(block, 12),
            resolution: 6,
            offset_s: 0,
        };
        let mut name = None;
        for (code, value) in self.order.options(&block[16..length - 4]) {
            match (code, value) {
                (IF_NAME, [_, ..]) => name = Some(text(value)),
                (IF_TSRESOL, [resolution, ..]) => interface.resolution = *resolution,
                (IF_TSOFFSET, [_, _, _, _, _, _, _, _, ..]) => {
                    let (first, second) = (self.u32(value, 0), self.u32(value, 4));
                    let (high, low) =
                        if self.order.is_big_endian { (first, second) } else { (second, first) };
                    interface.offset_s = ((u64::from(high) << 32) | u64::from(low)) as i64;
                }
                _ => {}
            }
        }
        if interface.link_type.is_supported() {
            self.has_supported_interface = true;
        } else if self.first_unsupported.is_none() {
            self.first_unsupported = Some((interface.link_type, offset));
        }
        self.described.push((name, interface.link_type));
        self.interfaces.push(interface);
        Ok(())
    }

    /// Reads a whole packet block of type `kind`.
    fn packet(
        &mut self,
        kind: u32,
        block: &[u8],
        path: &Path,
        offset: u64,
    ) -> Result<RawRecord, CaptureError> {
        let damaged = |what: String| CaptureError::Damaged { path: path.to_owned(), offset, what };
        let body_length = self.body_length(block).map_err(damaged)?;
        let header_length = if kind == SIMPLE_PACKET { 4 } else { 20 };
        let Some(room) = body_length.checked_sub(header_length) else {
            return Err(damaged(format!(
                "a packet block has {body_length} bytes; expected at least {header_length}"
            )));
        };
        let index = match kind {
            SIMPLE_PACKET => 0,
            PACKET => u32::from(self.u16(block, 8)),
            _ => self.u32(block, 8),
        };
        let Some(interface) = self.interfaces.get(index as usize) else {
            let count = self.interfaces.len();
            return Err(damaged(format!(
                "a packet names interface {index}, but the section describes only {count} interfaces before it"
            )));
        };
        let first = 8 + header_length;
        let (timestamp, captured, original_length) = if kind == SIMPLE_PACKET {
            let original = self.u32(block, 8);
            let limit = if interface.snap_length == 0 { MAX_CAPTURED } else { interface.snap_length };
            // An original length of 0 although there are bytes: their number is used, including up to 3 bytes
            // of padding.
            let claimed = if original == 0 { room as u32 } else { original };
            (None, claimed.min(limit).min(room as u32), original)
        } else {
            let time = interface.timestamp(self.u32(block, 12), self.u32(block, 16));
            (Some(time), self.u32(block, 20), self.u32(block, 24))
        };
        if captured > MAX_CAPTURED {
            return Err(absurd(path, offset, "packet block", captured.into(), MAX_CAPTURED));
        }
        if captured as usize > room {
            return Err(damaged(format!(
                "a packet claims {captured} captured bytes, but its block has room for {room}"
            )));
        }
        let direction = match kind {
            SIMPLE_PACKET => None,
            _ => self.direction(&block[..block.len() - 4], first + captured as usize),
        };
        Ok(RawRecord {
            offset,
            timestamp,
            original_length,
            link_type: interface.link_type,
            interface: self.earlier_interfaces.saturating_add(index),
            direction,
            is_plain: false,
            captured: first..first + captured as usize,
            length: block.len(),
        })
    }

    /// The length of a block's body, as `pcap-file` frames it.
    fn body_length(&mut self, block: &[u8]) -> Result<usize, String> {
        let Some(parser) = &mut self.parser else {
            return Err("a packet precedes the first section header".to_owned());
        };
        parser.next_raw_block(block).map(|(_, raw)| raw.body.len()).map_err(|error| {
            let cause = std::error::Error::source(&error).map_or(String::new(), |it| format!(": {it}"));
            format!("{error}{cause}")
        })
    }

    /// Reads the flags of a packet block. Its options follow the captured bytes, which end at `end`.
    #[inline]
    fn direction(&self, block: &[u8], end: usize) -> Option<CaptureDirection> {
        let options = block.get(end.next_multiple_of(4)..).filter(|options| options.len() >= 8)?;
        let (_, flags) =
            self.order.options(options).find(|(code, value)| *code == EPB_FLAGS && value.len() == 4)?;
        match self.u32(flags, 0) & 3 {
            1 => Some(CaptureDirection::In),
            2 => Some(CaptureDirection::Out),
            _ => None,
        }
    }

    fn u32(&self, bytes: &[u8], at: usize) -> u32 {
        self.order.u32(bytes, at)
    }

    fn u16(&self, bytes: &[u8], at: usize) -> u16 {
        self.order.u16(bytes, at)
    }
}

/// The value of a text option, without the terminating zero that some writers include.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_resolution_is_exact() {
        let time = |resolution, count: u64, offset_s| {
            Interface { link_type: LinkType::ETHERNET, snap_length: 0, resolution, offset_s }
                .timestamp((count >> 32) as u32, count as u32)
                .as_ps()
        };
        for exponent in 0..=12 {
            assert_eq!(
                time(exponent, 123_456_789_012, 0),
                123_456_789_012 * 10i128.pow(12 - u32::from(exponent))
            );
        }
        assert_eq!(time(13, 123, 0), 12);
        assert_eq!(time(127, u64::MAX, 0), 0);
        for exponent in 0..=62 {
            assert_eq!(time(0x80 | exponent, 3 << exponent, 0), 3_000_000_000_000, "2^-{exponent}");
        }
        assert_eq!(time(0x80 | 10, 1, 0), 976_562_500);
        assert_eq!(time(0xff, u64::MAX, 0), 0);
        assert_eq!(time(6, 1, 2), 2_000_001_000_000);
        assert_eq!(time(6, 1, -2), -1_999_999_000_000);
        assert_eq!(
            time(0, u64::MAX, i64::MAX),
            (i128::from(u64::MAX) + i128::from(i64::MAX)) * 1_000_000_000_000
        );
    }
}
