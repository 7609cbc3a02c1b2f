//! Watches a simulation at the vantages of the measured captures.

use rustc_hash::FxHashMap;

use super::REACH_PS;
use super::matching::Sighting;
use super::transmissions::Senders;
use crate::engine::{Hop, Injected};
use crate::packet::Tau;
use crate::scenario::{DelayScope, Direction, Measured};
use crate::topology::{DeviceId, PortId, Topology};
use crate::transport::{Segment, TransportSample};
use crate::units::Time;

/// What a run remembers of a packet while it is inside.
#[derive(Debug, Clone, Copy)]
pub struct PacketOrigin {
    /// When it was injected.
    pub injected: Time,
    /// The number of its source.
    pub source: u32,
    /// Its number in the source.
    pub record: u64,
    /// What recognizes it in a capture, where a source has it from one.
    pub match_key: Option<u64>,
    /// Its place among the segments of endpoints.
    pub segment: Option<u64>,
    /// The device that takes it first.
    pub device: Option<DeviceId>,
    /// The vantages that it has still to pass, a bit each.
    pub expected: u64,
}

/// One vantage.
#[derive(Debug)]
pub struct WatchedVantage {
    device: DeviceId,
    scope: DelayScope,
    /// Packets that were sent towards it.
    pub expected: u64,
    /// Who was sent towards it and passed it or was lost, in no particular order.
    pub sightings: Vec<Sighting>,
    /// The same of packets that endpoints sent; their keys are their places among [`Watched::segments`].
    pub transmissions: Vec<Sighting>,
}

/// What was watched.
#[derive(Debug, Default)]
pub struct Watched {
    /// By number.
    pub vantages: Vec<WatchedVantage>,
    /// Of the packets of endpoints that were sent towards a vantage, in order of sending.
    pub segments: Vec<Segment>,
    /// What the senders of connections knew of themselves.
    pub senders: Senders,
}

/// Why a scenario's vantages cannot be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// There are too many.
    #[error("{0} measured captures in one scenario: at most 64 can be compared in one run")]
    TooMany(usize),
}

/// All vantages of a scenario.
#[derive(Debug, Default)]
pub struct Watch {
    watched: Watched,
    /// Per port: the vantages on its egress, a bit each.
    egress: Vec<u64>,
    /// Per port: the vantages on its ingress.
    ingress: Vec<u64>,
    /// The ports with a vantage on their ingress, as packets name them.
    ingress_ports: FxHashMap<(DeviceId, u16), PortId>,
    /// Per port: the port at the other end of its egress link.
    peer: Vec<PortId>,
    /// Per source and flow: the vantages on its way.
    expected: FxHashMap<(u32, u32), u64>,
    port_device: Vec<DeviceId>,
}

