//! The generated traffic of a scenario, ready to be injected.

use std::net::IpAddr;

use taunet::engine::{Injection, InjectionPoint};
use taunet::scenario::{Scenario, Traffic};
use taunet::topology::DeviceId;

/// One injection per sending host and entry.
pub fn injections(scenario: &Scenario, seed: u64) -> Vec<Injection> {
    let topology = &scenario.topology;
    let address = |host: DeviceId| Ok::<IpAddr, ()>(topology.device(host).addresses[0].addr());
    let mut injections = Vec::new();
    for traffic in &scenario.traffic {
        let Traffic::Generated(generator) = traffic else { unreachable!("all traffic is generated") };
        for sender in &generator.senders {
            let name = &topology.device(sender.host).name;
            let source = generator.source(sender, name, seed, address).unwrap();
            injections.push(Injection { source, at: InjectionPoint::Host(sender.host) });
        }
    }
    injections
}
