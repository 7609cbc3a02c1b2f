//! Closed loops on random networks: every byte arrives once, nothing remains inside, and the event engine
//! agrees with a minimal reference that has one heap entry per event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use rand::RngExt;

use taunet::engine::{
    Dropped, EngineError, Hosted, Injected, Observed, Observer, Outcome, Settings, Simulation, Workload,
};
use taunet::flow::Flows;
use taunet::packet::{FlowKey, Packet, Tau};
use taunet::ptm::{Arrival, Place, Ptm};
use taunet::random::{Stream, stream};
use taunet::topology::{DeviceId, PortId, Topology};
use taunet::transport::congestion::Algorithm;
use taunet::transport::tcp::{LossRecovery, Parameters};
use taunet::transport::{
    Application, ConnectionRecord, Endpoint, Host, Opening, Openings, Outbox, Process, Segment, Service,
};
use taunet::units::{Time, Timestamp};

/// Disciplines of the routers' ports; all have room for a packet at least.
const DISCIPLINES: [&str; 12] = [
    r#"{ kind = "fifo", buffer = "4 packets" }"#,
    r#"{ kind = "fifo", buffer = "40 packets" }"#,
    r#"{ kind = "fifo" }"#,
    r#"{ kind = "token-bucket", rate = "7 Mbps", burst = "2000 B", buffer = "30000 B" }"#,
    r#"{ kind = "codel", ecn = true }"#,
    r#"{ kind = "codel", ecn = true, ce_threshold = "2 ms" }"#,
    r#"{ kind = "fq-codel" }"#,
    r#"{ kind = "sfq" }"#,
    r#"{ kind = "pie", ecn = true }"#,
    r#"{ kind = "netem", delay = "3 ms", jitter = "2 ms", loss = 0.01 }"#,
    r#"{ kind = "red", bandwidth = "10 Mbps", buffer = "60000 B", min = "10000 B", max = "30000 B", max_p = 0.1, ecn = true }"#,
    r#"{ kind = "red", bandwidth = "10 Mbps", buffer = "60000 B", min = "9000 B", max = "9000 B", max_p = 1.0, weight = 1.0, ecn = true, hard_drop = false }"#,
];

/// A connection of a case.
#[derive(Debug, Clone, Copy)]
struct Flow {
    from: usize,
    to: usize,
    bytes: u64,
    at: Time,
    algorithm: Algorithm,
    /// The other end's, which is the number of its service.
    answers: usize,
    ecn: bool,
}

/// The algorithms of the services.
const ANSWERS: [Algorithm; 2] = [Algorithm::Cubic, Algorithm::Dctcp];

/// A random network and its connections.
struct Case {
    topology: String,
    hosts: usize,
    /// Both ends repair losses in the same way.
    recovery: LossRecovery,
    flows: Vec<Flow>,
}

