//! First in, first out.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of a `fifo`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FifoSpec {}
