//! `[[rtt]]`: a capture whose round-trip times are compared with simulated ones.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Accept;
use super::reader::Reader;
use crate::capture::{CaptureKeys, InterfaceName};
use crate::config::Spanned;
use crate::topology::{PortId, PortName, Topology};
use crate::units::Span;

/// A bidirectional capture whose round-trip times are compared with simulated ones.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RttFile {
    /// The capture file, relative to the scenario file.
    #[schemars(with = "PathBuf")]
    pub capture: Spanned<PathBuf>,
    /// Use only the packets of this interface: its name, or the number that `taunet inspect` shows (default:
    /// all).
    pub interface: Option<InterfaceName>,
    /// How far out of order its packets may be (default: the value of --reorder-window, 1 s).
    pub reorder_window: Option<Span>,
    /// The port where it was recorded, in both directions.
    #[schemars(with = "PortName")]
    pub at: Spanned<PortName>,
    /// The time that a host takes to answer, added to every simulated round trip (default: 0 s).
    pub turnaround: Option<Span>,
    /// The acceptance bounds of its round-trip times. The scenario's `[accept]` does not apply to them.
    /// Bounds on jitter and drops are not allowed.
    #[schemars(with = "Option<Accept>")]
    pub accept: Option<Spanned<Accept>>,
}

/// A resolved capture whose round-trip times are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredRtts {
    /// The file.
    pub capture: PathBuf,
    /// The filter for its packets.
    pub keys: CaptureKeys,
    /// The port where it was recorded, in both directions.
    pub at: PortId,
    /// The time that a host takes to answer.
    pub turnaround: Span,
    /// The acceptance bounds of its round-trip times.
    pub accept: Accept,
}

impl Reader<'_> {
    pub(super) fn rtts(&mut self, spec: &RttFile, topology: &Topology) -> Option<MeasuredRtts> {
        let (capture, at) = (self.capture(&spec.capture), self.port(&spec.at, topology));
        let accept = spec.accept.as_ref().map(|accept| *accept.get_ref()).unwrap_or_default();
        if let (Some(written), Some(key)) = (&spec.accept, accept.of_packets_alone()) {
            let message = format!("`{key}` has no effect here: it is not defined for round-trip times");
            let help = "remove it, or write it in [accept] or in a [[measured]] table";
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
