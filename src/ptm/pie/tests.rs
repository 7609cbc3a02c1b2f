use super::*;
use crate::packet::Packet;
use crate::ptm::testing::place;
use crate::ptm::{Departure, Held, Ptm, Server};
use crate::random;

const MS: u64 = 1_000_000_000;

fn ms(milliseconds: u64) -> Span {
    Span::from_ps(milliseconds * MS)
}

fn at(milliseconds: u64) -> Time {
    Time::from_ps(milliseconds * MS)
}

/// A waiting time of whole milliseconds [ticks].
fn ticks(milliseconds: u64) -> i64 {
    span_ticks(ms(milliseconds))
}

fn fraction(probability: f64) -> Fraction {
    (probability * ONE as f64) as Fraction
}

/// The probability, as a number.
fn prob(pie: &Pie) -> f64 {
    pie.state.prob as f64 / ONE as f64
}

fn pie(spec: &PieSpec) -> Pie {
    let mut pie = Pie::new(spec, &place("8 Mbps"));
    // No update comes in between.
    pie.state.update = Time::NEVER;
    pie
}

/// A state without burst allowance, far from the conditions that admit all packets.
fn loaded(spec: &PieSpec, drop_prob: f64, ecn: u8) -> Pie {
    let mut pie = pie(spec);
    for _ in 0..10 {
        join(&mut pie, 0, ecn);
    }
    pie.state.burst_time = 0;
    (pie.state.qdelay, pie.state.qdelay_old) = (ticks(15), ticks(15));
    pie.state.prob = fraction(drop_prob);
    pie
}

fn join(pie: &mut Pie, milliseconds: u64, ecn: u8) -> Option<DropReason> {
    let packet = Packet { length: 1_000, ecn, ..Packet::default() };
    let mut losses = Vec::new();
    pie.enqueue(
        Tau { timestamp: at(milliseconds), packet },
        &Flows::default(),
        Backlog::default(),
        &mut losses,
    );
    losses.first().map(|loss| loss.reason)
}

fn update(pie: &mut Pie) {
    let waits = pie.queue.backlog().bytes() > 0;
    pie.state.update_probability(&pie.law, waits);
}

fn drops(pie: &mut Pie, ecn: u8) -> usize {
    (0..1_000).filter(|_| join(pie, 1, ecn).is_some()).count()
}

#[test]
fn the_probability_follows_the_delay_and_its_change() {
    let mut pie = loaded(&PieSpec::default(), 0.5, 0);
    (pie.state.qdelay, pie.state.qdelay_old) = (ticks(20), ticks(30));
    update(&mut pie);
    // 0.125 * 5 ms - 1.25 * 10 ms
    assert!((prob(&pie) - (0.5 + 0.000_625 - 0.012_5)).abs() < 1e-8, "{}", prob(&pie));
    assert_eq!(pie.state.qdelay_old, ticks(20));
}

#[test]
fn small_probabilities_change_in_small_steps() {
    let change = |drop_prob| {
        let mut pie = loaded(&PieSpec::default(), drop_prob, 0);
        (pie.state.qdelay, pie.state.qdelay_old) = (ticks(25), ticks(25));
        update(&mut pie);
        0.125 * 0.01 / (prob(&pie) - drop_prob)
    };
    let steps = [0.0, 0.000_005, 0.000_05, 0.000_5, 0.005, 0.05, 0.1].map(|prob| change(prob).round());
    assert_eq!(steps, [2048.0, 512.0, 128.0, 32.0, 8.0, 2.0, 1.0]);
}

#[test]
fn a_rise_is_capped_at_2_percent_above_10_and_grows_by_2_percent_above_250_ms() {
    let rise = |drop_prob, milliseconds| {
        let mut pie = loaded(&PieSpec::default(), drop_prob, 0);
        (pie.state.qdelay, pie.state.qdelay_old) = (ticks(milliseconds), ticks(15));
        update(&mut pie);
        prob(&pie) - drop_prob
    };
    assert!((rise(0.1, 200) - 0.02).abs() < 1e-8);
    assert!((rise(0.1, 500) - 0.04).abs() < 1e-8);
    assert!((rise(0.05, 200) - (0.125 + 1.25) * 0.185 / 2.0).abs() < 1e-7, "not below");
}

#[test]
fn the_probability_decays_by_a_64th_when_the_delay_was_zero_twice_and_nothing_waits() {
    let fall = |now, before, waits| {
        let spec = PieSpec { alpha: 0.0, beta: 0.0, ..PieSpec::default() };
        let mut pie = if waits { loaded(&spec, 0.0, 0) } else { pie(&spec) };
        (pie.state.prob, pie.state.qdelay, pie.state.qdelay_old) = (ONE / 2, ticks(now), ticks(before));
        update(&mut pie);
        pie.state.prob
    };
    assert_eq!(fall(0, 0, false), ONE / 2 - ONE / 2 / 64);
    assert_eq!([fall(1, 0, false), fall(0, 1, false), fall(0, 0, true)], [ONE / 2; 3]);
}

#[test]
fn the_probability_is_never_below_0() {
    let mut pie = loaded(&PieSpec::default(), 0.0, 0);
    pie.state.qdelay = ticks(1);
    update(&mut pie);
    assert_eq!(pie.state.prob, 0);
}

