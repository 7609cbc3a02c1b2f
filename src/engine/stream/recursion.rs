//! The fast path for a port whose PTM is the bare Lindley recursion, when no observer watches: merge, PTM,
//! link and next device in one pass.

use super::merge::Merged;
use super::outgoing::Outgoing;
use super::worker::Worker;
use crate::engine::collector::AllInside;
use crate::engine::fingerprint::{Fingerprint, Keys, PacketSum};
use crate::engine::network::{Feeder, LandingPlace};
use crate::packet::Tau;
use crate::ptm::Lindley;
use crate::statistics::{Passed, PortStatistics};
use crate::topology::{DeviceId, PortId};
use crate::units::{Span, Time};

/// The recording of packets that pass.
trait Passes {
    /// A packet joined at its timestamp, and was transmitted from `start` to `end`.
    fn pass(&mut self, joined: &Tau, start: Time, end: Time);
    /// The packet arrives at its destination at `at`. The window ends at `end`.
    fn arrive(&mut self, joined: &Tau, at: Time, end: Time, outgoing: &mut Outgoing);
}

/// Records nothing.
struct Unrecorded;

impl Passes for Unrecorded {
    #[inline(always)]
    fn pass(&mut self, _joined: &Tau, _start: Time, _end: Time) {}
    #[inline(always)]
    fn arrive(&mut self, _joined: &Tau, _at: Time, _end: Time, _outgoing: &mut Outgoing) {}
}

/// Records the values that statistics need.
struct Passing<'a> {
    inside: AllInside<'a>,
    waiting: Vec<u64>,
    bytes: u64,
    busy: Span,
    free: Time,
    /// Packets that start before are not counted.
    from: Time,
    before: u128,
}

impl<'a> Passing<'a> {
    fn new(waiting: &mut Vec<u64>, inside: AllInside<'a>, from: Time) -> Self {
        waiting.clear();
        let waiting = std::mem::take(waiting);
        Passing { inside, waiting, bytes: 0, busy: Span::ZERO, free: Time::ZERO, from, before: 0 }
    }

    /// Records all packets that passed. Returns the column for reuse.
    fn record(self, statistics: &mut PortStatistics) -> Vec<u64> {
        let Passing { waiting, bytes, busy, free, before, .. } = self;
        statistics.pass(&Passed { waiting: &waiting, bytes, busy, free, before });
        waiting
    }
}

impl Passes for Passing<'_> {
    #[inline(always)]
    fn pass(&mut self, joined: &Tau, start: Time, end: Time) {
        self.inside.pass(&joined.packet, false);
        if start < self.from {
            return;
        }
        if joined.timestamp < self.from {
            self.before += u128::from(self.from.since(joined.timestamp).as_ps());
        }
        self.waiting.push(start.since(joined.timestamp).as_ps());
        self.bytes += u64::from(joined.packet.length);
        self.busy += end.since(start);
        self.free = end;
    }

    #[inline(always)]
    fn arrive(&mut self, joined: &Tau, at: Time, end: Time, outgoing: &mut Outgoing) {
        outgoing.arrive(Tau { timestamp: at, packet: joined.packet }, end);
    }
}

/// A port on the fast path.
pub(super) struct Recursion<'a, 'n> {
    pub port: PortId,
    pub device: DeviceId,
    pub processing: Span,
    pub lindley: &'a mut Lindley,
    pub propagation: Span,
    /// The next device, and the feeder to it.
    pub feeder: &'a Feeder,
    pub place: &'a LandingPlace<'n>,
}

