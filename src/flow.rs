//! The flows of a run, and their keys.

use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv4Addr};

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use twox_hash::XxHash3_64;

use crate::packet::FlowKey;

/// Every flow by its `fid`, in the order in which flows appear.
///
/// # Complexity
/// 16 B per IPv4 flow, and 5 to 12 B for its look-up.
#[derive(Debug, Clone, Default)]
pub struct Flows {
    keys: Vec<Packed>,
    /// The keys that are not IPv4.
    others: Vec<FlowKey>,
    fids: HashTable<u32>,
}

/// An IPv4 key, or the index of another key in `others`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Packed {
    /// Source and destination.
    addresses: [u32; 2],
    /// Source and destination port.
    ports: [u16; 2],
    protocol: u8,
    has_ports: bool,
    is_v4: bool,
}

impl Packed {
    fn v4(key: &FlowKey) -> Option<Self> {
        let FlowKey::Ip { source: IpAddr::V4(source), destination: IpAddr::V4(destination), protocol, ports } =
            *key
        else {
            return None;
        };
        let (from, to) = ports.unwrap_or_default();
        let addresses = [source.to_bits(), destination.to_bits()];
        Some(Packed { addresses, ports: [from, to], protocol, has_ports: ports.is_some(), is_v4: true })
    }

    fn other(place: usize) -> Self {
        let place = u32::try_from(place).expect("fewer than 2^32 flows");
        Packed { addresses: [place, 0], ports: [0, 0], protocol: 0, has_ports: false, is_v4: false }
    }

    /// The key, if it is IPv4; otherwise its index in `others`.
    fn key(&self) -> Result<FlowKey, usize> {
        let Packed { addresses: [from, to], ports, protocol, has_ports, is_v4 } = *self;
        if !is_v4 {
            return Err(from as usize);
        }
        let address = |bits: u32| IpAddr::V4(Ipv4Addr::from_bits(bits));
        let ports = has_ports.then_some((ports[0], ports[1]));
        Ok(FlowKey::Ip { source: address(from), destination: address(to), protocol, ports })
    }
}

impl Flows {
    /// The `fid` of `key`, and whether it is new.
    pub fn add(&mut self, key: FlowKey) -> (u32, bool) {
        let Flows { keys, others, fids } = self;
        let hash_of = |packed: &Packed| match packed.key() {
            Ok(_) => quick_hash(packed),
            Err(place) => quick_hash(&others[place]),
        };
        let packed = Packed::v4(&key);
        let hash = packed.as_ref().map_or_else(|| quick_hash(&key), quick_hash);
        let is_same = |fid: &u32| match (packed, keys[*fid as usize].key()) {
            (Some(packed), _) => keys[*fid as usize] == packed,
            (None, Err(place)) => others[place] == key,
            (None, Ok(_)) => false,
        };
        if let Some(fid) = fids.find(hash, is_same) {
            return (*fid, false);
        }
        let fid = u32::try_from(keys.len()).expect("fewer than 2^32 flows");
        fids.insert_unique(hash, fid, |fid| hash_of(&keys[*fid as usize]));
        keys.push(packed.unwrap_or_else(|| Packed::other(others.len())));
        if packed.is_none() {
            others.push(key);
        }
        (fid, true)
    }

    /// The `fid` of `key`; `None` if there is no such flow.
    pub fn find(&self, key: &FlowKey) -> Option<u32> {
        let packed = Packed::v4(key);
        let hash = packed.as_ref().map_or_else(|| quick_hash(key), quick_hash);
        self.fids.find(hash, |fid| self.key(*fid).as_ref() == Some(key)).copied()
    }

    /// The key of the flow; `None` if there is no flow of that number.
    #[inline]
    pub fn key(&self, fid: u32) -> Option<FlowKey> {
        Some(self.keys.get(fid as usize)?.key().unwrap_or_else(|place| self.others[place]))
    }

    /// XXH3-64 of the flow's key: the same in every run, on every machine. 0 if there is no such flow.
    #[inline]
    pub fn hash(&self, fid: u32) -> u64 {
        self.key(fid).map_or(0, |key| flow_hash(&key))
    }

    /// The number of flows.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no flows.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// A hash for tables within this process.
fn quick_hash(value: &impl Hash) -> u64 {
    FxBuildHasher.hash_one(value)
}

/// XXH3-64 of the addresses as IPv6 (RFC 4291, mapped), the protocol and the ports, all in network order; of
/// the text, for a flow without addresses.
pub(crate) fn flow_hash(key: &FlowKey) -> u64 {
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
        assert_eq!(flows.key(1), Some(key(2)));
        assert_ne!(flows.hash(0), flows.hash(1));
        assert_eq!((flows.key(2), flows.hash(2)), (None, 0));
    }
}
