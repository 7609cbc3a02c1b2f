//! RED in front of a link. A departure is known when the packet arrives, since queued packets leave in order
//! and are never dropped.

use super::{Red, RedSpec};
use crate::flow::Flows;
use crate::packet::{Packet, Tau};
use crate::ptm::discipline::Discipline;
use crate::ptm::fifo::{Lindley, Starts};
use crate::ptm::{Arrival, Place, Ptm};

/// A port with [`Red`]: equivalent to a [`Server`](crate::ptm::server::Server) with it, without an event for
/// each departure.
pub(crate) struct RedPort {
    red: Red,
    link: Lindley,
    waiting: Starts,
}

impl RedPort {
    /// Creates an idle port.
    pub fn new(spec: &RedSpec, place: &Place<'_>) -> Self {
        RedPort { red: Red::new(spec, place), link: Lindley::new(&place.link), waiting: Starts::default() }
    }
}

impl Ptm for RedPort {
    fn arrive(&mut self, tau: &Tau, _flows: &Flows) -> Arrival {
        let (now, Packet { length, ecn, .. }) = (tau.timestamp, tau.packet);
        // When the last of the started packets left, the port became idle.
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
