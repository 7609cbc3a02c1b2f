//! Parameters and the values that they take: lists and ranges, crossed or zipped.

use std::fmt;
use std::ops::Range;

use schemars::JsonSchema;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::config::Spanned;

/// The values of parameters by their keys, in the order of the file. A key is the path that `--set` takes, in quotes or as
/// nested tables.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VaryTable(Vec<(Spanned<String>, Spanned<Varied>)>);

/// What stands behind a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Varied {
    /// A list of values.
    List(Vec<Spanned<toml::Value>>),
    /// A range, or keys below this one.
    Table(VaryTable),
    /// One value: only the ends of a range have it.
    One(toml::Value),
}

/// A parameter, and its values as TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The path of its key in the scenario.
    pub key: String,
    /// Its values, as they stand in TOML.
    pub values: Vec<String>,
}

impl Parameter {
    /// A value for people: text without its quotes.
    pub fn label(literal: &str) -> String {
        let parsed: Result<toml::Table, _> = toml::from_str(&format!("value = {literal}"));
        match parsed.as_ref().ok().and_then(|table| table.get("value")) {
            Some(toml::Value::String(text)) => text.clone(),
            _ => literal.to_owned(),
        }
    }
}

/// A mistake in the values: its span, what is wrong, and what would be right.
pub(crate) type Mistake = (Range<usize>, String, &'static str);

/// The most digits behind the decimal point of the ends of a range.
const MOST_DIGITS: u32 = 30;

/// The most values of a range.
const MOST_VALUES: i128 = 100_000;

const LIST_OR_RANGE: &str =
    "write a list, such as [0.3, 0.5], or a range, such as { from = 0.1, to = 0.9, step = 0.1 }";

impl VaryTable {
    /// Its parameters, with the span of each one's values.
    pub(super) fn parameters(&self) -> Result<Vec<(Parameter, Range<usize>)>, Mistake> {
        let leaves = self.leaves(|table| table.as_range().is_some());
        let parameter = |(key, value): (String, &Spanned<Varied>)| {
            let wrong = |message: String| Err((value.span(), message, LIST_OR_RANGE));
            let values = match value.get_ref() {
                Varied::List(values) if values.is_empty() => return wrong(format!("`{key}` has no values")),
                Varied::List(values) => values.iter().map(|value| value.get_ref().to_string()).collect(),
                Varied::One(one) => return wrong(format!("`{key}` is one value, {one}")),
                Varied::Table(inner) => match inner.as_range().map(|range| range.values()) {
                    Some(Ok(values)) => values,
                    Some(Err(message)) => return wrong(message),
                    None => return wrong(format!("`{key}` has no values")),
                },
            };
            Ok((Parameter { key, values }, value.span()))
        };
        leaves.into_iter().map(parameter).collect()
    }

    /// What stands behind the paths of keys. A table is looked into, unless it is empty or `is_leaf`.
    pub(crate) fn leaves(&self, is_leaf: impl Fn(&VaryTable) -> bool) -> Vec<(String, &Spanned<Varied>)> {
        let mut found = Vec::new();
        // Tables within tables: an explicit stack, since their depth is the file's.
        let mut open: Vec<(String, &VaryTable, usize)> = vec![(String::new(), self, 0)];
        while let Some((prefix, table, place)) = open.pop() {
            let Some((key, value)) = table.0.get(place) else { continue };
            open.push((prefix.clone(), table, place + 1));
            let key = match prefix.is_empty() {
                true => key.get_ref().clone(),
                false => format!("{prefix}.{}", quoted(key.get_ref())),
            };
            match value.get_ref() {
                Varied::Table(inner) if !inner.0.is_empty() && !is_leaf(inner) => open.push((key, inner, 0)),
                _ => found.push((key, value)),
            }
        }
        found
    }

    /// The keys that stand in it.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The value of a key, where that is one value.
    pub(crate) fn one(&self, name: &str) -> Option<&toml::Value> {
        let (_, value) = self.0.iter().find(|(key, _)| key.get_ref() == name)?;
        match value.get_ref() {
            Varied::One(value) => Some(value),
            Varied::List(_) | Varied::Table(_) => None,
        }
    }

    /// The ends and the step, where that is what it holds.
    fn as_range(&self) -> Option<Ends<'_>> {
        (self.0.len() == 3).then_some(())?;
        Some(Ends { from: self.one("from")?, to: self.one("to")?, step: self.one("step")? })
    }
}

