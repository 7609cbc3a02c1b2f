//! RED in front of a link: a departure is known as its packet arrives, since what has joined leaves in order and is not lost.

use std::collections::VecDeque;

use super::{Red, RedSpec};
use crate::flow::Flows;
use crate::packet::{Packet, Tau};
use crate::ptm::buffer::Backlog;
use crate::ptm::fifo::Lindley;
use crate::ptm::{Arrival, Departure, Place, Ptm};
use crate::units::Time;

/// A port with [`Red`]: what a [`Server`](crate::ptm::server::Server) with it does, without an event for each departure.
pub(crate) struct RedPort {
    red: Red,
    link: Lindley,
    /// Starts and lengths of those that may still wait.
    starts: VecDeque<(Time, u32)>,
    backlog: Backlog,
}

impl RedPort {
    /// An idle one.
    pub fn new(spec: &RedSpec, place: &Place<'_>) -> Self {
        RedPort {
            red: Red::new(spec, place),
            link: Lindley::new(&place.link),
            starts: VecDeque::new(),
            backlog: Backlog::default(),
        }
    }

    /// Forgets who has started by `now`; with the last of them it becomes idle.
    fn start_until(&mut self, now: Time) {
        while let Some(&(start, length)) = self.starts.front()
            && start <= now
        {
            self.backlog.remove(length);
            self.starts.pop_front();
            if self.starts.is_empty() {
                self.red.become_idle(start);
            }
        }
    }
}

impl Ptm for RedPort {
    fn arrive(&mut self, tau: &Tau, _flows: &Flows) -> Arrival {
        let (now, Packet { length, ecn, .. }) = (tau.timestamp, tau.packet);
        self.start_until(now);
        let mut joining = *tau;
        if let Err(reason) = self.red.admit(&mut joining, self.backlog) {
            if self.starts.is_empty() {
                self.red.become_idle(now);
            }
            return Arrival::Dropped(reason);
        }
        let (start, _) = self.link.send(now, length);
        if start > now {
            self.backlog.add(length);
            self.starts.push_back((start, length));
        } else {
            self.red.become_idle(now);
        }
        if joining.packet.ecn == ecn { Arrival::Departs(start) } else { Arrival::Marked(start) }
    }

    fn next_departure(&self) -> Option<Time> {
        None
    }

    fn depart(&mut self) -> Option<Departure> {
        None
    }

    fn waiting(&self) -> Vec<Tau> {
        Vec::new()
    }
}
