//! Compares networks with exact PTMs with the same networks with another PTM at every switch and router: the
//! error of the end-to-end delays, and the cost of both.
//!
//! ```sh
//! cargo bench --bench learned -- --ptm 'kind = "fifo", buffer = "1 GB"'
//! cargo bench --bench learned -- --ptm 'kind = "wfq", classes = "per-flow"' --only torus
//! cargo bench --bench learned -- --discipline drr --ptm 'kind = "neural", model = "models/general.safetensors", context = "drr"'
//! ```
//!
//! The networks are those of `training/networks/` at two loads, and the single switches of `training/` with
//! seed 2. Options:
//!
//! - `--ptm`: the other PTM, as in a topology file between the braces.
//! - `--only`: selects the networks whose name contains a text.
//! - `--times`: multiplies the duration of the runs.
//! - `--discipline` (default: `fifo`): the file in `training/topologies/` with the exact switch. It is the
//!   single switch, and every switch and router of the networks has its PTM.
//!
//! A path is a pair of source and destination host with at least 50 packets; with a discipline that
//! distinguishes classes, which delays them differently, a pair and a DSCP. Errors are |other - exact| /
//! exact of the mean and the 99th percentile of the one-way delays of a path, and of its mean waiting time at
//! switches, averaged over paths. Costs are transmissions of hosts and switches per CPU-second, in runs
//! without observers, on one thread of the stream engine.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;

use taunet::compare::{Delays, agreement, summarize};
use taunet::engine::{
    self, Dropped, Engine, Hop, Injected, Injection, InjectionPoint, Observed, Observer, Outcome, Settings,
    Unwatched,
};
use taunet::packet::{FlowKey, Packet, Tau};
use taunet::ptm::PtmSpec;
use taunet::scenario::{Scenario, Traffic};
use taunet::topology::{
    DeviceId, DeviceKind, DeviceSpec, LinkId, LinkSpec, PortId, PortName, RouteSpec, Topology,
};
use taunet::units::Time;

/// The networks, with the factor that raises the load of the busiest link from 0.5, as in the files, to 0.8.
const NETWORKS: &[(&str, [&str; 4])] = &[
    (
        "fat-tree-16",
        ["traffic.0.rate=3.36 Mbps", "traffic.1.rate=5.04 Mbps", "traffic.2.rate=8.4 Mbps", "until=4.4 s"],
    ),
    (
        "torus-4x4",
        ["traffic.0.rate=4.48 Mbps", "traffic.1.rate=6.72 Mbps", "traffic.2.rate=11.2 Mbps", "until=3.3 s"],
    ),
    (
        "abilene",
        ["traffic.0.rate=1.56 Mbps", "traffic.1.rate=2.34 Mbps", "traffic.2.rate=3.9 Mbps", "until=12.8 s"],
    ),
];
const ARRIVALS: &[&str] = &["map", "poisson", "on-off"];
/// Switches that differ from those of the training: name, file, and the values set in it.
const OTHER_SWITCHES: &[(&str, &str, &[&str])] = &[
    ("map, 8 ports", "8-ports", &[]),
    ("map, 10 times the rate", "map", &["topology=topologies/fifo-10-times.toml", "until=9 s"]),
];
const SEED: u64 = 2;
const FEWEST_PACKETS: usize = 50;
/// Duration of the cost measurements.
const LEAST_CPU_S: f64 = 0.5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let ptm_text = option("--ptm").unwrap_or("kind = \"fifo\"".to_owned());
    let ptm = ptm(&ptm_text);
    let only = option("--only").unwrap_or_default();
    let discipline = option("--discipline").unwrap_or("fifo".to_owned());
    let times: f64 = option("--times").map_or(1.0, |text| text.parse().expect("--times is a number"));

    let topology = format!("topology=topologies/{discipline}.toml");
    let mut switches = String::new();
    let trained = ARRIVALS.iter().map(|name| (*name, *name, vec![topology.as_str()]));
    let others = OTHER_SWITCHES.iter().map(|(name, file, set)| (*name, *file, set.to_vec()));
    let others = others.filter(|_| discipline == "fifo");
    for (name, file, set) in
        trained.chain(others).filter(|(name, ..)| format!("switch {name}").contains(&only))
    {
        let scenario = load(&format!("training/{file}.toml"), &set);
        let row = compare_switch(name, &scenario, &ptm);
        eprint!("{row}");
        switches += &row;
    }
    let exact = exact_ptm(&discipline);
    let mut networks = String::new();
    let mut means = String::new();
    for (network, high) in NETWORKS {
        let mut runs = Vec::new();
        for arrivals in ARRIVALS.iter().filter(|arrivals| format!("{network}-{arrivals}").contains(&only)) {
            for (busy, set) in [(0.5, &[][..]), (0.8, &high[..])] {
                let path = format!("training/networks/{network}-{arrivals}.toml");
                let until = load(&path, set).until.expect("their traffic is endless");
                let longer = format!("until={} ps", (until.as_ps() as f64 * times) as u64);
                let mut scenario = load(&path, &[set, &[longer.as_str()]].concat());
                scenario.topology = with_ptm(&scenario.topology, &exact).into();
                let (row, run) =
                    compare_network(&format!("| {network} | {arrivals} | {busy} "), &scenario, &ptm);
                eprint!("{row}");
                networks += &row;
                runs.push(run);
            }
        }
        means += &mean_and_worst(&format!("| {discipline} | {network} "), &runs);
    }
    println!("`{{ {ptm_text} }}` at every switch and router, beside the exact PTMs; seed {SEED}.\n");
    if !switches.is_empty() {
        println!(
            "Sojourn at the egress ports of one switch, `{discipline}`, from the ingress to the last bit:\n\n\
             | arrivals | port | load | packets | pearson | w1_normalized | mean, exact [us] | mean, other [us] | Mtrans/CPU-s, exact | other |\n\
             |---|---|---|---|---|---|---|---|---|---|\n{switches}"
        );
    }
    if !networks.is_empty() {
        println!(
            "One-way delays through networks, errors averaged over paths:\n\n\
             | network | arrivals | load | busiest | packets | lost, other | paths | error of the mean | of the 99th percentile | of the waiting \
             time | Mtrans/CPU-s, exact | other |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|\n{networks}"
        );
        println!(
            "The same, averaged over the runs of a network, with the worst run in brackets:\n\n\
             | discipline | network | runs | error of the mean | of the 99th percentile | of the waiting time | Mtrans/CPU-s, exact | other |\n\
             |---|---|---|---|---|---|---|---|\n{means}"
        );
    }
}

