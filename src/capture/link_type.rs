//! [`LinkType`]: the link-layer header that a capture's frames start with.

use std::fmt;

use super::format;

/// A link-layer header type, by the number that capture files use.
///
/// # Source
///
/// The registry of `LINKTYPE_` values, <https://www.tcpdump.org/linktypes.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: an address family in the byte order of the capturing host, then IP.
    pub const NULL: LinkType = LinkType(0);
    /// Ethernet.
    pub const ETHERNET: LinkType = LinkType(1);
    /// IP without a link-layer header, as some systems number it.
    pub const RAW_12: LinkType = LinkType(12);
    /// IP without a link-layer header, as OpenBSD numbers it.
    pub const RAW_14: LinkType = LinkType(14);
    /// IP without a link-layer header.
    pub const RAW: LinkType = LinkType(101);
    /// OpenBSD loopback: an address family in network byte order, then IP.
    pub const LOOP: LinkType = LinkType(108);
    /// Linux "cooked" capture, version 1 (tcpdump -i any).
    pub const LINUX_SLL: LinkType = LinkType(113);
    /// IPv4 without a link-layer header.
    pub const IPV4: LinkType = LinkType(228);
    /// IPv6 without a link-layer header.
    pub const IPV6: LinkType = LinkType(229);
    /// Linux "cooked" capture, version 2.
    pub const LINUX_SLL2: LinkType = LinkType(276);

    /// The link types whose frames taunet parses, in words.
    pub const SUPPORTED: &'static str = "Ethernet (1), Linux SLL (113) and SLL2 (276), raw IP (12, 14, 101, 228, 229), NULL (0) and LOOP (108)";

    /// Whether taunet parses frames of this link type.
    pub fn is_supported(self) -> bool {
        matches!(
            self,
            Self::NULL
                | Self::ETHERNET
                | Self::RAW_12
                | Self::RAW_14
                | Self::RAW
                | Self::LOOP
                | Self::LINUX_SLL
                | Self::IPV4
                | Self::IPV6
                | Self::LINUX_SLL2
        )
    }

    /// The registered name, where there is one (`ETHERNET`, `LINUX_SLL2`).
    pub fn name(self) -> Option<String> {
        match self {
            Self::RAW_12 | Self::RAW_14 => Some("RAW".to_owned()),
            _ => format::link_type_name(self.0),
        }
    }
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
