//! Which packets of a capture count: those of one interface, or of one direction.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{CaptureError, LinkType, Options, Record};
use crate::units::Span;

/// Which way a packet passed the machine that captured it.
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
    /// By the packet type of Linux (`PACKET_HOST` to `PACKET_OTHERHOST` are received, `PACKET_OUTGOING` is sent).
    pub(super) fn of_packet_type(number: u16) -> Option<Self> {
        match number {
            0..=3 => Some(CaptureDirection::In),
            4 => Some(CaptureDirection::Out),
            _ => None,
        }
    }

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            CaptureDirection::In => "in",
            CaptureDirection::Out => "out",
        }
    }
}

/// An interface of a capture, as a user writes it: its name, or its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceName(String);

const EXPECTING: &str = "the name of an interface of the capture, such as \"eth1\", or its number";

impl InterfaceName {
    /// Whether an interface is meant: one with this name, or with this number.
    fn is(&self, number: u32, name: Option<&str>) -> bool {
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
                    .map_err(|_| E::custom(format_args!("an interface has a number from 0 to {}", u32::MAX)))
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

/// The keys that stand beside a `capture` in a scenario: they hold for this capture alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CaptureKeys {
    /// The one interface whose packets count.
    pub interface: Option<InterfaceName>,
    /// The one direction whose packets count.
    pub direction: Option<CaptureDirection>,
    /// The reorder window, instead of [`Options::reorder_window`].
    pub reorder_window: Option<Span>,
}

impl CaptureKeys {
    /// Whether they say nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == CaptureKeys::default()
    }
}

impl Options {
    /// How a capture with these keys is read.
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
    /// Its number: in pcapng its place among all of the file, from 0; in Linux SLL2 and modified pcap its index in the
    /// machine; else 0.
    pub number: u32,
    /// Its name, where the file has it.
    pub name: Option<String>,
    /// The link-layer header of its frames.
    #[serde(serialize_with = "super::link_type::as_text")]
    pub link_type: LinkType,
    /// Its packets.
    pub packets: u64,
    /// Those received.
    pub packets_in: u64,
    /// Those sent. What is neither does not say.
    pub packets_out: u64,
}

impl InterfaceCount {
    fn new(number: u32, name: Option<&str>, link_type: LinkType) -> Self {
        let name = name.map(ToOwned::to_owned);
        InterfaceCount { number, name, link_type, packets: 0, packets_in: 0, packets_out: 0 }
    }

    /// Counts a packet.
    #[inline]
    fn add(&mut self, direction: Option<CaptureDirection>) {
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

/// The interfaces of a capture, in order of first appearance.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    counts: Vec<InterfaceCount>,
    places: FxHashMap<(u32, LinkType), usize>,
    /// Where the last packet was counted.
    last: usize,
}

impl Interfaces {
    /// Counts a packet.
    #[inline]
    pub(super) fn add(&mut self, record: &Record<'_>) {
        let at = self.place(record.interface, record.interface_name, record.link_type);
        self.counts[at].add(record.direction);
    }

    #[inline]
    fn place(&mut self, number: u32, name: Option<&str>, link_type: LinkType) -> usize {
        match self.counts.get(self.last) {
            Some(it) if (it.number, it.link_type) == (number, link_type) => self.last,
            _ => self.another_place(number, name, link_type),
        }
    }

    #[inline(never)]
    fn another_place(&mut self, number: u32, name: Option<&str>, link_type: LinkType) -> usize {
        self.last = *self.places.entry((number, link_type)).or_insert_with(|| {
            self.counts.push(InterfaceCount::new(number, name, link_type));
            self.counts.len() - 1
        });
        self.last
    }

    pub(super) fn counts(&self) -> &[InterfaceCount] {
        &self.counts
    }
}

/// Takes the packets of one interface, or of one direction.
#[derive(Debug)]
pub(super) struct Selector {
    interface: Option<InterfaceName>,
    direction: Option<CaptureDirection>,
    /// Of all packets.
    interfaces: Interfaces,
    taken: u64,
    /// Packets of the interface that do not say which way they passed.
    undirected: u64,
}

impl Selector {
    /// None where every packet counts.
    pub(super) fn new(options: &Options) -> Option<Self> {
        (options.interface.is_some() || options.direction.is_some()).then(|| Selector {
            interface: options.interface.clone(),
            direction: options.direction,
            interfaces: Interfaces::default(),
            taken: 0,
            undirected: 0,
        })
    }

    /// Whether a packet counts.
    pub(super) fn takes(&mut self, record: &Record<'_>) -> bool {
        self.interfaces.add(record);
        if self.interface.as_ref().is_some_and(|it| !it.is(record.interface, record.interface_name)) {
            return false;
        }
        self.undirected += u64::from(record.direction.is_none());
        let takes = self.direction.is_none() || self.direction == record.direction;
        self.taken += u64::from(takes);
        takes
    }

    /// That there was such a packet, at the end of the file; `described` are the interfaces that it announces.
    ///
    /// # Errors
    /// There was none, though the file has packets.
    pub(super) fn check<'n>(
        &mut self,
        path: &Path,
        described: impl Iterator<Item = (u32, Option<&'n str>, LinkType)>,
    ) -> Result<(), CaptureError> {
        if self.taken > 0 {
            return Ok(());
        }
        described.for_each(|(number, name, link_type)| {
            self.interfaces.place(number, name, link_type);
        });
        let counts = self.interfaces.counts();
        let is_meant = |it: &&InterfaceCount| {
            self.interface.as_ref().is_none_or(|name| name.is(it.number, it.name.as_deref()))
        };
        let meant: Vec<&InterfaceCount> = counts.iter().filter(is_meant).collect();
        let of_interface = self.interface.as_ref().map(|name| format!("interface `{name}`"));
        let wanted = match (of_interface, self.direction) {
            (Some(interface), _) if meant.is_empty() && !counts.is_empty() => interface,
            (interface, Some(direction)) if meant.iter().any(|it| it.packets > 0) => {
                let of = interface.map_or(String::new(), |interface| format!(" of {interface}"));
                format!("packet{of} with the direction `{}`", direction.name())
            }
            // Nothing can be missed in an empty file.
            _ => return Ok(()),
        };
        Err(CaptureError::NotInCapture { path: path.to_owned(), wanted, found: listed(counts) })
    }

    /// What was left out though it may have been meant.
    pub(super) fn remark(&self, path: &Path) -> Option<String> {
        let undirected = self.undirected;
        (self.direction.is_some() && undirected > 0).then(|| {
            format!("{}: {undirected} packets do not say which way they passed: left out", path.display())
        })
    }
}

/// What a file has, for an error.
fn listed(counts: &[InterfaceCount]) -> String {
    /// More are only counted.
    const LISTED: usize = 16;
    let one = |it: &InterfaceCount| {
        let unsaid = it.packets - it.packets_in - it.packets_out;
        let parts = [(it.packets_in, "in"), (it.packets_out, "out"), (unsaid, "without a direction")];
        let parts: Vec<_> = parts.iter().filter(|(packets, _)| *packets > 0).collect();
        let text: Vec<_> = parts.iter().map(|(packets, what)| format!("{packets} {what}")).collect();
        let packets =
            if text.is_empty() { "no packets".to_owned() } else { format!("packets: {}", text.join(", ")) };
        format!("interface {} with {packets}", numbered(it.number, it.name.as_deref()))
    };
    let mut texts: Vec<String> = counts.iter().take(LISTED).map(one).collect();
    if counts.len() > LISTED {
        texts.push(format!("{} more interfaces", counts.len() - LISTED));
    }
    texts.join("; ")
}
