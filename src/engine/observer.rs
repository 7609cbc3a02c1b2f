//! Observers receive the events of a simulation.

use std::ops::ControlFlow;

use super::{Dropped, Hop, Injected, Progress};
use crate::packet::{FlowKey, Tau};
use crate::statistics::EndedPacket;
use crate::topology::{DeviceId, PortId};
use crate::transport::TransportSample;
use crate::units::Time;

/// The error of an observer. It ends the run at once, as
/// [`EngineError::Observer`](super::EngineError::Observer).
pub type ObserverError = Box<dyn std::error::Error + Send + Sync>;

/// The result of an observer's method.
pub type Observed = Result<(), ObserverError>;

/// The error with which an observer ends the run:
/// [`EngineError::Interrupted`](super::EngineError::Interrupted).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Receives the events of a simulation. Every method has a default that does nothing.
///
/// The hops of each port are reported in order, and so are the events of each packet. Otherwise the order is
/// the engine's own. All events before an instant have been reported once [`settled`](Observer::settled) has
/// passed it.
///
/// Observers compose: a pair, a reference, a box, a vector and an option of observers are observers. The
/// members of a group receive each event in turn, up to the first error.
///
/// # Errors
/// The first error ends the run at once, and the run returns it.
pub trait Observer {
    /// Whether the observer wants events other than [`flow`](Observer::flow), [`ended`](Observer::ended),
    /// [`sampled`](Observer::sampled), [`settled`](Observer::settled) and [`progress`](Observer::progress).
    /// An engine is faster without them. Called once, before the run.
    fn watches(&self) -> bool {
        true
    }
    /// A new flow. `fid` counts up from 0.
    fn flow(&mut self, _fid: u32, _key: &FlowKey) -> Observed {
        Ok(())
    }
    /// A packet enters the network.
    fn injected(&mut self, _injected: &Injected<'_>) -> Observed {
        Ok(())
    }
    /// A packet passes a device.
    fn hop(&mut self, _hop: &Hop) -> Observed {
        Ok(())
    }
    /// A packet arrives at its destination.
    fn delivered(&mut self, _tau: &Tau, _host: DeviceId) -> Observed {
        Ok(())
    }
    /// A packet is lost.
    fn dropped(&mut self, _drop: &Dropped) -> Observed {
        Ok(())
    }
    /// A packet that joined the PTM of a port at `joined.timestamp` still waits when the run ends.
    fn waits(&mut self, _port: PortId, _joined: &Tau) -> Observed {
        Ok(())
    }
    /// Packets that have ended, ordered by the time of their end and pid; at the end of the run, also the
    /// packets still in the network. Called repeatedly if [`Settings::packets`](super::Settings::packets) is
    /// set.
    fn ended(&mut self, _packets: &[EndedPacket]) -> Observed {
        Ok(())
    }
    /// The state of one end of a connection, in order of time. Called if
    /// [`Settings::transport`](super::Settings::transport) asks for it, and at every change if a scenario is
    /// compared with measured captures.
    fn sampled(&mut self, _sample: &TransportSample) -> Observed {
        Ok(())
    }
    /// All events before this instant have been reported. Called repeatedly, and at the end of the run.
    fn settled(&mut self, _before: Time) -> Observed {
        Ok(())
    }
    /// The progress of the run. Called several times per second, and at the end.
    fn progress(&mut self, _progress: &Progress) -> Observed {
        Ok(())
    }
}

/// An observer that ignores all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Observer for Unwatched {
    fn watches(&self) -> bool {
        false
    }
}

/// Passes the progress of a run to a function, which can interrupt the run.
#[derive(Debug, Clone)]
pub struct OnProgress<F>(pub F);

impl<F: FnMut(&Progress) -> ControlFlow<()>> Observer for OnProgress<F> {
    fn watches(&self) -> bool {
        false
    }
    fn progress(&mut self, progress: &Progress) -> Observed {
        if (self.0)(progress).is_break() { Err(Interrupted.into()) } else { Ok(()) }
    }
}

/// Passes every event method to a macro that implements it.
macro_rules! methods {
    ($with:ident) => {
        $with! {
            flow(fid: u32, key: &FlowKey)
            injected(injected: &Injected<'_>)
            hop(hop: &Hop)
            delivered(tau: &Tau, host: DeviceId)
            dropped(drop: &Dropped)
            waits(port: PortId, joined: &Tau)
            ended(packets: &[EndedPacket])
            sampled(sample: &TransportSample)
            settled(before: Time)
            progress(progress: &Progress)
        }
    };
}

/// Forwards to the observer behind a pointer.
macro_rules! behind {
    ($($method:ident($($arg:ident: $type:ty),*))*) => {$(
        #[inline]
        fn $method(&mut self, $($arg: $type),*) -> Observed {
            (**self).$method($($arg),*)
        }
    )*};
}

/// Forwards to both observers in turn.
macro_rules! both {
    ($($method:ident($($arg:ident: $type:ty),*))*) => {$(
        #[inline]
        fn $method(&mut self, $($arg: $type),*) -> Observed {
            self.0.$method($($arg),*)?;
            self.1.$method($($arg),*)
        }
    )*};
}

/// Forwards to each observer in turn.
macro_rules! each {
    ($($method:ident($($arg:ident: $type:ty),*))*) => {$(
        #[inline]
        fn $method(&mut self, $($arg: $type),*) -> Observed {
            self.iter_mut().try_for_each(|one| one.$method($($arg),*))
        }
    )*};
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn watches(&self) -> bool {
        (**self).watches()
    }
    methods!(behind);
}

impl<O: Observer + ?Sized> Observer for Box<O> {
    fn watches(&self) -> bool {
        (**self).watches()
    }
    methods!(behind);
}

impl<A: Observer, B: Observer> Observer for (A, B) {
    fn watches(&self) -> bool {
        self.0.watches() || self.1.watches()
    }
    methods!(both);
}

impl<O: Observer> Observer for Vec<O> {
    fn watches(&self) -> bool {
        self.iter().any(O::watches)
    }
    methods!(each);
}

impl<O: Observer> Observer for Option<O> {
    fn watches(&self) -> bool {
        self.iter().any(O::watches)
    }
    methods!(each);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts flows, and fails at one of them.
    struct Flows(Vec<u32>, u32);
    impl Observer for Flows {
        fn watches(&self) -> bool {
            false
        }
        fn flow(&mut self, fid: u32, _key: &FlowKey) -> Observed {
            self.0.push(fid);
            if fid == self.1 { Err("enough".into()) } else { Ok(()) }
        }
    }

    #[test]
    fn each_of_a_group_is_told_up_to_the_first_error() {
        let key = FlowKey::Link { source: None, destination: None, ether_type: None };
        let (mut first, mut last) = (Flows(Vec::new(), 1), Flows(Vec::new(), 9));
        let mut boxed: Box<dyn Observer> = Box::new(Unwatched);
        let mut group = (&mut first, (vec![&mut boxed], Some(&mut last)));
        group.flow(0, &key).unwrap();
        assert_eq!(group.flow(1, &key).unwrap_err().to_string(), "enough");
        assert!(!group.watches());
        assert_eq!((first.0, last.0), (vec![0, 1], vec![0]));
    }
}
