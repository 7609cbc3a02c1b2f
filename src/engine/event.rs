//! The event engine, the reference. Each ingress Tau is an event that schedules its egress event through the
//! PTM and the link.
//!
//! A link is first-in first-out. The queue of arrivals therefore needs one entry per busy link, keyed by its
//! earliest arrival, and one per source, keyed by its next packet. A port whose PTM decides later has an
//! entry in the queue of departures. A port whose PTM decides after the arrivals of an instant has its entry
//! in the queue of arrivals.

use std::collections::VecDeque;

use super::collector::Collector;
use super::endpoints::Endpoints;
use super::flow_numbers::{FlowNumbers, OwnFlows};
use super::network::{Egress, Feeder, Landing, NO_TURN, Network, Service, overtake};
use super::observer::Observer;
use super::queue::{ArrivalQueue, DepartureQueue};
use super::read_ahead::ReadAhead;
use super::running::{LAST, Running};
use super::tally::Tally;
use super::told::{Both, Telling, Told};
use super::{Dropped, EngineError, Hop, Hosted, Injected, Injection, InjectionPoint, Progress, Settings};
use crate::packet::{FlowKey, Tau};
use crate::ptm::{Arrival, Loss};
use crate::statistics::Statistics;
use crate::topology::{DeviceId, PortId};
use crate::traffic::Origin;
use crate::transport::{Answer, ConnectionRecord, Outgoing};
use crate::units::{Span, Time};

/// Events between two progress reports.
const EVENTS_PER_REPORT: u64 = 1 << 16;

/// A running network, simulated event by event. `WATCHES` states whether the observer wants more than new
/// flows.
pub(super) struct EventEngine<const WATCHES: bool> {
    network: Network,
    ports: Vec<Egress>,
    feeders: Vec<FeederState>,
    sources: Vec<ReadAhead>,
    endpoints: Endpoints,
    /// The number of finished connections at which the run stops.
    stop_after: u64,
    /// An error while an endpoint sent.
    failed: Option<EngineError>,
    /// By rank: the entity whose event is due.
    entities: Vec<Entity>,
    arrivals: ArrivalQueue,
    departures: DepartureQueue,
    /// The number of sources that start packets onto a link. All other entities have higher ranks.
    starting: u32,
    tally: Tally,
    collector: Option<Collector>,
    /// The instant of the last event.
    now: Time,
    events: u64,
}

/// The entity behind an entry of the queue of arrivals.
#[derive(Debug, Clone, Copy)]
enum Entity {
    /// The feeder brings a packet.
    Arrival(usize),
    /// The source sends a packet.
    Emission(usize),
    /// All packets of the instant have arrived, and the port sends.
    Decision(PortId),
    /// The endpoint is woken.
    Wake(usize),
}

struct FeederState {
    feeder: Feeder,
    turn: u32,
    /// The packets on their way, each with the time at which it joins a PTM.
    packets: VecDeque<Tau>,
}

