//! Pairs the connections of a capture with those of the simulation.

use std::collections::VecDeque;
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::measured::{ConnectionName, MeasuredFlows};
use crate::packet::FlowKey;
use crate::transport::ConnectionRecord;
use crate::transport::tcp::PROTOCOL;
use crate::units::Time;

/// How a connection of a capture was paired with one of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairedBy {
    /// By addresses and ports.
    Ports,
    /// By addresses and the order in which connections begin; the ports differ.
    Order,
}

/// A connection of the simulation.
#[derive(Debug, Clone)]
pub struct SimulatedConnection {
    /// The flow of the side that opened it.
    pub key: FlowKey,
    /// The numbers of its flows: of that side and of the other.
    pub fids: [Option<u32>; 2],
    opened: Time,
    paired: Option<Pair>,
}

/// The connection of the captures that is paired with one of the simulation.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// Its name.
    pub name: ConnectionName,
    /// How it was paired.
    pub by: PairedBy,
    /// The initial sequence numbers, as far as known: of the side that opened it, and of the other.
    initial: [Initial; 2],
    /// Window scales.
    scales: [Option<u8>; 2],
}

/// The initial sequence number of a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Initial {
    Unknown,
    /// Derived from a first packet only, which is assumed to follow the SYN.
    Guessed(u32),
    /// From a SYN or the answer to one.
    Sure(u32),
}

impl Initial {
    /// The more certain of the two; if equal, the first.
    fn or(self, other: Initial) -> Initial {
        match (self, other) {
            (Initial::Sure(_), _) | (Initial::Guessed(_), Initial::Unknown | Initial::Guessed(_)) => self,
            _ => other,
        }
    }

    fn number(self) -> u32 {
        match self {
            Initial::Unknown => 0,
            Initial::Guessed(number) | Initial::Sure(number) => number,
        }
    }
}

/// The connections of a simulation, and their partners in the captures. A pairing from one capture is kept
/// for the others.
#[derive(Debug, Default)]
pub struct Connections {
    /// Ordered by their start.
    simulated: Vec<SimulatedConnection>,
    by_key: FxHashMap<FlowKey, usize>,
    paired: FxHashMap<ConnectionName, usize>,
    addresses: FxHashSet<(IpAddr, IpAddr)>,
    /// Flows of the simulation that are not connections.
    others: FxHashSet<FlowKey>,
}

