//! Observes a simulation at the vantages of the measured captures.

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

/// Data about a packet that a run stores while the packet is inside the network.
#[derive(Debug, Clone, Copy)]
pub struct PacketOrigin {
    /// Time of injection.
    pub injected: Time,
    /// The number of its source.
    pub source: u32,
    /// Its number within the source.
    pub record: u64,
    /// Its match key, if its source is a capture.
    pub match_key: Option<u64>,
    /// Its index among the segments of endpoints.
    pub segment: Option<u64>,
    /// The first device on its path.
    pub device: Option<DeviceId>,
    /// The vantages that it still has to pass, one bit each.
    pub expected: u64,
}

/// One vantage.
#[derive(Debug)]
pub struct WatchedVantage {
    device: DeviceId,
    scope: DelayScope,
    /// Number of packets sent towards it.
    pub expected: u64,
    /// Packets sent towards it that passed it or were lost, in no particular order.
    pub sightings: Vec<Sighting>,
    /// The same for packets of endpoints. Their keys are indexes into [`Watched::segments`].
    pub transmissions: Vec<Sighting>,
}

/// The result of the observation.
#[derive(Debug, Default)]
pub struct Watched {
    /// The vantages by number.
    pub vantages: Vec<WatchedVantage>,
    /// The packets of endpoints sent towards a vantage, in order of sending.
    pub segments: Vec<Segment>,
    /// The states of the senders of connections.
    pub senders: Senders,
}

/// Errors of observing the vantages of a scenario.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// There are too many measured captures.
    #[error("{0} measured captures in one scenario: at most 64 can be compared in one run")]
    TooMany(usize),
}

/// All vantages of a scenario.
#[derive(Debug, Default)]
pub struct Watch {
    watched: Watched,
    /// By port: the vantages on its egress, one bit each.
    egress: Vec<u64>,
    /// By port: the vantages on its ingress.
    ingress: Vec<u64>,
    /// The ports with a vantage on their ingress, by device and port number as in packets.
    ingress_ports: FxHashMap<(DeviceId, u16), PortId>,
    /// By port: the port at the other end of its egress link.
    peer: Vec<PortId>,
    /// By source and flow: the vantages on its path.
    expected: FxHashMap<(u32, u32), u64>,
    port_device: Vec<DeviceId>,
}

impl Watch {
    /// Observes `measured`, numbered in their order.
    ///
    /// # Errors
    /// There are more than 64.
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

    /// Whether no vantage is observed.
    pub fn is_empty(&self) -> bool {
        self.watched.vantages.is_empty()
    }

    /// The data to store about a packet that enters.
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

    /// Records a packet that passed a device.
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

    /// Records a packet that reached a device at `tau.timestamp` and may not leave it.
    pub fn reached(&mut self, tau: &Tau, device: DeviceId, origin: &mut PacketOrigin) {
        if let Some(port) = self.ingress_ports.get(&(device, tau.packet.in_port)) {
            let here = self.ingress[port.index()] & origin.expected;
            self.sight(here, tau, tau.timestamp, Some(tau.timestamp), origin);
        }
    }

    /// Records a packet lost at a device that it had reached at `tau.timestamp`.
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

    /// Records a sample of the state of a connection's end. Returns whether it changed, if any vantage is
    /// observed.
    pub fn sampled(&mut self, sample: &TransportSample) -> bool {
        self.is_empty() || self.watched.senders.sampled(sample)
    }

    /// The vantages, with all packets observed there.
    pub fn into_watched(self) -> Watched {
        self.watched
    }
}

/// The indexes of the bits that are set.
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let number = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(number)
    })
}
