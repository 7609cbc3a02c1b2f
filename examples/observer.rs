//! Observers: one records the longest wait at each port, one stops the run on a condition. A simulation is
//! run step by step and inspected in between.
//!
//! `cargo run --release --example observer`

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use taunet::engine::{Dropped, EngineError, Hop, Observed, Observer, Unwatched};
use taunet::scenario::Scenario;
use taunet::topology::PortId;
use taunet::units::{Span, Time};

/// The longest wait at each egress port.
#[derive(Default)]
struct LongestWaits(BTreeMap<PortId, Span>);

impl Observer for LongestWaits {
    fn hop(&mut self, hop: &Hop) -> Observed {
        let longest = self.0.entry(hop.port).or_default();
        *longest = (*longest).max(hop.egress.since(hop.joined));
        Ok(())
    }
}

/// Stops the run at the first loss: an error returned by an observer stops the engine at once.
struct NoLosses;

impl Observer for NoLosses {
    fn dropped(&mut self, drop: &Dropped) -> Observed {
        Err(format!("packet {} was lost at {}: {}", drop.tau.packet.pid, drop.at, drop.reason).into())
    }
}

fn scenario(name: &str) -> Result<Scenario, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    Ok(Scenario::load(&folder.join(name), &[], None)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    // A pair of observers is an observer; `&mut` lends one, to be looked at afterwards.
    let open = scenario("kernel-tbf-70.toml")?.open(&Default::default())?;
    let topology = open.topology.clone();
    let mut waits = LongestWaits::default();
    let mut simulation = open.simulation((&mut waits, NoLosses))?;
    for second in [5, 10, 15] {
        let progress = simulation.run_until(Time::from_ps(second * 1_000_000_000_000))?;
        println!("after {second} s: {} packets", progress.injected);
    }
    let outcome = simulation.finish()?.outcome;
    println!("at the end: {} packets", outcome.packets.injected);
    for (port, wait) in &waits.0 {
        println!("the longest wait at {}: {wait}", topology.port_name(*port));
    }

    // Whether somebody watches does not change what happens.
    let open = scenario("kernel-tbf-70.toml")?.open(&Default::default())?;
    let unwatched = open.simulation(Unwatched)?.finish()?.outcome;
    assert_eq!(unwatched, outcome);

    match scenario("kernel-drops.toml")?.open(&Default::default())?.simulation(NoLosses)?.finish() {
        Err(EngineError::Observer(error)) => println!("kernel-drops ended early: {error}"),
        other => {
            return Err(
                format!("kernel-drops should lose packets: {:?}", other.map(|end| end.outcome)).into()
            );
        }
    }
    Ok(())
}
