//! Generated packets: an arrival process, lengths, and flows.

use std::net::IpAddr;
use std::sync::Arc;

use super::arrivals::Arrivals;
use super::draw::below;
use super::even_spacing::{EvenSpacing, Phase};
use super::markovian::{Map, Markovian};
use super::matrix::Destinations;
use super::on_off::{OnOff, Period};
use super::poisson::Poisson;
use super::rate::Gap;
use super::size::Sizes;
use super::spec::Spread;
use super::thin_streams::ThinStreams;
use super::{Emission, Source, TrafficError};
use crate::packet::{FlowKey, Packet, Tau};
use crate::random::{Stream, stream};
use crate::topology::DeviceId;
use crate::units::Time;

/// A resolved `[[traffic]]` entry that generates packets, with one source per sending host.
#[derive(Debug, Clone)]
pub struct Generator {
    /// The kind, as in the file.
    pub kind: &'static str,
    /// The name of the entry, or its index among the entries.
    pub label: String,
    /// When packets are sent.
    pub process: Process,
    /// The lengths of packets.
    pub sizes: Sizes,
    /// The hosts that the destinations of senders refer to.
    pub hosts: Arc<[DeviceId]>,
    /// The senders.
    pub senders: Vec<Sender>,
    /// The number of flows from each sender to each destination.
    pub flows: u32,
    /// How packets are assigned to these flows.
    pub spread: Spread,
    /// The common header fields of all packets.
    pub template: Packet,
    /// The source port of the first flow of each pair.
    pub source_port: u16,
    /// The destination port.
    pub destination_port: u16,
    /// The start of the traffic.
    pub start: Time,
    /// The end of the traffic.
    pub limits: Limits,
    /// Anomalies, as text.
    pub warnings: Vec<String>,
}

/// The arrival process, without its rate.
#[derive(Debug, Clone, PartialEq)]
pub enum Process {
    /// Exponential gaps.
    Poisson,
    /// Even gaps.
    Cbr(Phase),
    /// Even gaps in on periods; the gap of the sender is that within on periods.
    OnOff(Period, Period),
    /// A MAP; without a gap, at its own rate.
    Markovian(Map),
    /// Streams with log-normal gaps, given by the standard deviation of the logarithm.
    ThinStreams(f64),
}

/// A sending host of an entry.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The host.
    pub host: DeviceId,
    /// The mean gap between its packets; `None` for the process's own.
    pub gap: Option<Gap>,
    /// Its destinations, by position among the entry's hosts; `None` for all.
    pub to: Option<Vec<usize>>,
    /// How a destination is drawn.
    pub destinations: Destinations,
}

/// When a source ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// After this many packets.
    pub packets: Option<u64>,
    /// Before this instant.
    pub stop: Option<Time>,
    /// The end of the run. It does not end a source; the progress refers to it.
    pub until: Option<Time>,
}

impl Generator {
    /// The source of one of its senders; `address` gives an address of a host.
    ///
    /// # Errors
    /// The error of `address`.
    pub fn source<E>(
        &self,
        sender: &Sender,
        host_name: &str,
        seed: u64,
        mut address: impl FnMut(DeviceId) -> Result<IpAddr, E>,
    ) -> Result<Box<dyn Source>, E> {
        let random = stream(seed, "traffic", &format!("{}/{host_name}", self.label));
        let source = address(sender.host)?;
        let mut key = |host: DeviceId| {
            Ok(FlowKey::Ip {
                source,
                destination: address(host)?,
                protocol: self.template.trp,
                ports: Some((self.source_port, self.destination_port)),
            })
        };
        // The sender is itself among all hosts but is never drawn; its key is not used.
        let keys = match &sender.to {
            Some(to) => to.iter().map(|to| key(self.hosts[*to])).collect::<Result<Arc<[_]>, E>>()?,
            None => self.hosts.iter().map(|host| key(*host)).collect::<Result<Arc<[_]>, E>>()?,
        };
        let with = Parts { generator: self, sender, random, keys };
        let gap = sender.gap.unwrap_or(Gap::new(1, 1));
        Ok(match &self.process {
            Process::Poisson => with.source(Poisson::new(gap, self.start)),
            Process::Cbr(phase) => with.source(EvenSpacing::new(gap, *phase, self.start)),
            Process::OnOff(on, off) => with.source(OnOff::new(gap, *on, *off, self.start)),
            Process::Markovian(map) => with.source(Markovian::new(map, sender.gap, self.start)),
            Process::ThinStreams(sigma) => with.source(ThinStreams::new(gap, *sigma, self.flows, self.start)),
        })
    }
}

/// The components of a source, except its process.
struct Parts<'a> {
    generator: &'a Generator,
    sender: &'a Sender,
    random: Stream,
    keys: Arc<[FlowKey]>,
}

