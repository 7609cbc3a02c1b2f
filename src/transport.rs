//! Transports: endpoints at hosts that react to arriving packets, so that delays and losses of the network
//! affect the senders (closed loop).
//!
//! An [`Endpoint`] is a state machine run by the engine. [`Host`] implements TCP. The two ends of a
//! connection are [`tcp::Socket`]s, each used by an [`Application`]. They exchange [`Segment`]s, which the
//! engine carries beside their packets.

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

/// The record of one end of a connection. It is compact, since there may be millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionRecord {
    /// The flow from this end.
    pub key: FlowKey,
    /// The number of that flow: the endpoint's own, or the run's in results.
    pub fid: u32,
    /// At the opening end: the entry of its [`Openings`].
    pub entry: u32,
    /// Whether this end opened the connection.
    pub opened_here: bool,
    /// Whether it was given up because the peer did not answer for too long.
    pub gave_up: bool,
    /// The maximum segment size: bytes of payload.
    pub segment: u16,
    /// The bytes of options in each data segment.
    pub options: u8,
    /// When the first segment was sent.
    pub opened: Time,
    /// The start of counting of bytes, retransmissions and timeouts: `opened`, or the end of the warm-up if
    /// later.
    pub counted_from: Time,
    /// [`Time::NEVER`] until then; also for the next field.
    pub(crate) closed: Time,
    pub(crate) finished: Time,
    /// [`Span::ZERO`] if there is none.
    pub(crate) ideal: Span,
    /// When the peer last acknowledged new bytes.
    pub advanced: Time,
    /// The number of bytes acknowledged by the peer.
    pub acknowledged: u64,
    /// The number of retransmitted segments.
    pub retransmissions: u32,
    /// The number of retransmission timeouts.
    pub timeouts: u32,
    /// The number of segments delivered by acknowledgements with an ECN echo (ECE): `tcpi_delivered_ce`.
    pub delivered_ce: u32,
}

impl ConnectionRecord {
    /// When this end learned that both directions were closed.
    pub fn closed(&self) -> Option<Time> {
        Some(self.closed).filter(|closed| *closed < Time::NEVER)
    }

    /// When the peer acknowledged the last byte and the FIN.
    pub fn finished(&self) -> Option<Time> {
        Some(self.finished).filter(|finished| *finished < Time::NEVER)
    }

    /// The ideal completion time in an empty network, as [`ideal::completion`] defines it; `None` for an end
    /// that has not finished.
    pub fn ideal(&self) -> Option<Span> {
        Some(self.ideal).filter(|ideal| *ideal > Span::ZERO)
    }

    /// Whether all of the connection counts: it was opened after the warm-up.
    pub fn is_whole(&self) -> bool {
        self.opened >= self.counted_from
    }

    /// The flow completion time: from the SYN to the acknowledgement of the last byte and the FIN.
    pub fn completion(&self) -> Option<Span> {
        let finished = self.finished().filter(|_| self.opened_here && self.is_whole());
        finished.map(|finished| finished.since(self.opened))
    }

    /// The completion time divided by the ideal completion time.
    pub fn slowdown(&self) -> Option<f64> {
        Some(self.completion()?.as_ps() as f64 / self.ideal()?.as_ps() as f64)
    }

    /// Acknowledged bits per second, from the SYN or the end of the warm-up to the last acknowledgement of
    /// new bytes.
    pub fn goodput_bps(&self) -> Option<f64> {
        let seconds = self.advanced.since(self.counted_from).as_ps() as f64 * 1e-12;
        (self.acknowledged > 0 && seconds > 0.0).then(|| 8.0 * self.acknowledged as f64 / seconds)
    }
}
