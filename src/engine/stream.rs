//! The stream engine: the network as a dataflow over its egress ports.
//!
//! # A window of time
//! 1. The sources are read up to the window's end; flows that appear get their numbers in the order of their
//!    first packets, whatever the windows are.
//! 2. The ports are visited in an order in which each comes after those that feed it ([`Plan`]). A port merges
//!    what its feeders have put into its inbox, runs [`forward_trace`](crate::ptm::Ptm::forward_trace), and puts what
//!    leaves into the inboxes of the next ports. What joins after the window's end waits with its feeder.
//! 3. Ports that feed each other in a cycle are visited together: the one with the earliest packet first, and as
//!    far ahead of that as its feeders' delays allow (K. M. Chandy, J. Misra, "Distributed simulation", 1979).
//!
//! Ports that do not feed each other are visited by several threads at once. Nothing depends on where the
//! windows end, nor on the number of threads.

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

/// Packets that a window is to inject for each port in use, so that its turn pays: the most where the cache holds them, the
/// least in any case.
const PACKETS_PER_PORT: RangeInclusive<u64> = 8..=48;
/// Packets that a window is to inject: the least, and what the cache holds of each thread.
const PACKETS_PER_WINDOW: RangeInclusive<u64> = 1_024..=16_384;

/// Packets that end from one time to the next that they are taken into the statistics of their flows: so many that a
/// flow comes several times at once, and its statistics into the cache once for all of them.
const PACKETS_PER_SETTLEMENT: u64 = 1 << 16;

/// Passages through ports that count as one packet that is injected: more than most packets need.
const HOPS_PER_PACKET: u64 = 8;

/// A network at work, window by window. `WATCHES` says whether an observer wants more than new flows.
pub(super) struct StreamEngine<const WATCHES: bool> {
    network: Network,
    sources: Vec<StreamSource>,
    /// Ports in the order of the plan, then those not in use.
    ports: Vec<StreamPort>,
    /// Per port: its feeders.
    inputs: Vec<Vec<u32>>,
    edges: Edges,
    plan: Plan,
    pool: Option<rayon::ThreadPool>,
    /// One per thread.
    workers: Vec<Worker<WATCHES>>,
    /// Per source: what it has sent, for the observer.
    sent: Vec<Vec<Sent>>,
    /// What ended before this instant is in the statistics, and how many packets had ended then.
    settled: Time,
    ended_settled: u64,
    /// Statistics, where they are wanted; those of the ports are at the ports.
    collector: Option<Collector>,
    /// Per port: its place in `ports`.
    places: Vec<usize>,
    /// Everything before this instant has been done.
    start: Time,
    /// How long the next window is to be.
    length: Span,
    /// Packets injected so far.
    injected: u64,
    /// Passages through ports so far.
    hops: u64,
    /// Packets that are inside.
    inside: u64,
    /// Sources that have more.
    busy: usize,
}

impl<const WATCHES: bool> StreamEngine<WATCHES> {
    /// A network in which nothing has happened yet.
    ///
    /// # Errors
    /// A source whose first packet cannot be had, or the threads cannot be had.
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

