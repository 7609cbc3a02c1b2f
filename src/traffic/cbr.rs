//! Constant bit rate: evenly spaced packets.

use std::sync::Arc;

use super::even_spacing::{EvenSpacing, Phase};
use super::generator::{GeneratedSource, Limits};
use super::matrix::Destinations;
use super::rate::{Gap, RateSpec};
use super::size::Sizes;
use super::spec::{Spread, generated};
use crate::config::Spanned;
use crate::packet::{FlowKey, Packet};
use crate::random::stream;
use crate::units::{ByteCount, Span, Time};

/// The IP protocol number of UDP.
pub const UDP: u8 = 17;

generated!(
    /// The parameters of a `cbr`.
    CbrSpec {
        /// The mean rate of each sending host; alternatively, give the `interval`.
        #[schemars(with = "Option<RateSpec>")]
        rate: Option<Spanned<RateSpec>>,
        /// The time from one packet to the next; alternatively, give the `rate`.
        #[schemars(with = "Option<Span>")]
        interval: Option<Spanned<Span>>,
        /// When the first packet is sent, within the first interval (default: start).
        #[serde(default)]
        phase: Phase,
    }
);

/// Evenly spaced packets of one length and one flow.
pub type Cbr = GeneratedSource<EvenSpacing>;

impl Cbr {
    /// `packets` packets of length `size`, the first at `start`, then one every `interval`.
    pub fn new(flow: FlowKey, size: ByteCount, interval: Span, packets: u64, start: Time) -> Self {
        let length = u32::try_from(size.get()).unwrap_or(u32::MAX);
        let gap = Gap::new(interval.as_ps().into(), 1);
        let arrivals = EvenSpacing::new(gap, Phase::Start, start);
        let limits = Limits { packets: Some(packets), ..Limits::default() };
        let template = Packet { trp: UDP, ttl: 64, ..Packet::default() };
        // This source is not random: the name of the stream does not matter.
        let random = stream(0, "traffic", "cbr");
        GeneratedSource::of_parts(
            arrivals,
            random,
            Sizes::constant(length),
            Destinations::One,
            Arc::new([flow]),
            (1, Spread::Random),
            template,
            limits,
        )
    }
}
