//! [`headers`]: the headers of a simulated packet as bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::packet::{FlowKey, MacAddress, Packet, VlanTag};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
const ETHERNET: usize = 14;
/// Bytes of a VLAN tag (IEEE 802.1Q).
const TAG: usize = 4;

/// Writes the Ethernet, VLAN, IP and transport headers of a packet of the flow, as far as known, at most
/// `packet.length` bytes.
///
/// Length fields are those of the whole packet. An IP frame gets the unassigned MAC addresses
/// 02:00:00:00:00:01 and 02:00:00:00:00:02. The payload and the fields that depend on it are left out: the
/// UDP checksum and the TCP numbers, flags and checksum are 0.
pub fn headers(key: &FlowKey, packet: &Packet, bytes: &mut Vec<u8>) {
    bytes.clear();
    match *key {
        FlowKey::Link { source, destination, ether_type } => {
            let mac = |address: Option<MacAddress>| address.map_or([0; 6], |address| address.0);
            // Without an EtherType, the one for local experiments (IEEE 802).
            ethernet(bytes, mac(source), mac(destination), packet.tag, ether_type.unwrap_or(0x88b5));
        }
        FlowKey::Ip { source, destination, protocol, ports } => {
            let (from, to) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
            let tag = if packet.tag == VlanTag::NONE { 0 } else { TAG };
            let after_link = (packet.length as usize).saturating_sub(ETHERNET + tag);
            match (source, destination) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => {
                    ethernet(bytes, from, to, packet.tag, 0x0800);
                    ipv4(bytes, source, destination, protocol, packet, after_link);
                    transport(bytes, protocol, ports, after_link.saturating_sub(20));
                }
                _ => {
                    let v6 = |address: IpAddr| match address {
                        IpAddr::V4(address) => address.to_ipv6_mapped(),
                        IpAddr::V6(address) => address,
                    };
                    ethernet(bytes, from, to, packet.tag, 0x86dd);
                    ipv6(bytes, v6(source), v6(destination), protocol, packet, after_link);
                    transport(bytes, protocol, ports, after_link.saturating_sub(40));
                }
            }
        }
    }
    bytes.truncate(packet.length as usize);
}

/// A length in a field of 16 bits; 0 for a longer one, as with segmentation offload.
fn field(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(0).to_be_bytes()
}

fn ethernet(bytes: &mut Vec<u8>, source: [u8; 6], destination: [u8; 6], tag: VlanTag, ether_type: u16) {
    bytes.extend(destination);
    bytes.extend(source);
    if let (Some(pcp), Some(vlan)) = (tag.pcp(), tag.vlan()) {
        bytes.extend(0x8100_u16.to_be_bytes());
        bytes.extend((u16::from(pcp) << 13 | vlan).to_be_bytes());
    }
    bytes.extend(ether_type.to_be_bytes());
}

/// RFC 791, section 3.1. The identification is the low 16 bits of the packet id.
fn ipv4(
    bytes: &mut Vec<u8>,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    packet: &Packet,
    length: usize,
) {
    let start = bytes.len();
    bytes.extend([0x45, packet.dscp << 2 | packet.ecn & 3]);
    bytes.extend(field(length));
    bytes.extend((packet.pid as u16).to_be_bytes());
    bytes.extend([0, 0, packet.ttl, protocol, 0, 0]);
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    let words = bytes[start..].chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[start + 10..start + 12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

/// RFC 8200, section 3.
fn ipv6(
    bytes: &mut Vec<u8>,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    protocol: u8,
    packet: &Packet,
    length: usize,
) {
    let class = u32::from(packet.dscp << 2 | packet.ecn & 3);
    bytes.extend((6 << 28 | class << 20).to_be_bytes());
    bytes.extend(field(length.saturating_sub(40)));
    bytes.extend([protocol, packet.ttl]);
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
}

/// RFC 768, RFC 9293 and RFC 9260: all start with the ports.
fn transport(bytes: &mut Vec<u8>, protocol: u8, ports: Option<(u16, u16)>, length: usize) {
    let Some((from, to)) = ports else { return };
    bytes.extend(from.to_be_bytes());
    bytes.extend(to.to_be_bytes());
    match protocol {
        UDP => {
            bytes.extend(field(length));
            bytes.extend([0, 0]);
        }
        TCP => {
            bytes.extend([0; 8]);
            bytes.extend([5 << 4, 0, 0, 0, 0, 0, 0, 0]);
        }
        SCTP => bytes.extend([0; 8]),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Frame, LinkType};
    use proptest::prelude::*;

    fn keys() -> impl Strategy<Value = FlowKey> {
        let addresses = prop_oneof![
            any::<([u8; 4], [u8; 4])>().prop_map(|(from, to)| (IpAddr::from(from), IpAddr::from(to))),
            any::<([u8; 16], [u8; 16])>().prop_map(|(from, to)| (IpAddr::from(from), IpAddr::from(to))),
        ];
        let protocol = prop_oneof![Just(TCP), Just(UDP), Just(SCTP)];
        (addresses, protocol, any::<(u16, u16)>()).prop_map(|((source, destination), protocol, ports)| {
            FlowKey::Ip { source, destination, protocol, ports: Some(ports) }
        })
    }

    proptest! {
        #[test]
        fn headers_read_back(
            key in keys(),
            length in 100..1500u32,
            dscp in 0..64u8,
            ttl in 1u8..,
            tag in prop::option::of((0..8u8, 0..4096u16)),
        ) {
            let tag = tag.map_or(VlanTag::NONE, |(pcp, vlan)| VlanTag::new(pcp, vlan).unwrap());
            let packet = Packet { length, dscp, ttl, tag, pid: 7, ..Packet::default() };
            let mut bytes = Vec::new();
            headers(&key, &packet, &mut bytes);
            let frame = Frame::parse(LinkType::ETHERNET, &bytes, length);
            prop_assert_eq!(frame.flow_key(), key);
            prop_assert_eq!((frame.ttl, frame.dscp, frame.vlan_tag()), (Some(ttl), Some(dscp), tag));
        }

        #[test]
        fn headers_are_never_longer_than_the_packet(key in keys(), length in 0..100u32) {
            let mut bytes = Vec::new();
            headers(&key, &Packet { length, ..Packet::default() }, &mut bytes);
            prop_assert!(bytes.len() <= length as usize);
        }
    }
}