impl<const WATCHES: bool> EventEngine<WATCHES> {
    /// A network before its first event.
    ///
    /// # Errors
    /// The first packet of a source cannot be read.
    pub fn new(
        network: Network,
        injections: Vec<Injection>,
        endpoints: Vec<Hosted>,
        settings: &Settings,
    ) -> Result<Self, EngineError> {
        let seed = settings.seed;
        let mut ports: Vec<Egress> = network.egress_ports(seed).collect();
        let starting = network.starting.len();
        let decisions = ports.iter().filter(|port| port.decision_turn.is_some()).count();
        let bringing = network.turns.iter().filter(|turn| **turn != NO_TURN).count();
        let turns = starting + bringing + endpoints.len() + decisions;
        let mut entities = vec![Entity::Emission(0); turns];
        let wake_turns: Vec<u32> = network.wake_turns.iter().map(|turn| starting as u32 + turn).collect();
        for (endpoint, turn) in wake_turns.iter().enumerate() {
            entities[*turn as usize] = Entity::Wake(endpoint);
        }
        let mut endpoints = Endpoints::new(
            &network.topology,
            endpoints,
            (injections.len(), &wake_turns),
            (settings.transport, settings.warm_up),
        );
        for port in &mut ports {
            port.tells_endpoint = port.holds() && endpoints.listen(port.device);
        }
        for (feeder, turn) in network.turns.iter().enumerate().filter(|(_, turn)| **turn != NO_TURN) {
            entities[starting + *turn as usize] = Entity::Arrival(feeder);
        }
        for (index, port) in ports.iter().enumerate() {
            if let Some(turn) = port.decision_turn {
                entities[starting + turn as usize] = Entity::Decision(PortId::new(index));
            }
        }
        let mut sources: Vec<ReadAhead> = Vec::new();
        for (index, injection) in injections.into_iter().enumerate() {
            let wire = match injection.at {
                InjectionPoint::Egress(port) => Some((port, network.wire(port, seed))),
                _ => None,
            };
            let turn = network.source_turn(index);
            entities[turn as usize] = Entity::Emission(index);
            sources.push(ReadAhead::new(injection, turn, wire, WATCHES || settings.packets));
        }
        let feeders = network.feeders.iter().zip(&network.turns).map(|(feeder, turn)| FeederState {
            feeder: *feeder,
            turn: turn.saturating_add(starting as u32),
            packets: VecDeque::new(),
        });
        let devices = network.feeders.iter().map(|feeder| feeder.device);
        let mut engine = EventEngine {
            feeders: feeders.collect(),
            arrivals: ArrivalQueue::new(entities.len()),
            departures: DepartureQueue::default(),
            starting: starting as u32,
            tally: Tally::new(network.until),
            collector: Collector::new(
                &network.topology,
                devices,
                sources.len() + endpoints.states.len(),
                settings,
            ),
            endpoints,
            stop_after: settings.stop_after_flows.unwrap_or(u64::MAX),
            failed: None,
            network,
            ports,
            sources,
            entities,
            now: Time::ZERO,
            events: 0,
        };
        for source in 0..engine.sources.len() {
            engine.read_source(source)?;
        }
        for endpoint in 0..engine.endpoints.states.len() {
            engine.expect_endpoint(endpoint, Time::ZERO);
        }
        Ok(engine)
    }

    /// Reads the source's next packet and schedules it.
    fn read_source(&mut self, index: usize) -> Result<(), EngineError> {
        let source = &mut self.sources[index];
        source.advance(index, self.network.until + Span::from_ps(1))?;
        let time = source
            .next()
            .map_or(Time::NEVER, |next| self.network.event_time(source.injection.at, index, next.timestamp));
        self.arrivals.schedule(source.turn, time);
        Ok(())
    }

    /// Sends the source's current packet, and reads the next one.
    fn emit<O: Observer>(
        &mut self,
        index: usize,
        telling: &mut Telling<'_, O, WATCHES>,
    ) -> Result<(), EngineError> {
        let Some(tau) = self.sources[index].next().copied() else { return Ok(()) };
        let mut tau = self.inject(index, tau, telling)?;
        let feeder = self.network.feeder_of(index);
        match &mut self.sources[index].wire {
            Some((port, wire)) => match wire.carry(&tau.packet, tau.timestamp) {
                Some(arrival) => self.put(feeder, &tau, arrival),
                None => {
                    let (device, port) = (self.ports[port.index()].device, *port);
                    self.tally.lose_on_link(tau, device, port, &mut Both(telling, &mut self.collector));
                }
            },
            None => {
                tau.timestamp = tau.timestamp + self.feeders[feeder].feeder.processing;
                self.arrive(feeder, tau, telling);
            }
        }
        self.read_source(index)
    }

