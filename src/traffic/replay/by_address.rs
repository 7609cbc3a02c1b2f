//! A capture distributed over the hosts of a topology: the addresses of a packet determine its sender and
//! receiver.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};

use super::recording::Recording;
use super::{Speed, packet};
use crate::capture::{CaptureError, FlowTable, Options};
use crate::config::Spanned;
use crate::packet::{FlowKey, Tau};
use crate::random::Draws;
use crate::topology::Prefix;
use crate::traffic::{Emission, Source, TrafficError};

/// The mapping from addresses in the capture to hosts, as written in a scenario.
#[derive(Debug, Clone, PartialEq)]
pub enum ByAddressSpec {
    /// `"hash"`: any host of the topology, by a seeded hash of the address.
    Hash,
    /// The host of each prefix; the longest matching prefix applies.
    Table(Vec<(Spanned<Prefix>, Spanned<String>)>),
}

const EXPECTING: &str = "\"hash\", or a table of hosts by address, such as { \"10.1.0.0/16\" = \"h0\" }";

impl<'de> Deserialize<'de> for ByAddressSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ByAddressSpec;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(EXPECTING)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByAddressSpec, E> {
                match text {
                    "hash" => Ok(ByAddressSpec::Hash),
                    _ => Err(E::custom(format_args!(
                        "`{text}` is not a mapping of addresses to hosts; write {EXPECTING}"
                    ))),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<ByAddressSpec, A::Error> {
                let mut table = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    table.push(entry);
                }
                Ok(ByAddressSpec::Table(table))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl schemars::JsonSchema for ByAddressSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByAddressSpec".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": EXPECTING,
            "anyOf": [
                { "const": "hash" },
                { "type": "object", "additionalProperties": { "type": "string" } },
            ],
        })
    }
}

/// The mapping from addresses in the capture to the hosts of an entry.
#[derive(Debug, Clone)]
pub enum HostOfAddress {
    /// One of this many hosts, by a hash.
    Hash(Draws, u32),
    /// By prefix, the longest first.
    Table(Vec<(IpNet, u32)>),
}

impl HostOfAddress {
    /// The number of the host.
    pub fn of(&self, address: IpAddr) -> Option<u32> {
        match self {
            HostOfAddress::Hash(draws, hosts) => {
                let bits = match address {
                    IpAddr::V4(address) => draws.bits(u64::from(address.to_bits())),
                    IpAddr::V6(address) => {
                        let bits = address.to_bits();
                        draws.bits(draws.bits((bits >> 64) as u64) ^ bits as u64)
                    }
                };
                Some(((u128::from(bits) * u128::from(*hosts)) >> 64) as u32)
            }
            HostOfAddress::Table(prefixes) => {
                prefixes.iter().find(|(prefix, _)| prefix.contains(&address)).map(|(_, host)| *host)
            }
        }
    }
}

/// A capture that is distributed over hosts.
///
/// The capture is read once. The source of a host that sends seldom reads ahead, and the packets of other
/// hosts are buffered meanwhile: up to the whole capture, 64 bytes per packet.
pub struct ReplayByAddress(Shared);

impl ReplayByAddress {
    /// Opens a capture for hosts with these `addresses`, one per host.
    ///
    /// # Errors
    /// The file cannot be opened or its first packet cannot be read.
    pub fn open(
        path: &Path,
        options: &Options,
        speed: &Speed,
        host_of: HostOfAddress,
        addresses: Vec<IpAddr>,
    ) -> Result<Self, CaptureError> {
        Ok(ReplayByAddress(Shared {
            path: path.to_owned(),
            recording: Recording::open(path, options, speed)?,
            host_of,
            senders: addresses.iter().map(|_| Sent::default()).collect(),
            addresses,
            ended: false,
            homeless: 0,
            within: 0,
        }))
    }

    /// The recording. A run sets its start there before it reads the first packet.
    pub fn recording(&mut self) -> &mut Recording {
        &mut self.0.recording
    }

    /// One source per host, in the order of the addresses.
    pub fn sources(self) -> impl Iterator<Item = Box<dyn Source>> {
        let hosts = self.0.addresses.len();
        let shared = Arc::new(Mutex::new(self.0));
        (0..hosts).map(move |number| -> Box<dyn Source> {
            Box::new(HostReplay { shared: Arc::clone(&shared), number })
        })
    }
}

