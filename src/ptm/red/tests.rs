use super::*;
use crate::link::Link;
use crate::packet::Packet;
use crate::ptm::{Departure, Ptm, Server};

const MS: u64 = 1_000_000_000;

fn probability(value: f64) -> Probability {
    Probability::new(value).unwrap()
}

fn spec() -> RedSpec {
    RedSpec {
        min: Buffer::Packets(20),
        max: Buffer::Packets(60),
        max_p: probability(0.1),
        weight: probability(0.01),
        gentle: false,
        ecn: false,
        hard_drop: true,
        mean_packet: ByteCount::new(1_000),
        bandwidth: None,
        buffer: None,
    }
}

/// 8 Mbps: 1000 bytes take 1 ms.
fn link(bandwidth: &str) -> Link {
    Link::with_delay(bandwidth.parse().unwrap(), Span::ZERO)
}

fn red(spec: &RedSpec) -> Red {
    Red::new(spec, &Place { link: link("8 Mbps"), seed: 1, port: "r1:0" })
}

fn tau(at: u64, ecn: u8) -> Tau {
    Tau { timestamp: Time::from_ps(at), packet: Packet { length: 1_000, ecn, ..Packet::default() } }
}

fn join(red: &mut Red, at: u64, ecn: u8) -> Option<DropReason> {
    let mut losses = Vec::new();
    red.enqueue(tau(at, ecn), &Flows::default(), &mut losses);
    losses.first().map(|loss| loss.reason)
}

#[test]
fn the_average_is_weighted_exponentially() {
    let mut red = red(&RedSpec { weight: probability(0.5), ..spec() });
    for _ in 0..4 {
        join(&mut red, 0, 0);
    }
    // Nothing waits for the first; then 1, 2 and 3: 0.5, 1.25, 2.125.
    assert_eq!(red.average, 2.125);
}

#[test]
fn the_average_is_in_the_unit_of_the_thresholds() {
    let (min, max) = (Buffer::Bytes(ByteCount::new(20_000)), Buffer::Bytes(ByteCount::new(60_000)));
    let mut red = red(&RedSpec { weight: probability(0.5), min, max, ..spec() });
    for _ in 0..4 {
        join(&mut red, 0, 0);
    }
    assert_eq!(red.average, 2_125.0);
}

#[test]
fn an_idle_link_lets_the_average_decay_by_the_packets_that_could_have_passed() {
    let idle = |spec: &RedSpec, bandwidth| {
        let mut red = Red::new(spec, &Place { link: link(bandwidth), seed: 1, port: "r1:0" });
        join(&mut red, 0, 0);
        red.dequeue(Time::from_ps(10 * MS), &mut Vec::new());
        red.average = 8.0;
        join(&mut red, 13 * MS + MS / 2, 0);
        red.average
    };
    let half = RedSpec { weight: probability(0.5), ..spec() };
    assert_eq!(idle(&half, "8 Mbps"), 1.0, "3.5 ms: three packets");
    assert_eq!(idle(&half, "800 kbps"), 8.0, "not one");
    assert_eq!(idle(&half, "unlimited"), 0.0);
    let shaped = RedSpec { bandwidth: Rate::from_bps(8_000_000), ..half };
    assert_eq!(idle(&shaped, "unlimited"), 1.0);
}

#[test]
fn powers_are_products() {
    assert_eq!([power(0.5, 0), power(0.5, 1), power(0.5, 10)], [1.0, 0.5, 1.0 / 1024.0]);
    assert_eq!(power(0.998, u64::MAX), 0.0);
}

#[test]
fn the_probability_rises_from_0_at_min_to_max_p_at_max() {
    let at = |average, gentle| {
        let mut red = red(&RedSpec { gentle, ..spec() });
        red.average = average;
        red.probability()
    };
    assert_eq!([at(20.0, false), at(40.0, false), at(60.0, false)], [Some(0.0), Some(0.05), None]);
    assert_eq!([at(60.0, true), at(90.0, true), at(120.0, true)], [Some(0.1), Some(0.1 + 0.9 * 0.5), None]);
}

#[test]
fn below_min_nothing_is_dropped_and_from_max_on_everything() {
    let mut red = red(&spec());
    red.average = 19.9;
    assert!((0..1_000).all(|_| red.verdict() == Verdict::Pass));
    assert_eq!(red.count, -1);
    red.average = 60.0;
    assert!((0..1_000).all(|_| red.verdict() == Verdict::Every));
    assert_eq!(red.count, 0);
}

