//! Strict priority in which arrivals of the same instant are also ordered by class.

use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::ptm::buffer::Backlog;
use crate::ptm::classes::Classes;
use crate::ptm::discipline::{Discipline, Next};
use crate::ptm::priority::PrioritySpec;
use crate::ptm::{Loss, Place};
use crate::units::Time;

/// [`Priority`](super::Priority) with `at_one_instant = "class"`.
///
/// Where it is the port's own discipline, packets that arrive at one instant at a free link are kept beside
/// the queues until the link has sent. The packet that the link sends needs no room, and the others join in
/// the order of arrival. A class with its own discipline takes its packets at once.
///
/// # Complexity
/// O(classes) per packet.
pub struct ByClass {
    classes: Classes,
    /// The packets that have arrived at this instant and have not joined: the class of each, in the order of
    /// arrival.
    fresh: Vec<(usize, Tau)>,
}

/// The position of the next packet.
enum First {
    /// In the queue of this class; its length.
    Queued(usize, u32),
    /// At this index among the fresh packets.
    Fresh(usize),
}

impl ByClass {
    /// Creates empty classes.
    pub fn new(spec: &PrioritySpec, place: &Place<'_>) -> Self {
        ByClass { classes: Classes::new(&spec.class, spec.buffer, place), fresh: Vec::new() }
    }

    /// The next packet. Within a class, waiting packets go before new arrivals.
    fn first(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<First, Next> {
        let fresh = (0..self.fresh.len()).min_by_key(|place| self.fresh[*place].0);
        let asked = fresh.map_or(self.classes.len(), |place| self.fresh[place].0 + 1);
        let mut earliest: Option<Time> = None;
        for class in 0..asked {
            match self.classes.next(class, now, losses) {
                Next::Ready(length) => return Ok(First::Queued(class, length)),
                Next::Nothing => {}
                Next::Throttled(fires) => {
                    earliest = Some(earliest.map_or(fires, |earliest| earliest.min(fires)));
                }
            }
        }
        fresh.map(First::Fresh).ok_or(earliest.map_or(Next::Nothing, Next::Throttled))
    }
}

impl Discipline for ByClass {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        self.classes.enqueue(tau, flows, losses);
    }

    fn present(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        let class = self.classes.class_of(&tau, flows);
        match self.classes.could_hold(class, tau.packet.length) {
            Some(true) => self.fresh.push((class, tau)),
            Some(false) => losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::BufferFull }),
            None => self.enqueue(tau, flows, losses),
        }
    }

    fn settle(&mut self, losses: &mut Vec<Loss>) {
        for (class, tau) in self.fresh.drain(..) {
            self.classes.join(class, tau, losses);
        }
    }

    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        match self.first(now, losses) {
            Ok(First::Queued(_, length)) => Next::Ready(length),
            Ok(First::Fresh(place)) => Next::Ready(self.fresh[place].1.packet.length),
            Err(none) => none,
        }
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        let (class, tau) = match self.first(now, losses).ok()? {
            First::Queued(class, _) => (class, self.classes.dequeue(class, now, losses)),
            First::Fresh(place) => {
                let (class, tau) = self.fresh.remove(place);
                (class, Some(tau))
            }
        };
        self.classes.idle_below(class, now);
        tau
    }

    fn idle(&mut self, now: Time) {
        self.classes.idle_below(self.classes.len(), now);
    }

    fn backlog(&self) -> Backlog {
        let mut backlog = self.classes.backlog();
        self.fresh.iter().for_each(|(_, tau)| backlog.add(tau.packet.length));
        backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        self.classes.waiting(waiting);
        waiting.extend(self.fresh.iter().map(|(_, tau)| *tau));
    }
}
