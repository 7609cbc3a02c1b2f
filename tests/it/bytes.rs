//! Packets as bytes, for the tests that create captures. The addresses are those reserved for documentation.

use std::fs::File;
use std::io::BufWriter;
use std::net::IpAddr;
use std::path::Path;

use taunet::capture::{LinkType, Resolution, Writer};
use taunet::units::Timestamp;

pub const UDP: u8 = 17;
pub const TCP: u8 = 6;

/// A UDP datagram.
pub fn udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    [ports.0.to_be_bytes(), ports.1.to_be_bytes(), length.to_be_bytes(), [0, 0]]
        .concat()
        .into_iter()
        .chain(payload.iter().copied())
        .collect()
}

/// A TCP segment with ACK and PSH.
pub fn tcp(ports: (u16, u16), sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

/// An IP packet of either version, as the addresses say; IPv6 has no place for the identification.
pub fn ip(source: &str, destination: &str, protocol: u8, identification: u16, payload: &[u8]) -> Vec<u8> {
    match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut bytes = vec![0x45, 0];
            bytes.extend((20 + payload.len() as u16).to_be_bytes());
            bytes.extend(identification.to_be_bytes());
            bytes.extend([0, 0, 64, protocol, 0, 0]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            bytes.extend(payload);
            bytes
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut bytes = vec![0x60, 0, 0, 0];
            bytes.extend((payload.len() as u16).to_be_bytes());
            bytes.extend([protocol, 64]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            bytes.extend(payload);
            bytes
        }
        _ => panic!("two addresses of one version"),
    }
}

/// The EtherType of an IP packet.
pub fn ether_type(packet: &[u8]) -> u16 {
    if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd }
}

/// An Ethernet frame.
pub fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    bytes.extend(ether_type.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// An Ethernet frame of an IP packet.
pub fn frame(packet: &[u8]) -> Vec<u8> {
    ethernet(ether_type(packet), packet)
}

/// Writes frames with their instants in microseconds, all of each captured up to `snap_length`.
pub fn write(path: &Path, link_type: LinkType, snap_length: u32, frames: &[(i128, Vec<u8>)]) {
    let file = BufWriter::new(File::create(path).unwrap());
    let mut writer = Writer::new(file, Resolution::Nanoseconds, link_type, snap_length).unwrap();
    for (at_us, bytes) in frames {
        let at = Timestamp::from_ns(1_700_000_000_000_000_000 + 1000 * at_us);
        let captured = bytes.len().min(snap_length as usize);
        writer.write(at, bytes.len() as u32, &bytes[..captured]).unwrap();
    }
    writer.finish().unwrap();
}
