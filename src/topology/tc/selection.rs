//! The packets that a filter selects, in the terms of `match`.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::table::Table;
use crate::ptm::{Interval, Protocol};

/// A version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// The prefix of all its addresses.
    fn all(self) -> IpNet {
        match self {
            Family::V4 => IpNet::V4(Ipv4Net::default()),
            Family::V6 => IpNet::V6(Ipv6Net::default()),
        }
    }
}

/// Ports, both ends included.
pub(super) type Ports = (u16, u16);

/// A product of sets. `None` includes every packet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Selection {
    /// One bit per code point.
    pub dscp: Option<u64>,
    pub protocol: Option<Vec<u8>>,
    pub source: Option<Vec<IpNet>>,
    pub destination: Option<Vec<IpNet>>,
    pub source_ports: Option<Vec<Ports>>,
    pub destination_ports: Option<Vec<Ports>>,
}

/// A set of values as a list of pieces, each of which is a set.
trait Piece: Copy + Ord {
    fn overlaps(self, other: Self) -> bool;
    fn covers(self, other: Self) -> bool;
}

impl Piece for u8 {
    fn overlaps(self, other: u8) -> bool {
        self == other
    }
    fn covers(self, other: u8) -> bool {
        self == other
    }
}

impl Piece for Ports {
    fn overlaps(self, other: Ports) -> bool {
        self.0 <= other.1 && other.0 <= self.1
    }
    fn covers(self, other: Ports) -> bool {
        self.0 <= other.0 && other.1 <= self.1
    }
}

impl Piece for IpNet {
    fn overlaps(self, other: IpNet) -> bool {
        self.contains(&other) || other.contains(&self)
    }
    fn covers(self, other: IpNet) -> bool {
        self.contains(&other)
    }
}

fn overlap<T: Piece>(one: &Option<Vec<T>>, other: &Option<Vec<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.iter().any(|a| other.iter().any(|b| a.overlaps(*b))),
        _ => true,
    }
}

fn covers<T: Piece>(one: &Option<Vec<T>>, other: &Option<Vec<T>>) -> bool {
    match (one, other) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(one), Some(other)) => other.iter().all(|b| one.iter().any(|a| a.covers(*b))),
    }
}

/// The pieces of both, without pieces that another one covers.
fn union<T: Piece>(one: &Option<Vec<T>>, other: &Option<Vec<T>>) -> Option<Vec<T>> {
    let mut pieces = [one.as_ref()?.as_slice(), other.as_ref()?].concat();
    pieces.sort();
    pieces.dedup();
    let kept = pieces.iter().filter(|piece| !pieces.iter().any(|by| by != *piece && by.covers(**piece)));
    Some(kept.copied().collect())
}

impl Selection {
    /// All packets of a version of IP.
    pub fn of(family: Option<Family>) -> Self {
        Selection { source: family.map(|family| vec![family.all()]), ..Selection::default() }
    }

    /// Whether it selects every packet.
    pub fn is_everything(&self) -> bool {
        *self == Selection::default()
    }

    /// Whether both select a common packet.
    pub fn overlaps(&self, other: &Selection) -> bool {
        let dscp = match (self.dscp, other.dscp) {
            (Some(one), Some(other)) => one & other != 0,
            _ => true,
        };
        dscp && overlap(&self.protocol, &other.protocol)
            && overlap(&self.source, &other.source)
            && overlap(&self.destination, &other.destination)
            && overlap(&self.source_ports, &other.source_ports)
            && overlap(&self.destination_ports, &other.destination_ports)
    }