    /// Assigns the ids of a source's next packet, and counts it.
    fn inject<O: Observer>(
        &mut self,
        index: usize,
        mut tau: Tau,
        telling: &mut Telling<'_, O, WATCHES>,
    ) -> Result<Tau, EngineError> {
        let source = &mut self.sources[index];
        let origin = source.origin();
        let local = tau.packet.fid;
        let ReadAhead { flows, injection, .. } = source;
        let parts = (&mut self.network, &mut self.collector);
        let key = || injection.source.flow(local);
        let fid = number_flow(parts, flows, (index, local), injection.at, key, telling)?;
        self.network.identify(&mut tau.packet, index, source.sent, fid);
        source.sent += 1;
        self.tally.inject(tau.packet.pid);
        if let Some(collector) = &mut self.collector {
            let record = origin.filter(|_| collector.packets).map(|origin| origin.record);
            collector.sources[index].enter(&tau, local, record);
        }
        if WATCHES && let Some(Origin { record, match_key }) = origin {
            let path = &source.flows.paths[local as usize];
            let source = index as u32;
            telling.injected(&Injected { tau, source, record, match_key, path, segment: None });
        }
        Ok(tau)
    }

    /// Delivers a packet to its destination. The endpoint there reacts to it.
    fn deliver<O: Observer>(&mut self, tau: &Tau, device: DeviceId, telling: &mut Telling<'_, O, WATCHES>) {
        let Some(segment) = self.endpoints.take(self.network.source_of(tau.packet.pid)) else { return };
        let Some(number) = self.endpoints.at(device) else { return };
        let Endpoints { states, outbox, .. } = &mut self.endpoints;
        states[number].endpoint.receive(tau, &segment, &self.network.flows, outbox);
        let now = tau.timestamp;
        self.send_outbox(number, now, telling);
        // An application that the packet wakes runs at once, if no other event precedes it.
        let next = self.endpoints.states[number].endpoint.next(now);
        if next <= now && self.arrivals.earliest() > now && self.departures.first().0 > now {
            self.wake(number, now, telling);
            return self.expect_endpoint(number, now);
        }
        self.expect(number, next);
    }

    /// Wakes an endpoint.
    fn wake<O: Observer>(&mut self, number: usize, now: Time, telling: &mut Telling<'_, O, WATCHES>) {
        let Endpoints { states, outbox, .. } = &mut self.endpoints;
        states[number].endpoint.wake(now, outbox);
        self.send_outbox(number, now, telling);
    }

    /// Updates the event queue for an endpoint.
    fn expect_endpoint(&mut self, number: usize, now: Time) {
        let next = self.endpoints.states[number].endpoint.next(now);
        self.expect(number, next);
    }

    /// Schedules the next wake-up of an endpoint at `next`. An earlier entry stays and is checked when it is
    /// due: the timer moves with nearly every packet.
    #[inline]
    fn expect(&mut self, number: usize, next: Time) {
        if next < self.endpoints.states[number].expected {
            self.schedule_endpoint(number, next);
        }
    }

    fn schedule_endpoint(&mut self, number: usize, next: Time) {
        let state = &mut self.endpoints.states[number];
        state.expected = next;
        self.arrivals.schedule(state.turn, next);
    }

    /// Whether an endpoint's wake-up has moved to a later time.
    fn is_put_off(&mut self, number: usize, now: Time) -> bool {
        let next = self.endpoints.states[number].endpoint.next(now);
        if next > now {
            self.schedule_endpoint(number, next);
        }
        next > now
    }

