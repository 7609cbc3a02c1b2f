//! Linux's own TCP in virtual time, packet by packet. `TAUNET_LAB=FOLDER` names the folder with the
//! recordings.
//!
//! `TAUNET_LAB=... cargo test --release --test it tcp_lab -- --nocapture` prints the table of `docs/tcp.md`.
//!
//! Taken from a recording: the time of each SYN, the time when the process first saw its connection, the time
//! when the process of a short flow closed it, if within 50 us of the simulation, UDP traffic, and the flows
//! that shared a queue of FQ-CoDel. Processes and timers share a processor as in the recording ([`machine`]).
//! Nothing is fitted.

mod machine;
mod network;
mod processes;
mod recording;
mod samples;
mod seeds;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine::Processor;
use network::topology;
use processes::{Client, ServerService};
use recording::{Case, Datagram, Ecn, FlowName, Seen, Shape, Sighting, time};
use taunet::engine::{
    Dropped, Hop, Hosted, Injected, Injection, InjectionPoint, Observed, Observer, Settings, Simulation,
    Workload,
};
use taunet::packet::{FlowKey, Packet, Tau};
use taunet::random::Draws;
use taunet::topology::DeviceId;
use taunet::traffic::{Emission, Source, TrafficError};
use taunet::transport::{
    ConnectionRecord, Flags, Host, Opening, Openings, Sampling, Service, TransportSample,
};
use taunet::units::{Time, Timestamp};

/// The recorded UDP traffic.
struct Replay {
    datagrams: std::vec::IntoIter<Emission>,
    flows: Vec<(u16, u16)>,
}

impl Replay {
    fn new(case: &Case) -> Self {
        let mut flows: Vec<(u16, u16)> = Vec::new();
        let mut emissions = Vec::new();
        for Datagram { at, ports, length } in &case.datagrams {
            let fid = flows.iter().position(|known| known == ports).unwrap_or_else(|| {
                flows.push(*ports);
                flows.len() - 1
            });
            let packet = Packet { fid: fid as u32, length: *length, trp: 17, ttl: 64, ..Packet::default() };
            emissions.push(Emission {
                tau: Tau { timestamp: time(*at), packet },
                record: emissions.len() as u64,
                match_key: None,
            });
        }
        Replay { datagrams: emissions.into_iter(), flows }
    }
}

impl Source for Replay {
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError> {
        Ok(self.datagrams.next())
    }

    fn flow(&self, fid: u32) -> FlowKey {
        FlowKey::Ip {
            source: "10.9.1.1".parse().unwrap(),
            destination: "10.9.200.2".parse().unwrap(),
            protocol: 17,
            ports: Some(self.flows[fid as usize]),
        }
    }
}

/// What the simulation shows at the recorded points.
#[derive(Default)]
struct Points {
    keys: Vec<FlowKey>,
    sent: HashMap<u64, (FlowName, Shape)>,
    /// Sources with queues of their own: packets enter the router when they leave these.
    queues: Vec<DeviceId>,
    router: Option<DeviceId>,
    processor: Processor,
    entering: Seen,
    leaving: Seen,
    acks: Seen,
    drops: usize,
    connections: Vec<ConnectionRecord>,
    samples: Vec<TransportSample>,
}

fn ns(time: Time) -> i64 {
    (time.as_ps() / 1_000) as i64
}

/// The flow that a key belongs to, and whether it is that of the data.
fn name_of(key: &FlowKey) -> (FlowName, bool) {
    let FlowKey::Ip { source, destination, ports: Some((from, to)), .. } = key else { panic!("{key}") };
    let client = |address: &std::net::IpAddr| match address {
        std::net::IpAddr::V4(address) => usize::from(address.octets()[2]) - 1,
        std::net::IpAddr::V6(_) => panic!("{address}"),
    };
    match *to {
        6_001 => ((client(source), *from), true),
        _ => ((client(destination), *to), false),
    }
}

impl Observer for &mut Points {
    fn flow(&mut self, fid: u32, key: &FlowKey) -> Observed {
        assert_eq!(fid as usize, self.keys.len());
        self.keys.push(*key);
        Ok(())
    }

