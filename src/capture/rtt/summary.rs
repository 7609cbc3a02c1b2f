//! Summaries of the round-trip times of a capture, per connection.

use std::net::SocketAddr;

use serde::Serialize;

use super::{Connection, RttCounts, RttEstimator, Side, Signs};
use crate::capture::Histogram;
use crate::units::PS_PER_S;

/// The round-trip times of one connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConnectionRtts {
    /// Its number, from 0.
    pub connection: u32,
    /// The side that opened the connection, or that was seen first.
    pub a: SocketAddr,
    /// The other side.
    pub b: SocketAddr,
    /// How A was chosen.
    pub signs: Signs,
    /// Time of the first segment.
    pub start: String,
    /// From the first segment to the last, in seconds.
    pub span_s: f64,
    /// Whether only one direction was captured. There are no samples in this case.
    pub one_direction: bool,
    /// From the capture point to A and back, from B's data and A's answers.
    pub to_a: SideRtts,
    /// From the capture point to B and back, from A's data and B's answers.
    pub to_b: SideRtts,
}

impl ConnectionRtts {
    /// Samples of both sides and methods.
    pub fn samples(&self) -> u64 {
        self.to_a.samples() + self.to_b.samples()
    }
}

/// The round-trip times between the capture point and one side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SideRtts {
    /// From sequence and acknowledgement numbers, including handshakes; `None` without samples.
    pub ack_s: Option<RttQuantiles>,
    /// From timestamps; `None` without samples.
    pub timestamp_s: Option<RttQuantiles>,
    /// Counts for the data that this side answers: segments, and reasons for missing samples.
    pub counts: RttCounts,
}

impl SideRtts {
    /// Samples of both methods.
    pub fn samples(&self) -> u64 {
        [&self.ack_s, &self.timestamp_s].into_iter().flatten().map(|found| found.samples).sum()
    }

    fn new(side: &Side) -> Self {
        SideRtts {
            ack_s: RttQuantiles::new(&side.by_ack),
            timestamp_s: RttQuantiles::new(&side.by_timestamp),
            counts: side.counts,
        }
    }
}

/// A distribution of round-trip times, in seconds. Quantiles are within 1/512 of their value; the other
/// fields are exact.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RttQuantiles {
    /// Number of samples.
    pub samples: u64,
    /// The smallest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl RttQuantiles {
    fn new(histogram: &Histogram) -> Option<Self> {
        let seconds = |ps: u128| ps as f64 / PS_PER_S as f64;
        let quantile = |q| histogram.quantile(q).map(seconds);
        Some(RttQuantiles {
            samples: histogram.count(),
            min: histogram.min().map(seconds)?,
            mean: histogram.mean()? / PS_PER_S as f64,
            p50: quantile(0.5)?,
            p90: quantile(0.9)?,
            p99: quantile(0.99)?,
            max: histogram.max().map(seconds)?,
        })
    }
}

impl RttEstimator {
    /// The connections so far, in order of appearance.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionRtts> {
        self.connections.iter().zip(0..).map(|(connection, number)| connection.summary(number))
    }
}

impl Connection {
    fn summary(&self, number: u32) -> ConnectionRtts {
        let [from_a, from_b] = &self.sides;
        ConnectionRtts {
            connection: number,
            a: self.a,
            b: self.b,
            signs: self.signs,
            start: self.first.to_string(),
            span_s: (self.last.as_ps() - self.first.as_ps()) as f64 / PS_PER_S as f64,
            one_direction: from_a.counts.segments == 0 || from_b.counts.segments == 0,
            to_a: SideRtts::new(from_b),
            to_b: SideRtts::new(from_a),
        }
    }
}
