//! Invariants of every network, with any disciplines and traffic: conservation, causality, one packet at a
//! time on a link, FIFO order within a class, work conservation, Little's law.

use std::collections::BTreeMap;

use proptest::prelude::*;

use taunet::engine::{Engine, EngineError, Hop, Outcome};
use taunet::topology::{PortId, Topology};
use taunet::units::{ByteCount, Time};

use crate::random_networks::{Classes, DISCIPLINES, Discipline, Log, Network, networks};

/// What one engine made of one network.
struct Run<'n> {
    network: &'n Network,
    topology: Topology,
    outcome: Outcome,
    log: Log,
}

impl Run<'_> {
    fn discipline(&self, port: PortId) -> &'static Discipline {
        &DISCIPLINES[self.network.disciplines[self.topology.port(port).device.index()]]
    }

    /// When the last bit of a packet has left its port.
    fn sent(&self, hop: &Hop) -> Time {
        let link = self.topology.link(self.topology.port(hop.port).egress).link;
        hop.egress + link.transmission_time(ByteCount::new(hop.packet.length.into()))
    }

    /// When it is at the other end, unless the link delays it further.
    fn arrived(&self, hop: &Hop) -> Time {
        let link = self.topology.link(self.topology.port(hop.port).egress).link;
        self.sent(hop) + link.propagation_delay()
    }

    /// The hops of each port, in the order in which they were told.
    fn ports(&self) -> BTreeMap<PortId, Vec<&Hop>> {
        let mut ports: BTreeMap<PortId, Vec<&Hop>> = BTreeMap::new();
        for hop in &self.log.hops {
            ports.entry(hop.port).or_default().push(hop);
        }
        ports
    }

    /// Every packet that entered has at most one end, and the counts of the run are those of its packets.
    fn conserves_packets(&self) {
        let mut ends: BTreeMap<u64, u32> = BTreeMap::new();
        for (tau, _, _) in &self.log.injected {
            assert_eq!(ends.insert(tau.packet.pid, 0), None, "packet {} entered twice", tau.packet.pid);
        }
        let delivered = self.log.delivered.iter().map(|(tau, _)| tau.packet.pid);
        for pid in delivered.chain(self.log.dropped.iter().map(|drop| drop.tau.packet.pid)) {
            *ends.get_mut(&pid).expect("a packet that ends has entered") += 1;
        }
        assert!(ends.values().all(|ends| *ends <= 1), "a packet has two ends");
        let count = |number: u32| ends.values().filter(|ends| **ends == number).count() as u64;
        let packets = self.outcome.packets;
        assert_eq!(packets.injected, ends.len() as u64);
        assert_eq!(packets.delivered, self.log.delivered.len() as u64);
        assert_eq!(packets.dropped, self.log.dropped.len() as u64);
        assert_eq!(packets.inside, count(0));
        assert!(packets.inside == 0 || self.network.until.is_some(), "packets stay inside for ever");
        assert_eq!(self.outcome.hops, self.log.hops.len() as u64);
    }

    /// A packet goes from device to device along the links, and nothing happens before its cause.
    fn is_causal(&self) {
        // Per packet: since when and where it can be; anywhere before its first device.
        let mut since = BTreeMap::new();
        for (tau, _, _) in &self.log.injected {
            since.insert(tau.packet.pid, (tau.timestamp, None));
        }
        for hop in &self.log.hops {
            let (time, device) = since[&hop.packet.pid];
            assert!(time <= hop.ingress, "{hop:?} begins before {time:?}");
            assert!(device.is_none_or(|device| device == hop.device), "{hop:?} is not where its link leads");
            let processing = self.topology.device(hop.device).processing;
            assert_eq!(hop.joined, hop.ingress + processing, "{hop:?}");
            assert!(hop.joined <= hop.egress, "{hop:?} leaves before it came");
            let link = self.topology.link(self.topology.port(hop.port).egress);
            let far_end = self.topology.port(link.to).device;
            since.insert(hop.packet.pid, (self.arrived(hop), Some(far_end)));
        }
        for (tau, host) in &self.log.delivered {
            let (time, device) = since[&tau.packet.pid];
            assert!(time <= tau.timestamp, "{tau:?} arrives before {time:?}");
            assert!(device.is_none_or(|device| device == *host), "{tau:?} arrives elsewhere");
        }
    }

    /// A packet's first bit starts when the last bit of the one before it has left.
    fn sends_one_packet_at_a_time(&self) {
        for hops in self.ports().values() {
            for pair in hops.windows(2) {
                assert!(self.sent(pair[0]) <= pair[1].egress, "{:?} overlaps {:?}", pair[0], pair[1]);
            }
        }
    }

    /// Within a class, packets leave in the order in which they joined.
    fn keeps_the_order_within_a_class(&self) {
        for (port, hops) in self.ports() {
            let mut last: BTreeMap<usize, &Hop> = BTreeMap::new();
            for hop in hops {
                let class = self.discipline(port).class(&hop.packet, &self.log.flows);
                if let Some(before) = last.insert(class, hop) {
                    assert!(before.joined <= hop.joined, "{before:?} overtakes {hop:?}");
                }
            }
        }
    }

    /// A packet that waits starts at the very instant at which the one before it is through.
    fn never_idles_while_a_packet_waits(&self) {
        for (port, hops) in self.ports() {
            if !self.discipline(port).is_work_conserving {
                continue;
            }
            let mut free = Time::ZERO;
            for hop in hops {
                if hop.egress > hop.joined {
                    assert_eq!(hop.egress, free, "{} idles before {hop:?}", self.topology.port_name(port));
                }
                free = self.sent(hop);
            }
        }
    }

    /// The area under the number of packets that wait is the sum of their waiting times, at every port.
    fn obeys_littles_law(&self) {
        for hops in self.ports().values() {
            let waits: u64 = hops.iter().map(|hop| hop.egress.since(hop.joined).as_ps()).sum();
            assert_eq!(area(hops), u128::from(waits));
        }
    }
}

