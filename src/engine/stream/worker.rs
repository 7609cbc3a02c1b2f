//! The counters of a thread, and the arrival of a packet at the end of a link.

use super::inboxes::Inboxes;
use super::outgoing::Outgoing;
use crate::engine::Dropped;
use crate::engine::collector::AllInside;
use crate::engine::network::{Feeder, Landing, LandingPlace, Wire};
use crate::engine::tally::Tally;
use crate::engine::told::{Log, Told};
use crate::packet::{Packet, Tau};
use crate::ptm::{Departure, Loss};
use crate::statistics::{Passed, PortStatistics};
use crate::topology::{DeviceId, PortId};
use crate::units::{Span, Time};

/// The counters and buffers of a thread.
pub(super) struct Worker<const WATCHES: bool> {
    pub tally: Tally,
    pub log: Log<WATCHES>,
    /// The packets that it brings to ports.
    pub inboxes: Inboxes,
    pub scratch: Vec<Tau>,
    pub ingress: Vec<Tau>,
    pub merged: Vec<Tau>,
    pub departures: Vec<Departure>,
    pub losses: Vec<Loss>,
    /// The waiting times of packets, in picoseconds.
    pub waiting: Vec<u64>,
}

impl<const WATCHES: bool> Worker<WATCHES> {
    /// Records packets that passed a port. `marks` states whether the port can mark them.
    pub fn record<'d>(
        &mut self,
        statistics: &mut PortStatistics,
        inside: &AllInside<'_>,
        (wire, marks): (&Wire, bool),
        departures: impl Iterator<Item = &'d Departure>,
    ) {
        self.waiting.clear();
        let (mut bytes, mut busy, mut free, mut before) = (0, Span::ZERO, Time::ZERO, 0);
        let from = statistics.from();
        for Departure { tau: joined, start } in departures {
            let marked = inside.pass(&joined.packet, marks);
            if let (Some(injected), Some(kept)) = (marked, &mut self.log.kept)
                && injected >= from
            {
                kept.marked.push(joined.packet.fid);
            }
            if *start < from {
                continue;
            }
            statistics.marked += u64::from(marked.is_some());
            before += u128::from(from.since(joined.timestamp).as_ps());
            self.waiting.push(start.since(joined.timestamp).as_ps());
            let transmission = wire.transmission(joined.packet.length);
            bytes += u64::from(joined.packet.length);
            busy += transmission;
            free = *start + transmission;
        }
        statistics.pass(&Passed { waiting: &self.waiting, bytes, busy, free, before });
    }
}

impl<const WATCHES: bool> Worker<WATCHES> {
    pub fn new(until: Time, log: Log<WATCHES>, ports: usize) -> Self {
        Worker {
            tally: Tally::new(until),
            log,
            inboxes: Inboxes::new(ports),
            scratch: Vec::new(),
            ingress: Vec::new(),
            merged: Vec::new(),
            departures: Vec::new(),
            losses: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// A packet starts onto a link of a device's port at `tau.timestamp`, and reaches the next device or is
    /// lost.
    #[inline(always)]
    pub fn carry(
        &mut self,
        place: &LandingPlace<'_>,
        feeder: &Feeder,
        (device, port, wire): (DeviceId, PortId, &mut Wire),
        tau: Tau,
        outgoing: &mut Outgoing,
    ) {
        match wire.carry(&tau.packet, tau.timestamp) {
            Some(arrival) => {
                self.land(place, feeder, arrival + feeder.processing, &tau, outgoing);
            }
            None => self.tally.lose_on_link(tau, device, port, &mut self.log),
        }
    }

    /// A packet reaches the device of its feeder, and joins a PTM at `joins` or ends.
    #[inline(always)]
    pub fn land(
        &mut self,
        place: &LandingPlace<'_>,
        feeder: &Feeder,
        joins: Time,
        tau: &Tau,
        outgoing: &mut Outgoing,
    ) {
        if joins > self.tally.until {
            return self.tally.keep(tau.packet.pid);
        }
        self.tally.now = self.tally.now.max(joins);
        let arrived = || Tau { timestamp: joins, packet: Packet { in_port: feeder.in_port, ..tau.packet } };
        match place.land(&tau.packet) {
            Landing::Joins(port) => {
                let mut packet = tau.packet;
                packet.pass(place.hops_counted(), feeder.in_port);
                outgoing.join(&mut self.inboxes, port, Tau { timestamp: joins, packet });
            }
            Landing::Home => {
                self.tally.deliver(&arrived(), feeder.device, &mut self.log);
                if self.log.kept.is_some() {
                    outgoing.arrive(arrived(), self.inboxes.end());
                }
            }
            Landing::Lost(reason) => {
                let loss = Loss { tau: arrived(), at: joins, reason };
                self.lose(feeder.device, feeder.processing, None, loss);
            }
        }
    }

    /// Records a packet that joined a port and still waits when the run ends.
    #[cold]
    #[inline(never)]
    pub fn waits(&mut self, port: PortId, joined: &Tau) {
        self.log.waits(port, joined);
    }

    /// [`land`](Worker::land), not inlined into the common loops.
    #[cold]
    #[inline(never)]
    pub fn land_apart(
        &mut self,
        place: &LandingPlace<'_>,
        feeder: &Feeder,
        joins: Time,
        tau: &Tau,
        outgoing: &mut Outgoing,
    ) {
        self.land(place, feeder, joins, tau, outgoing);
    }

    /// Records a packet lost at a device with the processing delay `processing`.
    #[cold]
    pub fn lose(&mut self, device: DeviceId, processing: Span, port: Option<PortId>, loss: Loss) {
        let Loss { tau, at, reason } = loss;
        let tau = Tau { timestamp: tau.timestamp - processing, ..tau };
        self.tally.lose(&Dropped { tau, device, port, reason, at }, &mut self.log);
    }
}
