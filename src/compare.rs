//! Simulated against measured: who is the same packet, and how far apart its delays are.

mod captures;
mod matching;
mod metrics;
mod rtt;
mod watch;

pub use captures::{CaptureComparison, CompareError, compare_captures};
pub(crate) use captures::{REACH_PS, ps_since};
pub use matching::{Confusion, MatchCounts, Matched, Measurement, Sighting, match_packets};
pub use metrics::{Agreement, DelaySummary, Delays, agreement, jitter_ps, summarize};
pub use rtt::{ConnectionAgreement, RttAgreement, RttComparison, RttPort, RttWatch, compare_rtts};
pub use watch::{PacketOrigin, Watch, WatchError, WatchedVantage};
