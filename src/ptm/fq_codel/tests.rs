use super::*;
use crate::link::Link;
use crate::packet::{FlowKey, Packet};
use crate::ptm::{Departure, Discipline, Held, Ptm, Server};
use crate::units::Timestamp;
use proptest::prelude::*;

const MS: u64 = 1_000_000_000;

fn flows(number: u16) -> Flows {
    let mut flows = Flows::default();
    for port in 0..number {
        let address = "10.0.0.1".parse().unwrap();
        flows.add(FlowKey::Ip {
            source: address,
            destination: address,
            protocol: 17,
            ports: Some((port, 9)),
        });
    }
    flows
}

fn link() -> Link {
    Link::with_delay("8 Mbps".parse().unwrap(), Span::ZERO)
}

fn place(link: Link, seed: u64) -> Place<'static> {
    Place { link, seed, port: "r1:0", start: Timestamp::default() }
}

fn tau(at: u64, pid: u64, fid: u32, length: u32) -> Tau {
    Tau { timestamp: Time::from_ps(at), packet: Packet { pid, fid, length, ..Packet::default() } }
}

fn run(spec: &FqCodelSpec, ingress: &[Tau], flows: &Flows) -> (Vec<Departure>, Vec<Loss>) {
    let mut server = Server::new(Box::new(Held::new(FqCodel::new(spec, &place(link(), 1)))), link());
    let (mut departures, mut losses) = (Vec::new(), Vec::new());
    server.forward_trace(ingress, flows, Time::NEVER, &mut departures, &mut losses);
    (departures, losses)
}

/// The flows of the departures from an fq-codel that these (flow, length) packets joined at one instant.
fn order(spec: &FqCodelSpec, packets: &[(u32, u32)]) -> Vec<u32> {
    let mut queue = Held::new(FqCodel::new(spec, &place(link(), 1)));
    let (flows, mut losses) = (flows(8), Vec::new());
    for &(fid, length) in packets {
        queue.enqueue(tau(0, 0, fid, length), &flows, &mut losses);
    }
    let left =
        std::iter::from_fn(|| queue.dequeue(Time::ZERO, &mut losses)).map(|tau| tau.packet.fid).collect();
    assert!(losses.is_empty());
    left
}

fn quantum(bytes: u64) -> FqCodelSpec {
    FqCodelSpec { quantum: ByteCount::new(bytes), ..FqCodelSpec::default() }
}

#[test]
fn queues_take_turns_of_a_quantum() {
    let packets = [(0, 500), (0, 500), (0, 500), (0, 500), (1, 500), (1, 500), (1, 500), (1, 500)];
    assert_eq!(order(&quantum(1_000), &packets), [0, 0, 1, 1, 0, 0, 1, 1]);
    assert_eq!(order(&quantum(500), &packets), [0, 1, 0, 1, 0, 1, 0, 1]);
}

#[test]
fn credit_below_zero_is_paid_back() {
    // Each round adds 600 B: flow 0 has 600 - 1500 = -900, and is skipped for two rounds.
    let packets = [(0, 1_500), (0, 1_500), (1, 600), (1, 600), (1, 600), (1, 600), (1, 600)];
    assert_eq!(order(&quantum(600), &packets), [0, 1, 1, 0, 1, 1, 1]);
}

#[test]
fn a_new_queue_goes_before_old_ones() {
    let (flows, mut losses) = (flows(8), Vec::new());
    let mut queue = Held::new(FqCodel::new(&quantum(500), &place(link(), 1)));
    for fid in [0, 0, 0, 1, 1, 1] {
        queue.enqueue(tau(0, 0, fid, 500), &flows, &mut losses);
    }
    let mut leaves =
        |queue: &mut Held<FqCodel>| queue.dequeue(Time::ZERO, &mut losses).map(|tau| tau.packet.fid);
    assert_eq!([leaves(&mut queue), leaves(&mut queue), leaves(&mut queue)], [Some(0), Some(1), Some(0)]);
    queue.enqueue(tau(0, 0, 2, 500), &flows, &mut Vec::new());
    let mut leaves =
        |queue: &mut Held<FqCodel>| queue.dequeue(Time::ZERO, &mut losses).map(|tau| tau.packet.fid);
    assert_eq!([leaves(&mut queue), leaves(&mut queue)], [Some(2), Some(1)]);
}

