//! A custom traffic source: a ramp of packets with decreasing gaps. It has a name for scenario files.
//!
//! `cargo run --release --example source`

use std::error::Error;
use std::ops::ControlFlow;

use serde::Deserialize;
use taunet::config::Registry;
use taunet::engine::Unwatched;
use taunet::packet::{FlowKey, Packet, Tau};
use taunet::scenario::Scenario;
use taunet::table::NoTables;
use taunet::traffic::{Emission, Source, SourcePlace, TrafficError};
use taunet::units::{ByteCount, Span, Time};

/// Its keys in a scenario file, in addition to `kind`, `from` and `name`, which every source has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    to: String,
    size: ByteCount,
    first_gap: Span,
    last_gap: Span,
    packets: u64,
}

/// The gaps change from the first to the last in equal steps.
struct Ramp {
    flow: FlowKey,
    length: u32,
    first_gap: Span,
    last_gap: Span,
    packets: u64,
    sent: u64,
    now: Time,
}

impl Source for Ramp {
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError> {
        if self.sent == self.packets {
            return Ok(None);
        }
        let packet = Packet { length: self.length, trp: 17, ttl: 64, ..Packet::default() };
        let tau = Tau { timestamp: self.now, packet };
        let emission = Emission { tau, record: self.sent, match_key: None };
        let (first, last) = (self.first_gap.as_ps() as i128, self.last_gap.as_ps() as i128);
        let gap = first + (last - first) * i128::from(self.sent) / i128::from(self.packets);
        self.now = self.now + Span::from_ps(gap as u64);
        self.sent += 1;
        Ok(Some(emission))
    }

    fn flow(&self, _fid: u32) -> FlowKey {
        self.flow
    }

    fn progress(&self) -> Option<f64> {
        Some(self.sent as f64 / self.packets as f64)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut registry = Registry::default();
    registry.source("ramp", |parameters: &Parameters, place: &mut SourcePlace<'_>| {
        let (source, destination) = (place.own_address()?, place.address_of(&parameters.to)?);
        Ok(Ramp {
            flow: FlowKey::Ip { source, destination, protocol: 17, ports: Some((5000, 9)) },
            length: parameters.size.get().try_into()?,
            first_gap: parameters.first_gap,
            last_gap: parameters.last_gap,
            packets: parameters.packets,
            sent: 0,
            now: Time::ZERO,
        })
    });

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("ramp.toml");
    std::fs::write(
        folder.path().join("pair.toml"),
        r#"
        name = "pair"
        device = [{ name = "a", kind = "host" }, { name = "b", kind = "host" }]
        link = [{ between = ["a:0", "b:0"], bandwidth = "10 Mbps", delay = "1 ms" }]
        "#,
    )?;
    std::fs::write(
        &path,
        r#"
        name = "ramp"
        topology = "pair.toml"
        [[traffic]]
        kind = "ramp"
        from = "a"
        to = "b"
        size = "1250 B"
        first_gap = "2 ms"
        last_gap = "500 us"
        packets = 1000
        "#,
    )?;
    let scenario = Scenario::load_with(&path, &[], None, &registry)?;
    let open = scenario.open(&Default::default())?;
    let results = open.run(&NoTables, Unwatched, |_stage| ControlFlow::Continue(()))?;
    println!(
        "{}: {} packets in {:.3} s",
        results.sources[0],
        results.outcome.packets.delivered,
        results.outcome.end.as_seconds_f64()
    );
    println!("fingerprint {}", results.outcome.fingerprint);
    Ok(())
}
