//! Readable names of traffic entries and of their sources.

use crate::scenario::{Scenario, Traffic};
use crate::topology::{DeviceId, Topology};
use crate::traffic::SourceEntry;
use crate::traffic::generator::Sender;

impl Scenario {
    /// The place where the packets of each source enter, in the order of source numbers: `r1:0 ingress`, or
    /// the name of the host that sends them. Hosts with connections come after these.
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

    /// The name of each `[[traffic]]` entry, in the order of the file: its `name`, or its kind and index (`poisson 2`).
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

/// The name of an entry; `label` is its `name` or its index.
pub fn entry_name(kind: &str, label: &str) -> String {
    match label.parse::<u64>() {
        Ok(place) => format!("{kind} {place}"),
        Err(_) => label.to_owned(),
    }
}

impl Traffic {
    /// The number of its sources. Connections have none: their hosts send.
    pub fn sources(&self) -> usize {
        match self {
            Traffic::Replay { .. } | Traffic::Custom(_) => 1,
            Traffic::ReplayByAddress { hosts, .. } => hosts.len(),
            Traffic::Generated(generator) => generator.senders.len(),
            Traffic::Connections(_) => 0,
        }
    }

    /// The readable names of its sources, in the order of source numbers.
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
