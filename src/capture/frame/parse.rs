//! Parses bytes into a [`Frame`] with `etherparse`. Only this file names that crate.
//!
//! Captures are truncated, so the slicing is lax: every header gives the fields whose bytes are present.
//! etherparse requires whole TCP and IPv4 headers including options; truncated ones are read from the bytes
//! directly.

use etherparse::{
    EtherType, Ethernet2HeaderSlice, Ipv4HeaderSlice, LaxIpSlice, SingleVlanSlice, ether_type, ip_number,
};

use super::{Fragment, Frame};
use crate::capture::LinkType;
use crate::packet::MacAddress;

const UDP: u8 = ip_number::UDP.0;
/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// Bytes of an IPv6 header.
const IPV6: usize = 40;
/// Smallest EtherType. Smaller values are the length of an IEEE 802.3 frame.
const FIRST_ETHER_TYPE: u16 = 0x0600;
/// Protocols whose first four bytes are the ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

impl Frame {
    /// Parses the captured `bytes` of a frame of `original_length` bytes. It never fails: fields that cannot
    /// be parsed are `None`.
    pub fn parse(link_type: LinkType, bytes: &[u8], original_length: u32) -> Frame {
        Self::parse_with_offsets(link_type, bytes, original_length).0
    }

    /// Parses a frame and also returns the offsets of its headers in `bytes`.
    pub(in crate::capture) fn parse_with_offsets(
        link_type: LinkType,
        bytes: &[u8],
        original_length: u32,
    ) -> (Frame, Offsets) {
        let mut frame = Frame::default();
        // If the IP header has the length 0, the headers before it are subtracted from the length of the
        // frame.
        let whole = usize::try_from(original_length).unwrap_or(usize::MAX).max(bytes.len());
        let beyond = whole - bytes.len();
        let mut parser = Parser { frame: &mut frame, beyond, network: None, transport: None };
        // Most frames are Ethernet, so this case comes first.
        if link_type == LinkType::ETHERNET {
            parser.ethernet(bytes);
        } else {
            parser.link(link_type, bytes);
        }
        let start = bytes.as_ptr().addr();
        // A header of which nothing was captured may have an address elsewhere.
        let offset = |address: Option<usize>| {
            address.and_then(|address| address.checked_sub(start)).filter(|offset| *offset <= bytes.len())
        };
        let offsets = Offsets { network: offset(parser.network), transport: offset(parser.transport) };
        let beyond_ethernet = offsets.network.map_or(0, |offset| offset.saturating_sub(ETHERNET));
        frame.beyond_ethernet = u16::try_from(beyond_ethernet).unwrap_or(u16::MAX);
        (frame, offsets)
    }
}

/// Offsets of the headers in the captured bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::capture) struct Offsets {
    /// The IP header.
    pub(in crate::capture) network: Option<usize>,
    /// The content after the IP header and its extensions.
    pub(in crate::capture) transport: Option<usize>,
}

pub(super) struct Parser<'a> {
    pub(super) frame: &'a mut Frame,
    /// Bytes of the frame that were not captured.
    pub(super) beyond: usize,
    /// The address in memory of the IP header.
    pub(super) network: Option<usize>,
    /// The address in memory of the IP payload, if any of it was captured.
    pub(super) transport: Option<usize>,
}

