//! The common keys of generated sources.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::hosts::HostNames;
use super::matrix::MatrixSpec;
use super::size::SizeSpec;
use crate::config::Spanned;
use crate::units::Span;

/// How packets are assigned to the flows between two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// Each packet belongs to a random flow.
    #[default]
    Random,
    /// Packets belong to the flows in round robin.
    RoundRobin,
}

/// The protocol of generated packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// IP protocol 17.
    #[default]
    Udp,
    /// IP protocol 6; only packets, without TCP's control.
    Tcp,
}

/// The ECN codepoint of generated packets (RFC 3168, Section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub enum Ecn {
    /// Bits 00: not ECN-capable; queues drop such a packet and never mark it.
    #[default]
    NotEct,
    /// Bits 10: ECN-capable.
    Ect0,
    /// Bits 01: ECN-capable; RFC 9331 assigns it to low-latency, low-loss traffic (L4S).
    Ect1,
}

impl Ecn {
    /// The two bits of the field, 0 to 2.
    pub fn bits(self) -> u8 {
        match self {
            Ecn::NotEct => 0b00,
            Ecn::Ect1 => 0b01,
            Ecn::Ect0 => 0b10,
        }
    }
}

impl<'de> Deserialize<'de> for Ecn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Ecn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"not-ect\", \"ect0\" or \"ect1\"")
            }

            fn visit_bool<E: de::Error>(self, capable: bool) -> Result<Ecn, E> {
                let right = if capable { "ect0" } else { "not-ect" };
                Err(E::custom(format_args!("`ecn = {capable}` is not a codepoint; write \"{right}\"")))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ecn, E> {
                match text {
                    "not-ect" => Ok(Ecn::NotEct),
                    "ect0" => Ok(Ecn::Ect0),
                    "ect1" => Ok(Ecn::Ect1),
                    _ if text.eq_ignore_ascii_case("ce") => Err(E::custom(
                        "congestion experienced is set by queues, not by senders; write \"ect0\" or \"ect1\", which \
                         allows it",
                    )),
                    "" => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                    _ => Err(E::unknown_variant(text, &["not-ect", "ect0", "ect1"])),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The transport ports of generated packets.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PortsSpec {
    /// The source port of the first flow of each pair of hosts; further flows count up (default: a dynamic
    /// port that no other entry uses).
    pub source: Option<u16>,
    /// The destination port (default: 9, discard).
    pub destination: Option<u16>,
}

/// The common keys of generated sources, as written.
#[derive(Debug, Clone, PartialEq)]
pub struct CommonKeys {
    /// The name of the entry.
    pub name: Option<Spanned<String>>,
    /// The hosts that send.
    pub from: Option<Spanned<HostNames>>,
    /// The hosts that receive.
    pub to: Option<Spanned<HostNames>>,
    /// Who sends to whom among several hosts.
    pub matrix: Option<Spanned<MatrixSpec>>,
    /// The hosts of the matrix.
    pub hosts: Option<Spanned<Vec<Spanned<String>>>>,
    /// The lengths of packets.
    pub size: Spanned<SizeSpec>,
    /// The start of the traffic.
    pub start: Span,
    /// The end of the traffic.
    pub stop: Option<Spanned<Span>>,
    /// The number of packets of each sending host.
    pub packets: Option<Spanned<u64>>,
    /// The number of flows between each pair of hosts.
    pub flows: Option<Spanned<u32>>,
    /// How packets are assigned to these flows.
    pub spread: Spread,
    /// The code point.
    pub dscp: Option<Spanned<u8>>,
    /// The ECN codepoint.
    pub ecn: Ecn,
    /// The priority of the VLAN tag.
    pub pcp: Option<Spanned<u8>>,
    /// The VLAN.
    pub vlan: Option<Spanned<u16>>,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The transport ports.
    pub ports: Option<PortsSpec>,
}

/// Defines a struct of parameters with the common keys of generated sources, and its own keys.
///
/// With serde's flattening, unknown keys and the positions of errors would be lost.
macro_rules! generated {
    ($(#[$about:meta])* $name:ident { $($(#[$own_about:meta])* $own:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// The name of the entry, which selects its random numbers (default: its index among the entries,
            /// from 0).
            #[schemars(with = "Option<String>")]
            pub name: Option<crate::config::Spanned<String>>,
            /// The sending host, or several; requires `to`.
            #[schemars(with = "Option<super::hosts::HostNames>")]
            pub from: Option<crate::config::Spanned<super::hosts::HostNames>>,
            /// The receiving host, or several: each host of `from` sends to each of them except itself.
            #[schemars(with = "Option<super::hosts::HostNames>")]
            pub to: Option<crate::config::Spanned<super::hosts::HostNames>>,
            /// The traffic matrix between several hosts; replaces `from` and `to`.
            #[schemars(with = "Option<super::matrix::MatrixSpec>")]
            pub matrix: Option<crate::config::Spanned<super::matrix::MatrixSpec>>,
            /// The hosts of the matrix (default: every host of the topology).
            #[schemars(with = "Option<Vec<String>>")]
            pub hosts: Option<crate::config::Spanned<Vec<crate::config::Spanned<String>>>>,
            /// The lengths of packets, on the wire.
            #[schemars(with = "super::size::SizeSpec")]
            pub size: crate::config::Spanned<super::size::SizeSpec>,
            $($(#[$own_about])* pub $own: $type,)*
            /// When the traffic starts (default: 0 s).
            #[serde(default)]
            pub start: crate::units::Span,
            /// When the traffic ends: the last packet is sent before this time.
            #[schemars(with = "Option<crate::units::Span>")]
            pub stop: Option<crate::config::Spanned<crate::units::Span>>,
            /// The total number of packets of each sending host.
            #[schemars(with = "Option<u64>", range(min = 1))]
            pub packets: Option<crate::config::Spanned<u64>>,
            /// The number of flows from each host to each of its destinations (default: 1).
            #[schemars(with = "Option<u32>", range(min = 1, max = 65535))]
            pub flows: Option<crate::config::Spanned<u32>>,
            /// How packets are assigned to these flows (default: random).
            #[serde(default)]
            pub spread: super::spec::Spread,
            /// The differentiated services code point, 0 to 63 (default: 0).
            #[schemars(with = "Option<u8>", range(max = 63))]
            pub dscp: Option<crate::config::Spanned<u8>>,
            /// The ECN codepoint: with `ect0` or `ect1`, queues may mark a packet instead of dropping it
            /// (default: not-ect).
            #[serde(default)]
            pub ecn: super::spec::Ecn,
            /// The priority code point of the VLAN tag, 0 to 7 (default: 0 with a `vlan`, else no tag).
            #[schemars(with = "Option<u8>", range(max = 7))]
            pub pcp: Option<crate::config::Spanned<u8>>,
            /// The VLAN id of the tag, 0 to 4094 (default: 0 with a `pcp`, which names no VLAN, else no tag).
            #[schemars(with = "Option<u16>", range(max = 4094))]
            pub vlan: Option<crate::config::Spanned<u16>>,
            /// The transport protocol (default: udp).
            #[serde(default)]
            pub protocol: super::spec::Protocol,
            /// The transport ports.
            pub ports: Option<super::spec::PortsSpec>,
        }

        impl $name {
            /// The common keys of generated sources.
            pub fn common(&self) -> super::spec::CommonKeys {
                super::spec::CommonKeys {
                    name: self.name.clone(),
                    from: self.from.clone(),
                    to: self.to.clone(),
                    matrix: self.matrix.clone(),
                    hosts: self.hosts.clone(),
                    size: self.size.clone(),
                    start: self.start,
                    stop: self.stop.clone(),
                    packets: self.packets.clone(),
                    flows: self.flows.clone(),
                    spread: self.spread,
                    dscp: self.dscp.clone(),
                    ecn: self.ecn,
                    pcp: self.pcp.clone(),
                    vlan: self.vlan.clone(),
                    protocol: self.protocol,
                    ports: self.ports.clone(),
                }
            }
        }
    };
}
pub(super) use generated;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;

    #[test]
    fn a_codepoint_has_the_bits_of_the_rfc() {
        assert_eq!([Ecn::NotEct, Ecn::Ect1, Ecn::Ect0].map(Ecn::bits), [0b00, 0b01, 0b10]);
        let marked = |ecn: Ecn| Packet { ecn: ecn.bits(), ..Packet::default() }.mark_congestion();
        assert_eq!([Ecn::NotEct, Ecn::Ect1, Ecn::Ect0].map(marked), [false, true, true]);
    }
}
