//! Encapsulated IP: packets without encapsulation on one side and with it on the other are matched packet by
//! packet.

use std::path::Path;
use std::process::Command;

use taunet::capture::{Encapsulations, Frame, LinkType, Unread};
use taunet::compare::{CompareOptions, join_captures};

use crate::bytes::{TCP, UDP, ether_type, ethernet, frame, ip, tcp, udp, write};

const OUTER_4: (&str, &str) = ("203.0.113.1", "203.0.113.2");
const OUTER_6: (&str, &str) = ("2001:db8:f::1", "2001:db8:f::2");

/// Wraps an IP packet into an Ethernet frame.
type Wrap = fn(&[u8]) -> Vec<u8>;

fn over_4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    frame(&ip(OUTER_4.0, OUTER_4.1, protocol, 9, payload))
}

fn over_6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    frame(&ip(OUTER_6.0, OUTER_6.1, protocol, 9, payload))
}

fn after(header: &[u8], inner: &[u8]) -> Vec<u8> {
    [header, inner].concat()
}

/// The bytes of a PPP packet without address and control.
fn ppp(packet: &[u8]) -> Vec<u8> {
    let protocol = if ether_type(packet) == 0x0800 { 0x0021u16 } else { 0x0057 };
    after(&protocol.to_be_bytes(), packet)
}

fn pppoe(packet: &[u8]) -> Vec<u8> {
    let ppp = ppp(packet);
    [&[0x11, 0, 0, 7][..], &(ppp.len() as u16).to_be_bytes(), &ppp].concat()
}

fn gre(flags: u16, protocol: u16, options: &[u8], inner: &[u8]) -> Vec<u8> {
    [&flags.to_be_bytes()[..], &protocol.to_be_bytes(), options, inner].concat()
}

/// An inner Ethernet frame with a VLAN tag and MAC addresses of its own.
fn inner_frame(packet: &[u8]) -> Vec<u8> {
    let tagged = [&[0, 9][..], &ether_type(packet).to_be_bytes(), packet].concat();
    let mut bytes = ethernet(0x8100, &tagged);
    bytes[5] = 0x77;
    bytes
}

fn label(is_bottom: bool) -> [u8; 4] {
    [0, 1, 0x20 | u8::from(is_bottom), 64]
}

