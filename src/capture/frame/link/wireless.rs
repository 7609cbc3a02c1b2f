//! IEEE 802.11: reads the content of data frames, and reports content that cannot be read.
//!
//! # Source
//!
//! IEEE 802.11-2020, Section 9.2 and 9.3.2; <https://www.radiotap.org>; the headers of Prism, AVS and PPI as
//! in libpcap.

use super::{Parser, after};
use crate::capture::{LinkType, Unread};
use crate::packet::MacAddress;

/// A data frame with a body.
struct DataFrame<'a> {
    destination: Option<MacAddress>,
    source: Option<MacAddress>,
    /// The LLC frame, or the reason why it cannot be read.
    body: Result<&'a [u8], Unread>,
}

impl<'a> DataFrame<'a> {
    /// Returns `None` for other frames, frames without a body, and truncated headers. With `is_padded`, the
    /// header is padded to 4 bytes.
    fn read(bytes: &'a [u8], is_padded: bool) -> Option<Self> {
        let [control, flags, ..] = *bytes else { return None };
        let (version, kind, subtype) = (control & 3, control >> 2 & 3, control >> 4);
        // Subtypes with the third bit set carry no data.
        if version != 0 || kind != 2 || subtype & 0x4 != 0 {
            return None;
        }
        let (to_ds, from_ds) = (flags & 0x01 != 0, flags & 0x02 != 0);
        let is_qos = subtype & 0x8 != 0;
        let mut length = 24 + if to_ds && from_ds { 6 } else { 0 };
        let qos = is_qos.then(|| bytes.get(length).copied()).flatten().unwrap_or(0);
        length += if is_qos { 2 } else { 0 };
        // A QoS frame with the order bit has an HT control field.
        length += if is_qos && flags & 0x80 != 0 { 4 } else { 0 };
        if is_padded {
            length = length.next_multiple_of(4);
        }
        let address = |at: usize| after(bytes, at).first_chunk().copied().map(MacAddress);
        let (destination, source) = match (to_ds, from_ds) {
            (false, false) => (4, 10),
            (false, true) => (4, 16),
            (true, false) => (16, 10),
            (true, true) => (16, 24),
        };
        let fragment = bytes.get(22).copied().unwrap_or(0) & 0x0f;
        let body = if flags & 0x40 != 0 {
            Err(Unread::WirelessEncrypted)
        } else if fragment > 0 {
            Err(Unread::WirelessFragment)
        } else if qos & 0x80 != 0 {
            Err(Unread::WirelessAggregated)
        } else {
            Ok(after(bytes, length))
        };
        Some(DataFrame { destination: address(destination), source: address(source), body })
    }
}

/// The bytes after the header that the radio driver adds, and whether 802.11 headers are padded.
fn behind_radio(link_type: LinkType, bytes: &[u8]) -> Option<(&[u8], bool)> {
    /// The first words of the two AVS versions.
    const AVS: [u32; 2] = [0x8021_1001, 0x8021_1002];
    let big = |at: usize| after(bytes, at).first_chunk().copied().map(u32::from_be_bytes);
    let little = |at: usize| after(bytes, at).first_chunk().copied().map(u16::from_le_bytes);
    let avs = || Some((after(bytes, usize::try_from(big(4)?).ok()?), false));
    match link_type {
        LinkType::IEEE802_11 => Some((bytes, false)),
        LinkType::IEEE802_11_RADIOTAP => {
            let (header, frame) = bytes.split_at_checked(little(2)?.into())?;
            Some((frame, has_padding(header)))
        }
        LinkType::IEEE802_11_AVS => avs(),
        LinkType::IEEE802_11_PRISM if AVS.contains(&big(0)?) => avs(),
        LinkType::IEEE802_11_PRISM => Some((after(bytes, 144), false)),
        LinkType::PPI => {
            let inner = after(bytes, 4).first_chunk().copied().map(u32::from_le_bytes)?;
            let is_wireless = inner == u32::from(LinkType::IEEE802_11.0);
            is_wireless.then(|| Some((after(bytes, little(2)?.into()), false))).flatten()
        }
        _ => None,
    }
}

/// Whether a radiotap header says that 802.11 headers are padded. The bit is in the flags field, which
/// follows the presence words and, if present, the timer (8 bytes, aligned).
fn has_padding(header: &[u8]) -> bool {
    const TIMER: u32 = 1;
    const FLAGS: u32 = 1 << 1;
    const MORE_WORDS: u32 = 1 << 31;
    const DATA_PADDING: u8 = 0x20;
    let mut words =
        after(header, 4).chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let Some(first) = words.next() else { return false };
    let mut at = 8usize;
    let mut word = Some(first);
    while word.is_some_and(|word| word & MORE_WORDS != 0) {
        word = words.next();
        at += 4;
    }
    if first & TIMER != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    first & FLAGS != 0 && header.get(at).is_some_and(|flags| flags & DATA_PADDING != 0)
}

impl Parser<'_> {
    /// An 802.11 frame after its radio header, or the link type that PPI names.
    pub(super) fn wireless(&mut self, link_type: LinkType, bytes: &[u8]) {
        let Some((frame, is_padded)) = behind_radio(link_type, bytes) else {
            if link_type == LinkType::PPI {
                self.ppi(bytes);
            }
            return;
        };
        let Some(data) = DataFrame::read(frame, is_padded) else { return };
        (self.frame.destination_mac, self.frame.source_mac) = (data.destination, data.source);
        match data.body {
            Ok(llc) => self.llc(llc),
            Err(unread) => self.frame.unread = Some(unread),
        }
    }

    /// Per-Packet Information before a frame of another link type: version, flags, length, link type.
    fn ppi(&mut self, bytes: &[u8]) {
        let [_, _, a, b, c, d, 0, 0, ..] = *bytes else { return };
        match LinkType(u16::from_le_bytes([c, d])) {
            LinkType::PPI | LinkType::PKTAP => {}
            link_type => self.link(link_type, after(bytes, u16::from_le_bytes([a, b]).into())),
        }
    }
}
