//! The processes of the recordings.

use std::collections::VecDeque;
use std::sync::Arc;

use taunet::packet::FlowKey;
use taunet::transport::tcp::Parameters;
use taunet::transport::{Application, Process, Service, Wake};
use taunet::units::{Span, Time};

use super::machine::Processor;
use super::recording::Reads;

/// The client's process of the recordings.
pub struct Client {
    pub left: Option<u64>,
    /// What it writes when; otherwise all at once.
    pub writes: VecDeque<(Time, u64)>,
    pub connected: Time,
    pub written: Time,
    pub stop: Time,
    pub processor: Processor,
    pub runs: Option<Time>,
    pub closes: Option<Time>,
    pub all_written: bool,
}

impl Application for Client {
    fn latency(&mut self, wake: Wake, now: Time) -> Span {
        match wake {
            Wake::Connected => (self.connected + Span::from_ns(1)).since(now),
            Wake::Writable => self.runs.get_or_insert_with(|| self.processor.wake(now, 2)).since(now),
            Wake::Readable => Span::ZERO,
        }
    }

    fn run(&mut self, connection: &mut Process<'_, '_>) -> Option<Time> {
        self.runs = None;
        let now = connection.now();
        let stop = self.left.is_none().then_some(self.stop);
        if stop.is_some_and(|stop| now >= stop) || self.closes.is_some_and(|closes| now >= closes) {
            connection.close();
            return None;
        }
        if self.all_written {
            return self.closes;
        }
        let mut is_due = false;
        while let Some((_, bytes)) = self.writes.pop_front_if(|(at, _)| *at <= now) {
            self.left = self.left.map(|left| left + bytes);
            is_due = true;
        }
        // Woken for room, it looks again when it runs; then it writes until nothing fits.
        let can_write = is_due || self.left != Some(0) && connection.poll_writable();
        while can_write && self.left != Some(0) {
            let written = connection.write(self.left.unwrap_or(65_536).min(65_536));
            if written == 0 {
                break;
            }
            if let Some(left) = &mut self.left {
                *left -= written;
            }
        }
        if let Some((at, _)) = self.writes.front() {
            return Some(*at + LATE);
        }
        if self.left == Some(0) {
            self.all_written = true;
            let beside = self.written.since(now) < Span::from_ns(50_000) && self.written >= now;
            self.closes = Some(if beside { self.written + Span::from_ns(1) } else { now + Span::from_ns(2) });
            return self.closes;
        }
        stop
    }
}

/// The server's process: reads at once, and closes at the end.
struct Server {
    processor: Processor,
    runs: Option<Time>,
    closes: Option<Time>,
    reads: Arc<[Reads]>,
    /// When it reads next, where it does not read at once.
    due: Time,
}

impl Server {
    /// How it reads at an instant.
    fn reads(&self, now: Time) -> Option<&Reads> {
        self.reads.iter().rev().find(|reads| reads.since <= now)
    }

    fn reads_at_once(&self, now: Time) -> bool {
        self.reads(now).is_none_or(|reads| reads.bytes > 0 && reads.gap == Span::ZERO)
    }

    /// The next instant at which it reads, or begins to read otherwise.
    fn next_due(&self, now: Time) -> Time {
        let begins = self.reads.iter().map(|reads| reads.since).find(|since| *since > now);
        let next = self.reads(now).filter(|reads| reads.bytes > 0 && reads.gap > Span::ZERO).map(|reads| {
            let gaps = now.since(reads.since).as_ps() / reads.gap.as_ps() + 1;
            reads.since + Span::from_ps(gaps * reads.gap.as_ps())
        });
        begins.into_iter().chain(next).min().unwrap_or(Time::NEVER)
    }
}

/// How late a process is that waits for an instant.
const LATE: Span = Span::from_ns(2);

impl Application for Server {
    fn latency(&mut self, _wake: Wake, now: Time) -> Span {
        if !self.reads_at_once(now) {
            return Span::ZERO;
        }
        let runs = *self.runs.get_or_insert_with(|| self.processor.wake(now, 1));
        runs.since(now)
    }

    fn run(&mut self, connection: &mut Process<'_, '_>) -> Option<Time> {
        self.runs = None;
        if self.closes.is_some_and(|closes| connection.now() >= closes) {
            connection.close();
            return None;
        }
        let now = connection.now();
        let is_due = now >= self.due;
        if self.reads_at_once(now) {
            while connection.read(u64::MAX) > 0 {}
        } else if is_due && let Some(Reads { bytes: mut left, .. }) = self.reads(now).cloned() {
            while left > 0 {
                match connection.read(left) {
                    0 => break,
                    bytes => left -= bytes,
                }
            }
        }
        if (is_due || self.reads_at_once(now)) && connection.is_at_end() && self.closes.is_none() {
            self.closes = Some(now + Span::from_ns(2));
        }
        self.due = self.next_due(now);
        let due = Some(self.due).filter(|due| *due < Time::NEVER).map(|due| due + LATE);
        self.closes.into_iter().chain(due).min()
    }
}

pub struct ServerService {
    pub processor: Processor,
    pub reads: Arc<[Reads]>,
    pub parameters: Parameters,
}

impl Service for ServerService {
    fn accept(&mut self, _asked: &FlowKey) -> Box<dyn Application> {
        Box::new(Server {
            processor: self.processor.clone(),
            runs: None,
            closes: None,
            reads: Arc::clone(&self.reads),
            due: Time::NEVER,
        })
    }

    fn parameters(&self) -> Arc<Parameters> {
        Arc::new(self.parameters)
    }
}
