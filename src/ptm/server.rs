//! The link as the server of a queueing discipline: one packet at a time.

use super::discipline::{Discipline, Next};
use super::{Arrival, Departure, Loss, Ptm};
use crate::flow::Flows;
use crate::link::Link;
use crate::packet::Tau;
use crate::units::Time;

/// A [`Discipline`] in front of a link.
///
/// The discipline is asked for the next packet when the link becomes free, and when a packet arrives at a
/// free link. Linux likewise runs a qdisc on every enqueue, on every finished transmission and when its timer
/// fires (`__qdisc_run`).
pub struct Server {
    discipline: Box<dyn Discipline>,
    link: Link,
    /// When the link becomes free.
    free: Time,
    /// When the discipline is asked again; `None` while nothing waits.
    next: Option<Time>,
    losses: Vec<Loss>,
    /// The number of `losses` that have been reported.
    told: usize,
}

impl Server {
    /// An idle link behind `discipline`.
    pub fn new(discipline: Box<dyn Discipline>, link: Link) -> Self {
        Server { discipline, link, free: Time::ZERO, next: None, losses: Vec::new(), told: 0 }
    }

    /// Asks the discipline at `now`, when the link is free.
    #[inline]
    fn ask(&mut self, now: Time) {
        self.next = match self.discipline.next(now, &mut self.losses) {
            Next::Nothing => {
                self.discipline.idle(now);
                None
            }
            Next::Ready(_) => Some(now),
            Next::Throttled(fires) => Some(fires.max(now)),
        };
    }

    /// The link is busy from `now` until it becomes free; then the discipline is asked again if packets wait.
    /// An empty discipline is asked at once, as Linux does while the driver has room.
    #[inline]
    fn wait(&mut self, now: Time) {
        if self.discipline.backlog().packets() > 0 {
            self.next = Some(self.free);
        } else {
            self.ask(now);
        }
    }
}

/// A [`Server`] that sends only after all arrivals of the same instant.
///
/// The discipline then knows all packets of the instant before it is asked for the next one:
/// `at_one_instant = "class"` of `priority`. A packet that arrives at the instant when the link becomes free
/// is in time.
pub struct LastServer(Server);

impl LastServer {
    /// An idle link behind `discipline`.
    pub fn new(discipline: Box<dyn Discipline>, link: Link) -> Self {
        LastServer(Server::new(discipline, link))
    }
}

impl Ptm for LastServer {
    fn arrive(&mut self, tau: &Tau, flows: &Flows) -> Arrival {
        let LastServer(server) = self;
        if server.free > tau.timestamp {
            return server.arrive(tau, flows);
        }
        server.discipline.present(*tau, flows, &mut server.losses);
        server.next = Some(tau.timestamp);
        Arrival::Queued
    }

    fn next_departure(&self) -> Option<Time> {
        self.0.next
    }

    fn depart(&mut self) -> Option<Departure> {
        let LastServer(server) = self;
        let start = server.next?;
        let tau = server.discipline.dequeue(start, &mut server.losses);
        if let Some(tau) = tau {
            server.free = start + server.link.transmission_time(tau.packet.byte_count());
        }
        if tau.is_none() || server.free > start {
            server.discipline.settle(&mut server.losses);
        }
        if server.free > start {
            server.wait(start);
        } else {
            server.ask(start);
        }
        tau.map(|tau| Departure { tau, start })
    }

    fn lost(&mut self) -> Option<Loss> {
        self.0.lost()
    }

    fn waiting(&self) -> Vec<Tau> {
        self.0.waiting()
    }

    fn decides_last(&self) -> bool {
        true
    }
}

impl Ptm for Server {
    fn arrive(&mut self, tau: &Tau, flows: &Flows) -> Arrival {
        self.discipline.enqueue(*tau, flows, &mut self.losses);
        if self.free <= tau.timestamp {
            self.ask(tau.timestamp);
        } else if self.next.is_none() {
            self.wait(tau.timestamp);
        }
        Arrival::Queued
    }

    #[inline]
    fn next_departure(&self) -> Option<Time> {
        self.next
    }

    fn depart(&mut self) -> Option<Departure> {
        let start = self.next?;
        let Some(tau) = self.discipline.dequeue(start, &mut self.losses) else {
            self.ask(start);
            return None;
        };
        self.free = start + self.link.transmission_time(tau.packet.byte_count());
        if self.free == start {
            self.ask(start);
        } else {
            self.wait(start);
        }
        Some(Departure { tau, start })
    }

    fn lost(&mut self) -> Option<Loss> {
        let loss = self.losses.get(self.told).copied();
        if loss.is_some() {
            self.told += 1;
        } else {
            self.losses.clear();
            self.told = 0;
        }
        loss
    }

    fn waiting(&self) -> Vec<Tau> {
        let mut waiting = Vec::new();
        self.discipline.waiting(&mut waiting);
        waiting
    }
}
