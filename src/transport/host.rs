//! A host: its connections, their applications and their timers.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::ConnectionRecord;
use super::application::{Application, Process, Wake};
use super::clock::Clock;
use super::endpoint::Endpoint;
use super::host_queue::HostQueue;
use super::kept::{Before, Kept};
use super::sample::Sampling;
use super::sampler::Sampler;
use super::segment::{Flags, Outbox, Segment};
use super::tcp::socket::{LateAnswer, Syn, Wakes};
use super::tcp::{Context, Page, Parameters, Phase, Socket};
use super::timers::{Due, Purpose, Timer, Timers};
use crate::flow::Flows;
use crate::packet::{FlowKey, Tau};
use crate::random::Draws;
use crate::units::{Time, Timestamp};

/// The opening of a connection by a host.
pub struct Opening {
    /// The time.
    pub at: Time,
    /// The flow of its data.
    pub key: FlowKey,
    /// The number of the service at the other host.
    pub service: u32,
    /// The parameters of this end.
    pub parameters: Arc<Parameters>,
    /// The application at this end.
    pub application: Box<dyn Application>,
}

/// The connections that a host opens, in order of time.
pub trait Openings: Send {
    /// The time of the next opening; [`Time::NEVER`] if there is none.
    fn next(&self) -> Time;
    /// Takes the next opening.
    fn open(&mut self) -> Option<Opening>;
    /// The number under which the results count them, chosen by the caller.
    fn entry(&self) -> u32 {
        0
    }
}

/// A list in order of time.
impl Openings for std::vec::IntoIter<Opening> {
    fn next(&self) -> Time {
        self.as_slice().first().map_or(Time::NEVER, |opening| opening.at)
    }

    fn open(&mut self) -> Option<Opening> {
        Iterator::next(self)
    }
}

/// A service accepts connections at a host.
pub trait Service: Send {
    /// Creates the application of a new connection. `asked` is the flow of its SYN.
    fn accept(&mut self, asked: &FlowKey) -> Box<dyn Application>;
    /// The parameters of its connections.
    fn parameters(&self) -> Arc<Parameters>;
}

/// A host with TCP.
pub struct Host {
    clock: Clock,
    services: Vec<Box<dyn Service>>,
    openings: Vec<Box<dyn Openings>>,
    connections: Vec<Slot>,
    /// By connection: the sequence number below which bytes are acknowledged.
    acknowledged: Vec<u64>,
    /// Connections opened by other hosts: by the flow of their SYN and their number there.
    accepted: FxHashMap<(u32, u32), u32>,
    timers: Timers,
    /// Applications that run at this instant.
    ready: VecDeque<Due>,
    page: Page,
    queue: HostQueue,
    /// The time of the next opening, and the index of its [`Openings`].
    opens: (Time, usize),
    sampler: Sampler,
    draws: Draws,
    /// The end of the warm-up; [`Time::NEVER`] once `before` is known.
    warm_up: Time,
    /// Connections opened from here on count as whole.
    counts_from: Time,
    /// The progress of connections that were open at the end of the warm-up.
    before: FxHashMap<u32, Before>,
}

/// A connection and its application.
struct Slot {
    end: Option<Box<End>>,
    /// After its end, if this side closed first.
    late: Option<Box<LateAnswer>>,
    kept: Kept,
}

struct End {
    socket: Socket,
    application: Box<dyn Application>,
    process: Timer,
    alarm: Timer,
}

impl Host {
    /// A host without connections, in a run with this absolute start.
    pub fn new(start: Timestamp, services: Vec<Box<dyn Service>>, openings: Vec<Box<dyn Openings>>) -> Self {
        let mut host = Host {
            clock: Clock::new(start),
            services,
            openings,
            connections: Vec::new(),
            acknowledged: Vec::new(),
            accepted: FxHashMap::default(),
            timers: Timers::default(),
            ready: VecDeque::new(),
            page: Page::default(),
            queue: HostQueue::default(),
            opens: (Time::NEVER, 0),
            sampler: Sampler::default(),
            draws: Draws::new(0, "transport", ""),
            warm_up: Time::NEVER,
            counts_from: Time::ZERO,
            before: FxHashMap::default(),
        };
        host.find_opening();
        host
    }

    /// Sets the random numbers of its connections.
    #[must_use]
    pub fn with_draws(self, draws: Draws) -> Self {
        Host { draws, ..self }
    }

    fn find_opening(&mut self) {
        let times = self.openings.iter().enumerate().map(|(place, openings)| (openings.next(), place));
        self.opens = times.min().unwrap_or((Time::NEVER, 0));
    }

