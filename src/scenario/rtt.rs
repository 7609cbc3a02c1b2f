//! `[[rtt]]`: a capture whose round-trip times the simulation is compared with.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Accept;
use super::reader::Reader;
use crate::capture::{CaptureKeys, InterfaceName};
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
    /// Its one interface whose packets count: the name, or the number that `taunet inspect` gives (default: all).
    pub interface: Option<InterfaceName>,
    /// How far out of order its packets may be (default: --reorder-window, 1 s).
    pub reorder_window: Option<Span>,
    /// The port where it was recorded, in both directions.
    #[schemars(with = "PortName")]
    pub at: Spanned<PortName>,
    /// How long a host takes to answer, added to every simulated round trip (default: 0 s).
    pub turnaround: Option<Span>,
    /// The bounds that its round-trip times must keep; those of the scenario do not bound them. Jitter and drops are not
    /// theirs.
    #[schemars(with = "Option<Accept>")]
    pub accept: Option<Spanned<Accept>>,
}

/// A capture whose round-trip times are compared, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredRtts {
    /// The file.
    pub capture: PathBuf,
    /// Which of its packets count.
    pub keys: CaptureKeys,
    /// Where it was taken, in both directions.
    pub at: PortId,
    /// How long a host takes to answer.
    pub turnaround: Span,
    /// The bounds that its round-trip times must keep.
    pub accept: Accept,
}

impl Reader<'_> {
    pub(super) fn rtts(&mut self, spec: &RttFile, topology: &Topology) -> Option<MeasuredRtts> {
        let (capture, at) = (self.capture(&spec.capture), self.port(&spec.at, topology));
        let accept = spec.accept.as_ref().map(|accept| *accept.get_ref()).unwrap_or_default();
        if let (Some(written), Some(key)) = (&spec.accept, accept.of_packets_alone()) {
            let message = format!("`{key}` bounds nothing here: it is of packets, and not of round trips");
            let help = "leave it out, or write it in [accept] or in a [[measured]] table";
            self.wrong(written.span(), message, Some(help.to_owned()));
        }
        let turnaround = spec.turnaround.unwrap_or(Span::ZERO);
        let keys = CaptureKeys {
            interface: spec.interface.clone(),
            direction: None,
            reorder_window: spec.reorder_window,
        };
        Some(MeasuredRtts { capture: capture?, keys, at: at?, turnaround, accept })
    }
}
