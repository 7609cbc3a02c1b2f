//! Iterated re-sequencing changes nothing: every ingress Tau is final when a PTM sees it.
//!
//! DeepQueueNet runs its devices on whole traces, one after the other, and repeats this until no timestamp
//! changes. `docs/decisions/15-no-resequencing.md` explains why taunet does not. This test runs a torus,
//! whose ports feed each other in cycles. Every port then gets its recorded ingress stream again, as in the
//! next iteration. The iteration is also run from its beginning, to compare its fixed point.

use std::fs;
use std::sync::Arc;

use taunet::engine::{Dropped, Engine, Hop, Injected, Observed, Observer, Settings, simulate};
use taunet::flow::Flows;
use taunet::link::link_forward;
use taunet::packet::{DropReason, FlowKey, Packet, Tau};
use taunet::ptm::{Departure, Loss, Place};
use taunet::scenario::Scenario;
use taunet::topology::{PortId, Topology};
use taunet::units::Time;

use crate::generated::injections;

/// The PTM of every switch port. To add one: a line here.
const PTMS: &[&str] = &[
    r#"{ kind = "fifo" }"#,
    r#"{ kind = "fifo", buffer = "5 packets" }"#,
    r#"{ kind = "drr", buffer = "20 packets", class = [{ match = { dscp = 46 }, quantum = "3000 B" }, { quantum = "1500 B" }] }"#,
    r#"{ kind = "token-bucket", rate = "9 Mbps", burst = "3000 B", buffer = "10 kB", release_slack = "30 us" }"#,
    concat!(
        r#"{ kind = "neural", context = "drr", model = ""#,
        env!("CARGO_MANIFEST_DIR"),
        r#"/models/general.safetensors" }"#
    ),
];

const SEED: u64 = 1;

/// A torus of 3 x 3 switches whose links are loaded at 0.8, and two classes of traffic between its hosts.
fn scenario(ptm: &str) -> Scenario {
    let folder = tempfile::tempdir().unwrap();
    let topology = format!(
        r#"
        name = "torus"
        generate = {{ kind = "torus", dimensions = [3, 3] }}
        forwarding = {{ multipath = "ecmp" }}
        defaults.link = {{ bandwidth = "10 Mbps", delay = "20 us" }}
        defaults.access_link = {{ bandwidth = "1 Gbps" }}
        defaults.switch = {{ processing = "3 us", ptm = {ptm} }}
        "#
    );
    let entry = |kind: &str, dscp: u8, rate: &str, more: &str| {
        format!(
            "[[traffic]]\nkind = \"{kind}\"\nmatrix = \"uniform\"\nsize = {{ min = \"66 B\", max = \"1426 B\" }}\n\
             packets = 300\ndscp = {dscp}\nrate = \"{rate}\"\n{more}\n"
        )
    };
    let text = format!(
        "name = \"torus\"\ntopology = \"torus.toml\"\n{}{}",
        entry("poisson", 46, "10 Mbps", ""),
        entry("on-off", 0, "10 Mbps", "on = { mean = \"5 ms\" }\noff = { mean = \"5 ms\" }"),
    );
    fs::write(folder.path().join("torus.toml"), topology).unwrap();
    let path = folder.path().join("scenario.toml");
    fs::write(&path, text).unwrap();
    Scenario::load(&path, &[], Some(SEED)).unwrap_or_else(|error| panic!("{error}"))
}

/// What happens in a network, and which way its packets take.
#[derive(Default)]
struct Record {
    flows: Flows,
    /// As they are injected, by `pid`, with the egress ports on the way.
    packets: Vec<Option<(Tau, Vec<PortId>)>>,
    /// Those of each port in order.
    hops: Vec<Hop>,
    lost: Vec<Dropped>,
}

