//! Values that are text in simple cases and tables otherwise.

/// Reads `$name` from text (`$text`, whose schema is that of `$plain`) or from a table of type `$table`.
macro_rules! text_or_table {
    ($name:ident, $expecting:literal, |$text:ident| $plain:ty => $from_text:expr, |$value:ident| $table:ty => $from_table:expr) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de;
                struct Visitor;
                impl<'de> de::Visitor<'de> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, $text: &str) -> Result<$name, E> {
                        let read = || -> Result<$name, Box<dyn std::error::Error>> { $from_text };
                        read().map_err(E::custom)
                    }
                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        let table = de::value::MapAccessDeserializer::new(map);
                        let $value = <$table as serde::Deserialize>::deserialize(table)?;
                        Ok($from_table)
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "description": $expecting,
                    "anyOf": [
                        generator.subschema_for::<$plain>(),
                        generator.subschema_for::<$table>(),
                    ],
                })
            }
        }
    };
}
pub(super) use text_or_table;