impl Parser<'_> {
    /// Reads a frame from its link-layer header.
    pub(super) fn link(&mut self, link_type: LinkType, bytes: &[u8]) {
        match link_type {
            LinkType::ETHERNET => self.ethernet(bytes),
            LinkType::LINUX_SLL => self.linux_sll(bytes),
            LinkType::LINUX_SLL2 => self.linux_sll2(bytes),
            LinkType::NULL | LinkType::LOOP => self.loopback(bytes),
            LinkType::RAW | LinkType::RAW_12 | LinkType::RAW_14 | LinkType::IPV4 | LinkType::IPV6 => {
                self.ip(bytes)
            }
            _ => self.other_link(link_type, bytes),
        }
    }

    #[inline(always)]
    pub(super) fn ethernet(&mut self, bytes: &[u8]) {
        let Ok(header) = Ethernet2HeaderSlice::from_slice(bytes) else {
            self.frame.destination_mac = bytes.first_chunk().copied().map(MacAddress);
            self.frame.source_mac =
                bytes.get(6..).and_then(|rest| rest.first_chunk()).copied().map(MacAddress);
            return;
        };
        self.frame.destination_mac = Some(MacAddress(header.destination()));
        self.frame.source_mac = Some(MacAddress(header.source()));
        self.network(header.ether_type().0, &bytes[ETHERNET..]);
    }

    /// Linux cooked capture, version 1: packet type, ARPHRD type, address length, address (8 bytes),
    /// protocol.
    fn linux_sll(&mut self, bytes: &[u8]) {
        let Some((header, payload)) = bytes.split_first_chunk::<16>() else { return };
        self.cooked([header[2], header[3]], [header[4], header[5]], &header[6..12]);
        self.network(u16::from_be_bytes([header[14], header[15]]), payload);
    }

    /// Linux cooked capture, version 2: protocol, reserved, interface index, ARPHRD type, packet
    /// type, address length, address (8 bytes).
    fn linux_sll2(&mut self, bytes: &[u8]) {
        let Some((header, payload)) = bytes.split_first_chunk::<20>() else { return };
        self.cooked([header[8], header[9]], [0, header[11]], &header[12..18]);
        self.network(u16::from_be_bytes([header[0], header[1]]), payload);
    }

    /// Reads the sender's address of a cooked capture if it is a MAC address: 6 bytes long, on Ethernet (1),
    /// Wi-Fi (801 to 803) or the loopback interface (772).
    fn cooked(&mut self, hardware: [u8; 2], length: [u8; 2], address: &[u8]) {
        let has_mac = matches!(u16::from_be_bytes(hardware), 1 | 772 | 801..=803);
        if has_mac && u16::from_be_bytes(length) == 6 {
            self.frame.source_mac = address.first_chunk().copied().map(MacAddress);
        }
    }

    /// An address family in 4 bytes of either byte order, then IP.
    fn loopback(&mut self, bytes: &[u8]) {
        let Some((family, payload)) = bytes.split_first_chunk::<4>() else { return };
        let family = u32::from_be_bytes(*family).min(u32::from_le_bytes(*family));
        // AF_INET is 2 everywhere; AF_INET6 is 10 (Linux), 24 (NetBSD), 28 (FreeBSD) or 30 (macOS).
        if matches!(family, 2 | 10 | 24 | 28 | 30) {
            self.ip(payload);
        }
    }

    /// Reads the content that an EtherType announces, after any number of VLAN tags.
    #[inline]
    pub(super) fn network(&mut self, ether_type: u16, mut bytes: &[u8]) {
        let mut ether_type = EtherType(ether_type);
        use ether_type::{IPV4, IPV6, PROVIDER_BRIDGING, VLAN_DOUBLE_TAGGED_FRAME, VLAN_TAGGED_FRAME};
        while let VLAN_TAGGED_FRAME | PROVIDER_BRIDGING | VLAN_DOUBLE_TAGGED_FRAME = ether_type {
            let Ok(tag) = SingleVlanSlice::from_slice(bytes) else { break };
            let id = Some(tag.vlan_identifier().value());
            if self.frame.outer_vlan.is_none() {
                self.frame.outer_vlan = id;
                self.frame.outer_pcp = Some(tag.priority_code_point().value());
            } else if self.frame.inner_vlan.is_none() {
                self.frame.inner_vlan = id;
            }
            ether_type = tag.ether_type();
            bytes = &bytes[4..];
        }
        if ether_type.0 < FIRST_ETHER_TYPE {
            // LLC with SNAP of organization 0 carries an EtherType.
            let Some(([0xaa, 0xaa, 0x03, 0, 0, 0, high, low], rest)) = bytes.split_first_chunk() else {
                return;
            };
            ether_type = EtherType(u16::from_be_bytes([*high, *low]));
            bytes = rest;
        }
        self.frame.ether_type = Some(ether_type.0);
        match ether_type {
            IPV4 | IPV6 => self.ip(bytes),
            EtherType(other) => self.encapsulated(other, bytes),
        }
    }

    #[inline]
    pub(super) fn ip(&mut self, bytes: &[u8]) {
        self.network = Some(bytes.as_ptr().addr());
        match LaxIpSlice::from_slice(bytes) {
            Ok((LaxIpSlice::Ipv4(ip), _)) => {
                self.ipv4(&ip.header(), bytes.len());
                let payload = ip.payload();
                self.transport(payload.ip_number.0, payload.payload, offset(bytes, payload.payload));
            }
            Ok((LaxIpSlice::Ipv6(ip), _)) => {
                let header = ip.header();
                let frame = &mut *self.frame;
                frame.ip_version = Some(6);
                frame.source = Some(header.source_addr().into());
                frame.destination = Some(header.destination_addr().into());
                frame.ttl = Some(header.hop_limit());
                frame.dscp = Some(header.dscp().value());
                frame.ecn = Some(header.ecn().value());
                frame.ipv6_flow_label = Some(header.flow_label().value());
                frame.ipv6_payload_length = Some(header.payload_length());
                frame.total_length = Some(match header.payload_length() {
                    0 => saturate(bytes.len() + self.beyond),
                    length => u32::from(length) + 40,
                });
                frame.more_fragments = Some(false);
                frame.fragment_offset = Some(0);
                for ([_, _, high, low, id @ ..], end) in
                    fragments(header.next_header().0, ip.extensions().slice())
                {
                    let offset = u16::from_be_bytes([high, low]);
                    frame.identification = Some(u32::from_be_bytes(id));
                    frame.more_fragments = Some(offset & 1 != 0);
                    frame.fragment_offset = Some(offset >> 3);
                    frame.fragment = Fragment::of(frame, IPV6 + end);
                }
                let payload = ip.payload();
                self.transport(payload.ip_number.0, payload.payload, offset(bytes, payload.payload));
            }
            Err(_) => self.ipv4_without_options(bytes),
        }
    }

    fn ipv4(&mut self, header: &Ipv4HeaderSlice<'_>, present: usize) {
        let frame = &mut *self.frame;
        frame.ip_version = Some(4);
        frame.source = Some(header.source_addr().into());
        frame.destination = Some(header.destination_addr().into());
        frame.identification = Some(header.identification().into());
        frame.ttl = Some(header.ttl());
        frame.dscp = Some(header.dcp().value());
        frame.ecn = Some(header.ecn().value());
        frame.total_length = Some(match header.total_len() {
            0 => saturate(present + self.beyond),
            length => length.into(),
        });
        frame.dont_fragment = Some(header.dont_fragment());
        let (more_fragments, offset) = (header.more_fragments(), header.fragments_offset().value());
        frame.more_fragments = Some(more_fragments);
        frame.fragment_offset = Some(offset);
        if more_fragments || offset > 0 {
            frame.protocol = Some(header.protocol().0);
            frame.fragment = Fragment::of(frame, header.slice().len());
        }
    }

    /// Reads an IPv4 header whose options were not captured.
    fn ipv4_without_options(&mut self, bytes: &[u8]) {
        let Some(fixed) = bytes.first_chunk::<20>() else { return };
        let total_length = u16::from_be_bytes([fixed[2], fixed[3]]);
        let header_length = u16::from(fixed[0] & 0x0f) * 4;
        let is_plausible = total_length == 0 || total_length >= header_length;
        if !(0x46..=0x4f).contains(&fixed[0]) || !is_plausible {
            return;
        }
        let mut fixed = *fixed;
        fixed[0] = 0x45;
        if let Ok(header) = Ipv4HeaderSlice::from_slice(&fixed) {
            self.ipv4(&header, bytes.len());
            self.transport(header.protocol().0, &[], header_length.into());
        }
    }

    /// Reads ports, TCP fields and the body as far as captured; `bytes` start at `offset` of the IP packet.
    #[inline]
    fn transport(&mut self, protocol: u8, bytes: &[u8], offset: usize) {
        self.transport = (!bytes.is_empty()).then(|| bytes.as_ptr().addr());
        let frame = &mut *self.frame;
        frame.protocol = Some(protocol);
        // Padding does not belong to the packet, unless the length of the packet is invalid.
        let total =
            frame.total_length.and_then(|total| (total as usize).checked_sub(offset)).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(total)];
        let is_later_fragment = frame.is_later_fragment();
        if !is_later_fragment
            && WITH_PORTS.contains(&protocol)
            && let Some(&[a, b, c, d]) = bytes.first_chunk()
        {
            frame.source_port = Some(u16::from_be_bytes([a, b]));
            frame.destination_port = Some(u16::from_be_bytes([c, d]));
        }
        let (mut start, mut end) = (0, total);
        if !is_later_fragment && protocol == ip_number::TCP.0 {
            let number = |at: usize| {
                bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map(u32::from_be_bytes)
            };
            frame.tcp_sequence = number(4);
            frame.tcp_acknowledgement = number(8);
            frame.tcp_flags = bytes.get(13).copied();
            let header = bytes.get(12).map(|byte| usize::from(byte >> 4) * 4).filter(|header| *header >= 20);
            frame.payload_offset = header.and_then(|header| u8::try_from(offset + header).ok()).unwrap_or(0);
            let is_syn = frame.tcp_flags.is_some_and(|flags| flags & 0x02 != 0);
            start = if is_syn { total } else { 20 };
        } else if !is_later_fragment && protocol == UDP {
            // The length in the header excludes padding, which can change on the path.
            let length = bytes.get(4..6).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]])));
            start = 8;
            end = length.filter(|length| *length >= 8).map_or(total, |length| length.min(total));
        }
        let body = bytes.get(start.min(bytes.len())..end.min(bytes.len())).unwrap_or_default();
        frame.set_body(body, bytes.len() >= end.max(start.min(total)));
        let may_carry = match protocol {
            UDP => self.frame.destination_port.is_some_and(is_tunnel_port),
            other => is_tunnel_protocol(other),
        };
        if may_carry && !is_later_fragment {
            self.behind_ip(protocol, bytes, total.min(bytes.len().saturating_add(self.beyond)));
        }
    }
}