impl Case {
    /// Hosts at both ends of two routers. `is_plain`: nothing but delays and drop-tail queues.
    fn new(seed: u64, is_plain: bool) -> Case {
        let mut random = stream(seed, "closed loops", "");
        let hosts = random.random_range(2..7);
        let mut topology = "name = \"random\"\n".to_owned();
        for router in ["r0", "r1"] {
            let kind = if random.random_bool(0.5) { "switch" } else { "router" };
            writeln!(topology, "[[device]]\nname = \"{router}\"\nkind = \"{kind}\"").unwrap();
        }
        for host in 0..hosts {
            writeln!(
                topology,
                "[[device]]\nname = \"h{host}\"\nkind = \"host\"\naddresses = [\"10.0.0.{}\"]",
                host + 1
            )
            .unwrap();
        }
        let ptm = |random: &mut Stream| {
            let kinds = if is_plain { 3 } else { DISCIPLINES.len() };
            DISCIPLINES[random.random_range(0..kinds)]
        };
        let link = |random: &mut Stream| {
            // In picoseconds of no round number, so that no two events coincide.
            let delay = random.random_range(100_000_000..20_000_000_000u64);
            let rate = random.random_range(2_000_000..200_000_000u64);
            let mut link = format!("delay = \"{delay} ps\"\nbandwidth = \"{rate} bps\"\n");
            if !is_plain && random.random_bool(0.3) {
                link += &format!("loss = 0.0{}\n", random.random_range(1..5));
            }
            if !is_plain && random.random_bool(0.2) {
                link += "jitter = { distribution = \"exponential\", mean = \"1 ms\", order = \"break\" }\n";
            }
            link
        };
        writeln!(topology, "[[link]]\nbetween = [\"r0:0\", \"r1:0\"]\n{}", link(&mut random)).unwrap();
        writeln!(topology, "forward = {{ ptm = {} }}", ptm(&mut random)).unwrap();
        writeln!(topology, "backward = {{ ptm = {} }}", ptm(&mut random)).unwrap();
        for host in 0..hosts {
            let (router, port) = (host % 2, 1 + host / 2);
            writeln!(
                topology,
                "[[link]]\nbetween = [\"h{host}:0\", \"r{router}:{port}\"]\n{}",
                link(&mut random)
            )
            .unwrap();
            writeln!(topology, "backward = {{ ptm = {} }}", ptm(&mut random)).unwrap();
        }
        let recovery = [LossRecovery::Rack, LossRecovery::Rfc6582][usize::from(random.random_bool(0.3))];
        let algorithms = match recovery {
            LossRecovery::Rack => {
                &[Algorithm::Cubic, Algorithm::Reno, Algorithm::Dctcp, Algorithm::Dctcp, Algorithm::Bbr][..]
            }
            LossRecovery::Rfc6582 => &[Algorithm::Reno],
        };
        let flow = |random: &mut Stream| {
            let from = random.random_range(0..hosts);
            let to = (from + random.random_range(1..hosts)) % hosts;
            let largest = [1, 100, 5_000, 60_000, 400_000][random.random_range(0..5)];
            Flow {
                from,
                to,
                bytes: random.random_range(1..=largest),
                at: Time::from_ps(random.random_range(0..2_000_000_000_000)),
                algorithm: algorithms[random.random_range(0..algorithms.len())],
                answers: random.random_range(0..ANSWERS.len()),
                ecn: recovery == LossRecovery::Rack && random.random_bool(0.5),
            }
        };
        let mut flows: Vec<Flow> = (0..random.random_range(1..12)).map(|_| flow(&mut random)).collect();
        flows.sort_by_key(|flow| flow.at);
        Case { topology, hosts, recovery, flows }
    }

    fn topology(&self) -> Topology {
        Topology::from_toml("random.toml", &self.topology)
            .unwrap_or_else(|error| panic!("{}\n{error}", self.topology))
    }

    fn parameters(&self, algorithm: Algorithm, ecn: bool) -> Arc<Parameters> {
        let parameters = Parameters::new(algorithm, 1_448);
        Arc::new(Parameters { recovery: self.recovery, ecn: ecn || parameters.ecn, ..parameters })
    }

    /// The hosts with their connections; what is read of each is added up in `read`.
    fn endpoints(&self, read: &Arc<Mutex<Vec<Read>>>) -> Vec<Host> {
        let start = Timestamp::default();
        let host = |host: usize| {
            let key = |(number, flow): (usize, &Flow)| FlowKey::Ip {
                source: format!("10.0.0.{}", flow.from + 1).parse().unwrap(),
                destination: format!("10.0.0.{}", flow.to + 1).parse().unwrap(),
                protocol: 6,
                ports: Some((1_000 + number as u16, 80)),
            };
            let opening = |(number, flow): (usize, &Flow)| Opening {
                at: flow.at,
                key: key((number, flow)),
                service: flow.answers as u32,
                parameters: self.parameters(flow.algorithm, flow.ecn),
                application: Box::new(taunet::application::Writer::new(Some(flow.bytes), None)),
            };
            let own = self.flows.iter().enumerate().filter(|(_, flow)| flow.from == host);
            let openings: Vec<Opening> = own.map(opening).collect();
            let openings: Vec<Box<dyn Openings>> = vec![Box::new(openings.into_iter())];
            let service = |algorithm| -> Box<dyn Service> {
                Box::new(Counting(Arc::clone(read), self.parameters(algorithm, false)))
            };
            Host::new(start, ANSWERS.map(service).into(), openings)
        };
        (0..self.hosts).map(host).collect()
    }
}