    /// Sends the packets in the outbox of an endpoint.
    fn send_outbox<O: Observer>(&mut self, number: usize, now: Time, telling: &mut Telling<'_, O, WATCHES>) {
        let state = &mut self.endpoints.states[number];
        state.begin(&mut self.endpoints.outbox.flows);
        let mut packets = std::mem::take(&mut self.endpoints.outbox.packets);
        for outgoing in packets.drain(..) {
            match self.inject_outgoing(number, now, &outgoing, telling) {
                Ok((feeder, tau)) if self.feeders[feeder].feeder.processing == Span::ZERO => {
                    self.arrive(feeder, tau, telling);
                }
                Ok((feeder, tau)) => self.put(feeder, &tau, now),
                Err(error) => self.failed = Some(error),
            }
        }
        // Reuse the memory.
        self.endpoints.outbox.packets = packets;
        self.endpoints.count(number);
        self.endpoints.tell(number, telling);
    }

    /// Assigns the ids of an endpoint's packet, and counts it.
    fn inject_outgoing<O: Observer>(
        &mut self,
        number: usize,
        now: Time,
        outgoing: &Outgoing,
        telling: &mut Telling<'_, O, WATCHES>,
    ) -> Result<(usize, Tau), EngineError> {
        let Outgoing { flow: local, packet, segment } = *outgoing;
        let state = &mut self.endpoints.states[number];
        let (source, record) = (state.source, state.sent);
        let at = InjectionPoint::Host(state.host);
        let fid = match state.flows.fids.known(local) {
            Some(fid) => fid,
            None => {
                // An endpoint reports the key of each flow before its first packet.
                let key = state.key(local).ok_or(EngineError::Failed)?;
                let parts = (&mut self.network, &mut self.collector);
                number_flow(parts, &mut state.flows, (source, local), at, || key, telling)?
            }
        };
        let mut tau = Tau { timestamp: now, packet };
        self.network.identify(&mut tau.packet, source, record, fid);
        state.send(segment);
        self.tally.inject(tau.packet.pid);
        if let Some(collector) = &mut self.collector {
            let record = collector.packets.then_some(record);
            collector.sources[source].enter(&tau, local, record);
        }
        if WATCHES {
            let path = &state.flows.paths[local as usize];
            let segment = Some(&outgoing.segment);
            let source = source as u32;
            telling.injected(&Injected { tau, source, record, match_key: None, path, segment });
        }
        Ok((self.network.feeder_of(source), tau))
    }

    /// Records a lost packet, and drops its segment.
    #[inline]
    fn forget_segment(&mut self, pid: u64) {
        if !self.endpoints.is_empty() {
            self.endpoints.take(self.network.source_of(pid));
        }
    }

    /// Takes the feeder's first packet after its device has processed it.
    #[inline]
    fn take_from<O: Observer>(&mut self, index: usize, telling: &mut Telling<'_, O, WATCHES>) {
        let FeederState { packets, turn, .. } = &mut self.feeders[index];
        let Some(tau) = packets.pop_front() else { return };
        self.arrivals.schedule(*turn, packets.front().map_or(Time::NEVER, |next| next.timestamp));
        self.arrive(index, tau, telling);
    }

    /// A packet of a feeder reaches its destination or joins a PTM.
    #[inline]
    fn arrive<O: Observer>(&mut self, index: usize, mut tau: Tau, telling: &mut Telling<'_, O, WATCHES>) {
        let FeederState { feeder, .. } = &self.feeders[index];
        let place = self.network.landing(feeder);
        match place.land(&tau.packet) {
            Landing::Home => {
                let device = feeder.device;
                self.tally.deliver(&tau, device, &mut Both(telling, &mut self.collector));
                if !self.endpoints.is_empty() {
                    self.deliver(&tau, device, telling);
                }
            }
            Landing::Lost(reason) => {
                let at = tau.timestamp;
                let tau = Tau { timestamp: at - feeder.processing, ..tau };
                let drop = Dropped { tau, device: feeder.device, port: None, reason, at };
                self.tally.lose(&drop, &mut Both(telling, &mut self.collector));
                self.forget_segment(tau.packet.pid);
            }
            Landing::Joins(port) => {
                let hops_counted = place.hops_counted();
                if hops_counted > 0 {
                    tau.packet.ttl -= hops_counted;
                }
                self.join(port, tau, telling);
            }
        }
    }

