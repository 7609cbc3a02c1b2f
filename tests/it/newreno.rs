//! ns-3's NewReno response vectors. `TAUNET_ORACLES=FOLDER` names a folder with `ns3-newreno/nr0.pcap` to
//! `nr4.pcap`.
//!
//! The captures contain the sender's packets in ns-3's tests of loss (nsnam/ns-3-dev, `src/test/ns3tcp`). The
//! path: 8 Mb/s and 0.1 ms, 0.8 Mb/s and 100 ms; the receiver loses packets by their number. ns-3's packets
//! have 2 bytes of link-layer header (PPP), not Ethernet's 14.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use taunet::config::Registry;
use taunet::engine::{Hosted, Injected, Observed, Observer, Settings, Simulation, Workload};
use taunet::flow::Flows;
use taunet::packet::{DropReason, FlowKey, Tau};
use taunet::ptm::{Backlog, Discipline, Loss, Next, Place};
use taunet::topology::Topology;
use taunet::transport::congestion::Algorithm;
use taunet::transport::tcp::{LossRecovery, PROTOCOL, Parameters};
use taunet::transport::{Application, Endpoint, Host, Opening, Process, Segment, Service};
use taunet::units::{Time, Timestamp};

const NETWORK: &str = r#"
name = "ns3tcp-loss"
[[device]]
name = "s1"
kind = "host"
addresses = ["10.1.3.1"]
[[device]]
name = "r1"
kind = "switch"
# Loses as the receiver's device does: what has arrived.
[[device]]
name = "device"
kind = "switch"
[[device]]
name = "k1"
kind = "host"
addresses = ["10.1.2.2"]
[[link]]
between = ["s1:0", "r1:0"]
bandwidth = "unlimited"
delay = "0.1 ms"
forward = { ptm = { kind = "netem", rate = "8 Mbps", packet_overhead = "-12 B" } }
backward = { ptm = { kind = "netem", rate = "8 Mbps", packet_overhead = "-12 B" } }
[[link]]
between = ["r1:1", "device:0"]
bandwidth = "unlimited"
delay = "100 ms"
forward = { ptm = { kind = "netem", rate = "0.8 Mbps", packet_overhead = "-12 B" } }
backward = { ptm = { kind = "netem", rate = "0.8 Mbps", packet_overhead = "-12 B" } }
[[link]]
between = ["device:1", "k1:0"]
bandwidth = "unlimited"
delay = "0 s"
forward = { ptm = { kind = "listed-losses", lost = LOST } }
backward = { ptm = { kind = "fifo" } }
"#;

/// Loses packets by their number.
struct ListedLosses {
    lost: Vec<u64>,
    seen: u64,
    queue: VecDeque<Tau>,
    backlog: Backlog,
}

#[derive(serde::Deserialize)]
struct Lost {
    lost: Vec<u64>,
}

impl Discipline for ListedLosses {
    fn enqueue(&mut self, tau: Tau, _flows: &Flows, losses: &mut Vec<Loss>) {
        let number = self.seen;
        self.seen += 1;
        if self.lost.contains(&number) {
            losses.push(Loss { at: tau.timestamp, tau, reason: DropReason::LostOnLink });
        } else {
            self.backlog.add(tau.packet.length);
            self.queue.push_back(tau);
        }
    }

    fn next(&mut self, _now: Time, _losses: &mut Vec<Loss>) -> Next {
        self.queue.front().map_or(Next::Nothing, |first| Next::Ready(first.packet.length))
    }

    fn dequeue(&mut self, _now: Time, _losses: &mut Vec<Loss>) -> Option<Tau> {
        let tau = self.queue.pop_front()?;
        self.backlog.remove(tau.packet.length);
        Some(tau)
    }

    fn backlog(&self) -> Backlog {
        self.backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(&self.queue);
    }
}

fn topology(lost: &[u64]) -> Topology {
    let mut registry = Registry::default();
    registry.discipline("listed-losses", |lost: &Lost, _place: &Place<'_>| ListedLosses {
        lost: lost.lost.clone(),
        seen: 0,
        queue: VecDeque::new(),
        backlog: Backlog::default(),
    });
    let text = NETWORK.replace("LOST", &format!("{lost:?}"));
    Topology::from_toml_with("ns3.toml", &text, &registry).unwrap_or_else(|error| panic!("{error}"))
}

/// Writes 200,000 bytes and closes.
struct Source {
    left: u64,
}

impl Application for Source {
    fn run(&mut self, connection: &mut Process<'_, '_>) -> Option<Time> {
        while self.left > 0 && connection.poll_writable() {
            self.left -= connection.write(self.left);
        }
        if self.left == 0 {
            connection.close();
        }
        None
    }
}

struct Sink;

