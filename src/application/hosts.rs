//! The hosts of a workload: the connections that each opens, and the services that respond there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::{AnswerService, Asker, Flow, PacedWriter, Program, ReaderService, Writer};
use crate::link::ETHERNET_MTU;
use crate::packet::FlowKey;
use crate::random::Draws;
use crate::topology::{DeviceId, Topology};
use crate::transport::tcp::{LossRecovery, PROTOCOL, Parameters, TIMESTAMPS};
use crate::transport::{Application, Host, Opening, Openings, Service};
use crate::units::{Time, Timestamp};

/// The flows of a `[[traffic]]` entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The flows, by start time.
    pub flows: Vec<Flow>,
    /// The parameters of both ends, except for the segment size, which depends on the hosts' links.
    pub parameters: Parameters,
    /// The behaviour of their processes.
    pub program: Program,
}

impl Entry {
    /// The service of its connections at a host.
    fn service(&self, parameters: Parameters) -> Box<dyn Service> {
        match &self.program {
            Program::Stream | Program::Paced(_) => Box::new(ReaderService::new(parameters)),
            Program::Dialogue(turns) => Box::new(AnswerService::new(parameters, Arc::clone(turns))),
        }
    }
}

/// The first source port of a host, as in Linux (`ip_local_port_range`).
const FIRST_PORT: u16 = 32_768;
/// The number of source ports.
const PORTS: u32 = 28_232;
/// The first destination port: that of iperf.
const FIRST_SERVICE_PORT: u16 = 5_001;
/// The headers of a frame besides the payload of a segment: Ethernet, IPv4, TCP and timestamps.
const HEADERS: u64 = 14 + 20 + 20 + 12;
/// The smallest segment (RFC 791: datagrams of 576 bytes are always accepted).
const LEAST_SEGMENT: u64 = 88;

/// The connections and services of a host.
#[derive(Default)]
struct Work {
    services: Vec<Box<dyn Service>>,
    openings: Vec<Box<dyn Openings>>,
    /// The number of connections opened so far, which use successive source ports.
    opened: u32,
}

/// The hosts that carry these flows, in a run with this seed that starts at `start`; `address` gives an
/// address of a host.
///
/// # Errors
/// The error of `address`.
pub fn hosts<E>(
    topology: &Topology,
    start: Timestamp,
    seed: u64,
    entries: &[Entry],
    mut address: impl FnMut(DeviceId) -> Result<IpAddr, E>,
) -> Result<Vec<(DeviceId, Host)>, E> {
    let mut works: BTreeMap<DeviceId, Work> = BTreeMap::new();
    for (number, entry) in (0u32..).zip(entries) {
        let without_options = if entry.parameters.recovery == LossRecovery::Rack { 0 } else { TIMESTAMPS };
        let parameters = |mss| Parameters { mss: mss + without_options, ..entry.parameters };
        let mut services: BTreeMap<DeviceId, u32> = BTreeMap::new();
        let mut planned: BTreeMap<DeviceId, Planned> = BTreeMap::new();
        for flow in &entry.flows {
            let mss = segment_size(topology, flow.from).min(segment_size(topology, flow.to));
            let service = *services.entry(flow.to).or_insert_with(|| {
                let services = &mut works.entry(flow.to).or_default().services;
                services.push(entry.service(parameters(mss)));
                services.len() as u32 - 1
            });
            let (source, destination) = (address(flow.from)?, address(flow.to)?);
            let opened = &mut works.entry(flow.from).or_default().opened;
            let place = std::mem::replace(opened, *opened + 1);
            let ports = (FIRST_PORT + (place % PORTS) as u16, FIRST_SERVICE_PORT + (place / PORTS) as u16);
            let key = FlowKey::Ip { source, destination, protocol: PROTOCOL, ports: Some(ports) };
            let planned = planned.entry(flow.from).or_insert_with(|| Planned {
                entry: number,
                program: entry.program.clone(),
                flows: Vec::new(),
                parameters: Vec::new(),
            });
            let parameters = planned.parameters(parameters(mss));
            planned.flows.push(PlannedFlow {
                at: flow.at,
                key,
                service,
                parameters,
                bytes: flow.bytes.unwrap_or(ENDLESS),
                stop: flow.stop.unwrap_or(Time::NEVER),
            });
        }
        for (host, mut planned) in planned {
            planned.flows.reverse();
            works.entry(host).or_default().openings.push(Box::new(planned));
        }
    }
    let host = |(device, work): (DeviceId, Work)| {
        let draws = Draws::new(seed, "transport", &topology.device(device).name);
        (device, Host::new(start, work.services, work.openings).with_draws(draws))
    };
    Ok(works.into_iter().map(host).collect())
}

/// The maximum payload of a segment, without timestamps, for the MTU of a host's links.
fn segment_size(topology: &Topology, host: DeviceId) -> u32 {
    let ports = topology.device(host).ports.iter();
    let mtus = ports.map(|port| topology.link(topology.port(*port).egress).link.mtu());
    let mtu = mtus.min().unwrap_or(ETHERNET_MTU).get();
    mtu.saturating_sub(HEADERS).max(LEAST_SEGMENT) as u32
}

/// A planned flow. There may be millions.
struct PlannedFlow {
    at: Time,
    key: FlowKey,
    service: u32,
    /// The index of its parameters.
    parameters: u32,
    /// [`ENDLESS`] for unlimited.
    bytes: u64,
    /// [`Time::NEVER`] if nothing stops it.
    stop: Time,
}

/// The marker for an unlimited flow.
const ENDLESS: u64 = u64::MAX;

/// The flows that an entry opens at a host, ordered by time.
struct Planned {
    /// The number of the entry.
    entry: u32,
    program: Program,
    /// In reverse order: the last one is the next.
    flows: Vec<PlannedFlow>,
    parameters: Vec<Arc<Parameters>>,
}

impl Planned {
    /// The index of parameters, which flows share.
    fn parameters(&mut self, parameters: Parameters) -> u32 {
        let known = self.parameters.iter().position(|known| **known == parameters);
        known.unwrap_or_else(|| {
            self.parameters.push(Arc::new(parameters));
            self.parameters.len() - 1
        }) as u32
    }
}

impl Openings for Planned {
    fn next(&self) -> Time {
        self.flows.last().map_or(Time::NEVER, |flow| flow.at)
    }

    fn entry(&self) -> u32 {
        self.entry
    }

    fn open(&mut self) -> Option<Opening> {
        let flow = self.flows.pop()?;
        if self.flows.len() < self.flows.capacity() / 2 {
            self.flows.shrink_to_fit();
        }
        let bytes = Some(flow.bytes).filter(|bytes| *bytes < ENDLESS);
        let stop = Some(flow.stop).filter(|stop| *stop < Time::NEVER);
        Some(Opening {
            at: flow.at,
            key: flow.key,
            service: flow.service,
            parameters: Arc::clone(&self.parameters[flow.parameters as usize]),
            application: match &self.program {
                Program::Stream => Box::new(Writer::new(bytes, stop)) as Box<dyn Application>,
                Program::Paced(pacing) => Box::new(PacedWriter::new(pacing, &flow.key, bytes, stop)),
                Program::Dialogue(turns) => Box::new(Asker::new(turns(&flow.key), stop)),
            },
        })
    }
}