fn load(path: &str, set: &[&str]) -> Scenario {
    let set: Vec<String> = set.iter().map(|&set| set.to_owned()).collect();
    Scenario::load(&PathBuf::from(path), &set, Some(SEED)).unwrap_or_else(|error| panic!("{error}"))
}

/// The PTM of the switch of a file in `training/topologies/`.
fn exact_ptm(discipline: &str) -> PtmSpec {
    let path = format!("training/topologies/{discipline}.toml");
    let topology = Topology::load(path.as_ref()).unwrap_or_else(|error| panic!("{error}"));
    let (_, port) = topology
        .ports()
        .find(|(_, port)| topology.device(port.device).kind == DeviceKind::Switch)
        .unwrap_or_else(|| panic!("no switch in {path}"));
    port.ptm.clone()
}

/// The PTM given by the text between the braces.
fn ptm(text: &str) -> PtmSpec {
    let topology = format!(
        "name = \"ptm\"\nlink = [{{ between = [\"a:0\", \"b:0\"], bandwidth = \"1 Gbps\" }}]\n\
         device = [{{ name = \"a\", kind = \"host\", ptm = {{ {text} }} }}, {{ name = \"b\", kind = \"host\" }}]"
    );
    let topology = Topology::from_toml("ptm.toml", &topology).unwrap_or_else(|error| panic!("{error}"));
    topology.ports().next().expect("two ports").1.ptm.clone()
}

/// The same network with `ptm` at every port except those of hosts.
fn with_ptm(topology: &Topology, ptm: &PtmSpec) -> Topology {
    let devices = topology.devices().map(|(_, device)| DeviceSpec {
        addresses: device.addresses.clone(),
        processing: device.processing,
        routes: device
            .routes
            .iter()
            .map(|route| RouteSpec { destination: route.destination, port: topology.port(route.port).number })
            .collect(),
        ..DeviceSpec::new(&device.name, device.kind)
    });
    let links = topology.forward_links().map(|(id, forward)| {
        let backward = topology.link(LinkId::new(id.index() + 1));
        let ends = [forward.from, forward.to].map(|end| topology.port(end));
        LinkSpec {
            between: ends.map(|port| PortName::new(&topology.device(port.device).name, port.number)),
            forward: forward.link,
            backward: backward.link,
            ptm: ends.map(|port| {
                let is_host = topology.device(port.device).kind == DeviceKind::Host;
                Some(if is_host { port.ptm.clone() } else { ptm.clone() })
            }),
            impairment: [forward.impairment, backward.impairment],
        }
    });
    Topology::new(topology.name(), devices.collect(), links.collect())
        .unwrap_or_else(|error| panic!("{error}"))
        .with_forwarding(topology.forwarding().clone())
}

/// A packet at its injection.
#[derive(Clone, Copy)]
struct Sent {
    fid: u32,
    dscp: u8,
    at: Time,
}

