//! A source's turn: it is read ahead in batches, and gives its packets to the first ports.

use super::port::{Streams, Worker};
use crate::engine::network::{Network, Wire};
use crate::engine::{EngineError, Injection, InjectionPoint, Observer};
use crate::packet::Tau;
use crate::topology::PortId;
use crate::traffic::Emission;
use crate::units::{Span, Time};

/// A source and what has been read of it.
pub(super) struct StreamSource<'n> {
    pub injection: &'n mut Injection,
    number: usize,
    held: Option<Emission>,
    /// Read, and not yet sent.
    ahead: Vec<Emission>,
    sent: u64,
    /// Between the instant of a packet and the event that takes it on.
    processing: Span,
    /// Of the injected link, where packets start onto one.
    wire: Option<(PortId, Wire)>,
    /// Per flow of the source: the run's; [`UNSEEN`] or [`SEEN`] before it has one.
    fids: Vec<u32>,
    /// Flows that have been read and have no number yet: the event of the first packet, and the source's number.
    fresh: Vec<(Time, u32)>,
    /// Per flow of the source: its way, where the observer wants it.
    pub paths: Vec<Box<[PortId]>>,
}

/// No packet of the flow has been read.
const UNSEEN: u32 = u32::MAX;
/// A packet of the flow has been read; the run has no number for it yet.
const SEEN: u32 = u32::MAX - 1;

impl<'n> StreamSource<'n> {
    /// # Errors
    /// The first packet cannot be had.
    pub fn new(
        network: &Network<'_>,
        number: usize,
        injection: &'n mut Injection,
        seed: u64,
    ) -> Result<Self, EngineError> {
        let held = injection.source.next_emission()?;
        let (processing, wire) = match injection.at {
            InjectionPoint::Egress(port) => (Span::ZERO, Some((port, network.wire(port, seed)))),
            _ => (network.feeders[network.feeder_of(number)].processing, None),
        };
        Ok(StreamSource {
            injection,
            number,
            held,
            ahead: Vec::new(),
            sent: 0,
            processing,
            wire,
            fids: Vec::new(),
            fresh: Vec::new(),
            paths: Vec::new(),
        })
    }

    /// The event of its next packet.
    pub fn next(&self) -> Option<Time> {
        self.ahead.first().or(self.held.as_ref()).map(|next| next.tau.timestamp + self.processing)
    }

    /// Reads ahead all events before `end`, but not many more than `most`; gives the instant before which everything
    /// has been read, later than `start`.
    ///
    /// # Errors
    /// The source's own.
    pub fn read(&mut self, start: Time, end: Time, most: usize) -> Result<Time, EngineError> {
        let read = self.ahead.len();
        let mut limit = end;
        loop {
            let room = most.saturating_sub(self.ahead.len()).max(64);
            let before = limit - self.processing;
            let count = self.ahead.len();
            self.injection.source.emissions_before(before, room, &mut self.held, &mut self.ahead)?;
            let whole = self.held.is_none_or(|held| held.tau.timestamp >= before);
            if whole || self.ahead.len() == count {
                break;
            }
            // There is more: what is read ends before the next packet, if that is later than the start.
            if let Some(held) = self.held
                && self.ahead.len() >= most
                && held.tau.timestamp + self.processing > start
            {
                limit = held.tau.timestamp + self.processing;
                break;
            }
        }
        for emission in &self.ahead[read..] {
            let local = emission.tau.packet.fid as usize;
            if self.fids.len() <= local {
                self.fids.resize(local + 1, UNSEEN);
            }
            if self.fids[local] == UNSEEN {
                self.fids[local] = SEEN;
                self.fresh.push((emission.tau.timestamp + self.processing, local as u32));
            }
        }
        Ok(limit)
    }

    /// The flows whose first packet has its event before `end`, in order: the instant and the source's number.
    pub fn take_fresh(&mut self, end: Time) -> impl Iterator<Item = (Time, u32)> + '_ {
        let count = self.fresh.partition_point(|(time, _)| *time < end);
        self.fresh.drain(..count)
    }

    /// The run's number of a flow of the source.
    pub fn number_flow(&mut self, local: u32, fid: u32, path: Option<Vec<PortId>>) {
        self.fids[local as usize] = fid;
        if let Some(path) = path {
            if self.paths.len() <= local as usize {
                self.paths.resize(local as usize + 1, Box::default());
            }
            self.paths[local as usize] = path.into();
        }
    }

    /// Sends all events before `end`.
    pub fn send<L: Observer>(
        &mut self,
        network: &Network<'_>,
        end: Time,
        own: &mut Streams,
        injected: &mut Vec<Sent>,
        worker: &mut Worker<L>,
    ) {
        let before = end - self.processing;
        let count = self.ahead.partition_point(|emission| emission.tau.timestamp < before);
        let feeder = &network.feeders[network.feeder_of(self.number)];
        let place = network.landing(feeder);
        let mut ahead = std::mem::take(&mut self.ahead);
        for emission in ahead.drain(..count) {
            let tau = self.inject(network, &emission, injected, worker);
            worker.tally.now = worker.tally.now.max(tau.timestamp + self.processing);
            match &mut self.wire {
                None => {
                    worker.land(&place, feeder, tau.timestamp + feeder.processing, &tau.packet, own);
                }
                Some((port, wire)) => {
                    let device = network.topology.port(*port).device;
                    worker.carry(&place, feeder, (device, *port, wire), tau, own);
                }
            }
        }
        self.ahead = ahead;
    }

    /// Gives a packet its ids, and counts it.
    #[inline]
    fn inject<L: Observer>(
        &mut self,
        network: &Network<'_>,
        emission: &Emission,
        injected: &mut Vec<Sent>,
        worker: &mut Worker<L>,
    ) -> Tau {
        let local = emission.tau.packet.fid;
        let mut tau = emission.tau;
        tau.packet.fid = self.fids[local as usize];
        tau.packet.pid = network.pid(self.number, self.sent);
        tau.packet.in_port = network.feeders[network.feeder_of(self.number)].in_port;
        self.sent += 1;
        worker.tally.inject(tau.packet.pid);
        if L::WATCHES {
            let (record, match_key) = (emission.record, emission.match_key);
            injected.push(Sent { tau, source: self.number as u32, local, record, match_key });
        }
        tau
    }

    /// Reads what is emitted by the run's end and would be taken on only after it.
    ///
    /// # Errors
    /// The source's own.
    pub fn read_late(&mut self, until: Time) -> Result<(), EngineError> {
        let end = until + Span::from_ps(1);
        self.read(end, end + self.processing, usize::MAX).map(|_| ())
    }

    /// Sends what [`read_late`](StreamSource::read_late) has read: it stays inside.
    pub fn send_late<L: Observer>(
        &mut self,
        network: &Network<'_>,
        injected: &mut Vec<Sent>,
        worker: &mut Worker<L>,
    ) {
        for emission in std::mem::take(&mut self.ahead) {
            let tau = self.inject(network, &emission, injected, worker);
            worker.tally.keep(tau.packet.pid);
        }
    }
}

/// A packet that a source has sent, to be told to the observer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub tau: Tau,
    pub source: u32,
    pub local: u32,
    pub record: u64,
    pub match_key: Option<u64>,
}
