//! Requests and responses over TCP: several turns per connection, with time to think between them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::connections::TransportSpec;
use super::flow_rate::ArrivalsSpec;
use super::matrix::MatrixSpec;
use super::on_off::PeriodSpec;
use super::size::SizeSpec;
use super::text_or_table::text_or_table;
use crate::config::Spanned;
use crate::units::Span;

/// The parameters of `request-response`: a host asks, the other answers.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestResponseSpec {
    /// The entry's name: its random numbers are by this name (default: its place among the entries, from 0).
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// The host that asks; with `to`.
    #[schemars(with = "Option<String>")]
    pub from: Option<Spanned<String>>,
    /// The host that answers.
    #[schemars(with = "Option<String>")]
    pub to: Option<Spanned<String>>,
    /// Who asks whom among several hosts; stands for `from` and `to`.
    #[schemars(with = "Option<MatrixSpec>")]
    pub matrix: Option<Spanned<MatrixSpec>>,
    /// The hosts of the matrix (default: every host of the topology).
    #[schemars(with = "Option<Vec<String>>")]
    pub hosts: Option<Spanned<Vec<Spanned<String>>>>,
    /// Bytes of each request.
    #[schemars(with = "SizeSpec")]
    pub request: Spanned<SizeSpec>,
    /// Bytes of each response.
    #[schemars(with = "SizeSpec")]
    pub response: Spanned<SizeSpec>,
    /// Requests of each connection (default: as many as begin before `stop`).
    #[schemars(with = "Option<u64>", range(min = 1))]
    pub turns: Option<Spanned<u64>>,
    /// The time from a response to the next request of its connection (default: none).
    #[schemars(with = "Option<ThinkSpec>")]
    pub think: Option<Spanned<ThinkSpec>>,
    /// Connections from each host to each of its destinations, all opened at `start` (default: 1); or give the `interval`.
    #[schemars(with = "Option<u32>", range(min = 1, max = 65535))]
    pub flows: Option<Spanned<u32>>,
    /// How long after one of these connections the next is opened (default: 0 s).
    #[schemars(with = "Option<Span>")]
    pub stagger: Option<Spanned<Span>>,
    /// The mean time from one connection of an asking host to its next, where connections arrive at random.
    #[schemars(with = "Option<Span>")]
    pub interval: Option<Spanned<Span>>,
    /// How connections follow each other, with `interval` (default: poisson).
    #[schemars(with = "Option<ArrivalsSpec>")]
    pub arrivals: Option<Spanned<ArrivalsSpec>>,
    /// Connections of each asking host, with `interval` (default: as many as begin before `stop`).
    #[schemars(with = "Option<u64>", range(min = 1))]
    pub count: Option<Spanned<u64>>,
    /// When connections begin to be opened (default: 0 s).
    #[serde(default)]
    pub start: Span,
    /// No connection and no request begins from then on.
    #[schemars(with = "Option<Span>")]
    pub stop: Option<Spanned<Span>>,
    /// The transport (default: that of the scenario).
    pub transport: Option<TransportSpec>,
}

/// The time between a response and the next request: `"100 ms"`, or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum ThinkSpec {
    /// Always the same.
    Constant(Span),
    /// Drawn each time.
    Drawn(PeriodSpec),
}

text_or_table!(
    ThinkSpec,
    "a time as text, such as \"100 ms\", or a table such as { mean = \"100 ms\", distribution = \"exponential\" }",
    |text| Span => Ok(ThinkSpec::Constant(text.parse()?)),
    |table| PeriodSpec => ThinkSpec::Drawn(table)
);
