//! A probability: the one quantity without a unit.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// A probability: a number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize)]
#[serde(transparent)]
pub struct Probability(f64);

impl Probability {
    /// The probability of an impossible event.
    pub const ZERO: Probability = Probability(0.0);

    /// `None` outside 0 to 1, and for NaN.
    pub const fn new(value: f64) -> Option<Self> {
        if value >= 0.0 && value <= 1.0 { Some(Probability(value)) } else { None }
    }

    /// The value, from 0 to 1.
    #[inline]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Probability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Probability;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a probability: a number from 0 to 1, such as 0.01")
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Probability, E> {
                Probability::new(number).ok_or_else(|| {
                    let message = "is not a probability; write a number from 0 to 1, such as 0.01";
                    E::custom(format_args!("{number} {message}"))
                })
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Probability, E> {
                self.visit_f64(number as f64)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Probability, E> {
                self.visit_f64(number as f64)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Probability {
    fn schema_name() -> Cow<'static, str> {
        "Probability".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "description": "a probability",
            "minimum": 0,
            "maximum": 1,
            "examples": [0.01],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_lies_between_0_and_1() {
        let inside = [0.0, 0.5, 1.0].map(|value| Probability::new(value).map(Probability::get));
        assert_eq!(inside, [Some(0.0), Some(0.5), Some(1.0)]);
        for outside in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Probability::new(outside), None, "{outside}");
        }
    }
}
