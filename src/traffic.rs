//! Sources of Tau: what enters the network, when, and where.
//!
//! A generated source is a process of arrivals ([`arrivals`]) with lengths ([`size`]), a rate ([`rate`]) and
//! destinations ([`matrix`]); the replay of a capture brings its own.
//!
//! To add a process: one file here with its parameters (`FooSpec`) and its [`arrivals::Arrivals`], one line in
//! [`TrafficSpec`], one in [`generator::Process`], and one where the scenario resolves it.

pub mod arrivals;
pub mod bulk;
pub mod cbr;
pub mod connections;
pub mod custom;
pub mod dialogue;
mod draw;
mod even_spacing;
pub mod flow_rate;
pub mod flows;
pub mod generator;
pub mod incast;
pub mod markovian;
pub mod matrix;
mod mistake;
pub mod on_off;
pub mod poisson;
pub mod rate;
pub mod replay;
pub mod request_response;
pub mod size;
pub mod spec;
#[cfg(test)]
mod statistics;
mod text_or_table;
pub mod thin_streams;
pub mod workloads;

pub use bulk::BulkSpec;
pub use cbr::{Cbr, CbrSpec, UDP};
pub use connections::{Connections, TransportSpec};
pub use custom::{CustomTraffic, CustomTrafficSpec, SourceEntry, SourceError, SourcePlace};
pub use flows::FlowsSpec;
pub use generator::{Generator, Process};
pub use incast::IncastSpec;
pub use markovian::MarkovianSpec;
pub use mistake::Mistake;
pub(crate) use mistake::positive;
pub use on_off::OnOffSpec;
pub use poisson::PoissonSpec;
pub use replay::{Recording, Replay, ReplayByAddress, ReplaySpec};
pub use request_response::RequestResponseSpec;
pub use thin_streams::ThinStreamsSpec;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::packet::{FlowKey, Tau};
use crate::units::{Time, Timestamp};

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
    /// Packets at even intervals (constant bit rate).
    Cbr(CbrSpec),
    /// Independent exponential gaps.
    Poisson(PoissonSpec),
    /// Bursts at a peak rate, and silence between them.
    OnOff(OnOffSpec),
    /// A Markovian arrival process, given by its matrices.
    Markovian(MarkovianSpec),
    /// Many slow flows of small packets, with log-normal gaps.
    ThinStreams(ThinStreamsSpec),
    /// Bulk transfers over TCP.
    Bulk(BulkSpec),
    /// Flows over TCP: from a list, or at random.
    Flows(FlowsSpec),
    /// Many hosts send to one at the same time, over TCP.
    Incast(IncastSpec),
    /// Requests and responses over TCP, several turns per connection.
    RequestResponse(RequestResponseSpec),
    /// A source that another crate defines.
    #[serde(rename = "$custom")]
    #[schemars(skip)]
    Custom(CustomTrafficSpec),
}

impl TrafficSpec {
    /// Whether it is connections, whose senders answer what arrives.
    pub fn has_connections(&self) -> bool {
        use TrafficSpec::{Bulk, Flows, Incast, RequestResponse};
        matches!(self, Bulk(_) | Flows(_) | Incast(_) | RequestResponse(_))
    }
}

/// A packet that a source sends into the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emission {
    /// The packet and its instant. Its `fid` counts the source's own flows from 0, and its `pid` is 0: the
    /// engine gives it those of the run.
    pub tau: Tau,
    /// Its number in the source, from 0: in a replay, the capture's record.
    pub record: u64,
    /// What recognizes it in another capture; `None` when nothing does.
    pub match_key: Option<u64>,
}

/// Packets that have been read from a source, in order.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The packets.
    pub taus: Vec<Tau>,
    /// Where they come from, `[packets]`, if that is wanted.
    pub origins: Option<Vec<Origin>>,
}

/// Where a packet of a source comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// As in [`Emission`].
    pub record: u64,
    /// As in [`Emission`].
    pub match_key: Option<u64>,
}

impl Batch {
    /// An empty one; `with_origins` says whether they are wanted.
    pub fn new(with_origins: bool) -> Self {
        Batch { taus: Vec::new(), origins: with_origins.then(Vec::new) }
    }

    /// Appends a packet.
    #[inline(always)]
    pub fn push(&mut self, emission: Emission) {
        self.taus.push(emission.tau);
        if let Some(origins) = &mut self.origins {
            origins.push(Origin { record: emission.record, match_key: emission.match_key });
        }
    }

    /// Forgets the first `count` packets.
    pub fn forget(&mut self, count: usize) {
        self.taus.drain(..count);
        if let Some(origins) = &mut self.origins {
            origins.drain(..count);
        }
    }
}

/// A sequence of packets in the order of time.
pub trait Source: Send {
    /// The next packet; `None` at the end.
    ///
    /// # Errors
    /// What the source is read from is damaged or out of order.
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError>;

    /// Appends packets to `batch` until one is at `end` or later, or there are `most` more; whether there may be more. The same
    /// as [`next_emission`](Source::next_emission), in a batch.
    ///
    /// # Errors
    /// As [`next_emission`](Source::next_emission).
    fn read(&mut self, end: Time, most: usize, batch: &mut Batch) -> Result<bool, TrafficError> {
        for _ in 0..most {
            let Some(emission) = self.next_emission()? else { return Ok(false) };
            batch.push(emission);
            if emission.tau.timestamp >= end {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// What makes the source's flow number `fid`: its flows are numbered densely from 0, in any order.
    fn flow(&self, fid: u32) -> FlowKey;

    /// The part of the source that has been read, 0 to 1, where its end is known.
    fn progress(&self) -> Option<f64> {
        None
    }

    /// What was let pass so far, in words.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Why a source stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrafficError {
    /// The replayed capture cannot be read on.
    #[error(transparent)]
    Capture(#[from] crate::capture::CaptureError),
    /// A packet lies further from the run's start than a run can reach.
    #[error(
        "record {record} of {path} is from {at}: a run reaches from its start, {start}, 213 days forward; where a record has \
         a wrong time, this one or the one of the start, `editcap IN OUT NUMBER` leaves it out (this one is number {}), and \
         `editcap -A FROM -B TO IN OUT` keeps a part of a longer capture",
        record + 1
    )]
    OutOfReach {
        /// the capture
        path: String,
        /// the record's number
        record: u64,
        /// its instant
        at: Timestamp,
        /// the run's start
        start: Timestamp,
    },
}
