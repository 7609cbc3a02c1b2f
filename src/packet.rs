//! Packets: [`Packet`], [`Tau`], and the [`FlowKey`] that identifies a flow.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::units::{ByteCount, Time};

/// One packet, as the devices see it (DeepQueueNet's packet descriptor).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Packet {
    /// Packet id, unique in a run: the packet's number in its source, times the number of sources, plus the
    /// number of the source. With one source, packets count from 0.
    pub pid: u64,
    /// Flow id: unique per [`FlowKey`], in order of first appearance from 0.
    pub fid: u32,
    /// Bytes on the wire: the frame's original length, never its captured length.
    pub length: u32,
    /// Transport protocol: the IP protocol number; 255 (reserved by IANA) for packets without IP.
    pub trp: u8,
    /// IP time to live (hop limit in IPv6); 255 for packets without IP.
    pub ttl: u8,
    /// IP differentiated services code point, 0 to 63.
    pub dscp: u8,
    /// Explicit congestion notification (RFC 3168): 0 not ECN-capable, 1 and 2 ECN-capable, 3 congestion
    /// experienced.
    pub ecn: u8,
    /// Number of the ingress port at the current device; 65535 if the packet does not come from a link.
    pub in_port: u16,
    /// The outer VLAN tag.
    pub tag: VlanTag,
    /// How devices forward the packet. The engine computes it where the packet enters, and ignores the
    /// source's value.
    pub way: Way,
}

/// A cache of how devices forward a packet, which avoids a look-up by flow at every hop. It follows from the
/// flow and does not distinguish packets: any two values compare equal.
#[derive(Debug, Clone, Copy, Eq)]
pub struct Way {
    /// Flows of one class are forwarded in the same way.
    pub(crate) class: u32,
    /// The column of the forwarding tables.
    pub(crate) column: u32,
}

impl Way {
    /// Not computed yet.
    pub const UNKNOWN: Way = Way { class: u32::MAX, column: u32::MAX };
}

impl Default for Way {
    fn default() -> Self {
        Way::UNKNOWN
    }
}

impl PartialEq for Way {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Hash for Way {
    fn hash<H: Hasher>(&self, _state: &mut H) {}
}

impl Packet {
    /// The length as a quantity.
    #[inline]
    pub fn byte_count(&self) -> ByteCount {
        ByteCount::new(self.length.into())
    }

    /// Moves the packet to the next device: it arrives at `in_port`, with its time to live reduced by `hops`.
    #[inline(always)]
    pub(crate) fn pass(&mut self, hops: u8, in_port: u16) {
        self.in_port = in_port;
        self.ttl -= hops;
    }

    /// Sets congestion experienced if the packet is ECN-capable. Returns whether the packet has the mark now
    /// (RFC 3168, Section 5).
    #[inline]
    pub fn mark_congestion(&mut self) -> bool {
        let capable = self.is_ecn_capable();
        if capable {
            self.ecn = CE;
        }
        capable
    }

    /// Whether the packet can be marked instead of dropped (RFC 3168, Section 5).
    #[inline]
    pub fn is_ecn_capable(&self) -> bool {
        self.ecn != 0
    }
}

/// The VLAN tag of a packet (IEEE 802.1Q): its priority code point and VLAN id, or no tag. The drop eligible
/// indicator is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VlanTag(u16);

impl VlanTag {
    /// An untagged packet; in a tag, the bit of the drop eligible indicator is clear.
    pub const NONE: VlanTag = VlanTag(u16::MAX);

    /// A tag with a priority from 0 to 7 and a VLAN id from 0 to 4095; `None` beyond. The id 0 is that of a
    /// priority tag, which names no VLAN.
    pub const fn new(pcp: u8, vlan: u16) -> Option<Self> {
        if pcp < 8 && vlan < 4096 { Some(VlanTag((pcp as u16) << 13 | vlan)) } else { None }
    }

