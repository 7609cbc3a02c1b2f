//! Requests and responses over TCP: several turns per connection, with think times between them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::connections::TransportSpec;
use super::flow_rate::ArrivalsSpec;
use super::hosts::HostNames;
use super::matrix::MatrixSpec;
use super::on_off::PeriodSpec;
use super::size::SizeSpec;
use super::text_or_table::text_or_table;
use crate::config::Spanned;
use crate::units::Span;

/// The parameters of `request-response`: one host sends requests, the other responds.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestResponseSpec {
    /// The name of the entry, which selects its random numbers (default: its index among the entries, from
    /// 0).
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// The requesting host, or several; requires `to`.
    #[schemars(with = "Option<HostNames>")]
    pub from: Option<Spanned<HostNames>>,
    /// The responding host, or several.
    #[schemars(with = "Option<HostNames>")]
    pub to: Option<Spanned<HostNames>>,
    /// The traffic matrix of requests between several hosts; replaces `from` and `to`.
    #[schemars(with = "Option<MatrixSpec>")]
    pub matrix: Option<Spanned<MatrixSpec>>,
    /// The hosts of the matrix (default: every host of the topology).
    #[schemars(with = "Option<Vec<String>>")]
    pub hosts: Option<Spanned<Vec<Spanned<String>>>>,
    /// The bytes of each request.
    #[schemars(with = "SizeSpec")]
    pub request: Spanned<SizeSpec>,
    /// The bytes of each response.
    #[schemars(with = "SizeSpec")]
    pub response: Spanned<SizeSpec>,
    /// The number of requests of each connection (default: as many as start before `stop`).
    #[schemars(with = "Option<u64>", range(min = 1))]
    pub turns: Option<Spanned<u64>>,
    /// The think time from a response to the next request of its connection (default: none).
    #[schemars(with = "Option<ThinkSpec>")]
    pub think: Option<Spanned<ThinkSpec>>,
    /// The number of connections from each host to each of its destinations, all opened at `start` (default:
    /// 1); alternatively, give the `interval`.
    #[schemars(with = "Option<u32>", range(min = 1, max = 65535))]
    pub flows: Option<Spanned<u32>>,
    /// The time between the openings of these connections (default: 0 s).
    #[schemars(with = "Option<Span>")]
    pub stagger: Option<Spanned<Span>>,
    /// The mean time from one connection of a requesting host to the next, for random arrivals of
    /// connections.
    #[schemars(with = "Option<Span>")]
    pub interval: Option<Spanned<Span>>,
    /// The arrival process of the connections, with `interval` (default: poisson).
    #[schemars(with = "Option<ArrivalsSpec>")]
    pub arrivals: Option<Spanned<ArrivalsSpec>>,
    /// The number of connections of each requesting host, with `interval` (default: as many as start before
    /// `stop`).
    #[schemars(with = "Option<u64>", range(min = 1))]
    pub count: Option<Spanned<u64>>,
    /// When the first connections are opened (default: 0 s).
    #[serde(default)]
    pub start: Span,
    /// No connection and no request starts from this time on.
    #[schemars(with = "Option<Span>")]
    pub stop: Option<Spanned<Span>>,
    /// The transport protocol (default: that of the scenario).
    pub transport: Option<TransportSpec>,
}

/// The time between a response and the next request: `"100 ms"`, or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum ThinkSpec {
    /// A constant time.
    Constant(Span),
    /// A random time.
    Drawn(PeriodSpec),
}

text_or_table!(
    ThinkSpec,
    "a time as text, such as \"100 ms\", or a table such as { mean = \"100 ms\", distribution = \"exponential\" }",
    |text| Span => Ok(ThinkSpec::Constant(text.parse()?)),
    |table| PeriodSpec => ThinkSpec::Drawn(table)
);
