use super::*;
use crate::packet::Packet;
use crate::ptm::testing::{MS, departures, drops, flows, forward, order, place, taus};
use crate::ptm::{Departure, Held, Ptm, Server};
use crate::random;

fn toml(keys: &str) -> String {
    format!("kind = \"fq-pie\"\nsame_queue = []\n{keys}")
}

fn join(queue: &mut FqPie, fid: u32, held: Backlog) -> Option<DropReason> {
    let mut losses = Vec::new();
    let packet = Packet { fid, length: 1_000, ..Packet::default() };
    queue.enqueue(Tau { timestamp: Time::ZERO, packet }, &flows(), held, &mut losses);
    losses.first().map(|loss| loss.reason)
}

fn new(spec: &FqPieSpec) -> FqPie {
    FqPie::new(&FqPieSpec { same_queue: Some(SameQueue::default()), ..spec.clone() }, &place("8 Mbps"))
}

#[test]
fn new_queues_go_first_and_old_ones_take_turns() {
    let arrivals =
        [(0, 1_000, 1), (0, 1_000, 1), (0, 1_000, 1), (0, 1_000, 2), (0, 1_000, 2), (8 * MS, 500, 3)];
    // The link asks the empty discipline once more, so packet 1 makes flow 1 new again. A packet of 1000 B
    // takes 8 ms.
    assert_eq!(order(&toml("quantum = \"1000 B\""), &arrivals), [0, 1, 3, 5, 2, 4]);
}

#[test]
fn flows_share_a_queue_where_that_is_known() {
    let both = "kind = \"fq-pie\"\nquantum = \"1000 B\"\n\
        same_queue = [[\"10.0.0.1:1 > 10.0.0.1:1 UDP\", \"10.0.0.1:1 > 10.0.0.1:2 UDP\"]]";
    let arrivals = [(0, 1_000, 1), (0, 1_000, 1), (0, 1_000, 1), (0, 1_000, 2)];
    assert_eq!(order(both, &arrivals), [0, 1, 2, 3]);
    assert_eq!(order(&toml("quantum = \"1000 B\""), &arrivals), [0, 1, 3, 2]);
}

#[test]
fn the_limit_counts_all_queues_and_what_is_held() {
    let arrivals = [(0, 1_000, 1), (0, 1_000, 1), (0, 1_000, 2), (0, 1_000, 3), (0, 1_000, 1)];
    // The first packet leaves at once.
    assert_eq!(drops(&toml("limit = 2"), &arrivals), [3, 4]);
    let mut queue = new(&FqPieSpec { limit: 2, ..FqPieSpec::default() });
    let mut held = Backlog::default();
    held.add(1_000);
    assert_eq!([join(&mut queue, 1, held), join(&mut queue, 1, held)], [None, Some(DropReason::BufferFull)]);
}

/// Flow 1 overloads the link, and flow 2 sends single packets: its queue has its own probability.
#[test]
fn a_queue_drops_by_its_own_probability() {
    let mut arrivals: Vec<(u64, u32, u8)> = (0..6_000).map(|index| (index * MS / 2, 125, 1)).collect();
    arrivals.extend((0..300).map(|index| (index * 10 * MS + 1, 125, 2)));
    arrivals.sort_unstable();
    let keys = toml("mtu = \"125 B\"\nquantum = \"256 B\"");
    let (_, losses) = forward(&keys, "1 Mbps", &taus(&arrivals));
    assert!(losses.len() > 1_000, "{}", losses.len());
    assert!(losses.iter().all(|loss| loss.reason == DropReason::EarlyDrop && loss.tau.packet.fid == 1));
    let waits = departures(&keys, "1 Mbps", &arrivals)
        .into_iter()
        .filter(|(pid, _)| arrivals[*pid as usize].2 == 2)
        .map(|(pid, start)| start - arrivals[pid as usize].0);
    assert!(
        waits.max().unwrap() <= 3 * MS,
        "no more than a turn of the other queue and the packet on the link"
    );
}

