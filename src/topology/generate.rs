//! Networks of a known shape: the table `[generate]` of a topology file.
//!
//! Every generator documents the names of its devices, the numbers of its ports and the addresses of its
//! hosts. Hosts are `h0`, `h1`, ... and come first. Unless the generator says otherwise, host `h{n}` has the
//! address `10.0.0.0 + n + 1`, and ports 0, 1, ... of a switch lead to its hosts, in order.
//!
//! To add a generator: one file here with its parameters and its `draft`, and one line in each of
//! [`GenerateSpec`], its `size` and its `draft`.

mod dumbbell;
mod fat_tree;
mod leaf_spine;
mod line;
mod star;
mod torus;
mod waxman;

pub use dumbbell::Dumbbell;
pub use fat_tree::FatTree;
pub use leaf_spine::LeafSpine;
pub use line::{Line, Ring};
pub use star::Star;
pub use torus::Torus;
pub use waxman::Waxman;

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeviceKind, Draft, DraftDevice, DraftLink, DraftTiming, PortName, Position};
use crate::units::Distance;

/// The maximum number of devices of a generated network.
pub const MOST_DEVICES: u128 = 1_000_000;
/// The maximum number of links of a generated network.
pub const MOST_LINKS: u128 = 4_000_000;
/// The maximum number of ports that a parameter may request at one device.
const MOST_PORTS: u32 = 65_000;

/// A network of a known shape: `[generate]` with `kind = "fat-tree"`, and the parameters of that kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::Subcommand))]
#[serde(rename_all = "kebab-case")]
#[schemars(tag = "kind", description = "A network of a known shape.")]
pub enum GenerateSpec {
    /// Switches in a row
    Line(Line),
    /// Switches in a ring
    Ring(Ring),
    /// Hosts around one switch
    Star(Star),
    /// Hosts on both sides of a bottleneck
    Dumbbell(Dumbbell),
    /// A grid of switches with wrap-around links, in any number of dimensions
    Torus(Torus),
    /// The three layers of switches of a data centre, with k ports each
    FatTree(FatTree),
    /// Two layers of switches, each switch joined to all of the other layer
    LeafSpine(LeafSpine),
    /// A random network in which nearby switches are joined more often
    Waxman(Waxman),
}

/// The reason why parameters do not give a network.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A parameter is too small.
    #[error("`{parameter}` is {value}: {why}")]
    TooSmall {
        /// the parameter
        parameter: &'static str,
        /// its value
        value: u32,
        /// the minimum
        least: u32,
        /// the reason
        why: &'static str,
    },
    /// A parameter is too large.
    #[error("`{parameter}` is {value}: {why}")]
    TooLarge {
        /// the parameter
        parameter: &'static str,
        /// its value
        value: u32,
        /// the maximum
        most: u32,
        /// the reason
        why: &'static str,
    },
    /// The switches of a fat tree have an odd number of ports.
    #[error("`k` is {k}: half of a switch's ports lead down and half lead up, so it must be even")]
    Odd {
        /// the number of ports
        k: u32,
    },
    /// A torus without dimensions.
    #[error("a torus needs at least one dimension")]
    NoDimensions,
    /// A parameter is not above 0, or exceeds its maximum.
    #[error("`{parameter}` is {value}: it must be above 0 and at most {most}")]
    OutOfRange {
        /// the parameter
        parameter: &'static str,
        /// its value
        value: f64,
        /// the maximum
        most: f64,
    },
    /// The network is too large.
    #[error("this network would have {count} {what}: the maximum is {most}")]
    TooMany {
        /// the parameter with the largest effect
        parameter: &'static str,
        /// devices or links
        what: &'static str,
        /// the number it would have
        count: u128,
        /// the maximum
        most: u128,
    },
}

impl GenerateError {
    /// The parameter that is wrong.
    pub fn parameter(&self) -> &'static str {
        match self {
            GenerateError::TooSmall { parameter, .. }
            | GenerateError::TooLarge { parameter, .. }
            | GenerateError::OutOfRange { parameter, .. }
            | GenerateError::TooMany { parameter, .. } => parameter,
            GenerateError::Odd { .. } => "k",
            GenerateError::NoDimensions => "dimensions",
        }
    }

    /// A suggestion.
    pub fn help(&self) -> String {
        match self {
            GenerateError::TooSmall { parameter, least, .. } => {
                format!("write {parameter} = {least} or more")
            }
            GenerateError::TooLarge { parameter, most, .. } => format!("write {parameter} = {most} or less"),
            GenerateError::Odd { k } => {
                format!("write k = {} or k = {}", k.saturating_sub(1), k.saturating_add(1))
            }
            GenerateError::NoDimensions => "write for example dimensions = [4, 4]".to_owned(),
            GenerateError::OutOfRange { parameter, .. } => format!("write for example {parameter} = 0.4"),
            GenerateError::TooMany { .. } => "write a smaller value".to_owned(),
        }
    }
}

