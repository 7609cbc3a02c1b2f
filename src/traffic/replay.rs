//! A recorded capture, injected where it was recorded.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::Spanned;
use crate::topology::VantageSpec;

/// The parameters of a `replay`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaySpec {
    /// The capture file, relative to the scenario file.
    #[schemars(with = "PathBuf")]
    pub capture: Spanned<PathBuf>,
    /// Where it was recorded, which is where it is injected.
    pub at: VantageSpec,
}
