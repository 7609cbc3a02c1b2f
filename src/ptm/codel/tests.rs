use super::*;
use crate::link::Link;
use crate::packet::Packet;
use crate::ptm::{Departure, Ptm, Server};

const MS: u64 = 1_000_000_000;

fn tau(at: u64, pid: u64, ecn: u8) -> Tau {
    Tau { timestamp: Time::from_ps(at), packet: Packet { pid, length: 1_000, ecn, ..Packet::default() } }
}

/// What becomes of packets of 1000 bytes, one each `gap` from 0 on, at 8 Mbps: 1 ms each on the link.
fn run(spec: &CodelSpec, packets: u64, gap: u64, ecn: u8) -> (Vec<Departure>, Vec<Loss>) {
    let link = Link::with_delay("8 Mbps".parse().unwrap(), Span::ZERO);
    let mut server = Server::new(Box::new(Codel::new(spec)), link);
    let ingress: Vec<Tau> = (0..packets).map(|pid| tau(pid * gap, pid, ecn)).collect();
    let (mut departures, mut losses) = (Vec::new(), Vec::new());
    server.forward_trace(&ingress, &Flows::default(), Time::NEVER, &mut departures, &mut losses);
    (departures, losses)
}

/// A queue with packets that came at 0, each a `ms` of sojourn older as time goes on.
fn filled(packets: u64, ecn: u8, spec: &CodelSpec) -> Codel {
    let mut codel = Codel::new(spec);
    for pid in 0..packets {
        codel.enqueue(tau(0, pid, ecn), &Flows::default(), &mut Vec::new());
    }
    codel
}

/// Dequeues at `at` ms: who left, and who was dropped before it.
fn leave(codel: &mut Codel, at: u64) -> (Option<u64>, Vec<u64>) {
    let mut losses = Vec::new();
    let left = codel.dequeue(Time::from_ps(at * MS), &mut losses);
    (left.map(|tau| tau.packet.pid), losses.iter().map(|loss| loss.tau.packet.pid).collect())
}

#[test]
fn the_control_law_is_interval_over_square_root_in_exact_integers() {
    let law = Law { target: TARGET, interval: INTERVAL, maxpacket: 1514, ecn: false };
    let step = |count| law.control_law(Time::ZERO, count).as_ps();
    assert_eq!([step(1), step(4), step(100)], [100 * MS, 50 * MS, 10 * MS]);
    assert_eq!(step(2), 70_710_678_118, "100 ms / sqrt(2) = 70,710,678,118.65 ps");
    assert_eq!(step(3), 57_735_026_918, "100 ms / sqrt(3) = 57,735,026,918.96 ps");
    let longest = Law { interval: Span::from_ps(u64::MAX), ..law };
    assert_eq!(longest.control_law(Time::ZERO, 1), Time::NEVER);
}

#[test]
fn nothing_is_dropped_below_the_target() {
    // A burst of 5 waits 4 ms at most, for ever.
    let spec = CodelSpec { mtu: ByteCount::ZERO, ..CodelSpec::default() };
    let mut codel = Codel::new(&spec);
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
    // 1 packet of 1000 B stays behind: no more than the mtu.
    let mut codel = filled(2, 0, &CodelSpec::default());
    for round in 0..500 {
        codel.enqueue(tau(0, round, 0), &Flows::default(), &mut Vec::new());
        leave(&mut codel, 200 + round);
        assert!(codel.state.first_above_time.is_some(), "two stay behind");
        codel.enqueue(tau(0, round, 0), &Flows::default(), &mut Vec::new());
        leave(&mut codel, 200 + round);
        assert_eq!(leave(&mut codel, 200 + round).1, [0u64; 0]);
        assert_eq!(codel.state.first_above_time, None);
        codel.enqueue(tau(0, round, 0), &Flows::default(), &mut Vec::new());
    }
}

#[test]
fn the_first_drop_comes_an_interval_after_the_target_was_passed() {
    let mut codel = filled(100, 0, &CodelSpec::default());
    assert_eq!(leave(&mut codel, 4), (Some(0), vec![]));
    assert_eq!(leave(&mut codel, 5), (Some(1), vec![]), "at the target: above from here");
    assert_eq!(leave(&mut codel, 104), (Some(2), vec![]));
    assert_eq!(leave(&mut codel, 105), (Some(4), vec![3]), "at the end of the interval");
    assert_eq!((codel.state.count, codel.state.drop_next), (1, Time::from_ps(205 * MS)));
    assert_eq!(leave(&mut codel, 204), (Some(5), vec![]));
    assert_eq!(leave(&mut codel, 205), (Some(7), vec![6]));
    assert_eq!(codel.state.drop_next.as_ps(), 205 * MS + 70_710_678_118);
}

#[test]
fn late_by_several_drops_it_drops_several_at_once() {
    let mut codel = filled(100, 0, &CodelSpec::default());
    leave(&mut codel, 5);
    leave(&mut codel, 105);
    // Due at 205, 275.7 and 333.4 ms.
    assert_eq!(leave(&mut codel, 334).1.len(), 3);
    assert_eq!(codel.state.count, 4);
}

#[test]
fn drop_state_ends_below_the_target() {
    let mut codel = filled(10, 0, &CodelSpec::default());
    leave(&mut codel, 5);
    assert_eq!(leave(&mut codel, 105).1, [1]);
    for pid in 100..110 {
        codel.enqueue(tau(299 * MS, pid, 0), &Flows::default(), &mut Vec::new());
    }
    while leave(&mut codel, 110).0 < Some(100) {}
    assert!(leave(&mut codel, 300).1.is_empty());
    assert!(!codel.state.dropping);
}

#[test]
fn a_drop_state_that_follows_soon_starts_from_the_rate_of_the_last() {
    let law = Law { target: TARGET, interval: INTERVAL, maxpacket: 1514, ecn: false };
    let begin = |count, lastcount, late| {
        let drop_next = Time::from_ps(MS);
        let mut state = State { count, lastcount, drop_next, ..State::default() };
        state.enter_drop_state(&law, Time::from_ps(MS + late));
        state.count
    };
    assert_eq!(begin(9, 2, 0), 7);
    assert_eq!(begin(3, 2, 0), 1, "a gain of one is none");
    assert_eq!(begin(9, 2, 16 * 100 * MS - 1), 7);
    assert_eq!(begin(9, 2, 16 * 100 * MS), 1, "16 intervals after the next drop was due");
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
        [5, 105, 106, 205, 206, 275, 276].map(&mut marked),
        [false, true, false, true, false, false, true]
    );
    let mut codel = filled(100, 0, &spec);
    leave(&mut codel, 5);
    assert_eq!(leave(&mut codel, 105).1, [1], "one that is not capable is dropped");
}

#[test]
fn a_packet_that_was_named_leaves_whenever_its_turn_comes() {
    let mut codel = filled(100, 0, &CodelSpec::default());
    let mut losses = Vec::new();
    leave(&mut codel, 5);
    let first = codel.next(Time::from_ps(105 * MS), &mut losses);
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

/// Under constant overload, the drops come at `t1`, `t1 + I/sqrt(1)`, `+ I/sqrt(2)`, ...: each at the first chance to
/// send after its instant, which comes once a millisecond.
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
        assert!((-1e3..1.01e9).contains(&late), "drop {count} is {late} ps late");
        if due > 6e12 {
            break; // the source has stopped soon after
        }
    }
    assert!(losses.iter().all(|loss| loss.reason == DropReason::SojournAboveTarget));
}