impl Parts<'_> {
    fn source<A: Arrivals + 'static>(self, arrivals: A) -> Box<dyn Source> {
        let generator = self.generator;
        let mut source = GeneratedSource::of_parts(
            arrivals,
            self.random,
            generator.sizes.clone(),
            self.sender.destinations.clone(),
            self.keys,
            (generator.flows, generator.spread),
            generator.template,
            generator.limits,
        );
        let is_first = generator.senders.first().is_some_and(|first| first.host == self.sender.host);
        if is_first {
            source.warnings.clone_from(&generator.warnings);
        }
        Box::new(source)
    }
}

/// No flow has been assigned to this pair of destination and number yet.
const NONE: u32 = u32::MAX;

/// The packets of one host: an arrival process, lengths, and flows.
pub struct GeneratedSource<A> {
    arrivals: A,
    random: Stream,
    sizes: Sizes,
    destinations: Destinations,
    /// The first flow to each destination; the others have the next source ports.
    keys: Arc<[FlowKey]>,
    /// The number of flows to each destination.
    flows: u32,
    spread: Spread,
    /// The next flow of each destination, in round robin.
    turn: u32,
    /// For a process with flows: the destination of each.
    destination_of: Vec<u32>,
    /// The flow id of each flow of each destination, in the order of first appearance.
    fids: Vec<u32>,
    /// The flow of each flow id.
    slots: Vec<u32>,
    template: Packet,
    limits: Limits,
    start: Option<Time>,
    last: Time,
    sent: u64,
    warnings: Vec<String>,
}

impl<A: Arrivals> GeneratedSource<A> {
    /// Packets to `keys` at the instants of `arrivals`, spread over a number of flows per destination.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn of_parts(
        arrivals: A,
        random: Stream,
        sizes: Sizes,
        destinations: Destinations,
        keys: Arc<[FlowKey]>,
        (flows, spread): (u32, Spread),
        template: Packet,
        limits: Limits,
    ) -> Self {
        let mut source = GeneratedSource {
            arrivals,
            random,
            sizes,
            destinations,
            fids: vec![NONE; if A::HAS_FLOWS { flows as usize } else { keys.len() * flows as usize }],
            keys,
            flows,
            spread,
            turn: 0,
            destination_of: Vec::new(),
            slots: Vec::new(),
            template,
            limits,
            start: None,
            last: Time::ZERO,
            sent: 0,
            warnings: Vec::new(),
        };
        if A::HAS_FLOWS {
            source.destination_of = (0..flows).map(|_| source.draw_destination()).collect();
        }
        source
    }

    #[inline]
    fn draw_destination(&mut self) -> u32 {
        self.destinations.draw(self.keys.len() as u32, &mut self.random)
    }

    /// The flow of the next packet: its index among all flows of all destinations.
    #[inline]
    fn draw_slot(&mut self) -> u32 {
        if A::HAS_FLOWS {
            let flow = self.arrivals.flow();
            return self.destination_of[flow as usize] * self.flows + flow;
        }
        let destination = self.draw_destination();
        if self.flows == 1 {
            return destination;
        }
        let flow = match self.spread {
            Spread::Random => below(&mut self.random, self.flows),
            Spread::RoundRobin => {
                let flow = self.turn;
                self.turn = if flow + 1 == self.flows { 0 } else { flow + 1 };
                flow
            }
        };
        destination * self.flows + flow
    }

    /// The flow id of a flow, assigned at its first packet.
    #[inline]
    fn fid(&mut self, slot: u32) -> u32 {
        // A flow of the process has a single destination.
        let place = if A::HAS_FLOWS { slot % self.flows } else { slot };
        let fid = &mut self.fids[place as usize];
        if *fid == NONE {
            *fid = self.slots.len() as u32;
            self.slots.push(slot);
        }
        *fid
    }
}

impl<A: Arrivals> Source for GeneratedSource<A> {
    #[inline]
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError> {
        if self.limits.packets == Some(self.sent) {
            return Ok(None);
        }
        let timestamp = self.arrivals.next_instant(&mut self.random);
        if self.limits.stop.is_some_and(|stop| timestamp >= stop) {
            self.limits.packets = Some(self.sent);
            return Ok(None);
        }
        let slot = self.draw_slot();
        let length = self.sizes.draw(&mut self.random);
        let packet = Packet { fid: self.fid(slot), length, ..self.template };
        let emission = Emission { tau: Tau { timestamp, packet }, record: self.sent, match_key: None };
        self.start.get_or_insert(timestamp);
        self.last = timestamp;
        self.sent += 1;
        Ok(Some(emission))
    }

    fn flow(&self, fid: u32) -> FlowKey {
        let slot = self.slots.get(fid as usize).copied().unwrap_or(0);
        let mut key = self.keys[(slot / self.flows) as usize];
        if let FlowKey::Ip { ports: Some((source, _)), .. } = &mut key {
            *source = nth_port(*source, slot % self.flows);
        }
        key
    }

