//! The packets that arrive at ports within a window.

use crate::packet::Tau;
use crate::topology::PortId;
use crate::units::Time;

/// By egress port: the packets that join its PTM within the window. Each thread has its own inboxes.
pub(super) struct Inboxes {
    by_port: Vec<Inbox>,
    /// Emptied inboxes, kept for their memory, which is still in the cache.
    spare: Vec<Inbox>,
    end: Time,
    /// The ports that have received packets since the last call, if they are recorded.
    started: Option<Vec<PortId>>,
}

/// The packets that join one port, feeder by feeder, each with the time at which it joins.
#[derive(Debug)]
pub(super) struct Inbox {
    taus: Vec<Tau>,
    runs: Vec<Run>,
    /// The rank of the last run's feeder.
    last: u32,
}

/// The packets of one feeder, in order, from `start` to the next run.
#[derive(Debug, Clone, Copy)]
struct Run {
    feeder: Bringer,
    start: u32,
}

/// A feeder, with its rank among the feeders of one port.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bringer {
    pub turn: u32,
    /// Whether its packets may arrive before others that started earlier.
    pub is_unordered: bool,
}

/// No run.
const NOBODY: u32 = u32::MAX;

impl Default for Inbox {
    fn default() -> Self {
        Inbox { taus: Vec::new(), runs: Vec::new(), last: NOBODY }
    }
}

impl Inboxes {
    pub fn new(ports: usize) -> Self {
        Inboxes {
            by_port: (0..ports).map(|_| Inbox::default()).collect(),
            spare: Vec::new(),
            end: Time::ZERO,
            started: None,
        }
    }

    /// Starts a window.
    pub fn begin(&mut self, end: Time) {
        self.end = end;
    }

    /// The window's end. Packets that join at this instant or later are not stored here.
    #[inline]
    pub fn end(&self) -> Time {
        self.end
    }

    /// Adds a packet that joins a port before the window's end. Returns its copy there.
    #[inline(always)]
    pub fn push(&mut self, feeder: Bringer, port: PortId, tau: &Tau) -> &mut Tau {
        if self.by_port[port.index()].last != feeder.turn {
            self.start(feeder, port);
        }
        let taus = &mut self.by_port[port.index()].taus;
        // Copied whole and then changed: building the packet field by field would take half as long again.
        taus.push(*tau);
        let last = taus.len() - 1;
        &mut taus[last]
    }

    /// Starts a run of a feeder at a port, if it has none. Returns the place for its packets.
    #[inline(never)]
    pub fn start(&mut self, feeder: Bringer, port: PortId) -> &mut Vec<Tau> {
        let inbox = &mut self.by_port[port.index()];
        if inbox.last != feeder.turn {
            if inbox.last == NOBODY {
                if let Some(spare) = self.spare.pop() {
                    *inbox = spare;
                }
                if let Some(started) = &mut self.started {
                    started.push(port);
                }
            }
            let start = inbox.taus.len() as u32;
            inbox.runs.push(Run { feeder, start });
            inbox.last = feeder.turn;
        }
        &mut inbox.taus
    }

    /// Starts or stops recording the ports that receive packets.
    pub fn watch(&mut self, watches: bool) {
        self.started = watches.then(Vec::new);
    }

    /// One of the recorded ports.
    #[inline]
    pub fn next_started(&mut self) -> Option<PortId> {
        self.started.as_mut()?.pop()
    }

    /// Takes the inbox of a port, unless it is empty.
    #[inline]
    pub fn take(&mut self, port: PortId) -> Option<Inbox> {
        let inbox = &mut self.by_port[port.index()];
        (inbox.last != NOBODY).then(|| std::mem::take(inbox))
    }

    /// Takes back the memory of an inbox, unless it is far too large: some ports have many more packets than
    /// others.
    pub fn give_back(&mut self, mut inbox: Inbox) {
        if inbox.taus.capacity() > 8 * inbox.taus.len().max(64) {
            return;
        }
        inbox.taus.clear();
        inbox.runs.clear();
        inbox.last = NOBODY;
        self.spare.push(inbox);
    }
}

impl Inbox {
    /// Sorts the runs that may be out of order. The sort is stable.
    pub fn sort(&mut self) {
        for number in 0..self.runs.len() {
            if self.runs[number].feeder.is_unordered {
                let end = self.runs.get(number + 1).map_or(self.taus.len(), |next| next.start as usize);
                self.taus[self.runs[number].start as usize..end].sort_by_key(|tau| tau.timestamp);
            }
        }
    }

    /// The packets of each feeder.
    #[inline]
    pub fn runs(&self) -> impl Iterator<Item = (Bringer, &[Tau])> {
        let ends = self.runs.iter().skip(1).map(|next| next.start as usize).chain([self.taus.len()]);
        self.runs.iter().zip(ends).map(|(run, end)| (run.feeder, &self.taus[run.start as usize..end]))
    }
}