impl GenerateSpec {
    /// The devices and links of the network.
    ///
    /// # Errors
    /// Parameters that do not give a network.
    ///
    /// # Examples
    /// ```
    /// use taunet::topology::generate::{FatTree, GenerateSpec};
    ///
    /// let draft = GenerateSpec::FatTree(FatTree { k: 4 }).draft()?;
    /// assert_eq!((draft.devices.len(), draft.links.len()), (16 + 20, 48));
    /// # Ok::<(), taunet::topology::generate::GenerateError>(())
    /// ```
    pub fn draft(&self) -> Result<Draft, GenerateError> {
        match self {
            GenerateSpec::Line(line) => line.draft(),
            GenerateSpec::Ring(ring) => ring.draft(),
            GenerateSpec::Star(star) => star.draft(),
            GenerateSpec::Dumbbell(dumbbell) => dumbbell.draft(),
            GenerateSpec::Torus(torus) => torus.draft(),
            GenerateSpec::FatTree(tree) => tree.draft(),
            GenerateSpec::LeafSpine(fabric) => fabric.draft(),
            GenerateSpec::Waxman(waxman) => waxman.draft(),
        }
    }

    /// The name of the kind, such as `fat-tree`.
    pub fn name(&self) -> String {
        let value = serde_json::to_value(self).expect("parameters are numbers and texts");
        value.as_object().and_then(|kinds| kinds.keys().next().cloned()).unwrap_or_default()
    }

    /// The kind and parameters, as lines of TOML in `[generate]`.
    pub(crate) fn toml_lines(&self) -> Vec<String> {
        let value = serde_json::to_value(self).expect("parameters are numbers and texts");
        let kinds = value.as_object().into_iter().flatten();
        let mut lines = Vec::new();
        for (kind, parameters) in kinds {
            lines.push(format!("kind = {}", crate::config::toml_value(kind)));
            for (key, value) in parameters.as_object().into_iter().flatten() {
                lines.push(format!("{key} = {}", crate::config::toml_value(value)));
            }
        }
        lines
    }
}

/// Checks that a parameter is at least `least`.
fn at_least(parameter: &'static str, value: u32, least: u32, why: &'static str) -> Result<(), GenerateError> {
    if value < least { Err(GenerateError::TooSmall { parameter, value, least, why }) } else { Ok(()) }
}

/// Checks that a device has enough ports.
fn fits_ports(parameter: &'static str, value: u32) -> Result<(), GenerateError> {
    let why = "a device has no more ports";
    at_most(parameter, value, MOST_PORTS, why)
}

fn at_most(parameter: &'static str, value: u32, most: u32, why: &'static str) -> Result<(), GenerateError> {
    if value > most { Err(GenerateError::TooLarge { parameter, value, most, why }) } else { Ok(()) }
}

/// Checks the size of the network.
fn check_size(parameter: &'static str, devices: u128, links: u128) -> Result<(), GenerateError> {
    for (what, count, most) in [("devices", devices, MOST_DEVICES), ("links", links, MOST_LINKS)] {
        if count > most {
            return Err(GenerateError::TooMany { parameter, what, count, most });
        }
    }
    Ok(())
}

/// Builds a draft.
#[derive(Default)]
struct Plan {
    draft: Draft,
}

impl Plan {
    /// `count` hosts with consecutive addresses, `h0` first.
    fn add_hosts(&mut self, count: u32) {
        for host in 0..count {
            // At most a million hosts; 10.0.0.0/8 has space for sixteen million.
            let address = Ipv4Addr::from_bits((10 << 24) + host + 1);
            self.add_host(host, address);
        }
    }

    fn add_host(&mut self, host: u32, address: Ipv4Addr) {
        let addresses = vec![IpNet::from(IpAddr::V4(address))];
        let name = format!("h{host}");
        self.draft.devices.push(DraftDevice { name, kind: DeviceKind::Host, addresses, position: None });
    }

    fn add_switch(&mut self, name: String, position: Option<Position>) {
        self.draft.devices.push(DraftDevice {
            name,
            kind: DeviceKind::Switch,
            addresses: Vec::new(),
            position,
        });
    }

    /// Joins host `host` to a port of a switch.
    fn attach(&mut self, host: u32, switch: &str, port: u32) {
        let between = [PortName::new(format!("h{host}"), 0), self::port(switch, port)];
        let forward = DraftTiming::default();
        self.draft.links.push(DraftLink { between, is_access: true, forward, backward: None, comment: None });
    }

    /// Joins ports of two switches.
    fn join(&mut self, from: (&str, u32), to: (&str, u32), length: Option<Distance>) {
        let between = [port(from.0, from.1), port(to.0, to.1)];
        let forward = DraftTiming { length, ..DraftTiming::default() };
        self.draft.links.push(DraftLink {
            between,
            is_access: false,
            forward,
            backward: None,
            comment: None,
        });
    }
}

/// A port whose number was checked with the parameters.
fn port(device: &str, number: u32) -> PortName {
    PortName::new(device, u16::try_from(number).expect("parameters ask for no more ports than a device has"))
}

#[cfg(test)]
mod tests;