    fn injected(&mut self, injected: &Injected<'_>) -> Observed {
        let Some(segment) = injected.segment else { return Ok(()) };
        let (flow, is_data) = name_of(&self.keys[injected.tau.packet.fid as usize]);
        let at = ns(injected.tau.timestamp);
        let ecn = Ecn {
            ece: segment.flags.has(Flags::ECE),
            cwr: segment.flags.has(Flags::CWR),
            field: injected.tau.packet.ecn,
        };
        if is_data {
            let push = segment.flags.has(Flags::PSH);
            let shape = Shape::Data { seq: segment.seq, end: segment.end, push, ecn };
            self.processor.sends(injected.tau.timestamp, flow, push);
            self.sent.insert(injected.tau.packet.pid, (flow, shape.clone()));
            if self.queues.is_empty() {
                self.entering.push((at, flow, shape));
            }
        } else if !segment.flags.has(Flags::SYN) {
            let sack = segment.blocks().map(|block| (block.start, block.end)).collect();
            let window = segment.window.into();
            self.acks.push((at, flow, Shape::Ack { ack: segment.ack, window, sack, ecn }));
        }
        Ok(())
    }

    fn sampled(&mut self, sample: &TransportSample) -> Observed {
        self.samples.push(*sample);
        Ok(())
    }

    fn hop(&mut self, hop: &Hop) -> Observed {
        if Some(hop.device) == self.router
            && let Some((flow, mut shape)) = self.sent.remove(&hop.packet.pid)
        {
            if let Shape::Data { ecn, .. } = &mut shape {
                ecn.field = hop.packet.ecn;
            }
            self.leaving.push((ns(hop.egress), flow, shape));
        } else if self.queues.contains(&hop.device) {
            let sent = self.sent.get(&hop.packet.pid);
            self.entering.extend(sent.map(|(flow, shape)| (ns(hop.egress), *flow, shape.clone())));
        }
        Ok(())
    }

    fn dropped(&mut self, drop: &Dropped) -> Observed {
        self.drops += usize::from(drop.port.is_some());
        Ok(())
    }
}

/// How a point of the simulation differs from that of the recording.
struct Difference {
    /// The first packet that differs: recorded, simulated.
    first: Option<(Sighting, Option<Sighting>)>,
    packets: (usize, usize),
    longest: i64,
    exact_flows: usize,
    flows: usize,
}

fn by_flow(seen: &Seen) -> BTreeMap<FlowName, Vec<&Sighting>> {
    let mut flows: BTreeMap<FlowName, Vec<_>> = BTreeMap::new();
    seen.iter().for_each(|packet| flows.entry(packet.1).or_default().push(packet));
    flows
}

fn difference(simulated: &Seen, recorded: &Seen, within: i64) -> Difference {
    let mut difference = Difference {
        first: None,
        packets: (simulated.len(), recorded.len()),
        longest: 0,
        exact_flows: 0,
        flows: 0,
    };
    let flows = by_flow(simulated);
    for (flow, recorded) in by_flow(recorded) {
        difference.flows += 1;
        let simulated: &[_] = flows.get(&flow).map_or(&[], Vec::as_slice);
        let mut is_exact = simulated.len() == recorded.len();
        for (place, theirs) in recorded.iter().enumerate() {
            let ours = simulated.get(place);
            let error = ours.map(|ours| (ours.0 - theirs.0).abs());
            if ours.is_none_or(|ours| ours.2 != theirs.2) || error.is_none_or(|error| error > within) {
                is_exact = false;
                if difference.first.as_ref().is_none_or(|(first, _)| theirs.0 < first.0) {
                    difference.first = Some(((*theirs).clone(), ours.map(|ours| (*ours).clone())));
                }
                break;
            }
            difference.longest = difference.longest.max(error.unwrap_or(0));
        }
        difference.exact_flows += usize::from(is_exact);
    }
    difference
}

impl Difference {
    fn show(&self, point: &str, start: i64) -> String {
        let Difference { first, packets, longest, exact_flows, flows } = self;
        match first {
            None if packets.0 == packets.1 => {
                format!("{point}: equal, {} packets, {flows} flows, within {longest} ns", packets.0)
            }
            None => format!("{point}: equal, but {} packets of {}", packets.0, packets.1),
            Some((theirs, ours)) => format!(
                "{point}: equal until {:.6} s, {exact_flows} of {flows} flows to their end, {packets:?} packets\n  \
                 kernel {theirs:?}\n  taunet {ours:?}",
                (theirs.0 - start) as f64 / 1e9
            ),
        }
    }
}

