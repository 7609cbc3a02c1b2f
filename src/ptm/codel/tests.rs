use super::*;
use crate::link::Link;
use crate::packet::Packet;
use crate::ptm::testing::place;
use crate::ptm::{Departure, Discipline, Held, Ptm, Server};

const MS: u64 = 1_000_000_000;

fn tau(at: u64, pid: u64, ecn: u8) -> Tau {
    Tau { timestamp: Time::from_ps(at), packet: Packet { pid, length: 1_000, ecn, ..Packet::default() } }
}

/// The fate of packets of 1000 bytes, one every `gap` from 0 on, at 8 Mbps: 1 ms each on the link.
fn run(spec: &CodelSpec, packets: u64, gap: u64, ecn: u8) -> (Vec<Departure>, Vec<Loss>) {
    let link = Link::with_delay("8 Mbps".parse().unwrap(), Span::ZERO);
    let mut server = Server::new(Box::new(Held::new(Codel::new(spec, &place("8 Mbps")))), link);
    let ingress: Vec<Tau> = (0..packets).map(|pid| tau(pid * gap, pid, ecn)).collect();
    let (mut departures, mut losses) = (Vec::new(), Vec::new());
    server.forward_trace(&ingress, &Flows::default(), Time::NEVER, &mut departures, &mut losses);
    (departures, losses)
}

/// A queue of packets that arrived at 0; their sojourn times grow with time.
fn filled(packets: u64, ecn: u8, spec: &CodelSpec) -> Held<Codel> {
    let mut codel = Held::new(Codel::new(spec, &place("8 Mbps")));
    for pid in 0..packets {
        codel.enqueue(tau(0, pid, ecn), &Flows::default(), &mut Vec::new());
    }
    codel
}

/// Dequeues at `at` ms: the packet that left, and those dropped before it.
fn leave(codel: &mut Held<Codel>, at: u64) -> (Option<u64>, Vec<u64>) {
    let mut losses = Vec::new();
    let left = codel.dequeue(Time::from_ps(at * MS), &mut losses);
    (left.map(|tau| tau.packet.pid), losses.iter().map(|loss| loss.tau.packet.pid).collect())
}

fn law() -> Law {
    Law::new(&CodelSpec::default(), &place("8 Mbps"))
}

#[test]
fn times_are_in_ticks_of_1024_ns_from_the_absolute_start() {
    let law = law();
    assert_eq!((law.target, law.interval), (4_882, 97_656));
    let zero = law.ticks(Time::ZERO);
    assert_eq!(law.ticks(Time::from_ps(1_023_999)), zero);
    assert_eq!(law.ticks(Time::from_ps(1_024_000)), zero + 1);
    let late =
        Place { start: crate::units::Timestamp::from_ns(1_767_225_602_000_001_000), ..place("8 Mbps") };
    let law = Law::new(&CodelSpec::default(), &late);
    // 1,000 ns into a tick: 24 ns later the next begins.
    assert_eq!(law.ticks(Time::from_ps(24_000)), law.ticks(Time::ZERO) + 1);
    assert_eq!(law.ticks(Time::from_ps(23_999)), law.ticks(Time::ZERO));
}

#[test]
fn newtons_steps_follow_the_square_root_of_a_growing_count() {
    let law = law();
    let mut state = State { count: 1, inverse_sqrt: u16::MAX, ..State::default() };
    assert_eq!(state.control_law(&law, 0), 97_654, "one in 65536 less than the interval");
    for count in 2..=1_000u32 {
        state.count = count;
        state.newton_step();
        let exact = 97_656.0 / f64::from(count).sqrt();
        let step = f64::from(state.control_law(&law, 0));
        // The first steps overshoot: 1/2 for a count of 2, not 0.71.
        let bound = if count == 2 {
            0.3
        } else if count < 8 {
            0.03
        } else {
            0.01
        };
        assert!((step / exact - 1.0).abs() < bound, "{count}: {step} against {exact}");
    }
}

