//! Packets of one size at even intervals.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::Spanned;
use crate::units::{ByteCount, Span};

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
