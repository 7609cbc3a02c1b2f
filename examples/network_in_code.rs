//! Builds a network in code, without a file: two hosts behind a switch, and a bottleneck on the path to a
//! third.
//!
//! `cargo run --release --example network_in_code`

use std::error::Error;

use taunet::engine::{Injection, InjectionPoint, Settings, Unwatched, simulate};
use taunet::link::Link;
use taunet::packet::FlowKey;
use taunet::ptm::{FifoSpec, PtmSpec};
use taunet::topology::{DeviceKind, DeviceSpec, LinkSpec, PortName, Topology};
use taunet::traffic::Cbr;
use taunet::units::Time;

fn host(name: &str, address: &str) -> Result<DeviceSpec, Box<dyn Error>> {
    let device = DeviceSpec::new(name, DeviceKind::Host);
    Ok(DeviceSpec { addresses: vec![address.parse()?], ..device })
}

fn port(device: &str, port: u16) -> PortName {
    PortName { device: device.to_owned(), port }
}

fn main() -> Result<(), Box<dyn Error>> {
    let devices = vec![
        host("a", "10.0.0.1/32")?,
        host("b", "10.0.0.2/32")?,
        host("c", "10.0.0.3/32")?,
        DeviceSpec::new("s", DeviceKind::Switch),
    ];
    let fast = Link::with_delay("1 Gbps".parse()?, "5 us".parse()?);
    let slow = Link::with_delay("10 Mbps".parse()?, "1 ms".parse()?);
    let mut bottleneck = LinkSpec::new(port("s", 2), port("c", 0), slow);
    bottleneck.ptm[0] = Some(PtmSpec::Fifo(FifoSpec { buffer: Some("20 packets".parse()?) }));
    let links = vec![
        LinkSpec::new(port("a", 0), port("s", 0), fast),
        LinkSpec::new(port("b", 0), port("s", 1), fast),
        bottleneck,
    ];
    let topology = Topology::new("bottleneck", devices, links)?;

    // Each sends 1000 packets of 1250 B at 6 Mbps, one each 1.667 ms: together 12 Mbps for 10.
    let mut injections = Vec::new();
    for (name, address) in [("a", "10.0.0.1"), ("b", "10.0.0.2")] {
        let (source, destination) = (address.parse()?, "10.0.0.3".parse()?);
        let flow = FlowKey::Ip { source, destination, protocol: 17, ports: Some((5000, 9)) };
        let source = Cbr::new(flow, "1250 B".parse()?, "1667 us".parse()?, 1000, Time::ZERO);
        let host = topology.device_named(name).ok_or("a host of the topology")?;
        injections.push(Injection { source: Box::new(source), at: InjectionPoint::Host(host) });
    }

    let outcome = simulate(topology, injections, Settings::default(), Unwatched)?;
    println!("{} delivered, {} dropped", outcome.packets.delivered, outcome.packets.dropped);
    println!("the last one after {:.3} s", outcome.end.as_seconds_f64());
    println!("fingerprint {}", outcome.fingerprint);
    Ok(())
}
