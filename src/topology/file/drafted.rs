//! Converts the devices and links of a [`Draft`](super::super::Draft) to the types of a topology file.

use std::ops::Range;

use super::{DeviceFile, DirectionFile, LinkFile};
use crate::config::Spanned;
use crate::ptm::{FifoSpec, PtmSpec};
use crate::topology::Prefix;
use crate::topology::draft::{DraftDevice, DraftLink, DraftTiming};
use crate::topology::impairment::JitterFile;

impl DraftDevice {
    /// The device as the file writes it, at `span`.
    pub(super) fn into_file(self, span: &Range<usize>) -> DeviceFile {
        DeviceFile {
            name: Spanned::new(span.clone(), self.name),
            kind: self.kind,
            addresses: self
                .addresses
                .iter()
                .map(|address| Spanned::new(span.clone(), Prefix(*address)))
                .collect(),
            processing: None,
            ptm: None,
            routes: Vec::new(),
            position: self.position.map(|position| Spanned::new(span.clone(), position.into())),
        }
    }
}

impl DraftLink {
    /// The link as the file writes it, at `span`.
    pub(super) fn into_file(self, span: &Range<usize>) -> LinkFile {
        let ends = self.between.map(|end| Spanned::new(span.clone(), end.into())).to_vec();
        let forward = self.forward.into_file(span);
        let same_buffer = DraftTiming { buffer: self.forward.buffer, ..DraftTiming::default() };
        LinkFile {
            between: Spanned::new(span.clone(), ends),
            bandwidth: forward.bandwidth,
            delay: forward.delay,
            length: forward.length,
            propagation_speed: None,
            overhead: None,
            mtu: None,
            loss: forward.loss,
            jitter: forward.jitter,
            ptm: forward.ptm,
            forward: DirectionFile::default(),
            backward: self.backward.unwrap_or(same_buffer).into_file(span),
        }
    }
}

impl DraftTiming {
    fn into_file(self, span: &Range<usize>) -> DirectionFile {
        let fifo = |buffer| PtmSpec::Fifo(FifoSpec { buffer: Some(buffer) });
        DirectionFile {
            bandwidth: self.bandwidth,
            delay: self.delay.map(|delay| Spanned::new(span.clone(), delay)),
            length: self.length.map(|length| Spanned::new(span.clone(), length)),
            propagation_speed: None,
            overhead: None,
            mtu: None,
            loss: self.loss,
            jitter: self.jitter.map(|jitter| Spanned::new(span.clone(), JitterFile::of(jitter, span))),
            ptm: self.buffer.map(|buffer| Spanned::new(span.clone(), fifo(buffer))),
        }
    }
}
