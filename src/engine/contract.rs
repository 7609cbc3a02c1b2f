//! The contracts that sources and PTMs, including those of other crates, must keep. Debug builds check them
//! and panic with the violation. A violation is a bug in the source or PTM; in a release build it gives wrong
//! results.

use rustc_hash::FxHashMap;

use crate::flow::Flows;
use crate::packet::Tau;
use crate::ptm::{Arrival, Departure, Loss, Ptm};
use crate::units::Time;

/// Whether the contracts are checked.
pub(super) const CHECKED: bool = cfg!(debug_assertions);

/// Checks that the times of a source never decrease.
#[derive(Debug, Default)]
pub(super) struct InOrder {
    last: Time,
}

impl InOrder {
    /// Checks the next packets of a source.
    ///
    /// # Panics
    /// A packet precedes the one before it.
    pub fn check(&mut self, source: usize, taus: &[Tau]) {
        for tau in taus {
            let (at, last) = (tau.timestamp, self.last);
            assert!(
                at >= last,
                "source {source} sends a packet at {at} after one at {last}: its packets must be in order of time"
            );
            self.last = at;
        }
    }
}

/// A PTM whose decisions are checked. A packet that leaves or is lost must have joined before, and must not
/// leave more often than it joined.
pub(super) struct Checked {
    ptm: Box<dyn Ptm>,
    /// The name of the port.
    port: Box<str>,
    /// The number of times each packet waits, by pid. In a forwarding loop a packet can wait twice.
    waiting: FxHashMap<u64, u32>,
    /// The start of the last departure.
    last: Time,
}

impl Checked {
    pub fn new(ptm: Box<dyn Ptm>, port: &str) -> Self {
        Checked { ptm, port: port.into(), waiting: FxHashMap::default(), last: Time::ZERO }
    }

    fn joins(&mut self, tau: &Tau) {
        *self.waiting.entry(tau.packet.pid).or_default() += 1;
    }

    fn leaves(&mut self, tau: &Tau, at: Time, how: &str) {
        let (pid, port) = (tau.packet.pid, &self.port);
        assert!(
            at >= tau.timestamp,
            "packet {pid} {how} {port} at {at}, before it joined at {}",
            tau.timestamp
        );
        match self.waiting.get_mut(&pid) {
            Some(1) => drop(self.waiting.remove(&pid)),
            Some(times) => *times -= 1,
            None => panic!("packet {pid} {how} {port} at {at}, but does not wait there"),
        }
    }

    fn departs(&mut self, departure: &Departure) {
        let (start, last) = (departure.start, self.last);
        self.leaves(&departure.tau, start, "leaves");
        assert!(start >= last, "{} sends a packet at {start} after one at {last}", self.port);
        self.last = start;
    }

    fn loses(&mut self, loss: &Loss) {
        self.leaves(&loss.tau, loss.at, "is lost at");
    }
}

impl Ptm for Checked {
    fn arrive(&mut self, tau: &Tau, flows: &Flows) -> Arrival {
        let arrival = self.ptm.arrive(tau, flows);
        self.joins(tau);
        match arrival {
            Arrival::Departs(start) | Arrival::Marked(start) => {
                self.departs(&Departure { tau: *tau, start });
            }
            Arrival::Dropped(reason) => self.loses(&Loss { tau: *tau, at: tau.timestamp, reason }),
            Arrival::Queued => {}
        }
        arrival
    }

    fn next_departure(&self) -> Option<Time> {
        self.ptm.next_departure()
    }

    fn depart(&mut self) -> Option<Departure> {
        let departure = self.ptm.depart();
        if let Some(departure) = &departure {
            self.departs(departure);
        }
        departure
    }

    fn lost(&mut self) -> Option<Loss> {
        let loss = self.ptm.lost();
        if let Some(loss) = &loss {
            self.loses(loss);
        }
        loss
    }

    fn decides_last(&self) -> bool {
        self.ptm.decides_last()
    }

    fn waiting(&self) -> Vec<Tau> {
        let waiting = self.ptm.waiting();
        let known: u32 = self.waiting.values().sum();
        let (port, shown) = (&self.port, waiting.len());
        assert!(
            shown == known as usize,
            "{shown} packets wait at {port}, but {known} joined and have not left"
        );
        waiting
    }

    fn forward_trace(
        &mut self,
        ingress: &[Tau],
        flows: &Flows,
        until: Time,
        departures: &mut Vec<Departure>,
        losses: &mut Vec<Loss>,
    ) {
        let (left, lost) = (departures.len(), losses.len());
        self.ptm.forward_trace(ingress, flows, until, departures, losses);
        ingress.iter().for_each(|tau| self.joins(tau));
        departures[left..].iter().for_each(|departure| self.departs(departure));
        losses[lost..].iter().for_each(|loss| self.loses(loss));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{DropReason, Packet};

    /// A PTM that returns prepared decisions.
    #[derive(Default)]
    struct Puppet {
        departures: Vec<Departure>,
        losses: Vec<Loss>,
    }

    impl Ptm for Puppet {
        fn arrive(&mut self, _tau: &Tau, _flows: &Flows) -> Arrival {
            Arrival::Queued
        }
        fn next_departure(&self) -> Option<Time> {
            None
        }
        fn depart(&mut self) -> Option<Departure> {
            self.departures.pop()
        }
        fn lost(&mut self) -> Option<Loss> {
            self.losses.pop()
        }
        fn waiting(&self) -> Vec<Tau> {
            Vec::new()
        }
    }

    fn tau(pid: u64, at: u64) -> Tau {
        Tau { timestamp: Time::from_ps(at), packet: Packet { pid, ..Packet::default() } }
    }

    /// The panic message of the check after packet 1 has joined at 5 ps.
    fn said(puppet: Puppet, act: fn(&mut Checked)) -> String {
        let mut checked = Checked::new(Box::new(puppet), "r:0");
        checked.arrive(&tau(1, 5), &Flows::default());
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(&mut checked)));
        panic.map_or_else(|said| *said.downcast::<String>().unwrap(), |()| "nothing".to_owned())
    }

    #[test]
    fn who_leaves_has_joined_and_not_left() {
        let departs = |pid, at, start| {
            let start = Time::from_ps(start);
            Puppet { departures: vec![Departure { tau: tau(pid, at), start }], losses: Vec::new() }
        };
        let loses = |pid| {
            let loss = Loss { tau: tau(pid, 5), at: Time::from_ps(6), reason: DropReason::BufferFull };
            Puppet { departures: Vec::new(), losses: vec![loss] }
        };
        let depart = |checked: &mut Checked| assert!(checked.depart().is_some());
        let lost = |checked: &mut Checked| assert!(checked.lost().is_some());
        assert_eq!(said(departs(1, 5, 5), depart), "nothing");
        assert_eq!(said(loses(1), lost), "nothing");
        assert!(said(departs(2, 5, 5), depart).contains("packet 2 leaves r:0 at"));
        assert!(said(departs(1, 5, 4), depart).contains("before it joined"));
        assert!(said(loses(2), lost).contains("packet 2 is lost at r:0"));
        assert!(
            said(Puppet::default(), |checked| drop(checked.waiting()))
                .contains("0 packets wait at r:0, but 1")
        );
    }

    #[test]
    fn a_source_goes_by_time() {
        let mut order = InOrder::default();
        order.check(0, &[tau(1, 3), tau(2, 3), tau(3, 4)]);
        let panic = std::panic::catch_unwind(move || order.check(0, &[tau(4, 3)]));
        assert!(panic.unwrap_err().downcast::<String>().unwrap().contains("source 0 sends a packet at"));
    }
}
