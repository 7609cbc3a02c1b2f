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
pub mod ideal;
mod kept;
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
pub use segment::{Answer, Block, Flags, Outbox, Outgoing, Sack, Segment};

use crate::packet::FlowKey;
use crate::units::{Span, Time};

/// What is kept of a connection's end: in few bytes, since there may be millions of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionRecord {
    /// The flow of what this end sends.
    pub key: FlowKey,
    /// The same by its number: the endpoint's own, or in results the run's.
    pub fid: u32,
    /// Of an end that asked for the connection: the entry of its [`Openings`].
    pub entry: u32,
    /// Whether this end asked for the connection.
    pub opened_here: bool,
    /// It was given up: the peer did not answer for too long.
    pub gave_up: bool,
    /// The most bytes of payload in a segment.
    pub segment: u16,
    /// Bytes of the options of each data segment.
    pub options: u8,
    /// When its first segment was sent.
    pub opened: Time,
    /// From when on its bytes, retransmissions and timeouts count: from `opened` on, or from the end of the warm-up.
    pub counted_from: Time,
    /// [`Time::NEVER`] until then; the same of the next.
    pub(crate) closed: Time,
    pub(crate) finished: Time,
    /// [`Span::ZERO`] where there is none.
    pub(crate) ideal: Span,
    /// When the peer last acknowledged new bytes.
    pub advanced: Time,
    /// Bytes that the peer has acknowledged.
    pub acknowledged: u64,
    /// Segments sent again.
    pub retransmissions: u32,
    /// Retransmission timeouts.
    pub timeouts: u32,
    /// Segments delivered by acknowledgements that echoed a mark of congestion (ECE): `tcpi_delivered_ce`.
    pub delivered_ce: u32,
}

impl ConnectionRecord {
    /// When both directions were closed, and this end knew.
    pub fn closed(&self) -> Option<Time> {
        Some(self.closed).filter(|closed| *closed < Time::NEVER)
    }

    /// When the peer acknowledged the last byte and the end behind it.
    pub fn finished(&self) -> Option<Time> {
        Some(self.finished).filter(|finished| *finished < Time::NEVER)
    }

    /// The least completion time that the empty network allows, as [`ideal::completion`] has it; none of an end that has not finished.
    pub fn ideal(&self) -> Option<Span> {
        Some(self.ideal).filter(|ideal| *ideal > Span::ZERO)
    }

    /// Whether all of it counts: it was opened from the end of the warm-up on.
    pub fn is_whole(&self) -> bool {
        self.opened >= self.counted_from
    }

    /// The time from the SYN to the acknowledgement of the last byte and the end behind it (flow completion time).
    pub fn completion(&self) -> Option<Span> {
        let finished = self.finished().filter(|_| self.opened_here && self.is_whole());
        finished.map(|finished| finished.since(self.opened))
    }

    /// The completion time over its ideal.
    pub fn slowdown(&self) -> Option<f64> {
        Some(self.completion()?.as_ps() as f64 / self.ideal()?.as_ps() as f64)
    }

    /// Acknowledged bits per second, from the SYN, or the end of the warm-up, to the last acknowledgement of new bytes.
    pub fn goodput_bps(&self) -> Option<f64> {
        let seconds = self.advanced.since(self.counted_from).as_ps() as f64 * 1e-12;
        (self.acknowledged > 0 && seconds > 0.0).then(|| 8.0 * self.acknowledged as f64 / seconds)
    }
}
