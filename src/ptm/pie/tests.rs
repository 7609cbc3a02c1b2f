use super::*;
use crate::link::Link;
use crate::packet::Packet;
use crate::ptm::{Departure, Ptm, Server};

const MS: u64 = 1_000_000_000;

fn ms(milliseconds: u64) -> Span {
    Span::from_ps(milliseconds * MS)
}

fn at(milliseconds: u64) -> Time {
    Time::from_ps(milliseconds * MS)
}

fn place() -> Place<'static> {
    let link = Link::with_delay("8 Mbps".parse().unwrap(), Span::ZERO);
    Place { link, seed: 1, port: "r1:0" }
}

fn pie(spec: &PieSpec) -> Pie {
    Pie::new(spec, &place())
}

/// One that has no burst allowance left and is far from the bypasses.
fn loaded(spec: &PieSpec, drop_prob: f64, ecn: u8) -> Pie {
    let mut pie = pie(spec);
    for _ in 0..10 {
        join(&mut pie, 0, ecn);
    }
    pie.burst_allowance = Span::ZERO;
    (pie.current_qdelay, pie.qdelay_old) = (ms(15), ms(15));
    pie.drop_prob = drop_prob;
    pie
}

fn join(pie: &mut Pie, milliseconds: u64, ecn: u8) -> Option<DropReason> {
    let packet = Packet { length: 1_000, ecn, ..Packet::default() };
    let mut losses = Vec::new();
    pie.enqueue(Tau { timestamp: at(milliseconds), packet }, &Flows::default(), &mut losses);
    losses.first().map(|loss| loss.reason)
}

fn drops(pie: &mut Pie, ecn: u8) -> usize {
    (0..1_000).filter(|_| join(pie, 1, ecn).is_some()).count()
}

#[test]
fn the_probability_follows_the_delay_and_its_change() {
    let mut pie = loaded(&PieSpec::default(), 0.5, 0);
    (pie.current_qdelay, pie.qdelay_old) = (ms(20), ms(30));
    pie.update_probability();
    // 0.125 * 5 ms - 1.25 * 10 ms
    assert!((pie.drop_prob - (0.5 + 0.000_625 - 0.012_5)).abs() < 1e-12, "{}", pie.drop_prob);
    assert_eq!(pie.qdelay_old, ms(20));
}

#[test]
fn small_probabilities_change_in_small_steps() {
    let steps = [0.0, 0.000_005, 0.000_05, 0.000_5, 0.005, 0.05, 0.1].map(|drop_prob| 1.0 / scale(drop_prob));
    assert_eq!(steps, [2048.0, 512.0, 128.0, 32.0, 8.0, 2.0, 1.0]);
}

#[test]
fn a_rise_is_capped_at_2_percent_above_10() {
    let rise = |drop_prob| {
        let mut pie = loaded(&PieSpec::default(), drop_prob, 0);
        (pie.current_qdelay, pie.qdelay_old) = (ms(500), ms(15));
        pie.update_probability();
        pie.drop_prob - drop_prob
    };
    assert!((rise(0.1) - 0.02).abs() < 1e-12);
    assert!((rise(0.05) - (0.125 * 0.485 + 1.25 * 0.485) / 2.0).abs() < 1e-12, "not below");
}

#[test]
fn the_probability_decays_when_the_delay_was_zero_twice() {
    let fall = |now, before| {
        let spec = PieSpec { alpha: 0.0, beta: 0.0, ..PieSpec::default() };
        let mut pie = loaded(&spec, 0.5, 0);
        (pie.current_qdelay, pie.qdelay_old) = (ms(now), ms(before));
        pie.update_probability();
        pie.drop_prob
    };
    assert_eq!([fall(0, 0), fall(1, 0), fall(0, 1)], [0.49, 0.5, 0.5]);
}

#[test]
fn the_probability_stays_between_0_and_1() {
    let mut pie = loaded(&PieSpec::default(), 0.99, 0);
    pie.current_qdelay = ms(500);
    pie.update_probability();
    assert_eq!(pie.drop_prob, 1.0);
    let mut pie = loaded(&PieSpec::default(), 0.0, 0);
    pie.current_qdelay = ms(1);
    pie.update_probability();
    assert_eq!(pie.drop_prob, 0.0);
}

#[test]
fn a_burst_passes_while_there_is_allowance() {
    let mut pie = loaded(&PieSpec::default(), 1.0, 0);
    pie.burst_allowance = ms(15);
    assert_eq!(drops(&mut pie, 0), 0);
    pie.update_probability();
    assert_eq!(pie.burst_allowance, Span::ZERO, "an update takes its period");
    assert!(drops(&mut pie, 0) > 900);
}

#[test]
fn the_allowance_returns_when_congestion_is_gone() {
    let mut pie = loaded(&PieSpec::default(), 0.0, 0);
    (pie.current_qdelay, pie.qdelay_old) = (ms(7), ms(8));
    pie.update_probability();
    assert_eq!(pie.burst_allowance, ms(150), "7 ms now, and 7 ms as of this update");
    let mut pie = loaded(&PieSpec::default(), 0.0, 0);
    (pie.current_qdelay, pie.qdelay_old) = (ms(8), ms(7));
    pie.update_probability();
    assert_eq!(pie.burst_allowance, Span::ZERO);
}

