//! The stream engine: the network as a dataflow over its egress ports.
//!
//! # A time window
//! 1. The sources are read up to the window's end. New flows are numbered in the order of their first
//!    packets, which does not depend on the windows.
//! 2. The ports are visited in an order in which each port follows those that feed it ([`Plan`]). A port
//!    merges the packets that its feeders have put into its inbox, runs
//!    [`forward_trace`](crate::ptm::Ptm::forward_trace), and puts departing packets into the inboxes of the
//!    next ports. Packets that join after the window's end wait with their feeder.
//! 3. Ports that feed each other in a cycle are visited together. The port with the earliest packet is first,
//!    and runs ahead as far as its feeders' delays allow (K. M. Chandy, J. Misra, "Distributed simulation",
//!    1979).
//!
//! Several threads visit ports that do not feed each other at the same time. The results depend neither on
//! the windows nor on the number of threads.

mod arrivals;
mod inboxes;
mod merge;
mod outgoing;
mod plan;
mod port;
mod recursion;
mod source;
mod worker;

use std::ops::{Range, RangeInclusive};

use rayon::prelude::*;

use super::collector::{AllInside, Collector, SourceCollector};
use super::network::Network;
use super::observer::Observer;
use super::queue::ArrivalQueue;
use super::running::{LAST, Running};
use super::tally::Tally;
use super::told::{Log, Telling, Told};
use super::{EngineError, Injected, Injection, PacketCounts, Progress, Settings};
use crate::packet::{FlowKey, Tau};
use crate::statistics::Statistics;
use crate::topology::PortId;
use crate::units::{Span, Time};
use plan::{Edges, Plan};
use port::{OnCycle, StreamPort};
use source::{Output, Sent, StreamSource};
use worker::Worker;

/// The target number of injected packets per window and port in use. The maximum fits the cache; the minimum
/// repays the visit of a port.
const PACKETS_PER_PORT: RangeInclusive<u64> = 8..=48;
/// The target number of injected packets per window: the minimum, and the maximum per thread that fits the
/// cache.
const PACKETS_PER_WINDOW: RangeInclusive<u64> = 1_024..=16_384;

/// The number of ended packets after which they are added to the statistics of their flows. With so many, a
/// flow occurs several times, and its statistics are loaded into the cache once for all of them.
const PACKETS_PER_SETTLEMENT: u64 = 1 << 16;

/// The number of hops that count as one injected packet: more than most packets need.
const HOPS_PER_PACKET: u64 = 8;

/// A running network, simulated window by window. `WATCHES` states whether the observer wants more than new
/// flows.
pub(super) struct StreamEngine<const WATCHES: bool> {
    network: Network,
    sources: Vec<StreamSource>,
    /// Ports in the order of the plan, then ports not in use.
    ports: Vec<StreamPort>,
    /// By port: its feeders.
    inputs: Vec<Vec<u32>>,
    edges: Edges,
    plan: Plan,
    pool: Option<rayon::ThreadPool>,
    /// One per thread.
    workers: Vec<Worker<WATCHES>>,
    /// By source: the packets it has sent, for the observer.
    sent: Vec<Vec<Sent>>,
    /// The statistics contain everything that ended before this instant, and the number of packets ended by
    /// then.
    settled: Time,
    ended_settled: u64,
    /// Statistics, if requested. The statistics of ports are at the ports.
    collector: Option<Collector>,
    /// By port: its position in `ports`.
    places: Vec<usize>,
    /// Everything before this instant is complete.
    start: Time,
    /// The length of the next window.
    length: Span,
    /// The number of packets injected so far.
    injected: u64,
    /// The number of hops so far.
    hops: u64,
    /// The number of packets in the network.
    inside: u64,
    /// The number of sources with further packets.
    busy: usize,
}

