//! The processor and timers of the recorded guest: the scheduling of processes, and the disciplines that wait
//! for a timer.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use super::recording::FlowName;
use taunet::config::Registry;
use taunet::flow::Flows;
use taunet::packet::Tau;
use taunet::ptm::{Backlog, Discipline, Loss, Next, Place, PtmSpec};
use taunet::units::{Span, Time};

/// How late a timer interrupts, in ns (`itimer_next_event` in `arch/um/kernel/time.c`).
const LATE: u64 = 1;
/// How long a system call takes that fails, as those that find nothing to read or no room to write do, in ns: interrupts wait for its end
/// (`handle_syscall` in `arch/um/kernel/skas/syscall.c`). All else takes no time, but a nanosecond for each reading of the clock.
const FAILURE: u64 = 1_000;

/// The guest's one processor, and the timers that interrupt it. All instants are in ns.
#[derive(Default)]
struct Machine {
    /// When each timer is due, in the order of setting, and whose it is.
    pending: BTreeSet<(u64, u64, usize)>,
    /// Of each timer that is pending: when it is due, and its place in the order of setting.
    due: HashMap<usize, (u64, u64)>,
    /// Of each that has fired: when, and how many fired before it in the same interrupt.
    fired: HashMap<usize, (u64, u64)>,
    set: u64,
    timers: usize,
    /// When the processor is free.
    free: u64,
    /// System calls that fail: from when to when.
    failing: VecDeque<(u64, u64)>,
    /// What each flow sent last.
    sent: HashMap<FlowName, Burst>,
    /// What is sent from then to then is received at the latter.
    held: (u64, u64),
}

impl Machine {
    /// When the next timer interrupts.
    fn interrupt(&self) -> Option<u64> {
        let at = self.pending.first()?.0 + LATE;
        let failing = self.failing.iter().find(|(from, to)| (*from..*to).contains(&at));
        Some(failing.map_or(at, |(_, to)| *to))
    }

    /// Everything up to `now` happens.
    fn advance(&mut self, now: u64) {
        while let Some(at) = self.interrupt().filter(|at| *at <= now) {
            let mut before = 0;
            while let Some(first) = self.pending.first().copied().filter(|(due, ..)| *due <= at) {
                self.pending.remove(&first);
                self.due.remove(&first.2);
                self.fired.insert(first.2, (at, before));
                before += 1;
            }
        }
        while self.failing.front().is_some_and(|(_, to)| *to < now) {
            self.failing.pop_front();
        }
    }

    fn set(&mut self, timer: usize, now: u64, due: u64) {
        self.advance(now);
        if let Some((before, set)) = self.due.get(&timer).copied() {
            if before == due {
                return;
            }
            self.pending.remove(&(before, set, timer));
        }
        self.set += 1;
        self.pending.insert((due, self.set, timer));
        self.due.insert(timer, (due, self.set));
        self.fired.remove(&timer);
    }

    /// When a timer fires, as far as is known now, with the picoseconds that order the timers of an interrupt.
    fn fires(&mut self, timer: usize, now: u64) -> Option<Time> {
        self.advance(now);
        if let Some((at, before)) = self.fired.get(&timer) {
            return Some(Time::from_ps(at * 1_000 + before + 1));
        }
        let (due, _) = self.due.get(&timer)?;
        // No earlier than it is due: another's interrupt takes it along.
        let at = if now < *due { *due } else { self.interrupt()? };
        Some(Time::from_ps(at * 1_000))
    }
}

/// What a flow has sent at an instant, to find out whether TCP small queues have held it back: it goes on in a softirq of its own then, and
/// where a process was woken meanwhile that is left to `ksoftirqd`, with all that is received until a system call of the process fails.
///
/// # Source
/// Linux `net/ipv4/tcp_output.c`, `tcp_small_queue_check`, at a low rate: more than two buffers' memory is on its way; a buffer holds one
/// segment, or two of which the second is pushed, and each segment on its way has its own overhead. `kernel/softirq.c`, `__do_softirq`.
#[derive(Clone, Copy, Default)]
struct Burst {
    at: u64,
    segments: u32,
    /// The last segment was not pushed: another may belong to its buffer.
    is_open: bool,
    is_held_back: bool,
}

impl Burst {
    fn single(&mut self) {
        self.is_held_back |= self.segments >= 2;
        self.segments += 1;
        self.is_open = false;
    }