#[test]
fn nothing_is_dropped_below_the_target() {
    // A burst of 5 waits at most 4 ms.
    let spec = CodelSpec { mtu: ByteCount::ZERO, ..CodelSpec::default() };
    let mut codel = Held::new(Codel::new(&spec, &place("8 Mbps")));
    for round in 0..1_000u64 {
        for pid in 0..5 {
            codel.enqueue(tau(round * 5 * MS, pid, 0), &Flows::default(), &mut Vec::new());
        }
        for pid in 0..5 {
            assert_eq!(leave(&mut codel, round * 5 + pid), (Some(pid), vec![]));
        }
    }
}

#[test]
fn nothing_is_dropped_with_no_more_than_one_packet_behind() {
    // 1 packet of 1000 B stays behind: at most the mtu.
    let mut codel = filled(2, 0, &CodelSpec::default());
    for round in 0..500 {
        codel.enqueue(tau(0, round, 0), &Flows::default(), &mut Vec::new());
        leave(&mut codel, 200 + round);
        assert!(codel.queue.state.first_above_time != 0, "two stay behind");
        codel.enqueue(tau(0, round, 0), &Flows::default(), &mut Vec::new());
        leave(&mut codel, 200 + round);
        assert_eq!(leave(&mut codel, 200 + round).1, [0u64; 0]);
        assert_eq!(codel.queue.state.first_above_time, 0);
        codel.enqueue(tau(0, round, 0), &Flows::default(), &mut Vec::new());
    }
}

#[test]
fn the_first_drop_comes_more_than_an_interval_after_the_target_was_passed() {
    // Ticks of 1,024 ns: one with an interval of 100 ticks after a target of 5.
    let ns = |ticks: u64| Span::from_ns(ticks * 1_024);
    let spec = CodelSpec { target: ns(5), interval: ns(100), ..CodelSpec::default() };
    let mut codel = filled(100, 0, &spec);
    let mut leave = |tick: u64| {
        let mut losses = Vec::new();
        let left = codel.dequeue(Time::ZERO + ns(tick), &mut losses).unwrap().packet.pid;
        (left, losses.iter().map(|loss| loss.tau.packet.pid).collect::<Vec<_>>(), codel.queue.state.clone())
    };
    assert_eq!((leave(4).0, leave(4).2.first_above_time), (0, 0));
    assert_ne!(leave(5).2.first_above_time, 0, "at the target: above from here");
    assert!(leave(105).1.is_empty(), "not at the end of the interval");
    let (left, lost, state) = leave(106);
    assert_eq!((left, lost, state.count), (5, vec![4], 1), "but after it");
    // Again after 99 ticks: the interval computed with the first inverse square root.
    assert!(leave(204).1.is_empty());
    assert_eq!(leave(205).1, [7]);
}

#[test]
fn late_by_several_drops_it_drops_several_at_once() {
    let mut codel = filled(100, 0, &CodelSpec::default());
    leave(&mut codel, 5);
    leave(&mut codel, 106);
    // Due at 206, and about 50 and 56 ms after that: the first steps of the approximation.
    assert_eq!(leave(&mut codel, 335).1.len(), 3);
    assert_eq!(codel.queue.state.count, 4);
}

#[test]
fn drop_state_ends_below_the_target() {
    let mut codel = filled(10, 0, &CodelSpec::default());
    leave(&mut codel, 5);
    assert_eq!(leave(&mut codel, 106).1, [1]);
    for pid in 100..110 {
        codel.enqueue(tau(299 * MS, pid, 0), &Flows::default(), &mut Vec::new());
    }
    while leave(&mut codel, 110).0 < Some(100) {}
    assert!(leave(&mut codel, 300).1.is_empty());
    assert!(!codel.queue.state.dropping);
}

