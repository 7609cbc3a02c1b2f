//! Traffic sources: the packets that enter the network, when, and where.
//!
//! A generated source combines an arrival process ([`arrivals`]), lengths ([`size`]), a rate ([`rate`]) and
//! destinations ([`matrix`]). In the replay of a capture, all of these come from the capture.
//!
//! To add a process, write one file here with its parameters (`FooSpec`) and its [`arrivals::Arrivals`], and
//! add one line to [`TrafficSpec`], one to [`generator::Process`], and one where the scenario resolves it.

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
pub mod hosts;
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
pub use hosts::HostNames;
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

/// A traffic source, as written in a scenario file: `[[traffic]]` with `kind = "replay"` and the keys of that
/// kind.
///
/// [`crate::config`] reads the `kind` key as the variant, which keeps the positions of errors inside it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(tag = "kind", description = "A source of traffic.")]
pub enum TrafficSpec {
    /// A recorded capture, replayed packet by packet at its recorded times.
    Replay(ReplaySpec),
    /// Packets at even intervals (constant bit rate).
    Cbr(CbrSpec),
    /// Packets with independent exponential gaps.
    Poisson(PoissonSpec),
    /// Bursts at a peak rate, separated by silence.
    OnOff(OnOffSpec),
    /// A Markovian arrival process, defined by matrices.
    Markovian(MarkovianSpec),
    /// Many slow flows of small packets, with log-normal gaps.
    ThinStreams(ThinStreamsSpec),
    /// Bulk transfers over TCP.
    Bulk(BulkSpec),
    /// Flows over TCP: from a list, or random.
    Flows(FlowsSpec),
    /// Many hosts that send to one host at the same time, over TCP.
    Incast(IncastSpec),
    /// Requests and responses over TCP, with several turns per connection.
    RequestResponse(RequestResponseSpec),
    /// A source defined by another crate.
    #[serde(rename = "$custom")]
    #[schemars(skip)]
    Custom(CustomTrafficSpec),
}

impl TrafficSpec {
    /// Whether the source consists of connections, whose senders react to received packets.
    pub fn has_connections(&self) -> bool {
        use TrafficSpec::{Bulk, Flows, Incast, RequestResponse};
        matches!(self, Bulk(_) | Flows(_) | Incast(_) | RequestResponse(_))
    }
}

/// A packet that a source sends into the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emission {
    /// The packet and its instant. `fid` numbers the source's own flows from 0, and `pid` is 0; the engine
    /// assigns those of the run.
    pub tau: Tau,
    /// The number of the packet in the source, from 0; in a replay, the record of the capture.
    pub record: u64,
    /// The key that identifies the packet in another capture; `None` if there is none.
    pub match_key: Option<u64>,
}

/// Packets that have been read from a source, in order.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The packets.
    pub taus: Vec<Tau>,
    /// The origins of the packets, `[packets]`, if requested.
    pub origins: Option<Vec<Origin>>,
}

/// The origin of a packet in its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// As in [`Emission`].
    pub record: u64,
    /// As in [`Emission`].
    pub match_key: Option<u64>,
}

impl Batch {
    /// Creates an empty batch; `with_origins` says whether origins are requested.
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

    /// Removes the first `count` packets.
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
    /// The input of the source is damaged or out of order.
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError>;

    /// Appends packets to `batch` until one is at `end` or later, or until `most` packets have been added.
    /// Returns whether there may be more. Equivalent to repeated calls of
    /// [`next_emission`](Source::next_emission).
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

    /// The key of the source's flow `fid`. Flows are numbered densely from 0, in any order.
    fn flow(&self, fid: u32) -> FlowKey;

    /// The fraction of the source that has been read, 0 to 1, if its end is known.
    fn progress(&self) -> Option<f64> {
        None
    }

    /// Anomalies that were accepted so far, as text.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Why a source stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrafficError {
    /// The replayed capture cannot be read further.
    #[error(transparent)]
    Capture(#[from] crate::capture::CaptureError),
    /// A packet is further from the start of the run than a run can last.
    #[error(
        "record {record} of {path} is from {at}, but a run lasts at most 213 days from its start, {start}; if the time \
         of this record, or of the one at the start, is wrong, remove it with `editcap IN OUT NUMBER` (this one is \
         number {}); `editcap -A FROM -B TO IN OUT` keeps a part of a longer capture",
        record + 1
    )]
    OutOfReach {
        /// the capture
        path: String,
        /// the number of the record
        record: u64,
        /// the time of the record
        at: Timestamp,
        /// the start of the run
        start: Timestamp,
    },
}
