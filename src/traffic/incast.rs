//! Incast: many hosts send to one at the same time.

use schemars::JsonSchema;
use serde::Deserialize;

use super::connections::TransportSpec;
use crate::config::Spanned;
use crate::units::{ByteCount, Span};

/// The parameters of an `incast`: in every round, each sender opens a connection and sends its bytes.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IncastSpec {
    /// The entry's name (default: its place among the entries, from 0).
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// The hosts that send (default: every host but the receiver).
    #[schemars(with = "Option<Vec<String>>")]
    pub from: Option<Spanned<Vec<Spanned<String>>>>,
    /// The host that receives.
    #[schemars(with = "String")]
    pub to: Spanned<String>,
    /// Bytes that each sender sends in a round.
    #[schemars(with = "ByteCount")]
    pub bytes: Spanned<ByteCount>,
    /// Rounds (default: 1).
    #[schemars(with = "Option<u32>", range(min = 1))]
    pub rounds: Option<Spanned<u32>>,
    /// The time from one round to the next; with `rounds`.
    #[schemars(with = "Option<Span>")]
    pub every: Option<Spanned<Span>>,
    /// When the first round begins (default: 0 s).
    #[serde(default)]
    pub start: Span,
    /// The transport (default: that of the scenario).
    pub transport: Option<TransportSpec>,
}
