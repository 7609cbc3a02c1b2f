//! Passes the events of a simulation to the tables and to the watch.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::compare::{PacketOrigin, RttWatch, Watch};
use crate::engine::{Dropped, Hop, Injected, InjectionPoint, Observed, Observer};
use crate::packet::{DropReason, FlowKey, Packet, Tau};
use crate::record::{
    HopRows, NetworkRows, PacketRows, QueueLengths, TooManySamples, TransportRows, VantageRecords,
};
use crate::scenario::Record;
use crate::statistics::EndedPacket;
use crate::table::{TableError, Tables};
use crate::topology::{DeviceId, PortId, Topology};
use crate::transport::TransportSample;
use crate::units::{Time, Timestamp};

/// Everything that a run records. An engine may report events in its own order. They are held back until they
/// can be passed on by instant and pid, so the tables do not depend on the engine.
pub(super) struct RunObserver {
    topology: Arc<Topology>,
    packets: Option<PacketRows>,
    hops: Option<HopRows>,
    deepqueuenet: Option<NetworkRows>,
    queues: Option<QueueLengths>,
    transport: Option<TransportRows>,
    /// Whether changes are sampled for the watch only, and left out of the table.
    leaves_changes_out: bool,
    vantages: VantageRecords,
    watch: Watch,
    rtts: RttWatch,
    /// By source: the place where its packets enter.
    entries: Vec<InjectionPoint>,
    /// The packets in the network, by pid.
    inside: FxHashMap<u64, InsidePacket>,
    /// Whether anything is recorded besides the packets and the state of connections.
    watches: bool,
}

/// A packet in the network.
struct InsidePacket {
    /// The packet as it entered, with the ECN field that the last port on its path left.
    packet: Packet,
    origin: PacketOrigin,
}

/// The remaining records of the observer after the packets are written.
pub(super) struct Records {
    pub(super) queues: Option<QueueLengths>,
    pub(super) vantages: VantageRecords,
    pub(super) watch: Watch,
    pub(super) rtts: RttWatch,
}

impl RunObserver {
    /// Creates the tables that `record` asks for. The run starts at `start`.
    ///
    /// # Errors
    /// A table cannot be created.
    pub(super) fn create(
        topology: &Arc<Topology>,
        record: &Record,
        (watch, rtts, entries): (Watch, RttWatch, Vec<InjectionPoint>),
        start: Timestamp,
        tables: &dyn Tables,
    ) -> Result<Self, TableError> {
        let packets = record.packets.then(|| PacketRows::create(tables, topology, start)).transpose()?;
        let hops = record.hops.then(|| HopRows::create(tables, topology)).transpose()?;
        let deepqueuenet = record.deepqueuenet.then(|| NetworkRows::create(tables, topology)).transpose()?;
        let transport = record.transport.map(|_| TransportRows::create(tables)).transpose()?;
        let wants_changes = record.transport.is_some_and(|wanted| wanted.has_changes());
        let leaves_changes_out = !wants_changes && !watch.is_empty();
        let watches = hops.is_some()
            || deepqueuenet.is_some()
            || record.queues.is_some()
            || !record.vantages.is_empty()
            || !watch.is_empty()
            || !rtts.is_empty();
        Ok(RunObserver {
            topology: Arc::clone(topology),
            packets,
            hops,
            deepqueuenet,
            queues: record.queues.as_ref().map(|queues| QueueLengths::new(queues, topology)),
            transport,
            leaves_changes_out,
            vantages: VantageRecords::new(topology, &record.vantages),
            watch,
            rtts,
            entries,
            inside: FxHashMap::default(),
            watches,
        })
    }
}

impl Observer for RunObserver {
    fn watches(&self) -> bool {
        self.watches
    }

    fn flow(&mut self, _fid: u32, key: &FlowKey) -> Observed {
        self.vantages.flow(*key);
        Ok(())
    }

    fn injected(&mut self, injected: &Injected<'_>) -> Observed {
        let packet = injected.tau.packet;
        let origin = self.watch.origin(injected);
        let entry = self.entries[injected.source as usize];
        self.rtts.injected(injected, entry);
        if let Some(deepqueuenet) = &mut self.deepqueuenet {
            deepqueuenet.injected(&packet, entry);
        }
        self.inside.insert(packet.pid, InsidePacket { packet, origin });
        Ok(())
    }

