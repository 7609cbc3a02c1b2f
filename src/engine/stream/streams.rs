//! The streams between ports: what feeders bring.

use crate::engine::network::Network;
use crate::packet::{Packet, Tau};
use crate::topology::PortId;
use crate::units::Time;

/// What a feeder brings: one sorted stream per egress port of the device that it feeds, each packet with the instant
/// at which it joins the port's PTM.
#[derive(Debug, Default)]
pub(super) struct Streams {
    by_port: Vec<Vec<Tau>>,
    first_port: usize,
}

impl Streams {
    pub fn new(network: &Network, feeder: usize) -> Self {
        let device = network.feeders[feeder].device;
        let ports = network.topology.device(device).ports.len();
        Streams {
            by_port: (0..ports).map(|_| Vec::new()).collect(),
            first_port: network.nodes[device.index()].first_port,
        }
    }

    /// Forgets what every port has taken: all before `start`.
    pub fn forget_before(&mut self, start: Time) {
        for stream in &mut self.by_port {
            // What is left is little: it is on its way while the window ends.
            let left = stream.iter().rev().take_while(|tau| tau.timestamp >= start).count();
            if left < stream.len() {
                stream.drain(..stream.len() - left);
            }
        }
    }

    #[inline]
    pub fn to(&self, port: PortId) -> &[Tau] {
        &self.by_port[port.index() - self.first_port]
    }

    /// A packet for a port, with what changes on its way there.
    #[inline(always)]
    pub fn push_changed(&mut self, port: PortId, joins: Time, tau: &Tau, hops_counted: u8, in_port: u16) {
        let packet = Packet { in_port, ttl: tau.packet.ttl - hops_counted, ..tau.packet };
        self.stream(port).push(Tau { timestamp: joins, packet });
    }

    /// What goes to a port.
    #[inline]
    pub fn stream(&mut self, port: PortId) -> &mut Vec<Tau> {
        &mut self.by_port[port.index() - self.first_port]
    }

    /// The last packet for a port overtakes those that arrive after it.
    pub fn overtake(&mut self, port: PortId) {
        let stream = self.stream(port);
        let mut place = stream.len() - 1;
        while place > 0 && stream[place - 1].timestamp > stream[place].timestamp {
            stream.swap(place - 1, place);
            place -= 1;
        }
    }
}

/// The streams that the ports on a circle take from.
pub(super) struct Circle<'a> {
    /// Those of all ports before it.
    pub before: &'a [Streams],
    /// Those of the ports on it.
    pub own: &'a mut [Streams],
    /// The place of the first of these.
    pub first: usize,
}

impl Circle<'_> {
    /// The streams at a place.
    #[inline]
    pub fn streams(&self, place: usize) -> &Streams {
        if place < self.first { &self.before[place] } else { &self.own[place - self.first] }
    }
}
