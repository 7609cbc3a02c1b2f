//! Sources for people.

use crate::scenario::{Direction, Traffic};
use crate::topology::{DeviceId, Topology};
use crate::traffic::generator::Sender;

impl Traffic {
    /// Its sources for people, in the order of their numbers.
    pub fn source_names(&self, topology: &Topology) -> Vec<String> {
        match self {
            Traffic::Replay { capture, at, .. } => {
                let direction = match at.direction {
                    Direction::Ingress => "ingress",
                    Direction::Egress => "egress",
                };
                vec![format!(
                    "replay of {} at {} {direction}",
                    capture.display(),
                    topology.port_name(at.port)
                )]
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
        }
    }
}