#[test]
fn a_burst_passes_while_there_is_allowance_which_departures_take_down() {
    let mut pie = loaded(&PieSpec::default(), 1.0, 0);
    pie.state.burst_time = ticks(15);
    assert_eq!(drops(&mut pie, 0), 0);
    for milliseconds in [100, 110, 116] {
        assert!(pie.state.burst_time > 0);
        pie.take(at(milliseconds), &mut Vec::new()).unwrap();
    }
    assert_eq!(pie.state.burst_time, 0);
    (pie.state.qdelay, pie.state.prob) = (ticks(15), ONE);
    assert!(drops(&mut pie, 0) > 900);
}

#[test]
fn the_allowance_returns_when_congestion_is_gone() {
    let burst = |now, before| {
        let mut pie = loaded(&PieSpec::default(), 0.0, 0);
        (pie.state.qdelay, pie.state.qdelay_old) = (ticks(now), ticks(before));
        update(&mut pie);
        pie.state.burst_time
    };
    assert_eq!(burst(7, 7), ticks(150));
    assert_eq!([burst(8, 7), burst(7, 8)], [0, 0]);
}

#[test]
fn a_short_delay_with_a_low_probability_and_a_short_queue_pass() {
    let mut short = loaded(&PieSpec::default(), 0.19, 0);
    short.state.qdelay = ticks(7);
    assert_eq!(drops(&mut short, 0), 0);
    short.state.prob = fraction(0.21);
    assert!(drops(&mut short, 0) > 100);
    let mut few = pie(&PieSpec::default());
    few.state.burst_time = 0;
    (few.state.prob, few.state.qdelay) = (ONE, ticks(100));
    let fates = [0; 5].map(|at| join(&mut few, at, 0).is_some());
    assert_eq!(fates, [false, false, false, false, true], "3000 B wait, less than 2 * 1514; then 4000 B");
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
    pie.state.accu_prob = ONE / 2 * 17;
    assert!(pie.state.drops_early(&pie.law, pie.queue.backlog().bytes(), &mut pie.random), "for certain");
}

#[test]
fn capable_packets_are_marked_up_to_the_threshold() {
    let spec = PieSpec { ecn: true, ..PieSpec::default() };
    let mut low = loaded(&spec, 0.09, 1);
    assert_eq!(drops(&mut low, 1), 0);
    let mut waiting = Vec::new();
    low.waiting(&mut waiting);
    assert!(waiting.iter().filter(|tau| tau.packet.ecn == 3).count() > 30);
    assert!(drops(&mut loaded(&spec, 0.09, 0), 0) > 30, "one that is not capable is dropped");
    assert!(drops(&mut loaded(&spec, 0.11, 1), 1) > 30, "above the threshold, all are");
}

#[test]
fn the_waiting_time_is_that_of_the_packet_that_left_last() {
    let mut pie = pie(&PieSpec::default());
    join(&mut pie, 0, 0);
    join(&mut pie, 1, 0);
    pie.take(at(5), &mut Vec::new()).unwrap();
    assert_eq!(pie.state.qdelay, ticks(5));
    pie.take(at(9), &mut Vec::new()).unwrap();
    assert_eq!(pie.state.qdelay, 0, "nothing is left behind");
}

/// Lazy updates equal those of a timer that fires every period, 20 ms with 250 jiffies per second.
#[test]
fn lazy_updates_are_those_of_a_timer() {
    for milliseconds in [19, 20, 21, 151, 3_000, 100_000, 3_600_000] {
        let new = || {
            let mut pie = pie(&PieSpec::default());
            (pie.state.prob, pie.state.update) = (fraction(0.7), at(20));
            pie
        };
        let (mut lazy, mut timer) = (new(), new());
        lazy.state.update_until(&lazy.law, at(milliseconds), 0);
        for _ in 0..milliseconds / 20 {
            update(&mut timer);
        }
        assert_eq!(
            (lazy.state.prob, lazy.state.qdelay_old),
            (timer.state.prob, timer.state.qdelay_old),
            "{milliseconds} ms"
        );
        assert_eq!(lazy.state.update, at((milliseconds / 20 + 1) * 20));
    }
}

#[test]
fn the_phase_of_the_timer_is_drawn() {
    let update = |seed| Pie::new(&PieSpec::default(), &Place { seed, ..place("8 Mbps") }).state.update;
    assert_ne!(update(1), update(2));
    assert!((1..100).all(|seed| update(seed) < at(20)));
}

#[test]
fn a_full_buffer_drops_the_newcomer() {
    let mut pie = pie(&PieSpec { buffer: Some(Buffer::Packets(1)), ..PieSpec::default() });
    assert_eq!([join(&mut pie, 0, 0), join(&mut pie, 0, 0)], [None, Some(DropReason::BufferFull)]);
}

/// A Poisson stream at 1.25 times the link's rate, 80 Mbps: the delay settles at the target, and a fifth is
/// lost.
#[test]
fn under_overload_the_delay_settles_at_the_target() {
    let place = place("80 Mbps");
    let mut random = stream(7, "test", "");
    let mut now = 0;
    let ingress: Vec<Tau> = (0..500_000)
        .map(|_| {
            now += (-libm::log(1.0 - random::unit(&mut random)) * MS as f64 / 12.5) as u64;
            Tau { timestamp: Time::from_ps(now), packet: Packet { length: 1_000, ..Packet::default() } }
        })
        .collect();
    let mut server = Server::new(Box::new(Held::new(Pie::new(&PieSpec::default(), &place))), place.link);
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
