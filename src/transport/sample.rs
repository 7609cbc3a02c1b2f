//! A sample of the state of a sender, as `ss -ti` shows it.

use serde::{Deserialize, Serialize};

use crate::units::{Span, Time};

/// The state of a sender's congestion control.
///
/// # Source
/// Linux `include/uapi/linux/tcp.h`, `enum tcp_ca_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Normal operation.
    #[default]
    Open,
    /// Segments are out of order, or may be lost.
    Disorder,
    /// The window is reduced without a loss (CWR).
    #[serde(rename = "cwr")]
    Reduced,
    /// Loss recovery is in progress.
    Recovery,
    /// The retransmission timeout has expired.
    Loss,
}

impl State {
    /// All states, by number.
    pub const ALL: [State; 5] = [State::Open, State::Disorder, State::Reduced, State::Recovery, State::Loss];

    /// The kernel's name: `open`, `disorder`, `cwr`, `recovery`, `loss`.
    pub const fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Disorder => "disorder",
            State::Reduced => "cwr",
            State::Recovery => "recovery",
            State::Loss => "loss",
        }
    }

    /// The kernel's number.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// The state of a sending end of a connection at a time.
///
/// # Source
/// Linux `include/uapi/linux/tcp.h`, `struct tcp_info`: the field of each is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportSample {
    /// The instant.
    pub time: Time,
    /// The flow from this end: the endpoint's own number in an [`Outbox`](super::Outbox), the run's number at
    /// an observer.
    pub fid: u32,
    /// The congestion window, in segments (`tcpi_snd_cwnd`).
    pub cwnd: u32,
    /// The slow start threshold, in segments; `None` while it is unset (`tcpi_snd_ssthresh`).
    pub ssthresh: Option<u32>,
    /// The smoothed round-trip time, in whole microseconds; `None` before the first sample (`tcpi_rtt`).
    pub srtt: Option<Span>,
    /// The retransmission timeout, including back-off (`tcpi_rto`).
    pub rto: Span,
    /// The state of congestion control (`tcpi_ca_state`).
    pub state: State,
    /// Segments in flight: unacknowledged, minus sacked and lost, plus retransmitted segments
    /// (`tcp_packets_in_flight`).
    pub in_flight: u32,
    /// Unacknowledged segments (`tcpi_unacked`).
    pub unacknowledged: u32,
    /// Bytes of payload in a full segment (`tcpi_snd_mss`).
    pub mss: u32,
    /// Bytes of the stream acknowledged by the peer.
    pub acknowledged: u64,
    /// Segments delivered by acknowledgements with an ECN echo (`tcpi_delivered_ce`).
    pub delivered_ce: u64,
    /// For DCTCP: the smoothed fraction of marked segments, in 1/1024 (`dctcp_alpha` in
    /// `struct tcp_dctcp_info`).
    pub alpha: Option<u32>,
    /// The minimum round-trip time of five minutes, in whole microseconds; `None` before the first sample
    /// (`tcpi_min_rtt`).
    pub least_rtt: Option<Span>,
    /// The pacing rate in bytes per second, if bursts are paced (`tcpi_pacing_rate`).
    pub pacing_rate: Option<u64>,
}

/// When samples are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// After each event that changes the sample of a connection.
    Changes,
    /// At multiples of this interval, from 0: the state after all events up to then. An interval of zero
    /// means [`Changes`](Sampling::Changes).
    Every(Span),
    /// Both of the above. A periodic sample equals the last change of the flow, except for its time.
    Both(Span),
}

impl Sampling {
    /// The same sampling, with every change.
    pub fn with_changes(self) -> Self {
        match self {
            Sampling::Every(Span::ZERO) | Sampling::Changes => Sampling::Changes,
            Sampling::Every(every) | Sampling::Both(every) => Sampling::Both(every),
        }
    }

    /// Whether every change is sampled.
    pub fn has_changes(self) -> bool {
        !matches!(self, Sampling::Every(every) if every > Span::ZERO)
    }

    /// The interval of periodic samples; `None` without them.
    pub fn period(self) -> Option<Span> {
        match self {
            Sampling::Changes => None,
            Sampling::Every(every) | Sampling::Both(every) => Some(every).filter(|every| *every > Span::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_numbers_and_names_of_the_kernel() {
        let named: Vec<_> = State::ALL.iter().map(|state| (state.number(), state.name())).collect();
        assert_eq!(named, [(0, "open"), (1, "disorder"), (2, "cwr"), (3, "recovery"), (4, "loss")]);
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
