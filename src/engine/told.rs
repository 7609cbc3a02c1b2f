//! How the engines tell what happens: to the observer at once, or to a log that a thread keeps for it.

use super::observer::{Observer, ObserverError};
use super::{Dropped, Hop, Injected};
use crate::packet::{FlowKey, Tau};
use crate::topology::{DeviceId, PortId};

/// Whom the counting of an engine tells. Nothing comes back: an error of the observer waits until the engine looks for it.
pub(super) trait Told {
    /// Whether anything is to be told.
    const WATCHES: bool;
    fn hop(&mut self, hop: &Hop);
    fn delivered(&mut self, tau: &Tau, host: DeviceId);
    fn dropped(&mut self, drop: &Dropped);
    fn waits(&mut self, port: PortId, joined: &Tau);
}

/// Tells an observer, which watches or not. After its first error it is told nothing more.
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
    const WATCHES: bool = WATCHES;
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

/// What a thread writes down for the observer.
#[derive(Debug, Default)]
pub(super) struct Log<const WATCHES: bool>(Vec<Event>);

#[derive(Debug, Clone, Copy)]
enum Event {
    Hop(Hop),
    Delivered(Tau, DeviceId),
    Dropped(Dropped),
    Waits(PortId, Tau),
}

impl<const WATCHES: bool> Log<WATCHES> {
    /// Tells all that is written down, and forgets it.
    pub fn tell<O: Observer>(&mut self, telling: &mut Telling<'_, O, WATCHES>) {
        for event in self.0.drain(..) {
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
    const WATCHES: bool = WATCHES;
    #[inline]
    fn hop(&mut self, hop: &Hop) {
        if WATCHES {
            self.0.push(Event::Hop(*hop));
        }
    }
    #[inline]
    fn delivered(&mut self, tau: &Tau, host: DeviceId) {
        if WATCHES {
            self.0.push(Event::Delivered(*tau, host));
        }
    }
    #[inline]
    fn dropped(&mut self, drop: &Dropped) {
        if WATCHES {
            self.0.push(Event::Dropped(*drop));
        }
    }
    #[inline]
    fn waits(&mut self, port: PortId, joined: &Tau) {
        if WATCHES {
            self.0.push(Event::Waits(port, *joined));
        }
    }
}