#[test]
fn too_many_packets_cost_the_longest_queue_half_of_its_bytes() {
    let spec = FqCodelSpec { limit: 10, ..FqCodelSpec::default() };
    let (flows, mut losses) = (flows(8), Vec::new());
    let mut queue = Held::new(FqCodel::new(&spec, &place(link(), 1)));
    for pid in 0..8 {
        queue.enqueue(tau(0, pid, 0, 1_000), &flows, &mut losses);
    }
    for pid in 8..11 {
        queue.enqueue(tau(0, pid, 1, 1_000), &flows, &mut losses);
    }
    let lost: Vec<u64> = losses.iter().map(|loss| loss.tau.packet.pid).collect();
    assert_eq!(lost, [0, 1, 2, 3], "from the head, though the newcomer is another flow's");
    assert!(losses.iter().all(|loss| loss.reason == DropReason::BufferFull));
    assert_eq!((queue.backlog().packets(), queue.backlog().bytes()), (7, 7_000));
    let index = queue.queue.queue_of.queue(0, &flows);
    assert_eq!(queue.queue.queues[index].state.count_for_tests(), 4, "CoDel is told");
}

#[test]
fn a_batch_has_its_bound() {
    let spec = FqCodelSpec { limit: 10, drop_batch: 3, ..FqCodelSpec::default() };
    let ingress: Vec<Tau> = (0..12).map(|pid| tau(0, pid, 0, 1_000)).collect();
    let (_, losses) = run(&spec, &ingress, &flows(1));
    // The first leaves at once; the twelfth is the eleventh to wait.
    assert_eq!(losses.iter().map(|loss| loss.tau.packet.pid).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn memory_is_bounded_in_bytes() {
    let spec = FqCodelSpec { memory_limit: ByteCount::new(5_000), drop_batch: 1, ..FqCodelSpec::default() };
    let ingress: Vec<Tau> = (0..7).map(|pid| tau(0, pid, 0, 1_000)).collect();
    assert_eq!(run(&spec, &ingress, &flows(1)).1.len(), 1);
}

#[test]
fn the_seed_and_the_port_spread_the_flows() {
    let spec = FqCodelSpec::default();
    let flows = flows(100);
    let spread = |seed, port| {
        let mut queue = FqCodel::new(&spec, &Place { link: link(), seed, port, start: Timestamp::default() });
        (0..100).map(|fid| queue.queue_of.queue(fid, &flows)).collect::<Vec<_>>()
    };
    assert_eq!(spread(1, "a:0"), spread(1, "a:0"));
    assert_ne!(spread(1, "a:0"), spread(2, "a:0"));
    assert_ne!(spread(1, "a:0"), spread(1, "b:0"));
    assert!(spread(1, "a:0").iter().all(|&queue| queue < 1_024));
    let mut used = spread(1, "a:0");
    used.sort_unstable();
    used.dedup();
    assert!(used.len() > 85, "100 flows in 1024 queues meet 5 times on average: {}", used.len());
}

/// A bulk flow at twice the link's rate, and one small packet every 50 ms.
fn bulk_and_sparse(ecn: u8) -> Vec<Tau> {
    let mut ingress: Vec<Tau> = (0..20_000).map(|n| tau(n * MS / 2, n, 0, 1_000)).collect();
    ingress.extend((0..200).map(|n| tau(n * 50 * MS + 123_456, 100_000 + n, 1, 100)));
    ingress.iter_mut().for_each(|tau| tau.packet.ecn = ecn);
    ingress.sort_by_key(|tau| (tau.timestamp, tau.packet.pid));
    ingress
}

#[test]
fn a_sparse_flow_waits_for_less_than_a_quantum() {
    let (departures, losses) = run(&FqCodelSpec::default(), &bulk_and_sparse(0), &flows(2));
    let sparse: Vec<u64> = departures
        .iter()
        .filter(|departure| departure.tau.packet.fid == 1)
        .map(|departure| departure.start.since(departure.tau.timestamp).as_ps())
        .collect();
    assert_eq!(sparse.len(), 200, "none is lost");
    // The first small packet arrives while the bulk flow is also new, and waits for the rest of its quantum.
    // The others wait only for the packet on the link, 1 ms, less than a quantum's 1.514 ms.
    assert!(sparse[0] <= 2 * MS && sparse[1..].iter().all(|&wait| wait <= MS), "{:?}", sparse.iter().max());
    let bulk = departures.iter().filter(|departure| departure.tau.packet.fid == 0);
    let longest = bulk.map(|departure| departure.start.since(departure.tau.timestamp)).max().unwrap();
    assert!(longest.as_ps() > 100 * MS, "the bulk flow fills its own queue: {longest}");
    assert!(losses.iter().all(|loss| loss.tau.packet.fid == 0));
}

#[test]
fn capable_packets_are_marked() {
    let (departures, losses) = run(&FqCodelSpec::default(), &bulk_and_sparse(1), &flows(2));
    let marked = departures.iter().filter(|departure| departure.tau.packet.ecn == 3).count();
    assert!(marked > 100, "{marked}");
    assert!(
        losses.iter().all(|loss| loss.reason == DropReason::BufferFull),
        "of packets beyond the limit only"
    );
}

/// Three flows of 1, 2 and 3 times a third of the link's rate: the first gets its full rate, the others half
/// of the rest each (max-min fairness).
#[test]
fn flows_share_the_link_fairly() {
    let mut ingress = Vec::new();
    for fid in 0..3u32 {
        let gap = 6 * MS / u64::from(fid + 1) / 2;
        ingress.extend((0..10_000 * MS / gap).map(|n| tau(n * gap, u64::from(fid) << 32 | n, fid, 1_000)));
    }
    ingress.sort_by_key(|tau| (tau.timestamp, tau.packet.pid));
    let (departures, _) = run(&FqCodelSpec::default(), &ingress, &flows(3));
    let shares: Vec<f64> = (0..3)
        .map(|fid| {
            let mine = departures.iter().filter(|departure| {
                departure.tau.packet.fid == fid && departure.start < Time::from_ps(10_000 * MS)
            });
            mine.count() as f64 / 10_000.0
        })
        .collect();
    assert!(shares.iter().all(|share| (share - 1.0 / 3.0).abs() < 0.005), "{shares:?}");
}

proptest! {
    /// The property of all models, with flows: order is kept within each flow, and both forms agree.
    #[test]
    fn both_forms_agree_with_flows(
        gaps in prop::collection::vec((0..2_000_000_000u64, 0..4u32, 40..1514u32), 0..200),
        limit in 1..40u64, cut in 0..200usize,
    ) {
        let spec = FqCodelSpec { limit, flows: 3, interval: Span::from_ps(5 * MS), drop_batch: 3, ..FqCodelSpec::default() };
        let mut at = 0;
        let ingress: Vec<Tau> = gaps.iter().zip(0..).map(|(&(gap, fid, length), pid)| {
            at += gap;
            tau(at, pid, fid, length)
        }).collect();
        let flows = flows(4);
        let whole = run(&spec, &ingress, &flows);
        let mut server = Server::new(Box::new(Held::new(FqCodel::new(&spec, &place(link(), 1)))), link());
        let (mut departures, mut losses) = (Vec::new(), Vec::new());
        let (first, second) = ingress.split_at(cut.min(ingress.len()));
        let until = first.last().map_or(Time::ZERO, |tau| tau.timestamp);
        server.forward_trace(first, &flows, until, &mut departures, &mut losses);
        server.forward_trace(second, &flows, Time::NEVER, &mut departures, &mut losses);
        prop_assert_eq!(departures.len() + losses.len(), ingress.len());
        for fid in 0..4 {
            let pids = departures.iter().filter(|d| d.tau.packet.fid == fid).map(|d| d.tau.packet.pid);
            prop_assert!(pids.is_sorted());
        }
        prop_assert_eq!((departures, losses), whole);
    }
}