/// What a receiver has read, and whether it read the end.
#[derive(Debug, Clone, Copy, Default)]
struct Read {
    bytes: u64,
    ended: bool,
}

struct Counting(Arc<Mutex<Vec<Read>>>, Arc<Parameters>);

impl Service for Counting {
    fn accept(&mut self, _asked: &FlowKey) -> Box<dyn Application> {
        let mut all = self.0.lock().unwrap();
        all.push(Read::default());
        Box::new(Counter { place: all.len() - 1, all: Arc::clone(&self.0) })
    }

    fn parameters(&self) -> Arc<Parameters> {
        Arc::clone(&self.1)
    }
}

struct Counter {
    place: usize,
    all: Arc<Mutex<Vec<Read>>>,
}

impl Application for Counter {
    fn run(&mut self, connection: &mut Process<'_, '_>) -> Option<Time> {
        let mut all = self.all.lock().unwrap();
        loop {
            match connection.read(u64::MAX) {
                0 => break,
                bytes => all[self.place].bytes += bytes,
            }
        }
        if connection.is_at_end() {
            all[self.place].ended = true;
            connection.close();
        }
        None
    }
}

/// What is sent and what arrives, in order; and the last instant at which a packet did something.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    keys: Vec<FlowKey>,
    lines: Vec<(Time, FlowKey, u64, u64, u64, bool)>,
    last: Time,
    segments: std::collections::HashMap<u64, Segment>,
}

impl Seen {
    fn note(&mut self, at: Time, key: FlowKey, segment: &Segment, arrives: bool) {
        self.lines.push((at, key, segment.seq, segment.end, segment.ack, arrives));
        self.last = self.last.max(at);
    }

    /// The order of simultaneous lines does not matter.
    fn sorted(mut self) -> Vec<(Time, FlowKey, u64, u64, u64, bool)> {
        self.lines.sort();
        self.lines
    }
}

impl Observer for &mut Seen {
    fn flow(&mut self, _fid: u32, key: &FlowKey) -> Observed {
        self.keys.push(*key);
        Ok(())
    }

    fn injected(&mut self, injected: &Injected<'_>) -> Observed {
        let segment = *injected.segment.expect("only endpoints send");
        let Packet { fid, pid, .. } = injected.tau.packet;
        self.segments.insert(pid, segment);
        let key = self.keys[fid as usize];
        self.note(injected.tau.timestamp, key, &segment, false);
        Ok(())
    }

    fn delivered(&mut self, tau: &Tau, _host: DeviceId) -> Observed {
        let segment = self.segments.remove(&tau.packet.pid).expect("a packet that was sent");
        let key = self.keys[tau.packet.fid as usize];
        self.note(tau.timestamp, key, &segment, true);
        Ok(())
    }

    fn dropped(&mut self, drop: &Dropped) -> Observed {
        self.segments.remove(&drop.tau.packet.pid);
        self.last = self.last.max(drop.at);
        Ok(())
    }
}

/// A run of a case.
struct Run {
    outcome: Outcome,
    connections: Vec<ConnectionRecord>,
    read: Vec<Read>,
    seen: Seen,
}

