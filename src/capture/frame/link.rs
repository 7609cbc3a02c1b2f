//! Link-layer headers other than Ethernet: how each leads to IP, and which give the place of capture.
//!
//! # Source
//!
//! The descriptions linked from <https://www.tcpdump.org/linktypes.html>, and the documents named at each
//! header.

mod wireless;

use super::parse::Parser;
use crate::capture::{CaptureDirection, LinkType};
use crate::packet::MacAddress;

/// The place where a frame was captured, from its link-layer header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::capture) struct Place {
    /// Index of the interface in the capturing machine.
    pub(in crate::capture) interface: Option<u32>,
    /// Direction of the packet.
    pub(in crate::capture) direction: Option<CaptureDirection>,
}

impl Place {
    /// Reads the place from the captured bytes of a frame.
    #[inline]
    pub(in crate::capture) fn of(link_type: LinkType, bytes: &[u8]) -> Self {
        if link_type == LinkType::ETHERNET { Place::default() } else { Place::of_header(link_type, bytes) }
    }

    #[inline(never)]
    fn of_header(link_type: LinkType, bytes: &[u8]) -> Self {
        let four = |at: usize| after(bytes, at).first_chunk::<4>().copied();
        let packet_type = |number| CaptureDirection::of_packet_type(number);
        let sent = |at: usize| match bytes.get(at) {
            Some(0) => Some(CaptureDirection::In),
            Some(1) => Some(CaptureDirection::Out),
            _ => None,
        };
        let mut interface = None;
        let direction = match link_type {
            LinkType::LINUX_SLL => {
                bytes.first_chunk().and_then(|number| packet_type(u16::from_be_bytes(*number)))
            }
            LinkType::LINUX_SLL2 => {
                interface = four(4).map(u32::from_be_bytes);
                bytes.get(10).and_then(|number| packet_type((*number).into()))
            }
            LinkType::SLIP
            | LinkType::PPP_PPPD
            | LinkType::PPP_WITH_DIR
            | LinkType::C_HDLC_WITH_DIR
            | LinkType::FRELAY_WITH_DIR => sent(0),
            LinkType::PFLOG => match bytes.get(60) {
                Some(1) => Some(CaptureDirection::In),
                Some(2) => Some(CaptureDirection::Out),
                _ => None,
            },
            LinkType::PKTAP => match four(36).map(u32::from_le_bytes).map(|flags| flags & 3) {
                Some(1) => Some(CaptureDirection::In),
                Some(2) => Some(CaptureDirection::Out),
                _ => None,
            },
            _ => None,
        };
        Place { interface, direction }
    }
}

/// The bytes from `at`; empty if fewer were captured.
fn after(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or_default()
}

