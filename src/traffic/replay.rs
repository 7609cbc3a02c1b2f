//! A recorded capture, packet by packet at its recorded instants.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Emission, Source, TrafficError};
use crate::capture::{CaptureError, FlowTable, Observation, Options, Sorted};
use crate::config::Spanned;
use crate::packet::{FlowKey, Packet, Tau};
use crate::topology::VantageSpec;
use crate::units::Timestamp;

/// The parameters of a `replay`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaySpec {
    /// The capture file, relative to the scenario file.
    #[schemars(with = "PathBuf")]
    pub capture: Spanned<PathBuf>,
    /// Where it was recorded, which is where it is injected.
    pub at: VantageSpec,
}

/// Replays a capture.
pub struct Replay {
    path: PathBuf,
    capture: Sorted,
    flows: FlowTable,
    first: Option<Observation>,
    start: Timestamp,
}

impl Replay {
    /// Opens `path` and reads its first packet. The run's start is the Unix epoch until [`Source::start_at`].
    ///
    /// # Errors
    /// The file cannot be opened or its first packet cannot be read.
    pub fn open(path: &Path, options: &Options) -> Result<Self, CaptureError> {
        let mut capture = Sorted::open(path, options)?;
        let first = capture.next_observation()?;
        Ok(Replay {
            path: path.to_owned(),
            capture,
            flows: FlowTable::new(),
            first,
            start: Timestamp::default(),
        })
    }
}

impl Source for Replay {
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError> {
        let observation = match self.first.take() {
            Some(first) => Some(first),
            None => self.capture.next_observation()?,
        };
        let Some(observation) = observation else { return Ok(None) };
        let frame = &observation.frame;
        let timestamp =
            observation.timestamp.relative_to(self.start).ok_or_else(|| TrafficError::OutOfReach {
                path: self.path.display().to_string(),
                record: observation.record,
                at: observation.timestamp,
                start: self.start,
            })?;
        let packet = Packet {
            fid: self.flows.fid(frame),
            length: observation.length,
            trp: frame.protocol.unwrap_or(u8::MAX),
            ttl: frame.ttl.unwrap_or(u8::MAX),
            dscp: frame.dscp.unwrap_or(0),
            ecn: frame.ecn.unwrap_or(0),
            ..Packet::default()
        };
        Ok(Some(Emission {
            tau: Tau { timestamp, packet },
            record: observation.record,
            match_key: frame.match_key(),
        }))
    }

    fn flow(&self, fid: u32) -> FlowKey {
        *self.flows.key(fid).expect("a flow that this source emitted")
    }

    fn progress(&self) -> Option<f64> {
        let reader = self.capture.reader();
        reader.file_size().map(|size| reader.bytes_read() as f64 / size.max(1) as f64)
    }

    fn recorded_start(&self) -> Option<Timestamp> {
        self.first.map(|observation| observation.timestamp)
    }

    fn start_at(&mut self, start: Timestamp) {
        self.start = start;
    }

    fn warnings(&self) -> Vec<String> {
        self.capture.remarks()
    }
}