#[test]
fn bytes_are_counted_by_queue_without_what_is_held() {
    let mut queue = new(&FqPieSpec::default());
    for _ in 0..4 {
        assert_eq!(join(&mut queue, 1, Backlog::default()), None);
    }
    let [full, empty] = [1, 2].map(|fid| queue.queue_of.queue(fid, &flows()));
    assert_eq!((queue.queues[full].bytes, queue.queues[empty].bytes), (4_000, 0));
    queue.take(Time::ZERO, &mut Vec::new()).unwrap();
    assert_eq!(queue.queues[full].bytes, 3_000, "what is held no longer counts");
}

#[test]
fn the_timer_updates_2048_queues_at_a_time() {
    let spec = FqPieSpec { flows: 5_000, hz: NonZeroU32::new(1_000).unwrap(), ..FqPieSpec::default() };
    // Two more steps, and 16 ms.
    let period = 18 * MS;
    let queue = new(&spec);
    let updates =
        [0, 2_047, 2_048, 4_999].map(|index: usize| queue.queues[index].state.next_update().as_ps());
    assert_eq!(updates[0], updates[1]);
    assert_eq!((updates[0] + MS) % period, updates[2]);
    assert_eq!((updates[0] + 2 * MS) % period, updates[3]);
    let one_step = new(&FqPieSpec { flows: 2_048, ..spec });
    assert_eq!(one_step.queues[0].state.next_update(), one_step.queues[2_047].state.next_update());
}

/// Two Poisson streams of 0.75 times the link's rate each, 80 Mbps: each flow's delay settles at the target.
#[test]
fn under_overload_the_delay_of_each_flow_settles_at_the_target() {
    let place = place("80 Mbps");
    let mut random = stream(7, "test", "");
    let mut now = 0;
    let ingress: Vec<Tau> = (0..400_000)
        .map(|_| {
            now += (-libm::log(1.0 - random::unit(&mut random)) * MS as f64 / 15.0) as u64;
            let fid = u32::from(random::unit(&mut random) < 0.5);
            let packet = Packet { fid, length: 1_000, ..Packet::default() };
            Tau { timestamp: Time::from_ps(now), packet }
        })
        .collect();
    let spec = FqPieSpec { same_queue: Some(SameQueue::default()), ..FqPieSpec::default() };
    let mut server = Server::new(Box::new(Held::new(FqPie::new(&spec, &place))), place.link);
    let (mut departures, mut losses): (Vec<Departure>, _) = (Vec::new(), Vec::new());
    server.forward_trace(&ingress, &flows(), Time::NEVER, &mut departures, &mut losses);
    let settled = |time: Time| time.as_ps() > 10_000 * MS;
    for fid in [0, 1] {
        let waits: Vec<f64> = departures
            .iter()
            .filter(|departure| departure.tau.packet.fid == fid && settled(departure.start))
            .map(|departure| departure.start.since(departure.tau.timestamp).as_ps() as f64 / MS as f64)
            .collect();
        let mean = waits.iter().sum::<f64>() / waits.len() as f64;
        assert!((mean - 15.0).abs() < 1.5, "{mean} ms");
        let lost = losses.iter().filter(|loss| loss.tau.packet.fid == fid && settled(loss.at)).count() as f64;
        let fraction = lost / (lost + waits.len() as f64);
        assert!((fraction - 1.0 / 3.0).abs() < 0.02, "{fraction}");
    }
}

#[test]
fn groups_of_one_flow_are_told() {
    let keys = "kind = \"fq-pie\"\nsame_queue = [[\"10.0.0.1:1 > 10.0.0.1:1 UDP\"]]";
    let (message, _) = crate::ptm::testing::told(keys, "1 Mbps");
    assert!(message.contains("has fewer than two flows"), "{message}");
}