fn simulate(case: &Case, transport: Option<Sampling>, seed: u64) -> Points {
    let processor = Processor::default();
    let topology = topology(case, &processor);
    // The guest counts its ticks from its boot.
    let start = Timestamp::from_ns(0);
    let mut endpoints = Vec::new();
    for source in 0..case.delays.len() {
        let mut openings = Vec::new();
        for flow in case.flows.iter().filter(|flow| flow.name.0 == source) {
            openings.push(Opening {
                at: time(flow.syn),
                key: FlowKey::Ip {
                    source: format!("10.9.{}.1", source + 1).parse().unwrap(),
                    destination: "10.9.200.2".parse().unwrap(),
                    protocol: 6,
                    ports: Some((flow.name.1, 6_001)),
                },
                service: 0,
                parameters: Arc::new(case.parameters(flow.algorithm)),
                application: Box::new(Client {
                    left: if case.writes.is_empty() { flow.bytes } else { Some(0) },
                    writes: case.writes.clone().into(),
                    connected: time(flow.connected),
                    written: time(flow.written),
                    stop: time(case.stop + 3),
                    processor: processor.clone(),
                    runs: None,
                    closes: None,
                    all_written: false,
                }),
            });
        }
        let openings: Vec<Box<dyn Openings>> = vec![Box::new(openings.into_iter())];
        let name = format!("s{}", source + 1);
        let draws = Draws::new(seed, "transport", &name);
        let host = topology.device_named(&name).unwrap();
        endpoints.push(Hosted {
            endpoint: Box::new(Host::new(start, Vec::new(), openings).with_draws(draws)),
            host,
        });
    }
    let shared = processor.clone();
    let services: Vec<Box<dyn Service>> = vec![Box::new(ServerService {
        processor,
        reads: case.reads.clone().into(),
        parameters: case.parameters(case.server),
    })];
    let server = topology.device_named("server").unwrap();
    endpoints.push(Hosted { endpoint: Box::new(Host::new(start, services, Vec::new())), host: server });
    let hosts: Vec<DeviceId> =
        endpoints.iter().map(|hosted| hosted.host).filter(|host| *host != server).collect();
    let queues = if case.host_commands.is_empty() { Vec::new() } else { hosts };
    let mut points =
        Points { processor: shared, router: topology.device_named("r"), queues, ..Points::default() };
    let until = Some(time(case.stop + 30_000_000_000));
    let settings = Settings { until, start, transport, seed, ..Settings::default() };
    let mut workload = Workload { endpoints, ..Workload::default() };
    if !case.datagrams.is_empty() {
        let source = topology.device_named("s1").unwrap();
        workload
            .injections
            .push(Injection { source: Box::new(Replay::new(case)), at: InjectionPoint::Host(source) });
    }
    let finished = Simulation::start(topology, workload, settings, &mut points).unwrap().finish().unwrap();
    points.connections = finished.connections;
    points
}

/// What a recording must show.
enum Bound {
    /// Every packet at every point, to the end.
    Exact,
    /// This part of its flows to their end, and completion times.
    Flows(f64),
    /// Every packet at every point for this long, in seconds; goodput and retransmissions of each flow and the waiting times to the end.
    For(f64),
}

/// Packets are exact within this, in ns: what the recorded processes are late beside others.
const TOLERANCE: i64 = 5_000;

const BOUNDS: [(&str, Bound); 19] = [
    ("t_reno1", Bound::Exact),
    ("t_cubic1", Bound::Exact),
    ("t_bbr1", Bound::Exact),
    ("t_cubic_rtts", Bound::Exact),
    ("t_reno2_cubic2", Bound::Exact),
    ("t_incast_cubic", Bound::Exact),
    ("t_short_cubic", Bound::Exact),
    ("cf_bulk_tbf100k", Bound::Exact),
    ("cf_bulk_tbf30mbit", Bound::Exact),
    ("cf_short_tbf30mbit", Bound::Exact),
    ("cf_short_tbf100k", Bound::Flows(0.99)),
    ("cf_short_tbf25k", Bound::Flows(0.94)),
    ("cf_bulk_tbf25k", Bound::For(7.0)),
    ("t_cubic_codel", Bound::Exact),
    ("cf_bulk_codel", Bound::For(5.0)),
    ("t_cubic_fq_codel", Bound::For(5.0)),
    ("t_dctcp_codel_ce", Bound::Exact),
    ("t_cubic_ecn_fq_codel", Bound::Exact),
    ("t_incast_dctcp", Bound::Exact),
];

