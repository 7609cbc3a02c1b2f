//! [`Frame`]: the header fields of a captured frame.

mod encapsulation;
mod fragment;
mod key;
mod link;
mod parse;
mod tunnel;
mod unread;

use std::net::IpAddr;

pub use encapsulation::{Encapsulation, Encapsulations};
pub(crate) use fragment::Fragment;
pub use key::MatchFields;
pub(super) use link::Place;
pub(super) use parse::Offsets;
pub use unread::Unread;
pub(crate) use unread::UnreadCounts;

use crate::packet::{FlowKey, MacAddress, VlanTag};

/// The header fields of a frame. A field is `None` if the frame does not have it or its bytes were not
/// captured.
///
/// For nested IP headers (tunnels), the fields are those of the innermost packet, and
/// [`Frame::encapsulations`] lists the headers around it. MAC addresses, VLAN tags and the EtherType are
/// those of the frame on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Frame {
    /// Source MAC address.
    pub source_mac: Option<MacAddress>,
    /// Destination MAC address.
    pub destination_mac: Option<MacAddress>,
    /// EtherType after any VLAN tags. `None` for an IEEE 802.3 frame, which has a length instead, unless it
    /// has a SNAP header.
    pub ether_type: Option<u16>,
    /// VLAN id of the first tag, 0 to 4095.
    pub outer_vlan: Option<u16>,
    /// Priority code point of the first tag, 0 to 7.
    pub outer_pcp: Option<u8>,
    /// VLAN id of the second tag, 0 to 4095.
    pub inner_vlan: Option<u16>,
    /// IP version: 4 or 6.
    pub ip_version: Option<u8>,
    /// IP source address.
    pub source: Option<IpAddr>,
    /// IP destination address.
    pub destination: Option<IpAddr>,
    /// IP identification: 16 bits in IPv4; 32 bits in IPv6, from the fragment header.
    pub identification: Option<u32>,
    /// Length of the IP packet with its header, in bytes. If the header says 0 (segmentation offload), the
    /// number of bytes that the frame has room for.
    pub total_length: Option<u32>,
    /// Payload length of the IPv6 header, in bytes, unmodified.
    pub ipv6_payload_length: Option<u16>,
    /// IPv6 flow label, 20 bits.
    pub ipv6_flow_label: Option<u32>,
    /// Time to live, or IPv6 hop limit.
    pub ttl: Option<u8>,
    /// Differentiated services code point, 0 to 63.
    pub dscp: Option<u8>,
    /// Explicit congestion notification, 0 to 3.
    pub ecn: Option<u8>,
    /// The don't-fragment flag of IPv4.
    pub dont_fragment: Option<bool>,
    /// The more-fragments flag; false in an IPv6 packet without fragment header.
    pub more_fragments: Option<bool>,
    /// Fragment offset in units of 8 bytes; 0 in an IPv6 packet without fragment header.
    pub fragment_offset: Option<u16>,
    /// IP protocol number of the payload, after IPv6 extension headers and IP authentication headers.
    pub protocol: Option<u8>,
    /// Source port of TCP, UDP, UDP-Lite, SCTP or DCCP.
    pub source_port: Option<u16>,
    /// Destination port of TCP, UDP, UDP-Lite, SCTP or DCCP.
    pub destination_port: Option<u16>,
    /// TCP sequence number.
    pub tcp_sequence: Option<u32>,
    /// TCP acknowledgement number.
    pub tcp_acknowledgement: Option<u32>,
    /// TCP flags: CWR, ECE, URG, ACK, PSH, RST, SYN, FIN from the highest bit.
    pub tcp_flags: Option<u8>,
    /// The first bytes of the body, followed by zeros beyond [`Frame::prefix_length`]. The body is the UDP
    /// payload. For TCP it is the options and the payload, and for a SYN it is empty, because routers change
    /// its options (MSS clamping). For all other protocols and for later fragments it is the IP payload.
    pub prefix: [u8; 8],
    /// Number of valid bytes in [`Frame::prefix`].
    pub prefix_length: u8,
    /// Number of body bytes captured, at most 254; 255 if the body is complete.
    pub(crate) body_captured: u8,
    /// Start of the TCP payload in the IP packet, in bytes; 0 if unknown.
    pub(crate) payload_offset: u8,
    /// The headers around the IP packet.
    pub encapsulations: Encapsulations,
    /// Why the parser could not read further inside.
    pub unread: Option<Unread>,
    /// Place of this frame in a fragmented datagram: of the innermost IP packet or of an outer one.
    pub(crate) fragment: Option<Fragment>,
    /// Bytes before the IP header in excess of an Ethernet header.
    pub(crate) beyond_ethernet: u16,
    /// Hashes of the first 16 and of the first 32 bytes of the body, or of the whole body if it is shorter.
    pub(crate) body_hashes: [u32; 2],
}

impl Frame {
    /// Whether this is a fragment of an IP packet other than the first. It has no ports.
    pub fn is_later_fragment(&self) -> bool {
        self.fragment_offset.is_some_and(|offset| offset > 0)
    }

    /// Whether this is a fragment of an IP packet.
    pub fn is_fragment(&self) -> bool {
        self.is_later_fragment() || self.more_fragments == Some(true)
    }

    /// The first VLAN tag.
    pub fn vlan_tag(&self) -> VlanTag {
        let tag = self.outer_pcp.zip(self.outer_vlan).and_then(|(pcp, vlan)| VlanTag::new(pcp, vlan));
        tag.unwrap_or_default()
    }

    /// Bytes of TCP payload on the wire, captured or not. `None` if the start of the payload was not
    /// captured.
    pub fn tcp_payload(&self) -> Option<u32> {
        let headers = (self.payload_offset > 0).then_some(u32::from(self.payload_offset))?;
        Some(self.total_length?.saturating_sub(headers))
    }

    /// The key that frames of one flow share: the 5-tuple, or without IP the MAC addresses and the EtherType.
    /// A later fragment has no ports; [`super::FlowTable`] assigns it to the flow of the first fragment.
    pub fn flow_key(&self) -> FlowKey {
        match (self.source, self.destination, self.protocol) {
            (Some(source), Some(destination), Some(protocol)) => FlowKey::Ip {
                source,
                destination,
                protocol,
                ports: self.source_port.zip(self.destination_port),
            },
            _ => FlowKey::Link {
                source: self.source_mac,
                destination: self.destination_mac,
                ether_type: self.ether_type,
            },
        }
    }
}