impl<const WATCHES: bool> StreamEngine<WATCHES> {
    /// A network before its first event.
    ///
    /// # Errors
    /// The first packet of a source cannot be read, or the threads cannot be started.
    pub fn new(
        network: Network,
        injections: Vec<Injection>,
        settings: &Settings,
    ) -> Result<Self, EngineError> {
        let seed = settings.seed;
        let with_origins = WATCHES || settings.packets;
        let sources = injections
            .into_iter()
            .enumerate()
            .map(|(number, injection)| StreamSource::new(&network, number, injection, seed, with_origins))
            .collect::<Result<Vec<_>, _>>()?;
        let mut ports: Vec<StreamPort> = network
            .egress_ports(seed)
            .enumerate()
            .map(|(port, egress)| StreamPort::new(&network, PortId::new(port), egress))
            .collect();
        let devices = network.feeders.iter().map(|feeder| feeder.device);
        let mut collector = Collector::new(&network.topology, devices, sources.len(), settings);
        if let Some(collector) = &mut collector {
            for (port, statistics) in ports.iter_mut().zip(collector.ports.drain(..)) {
                port.statistics = Some(Box::new(statistics));
            }
        }
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let pool = (threads > 1)
            .then(|| rayon::ThreadPoolBuilder::new().num_threads(threads).build())
            .transpose()
            .map_err(|error| EngineError::Threads(error.to_string()))?;
        let (log, edges) = (|| Log::new(collector.is_some()), Edges::new(&network));
        Ok(StreamEngine {
            inputs: vec![Vec::new(); ports.len()],
            workers: (0..threads).map(|_| Worker::new(network.until, log(), ports.len())).collect(),
            places: (0..ports.len()).collect(),
            sent: (0..sources.len()).map(|_| Vec::new()).collect(),
            network,
            sources,
            ports,
            edges,
            plan: Plan::default(),
            pool,
            start: Time::ZERO,
            settled: Time::ZERO,
            ended_settled: 0,
            collector,
            length: Span::from_ps(1_000_000),
            injected: 0,
            hops: 0,
            inside: 0,
            busy: 1,
        })
    }

    /// Simulates the next window, which ends at `last` at the latest.
    fn window<O: Observer>(
        &mut self,
        last: Time,
        telling: &mut Telling<'_, O, WATCHES>,
    ) -> Result<(), EngineError> {
        let start = self.start;
        let begins = match self.sources.iter().filter_map(StreamSource::next).min() {
            // Packets in the network proceed first, for the length of a window: there may be many.
            _ if self.inside > 0 => start,
            Some(next) => start.max(next),
            None => last,
        };
        let wished = begins + self.length;
        let (ports, threads) = (self.plan.ports.len() as u64, self.workers.len() as u64);
        let most = (PACKETS_PER_WINDOW.end() * threads).max(PACKETS_PER_PORT.start() * ports);
        let wanted = (PACKETS_PER_PORT.end() * ports).clamp(*PACKETS_PER_WINDOW.start(), most);
        let most = (4 * wanted as usize / self.busy).max(1024);
        let end = self.read_sources(start, wished.min(last), most)?;
        self.number_flows(telling, end)?;
        self.workers.iter_mut().for_each(|worker| worker.inboxes.begin(end));
        self.send(end);
        self.tell_sent(telling);
        self.tell(telling);
        for level in 0..self.plan.levels.len() {
            self.visit(level, end);
            self.tell(telling);
        }
        self.keep();
        if self.ended() - self.ended_settled >= PACKETS_PER_SETTLEMENT {
            self.settle(end, telling);
        }
        telling.tell(|observer| observer.settled(end));
        let counts = || self.workers.iter().map(|worker| worker.tally.packets);
        let injected: u64 = counts().map(|packets| packets.injected).sum();
        let hops: u64 = self.workers.iter().map(|worker| worker.tally.hops).sum();
        // Without injections, the window still moves the packets in the network.
        let window = (injected - self.injected).max((hops - self.hops) / HOPS_PER_PACKET);
        let ended = |packets: PacketCounts| packets.delivered + packets.dropped + packets.inside;
        self.inside = injected - counts().map(ended).sum::<u64>();
        (self.injected, self.hops) = (injected, hops);
        self.busy = self.sources.iter().filter(|source| source.next().is_some()).count().max(1);
        let length = self.length.as_ps();
        self.length = match window {
            // A window that the caller cut short says nothing about the next length.
            few if few < wanted && end < last => Span::from_ps(length.saturating_mul(2)),
            many if many > 2 * wanted => Span::from_ps((length / 2).max(1)),
            _ => self.length,
        };
        self.start = end;
        Ok(())
    }