/// Seeds of the recordings in which the kernel drew random numbers: those whose draws are the same. BBR draws one of seven phases where
/// its cycle begins.
const SEEDS: [(&str, u64); 4] = [("t_bbr1", 194), ("k_bbr_low", 5), ("k_bbr_loss", 15), ("k_bbr_police", 77)];

fn seed_of(name: &str) -> u64 {
    SEEDS.iter().find(|(other, _)| *other == name).map_or(1, |(_, seed)| *seed)
}

/// Compares a recording with its simulation, prints a row, and says what is missed.
fn compare(folder: &Path, name: &str, bound: &Bound) -> Vec<String> {
    let case = Case::read(folder, name);
    let points = simulate(&case, None, seed_of(name));
    let start = case.entering[0].0;
    let pairs = [
        ("in", &points.entering, &case.entering),
        ("out", &points.leaving, &case.leaving),
        ("ack", &points.acks, &case.acks),
    ];
    let mut missed = Vec::new();
    let mut cells = Vec::new();
    for (point, simulated, recorded) in pairs {
        let found = difference(simulated, recorded, TOLERANCE);
        let parted = found.first.as_ref().map(|(theirs, _)| (theirs.0 - start) as f64 / 1e9);
        let is_kept = match bound {
            Bound::Exact => parted.is_none() && found.packets.0 == found.packets.1,
            Bound::Flows(part) => found.exact_flows as f64 >= part * found.flows as f64,
            Bound::For(seconds) => parted.is_none_or(|parted| parted >= *seconds),
        };
        if !is_kept {
            missed.push(format!("{name}, {}", found.show(point, start)));
        }
        let how = match parted {
            None => format!("{}, all equal, within {} ns", found.packets.1, found.longest),
            Some(parted) => {
                format!(
                    "{}, equal for {parted:.3} s; {} of {} flows to their end",
                    found.packets.1, found.exact_flows, found.flows
                )
            }
        };
        cells.push(how);
    }
    match bound {
        Bound::Exact => {}
        Bound::Flows(_) => missed.extend(completion_times(&case, &points, &mut cells)),
        Bound::For(_) => missed.extend(totals(&case, &points, &mut cells)),
    }
    println!("| {name} | {} |", cells.join(" | "));
    missed
}

/// When the client of each flow closed, in ns.
fn closings(points: &Points) -> HashMap<FlowName, i64> {
    let clients = points.connections.iter().filter(|connection| connection.opened_here);
    clients.filter_map(|connection| Some((name_of(&connection.key).0, ns(connection.closed()?)))).collect()
}

/// Completion times: the median error is 0, and the 99th percentile within 2 %.
fn completion_times(case: &Case, points: &Points, cells: &mut Vec<String>) -> Option<String> {
    let simulated = closings(points);
    let mut pairs: Vec<(i64, i64)> = case
        .flows
        .iter()
        .filter_map(|flow| Some((flow.done? - flow.syn, simulated.get(&flow.name)? - flow.syn)))
        .collect();
    let mut errors: Vec<i64> = pairs.iter().map(|(theirs, ours)| (theirs - ours).abs()).collect();
    errors.sort_unstable();
    let median = errors[errors.len() / 2];
    let place = pairs.len() * 99 / 100;
    pairs.sort_unstable();
    let theirs = pairs[place].0;
    pairs.sort_unstable_by_key(|(_, ours)| *ours);
    let off = (pairs[place].1 - theirs) as f64 / theirs as f64;
    cells.push(format!(
        "{} completion times: median error {median} ns, p99 {:+.3} %",
        errors.len(),
        100.0 * off
    ));
    (median > TOLERANCE || off.abs() > 0.02 || errors.len() < case.flows.len() * 99 / 100)
        .then(|| format!("{}: completion times: median error {median} ns, p99 {off:+.4}", case.name))
}