/// The integral of the number of waiting packets over time, in packet picoseconds.
fn area(hops: &[&Hop]) -> u128 {
    let mut changes: Vec<(u64, i64)> = hops.iter().map(|hop| (hop.joined.as_ps(), 1)).collect();
    changes.extend(hops.iter().map(|hop| (hop.egress.as_ps(), -1)));
    // At one instant, arrivals first.
    changes.sort_unstable_by_key(|(time, change)| (*time, std::cmp::Reverse(*change)));
    let (mut area, mut waiting, mut before) = (0u128, 0i64, 0);
    for (time, change) in changes {
        area += u128::from(time - before) * u128::try_from(waiting).expect("no packet leaves before it came");
        waiting += change;
        before = time;
    }
    assert_eq!(waiting, 0);
    area
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_laws_hold_in_random_networks(network in networks()) {
        for engine in [Engine::Event, Engine::Stream] {
            let (outcome, log) = match network.run(engine, 1) {
                Err(EngineError::InstantCycle { .. }) => continue,
                other => other.unwrap(),
            };
            let run = Run { network: &network, topology: network.topology(), outcome, log };
            run.conserves_packets();
            run.is_causal();
            run.sends_one_packet_at_a_time();
            run.keeps_the_order_within_a_class();
            run.never_idles_while_a_packet_waits();
            run.obeys_littles_law();
        }
    }
}

#[test]
fn the_random_networks_hold_every_promise_to_the_test() {
    let count = |is: fn(&Discipline) -> bool| DISCIPLINES.iter().filter(|discipline| is(discipline)).count();
    assert!(count(|discipline| matches!(discipline.classes, Classes::One)) > 3);
    assert!(count(|discipline| !matches!(discipline.classes, Classes::One)) > 3);
    assert!(count(|discipline| discipline.is_work_conserving) > 9);
}
