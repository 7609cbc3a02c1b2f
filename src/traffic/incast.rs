//! Incast: many hosts send to one host at the same time.

use schemars::JsonSchema;
use serde::Deserialize;

use super::connections::TransportSpec;
use super::hosts::HostNames;
use crate::config::Spanned;
use crate::units::{ByteCount, Span};

/// The parameters of an `incast`. In every round, each sender opens a connection and sends its bytes.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IncastSpec {
    /// The name of the entry (default: its index among the entries, from 0).
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// The sending hosts (default: every host except the receiver).
    #[schemars(with = "Option<HostNames>")]
    pub from: Option<Spanned<HostNames>>,
    /// The receiving host.
    #[schemars(with = "String")]
    pub to: Spanned<String>,
    /// The bytes that each sender sends per round.
    #[schemars(with = "ByteCount")]
    pub bytes: Spanned<ByteCount>,
    /// The number of rounds (default: 1).
    #[schemars(with = "Option<u32>", range(min = 1))]
    pub rounds: Option<Spanned<u32>>,
    /// The time from one round to the next; requires `rounds`.
    #[schemars(with = "Option<Span>")]
    pub every: Option<Spanned<Span>>,
    /// When the first round starts (default: 0 s).
    #[serde(default)]
    pub start: Span,
    /// The transport protocol (default: that of the scenario).
    pub transport: Option<TransportSpec>,
}
