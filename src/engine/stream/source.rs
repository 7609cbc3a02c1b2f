//! Sources of the stream engine: read ahead in batches, and sent to the first ports.

use super::inboxes::Bringer;
use super::outgoing::Outgoing;
use super::worker::Worker;
use crate::engine::collector::SourceCollector;
use crate::engine::contract::{CHECKED, InOrder};
use crate::engine::fingerprint::PacketSum;
use crate::engine::flow_numbers::FlowNumbers;
use crate::engine::network::{Feeder, Network, Wire};
use crate::engine::{EngineError, Injection, InjectionPoint};
use crate::packet::{FlowKey, Tau};
use crate::topology::PortId;
use crate::traffic::{Batch, Origin};
use crate::units::{Span, Time};

/// A source and the packets read from it.
pub(super) struct StreamSource {
    pub injection: Injection,
    number: usize,
    /// The packets read and not yet sent.
    ahead: Batch,
    /// Whether the source has no more packets.
    is_read: bool,
    sent: u64,
    order: InOrder,
    /// The time between a packet and its event.
    processing: Span,
    /// The link of the injection, if packets start onto one.
    wire: Option<(PortId, Wire)>,
    /// By flow of the source: the run's flow number; [`FlowNumbers::UNSEEN`] or [`SEEN`] before it has one.
    fids: FlowNumbers,
    first_port: FirstPort,
    /// Flows that have been read and have no number yet: the event of the first packet, and the source's flow
    /// number.
    fresh: Vec<(Time, u32)>,
    /// By flow of the source: its path, if the observer wants it.
    pub paths: Vec<Box<[PortId]>>,
    /// The packets that it brings to the first device.
    pub outgoing: Outgoing,
}

/// The port that the packets of the source join first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstPort {
    /// There is no flow yet.
    Unknown,
    /// All packets join this port, as at a host with one link.
    Always(PortId),
    /// The port depends on the packet.
    Depends,
}

/// A packet of the flow has been read, and the run has no number for the flow yet.
const SEEN: u32 = u32::MAX - 1;

impl StreamSource {
    /// A source whose first packet has been read. `with_origins` states whether to read the origin of
    /// packets.
    ///
    /// # Errors
    /// The first packet cannot be read.
    pub fn new(
        network: &Network,
        number: usize,
        injection: Injection,
        seed: u64,
        with_origins: bool,
    ) -> Result<Self, EngineError> {
        let (processing, wire) = match injection.at {
            InjectionPoint::Egress(port) => (Span::ZERO, Some((port, network.wire(port, seed)))),
            _ => (network.feeders[network.feeder_of(number)].processing, None),
        };
        let is_unordered = wire.as_ref().is_some_and(|(_, wire): &(_, Wire)| wire.breaks_order());
        let mut source = StreamSource {
            outgoing: Outgoing::new(Bringer { turn: network.turns[network.feeder_of(number)], is_unordered }),
            injection,
            number,
            ahead: Batch::new(with_origins),
            is_read: false,
            sent: 0,
            order: InOrder::default(),
            processing,
            wire,
            fids: FlowNumbers::default(),
            first_port: FirstPort::Unknown,
            fresh: Vec::new(),
            paths: Vec::new(),
        };
        source.read_on(Time::ZERO, 1)?;
        Ok(source)
    }

    /// The event of its next packet.
    pub fn next(&self) -> Option<Time> {
        self.ahead.taus.first().map(|next| next.timestamp + self.processing)
    }

    /// Reads ahead all events before `end`, but not many more than `most`. Returns the instant before which
    /// everything has been read, which is later than `start`.
    ///
    /// # Errors
    /// The error of the source.
    pub fn read(&mut self, start: Time, end: Time, most: usize) -> Result<Time, EngineError> {
        let before = end - self.processing;
        loop {
            match self.ahead.taus.last() {
                Some(last) if last.timestamp >= before => return Ok(end),
                // There are more packets: reading is complete up to the last packet, if that is later than
                // the start.
                Some(last) if self.ahead.taus.len() > most && last.timestamp + self.processing > start => {
                    return Ok(last.timestamp + self.processing);
                }
                _ if self.is_read => return Ok(end),
                _ => self.read_on(before, most.saturating_sub(self.ahead.taus.len()).max(64))?,
            }
        }
    }

