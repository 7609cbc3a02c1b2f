//! Random networks with every discipline, cycles, impairments and forwarding rules, and their traffic.

use std::net::IpAddr;

use proptest::prelude::*;
use rand::RngExt;

use taunet::engine::{
    Dropped, Engine, EngineError, Finished, Hop, Injected, Injection, InjectionPoint, Observed, Observer,
    Outcome, Settings, Simulation, Unwatched, simulate,
};
use taunet::packet::{FlowKey, Packet, Tau};
use taunet::random::stream;
use taunet::topology::{DeviceId, PortId, Topology};
use taunet::traffic::{Emission, Source, TrafficError};
use taunet::units::Time;

/// A queueing discipline and what it promises.
pub struct Discipline {
    /// As a topology names it.
    pub toml: &'static str,
    /// Within a class, packets leave in the order in which they came.
    pub classes: Classes,
    /// Whether the link never idles while a packet waits.
    pub is_work_conserving: bool,
}

/// What tells the classes of a discipline apart.
#[derive(Clone, Copy)]
pub enum Classes {
    /// There is one.
    One,
    /// The code point: the upper ends of all classes but the last.
    Dscp(&'static [u8]),
    /// Code points to 20, then what goes to 10.0.0.1, then the rest.
    DscpThenHost1,
    /// Each flow has its own.
    Flow,
}

impl Discipline {
    const fn new(toml: &'static str, classes: Classes, is_work_conserving: bool) -> Self {
        Discipline { toml, classes, is_work_conserving }
    }