    #[inline]
    fn hop(&mut self, hop: &Hop) -> Observed {
        self.rtts.hop(hop);
        let mut arrived = hop.packet.ecn;
        if let Some(inside) = self.inside.get_mut(&hop.packet.pid) {
            arrived = std::mem::replace(&mut inside.packet.ecn, hop.packet.ecn);
            self.watch.hop(hop, &mut inside.origin);
        }
        if let Some(hops) = &mut self.hops {
            hops.hop(hop);
        }
        if let Some(deepqueuenet) = &mut self.deepqueuenet {
            deepqueuenet.hop(hop);
        }
        if self.queues.is_some() {
            self.waited(hop.port, &hop.packet, hop.joined, hop.egress)?;
        }
        self.vantages.hop(hop, arrived);
        Ok(())
    }

    fn delivered(&mut self, tau: &Tau, host: DeviceId) -> Observed {
        let Some(mut inside) = self.inside.remove(&tau.packet.pid) else { return Ok(()) };
        self.watch.reached(tau, host, &mut inside.origin);
        self.rtts.delivered(tau, host);
        self.vantages.reached(host, tau, false);
        if let Some(deepqueuenet) = &mut self.deepqueuenet {
            deepqueuenet.delivered(tau.packet.pid, tau.timestamp);
        }
        Ok(())
    }

    fn dropped(&mut self, drop: &Dropped) -> Observed {
        let Dropped { tau, device, port, reason, at } = drop;
        let processing = self.topology.device(*device).processing;
        if let Some(hops) = &mut self.hops {
            hops.dropped(drop);
        }
        if let Some(deepqueuenet) = &mut self.deepqueuenet {
            deepqueuenet.dropped(tau.packet.pid);
        }
        // A packet lost on a link has already left the queue, and its ingress is already recorded.
        if *reason != DropReason::LostOnLink {
            self.vantages.reached(*device, &self.unmarked(tau), port.is_some());
            if let Some(port) = port {
                self.waited(*port, &tau.packet, tau.timestamp + processing, *at)?;
            }
        }
        let Some(mut inside) = self.inside.remove(&tau.packet.pid) else { return Ok(()) };
        self.watch.dropped(tau, *device, &mut inside.origin);
        self.rtts.dropped(tau.packet.pid);
        Ok(())
    }

    fn waits(&mut self, port: PortId, joined: &Tau) -> Observed {
        let device = self.topology.port(port).device;
        let ingress = joined.timestamp - self.topology.device(device).processing;
        let reached = Tau { timestamp: ingress, packet: joined.packet };
        self.vantages.reached(device, &self.unmarked(&reached), true);
        if let Some(queues) = &mut self.queues {
            queues.waits(port, joined.packet.length, joined.timestamp);
        }
        Ok(())
    }

    fn ended(&mut self, ended: &[EndedPacket]) -> Observed {
        if let Some(packets) = &mut self.packets {
            ended.iter().try_for_each(|row| packets.push(row))?;
        }
        Ok(())
    }

    fn sampled(&mut self, sample: &TransportSample) -> Observed {
        let is_change = self.watch.sampled(sample);
        if let Some(transport) = self.transport.as_mut().filter(|_| !(is_change && self.leaves_changes_out)) {
            transport.push(sample)?;
        }
        Ok(())
    }

    fn settled(&mut self, before: Time) -> Observed {
        if let Some(hops) = &mut self.hops {
            hops.settle(before)?;
        }
        if let Some(deepqueuenet) = &mut self.deepqueuenet {
            deepqueuenet.settle(before)?;
        }
        Ok(())
    }
}

impl RunObserver {
    /// A queued packet as it joined the queue, without the queue's own mark: the mark is set only when the
    /// packet leaves.
    fn unmarked(&self, tau: &Tau) -> Tau {
        let ecn = self.inside.get(&tau.packet.pid).map_or(tau.packet.ecn, |inside| inside.packet.ecn);
        Tau { packet: Packet { ecn, ..tau.packet }, ..*tau }
    }

    /// Records that a packet has left the queue of a port.
    fn waited(
        &mut self,
        port: PortId,
        packet: &Packet,
        joined: Time,
        left: Time,
    ) -> Result<(), TooManySamples> {
        match &mut self.queues {
            Some(queues) => queues.waited(port, packet.length, joined, left),
            None => Ok(()),
        }
    }

    /// Closes the tables of packets, hops and connection states.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn finish(self) -> Result<Records, TableError> {
        let RunObserver { packets, hops, deepqueuenet, queues, transport, vantages, watch, rtts, .. } = self;
        packets.map_or(Ok(()), PacketRows::finish)?;
        hops.map_or(Ok(()), HopRows::finish)?;
        deepqueuenet.map_or(Ok(()), NetworkRows::finish)?;
        transport.map_or(Ok(()), TransportRows::finish)?;
        Ok(Records { queues, vantages, watch, rtts })
    }
}

#[cfg(test)]
mod tests;
