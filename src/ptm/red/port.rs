//! RED in front of a link: a departure is known as its packet arrives, since what has joined leaves in order and is not lost.

use super::{Red, RedSpec};
use crate::flow::Flows;
use crate::packet::{Packet, Tau};
use crate::ptm::discipline::Discipline;
use crate::ptm::fifo::{Lindley, Starts};
use crate::ptm::{Arrival, Place, Ptm};

/// A port with [`Red`]: what a [`Server`](crate::ptm::server::Server) with it does, without an event for each departure.
pub(crate) struct RedPort {
    red: Red,
    link: Lindley,
    waiting: Starts,
}

impl RedPort {
    /// An idle one.
    pub fn new(spec: &RedSpec, place: &Place<'_>) -> Self {
        RedPort { red: Red::new(spec, place), link: Lindley::new(&place.link), waiting: Starts::default() }
    }
}

impl Ptm for RedPort {
    fn arrive(&mut self, tau: &Tau, _flows: &Flows) -> Arrival {
        let (now, Packet { length, ecn, .. }) = (tau.timestamp, tau.packet);
        // With the last of those that have started the port became idle.
        if let Some(last) = self.waiting.start_until(now)
            && self.waiting.is_empty()
        {
            self.red.idle(last);
        }
        let mut joining = *tau;
        if let Err(reason) = self.red.admit(&mut joining, self.waiting.backlog()) {
            if self.waiting.is_empty() {
                self.red.idle(now);
            }
            return Arrival::Dropped(reason);
        }
        let (start, _) = self.link.send(now, length);
        if start > now {
            self.waiting.push(start, length);
        } else {
            self.red.idle(now);
        }
        if joining.packet.ecn == ecn { Arrival::Departs(start) } else { Arrival::Marked(start) }
    }
}
