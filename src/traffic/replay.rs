//! A recorded capture, packet by packet at its recorded instants: where it was recorded, or spread over hosts.

mod by_address;
mod recording;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::rate::RateSpec;
use super::{Emission, Source, TrafficError};
use crate::capture::{CaptureDirection, CaptureError, CaptureKeys, FlowTable, Frame, InterfaceName, Options};
use crate::config::Spanned;
use crate::link::Link;
use crate::packet::{FlowKey, Packet};
use crate::topology::VantageSpec;
use crate::units::Span;

pub use by_address::{ByAddressSpec, HostOfAddress, ReplayByAddress};
pub use recording::Recording;

/// The parameters of a `replay`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaySpec {
    /// The capture file, relative to the scenario file.
    #[schemars(with = "PathBuf")]
    pub capture: Spanned<PathBuf>,
    /// Its one interface whose packets count: the name, or the number that `taunet inspect` gives (default: all).
    pub interface: Option<InterfaceName>,
    /// Its one direction whose packets count, where the file says it: "in" or "out" (default: both).
    pub direction: Option<CaptureDirection>,
    /// How far out of order its packets may be (default: --reorder-window, 1 s).
    pub reorder_window: Option<Span>,
    /// Where it was recorded, which is where it is injected; or give `by_address`.
    pub at: Option<VantageSpec>,
    /// Which host sends a packet, and which receives it, by its addresses: "hash", or a table of prefixes; or
    /// give `at`.
    #[schemars(with = "Option<ByAddressSpec>")]
    pub by_address: Option<Spanned<ByAddressSpec>>,
    /// How much faster than recorded (default: 1); or give the `rate`.
    #[schemars(with = "Option<f64>")]
    pub speed: Option<Spanned<f64>>,
    /// The mean rate to which it is sped up or slowed down; or give the `speed`.
    #[schemars(with = "Option<RateSpec>")]
    pub rate: Option<Spanned<RateSpec>>,
}

impl ReplaySpec {
    /// Which packets of the capture count.
    pub(crate) fn keys(&self) -> CaptureKeys {
        let (interface, direction) = (self.interface.clone(), self.direction);
        CaptureKeys { interface, direction, reorder_window: self.reorder_window }
    }
}

/// How fast a capture is replayed.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Speed {
    /// As recorded.
    #[default]
    Recorded,
    /// So many times as fast.
    Times(f64),
    /// To this mean rate; a load is that of the link of the named port.
    To(RateSpec, Option<(Link, String)>),
}

/// Replays a capture.
pub struct Replay {
    recording: Recording,
    flows: FlowTable,
}

impl Replay {
    /// Opens `path` and reads its first packet. The run's start is the Unix epoch until [`Recording::start_at`].
    ///
    /// # Errors
    /// The file cannot be opened or its first packet cannot be read.
    pub fn open(path: &Path, options: &Options) -> Result<Self, CaptureError> {
        Self::open_at(path, options, &Speed::Recorded)
    }

    /// The same at some speed. To reach a rate, the capture is read once before.
    ///
    /// # Errors
    /// As [`Replay::open`].
    pub fn open_at(path: &Path, options: &Options, speed: &Speed) -> Result<Self, CaptureError> {
        Ok(Replay { recording: Recording::open(path, options, speed)?, flows: FlowTable::new() })
    }

    /// What it replays; a run tells it when it starts before it asks for the first packet.
    pub fn recording(&mut self) -> &mut Recording {
        &mut self.recording
    }
}

/// A frame as a packet of the flow `fid`.
fn packet(frame: &Frame, length: u32, fid: u32) -> Packet {
    Packet {
        fid,
        length,
        trp: frame.protocol.unwrap_or(u8::MAX),
        ttl: frame.ttl.unwrap_or(u8::MAX),
        dscp: frame.dscp.unwrap_or(0),
        ecn: frame.ecn.unwrap_or(0),
        tag: frame.vlan_tag(),
        ..Packet::default()
    }
}

impl Source for Replay {
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError> {
        let Some((timestamp, observation)) = self.recording.next()? else { return Ok(None) };
        let frame = &observation.frame;
        let packet = packet(frame, observation.length, self.flows.fid(frame));
        Ok(Some(Emission {
            tau: crate::packet::Tau { timestamp, packet },
            record: observation.record,
            match_key: self.recording.match_key(frame),
        }))
    }

    fn flow(&self, fid: u32) -> FlowKey {
        *self.flows.key(fid).expect("a flow that this source emitted")
    }

    fn progress(&self) -> Option<f64> {
        self.recording.progress()
    }

    fn warnings(&self) -> Vec<String> {
        self.recording.warnings()
    }
}
