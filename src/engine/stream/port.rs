//! The visit to a port: it takes the packets of its feeders, runs its PTM, and passes the packets to the next
//! ports.

use super::Visit;
use super::arrivals::Arrivals;
use super::inboxes::{Bringer, Inbox};
use super::merge::{Merged, merge_to_two};
use super::outgoing::Outgoing;
use super::recursion::Recursion;
use super::worker::Worker;
use crate::engine::Hop;
use crate::engine::network::{Egress, Network, Service};
use crate::packet::Tau;
use crate::ptm::Departure;
use crate::statistics::PortStatistics;
use crate::topology::PortId;
use crate::units::{Span, Time};

/// A port and its feeders.
pub(super) struct StreamPort {
    pub id: PortId,
    egress: Egress,
    processing: Span,
    /// The inboxes for it from threads other than the visiting one.
    pub inboxes: Vec<Inbox>,
    /// The packets that it brings to the next device.
    pub outgoing: Outgoing,
    /// The minimum time from here to joining a PTM at the next device.
    pub least_delay: Span,
    /// Its state on a cycle, if it is on one.
    pub cycle: Option<OnCycle>,
    /// The statistics of its packets, if requested.
    pub statistics: Option<Box<PortStatistics>>,
}

/// A port on a cycle, which is visited several times in a window.
#[derive(Default)]
pub(super) struct OnCycle {
    /// Its feeders on the cycle, by their places, with their minimum delays.
    pub feeders: Vec<(usize, Span)>,
    /// The minimum of these delays.
    pub lookahead: Span,
    arrivals: Arrivals,
}

impl StreamPort {
    pub fn new(network: &Network, id: PortId, egress: Egress) -> Self {
        let processing = network.nodes[egress.device.index()].processing;
        let least_delay = egress.wire.least_delay() + network.feeders[id.index()].processing;
        let feeder = Bringer { turn: network.turns[id.index()], is_unordered: egress.wire.breaks_order() };
        StreamPort {
            id,
            egress,
            processing,
            inboxes: Vec::new(),
            outgoing: Outgoing::new(feeder),
            least_delay,
            cycle: None,
            statistics: None,
        }
    }

    /// Visits the port after all its feeders: handles everything before the window's end.
    pub fn run<const WATCHES: bool>(&mut self, visit: &Visit<'_>, worker: &mut Worker<WATCHES>) {
        self.outgoing.begin(&mut worker.inboxes, &visit.network.pfm);
        let mut inboxes = std::mem::take(&mut self.inboxes);
        inboxes.extend(worker.inboxes.take(self.id));
        inboxes.iter_mut().for_each(Inbox::sort);
        let mut scratch = std::mem::take(&mut worker.scratch);
        self.forward(visit, merge(&inboxes, &mut scratch), visit.end, worker);
        worker.scratch = scratch;
        inboxes.drain(..).for_each(|inbox| worker.inboxes.give_back(inbox));
        self.inboxes = inboxes;
    }

    /// Takes the packets received since the last visit, on a cycle.
    pub fn receive<const WATCHES: bool>(&mut self, worker: &mut Worker<WATCHES>) {
        let Some(OnCycle { arrivals, .. }) = &mut self.cycle else { return };
        if let Some(inbox) = worker.inboxes.take(self.id) {
            arrivals.receive(&inbox);
            worker.inboxes.give_back(inbox);
        }
        while let Some(inbox) = self.inboxes.pop() {
            arrivals.receive(&inbox);
            worker.inboxes.give_back(inbox);
        }
    }

    /// A visit on a cycle: handles everything before `ahead`.
    pub fn run_on_cycle<const WATCHES: bool>(
        &mut self,
        visit: &Visit<'_>,
        ahead: Time,
        worker: &mut Worker<WATCHES>,
    ) {
        let Some(OnCycle { arrivals, .. }) = &mut self.cycle else { return };
        let mut ingress = std::mem::take(&mut worker.merged);
        arrivals.take(ahead, &mut ingress);
        self.forward(visit, [&ingress, &[]], ahead, worker);
        ingress.clear();
        worker.merged = ingress;
    }

    /// The time of its next event on a cycle.
    pub fn next(&self) -> Option<Time> {
        let first = self.cycle.as_ref().and_then(|cycle| cycle.arrivals.next());
        first.into_iter().chain(self.egress.service.next_departure()).min()
    }