#[test]
fn a_short_delay_with_a_low_probability_and_a_short_queue_pass() {
    let mut short = loaded(&PieSpec::default(), 0.19, 0);
    short.qdelay_old = ms(7);
    assert_eq!(drops(&mut short, 0), 0);
    short.drop_prob = 0.2;
    assert!(drops(&mut short, 0) > 100);
    let mut few = pie(&PieSpec::default());
    few.burst_allowance = Span::ZERO;
    (few.drop_prob, few.qdelay_old) = (1.0, ms(100));
    let fates = [0; 4].map(|at| join(&mut few, at, 0).is_some());
    assert_eq!(fates, [false, false, false, true], "2000 B wait, no more than 2 * 1024; then 3000 B");
}

#[test]
fn drops_keep_their_distance() {
    let mut pie = loaded(&PieSpec::default(), 0.1, 0);
    let fates: Vec<bool> = (0..20_000).map(|_| join(&mut pie, 1, 0).is_some()).collect();
    let places: Vec<usize> = (0..fates.len()).filter(|&place| fates[place]).collect();
    let gaps: Vec<usize> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // 0.1 nine times is above 0.85; 85 times is 8.5 (or a rounding below).
    assert!(gaps.iter().all(|gap| (9..=86).contains(gap)), "{:?}", gaps.iter().max());
    assert!(gaps.contains(&9));
    pie.accu_prob = 8.5;
    assert!(pie.drops_early(), "for certain");
}

#[test]
fn capable_packets_are_marked_below_the_threshold() {
    let spec = PieSpec { ecn: true, ..PieSpec::default() };
    let mut low = loaded(&spec, 0.09, 1);
    assert_eq!(drops(&mut low, 1), 0);
    let mut waiting = Vec::new();
    low.waiting(&mut waiting);
    assert!(waiting.iter().filter(|tau| tau.packet.ecn == 3).count() > 30);
    assert!(drops(&mut loaded(&spec, 0.09, 0), 0) > 30, "one that is not capable is dropped");
    assert!(drops(&mut loaded(&spec, 0.1, 1), 1) > 30, "from the threshold on, all are");
}

#[test]
fn the_waiting_time_is_that_of_who_left_last() {
    let mut pie = pie(&PieSpec::default());
    join(&mut pie, 0, 0);
    join(&mut pie, 1, 0);
    pie.dequeue(at(5), &mut Vec::new());
    assert_eq!(pie.current_qdelay, ms(5));
    pie.dequeue(at(9), &mut Vec::new());
    assert_eq!(pie.current_qdelay, Span::ZERO, "nothing is left behind");
}

/// Lazy updates are those of a timer that fires at each multiple of the period.
#[test]
fn lazy_updates_are_those_of_a_timer() {
    for milliseconds in [14, 15, 16, 151, 3_000, 100_000, 3_600_000] {
        let mut lazy = loaded(&PieSpec::default(), 0.7, 0);
        lazy.current_qdelay = Span::ZERO;
        let mut timer = loaded(&PieSpec::default(), 0.7, 0);
        timer.current_qdelay = Span::ZERO;
        lazy.update_until(at(milliseconds));
        for _ in 0..milliseconds / 15 {
            timer.update_probability();
        }
        assert_eq!(
            (lazy.drop_prob, lazy.qdelay_old, lazy.burst_allowance),
            (timer.drop_prob, timer.qdelay_old, timer.burst_allowance),
            "{milliseconds} ms"
        );
        assert_eq!(lazy.update, at((milliseconds / 15 + 1) * 15));
    }
}

#[test]
fn a_full_buffer_drops_the_newcomer() {
    let mut pie = pie(&PieSpec { buffer: Some(Buffer::Packets(1)), ..PieSpec::default() });
    assert_eq!([join(&mut pie, 0, 0), join(&mut pie, 0, 0)], [None, Some(DropReason::BufferFull)]);
}

/// A Poisson stream of 1.25 times the link's rate, 80 Mbps: the delay settles at the target, and a fifth is lost.
#[test]
fn under_overload_the_delay_settles_at_the_target() {
    let place = Place { link: Link::with_delay("80 Mbps".parse().unwrap(), Span::ZERO), ..place() };
    let mut random = stream(7, "test", "");
    let mut now = 0;
    let ingress: Vec<Tau> = (0..500_000)
        .map(|_| {
            now += (-(1.0 - random::unit(&mut random)).ln() * MS as f64 / 12.5) as u64;
            Tau { timestamp: Time::from_ps(now), packet: Packet { length: 1_000, ..Packet::default() } }
        })
        .collect();
    let mut server = Server::new(Box::new(Pie::new(&PieSpec::default(), &place)), place.link);
    let (mut departures, mut losses): (Vec<Departure>, _) = (Vec::new(), Vec::new());
    server.forward_trace(&ingress, &Flows::default(), Time::NEVER, &mut departures, &mut losses);
    let settled = |time: Time| time > at(15_000);
    let waits: Vec<f64> = departures
        .iter()
        .filter(|departure| settled(departure.start))
        .map(|departure| departure.start.since(departure.tau.timestamp).as_ps() as f64 / MS as f64)
        .collect();
    let mean = waits.iter().sum::<f64>() / waits.len() as f64;
    assert!((mean - 15.0).abs() < 1.5, "{mean} ms");
    let lost = losses.iter().filter(|loss| settled(loss.at)).count() as f64;
    let fraction = lost / (lost + waits.len() as f64);
    assert!((fraction - 0.2).abs() < 0.01, "{fraction}");
}