    #[inline]
    fn join<O: Observer>(&mut self, port: PortId, tau: Tau, telling: &mut Telling<'_, O, WATCHES>) {
        let ptm = match &mut self.ports[port.index()].service {
            Service::Model(ptm) => ptm,
            Service::Lindley(lindley) => {
                let (start, _) = lindley.send(tau.timestamp, tau.packet.length);
                return self.pass(port, tau, start, telling);
            }
        };
        match ptm.arrive(&tau, &self.network.flows) {
            Arrival::Departs(start) => self.pass(port, tau, start, telling),
            Arrival::Marked(start) => self.pass(port, tau.marked(), start, telling),
            Arrival::Queued => {
                self.take_losses(port, telling);
                self.reschedule(port);
            }
            Arrival::Dropped(reason) => self.lose(port, Loss { tau, at: tau.timestamp, reason }, telling),
        }
    }

    /// The port's PTM releases its next packet.
    fn depart<O: Observer>(&mut self, port: PortId, now: Time, telling: &mut Telling<'_, O, WATCHES>) {
        if let Service::Model(ptm) = &mut self.ports[port.index()].service
            && let Some(departure) = ptm.depart()
        {
            self.pass(port, departure.tau, departure.start, telling);
        }
        self.take_losses(port, telling);
        self.reschedule(port);
        let Egress { device, tells_endpoint, .. } = self.ports[port.index()];
        if tells_endpoint && let Some(number) = self.endpoints.at(device) {
            self.expect_endpoint(number, now);
        }
    }

    /// Takes the packets that the port's PTM dropped after they were queued.
    fn take_losses<O: Observer>(&mut self, port: PortId, telling: &mut Telling<'_, O, WATCHES>) {
        while let Service::Model(ptm) = &mut self.ports[port.index()].service
            && let Some(loss) = ptm.lost()
        {
            self.lose(port, loss, telling);
        }
    }

    fn lose<O: Observer>(&mut self, port: PortId, loss: Loss, telling: &mut Telling<'_, O, WATCHES>) {
        let device = self.ports[port.index()].device;
        let processing = self.network.nodes[device.index()].processing;
        let tau = Tau { timestamp: loss.tau.timestamp - processing, ..loss.tau };
        let Loss { at, reason, .. } = loss;
        let drop = Dropped { tau, device, port: Some(port), reason, at };
        self.tally.lose(&drop, &mut Both(telling, &mut self.collector));
        if self.ports[port.index()].tells_endpoint {
            self.endpoints.leave(self.network.source_of(tau.packet.pid), at);
        }
        self.forget_segment(tau.packet.pid);
    }

    /// Updates the queue of departures.
    #[inline]
    fn reschedule(&mut self, port: PortId) {
        let egress = &self.ports[port.index()];
        let next = egress.service.next_departure();
        match egress.decision_turn {
            None => self.departures.schedule(port.index() as u32, next),
            Some(turn) => self.arrivals.schedule(self.starting + turn, next.unwrap_or(Time::NEVER)),
        }
    }

    /// A packet starts onto the link at `start`.
    #[inline]
    fn pass<O: Observer>(
        &mut self,
        port: PortId,
        joined: Tau,
        start: Time,
        telling: &mut Telling<'_, O, WATCHES>,
    ) {
        let egress = &mut self.ports[port.index()];
        let ingress = joined.timestamp - self.network.nodes[egress.device.index()].processing;
        let hop = Hop {
            packet: joined.packet,
            device: egress.device,
            port,
            ingress,
            joined: joined.timestamp,
            egress: start,
        };
        self.tally.pass(&hop, &mut Both(telling, &mut self.collector));
        if egress.tells_endpoint {
            let last_bit = start + egress.wire.transmission(joined.packet.length);
            self.endpoints.leave(self.network.source_of(joined.packet.pid), last_bit);
        }
        match egress.wire.carry(&joined.packet, start) {
            Some(arrival) => self.put(port.index(), &joined, arrival),
            None => {
                let tau = Tau { timestamp: start, ..joined };
                self.tally.lose_on_link(tau, egress.device, port, &mut Both(telling, &mut self.collector));
                self.forget_segment(tau.packet.pid);
            }
        }
    }

