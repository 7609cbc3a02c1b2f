//! A network before it is a topology file: what generators and importers make.

use std::ops::Range;

use ipnet::IpNet;

use super::file::{DeviceFile, DirectionFile, LinkFile};
use super::impairment::JitterFile;
use super::{DeviceKind, PortName, Position, Prefix};
use crate::config::Spanned;
use crate::impairment::Jitter;
use crate::ptm::{Buffer, FifoSpec, PtmSpec};
use crate::units::{Bandwidth, Distance, Probability, Span};

/// Devices and links, of which the file's `[defaults]` tell the rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// The devices; hosts come first in a generated one.
    pub devices: Vec<DraftDevice>,
    /// The links.
    pub links: Vec<DraftLink>,
}

/// A device.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftDevice {
    /// Its name, unique and legal.
    pub name: String,
    /// What it does with packets.
    pub kind: DeviceKind,
    /// Its addresses; a host without any gets one as the file is read.
    pub addresses: Vec<IpNet>,
    /// Where it stands, if that is known.
    pub position: Option<Position>,
}

/// A link.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftLink {
    /// Its ends.
    pub between: [PortName; 2],
    /// A host stands at one of them.
    pub is_access: bool,
    /// From the first end to the second; where `backward` is missing, also back.
    pub forward: DraftTiming,
    /// From the second end to the first, where it differs.
    pub backward: Option<DraftTiming>,
    /// What the file says to its readers.
    pub comment: Option<String>,
}

/// What is known of one direction of a link.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DraftTiming {
    /// How fast bits are put onto it.
    pub bandwidth: Option<Bandwidth>,
    /// The propagation delay; stands for the length.
    pub delay: Option<Span>,
    /// How far it reaches.
    pub length: Option<Distance>,
    /// The probability with which it loses a packet.
    pub loss: Option<Probability>,
    /// Its extra delay at random.
    pub jitter: Option<Jitter>,
    /// What fits into the `fifo` of the port that sends on it.
    pub buffer: Option<Buffer>,
}

impl Draft {
    /// Whether `[defaults.link]` holds for one of its links.
    pub(super) fn has_links_between_forwarders(&self) -> bool {
        self.links.iter().any(|link| !link.is_access)
    }
}

impl DraftDevice {
    /// As a file writes it, at `span`.
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
    /// As a file writes it, at `span`.
    pub(super) fn into_file(self, span: &Range<usize>) -> LinkFile {
        let ends = self.between.map(|end| Spanned::new(span.clone(), end)).to_vec();
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