/// A key of its own where it holds a dot.
fn quoted(key: &str) -> String {
    if key.contains(['.', '=']) { format!("\"{key}\"") } else { key.to_owned() }
}

/// A range with a step.
struct Ends<'a> {
    from: &'a toml::Value,
    to: &'a toml::Value,
    step: &'a toml::Value,
}

impl Ends<'_> {
    /// Its values: `from`, and every `step` on, as far as `to`. Decimal fractions are exact.
    fn values(&self) -> Result<Vec<String>, String> {
        let read = |value: &toml::Value| {
            Decimal::read(value)
                .ok_or_else(|| format!("{value} is neither a number nor a number with a unit"))
        };
        let (from, to, step) = (read(self.from)?, read(self.to)?, read(self.step)?);
        if from.unit != to.unit || from.unit != step.unit {
            return Err(format!("{}, {} and {} have different units", self.from, self.to, self.step));
        }
        let digits = from.digits.max(to.digits).max(step.digits);
        let [from_at, to_at, step_at] = [&from, &to, &step].map(|decimal| decimal.at(digits));
        let (Some(from_at), Some(to_at), Some(step_at)) = (from_at, to_at, step_at) else {
            return Err("the numbers have too many digits".to_owned());
        };
        if step_at == 0 || (to_at - from_at).signum() * step_at.signum() < 0 {
            return Err(format!("steps of {} do not lead from {} to {}", self.step, self.from, self.to));
        }
        let last = (to_at - from_at) / step_at;
        if (to_at - from_at) % step_at != 0 {
            let reached = from.written(from_at + last * step_at, digits, false);
            return Err(format!(
                "steps of {} from {} lead to {reached}, not to {}",
                self.step, self.from, self.to
            ));
        }
        if last >= MOST_VALUES {
            return Err(format!("the range has more than {MOST_VALUES} values"));
        }
        let is_float = [self.from, self.to, self.step].iter().any(|value| value.is_float());
        Ok((0..=last).map(|n| from.written(from_at + n * step_at, digits, is_float)).collect())
    }
}

/// A decimal fraction with its unit, if it has one.
pub(crate) struct Decimal {
    /// Without the decimal point.
    digits_of: i128,
    /// Digits behind the decimal point.
    pub digits: u32,
    pub unit: Option<String>,
}

impl Decimal {
    pub fn read(value: &toml::Value) -> Option<Self> {
        let (number, unit) = match value {
            toml::Value::Integer(number) => (number.to_string(), None),
            toml::Value::Float(number) => (number.to_string(), None),
            toml::Value::String(text) => {
                let (number, unit) = text.trim().split_once(' ')?;
                (number.to_owned(), Some(unit.trim().to_owned()))
            }
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
        let digits_of = format!("{whole}{fraction}").parse().ok()?;
        Some(Decimal { digits_of, digits: fraction.len() as u32, unit })
    }

    /// The number in its unit.
    pub fn number(&self) -> f64 {
        format!("{}e-{}", self.digits_of, self.digits).parse().unwrap_or(f64::NAN)
    }

    /// The number in units of the last of so many digits; none where there are more than fit.
    fn at(&self, digits: u32) -> Option<i128> {
        if digits > MOST_DIGITS {
            return None;
        }
        let value = self.digits_of.checked_mul(10i128.checked_pow(digits - self.digits)?)?;
        // Far from overflow, whatever is added.
        (value.abs() < i128::MAX / 4).then_some(value)
    }

    /// A number of so many digits in TOML, with this one's unit.
    fn written(&self, value: i128, digits: u32, is_float: bool) -> String {
        let (sign, size) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
        let one = 10u128.pow(digits);
        let mut text = format!("{sign}{}", size / one);
        let fraction = format!("{:0width$}", size % one, width = digits as usize);
        let fraction = fraction.trim_end_matches('0');
        if digits > 0 && !fraction.is_empty() {
            text += &format!(".{fraction}");
        } else if is_float {
            text += ".0";
        }
        match &self.unit {
            Some(unit) => format!("\"{text} {unit}\""),
            None => text,
        }
    }
}

impl<'de> Deserialize<'de> for VaryTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = VaryTable;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of keys and their values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VaryTable, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(VaryTable(entries))
            }
        }
        deserializer.deserialize_map(Table)
    }
}

