//! Frames of every form: the parsed fields, the flow, and the match key.

use std::collections::HashMap;
use std::path::Path;

use taunet::capture::{FlowTable, Frame, LinkType, MatchFields, Options, Reader};

use crate::bytes::ip;

/// (original length, frame) of every record.
fn frames(path: &Path) -> Vec<(u32, Frame)> {
    let options = Options { lenient: true, ..Options::default() };
    let Ok(mut reader) = Reader::open(path, &options) else { return Vec::new() };
    let mut frames = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        let frame = Frame::parse(record.link_type, record.bytes, record.original_length);
        frames.push((record.original_length, frame));
    }
    frames
}

fn own(name: &str) -> Vec<(u32, Frame)> {
    frames(&Path::new("tests/captures").join(name))
}

fn or_dash<T: std::fmt::Display>(field: Option<T>) -> String {
    field.map_or("-".to_owned(), |value| value.to_string())
}

/// A line per frame, equal neighbours counted.
fn table(frames: &[(u32, Frame)]) -> String {
    let mut flows = FlowTable::new();
    let mut lines: Vec<(String, usize)> = Vec::new();
    for (length, frame) in frames {
        let vlans = format!("{}/{}", or_dash(frame.outer_vlan), or_dash(frame.inner_vlan));
        let flags = [(frame.dont_fragment, "DF"), (frame.more_fragments, "MF")]
            .iter()
            .filter(|(flag, _)| *flag == Some(true))
            .map(|(_, name)| *name)
            .collect::<Vec<_>>()
            .join(",");
        let line = format!(
            "{:>2} {:>4} {:<6} {:<7} {:>4} {:>3} {:>3} {:<2} {:>4} {}",
            flows.fid(frame),
            length,
            frame.ether_type.map_or("-".to_owned(), |number| format!("{number:04x}")),
            vlans,
            or_dash(frame.total_length),
            or_dash(frame.ttl),
            or_dash(frame.protocol),
            flags,
            or_dash(frame.fragment_offset),
            frame.flow_key(),
        );
        match lines.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => lines.push((line, 1)),
        }
    }
    let lines = lines.iter().map(|(line, count)| format!("{count:>2}x {line}\n"));
    "    fid len etype  vlans   tlen ttl pro fl offs flow\n".to_owned() + &lines.collect::<String>()
}

#[test]
fn frames_of_every_shape() {
    insta::assert_snapshot!("eth_micro_full", table(&own("eth_micro_full.pcap")));
}

#[test]
fn frames_of_cooked_captures() {
    insta::assert_snapshot!("any_sll_micro", table(&own("any_sll_micro.pcap")));
    insta::assert_snapshot!("any_sll2_nano", table(&own("any_sll2_nano.pcap")));
}

#[test]
fn truncated_frames_give_what_was_captured() {
    insta::assert_snapshot!("eth_nano_s40_truncated", table(&own("eth_nano_s40_truncated.pcap")));
    let without_ip = own("eth_nano_s14.pcap");
    assert!(!without_ip.is_empty());
    assert!(without_ip.iter().all(|(_, frame)| frame.source.is_none() && frame.source_mac.is_some()));
}

#[test]
fn every_format_gives_the_same_frames() {
    let expected = own("eth_micro_full.pcap");
    assert_eq!(own("eth_micro_bigendian.pcap"), expected);
    assert_eq!(own("two_interfaces.pcapng"), expected);
    let raw: Vec<_> = own("rawip_nano.pcap").into_iter().map(|(_, frame)| frame.match_key()).collect();
    let with_ip =
        |frame: &Frame| matches!(frame.ether_type, Some(0x0800 | 0x86dd)) && frame.outer_vlan.is_none();
    let expected: Vec<_> =
        expected.iter().filter(|(_, frame)| with_ip(frame)).map(|(_, frame)| frame.match_key()).collect();
    assert_eq!(raw, expected);
}

