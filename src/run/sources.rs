//! The sources of a scenario, opened and placed.

use std::net::IpAddr;

use super::{RunError, vantage_name};
use crate::capture::Options;
use crate::engine::{Injection, InjectionPoint};
use crate::packet::FlowKey;
use crate::pfm::Addresses;
use crate::scenario::{Direction, Scenario, Traffic};
use crate::topology::{DeviceId, Topology};
use crate::traffic::{Cbr, Replay, UDP};
use crate::units::{Time, Timestamp};

/// Opens every source. The run starts at the first packet of all replayed captures, or in 1970 without any.
pub(super) fn open(scenario: &Scenario, options: &Options) -> Result<(Timestamp, Vec<Injection>), RunError> {
    let topology = &scenario.topology;
    let mut injections = Vec::new();
    for (index, traffic) in scenario.traffic.iter().enumerate() {
        injections.push(match traffic {
            Traffic::Replay { capture, at } => Injection {
                source: Box::new(Replay::open(capture, options)?),
                at: match at.direction {
                    Direction::Ingress => InjectionPoint::Ingress(at.port),
                    Direction::Egress => InjectionPoint::Egress(at.port),
                },
            },
            &Traffic::Cbr { from, to, size, interval, packets, start } => {
                let flow = generated_flow(topology, index, from, to)?;
                let source = Cbr::new(flow, size, interval, packets, Time::ZERO + start);
                Injection { source: Box::new(source), at: InjectionPoint::Host(from) }
            }
        });
    }
    let recorded = injections.iter().filter_map(|injection| injection.source.recorded_start());
    let start = recorded.min().unwrap_or_default();
    for injection in &mut injections {
        injection.source.start_at(start);
    }
    Ok((start, injections))
}

/// The flow of a generated source: UDP between addresses of the hosts, with a source port of its own.
fn generated_flow(
    topology: &Topology,
    index: usize,
    from: DeviceId,
    to: DeviceId,
) -> Result<FlowKey, RunError> {
    const FIRST_DYNAMIC_PORT: u16 = 49_152;
    const DISCARD_PORT: u16 = 9;
    Ok(FlowKey::Ip {
        source: address_of(topology, from)?,
        destination: address_of(topology, to)?,
        protocol: UDP,
        ports: Some((FIRST_DYNAMIC_PORT.wrapping_add(index as u16), DISCARD_PORT)),
    })
}

/// An address that leads to `host`, and not to one with a longer prefix.
fn address_of(topology: &Topology, host: DeviceId) -> Result<IpAddr, RunError> {
    /// Addresses of each prefix that are tried.
    const TRIED: usize = 1 << 16;
    let addresses = Addresses::new(topology);
    let device = topology.device(host);
    device
        .addresses
        .iter()
        .flat_map(|prefix| [prefix.addr(), prefix.broadcast()].into_iter().chain(prefix.hosts().take(TRIED)))
        .find(|address| addresses.host_of(*address) == Some(host))
        .ok_or_else(|| RunError::NoAddress { host: device.name.clone() })
}

/// A source for people.
pub(super) fn name(topology: &Topology, traffic: &Traffic) -> String {
    match traffic {
        Traffic::Replay { capture, at } => {
            format!("replay of {} at {}", capture.display(), vantage_name(topology, *at))
        }
        Traffic::Cbr { from, to, .. } => {
            format!("cbr from {} to {}", topology.device(*from).name, topology.device(*to).name)
        }
    }
}