    /// The priority code point, 0 to 7; `None` without a tag.
    #[inline]
    pub const fn pcp(self) -> Option<u8> {
        if self.0 == u16::MAX { None } else { Some((self.0 >> 13) as u8) }
    }

    /// The VLAN id, 0 to 4095; `None` without a tag.
    #[inline]
    pub const fn vlan(self) -> Option<u16> {
        if self.0 == u16::MAX { None } else { Some(self.0 & 0xfff) }
    }
}

impl Default for VlanTag {
    fn default() -> Self {
        VlanTag::NONE
    }
}

impl fmt::Debug for VlanTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pcp(), self.vlan()) {
            (Some(pcp), Some(vlan)) => write!(f, "VlanTag(pcp {pcp}, vlan {vlan})"),
            _ => f.write_str("VlanTag(none)"),
        }
    }
}

/// The ECN field of a packet that experienced congestion: the codepoint CE of RFC 3168, Section 5.
pub const CE: u8 = 0b11;

/// The ECN field of a packet whose transport is capable of ECN: the codepoint ECT(0) of RFC 3168, Section 5.
pub const ECT_0: u8 = 0b10;

/// A timestamped packet.
///
/// An *ingress Tau* is a packet whose last bit has arrived at a device. An *egress Tau* is a packet whose
/// first bit starts onto the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tau {
    /// The instant.
    pub timestamp: Time,
    /// The packet.
    pub packet: Packet,
}

impl Tau {
    /// The same packet, marked as by [`Packet::mark_congestion`].
    #[must_use]
    pub fn marked(mut self) -> Tau {
        self.packet.mark_congestion();
        self
    }
}

/// Why a device dropped a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DropReason {
    /// The buffer of the egress port had no room (tail drop).
    BufferFull,
    /// The packet is longer than the depth of the token bucket, so it could never leave.
    LargerThanBurst,
    /// No host has the destination address, or no path leads there.
    NoRoute,
    /// The time to live expired at a router.
    TtlExpired,
    /// Active queue management selected the packet at random, before the buffer was full (RED, PIE, BLUE).
    EarlyDrop,
    /// The average of active queue management was above its upper threshold, where every arriving packet is
    /// dropped (RED).
    AboveMaximum,
    /// Packets had waited longer than the target for an interval or more (CoDel).
    SojournAboveTarget,
    /// The link lost it.
    LostOnLink,
    /// The egress port lost it at random (netem).
    RandomLoss,
}

impl DropReason {
    /// Every reason, ordered by number.
    pub const ALL: [DropReason; 9] = [
        DropReason::BufferFull,
        DropReason::LargerThanBurst,
        DropReason::NoRoute,
        DropReason::TtlExpired,
        DropReason::EarlyDrop,
        DropReason::AboveMaximum,
        DropReason::SojournAboveTarget,
        DropReason::LostOnLink,
        DropReason::RandomLoss,
    ];

