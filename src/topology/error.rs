//! Errors in the devices and links of a topology.

use ipnet::IpNet;

use super::{DeviceKind, NameError, PortName};
use crate::ptm::PtmError;

/// The part of a topology that a mistake is in. Indices refer to the arguments of [`super::Topology::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// The topology as a whole.
    Whole,
    /// A device.
    Device(usize),
    /// An address of a device.
    Address(usize, usize),
    /// A route of a device.
    Route(usize, usize),
    /// A link.
    Link(usize),
    /// An end of a link: 0 or 1.
    LinkEnd(usize, usize),
    /// The traffic management of a device's egress ports.
    DevicePtm(usize),
    /// The traffic management of a link's end: 0 or 1.
    LinkPtm(usize, usize),
}

/// The reason why devices and links do not form a topology: one variant for each condition of
/// [`super::Topology::new`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// There is no device.
    #[error("the topology has no devices")]
    NoDevices,
    /// A device's name is empty.
    #[error("the device's name is empty")]
    EmptyName {
        /// index of the device
        device: usize,
    },
    /// A device's name contains a character that port names reserve.
    #[error("`{name}` is not a valid device name: it contains {character:?}")]
    BadName {
        /// index of the device
        device: usize,
        /// its name
        name: String,
        /// the invalid character
        character: char,
    },
    /// Two devices have the same name.
    #[error("two devices are named `{name}`")]
    DuplicateName {
        /// index of the second device
        device: usize,
        /// their name
        name: String,
    },
    /// A switch or router has addresses.
    #[error("`{name}` is a {}: only a host has addresses", kind_name(.kind))]
    AddressOfForwarder {
        /// index of the device
        device: usize,
        /// its name
        name: String,
        /// its kind
        kind: DeviceKind,
    },
    /// A prefix occurs twice.
    #[error("`{prefix}` is already an address of `{owner}`")]
    DuplicatePrefix {
        /// index of the second device
        device: usize,
        /// index of its address
        address: usize,
        /// the prefix
        prefix: IpNet,
        /// the first device's name
        owner: String,
    },
    /// A link ends at a device that does not exist.
    #[error("{error}")]
    UnknownDevice {
        /// index of the link
        link: usize,
        /// which end: 0 or 1
        end: usize,
        /// the name, and the existing names
        error: NameError,
    },
    /// Two links end at one port.
    #[error("the port `{port}` is already the end of another link")]
    PortTaken {
        /// index of the second link
        link: usize,
        /// which end: 0 or 1
        end: usize,
        /// the port
        port: PortName,
        /// the lowest port number of the device that is free, if any
        free: Option<u16>,
    },
    /// Both ends of a link are the same port.
    #[error("the link joins `{port}` to itself")]
    LinkToItself {
        /// index of the link
        link: usize,
        /// the port
        port: PortName,
    },
    /// A route names a port that the device does not have.
    #[error("`{port}` is not a port: no link ends there")]
    UnknownRoutePort {
        /// index of the device
        device: usize,
        /// index of the route
        route: usize,
        /// the port
        port: PortName,
        /// the existing port numbers
        known: Vec<u16>,
    },
    /// A device's traffic management is not possible at one of its ports.
    #[error("{error}")]
    DevicePtm {
        /// index of the device
        device: usize,
        /// the reason
        error: PtmError,
    },
    /// The traffic management of a link's end is not possible.
    #[error("{error}")]
    LinkPtm {
        /// index of the link
        link: usize,
        /// which end: 0 or 1
        end: usize,
        /// the reason
        error: PtmError,
    },
    /// Two routes of a device have the same destination.
    #[error("`{name}` has two routes to `{destination}`")]
    DuplicateRoute {
        /// index of the device
        device: usize,
        /// index of the second route
        route: usize,
        /// the device's name
        name: String,
        /// the destination
        destination: IpNet,
    },
}

impl TopologyError {
    /// The part with the mistake.
    pub fn element(&self) -> Element {
        match *self {
            TopologyError::NoDevices => Element::Whole,
            TopologyError::EmptyName { device }
            | TopologyError::BadName { device, .. }
            | TopologyError::DuplicateName { device, .. } => Element::Device(device),
            TopologyError::AddressOfForwarder { device, .. } => Element::Address(device, 0),
            TopologyError::DuplicatePrefix { device, address, .. } => Element::Address(device, address),
            TopologyError::UnknownDevice { link, end, .. } | TopologyError::PortTaken { link, end, .. } => {
                Element::LinkEnd(link, end)
            }
            TopologyError::LinkToItself { link, .. } => Element::Link(link),
            TopologyError::DevicePtm { device, .. } => Element::DevicePtm(device),
            TopologyError::LinkPtm { link, end, .. } => Element::LinkPtm(link, end),
            TopologyError::UnknownRoutePort { device, route, .. }
            | TopologyError::DuplicateRoute { device, route, .. } => Element::Route(device, route),
        }
    }

    /// A suggestion.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            TopologyError::NoDevices => "add a [[device]] table".to_owned(),
            TopologyError::EmptyName { .. } => "write a name, such as \"r1\"".to_owned(),
            TopologyError::BadName { .. } => {
                "a name has no colon and no space, because \"r1:0\" names a port".to_owned()
            }
            TopologyError::DuplicateName { .. } => "write a unique name for each device".to_owned(),
            TopologyError::AddressOfForwarder { .. } => {
                "move the addresses to the host behind it, or use `routes`".to_owned()
            }
            TopologyError::DuplicatePrefix { .. } => {
                "an address belongs to one host: write a longer prefix for one of the two".to_owned()
            }
            TopologyError::UnknownDevice { error, .. } => error.help().to_owned(),
            TopologyError::PortTaken { port, free, .. } => {
                return free.map(|free| format!("`{}:{free}` is free", port.device));
            }
            TopologyError::LinkToItself { .. } => "a link joins two ports".to_owned(),
            TopologyError::UnknownRoutePort { known, .. } if known.is_empty() => {
                "no link ends at this device".to_owned()
            }
            TopologyError::UnknownRoutePort { known, .. } => {
                let known = known.iter().map(u16::to_string).collect::<Vec<_>>();
                format!("its ports: {}", known.join(", "))
            }
            TopologyError::DevicePtm { error, .. } | TopologyError::LinkPtm { error, .. } => error.help(),
            TopologyError::DuplicateRoute { .. } => "keep one of them".to_owned(),
        })
    }
}

fn kind_name(kind: &DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Host => "host",
        DeviceKind::Switch => "switch",
        DeviceKind::Router => "router",
    }
}