    /// PTM, link and next device, for the merge of two streams of packets that join before `end`.
    #[inline]
    fn forward<const WATCHES: bool>(
        &mut self,
        visit: &Visit<'_>,
        ingress: [&[Tau]; 2],
        end: Time,
        worker: &mut Worker<WATCHES>,
    ) {
        let network = visit.network;
        let last = end - Span::from_ps(1);
        let is_idle = ingress.iter().all(|stream| stream.is_empty());
        if is_idle && self.egress.service.next_departure().is_none_or(|next| next > last) {
            return;
        }
        let feeder = &network.feeders[self.id.index()];
        let place = network.landing(feeder);
        let Egress { device, service, wire, .. } = &mut self.egress;
        let (device, processing) = (*device, self.processing);
        let mut departures = std::mem::take(&mut worker.departures);
        let mut losses = std::mem::take(&mut worker.losses);
        match service {
            Service::Lindley(lindley) if !WATCHES && !wire.is_impaired() => {
                let (port, propagation) = (self.id, wire.propagation());
                let statistics = self.statistics.as_deref_mut().zip(visit.inside);
                let recursion =
                    Recursion { port, device, processing, lindley, propagation, feeder, place: &place };
                recursion.forward(ingress, statistics, &mut self.outgoing, worker);
            }
            Service::Lindley(lindley) => {
                departures.extend(Merged::new(ingress).map(|&tau| {
                    let (start, _) = lindley.send(tau.timestamp, tau.packet.length);
                    Departure { tau, start }
                }));
            }
            Service::Model(ptm) => {
                let mut merged = std::mem::take(&mut worker.ingress);
                merged.extend(Merged::new(ingress));
                ptm.forward_trace(&merged, &network.flows, last, &mut departures, &mut losses);
                merged.clear();
                worker.ingress = merged;
            }
        }
        if let (Some(statistics), Some(inside)) = (&mut self.statistics, visit.inside) {
            let until = worker.tally.until;
            worker.record(
                statistics,
                &inside,
                (wire, matches!(service, Service::Model(_))),
                departures.iter().filter(|departure| departure.start <= until),
            );
        }
        for Departure { tau: joined, start } in departures.drain(..) {
            let ingress = joined.timestamp - processing;
            let (packet, port) = (joined.packet, self.id);
            let hop = Hop { packet, device, port, ingress, joined: joined.timestamp, egress: start };
            worker.tally.pass(&hop, &mut worker.log);
            let tau = Tau { timestamp: start, packet };
            worker.carry(&place, feeder, (device, port, wire), tau, &mut self.outgoing);
        }
        for loss in losses.drain(..) {
            worker.tally.now = worker.tally.now.max(loss.at);
            worker.lose(device, processing, Some(self.id), loss);
        }
        worker.departures = departures;
        worker.losses = losses;
    }

    /// The packets that wait at the port.
    pub fn waiting(&self) -> Vec<Tau> {
        self.egress.service.waiting()
    }
}

/// Reduces the packets of the feeders to two streams.
#[inline]
fn merge<'a>(inboxes: &'a [Inbox], scratch: &'a mut Vec<Tau>) -> [&'a [Tau]; 2] {
    let mut parts: [(u32, &[Tau]); 16] = [(0, &[]); 16];
    let mut count = 0;
    for run in inboxes.iter().flat_map(Inbox::runs).map(|(feeder, run)| (feeder.turn, run)) {
        let Some(part) = parts.get_mut(count) else { return merge_many(inboxes, scratch) };
        *part = run;
        count += 1;
    }
    let parts = &mut parts[..count];
    parts.sort_unstable_by_key(|(turn, _)| *turn);
    let mut slices: [&[Tau]; 16] = [&[]; 16];
    slices.iter_mut().zip(&*parts).for_each(|(slice, (_, part))| *slice = part);
    merge_to_two(&slices[..count], scratch)
}

/// The same, for any number of feeders.
#[cold]
fn merge_many<'a>(inboxes: &'a [Inbox], scratch: &'a mut Vec<Tau>) -> [&'a [Tau]; 2] {
    let mut parts: Vec<(u32, &[Tau])> =
        inboxes.iter().flat_map(Inbox::runs).map(|(feeder, run)| (feeder.turn, run)).collect();
    parts.sort_by_key(|(turn, _)| *turn);
    let parts: Vec<&[Tau]> = parts.into_iter().map(|(_, part)| part).collect();
    merge_to_two(&parts, scratch)
}