/// The packets of a sending host.
#[derive(Default)]
struct Sent {
    flows: FlowTable,
    waiting: VecDeque<Emission>,
}

/// The capture, and the packets read from it for each host.
struct Shared {
    path: PathBuf,
    recording: Recording,
    host_of: HostOfAddress,
    addresses: Vec<IpAddr>,
    senders: Vec<Sent>,
    ended: bool,
    /// Packets with an address that belongs to no host.
    homeless: u64,
    /// Packets whose source and destination are the same host.
    within: u64,
}

impl Shared {
    /// Reads until host `number` has a packet.
    fn next_of(&mut self, number: usize) -> Result<Option<Emission>, TrafficError> {
        loop {
            if let Some(emission) = self.senders[number].waiting.pop_front() {
                return Ok(Some(emission));
            }
            if self.ended {
                return Ok(None);
            }
            let Some((timestamp, observation)) = self.recording.next()? else {
                self.ended = true;
                continue;
            };
            let mut frame = observation.frame;
            let host = |address: Option<IpAddr>| self.host_of.of(address?).map(|host| host as usize);
            let (Some(from), Some(to)) = (host(frame.source), host(frame.destination)) else {
                self.homeless += 1;
                continue;
            };
            if from == to {
                self.within += 1;
                continue;
            }
            let match_key = self.recording.match_key(&frame);
            (frame.source, frame.destination) = (Some(self.addresses[from]), Some(self.addresses[to]));
            let sender = &mut self.senders[from];
            let packet = packet(&frame, observation.length, sender.flows.fid(&frame));
            let tau = Tau { timestamp, packet };
            sender.waiting.push_back(Emission { tau, record: observation.record, match_key });
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.recording.warnings();
        let path = self.path.display();
        if self.homeless > 0 {
            warnings.push(format!("left out {} packets of {path} with an address of no host", self.homeless));
        }
        if self.within > 0 {
            let packets = self.within;
            warnings.push(format!("left out {packets} packets of {path} from a host to itself"));
        }
        warnings
    }
}

/// The packets that one host sends in the replay of a capture.
struct HostReplay {
    shared: Arc<Mutex<Shared>>,
    number: usize,
}

impl HostReplay {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for HostReplay {
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError> {
        self.shared().next_of(self.number)
    }

    fn flow(&self, fid: u32) -> FlowKey {
        *self.shared().senders[self.number].flows.key(fid).expect("a flow that this source emitted")
    }

    fn progress(&self) -> Option<f64> {
        self.shared().recording.progress()
    }

    fn warnings(&self) -> Vec<String> {
        if self.number == 0 { self.shared().warnings() } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_has_an_address() {
        let table = HostOfAddress::Table(vec![
            ("10.1.2.0/24".parse().unwrap(), 1),
            ("10.1.0.0/16".parse().unwrap(), 0),
        ]);
        let of = |address: &str| table.of(address.parse().unwrap());
        assert_eq!((of("10.1.2.3"), of("10.1.3.3"), of("10.2.0.1")), (Some(1), Some(0), None));
    }

    #[test]
    fn a_hash_spreads_addresses_evenly_and_by_seed() {
        let spread = |seed| -> Vec<u32> {
            let hash = HostOfAddress::Hash(Draws::new(seed, "traffic", "0"), 4);
            (0..4_000u32).map(|n| hash.of(IpAddr::from(n.to_be_bytes())).unwrap()).collect()
        };
        let first = spread(1);
        for host in 0..4 {
            let count = first.iter().filter(|found| **found == host).count();
            assert!(count.abs_diff(1_000) < 150, "{count}");
        }
        assert_eq!(first, spread(1));
        assert_ne!(first, spread(2));
        let hash = HostOfAddress::Hash(Draws::new(1, "traffic", "0"), 1_000_000);
        let of = |address: &str| hash.of(address.parse().unwrap());
        assert_ne!(of("fd00::1"), of("fd00::2"));
        assert_ne!(of("fd00::1"), of("fd00:1::1"));
    }
}
