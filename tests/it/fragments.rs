//! Datagrams that are fragmented or reassembled between two captures.

use taunet::capture::LinkType;
use taunet::compare::{CaptureComparison, CompareOptions, compare_captures, join_captures};

use crate::bytes::{UDP, ethernet, frame, ip, udp, write};
use crate::tunnels::{TOPOLOGY, taunet};

const DATAGRAMS: u16 = 200;

/// A datagram of one of three flows.
fn datagram(number: u16, is_v6: bool) -> Vec<u8> {
    let payload: Vec<u8> =
        (0..1400 + number % 50).map(|place| (place.wrapping_mul(number + 3) >> 3) as u8).collect();
    let ends = if is_v6 { ("2001:db8::1", "2001:db8:2::7") } else { ("198.51.100.1", "192.0.2.7") };
    ip(ends.0, ends.1, UDP, number + 1, &udp((5000 + number % 3, 9), &payload))
}

/// An IP packet in fragments of at most `most` bytes of payload; a router has counted its time to live down.
pub fn fragments(packet: &[u8], most: usize, identification: u32) -> Vec<Vec<u8>> {
    let is_v6 = packet[0] >> 4 == 6;
    let header = if is_v6 { 40 } else { 20 };
    let payload = &packet[header..];
    let mut pieces = Vec::new();
    for (number, piece) in payload.chunks(most).enumerate() {
        let offset = (number * most / 8) as u16;
        let more = u16::from((number + 1) * most < payload.len());
        let mut bytes = packet[..header].to_vec();
        if is_v6 {
            bytes[4..6].copy_from_slice(&(piece.len() as u16 + 8).to_be_bytes());
            let next = std::mem::replace(&mut bytes[6], 44);
            bytes[7] -= 1;
            bytes.extend([next, 0]);
            bytes.extend((offset << 3 | more).to_be_bytes());
            bytes.extend(identification.to_be_bytes());
        } else {
            bytes[2..4].copy_from_slice(&(piece.len() as u16 + 20).to_be_bytes());
            bytes[6..8].copy_from_slice(&(more << 13 | offset).to_be_bytes());
            bytes[8] -= 1;
        }
        bytes.extend(piece);
        pieces.push(bytes);
    }
    pieces
}

/// What becomes of the fragments of a datagram: how many there are, and whether one of them is lost.
type Fate = fn(u16) -> (usize, Option<usize>);

/// Whole before, in fragments behind, the last of them 320 us and more later; of some datagrams a fragment is lost.
fn pair(is_v6: bool, fate: Fate) -> [Vec<(i128, Vec<u8>)>; 2] {
    let (mut before, mut behind) = (Vec::new(), Vec::new());
    for number in 0..DATAGRAMS {
        let at_us = i128::from(number) * 2000;
        let packet = datagram(number, is_v6);
        before.push((at_us, frame(&packet)));
        let (pieces, lost) = fate(number);
        let most = if pieces == 2 { 1376 } else { 600 };
        let pieces = fragments(&packet, most, 70_000 + u32::from(number));
        for (place, piece) in pieces.iter().enumerate().filter(|(place, _)| lost != Some(*place)) {
            behind.push((at_us + 300 + 10 * place as i128 + i128::from(number % 7), frame(piece)));
        }
    }
    [before, behind]
}

fn compared(first: &[(i128, Vec<u8>)], second: &[(i128, Vec<u8>)]) -> CaptureComparison {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["first.pcap", "second.pcap"].map(|name| folder.path().join(name));
    for (path, frames) in paths.iter().zip([first, second]) {
        let mut frames = frames.to_vec();
        frames.sort_by_key(|(at, _)| *at);
        write(path, LinkType::ETHERNET, 262_144, &frames);
    }
    let options = CompareOptions::default();
    let joined = join_captures(&paths[0], &paths[1], &options).unwrap();
    let counts = &joined.counts;
    let first =
        counts.matched + counts.ambiguous + counts.only_first + counts.copies_first + counts.fragments_first;
    let second = counts.matched
        + counts.ambiguous_second
        + counts.only_second
        + counts.copies_second
        + counts.fragments_second;
    assert_eq!((first, second), (joined.packets_first, joined.packets_second), "{counts:?}");
    compare_captures(&paths[0], &paths[1], &options).unwrap()
}

/// Whether the delays are those of the last fragment.
fn check_delays(comparison: &CaptureComparison, fate: Fate) {
    let arrived = (0..DATAGRAMS).filter(|number| fate(*number).1.is_none());
    let delays: Vec<f64> =
        arrived.map(|number| 300.0 + 10.0 * (fate(number).0 - 1) as f64 + f64::from(number % 7)).collect();
    let mean_us = delays.iter().sum::<f64>() / delays.len() as f64;
    let measured = comparison.delay_s.unwrap().mean.abs() * 1e6;
    assert!((measured - mean_us).abs() < 1e-6, "{measured} for {mean_us}");
}

const FATES: [Fate; 3] = [
    |_| (2, None),
    |_| (3, None),
    // every tenth loses a fragment: the first, the second or the third
    |number| (3, (number % 10 == 5).then_some(usize::from(number / 10 % 3))),
];

