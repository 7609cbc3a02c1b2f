//! Sources of Tau.

pub mod cbr;
pub mod replay;

pub use cbr::CbrSpec;
pub use replay::ReplaySpec;

use schemars::JsonSchema;
use serde::Deserialize;

/// A source of traffic, as a scenario file names it: `[[traffic]]` with `kind = "replay"` and the
/// other keys beside it.
///
/// [`crate::config`] reads the `kind` key as the variant, so that a mistake inside keeps its place.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(tag = "kind", description = "A source of traffic.")]
pub enum TrafficSpec {
    /// A recorded capture, packet by packet at its times.
    Replay(ReplaySpec),
    /// Packets of one size at even intervals (constant bit rate).
    Cbr(CbrSpec),
}
