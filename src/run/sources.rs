//! The sources of a scenario, opened and placed.

use std::net::IpAddr;

use super::RunError;
use crate::capture::Options;
use crate::engine::{Injection, InjectionPoint};
use crate::pfm;
use crate::random::Draws;
use crate::scenario::{Direction, Scenario, Traffic};
use crate::topology::{DeviceId, Topology};
use crate::traffic::Replay;
use crate::traffic::replay::{HostOfAddress, open_by_address};
use crate::units::Timestamp;

/// Opens every source. The run starts at the first packet of all replayed captures, or in 1970 without any.
pub(crate) fn open(scenario: &Scenario, options: &Options) -> Result<(Timestamp, Vec<Injection>), RunError> {
    let topology = &scenario.topology;
    let mut addresses = Addresses::new(topology);
    let mut injections = Vec::new();
    for (index, traffic) in scenario.traffic.iter().enumerate() {
        match traffic {
            Traffic::Replay { capture, keys, at, speed } => injections.push(Injection {
                source: Box::new(Replay::open_at(capture, &options.with(keys), speed)?),
                at: match at.direction {
                    Direction::Ingress => InjectionPoint::Ingress(at.port),
                    Direction::Egress => InjectionPoint::Egress(at.port),
                },
            }),
            Traffic::ReplayByAddress { capture, keys, hosts, prefixes, speed } => {
                let host_of = match prefixes {
                    Some(prefixes) => HostOfAddress::Table(prefixes.clone()),
                    None => {
                        let draws = Draws::new(scenario.seed, "traffic", &index.to_string());
                        HostOfAddress::Hash(draws, hosts.len() as u32)
                    }
                };
                let leading = hosts.iter().map(|host| addresses.of(*host)).collect::<Result<_, _>>()?;
                let sources = open_by_address(capture, &options.with(keys), speed, host_of, leading)?;
                injections.extend(
                    sources
                        .into_iter()
                        .zip(hosts)
                        .map(|(source, host)| Injection { source, at: InjectionPoint::Host(*host) }),
                );
            }
            Traffic::Generated(generator) => {
                for sender in &generator.senders {
                    let host = &topology.device(sender.host).name;
                    let source = generator.source(sender, host, scenario.seed, |host| addresses.of(host))?;
                    injections.push(Injection { source, at: InjectionPoint::Host(sender.host) });
                }
            }
        }
    }
    let recorded = injections.iter().filter_map(|injection| injection.source.recorded_start());
    let start = recorded.min().unwrap_or_default();
    for injection in &mut injections {
        injection.source.start_at(start);
    }
    Ok((start, injections))
}

/// An address of each host that is asked for.
struct Addresses<'t> {
    topology: &'t Topology,
    hosts: pfm::Addresses,
    known: Vec<Option<IpAddr>>,
}

impl<'t> Addresses<'t> {
    fn new(topology: &'t Topology) -> Self {
        Addresses {
            topology,
            hosts: pfm::Addresses::new(topology),
            known: vec![None; topology.devices().len()],
        }
    }

    /// An address that leads to `host`, and not to one with a longer prefix.
    fn of(&mut self, host: DeviceId) -> Result<IpAddr, RunError> {
        /// Addresses of each prefix that are tried.
        const TRIED: usize = 1 << 16;
        if let Some(known) = self.known[host.index()] {
            return Ok(known);
        }
        let device = self.topology.device(host);
        let address = device
            .addresses
            .iter()
            .flat_map(|prefix| {
                [prefix.addr(), prefix.broadcast()].into_iter().chain(prefix.hosts().take(TRIED))
            })
            .find(|address| self.hosts.host_of(*address) == Some(host))
            .ok_or_else(|| RunError::NoAddress { host: device.name.clone() })?;
        self.known[host.index()] = Some(address);
        Ok(address)
    }
}
