//! The counters of an engine.

use super::fingerprint::PacketSum;
use super::told::Told;
use super::{Dropped, EngineError, Fingerprint, Hop, PacketCounts};
use crate::packet::{DropReason, Tau};
use crate::topology::{DeviceId, PortId};
use crate::units::Time;

/// The counters of a run, or of a part of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub packets: PacketCounts,
    pub hops: u64,
    pub fingerprint: Fingerprint,
    /// The last event so far.
    pub now: Time,
    pub until: Time,
    entered: PacketSum,
    left: PacketSum,
}

impl Tally {
    pub fn new(until: Time) -> Self {
        Tally {
            packets: PacketCounts::default(),
            hops: 0,
            fingerprint: Fingerprint::default(),
            now: Time::ZERO,
            until,
            entered: PacketSum::default(),
            left: PacketSum::default(),
        }
    }

    /// Counts a packet that enters.
    #[inline]
    pub fn inject(&mut self, pid: u64) {
        self.packets.injected += 1;
        self.entered.add(pid);
    }

    /// Counts packets that enter. `entered` is their sum.
    pub fn inject_all(&mut self, packets: u64, entered: PacketSum) {
        self.packets.injected += packets;
        self.entered.merge(entered);
    }

    /// Counts a hop, if its egress is not after the end of the run.
    #[inline]
    pub fn pass(&mut self, hop: &Hop, told: &mut impl Told) {
        if hop.egress <= self.until {
            self.hops += 1;
            self.fingerprint.add(hop.packet.pid, hop.device, hop.ingress, hop.egress);
            told.hop(hop);
        } else {
            told.waits(hop.port, &Tau { timestamp: hop.joined, packet: hop.packet });
        }
    }

    /// Counts a delivered packet.
    #[inline]
    pub fn deliver(&mut self, tau: &Tau, host: DeviceId, told: &mut impl Told) {
        self.packets.delivered += 1;
        self.left.add(tau.packet.pid);
        self.fingerprint.add(tau.packet.pid, host, tau.timestamp, tau.timestamp);
        told.delivered(tau, host);
    }

    /// Counts delivered packets whose fingerprints have already been added. `left` is their sum.
    pub fn deliver_all(&mut self, packets: u64, left: PacketSum) {
        self.packets.delivered += packets;
        self.left.merge(left);
    }

    /// Counts a packet still in the network when the run ends.
    #[inline]
    pub fn keep(&mut self, pid: u64) {
        self.packets.inside += 1;
        self.left.add(pid);
    }

    /// Counts a lost packet.
    pub fn lose(&mut self, drop: &Dropped, told: &mut impl Told) {
        let Dropped { tau, device, .. } = drop;
        self.packets.dropped += 1;
        self.left.add(tau.packet.pid);
        self.fingerprint.add(tau.packet.pid, *device, tau.timestamp, Time::NEVER);
        told.dropped(drop);
    }

    /// Counts a packet lost on its link that started at `tau.timestamp`, if that is not after the end of the
    /// run.
    pub fn lose_on_link(&mut self, tau: Tau, device: DeviceId, port: PortId, told: &mut impl Told) {
        if tau.timestamp > self.until {
            return self.keep(tau.packet.pid);
        }
        self.now = self.now.max(tau.timestamp);
        let (reason, at) = (DropReason::LostOnLink, tau.timestamp);
        self.lose(&Dropped { tau, device, port: Some(port), reason, at }, told);
    }

    /// Adds the counters of a part of the run.
    pub fn merge(&mut self, part: &Tally) {
        self.packets.injected += part.packets.injected;
        self.packets.delivered += part.packets.delivered;
        self.packets.dropped += part.packets.dropped;
        self.packets.inside += part.packets.inside;
        self.hops += part.hops;
        self.fingerprint.merge(part.fingerprint);
        self.now = self.now.max(part.now);
        self.entered.merge(part.entered);
        self.left.merge(part.left);
    }

    /// Counts the packets still in the network, and checks that every packet that entered has left or is
    /// still there, and that no other packet has. `more` states whether the run was cut off.
    ///
    /// # Errors
    /// [`EngineError::NotConserved`].
    pub fn finish<'a>(
        &mut self,
        inside: impl Iterator<Item = &'a Tau>,
        more: bool,
    ) -> Result<(), EngineError> {
        let mut accounted = self.left;
        for tau in inside {
            self.packets.inside += 1;
            accounted.add(tau.packet.pid);
        }
        if more {
            self.now = self.until;
        }
        let PacketCounts { injected, delivered, dropped, inside } = self.packets;
        if injected != delivered + dropped + inside || accounted != self.entered {
            return Err(EngineError::NotConserved { counts: self.packets });
        }
        Ok(())
    }
}