    /// Whether it selects every packet of the other.
    fn covers(&self, other: &Selection) -> bool {
        let dscp = match (self.dscp, other.dscp) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(one), Some(other)) => other & !one == 0,
        };
        dscp && covers(&self.protocol, &other.protocol)
            && covers(&self.source, &other.source)
            && covers(&self.destination, &other.destination)
            && covers(&self.source_ports, &other.source_ports)
            && covers(&self.destination_ports, &other.destination_ports)
    }

    /// The union, if one selection can express it: they differ in one key, or one covers the other.
    pub fn union(&self, other: &Selection) -> Option<Selection> {
        if self.covers(other) {
            return Some(self.clone());
        }
        if other.covers(self) {
            return Some(other.clone());
        }
        // The other keys, with the values of both in one key.
        let mut candidates = vec![self.clone(); 6];
        candidates[0].dscp = self.dscp.zip(other.dscp).map(|(one, other)| one | other);
        candidates[1].protocol = union(&self.protocol, &other.protocol);
        candidates[2].source = union(&self.source, &other.source);
        candidates[3].destination = union(&self.destination, &other.destination);
        candidates[4].source_ports = union(&self.source_ports, &other.source_ports);
        candidates[5].destination_ports = union(&self.destination_ports, &other.destination_ports);
        let differing = [
            self.dscp != other.dscp,
            self.protocol != other.protocol,
            self.source != other.source,
            self.destination != other.destination,
            self.source_ports != other.source_ports,
            self.destination_ports != other.destination_ports,
        ];
        match differing.iter().filter(|differs| **differs).count() {
            1 => differing.iter().zip(candidates).find_map(|(differs, union)| differs.then_some(union)),
            _ => None,
        }
    }

    /// The value of `match`.
    pub fn to_toml(&self) -> String {
        let mut table = Table::default();
        if let Some(bits) = self.dscp {
            table.set_text("dscp", one_or_array(runs(bits).map(|(first, last)| interval::<63>(first, last))));
        }
        let text = |value: String| crate::config::toml_value(&value);
        if let Some(protocols) = &self.protocol {
            let name = |number: &u8| match Protocol(*number).to_string() {
                name if name.contains(' ') => number.to_string(),
                name => text(name.to_lowercase()),
            };
            let names = protocols.iter().map(name);
            table.set_text("protocol", one_or_array(names));
        }
        for (key, nets) in [("source", &self.source), ("destination", &self.destination)] {
            if let Some(nets) = nets {
                table.set_text(key, one_or_array(nets.iter().map(|net| text(address(*net)))));
            }
        }
        for (key, ports) in
            [("source_ports", &self.source_ports), ("destination_ports", &self.destination_ports)]
        {
            if let Some(ports) = ports {
                let intervals = ports.iter().map(|(first, last)| interval::<65_535>(*first, *last));
                table.set_text(key, one_or_array(intervals));
            }
        }
        table.inline()
    }
}

/// A prefix, or an address alone.
fn address(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

/// A number, or an interval as text.
fn interval<const MOST: u16>(first: u16, last: u16) -> String {
    match first == last {
        true => first.to_string(),
        false => crate::config::toml_value(&Interval::<MOST> { first, last }),
    }
}

fn one_or_array(values: impl Iterator<Item = String>) -> String {
    let values = values.collect::<Vec<_>>();
    match values.as_slice() {
        [one] => one.clone(),
        _ => format!("[{}]", values.join(", ")),
    }
}

/// The runs of ones in 64 bits.
fn runs(bits: u64) -> impl Iterator<Item = (u16, u16)> {
    let is_set = move |bit: u16| bit < 64 && bits >> bit & 1 == 1;
    (0..64_u16).filter(move |&bit| is_set(bit) && (bit == 0 || !is_set(bit - 1))).map(move |first| {
        let last = (first..64).take_while(|&bit| is_set(bit)).last().unwrap_or(first);
        (first, last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(first: u16, last: u16) -> Selection {
        Selection { destination_ports: Some(vec![(first, last)]), ..Selection::default() }
    }

    #[test]
    fn unions_differ_in_one_key() {
        let one = Selection { protocol: Some(vec![17]), ..ports(80, 80) };
        let other = Selection { protocol: Some(vec![17]), ..ports(443, 443) };
        assert_eq!(
            one.union(&other).map(|union| union.to_toml()).as_deref(),
            Some("{ protocol = \"udp\", destination_ports = [80, 443] }")
        );
        let third = Selection { protocol: Some(vec![6]), ..ports(22, 22) };
        assert_eq!(one.union(&third), None);
        assert_eq!(one.union(&Selection::default()), Some(Selection::default()));
        assert_eq!(ports(0, 100).union(&ports(20, 30)), Some(ports(0, 100)));
        assert!(!one.overlaps(&other) && one.overlaps(&ports(1, 100)));
    }

    #[test]
    fn code_points_are_written_as_intervals() {
        let bits = 1 << 46 | 0b1111 << 8 | 1;
        let selection = Selection { dscp: Some(bits), ..Selection::of(Some(Family::V6)) };
        assert_eq!(selection.to_toml(), "{ dscp = [0, \"8-11\", 46], source = \"::/0\" }");
        assert_eq!(runs(u64::MAX).collect::<Vec<_>>(), [(0, 63)]);
    }
}
