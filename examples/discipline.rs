//! A custom queueing discipline: last in, first out. It has a name for topology files, parameters that are
//! read like those of taunet's own kinds, and runs on both engines.
//!
//! `cargo run --release --example discipline`

use std::error::Error;

use serde::Deserialize;
use taunet::config::Registry;
use taunet::engine::{Engine, Injection, InjectionPoint, Settings, Unwatched, simulate};
use taunet::flow::Flows;
use taunet::packet::{DropReason, FlowKey, Tau};
use taunet::ptm::{Backlog, Buffer, Discipline, Loss, Next, Place};
use taunet::topology::Topology;
use taunet::traffic::Cbr;
use taunet::units::Time;

/// Its keys in a topology file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    buffer: Buffer,
}

/// Waiting packets, the newest last.
struct LastInFirstOut {
    buffer: Buffer,
    stack: Vec<Tau>,
    backlog: Backlog,
}

impl Discipline for LastInFirstOut {
    fn enqueue(&mut self, tau: Tau, _flows: &Flows, losses: &mut Vec<Loss>) {
        if self.buffer.admits(self.backlog, tau.packet.length) {
            self.backlog.add(tau.packet.length);
            self.stack.push(tau);
        } else {
            losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::BufferFull });
        }
    }

    fn next(&mut self, _now: Time, _losses: &mut Vec<Loss>) -> Next {
        self.stack.last().map_or(Next::Nothing, |tau| Next::Ready(tau.packet.length))
    }

    fn dequeue(&mut self, _now: Time, _losses: &mut Vec<Loss>) -> Option<Tau> {
        let tau = self.stack.pop()?;
        self.backlog.remove(tau.packet.length);
        Some(tau)
    }

    fn backlog(&self) -> Backlog {
        self.backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(&self.stack);
    }
}

const TOPOLOGY: &str = r#"
    name = "stack"
    device = [
        { name = "a", kind = "host", addresses = ["10.0.0.1"] },
        { name = "b", kind = "host", addresses = ["10.0.0.2"] },
    ]
    [[link]]
    between = ["a:0", "b:0"]
    bandwidth = "10 Mbps"
    ptm = { kind = "lifo", buffer = "10 packets" }
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let mut registry = Registry::default();
    registry.discipline("lifo", |parameters: &Parameters, _place: &Place<'_>| LastInFirstOut {
        buffer: parameters.buffer,
        stack: Vec::new(),
        backlog: Backlog::default(),
    });
    // A mistake in its parameters is told with its place.
    let misspelt = TOPOLOGY.replace("buffer", "bufer");
    println!("{}", Topology::from_toml_with("stack.toml", &misspelt, &registry).unwrap_err());

    for engine in [Engine::Event, Engine::Stream] {
        let topology = Topology::from_toml_with("stack.toml", TOPOLOGY, &registry)?;
        let (source, destination) = ("10.0.0.1".parse()?, "10.0.0.2".parse()?);
        let flow = FlowKey::Ip { source, destination, protocol: 17, ports: Some((5000, 9)) };
        // 12 Mbps for a link of 10.
        let source = Cbr::new(flow, "1500 B".parse()?, "1 ms".parse()?, 500, Time::ZERO);
        let at = InjectionPoint::Host(topology.device_named("a").ok_or("a host of the topology")?);
        let injections = vec![Injection { source: Box::new(source), at }];
        let settings = Settings { engine, ..Settings::default() };
        let outcome = simulate(topology, injections, settings, Unwatched)?;
        println!(
            "{}: {} dropped, fingerprint {}",
            engine.name(),
            outcome.packets.dropped,
            outcome.fingerprint
        );
    }
    // A whole command line that knows `lifo`: `fn main() -> ExitCode { taunet::cli::main_with(registry) }`.
    Ok(())
}
