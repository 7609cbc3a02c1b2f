//! Compares a simulation with measurements, or two captures: matches packets, estimates clocks, and evaluates
//! delays.

mod accept;
mod bootstrap;
mod captures;
mod clocks;
mod delays;
mod distribution;
mod groups;
mod matching;
mod metrics;
mod one_way;
mod over_time;
mod rtt;
mod runs;
mod transmissions;
mod variation;
mod watch;

pub use accept::{AcceptSummary, MissedBound, PathAccept};
pub use bootstrap::{Confidence, Interval, Share, StatisticIntervals};
pub use captures::{
    CaptureComparison, CompareError, CompareOptions, FlowPassage, JoinCounts, Joined, Pair, Unpaired, Way,
    compare_captures, compare_captures_by_packet, join_captures, write_flows, write_flows_to,
};
pub(crate) use captures::{REACH_PS, ps_since, refuse_nat64};
pub use clocks::{ClockPart, ClockSummary, Clocks, Passage};
pub use delays::{DelayComparison, compare_delays};
pub use distribution::{DelaySummary, summarize};
pub use groups::{GroupComparison, PathComparison, compare_groups};
pub(crate) use matching::fragments::Recorded;
pub use matching::{Confusion, Loss, MatchCounts, Matched, Measurement, Sighting, match_packets};
pub use metrics::{Agreement, ByOrigin, Delays, RelativeError, agreement, jitter_ps};
pub use one_way::{OneWay, OneWayConfidence, one_way};
pub use over_time::{OverTime, Window, Windows};
pub use rtt::{ConnectionAgreement, RttAgreement, RttComparison, RttPort, RttWatch, compare_rtts};
pub use runs::{RunsComparison, RunsError, RunsPackets, compare_runs, compare_runs_by_packet};
pub use transmissions::{
    AtVantage, CapturePoint, ConnectionCounts, Connections, Difference, DivergedSide, Divergence, FlowAt,
    FlowSide, FlowTransmissions, Goodput, GoodputRow, MeasuredFlows, PairedBy, SameTransmission, SenderState,
    Senders, ShownTransmission, Transmission, TransmissionComparison, Transmissions, TransportAround,
    TransportState, VantageTransmissions,
};
pub use variation::{Ipdv, Pdv, Predecessors, reordered};
pub use watch::{PacketOrigin, Watch, WatchError, Watched, WatchedVantage};
