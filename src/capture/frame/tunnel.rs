//! Encapsulated packets: tunnels, pseudowires, and tags before the EtherType.
//!
//! etherparse reads only MACsec of these. A protocol number or port is trusted only if a consistent IP packet
//! is found inside. Otherwise the frame is treated as a packet without that encapsulation.

use super::encapsulation::Encapsulation;
use super::parse::Parser;
use super::{Frame, Unread};

impl Parser<'_> {
    /// Reads the content of an EtherType other than those of IP and VLAN tags.
    #[cold]
    pub(super) fn encapsulated(&mut self, ether_type: u16, bytes: &[u8]) {
        use Encapsulation::*;
        let room = self.room(bytes);
        match ether_type {
            0x8847 | 0x8848 => self.mpls(bytes),
            0x8863 => {}
            0x8864 => self.pppoe(bytes),
            // security group tag: version, length, 4 bytes
            0x8909 if bytes.starts_with(&[1, 1]) => self.tagged(CiscoMetadata, bytes, 6),
            0x8926 => self.tagged(VnTag, bytes, 4),
            0x892f => self.tagged(Hsr, bytes, 4),
            0xdada => self.tagged(Edsa, bytes, 6),
            0x88e5 => self.macsec(bytes),
            0x88e7 => self.inside(Pbb, bytes.get(4..), room, Self::ethernet),
            0x8903 => self.inside(FabricPath, bytes.get(2..), room, Self::ethernet),
            0x22f3 => {
                let options =
                    bytes.first_chunk::<2>().map(|[a, b]| (usize::from(*a & 7) << 2) | usize::from(*b >> 6));
                let inner = options.and_then(|options| bytes.get(6 + 4 * options..));
                self.inside(Trill, inner, room, Self::ethernet);
            }
            0x894f => self.nsh(bytes, room),
            0x880b => self.ppp(bytes),
            0x6558 => self.ethernet(bytes),
            0x4305 => self.frame.unread = Some(Unread::BatmanAdv),
            0x8899 => self.frame.unread = Some(Unread::RealtekTag),
            _ => {}
        }
    }

    /// Reads the content of an IP packet of this protocol from `bytes`; `room` is its length on the wire.
    #[cold]
    pub(super) fn behind_ip(&mut self, protocol: u8, bytes: &[u8], room: usize) {
        match protocol {
            17 => {
                let port = self.frame.destination_port.unwrap_or(0);
                self.behind_udp(port, bytes.get(8..).unwrap_or_default(), room.saturating_sub(8));
            }
            4 | 41 => self.inside_ip(&[], Some(bytes), room, Self::ip),
            47 => self.gre(bytes, room),
            97 if bytes.first().is_some_and(|version| version >> 4 == 3) => {
                self.inside_ip(&[Encapsulation::EtherIp], bytes.get(2..), room, Self::ethernet);
            }
            137 => self.inside_ip(&[], Some(bytes), room, Self::mpls),
            50 => self.frame.unread = Some(Unread::Esp),
            115 => self.frame.unread = Some(Unread::L2tpV3),
            _ => {}
        }
    }

    /// Reads the content of a UDP datagram to a port of [`is_tunnel_port`]; `room` is its length on the wire.
    fn behind_udp(&mut self, port: u16, bytes: &[u8], room: usize) {
        use Encapsulation::*;
        let skip = |header: usize| bytes.get(header..);
        match (port, bytes) {
            // the flag for a valid network identifier, and a reserved byte
            (4789 | 8472, [flags, _, _, _, _, _, _, 0, ..]) if flags & 0x08 != 0 => {
                self.inside_ip(&[Vxlan], skip(8), room, Self::ethernet);
            }
            (4790, [flags, _, _, next, ..]) if flags & 0x0c == 0x0c => match next {
                1 | 2 => self.inside_ip(&[Vxlan], skip(8), room, Self::ip),
                3 => self.inside_ip(&[Vxlan], skip(8), room, Self::ethernet),
                4 => self.inside_ip(&[Vxlan], skip(8), room, |it, inner| it.nsh(inner, room)),
                5 => self.inside_ip(&[Vxlan], skip(8), room, Self::mpls),
                _ => {}
            },
            // version 0, and the length of the options in units of 4 bytes
            (6081, [options @ 0..=0x3f, _, high, low, ..]) => {
                let ether_type = u16::from_be_bytes([*high, *low]);
                let inner = skip(8 + 4 * usize::from(*options));
                self.inside_ip(&[Geneve], inner, room, |it, inner| it.network(ether_type, inner));
            }
            (2152, _) => self.inside_ip(&[Gtpu], gtpu(bytes), room, Self::ip),
            (1701, _) => self.inside_ip(&[L2tp], l2tp(bytes), room, Self::ppp),
            (4341, _) => self.inside_ip(&[Lisp], skip(8), room, Self::ip),
            (4754, _) => self.gre(bytes, room),
            (6635, _) => self.inside_ip(&[], Some(bytes), room, Self::mpls),
            (6080, [first, protocol, ..]) => match (first >> 6, protocol) {
                (0, 4 | 41) => {
                    self.inside_ip(&[Gue], skip(4 + 4 * usize::from(first & 0x1f)), room, Self::ip)
                }
                (1, _) => self.inside_ip(&[Gue], Some(bytes), room, Self::ip),
                _ => {}
            },
            // an origin indication may precede the packet
            (3544, [0, 0, ..]) => self.inside_ip(&[Teredo], skip(8), room, Self::ip),
            (3544, _) => self.inside_ip(&[Teredo], Some(bytes), room, Self::ip),
            (51820, [1..=4, 0, 0, 0, ..]) => self.frame.unread = Some(Unread::WireGuard),
            (5247, _) => self.frame.unread = Some(Unread::Capwap),
            _ => {}
        }
    }

    /// A label stack, which does not give the type of its content. Content that starts with an IPv4 header
    /// with the right checksum is IPv4. Otherwise it may be an Ethernet frame, with a control word (RFC 4385)
    /// or without, whose first address may look like an IP header (RFC 4928). Otherwise it is read as IP.
    pub(super) fn mpls(&mut self, bytes: &[u8]) {
        use Encapsulation::*;
        let room = self.room(bytes);
        let Some(bottom) = bytes.chunks_exact(4).position(|label| label[2] & 1 == 1) else { return };
        let inner = &bytes[4 * (bottom + 1)..];
        let first = inner.first().map_or(0, |byte| byte >> 4);
        let is_read = (is_sound_ipv4(inner) && self.descend(&[Mpls], Some(inner), room, Self::ip))
            || (first == 0 && self.descend(&[Mpls, Pseudowire], inner.get(4..), room, Self::ethernet))
            || self.descend(&[Mpls, Pseudowire], Some(inner), room, Self::ethernet)
            || self.descend(&[Mpls], Some(inner), room, Self::ip);
        if !is_read && self.frame.unread.is_none() {
            self.frame.unread = Some(Unread::Pseudowire);
        }
    }

    /// RFC 2516: version and type 1, code 0 for session data, session, length.
    fn pppoe(&mut self, bytes: &[u8]) {
        let [0x11, 0, _, _, high, low, inner @ ..] = bytes else { return };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let inner = &inner[..inner.len().min(length)];
        self.inside(Encapsulation::Pppoe, Some(inner), length, Self::ppp);
    }

    /// PPP, with or without address and control, and with a protocol field of one or two bytes (RFC 1661,
    /// section 5).
    pub(super) fn ppp(&mut self, bytes: &[u8]) {
        let bytes = bytes.strip_prefix(&[0xff, 0x03]).unwrap_or(bytes);
        let (protocol, inner) = match bytes {
            [protocol, inner @ ..] if protocol & 1 == 1 => (u16::from(*protocol), inner),
            [high, low, inner @ ..] => (u16::from_be_bytes([*high, *low]), inner),
            _ => return,
        };
        match protocol {
            0x0021 | 0x0057 => self.ip(inner),
            0x0281 | 0x0283 => self.mpls(inner),
            // compressed headers, multilink fragments, compressed or encrypted datagrams
            0x002d | 0x002f | 0x003d | 0x0053 | 0x0055 | 0x00fb | 0x00fd | 0x0061..=0x0069 => {
                self.frame.unread = Some(Unread::PppCompressed);
            }
            _ => {}
        }
    }

    /// RFC 2784 and 2890: flags, version, EtherType, and optionally 4 bytes each for a checksum, a key and a
    /// sequence number. Version 1 (RFC 2637) also has an acknowledgement number.
    fn gre(&mut self, bytes: &[u8], room: usize) {
        use Encapsulation::*;
        let [flags, version, high, low, ..] = bytes else { return };
        let ether_type = u16::from_be_bytes([*high, *low]);
        let optional = [flags & 0x80, flags & 0x20, flags & 0x10, version & 0x80];
        let header = 4 + 4 * optional.iter().filter(|flag| **flag != 0).count();
        let inner = bytes.get(header..);
        match (version & 0x07, flags & 0x40, ether_type) {
            (0, 0, 0x88be) => {
                let header = if flags & 0x10 == 0 { 0 } else { 8 };
                self.inside_ip(&[Gre, Erspan], inner.and_then(|it| it.get(header..)), room, Self::ethernet);
            }
            (0, 0, 0x22eb) => {
                // the last bit of the header announces 8 bytes of a platform-specific subheader
                let erspan = inner.and_then(|it| it.get(if it.get(11)? & 1 == 1 { 20 } else { 12 }..));
                self.inside_ip(&[Gre, Erspan], erspan, room, Self::ethernet);
            }
            // WCCP; its version 2 has 4 bytes of its own before IP
            (0, 0, 0x883e) => {
                let wccp = inner.and_then(|it| it.get(if it.first()? >> 4 == 4 { 0 } else { 4 }..));
                self.inside_ip(&[Gre], wccp, room, Self::ip);
            }
            (0, 0, _) => self.inside_ip(&[Gre], inner, room, |it, inner| it.network(ether_type, inner)),
            (1, 0, 0x880b) => self.inside_ip(&[Gre], inner, room, Self::ppp),
            _ => {}
        }
    }

    /// RFC 8300: the length in units of 4 bytes, and the next protocol.
    fn nsh(&mut self, bytes: &[u8], room: usize) {
        let [_, length, _, next, ..] = bytes else { return };
        let inner = bytes.get(4 * usize::from(length & 0x3f)..);
        match next {
            1 | 2 => self.inside(Encapsulation::Nsh, inner, room, Self::ip),
            3 => self.inside(Encapsulation::Nsh, inner, room, Self::ethernet),
            5 => self.inside(Encapsulation::Nsh, inner, room, Self::mpls),
            _ => {}
        }
    }

    /// IEEE 802.1AE: flags, a short length, a packet number, and a channel identifier if the flags say so.
    fn macsec(&mut self, bytes: &[u8]) {
        let Some(flags) = bytes.first() else { return };
        if flags & 0x0c != 0 {
            self.frame.unread = Some(Unread::MacSecEncrypted);
            return;
        }
        self.tagged(Encapsulation::MacSec, bytes, if flags & 0x20 == 0 { 6 } else { 14 });
    }

    /// A tag of `length` bytes, then the EtherType of the content.
    fn tagged(&mut self, tag: Encapsulation, bytes: &[u8], length: usize) {
        let room = self.room(bytes);
        let Some([high, low, inner @ ..]) = bytes.get(length..) else { return };
        let ether_type = u16::from_be_bytes([*high, *low]);
        self.inside(tag, Some(inner), room, |it, inner| it.network(ether_type, inner));
    }

    /// [`Parser::descend`] into the content of one link-layer header.
    fn inside(
        &mut self,
        header: Encapsulation,
        inner: Option<&[u8]>,
        room: usize,
        read: impl FnOnce(&mut Self, &[u8]),
    ) {
        self.descend(&[header], inner, room, read);
    }

    /// [`Parser::descend`] into the content of the IP header just read and of the `headers` after it.
    fn inside_ip(
        &mut self,
        headers: &[Encapsulation],
        inner: Option<&[u8]>,
        room: usize,
        read: impl FnOnce(&mut Self, &[u8]),
    ) {
        let outer = if self.frame.ip_version == Some(4) { Encapsulation::Ipv4 } else { Encapsulation::Ipv6 };
        let headers: Vec<_> = std::iter::once(outer).chain(headers.iter().copied()).collect();
        self.descend(&headers, inner, room, read);
    }

    /// Reads the content of `headers`. If it contains no IP packet that fits into `room` bytes, the fields
    /// read before are kept. MAC addresses, VLAN tags and the EtherType stay those of the frame on the wire
    /// in either case.
    fn descend(
        &mut self,
        headers: &[Encapsulation],
        inner: Option<&[u8]>,
        room: usize,
        read: impl FnOnce(&mut Self, &[u8]),
    ) -> bool {
        let Some(inner) = inner else { return false };
        let outside = (*self.frame, self.network, self.transport);
        let around =
            headers.iter().try_fold(self.frame.encapsulations, |around, header| around.with(*header));
        let Some(encapsulations) = around else {
            self.frame.unread = Some(Unread::TooDeep);
            return false;
        };
        *self.frame = Frame { encapsulations, ..Frame::default() };
        read(self, inner);
        let fragment = outside.0.fragment;
        let found = &mut *self.frame;
        // A datagram larger than the path MTU is fragmented: its first fragment holds only a part of the
        // inner packet.
        let fits = found.total_length.is_some_and(|length| length as usize <= room || fragment.is_some());
        if found.source.is_none() || !fits {
            let unread = found.unread;
            (*self.frame, self.network, self.transport) = outside;
            self.frame.unread = unread;
            return false;
        }
        let outside = outside.0;
        found.source_mac = outside.source_mac;
        found.destination_mac = outside.destination_mac;
        found.outer_vlan = outside.outer_vlan;
        found.outer_pcp = outside.outer_pcp;
        found.inner_vlan = outside.inner_vlan;
        found.ether_type = outside.ether_type;
        found.fragment = fragment.or(found.fragment);
        true
    }

    /// Bytes of the frame from the start of `bytes`, captured or not.
    fn room(&self, bytes: &[u8]) -> usize {
        bytes.len().saturating_add(self.beyond)
    }
}