    /// Opens the connections that are due.
    fn open(&mut self, now: Time, out: &mut Outbox) {
        while self.opens.0 <= now {
            let openings = &mut self.openings[self.opens.1];
            let entry = openings.entry();
            let Some(opening) = openings.open() else { break };
            self.find_opening();
            let number = self.connections.len() as u32;
            out.flows.push(opening.key);
            self.acknowledged.push(0);
            let (service, parameters) = (opening.service, opening.parameters);
            let kept = Kept::opened(entry, &parameters, now);
            let socket = Socket::connect(number, service, parameters, &mut self.context(now, out));
            self.add(socket, opening.application, kept);
        }
    }

    fn add(&mut self, socket: Socket, application: Box<dyn Application>, kept: Kept) {
        self.sampler.begin(self.connections.len() as u32);
        let end = End { socket, application, process: Timer::default(), alarm: Timer::default() };
        self.connections.push(Slot { end: Some(Box::new(end)), late: None, kept });
    }

    fn context<'a>(&'a mut self, now: Time, out: &'a mut Outbox) -> Context<'a> {
        Context {
            time: now,
            now: self.clock.read(now),
            clock: self.clock,
            timers: &mut self.timers,
            out,
            page: &mut self.page,
            queue: &mut self.queue,
            acknowledged: &self.acknowledged,
            draws: self.draws,
        }
    }

    /// Passes a segment to its connection.
    fn deliver(&mut self, tau: &Tau, segment: &Segment, out: &mut Outbox) {
        let (now, ecn) = (tau.timestamp, tau.packet.ecn);
        let slot = self.connections.get_mut(segment.to as usize);
        match slot.and_then(|slot| slot.late.as_mut()) {
            Some(late) => {
                let now = self.clock.read(now);
                out.packets.extend(late.answer(segment, now));
            }
            None => self.with(segment.to, now, out, |end, context| end.socket.receive(segment, ecn, context)),
        }
    }

    /// Runs `act` on a connection, and wakes its application if necessary.
    fn with(
        &mut self,
        number: u32,
        now: Time,
        out: &mut Outbox,
        act: impl FnOnce(&mut End, &mut Context<'_>),
    ) {
        let place = number as usize;
        let Some(mut end) = self.connections.get_mut(place).and_then(|slot| slot.end.take()) else { return };
        act(&mut end, &mut self.context(now, out));
        let wakes = std::mem::take(&mut end.socket.wakes);
        if wakes != Wakes::default() {
            self.wake_process(number, &mut end, wakes, now);
        }
        self.acknowledged[place] = end.socket.acknowledged();
        let slot = &mut self.connections[place];
        out.finished += u64::from(slot.kept.note(&end.socket, now, self.counts_from));
        let phase = end.socket.phase();
        let is_over = matches!(phase, Phase::Closed | Phase::TimeWait);
        if is_over {
            slot.kept.close(now);
        }
        self.sampler.note(number, &end.socket, is_over, now, out);
        // A closed connection keeps only the memory for late answers.
        match phase {
            Phase::Closed => {}
            Phase::TimeWait => slot.late = Some(Box::new(end.socket.late_answer())),
            _ => slot.end = Some(end),
        }
    }

    fn wake_process(&mut self, number: u32, end: &mut End, wakes: Wakes, now: Time) {
        let reasons = [
            (wakes.connected, Wake::Connected),
            (wakes.writable, Wake::Writable),
            (wakes.readable, Wake::Readable),
        ];
        for (_, wake) in reasons.iter().filter(|(woken, _)| *woken) {
            let at = now + end.application.latency(*wake, now);
            let whose = (number, Purpose::Process);
            if at == now && at < end.process.at() {
                self.ready.push_back(self.timers.set_now(&mut end.process, whose, now));
            } else if at < end.process.at() {
                self.timers.set(&mut end.process, whose, at);
            }
        }
    }

    fn run_process(number: u32, end: &mut End, context: &mut Context<'_>) {
        let mut process = Process { socket: &mut end.socket, context };
        match end.application.run(&mut process) {
            Some(at) if at > context.time => {
                context.timers.set(&mut end.alarm, (number, Purpose::Alarm), at);
            }
            _ => {}
        }
    }

    /// Handles a SYN: a new connection, or a repeated request.
    fn accept(&mut self, tau: &Tau, segment: &Segment, flows: &Flows, out: &mut Outbox) {
        let (now, asked) = (tau.timestamp, (tau.packet.fid, segment.from));
        if let Some(number) = self.accepted.get(&asked).copied() {
            let segment = Segment { to: number, ..*segment };
            return self.deliver(tau, &segment, out);
        }
        let Some(asking) = flows.key(tau.packet.fid) else { return };
        let Some(key) = asking.reverse() else { return };
        let Some(service) = self.services.get_mut(segment.to as usize) else { return };
        let (application, parameters) = (service.accept(&asking), service.parameters());
        let number = self.connections.len() as u32;
        self.accepted.insert(asked, number);
        out.flows.push(key);
        self.acknowledged.push(0);
        let Segment { from: peer, timestamp, window, flags, .. } = *segment;
        let syn = Syn { peer, timestamp, window, flags, ecn: tau.packet.ecn };
        let kept = Kept::accepted(&parameters, now);
        let socket = Socket::accept(number, &syn, parameters, &mut self.context(now, out));
        self.add(socket, application, kept);
    }

    /// Ends the warm-up: the progress of connections up to now does not count.
    #[cold]
    fn end_warm_up(&mut self) {
        self.warm_up = Time::NEVER;
        let open = (0u32..).zip(&self.connections).filter(|(_, slot)| slot.kept.is_open());
        self.before = open.map(|(number, slot)| (number, slot.kept.before())).collect();
    }

    /// The next timer due by `now`.
    fn due(&mut self, now: Time) -> Option<Due> {
        while let Some(first) = self.timers.first(now) {
            let due = first.due();
            let end = self.connections[due.connection as usize].end.as_mut();
            if first.fires(end.and_then(|end| end.timer(due.purpose))) {
                return Some(due);
            }
        }
        None
    }
}

impl End {
    fn timer(&mut self, purpose: Purpose) -> Option<&mut Timer> {
        match purpose {
            Purpose::Process => Some(&mut self.process),
            Purpose::Alarm => Some(&mut self.alarm),
            other => self.socket.timer(other),
        }
    }

