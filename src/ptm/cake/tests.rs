use super::default_memory;
use crate::flow::Flows;
use crate::packet::{DropReason, FlowKey, Packet, Tau};
use crate::ptm::testing::{MS, departures, drops, flows, forward, link, order, place, ptm, spec, taus};
use crate::ptm::{Cake, Departure, Discipline, Held, Loss, Place, PtmSpec};
use crate::units::Time;

fn toml(keys: &str) -> String {
    format!("kind = \"cake\"\n{keys}")
}

/// At 1 Mbps, 125 B take 1 ms.
fn at_1_mbps(keys: &str) -> String {
    toml(&format!("bandwidth = \"1 Mbps\"\n{keys}"))
}

#[test]
fn packets_leave_at_the_bandwidth_and_an_idle_clock_starts_anew() {
    let arrivals = [(0, 125, 1), (0, 125, 1), (0, 250, 1), (0, 125, 1), (9 * MS, 125, 1)];
    let got = departures(&at_1_mbps(""), "unlimited", &arrivals);
    assert_eq!(got, [(0, 0), (1, MS), (2, 2 * MS), (3, 4 * MS), (4, 9 * MS)]);
}

#[test]
fn the_timer_is_late_but_its_lateness_does_not_add_up() {
    let slack = MS / 10;
    let late = at_1_mbps("release_slack = \"100 us\"");
    let got = departures(&late, "unlimited", &[(0, 125, 1); 4]);
    assert_eq!(got, [(0, 0), (1, MS + slack), (2, 2 * MS + slack), (3, 3 * MS + slack)]);
}

#[test]
fn the_bandwidth_counts_what_the_link_adds() {
    // 14 B of header are removed, 24 B are added.
    let got = departures(&at_1_mbps("overhead = \"24 B\""), "unlimited", &[(0, 115, 1), (0, 115, 1)]);
    assert_eq!(got, [(0, 0), (1, MS)]);
    // 100 B are 3 cells of 53 B: 1.272 ms.
    let got = departures(&at_1_mbps("linklayer = \"atm\""), "unlimited", &[(0, 100, 1), (0, 100, 1)]);
    assert_eq!(got, [(0, 0), (1, 1_272_000_000)]);
}

#[test]
fn without_a_bandwidth_the_link_paces() {
    assert_eq!(departures(&toml(""), "1 Mbps", &[(0, 125, 1), (0, 125, 1)]), [(0, 0), (1, MS)]);
}

/// Packet 0 keeps the link busy while the others arrive; the third number is the flow.
const TWO_FLOWS: [(u64, u32, u8); 6] =
    [(0, 1_000, 1), (0, 1_000, 9), (0, 1_000, 9), (0, 1_000, 9), (0, 1_000, 3), (0, 1_000, 3)];

#[test]
fn flows_take_turns_of_a_quantum() {
    // With 1514 B a flow sends two packets of 1000 B, and is then 486 B in debt.
    let flows = toml("diffserv = \"besteffort\"\nrtt = \"1 s\"\nisolation = \"flows\"");
    assert_eq!(order(&flows, &TWO_FLOWS), [0, 1, 2, 4, 5, 3]);
    let blind = toml("diffserv = \"besteffort\"\nrtt = \"1 s\"\nisolation = \"flowblind\"");
    assert_eq!(order(&blind, &TWO_FLOWS), [0, 1, 2, 3, 4, 5]);
    // At 1 Mbps the quantum is 300 B: flows 9 and 3 need four rounds for each of their packets.
    let slow = at_1_mbps("diffserv = \"besteffort\"\nrtt = \"1 s\"\nisolation = \"flows\"");
    assert_eq!(order(&slow, &TWO_FLOWS), [0, 1, 4, 2, 5, 3]);
}

#[test]
fn a_new_flow_goes_before_bulk_ones() {
    let mut arrivals = vec![(0, 1_000, 1); 6];
    arrivals.push((20 * MS, 100, 2));
    // Packets leave at 0, 8, 16, 24 ms.
    assert_eq!(order(&at_1_mbps("diffserv = \"besteffort\""), &arrivals), [0, 1, 2, 6, 3, 4, 5]);
}

/// Packets of 1000 B with each (code point, flow), one every 4 ms each, for `seconds`: two of them are twice
/// the rate of 1 Mbps. Code points identify flows.
fn load(points: &[u8], seconds: u64) -> Vec<(u64, u32, u8)> {
    let instants = (0..seconds * 250).map(|n| n * 4 * MS);
    instants.flat_map(|at| points.iter().map(move |point| (at, 1_000, *point))).collect()
}

