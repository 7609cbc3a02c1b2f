//! The conditions of a class: the keys of `match` in a topology file.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{I64Deserializer, SeqAccessDeserializer, StrDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::packet::{FlowKey, protocol_name, protocol_number};
use crate::prefix::Prefix;

/// The conditions for a packet to belong to a class. All given keys must hold, each for any of its values. A
/// key that is not given holds for every packet.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The differentiated services code point, 0 to 63.
    #[serde(default)]
    pub dscp: Option<AnyOf<Interval<63>>>,
    /// The priority code point of the outer VLAN tag, 0 to 7 (IEEE 802.1Q); an untagged packet has none.
    #[serde(default)]
    pub pcp: Option<AnyOf<Interval<7>>>,
    /// The VLAN id of the outer tag, 0 to 4095; an untagged packet has none.
    #[serde(default)]
    pub vlan: Option<AnyOf<Interval<4_095>>>,
    /// The IP protocol, by name or number.
    #[serde(default)]
    pub protocol: Option<AnyOf<Protocol>>,
    /// The source address.
    #[serde(default)]
    pub source: Option<AnyOf<Prefix>>,
    /// The destination address.
    #[serde(default)]
    pub destination: Option<AnyOf<Prefix>>,
    /// The source port of the transport protocol.
    #[serde(default)]
    pub source_ports: Option<AnyOf<Interval<65_535>>>,
    /// The destination port of the transport protocol.
    #[serde(default)]
    pub destination_ports: Option<AnyOf<Interval<65_535>>>,
    /// The port of the device on which the packet arrived.
    #[serde(default)]
    pub ingress_ports: Option<AnyOf<Interval<65_535>>>,
    /// The flow, in taunet's notation.
    #[serde(default)]
    pub flows: Option<AnyOf<FlowName>>,
}

/// One value, or an array of alternative values.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct AnyOf<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AnyOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = AnyOf<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or an array of values")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<AnyOf<T>, E> {
                T::deserialize(StrDeserializer::new(text)).map(|value| AnyOf(vec![value]))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<AnyOf<T>, E> {
                T::deserialize(I64Deserializer::new(number)).map(|value| AnyOf(vec![value]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<AnyOf<T>, A::Error> {
                let values = Vec::deserialize(SeqAccessDeserializer::new(items))?;
                if values.is_empty() {
                    return Err(de::Error::custom(
                        "an empty array fits no packet; write a value, or leave the key out",
                    ));
                }
                Ok(AnyOf(values))
            }
        }
        deserializer.deserialize_any(Visitor(std::marker::PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for AnyOf<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("AnyOf{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

/// Why a text or a number is not a valid value in `match`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatchTextError {
    /// Neither a number nor an interval, or out of range.
    #[error("`{text}` is not a number from 0 to {most}; write for example {example} for an interval")]
    NotAnInterval {
        /// the text as given
        text: String,
        /// the largest number
        most: u16,
        /// a valid number and a valid interval
        example: &'static str,
    },
    /// No protocol of this name.
    #[error(
        "`{0}` is not a protocol; write for example \"udp\", \"tcp\", \"icmp\", or a number from 0 to 255"
    )]
    NotAProtocol(String),
}

/// A number from 0 to `MOST`, or an interval of them, both ends included: `46`, `"32-39"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval<const MOST: u16> {
    /// The first number.
    pub first: u16,
    /// The last number.
    pub last: u16,
}

impl<const MOST: u16> Interval<MOST> {
    /// Whether `number` is in the interval.
    #[inline]
    pub fn contains(self, number: u16) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

impl<const MOST: u16> FromStr for Interval<MOST> {
    type Err = MatchTextError;
    fn from_str(text: &str) -> Result<Self, MatchTextError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if first <= last && last <= MOST => Ok(Interval { first, last }),
            _ => {
                let (text, most) = (text.to_owned(), MOST);
                let example = if MOST < 46 { "5, or \"5-7\"" } else { "46, or \"32-39\"" };
                Err(MatchTextError::NotAnInterval { text, most, example })
            }
        }
    }
}

impl<const MOST: u16> fmt::Display for Interval<MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// An IP protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol(pub u8);

impl FromStr for Protocol {
    type Err = MatchTextError;
    fn from_str(text: &str) -> Result<Self, MatchTextError> {
        let number = protocol_number(text.trim()).or_else(|| text.trim().parse().ok());
        number.map(Protocol).ok_or_else(|| MatchTextError::NotAProtocol(text.to_owned()))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&protocol_name(self.0))
    }
}

/// A flow, written as its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowName(pub FlowKey);

impl FromStr for FlowName {
    type Err = crate::packet::FlowTextError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(FlowName)
    }
}

impl fmt::Display for FlowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Deserializes a type from text, or from a number as if it were text; serializes it as text.
macro_rules! as_text {
    ($([$($generic:tt)*] $name:ty: $expecting:literal),+ $(,)?) => {$(
        impl<$($generic)*> Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de, $($generic)*> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor<T>(std::marker::PhantomData<T>);
                impl<'de, T: FromStr<Err: fmt::Display>> de::Visitor<'de> for Visitor<T> {
                    type Value = T;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
                        self.visit_str(&number.to_string())
                    }
                }
                deserializer.deserialize_any(Visitor(std::marker::PhantomData))
            }
        }
    )+};
}
as_text!(
    [const MOST: u16] Interval<MOST>: "a number, or an interval as text, such as \"5-7\"",
    [] Protocol: "a protocol as text, such as \"udp\"",
    [] FlowName: "a flow as text, such as \"10.0.0.1:5000 > 10.0.0.2:53 UDP\"",
);

impl<const MOST: u16> JsonSchema for Interval<MOST> {
    fn schema_name() -> Cow<'static, str> {
        format!("IntervalUpTo{MOST}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a number, or an interval of numbers, both ends included",
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": MOST },
                { "type": "string", "pattern": r"^\s*[0-9]+\s*(-\s*[0-9]+\s*)?$", "examples": ["32-39"] },
            ],
        })
    }
}

impl JsonSchema for Protocol {
    fn schema_name() -> Cow<'static, str> {
        "Protocol".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "an IP protocol, by name or number",
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": 255 },
                { "type": "string", "examples": ["udp", "tcp", "icmp"] },
            ],
        })
    }
}

impl JsonSchema for FlowName {
    fn schema_name() -> Cow<'static, str> {
        "FlowName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "a flow, in taunet's notation",
            "examples": ["10.0.0.1:5000 > 10.0.0.2:53 UDP", "10.0.0.1 > 10.0.0.2 ICMP"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_written() {
        assert_eq!("32 - 39".parse(), Ok(Interval::<63> { first: 32, last: 39 }));
        assert_eq!("46".parse::<Interval<63>>().unwrap().to_string(), "46");
        assert_eq!("1-2".parse::<Interval<63>>().unwrap().to_string(), "1-2");
        assert!(["Udp", "17", "protocol 17"].iter().all(|text| text.parse() == Ok(Protocol(17))));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let told = |text: &str| text.parse::<Interval<63>>().unwrap_err().to_string();
        for text in ["64", "-1", "5-", "9-3", "ef"] {
            let expected = format!("`{text}` is not a number from 0 to 63; ");
            assert!(told(text).starts_with(&expected), "{}", told(text));
        }
        assert!("updp".parse::<Protocol>().is_err());
        assert!("256".parse::<Protocol>().is_err());
    }
}