    /// The class of a packet; `flows` by `fid`.
    pub fn class(&self, packet: &Packet, flows: &[FlowKey]) -> usize {
        match self.classes {
            Classes::One => 0,
            Classes::Dscp(ends) => ends.iter().position(|end| packet.dscp <= *end).unwrap_or(ends.len()),
            Classes::DscpThenHost1 if packet.dscp <= 20 => 0,
            Classes::DscpThenHost1 => {
                let to = flows[packet.fid as usize].destination_address();
                if to == Some(IpAddr::from([10, 0, 0, 1])) { 1 } else { 2 }
            }
            Classes::Flow => packet.fid as usize,
        }
    }
}

/// Every discipline.
pub const DISCIPLINES: &[Discipline] = &[
    Discipline::new(r#"{ kind = "fifo" }"#, Classes::One, true),
    Discipline::new(r#"{ kind = "fifo", buffer = "4 packets" }"#, Classes::One, true),
    Discipline::new(
        r#"{ kind = "token-bucket", rate = "20 Mbps", burst = "3000 B", buffer = "20 kB", release_slack = "30 us" }"#,
        Classes::One,
        false,
    ),
    Discipline::new(
        r#"{ kind = "red", min = "2 packets", max = "8 packets", max_p = 0.2, weight = 0.1, buffer = "20 packets" }"#,
        Classes::One,
        true,
    ),
    Discipline::new(
        r#"{ kind = "codel", target = "100 us", interval = "1 ms", buffer = "30 packets" }"#,
        Classes::One,
        true,
    ),
    Discipline::new(
        r#"{ kind = "fq-codel", target = "100 us", interval = "1 ms", limit = 30, flows = 4 }"#,
        Classes::Flow,
        true,
    ),
    Discipline::new(
        r#"{ kind = "cake", bandwidth = "20 Mbps", rtt = "1 ms", diffserv = "besteffort", memory_limit = "30 kB" }"#,
        Classes::Flow,
        false,
    ),
    Discipline::new(
        r#"{ kind = "pie", target = "200 us", t_update = "500 us", buffer = "30 packets" }"#,
        Classes::One,
        true,
    ),
    Discipline::new(
        r#"{ kind = "fq-pie", target = "200 us", t_update = "500 us", limit = 30, flows = 4 }"#,
        Classes::Flow,
        true,
    ),
    Discipline::new(
        r#"{ kind = "priority", buffer = "20 packets", class = [{ match = { dscp = ["0-20"] } }, { match = { destination = "10.0.0.1" } }, {}] }"#,
        Classes::DscpThenHost1,
        true,
    ),
    Discipline::new(
        r#"{ kind = "drr", class = [{ match = { dscp = ["0-20"] }, quantum = "600 B" }, { buffer = "6 packets" }] }"#,
        Classes::Dscp(&[20]),
        true,
    ),
    Discipline::new(r#"{ kind = "wrr", classes = "per-flow", buffer = "30 kB" }"#, Classes::Flow, true),
    Discipline::new(
        r#"{ kind = "wfq", class = [{ match = { dscp = ["0-20"] }, weight = 3 }, { buffer = "6 packets" }] }"#,
        Classes::Dscp(&[20]),
        true,
    ),
    Discipline::new(
        r#"{ kind = "drr", classes = "per-flow", flow_buffer = "5 packets" }"#,
        Classes::Flow,
        true,
    ),
    Discipline::new(
        r#"{ kind = "htb", class = [{ name = "a", match = { dscp = ["0-20"] }, rate = "5 Mbps", ceil = "20 Mbps" }, { name = "b", rate = "10 Mbps", ceil = "20 Mbps", prio = 1, buffer = "8 kB" }], release_slack = "30 us" }"#,
        Classes::Dscp(&[20]),
        false,
    ),
    Discipline::new(
        r#"{ kind = "priority", class = [{ match = { dscp = ["0-20"] }, ptm = { kind = "codel", target = "100 us", interval = "1 ms" } }, { ptm = { kind = "wrr", class = [{ match = { dscp = ["21-40"] }, weight = 2 }, { ptm = { kind = "red", min = "2 packets", max = "9 packets" } }] } }] }"#,
        Classes::Dscp(&[20, 40]),
        true,
    ),
    Discipline::new(
        r#"{ kind = "ets", class = [{ match = { dscp = ["0-20"] }, buffer = "6 packets" }, { match = { dscp = ["21-40"] }, quantum = "600 B" }, { quantum = "3000 B", ptm = { kind = "red", min = "2 packets", max = "2 packets", adaptive = true } }] }"#,
        Classes::Dscp(&[20, 40]),
        true,
    ),
    Discipline::new(
        r#"{ kind = "sfq", limit = 12, depth = 5, flows = 6, divisor = 8, quantum = "700 B", perturb = "3 ms" }"#,
        Classes::Flow,
        true,
    ),
    Discipline::new(
        r#"{ kind = "fq", flow_limit = 6, initial_quantum = "800 B", max_rate = "8 Mbps", refill_delay = "1 ms", same_queue = [] }"#,
        Classes::Flow,
        false,
    ),
    Discipline::new(
        r#"{ kind = "token-bucket", rate = "20 Mbps", burst = "3000 B", overhead = "24 B", linklayer = "atm", ptm = { kind = "fq-codel", target = "100 us", interval = "1 ms", limit = 30, flows = 8 } }"#,
        Classes::Flow,
        false,
    ),
    Discipline::new(
        r#"{ kind = "priority", at_one_instant = "class", buffer = "5 packets", class = [{ match = { dscp = ["0-20"] }, buffer = "2 packets" }, { match = { destination = "10.0.0.1" } }, {}] }"#,
        Classes::DscpThenHost1,
        true,
    ),
    Discipline::new(
        r#"{ kind = "priority", at_one_instant = "class", class = [{ match = { dscp = ["0-20"] }, ptm = { kind = "codel", target = "100 us", interval = "1 ms" } }, { buffer = "9 packets" }] }"#,
        Classes::Dscp(&[20]),
        true,
    ),
    Discipline::new(
        r#"{ kind = "token-bucket", rate = "20 Mbps", burst = "3000 B", ptm = { kind = "priority", at_one_instant = "class", class = [{ match = { dscp = ["0-20"] } }, { buffer = "9 packets" }] } }"#,
        Classes::Dscp(&[20]),
        false,
    ),
    Discipline::new(
        r#"{ kind = "netem", delay = "200 us", loss = 0.05, rate = "15 Mbps", limit = 20 }"#,
        Classes::One,
        false,
    ),
];

/// A random network in TOML, and its traffic.
#[derive(Debug, Clone)]
pub struct Network {
    pub toml: String,
    /// Per device, as a position in [`DISCIPLINES`].
    pub disciplines: Vec<usize>,
    switches: usize,
    hosts: usize,
    seed: u64,
    packets: usize,
    /// In picoseconds.
    pub until: Option<u64>,
}

/// Networks of two to seven switches, every other one a ring.
pub fn networks() -> impl Strategy<Value = Network> {
    // Every other network is a ring with a host at each switch, where ports feed each other in a cycle.
    let shape = (2..8usize, prop::collection::vec((0..7usize, 0..7usize), 0..6), 2..6usize, any::<bool>());
    let link = (0..4usize, 0..5usize, 0..8usize);
    let links = prop::collection::vec(link, 20);
    let devices = prop::collection::vec((0..DISCIPLINES.len(), 0..3usize, any::<bool>()), 14);
    let forwarding = (0..4usize, 0..3usize);
    let until = prop_oneof![3 => Just(None), 1 => (0..60_000_000_000u64).prop_map(Some)];
    (shape, links, devices, forwarding, any::<u64>(), 0..400usize, until).prop_map(
        |((switches, extra, hosts, ring), links, devices, forwarding, seed, packets, until)| {
            let (extra, hosts) = if ring { (vec![(switches - 1, 0)], switches) } else { (extra, hosts) };
            let toml = toml(switches, &extra, hosts, ring, &links, &devices, forwarding);
            let disciplines = devices[..switches + hosts].iter().map(|(discipline, _, _)| *discipline);
            Network { toml, disciplines: disciplines.collect(), switches, hosts, seed, packets, until }
        },
    )
}

/// Switches in a tree with further links between them, or in a ring; hosts at some switches, or at all of a ring.
fn toml(
    switches: usize,
    extra: &[(usize, usize)],
    hosts: usize,
    ring: bool,
    links: &[(usize, usize, usize)],
    devices: &[(usize, usize, bool)],
    (multipath, weight): (usize, usize),
) -> String {
    let processing = ["0 s", "3 us", "20 us"];
    // Weighted fair queueing needs a rate.
    let is_fair = |(discipline, _, _): &(usize, usize, bool)| DISCIPLINES[*discipline].toml.contains("wfq");
    let fastest = if devices.iter().any(is_fair) { "1 Gbps" } else { "unlimited" };
    let rates = ["10 Mbps", "100 Mbps", "37 Mbps", fastest];
    let delays = ["0 s", "0 s", "1 us", "50 us", "1 ms"];
    let impairments = [
        "",
        "",
        "",
        "",
        "loss = 0.05,",
        r#"jitter = { distribution = "uniform", max = "300 us", order = "keep" },"#,
        r#"jitter = { distribution = "uniform", max = "300 us", order = "break" },"#,
        r#"loss = 0.02, jitter = { distribution = "exponential", mean = "100 us", order = "break" },"#,
    ];
    let mut text = format!(
        "name = \"random\"\nforwarding = {{ multipath = \"{}\", weight = \"{}\" }}\n",
        ["lowest-port", "ecmp", "d-mod-k", "spray"][multipath],
        ["hops", "delay", "inverse-capacity"][weight],
    );
    for (switch, &(discipline, delay, is_router)) in devices[..switches].iter().enumerate() {
        text += &format!(
            "[[device]]\nname = \"s{switch}\"\nkind = \"{}\"\nprocessing = \"{}\"\nptm = {}\n",
            if is_router { "router" } else { "switch" },
            processing[delay],
            DISCIPLINES[discipline].toml,
        );
    }
    for host in 0..hosts {
        let (discipline, delay, _) = devices[switches + host];
        text += &format!(
            "[[device]]\nname = \"h{host}\"\nkind = \"host\"\naddresses = [\"10.0.0.{host}\"]\nprocessing = \"{}\"\nptm = {}\n",
            processing[delay], DISCIPLINES[discipline].toml,
        );
    }
    let mut ports = vec![0u16; switches + hosts];
    let mut number = 0;
    let mut add = |a: usize, b: usize| {
        let name = |device: usize| {
            if device < switches { format!("s{device}") } else { format!("h{}", device - switches) }
        };
        let (rate, delay, impairment) = links[number % links.len()];
        text += &format!(
            "[[link]]\nbetween = [\"{}:{}\", \"{}:{}\"]\nbandwidth = \"{}\"\ndelay = \"{}\"\nforward = {{ {} }}\n",
            name(a),
            ports[a],
            name(b),
            ports[b],
            rates[rate],
            delays[delay],
            impairments[impairment].trim_end_matches(','),
        );
        ports[a] += 1;
        ports[b] += 1;
        number += 1;
    };
    for switch in 1..switches {
        add(if ring { switch - 1 } else { (switch * switch + 3) % switch }, switch);
    }
    for (a, b) in extra {
        if a % switches != b % switches {
            add(a % switches, b % switches);
        }
    }
    for host in 0..hosts {
        add(switches + host, if ring { host } else { host * 5 % switches });
    }
    text
}

impl Network {
    /// Packets from each host, and some that enter and start at ports, many of them at equal instants.
    fn injections(&self, topology: &Topology) -> Vec<Injection> {
        let ports: Vec<PortId> = topology
            .ports()
            .filter(|(_, port)| port.device.index() < self.switches)
            .map(|(id, _)| id)
            .collect();
        let mut places: Vec<InjectionPoint> = (0..self.hosts)
            .map(|host| InjectionPoint::Host(topology.device_named(&format!("h{host}")).unwrap()))
            .collect();
        places.push(InjectionPoint::Ingress(ports[self.seed as usize % ports.len()]));
        places.push(InjectionPoint::Egress(ports[self.seed as usize / 7 % ports.len()]));
        places.push(InjectionPoint::Egress(ports[self.seed as usize / 7 % ports.len()]));
        let each = self.packets / places.len();
        let inject = |(number, at): (usize, InjectionPoint)| {
            let mut random = stream(self.seed, "test", &number.to_string());
            let mut now = 0;
            let emissions: Vec<Emission> = (0..each as u64)
                .map(|record| {
                    now += random.random_range(0..4u64) * 50_000_000;
                    let from_here =
                        |to: &u32| !matches!(at, InjectionPoint::Host(_)) || *to as usize != number;
                    let to =
                        std::iter::repeat_with(|| random.random_range(0..=self.hosts as u32)).find(from_here);
                    let packet = Packet {
                        fid: to.unwrap(),
                        length: random.random_range(1..1500),
                        ttl: random.random_range(1..9),
                        dscp: random.random_range(0..64),
                        ecn: random.random_range(0..3),
                        trp: 17,
                        ..Packet::default()
                    };
                    Emission {
                        tau: Tau { timestamp: Time::from_ps(now), packet },
                        record,
                        match_key: Some(record),
                    }
                })
                .collect();
            Injection { source: Box::new(Script { number, emissions: emissions.into_iter() }), at }
        };
        places.into_iter().enumerate().map(inject).collect()
    }

    pub fn topology(&self) -> Topology {
        Topology::from_toml("random.toml", &self.toml).unwrap_or_else(|error| panic!("{error:#?}"))
    }

    /// What happens, as it is told.
    pub fn run(&self, engine: Engine, threads: usize) -> Result<(Outcome, Log), EngineError> {
        let mut log = Log::default();
        let outcome = self.run_for(&mut log, engine, threads)?;
        Ok((outcome, log))
    }

    /// What happens while nobody watches.
    pub fn run_unwatched(&self, engine: Engine, threads: usize) -> Result<Outcome, EngineError> {
        self.run_for(Unwatched, engine, threads)
    }

    /// The same with pauses at these instants, in picoseconds.
    pub fn run_paused(
        &self,
        pauses: &[u64],
        engine: Engine,
        threads: usize,
    ) -> Result<(Outcome, Log), EngineError> {
        let mut log = Log::default();
        let topology = self.topology();
        let injections = self.injections(&topology);
        let settings = self.settings(engine, threads);
        let mut simulation = Simulation::start(topology, injections, settings, &mut log)?;
        for pause in pauses {
            let progress = simulation.run_until(Time::from_ps(*pause))?;
            assert!(progress.time <= Time::from_ps(*pause), "{progress:?} after {pause} ps");
        }
        let outcome = simulation.finish()?.outcome;
        Ok((outcome, log))
    }

    /// The statistics of a run under an observer, which is told of the packets that end as well.
    pub fn run_kept<O: Observer>(
        &self,
        observer: O,
        engine: Engine,
        threads: usize,
    ) -> Result<Finished<O>, EngineError> {
        let topology = self.topology();
        let injections = self.injections(&topology);
        let settings = Settings { statistics: true, packets: true, ..self.settings(engine, threads) };
        Simulation::start(topology, injections, settings, observer)?.finish()
    }

    fn settings(&self, engine: Engine, threads: usize) -> Settings {
        Settings {
            until: self.until.map(Time::from_ps),
            seed: self.seed,
            engine,
            threads,
            ..Settings::default()
        }
    }

    fn run_for(
        &self,
        observer: impl Observer,
        engine: Engine,
        threads: usize,
    ) -> Result<Outcome, EngineError> {
        let topology = self.topology();
        let injections = self.injections(&topology);
        simulate(topology, injections, self.settings(engine, threads), observer)
    }
}

/// Flows to every host, and one to nobody.
struct Script {
    number: usize,
    emissions: std::vec::IntoIter<Emission>,
}

impl Source for Script {
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError> {
        Ok(self.emissions.next())
    }
    fn flow(&self, fid: u32) -> FlowKey {
        let address = |number: u32| IpAddr::from([10, 0, 0, number as u8]);
        let (source, destination) = (address(self.number as u32), address(fid));
        FlowKey::Ip { source, destination, protocol: 17, ports: Some((fid as u16, 9)) }
    }
}

/// Everything that an observer is told.
#[derive(Debug, Default, PartialEq)]
pub struct Log {
    pub flows: Vec<FlowKey>,
    pub injected: Vec<(Tau, u32, u64)>,
    pub hops: Vec<Hop>,
    pub delivered: Vec<(Tau, DeviceId)>,
    pub dropped: Vec<Dropped>,
    pub waiting: Vec<(PortId, Tau)>,
    settled: Time,
}

impl Log {
    /// Orders it by packet: the order of what is told is the engine's own.
    pub fn sort(&mut self) {
        self.injected.sort_by_key(|(tau, _, _)| tau.packet.pid);
        self.hops.sort_by_key(|hop| (hop.packet.pid, hop.egress, hop.ingress));
        self.delivered.sort_by_key(|(tau, _)| tau.packet.pid);
        self.dropped.sort_by_key(|drop| drop.tau.packet.pid);
        self.waiting.sort_by_key(|(_, joined)| joined.packet.pid);
    }
}

impl Observer for Log {
    fn flow(&mut self, fid: u32, key: &FlowKey) -> Observed {
        assert_eq!(fid as usize, self.flows.len());
        self.flows.push(*key);
        Ok(())
    }
    fn injected(&mut self, injected: &Injected<'_>) -> Observed {
        self.injected.push((injected.tau, injected.source, injected.record));
        Ok(())
    }
    fn hop(&mut self, hop: &Hop) -> Observed {
        self.hops.push(*hop);
        Ok(())
    }
    fn delivered(&mut self, tau: &Tau, host: DeviceId) -> Observed {
        assert!(tau.timestamp >= self.settled, "told after it was settled");
        self.delivered.push((*tau, host));
        Ok(())
    }
    fn dropped(&mut self, drop: &Dropped) -> Observed {
        assert!(drop.at >= self.settled, "told after it was settled");
        self.dropped.push(*drop);
        Ok(())
    }
    fn waits(&mut self, port: PortId, joined: &Tau) -> Observed {
        self.waiting.push((port, *joined));
        Ok(())
    }
    fn settled(&mut self, before: Time) -> Observed {
        self.settled = before;
        Ok(())
    }
}