/// The number of packets of each code point that leave within `seconds`.
fn shares(toml: &str, bandwidth: &str, points: &[u8], seconds: u64) -> Vec<usize> {
    let (departures, _) = forward(toml, bandwidth, &taus(&load(points, seconds)));
    let until = Time::from_ps(seconds * 1_000 * MS);
    let sent = |point: &u8| {
        let sent = |departure: &&Departure| departure.tau.packet.dscp == *point && departure.start < until;
        departures.iter().filter(sent).count()
    };
    points.iter().map(sent).collect()
}

#[test]
fn an_urgent_tin_goes_first_up_to_its_part_of_the_bandwidth() {
    // 1250 packets of 8 ms in 10 s: voice gets a quarter, bulk a sixteenth.
    let got = shares(&at_1_mbps(""), "unlimited", &[0, 46, 8], 10);
    assert!((310..=316).contains(&got[1]), "{got:?}");
    assert!((77..=81).contains(&got[2]), "{got:?}");
    assert_eq!(got.iter().sum::<usize>(), 1_250);
    // Alone, it gets the whole rate.
    assert_eq!(shares(&at_1_mbps(""), "unlimited", &[46], 10), [1_250]);
}

#[test]
fn without_a_bandwidth_tins_take_turns_of_their_quantum() {
    // 1024, 256 and 64 of 1344.
    let got = shares(&toml(""), "1 Mbps", &[0, 46, 8], 10);
    for (sent, quantum) in got.iter().zip([1_024.0, 256.0, 64.0]) {
        assert!((*sent as f64 - 1_250.0 * quantum / 1_344.0).abs() < 4.0, "{got:?}");
    }
}

#[test]
fn wash_clears_the_code_point_behind_the_choice_of_the_tin() {
    let arrivals = [(0, 125, 0), (0, 125, 0), (0, 125, 46)];
    let (departures, _) = forward(&at_1_mbps("wash = true"), "unlimited", &taus(&arrivals));
    let got = departures.iter().map(|departure| (departure.tau.packet.pid, departure.tau.packet.dscp));
    assert_eq!(got.collect::<Vec<_>>(), [(0, 0), (2, 0), (1, 0)]);
}

/// Flow 0 from one source, flows 1 to 4 from another, all to different destinations.
fn two_sources() -> Flows {
    let mut flows = Flows::default();
    for (source, n) in [(1, 1), (2, 2), (2, 3), (2, 4), (2, 5)] {
        flows.add(FlowKey::Ip {
            source: format!("10.0.0.{source}").parse().unwrap(),
            destination: format!("10.0.1.{n}").parse().unwrap(),
            protocol: 17,
            ports: Some((1, n)),
        });
    }
    flows
}

/// The number of packets of flow 0 among 1,000 departures while all flows have packets.
fn of_lone_source(isolation: &str) -> usize {
    let PtmSpec::Cake(spec) = spec(&at_1_mbps(&format!("isolation = \"{isolation}\""))) else {
        unreachable!()
    };
    let mut cake = Held::new(Cake::new(&spec, &place("unlimited")));
    let (flows, mut losses) = (two_sources(), Vec::new());
    let mut lone = 0;
    for n in 0..1_000u64 {
        let now = Time::from_ps(8 * n * MS);
        for fid in 0..5 {
            // At most two packets wait on average: nothing is dropped in this time.
            if n < 5 || n % 5 == u64::from(fid) || fid == 0 {
                let packet = Packet { fid, length: 1_000, ..Packet::default() };
                cake.enqueue(Tau { timestamp: now, packet }, &flows, &mut losses);
            }
        }
        let left = cake.dequeue(now, &mut losses).expect("the clock has passed");
        lone += usize::from(left.packet.fid == 0);
    }
    lone
}

#[test]
fn hosts_or_flows_share_equally() {
    let near = |isolation, expected: usize| {
        let got = of_lone_source(isolation);
        assert!(got.abs_diff(expected) < 20, "{isolation}: {got}");
    };
    near("flows", 200);
    near("dual-dsthost", 200);
    near("dual-srchost", 500);
    near("triple-isolate", 500);
    near("srchost", 500);
    near("hosts", 200);
}

#[test]
fn the_queue_with_the_most_bytes_loses_its_oldest_packet() {
    // Each packet takes 2304 B of memory: three wait.
    let small = toml("diffserv = \"besteffort\"\nrtt = \"1 s\"\nmemory_limit = \"7000 B\"");
    let arrivals = [(0, 1_000, 1), (0, 1_200, 9), (0, 1_200, 9), (0, 1_200, 9), (0, 1_000, 3), (0, 1_000, 3)];
    assert_eq!(drops(&small, &arrivals), [1, 2]);
    let (_, losses) = forward(&small, "1 Mbps", &taus(&arrivals));
    assert!(losses.iter().all(|loss| loss.reason == DropReason::BufferFull));
    assert_eq!(drops(&toml("memory_limit = \"1 B\""), &[(0, 100, 1)]), [0], "the newcomer itself");
}