    /// Reads every source up to `end`, or less far if that would be too many packets. Returns the end.
    fn read_sources(&mut self, start: Time, end: Time, most: usize) -> Result<Time, EngineError> {
        let read = |source: &mut StreamSource| source.read(start, end, most);
        let ends: Result<Vec<Time>, EngineError> = match &self.pool {
            Some(pool) => pool.install(|| self.sources.par_iter_mut().map(read).collect()),
            None => self.sources.iter_mut().map(read).collect(),
        };
        Ok(ends?.into_iter().min().unwrap_or(end))
    }

    /// Numbers the flows that appear before `end`, in the order of their first packets, and plans again if
    /// they use new edges between ports.
    fn number_flows<O: Observer>(
        &mut self,
        telling: &mut Telling<'_, O, WATCHES>,
        end: Time,
    ) -> Result<(), EngineError> {
        let (mut flows, mut order): (Vec<Fresh>, Vec<(Time, u32, usize)>) = Default::default();
        for source in 0..self.sources.len() {
            let (start, turn) = (flows.len(), self.network.source_turn(source));
            let fresh = self.sources[source].take_fresh(end);
            order.extend(fresh.zip(start..).map(|((time, local, key), place)| {
                flows.push(Fresh { source, local, key, class: None });
                (time, turn, place)
            }));
            self.follow(source, &mut flows[start..]);
        }
        // Equal ranks keep the order of reading.
        order.sort_unstable();
        order.iter().try_for_each(|(_, _, place)| self.number_flow(telling, &flows[*place]))?;
        let fresh = std::mem::take(&mut self.edges.fresh);
        fresh.iter().for_each(|(feeder, port)| self.inputs[port.index()].push(*feeder));
        if fresh.iter().all(|edge| self.plan.allows(*edge)) { Ok(()) } else { self.replan() }
    }

    /// Follows the flows of a source whose classes determine their whole paths. The flows of one source are
    /// handled together, because they pass the same devices.
    fn follow(&mut self, source: usize, flows: &mut [Fresh]) {
        let (network, own) = (&mut self.network, &mut self.sources[source]);
        if !network.pfm.decides_by_class() {
            return;
        }
        let feeder = network.feeder_of(source);
        for fresh in flows {
            let class = network.pfm.class_of_key(&fresh.key);
            fresh.class = Some(class);
            let device = network.feeders[feeder].device;
            own.starts_at(network.pfm.port_of_class(class, device).filter(|_| network.forwards(feeder)));
            self.edges.add_class(network, feeder, class);
        }
    }

    /// Numbers a flow of a source.
    fn number_flow<O: Observer>(
        &mut self,
        telling: &mut Telling<'_, O, WATCHES>,
        &Fresh { source, local, key, class }: &Fresh,
    ) -> Result<(), EngineError> {
        let own = &mut self.sources[source];
        let at = own.injection.at;
        let fid = self.network.add_flow(at, key, class, telling)?;
        let path = WATCHES.then(|| self.network.path(fid, at));
        own.number_flow(local, fid, path);
        if class.is_none() {
            let feeder = self.network.feeder_of(source);
            own.starts_at(self.network.only_port(feeder, fid));
            self.edges.add_flow(&self.network, feeder, fid);
        }
        if let Some(collector) = &mut self.collector {
            collector.add_flow(fid, (source, local), self.network.pfm.destination(fid));
        }
        Ok(())
    }

    /// Computes the plan for the edges known now.
    fn replan(&mut self) -> Result<(), EngineError> {
        let rank = |feeder: &u32| self.network.ranks[*feeder as usize];
        let depth: Vec<u32> =
            self.inputs.iter().map(|inputs| inputs.iter().map(rank).max().unwrap_or(0)).collect();
        self.plan = Plan::new(&self.inputs, &depth);
        // Ports not in use come last, by number.
        let mut rank = vec![usize::MAX; self.ports.len()];
        for (place, port) in self.plan.ports.iter().enumerate() {
            rank[port.index()] = place;
        }
        self.ports.sort_unstable_by_key(|port| (rank[port.id.index()], port.id));
        for (place, port) in self.ports.iter().enumerate() {
            self.places[port.id.index()] = place;
        }
        (0..self.plan.tasks.len()).try_for_each(|task| self.join_cycle(self.plan.tasks[task].clone()))
    }

