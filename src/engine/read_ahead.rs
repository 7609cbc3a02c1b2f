//! A source as the event engine has it: read a few packets ahead.

use super::contract::{CHECKED, InOrder};
use super::flow_numbers::OwnFlows;
use super::network::Wire;
use super::{EngineError, Injection};
use crate::packet::Tau;
use crate::topology::PortId;
use crate::traffic::{Batch, Origin};
use crate::units::Time;

/// A source, and what has been read of it.
pub(super) struct ReadAhead {
    pub injection: Injection,
    /// Its turn among the events of one instant.
    pub turn: u32,
    /// Of the injected link, where packets start onto one.
    pub wire: Option<(PortId, Wire)>,
    pub flows: OwnFlows,
    /// Packets sent.
    pub sent: u64,
    /// Read, and the place of the next to be sent.
    ahead: Batch,
    place: usize,
    /// There is nothing more to read.
    is_read: bool,
    order: InOrder,
}

/// Packets that are read of a source at once.
const READ_AHEAD: usize = 32;

impl ReadAhead {
    /// Nothing is read yet; `with_origins` says whether packets are to come with where they are from.
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

    /// Goes on to the next packet: the source is the `index`th, and packets before `end` are wanted.
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

    /// The packet that it sends next.
    #[inline]
    pub fn next(&self) -> Option<&Tau> {
        self.ahead.taus.get(self.place)
    }

    /// Where that packet is from, if that is known.
    #[inline]
    pub fn origin(&self) -> Option<Origin> {
        self.ahead.origins.as_ref().map(|origins| origins[self.place])
    }
}
