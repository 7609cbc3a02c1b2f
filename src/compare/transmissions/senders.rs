//! The internal state of simulated senders over time.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::transport::{State, TransportSample};
use crate::units::{Span, Time};

/// The state of a simulated sender. Its fields are columns of the table `transport`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransportState {
    /// The state of congestion control.
    pub state: State,
    /// The congestion window.
    pub cwnd_segments: u32,
    /// The slow start threshold; `None` while it is infinite.
    pub ssthresh_segments: Option<u32>,
    /// Segments in flight.
    pub in_flight_segments: u32,
    /// The smoothed round-trip time; `None` before the first sample.
    pub srtt_us: Option<u32>,
    /// The retransmission timeout.
    pub rto_us: u32,
}

/// The state of a simulated sender around an instant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TransportAround {
    /// The instant, in seconds since the start of the run.
    pub at_s: f64,
    /// The state before all events at this instant; `None` before the first sample.
    pub before: Option<TransportState>,
    /// The state after all events at this instant.
    pub after: Option<TransportState>,
}

/// The states of all senders of a run: 40 bytes per change of a stored field.
#[derive(Debug, Default)]
pub struct Senders(FxHashMap<u32, Sender>);

#[derive(Debug, Default)]
struct Sender {
    last: Option<TransportSample>,
    changes: Vec<(Time, TransportState)>,
}

impl Senders {
    /// Adds a sample. Samples are in time order and cover all changes of a flow. Returns whether this one is
    /// a change.
    pub fn sampled(&mut self, sample: &TransportSample) -> bool {
        let state = TransportState::of(sample);
        let sender = self.0.entry(sample.fid).or_default();
        let before = sender.last.replace(*sample);
        let is_change =
            before.is_none_or(|before| TransportSample { time: sample.time, ..before } != *sample);
        if sender.changes.last().is_none_or(|(_, known)| *known != state) {
            sender.changes.push((sample.time, state));
        }
        is_change
    }

    /// The state of the sender of a flow around an instant, in picoseconds since the start of the run; `None`
    /// for a flow without samples.
    pub fn around(&self, fid: u32, at_ps: i64) -> Option<TransportAround> {
        let changes = &self.0.get(&fid)?.changes;
        let at = Time::from_ps(at_ps.try_into().unwrap_or(0));
        let last = |count: usize| changes[..count].last().map(|(_, state)| *state);
        Some(TransportAround {
            at_s: at_ps as f64 / 1e12,
            before: last(changes.partition_point(|(time, _)| *time < at)),
            after: last(changes.partition_point(|(time, _)| *time <= at)),
        })
    }
}

impl TransportState {
    fn of(sample: &TransportSample) -> Self {
        let microseconds = |span: Span| (span.as_ps() / 1_000_000).try_into().unwrap_or(u32::MAX);
        TransportState {
            state: sample.state,
            cwnd_segments: sample.cwnd,
            ssthresh_segments: sample.ssthresh,
            in_flight_segments: sample.in_flight,
            srtt_us: sample.srtt.map(microseconds),
            rto_us: microseconds(sample.rto),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(ps: u64, cwnd: u32, acknowledged: u64) -> TransportSample {
        TransportSample {
            time: Time::from_ps(ps),
            fid: 3,
            cwnd,
            ssthresh: None,
            srtt: Some(Span::from_ns(40_001_000)),
            rto: Span::from_ns(204_000_000),
            state: State::Open,
            in_flight: 1,
            unacknowledged: 1,
            mss: 1_448,
            acknowledged,
            delivered_ce: 0,
            alpha: None,
            least_rtt: None,
            pacing_rate: None,
        }
    }

    #[test]
    fn what_is_known_around_an_instant() {
        let mut senders = Senders::default();
        // A change, a sample without a change at an instant, a change of a field that is not stored, and two
        // changes at one instant.
        let samples = [(10, 10, 0), (15, 10, 0), (20, 10, 1), (30, 11, 2), (30, 12, 2)];
        let changes = samples.map(|(ps, cwnd, bytes)| senders.sampled(&sample(ps, cwnd, bytes)));
        assert_eq!(changes, [true, false, true, true, true]);
        let around = |at| {
            let found = senders.around(3, at).unwrap();
            [found.before, found.after].map(|state| state.map(|state| state.cwnd_segments))
        };
        assert_eq!([-5, 9].map(around), [[None, None]; 2]);
        assert_eq!([10, 29].map(around), [[None, Some(10)], [Some(10), Some(10)]]);
        assert_eq!([30, 31].map(around), [[Some(10), Some(12)], [Some(12), Some(12)]]);
        let state = senders.around(3, 31).unwrap().after.unwrap();
        assert_eq!((state.srtt_us, state.rto_us), (Some(40_001), 204_000));
        assert_eq!(senders.around(4, 30), None);
        assert_eq!(size_of::<(Time, TransportState)>(), 40);
    }
}