/// A flow of twice the bandwidth for 10 s.
fn overload(keys: &str, ecn: u8) -> (Vec<Departure>, Vec<Loss>) {
    let mut taus = taus(&load(&[0], 10));
    taus.iter_mut().for_each(|tau| tau.packet.ecn = ecn);
    forward(&at_1_mbps(keys), "unlimited", &taus)
}

#[test]
fn codel_drops_and_marks_and_blue_drops_what_overflows() {
    let (_, losses) = overload("", 0);
    assert!(losses.iter().all(|loss| loss.reason == DropReason::SojournAboveTarget) && losses.len() > 100);
    let (departures, losses) = overload("", 2);
    let marked = departures.iter().filter(|departure| departure.tau.packet.ecn == 3).count();
    assert!(losses.is_empty() && marked > 100, "{} {marked}", losses.len());
    let (_, losses) = overload("memory_limit = \"100 kB\"", 2);
    let count = |reason| losses.iter().filter(|loss| loss.reason == reason).count();
    assert_eq!(count(DropReason::SojournAboveTarget), 0);
    assert!(count(DropReason::EarlyDrop) > 10 && count(DropReason::BufferFull) > 10);
}

#[test]
fn a_longer_round_trip_time_drops_less() {
    let lost = |rtt| {
        let losses = overload(&format!("rtt = \"{rtt}\""), 0).1;
        losses.iter().filter(|loss| loss.at < Time::from_ps(2_000 * MS)).count()
    };
    let lost = ["20 ms", "100 ms", "1 s"].map(lost);
    assert!(lost[0] > lost[1] && lost[1] > lost[2], "{lost:?}");
}

#[test]
fn the_last_packet_of_a_queue_is_never_dropped() {
    let late = taus(&[(0, 1_000, 1), (0, 1_000, 1)]);
    let bucket = "kind = \"token-bucket\"\nrate = \"8 kbps\"\nburst = \"1000 B\"\nptm = { kind = \"cake\", rtt = \"1 ms\" }";
    let (departures, losses) = forward(bucket, "unlimited", &late);
    assert_eq!((departures.len(), losses.len()), (2, 0));
}

#[test]
fn with_ingress_a_dropped_packet_counts_as_sent() {
    let sent = |keys: &str| overload(keys, 0).0.len();
    let until = |keys: &str| overload(keys, 0).0.last().unwrap().start;
    assert!(sent("ingress = true") < sent(""));
    // Dropped packets take their transmission time. A packet waits for at most 1.5 times the time of the
    // others.
    let ratio = until("ingress = true").as_ps() as f64 / (sent("ingress = true") as u64 * 8 * MS) as f64;
    assert!((1.0..=1.5).contains(&ratio), "{ratio}");
}

#[test]
fn memory_grows_with_the_bandwidth_and_the_round_trip_time() {
    let memory = |rate, us| default_memory(rate, us, 1_514);
    assert_eq!(memory(1_250_000, 100_000), 4 << 20);
    assert_eq!(memory(25_000_000, 100_000), 10_000_000);
    assert_eq!([memory(0, 100_000), memory(125_000_000, 100_000)], [15_503_360; 2]);
}

#[test]
fn another_seed_draws_other_numbers() {
    let mut arrivals = taus(&load(&[1, 2, 3], 20));
    // Lengths for which one byte of the quantum makes a difference.
    arrivals.iter_mut().for_each(|tau| tau.packet.length += tau.packet.pid as u32 % 97);
    let run = |seed| {
        let spec = spec(&at_1_mbps("diffserv = \"besteffort\""));
        let link = link("unlimited");
        let mut ptm = spec.build(&Place { link, seed, ..place("unlimited") });
        let (mut departures, mut losses) = (Vec::new(), Vec::new());
        let flows = flows();
        ptm.forward_trace(&arrivals, &flows, Time::NEVER, &mut departures, &mut losses);
        departures
    };
    assert!(run(1) == run(1) && run(1) != run(2));
}

#[test]
fn a_port_sends_no_more_than_its_bandwidth() {
    assert_eq!(spec(&at_1_mbps("")).capacity_bps(&link("10 Mbps")), Some(1_000_000));
    assert_eq!(spec(&toml("")).capacity_bps(&link("10 Mbps")), Some(10_000_000));
    assert!(ptm(&toml(""), "1 Mbps").next_departure().is_none());
}