    /// The number: the index in [`ALL`](Self::ALL).
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The name in files: `buffer-full`.
    pub fn name(self) -> &'static str {
        match self {
            DropReason::BufferFull => "buffer-full",
            DropReason::LargerThanBurst => "larger-than-burst",
            DropReason::NoRoute => "no-route",
            DropReason::TtlExpired => "ttl-expired",
            DropReason::EarlyDrop => "early-drop",
            DropReason::AboveMaximum => "above-maximum",
            DropReason::SojournAboveTarget => "sojourn-above-target",
            DropReason::LostOnLink => "lost-on-link",
            DropReason::RandomLoss => "random-loss",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The key that identifies a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FlowKey {
    /// The 5-tuple. A protocol without ports (ICMP, GRE, ...) has no ports.
    Ip {
        /// source address
        source: IpAddr,
        /// destination address
        destination: IpAddr,
        /// IP protocol number
        protocol: u8,
        /// source and destination transport port
        ports: Option<(u16, u16)>,
    },
    /// A frame without IP: the pair of MAC addresses and the EtherType, if known.
    Link {
        /// source MAC address
        source: Option<MacAddress>,
        /// destination MAC address
        destination: Option<MacAddress>,
        /// EtherType
        ether_type: Option<u16>,
    },
}

impl FlowKey {
    /// The IP source address, if there is one.
    pub fn source_address(&self) -> Option<IpAddr> {
        match *self {
            FlowKey::Ip { source, .. } => Some(source),
            FlowKey::Link { .. } => None,
        }
    }

    /// The flow of the other direction; `None` without IP.
    pub fn reverse(&self) -> Option<FlowKey> {
        match *self {
            FlowKey::Ip { source, destination, protocol, ports } => Some(FlowKey::Ip {
                source: destination,
                destination: source,
                protocol,
                ports: ports.map(|(from, to)| (to, from)),
            }),
            FlowKey::Link { .. } => None,
        }
    }

    /// The IP destination address, if there is one.
    pub fn destination_address(&self) -> Option<IpAddr> {
        match *self {
            FlowKey::Ip { destination, .. } => Some(destination),
            FlowKey::Link { .. } => None,
        }
    }
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlowKey::Ip { source, destination, protocol, ports: Some((from, to)) } => {
                let socket = |address: IpAddr, port| std::net::SocketAddr::new(address, port);
                write!(
                    f,
                    "{} > {} {}",
                    socket(*source, *from),
                    socket(*destination, *to),
                    protocol_name(*protocol)
                )
            }
            FlowKey::Ip { source, destination, protocol, ports: None } => {
                write!(f, "{source} > {destination} {}", protocol_name(*protocol))
            }
            FlowKey::Link { source, destination, ether_type } => {
                let mac =
                    |address: &Option<MacAddress>| address.map_or("?".to_owned(), |mac| mac.to_string());
                write!(f, "{} > {}", mac(source), mac(destination))?;
                ether_type.map_or(Ok(()), |number| write!(f, " {number:#06x}"))
            }
        }
    }
}

/// A text that is not a flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a flow; write it as \"10.0.0.1:5000 > 10.0.0.2:53 UDP\", \"10.0.0.1 > 10.0.0.2 ICMP\" \
     or \"02:00:00:00:00:01 > 02:00:00:00:00:02 0x0806\""
)]
pub struct FlowTextError(String);

impl FromStr for FlowKey {
    type Err = FlowTextError;
    /// Parses the format of [`Display`](fmt::Display).
    fn from_str(text: &str) -> Result<Self, FlowTextError> {
        flow_from_text(text.trim()).ok_or_else(|| FlowTextError(text.to_owned()))
    }
}

fn flow_from_text(text: &str) -> Option<FlowKey> {
    let (source, rest) = text.split_once(" > ")?;
    let (destination, last) = rest.split_once(' ').map_or((rest, None), |(to, last)| (to, Some(last)));
    if let (Ok(from), Ok(to)) = (source.parse::<SocketAddr>(), destination.parse::<SocketAddr>()) {
        let (protocol, ports) = (protocol_number(last?)?, Some((from.port(), to.port())));
        return Some(FlowKey::Ip { source: from.ip(), destination: to.ip(), protocol, ports });
    }
    if let (Ok(source), Ok(destination)) = (source.parse(), destination.parse()) {
        return Some(FlowKey::Ip { source, destination, protocol: protocol_number(last?)?, ports: None });
    }
    let mac = |text: &str| if text == "?" { Some(None) } else { text.parse().ok().map(Some) };
    let ether_type = match last {
        None => None,
        Some(last) => Some(u16::from_str_radix(last.strip_prefix("0x")?, 16).ok()?),
    };
    Some(FlowKey::Link { source: mac(source)?, destination: mac(destination)?, ether_type })
}

/// The IP protocols known by name.
const PROTOCOLS: [(u8, &str); 9] = [
    (1, "ICMP"),
    (2, "IGMP"),
    (6, "TCP"),
    (17, "UDP"),
    (47, "GRE"),
    (50, "ESP"),
    (58, "ICMPv6"),
    (89, "OSPF"),
    (132, "SCTP"),
];