    /// Enough connections have finished: stop after this instant.
    #[cold]
    fn stop<O: Observer>(
        &mut self,
        now: Time,
        telling: &mut Telling<'_, O, WATCHES>,
    ) -> Result<(), EngineError> {
        self.stop_after = u64::MAX;
        (self.network.until, self.tally.until) = (now, now);
        self.settle(now + Span::from_ps(1), telling);
        telling.tell(|observer| observer.settled(now + Span::from_ps(1)));
        Ok(telling.check()?)
    }

    /// Settles all packets that ended before an instant.
    fn settle<O: Observer>(&mut self, before: Time, telling: &mut Telling<'_, O, WATCHES>) {
        if let Some(collector) = &mut self.collector {
            // Arrivals are recorded as they happen.
            collector.settle(before, None);
            collector.sources.iter_mut().for_each(|source| source.inside.forget());
            if !collector.rows().is_empty() {
                telling.tell(|observer| observer.ended(collector.rows()));
            }
        }
    }

    /// Schedules a packet of a feeder for `arrival`.
    #[inline]
    fn put(&mut self, index: usize, tau: &Tau, arrival: Time) {
        let FeederState { feeder, packets, turn } = &mut self.feeders[index];
        let timestamp = arrival + feeder.processing;
        let overtakes = packets.back().is_some_and(|last| last.timestamp > timestamp);
        // Copied whole and then changed in place.
        packets.push_back(*tau);
        if let Some(slot) = packets.back_mut() {
            slot.timestamp = timestamp;
            slot.packet.in_port = feeder.in_port;
        }
        let place = if overtakes { overtake(packets) } else { packets.len() - 1 };
        if place == 0 {
            self.arrivals.schedule(*turn, timestamp);
        }
    }
}

impl<O: Observer, const WATCHES: bool> Running<O> for EventEngine<WATCHES> {
    fn run_until(&mut self, end: Time, observer: &mut O) -> Result<(), EngineError> {
        let end = end.min(self.network.until);
        let telling = &mut Telling::<O, WATCHES>::new(observer);
        loop {
            let (arrival, (departure, port)) = (self.arrivals.earliest(), self.departures.first());
            let now = arrival.min(departure);
            if now > end {
                break;
            }
            let entity = match departure <= arrival {
                true => Entity::Decision(PortId::new(port as usize)),
                false => self.entities[self.arrivals.first() as usize],
            };
            if let Entity::Wake(endpoint) = entity
                && self.is_put_off(endpoint, now)
            {
                continue;
            }
            if now > self.endpoints.next_sample {
                self.endpoints.sample_before(now, telling);
            }
            match entity {
                Entity::Arrival(feeder) => self.take_from(feeder, telling),
                Entity::Emission(source) => self.emit(source, telling)?,
                Entity::Decision(port) => self.depart(port, now, telling),
                Entity::Wake(endpoint) => {
                    self.wake(endpoint, now, telling);
                    let next = self.endpoints.states[endpoint].endpoint.next(now);
                    self.schedule_endpoint(endpoint, next);
                }
            }
            self.tally.now = self.tally.now.max(now);
            self.now = now;
            self.events += 1;
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if self.endpoints.finished >= self.stop_after {
                return self.stop(now, telling);
            }
            if self.events.is_multiple_of(EVENTS_PER_REPORT) {
                let progress = Running::<O>::progress(self);
                self.settle(now, telling);
                telling.tell(|observer| observer.settled(now).and_then(|()| observer.progress(&progress)));
                telling.check()?;
            } else if WATCHES {
                telling.check()?;
            }
        }
        self.settle(end + Span::from_ps(1), telling);
        telling.tell(|observer| observer.settled(end + Span::from_ps(1)));
        Ok(telling.check()?)
    }