impl Recursion<'_, '_> {
    /// Forwards the merge of two streams to the next device.
    pub fn forward<const WATCHES: bool>(
        self,
        ingress: [&[Tau]; 2],
        statistics: Option<(&mut PortStatistics, AllInside<'_>)>,
        outgoing: &mut Outgoing,
        worker: &mut Worker<WATCHES>,
    ) {
        let (is_end, is_router) = (self.place.is_end(), self.place.hops_counted() > 0);
        let Some((statistics, inside)) = statistics else {
            let passes = &mut Unrecorded;
            return match (is_end, is_router, ingress) {
                (true, _, _) => self.forward_home(ingress, passes, outgoing, worker),
                (false, true, _) => self.forward_on::<true, WATCHES>(ingress, passes, outgoing, worker),
                // A single feeder, as at a host or along a line: nothing to merge.
                (false, false, [one, []]) => {
                    self.forward_all::<false, WATCHES>(one.iter(), one.len(), passes, outgoing, worker)
                }
                (false, false, _) => self.forward_on::<false, WATCHES>(ingress, passes, outgoing, worker),
            };
        };
        let mut passing = Passing::new(&mut worker.waiting, inside, statistics.from());
        match (is_end, is_router) {
            (true, _) => self.forward_home(ingress, &mut passing, outgoing, worker),
            (false, false) => self.forward_on::<false, WATCHES>(ingress, &mut passing, outgoing, worker),
            (false, true) => self.forward_on::<true, WATCHES>(ingress, &mut passing, outgoing, worker),
        }
        worker.waiting = passing.record(statistics);
    }

    /// Forwards the merge of two streams to a device that forwards.
    fn forward_on<const ROUTER: bool, const WATCHES: bool>(
        self,
        ingress: [&[Tau]; 2],
        passes: &mut impl Passes,
        outgoing: &mut Outgoing,
        worker: &mut Worker<WATCHES>,
    ) {
        let count = ingress[0].len() + ingress[1].len();
        self.forward_all::<ROUTER, WATCHES>(Merged::new(ingress), count, passes, outgoing, worker);
    }

    /// Forwards `count` packets to a device that forwards. A router reduces the time to live.
    #[inline(never)]
    fn forward_all<'t, const ROUTER: bool, const WATCHES: bool>(
        self,
        merged: impl Iterator<Item = &'t Tau>,
        count: usize,
        passes: &mut impl Passes,
        outgoing: &mut Outgoing,
        worker: &mut Worker<WATCHES>,
    ) {
        let Recursion { port: own_port, device, processing, lindley, propagation, feeder, place } = self;
        let (until, beyond) = (worker.tally.until, propagation + feeder.processing);
        let keys = Keys::of(device).by_joining(processing);
        let (in_port, bringer) = (feeder.in_port, outgoing.feeder);
        // Packets that join up to this instant belong to the window.
        let near = until.min(worker.inboxes.end() - Span::from_ps(1));
        let mut link = *lindley;
        let mut fingerprint = Fingerprint::default();
        let (mut late, mut last) = (0, Time::ZERO);
        for tau in merged {
            let (start, end) = link.send(tau.timestamp, tau.packet.length);
            let joins = end + beyond;
            match place.known_port::<ROUTER>(&tau.packet) {
                Some(port) if joins <= near => {
                    last = joins;
                    fingerprint.add_at(&keys, tau.packet.pid, tau.timestamp, start);
                    passes.pass(tau, start, end);
                    let own = worker.inboxes.push(bringer, port, tau);
                    own.timestamp = joins;
                    own.packet.pass(u8::from(ROUTER), in_port);
                }
                Some(port) if joins <= until => {
                    last = joins;
                    fingerprint.add_at(&keys, tau.packet.pid, tau.timestamp, start);
                    passes.pass(tau, start, end);
                    let mut own = Tau { timestamp: joins, ..*tau };
                    own.packet.pass(u8::from(ROUTER), in_port);
                    outgoing.join_later(port, own);
                }
                _ => {
                    if start > until {
                        late += 1;
                        worker.waits(own_port, tau);
                    } else {
                        fingerprint.add_at(&keys, tau.packet.pid, tau.timestamp, start);
                        passes.pass(tau, start, end);
                    }
                    worker.land_apart(place, feeder, joins, tau, outgoing);
                }
            }
        }
        *lindley = link;
        let tally = &mut worker.tally;
        tally.now = tally.now.max(last);
        tally.hops += count as u64 - late;
        tally.fingerprint.merge(fingerprint);
    }

    /// Forwards packets to a host.
    #[inline(never)]
    fn forward_home<const WATCHES: bool>(
        self,
        ingress: [&[Tau]; 2],
        passes: &mut impl Passes,
        outgoing: &mut Outgoing,
        worker: &mut Worker<WATCHES>,
    ) {
        let Recursion { port: own_port, device, processing, lindley, propagation, feeder, place } = self;
        let (until, beyond) = (worker.tally.until, propagation + feeder.processing);
        let window_end = worker.inboxes.end();
        let (keys, keys_at_host) = (Keys::of(device).by_joining(processing), Keys::of(feeder.device));
        let mut link = *lindley;
        let (mut fingerprint, mut left) = (Fingerprint::default(), PacketSum::default());
        let (mut late, mut delivered, mut last) = (0, 0, Time::ZERO);
        for tau in Merged::new(ingress) {
            let (start, end) = link.send(tau.timestamp, tau.packet.length);
            let joins = end + beyond;
            if start > until {
                late += 1;
                worker.waits(own_port, tau);
            } else {
                fingerprint.add_at(&keys, tau.packet.pid, tau.timestamp, start);
                passes.pass(tau, start, end);
            }
            if joins <= until && place.is_home(&tau.packet) {
                last = joins;
                delivered += 1;
                left.add(tau.packet.pid);
                fingerprint.add_at(&keys_at_host, tau.packet.pid, joins, joins);
                passes.arrive(tau, joins, window_end, outgoing);
            } else {
                worker.land_apart(place, feeder, joins, tau, outgoing);
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