/// How long each packet waited, in ns, in increasing order.
fn waits(entering: &Seen, leaving: &Seen) -> Vec<i64> {
    let range = |shape: &Shape| match *shape {
        Shape::Data { seq, end, .. } => (seq, end),
        Shape::Ack { ack, .. } => (ack, ack),
    };
    let mut entered: HashMap<(FlowName, (u64, u64)), VecDeque<i64>> = HashMap::new();
    for (at, flow, shape) in entering {
        entered.entry((*flow, range(shape))).or_default().push_back(*at);
    }
    let mut waits = Vec::new();
    for (at, flow, shape) in leaving {
        waits.extend(
            entered.get_mut(&(*flow, range(shape))).and_then(VecDeque::pop_front).map(|entered| at - entered),
        );
    }
    waits.sort_unstable();
    waits
}

/// W1 of the waiting times, by their mean.
fn w1_normalized(case: &Case, points: &Points) -> f64 {
    let (ours, theirs) = (waits(&points.entering, &points.leaving), waits(&case.entering, &case.leaving));
    let error = |(place, wait): (usize, &i64)| ours[place * ours.len() / theirs.len()].abs_diff(*wait);
    theirs.iter().enumerate().map(error).sum::<u64>() as f64 / theirs.iter().sum::<i64>() as f64
}

/// Bytes that a flow has sent, and segments that it has sent again.
fn sent(seen: &Seen, flow: FlowName) -> (u64, u64) {
    let (mut highest, mut again) = (0, 0);
    for (_, _, shape) in seen.iter().filter(|(_, name, _)| *name == flow) {
        if let Shape::Data { seq, end, .. } = shape {
            again += u64::from(*seq < highest && end > seq);
            highest = highest.max(*end);
        }
    }
    (highest, again)
}

/// Goodput of each flow within 0.5 %, retransmissions within 3 or 5 %, waiting times within 0.02.
fn totals(case: &Case, points: &Points, cells: &mut Vec<String>) -> Vec<String> {
    let mut missed = Vec::new();
    let w1 = w1_normalized(case, points);
    cells.push(format!("waiting times: w1_normalized {w1:.5}"));
    if w1 > 0.02 {
        missed.push(format!("{}: waiting times: w1_normalized {w1:.5}", case.name));
    }
    for flow in &case.flows {
        let ((theirs, again), (ours, ours_again)) =
            (sent(&case.entering, flow.name), sent(&points.entering, flow.name));
        let goodput = ours as f64 / theirs as f64 - 1.0;
        cells.push(format!("goodput {:+.3} %, {ours_again} retransmissions for {again}", 100.0 * goodput));
        let off = ours_again.abs_diff(again) as f64;
        if goodput.abs() > 0.005 || off > (0.05 * again as f64).max(3.0) {
            missed.push(format!("{}: {:?}: {goodput:+.4}, {ours_again} for {again}", case.name, flow.name));
        }
    }
    missed
}

/// The recordings that are kept with the tests; `tests/captures/tcp/README.md` says what each shows.
const KEPT: [&str; 23] = [
    "t_incast_cubic",
    "t_reno1",
    "k_mtu576",
    "k_mtu9000",
    "k_loss_cubic",
    "k_loss_reno",
    "k_loss_short",
    "k_pulse_cubic",
    "k_pulse_reno",
    "k_zero",
    "k_zero_long",
    "k_zero_hour",
    "k_reorder",
    "k_dsack",
    "k_delay_acks",
    "k_lose_acks",
    "k_tsq",
    "k_ecn",
    "k_dctcp",
    "k_bbr_low",
    "k_bbr_pulse",
    "k_bbr_loss",
    "k_bbr_police",
];

#[test]
fn linux_tcp_is_simulated_packet_for_packet() {
    let folder = Path::new("tests/captures/tcp");
    let missed: Vec<String> = KEPT.iter().flat_map(|name| compare(folder, name, &Bound::Exact)).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// All that there are.
#[test]
fn all_recordings_of_linux_tcp() {
    let Some(folder) = std::env::var_os("TAUNET_LAB").map(PathBuf::from) else {
        println!("skipped: TAUNET_LAB names no folder of recordings");
        return;
    };
    println!("| recording | in | out | back |  |");
    let missed: Vec<String> = BOUNDS.iter().flat_map(|(name, bound)| compare(&folder, name, bound)).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
