//! [`LinkType`]: the type of the link-layer header of captured frames.

use std::fmt;

use super::format::link_type_name;

/// A link-layer header type, with its number in capture files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: an address family in the byte order of the capturing host, then IP.
    pub const NULL: LinkType = LinkType(0);
    /// Ethernet.
    pub const ETHERNET: LinkType = LinkType(1);
    /// SLIP, after 16 bytes of which the first gives the direction.
    pub const SLIP: LinkType = LinkType(8);
    /// PPP, with or without address and control.
    pub const PPP: LinkType = LinkType(9);
    /// IP without a link-layer header, as numbered by some systems.
    pub const RAW_12: LinkType = LinkType(12);
    /// IP without a link-layer header, as numbered by OpenBSD.
    pub const RAW_14: LinkType = LinkType(14);
    /// PPP in HDLC-like framing, or Cisco HDLC.
    pub const PPP_HDLC: LinkType = LinkType(50);
    /// PPPoE sessions, without Ethernet.
    pub const PPP_ETHER: LinkType = LinkType(51);
    /// LLC over ATM (RFC 2684).
    pub const ATM_RFC1483: LinkType = LinkType(100);
    /// IP without a link-layer header.
    pub const RAW: LinkType = LinkType(101);
    /// Cisco HDLC, or PPP in HDLC-like framing.
    pub const C_HDLC: LinkType = LinkType(104);
    /// IEEE 802.11.
    pub const IEEE802_11: LinkType = LinkType(105);
    /// Frame Relay (RFC 2427).
    pub const FRELAY: LinkType = LinkType(107);
    /// OpenBSD loopback: an address family in network byte order, then IP.
    pub const LOOP: LinkType = LinkType(108);
    /// OpenBSD's IPsec interface.
    pub const ENC: LinkType = LinkType(109);
    /// Linux "cooked" capture, version 1 (tcpdump -i any).
    pub const LINUX_SLL: LinkType = LinkType(113);
    /// The log of the packet filter pf.
    pub const PFLOG: LinkType = LinkType(117);
    /// IEEE 802.11 after a Prism or AVS header.
    pub const IEEE802_11_PRISM: LinkType = LinkType(119);
    /// IEEE 802.11 after a radiotap header.
    pub const IEEE802_11_RADIOTAP: LinkType = LinkType(127);
    /// IEEE 802.11 after an AVS header.
    pub const IEEE802_11_AVS: LinkType = LinkType(163);
    /// PPP with the direction in place of the address.
    pub const PPP_PPPD: LinkType = LinkType(166);
    /// Per-Packet Information, which gives the link type of its content.
    pub const PPI: LinkType = LinkType(192);
    /// PPP after a direction byte.
    pub const PPP_WITH_DIR: LinkType = LinkType(204);
    /// Cisco HDLC after a direction byte.
    pub const C_HDLC_WITH_DIR: LinkType = LinkType(205);
    /// Frame Relay after a direction byte.
    pub const FRELAY_WITH_DIR: LinkType = LinkType(206);
    /// Solaris IP observability.
    pub const IPNET: LinkType = LinkType(226);
    /// IPv4 without a link-layer header.
    pub const IPV4: LinkType = LinkType(228);
    /// IPv6 without a link-layer header.
    pub const IPV6: LinkType = LinkType(229);
    /// The log of Linux's netfilter.
    pub const NFLOG: LinkType = LinkType(239);
    /// IP over InfiniBand.
    pub const IPOIB: LinkType = LinkType(242);
    /// Apple's pktap, which gives the link type of its content.
    pub const PKTAP: LinkType = LinkType(258);
    /// Linux "cooked" capture, version 2.
    pub const LINUX_SLL2: LinkType = LinkType(276);
    /// Ethernet with a Broadcom switch tag after the MAC addresses.
    pub const DSA_TAG_BRCM: LinkType = LinkType(281);
    /// Ethernet with a Broadcom switch tag before the MAC addresses.
    pub const DSA_TAG_BRCM_PREPEND: LinkType = LinkType(282);
    /// Ethernet with a Marvell switch tag after the MAC addresses.
    pub const DSA_TAG_DSA: LinkType = LinkType(284);
    /// Ethernet with a Marvell switch tag that has an EtherType.
    pub const DSA_TAG_EDSA: LinkType = LinkType(285);

    /// The supported link types, as text.
    pub const SUPPORTED: &'static str = "Ethernet (1; with a switch tag 281, 282, 284, 285), Linux SLL (113) and SLL2 \
        (276), raw IP (12, 14, 101, 228, 229), loopback (0, 108), PPP (9, 50, 51, 166, 204), Cisco HDLC (104, 205), \
        IEEE 802.11 (105, 119, 127, 163, 192), Frame Relay (107, 206), SLIP (8), LLC (100), ENC (109), PFLOG (117), NFLOG \
        (239), IPNET (226), IPoIB (242), PKTAP (258)";

    /// Whether taunet parses frames of this link type.
    pub fn is_supported(self) -> bool {
        matches!(
            self,
            Self::NULL
                | Self::ETHERNET
                | Self::SLIP
                | Self::PPP
                | Self::RAW_12
                | Self::RAW_14
                | Self::PPP_HDLC
                | Self::PPP_ETHER
                | Self::ATM_RFC1483
                | Self::RAW
                | Self::C_HDLC
                | Self::IEEE802_11
                | Self::FRELAY
                | Self::LOOP
                | Self::ENC
                | Self::LINUX_SLL
                | Self::PFLOG
                | Self::IEEE802_11_PRISM
                | Self::IEEE802_11_RADIOTAP
                | Self::IEEE802_11_AVS
                | Self::PPP_PPPD
                | Self::PPI
                | Self::PPP_WITH_DIR
                | Self::C_HDLC_WITH_DIR
                | Self::FRELAY_WITH_DIR
                | Self::IPNET
                | Self::IPV4
                | Self::IPV6
                | Self::NFLOG
                | Self::IPOIB
                | Self::PKTAP
                | Self::LINUX_SLL2
                | Self::DSA_TAG_BRCM
                | Self::DSA_TAG_BRCM_PREPEND
                | Self::DSA_TAG_DSA
                | Self::DSA_TAG_EDSA
        )
    }

    /// A remedy for an unsupported link type.
    pub(super) fn remedy(self) -> &'static str {
        match self.0 {
            // IEEE 802.15.4 and related types
            191 | 195 | 215 | 230 | 283 => {
                "IEEE 802.15.4 compresses IP headers (6LoWPAN): capture at the IP interface of the border router"
            }
            // Bluetooth, USB, CAN, netlink, D-Bus, vsock
            187 | 201 | 251 | 254 | 255 | 256 | 272 | 186 | 189 | 220 | 249 | 288 | 190 | 227 | 253 | 231
            | 271 => "its frames are not network packets: capture at an IP or Ethernet interface",
            _ => {
                "capture at an interface of one of these types; if N bytes precede an Ethernet header, \
                 remove them with `editcap -C N -T ether IN OUT`"
            }
        }
    }

    /// The registered name, if there is one (`ETHERNET`, `LINUX_SLL2`).
    pub fn name(self) -> Option<String> {
        match self {
            Self::RAW_12 | Self::RAW_14 => Some("RAW".to_owned()),
            _ => link_type_name(self.0),
        }
    }
}

/// Serializes the link type as it is displayed.
pub(super) fn as_text<S: serde::Serializer>(link_type: &LinkType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(link_type)
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_type_is_shown_with_its_name() {
        assert_eq!(LinkType::ETHERNET.to_string(), "1 (ETHERNET)");
        assert_eq!(LinkType(127).to_string(), "127 (IEEE802_11_RADIOTAP)");
        assert_eq!(LinkType(60_000).to_string(), "60000");
        assert_eq!(LinkType::RAW_12.to_string(), "12 (RAW)");
    }
}
