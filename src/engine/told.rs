//! Event reporting: to the observer directly, or to the log of a thread.

use super::collector::Collector;
use super::observer::{Observer, ObserverError};
use super::{Dropped, Hop, Injected};
use crate::packet::{FlowKey, Tau};
use crate::topology::{DeviceId, PortId};
use crate::units::Time;

/// The receiver of an engine's reports. Its methods return nothing: an error of the observer is kept until
/// the engine checks for it.
pub(super) trait Told {
    fn hop(&mut self, hop: &Hop);
    fn delivered(&mut self, tau: &Tau, host: DeviceId);
    fn dropped(&mut self, drop: &Dropped);
    fn waits(&mut self, port: PortId, joined: &Tau);
}

/// Reports to an observer, if it watches. No call follows its first error.
pub(super) struct Telling<'o, O, const WATCHES: bool> {
    observer: &'o mut O,
    error: Option<ObserverError>,
}

impl<'o, O: Observer, const WATCHES: bool> Telling<'o, O, WATCHES> {
    pub fn new(observer: &'o mut O) -> Self {
        Telling { observer, error: None }
    }

    /// Reports by calling `tell`.
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

    /// Returns the observer's error, if there was one.
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

/// Reports to an observer and to the collector of statistics, if there is one.
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

/// The log of a thread for the observer and the collector of statistics.
#[derive(Debug)]
pub(super) struct Log<const WATCHES: bool> {
    events: Vec<Event>,
    /// Records for statistics; `None` if they are not requested.
    pub kept: Option<Kept>,
}

/// The records of a thread for the collector, apart from packets that passed ports or arrived.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub dropped: Vec<Dropped>,
    /// The packets that wait at the run's end: port, and time of joining.
    pub waiting: Vec<(PortId, Time)>,
    /// The flow of each marked packet.
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
    /// An empty log. `keeps` states whether statistics are requested.
    pub fn new(keeps: bool) -> Self {
        Log { events: Vec::new(), kept: keeps.then(Kept::default) }
    }

    /// Reports the contents of the log, and clears it.
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