impl Parser<'_> {
    /// Reads a frame of a link type other than Ethernet, Linux SLL, loopback and raw IP.
    pub(super) fn other_link(&mut self, link_type: LinkType, bytes: &[u8]) {
        match link_type {
            LinkType::SLIP => self.ip(after(bytes, 16)),
            LinkType::PPP => self.ppp_framed(bytes),
            LinkType::PPP_HDLC | LinkType::C_HDLC => self.hdlc(bytes),
            LinkType::PPP_ETHER => self.ppp(after(bytes, 6)),
            LinkType::ATM_RFC1483 => self.llc(bytes),
            LinkType::FRELAY => self.frame_relay(bytes),
            LinkType::PPP_PPPD => self.ppp(skip_control(after(bytes, 1))),
            LinkType::PPP_WITH_DIR => self.ppp_framed(after(bytes, 1)),
            LinkType::C_HDLC_WITH_DIR => self.hdlc(after(bytes, 1)),
            LinkType::FRELAY_WITH_DIR => self.frame_relay(after(bytes, 1)),
            LinkType::ENC => self.enc(bytes),
            LinkType::PFLOG => self.pflog(bytes),
            LinkType::NFLOG => self.nflog(bytes),
            LinkType::IPNET => self.ip(after(bytes, 24)),
            LinkType::IPOIB => self.behind(bytes, 40, 44),
            LinkType::PKTAP => self.pktap(bytes),
            LinkType::DSA_TAG_BRCM | LinkType::DSA_TAG_DSA => self.switch_tagged(bytes, 4),
            LinkType::DSA_TAG_EDSA => self.switch_tagged(bytes, 8),
            LinkType::DSA_TAG_BRCM_PREPEND => self.link(LinkType::ETHERNET, after(bytes, 4)),
            _ => self.wireless(link_type, bytes),
        }
    }

    /// Reads a payload that starts at `payload` and has its EtherType at `ether_type`.
    fn behind(&mut self, bytes: &[u8], ether_type: usize, payload: usize) {
        if let Some(number) = after(bytes, ether_type).first_chunk() {
            self.network(u16::from_be_bytes(*number), after(bytes, payload));
        }
    }

    /// PPP, with or without address and control (RFC 1662, section 3.2).
    fn ppp_framed(&mut self, bytes: &[u8]) {
        match bytes {
            [0xff, rest @ ..] => self.ppp(skip_control(rest)),
            _ => self.ppp(bytes),
        }
    }

    /// Cisco HDLC: address, 0, EtherType; or PPP with its own address.
    fn hdlc(&mut self, bytes: &[u8]) {
        match bytes {
            [0xff, ..] => self.ppp_framed(bytes),
            [0x0f | 0x8f, ..] => self.behind(bytes, 2, 4),
            _ => {}
        }
    }

    /// LLC with SNAP of organization 0 or 0000f8 (IEEE 802.1H), or with the service access point of IP.
    fn llc(&mut self, bytes: &[u8]) {
        match bytes {
            [0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, high, low, rest @ ..] => {
                self.network(u16::from_be_bytes([*high, *low]), rest);
            }
            [0x06, 0x06, 0x03, rest @ ..] => self.ip(rest),
            _ => {}
        }
    }

    /// Frame Relay: an address whose last byte is odd, then control and a protocol (RFC 2427), or Cisco's
    /// EtherType.
    fn frame_relay(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.iter().take(4).position(|byte| byte & 1 == 1).filter(|last| *last > 0) else {
            return;
        };
        match after(bytes, last + 1) {
            [0x03, 0xcc | 0x8e, rest @ ..] => self.ip(rest),
            // a SNAP header, optionally preceded by a byte of padding
            [0x03, 0x80, 0, 0, 0, high, low, rest @ ..] | [0x03, 0, 0x80, 0, 0, 0, high, low, rest @ ..] => {
                self.network(u16::from_be_bytes([*high, *low]), rest);
            }
            [0x03, ..] => {}
            rest => self.behind(rest, 0, 2),
        }
    }

    /// IPsec interface: address family, index and flags, in the byte order of the capturing host.
    fn enc(&mut self, bytes: &[u8]) {
        if let Some(family) = bytes.first_chunk::<4>() {
            let family = u32::from_be_bytes(*family).min(u32::from_le_bytes(*family));
            self.of_family(family, after(bytes, 12));
        }
    }

    /// The log of pf, which starts with its length (padded to 4 bytes) and the address family.
    fn pflog(&mut self, bytes: &[u8]) {
        if let [length, family, ..] = bytes {
            self.of_family((*family).into(), after(bytes, usize::from(*length).next_multiple_of(4)));
        }
    }

    fn of_family(&mut self, family: u32, bytes: &[u8]) {
        // AF_INET is 2 everywhere; AF_INET6 is 10 (Linux), 24 (NetBSD, OpenBSD), 28 (FreeBSD) or 30 (macOS).
        if matches!(family, 2 | 10 | 24 | 28 | 30) {
            self.ip(bytes);
        }
    }

    /// The log of netfilter: family, version and group, then attributes in the byte order of the capturing host.
    fn nflog(&mut self, bytes: &[u8]) {
        /// `NFULA_PAYLOAD`.
        const PAYLOAD: u16 = 9;
        let family = bytes.first().copied().unwrap_or(0);
        let number = |pair: [u8; 2], is_big: bool| match is_big {
            true => u16::from_be_bytes(pair),
            false => u16::from_le_bytes(pair),
        };
        let payload = |is_big: bool| {
            let mut rest = after(bytes, 4);
            loop {
                let [a, b, c, d] = *rest.first_chunk::<4>()?;
                let (length, kind) = (usize::from(number([a, b], is_big)), number([c, d], is_big) & 0x7fff);
                if length < 4 {
                    return None;
                }
                if kind == PAYLOAD {
                    return Some(&rest[4..length.min(rest.len())]);
                }
                rest = rest.get(length.next_multiple_of(4)..)?;
            }
        };
        if let Some(payload) = payload(false).or_else(|| payload(true)) {
            self.of_family(family.into(), payload);
        }
    }

    /// Apple's pktap: header length, kind of the content, and its link type.
    fn pktap(&mut self, bytes: &[u8]) {
        let number = |at: usize| after(bytes, at).first_chunk().copied().map(u32::from_le_bytes);
        let (Some(length), Some(link_type)) = (number(0), number(8)) else { return };
        let bytes = after(bytes, usize::try_from(length).unwrap_or(usize::MAX).max(12));
        match LinkType(u16::try_from(link_type).unwrap_or(u16::MAX)) {
            LinkType::PKTAP | LinkType::PPI => {}
            link_type => self.link(link_type, bytes),
        }
    }

    /// Ethernet with a tag of `length` bytes after the MAC addresses, followed by the EtherType.
    fn switch_tagged(&mut self, bytes: &[u8], length: usize) {
        let address = |at: usize| after(bytes, at).first_chunk().copied().map(MacAddress);
        (self.frame.destination_mac, self.frame.source_mac) = (address(0), address(6));
        self.behind(bytes, 12 + length, 14 + length);
    }
}

/// The bytes after the control byte of PPP, if it is present.
fn skip_control(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(&[0x03]).unwrap_or(bytes)
}
