//! Packet traffic management: the waiting time at one egress port.

mod fifo;
mod token_bucket;

pub use fifo::FifoSpec;
pub use token_bucket::TokenBucketSpec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The traffic management of an egress port, as a topology file names it: `ptm = { kind = "fifo", ... }`.
///
/// [`crate::config`] reads the `kind` key as the variant, so that a mistake inside keeps its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(tag = "kind")]
pub enum PtmSpec {
    /// First in, first out.
    Fifo(FifoSpec),
    /// A token bucket over a FIFO: Linux `tbf`.
    TokenBucket(TokenBucketSpec),
}

impl Default for PtmSpec {
    fn default() -> Self {
        PtmSpec::Fifo(FifoSpec::default())
    }
}

/// How much may wait: `"64 KiB"`, or `"100 packets"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buffer {
    /// No bound.
    Unlimited,
    /// Waiting bytes.
    Bytes(crate::units::ByteCount),
    /// Waiting packets.
    Packets(u64),
}
