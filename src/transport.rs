//! Transports: endpoints at hosts that answer what arrives, so that the network's delays and losses come back to the senders.
//!
//! An [`Endpoint`] is a state machine that the engine runs; [`Host`] is the one with TCP. A connection's two ends are
//! [`tcp::Socket`]s, each used by an [`Application`]. What they tell each other is a [`Segment`], which travels beside its packet.

mod application;
mod best_of_window;
mod clock;
pub mod congestion;
mod endpoint;
mod host;
mod host_queue;
mod sample;
mod sampler;
mod segment;
pub mod tcp;
mod timers;

pub use application::{Application, Process, Wake};
pub use clock::{Clock, HostTime};
pub use endpoint::Endpoint;
pub use host::{Host, Opening, Openings, Service};
pub use sample::{Sampling, State, TransportSample};
pub use segment::{Block, Flags, Outbox, Outgoing, SackBlocks, Segment};

use crate::packet::FlowKey;
use crate::units::{Span, Time};

/// What is kept of a connection's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionRecord {
    /// The flow of what this end sends.
    pub key: FlowKey,
    /// Of an end that asked for the connection: the entry of its [`Openings`].
    pub entry: u32,
    /// Whether this end asked for the connection.
    pub opened_here: bool,
    /// When its first segment was sent.
    pub opened: Time,
    /// When both directions were closed, and this end knew.
    pub closed: Option<Time>,
    /// When the peer acknowledged the last byte and the end behind it.
    pub finished: Option<Time>,
    /// When the peer last acknowledged new bytes.
    pub advanced: Time,
    /// Bytes that the peer has acknowledged.
    pub acknowledged: u64,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Segments delivered by acknowledgements that echoed a mark of congestion (ECE): `tcpi_delivered_ce`.
    pub delivered_ce: u64,
    /// It was given up: the peer did not answer for too long.
    pub gave_up: bool,
}

impl ConnectionRecord {
    fn new(key: FlowKey, opened: Time, opened_here: bool) -> Self {
        ConnectionRecord {
            key,
            entry: 0,
            opened_here,
            opened,
            closed: None,
            finished: None,
            advanced: opened,
            acknowledged: 0,
            retransmissions: 0,
            timeouts: 0,
            delivered_ce: 0,
            gave_up: false,
        }
    }

    /// Of an end that asks for a connection.
    fn opened(key: FlowKey, entry: u32, at: Time) -> Self {
        ConnectionRecord { entry, ..Self::new(key, at, true) }
    }

    /// Of an end that is asked.
    fn accepted(key: FlowKey, at: Time) -> Self {
        Self::new(key, at, false)
    }

    /// The time from the SYN to the acknowledgement of the last byte and the end behind it (flow completion time).
    pub fn completion(&self) -> Option<Span> {
        self.finished.filter(|_| self.opened_here).map(|finished| finished.since(self.opened))
    }

    /// Acknowledged bits per second, from the SYN to the last acknowledgement of new bytes.
    pub fn goodput_bps(&self) -> Option<f64> {
        let seconds = self.advanced.since(self.opened).as_ps() as f64 * 1e-12;
        (self.acknowledged > 0 && seconds > 0.0).then(|| 8.0 * self.acknowledged as f64 / seconds)
    }

    /// Takes in what a socket has done by `now`.
    fn note(&mut self, socket: &tcp::Socket, now: Time) {
        let acknowledged = socket.bytes_acknowledged();
        if acknowledged > self.acknowledged {
            self.advanced = now;
        }
        if socket.is_finished() && self.finished.is_none() {
            self.finished = Some(now);
        }
        self.acknowledged = acknowledged;
        self.retransmissions = socket.counts.retransmissions;
        self.timeouts = socket.counts.timeouts;
        self.delivered_ce = socket.delivered_ce();
        self.gave_up = socket.counts.gave_up;
    }
}
