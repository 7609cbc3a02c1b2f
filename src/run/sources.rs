//! Opens the sources of a scenario and places them in the network.

use std::net::IpAddr;

use super::RunError;
use crate::application::{self, Entry};
use crate::capture::Options;
use crate::engine::{Hosted, Injection, InjectionPoint, Workload};
use crate::pfm;
use crate::random::Draws;
use crate::scenario::{Direction, Scenario, Traffic, Vantage};
use crate::topology::{DeviceId, Topology};
use crate::traffic::replay::HostOfAddress;
use crate::traffic::{Recording, Replay, ReplayByAddress, Source, SourceEntry};
use crate::transport::Host;
use crate::units::{ByteCount, Timestamp};

/// The open sources of a scenario, before their first packets.
pub(crate) struct Sources {
    opened: Vec<Opened>,
    /// The `[[traffic]]` entries with connections.
    entries: Vec<Entry>,
    seed: u64,
}

/// An open source.
enum Opened {
    Replay(Box<Replay>, InjectionPoint),
    ByAddress(Box<ReplayByAddress>, Vec<DeviceId>),
    Source(Box<dyn Source>, InjectionPoint),
}

impl Sources {
    /// Opens every source.
    ///
    /// # Errors
    /// A capture cannot be opened, or no address is routed to a host.
    pub(crate) fn open(scenario: &Scenario, options: &Options) -> Result<Self, RunError> {
        let topology = &scenario.topology;
        let mut addresses = Addresses::new(topology);
        let mut opened = Vec::new();
        let mut entries = Vec::new();
        for (index, traffic) in scenario.traffic.iter().enumerate() {
            match traffic {
                Traffic::Replay { capture, keys, at, speed } => {
                    let mut replay = Replay::open_at(capture, &options.with(keys), speed)?;
                    replay.recording().enters_at(mtu(topology, *at));
                    opened.push(Opened::Replay(Box::new(replay), injection_point(*at)));
                }
                Traffic::ReplayByAddress { capture, keys, hosts, prefixes, speed } => {
                    let host_of = match prefixes {
                        Some(prefixes) => HostOfAddress::Table(prefixes.clone()),
                        None => {
                            let draws = Draws::new(scenario.seed, "traffic", &index.to_string());
                            HostOfAddress::Hash(draws, hosts.len() as u32)
                        }
                    };
                    let leading = hosts.iter().map(|host| addresses.of(*host)).collect::<Result<_, _>>()?;
                    let options = options.with(keys);
                    let mut replay = ReplayByAddress::open(capture, &options, speed, host_of, leading)?;
                    let access = hosts.iter().filter_map(|host| topology.device(*host).ports.first());
                    let access = access.map(|port| topology.link(topology.port(*port).egress).link.mtu());
                    access.max().into_iter().for_each(|mtu| replay.recording().enters_at(mtu));
                    opened.push(Opened::ByAddress(Box::new(replay), hosts.clone()));
                }
                Traffic::Generated(generator) => {
                    for sender in &generator.senders {
                        let host = &topology.device(sender.host).name;
                        let source =
                            generator.source(sender, host, scenario.seed, |host| addresses.of(host))?;
                        opened.push(Opened::Source(source, InjectionPoint::Host(sender.host)));
                    }
                }
                Traffic::Connections(connections) => {
                    entries.push(connections.entry(topology, scenario.seed));
                }
                Traffic::Custom(custom) => {
                    let mut address = |host| Ok(addresses.of(host)?);
                    let source = custom
                        .source(topology, scenario.seed, &mut address)
                        .map_err(|source| RunError::Source { kind: custom.kind.clone(), source })?;
                    let at = match custom.entry {
                        SourceEntry::Host(host) => InjectionPoint::Host(host),
                        SourceEntry::Vantage(at) => injection_point(at),
                    };
                    opened.push(Opened::Source(source, at));
                }
            }
        }
        Ok(Sources { opened, entries, seed: scenario.seed })
    }

    /// The recordings that are replayed.
    pub(crate) fn recordings(&mut self) -> impl Iterator<Item = &mut Recording> {
        self.opened.iter_mut().filter_map(|opened| match opened {
            Opened::Replay(replay, _) => Some(replay.recording()),
            Opened::ByAddress(replay, _) => Some(replay.recording()),
            Opened::Source(..) => None,
        })
    }

    /// The time of the first packet of all recordings; `None` without a recording.
    pub(crate) fn recorded_start(&mut self) -> Option<Timestamp> {
        self.recordings().filter_map(|recording| recording.recorded_start()).min()
    }

    /// Sets and returns the run's start: the first packet of all recordings, or `otherwise` without a
    /// recording.
    pub(crate) fn start(&mut self, otherwise: Timestamp) -> Timestamp {
        let start = self.recorded_start().unwrap_or(otherwise);
        self.recordings().for_each(|recording| recording.start_at(start));
        start
    }

    /// Whether there are connections.
    pub(crate) fn has_connections(&self) -> bool {
        !self.entries.is_empty()
    }

    /// The sources with the places where their packets enter, and the hosts with connections. The run starts
    /// at `start`.
    ///
    /// # Errors
    /// No address is routed to a host.
    pub(crate) fn into_workload(self, topology: &Topology, start: Timestamp) -> Result<Workload, RunError> {
        let mut addresses = Addresses::new(topology);
        let hosts = application::hosts(topology, start, self.seed, &self.entries, |host| addresses.of(host))?;
        let hosted = |(host, endpoint): (DeviceId, Host)| Hosted { endpoint: Box::new(endpoint), host };
        let endpoints = hosts.into_iter().map(hosted).collect();
        let mut injections = Vec::new();
        for opened in self.opened {
            match opened {
                Opened::Replay(source, at) => injections.push(Injection { source, at }),
                Opened::Source(source, at) => injections.push(Injection { source, at }),
                Opened::ByAddress(replay, hosts) => {
                    let places = hosts.into_iter().map(InjectionPoint::Host);
                    let sources = replay.sources().zip(places);
                    injections.extend(sources.map(|(source, at)| Injection { source, at }));
                }
            }
        }
        Ok(Workload { injections, endpoints })
    }
}

/// What the link of a vantage carries.
fn mtu(topology: &Topology, at: Vantage) -> ByteCount {
    let port = topology.port(at.port);
    let link = match at.direction {
        Direction::Ingress => port.ingress,
        Direction::Egress => port.egress,
    };
    topology.link(link).link.mtu()
}

fn injection_point(at: Vantage) -> InjectionPoint {
    match at.direction {
        Direction::Ingress => InjectionPoint::Ingress(at.port),
        Direction::Egress => InjectionPoint::Egress(at.port),
    }
}

/// Finds and keeps one address per host.
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

    /// An address that is routed to `host`, and not to a host with a longer prefix.
    fn of(&mut self, host: DeviceId) -> Result<IpAddr, RunError> {
        /// The number of addresses tried in each prefix.
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
