//! Sources of the event engine, which reads a few packets ahead.

use super::contract::{CHECKED, InOrder};
use super::flow_numbers::OwnFlows;
use super::network::Wire;
use super::{EngineError, Injection};
use crate::packet::Tau;
use crate::topology::PortId;
use crate::traffic::{Batch, Origin};
use crate::units::Time;

/// A source, and the packets read from it.
pub(super) struct ReadAhead {
    pub injection: Injection,
    /// Its rank among the events of one instant.
    pub turn: u32,
    /// The link of the injection, if packets start onto one.
    pub wire: Option<(PortId, Wire)>,
    pub flows: OwnFlows,
    /// The number of packets sent.
    pub sent: u64,
    /// The packets read, and the position of the next one to send.
    ahead: Batch,
    place: usize,
    /// Whether the source has no more packets.
    is_read: bool,
    order: InOrder,
}

/// The number of packets read from a source at once.
const READ_AHEAD: usize = 32;

impl ReadAhead {
    /// A source before its first read. `with_origins` states whether to read the origin of packets.
    pub fn new(injection: Injection, turn: u32, wire: Option<(PortId, Wire)>, with_origins: bool) -> Self {
        ReadAhead {
            injection,
            turn,
            wire,
            flows: OwnFlows::default(),
            sent: 0,
            ahead: Batch::new(with_origins),
            place: 0,
            is_read: false,
            order: InOrder::default(),
        }
    }

    /// Moves to the next packet of the `index`th source. Packets before `end` are wanted.
    ///
    /// # Errors
    /// The source cannot be read.
    #[inline]
    pub fn advance(&mut self, index: usize, end: Time) -> Result<(), EngineError> {
        self.place += 1;
        if self.place >= self.ahead.taus.len() && !self.is_read {
            self.ahead.forget(self.ahead.taus.len());
            self.place = 0;
            self.is_read = !self.injection.source.read(end, READ_AHEAD, &mut self.ahead)?;
            if CHECKED {
                self.order.check(index, &self.ahead.taus);
            }
        }
        Ok(())
    }

    /// The next packet.
    #[inline]
    pub fn next(&self) -> Option<&Tau> {
        self.ahead.taus.get(self.place)
    }

    /// The origin of that packet, if known.
    #[inline]
    pub fn origin(&self) -> Option<Origin> {
        self.ahead.origins.as_ref().map(|origins| origins[self.place])
    }
}
