//! The state of a sender over time, as `ss -ti` shows it: one sample.

use serde::{Deserialize, Serialize};

use crate::units::{Span, Time};

/// The state of a sender's congestion control.
///
/// # Source
/// Linux `include/uapi/linux/tcp.h`, `enum tcp_ca_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing is wrong.
    #[default]
    Open,
    /// Segments are out of order, or lost.
    Disorder,
    /// The window is reduced without a loss to repair.
    #[serde(rename = "cwr")]
    Reduced,
    /// Losses are repaired.
    Recovery,
    /// The retransmission timeout has passed.
    Loss,
}

impl State {
    /// All states, by their numbers.
    pub const ALL: [State; 5] = [State::Open, State::Disorder, State::Reduced, State::Recovery, State::Loss];

    /// The kernel's name of it: `open`, `disorder`, `cwr`, `recovery`, `loss`.
    pub const fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Disorder => "disorder",
            State::Reduced => "cwr",
            State::Recovery => "recovery",
            State::Loss => "loss",
        }
    }

    /// The kernel's number of it.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// The state of a connection's end that sends data, at an instant.
///
/// # Source
/// Linux `include/uapi/linux/tcp.h`, `struct tcp_info`: the field of each is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportSample {
    /// The instant.
    pub time: Time,
    /// The flow of what this end sends: by the endpoint's own number in an [`Outbox`](super::Outbox), by the run's number where an
    /// observer sees it.
    pub fid: u32,
    /// The congestion window, in segments (`tcpi_snd_cwnd`).
    pub cwnd: u32,
    /// The slow start threshold, in segments; none while there is none (`tcpi_snd_ssthresh`).
    pub ssthresh: Option<u32>,
    /// The smoothed round-trip time, in whole microseconds; none before the first sample (`tcpi_rtt`).
    pub srtt: Option<Span>,
    /// The retransmission timeout, backed off after timeouts (`tcpi_rto`).
    pub rto: Span,
    /// The state of congestion control (`tcpi_ca_state`).
    pub state: State,
    /// Segments in flight: sent and not acknowledged, less those that are sacked or taken for lost, and those sent again once more
    /// (`tcp_packets_in_flight`).
    pub in_flight: u32,
    /// Segments sent and not acknowledged (`tcpi_unacked`).
    pub unacknowledged: u32,
    /// Bytes of payload in a full segment (`tcpi_snd_mss`).
    pub mss: u32,
    /// Bytes of the stream that the peer has acknowledged.
    pub acknowledged: u64,
    /// Segments delivered by acknowledgements that echoed a mark (`tcpi_delivered_ce`).
    pub delivered_ce: u64,
    /// Of DCTCP: the part of segments that are marked, smoothed, in 1/1024 (`dctcp_alpha` in `struct tcp_dctcp_info`).
    pub alpha: Option<u32>,
    /// The least round-trip time of five minutes, in whole microseconds; none before the first sample (`tcpi_min_rtt`).
    pub least_rtt: Option<Span>,
    /// The pacing rate in bytes per second, where bursts are paced (`tcpi_pacing_rate`).
    pub pacing_rate: Option<u64>,
}

/// When samples are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// After each event at a connection that has changed anything of its sample.
    Changes,
    /// At 0, at this time, twice it, and so on: the state after everything that happens by then. No time at all means
    /// [`Changes`](Sampling::Changes).
    Every(Span),
    /// Both of the above. What is sampled at an instant is what the last change of the flow has left, but for the time.
    Both(Span),
}

impl Sampling {
    /// The same, and every change.
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

    /// How far apart instants are that are sampled; none where there are none.
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
