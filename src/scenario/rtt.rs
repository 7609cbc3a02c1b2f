//! `[[rtt]]`: a capture whose round-trip times the simulation is compared with.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::Reader;
use crate::config::Spanned;
use crate::topology::{PortId, PortName, Topology};
use crate::units::Span;

/// A capture of both directions, whose round-trip times are compared with simulated ones.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RttFile {
    /// The capture file, relative to the scenario file.
    #[schemars(with = "PathBuf")]
    pub capture: Spanned<PathBuf>,
    /// The port where it was recorded, in both directions.
    #[schemars(with = "PortName")]
    pub at: Spanned<PortName>,
    /// How long a host takes to answer, added to every simulated round trip (default: 0 s).
    pub turnaround: Option<Span>,
}

/// A capture whose round-trip times are compared, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredRtts {
    /// The file.
    pub capture: PathBuf,
    /// Where it was taken, in both directions.
    pub at: PortId,
    /// How long a host takes to answer.
    pub turnaround: Span,
}

impl Reader<'_> {
    pub(super) fn rtts(&mut self, spec: &RttFile, topology: &Topology) -> Option<MeasuredRtts> {
        let (capture, at) = (self.file(&spec.capture), self.port(&spec.at, topology).ok());
        Some(MeasuredRtts { capture: capture?, at: at?, turnaround: spec.turnaround.unwrap_or(Span::ZERO) })
    }
}
