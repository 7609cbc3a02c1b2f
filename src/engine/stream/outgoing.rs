//! The packets of a feeder that no port takes in this window.

use super::inboxes::{Bringer, Inboxes};
use crate::engine::chunks::Chunks;
use crate::packet::Tau;
use crate::pfm::Pfm;
use crate::topology::PortId;
use crate::units::Time;

/// Packets of one feeder on their way to its device.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub feeder: Bringer,
    /// Packets that join a port in a later window.
    later: Chunks<Joining, 256>,
    /// Packets that arrive at the device as their destination, if statistics are requested: within the
    /// window, and after it.
    home: Vec<Tau>,
    home_later: Chunks<Tau, 256>,
}

/// A packet with the time at which it joins a port. There may be millions of them, so the port is stored in
/// the packet in place of the column, which follows from the class.
#[derive(Debug, Clone, Copy)]
struct Joining(Tau);

impl Joining {
    fn new(port: PortId, mut tau: Tau) -> Self {
        tau.packet.way.column = port.index() as u32;
        Joining(tau)
    }

    fn open(self, pfm: &Pfm) -> (PortId, Tau) {
        let Joining(mut tau) = self;
        let port = PortId::new(tau.packet.way.column as usize);
        tau.packet.way = pfm.way_of_class(tau.packet.way.class);
        (port, tau)
    }
}

impl Outgoing {
    pub fn new(feeder: Bringer) -> Self {
        Outgoing { feeder, later: Chunks::default(), home: Vec::new(), home_later: Chunks::default() }
    }

    /// Adds a packet that joins a port, in this window or later.
    #[inline]
    pub fn join(&mut self, inboxes: &mut Inboxes, port: PortId, tau: Tau) {
        if tau.timestamp < inboxes.end() {
            inboxes.push(self.feeder, port, &tau);
        } else {
            self.join_later(port, tau);
        }
    }

    /// Adds a packet that joins a port after this window.
    #[inline]
    pub fn join_later(&mut self, port: PortId, tau: Tau) {
        self.later.push(Joining::new(port, tau));
    }

    /// Passes the packets of earlier windows that join ports in this window.
    #[inline]
    pub fn begin(&mut self, inboxes: &mut Inboxes, pfm: &Pfm) {
        if self.later.len() > 0 {
            self.bring(inboxes, pfm);
        }
    }

    #[inline(never)]
    fn bring(&mut self, inboxes: &mut Inboxes, pfm: &Pfm) {
        let mut later = std::mem::take(&mut self.later);
        if self.feeder.is_unordered {
            for joining in later.iter() {
                let (port, tau) = joining.open(pfm);
                self.join(inboxes, port, tau);
            }
            return;
        }
        let end = inboxes.end();
        later.forget_while(|joining| {
            let joins = joining.0.timestamp < end;
            if joins {
                let (port, tau) = joining.open(pfm);
                inboxes.push(self.feeder, port, &tau);
            }
            joins
        });
        self.later = later;
    }

    /// Adds a packet that arrives at its destination.
    #[inline(always)]
    pub fn arrive(&mut self, tau: Tau, end: Time) {
        if tau.timestamp < end || self.feeder.is_unordered {
            self.home.push(tau)
        } else {
            self.home_later.push(tau)
        }
    }

    /// Takes the packets that arrive before an instant, which is not before the end of the last window. Of a
    /// reordering feeder, takes all packets.
    pub fn take_home(&mut self, before: Time, arrived: &mut Vec<Tau>) {
        arrived.append(&mut self.home);
        self.home_later.forget_while(|tau| {
            let arrives = tau.timestamp < before;
            if arrives {
                arrived.push(*tau);
            }
            arrives
        });
    }
}
