//! The endpoints of a closed loop, and the segments of packets in flight.

use std::collections::VecDeque;

use super::Hosted;
use super::flow_numbers::OwnFlows;
use super::network::Network;
use super::observer::Observer;
use super::told::Telling;
use crate::packet::FlowKey;
use crate::topology::{DeviceId, Topology};
use crate::transport::{Answer, ConnectionRecord, Endpoint, Outbox, Sampling, Segment, TransportSample};
use crate::units::{Span, Time};

/// The endpoints of a run.
pub(super) struct Endpoints {
    /// By endpoint number.
    pub states: Vec<EndpointState>,
    /// By device: its endpoint number, or [`NONE`].
    of_device: Vec<u32>,
    /// The source number of the first endpoint.
    first_source: usize,
    /// The output of the endpoint that was called last.
    pub outbox: Outbox,
    /// The answered requests, with the run's flow numbers.
    pub answers: Vec<Answer>,
    /// The number of finished connections that count.
    pub finished: u64,
    /// The next sample of the state of connections; [`Time::NEVER`] if none is due.
    pub next_sample: Time,
    sampled_every: Span,
}

/// An endpoint and its state in the engine.
pub(super) struct EndpointState {
    pub endpoint: Box<dyn Endpoint>,
    pub host: DeviceId,
    /// Its source number.
    pub source: usize,
    /// Its rank among the events of one instant.
    pub turn: u32,
    keys: Keys,
    pub flows: OwnFlows,
    /// The time of its wake-up in the event queue.
    pub expected: Time,
    /// The number of packets sent.
    pub sent: u64,
    segments: Segments,
}

/// The segments of an endpoint's packets in flight, by packet number.
#[derive(Default)]
struct Segments {
    first: u64,
    segments: VecDeque<Option<Segment>>,
}

/// The keys of an endpoint's flows without a number of the run yet.
#[derive(Default)]
struct Keys {
    /// The endpoint's own number of the first of these flows.
    first: u32,
    keys: VecDeque<FlowKey>,
}

/// No endpoint.
const NONE: u32 = u32::MAX;

impl Endpoints {
    /// The endpoints of a run. Their source numbers start at `first_source`; `turns` holds their ranks.
    pub fn new(
        topology: &Topology,
        hosted: Vec<Hosted>,
        (first_source, turns): (usize, &[u32]),
        (sampling, warm_up): (Option<Sampling>, Time),
    ) -> Self {
        let mut of_device = Vec::new();
        if !hosted.is_empty() {
            of_device.resize(topology.devices().len(), NONE);
        }
        let mut states = Vec::new();
        for ((number, Hosted { mut endpoint, host }), turn) in hosted.into_iter().enumerate().zip(turns) {
            of_device[host.index()] = number as u32;
            endpoint.count_from(warm_up);
            if let Some(sampling) = sampling {
                endpoint.start_sampling(sampling);
            }
            states.push(EndpointState {
                endpoint,
                host,
                source: first_source + number,
                turn: *turn,
                keys: Keys::default(),
                flows: OwnFlows::default(),
                expected: Time::NEVER,
                sent: 0,
                segments: Segments::default(),
            });
        }
        let (next_sample, sampled_every) = match sampling.and_then(Sampling::period) {
            Some(every) if !states.is_empty() => (Time::ZERO, every),
            _ => (Time::NEVER, Span::ZERO),
        };
        Endpoints {
            states,
            of_device,
            first_source,
            outbox: Outbox::default(),
            answers: Vec::new(),
            finished: 0,
            next_sample,
            sampled_every,
        }
    }

    /// Whether there are no endpoints.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Takes the segment of the `record`th packet of a source, which has arrived or is lost; `None` if the
    /// source is not an endpoint.
    pub fn take(&mut self, (source, record): (usize, u64)) -> Option<Segment> {
        let number = source.checked_sub(self.first_source)?;
        self.states[number].segments.take(record)
    }

    /// Reports the state of all connections at the sampling instants before `now`. All events before are
    /// complete.
    #[cold]
    pub fn sample_before<O: Observer, const WATCHES: bool>(
        &mut self,
        now: Time,
        telling: &mut Telling<'_, O, WATCHES>,
    ) {
        while self.next_sample < now {
            let at = self.next_sample;
            let mut found = false;
            for number in 0..self.states.len() {
                self.states[number].endpoint.sample(at, &mut self.outbox);
                found |= !self.outbox.samples.is_empty();
                self.tell(number, telling);
            }
            // Without a connection now, there is none before the next event.
            let every = self.sampled_every.as_ps();
            let periods = if found { 1 } else { now.since(at).as_ps().div_ceil(every) };
            self.next_sample = at + Span::from_ps(every.saturating_mul(periods));
        }
    }