    /// Injects the packets emitted by `until` whose processing would end later, and counts the packets still
    /// in the network.
    fn finish(&mut self, observer: &mut O) -> Result<Tally, EngineError> {
        let until = self.network.until;
        let left = !self.departures.is_empty()
            || self.feeders.iter().any(|feeder| !feeder.packets.is_empty())
            || self.ports.iter().any(|port| port.service.next_departure().is_some())
            || self.sources.iter().any(|source| source.next().is_some())
            || self.endpoints.have_timers();
        if until == LAST && left {
            return Err(EngineError::TimeOverflow);
        }
        let telling = &mut Telling::<O, WATCHES>::new(observer);
        let mut waiting: Vec<Tau> = self.feeders.iter().flat_map(|feeder| &feeder.packets).copied().collect();
        for (port, egress) in self.ports.iter().enumerate() {
            let queued = egress.service.waiting();
            let told = &mut Both(telling, &mut self.collector);
            queued.iter().for_each(|joined| told.waits(PortId::new(port), joined));
            waiting.extend(queued);
        }
        for index in 0..self.sources.len() {
            while let Some(next) = self.sources[index].next().filter(|next| next.timestamp <= until).copied()
            {
                waiting.push(self.inject(index, next, telling)?);
                self.read_source(index)?;
            }
        }
        self.settle(Time::NEVER, telling);
        if let Some(collector) = self.collector.as_ref().filter(|collector| collector.packets) {
            telling.tell(|observer| observer.ended(&collector.rows_inside()));
        }
        telling.check()?;
        let more = self.endpoints.have_timers()
            || !waiting.is_empty()
            || self.sources.iter().any(|source| source.next().is_some());
        self.tally.finish(waiting.iter(), more)?;
        self.endpoints.sample_before(self.tally.now + Span::from_ps(1), telling);
        telling.check()?;
        Ok(self.tally)
    }

    fn statistics(&mut self) -> Option<Statistics> {
        self.collector.take().map(|collector| collector.finish(&self.network.flows))
    }

    fn take_connections(&mut self) -> Vec<ConnectionRecord> {
        self.endpoints.take_connections(&self.network)
    }

    fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.endpoints.answers)
    }

    fn progress(&self) -> Progress {
        let sources = self.sources.iter().map(|source| &source.injection);
        Progress {
            time: self.now,
            injected: self.tally.packets.injected,
            fraction: Injection::fraction(sources),
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.sources.iter().flat_map(|source| source.injection.source.warnings()).collect()
    }
}

/// Assigns the run's flow number with the flow's first packet. The flow is the `local`th of a source that
/// enters at `at`.
#[inline]
fn number_flow<O: Observer, const WATCHES: bool>(
    (network, collector): (&mut Network, &mut Option<Collector>),
    flows: &mut OwnFlows,
    (source, local): (usize, u32),
    at: InjectionPoint,
    key: impl FnOnce() -> FlowKey,
    telling: &mut Telling<'_, O, WATCHES>,
) -> Result<u32, EngineError> {
    flows.fids.reserve(local);
    if flows.fids[local] == FlowNumbers::UNSEEN {
        let fid = network.add_flow(at, key(), None, telling)?;
        flows.fids[local] = fid;
        if let Some(collector) = collector {
            collector.add_flow(fid, (source, local), network.pfm.destination(fid));
        }
        if WATCHES {
            flows.paths.resize(flows.paths.len().max(local as usize + 1), Box::default());
            flows.paths[local as usize] = network.path(fid, at).into();
        }
    }
    Ok(flows.fids[local])
}
