//! The short way of a port whose PTM is the bare Lindley recursion, while nobody watches: merge, PTM, link and the next
//! device in one pass.

use super::merge::Merged;
use super::streams::Streams;
use super::worker::Worker;
use crate::engine::fingerprint::{Fingerprint, Keys, PacketSum};
use crate::engine::network::{Feeder, LandingPlace};
use crate::engine::told::Told;
use crate::packet::Tau;
use crate::ptm::Lindley;
use crate::topology::DeviceId;
use crate::units::{Span, Time};

/// A port on its short way.
pub(super) struct Recursion<'a, 'n> {
    pub device: DeviceId,
    pub processing: Span,
    pub lindley: &'a mut Lindley,
    pub propagation: Span,
    /// The next device, and what brings packets there.
    pub feeder: &'a Feeder,
    pub place: &'a LandingPlace<'n>,
}

impl Recursion<'_, '_> {
    /// Forwards the merge of two streams to the next device.
    pub fn forward<L: Told>(self, ingress: [&[Tau]; 2], own: &mut Streams, worker: &mut Worker<L>) {
        let takes_ttl = self.place.forwarding().hops_counted() > 0;
        match (self.place.is_end(), takes_ttl) {
            (true, _) => self.forward_home(ingress, own, worker),
            (false, false) => self.forward_on::<L, false>(ingress, own, worker),
            (false, true) => self.forward_on::<L, true>(ingress, own, worker),
        }
    }

    /// To a device that forwards; a router takes from the time to live.
    #[inline(never)]
    fn forward_on<L: Told, const ROUTER: bool>(
        self,
        ingress: [&[Tau]; 2],
        own: &mut Streams,
        worker: &mut Worker<L>,
    ) {
        let Recursion { device, processing, lindley, propagation, feeder, place } = self;
        let (until, beyond) = (worker.tally.until, propagation + feeder.processing);
        let keys = Keys::of(device).by_joining(processing);
        let (forwarding, in_port) = (place.forwarding(), feeder.in_port);
        let mut link = *lindley;
        let mut fingerprint = Fingerprint::default();
        let (mut late, mut last) = (0, Time::ZERO);
        for tau in Merged::new(ingress) {
            let (start, end) = link.send(tau.timestamp, tau.packet.length);
            let joins = end + beyond;
            match forwarding.known_port::<ROUTER>(&tau.packet) {
                Some(port) if joins <= until => {
                    last = joins;
                    fingerprint.add_at(&keys, tau.packet.pid, tau.timestamp, start);
                    own.push_changed(port, joins, tau, u8::from(ROUTER), in_port);
                }
                _ => {
                    if start > until {
                        late += 1;
                    } else {
                        fingerprint.add_at(&keys, tau.packet.pid, tau.timestamp, start);
                    }
                    worker.land_apart(place, feeder, joins, tau, own);
                }
            }
        }
        *lindley = link;
        let tally = &mut worker.tally;
        tally.now = tally.now.max(last);
        tally.hops += (ingress[0].len() + ingress[1].len()) as u64 - late;
        tally.fingerprint.merge(fingerprint);
    }

    /// To a host.
    #[inline(never)]
    fn forward_home<L: Told>(self, ingress: [&[Tau]; 2], own: &mut Streams, worker: &mut Worker<L>) {
        let Recursion { device, processing, lindley, propagation, feeder, place } = self;
        let (until, beyond) = (worker.tally.until, propagation + feeder.processing);
        let (keys, keys_at_host) = (Keys::of(device).by_joining(processing), Keys::of(feeder.device));
        let mut link = *lindley;
        let (mut fingerprint, mut left) = (Fingerprint::default(), PacketSum::default());
        let (mut late, mut delivered, mut last) = (0, 0, Time::ZERO);
        for tau in Merged::new(ingress) {
            let (start, end) = link.send(tau.timestamp, tau.packet.length);
            let joins = end + beyond;
            if start > until {
                late += 1;
            } else {
                fingerprint.add_at(&keys, tau.packet.pid, tau.timestamp, start);
            }
            if joins <= until && place.is_home(&tau.packet) {
                last = joins;
                delivered += 1;
                left.add(tau.packet.pid);
                fingerprint.add_at(&keys_at_host, tau.packet.pid, joins, joins);
            } else {
                worker.land_apart(place, feeder, joins, tau, own);
            }
        }
        *lindley = link;
        let tally = &mut worker.tally;
        tally.now = tally.now.max(last);
        tally.hops += (ingress[0].len() + ingress[1].len()) as u64 - late;
        tally.fingerprint.merge(fingerprint);
        tally.deliver_all(delivered, left);
    }
}