    /// Reports the samples in the outbox, of flows that have sent something.
    #[inline]
    pub fn tell<O: Observer, const WATCHES: bool>(
        &mut self,
        number: usize,
        telling: &mut Telling<'_, O, WATCHES>,
    ) {
        let fids = &self.states[number].flows.fids;
        for sample in self.outbox.samples.drain(..) {
            if let Some(fid) = fids.known(sample.fid) {
                telling.tell(|observer| observer.sampled(&TransportSample { fid, ..sample }));
            }
        }
    }

    /// Whether an endpoint has a pending wake-up.
    pub fn have_timers(&mut self) -> bool {
        self.states.iter_mut().any(|state| state.endpoint.next(Time::NEVER) < Time::NEVER)
    }

    /// The records of all connections, with the run's flow numbers and the ideal completion times in
    /// `network`.
    pub fn take_connections(&mut self, network: &Network) -> Vec<ConnectionRecord> {
        let flows = self.states.iter().map(|state| state.flows.fids.len()).sum();
        let mut records = Vec::with_capacity(flows);
        for EndpointState { endpoint, flows, .. } in &mut self.states {
            endpoint.take_connections(&mut |record| {
                let Some(fid) = flows.fids.known(record.fid) else { return };
                let Some(key) = network.flows.key(fid) else { return };
                records.push(network.with_ideal(ConnectionRecord { key, fid, ..record }));
            });
        }
        records
    }

    /// Makes the endpoint of a device, if there is one, receive the departures of its packets. Returns
    /// whether there is one.
    pub fn listen(&mut self, device: DeviceId) -> bool {
        let endpoint = self.at(device);
        endpoint.map(|number| self.states[number].endpoint.start_queueing()).is_some()
    }

    /// Reports to the endpoint that its packet left the port of its host at `at`, or was dropped there.
    pub fn leave(&mut self, (source, record): (usize, u64), at: Time) {
        let Some(number) = source.checked_sub(self.first_source) else { return };
        let EndpointState { endpoint, segments, .. } = &mut self.states[number];
        if let Some(segment) = segments.get(record) {
            endpoint.leaves(segment, at);
        }
    }

    /// Takes the results that an endpoint has put into the outbox.
    #[inline]
    pub fn count(&mut self, number: usize) {
        self.finished += std::mem::take(&mut self.outbox.finished);
        if !self.outbox.answers.is_empty() {
            let fids = &self.states[number].flows.fids;
            let answers = self.outbox.answers.drain(..);
            self.answers.extend(answers.map(|answer| Answer { fid: fids[answer.fid], ..answer }));
        }
    }

    /// The number of the endpoint at a device.
    pub fn at(&self, device: DeviceId) -> Option<usize> {
        self.of_device.get(device.index()).filter(|number| **number != NONE).map(|number| *number as usize)
    }
}

impl EndpointState {
    /// Adds flows that begin.
    #[inline]
    pub fn begin(&mut self, keys: &mut Vec<FlowKey>) {
        if keys.is_empty() {
            return;
        }
        let fids = &self.flows.fids;
        while !self.keys.keys.is_empty() && fids.known(self.keys.first).is_some() {
            self.keys.keys.pop_front();
            self.keys.first += 1;
        }
        self.keys.keys.extend(keys.drain(..));
    }

    /// The key of a flow that has no number yet.
    pub fn key(&self, local: u32) -> Option<FlowKey> {
        let place = local.checked_sub(self.keys.first)?;
        self.keys.keys.get(place as usize).copied()
    }

    /// Sends a segment with the next packet.
    pub fn send(&mut self, segment: Segment) {
        self.sent += 1;
        self.segments.push(segment);
    }
}

impl Segments {
    fn push(&mut self, segment: Segment) {
        self.segments.push_back(Some(segment));
    }

    fn get(&self, record: u64) -> Option<&Segment> {
        self.segments.get(record.checked_sub(self.first)? as usize)?.as_ref()
    }

    fn take(&mut self, record: u64) -> Option<Segment> {
        let segment = self.segments.get_mut(record.checked_sub(self.first)? as usize)?.take();
        while self.segments.front().is_some_and(Option::is_none) {
            self.segments.pop_front();
            self.first += 1;
        }
        segment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_taken_once_and_forgotten() {
        let mut segments = Segments::default();
        for seq in 0..3 {
            segments.push(Segment { seq, ..Segment::default() });
        }
        assert_eq!(segments.take(1).map(|segment| segment.seq), Some(1));
        assert_eq!(segments.take(1), None);
        assert_eq!(segments.take(0).map(|segment| segment.seq), Some(0));
        assert_eq!((segments.first, segments.segments.len()), (2, 1));
        assert_eq!(segments.take(2).map(|segment| segment.seq), Some(2));
        assert_eq!(segments.take(3), None);
    }
}