impl Watch {
    /// Watches `measured`, numbered in their order.
    ///
    /// # Errors
    /// More than 64 of them.
    pub fn new(topology: &Topology, measured: &[Measured]) -> Result<Self, WatchError> {
        if measured.len() > 64 {
            return Err(WatchError::TooMany(measured.len()));
        }
        let ports = topology.ports().len();
        let mut watch = Watch {
            watched: Watched::default(),
            egress: vec![0; ports],
            ingress: vec![0; ports],
            ingress_ports: FxHashMap::default(),
            peer: topology.ports().map(|(_, port)| topology.link(port.egress).to).collect(),
            expected: FxHashMap::default(),
            port_device: topology.ports().map(|(_, port)| port.device).collect(),
        };
        for (number, measured) in measured.iter().enumerate() {
            let port = topology.port(measured.at.port);
            let side = match measured.at.direction {
                Direction::Egress => &mut watch.egress,
                Direction::Ingress => {
                    watch.ingress_ports.insert((port.device, port.number), measured.at.port);
                    &mut watch.ingress
                }
            };
            side[measured.at.port.index()] |= 1 << number;
            let (device, scope) = (port.device, measured.delay);
            let (sightings, transmissions) = (Vec::new(), Vec::new());
            let vantage = WatchedVantage { device, scope, expected: 0, sightings, transmissions };
            watch.watched.vantages.push(vantage);
        }
        Ok(watch)
    }

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.watched.vantages.is_empty()
    }

    /// What to remember of a packet that enters.
    #[inline]
    pub fn origin(&mut self, injected: &Injected<'_>) -> PacketOrigin {
        let expected = if self.is_empty() { 0 } else { self.expected(injected) };
        let Watched { vantages, segments, .. } = &mut self.watched;
        for number in ones(expected) {
            vantages[number].expected += 1;
        }
        let segment = injected.segment.filter(|_| expected != 0).map(|segment| {
            segments.push(*segment);
            segments.len() as u64 - 1
        });
        PacketOrigin {
            injected: injected.tau.timestamp,
            source: injected.source,
            record: injected.record,
            match_key: injected.match_key,
            segment,
            device: injected.path.first().map(|port| self.port_device[port.index()]),
            expected,
        }
    }

    fn expected(&mut self, injected: &Injected<'_>) -> u64 {
        let Watch { expected, egress, ingress, peer, .. } = self;
        *expected.entry((injected.source, injected.tau.packet.fid)).or_insert_with(|| {
            let on_way = |port: &PortId| egress[port.index()] | ingress[peer[port.index()].index()];
            injected.path.iter().map(on_way).fold(0, |all, bits| all | bits)
        })
    }

    /// A packet passed a device.
    #[inline]
    pub fn hop(&mut self, hop: &Hop, origin: &mut PacketOrigin) {
        if origin.expected == 0 {
            return;
        }
        let tau = Tau { timestamp: hop.ingress, packet: hop.packet };
        self.reached(&tau, hop.device, origin);
        let here = self.egress[hop.port.index()] & origin.expected;
        self.sight(here, &tau, hop.ingress, Some(hop.egress), origin);
    }

    /// A packet has reached a device, at `tau.timestamp`, and may not leave it.
    pub fn reached(&mut self, tau: &Tau, device: DeviceId, origin: &mut PacketOrigin) {
        if let Some(port) = self.ingress_ports.get(&(device, tau.packet.in_port)) {
            let here = self.ingress[port.index()] & origin.expected;
            self.sight(here, tau, tau.timestamp, Some(tau.timestamp), origin);
        }
    }

    /// A packet was lost at a device that it had reached at `tau.timestamp`.
    pub fn dropped(&mut self, tau: &Tau, device: DeviceId, origin: &mut PacketOrigin) {
        self.reached(tau, device, origin);
        self.sight(origin.expected, tau, tau.timestamp, None, origin);
    }

    fn sight(&mut self, which: u64, tau: &Tau, ingress: Time, at: Option<Time>, origin: &mut PacketOrigin) {
        let Some(key) = origin.segment.or(origin.match_key) else { return };
        let ps = |time: Time| i64::try_from(time.as_ps()).map_or(REACH_PS, |ps| ps.min(REACH_PS));
        for number in ones(which) {
            let vantage = &mut self.watched.vantages[number];
            let from = match vantage.scope {
                DelayScope::Path => origin.injected,
                DelayScope::Hop => ingress,
            };
            let list =
                if origin.segment.is_some() { &mut vantage.transmissions } else { &mut vantage.sightings };
            list.push(Sighting {
                key,
                pid: tau.packet.pid,
                fid: tau.packet.fid,
                length: tau.packet.length,
                injected_here: origin.device == Some(vantage.device),
                injected_ps: ps(origin.injected),
                from_ps: ps(from),
                at_ps: at.map(ps),
            });
        }
        origin.expected &= !which;
    }

    /// The state of a connection's end was sampled; gives whether it has changed, where anything is watched.
    pub fn sampled(&mut self, sample: &TransportSample) -> bool {
        self.is_empty() || self.watched.senders.sampled(sample)
    }

    /// The vantages, with all that was seen there.
    pub fn into_watched(self) -> Watched {
        self.watched
    }
}

/// The numbers of the bits that are set.
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let number = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(number)
    })
}
