//! A network before it is a topology file: what generators and importers make.

use ipnet::IpNet;

use super::{DeviceKind, PortName, Position};
use crate::impairment::Jitter;
use crate::ptm::Buffer;
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