#[test]
fn a_datagram_that_was_cut_on_the_way_is_matched_by_its_last_fragment() {
    for is_v6 in [false, true] {
        for fate in FATES {
            let [before, behind] = pair(is_v6, fate);
            let lost = (0..DATAGRAMS).filter(|number| fate(*number).1.is_some()).count() as u64;
            let comparison = compared(&before, &behind);
            assert_eq!(comparison.counts.matched, u64::from(DATAGRAMS) - lost);
            assert_eq!((comparison.lost, comparison.counts.only_second), (lost, 0));
            assert_eq!(comparison.counts.fragments_first, 0);
            assert_eq!(comparison.counts.fragments_second, behind.len() as u64 - comparison.counts.matched);
            check_delays(&comparison, fate);
        }
    }
}

#[test]
fn a_datagram_that_was_put_together_on_the_way_is_matched_too() {
    let fate: Fate = |_| (3, None);
    for is_v6 in [false, true] {
        let [whole, cut] = pair(is_v6, fate);
        // one router cut them, and the next put them together; each fifteenth datagram is lost
        let whole: Vec<_> = whole
            .into_iter()
            .enumerate()
            .filter(|(number, _)| number % 15 != 7)
            .map(|(_, (at, mut bytes))| {
                bytes[if is_v6 { 21 } else { 22 }] -= 2;
                (at + 1_000_000, bytes)
            })
            .collect();
        let comparison = compared(&cut, &whole);
        assert_eq!(comparison.counts.matched, whole.len() as u64);
        assert_eq!((comparison.lost, comparison.counts.only_second), (200 - whole.len() as u64, 0));
        assert_eq!(comparison.counts.fragments_first, 400);
    }
}

#[test]
fn datagrams_in_two_fragments_before_and_three_behind_are_matched() {
    for is_v6 in [false, true] {
        let [_, two] = pair(is_v6, |_| (2, None));
        let [_, three] = pair(is_v6, |_| (3, None));
        let comparison = compared(&two, &three);
        assert_eq!((comparison.counts.matched, comparison.lost), (u64::from(DATAGRAMS), 0));
        assert_eq!((comparison.counts.fragments_first, comparison.counts.fragments_second), (200, 400));
        assert!((comparison.delay_s.unwrap().mean * 1e6 - 10.0).abs() < 1e-6);
    }
}

#[test]
fn the_same_fragments_on_both_sides_are_matched_one_by_one() {
    for is_v6 in [false, true] {
        let [_, before] = pair(is_v6, |_| (3, None));
        let behind: Vec<_> = before
            .iter()
            .enumerate()
            .filter(|(number, _)| number % 50 != 20)
            .map(|(_, (at, bytes))| (at + 500, bytes.clone()))
            .collect();
        let comparison = compared(&before, &behind);
        assert_eq!((comparison.counts.matched, comparison.lost), (588, 12));
        assert_eq!((comparison.counts.fragments_first, comparison.counts.fragments_second), (0, 0));
    }
}

#[test]
fn a_tunnel_whose_packets_are_cut_is_matched_with_the_plain_side() {
    for is_v6 in [false, true] {
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        for number in 0..DATAGRAMS {
            let at_us = i128::from(number) * 2000;
            let packet = datagram(number, is_v6);
            before.push((at_us, frame(&packet)));
            let ether_type: u16 = if is_v6 { 0x86dd } else { 0x0800 };
            let gre = [&[0, 0][..], &ether_type.to_be_bytes(), &packet].concat();
            let outer = ip("203.0.113.1", "203.0.113.2", 47, number + 7, &gre);
            let lost = (number % 20 == 3).then_some(usize::from(number / 20 % 2));
            for (place, piece) in fragments(&outer, 1200, 0).iter().enumerate() {
                if lost != Some(place) {
                    behind.push((at_us + 300 + 10 * place as i128, ethernet(0x0800, piece)));
                }
            }
        }
        let comparison = compared(&before, &behind);
        assert_eq!((comparison.counts.matched, comparison.lost), (190, 10));
        assert_eq!((comparison.counts.only_second, comparison.counts.fragments_second), (0, 200));
        assert!((comparison.delay_s.unwrap().mean * 1e6 - 310.0).abs() < 1e-6);
    }
}

const SCENARIO: &str = r#"
name = "fragments"
topology = "topology.toml"
[[traffic]]
kind = "replay"
capture = "whole.pcap"
at = { port = "r:0", direction = "ingress" }
[[measured]]
capture = "cut.pcap"
at = { port = "r:1", direction = "egress" }
"#;

#[test]
fn a_run_is_compared_with_fragments_of_its_datagrams() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("topology.toml"), TOPOLOGY).unwrap();
    std::fs::write(at("scenario.toml"), SCENARIO).unwrap();
    let fate: Fate = |number| (3, (number % 10 == 5).then_some(usize::from(number / 10 % 3)));
    let [whole, cut] = pair(false, fate);
    write(&at("whole.pcap"), LinkType::ETHERNET, 262_144, &whole);
    write(&at("cut.pcap"), LinkType::ETHERNET, 262_144, &cut);
    let (scenario, out) = (at("scenario.toml"), at("out"));
    let (summary, _) = taunet(&["run", scenario.to_str().unwrap(), "--out", out.to_str().unwrap(), "--json"]);
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let counts = &summary["measured"][0];
    assert_eq!(counts["matched"], 180, "{counts}");
    assert_eq!(counts["fragments"], 360);
    assert_eq!(counts["only_measured"], 40, "two fragments each of the twenty that lost one");
}
