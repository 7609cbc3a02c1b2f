//! The inner discipline: packets join it when they are due.

use rustc_hash::FxHashMap;

use crate::flow::Flows;
use crate::packet::Tau;
use crate::ptm::Loss;
use crate::ptm::buffer::Backlog;
use crate::ptm::discipline::{Discipline, Next};
use crate::units::Time;

/// A discipline whose packets arrived before they join it. The discipline sees the time at which they join;
/// outside, they keep their arrival time.
///
/// # Source
/// Linux 6.1 `net/sched/sch_netem.c` (`netem_dequeue`).
pub(super) struct Child {
    discipline: Box<dyn Discipline>,
    /// The flows so far. When a packet joins, the caller cannot pass them.
    flows: Flows,
    /// The arrival times of the packets inside, by id.
    came: FxHashMap<u64, Time>,
}

impl Child {
    pub fn new(discipline: Box<dyn Discipline>) -> Self {
        Child { discipline, flows: Flows::default(), came: FxHashMap::default() }
    }

    /// Copies the flows that are new since the last call.
    pub fn learn(&mut self, flows: &Flows) {
        let known = self.flows.len() as u32;
        for key in (known..).map_while(|fid| flows.key(fid)) {
            self.flows.add(key);
        }
    }

    /// A packet joins at `now`.
    pub fn join(&mut self, tau: Tau, now: Time, losses: &mut Vec<Loss>) {
        self.came.insert(tau.packet.pid, tau.timestamp);
        let from = losses.len();
        self.discipline.enqueue(Tau { timestamp: now, ..tau }, &self.flows, losses);
        self.restore(losses, from);
    }

    pub fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        let from = losses.len();
        let next = self.discipline.next(now, losses);
        self.restore(losses, from);
        if next == Next::Nothing {
            self.idle(now);
        }
        next
    }

    pub fn idle(&mut self, now: Time) {
        if self.backlog().packets() == 0 {
            self.discipline.idle(now);
        }
    }

    pub fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        let from = losses.len();
        let tau = self.discipline.dequeue(now, losses);
        self.restore(losses, from);
        tau.map(|tau| self.leaves(tau))
    }

    pub fn backlog(&self) -> Backlog {
        self.discipline.backlog()
    }

    pub fn waiting(&self, waiting: &mut Vec<Tau>) {
        let from = waiting.len();
        self.discipline.waiting(waiting);
        for tau in &mut waiting[from..] {
            tau.timestamp = self.came.get(&tau.packet.pid).copied().unwrap_or(tau.timestamp);
        }
    }

    /// Restores the arrival times of dropped packets.
    fn restore(&mut self, losses: &mut [Loss], from: usize) {
        for loss in &mut losses[from..] {
            loss.tau = self.leaves(loss.tau);
        }
    }

    fn leaves(&mut self, tau: Tau) -> Tau {
        let timestamp = self.came.remove(&tau.packet.pid).unwrap_or(tau.timestamp);
        Tau { timestamp, ..tau }
    }
}