/// The fragment headers among the extension headers of an IPv6 packet, each with the offset of its end in
/// `extensions`.
///
/// The iterator of etherparse 0.21 reads beyond these bytes if the chain goes on with a header that is cut off or
/// not allowed at its place.
fn fragments(first: u8, extensions: &[u8]) -> impl Iterator<Item = ([u8; 8], usize)> {
    let (mut next, mut end) = (first, 0);
    std::iter::from_fn(move || {
        loop {
            let rest = extensions.get(end..)?;
            let units = usize::from(*rest.get(1)?);
            // RFC 8200, sections 4.3 to 4.6; RFC 4302, section 2.2.
            let length = match next {
                0 | 43 | 60 => (units + 1) * 8,
                44 => 8,
                51 => (units + 2) * 4,
                _ => return None,
            };
            let header = rest.get(..length)?;
            let kind = std::mem::replace(&mut next, header[0]);
            end += length;
            if let (44, Some(header)) = (kind, header.first_chunk()) {
                return Some((*header, end));
            }
        }
    })
}

/// The offset of the slice `part` in `bytes`, which contains it.
fn offset(bytes: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize).min(bytes.len())
}

fn saturate(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// UDP ports whose datagrams may carry IP.
#[inline]
fn is_tunnel_port(port: u16) -> bool {
    matches!(port, 1701 | 2152 | 3544 | 4341 | 4754 | 4789 | 4790 | 5247 | 6080 | 6081 | 6635 | 8472 | 51820)
}

/// IP protocols whose packets may carry IP.
#[inline]
fn is_tunnel_protocol(protocol: u8) -> bool {
    matches!(protocol, 4 | 41 | 47 | 50 | 97 | 115 | 137)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_without_bytes_has_no_headers() {
        // Raw IP, and IP behind 24 bytes of IPNET (Solaris).
        for link_type in [LinkType::RAW, LinkType(226)] {
            let (frame, offsets) = Frame::parse_with_offsets(link_type, &[], 0);
            assert_eq!(frame.beyond_ethernet, 0, "{link_type}");
            assert_eq!(offsets.transport, None, "{link_type}");
        }
    }
}
