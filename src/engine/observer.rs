//! Who is told what happens in a simulation.

use std::ops::ControlFlow;

use super::{Dropped, Hop, Injected, Progress};
use crate::packet::{FlowKey, Tau};
use crate::statistics::EndedPacket;
use crate::topology::{DeviceId, PortId};
use crate::transport::TransportSample;
use crate::units::Time;

/// Why an observer cannot go on: any error. It ends the run at once, as [`EngineError::Observer`](super::EngineError::Observer).
pub type ObserverError = Box<dyn std::error::Error + Send + Sync>;

/// What an observer answers.
pub type Observed = Result<(), ObserverError>;

/// The error of an observer that wants the run to end: [`EngineError::Interrupted`](super::EngineError::Interrupted).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Told what happens; does what it wants with it. Nothing has to be written but what is of interest.
///
/// Each port's hops come in order, and what happens to one packet comes in order; otherwise the
/// order is the engine's own. What ends at an instant is known once [`settled`](Observer::settled) has passed it.
///
/// Observers compose: a pair of observers is one, and so are a reference, a box, a vector and an option of them. Each of a
/// group is told in its turn, up to the first error.
///
/// # Errors
/// The first error ends the run at once, and comes out of it.
pub trait Observer {
    /// Whether anything is to be told but [`flow`](Observer::flow), [`ended`](Observer::ended), [`sampled`](Observer::sampled),
    /// [`settled`](Observer::settled) and [`progress`](Observer::progress): an engine is faster where not. Asked once, before the run.
    fn watches(&self) -> bool {
        true
    }
    /// A flow appears; `fid` counts up from 0.
    fn flow(&mut self, _fid: u32, _key: &FlowKey) -> Observed {
        Ok(())
    }
    /// A packet enters.
    fn injected(&mut self, _injected: &Injected<'_>) -> Observed {
        Ok(())
    }
    /// A packet has its way through a device.
    fn hop(&mut self, _hop: &Hop) -> Observed {
        Ok(())
    }
    /// A packet has arrived at its destination.
    fn delivered(&mut self, _tau: &Tau, _host: DeviceId) -> Observed {
        Ok(())
    }
    /// A packet is lost.
    fn dropped(&mut self, _drop: &Dropped) -> Observed {
        Ok(())
    }
    /// A packet joined the PTM of a port at `joined.timestamp` and still waits when the run ends.
    fn waits(&mut self, _port: PortId, _joined: &Tau) -> Observed {
        Ok(())
    }
    /// What became of packets, by the instant at which they ended and by pid; at the end of the run, who is still inside.
    /// Told now and then where [`Settings::packets`](super::Settings::packets) asks for it.
    fn ended(&mut self, _packets: &[EndedPacket]) -> Observed {
        Ok(())
    }
    /// The state of a connection's end, by time. Told where [`Settings::transport`](super::Settings::transport) asks for it, and at every
    /// change where a scenario is compared with measured captures.
    fn sampled(&mut self, _sample: &TransportSample) -> Observed {
        Ok(())
    }
    /// Whatever has its end before this instant has been told. Told now and then, and at the end of the run.
    fn settled(&mut self, _before: Time) -> Observed {
        Ok(())
    }
    /// How far the run is. Told now and then, and at the end: some times each second.
    fn progress(&mut self, _progress: &Progress) -> Observed {
        Ok(())
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Observer for Unwatched {
    fn watches(&self) -> bool {
        false
    }
}

/// Shows how far the run is to a function, which may break it off.
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

/// Gives every method that tells something to a macro that implements it.
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

/// To what stands behind a pointer.
macro_rules! behind {
    ($($method:ident($($arg:ident: $type:ty),*))*) => {$(
        #[inline]
        fn $method(&mut self, $($arg: $type),*) -> Observed {
            (**self).$method($($arg),*)
        }
    )*};
}

/// To one after the other.
macro_rules! both {
    ($($method:ident($($arg:ident: $type:ty),*))*) => {$(
        #[inline]
        fn $method(&mut self, $($arg: $type),*) -> Observed {
            self.0.$method($($arg),*)?;
            self.1.$method($($arg),*)
        }
    )*};
}

/// To each in turn.
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

    /// Counts flows, and fails at one.
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