/// The fate of packets, by `pid`.
struct Passages<'t> {
    topology: &'t Topology,
    flows: Vec<FlowKey>,
    /// None where no packet has the number.
    injected: Vec<Option<Sent>>,
    /// From the injection to the arrival, in picoseconds.
    delays: Vec<Option<i64>>,
    /// At switches, in picoseconds.
    waiting: Vec<i64>,
    /// At its last switch: the port, and the time from the ingress to the last bit in picoseconds.
    sojourns: Vec<Option<(PortId, i64)>>,
    /// For how many picoseconds each switch port sends.
    busy: Vec<u64>,
    lost: u64,
}

impl<'t> Passages<'t> {
    fn new(topology: &'t Topology) -> Self {
        Passages {
            topology,
            flows: Vec::new(),
            injected: Vec::new(),
            delays: Vec::new(),
            waiting: Vec::new(),
            sojourns: Vec::new(),
            busy: vec![0; topology.ports().len()],
            lost: 0,
        }
    }

    /// The part of the time until the last injection in which each switch port sends.
    fn loads(&self) -> Vec<f64> {
        let end = self.injected.iter().flatten().map(|sent| sent.at.as_ps()).max().unwrap_or(1);
        self.busy.iter().map(|busy| *busy as f64 / end as f64).collect()
    }
}

impl Observer for Passages<'_> {
    fn flow(&mut self, _fid: u32, key: &FlowKey) -> Observed {
        self.flows.push(*key);
        Ok(())
    }
    fn injected(&mut self, injected: &Injected<'_>) -> Observed {
        let pid = injected.tau.packet.pid as usize;
        if self.injected.len() <= pid {
            self.injected.resize(pid + 1, None);
            self.delays.resize(pid + 1, None);
            self.waiting.resize(pid + 1, 0);
            self.sojourns.resize(pid + 1, None);
        }
        let Packet { fid, dscp, .. } = injected.tau.packet;
        self.injected[pid] = Some(Sent { fid, dscp, at: injected.tau.timestamp });
        Ok(())
    }
    fn hop(&mut self, hop: &Hop) -> Observed {
        let port = self.topology.port(hop.port);
        if self.topology.device(port.device).kind == DeviceKind::Host {
            return Ok(());
        }
        let pid = hop.packet.pid as usize;
        let transmission = self.topology.link(port.egress).link.transmission_time(hop.packet.byte_count());
        self.busy[hop.port.index()] += transmission.as_ps();
        self.waiting[pid] += hop.egress.since(hop.joined).as_ps() as i64;
        let sojourn = (hop.egress + transmission).since(hop.ingress);
        self.sojourns[pid] = Some((hop.port, sojourn.as_ps() as i64));
        Ok(())
    }
    fn delivered(&mut self, tau: &Tau, _host: DeviceId) -> Observed {
        let pid = tau.packet.pid as usize;
        self.delays[pid] = self.injected[pid].map(|sent| tau.timestamp.since(sent.at).as_ps() as i64);
        Ok(())
    }
    fn dropped(&mut self, _drop: &Dropped) -> Observed {
        self.lost += 1;
        Ok(())
    }
}

/// The passages of all packets, and millions of transmissions per CPU-second, from runs without observers.
fn simulate<'t>(scenario: &Scenario, topology: &'t Topology) -> (Passages<'t>, f64) {
    let mut passages = Passages::new(topology);
    let watched = run(scenario, topology, &mut passages).0;
    let (mut hops, mut cpu) = (0, 0.0);
    while cpu < LEAST_CPU_S {
        let (unwatched, more) = run(scenario, topology, Unwatched);
        assert_eq!(watched, unwatched, "another run");
        hops += unwatched.hops;
        cpu += more;
    }
    (passages, hops as f64 / cpu / 1e6)
}

fn run(scenario: &Scenario, topology: &Topology, observer: impl Observer) -> (Outcome, f64) {
    let address = |host: DeviceId| Ok::<IpAddr, ()>(topology.device(host).addresses[0].addr());
    let mut injections = Vec::new();
    for traffic in &scenario.traffic {
        let Traffic::Generated(generator) = traffic else { panic!("a replay among the generated traffic") };
        for sender in &generator.senders {
            let name = &topology.device(sender.host).name;
            let source = generator.source(sender, name, SEED, address).expect("hosts have addresses");
            injections.push(Injection { source, at: InjectionPoint::Host(sender.host) });
        }
    }
    let settings = Settings {
        until: scenario.until,
        seed: SEED,
        engine: Engine::Stream,
        threads: 1,
        ..Settings::default()
    };
    let topology = topology.clone();
    let clock = cpu_seconds();
    let outcome = engine::simulate(topology, injections, settings, observer);
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
    (outcome, cpu_seconds() - clock)
}