/// Every encapsulation: its name in a message, what `Frame::encapsulations` has of it, how it is made.
const WRAPS: &[(&str, &str, Wrap)] = &[
    ("PPPoE", "PPPoE", |it| ethernet(0x8864, &pppoe(it))),
    ("PPPoE behind QinQ, padded", "PPPoE", |it| {
        let tags = [&[0x00, 100, 0x81, 0x00, 0x00, 200, 0x88, 0x64][..], &pppoe(it), &[0; 9]].concat();
        ethernet(0x88a8, &tags)
    }),
    ("MPLS", "MPLS", |it| ethernet(0x8847, &[&label(false), &label(true), it].concat())),
    ("pseudowire with a control word", "MPLS > pseudowire", |it| {
        ethernet(0x8847, &[&label(true)[..], &[0; 4], &inner_frame(it)].concat())
    }),
    ("pseudowire without", "MPLS > pseudowire", |it| {
        ethernet(0x8847, &after(&label(true), &inner_frame(it)))
    }),
    ("pseudowire without, of a MAC address that looks like IP", "MPLS > pseudowire", |it| {
        let mut inner = inner_frame(it);
        inner[0] = 0x46;
        ethernet(0x8847, &after(&label(true), &inner))
    }),
    ("IPIP, 6in4", "IPv4", |it| over_4(if ether_type(it) == 0x0800 { 4 } else { 41 }, it)),
    ("4in6, 6in6", "IPv6", |it| over_6(if ether_type(it) == 0x0800 { 4 } else { 41 }, it)),
    ("GRE", "IPv4 > GRE", |it| over_4(47, &gre(0, ether_type(it), &[], it))),
    ("GRE with checksum, key, sequence", "IPv6 > GRE", |it| {
        over_6(47, &gre(0xb000, ether_type(it), &[7; 12], it))
    }),
    ("GRE of Ethernet", "IPv4 > GRE", |it| over_4(47, &gre(0x2000, 0x6558, &[1; 4], &inner_frame(it)))),
    ("GRE of MPLS", "IPv4 > GRE > MPLS", |it| over_4(47, &gre(0, 0x8847, &[], &after(&label(true), it)))),
    ("PPTP", "IPv4 > GRE", |it| over_4(47, &gre(0x3081, 0x880b, &[0; 12], &after(&[0xff, 3], &ppp(it))))),
    ("ERSPAN I", "IPv4 > GRE > ERSPAN", |it| over_4(47, &gre(0, 0x88be, &[], &inner_frame(it)))),
    ("ERSPAN II", "IPv4 > GRE > ERSPAN", |it| {
        over_4(47, &gre(0x1000, 0x88be, &[0, 0, 0, 5, 0x10, 0, 0, 0, 0, 0, 0, 0], &inner_frame(it)))
    }),
    ("ERSPAN III", "IPv4 > GRE > ERSPAN", |it| {
        let header = [&[0, 0, 0, 5, 0x20][..], &[0; 10], &[1], &[0; 8]].concat();
        over_4(47, &gre(0x1000, 0x22eb, &header, &inner_frame(it)))
    }),
    ("VXLAN", "IPv4 > VXLAN", |it| {
        over_4(UDP, &udp((50_000, 4789), &after(&[8, 0, 0, 0, 0, 0, 5, 0], &inner_frame(it))))
    }),
    ("VXLAN over IPv6, of Linux's first port", "IPv6 > VXLAN", |it| {
        over_6(UDP, &udp((50_000, 8472), &after(&[8, 0, 0, 0, 0, 0, 5, 0], &inner_frame(it))))
    }),
    ("VXLAN-GPE", "IPv4 > VXLAN", |it| {
        let next = if ether_type(it) == 0x0800 { 1 } else { 2 };
        over_4(UDP, &udp((50_000, 4790), &after(&[0x0c, 0, 0, next, 0, 0, 5, 0], it)))
    }),
    ("GENEVE with options", "IPv4 > GENEVE", |it| {
        let header = [2, 0, 0x65, 0x58, 0, 0, 5, 0, 1, 2, 3, 1, 0, 0, 0, 0];
        over_4(UDP, &udp((50_000, 6081), &after(&header, &inner_frame(it))))
    }),
    ("GENEVE of IP", "IPv6 > GENEVE", |it| {
        let header = [&[0, 0][..], &ether_type(it).to_be_bytes(), &[0, 0, 5, 0]].concat();
        over_6(UDP, &udp((50_000, 6081), &after(&header, it)))
    }),
    ("GTP-U", "IPv4 > GTP-U", |it| {
        over_4(UDP, &udp((2152, 2152), &after(&[0x30, 255, 0, 0, 0, 0, 0, 1], it)))
    }),
    ("GTP-U with an extension header", "IPv4 > GTP-U", |it| {
        let header = [0x34, 255, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0x10, 9, 0];
        over_4(UDP, &udp((2152, 2152), &after(&header, it)))
    }),
    ("L2TP", "IPv4 > L2TP", |it| {
        over_4(UDP, &udp((1701, 1701), &after(&[0x40, 2, 0, 0, 0, 1, 0, 2, 0xff, 3], &ppp(it))))
    }),
    ("LISP", "IPv4 > LISP", |it| over_4(UDP, &udp((50_000, 4341), &after(&[0x80; 8], it)))),
    ("GUE", "IPv4 > GUE", |it| {
        let protocol = if ether_type(it) == 0x0800 { 4 } else { 41 };
        over_4(UDP, &udp((50_000, 6080), &after(&[0, protocol, 0, 0], it)))
    }),
    ("EtherIP", "IPv4 > EtherIP", |it| over_4(97, &after(&[0x30, 0], &inner_frame(it)))),
    ("NSH", "NSH", |it| {
        let next = if ether_type(it) == 0x0800 { 1 } else { 2 };
        ethernet(0x894f, &after(&[0, 2, 1, next, 0, 0, 1, 255], it))
    }),
    ("PBB", "PBB", |it| ethernet(0x88e7, &after(&[0, 0, 1, 2], &inner_frame(it)))),
    ("TRILL with options", "TRILL", |it| {
        ethernet(0x22f3, &after(&[0, 0x41, 0, 1, 0, 2, 0, 0, 0, 0], &inner_frame(it)))
    }),
    ("FabricPath", "FabricPath", |it| ethernet(0x8903, &after(&[0, 0x41], &inner_frame(it)))),
    ("HSR", "HSR", |it| ethernet(0x892f, &[&[0, 60, 0, 7][..], &ether_type(it).to_be_bytes(), it].concat())),
    ("VN-tag", "VN-tag", |it| {
        ethernet(0x8926, &[&[0, 1, 0, 2][..], &ether_type(it).to_be_bytes(), it].concat())
    }),
    ("Cisco metadata", "Cisco metadata", |it| {
        ethernet(0x8909, &[&[1, 1, 0, 1, 0, 9][..], &ether_type(it).to_be_bytes(), it].concat())
    }),
    ("EDSA", "EDSA", |it| {
        ethernet(0xdada, &[&[0, 0, 0x40, 0, 0, 1][..], &ether_type(it).to_be_bytes(), it].concat())
    }),
    ("MACsec without encryption", "MACsec", |it| {
        ethernet(
            0x88e5,
            &[&[0x20, 0, 0, 0, 0, 1][..], &[3; 8], &ether_type(it).to_be_bytes(), it, &[9; 16]].concat(),
        )
    }),
    ("VXLAN in IPv6 in GRE behind PPPoE", "PPPoE > IPv4 > GRE > IPv6 > VXLAN", |it| {
        let vxlan = udp((50_000, 4789), &after(&[8, 0, 0, 0, 0, 0, 5, 0], &inner_frame(it)));
        let ip6 = ip(OUTER_6.0, OUTER_6.1, UDP, 0, &vxlan);
        ethernet(0x8864, &pppoe(&ip(OUTER_4.0, OUTER_4.1, 47, 3, &gre(0, 0x86dd, &[], &ip6))))
    }),
];

