//! A token bucket over a FIFO.
use crate::units::{ByteCount, Rate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of a `token-bucket`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBucketSpec {
    /// How fast tokens come.
    pub rate: Rate,
    /// How many tokens the bucket holds.
    pub burst: ByteCount,
}