    /// Tells the ports of a task which of them feed each other.
    fn join_cycle(&mut self, task: Range<usize>) -> Result<(), EngineError> {
        for place in task.clone() {
            let id = self.ports[place].id;
            let feeding =
                self.inputs[id.index()].iter().filter_map(|feeder| self.places.get(*feeder as usize));
            let on_cycle: Vec<usize> = feeding.copied().filter(|feeder| task.contains(feeder)).collect();
            let at_once = |feeder: &&usize| self.ports[**feeder].least_delay == Span::ZERO;
            if on_cycle.iter().filter(at_once).any(|feeder| *feeder >= place) {
                return Err(EngineError::InstantCycle { port: self.network.topology.port_name(id) });
            }
            let delays = on_cycle.iter().map(|feeder| (feeder - task.start, self.ports[*feeder].least_delay));
            let feeders: Vec<(usize, Span)> = delays.collect();
            if let Some(lookahead) = feeders.iter().map(|(_, delay)| *delay).min() {
                let cycle = self.ports[place].cycle.get_or_insert_with(OnCycle::default);
                (cycle.feeders, cycle.lookahead) = (feeders, lookahead);
            }
        }
        Ok(())
    }

    /// The sources send their packets of the window.
    fn send(&mut self, end: Time) {
        let (network, workers) = (&self.network, &mut self.workers);
        let mut collected: Vec<Option<&mut SourceCollector>> = match &mut self.collector {
            Some(collector) => collector.sources.iter_mut().map(Some).collect(),
            None => self.sources.iter().map(|_| None).collect(),
        };
        let run = |sources: &mut [StreamSource],
                   sent: &mut [Vec<Sent>],
                   collected: &mut [Option<&mut SourceCollector>],
                   worker: &mut Worker<WATCHES>| {
            for (source, (sent, collected)) in sources.iter_mut().zip(sent.iter_mut().zip(collected)) {
                source.send(network, end, Output { sent, collected: collected.as_deref_mut() }, worker);
            }
        };
        match &self.pool {
            None => run(&mut self.sources, &mut self.sent, &mut collected, &mut workers[0]),
            Some(pool) => {
                let size = self.sources.len().div_ceil(workers.len()).max(1);
                let sources = self.sources.par_chunks_mut(size);
                let parts = sources.zip(self.sent.par_chunks_mut(size).zip(collected.par_chunks_mut(size)));
                let parts = parts.zip(workers.par_iter_mut());
                pool.install(|| {
                    parts.for_each(|((sources, (sent, collected)), worker)| {
                        run(sources, sent, collected, worker);
                    });
                });
            }
        }
    }

    /// Visits the ports of a level.
    fn visit(&mut self, level: usize, end: Time) {
        let (network, workers) = (&self.network, &mut self.workers);
        let tasks = &self.plan.tasks[self.plan.levels[level].clone()];
        let (Some(first), Some(last)) = (tasks.first(), tasks.last()) else { return };
        let ports = &mut self.ports[first.start..last.end];
        let inside = self.collector.as_ref().map(Collector::inside);
        let visit = Visit { network, places: &self.places, inside, end };
        match &self.pool {
            Some(pool) => {
                // The thread that visits a port takes the packets from all threads.
                for port in &mut *ports {
                    port.inboxes.extend(workers.iter_mut().filter_map(|worker| worker.inboxes.take(port.id)));
                }
                let mut parts = Vec::with_capacity(workers.len());
                let mut ports = ports;
                let size = tasks.len().div_ceil(workers.len());
                for (tasks, worker) in tasks.chunks(size).zip(workers) {
                    let (ports_here, rest) = ports.split_at_mut(tasks[tasks.len() - 1].end - tasks[0].start);
                    parts.push((tasks, ports_here, worker));
                    ports = rest;
                }
                let run = |(tasks, ports, worker): (&[_], _, _)| visit.all(tasks, ports, worker);
                if let [_] = parts[..] {
                    parts.into_iter().for_each(run);
                } else {
                    pool.install(|| parts.into_par_iter().for_each(run));
                }
            }
            None => visit.all(tasks, ports, &mut workers[0]),
        }
    }

    /// The number of packets that have arrived or are lost.
    fn ended(&self) -> u64 {
        let counts = self.workers.iter().map(|worker| worker.tally.packets);
        counts.map(|packets| packets.delivered + packets.dropped).sum()
    }