/// What only holds IPv6.
const TEREDO: Wrap = |it| over_4(UDP, &udp((3544, 3544), &after(&[0, 0, 1, 2, 3, 4, 5, 6], it)));

/// IP packets of both versions, no two alike; some short enough to be padded.
fn packets() -> Vec<(i128, Vec<u8>)> {
    let packet = |number: u16| {
        let payload: Vec<u8> = (0..8 + number % 7 * 150)
            .map(|place| (place.wrapping_mul(31) ^ number.wrapping_mul(977)) as u8)
            .collect();
        let ends = match number % 2 {
            0 => ("198.51.100.1", "192.0.2.7"),
            _ => ("2001:db8::1", "2001:db8:2::7"),
        };
        match number % 3 {
            0 => ip(
                ends.0,
                ends.1,
                TCP,
                number + 1,
                &tcp((40_000 + number, 80), u32::from(number) << 16, &payload),
            ),
            _ => ip(ends.0, ends.1, UDP, number + 1, &udp((5000, 9000 + number % 5), &payload)),
        }
    };
    (0..60).map(|number| (i128::from(number) * 1000, packet(number))).collect()
}

/// Joins the plain packets with the wrapped ones, `later_us` later: all are matched, none to another.
fn check_joined(folder: &Path, name: &str, wrap: Wrap, packets: &[(i128, Vec<u8>)], snap_length: u32) {
    let (plain, wrapped) = (folder.join("plain.pcap"), folder.join("wrapped.pcap"));
    let delay_us = |number: usize| 200 + number as i128 % 13;
    let before: Vec<_> = packets.iter().map(|(at, packet)| (*at, frame(packet))).collect();
    let behind: Vec<_> = packets
        .iter()
        .enumerate()
        .map(|(number, (at, packet))| (at + delay_us(number), wrap(packet)))
        .collect();
    write(&plain, LinkType::ETHERNET, 262_144, &before);
    write(&wrapped, LinkType::ETHERNET, snap_length, &behind);
    for (first, second, sign) in [(&plain, &wrapped, 1), (&wrapped, &plain, -1)] {
        let joined = join_captures(first, second, &CompareOptions::default()).unwrap();
        assert_eq!(joined.pairs.len(), packets.len(), "{name}: {:?}", joined.counts);
        assert_eq!(joined.only_first.len() + joined.only_second.len(), 0, "{name}");
        let mut delays: Vec<i64> =
            joined.pairs.iter().map(|pair| sign * (pair.second_ps - pair.first_ps)).collect();
        let mut expected: Vec<i64> =
            (0..packets.len()).map(|number| delay_us(number) as i64 * 1_000_000).collect();
        delays.sort_unstable();
        expected.sort_unstable();
        assert_eq!(delays, expected, "{name}");
    }
}