/// Ethernet, IPv4, TCP with 12 bytes of options.
fn tcp() -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    bytes.extend([0x45, 0xb9, 0, 60, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([0x1f, 0x90, 0, 80, 0, 0, 0, 5, 0, 0, 0, 9, 0x80, 0x18, 0, 0, 0, 0, 0, 0]);
    bytes.extend([1; 12]);
    bytes.extend(b"payload!");
    bytes
}

#[test]
fn tcp_fields_survive_truncation() {
    let frame = Frame::parse(LinkType::ETHERNET, &tcp(), 74);
    assert_eq!((frame.source_port, frame.destination_port), (Some(8080), Some(80)));
    assert_eq!(
        (frame.tcp_sequence, frame.tcp_acknowledgement, frame.tcp_flags),
        (Some(5), Some(9), Some(0x18))
    );
    assert_eq!((frame.dscp, frame.ecn), (Some(46), Some(1)));
    let truncated = Frame::parse(LinkType::ETHERNET, &tcp()[..54], 74);
    let fields = MatchFields::of([&frame], None).and(MatchFields::of([&truncated], None));
    assert_eq!(frame.match_key_over(&fields), truncated.match_key_over(&fields));
    assert_eq!(truncated.match_key_over(&MatchFields::ALL), None);
    let ports_only = Frame::parse(LinkType::ETHERNET, &tcp()[..38], 74);
    assert_eq!((ports_only.source_port, ports_only.tcp_sequence), (Some(8080), None));
}

#[test]
fn ip_options_that_were_not_captured() {
    let mut bytes = tcp();
    bytes[14] = 0x47;
    let frame = Frame::parse(LinkType::ETHERNET, &bytes[..36], 74);
    assert_eq!(frame.source, Some([10, 0, 0, 1].into()));
    assert_eq!((frame.protocol, frame.source_port, frame.ttl), (Some(6), None, Some(64)));
}

#[test]
fn a_total_length_of_zero_is_what_the_frame_holds() {
    let mut bytes = tcp();
    bytes[16..18].copy_from_slice(&[0, 0]);
    assert_eq!(Frame::parse(LinkType::ETHERNET, &bytes, 40_014).total_length, Some(40_000));
}

#[test]
fn loopback_families_of_either_byte_order() {
    let ip = &tcp()[14..];
    let expected = Frame::parse(LinkType::RAW, ip, 60);
    assert_eq!(expected.ip_version, Some(4));
    for (link_type, family) in
        [(LinkType::NULL, [2, 0, 0, 0]), (LinkType::NULL, [0, 0, 0, 2]), (LinkType::LOOP, [0, 0, 0, 2])]
    {
        let bytes = [family.as_slice(), ip].concat();
        assert_eq!(Frame::parse(link_type, &bytes, 64), expected);
    }
    let other = [[7, 0, 0, 0].as_slice(), ip].concat();
    assert_eq!(Frame::parse(LinkType::NULL, &other, 64), Frame::default());
}

#[test]
fn a_match_key_ignores_what_a_path_changes() {
    let key = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = tcp();
        change(&mut bytes);
        let length = bytes.len() as u32;
        Frame::parse(LinkType::ETHERNET, &bytes, length).match_key()
    };
    let plain = key(&|_| {});
    assert!(plain.is_some());
    // MAC addresses, DSCP and ECN, TTL, checksums, a VLAN tag, padding
    assert_eq!(key(&|bytes| bytes[3] = 9), plain);
    assert_eq!(key(&|bytes| bytes[15] = 0), plain);
    assert_eq!(key(&|bytes| bytes[22] = 63), plain);
    assert_eq!(key(&|bytes| bytes[24] = 1), plain);
    assert_eq!(key(&|bytes| bytes[50] = 1), plain);
    assert_eq!(key(&|bytes| drop(bytes.splice(12..12, [0x81, 0, 0, 5]))), plain);
    assert_eq!(key(&|bytes| bytes.extend([0; 6])), plain);
    // identification, fragment offset, protocol, addresses, ports, sequence, acknowledgement, flags
    for at in [19, 21, 23, 29, 33, 35, 37, 41, 45, 47] {
        assert_ne!(key(&|bytes| bytes[at] ^= 1), plain, "byte {at}");
    }
    assert_eq!(Frame::parse(LinkType::ETHERNET, &[0; 60], 60).match_key(), None);
}