/// Whether `bytes` start with an IPv4 header with a correct checksum (RFC 1071).
fn is_sound_ipv4(bytes: &[u8]) -> bool {
    let length = bytes.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    let Some(header) = bytes.get(..length).filter(|header| header.len() >= 20 && header[0] >> 4 == 4) else {
        return false;
    };
    let sum: u32 = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    (sum >> 16) + (sum & 0xffff) == 0xffff
}

/// The bytes after the header of a G-PDU (3GPP TS 29.281, section 5): version 1, type 255, and, if flags say
/// so, 4 optional bytes and extension headers.
fn gtpu(bytes: &[u8]) -> Option<&[u8]> {
    let [flags, 0xff, ..] = bytes else { return None };
    if flags >> 4 != 0b0011 {
        return None;
    }
    if flags & 0x07 == 0 {
        return bytes.get(8..);
    }
    let mut next = *bytes.get(11)?;
    let mut inner = bytes.get(12..)?;
    while flags & 0x04 != 0 && next != 0 {
        let length = 4 * usize::from(*inner.first()?);
        next = *inner.get(length.checked_sub(1)?)?;
        inner = inner.get(length..)?;
    }
    Some(inner)
}

/// The bytes after the header of an L2TP data message (RFC 2661, section 3.1), whose flags give the fields
/// present.
fn l2tp(bytes: &[u8]) -> Option<&[u8]> {
    let flags = u16::from_be_bytes(*bytes.first_chunk()?);
    if flags & 0x8000 != 0 || flags & 0x000f != 2 {
        return None;
    }
    let mut header = 6;
    header += if flags & 0x4000 != 0 { 2 } else { 0 };
    header += if flags & 0x0800 != 0 { 4 } else { 0 };
    if flags & 0x0200 != 0 {
        let pad = bytes.get(header..)?.first_chunk()?;
        header += 2 + usize::from(u16::from_be_bytes(*pad));
    }
    bytes.get(header..)
}
