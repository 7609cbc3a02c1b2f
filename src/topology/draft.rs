//! A draft of a topology file, made by generators and importers.

use ipnet::IpNet;

use super::{DeviceKind, PortName, Position};
use crate::impairment::Jitter;
use crate::ptm::Buffer;
use crate::units::{Bandwidth, Distance, Probability, Span};

/// Devices and links. The file's `[defaults]` supply the remaining values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// The devices. In a generated draft, hosts come first.
    pub devices: Vec<DraftDevice>,
    /// The links.
    pub links: Vec<DraftLink>,
}

/// A device.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftDevice {
    /// Its name, unique and valid.
    pub name: String,
    /// Its forwarding behaviour.
    pub kind: DeviceKind,
    /// Its addresses. A host without one gets one when the file is read.
    pub addresses: Vec<IpNet>,
    /// Its position, if known.
    pub position: Option<Position>,
}

/// A link.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftLink {
    /// Its ends.
    pub between: [PortName; 2],
    /// Whether one end is a host.
    pub is_access: bool,
    /// The direction from the first end to the second; both directions if `backward` is `None`.
    pub forward: DraftTiming,
    /// The direction from the second end to the first, if it differs.
    pub backward: Option<DraftTiming>,
    /// A comment for readers of the file.
    pub comment: Option<String>,
}

/// The known properties of one direction of a link.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DraftTiming {
    /// The bandwidth.
    pub bandwidth: Option<Bandwidth>,
    /// The propagation delay; replaces the length.
    pub delay: Option<Span>,
    /// The length.
    pub length: Option<Distance>,
    /// The probability that it loses a packet.
    pub loss: Option<Probability>,
    /// Its random extra delay.
    pub jitter: Option<Jitter>,
    /// The buffer of the `fifo` at the sending port.
    pub buffer: Option<Buffer>,
}

impl Draft {
    /// Whether `[defaults.link]` applies to one of its links.
    pub(super) fn has_links_between_forwarders(&self) -> bool {
        self.links.iter().any(|link| !link.is_access)
    }
}
