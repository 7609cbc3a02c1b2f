//! Feeds what happens in a simulation to the tables and to the watch.

use rustc_hash::FxHashMap;

use crate::compare::{PacketOrigin, Watch};
use crate::engine::{Hop, Injected, Observer};
use crate::packet::{DropReason, FlowKey, Packet, Tau};
use crate::record::{End, FlowRecords, PacketRow, PacketRows, PortRecords};
use crate::table::TableError;
use crate::topology::{DeviceId, PortId, Topology};

/// Everything that a run records.
pub(super) struct RunObserver<'t> {
    pub(super) topology: &'t Topology,
    pub(super) packets: PacketRows,
    pub(super) flows: FlowRecords,
    pub(super) ports: PortRecords,
    pub(super) watch: Watch,
    /// The packets inside, by pid.
    pub(super) inside: FxHashMap<u64, InsidePacket>,
    /// The first row that could not be written.
    pub(super) failure: Option<TableError>,
}

/// A packet inside.
pub(super) struct InsidePacket {
    packet: Packet,
    origin: PacketOrigin,
    hops: u32,
}

/// What is left of the observer once the packets are written.
pub(super) struct Records {
    pub(super) flows: FlowRecords,
    pub(super) ports: PortRecords,
    pub(super) watch: Watch,
}

impl Observer for RunObserver<'_> {
    fn flow(&mut self, _fid: u32, key: FlowKey) {
        self.flows.flow(key);
    }

    fn injected(&mut self, injected: &Injected<'_>) {
        let packet = injected.tau.packet;
        self.flows.injected(&packet);
        let origin = self.watch.origin(injected);
        self.inside.insert(packet.pid, InsidePacket { packet, origin, hops: 0 });
    }

    fn hop(&mut self, hop: &Hop) {
        self.ports.hop(hop);
        if let Some(inside) = self.inside.get_mut(&hop.packet.pid) {
            inside.hops += 1;
            self.watch.hop(hop, &mut inside.origin);
        }
    }

    fn delivered(&mut self, tau: &Tau, host: DeviceId) {
        let Some(mut inside) = self.inside.remove(&tau.packet.pid) else { return };
        self.watch.reached(tau, host, &mut inside.origin);
        self.flows.delivered(&tau.packet, tau.timestamp.since(inside.origin.injected));
        self.end(tau, Some(host), &inside, End::Delivered);
    }

    fn dropped(&mut self, tau: &Tau, device: DeviceId, port: Option<PortId>, reason: DropReason) {
        self.ports.dropped(device, port, reason);
        let Some(mut inside) = self.inside.remove(&tau.packet.pid) else { return };
        self.watch.dropped(tau, device, &mut inside.origin);
        self.flows.dropped(&tau.packet);
        self.end(tau, Some(device), &inside, End::Dropped(reason));
    }
}

impl RunObserver<'_> {
    fn end(&mut self, tau: &Tau, device: Option<DeviceId>, inside: &InsidePacket, end: End) {
        let row = PacketRow {
            tau: *tau,
            source: inside.origin.source,
            record: inside.origin.record,
            injected: inside.origin.injected,
            hops: inside.hops,
            device: device.map_or("", |device| &self.topology.device(device).name),
            end,
        };
        if self.failure.is_none() {
            self.failure = self.packets.push(&row).err();
        }
    }

    /// Writes the packets that are still inside, and closes the table of packets.
    pub(super) fn finish(mut self) -> Result<Records, TableError> {
        let mut left: Vec<InsidePacket> = std::mem::take(&mut self.inside).into_values().collect();
        left.sort_unstable_by_key(|inside| inside.packet.pid);
        for inside in left {
            let tau = Tau { timestamp: inside.origin.injected, packet: inside.packet };
            self.end(&tau, None, &inside, End::Inside);
        }
        let RunObserver { packets, flows, ports, watch, failure, .. } = self;
        failure.map_or(Ok(()), Err)?;
        packets.finish()?;
        Ok(Records { flows, ports, watch })
    }
}
