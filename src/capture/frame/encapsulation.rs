//! [`Encapsulations`]: the headers around the innermost IP packet of a frame.

use std::fmt;

/// A header that carries an IP packet, or a frame with one, inside another packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Encapsulation {
    /// An outer IPv4 header (RFC 2003, RFC 4213).
    Ipv4 = 1,
    /// An outer IPv6 header (RFC 2473).
    Ipv6,
    /// PPP over Ethernet, session data (RFC 2516).
    Pppoe,
    /// An MPLS label stack (RFC 3032).
    Mpls,
    /// An Ethernet pseudowire under MPLS labels, with or without a control word (RFC 4448).
    Pseudowire,
    /// Generic routing encapsulation (RFC 2784, RFC 2890), and version 1 as used by PPTP (RFC 2637).
    Gre,
    /// Mirrored frames: ERSPAN of type I, II or III (draft-foschiano-erspan).
    Erspan,
    /// VXLAN (RFC 7348), and VXLAN-GPE.
    Vxlan,
    /// GENEVE (RFC 8926).
    Geneve,
    /// GTP-U, user data of mobile networks (3GPP TS 29.281).
    Gtpu,
    /// L2TP version 2 (RFC 2661).
    L2tp,
    /// LISP data (RFC 9300).
    Lisp,
    /// Generic UDP encapsulation (draft-ietf-intarea-gue).
    Gue,
    /// Teredo (RFC 4380).
    Teredo,
    /// Ethernet in IP (RFC 3378).
    EtherIp,
    /// Network service header (RFC 8300).
    Nsh,
    /// Provider backbone bridging (IEEE 802.1ah).
    Pbb,
    /// TRILL (RFC 6325).
    Trill,
    /// Cisco FabricPath.
    FabricPath,
    /// The tag of High-availability Seamless Redundancy (IEC 62439-3).
    Hsr,
    /// The VN-tag, predecessor of IEEE 802.1BR.
    VnTag,
    /// Cisco metadata, which carries a security group tag.
    CiscoMetadata,
    /// The Ethertype DSA tag of a switch chip.
    Edsa,
    /// MACsec without encryption (IEEE 802.1AE).
    MacSec,
}

/// All encapsulations with their names, in order of their numbers.
const NAMES: [(Encapsulation, &str); 24] = [
    (Encapsulation::Ipv4, "IPv4"),
    (Encapsulation::Ipv6, "IPv6"),
    (Encapsulation::Pppoe, "PPPoE"),
    (Encapsulation::Mpls, "MPLS"),
    (Encapsulation::Pseudowire, "pseudowire"),
    (Encapsulation::Gre, "GRE"),
    (Encapsulation::Erspan, "ERSPAN"),
    (Encapsulation::Vxlan, "VXLAN"),
    (Encapsulation::Geneve, "GENEVE"),
    (Encapsulation::Gtpu, "GTP-U"),
    (Encapsulation::L2tp, "L2TP"),
    (Encapsulation::Lisp, "LISP"),
    (Encapsulation::Gue, "GUE"),
    (Encapsulation::Teredo, "Teredo"),
    (Encapsulation::EtherIp, "EtherIP"),
    (Encapsulation::Nsh, "NSH"),
    (Encapsulation::Pbb, "PBB"),
    (Encapsulation::Trill, "TRILL"),
    (Encapsulation::FabricPath, "FabricPath"),
    (Encapsulation::Hsr, "HSR"),
    (Encapsulation::VnTag, "VN-tag"),
    (Encapsulation::CiscoMetadata, "Cisco metadata"),
    (Encapsulation::Edsa, "EDSA"),
    (Encapsulation::MacSec, "MACsec"),
];

impl Encapsulation {
    /// The name, for example `VXLAN`.
    pub fn name(self) -> &'static str {
        NAMES[self as usize - 1].1
    }
}

/// The headers around the innermost IP packet, outermost first. Empty for a packet without encapsulation.
///
/// # Examples
///
/// ```
/// use taunet::capture::{Frame, LinkType};
///
/// // IPv6 in IPv4 (protocol 41)
/// let mut bytes = vec![0x45, 0, 0, 60, 0, 7, 0, 0, 64, 41, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
/// bytes.extend([0x60, 0, 0, 0, 0, 0, 59, 64]);
/// bytes.extend([0xfe; 32]);
/// let frame = Frame::parse(LinkType::RAW, &bytes, 60);
/// assert_eq!((frame.ip_version, frame.encapsulations.to_string()), (Some(6), "IPv4".to_owned()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Encapsulations {
    /// One byte per header, the outermost in the lowest byte.
    numbers: u64,
}

impl Encapsulations {
    /// Maximum number of headers that the parser follows.
    pub const DEEPEST: usize = 8;

    /// Adds a header inside the others. `None` if the maximum is exceeded.
    pub(super) fn with(self, inner: Encapsulation) -> Option<Self> {
        let depth = self.depth();
        (depth < Self::DEEPEST)
            .then(|| Encapsulations { numbers: self.numbers | (inner as u64) << (8 * depth) })
    }

    /// The number of headers.
    pub fn depth(self) -> usize {
        (64 - self.numbers.leading_zeros()).div_ceil(8) as usize
    }

    /// Whether the packet has no encapsulation.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.numbers == 0
    }

    /// The headers, outermost first.
    pub fn iter(self) -> impl Iterator<Item = Encapsulation> {
        self.numbers
            .to_le_bytes()
            .into_iter()
            .filter_map(|number| NAMES.get(usize::from(number).checked_sub(1)?).map(|(header, _)| *header))
    }
}

impl fmt::Display for Encapsulations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, encapsulation) in self.iter().enumerate() {
            let separator = if number == 0 { "" } else { " > " };
            write!(f, "{separator}{}", encapsulation.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Encapsulations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_in_order() {
        let mut around = Encapsulations::default();
        assert_eq!((around.depth(), around.to_string().as_str()), (0, ""));
        for (number, (header, _)) in NAMES.into_iter().enumerate() {
            assert_eq!(header as usize, number + 1);
        }
        let headers = [Encapsulation::Pppoe, Encapsulation::Ipv4, Encapsulation::MacSec];
        for header in headers {
            around = around.with(header).unwrap();
        }
        assert_eq!(around.iter().collect::<Vec<_>>(), headers);
        assert_eq!((around.depth(), around.to_string().as_str()), (3, "PPPoE > IPv4 > MACsec"));
        for _ in 3..Encapsulations::DEEPEST {
            around = around.with(Encapsulation::Ipv6).unwrap();
        }
        assert_eq!(around.with(Encapsulation::Ipv6), None);
    }
}
