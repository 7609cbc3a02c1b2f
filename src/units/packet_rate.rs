//! A rate of packets.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::UnitError;
use super::text::{parse, write_quantity};

/// Packets per second, in steps of a millionth, above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketRate(NonZeroU64);

const UNITS: &[(&str, u64)] = &[
    ("packets/s", 1_000_000),
    ("packet/s", 1_000_000),
    ("kpackets/s", 1_000_000_000),
    ("Mpackets/s", 1_000_000_000_000),
];

const WHAT: &str = "a rate of packets";

impl PacketRate {
    /// Millionths of a packet per second.
    pub const fn as_millionths(self) -> u64 {
        self.0.get()
    }

    /// Whether `text` means a rate of packets rather than of bits.
    pub fn is_meant_by(text: &str) -> bool {
        text.contains("packet") || text.contains("pps")
    }
}

impl FromStr for PacketRate {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let millionths = parse(text, WHAT, "5000 packets/s", UNITS).map_err(|error| match error {
            UnitError::TooFine { text, what, .. } => {
                UnitError::TooFine { text, what, base: "0.000001 packets/s" }
            }
            UnitError::TooLarge { text, what, .. } => {
                UnitError::TooLarge { text, what, largest: "18446744 Mpackets/s".to_owned() }
            }
            error => error,
        })?;
        NonZeroU64::new(millionths).map(PacketRate).ok_or_else(|| UnitError::OutOfRange {
            text: text.to_owned(),
            what: WHAT,
            bound: "greater than zero",
        })
    }
}

impl fmt::Display for PacketRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The smallest unit is first: no unit is smaller than one packet per second.
        match self.0.get() {
            below @ ..1_000_000 => write!(f, "{} packets/s", below as f64 / 1e6),
            millionths => write_quantity(f, millionths, &[("packets/s", 6), ("kpackets/s", 9)]),
        }
    }
}

impl JsonSchema for PacketRate {
    fn schema_name() -> Cow<'static, str> {
        "PacketRate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "a rate of packets, with its unit",
            "examples": ["5000 packets/s"],
            "pattern": r"^\s*\+?[0-9._]+([eE][-+]?[0-9]+)?\s*[kM]?packets?/s\s*$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_rates_are_read_and_shown() {
        let shown = |text: &str| text.parse::<PacketRate>().map(|rate| rate.to_string());
        assert_eq!(shown("5000 packets/s"), Ok("5 kpackets/s".to_owned()));
        assert_eq!(shown("0.25 packets/s"), Ok("0.25 packets/s".to_owned()));
        assert_eq!(shown("1 packet/s"), Ok("1 packets/s".to_owned()));
        assert_eq!("2 Mpackets/s".parse::<PacketRate>().unwrap().as_millionths(), 2_000_000_000_000);
    }

    #[test]
    fn what_is_no_packet_rate_is_told() {
        let told = |text: &str| text.parse::<PacketRate>().unwrap_err().to_string();
        assert!(told("0 packets/s").contains("greater than zero"));
        assert!(told("1e-9 packets/s").contains("smallest step is 0.000001 packets/s"));
        assert!(told("5 pps").contains("is not a unit of a rate of packets"));
    }
}
