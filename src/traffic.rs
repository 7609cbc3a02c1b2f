//! Sources of Tau.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
/// placeholder
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum TrafficSpec {}