    /// Adds the records of the threads to the statistics.
    fn keep(&mut self) {
        let Some(collector) = &mut self.collector else { return };
        for kept in self.workers.iter_mut().filter_map(|worker| worker.log.kept.as_mut()) {
            for drop in kept.dropped.drain(..) {
                let joined = collector.lose(&drop);
                if let Some(port) = drop.port
                    && let Some(statistics) = &mut self.ports[self.places[port.index()]].statistics
                {
                    statistics.lose(drop.reason, joined, drop.at);
                }
            }
            for (port, joined) in kept.waiting.drain(..) {
                if let Some(statistics) = &mut self.ports[self.places[port.index()]].statistics {
                    statistics.wait(joined);
                }
            }
            kept.marked.drain(..).for_each(|fid| collector.mark(fid));
        }
    }

    /// Adds packets that ended before an instant to the statistics. All of them are known.
    fn settle<O: Observer>(&mut self, before: Time, telling: &mut Telling<'_, O, WATCHES>) {
        self.ended_settled = self.ended();
        let Some(collector) = &mut self.collector else { return };
        let (ports, places) = (self.places.len(), &self.places);
        collector.bring_home(|feeder, arrived| {
            let outgoing = match feeder.checked_sub(ports) {
                Some(source) => &mut self.sources[source].outgoing,
                None => &mut self.ports[places[feeder]].outgoing,
            };
            outgoing.take_home(before, arrived);
        });
        collector.settle(before, self.pool.as_ref());
        self.settled = before;
        if !collector.rows().is_empty() {
            telling.tell(|observer| observer.ended(collector.rows()));
        }
    }

    /// Reports the packets sent by the sources to the observer.
    fn tell_sent<O: Observer>(&mut self, telling: &mut Telling<'_, O, WATCHES>) {
        for (source, sent) in self.sources.iter().zip(&mut self.sent) {
            for Sent { tau, source: number, local, record, match_key } in sent.drain(..) {
                let path = source.paths.get(local as usize).map_or(&[][..], |path| path);
                let segment = None;
                telling.injected(&Injected { tau, source: number, record, match_key, path, segment });
            }
        }
    }

    /// Reports the records of the threads to the observer.
    fn tell<O: Observer>(&mut self, telling: &mut Telling<'_, O, WATCHES>) {
        self.workers.iter_mut().for_each(|worker| worker.log.tell(telling));
    }
}

impl<O: Observer, const WATCHES: bool> Running<O> for StreamEngine<WATCHES> {
    fn run_until(&mut self, end: Time, observer: &mut O) -> Result<(), EngineError> {
        let last = end.min(self.network.until) + Span::from_ps(1);
        let telling = &mut Telling::<O, WATCHES>::new(observer);
        while self.start < last {
            self.window(last, telling)?;
            let progress = Running::<O>::progress(self);
            telling.tell(|observer| observer.progress(&progress));
            telling.check()?;
        }
        Ok(())
    }

    fn finish(&mut self, observer: &mut O) -> Result<Tally, EngineError> {
        let until = self.network.until;
        let telling = &mut Telling::<O, WATCHES>::new(observer);
        for number in 0..self.sources.len() {
            self.sources[number].read_late(until)?;
            let fresh: Vec<(Time, u32, FlowKey)> = self.sources[number].take_fresh_late(until).collect();
            for (_, local, key) in fresh {
                self.number_flow(telling, &Fresh { source: number, local, key, class: None })?;
            }
            let (sent, worker) = (&mut self.sent[number], &mut self.workers[0]);
            let collected = self.collector.as_mut().map(|collector| &mut collector.sources[number]);
            self.sources[number].send_late(&self.network, until, sent, collected, worker);
        }
        self.tell_sent(telling);
        let mut tally = Tally::new(until);
        self.workers.iter().for_each(|worker| tally.merge(&worker.tally));
        let mut inside: Vec<Tau> = Vec::new();
        for port in &self.ports {
            let queued = port.waiting();
            let log = &mut self.workers[0].log;
            queued.iter().for_each(|joined| log.waits(port.id, joined));
            inside.extend(queued);
        }
        self.tell(telling);
        self.keep();
        self.settle(Time::NEVER, telling);
        if let Some(collector) = self.collector.as_ref().filter(|collector| collector.packets) {
            telling.tell(|observer| observer.ended(&collector.rows_inside()));
        }
        telling.check()?;
        let more = !inside.is_empty()
            || tally.packets.inside > 0
            || self.sources.iter().any(|source| source.next().is_some());
        if more && until == LAST {
            return Err(EngineError::TimeOverflow);
        }
        tally.finish(inside.iter(), more)?;
        Ok(tally)
    }

