//! The flows of a run: what makes each `fid`.

use std::net::IpAddr;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use twox_hash::XxHash3_64;

use crate::packet::FlowKey;

/// Every flow by its `fid`, in the order in which flows appear.
#[derive(Debug, Clone, Default)]
pub struct Flows {
    hashes: IndexMap<FlowKey, u64, FxBuildHasher>,
}

impl Flows {
    /// The `fid` of `key`, and whether it is new.
    pub fn add(&mut self, key: FlowKey) -> (u32, bool) {
        let entry = self.hashes.entry(key);
        let fid = u32::try_from(entry.index()).expect("fewer than 2^32 flows");
        match entry {
            indexmap::map::Entry::Occupied(_) => (fid, false),
            indexmap::map::Entry::Vacant(vacant) => {
                vacant.insert(hash(&key));
                (fid, true)
            }
        }
    }

    /// What makes the flow; `None` where there is none of that number.
    #[inline]
    pub fn key(&self, fid: u32) -> Option<&FlowKey> {
        self.hashes.get_index(fid as usize).map(|(key, _)| key)
    }

    /// XXH3-64 of the flow's key: the same in every run, on every machine. 0 where there is no such flow.
    #[inline]
    pub fn hash(&self, fid: u32) -> u64 {
        self.hashes.get_index(fid as usize).map_or(0, |(_, hash)| *hash)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

/// XXH3-64 of the addresses as IPv6 (RFC 4291, mapped), the protocol and the ports, all in network order; of the text, where
/// a flow has no addresses.
fn hash(key: &FlowKey) -> u64 {
    match *key {
        FlowKey::Ip { source, destination, protocol, ports } => {
            let (from, to) = ports.unwrap_or_default();
            let mut bytes = [0; 37];
            bytes[..16].copy_from_slice(&octets(source));
            bytes[16..32].copy_from_slice(&octets(destination));
            bytes[32] = protocol;
            bytes[33..35].copy_from_slice(&from.to_be_bytes());
            bytes[35..].copy_from_slice(&to.to_be_bytes());
            XxHash3_64::oneshot(&bytes)
        }
        FlowKey::Link { .. } => XxHash3_64::oneshot(key.to_string().as_bytes()),
    }
}

/// XXH3-64 of an address as IPv6: the same in every run, on every machine.
pub(crate) fn address_hash(address: IpAddr) -> u64 {
    XxHash3_64::oneshot(&octets(address))
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> FlowKey {
        let address = "10.0.0.1".parse().unwrap();
        FlowKey::Ip { source: address, destination: address, protocol: 17, ports: Some((port, 9)) }
    }

    #[test]
    fn flows_are_numbered_as_they_appear() {
        let mut flows = Flows::default();
        assert_eq!(
            [flows.add(key(1)), flows.add(key(2)), flows.add(key(1))],
            [(0, true), (1, true), (0, false)]
        );
        assert_eq!(flows.key(1), Some(&key(2)));
        assert_ne!(flows.hash(0), flows.hash(1));
        assert_eq!((flows.key(2), flows.hash(2)), (None, 0));
    }
}