    fn send(&mut self, push: bool) {
        match (self.is_open, push) {
            (true, true) => {
                self.is_held_back |= self.segments >= 4;
                self.segments += 2;
                self.is_open = false;
            }
            (true, false) => {
                self.single();
                self.is_open = true;
            }
            (false, true) => self.single(),
            (false, false) => self.is_open = true,
        }
    }
}

/// The processor.
#[derive(Clone, Default)]
pub struct Processor(Arc<Mutex<Machine>>);

impl Processor {
    /// A process is woken now, reads the clock `readings` times, does what it does, and is at its end when a system call fails: when it
    /// does what it does.
    pub fn wake(&self, now: Time, readings: u64) -> Time {
        let mut machine = self.0.lock().unwrap();
        let now = now.as_ps() / 1_000;
        let at = machine.free.max(now) + readings;
        machine.free = at + 1 + FAILURE;
        let failing = (at + 1, at + 1 + FAILURE);
        machine.failing.push_back(failing);
        let mut sent = machine.sent.values().copied().filter(|burst| burst.at == now);
        let is_held_back = sent.any(|mut burst| {
            if burst.is_open {
                burst.single();
            }
            burst.is_held_back
        });
        if is_held_back {
            machine.held = (at, at + 1 + FAILURE);
        }
        Time::from_ps(at * 1_000)
    }

    /// A client sends a segment.
    pub fn sends(&self, now: Time, flow: FlowName, push: bool) {
        let at = now.as_ps() / 1_000;
        let mut machine = self.0.lock().unwrap();
        let burst = machine.sent.entry(flow).or_default();
        if burst.at != at {
            *burst = Burst { at, ..Burst::default() };
        }
        burst.send(push);
    }
}

/// A timer of the guest.
struct Timer {
    machine: Arc<Mutex<Machine>>,
    number: usize,
    is_set: bool,
    /// Of the timers of an interrupt this is the first, as seen.
    goes_first: bool,
    /// Who waits for it runs until the end of this instant.
    runs: Option<Time>,
}

impl Timer {
    fn new(machine: &Arc<Mutex<Machine>>, goes_first: bool) -> Self {
        let mut locked = machine.lock().unwrap();
        locked.timers += 1;
        Timer { machine: Arc::clone(machine), number: locked.timers, is_set: false, goes_first, runs: None }
    }

    fn set(&mut self, now: Time, due: Time) {
        self.is_set = true;
        self.machine.lock().unwrap().set(self.number, now.as_ps() / 1_000, due.as_ps() / 1_000);
    }

    /// When it fires, if it has not.
    fn fires(&mut self, now: Time) -> Option<Time> {
        if !self.is_set || self.runs == Some(now) {
            return None;
        }
        let at = self.machine.lock().unwrap().fires(self.number, now.as_ps() / 1_000);
        let at = at.map(|at| if self.goes_first { Time::from_ps(at.as_ps() / 1_000 * 1_000) } else { at });
        if at.is_none_or(|at| at <= now) {
            self.is_set = false;
            self.runs = Some(now);
            return None;
        }
        at
    }
}

/// The recorded discipline of the router, or of a host: it goes on when a packet comes, or its timer fires.
struct Watched {
    inner: Box<dyn Discipline>,
    timer: Timer,
}

#[derive(serde::Deserialize)]
struct WatchedSpec {
    is_router: bool,
}

impl Discipline for Watched {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        self.timer.runs = Some(tau.timestamp);
        self.inner.enqueue(tau, flows, losses);
    }

    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        if let Some(at) = self.timer.fires(now) {
            return Next::Throttled(at);
        }
        match self.inner.next(now, losses) {
            Next::Throttled(due) => {
                self.timer.set(now, due);
                self.timer.runs = None;
                Next::Throttled(self.timer.fires(now).unwrap_or(due))
            }
            other => other,
        }
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        match self.timer.fires(now) {
            Some(_) => None,
            None => self.inner.dequeue(now, losses),
        }
    }

    fn idle(&mut self, now: Time) {
        self.inner.idle(now);
    }

    fn backlog(&self) -> Backlog {
        self.inner.backlog()
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        self.inner.waiting(waiting);
    }
}

/// The recorded `netem`: a delay, which may change. The link behind it takes as long as the timer is late, so that no loop is without
/// delay.
struct Netem {
    delay: Span,
    /// From when on it is another.
    changes: VecDeque<(Time, Span)>,
    timer: Timer,
    /// By the instants at which they are due.
    queue: VecDeque<(Time, Tau)>,
    backlog: Backlog,
}

#[derive(serde::Deserialize)]
struct NetemSpec {
    delay: Span,
}

const LATENESS: Span = Span::from_ns(LATE);

