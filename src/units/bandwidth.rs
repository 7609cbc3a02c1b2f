//! The bandwidth of a link.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{ByteCount, Rate, Span, UnitError};

/// The bandwidth of a link: a rate, or unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bandwidth {
    /// Bits are sent at this rate.
    Limited(Rate),
    /// `"unlimited"`: transmission takes no time.
    Unlimited,
}

impl Bandwidth {
    /// The time to transmit `length` bytes onto the link; see [`Rate::transmission_time`].
    #[inline]
    pub fn transmission_time(self, length: ByteCount) -> Span {
        match self {
            Bandwidth::Limited(rate) => rate.transmission_time(length),
            Bandwidth::Unlimited => Span::ZERO,
        }
    }
}

const UNLIMITED: &str = "unlimited";

impl FromStr for Bandwidth {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.trim() == UNLIMITED {
            return Ok(Bandwidth::Unlimited);
        }
        text.parse().map(Bandwidth::Limited)
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bandwidth::Limited(rate) => rate.fmt(f),
            Bandwidth::Unlimited => f.write_str(UNLIMITED),
        }
    }
}

impl Serialize for Bandwidth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bandwidth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Bandwidth;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rate as text, such as \"10 Mbps\", or \"unlimited\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bandwidth, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Bandwidth, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Bandwidth, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Bandwidth {
    fn schema_name() -> Cow<'static, str> {
        "Bandwidth".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a rate with its unit, or \"unlimited\"",
            "anyOf": [generator.subschema_for::<Rate>(), { "const": UNLIMITED }],
        })
    }
}
