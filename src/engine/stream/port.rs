//! A port's turn: it takes what its feeders brought, lets its PTM decide, and gives the next ports their packets.

use super::merge::{Merged, merge_to_two};
use super::recursion::Recursion;
use crate::engine::network::{Egress, Feeder, Landing, LandingPlace, Network, Service, Wire};
use crate::engine::tally::Tally;
use crate::engine::told::Told;
use crate::engine::{Dropped, Hop};
use crate::packet::{Packet, Tau};
use crate::ptm::{Departure, Loss};
use crate::topology::{DeviceId, PortId};
use crate::units::{Span, Time};

/// What a feeder brings: one sorted stream per egress port of the device that it feeds, each packet with the instant
/// at which it joins the port's PTM.
#[derive(Debug, Default)]
pub(super) struct Streams {
    by_port: Vec<Vec<Tau>>,
    first_port: usize,
}

impl Streams {
    pub fn new(network: &Network, feeder: usize) -> Self {
        let device = network.feeders[feeder].device;
        let ports = network.topology.device(device).ports.len();
        Streams {
            by_port: (0..ports).map(|_| Vec::new()).collect(),
            first_port: network.nodes[device.index()].first_port,
        }
    }

    /// Forgets what every port has taken: all before `start`.
    pub fn forget_before(&mut self, start: Time) {
        for stream in &mut self.by_port {
            // What is left is little: it is on its way while the window ends.
            let left = stream.iter().rev().take_while(|tau| tau.timestamp >= start).count();
            if left < stream.len() {
                stream.drain(..stream.len() - left);
            }
        }
    }

    #[inline]
    fn to(&self, port: PortId) -> &[Tau] {
        &self.by_port[port.index() - self.first_port]
    }

    /// A packet for a port, with what changes on its way there.
    #[inline(always)]
    pub fn push_changed(&mut self, port: PortId, joins: Time, tau: &Tau, hops_counted: u8, in_port: u16) {
        let packet = Packet { in_port, ttl: tau.packet.ttl - hops_counted, ..tau.packet };
        self.stream(port).push(Tau { timestamp: joins, packet });
    }

    /// What goes to a port.
    #[inline]
    pub fn stream(&mut self, port: PortId) -> &mut Vec<Tau> {
        &mut self.by_port[port.index() - self.first_port]
    }

    /// The last packet for a port overtakes those that arrive after it.
    fn overtake(&mut self, port: PortId) {
        let stream = self.stream(port);
        let mut place = stream.len() - 1;
        while place > 0 && stream[place - 1].timestamp > stream[place].timestamp {
            stream.swap(place - 1, place);
            place -= 1;
        }
    }
}

/// What a thread counts and what it works with.
pub(super) struct Worker<L> {
    pub tally: Tally,
    pub log: L,
    scratch: Vec<Tau>,
    ingress: Vec<Tau>,
    merged: Vec<Tau>,
    departures: Vec<Departure>,
    losses: Vec<Loss>,
}

impl<L: Told> Worker<L> {
    pub fn new(until: Time, log: L) -> Self {
        Worker {
            tally: Tally::new(until),
            log,
            scratch: Vec::new(),
            ingress: Vec::new(),
            merged: Vec::new(),
            departures: Vec::new(),
            losses: Vec::new(),
        }
    }

    /// A packet starts onto a link of a port of a device at `tau.timestamp`, and lands behind it, or is lost.
    #[inline(always)]
    pub fn carry(
        &mut self,
        place: &LandingPlace<'_>,
        feeder: &Feeder,
        (device, port, wire): (DeviceId, PortId, &mut Wire),
        tau: Tau,
        streams: &mut Streams,
    ) {
        match wire.carry(&tau.packet, tau.timestamp) {
            Some(arrival) => {
                let joined = self.land(place, feeder, arrival + feeder.processing, &tau, streams);
                if let Some(port) = joined
                    && wire.breaks_order()
                {
                    streams.overtake(port);
                }
            }
            None => self.tally.lose_on_link(tau, device, port, &mut self.log),
        }
    }

    /// A packet reaches the device of its feeder and joins a PTM at `joins`, or ends; gives the port that it joins.
    #[inline(always)]
    pub fn land(
        &mut self,
        place: &LandingPlace<'_>,
        feeder: &Feeder,
        joins: Time,
        tau: &Tau,
        streams: &mut Streams,
    ) -> Option<PortId> {
        if joins > self.tally.until {
            self.tally.keep(tau.packet.pid);
            return None;
        }
        self.tally.now = self.tally.now.max(joins);
        let arrived = || Tau { timestamp: joins, packet: Packet { in_port: feeder.in_port, ..tau.packet } };
        match place.land(&tau.packet) {
            Landing::Joins(port) => {
                streams.push_changed(port, joins, tau, place.forwarding().hops_counted(), feeder.in_port);
                return Some(port);
            }
            Landing::Home => self.tally.deliver(&arrived(), feeder.device, &mut self.log),
            Landing::Lost(reason) => {
                let loss = Loss { tau: arrived(), at: joins, reason };
                self.lose(feeder.device, feeder.processing, None, loss);
            }
        }
        None
    }

