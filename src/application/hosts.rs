//! The hosts of a workload: what each opens, and what answers there.

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
    /// By their starts.
    pub flows: Vec<Flow>,
    /// The parameters of both ends, but for the segment size, which is that of the hosts' links.
    pub parameters: Parameters,
    /// What their processes do.
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
/// How many there are.
const PORTS: u32 = 28_232;
/// The first destination port: that of iperf.
const FIRST_SERVICE_PORT: u16 = 5_001;
/// Ethernet, IPv4, TCP and timestamps: what a frame holds beside a segment's payload.
const HEADERS: u64 = 14 + 20 + 20 + 12;
/// The smallest segment (RFC 791: 576 bytes are always taken).
const LEAST_SEGMENT: u64 = 88;

/// What a host has to do.
#[derive(Default)]
struct Work {
    services: Vec<Box<dyn Service>>,
    openings: Vec<Box<dyn Openings>>,
    /// Connections opened so far: they take one source port after the other.
    opened: u32,
}

/// The hosts that carry these flows, in a run of this seed that starts at `start`; `address` gives an address that leads to a host.
///
/// # Errors
/// What `address` says.
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

/// The most bytes of payload in a segment, beside timestamps, by the MTU of a host's links.
fn segment_size(topology: &Topology, host: DeviceId) -> u32 {
    let ports = topology.device(host).ports.iter();
    let mtus = ports.map(|port| topology.link(topology.port(*port).egress).link.mtu());
    let mtu = mtus.min().unwrap_or(ETHERNET_MTU).get();
    mtu.saturating_sub(HEADERS).max(LEAST_SEGMENT) as u32
}

/// A flow in waiting. There may be millions.
struct PlannedFlow {
    at: Time,
    key: FlowKey,
    service: u32,
    /// Its place among the parameters.
    parameters: u32,
    /// [`ENDLESS`] for as many as the network takes.
    bytes: u64,
    /// [`Time::NEVER`] where nothing stops it.
    stop: Time,
}

/// No number of bytes.
const ENDLESS: u64 = u64::MAX;

/// The flows that an entry opens at a host, by time.
struct Planned {
    /// Its number.
    entry: u32,
    program: Program,
    /// The last one is the next.
    flows: Vec<PlannedFlow>,
    parameters: Vec<Arc<Parameters>>,
}

impl Planned {
    /// The place of parameters, which flows share.
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
