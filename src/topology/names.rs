//! The names of ports, prefixes and vantages in files.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{PortId, Topology};
use crate::config::{Spanned, did_you_mean, listed, nearest};

/// A port by name: `r1:0` is port 0 of device `r1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortName {
    /// The device's name.
    pub device: String,
    /// The port's number at the device.
    pub port: u16,
}

impl PortName {
    /// Port `port` of `device`.
    pub fn new(device: impl Into<String>, port: u16) -> Self {
        PortName { device: device.into(), port }
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.device, self.port)
    }
}

/// The reason why a text is not a port or prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameTextError {
    /// The device, the colon or the number is missing.
    #[error("`{0}` is not a port; write the device and the port's number, for example \"r1:0\"")]
    NotAPort(String),
    /// The number is too large.
    #[error("`{text}` is not a port: {number} is too large; port numbers are 0 to 65535")]
    LargePort {
        /// the text as given
        text: String,
        /// its number
        number: String,
    },
}

impl FromStr for PortName {
    type Err = NameTextError;
    fn from_str(text: &str) -> Result<Self, NameTextError> {
        let not_a_port = || NameTextError::NotAPort(text.to_owned());
        let (device, number) = text.rsplit_once(':').ok_or_else(not_a_port)?;
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if device.is_empty() || !digits {
            return Err(not_a_port());
        }
        let port = number
            .parse()
            .map_err(|_| NameTextError::LargePort { text: text.to_owned(), number: number.to_owned() })?;
        Ok(PortName::new(device, port))
    }
}

/// Implements reading from text, with the message of `FromStr`.
macro_rules! read_from_text {
    ($($name:ident: $expecting:literal),+) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    )+};
}
read_from_text!(
    PortName: "a port as text, such as \"r1:0\""
);

impl JsonSchema for PortName {
    fn schema_name() -> Cow<'static, str> {
        "PortName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "a port: its device's name and its number",
            "examples": ["r1:0"],
            "pattern": "^[^:\\s]+:[0-9]{1,5}$",
        })
    }
}

/// The place and direction of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vantage {
    /// The port.
    pub port: PortId,
    /// The direction.
    pub direction: Direction,
}

impl Vantage {
    /// Its name, such as `r1:1 egress`.
    pub fn name(self, topology: &Topology) -> String {
        let direction = match self.direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        };
        format!("{} {direction}", topology.port_name(self.port))
    }
}

/// The direction of a vantage, seen from its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The packet's last bit has arrived at the device.
    Ingress,
    /// The packet's first bit starts onto the link.
    Egress,
}

/// A vantage as a scenario names it: `at = { port = "r1:0", direction = "ingress" }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VantageSpec {
    /// The port.
    #[schemars(with = "PortName")]
    pub port: Spanned<PortName>,
    /// The direction, seen from the port's device.
    pub direction: Direction,
}

/// The reason why a name does not exist in a topology.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// No device has that name.
    #[error("no device is named `{name}`")]
    UnknownDevice {
        /// the name as given
        name: String,
        /// a suggestion
        help: String,
    },
    /// The device has no such port.
    #[error("the device `{}` has no port {}", .name.device, .name.port)]
    UnknownPort {
        /// the name as given
        name: PortName,
        /// a suggestion
        help: String,
    },
}

impl NameError {
    /// No device of this name is among `known`.
    pub(crate) fn device<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Self {
        let all = format!("devices: {}", listed(known.clone()));
        let help = nearest(name, known).map_or(all.clone(), |near| format!("{} {all}", did_you_mean(near)));
        NameError::UnknownDevice { name: name.to_owned(), help }
    }

    /// A suggestion.
    pub fn help(&self) -> &str {
        match self {
            NameError::UnknownDevice { help, .. } | NameError::UnknownPort { help, .. } => help,
        }
    }
}

impl Topology {
    /// The port with this name.
    ///
    /// # Errors
    /// The device or the port does not exist. The error's help lists the existing ones.
    pub fn port_named(&self, name: &PortName) -> Result<PortId, NameError> {
        let known = self.graph().raw_nodes().iter().map(|node| node.weight.name.as_str());
        let id = self.device_named(&name.device).ok_or_else(|| NameError::device(&name.device, known))?;
        let ports = &self.device(id).ports;
        ports.iter().copied().find(|&port| self.port(port).number == name.port).ok_or_else(|| {
            let names = ports.iter().map(|&port| self.port_name(port)).collect::<Vec<_>>();
            let help = match names.is_empty() {
                true => "it has no link".to_owned(),
                false => format!("its ports: {}", listed(names.iter().map(String::as_str))),
            };
            NameError::UnknownPort { name: name.clone(), help }
        })
    }
}