impl Observer for Record {
    fn flow(&mut self, fid: u32, key: &FlowKey) -> Observed {
        assert_eq!(self.flows.add(*key), (fid, true));
        Ok(())
    }
    fn injected(&mut self, injected: &Injected<'_>) -> Observed {
        let pid = injected.tau.packet.pid as usize;
        self.packets.resize(self.packets.len().max(pid + 1), None);
        self.packets[pid] = Some((injected.tau, injected.path.to_vec()));
        Ok(())
    }
    fn hop(&mut self, hop: &Hop) -> Observed {
        self.hops.push(*hop);
        Ok(())
    }
    fn dropped(&mut self, drop: &Dropped) -> Observed {
        self.lost.push(*drop);
        Ok(())
    }
}

/// One pass of taunet.
fn run(scenario: &Scenario) -> Record {
    let mut record = Record::default();
    let settings = Settings { seed: SEED, engine: Engine::Stream, threads: 1, ..Settings::default() };
    simulate(Arc::clone(&scenario.topology), injections(scenario, SEED), settings, &mut record).unwrap();
    record
}

/// What a port by itself makes of an ingress stream, with a PTM in which nothing has happened yet.
fn alone(topology: &Topology, flows: &Flows, port: PortId, ingress: &[Tau]) -> (Vec<Departure>, Vec<Loss>) {
    let place = Place {
        link: topology.link(topology.port(port).egress).link,
        seed: SEED,
        port: &topology.port_name(port),
        start: taunet::units::Timestamp::default(),
    };
    let (mut departures, mut losses) = (Vec::new(), Vec::new());
    let mut ptm = topology.port(port).ptm.build(&place);
    ptm.forward_trace(ingress, flows, Time::NEVER, &mut departures, &mut losses);
    (departures, losses)
}

/// When a packet joins a port, starts onto its link or is lost, by `pid`.
type Fates = Vec<(u64, Time, Result<Time, (Time, DropReason)>)>;

fn fates((departures, losses): (Vec<Departure>, Vec<Loss>)) -> Fates {
    let left = departures.iter().map(|it| (it.tau.packet.pid, it.tau.timestamp, Ok(it.start)));
    let lost = losses.iter().map(|it| (it.tau.packet.pid, it.tau.timestamp, Err((it.at, it.reason))));
    left.chain(lost).collect()
}

/// The recorded ingress stream of a port, and what became of it.
fn recorded(topology: &Topology, record: &Record, port: PortId) -> (Vec<Tau>, Fates) {
    let processing = topology.device(topology.port(port).device).processing;
    let hops = record.hops.iter().filter(|hop| hop.port == port);
    let lost = record.lost.iter().filter(|drop| drop.port == Some(port));
    let lost = lost.map(|drop| (Tau { timestamp: drop.tau.timestamp + processing, ..drop.tau }, drop));
    let mut ingress: Vec<Tau> =
        hops.clone().map(|hop| Tau { timestamp: hop.joined, packet: hop.packet }).collect();
    ingress.extend(lost.clone().map(|(joined, _)| joined));
    ingress.sort_by_key(|tau| tau.timestamp);
    let are_apart = ingress.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp);
    assert!(are_apart, "packets join at one instant: the order is not in the record");
    let fates = hops.map(|hop| (hop.packet.pid, hop.joined, Ok(hop.egress)));
    let lost = lost.map(|(joined, drop)| (joined.packet.pid, joined.timestamp, Err((drop.at, drop.reason))));
    (ingress, fates.chain(lost).collect())
}

#[test]
fn another_iteration_gives_the_same_departures() {
    for ptm in PTMS {
        let scenario = scenario(ptm);
        let topology = &scenario.topology;
        let record = run(&scenario);
        let waited = record.hops.iter().filter(|hop| hop.egress > hop.joined).count();
        assert!(waited > 2_000, "only {waited} packets wait: {ptm}");
        assert_eq!(record.lost.is_empty(), !ptm.contains("buffer"), "{ptm}");
        let mut seen = 0;
        for (port, _) in topology.ports() {
            let (ingress, expected) = recorded(topology, &record, port);
            seen += ingress.len();
            let again = fates(alone(topology, &record.flows, port, &ingress));
            assert_eq!(again, expected, "{} with {ptm}", topology.port_name(port));
        }
        assert_eq!(seen, record.hops.len() + record.lost.len());
    }
}