impl Connections {
    /// The connections among the flows of a run, which are in order of `fid`.
    pub fn new<'a>(flows: impl Iterator<Item = (&'a FlowKey, Option<&'a ConnectionRecord>)>) -> Self {
        let mut connections = Connections::default();
        let mut fids: FxHashMap<FlowKey, u32> = FxHashMap::default();
        for (fid, (key, record)) in flows.enumerate() {
            fids.insert(*key, fid as u32);
            match record {
                Some(record) if record.opened_here => connections.simulated.push(SimulatedConnection {
                    key: *key,
                    fids: [Some(fid as u32), None],
                    opened: record.opened,
                    paired: None,
                }),
                Some(_) => {}
                None => drop(connections.others.insert(*key)),
            }
        }
        connections.simulated.sort_by_key(|connection| (connection.opened, connection.fids[0]));
        for (place, connection) in connections.simulated.iter_mut().enumerate() {
            connection.fids[1] = connection.key.reverse().and_then(|key| fids.get(&key)).copied();
            connections.by_key.insert(connection.key, place);
            connections.addresses.extend(addresses(&connection.key));
        }
        connections
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.simulated.is_empty()
    }

    /// The connections of the simulation, ordered by their start.
    pub fn simulated(&self) -> &[SimulatedConnection] {
        &self.simulated
    }

    /// Whether a packet of this flow may belong to one: its hosts have a connection, and the simulation has
    /// no other flow with this key.
    pub fn may_have(&self, flow: &FlowKey) -> bool {
        let between = |key: &FlowKey| addresses(key).is_some_and(|pair| self.addresses.contains(&pair));
        let reverse = flow.reverse();
        (between(flow) || reverse.as_ref().is_some_and(between)) && !self.others.contains(flow)
    }

    /// Pairs the connections of a capture. Returns the number without a partner.
    pub fn pair(&mut self, flows: &MeasuredFlows) -> u64 {
        let mut starts: FxHashMap<ConnectionName, i64> = FxHashMap::default();
        for ((key, number), flow) in flows.iter() {
            let key = if flow.opens() { Some(*key) } else { key.reverse() };
            let Some(key) = key else { continue };
            let start = starts.entry((key, *number)).or_insert(i64::MAX);
            *start = flow.first_ps().min(*start);
        }
        let mut starts: Vec<(i64, ConnectionName)> =
            starts.into_iter().map(|(name, start)| (start, name)).collect();
        starts.sort_by_cached_key(|(start, name)| (*start, name.0.to_string(), name.1));
        starts.retain(|(_, name)| !self.paired.contains_key(name));
        starts.retain(|(_, name)| match self.by_key.get(&name.0) {
            Some(place) if self.simulated[*place].paired.is_none() => {
                self.take(*place, *name, PairedBy::Ports);
                false
            }
            _ => true,
        });
        let mut free: FxHashMap<(IpAddr, IpAddr), VecDeque<usize>> = FxHashMap::default();
        for (place, connection) in self.simulated.iter().enumerate() {
            if let (None, Some(hosts)) = (&connection.paired, addresses(&connection.key)) {
                free.entry(hosts).or_default().push_back(place);
            }
        }
        let mut without = 0;
        for (_, name) in starts {
            let hosts = addresses(&name.0);
            match hosts.and_then(|hosts| free.get_mut(&hosts)?.pop_front()) {
                Some(place) => self.take(place, name, PairedBy::Order),
                None => without += 1,
            }
        }
        self.learn(flows);
        without
    }

    fn take(&mut self, place: usize, name: ConnectionName, by: PairedBy) {
        let initial = [Initial::Unknown; 2];
        self.simulated[place].paired = Some(Pair { name, by, initial, scales: [None; 2] });
        self.paired.insert(name, place);
    }

    /// Learns initial numbers and window scales.
    fn learn(&mut self, flows: &MeasuredFlows) {
        for pair in self.simulated.iter_mut().filter_map(|connection| connection.paired.as_mut()) {
            let names = pair.names();
            let sides = names.map(|name| name.and_then(|name| flows.get(&name)));
            for (side, flow) in sides.into_iter().enumerate() {
                let answer = sides[1 - side];
                let answered = answer.and_then(|answer| answer.first_acknowledgement());
                let answered = answered.map(|number| number.wrapping_sub(1));
                // The first acknowledgement answers the SYN if its own SYN was captured too.
                let is_sure = answer.is_some_and(|answer| answer.syn().is_some());
                let by_answer = match answered {
                    Some(number) if is_sure => Initial::Sure(number),
                    Some(number) => Initial::Guessed(number),
                    None => Initial::Unknown,
                };
                let first = flow.and_then(|flow| flow.first_sequence());
                let by_first =
                    first.map_or(Initial::Unknown, |first| Initial::Guessed(first.wrapping_sub(1)));
                let by_syn = flow.and_then(|flow| flow.syn()).map_or(Initial::Unknown, Initial::Sure);
                pair.initial[side] = pair.initial[side].or(by_syn).or(by_answer).or(by_first);
                pair.scales[side] = pair.scales[side].or(flow.and_then(|flow| flow.window_scale()));
            }
        }
    }
}

impl SimulatedConnection {
    /// Its partner in the captures, if it has one.
    pub fn pair(&self) -> Option<&Pair> {
        self.paired.as_ref()
    }
}

impl Pair {
    /// The names of its two flows: of the side that opened it and of the other.
    pub fn names(&self) -> [Option<ConnectionName>; 2] {
        let (key, number) = self.name;
        [Some(self.name), key.reverse().map(|key| (key, number))]
    }

