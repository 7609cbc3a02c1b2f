//! The sources of a scenario, opened and placed.

use super::vantage_name;
use crate::capture::{CaptureError, Options};
use crate::engine::{Injection, InjectionPoint};
use crate::packet::FlowKey;
use crate::scenario::{Direction, Scenario, Traffic};
use crate::topology::{DeviceId, Topology};
use crate::traffic::{Cbr, Replay, UDP};
use crate::units::{Time, Timestamp};

/// Opens every source. The run starts at the first packet of all replayed captures, or in 1970 without any.
pub(super) fn open(
    scenario: &Scenario,
    options: &Options,
) -> Result<(Timestamp, Vec<Injection>), CaptureError> {
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
                let flow = generated_flow(topology, index, from, to);
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

/// The flow of a generated source: UDP between the hosts' first addresses, with a source port of its own.
fn generated_flow(topology: &Topology, index: usize, from: DeviceId, to: DeviceId) -> FlowKey {
    const FIRST_DYNAMIC_PORT: u16 = 49_152;
    const DISCARD_PORT: u16 = 9;
    let address = |host: DeviceId| {
        topology.device(host).addresses.first().expect("every host of a topology has an address").addr()
    };
    FlowKey::Ip {
        source: address(from),
        destination: address(to),
        protocol: UDP,
        ports: Some((FIRST_DYNAMIC_PORT.wrapping_add(index as u16), DISCARD_PORT)),
    }
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