#[test]
fn a_drop_state_that_follows_soon_starts_from_the_rate_of_the_last() {
    let law = law();
    let begin = |count, lastcount, late: u32| {
        let mut state = State { count, lastcount, drop_next: 1_000, ..State::default() };
        state.enter_drop_state(&law, 1_000 + late);
        state.count
    };
    assert_eq!(begin(9, 2, 0), 7);
    assert_eq!(begin(3, 2, 0), 1, "a gain of one is none");
    assert_eq!(begin(9, 2, 16 * 97_656 - 1), 7);
    assert_eq!(begin(9, 2, 16 * 97_656), 1, "16 intervals after the next drop was due");
}

#[test]
fn capable_packets_are_marked_at_the_same_instants() {
    let spec = CodelSpec { ecn: true, ..CodelSpec::default() };
    let mut codel = filled(100, 2, &spec);
    let mut marked = |at| {
        let mut losses = Vec::new();
        let left = codel.dequeue(Time::from_ps(at * MS), &mut losses).unwrap();
        assert!(losses.is_empty());
        left.packet.ecn == 3
    };
    assert_eq!(
        [5, 106, 107, 205, 206, 260, 277].map(&mut marked),
        [false, true, false, false, true, true, false]
    );
    let mut codel = filled(100, 0, &spec);
    leave(&mut codel, 5);
    assert_eq!(leave(&mut codel, 106).1, [1], "one that is not capable is dropped");
}

#[test]
fn with_a_threshold_every_capable_packet_that_waited_longer_is_marked() {
    let spec = CodelSpec { ce_threshold: Some(Span::from_ns(2_000_000)), ..CodelSpec::default() };
    let mut codel = filled(100, 1, &spec);
    let mut marked = |at| codel.dequeue(Time::from_ps(at * MS), &mut Vec::new()).unwrap().packet.ecn == 3;
    assert_eq!([1, 2, 3, 4].map(&mut marked), [false, false, true, true]);
}

#[test]
fn a_packet_that_was_named_leaves_whenever_its_turn_comes() {
    let mut codel = filled(100, 0, &CodelSpec::default());
    let mut losses = Vec::new();
    leave(&mut codel, 5);
    let first = codel.next(Time::from_ps(106 * MS), &mut losses);
    assert_eq!((first, losses.len()), (Next::Ready(1_000), 1));
    assert_eq!((codel.backlog().packets(), codel.backlog().bytes()), (98, 98_000));
    let mut waiting = Vec::new();
    codel.waiting(&mut waiting);
    assert_eq!(waiting.len(), 98);
    assert_eq!(codel.next(Time::from_ps(900 * MS), &mut losses), first);
    assert_eq!(leave(&mut codel, 900), (Some(2), vec![]));
}

#[test]
fn a_full_buffer_drops_the_newcomer() {
    let spec = CodelSpec { buffer: Some(Buffer::Packets(3)), ..CodelSpec::default() };
    let (departures, losses) = run(&spec, 6, 0, 0);
    assert_eq!(departures.len(), 4, "one of them at once");
    assert!(losses.iter().all(|loss| loss.reason == DropReason::BufferFull));
}

/// Under constant overload, the drops come at about `t1`, `t1 + I/sqrt(1)`, `+ I/sqrt(2)`, ...: the
/// approximation of the square root has 16 bits, and its first steps overshoot.
#[test]
fn under_overload_the_drops_follow_the_control_law() {
    let (_, losses) = run(&CodelSpec::default(), 8_000, MS * 8 / 10, 0);
    let first = losses[0].at.as_ps() as f64;
    let mut due = first;
    assert!(losses.len() > 300, "{}", losses.len());
    for (count, loss) in losses.iter().enumerate() {
        if count > 0 {
            due += 100e9 / (count as f64).sqrt();
        }
        let late = loss.at.as_ps() as f64 - due;
        // The second comes after 50 ms, not 71.
        let early = 22e9 + 0.01 * (due - first);
        assert!((-early..1.01e9).contains(&late), "drop {count} is {late} ps late");
        if due > 6e12 {
            break; // the source has stopped soon after
        }
    }
    assert!(losses.iter().all(|loss| loss.reason == DropReason::SojournAboveTarget));
}
