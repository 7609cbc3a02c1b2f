//! Buffers: a bound on what waits at a port, and the amount that waits.

use std::borrow::Cow;
use std::fmt;
use std::ops::Add;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::units::{ByteCount, UnitError};

/// A bound on what waits: `"64 KiB"` or `"100 packets"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buffer {
    /// A maximum of waiting bytes.
    Bytes(ByteCount),
    /// A maximum of waiting packets.
    Packets(u64),
}

/// The packets and bytes that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Waiting packets.
    packets: u64,
    /// Waiting bytes.
    bytes: u64,
}

impl Backlog {
    /// Waiting packets.
    #[inline]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Waiting bytes.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds one packet of `length` bytes.
    #[inline]
    pub fn add(&mut self, length: u32) {
        self.packets += 1;
        self.bytes += u64::from(length);
    }

    /// Removes one packet of `length` bytes.
    #[inline]
    pub fn remove(&mut self, length: u32) {
        self.packets -= 1;
        self.bytes -= u64::from(length);
    }

    /// Replaces the contribution `before` by `after`.
    #[inline]
    pub(super) fn replace(&mut self, before: Backlog, after: Backlog) {
        self.packets = self.packets + after.packets - before.packets;
        self.bytes = self.bytes + after.bytes - before.bytes;
    }
}

impl Add for Backlog {
    type Output = Backlog;
    fn add(self, other: Backlog) -> Backlog {
        Backlog { packets: self.packets + other.packets, bytes: self.bytes + other.bytes }
    }
}

impl Buffer {
    /// Whether a packet of `length` bytes may join (tail drop: only if there is room for all of it).
    #[inline]
    pub fn admits(self, backlog: Backlog, length: u32) -> bool {
        match self {
            Buffer::Bytes(limit) => backlog.bytes + u64::from(length) <= limit.get(),
            Buffer::Packets(limit) => backlog.packets < limit,
        }
    }
}

impl FromStr for Buffer {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let packets = text.trim().strip_suffix("packets").or_else(|| text.trim().strip_suffix("packet"));
        match packets.map(|number| number.trim().parse()) {
            Some(Ok(number)) => Ok(Buffer::Packets(number)),
            Some(Err(_)) => Err(UnitError::NotANumber {
                text: text.to_owned(),
                what: "a whole number of packets",
                example: "100 packets",
            }),
            None => text.parse().map(Buffer::Bytes).map_err(|error| in_packets(text, error)),
        }
    }
}

/// Recognizes packets that are misspelt, or in the notation of another tool: `100p` in ns-3.
fn in_packets(text: &str, error: UnitError) -> UnitError {
    match error {
        UnitError::UnknownUnit { unit, what, units, .. } if unit.to_lowercase().starts_with('p') => {
            let number = text.trim().trim_end_matches(unit.as_str()).trim_end();
            let hint = Some(format!("did you mean \"{number} packets\"?"));
            UnitError::UnknownUnit { unit, what, hint, units }
        }
        error => error,
    }
}

impl fmt::Display for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Buffer::Bytes(bytes) => bytes.fmt(f),
            Buffer::Packets(1) => f.write_str("1 packet"),
            Buffer::Packets(packets) => write!(f, "{packets} packets"),
        }
    }
}

impl Serialize for Buffer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Buffer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Buffer;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size as text, such as \"64 KiB\" or \"100 packets\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Buffer, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Buffer, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Buffer {
    fn schema_name() -> Cow<'static, str> {
        "Buffer".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "how much may wait, in bytes or in packets",
            "anyOf": [
                generator.subschema_for::<ByteCount>(),
                { "type": "string", "pattern": r"^\s*[0-9]+\s*packets?\s*$", "examples": ["100 packets"] },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_packets_are_told_apart() {
        assert_eq!("64 KiB".parse(), Ok(Buffer::Bytes(ByteCount::new(65_536))));
        assert_eq!("100 packets".parse(), Ok(Buffer::Packets(100)));
        assert_eq!("1 packet".parse::<Buffer>().map(|buffer| buffer.to_string()), Ok("1 packet".to_owned()));
        assert!("1.5 packets".parse::<Buffer>().is_err());
        assert!("100".parse::<Buffer>().unwrap_err().to_string().contains("unit"));
        let told = "100p".parse::<Buffer>().unwrap_err().to_string();
        assert!(told.contains("did you mean \"100 packets\"?"), "{told}");
    }
}