    /// Reads up to the first packet at `end` or later, but no more than `most`, and collects new flows.
    fn read_on(&mut self, end: Time, most: usize) -> Result<(), EngineError> {
        let read = self.ahead.taus.len();
        self.is_read = !self.injection.source.read(end, most, &mut self.ahead)?;
        if CHECKED {
            self.order.check(self.number, &self.ahead.taus[read..]);
        }
        for tau in &self.ahead.taus[read..] {
            let local = tau.packet.fid;
            self.fids.reserve(local);
            if self.fids[local] == FlowNumbers::UNSEEN {
                self.fids[local] = SEEN;
                self.fresh.push((tau.timestamp + self.processing, local));
            }
        }
        Ok(())
    }

    /// The flows whose first packet has its event before `end`, in order: the instant, the source's flow
    /// number and the key.
    pub fn take_fresh(&mut self, end: Time) -> impl Iterator<Item = (Time, u32, FlowKey)> + '_ {
        let count = self.fresh.partition_point(|(time, _)| *time < end);
        let source = &self.injection.source;
        self.fresh.drain(..count).map(|(time, local)| (time, local, source.flow(local)))
    }

    /// Sets the port that the packets of a flow join first; `None` if it is not always the same.
    pub fn starts_at(&mut self, port: Option<PortId>) {
        self.first_port = match (self.first_port, port) {
            (FirstPort::Unknown, Some(port)) => FirstPort::Always(port),
            (FirstPort::Always(known), Some(port)) if known == port => FirstPort::Always(port),
            _ => FirstPort::Depends,
        };
    }

    /// Sets the run's number of a flow of the source.
    pub fn number_flow(&mut self, local: u32, fid: u32, path: Option<Vec<PortId>>) {
        self.fids[local] = fid;
        if let Some(path) = path {
            if self.paths.len() <= local as usize {
                self.paths.resize(local as usize + 1, Box::default());
            }
            self.paths[local as usize] = path.into();
        }
    }

    /// Sends all events before `end`.
    pub fn send<const WATCHES: bool>(
        &mut self,
        network: &Network,
        end: Time,
        mut out: Output<'_>,
        worker: &mut Worker<WATCHES>,
    ) {
        if let Some(collected) = &mut out.collected {
            collected.inside.forget();
        }
        self.outgoing.begin(&mut worker.inboxes, &network.pfm);
        let before = end - self.processing;
        let count = self.ahead.taus.partition_point(|tau| tau.timestamp < before);
        let Some(last) = count.checked_sub(1) else { return };
        worker.tally.now = worker.tally.now.max(self.ahead.taus[last].timestamp + self.processing);
        match self.first_port {
            FirstPort::Always(port) if self.ahead.origins.is_none() && self.wire.is_none() => {
                self.send_all(network, count, port, &mut out, worker);
            }
            _ => self.send_each(network, count, &mut out, worker),
        }
        self.ahead.forget(count);
    }

    /// Sends the first packets read, all to one port, when no observer watches.
    fn send_all<const WATCHES: bool>(
        &mut self,
        network: &Network,
        count: usize,
        port: PortId,
        out: &mut Output<'_>,
        worker: &mut Worker<WATCHES>,
    ) {
        let Feeder { processing, in_port, .. } = network.feeders[network.feeder_of(self.number)];
        let mut pid = network.pid(self.number, self.sent);
        let step = network.pid(self.number, self.sent + 1) - pid;
        let mut entered = PacketSum::default();
        let (stream, fids) = (worker.inboxes.start(self.outgoing.feeder, port), &self.fids);
        let sent = stream.len();
        stream.extend_from_slice(&self.ahead.taus[..count]);
        if let Some(collected) = &mut out.collected {
            // If every packet is recorded, they are sent one by one, with their records.
            stream[sent..].iter().for_each(|tau| collected.enter(tau, tau.packet.fid, None));
        }
        for tau in &mut stream[sent..] {
            entered.add(pid);
            tau.timestamp = tau.timestamp + processing;
            tau.packet.pid = pid;
            tau.packet.fid = fids[tau.packet.fid];
            tau.packet.way = network.pfm.way(tau.packet.fid);
            tau.packet.in_port = in_port;
            pid += step;
        }
        self.sent += count as u64;
        worker.tally.inject_all(count as u64, entered);
    }

    /// Sends the first packets read, one by one.
    fn send_each<const WATCHES: bool>(
        &mut self,
        network: &Network,
        count: usize,
        out: &mut Output<'_>,
        worker: &mut Worker<WATCHES>,
    ) {
        let feeder = &network.feeders[network.feeder_of(self.number)];
        let place = network.landing(feeder);
        let mut wire = self.wire.take();
        for number in 0..count {
            let tau = self.inject(network, number, out.sent, out.collected.as_deref_mut(), worker);
            match &mut wire {
                None => {
                    let joins = tau.timestamp + feeder.processing;
                    worker.land(&place, feeder, joins, &tau, &mut self.outgoing);
                }
                Some((port, wire)) => {
                    let device = network.topology.port(*port).device;
                    worker.carry(&place, feeder, (device, *port, wire), tau, &mut self.outgoing);
                }
            }
        }
        self.wire = wire;
    }

    /// Assigns the ids of a packet read, and counts it.
    fn inject<const WATCHES: bool>(
        &mut self,
        network: &Network,
        number: usize,
        injected: &mut Vec<Sent>,
        collected: Option<&mut SourceCollector>,
        worker: &mut Worker<WATCHES>,
    ) -> Tau {
        let mut tau = self.ahead.taus[number];
        let local = tau.packet.fid;
        tau.packet.fid = self.fids[local];
        tau.packet.way = network.pfm.way(tau.packet.fid);
        tau.packet.pid = network.pid(self.number, self.sent);
        tau.packet.in_port = network.feeders[network.feeder_of(self.number)].in_port;
        self.sent += 1;
        worker.tally.inject(tau.packet.pid);
        let origin = self.ahead.origins.as_ref().map(|origins| origins[number]);
        if let Some(collected) = collected {
            let record = origin.filter(|_| collected.packets).map(|origin| origin.record);
            collected.enter(&tau, local, record);
        }
        if WATCHES && let Some(Origin { record, match_key }) = origin {
            injected.push(Sent { tau, source: self.number as u32, local, record, match_key });
        }
        tau
    }

    /// Reads the packets emitted by the run's end whose event would be later.
    ///
    /// # Errors
    /// The error of the source.
    pub fn read_late(&mut self, until: Time) -> Result<(), EngineError> {
        let end = until + Span::from_ps(1);
        self.read(end, end + self.processing, usize::MAX).map(|_| ())
    }

    /// The flows of the packets that [`read_late`](StreamSource::read_late) has read.
    pub fn take_fresh_late(&mut self, until: Time) -> impl Iterator<Item = (Time, u32, FlowKey)> + '_ {
        self.take_fresh(until + self.processing + Span::from_ps(1))
    }

    /// Sends the packets that [`read_late`](StreamSource::read_late) has read. They stay in the network.
    pub fn send_late<const WATCHES: bool>(
        &mut self,
        network: &Network,
        until: Time,
        injected: &mut Vec<Sent>,
        mut collected: Option<&mut SourceCollector>,
        worker: &mut Worker<WATCHES>,
    ) {
        let count = self.ahead.taus.partition_point(|tau| tau.timestamp <= until);
        for number in 0..count {
            let tau = self.inject(network, number, injected, collected.as_deref_mut(), worker);
            worker.tally.keep(tau.packet.pid);
        }
        self.ahead.forget(count);
    }
}

/// The output of a source.
pub(super) struct Output<'a> {
    /// Records for the observer.
    pub sent: &'a mut Vec<Sent>,
    /// Records for the statistics.
    pub collected: Option<&'a mut SourceCollector>,
}

/// A packet sent by a source, to be reported to the observer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub tau: Tau,
    pub source: u32,
    pub local: u32,
    pub record: u64,
    pub match_key: Option<u64>,
}
