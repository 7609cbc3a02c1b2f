//! The hosts at one end of an entry.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use crate::config::Spanned;

/// One host or several, by name: `"h0"` or `["h0", "h1"]`.
#[derive(Debug, Clone, PartialEq)]
pub enum HostNames {
    /// One host.
    One(String),
    /// Several hosts.
    Several(Vec<Spanned<String>>),
}

impl HostNames {
    /// The names, each with its place.
    pub fn each(names: &Spanned<HostNames>) -> Vec<Spanned<String>> {
        match names.get_ref() {
            HostNames::One(name) => vec![Spanned::new(names.span(), name.clone())],
            HostNames::Several(several) => several.clone(),
        }
    }
}

impl<'de> Deserialize<'de> for HostNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = HostNames;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a host, such as \"h0\", or several: [\"h0\", \"h1\"]")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<HostNames, E> {
                Ok(HostNames::One(name.to_owned()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut names: A) -> Result<HostNames, A::Error> {
                let mut several = Vec::new();
                while let Some(name) = names.next_element()? {
                    several.push(name);
                }
                match several.is_empty() {
                    true => {
                        Err(de::Error::custom("no host is named here; write for example [\"h0\", \"h1\"]"))
                    }
                    false => Ok(HostNames::Several(several)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for HostNames {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HostNames".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "One host or several, by name.",
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            ],
        })
    }
}