#[test]
fn the_plain_side_matches_the_wrapped_one() {
    let folder = tempfile::tempdir().unwrap();
    for (name, _, wrap) in WRAPS {
        check_joined(folder.path(), name, *wrap, &packets(), 262_144);
    }
    let v6: Vec<_> = packets().into_iter().filter(|(_, packet)| packet[0] >> 4 == 6).collect();
    check_joined(folder.path(), "Teredo", TEREDO, &v6, 262_144);
}

#[test]
fn the_plain_side_matches_the_wrapped_one_that_was_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    for (name, _, wrap) in WRAPS {
        check_joined(folder.path(), name, *wrap, &packets(), 180);
    }
}

#[test]
fn the_innermost_packet_counts_and_the_wire_keeps_its_own() {
    for (name, around, wrap) in WRAPS {
        for (_, packet) in packets() {
            let bytes = wrap(&packet);
            let wrapped = Frame::parse(LinkType::ETHERNET, &bytes, bytes.len() as u32);
            let plain = Frame::parse(LinkType::ETHERNET, &frame(&packet), 0);
            assert_eq!(wrapped.encapsulations.to_string(), *around, "{name}");
            assert_eq!(wrapped.match_key(), plain.match_key(), "{name}");
            assert_eq!((wrapped.ttl, wrapped.flow_key()), (plain.ttl, plain.flow_key()), "{name}");
            assert_eq!(wrapped.destination_mac, plain.destination_mac, "{name}: not that of an inner frame");
            assert_eq!(wrapped.outer_vlan.is_some(), name.contains("QinQ"), "{name}");
        }
    }
}