impl<'de> Deserialize<'de> for Varied {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Varied;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or a range of values")
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Varied, E> {
                Ok(Varied::One(toml::Value::Boolean(value)))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Varied, E> {
                Ok(Varied::One(toml::Value::Integer(value)))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Varied, E> {
                Ok(Varied::One(toml::Value::Float(value)))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Varied, E> {
                Ok(Varied::One(toml::Value::String(value.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Varied, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = items.next_element()? {
                    values.push(value);
                }
                Ok(Varied::List(values))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Varied, A::Error> {
                VaryTable::deserialize(de::value::MapAccessDeserializer::new(map)).map(Varied::Table)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl JsonSchema for VaryTable {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "VaryTable".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Keys of the scenario, as --set takes them, and for each a list of values or a range { from, to, step }",
            "type": "object",
            "additionalProperties": { "type": ["array", "object"] },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        vary: VaryTable,
    }

    fn parameters(text: &str) -> Result<Vec<(String, Vec<String>)>, String> {
        let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let found = file.vary.parameters().map_err(|(_, message, _)| message)?;
        Ok(found.into_iter().map(|(parameter, _)| (parameter.key, parameter.values)).collect())
    }

    #[test]
    fn lists_keep_their_toml_and_their_order() {
        let text = "[vary]\n\"traffic.0.rate.load\" = [0.3, 1]\ntopology.defaults.switch.ptm = [{ kind = \"fifo\" }]\nseed = [\"a b\"]";
        let found = parameters(text).unwrap();
        let [(load, loads), (ptm, ptms), (seed, seeds)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            (load.as_str(), &loads[..]),
            ("traffic.0.rate.load", &["0.3".to_owned(), "1".to_owned()][..])
        );
        assert_eq!(
            (ptm.as_str(), ptms[0].replace(' ', "").as_str()),
            ("topology.defaults.switch.ptm", "{kind=\"fifo\"}")
        );
        assert_eq!((seed.as_str(), seeds[0].as_str()), ("seed", "\"a b\""));
        assert_eq!(Parameter::label(&seeds[0]), "a b");
        assert_eq!(Parameter::label("0.3"), "0.3");
    }

    #[test]
    fn ranges_are_exact_decimals() {
        let values =
            |range: &str| parameters(&format!("[vary]\nload = {range}")).map(|found| found[0].1.clone());
        assert_eq!(values("{ from = 0.1, to = 0.4, step = 0.1 }").unwrap(), ["0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(values("{ from = 1, to = 7, step = 3 }").unwrap(), ["1", "4", "7"]);
        assert_eq!(values("{ from = 1.0, to = 0.5, step = -0.25 }").unwrap(), ["1.0", "0.75", "0.5"]);
        assert_eq!(
            values("{ from = \"1 Gbps\", to = \"2 Gbps\", step = \"0.5 Gbps\" }").unwrap(),
            ["\"1 Gbps\"", "\"1.5 Gbps\"", "\"2 Gbps\""]
        );
    }

    #[test]
    fn what_is_no_range_is_refused() {
        let message = |range: &str| parameters(&format!("[vary]\nload = {range}")).unwrap_err();
        assert_eq!(message("[]"), "`load` has no values");
        assert_eq!(message("3"), "`load` is one value, 3");
        assert!(message("{ from = 1, to = 2, step = 0 }").contains("do not lead from 1 to 2"));
        assert!(message("{ from = 1, to = 2, step = -1 }").contains("do not lead from 1 to 2"));
        assert!(message("{ from = \"1 ms\", to = \"2 s\", step = \"1 ms\" }").contains("different units"));
        assert_eq!(
            message("{ from = 0.3, to = 0.9, step = 0.25 }"),
            "steps of 0.25 from 0.3 lead to 0.8, not to 0.9"
        );
        assert!(message("{ from = 0, to = 1000000, step = 1 }").contains("more than 100000 values"));
        assert!(message("{ from = 1e-50, to = 3e-50, step = 1e-50 }").contains("too many digits"));
        assert!(message("{ from = true, to = 2, step = 1 }").contains("neither a number"));
    }
}
