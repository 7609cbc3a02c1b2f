//! Bulk transfers: unlimited, or a number of bytes; as fast as possible, at a rate, or in bursts.

use schemars::JsonSchema;
use serde::Deserialize;

use super::connections::TransportSpec;
use super::hosts::HostNames;
use super::matrix::MatrixSpec;
use super::on_off::PeriodSpec;
use crate::config::Spanned;
use crate::units::{ByteCount, Rate, Span};

/// The parameters of a `bulk`: one or more connections from each host to each of its destinations.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkSpec {
    /// The name of the entry (default: its index among the entries, from 0).
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// The sending host, or several; requires `to`.
    #[schemars(with = "Option<HostNames>")]
    pub from: Option<Spanned<HostNames>>,
    /// The receiving host, or several: each host of `from` sends to each of them except itself.
    #[schemars(with = "Option<HostNames>")]
    pub to: Option<Spanned<HostNames>>,
    /// The traffic matrix between several hosts; replaces `from` and `to`.
    #[schemars(with = "Option<MatrixSpec>")]
    pub matrix: Option<Spanned<MatrixSpec>>,
    /// The hosts of the matrix (default: every host of the topology).
    #[schemars(with = "Option<Vec<String>>")]
    pub hosts: Option<Spanned<Vec<Spanned<String>>>>,
    /// The bytes that each connection sends (default: unlimited until `stop`).
    #[schemars(with = "Option<ByteCount>")]
    pub bytes: Option<Spanned<ByteCount>>,
    /// The maximum rate at which the sending process writes, in bits of payload per second (default:
    /// unlimited).
    pub rate: Option<Rate>,
    /// The bytes of each write, with a `rate` (default: 1448 B) or periods (default: 64 KiB).
    #[schemars(with = "Option<ByteCount>")]
    pub write: Option<Spanned<ByteCount>>,
    /// How long the process writes before it pauses; requires `off`.
    #[schemars(with = "Option<PeriodSpec>")]
    pub on: Option<Spanned<PeriodSpec>>,
    /// How long the process pauses.
    #[schemars(with = "Option<PeriodSpec>")]
    pub off: Option<Spanned<PeriodSpec>>,
    /// When the connections are opened (default: 0 s).
    #[serde(default)]
    pub start: Span,
    /// When the senders close their connections, if they have not finished before.
    #[schemars(with = "Option<Span>")]
    pub stop: Option<Spanned<Span>>,
    /// The number of connections from each host to each of its destinations (default: 1).
    #[schemars(with = "Option<u32>", range(min = 1, max = 65535))]
    pub flows: Option<Spanned<u32>>,
    /// The time between the openings of these connections (default: 0 s).
    #[serde(default)]
    pub stagger: Span,
    /// The transport protocol (default: that of the scenario).
    pub transport: Option<TransportSpec>,
}
