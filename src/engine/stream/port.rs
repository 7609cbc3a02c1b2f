//! A port's turn: it takes what its feeders brought, lets its PTM decide, and gives the next ports their packets.

use super::Visit;
use super::merge::{Merged, merge_to_two};
use super::recursion::Recursion;
use super::streams::{Cycle, Streams};
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
    /// The places of its feeders among all streams, in the order of their turns.
    pub inputs: Vec<usize>,
    /// It has taken all before this instant.
    done: Time,
    /// The least time from here to joining a PTM at the next device.
    pub least_delay: Span,
    /// On a cycle: the least delay of its feeders on the cycle.
    pub lookahead: Option<Span>,
    /// What passed it, where that is wanted.
    pub statistics: Option<Box<PortStatistics>>,
}

impl StreamPort {
    pub fn new(network: &Network, id: PortId, egress: Egress) -> Self {
        let processing = network.nodes[egress.device.index()].processing;
        let least_delay = egress.wire.least_delay() + network.feeders[id.index()].processing;
        StreamPort {
            id,
            egress,
            processing,
            inputs: Vec::new(),
            done: Time::ZERO,
            least_delay,
            lookahead: None,
            statistics: None,
        }
    }

    /// Whether packets may arrive before others that started earlier.
    pub fn breaks_order(&self) -> bool {
        self.egress.wire.breaks_order()
    }

    /// What its feeders bring before `end`: two streams whose merge that is.
    #[inline]
    fn take<'a>(
        &self,
        streams: impl Fn(usize) -> &'a Streams,
        end: Time,
        scratch: &'a mut Vec<Tau>,
    ) -> [&'a [Tau]; 2] {
        let mut parts: [&[Tau]; 16] = [&[]; 16];
        let mut more: Vec<&[Tau]> = Vec::new();
        let mut count = 0;
        for &place in &self.inputs {
            let stream = streams(place).to(self.id);
            let part = between(stream, self.done, end);
            if part.is_empty() {
                continue;
            }
            if count < parts.len() {
                parts[count] = part;
                count += 1;
            } else {
                if more.is_empty() {
                    more.extend(parts);
                }
                more.push(part);
            }
        }
        let parts = if more.is_empty() { &parts[..count] } else { &more };
        merge_to_two(parts, scratch)
    }

    /// Its turn, where its feeders are all before it: everything before the window's end.
    pub fn run<const WATCHES: bool>(
        &mut self,
        visit: &Visit<'_>,
        own: &mut Streams,
        worker: &mut Worker<WATCHES>,
    ) {
        let mut scratch = std::mem::take(&mut worker.scratch);
        let ingress = self.take(|place| &visit.before[place], visit.end, &mut scratch);
        self.forward(visit, ingress, visit.end, own, worker);
        worker.scratch = scratch;
    }

    /// Its turn on a cycle, of which it is the `own`th port.
    pub fn run_on_cycle<const WATCHES: bool>(
        &mut self,
        visit: &Visit<'_>,
        cycle: &mut Cycle<'_>,
        own: usize,
        end: Time,
        worker: &mut Worker<WATCHES>,
    ) {
        let mut scratch = std::mem::take(&mut worker.scratch);
        let mut ingress = std::mem::take(&mut worker.merged);
        let parts = self.take(|place| cycle.streams(place), end, &mut scratch);
        ingress.extend(Merged::new(parts));
        worker.scratch = scratch;
        self.forward(visit, [&ingress, &[]], end, &mut cycle.own[own], worker);
        ingress.clear();
        worker.merged = ingress;
    }

    /// Everything before `end` has been taken, since there is nothing.
    pub fn pass_to(&mut self, end: Time) {
        self.done = end;
    }

    /// The instant of what it has to do next on a cycle.
    pub fn next(&self, cycle: &Cycle<'_>) -> Option<Time> {
        let first = |&place: &usize| {
            let stream = cycle.streams(place).to(self.id);
            stream.get(stream.partition_point(|tau| tau.timestamp < self.done)).map(|tau| tau.timestamp)
        };
        self.inputs.iter().filter_map(first).chain(self.egress.service.next_departure()).min()
    }

    /// PTM, link, and the next device, for all that joins before `end`: the merge of two streams.
    #[inline]
    fn forward<const WATCHES: bool>(
        &mut self,
        visit: &Visit<'_>,
        ingress: [&[Tau]; 2],
        end: Time,
        own: &mut Streams,
        worker: &mut Worker<WATCHES>,
    ) {
        let network = visit.network;
        self.done = end;
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
                recursion.forward(ingress, statistics, own, worker);
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
            worker.carry(&place, feeder, (device, port, wire), tau, own);
        }
        for loss in losses.drain(..) {
            worker.tally.now = worker.tally.now.max(loss.at);
            worker.lose(device, processing, Some(self.id), loss);
        }
        worker.departures = departures;
        worker.losses = losses;
    }

    /// Who waits at the port.
    pub fn waiting(&self) -> Vec<Tau> {
        self.egress.service.waiting()
    }
}

/// The part of a sorted stream from `start` up to, and without, `end`.
#[inline]
pub(super) fn between(stream: &[Tau], start: Time, end: Time) -> &[Tau] {
    let first = match stream.first() {
        None => return &[],
        Some(tau) if tau.timestamp >= start => 0,
        Some(_) => stream.partition_point(|tau| tau.timestamp < start),
    };
    let rest = &stream[first..];
    &rest[..rest.partition_point(|tau| tau.timestamp < end)]
}