/// The number of an IP protocol, from its name in upper or lower case, or from the output of
/// [`protocol_name`].
pub fn protocol_number(text: &str) -> Option<u8> {
    let named = PROTOCOLS.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
    named.map(|&(number, _)| number).or_else(|| text.strip_prefix("protocol ")?.parse().ok())
}

/// The name of an IP protocol number, or the number if it has no name.
pub fn protocol_name(number: u8) -> String {
    let named = PROTOCOLS.iter().find(|&&(known, _)| known == number);
    named.map_or_else(|| format!("protocol {number}"), |&(_, name)| name.to_owned())
}

/// A 48-bit IEEE 802 MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = FlowTextError;
    fn from_str(text: &str) -> Result<Self, FlowTextError> {
        let wrong = || FlowTextError(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(MacAddress(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> impl Strategy<Value = FlowKey> {
        let ports = prop::option::of(any::<(u16, u16)>());
        let ip = (any::<IpAddr>(), any::<IpAddr>(), any::<u8>(), ports).prop_map(
            |(source, destination, protocol, ports)| FlowKey::Ip { source, destination, protocol, ports },
        );
        let mac = || prop::option::of(any::<[u8; 6]>().prop_map(MacAddress));
        let link = (mac(), mac(), prop::option::of(any::<u16>()))
            .prop_map(|(source, destination, ether_type)| FlowKey::Link { source, destination, ether_type });
        prop_oneof![ip, link]
    }

    proptest! {
        #[test]
        fn a_flow_reads_back(key in keys()) {
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<FlowKey>();
        }
    }

    #[test]
    fn what_is_no_flow_is_told() {
        for text in ["", "10.0.0.1", "10.0.0.1 > 10.0.0.2", "10.0.0.1:1 > 10.0.0.2:2 XYZ", "? > ? 17"] {
            let told = text.parse::<FlowKey>().unwrap_err().to_string();
            assert!(told.starts_with(&format!("`{text}` is not a flow; write it as")), "{told}");
        }
    }

    #[test]
    fn a_tau_stays_small() {
        assert_eq!(size_of::<Tau>(), 40);
    }

    #[test]
    fn a_tag_holds_every_priority_and_vlan() {
        for pcp in 0..8 {
            for vlan in [0, 1, 100, 4094, 4095] {
                let tag = VlanTag::new(pcp, vlan).unwrap();
                assert_eq!((tag.pcp(), tag.vlan()), (Some(pcp), Some(vlan)));
                assert_ne!(tag, VlanTag::NONE);
            }
        }
        assert_eq!((VlanTag::default().pcp(), VlanTag::default().vlan()), (None, None));
        assert_eq!((VlanTag::new(8, 1), VlanTag::new(0, 4096)), (None, None));
    }

    #[test]
    fn only_a_capable_packet_takes_the_mark() {
        let marked = |ecn| {
            let mut packet = Packet { ecn, ..Packet::default() };
            (packet.mark_congestion(), packet.ecn)
        };
        assert_eq!([0, 1, 2, 3].map(marked), [(false, 0), (true, 3), (true, 3), (true, 3)]);
    }

    #[test]
    fn flows_are_shown_as_tcpdump_does() {
        let key = FlowKey::Ip {
            source: "10.0.0.1".parse().unwrap(),
            destination: "fe80::1".parse().unwrap(),
            protocol: 17,
            ports: Some((1, 2)),
        };
        assert_eq!(key.to_string(), "10.0.0.1:1 > [fe80::1]:2 UDP");
        let arp = FlowKey::Link {
            source: Some(MacAddress([0, 1, 2, 3, 4, 5])),
            destination: None,
            ether_type: Some(0x0806),
        };
        assert_eq!(arp.to_string(), "00:01:02:03:04:05 > ? 0x0806");
    }
}