/// One row per loaded port of the switch.
fn compare_switch(name: &str, scenario: &Scenario, ptm: &PtmSpec) -> String {
    let (exact, exact_rate) = simulate(scenario, &scenario.topology);
    let topology = with_ptm(&scenario.topology, ptm);
    let (other, other_rate) = simulate(scenario, &topology);
    let loads = exact.loads();
    let mut rows = String::new();
    for (port, _) in topology.ports().filter(|(port, _)| loads[port.index()] > 0.0) {
        let mut delays = Delays::default();
        for (exact, other) in exact.sojourns.iter().zip(&other.sojourns) {
            if let (Some((at, exact)), Some((_, other))) = (exact, other)
                && *at == port
            {
                delays.measured.push(*exact);
                delays.simulated.push(*other);
            }
        }
        let Some((other, exact, agreement)) = agreement(&delays) else { continue };
        rows += &format!(
            "| {name} | {} | {:.3} | {} | {:.5} | {:.5} | {:.1} | {:.1} | {exact_rate:.2} | {other_rate:.2} |\n",
            topology.port_name(port),
            loads[port.index()],
            delays.measured.len(),
            agreement.pearson.unwrap_or(f64::NAN),
            agreement.w1_normalized.unwrap_or(f64::NAN),
            exact.mean * 1e6,
            other.mean * 1e6,
        );
    }
    rows
}

/// The errors of a run, averaged over paths, of the mean, the 99th percentile and the waiting time; and
/// millions of transmissions per CPU-second, exact and other.
struct Run {
    errors: [f64; 3],
    rates: [f64; 2],
}

/// The row of a network.
fn compare_network(columns: &str, scenario: &Scenario, ptm: &PtmSpec) -> (String, Run) {
    let has_classes = scenario.topology.ports().any(|(_, port)| !matches!(port.ptm, PtmSpec::Fifo(_)));
    let (exact, exact_rate) = simulate(scenario, &scenario.topology);
    let topology = with_ptm(&scenario.topology, ptm);
    let (other, other_rate) = simulate(scenario, &topology);
    let mut paths: HashMap<_, usize> = HashMap::new();
    // Of each path: delays and waiting times, of both.
    let mut times: Vec<[[Vec<i64>; 2]; 2]> = Vec::new();
    for (pid, injected) in exact.injected.iter().enumerate() {
        let Some(Sent { fid, dscp, .. }) = injected else { continue };
        let flow = &exact.flows[*fid as usize];
        let next = paths.len();
        let class = if has_classes { *dscp } else { 0 };
        let path = (flow.source_address(), flow.destination_address(), class);
        let path = *paths.entry(path).or_insert(next);
        if path == times.len() {
            times.push(Default::default());
        }
        for (times, passages) in times[path].iter_mut().zip([&exact, &other]) {
            if let Some(delay) = passages.delays[pid] {
                times[0].push(delay);
                times[1].push(passages.waiting[pid]);
            }
        }
    }
    times.retain(|both| both.iter().all(|[delays, _]| delays.len() >= FEWEST_PACKETS));
    let mut errors = [0.0; 3];
    for both in &times {
        let [exact, other] = both.each_ref().map(|[delays, waiting]| {
            let [delays, waiting] =
                [delays, waiting].map(|times| summarize(times).expect("50 packets or more"));
            [delays.mean, delays.p99, waiting.mean]
        });
        for ((error, exact), other) in errors.iter_mut().zip(exact).zip(other) {
            *error += (other - exact).abs() / exact / times.len() as f64;
        }
    }
    let busiest = exact.loads().into_iter().fold(0.0, f64::max);
    let [mean, p99, waiting] = errors.map(|error| format!("{:.2} %", error * 100.0));
    let row = format!(
        "{columns}| {busiest:.3} | {} | {} | {} | {mean} | {p99} | {waiting} | {exact_rate:.2} | {other_rate:.2} |\n",
        exact.injected.iter().flatten().count(),
        other.lost,
        times.len(),
    );
    (row, Run { errors, rates: [exact_rate, other_rate] })
}

/// The row of all runs of a network.
fn mean_and_worst(columns: &str, runs: &[Run]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let mean = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).sum::<f64>() / runs.len() as f64;
    let [delay, p99, waiting] = [0, 1, 2].map(|at| {
        let worst = runs.iter().map(|run| run.errors[at]).fold(0.0, f64::max);
        format!("{:.2} % ({:.2} %)", mean(&|run| run.errors[at]) * 100.0, worst * 100.0)
    });
    let [exact, other] = [0, 1].map(|at| mean(&|run| run.rates[at]));
    format!("{columns}| {} | {delay} | {p99} | {waiting} | {exact:.2} | {other:.2} |\n", runs.len())
}

/// CPU seconds of this thread.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}
