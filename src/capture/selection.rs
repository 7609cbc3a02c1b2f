//! Selection of the packets of a capture by interface or direction.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{LinkType, Options};
use crate::units::Span;

/// Direction of a packet at the machine that captured it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum CaptureDirection {
    /// Received
    In,
    /// Sent
    Out,
}

impl CaptureDirection {
    /// From the packet type of Linux: `PACKET_HOST` to `PACKET_OTHERHOST` are received, `PACKET_OUTGOING` is
    /// sent.
    pub(super) fn of_packet_type(number: u16) -> Option<Self> {
        match number {
            0..=3 => Some(CaptureDirection::In),
            4 => Some(CaptureDirection::Out),
            _ => None,
        }
    }

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            CaptureDirection::In => "in",
            CaptureDirection::Out => "out",
        }
    }
}

/// An interface of a capture, given by its name or number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceName(String);

const EXPECTING: &str = "the name of an interface of the capture, such as \"eth1\", or its number";

impl InterfaceName {
    /// Whether this selects the interface with this number and name.
    pub(super) fn is(&self, number: u32, name: Option<&str>) -> bool {
        name == Some(&self.0) || self.0.parse() == Ok(number)
    }
}

impl FromStr for InterfaceName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err(format!("write {EXPECTING}")) } else { Ok(InterfaceName(text.to_owned())) }
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for InterfaceName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for InterfaceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = InterfaceName;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTING)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<InterfaceName, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<InterfaceName, E> {
                let number = u32::try_from(number);
                number
                    .map(|number| InterfaceName(number.to_string()))
                    .map_err(|_| E::custom(format_args!("an interface number is from 0 to {}", u32::MAX)))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<InterfaceName, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for InterfaceName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InterfaceName".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": EXPECTING,
            "anyOf": [{ "type": "string", "minLength": 1 }, { "type": "integer", "minimum": 0, "maximum": u32::MAX }],
        })
    }
}

/// The keys beside a `capture` in a scenario. They apply to this capture alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CaptureKeys {
    /// Reads only the packets of this interface.
    pub interface: Option<InterfaceName>,
    /// Reads only the packets of this direction.
    pub direction: Option<CaptureDirection>,
    /// The reorder window; overrides [`Options::reorder_window`].
    pub reorder_window: Option<Span>,
}

impl CaptureKeys {
    /// Whether no key is set.
    pub(crate) fn is_empty(&self) -> bool {
        *self == CaptureKeys::default()
    }
}

impl Options {
    /// These options, with the keys of a capture applied.
    pub fn with(&self, keys: &CaptureKeys) -> Options {
        Options {
            interface: keys.interface.clone().or_else(|| self.interface.clone()),
            direction: keys.direction.or(self.direction),
            reorder_window: keys.reorder_window.unwrap_or(self.reorder_window),
            ..*self
        }
    }
}

/// An interface of a capture, and how many packets it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InterfaceCount {
    /// The number of the interface: in pcapng, its place in the whole file, from 0; in Linux SLL2 and
    /// modified pcap, its index in the machine; otherwise 0.
    pub number: u32,
    /// The name of the interface, if the file has it.
    pub name: Option<String>,
    /// The link-layer header of its frames.
    #[serde(serialize_with = "super::link_type::as_text")]
    pub link_type: LinkType,
    /// Number of packets.
    pub packets: u64,
    /// Number of packets received.
    pub packets_in: u64,
    /// Number of packets sent. Packets without a direction are in neither count.
    pub packets_out: u64,
}

impl InterfaceCount {
    pub(super) fn new(number: u32, name: Option<&str>, link_type: LinkType) -> Self {
        let name = name.map(ToOwned::to_owned);
        InterfaceCount { number, name, link_type, packets: 0, packets_in: 0, packets_out: 0 }
    }

    /// Counts a packet.
    #[inline]
    pub(super) fn add(&mut self, direction: Option<CaptureDirection>) {
        self.packets += 1;
        match direction {
            Some(CaptureDirection::In) => self.packets_in += 1,
            Some(CaptureDirection::Out) => self.packets_out += 1,
            None => {}
        }
    }
}

/// `0 (eth0)`, or `0` without a name.
pub(super) fn numbered(number: u32, name: Option<&str>) -> String {
    name.map_or(number.to_string(), |name| format!("{number} ({name})"))
}
