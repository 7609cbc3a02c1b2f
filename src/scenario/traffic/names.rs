//! The names of traffic entries and of their sources, for people.

use crate::scenario::{Scenario, Traffic};
use crate::topology::{DeviceId, Topology};
use crate::traffic::SourceEntry;
use crate::traffic::generator::Sender;

impl Scenario {
    /// Where the packets of each source enter, for people, in the order of the sources' numbers: `r1:0 ingress`, or
    /// the host that sends them. Hosts with connections come behind these.
    pub fn entries(&self) -> Vec<String> {
        let host = |host: DeviceId| self.topology.device(host).name.clone();
        let of = |traffic: &Traffic| match traffic {
            Traffic::Replay { at, .. } => vec![at.name(&self.topology)],
            Traffic::ReplayByAddress { hosts, .. } => hosts.iter().map(|sender| host(*sender)).collect(),
            Traffic::Generated(generator) => {
                generator.senders.iter().map(|sender| host(sender.host)).collect()
            }
            Traffic::Connections(_) => Vec::new(),
            Traffic::Custom(custom) => match custom.entry {
                SourceEntry::Host(sender) => vec![host(sender)],
                SourceEntry::Vantage(at) => vec![at.name(&self.topology)],
            },
        };
        self.traffic.iter().flat_map(of).collect()
    }

    /// The name of each `[[traffic]]` entry, in the order of the file: its own, or its kind and its place from 0 (`poisson 2`).
    pub fn traffic_names(&self) -> Vec<String> {
        let name = |(place, traffic): (usize, &Traffic)| match traffic {
            Traffic::Replay { .. } | Traffic::ReplayByAddress { .. } => format!("replay {place}"),
            Traffic::Generated(generator) => entry_name(generator.kind, &generator.label),
            Traffic::Connections(entry) => entry_name(entry.kind, &entry.label),
            Traffic::Custom(custom) => entry_name(&custom.kind, &custom.label),
        };
        self.traffic.iter().enumerate().map(name).collect()
    }
}

/// An entry's name: `label` is the one it was given, or its place.
pub fn entry_name(kind: &str, label: &str) -> String {
    match label.parse::<u64>() {
        Ok(place) => format!("{kind} {place}"),
        Err(_) => label.to_owned(),
    }
}

impl Traffic {
    /// How many sources it has. Connections have none: their hosts send.
    pub fn sources(&self) -> usize {
        match self {
            Traffic::Replay { .. } | Traffic::Custom(_) => 1,
            Traffic::ReplayByAddress { hosts, .. } => hosts.len(),
            Traffic::Generated(generator) => generator.senders.len(),
            Traffic::Connections(_) => 0,
        }
    }

    /// Its sources for people, in the order of their numbers.
    pub fn source_names(&self, topology: &Topology) -> Vec<String> {
        match self {
            Traffic::Replay { capture, at, .. } => {
                vec![format!("replay of {} at {}", capture.display(), at.name(topology))]
            }
            Traffic::ReplayByAddress { capture, hosts, .. } => {
                let name = |host: &DeviceId| {
                    format!("replay of {} from {}", capture.display(), topology.device(*host).name)
                };
                hosts.iter().map(name).collect()
            }
            Traffic::Generated(generator) => {
                let name = |sender: &Sender| {
                    let from = &topology.device(sender.host).name;
                    let to = match sender.to.as_deref() {
                        Some([one]) => topology.device(generator.hosts[*one]).name.clone(),
                        Some(some) => format!("{} hosts", some.len()),
                        None => format!("{} hosts", generator.hosts.len() - 1),
                    };
                    match generator.label.parse::<u64>() {
                        Ok(_) => format!("{} from {from} to {to}", generator.kind),
                        Err(_) => format!("{}: {} from {from} to {to}", generator.label, generator.kind),
                    }
                };
                generator.senders.iter().map(name).collect()
            }
            Traffic::Connections(_) => Vec::new(),
            Traffic::Custom(custom) => {
                let place = match custom.entry {
                    SourceEntry::Host(sender) => format!("from {}", topology.device(sender).name),
                    SourceEntry::Vantage(at) => format!("at {}", at.name(topology)),
                };
                match custom.label.parse::<u64>() {
                    Ok(_) => vec![format!("{} {place}", custom.kind)],
                    Err(_) => vec![format!("{}: {} {place}", custom.label, custom.kind)],
                }
            }
        }
    }
}
