//! Constant bit rate: packets of one size, evenly spaced.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Emission, Source, TrafficError};
use crate::config::Spanned;
use crate::packet::{FlowKey, Packet, Tau};
use crate::units::{ByteCount, Span, Time};

/// The parameters of a `cbr`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CbrSpec {
    /// The host that sends.
    #[schemars(with = "String")]
    pub from: Spanned<String>,
    /// The host that receives.
    #[schemars(with = "String")]
    pub to: Spanned<String>,
    /// The length of each packet, on the wire.
    #[schemars(with = "ByteCount")]
    pub size: Spanned<ByteCount>,
    /// The time from one packet to the next.
    pub interval: Span,
    /// How many packets.
    #[schemars(with = "u64", range(min = 1))]
    pub packets: Spanned<u64>,
    /// When the first is sent (default: 0 s).
    #[serde(default)]
    pub start: Span,
}

/// Evenly spaced packets of one flow.
pub struct Cbr {
    flow: FlowKey,
    length: u32,
    interval: Span,
    packets: u64,
    sent: u64,
    next: Time,
}

impl Cbr {
    /// `packets` packets of `size`, the first at `start`, then one each `interval`.
    pub fn new(flow: FlowKey, size: ByteCount, interval: Span, packets: u64, start: Time) -> Self {
        let length = u32::try_from(size.get()).unwrap_or(u32::MAX);
        Cbr { flow, length, interval, packets, sent: 0, next: start }
    }
}

impl Source for Cbr {
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError> {
        if self.sent == self.packets {
            return Ok(None);
        }
        let packet = Packet { length: self.length, trp: UDP, ttl: 64, ..Packet::default() };
        let emission =
            Emission { tau: Tau { timestamp: self.next, packet }, record: self.sent, match_key: None };
        self.next = self.next + self.interval;
        self.sent += 1;
        Ok(Some(emission))
    }

    fn flow(&self, _fid: u32) -> FlowKey {
        self.flow
    }

    fn progress(&self) -> Option<f64> {
        Some(self.sent as f64 / self.packets.max(1) as f64)
    }
}

/// The IP protocol number of UDP.
pub const UDP: u8 = 17;