/// With a probability of 1/n, the pseudocode's gaps are uniform on 1 to n - 1: n / 2 on average.
#[test]
fn gaps_between_drops_are_uniform() {
    let mut red = red(&spec());
    red.average = 40.0; // p_b = 0.05 = 1/20
    let (mut gaps, mut gap) = ([0u32; 40], 0);
    while red.verdict() == Verdict::Pass {}
    for _ in 0..190_000 {
        gap += 1;
        if red.verdict() == Verdict::AtRandom {
            gaps[gap] += 1;
            gap = 0;
        }
    }
    let drops: u32 = gaps.iter().sum();
    assert!(gaps[0] == 0 && gaps[20..].iter().all(|&many| many == 0), "{gaps:?}");
    assert!((f64::from(drops) / 19_000.0 - 1.0).abs() < 0.02, "every tenth on average: {drops}");
    let expected = f64::from(drops) / 19.0;
    let chi_square: f64 = gaps[1..20].iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
    assert!(chi_square < 42.3, "18 degrees of freedom, 0.1%: {chi_square}");
}

#[test]
fn capable_packets_are_marked_between_the_thresholds_and_dropped_above() {
    let fates = |average: f64, ecn, hard_drop| {
        let mut red = red(&RedSpec {
            ecn: true,
            hard_drop,
            weight: probability(1e-9),
            max_p: probability(1.0),
            ..spec()
        });
        join(&mut red, 0, 0);
        red.average = average;
        let reasons: Vec<_> = (0..200).map(|_| join(&mut red, 0, ecn)).collect();
        let mut waiting = Vec::new();
        red.waiting(&mut waiting);
        let marked = waiting.iter().filter(|tau| tau.packet.ecn == 3).count();
        (reasons.iter().flatten().count(), marked)
    };
    let (dropped, marked) = fates(40.0, 1, true);
    assert!(dropped == 0 && marked > 100, "{dropped} {marked}");
    assert!(fates(40.0, 0, true).0 > 100, "one that is not capable is dropped");
    assert_eq!(fates(61.0, 1, true), (200, 0), "RFC 3168, Section 7");
    assert_eq!(fates(61.0, 1, false), (0, 200), "Linux without harddrop");
}

#[test]
fn a_full_buffer_drops_whatever_the_average() {
    let mut red = red(&RedSpec { buffer: Some(Buffer::Packets(2)), ..spec() });
    let fates = [0, 0, 0].map(|at| join(&mut red, at, 0));
    assert_eq!(fates, [None, None, Some(DropReason::BufferFull)]);
}

/// An open loop of 1.1 times the link's rate loses one packet in eleven: the average settles where every eleventh is
/// drawn, at p_b = 1/22 (gaps are n / 2 on average): 20 + 40 * (1/22) / 0.1 = 38.2 packets.
#[test]
fn under_overload_the_average_settles_where_the_drops_balance_it() {
    let mut random = crate::random::stream(7, "test", "");
    let mut at = 0;
    let ingress: Vec<Tau> = (0..200_000)
        .map(|_| {
            at += (-(1.0 - random::unit(&mut random)).ln() * MS as f64 / 1.1) as u64;
            tau(at, 0)
        })
        .collect();
    let place = Place { link: link("8 Mbps"), seed: 1, port: "r1:0" };
    let mut server = Server::new(Box::new(Red::new(&spec(), &place)), place.link);
    let (mut departures, mut losses): (Vec<Departure>, _) = (Vec::new(), Vec::new());
    server.forward_trace(&ingress, &Flows::default(), Time::NEVER, &mut departures, &mut losses);
    let early = losses.iter().filter(|loss| loss.reason == DropReason::EarlyDrop).count();
    let fraction = early as f64 / ingress.len() as f64;
    assert!((fraction - 1.0 / 11.0).abs() < 0.01, "{fraction}");
    let waits = departures.iter().skip(20_000).map(|d| d.start.since(d.tau.timestamp).as_ps() as f64);
    let mean = waits.sum::<f64>() / (departures.len() - 20_000) as f64 / MS as f64;
    assert!((mean - 38.2).abs() < 4.0, "one millisecond each: {mean}");
}