    fn progress(&self) -> Option<f64> {
        let by_packets = self.limits.packets.map(|packets| self.sent as f64 / packets.max(1) as f64);
        let ends = [self.limits.stop, self.limits.until].into_iter().flatten().min();
        let by_time = ends.map(|end| {
            let start = self.start.unwrap_or(Time::ZERO);
            let whole = end.since(start).as_ps().max(1) as f64;
            (self.last.since(start).as_ps() as f64 / whole).min(1.0)
        });
        match (by_packets, by_time) {
            (Some(packets), Some(time)) => Some(packets.max(time)),
            (packets, time) => packets.or(time),
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

/// The `n`th source port from `first` on: first dynamic ports, then ports from 1024.
pub fn nth_port(first: u16, n: u32) -> u16 {
    const LEAST: u32 = 1_024;
    const PORTS: u32 = 65_536 - LEAST;
    match u32::from(first).checked_sub(LEAST) {
        Some(first) => (LEAST + (first + n % PORTS) % PORTS) as u16,
        None => first.wrapping_add(n as u16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> FlowKey {
        let address = |last| IpAddr::from([10, 0, 0, last]);
        FlowKey::Ip { source: address(1), destination: address(n), protocol: 17, ports: Some((50_000, 9)) }
    }

    fn source(
        destinations: Destinations,
        keys: Arc<[FlowKey]>,
        flows: u32,
        spread: Spread,
        limits: Limits,
        name: &str,
    ) -> GeneratedSource<Poisson> {
        let arrivals = Poisson::new(Gap::new(1_000_000, 1), Time::ZERO);
        let random = stream(1, "traffic", name);
        let sizes = Sizes::constant(100);
        GeneratedSource::of_parts(
            arrivals,
            random,
            sizes,
            destinations,
            keys,
            (flows, spread),
            Packet::default(),
            limits,
        )
    }

    fn emissions(source: &mut dyn Source) -> Vec<Emission> {
        std::iter::from_fn(|| source.next_emission().unwrap()).collect()
    }

    #[test]
    fn flows_are_numbered_in_order_of_appearance() {
        let limits = Limits { packets: Some(1_000), ..Limits::default() };
        let keys: Arc<[FlowKey]> = (1..=4).map(key).collect();
        let mut source = source(Destinations::Others(0), keys, 3, Spread::Random, limits, "a");
        let mut seen = 0;
        for emission in emissions(&mut source) {
            assert!(emission.tau.packet.fid <= seen);
            seen = seen.max(emission.tau.packet.fid + 1);
        }
        assert_eq!(seen, 9, "three flows to each of three others");
        let mut flows: Vec<FlowKey> = (0..9).map(|fid| source.flow(fid)).collect();
        flows.sort();
        flows.dedup();
        assert_eq!(flows.len(), 9);
        assert!(flows.iter().all(|flow| flow.destination_address() != flow.source_address()));
    }

    #[test]
    fn flows_take_turns() {
        let limits = Limits { packets: Some(7), ..Limits::default() };
        let mut source = source(Destinations::One, [key(2)].into(), 3, Spread::RoundRobin, limits, "a");
        let fids: Vec<u32> = emissions(&mut source).iter().map(|emission| emission.tau.packet.fid).collect();
        assert_eq!(fids, [0, 1, 2, 0, 1, 2, 0]);
        let FlowKey::Ip { ports, .. } = source.flow(2) else { panic!("IP") };
        assert_eq!(ports, Some((50_002, 9)));
    }

    #[test]
    fn a_source_ends_after_its_packets_or_before_its_stop() {
        let count = |limits| {
            emissions(&mut source(Destinations::One, [key(2)].into(), 1, Spread::Random, limits, "a"))
        };
        let all = count(Limits { packets: Some(100), ..Limits::default() });
        assert_eq!(
            all.iter().map(|emission| emission.record).collect::<Vec<_>>(),
            (0..100).collect::<Vec<_>>()
        );
        let stop = all[50].tau.timestamp;
        assert_eq!(count(Limits { packets: Some(100), stop: Some(stop), until: None }), all[..50]);
    }

    #[test]
    fn the_name_of_the_stream_alone_makes_the_packets() {
        let limits = Limits { packets: Some(100), ..Limits::default() };
        let of = |name| {
            emissions(&mut source(Destinations::One, [key(2)].into(), 4, Spread::Random, limits, name))
        };
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
    }

    #[test]
    fn ports_wrap_above_the_well_known() {
        assert_eq!(nth_port(49_152, 0), 49_152);
        assert_eq!(nth_port(49_152, 16_383), 65_535);
        assert_eq!(nth_port(49_152, 16_384), 1_024);
        assert_eq!(nth_port(80, 1), 81);
    }
}