#[test]
fn padding_after_a_short_datagram_is_no_part_of_its_match_key() {
    let mut bytes = tcp()[..14].to_vec();
    bytes.extend([0x45, 0, 0, 32, 0, 7, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([0x1f, 0x90, 0, 80, 0, 12, 0, 0, 1, 2, 3, 4]);
    let frame = Frame::parse(LinkType::ETHERNET, &bytes, 46);
    assert_eq!((&frame.prefix[..], frame.prefix_length), ([1, 2, 3, 4, 0, 0, 0, 0].as_slice(), 4));
    bytes.extend([0xee; 14]);
    assert_eq!(Frame::parse(LinkType::ETHERNET, &bytes, 60).match_key(), frame.match_key());
}

/// A datagram of 60 bytes of payload.
fn datagram(identification: u8) -> Vec<u8> {
    let mut bytes = tcp()[..14].to_vec();
    bytes.extend([0x45, 0, 0, 88, 0, identification, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([0x1f, 0x90, 0, 80, 0, 68, 0, 0]);
    bytes.extend(0..60);
    bytes
}

#[test]
fn match_keys_of_every_two_snap_lengths_agree() {
    for bytes in [tcp(), datagram(7)] {
        let frames: Vec<Frame> = (34..=bytes.len())
            .map(|snap| Frame::parse(LinkType::ETHERNET, &bytes[..snap], bytes.len() as u32))
            .collect();
        for one in frames.iter().skip(4) {
            for other in frames.iter().skip(4) {
                let fields = MatchFields::of([one], None).and(MatchFields::of([other], None));
                let [a, b] = [one, other].map(|frame| frame.match_key_over(&fields));
                assert!(a.is_some() && a == b, "{fields:?}");
            }
        }
    }
}

#[test]
fn a_match_key_covers_the_payload_as_far_as_it_may() {
    let parse = |bytes: &[u8]| Frame::parse(LinkType::ETHERNET, bytes, bytes.len() as u32);
    let plain = parse(&datagram(7));
    let with = |at: usize| {
        let mut bytes = datagram(7);
        bytes[at] ^= 1;
        parse(&bytes)
    };
    let of_snap = |snap: u32| MatchFields::of([], Some(snap));
    for (snap, first, last) in [(262_144, 42, 73), (96, 42, 73), (65, 42, 57), (50, 42, 49)] {
        for at in 42..102 {
            let is_covered = with(at).match_key_over(&of_snap(snap)) != plain.match_key_over(&of_snap(snap));
            assert_eq!(is_covered, (first..=last).contains(&at), "byte {at} of {snap}");
        }
    }
}

#[test]
fn identifications_count_where_there_are_any() {
    let frames = [datagram(0), datagram(9)].map(|bytes| Frame::parse(LinkType::ETHERNET, &bytes, 102));
    assert!(MatchFields::of(&frames, None).identification);
    assert!(!MatchFields::of([&frames[0]], None).identification);
    let keys = frames.map(|frame| frame.match_key_over(&MatchFields::ALL.without_identification()));
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn a_syn_is_recognized_behind_a_router_that_clamps_its_segment_size() {
    let mut bytes = tcp();
    bytes[47] = 0x02;
    let key = Frame::parse(LinkType::ETHERNET, &bytes, 74).match_key();
    bytes[56] = 0xee; // in the options
    assert_eq!(Frame::parse(LinkType::ETHERNET, &bytes, 74).match_key(), key);
    assert_eq!(Frame::parse(LinkType::ETHERNET, &bytes, 74).tcp_payload(), Some(8));
}

#[test]
fn a_frame_stays_small() {
    assert!(size_of::<Frame>() <= 184, "{}", size_of::<Frame>());
}

/// A match key is unique in each recording of two-point delays: those that ship, or a folder of more.
#[test]
fn match_keys_are_unique_in_recordings() {
    let folder = std::env::var("TAUNET_RECORDINGS").unwrap_or("scenarios/captures".to_owned());
    let mut packets = 0;
    for case in std::fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        if case.ends_with("public") || !case.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(case).unwrap() {
            let file = file.unwrap().path();
            let frames = frames(&file);
            packets += frames.len();
            let mut seen = HashMap::new();
            for (index, (_, frame)) in frames.iter().enumerate() {
                if let Some(key) = frame.match_key()
                    && let Some(earlier) = seen.insert(key, index)
                {
                    panic!("{}: records {earlier} and {index} have one match key: {frame:?}", file.display());
                }
            }
        }
    }
    assert!(packets > 100_000, "{packets}");
}

/// Captures of all kinds, damaged ones included, are read without a panic: those that ship, and a folder of folders of more.
#[test]
fn captures_of_all_kinds_are_read() {
    let mut folders = vec![std::path::PathBuf::from("tests/captures")];
    if let Ok(more) = std::env::var("TAUNET_PUBLIC_CAPTURES") {
        folders.extend(std::fs::read_dir(more).unwrap().map(|entry| entry.unwrap().path()));
    }
    let mut count = 0;
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for file in std::fs::read_dir(folder).unwrap() {
            count += frames(&file.unwrap().path()).len();
        }
    }
    assert!(count > 300, "{count}");
}

/// Nothing behind an IPv6 extension header that is cut off or at a wrong place is read as a header, not even bytes that are
/// there.
#[test]
fn a_wrong_extension_header_ends_the_chain() {
    let identification = |extensions: &[[u8; 8]]| {
        let mut packet = ip("2001:db8::1", "2001:db8::2", 0, 0, &extensions.concat());
        packet[6] = 0;
        Frame::parse(LinkType::IPV6, &packet, packet.len() as u32).identification
    };
    let (hop_by_hop, fragment) = (|next: u8| [next, 0, 1, 4, 0, 0, 0, 0], [17, 0, 0, 1, 0, 0, 0, 7]);
    assert_eq!(identification(&[hop_by_hop(44), fragment]), Some(7));
    // Hop-by-hop options are allowed at the start only.
    assert_eq!(identification(&[hop_by_hop(0), hop_by_hop(44), fragment]), None);
    // Destination options of 16 bytes, of which 8 follow.
    assert_eq!(identification(&[hop_by_hop(60), [44, 1, 1, 4, 0, 0, 0, 0]]), None);
}