fn run(case: &Case, threads: usize) -> Result<Run, EngineError> {
    let topology = case.topology();
    let read = Arc::new(Mutex::new(Vec::new()));
    let hosts = case.endpoints(&read);
    let name = |host: usize| topology.device_named(&format!("h{host}")).unwrap();
    let hosted = |(host, endpoint): (usize, Host)| Hosted { endpoint: Box::new(endpoint), host: name(host) };
    let endpoints = hosts.into_iter().enumerate().map(hosted).collect();
    let workload = Workload { endpoints, ..Workload::default() };
    let mut seen = Seen::default();
    let settings = Settings { seed: 7, threads, statistics: true, ..Settings::default() };
    let finished = Simulation::start(topology, workload, settings, &mut seen)?.finish()?;
    let (outcome, connections) = (finished.outcome, finished.connections);
    let read = read.lock().unwrap().clone();
    Ok(Run { outcome, connections, read, seen })
}

/// Whether every byte has arrived once, and nothing is left behind.
fn check(case: &Case, run: &Run) {
    let Run { outcome, connections, read, seen } = run;
    assert_eq!(outcome.packets.inside, 0);
    assert!(seen.segments.is_empty(), "segments of packets that are gone");
    assert_eq!(outcome.end, seen.last, "a timer was left behind");
    let mut sent: Vec<u64> = case.flows.iter().map(|flow| flow.bytes).collect();
    let mut arrived: Vec<u64> = read.iter().map(|read| read.bytes).collect();
    sent.sort_unstable();
    arrived.sort_unstable();
    assert_eq!(sent, arrived);
    assert!(read.iter().all(|read| read.ended));
    let opened: Vec<&ConnectionRecord> =
        connections.iter().filter(|connection| connection.opened_here).collect();
    assert_eq!(opened.len(), case.flows.len());
    let mut acknowledged: Vec<u64> = opened.iter().map(|connection| connection.acknowledged).collect();
    acknowledged.sort_unstable();
    assert_eq!(sent, acknowledged);
    for connection in connections {
        assert!(connection.closed().is_some() && !connection.gave_up, "{connection:?}");
    }
}

/// The event engine once more, with one heap entry per event and nothing clever: for networks in which no two events coincide.
/// The order of simultaneous events.
type Rank = (u8, usize, usize);

struct Reference {
    topology: Topology,
    endpoints: Vec<(DeviceId, Host)>,
    ports: Vec<Port>,
    flows: Flows,
    /// At one instant, departures come first, arrivals go by device and port, and endpoints are woken last.
    heap: BinaryHeap<Reverse<(Time, Rank, u64)>>,
    events: Vec<Event>,
    /// Per endpoint: its flows.
    keys: Vec<Vec<FlowKey>>,
    segments: Vec<Option<Segment>>,
    seen: Seen,
}

struct Port {
    ptm: Box<dyn Ptm>,
    last: Time,
}

#[derive(Clone, Copy)]
enum Event {
    Arrives(PortId, Tau),
    Departs(PortId),
    Wakes(usize),
}

impl Reference {
    fn run(case: &Case) -> Seen {
        let topology = case.topology();
        let read = Arc::new(Mutex::new(Vec::new()));
        let name = |host: usize| topology.device_named(&format!("h{host}")).unwrap();
        let endpoints: Vec<(DeviceId, Host)> =
            case.endpoints(&read).into_iter().enumerate().map(|(host, end)| (name(host), end)).collect();
        let ports = topology.ports().map(|(id, port)| {
            let link = topology.link(port.egress).link;
            let place = Place { link, seed: 7, port: &topology.port_name(id), start: Timestamp::default() };
            Port { ptm: port.ptm.build(&place), last: Time::ZERO }
        });
        let ports = ports.collect();
        let keys = vec![Vec::new(); endpoints.len()];
        let mut reference = Reference {
            topology,
            endpoints,
            ports,
            flows: Flows::default(),
            heap: BinaryHeap::new(),
            events: Vec::new(),
            keys,
            segments: Vec::new(),
            seen: Seen::default(),
        };
        for endpoint in 0..reference.endpoints.len() {
            // Every link takes time, so that every port can hold packets.
            reference.endpoints[endpoint].1.start_queueing();
            reference.expect(endpoint);
        }
        while let Some(Reverse((now, _, number))) = reference.heap.pop() {
            match reference.events[number as usize] {
                Event::Arrives(port, tau) => reference.arrive(port, tau),
                Event::Departs(port) => reference.depart(port, now),
                Event::Wakes(endpoint) => reference.wake(endpoint, now),
            }
        }
        reference.seen
    }

