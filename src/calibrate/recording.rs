//! A recording for other modules: its packets, and the bottleneck of its device.

use std::ops::Range;

use super::fit::Fitting;
use super::model::Model;
use super::path::PathEstimate;
use super::simulate::Replays;
use super::transit::{Fate, Joined, join};
use super::{CalibrateError, CalibrateOptions};
use crate::packet::{FlowKey, Packet};

/// The captures around a device, joined.
pub struct Recording {
    joined: Joined,
    captures: usize,
}

/// A packet of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedTransit {
    /// The number of its ingress capture, from 0.
    pub capture: u16,
    /// Its length and header fields; its flow is one of [`Recording::flows`].
    pub packet: Packet,
    /// Time in the ingress capture, in picoseconds since the start of the recording.
    pub arrival_ps: i64,
    /// Time in the egress capture, in picoseconds since the start of the recording; `None` for a lost packet.
    pub departure_ps: Option<i64>,
}

impl Recording {
    /// Reads and joins the captures.
    ///
    /// # Errors
    /// A capture is invalid, or the captures do not belong to one device.
    pub fn read(options: &CalibrateOptions) -> Result<Self, CalibrateError> {
        if options.ingress.is_empty() {
            return Err(CalibrateError::NoIngress);
        }
        let joined = join(options)?;
        Ok(Recording { joined, captures: options.ingress.len() })
    }

    /// Every packet of known fate, by arrival.
    pub fn transits(&self) -> impl Iterator<Item = RecordedTransit> {
        self.joined.transits.iter().filter_map(|transit| {
            let departure_ps = match transit.fate {
                Fate::Departed(at) => Some(at),
                Fate::Lost => None,
                Fate::Unknown => return None,
            };
            let (capture, packet) = (transit.capture, transit.packet);
            Some(RecordedTransit { capture, packet, arrival_ps: transit.arrival_ps, departure_ps })
        })
    }

    /// Warnings from reading.
    pub fn remarks(&self) -> &[String] {
        &self.joined.remarks
    }

    /// The flows, by their number.
    pub fn flows(&self) -> &[FlowKey] {
        &self.joined.flows
    }

    /// The calibrated device that is closest to the packets that arrive in `window`, in picoseconds since the
    /// start. No other packets are used.
    ///
    /// # Errors
    /// A simulation fails.
    pub fn model(&self, window: Range<i64>) -> Result<Model, CalibrateError> {
        let replays = Replays::new(&self.joined, self.captures);
        let fitting = Fitting::new(&self.joined, &PathEstimate::none(self.captures), window.clone());
        let mut best: Option<(f64, Model)> = None;
        // Drop rules do not affect the rate.
        for model in std::iter::once(fitting.plain()).chain(fitting.classful()) {
            let model = fitting.refine(model, &replays)?;
            let cost = replays.score(&replays.simulate(&model)?, window.clone()).cost();
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, model));
            }
        }
        Ok(best.expect("there is always a candidate").1)
    }
}
