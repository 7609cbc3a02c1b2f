//! Bulk transfers: as much as the network takes, or a number of bytes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::connections::TransportSpec;
use super::matrix::MatrixSpec;
use crate::config::Spanned;
use crate::units::{ByteCount, Span};

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