    /// [`land`](Worker::land), apart from the loops of what is common.
    #[cold]
    #[inline(never)]
    pub fn land_apart(
        &mut self,
        place: &LandingPlace<'_>,
        feeder: &Feeder,
        joins: Time,
        tau: &Tau,
        streams: &mut Streams,
    ) {
        self.land(place, feeder, joins, tau, streams);
    }

    #[cold]
    fn lose(&mut self, device: DeviceId, processing: Span, port: Option<PortId>, loss: Loss) {
        let Loss { tau, at, reason } = loss;
        let tau = Tau { timestamp: tau.timestamp - processing, ..tau };
        self.tally.lose(&Dropped { tau, device, port, reason, at }, &mut self.log);
    }
}

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
    /// On a circle: the least delay of its feeders on the circle.
    pub lookahead: Option<Span>,
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
        }
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

    /// Its turn, where its feeders are all `before` it: everything before `end`.
    pub fn run<L: Told>(
        &mut self,
        network: &Network,
        before: &[Streams],
        end: Time,
        own: &mut Streams,
        worker: &mut Worker<L>,
    ) {
        let mut scratch = std::mem::take(&mut worker.scratch);
        let ingress = self.take(|place| &before[place], end, &mut scratch);
        self.forward(network, ingress, end, own, worker);
        worker.scratch = scratch;
    }

    /// Its turn on a circle, of which it is the `own`th port.
    pub fn run_on_circle<L: Told>(
        &mut self,
        network: &Network,
        circle: &mut Circle<'_>,
        own: usize,
        end: Time,
        worker: &mut Worker<L>,
    ) {
        let mut scratch = std::mem::take(&mut worker.scratch);
        let mut ingress = std::mem::take(&mut worker.merged);
        let parts = self.take(|place| circle.streams(place), end, &mut scratch);
        ingress.extend(Merged::new(parts));
        worker.scratch = scratch;
        self.forward(network, [&ingress, &[]], end, &mut circle.own[own], worker);
        ingress.clear();
        worker.merged = ingress;
    }

    /// Everything before `end` has been taken, since there is nothing.
    pub fn pass_to(&mut self, end: Time) {
        self.done = end;
    }

    /// The instant of what it has to do next on a circle.
    pub fn next(&self, circle: &Circle<'_>) -> Option<Time> {
        let first = |&place: &usize| {
            let stream = circle.streams(place).to(self.id);
            stream.get(stream.partition_point(|tau| tau.timestamp < self.done)).map(|tau| tau.timestamp)
        };
        self.inputs.iter().filter_map(first).chain(self.egress.service.next_departure()).min()
    }

    /// PTM, link, and the next device, for all that joins before `end`: the merge of two streams.
    #[inline]
    fn forward<L: Told>(
        &mut self,
        network: &Network,
        ingress: [&[Tau]; 2],
        end: Time,
        own: &mut Streams,
        worker: &mut Worker<L>,
    ) {
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
            Service::Lindley(lindley) if !L::WATCHES && !wire.is_impaired() => {
                let propagation = wire.propagation();
                let recursion = Recursion { device, processing, lindley, propagation, feeder, place: &place };
                recursion.forward(ingress, own, worker);
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

/// The streams that the ports on a circle take from.
pub(super) struct Circle<'a> {
    /// Those of all ports before it.
    pub before: &'a [Streams],
    /// Those of the ports on it.
    pub own: &'a mut [Streams],
    /// The place of the first of these.
    pub first: usize,
}

impl Circle<'_> {
    /// The streams at a place.
    #[inline]
    fn streams(&self, place: usize) -> &Streams {
        if place < self.first { &self.before[place] } else { &self.own[place - self.first] }
    }
}

/// The part of a sorted stream from `start` up to, and without, `end`.
#[inline]
fn between(stream: &[Tau], start: Time, end: Time) -> &[Tau] {
    let first = match stream.first() {
        None => return &[],
        Some(tau) if tau.timestamp >= start => 0,
        Some(_) => stream.partition_point(|tau| tau.timestamp < start),
    };
    let rest = &stream[first..];
    &rest[..rest.partition_point(|tau| tau.timestamp < end)]
}