    /// Does the next window, which ends at `last` at the latest.
    fn window<O: Observer>(
        &mut self,
        last: Time,
        telling: &mut Telling<'_, O, WATCHES>,
    ) -> Result<(), EngineError> {
        let start = self.start;
        let begins = match self.sources.iter().filter_map(StreamSource::next).min() {
            // Whoever is inside goes on first, for a window's time: they may be many.
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
        // Where nothing is sent any more, what is inside passes its ports.
        let window = (injected - self.injected).max((hops - self.hops) / HOPS_PER_PACKET);
        let ended = |packets: PacketCounts| packets.delivered + packets.dropped + packets.inside;
        self.inside = injected - counts().map(ended).sum::<u64>();
        (self.injected, self.hops) = (injected, hops);
        self.busy = self.sources.iter().filter(|source| source.next().is_some()).count().max(1);
        let length = self.length.as_ps();
        self.length = match window {
            // What ends where the caller wants says nothing of how long the next is to be.
            few if few < wanted && end < last => Span::from_ps(length.saturating_mul(2)),
            many if many > 2 * wanted => Span::from_ps((length / 2).max(1)),
            _ => self.length,
        };
        self.start = end;
        Ok(())
    }

    /// Reads every source up to `end`, or less far where that would be too much; gives the end.
    fn read_sources(&mut self, start: Time, end: Time, most: usize) -> Result<Time, EngineError> {
        let read = |source: &mut StreamSource| source.read(start, end, most);
        let ends: Result<Vec<Time>, EngineError> = match &self.pool {
            Some(pool) => pool.install(|| self.sources.par_iter_mut().map(read).collect()),
            None => self.sources.iter_mut().map(read).collect(),
        };
        Ok(ends?.into_iter().min().unwrap_or(end))
    }

    /// Numbers the flows that appear before `end`, in the order of their first packets, and plans anew where they
    /// pass ports in a new order.
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
        // At one turn, as they were read.
        order.sort_unstable();
        order.iter().try_for_each(|(_, _, place)| self.number_flow(telling, &flows[*place]))?;
        let fresh = std::mem::take(&mut self.edges.fresh);
        fresh.iter().for_each(|(feeder, port)| self.inputs[port.index()].push(*feeder));
        if fresh.iter().all(|edge| self.plan.allows(*edge)) { Ok(()) } else { self.replan() }
    }

    /// Follows flows of a source, where their classes say all of their ways. Those of one source come one after the other,
    /// since they pass the same devices.
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

    /// Makes the plan for the edges that are known now.
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

    /// The ports of a task learn which of them feed each other.
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

    /// The sources send what they have for the window.
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
                // Whoever has a port's turn takes what all have brought.
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

    /// Packets that have arrived or are lost.
    fn ended(&self) -> u64 {
        let counts = self.workers.iter().map(|worker| worker.tally.packets);
        counts.map(|packets| packets.delivered + packets.dropped).sum()
    }

    /// Takes in what the threads have kept for the statistics.
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

    /// Takes what ended before an instant, all of which is known, into the statistics.
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

    /// Tells the observer what the sources have sent.
    fn tell_sent<O: Observer>(&mut self, telling: &mut Telling<'_, O, WATCHES>) {
        for (source, sent) in self.sources.iter().zip(&mut self.sent) {
            for Sent { tau, source: number, local, record, match_key } in sent.drain(..) {
                let path = source.paths.get(local as usize).map_or(&[][..], |path| path);
                let segment = None;
                telling.injected(&Injected { tau, source: number, record, match_key, path, segment });
            }
        }
    }

    /// Tells the observer what the threads have written down.
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

/// A flow of a source that has no number yet.
struct Fresh {
    source: usize,
    /// The source's own number of it.
    local: u32,
    key: FlowKey,
    /// How it is forwarded, where that says all of its way.
    class: Option<u32>,
}

/// What the visit to a level needs to know.
#[derive(Clone, Copy)]
struct Visit<'a> {
    network: &'a Network,
    /// By number of the port: its place.
    places: &'a [usize],
    /// The packets inside, where statistics are wanted.
    inside: Option<AllInside<'a>>,
    /// The window's end.
    end: Time,
}

impl Visit<'_> {
    /// Visits some tasks of the level; `ports` are theirs.
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

    /// Ports that feed each other: the earliest goes first, and as far ahead as nothing can reach it before.
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
                // Those that are not on the cycle come later.
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

/// The instant before which nothing more can reach a port on a cycle, which has the earliest packet, at `time`: what a feeder
/// sends is what it has, or what reaches it later in turn.
fn reach(ports: &[StreamPort], place: usize, time: Time, queue: &ArrivalQueue) -> Time {
    let cycle = |place: usize| ports[place].cycle.as_ref();
    let sent = cycle(place).into_iter().flat_map(|cycle| &cycle.feeders).map(|&(feeder, delay)| {
        let lookahead = cycle(feeder).map_or(Span::ZERO, |cycle| cycle.lookahead);
        queue.time(feeder as u32).min(time + lookahead) + delay
    });
    // Feeders without delay have had their turn at this instant: they stand before it.
    sent.min().unwrap_or(time).max(time + Span::from_ps(1))
}
