//! The host of an address.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use rustc_hash::FxHashMap;

use crate::topology::{DeviceId, Topology};

/// The prefixes of all hosts, searched for the longest one that contains an address.
pub struct Addresses {
    /// Prefixes of a single address; none is longer.
    single: FxHashMap<IpAddr, DeviceId>,
    v4: PrefixMap<Ipv4Net, DeviceId>,
    v6: PrefixMap<Ipv6Net, DeviceId>,
}

impl Addresses {
    /// The prefixes of `topology`.
    pub fn new(topology: &Topology) -> Self {
        let mut addresses =
            Addresses { single: FxHashMap::default(), v4: PrefixMap::new(), v6: PrefixMap::new() };
        for (id, device) in topology.devices() {
            for prefix in &device.addresses {
                match prefix {
                    _ if prefix.prefix_len() == prefix.max_prefix_len() => {
                        addresses.single.insert(prefix.addr(), id)
                    }
                    IpNet::V4(prefix) => addresses.v4.insert(*prefix, id),
                    IpNet::V6(prefix) => addresses.v6.insert(*prefix, id),
                };
            }
        }
        addresses
    }

    /// The host with the longest prefix that contains `address`.
    pub fn host_of(&self, address: IpAddr) -> Option<DeviceId> {
        if let Some(host) = self.single.get(&address) {
            return Some(*host);
        }
        match address {
            IpAddr::V4(address) => self.v4.get_lpm(&address.into()).map(|(_, host)| *host),
            IpAddr::V6(address) => self.v6.get_lpm(&address.into()).map(|(_, host)| *host),
        }
    }
}