    fn statistics(&mut self) -> Option<Statistics> {
        let mut collector = self.collector.take()?;
        self.ports.sort_unstable_by_key(|port| port.id);
        let ports = self.ports.iter_mut().filter_map(|port| port.statistics.take());
        collector.ports = ports.map(|statistics| *statistics).collect();
        Some(collector.finish(&self.network.flows))
    }

    fn progress(&self) -> Progress {
        let sources = self.sources.iter().map(|source| &source.injection);
        let time = (self.start - Span::from_ps(1)).min(self.network.until);
        Progress { time, injected: self.injected, fraction: Injection::fraction(sources) }
    }

    fn warnings(&self) -> Vec<String> {
        self.sources.iter().flat_map(|source| source.injection.source.warnings()).collect()
    }
}

/// A flow of a source without a number yet.
struct Fresh {
    source: usize,
    /// The source's own number of the flow.
    local: u32,
    key: FlowKey,
    /// Its forwarding class, if the class determines the whole path.
    class: Option<u32>,
}

/// The context of a visit to a level.
#[derive(Clone, Copy)]
struct Visit<'a> {
    network: &'a Network,
    /// By port number: its position.
    places: &'a [usize],
    /// The packets in the network, if statistics are requested.
    inside: Option<AllInside<'a>>,
    /// The window's end.
    end: Time,
}

impl Visit<'_> {
    /// Visits some tasks of the level. `ports` are their ports.
    fn all<const WATCHES: bool>(
        &self,
        tasks: &[Range<usize>],
        mut ports: &mut [StreamPort],
        worker: &mut Worker<WATCHES>,
    ) {
        for task in tasks {
            let (here, rest) = ports.split_at_mut(task.len());
            ports = rest;
            match here {
                [port] if port.cycle.is_none() => port.run(self, worker),
                here => self.go_round(here, worker),
            }
        }
    }

    /// Visits ports that feed each other: the earliest first, and as far ahead as no other packet can reach
    /// it before.
    fn go_round<const WATCHES: bool>(&self, ports: &mut [StreamPort], worker: &mut Worker<WATCHES>) {
        let mut queue = ArrivalQueue::new(ports.len());
        let first_place = self.places[ports[0].id.index()];
        ports.iter_mut().for_each(|port| port.outgoing.begin(&mut worker.inboxes, &self.network.pfm));
        for (place, port) in ports.iter_mut().enumerate() {
            port.receive(worker);
            queue.schedule(place as u32, port.next().unwrap_or(Time::NEVER));
        }
        worker.inboxes.watch(true);
        while queue.earliest() < self.end {
            let (time, first) = (queue.earliest(), queue.first() as usize);
            let ahead = reach(ports, first, time, &queue).min(self.end);
            ports[first].run_on_cycle(self, ahead, worker);
            queue.schedule(first as u32, ports[first].next().unwrap_or(Time::NEVER));
            while let Some(next) = worker.inboxes.next_started() {
                // Ports outside the cycle come later.
                let place = self.places[next.index()] - first_place;
                if let Some(port) = ports.get_mut(place) {
                    port.receive(worker);
                    queue.schedule(place as u32, port.next().unwrap_or(Time::NEVER));
                }
            }
        }
        worker.inboxes.watch(false);
    }
}

/// The instant before which no further packet can reach the port on a cycle that has the earliest packet, at
/// `time`. A feeder sends packets that it has, or packets that reach it later in turn.
fn reach(ports: &[StreamPort], place: usize, time: Time, queue: &ArrivalQueue) -> Time {
    let cycle = |place: usize| ports[place].cycle.as_ref();
    let sent = cycle(place).into_iter().flat_map(|cycle| &cycle.feeders).map(|&(feeder, delay)| {
        let lookahead = cycle(feeder).map_or(Span::ZERO, |cycle| cycle.lookahead);
        queue.time(feeder as u32).min(time + lookahead) + delay
    });
    // Feeders without delay have already sent at this instant: they precede this port.
    sent.min().unwrap_or(time).max(time + Span::from_ps(1))
}
