//! How the engines tell what happens: to the observer at once, or to a log that a thread keeps for it.

use super::collector::Collector;
use super::observer::{Observer, ObserverError};
use super::{Dropped, Hop, Injected};
use crate::packet::{FlowKey, Tau};
use crate::topology::{DeviceId, PortId};
use crate::units::Time;

/// Whom the counting of an engine tells. Nothing comes back: an error of the observer waits until the engine looks for it.
pub(super) trait Told {
    fn hop(&mut self, hop: &Hop);
    fn delivered(&mut self, tau: &Tau, host: DeviceId);
    fn dropped(&mut self, drop: &Dropped);
    fn waits(&mut self, port: PortId, joined: &Tau);
}

/// Tells an observer, which watches or not. Its first error is the last call.
pub(super) struct Telling<'o, O, const WATCHES: bool> {
    observer: &'o mut O,
    error: Option<ObserverError>,
}

impl<'o, O: Observer, const WATCHES: bool> Telling<'o, O, WATCHES> {
    pub fn new(observer: &'o mut O) -> Self {
        Telling { observer, error: None }
    }

    /// Tells it by `tell`.
    #[inline]
    pub fn tell(&mut self, tell: impl FnOnce(&mut O) -> Result<(), ObserverError>) {
        if self.error.is_none()
            && let Err(error) = tell(self.observer)
        {
            self.error = Some(error);
        }
    }

    pub fn flow(&mut self, fid: u32, key: &FlowKey) {
        self.tell(|observer| observer.flow(fid, key));
    }

    pub fn injected(&mut self, injected: &Injected<'_>) {
        self.tell(|observer| observer.injected(injected));
    }

    /// What went wrong, if anything did.
    #[inline]
    pub fn check(&mut self) -> Result<(), ObserverError> {
        if self.error.is_none() {
            return Ok(());
        }
        self.error.take().map_or(Ok(()), Err)
    }
}

impl<O: Observer, const WATCHES: bool> Told for Telling<'_, O, WATCHES> {
    #[inline]
    fn hop(&mut self, hop: &Hop) {
        if WATCHES {
            self.tell(|observer| observer.hop(hop));
        }
    }
    #[inline]
    fn delivered(&mut self, tau: &Tau, host: DeviceId) {
        if WATCHES {
            self.tell(|observer| observer.delivered(tau, host));
        }
    }
    #[inline]
    fn dropped(&mut self, drop: &Dropped) {
        if WATCHES {
            self.tell(|observer| observer.dropped(drop));
        }
    }
    #[inline]
    fn waits(&mut self, port: PortId, joined: &Tau) {
        if WATCHES {
            self.tell(|observer| observer.waits(port, joined));
        }
    }
}

/// Tells an observer and the collector of statistics, where there is one.
pub(super) struct Both<'a, T>(pub &'a mut T, pub &'a mut Option<Collector>);

impl<T: Told> Told for Both<'_, T> {
    #[inline]
    fn hop(&mut self, hop: &Hop) {
        self.0.hop(hop);
        if let Some(collector) = self.1 {
            collector.hop(hop);
        }
    }
    #[inline]
    fn delivered(&mut self, tau: &Tau, host: DeviceId) {
        self.0.delivered(tau, host);
        if let Some(collector) = self.1 {
            collector.arrive(tau, host);
        }
    }
    #[inline]
    fn dropped(&mut self, drop: &Dropped) {
        self.0.dropped(drop);
        if let Some(collector) = self.1 {
            let joined = collector.lose(drop);
            if let Some(port) = drop.port {
                collector.ports[port.index()].lose(drop.reason, joined, drop.at);
            }
        }
    }
    #[inline]
    fn waits(&mut self, port: PortId, joined: &Tau) {
        self.0.waits(port, joined);
        if let Some(collector) = self.1 {
            collector.ports[port.index()].wait(joined.timestamp);
        }
    }
}

/// What a thread writes down for the observer and for the collector of statistics.
#[derive(Debug)]
pub(super) struct Log<const WATCHES: bool> {
    events: Vec<Event>,
    /// None where no statistics are wanted.
    pub kept: Option<Kept>,
}

/// What a thread has for the collector, but for what passed ports or arrived.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub dropped: Vec<Dropped>,
    /// Who waits at the run's end, and since when.
    pub waiting: Vec<(PortId, Time)>,
    /// The flow of each packet that was marked.
    pub marked: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Hop(Hop),
    Delivered(Tau, DeviceId),
    Dropped(Dropped),
    Waits(PortId, Tau),
}

impl<const WATCHES: bool> Log<WATCHES> {
    /// An empty one; `keeps` says whether statistics are wanted.
    pub fn new(keeps: bool) -> Self {
        Log { events: Vec::new(), kept: keeps.then(Kept::default) }
    }

    /// Tells all that is written down, and forgets it.
    pub fn tell<O: Observer>(&mut self, telling: &mut Telling<'_, O, WATCHES>) {
        for event in self.events.drain(..) {
            match event {
                Event::Hop(hop) => telling.hop(&hop),
                Event::Delivered(tau, host) => telling.delivered(&tau, host),
                Event::Dropped(drop) => telling.dropped(&drop),
                Event::Waits(port, joined) => telling.waits(port, &joined),
            }
        }
    }
}

impl<const WATCHES: bool> Told for Log<WATCHES> {
    #[inline]
    fn hop(&mut self, hop: &Hop) {
        if WATCHES {
            self.events.push(Event::Hop(*hop));
        }
    }
    #[inline]
    fn delivered(&mut self, tau: &Tau, host: DeviceId) {
        if WATCHES {
            self.events.push(Event::Delivered(*tau, host));
        }
    }
    #[inline]
    fn dropped(&mut self, drop: &Dropped) {
        if WATCHES {
            self.events.push(Event::Dropped(*drop));
        }
        if let Some(kept) = &mut self.kept {
            kept.dropped.push(*drop);
        }
    }
    #[inline]
    fn waits(&mut self, port: PortId, joined: &Tau) {
        if WATCHES {
            self.events.push(Event::Waits(port, *joined));
        }
        if let Some(kept) = &mut self.kept {
            kept.waiting.push((port, joined.timestamp));
        }
    }
}
