//! Simulated against measured, or two captures: who is the same packet, by whose clock, and how far apart its delays are.

mod captures;
mod clocks;
mod matching;
mod metrics;
mod watch;

pub use captures::{
    CaptureComparison, CompareError, CompareOptions, JoinCounts, Joined, Pair, Unpaired, Way,
    compare_captures, join_captures,
};
pub(crate) use captures::{REACH_PS, ps_since};
pub use clocks::{ClockPart, ClockSummary, Clocks, Passage};
pub use matching::{Confusion, MatchCounts, Matched, Measurement, Sighting, match_packets};
pub use metrics::{Agreement, DelaySummary, Delays, agreement, jitter_ps, summarize};
pub use watch::{PacketOrigin, Watch, WatchError, WatchedVantage};
