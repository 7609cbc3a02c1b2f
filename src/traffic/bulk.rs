//! Bulk transfers: as much as the network takes, or a number of bytes; at once, at a rate, or in bursts.

use schemars::JsonSchema;
use serde::Deserialize;

use super::connections::TransportSpec;
use super::matrix::MatrixSpec;
use super::on_off::PeriodSpec;
use crate::config::Spanned;
use crate::units::{ByteCount, Rate, Span};

/// The parameters of a `bulk`: one connection, or several, from each host to each of its destinations.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkSpec {
    /// The entry's name (default: its place among the entries, from 0).
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// The host that sends; with `to`.
    #[schemars(with = "Option<String>")]
    pub from: Option<Spanned<String>>,
    /// The host that receives.
    #[schemars(with = "Option<String>")]
    pub to: Option<Spanned<String>>,
    /// Who sends to whom among several hosts; stands for `from` and `to`.
    #[schemars(with = "Option<MatrixSpec>")]
    pub matrix: Option<Spanned<MatrixSpec>>,
    /// The hosts of the matrix (default: every host of the topology).
    #[schemars(with = "Option<Vec<String>>")]
    pub hosts: Option<Spanned<Vec<Spanned<String>>>>,
    /// Bytes that each connection sends (default: as many as the network takes until `stop`).
    #[schemars(with = "Option<ByteCount>")]
    pub bytes: Option<Spanned<ByteCount>>,
    /// How fast the sender's process writes at most, in bits of payload per second (default: as fast as the network takes it).
    pub rate: Option<Rate>,
    /// Bytes of each write, with a `rate` (default: 1448 B) or periods (default: 64 KiB).
    #[schemars(with = "Option<ByteCount>")]
    pub write: Option<Spanned<ByteCount>>,
    /// How long the process writes before it pauses; with `off`.
    #[schemars(with = "Option<PeriodSpec>")]
    pub on: Option<Spanned<PeriodSpec>>,
    /// How long it pauses.
    #[schemars(with = "Option<PeriodSpec>")]
    pub off: Option<Spanned<PeriodSpec>>,
    /// When the connections are opened (default: 0 s).
    #[serde(default)]
    pub start: Span,
    /// When the senders close, if they have not before.
    #[schemars(with = "Option<Span>")]
    pub stop: Option<Spanned<Span>>,
    /// Connections from each host to each of its destinations (default: 1).
    #[schemars(with = "Option<u32>", range(min = 1, max = 65535))]
    pub flows: Option<Spanned<u32>>,
    /// How long after one of these connections the next is opened (default: 0 s).
    #[serde(default)]
    pub stagger: Span,
    /// The transport (default: that of the scenario).
    pub transport: Option<TransportSpec>,
}