/// A packet's passages, port by port: when it reaches the device, and when it starts onto the link.
type Passages = Vec<(Time, Option<Time>)>;

/// DeepQueueNet's iteration from its beginning, where nobody waits: the passages of each packet, and after how many
/// iterations no timestamp changes.
fn iterate(topology: &Topology, record: &Record) -> (Vec<Passages>, u32) {
    let link = |port: PortId| topology.link(topology.port(port).egress);
    let arrival = |packet: Packet, port: PortId, start: Time| {
        link_forward(Tau { timestamp: start, packet }, &link(port).link).timestamp
    };
    let packets: Vec<&(Tau, Vec<PortId>)> =
        record.packets.iter().map(|packet| packet.as_ref().unwrap()).collect();
    let unhindered = |(tau, path): &&(Tau, Vec<PortId>)| {
        let mut now = tau.timestamp;
        let pass = |&port: &PortId| {
            let start = now + topology.device(topology.port(port).device).processing;
            let passage = (now, Some(start));
            now = arrival(tau.packet, port, start);
            passage
        };
        path.iter().map(pass).collect()
    };
    let mut passages: Vec<Passages> = packets.iter().map(unhindered).collect();
    for iteration in 1.. {
        // The ingress stream of each port by the timestamps of the iteration before.
        let mut ingress: Vec<Vec<Tau>> = vec![Vec::new(); topology.ports().len()];
        for ((tau, path), passages) in packets.iter().zip(&passages) {
            let mut in_port = tau.packet.in_port;
            for (&port, (reached, _)) in path.iter().zip(passages) {
                let packet = Packet { in_port, ..tau.packet };
                let timestamp = *reached + topology.device(topology.port(port).device).processing;
                ingress[port.index()].push(Tau { timestamp, packet });
                in_port = topology.port(link(port).to).number;
            }
        }
        let mut starts: Vec<Vec<Option<Time>>> =
            packets.iter().map(|(_, path)| vec![None; path.len()]).collect();
        for (port, ingress) in ingress.iter_mut().enumerate() {
            let port = PortId::new(port);
            ingress.sort_by_key(|tau| (tau.timestamp, tau.packet.in_port, tau.packet.pid));
            for departure in alone(topology, &record.flows, port, ingress).0 {
                let pid = departure.tau.packet.pid as usize;
                let place = packets[pid].1.iter().position(|on_the_way| *on_the_way == port).unwrap();
                starts[pid][place] = Some(departure.start);
            }
        }
        let follow = |((tau, path), starts): (&&(Tau, Vec<PortId>), &Vec<Option<Time>>)| {
            let mut passages = Passages::new();
            let mut reached = Some(tau.timestamp);
            for (&port, &start) in path.iter().zip(starts) {
                let Some(now) = reached else { break };
                passages.push((now, start));
                reached = start.map(|start| arrival(tau.packet, port, start));
            }
            passages
        };
        let next: Vec<Passages> = packets.iter().zip(&starts).map(follow).collect();
        if next == passages {
            return (passages, iteration);
        }
        passages = next;
    }
    unreachable!("an iteration without an end")
}

#[test]
fn the_iteration_ends_at_what_one_pass_gives() {
    for ptm in PTMS {
        let scenario = scenario(ptm);
        let record = run(&scenario);
        let mut once: Vec<Passages> = vec![Passages::new(); record.packets.len()];
        for hop in &record.hops {
            once[hop.packet.pid as usize].push((hop.ingress, Some(hop.egress)));
        }
        for drop in &record.lost {
            once[drop.tau.packet.pid as usize].push((drop.tau.timestamp, None));
        }
        once.iter_mut().for_each(|passages| passages.sort());
        let (passages, iterations) = iterate(&scenario.topology, &record);
        let differing = passages.iter().zip(&once).filter(|(passages, once)| passages != once).count();
        assert_eq!(differing, 0, "packets that pass otherwise with {ptm}");
        println!("{iterations} iterations with {ptm}");
        assert!(iterations > 4, "{iterations} iterations are hardly any: {ptm}");
    }
}
