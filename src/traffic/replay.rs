//! The replay of a recorded capture: at the place of the recording, or distributed over hosts.

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
    /// The interface whose packets are used: its name, or its number as shown by `taunet inspect` (default:
    /// all interfaces).
    pub interface: Option<InterfaceName>,
    /// The direction whose packets are used, if the file records it: "in" or "out" (default: both).
    pub direction: Option<CaptureDirection>,
    /// The time window in which packets may be out of order (default: --reorder-window, 1 s).
    pub reorder_window: Option<Span>,
    /// Where the capture was recorded and is injected; alternatively, give `by_address`.
    pub at: Option<VantageSpec>,
    /// How the addresses of a packet select its sending and its receiving host: "hash", or a table of
    /// prefixes; alternatively, give `at`.
    #[schemars(with = "Option<ByAddressSpec>")]
    pub by_address: Option<Spanned<ByAddressSpec>>,
    /// The factor by which the replay is faster than the recording (default: 1); alternatively, give the
    /// `rate`.
    #[schemars(with = "Option<f64>")]
    pub speed: Option<Spanned<f64>>,
    /// The mean rate to which the replay is scaled in time; alternatively, give the `speed`.
    #[schemars(with = "Option<RateSpec>")]
    pub rate: Option<Spanned<RateSpec>>,
}

impl ReplaySpec {
    /// The packets of the capture that are used.
    pub(crate) fn keys(&self) -> CaptureKeys {
        let (interface, direction) = (self.interface.clone(), self.direction);
        CaptureKeys { interface, direction, reorder_window: self.reorder_window }
    }
}

/// The speed of a replay.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Speed {
    /// As recorded.
    #[default]
    Recorded,
    /// This many times as fast.
    Times(f64),
    /// At this mean rate; a load refers to the link of the named port.
    To(RateSpec, Option<(Link, String)>),
}

/// Replays a capture.
pub struct Replay {
    recording: Recording,
    flows: FlowTable,
}

impl Replay {
    /// Opens `path` and reads its first packet. The start of the run is the Unix epoch until
    /// [`Recording::start_at`] is called.
    ///
    /// # Errors
    /// The file cannot be opened or its first packet cannot be read.
    pub fn open(path: &Path, options: &Options) -> Result<Self, CaptureError> {
        Self::open_at(path, options, &Speed::Recorded)
    }

    /// The same at a given speed. For a rate, the capture is first read once to the end.
    ///
    /// # Errors
    /// As [`Replay::open`].
    pub fn open_at(path: &Path, options: &Options, speed: &Speed) -> Result<Self, CaptureError> {
        Ok(Replay { recording: Recording::open(path, options, speed)?, flows: FlowTable::new() })
    }

    /// The recording. A run sets its start there before it reads the first packet.
    pub fn recording(&mut self) -> &mut Recording {
        &mut self.recording
    }
}

/// Converts a frame into a packet of the flow `fid`.
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