    /// The initial numbers of a side and of the other side.
    pub fn initial(&self, side: usize) -> [u32; 2] {
        [self.initial[side].number(), self.initial[1 - side].number()]
    }

    /// The window scale of a side, if its SYN was captured.
    pub fn window_scale(&self, side: usize) -> Option<u8> {
        self.scales[side]
    }

    /// Whether no SYN gives the initial number of a side.
    pub fn is_guessed(&self, side: usize) -> bool {
        matches!(self.initial[side], Initial::Guessed(_))
    }
}

/// Source and destination address of a TCP flow.
fn addresses(key: &FlowKey) -> Option<(IpAddr, IpAddr)> {
    match *key {
        FlowKey::Ip { source, destination, protocol: PROTOCOL, .. } => Some((source, destination)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::TcpSegment;
    use crate::units::Span;

    fn key(from: u8, to: u8, port: u16) -> FlowKey {
        let (source, destination) = ([10, 0, 0, from].into(), [10, 0, 0, to].into());
        FlowKey::Ip { source, destination, protocol: 6, ports: Some((port, 80)) }
    }

    fn record(key: FlowKey, opened: u64) -> ConnectionRecord {
        ConnectionRecord {
            key,
            fid: 0,
            entry: 0,
            opened_here: true,
            segment: 1448,
            options: 12,
            opened: Time::from_ps(opened),
            counted_from: Time::from_ps(opened),
            ideal: Span::ZERO,
            closed: Time::NEVER,
            finished: Time::NEVER,
            advanced: Time::ZERO,
            acknowledged: 0,
            retransmissions: 0,
            timeouts: 0,
            delivered_ce: 0,
            gave_up: false,
        }
    }

    fn segment(sequence: u32, syn: bool) -> TcpSegment {
        TcpSegment {
            source: "10.0.0.1:1".parse().unwrap(),
            destination: "10.0.0.2:2".parse().unwrap(),
            sequence,
            acknowledgement: None,
            syn,
            fin: false,
            rst: false,
            ece: false,
            cwr: false,
            payload_length: 1,
            window: None,
            window_scale: None,
            sack: None,
            timestamps: None,
        }
    }

    #[test]
    fn connections_are_paired_by_ports_and_else_by_their_order() {
        // In order of opening: ports 3, 1, 2.
        let opened = [(key(1, 2, 1), 20), (key(1, 2, 2), 30), (key(1, 2, 3), 10), (key(5, 6, 1), 0)];
        let records = opened.map(|(key, at)| (key, record(key, at)));
        let other = key(1, 2, 9);
        let flows = records.iter().map(|(key, record)| (key, Some(record))).chain([(&other, None)]);
        let mut connections = Connections::new(flows);
        assert!(connections.may_have(&key(2, 1, 4)) && !connections.may_have(&other));
        assert!(!connections.may_have(&key(1, 6, 1)));
        let mut measured = MeasuredFlows::default();
        for (port, at_ps) in [(2, 5), (70, 6), (71, 7), (72, 8)] {
            measured.add(key(1, 2, port), &segment(100, port != 71), at_ps, (None, false));
        }
        assert_eq!(connections.pair(&measured), 1, "there is no fourth");
        let found: Vec<_> = connections
            .simulated()
            .iter()
            .map(|connection| {
                connection.pair().map(|pair| (pair.name.0, pair.by, pair.initial(0)[0], pair.is_guessed(0)))
            })
            .collect();
        let by_order =
            |port, initial, is_guessed| Some((key(1, 2, port), PairedBy::Order, initial, is_guessed));
        let by_ports = Some((key(1, 2, 2), PairedBy::Ports, 100, false));
        assert_eq!(found, [None, by_order(70, 100, false), by_order(71, 99, true), by_ports]);
        // A pairing is kept.
        assert_eq!(connections.pair(&measured), 1);
    }
}