    fn push(&mut self, at: Time, event: Event) {
        let rank = match event {
            Event::Departs(port) => (0, port.index(), 0),
            Event::Arrives(port, _) => {
                let far = self.topology.link(self.topology.port(port).egress).to;
                let device = self.topology.port(far).device;
                let ports = &self.topology.device(device).ports;
                (1, device.index(), ports.iter().position(|port| *port == far).unwrap())
            }
            Event::Wakes(endpoint) => (2, endpoint, 0),
        };
        self.heap.push(Reverse((at, rank, self.events.len() as u64)));
        self.events.push(event);
    }

    fn expect(&mut self, endpoint: usize) {
        let next = self.endpoints[endpoint].1.next(Time::NEVER);
        if next < Time::NEVER {
            self.push(next, Event::Wakes(endpoint));
        }
    }

    fn wake(&mut self, endpoint: usize, now: Time) {
        if self.endpoints[endpoint].1.next(Time::NEVER) == now {
            let mut out = Outbox::default();
            self.endpoints[endpoint].1.wake(now, &mut out);
            self.send(endpoint, now, out);
        }
    }

    fn send(&mut self, endpoint: usize, now: Time, mut out: Outbox) {
        self.expect(endpoint);
        self.keys[endpoint].append(&mut out.flows);
        for outgoing in out.packets {
            let key = self.keys[endpoint][outgoing.flow as usize];
            self.seen.note(now, key, &outgoing.segment, false);
            let (fid, _) = self.flows.add(key);
            let pid = self.segments.len() as u64;
            self.segments.push(Some(outgoing.segment));
            let tau = Tau { timestamp: now, packet: Packet { fid, pid, ..outgoing.packet } };
            let port = self.topology.device(self.endpoints[endpoint].0).ports[0];
            self.join(port, tau);
        }
    }

    /// A packet has come over the link at `port`.
    fn arrive(&mut self, port: PortId, tau: Tau) {
        let far = self.topology.link(self.topology.port(port).egress).to;
        let device = self.topology.port(far).device;
        let now = tau.timestamp;
        if let Some(endpoint) = self.endpoints.iter().position(|(host, _)| *host == device) {
            let segment = self.segments[tau.packet.pid as usize].take().expect("a packet on its way");
            let key = self.flows.key(tau.packet.fid).unwrap();
            self.seen.note(now, key, &segment, true);
            let mut out = Outbox::default();
            self.endpoints[endpoint].1.receive(&tau, &segment, &self.flows, &mut out);
            return self.send(endpoint, now, out);
        }
        // The only other router is behind port 0.
        let to = self.flows.key(tau.packet.fid).unwrap().destination_address().unwrap();
        let ports = self.topology.device(device).ports.clone();
        let leads = |port: &PortId| {
            let far = self.topology.link(self.topology.port(*port).egress).to;
            let device = self.topology.device(self.topology.port(far).device);
            device.addresses.iter().any(|prefix| prefix.contains(&to))
        };
        let next = ports.iter().copied().find(leads).unwrap_or(ports[0]);
        self.join(next, tau);
    }