impl Application for Sink {
    fn run(&mut self, connection: &mut Process<'_, '_>) -> Option<Time> {
        while connection.read(u64::MAX) > 0 {}
        if connection.is_at_end() {
            connection.close();
        }
        None
    }
}

fn parameters() -> Arc<Parameters> {
    let recovery = LossRecovery::Rfc6582;
    Arc::new(Parameters { recovery, initial_window: 1, ..Parameters::new(Algorithm::Reno, 1_000) })
}

impl Service for Sink {
    fn accept(&mut self, _asked: &FlowKey) -> Box<dyn Application> {
        Box::new(Sink)
    }

    fn parameters(&self) -> Arc<Parameters> {
        parameters()
    }
}

/// A packet of the sender: when, in us, its first sequence number, and bytes of payload.
type Sent = (u64, u64, u64);

#[derive(Default)]
struct Sender {
    keys: Vec<FlowKey>,
    sent: Vec<Sent>,
}

impl Observer for &mut Sender {
    fn flow(&mut self, _fid: u32, key: &FlowKey) -> Observed {
        self.keys.push(*key);
        Ok(())
    }

    fn injected(&mut self, injected: &Injected<'_>) -> Observed {
        let segment: &Segment = injected.segment.expect("only endpoints send");
        let key = &self.keys[injected.tau.packet.fid as usize];
        if matches!(key, FlowKey::Ip { ports: Some((_, 50_000)), .. }) {
            let at = injected.tau.timestamp.as_ps() / 1_000_000;
            self.sent.push((at, segment.seq, segment.payload()));
        }
        Ok(())
    }
}

fn simulate(lost: &[u64]) -> Vec<Sent> {
    let topology = topology(lost);
    let [s1, k1] = ["s1", "k1"].map(|name| topology.device_named(name).unwrap());
    let key = FlowKey::Ip {
        source: "10.1.3.1".parse().unwrap(),
        destination: "10.1.2.2".parse().unwrap(),
        protocol: PROTOCOL,
        ports: Some((49_153, 50_000)),
    };
    let opening = Opening {
        at: Time::ZERO,
        key,
        service: 0,
        parameters: parameters(),
        application: Box::new(Source { left: 200_000 }),
    };
    let start = Timestamp::default();
    let client = Host::new(start, vec![], vec![Box::new(vec![opening].into_iter())]);
    let server = Host::new(start, vec![Box::new(Sink)], vec![]);
    let endpoints = [(s1, client), (k1, server)]
        .map(|(host, endpoint)| Hosted { host, endpoint: Box::new(endpoint) as Box<dyn Endpoint> });
    let workload = Workload { endpoints: endpoints.into(), ..Workload::default() };
    let mut sender = Sender::default();
    let settings = Settings { until: Some(Time::from_ps(60_000_000_000_000)), ..Settings::default() };
    Simulation::start(topology, workload, settings, &mut sender).unwrap().finish().unwrap();
    sender.sent
}

/// The packets of a vector: TCP headers without IP, and stamps in us.
fn vector(path: &Path) -> Vec<Sent> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut sent = Vec::new();
    let mut at = 24;
    while at < bytes.len() {
        let (seconds, us, kept, length) = (word(at), word(at + 4), word(at + 8), word(at + 12));
        let header = &bytes[at + 16..at + 16 + kept as usize];
        let seq = u32::from_be_bytes(header[4..8].try_into().unwrap());
        let payload = length - u32::from(header[12] >> 4) * 4;
        sent.push((u64::from(seconds) * 1_000_000 + u64::from(us), seq.into(), payload.into()));
        at += 16 + kept as usize;
    }
    sent
}

#[test]
fn ns3_newreno_vectors() {
    let Some(folder) = std::env::var_os("TAUNET_ORACLES") else {
        eprintln!("TAUNET_ORACLES is not set: ns-3's vectors were not compared");
        return;
    };
    for (number, lost) in [&[][..], &[16], &[16, 17], &[16, 17, 18], &[16, 17, 18, 19]].iter().enumerate() {
        let name = format!("nr{number}.pcap");
        let expected = vector(&Path::new(&folder).join("ns3-newreno").join(&name));
        let sent = simulate(lost);
        let differs = expected.iter().zip(&sent).position(|(theirs, ours)| {
            (theirs.1, theirs.2) != (ours.1, ours.2) || theirs.0.abs_diff(ours.0) > 1
        });
        if let Some(at) = differs {
            let around = at.saturating_sub(3)..at + 5;
            let part = |list: &[Sent]| format!("{:?}", list.get(around.start..around.end.min(list.len())));
            panic!("{name}, packet {at}:\n  ns-3   {}\n  taunet {}", part(&expected), part(&sent));
        }
        assert_eq!(sent.len(), expected.len(), "{name}: {:?}", sent.last());
        println!("{name}: {} packets, each within 1 us", sent.len());
    }
}