impl Netem {
    fn arm(&mut self, now: Time) {
        if let Some((due, _)) = self.queue.front() {
            self.timer.set(now, *due);
            self.timer.runs = None;
        }
    }
}

impl Discipline for Netem {
    fn enqueue(&mut self, tau: Tau, _flows: &Flows, _losses: &mut Vec<Loss>) {
        while let Some((_, delay)) = self.changes.pop_front_if(|(since, _)| *since <= tau.timestamp) {
            self.delay = delay;
        }
        self.backlog.add(tau.packet.length);
        let due = tau.timestamp + self.delay;
        let place = self.queue.partition_point(|(other, _)| *other <= due);
        self.queue.insert(place, (due, tau));
        if place == 0 {
            self.arm(tau.timestamp);
        }
    }

    fn next(&mut self, now: Time, _losses: &mut Vec<Loss>) -> Next {
        let Some((_, first)) = self.queue.front() else { return Next::Nothing };
        match self.timer.fires(now + LATENESS) {
            None => Next::Ready(first.packet.length),
            Some(at) => Next::Throttled(at - LATENESS),
        }
    }

    fn dequeue(&mut self, now: Time, _losses: &mut Vec<Loss>) -> Option<Tau> {
        if self.timer.fires(now + LATENESS).is_some() {
            return None;
        }
        let (_, tau) = self.queue.pop_front()?;
        self.backlog.remove(tau.packet.length);
        // What is due with it goes with it.
        if self.queue.front().is_some_and(|(next, _)| *next > now + LATENESS) {
            self.arm(now + LATENESS);
        }
        Some(tau)
    }

    fn backlog(&self) -> Backlog {
        self.backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(self.queue.iter().map(|(_, tau)| tau));
    }
}

/// What a process sends while `ksoftirqd` is to receive it.
struct Softirq {
    machine: Arc<Mutex<Machine>>,
    queue: VecDeque<(Time, Tau)>,
    backlog: Backlog,
}

#[derive(serde::Deserialize)]
struct SoftirqSpec {}

impl Discipline for Softirq {
    fn enqueue(&mut self, tau: Tau, _flows: &Flows, _losses: &mut Vec<Loss>) {
        let (from, to) = self.machine.lock().unwrap().held;
        let now = tau.timestamp.as_ps() / 1_000;
        let at = if (from..to).contains(&now) { Time::from_ps(to * 1_000) } else { tau.timestamp };
        self.backlog.add(tau.packet.length);
        self.queue.push_back((at, tau));
    }

    fn next(&mut self, now: Time, _losses: &mut Vec<Loss>) -> Next {
        match self.queue.front() {
            None => Next::Nothing,
            Some((at, tau)) if *at <= now => Next::Ready(tau.packet.length),
            Some((at, _)) => Next::Throttled(*at),
        }
    }

    fn dequeue(&mut self, now: Time, _losses: &mut Vec<Loss>) -> Option<Tau> {
        let (_, tau) = self.queue.pop_front_if(|(at, _)| *at <= now)?;
        self.backlog.remove(tau.packet.length);
        Some(tau)
    }

    fn backlog(&self) -> Backlog {
        self.backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(self.queue.iter().map(|(_, tau)| tau));
    }
}

/// The kinds `lab-softirq`, `lab-netem` and `lab-watched`, whose timers interrupt this processor; the last is the discipline of the router
/// or that of a host. `changes` says from when on netem has another delay.
pub fn registry(processor: &Processor, router: PtmSpec, host: PtmSpec, changes: &[(Time, Span)]) -> Registry {
    let changes = changes.to_vec();
    let mut registry = Registry::default();
    let machine = Arc::clone(&processor.0);
    registry.discipline("lab-netem", move |spec: &NetemSpec, _place: &Place<'_>| Netem {
        delay: spec.delay,
        changes: changes.clone().into(),
        timer: Timer::new(&machine, false),
        queue: VecDeque::new(),
        backlog: Backlog::default(),
    });
    let machine = Arc::clone(&processor.0);
    let shared = Arc::clone(&processor.0);
    registry.discipline("lab-softirq", move |_spec: &SoftirqSpec, _place: &Place<'_>| Softirq {
        machine: Arc::clone(&shared),
        queue: VecDeque::new(),
        backlog: Backlog::default(),
    });
    registry.discipline("lab-watched", move |spec: &WatchedSpec, place: &Place<'_>| Watched {
        inner: if spec.is_router { &router } else { &host }.discipline(place),
        timer: Timer::new(&machine, spec.is_router),
    });
    registry
}