    fn join(&mut self, port: PortId, tau: Tau) {
        match self.ports[port.index()].ptm.arrive(&tau, &self.flows) {
            Arrival::Departs(start) => self.pass(port, tau, start),
            Arrival::Marked(start) => self.pass(port, tau.marked(), start),
            Arrival::Dropped(_) => self.lose(port, &tau, tau.timestamp),
            Arrival::Queued => self.expect_departure(port),
        }
    }

    fn lose(&mut self, port: PortId, tau: &Tau, at: Time) {
        self.leave(port, tau, at);
        self.segments[tau.packet.pid as usize] = None;
    }

    fn expect_departure(&mut self, port: PortId) {
        while let Some(loss) = self.ports[port.index()].ptm.lost() {
            self.lose(port, &loss.tau, loss.at);
        }
        if let Some(next) = self.ports[port.index()].ptm.next_departure() {
            self.push(next, Event::Departs(port));
        }
    }

    fn depart(&mut self, port: PortId, now: Time) {
        if self.ports[port.index()].ptm.next_departure() != Some(now) {
            return;
        }
        if let Some(departure) = self.ports[port.index()].ptm.depart() {
            self.pass(port, departure.tau, departure.start);
        }
        self.expect_departure(port);
    }

    /// An endpoint hears when a packet leaves its own port, or is lost there.
    fn leave(&mut self, port: PortId, tau: &Tau, at: Time) {
        let device = self.topology.port(port).device;
        if let Some(endpoint) = self.endpoints.iter().position(|(host, _)| *host == device)
            && let Some(segment) = &self.segments[tau.packet.pid as usize]
        {
            self.endpoints[endpoint].1.leaves(segment, at);
            self.expect(endpoint);
        }
    }

    fn pass(&mut self, port: PortId, tau: Tau, start: Time) {
        let link = self.topology.link(self.topology.port(port).egress).link;
        let last_bit = start + link.transmission_time(tau.packet.byte_count());
        let arrival = last_bit + link.propagation_delay();
        self.leave(port, &tau, last_bit);
        let last = &mut self.ports[port.index()].last;
        *last = arrival.max(*last);
        let arrival = *last;
        self.push(arrival, Event::Arrives(port, Tau { timestamp: arrival, ..tau }));
    }
}

/// Random networks of every kind.
fn every_byte_arrives_once(seed: u64) {
    let case = Case::new(seed, false);
    let first = run(&case, 1).unwrap();
    check(&case, &first);
    for threads in [3, 8] {
        assert_eq!(run(&case, threads).unwrap().outcome.fingerprint, first.outcome.fingerprint);
    }
}

/// Plain networks, against the reference.
fn the_engine_does_what_the_reference_does(seed: u64) {
    let case = Case::new(seed, true);
    let ours = run(&case, 1).unwrap();
    check(&case, &ours);
    let theirs = Reference::run(&case).sorted();
    let ours = ours.seen.sorted();
    let first = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
    assert_eq!(first.map(|place| (ours[place], theirs[place])), None);
    assert_eq!(ours.len(), theirs.len());
}

/// What the properties are for: packets are lost, and sent again; others are marked, and the marks come back.
#[test]
fn random_networks_lose_and_mark_packets() {
    let (mut lossy, mut marking) = (0, 0);
    for seed in 0..100 {
        let run = run(&Case::new(seed, false), 1).unwrap();
        let sum = |part: fn(&ConnectionRecord) -> u64| run.connections.iter().map(part).sum::<u64>();
        lossy += u64::from(
            run.outcome.packets.dropped > 0 && sum(|connection| connection.retransmissions.into()) > 0,
        );
        marking += u64::from(sum(|connection| connection.delivered_ce.into()) > 0);
    }
    assert!(lossy > 50 && marking > 5, "{lossy} {marking}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn bytes_arrive_once(seed: u64) {
        every_byte_arrives_once(seed);
    }

    #[test]
    fn the_reference_agrees(seed: u64) {
        the_engine_does_what_the_reference_does(seed);
    }
}
