//! NAT64: detects a translator between IPv6 and IPv4 on the path. Packets cannot be matched across it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustc_hash::FxHashMap;

use crate::capture::Frame;
use crate::packet::FlowKey;

/// Minimum number of packets that show a translator with a prefix other than the well-known one.
const ENOUGH: usize = 3;
/// TCP and UDP. ICMP differs between the versions.
const TRANSLATED: [u8; 2] = [6, 17];

/// One end of a packet and the start of its body, which NAT64 leaves unchanged.
#[derive(PartialEq, Eq, Hash)]
struct End {
    is_destination: bool,
    address: Ipv4Addr,
    port: u16,
    protocol: u8,
    prefix: [u8; 8],
}

/// Finds IPv6 packets of one capture that the other has as IPv4, with the IPv4 address embedded in their IPv6
/// addresses. Returns the flow of such a packet on either side, IPv6 first.
///
/// # Source
/// RFC 6146; RFC 6052, section 2.2, for the place of the IPv4 address after prefixes of 32 to 96 bits.
pub(crate) fn nat64(captures: [&[Frame]; 2]) -> Option<(FlowKey, FlowKey)> {
    let [first, second] = captures;
    translated(first, second).or_else(|| translated(second, first))
}

/// As [`nat64`], where `v6` is the capture with IPv6.
fn translated(v6: &[Frame], v4: &[Frame]) -> Option<(FlowKey, FlowKey)> {
    if !v6.iter().any(|frame| frame.ip_version == Some(6)) {
        return None;
    }
    let mut ends: FxHashMap<End, FlowKey> = FxHashMap::default();
    for frame in v4.iter().filter(|frame| frame.ip_version == Some(4)) {
        let (Some(IpAddr::V4(source)), Some(IpAddr::V4(destination))) = (frame.source, frame.destination)
        else {
            continue;
        };
        let ends_of = [end(frame, false, source), end(frame, true, destination)];
        ends.extend(ends_of.into_iter().flatten().map(|end| (end, frame.flow_key())));
    }
    let mut found = 0;
    for frame in v6.iter().filter(|frame| frame.ip_version == Some(6)) {
        for (is_destination, address) in [(false, frame.source), (true, frame.destination)] {
            let Some(IpAddr::V6(address)) = address else { continue };
            let is_sure = address.segments()[..2] == [0x0064, 0xff9b];
            let image =
                embedded(address).into_iter().find_map(|inner| ends.get(&end(frame, is_destination, inner)?));
            if let Some(image) = image {
                found += 1;
                if is_sure || found >= ENOUGH {
                    return Some((frame.flow_key(), *image));
                }
            }
        }
    }
    None
}

fn end(frame: &Frame, is_destination: bool, address: Ipv4Addr) -> Option<End> {
    let protocol = frame.protocol.filter(|protocol| TRANSLATED.contains(protocol))?;
    let port = if is_destination { frame.destination_port? } else { frame.source_port? };
    Some(End { is_destination, address, port, protocol, prefix: frame.prefix })
}

/// The IPv4 addresses that may be embedded in an IPv6 address, for prefixes of 96, 64, 56, 48, 40 and 32
/// bits. Byte 8 is skipped.
fn embedded(address: Ipv6Addr) -> [Ipv4Addr; 6] {
    const PLACES: [[usize; 4]; 6] =
        [[12, 13, 14, 15], [9, 10, 11, 12], [7, 9, 10, 11], [6, 7, 9, 10], [5, 6, 7, 9], [4, 5, 6, 7]];
    let bytes = address.octets();
    PLACES.map(|places| Ipv4Addr::from(places.map(|place| bytes[place])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(source: &str, destination: &str, number: u8) -> Frame {
        let (source, destination): (IpAddr, IpAddr) = (source.parse().unwrap(), destination.parse().unwrap());
        Frame {
            ip_version: Some(if source.is_ipv4() { 4 } else { 6 }),
            source: Some(source),
            destination: Some(destination),
            protocol: Some(17),
            source_port: Some(5000),
            destination_port: Some(443),
            prefix: [number; 8],
            ..Frame::default()
        }
    }

    #[test]
    fn the_examples_of_rfc_6052() {
        let inner: Ipv4Addr = "192.0.2.33".parse().unwrap();
        let examples = [
            "2001:db8:122:344::192.0.2.33",
            "2001:db8:122:344:c0:2:2100::",
            "2001:db8:122:3c0:0:221::",
            "2001:db8:122:c000:2:2100::",
            "2001:db8:1c0:2:21::",
            "2001:db8:c000:221::",
        ];
        for (place, example) in examples.into_iter().enumerate() {
            assert_eq!(embedded(example.parse().unwrap())[place], inner, "{example}");
        }
    }

    #[test]
    fn a_translator_shows_in_either_order_and_direction() {
        let v6: Vec<Frame> = (0..5).map(|it| frame("2001:db8::5", "64:ff9b::c000:221", it)).collect();
        let v4: Vec<Frame> = (0..5).map(|it| frame("203.0.113.9", "192.0.2.33", it)).collect();
        let (inside, outside) = nat64([&v6, &v4]).unwrap();
        assert_eq!((inside, outside), (v6[0].flow_key(), v4[0].flow_key()));
        assert!(nat64([&v4, &v6]).is_some());
        let answers: Vec<Frame> = (0..5).map(|it| frame("2001:db8:c000:221::", "2001:db8::5", it)).collect();
        let from: Vec<Frame> = (0..5).map(|it| frame("192.0.2.33", "203.0.113.9", it)).collect();
        assert!(nat64([&from, &answers]).is_some());
        assert_eq!(nat64([&from[..2], &answers[..2]]), None, "two packets may be chance");
    }

    #[test]
    fn two_versions_side_by_side_are_no_translation() {
        let v6: Vec<Frame> = (0..50).map(|it| frame("2001:db8::5", "2001:db8::c000:221", it)).collect();
        let other: Vec<Frame> = (50..100).map(|it| frame("203.0.113.9", "192.0.2.33", it)).collect();
        assert_eq!(nat64([&v6, &other]), None);
    }
}