#[test]
fn what_only_looks_like_a_tunnel_stays_what_it_is() {
    let junk: Vec<u8> = (0..200).map(|place: u32| (place.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let longer_than_its_tunnel = ip("10.0.0.1", "10.0.0.2", UDP, 1, &udp((1, 2), &[0; 400]));
    for port in [1701, 2152, 3544, 4341, 4754, 4789, 4790, 5247, 6080, 6081, 6635, 8472, 51820] {
        for payload in [&junk[..], &[], &[0x45; 30], &longer_than_its_tunnel[..100]] {
            let packet = ip("198.51.100.1", "192.0.2.7", UDP, 1, &udp((5000, port), payload));
            let found = Frame::parse(LinkType::RAW, &packet, packet.len() as u32);
            assert_eq!(found.destination_port, Some(port));
            assert_eq!(found.encapsulations, Encapsulations::default(), "{port}");
        }
    }
    for protocol in [4, 41, 47, 97, 137] {
        let packet = ip("198.51.100.1", "192.0.2.7", protocol, 1, &junk);
        let found = Frame::parse(LinkType::RAW, &packet, packet.len() as u32);
        assert_eq!((found.protocol, found.encapsulations.depth()), (Some(protocol), 0));
    }
}

#[test]
fn no_tunnel_panics_wherever_it_is_cut() {
    for (_, _, wrap) in WRAPS {
        let bytes = wrap(&packets()[1].1);
        for length in 0..bytes.len() {
            Frame::parse(LinkType::ETHERNET, &bytes[..length], bytes.len() as u32);
            let mut wrong = bytes.clone();
            wrong[length] ^= 0xff;
            Frame::parse(LinkType::ETHERNET, &wrong, bytes.len() as u32);
        }
    }
}

#[test]
fn tunnels_in_tunnels_end() {
    let mut packet = packets()[0].1.clone();
    for _ in 0..20 {
        packet = ip(OUTER_4.0, OUTER_4.1, 4, 1, &packet);
    }
    let found = Frame::parse(LinkType::RAW, &packet, packet.len() as u32);
    assert_eq!((found.encapsulations.depth(), found.unread), (8, Some(Unread::TooDeep)));
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unread.pcap");
    let esp = over_4(50, &[7; 60]);
    let macsec = ethernet(0x88e5, &[&[0x2c, 0, 0, 0, 0, 1][..], &[3; 60]].concat());
    let mesh = ethernet(0x4305, &[0x40; 60]);
    let frames: Vec<_> =
        [esp, macsec, mesh].into_iter().enumerate().map(|(at, bytes)| (at as i128, bytes)).collect();
    write(&path, LinkType::ETHERNET, 262_144, &frames);
    let (inspected, _) = taunet(&["inspect", path.to_str().unwrap()]);
    for name in ["encrypted MACsec: 1", "batman-adv: 1", "IPsec ESP: 1"] {
        assert!(inspected.contains(name), "{inspected}");
    }
    let path = path.to_str().unwrap();
    let (_, told) = taunet(&["compare", path, path]);
    for name in ["1 packet of encrypted MACsec", "1 packet of batman-adv", "1 packet of IPsec ESP"] {
        assert!(told.contains(name), "{told}");
    }
}

#[test]
fn inspect_says_how_deep_packets_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep.pcap");
    let deep = WRAPS.last().unwrap().2;
    let frames: Vec<_> = packets()
        .iter()
        .take(6)
        .map(|(at, packet)| (*at, if *at == 0 { frame(packet) } else { deep(packet) }))
        .collect();
    write(&path, LinkType::ETHERNET, 262_144, &frames);
    let (told, _) = taunet(&["inspect", path.to_str().unwrap()]);
    assert!(told.contains("PPPoE > IPv4 > GRE > IPv6 > VXLAN: 5"), "{told}");
    assert!(told.contains("behind at most 5 headers"), "{told}");
}

pub const TOPOLOGY: &str = r#"
name = "tunnel"
device = [{ name = "a", kind = "host", addresses = ["198.51.100.0/24", "2001:db8::/48"] },
    { name = "r", kind = "router" },
    { name = "b", kind = "host", addresses = ["192.0.2.0/24", "2001:db8:2::/48"] }]
link = [{ between = ["a:0", "r:0"], bandwidth = "1 Gbps", delay = "0 s" },
    { between = ["r:1", "b:0"], bandwidth = "10 Mbps", delay = "0 s" }]
"#;
const SCENARIO: &str = r#"
name = "tunnel"
topology = "topology.toml"
[[traffic]]
kind = "replay"
capture = "wrapped.pcap"
at = { port = "r:0", direction = "ingress" }
"#;

#[test]
fn a_replay_of_the_wrapped_side_forwards_by_inner_addresses_at_the_wires_length() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("topology.toml"), TOPOLOGY).unwrap();
    std::fs::write(at("scenario.toml"), SCENARIO).unwrap();
    for (name, _, wrap) in WRAPS {
        let frames: Vec<_> = packets().iter().map(|(at, packet)| (at * 10, wrap(packet))).collect();
        write(&at("wrapped.pcap"), LinkType::ETHERNET, 262_144, &frames);
        let out = at("out");
        let scenario = at("scenario.toml");
        taunet(&[
            "run",
            scenario.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
            "--force",
            "--quiet",
            "--format",
            "csv",
        ]);
        let mut rows = csv::Reader::from_path(out.join("packets.csv")).unwrap();
        let column = |name: &str, headers: &csv::StringRecord| {
            headers.iter().position(|header| header == name).unwrap()
        };
        let headers = rows.headers().unwrap().clone();
        let (length, delay) = (column("length_bytes", &headers), column("delay_ps", &headers));
        let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), frames.len(), "{name}");
        for (row, (_, bytes)) in rows.iter().zip(&frames) {
            assert_eq!(row[length], bytes.len().to_string(), "{name}");
            assert_eq!(row[delay], (bytes.len() * 800_000).to_string(), "{name}: 10 Mbps, and nothing waits");
        }
    }
}

#[test]
fn a_translator_between_the_versions_of_ip_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["inside.pcap", "outside.pcap"].map(|name| folder.path().join(name));
    let packets = |source: &str, destination: &str, ports: (u16, u16), later_us: i128| -> Vec<_> {
        let packet = |number: u8| frame(&ip(source, destination, UDP, 7, &udp(ports, &[number; 50])));
        (0..20).map(|number| (i128::from(number) * 1000 + later_us, packet(number))).collect()
    };
    let inside = packets("2001:db8::5", "64:ff9b::c000:221", (5000, 443), 0);
    let outside = packets("203.0.113.9", "192.0.2.33", (61_000, 443), 300);
    for (path, frames) in paths.iter().zip([inside, outside]) {
        write(path, LinkType::ETHERNET, 262_144, &frames);
    }
    for [first, second] in [[0, 1], [1, 0]] {
        let refused = join_captures(&paths[first], &paths[second], &CompareOptions::default()).unwrap_err();
        let told = refused.to_string();
        assert!(told.contains("NAT64") && told.contains("192.0.2.33:443"), "{told}");
    }
}

/// What the command says on its two outputs.
pub fn taunet(args: &[&str]) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_taunet")).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{args:?}: {err}");
    (out, err)
}
