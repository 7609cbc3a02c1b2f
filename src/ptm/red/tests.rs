use super::*;
use crate::packet::Packet;
use crate::ptm::testing::place;
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
        wait: false,
        ecn: false,
        hard_drop: true,
        mean_packet: ByteCount::new(1_000),
        bandwidth: None,
        buffer: None,
        adaptive: false,
        hz: psched::DEFAULT_HZ,
    }
}

fn red(spec: &RedSpec) -> Red {
    Red::new(spec, &place("8 Mbps"))
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
    // No packet waits when the first arrives; then 1, 2 and 3: 0.5, 1.25, 2.125.
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

/// The rest of an average of 8 packets after an idle time.
fn after_idle(spec: &RedSpec, bandwidth: &str, idle: Span) -> f64 {
    let mut red = Red::new(spec, &place(bandwidth));
    join(&mut red, 0, 0);
    red.dequeue(Time::from_ps(10 * MS), &mut Vec::new());
    red.idle(Time::from_ps(10 * MS));
    red.average = 8.0;
    join(&mut red, 10 * MS + idle.as_ps(), 0);
    red.average
}

#[test]
fn an_idle_period_lets_the_average_decay_by_the_table_of_tc() {
    // A packet of 1000 B takes 1 ms, 15625 ticks, which are looked up as microseconds. With a weight of 1/2
    // the average is halved in 1 / ln 2 times that, 22.5 ms, in cells of 2,048 us.
    let half = RedSpec { weight: probability(0.5), ..spec() };
    let us = |us: u64| Span::from_ns(us * 1_000);
    assert_eq!(after_idle(&half, "8 Mbps", us(24_600)), 4.0);
    assert_eq!(after_idle(&half, "8 Mbps", us(47_200)), 2.0);
    // Before the first halving it falls linearly, by at most half.
    assert_eq!(after_idle(&half, "8 Mbps", us(512)), 6.0);
    assert_eq!(after_idle(&half, "8 Mbps", us(4_096)), 4.0);
    assert_eq!(after_idle(&half, "unlimited", us(1)), 0.0);
    let shaped = RedSpec { bandwidth: Rate::from_bps(8_000_000), ..half };
    assert_eq!(after_idle(&shaped, "unlimited", us(47_200)), 2.0);
}

#[test]
fn a_parent_that_does_not_ask_leaves_the_average_as_it_is() {
    let mut red = red(&RedSpec { weight: probability(0.5), ..spec() });
    join(&mut red, 0, 0);
    red.dequeue(Time::from_ps(10 * MS), &mut Vec::new());
    red.average = 8.0;
    join(&mut red, 1_000 * MS, 0);
    assert_eq!(red.average, 4.0, "half of the way to the empty queue, however long that was");
}

#[test]
fn the_link_asks_and_so_does_a_priority_class_that_a_later_one_goes_past() {
    let red = "kind = \"red\", min = \"1 packets\", max = \"1 packets\", weight = 0.25";
    let priority =
        format!("kind = \"priority\"\nclass = [{{ match = {{ dscp = 1 }}, ptm = {{ {red} }} }}, {{}}]");
    let bucket = format!("kind = \"token-bucket\"\nrate = \"1 Mbps\"\nburst = \"125 B\"\nptm = {{ {red} }}");
    // A burst raises the average above the step; long after, packets arrive one by one.
    let arrivals: Vec<(u64, u32, u8)> =
        (0..16).map(|_| (0, 125, 1)).chain((0..3).map(|n| (100_000 * MS + n * 10 * MS, 125, 1))).collect();
    let late_drops =
        |toml: &str| crate::ptm::testing::drops(toml, &arrivals).iter().filter(|pid| **pid >= 16).count();
    assert_eq!(late_drops(&priority), 0, "the class has been asked in vain: its average has decayed");
    assert_ne!(late_drops(&bucket), 0, "the bucket asks only while it holds nothing: the average stands");
}

#[test]
fn an_adaptive_probability_keeps_the_average_in_the_middle() {
    let adapt = |average| {
        let mut red = red(&RedSpec { adaptive: true, max_p: probability(0.1), ..spec() });
        (red.average, red.idle_since) = (average, None);
        red.adapt_until(Time::from_ps(520 * MS));
        red.max_p
    };
    // From 20 to 60: above 44 it grows, below 36 it falls.
    assert!((adapt(45.0) - 0.11).abs() < 1e-12, "{}", adapt(45.0));
    assert!((adapt(35.0) - 0.09).abs() < 1e-12, "{}", adapt(35.0));
    assert_eq!(adapt(40.0), 0.1);
}

#[test]
fn adjustments_worked_out_late_are_those_of_a_timer() {
    let idle = || {
        let mut red = red(&RedSpec {
            adaptive: true,
            max_p: probability(0.005),
            weight: probability(0.00001),
            ..spec()
        });
        (red.average, red.idle_since) = (58.0, Some(Time::ZERO));
        red
    };
    let (mut late, mut timer) = (idle(), idle());
    late.adapt_until(Time::from_ps(120_000 * MS));
    let mut highest = 0.0_f64;
    for tenths in 1..=1_200 {
        timer.adapt_until(Time::from_ps(tenths * 100 * MS));
        highest = highest.max(timer.max_p);
    }
    // It rises while the average, which falls slowly, is high; then it falls below its minimum.
    assert!(highest > 0.01 && timer.max_p < LEAST_MAX_P, "{highest}, {}", timer.max_p);
    assert_eq!((late.max_p, late.adaptation), (timer.max_p, timer.adaptation));
}

#[test]
fn equal_thresholds_are_a_step() {
    let step = RedSpec { max: Buffer::Packets(20), ..spec() };
    let mut red = red(&step);
    red.average = 19.9;
    assert_eq!(red.verdict(), Verdict::Pass);
    red.average = 20.0;
    assert_eq!(red.verdict(), Verdict::Every);
    let toml = "kind = \"red\"\nmin = \"20 packets\"\nmax = \"20 packets\"";
    crate::ptm::testing::ptm(toml, "1 Mbps");
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
    assert_eq!(red.count, -1);
}

/// With a probability of 1/n, gaps are uniform on 1 to n.
#[test]
fn gaps_between_drops_are_uniform() {
    let mut red = red(&spec());
    red.average = 40.0; // p_b = 0.05 = 1/20
    let (mut gaps, mut gap) = ([0u32; 40], 0);
    while red.verdict() == Verdict::Pass {}
    for _ in 0..210_000 {
        gap += 1;
        if red.verdict() == Verdict::AtRandom {
            gaps[gap] += 1;
            gap = 0;
        }
    }
    let drops: u32 = gaps.iter().sum();
    assert!(gaps[0] == 0 && gaps[21..].iter().all(|&many| many == 0), "{gaps:?}");
    assert!((f64::from(drops) / 20_000.0 - 1.0).abs() < 0.02, "(n + 1) / 2 on average: {drops}");
    let expected = f64::from(drops) / 20.0;
    let chi_square: f64 =
        gaps[1..21].iter().map(|&n| f64::from(n) - expected).map(|off| off * off / expected).sum();
    assert!(chi_square < 43.8, "19 degrees of freedom, 0.1%: {chi_square}");
}

/// With a probability of 1/n and `wait`, gaps are uniform on n to 2n - 1.
#[test]
fn gaps_after_a_wait_are_uniform() {
    let mut red = red(&RedSpec { wait: true, ..spec() });
    red.average = 40.0; // p_b = 0.05 = 1/20
    let (mut gaps, mut gap) = ([0u32; 80], 0);
    while red.verdict() == Verdict::Pass {}
    for _ in 0..590_000 {
        gap += 1;
        if red.verdict() == Verdict::AtRandom {
            gaps[gap] += 1;
            gap = 0;
        }
    }
    let drops: u32 = gaps.iter().sum();
    assert!(gaps[..20].iter().chain(&gaps[40..]).all(|&many| many == 0), "{gaps:?}");
    assert!((f64::from(drops) / 20_000.0 - 1.0).abs() < 0.01, "(3n - 1) / 2 on average: {drops}");
    let expected = f64::from(drops) / 20.0;
    let chi_square: f64 =
        gaps[20..40].iter().map(|&n| f64::from(n) - expected).map(|off| off * off / expected).sum();
    assert!(chi_square < 43.8, "19 degrees of freedom, 0.1%: {chi_square}");
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

/// An open loop at 1.1 times the link's rate loses one packet in eleven: the average settles where every
/// eleventh packet is drawn, at p_b = 1/22 (gaps are n / 2 on average): 20 + 40 * (1/22) / 0.1 = 38.2
/// packets.
#[test]
fn under_overload_the_average_settles_where_the_drops_balance_it() {
    let mut random = crate::random::stream(7, "test", "");
    let mut at = 0;
    let ingress: Vec<Tau> = (0..200_000)
        .map(|_| {
            at += (-libm::log(1.0 - random::unit(&mut random)) * MS as f64 / 1.1) as u64;
            tau(at, 0)
        })
        .collect();
    let place = place("8 Mbps");
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