    /// Fires a timer, if it is still set.
    fn fire(&mut self, number: u32, due: &Due, context: &mut Context<'_>) {
        if !self.timer(due.purpose).is_some_and(|timer| due.take(timer)) {
            return;
        }
        match due.purpose {
            Purpose::Process | Purpose::Alarm => Host::run_process(number, self, context),
            other => self.socket.fire(other, context),
        }
    }
}

impl Endpoint for Host {
    fn receive(&mut self, tau: &Tau, segment: &Segment, flows: &Flows, out: &mut Outbox) {
        let now = tau.timestamp;
        if now >= self.warm_up {
            self.end_warm_up();
        }
        // Departures at this instant follow it.
        self.queue.pass(|at| at < now);
        if segment.flags.has(Flags::SYN) && !segment.flags.has(Flags::ACK) {
            self.accept(tau, segment, flows, out);
        } else {
            self.deliver(tau, segment, out);
        }
    }

    fn next(&mut self, now: Time) -> Time {
        let timer = match self.timers.next() {
            at if at > now => at,
            _ => self.due(now).map_or_else(|| self.timers.next(), |due| due.at()),
        };
        let ready = self.ready.front().map_or(Time::NEVER, Due::at);
        timer.min(ready).min(self.opens.0).min(self.queue.next())
    }

    fn wake(&mut self, now: Time, out: &mut Outbox) {
        if now >= self.warm_up {
            self.end_warm_up();
        }
        self.queue.pass(|at| at <= now);
        self.open(now, out);
        while let Some(number) = self.queue.woken() {
            self.with(number, now, out, |end, context| end.socket.go_on(context));
        }
        while let Some(due) = self.due(now) {
            self.timers.pop();
            let number = due.connection;
            self.with(number, now, out, |end, context| end.fire(number, &due, context));
        }
        while let Some(due) = self.ready.pop_front() {
            let number = due.connection;
            self.with(number, now, out, |end, context| end.fire(number, &due, context));
        }
    }

    fn start_queueing(&mut self) {
        self.queue.start();
    }

    fn leaves(&mut self, segment: &Segment, at: Time) {
        self.queue.leaves(segment, at);
    }

    fn start_sampling(&mut self, sampling: Sampling) {
        self.sampler = Sampler::new(sampling);
    }

    fn sample(&mut self, now: Time, out: &mut Outbox) {
        let Some(connections) = &mut self.sampler.instants else { return };
        connections.retain(|number| {
            let end = self.connections[*number as usize].end.as_ref();
            let Some(end) = end.filter(|end| !end.socket.is_finished()) else { return false };
            out.samples.extend(end.socket.sample(now));
            true
        });
    }

    fn count_from(&mut self, warm_up: Time) {
        self.counts_from = warm_up;
        self.warm_up = if warm_up > Time::ZERO { warm_up } else { Time::NEVER };
    }

    fn take_connections(&mut self, each: &mut dyn FnMut(ConnectionRecord)) {
        if self.warm_up < Time::NEVER {
            // It has done nothing since.
            self.end_warm_up();
        }
        for (number, slot) in (0..).zip(std::mem::take(&mut self.connections)) {
            each(slot.kept.record(number, self.before.get(&number), self.counts_from));
        }
    }
}
