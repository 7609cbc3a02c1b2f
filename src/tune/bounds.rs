//! The bounds of a parameter, and the values between them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::sweep::{Decimal, Varied};

/// How values between the bounds are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// Evenly in their logarithms: for bounds that are a factor of 100 and more apart.
    Logarithmic,
}

/// Units of which there are only whole ones.
const WHOLE: [&str; 6] = ["packets", "packet", "segments", "segment", "B", "bps"];

/// Units of bytes, of which a size has whole ones: values between bounds in them are written in bytes.
const BYTES: [(&str, f64); 6] =
    [("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("KiB", 1024.0), ("MiB", 1048576.0), ("GiB", 1073741824.0)];

/// A parameter and the interval in which its value is sought.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The path of its key in the scenario.
    pub key: String,
    /// The smallest value, in `unit`.
    pub from: f64,
    /// The largest value, in `unit`.
    pub to: f64,
    /// The unit, if the values have one.
    pub unit: Option<String>,
    /// The distance of values, counted from `from`; without it they have four significant digits.
    pub step: Option<f64>,
    /// How they are spread.
    pub scale: Scale,
    /// Digits behind the decimal point of bounds and step.
    digits: usize,
    /// Whether there are only whole values.
    is_whole: bool,
    /// Whether TOML writes the value as a float.
    is_float: bool,
}

const EXAMPLE: &str =
    "write for example { from = \"1 Mbps\", to = \"20 Mbps\" } or { from = 0.1, to = 0.9, step = 0.05 }";

impl Bound {
    /// Reads `{ from, to, step, scale }`.
    pub(super) fn read(key: String, value: &Varied) -> Result<Self, (String, &'static str)> {
        let wrong = |message: String| Err((message, EXAMPLE));
        let Varied::Table(table) = value else {
            return wrong(format!("`{key}` has no bounds"));
        };
        if let Some(other) =
            table.keys().find(|key| !["from", "to", "step", "scale"].contains(&key.get_ref().as_str()))
        {
            return wrong(format!("`{key}` has the unknown key `{}`", other.get_ref()));
        }
        let read = |name: &str| match table.one(name) {
            None => Ok(None),
            Some(value) => match Decimal::read(value) {
                Some(decimal) => Ok(Some((decimal, value.is_float()))),
                None => Err((
                    format!("`{name}` of `{key}`, {value}, is neither a number nor a number with a unit"),
                    EXAMPLE,
                )),
            },
        };
        let (Some((from, a)), Some((to, b))) = (read("from")?, read("to")?) else {
            return wrong(format!("`{key}` needs `from` and `to`"));
        };
        let step = read("step")?;
        let scale = match table.one("scale").map(|scale| scale.as_str()) {
            None => Scale::Linear,
            Some(Some("linear")) => Scale::Linear,
            Some(Some("logarithmic")) => Scale::Logarithmic,
            Some(_) => {
                return Err((
                    format!("`{key}` has an unknown scale"),
                    "write scale = \"linear\" or scale = \"logarithmic\"",
                ));
            }
        };
        let units = [Some(&from), Some(&to), step.as_ref().map(|(step, _)| step)];
        if units.into_iter().flatten().any(|decimal| decimal.unit != from.unit) {
            return wrong(format!("the bounds of `{key}` have different units"));
        }
        let is_float = a || b || step.as_ref().is_some_and(|(_, is_float)| *is_float);
        let bytes = BYTES.iter().find(|(unit, _)| from.unit.as_deref() == Some(unit) && step.is_none());
        let factor = bytes.map_or(1.0, |(_, factor)| *factor);
        let unit = if bytes.is_some() { Some("B".to_owned()) } else { from.unit.clone() };
        let is_whole = unit.as_deref().map_or(!is_float, |unit| WHOLE.contains(&unit));
        let digits = [Some(&from), Some(&to), step.as_ref().map(|(step, _)| step)];
        let digits = if bytes.is_some() { [None; 3] } else { digits };
        let digits = digits.into_iter().flatten().map(|decimal| decimal.digits as usize).max().unwrap_or(0);
        let step = step.map(|(step, _)| step.number());
        let (from, to) = (from.number() * factor, to.number() * factor);
        let bound = Bound {
            from,
            to,
            // Whole numbers are a step apart, as long as four digits do not leave out more.
            step: step.or((is_whole && to - from < 10_000.0).then_some(1.0)),
            unit,
            scale,
            digits,
            is_whole,
            is_float,
            key,
        };
        if bound.from >= bound.to {
            return wrong(format!("`from` of `{}` is not below `to`", bound.key));
        }
        if scale == Scale::Logarithmic && bound.from <= 0.0 {
            return Err((
                format!("`{}` has bounds without a logarithm", bound.key),
                "with scale = \"logarithmic\", `from` is above 0",
            ));
        }
        if let Some(step) = bound.step {
            let steps = (bound.to - bound.from) / step;
            if !(step > 0.0 && (1.0..1e9).contains(&steps) && (steps - steps.round()).abs() < 1e-6) {
                return wrong(format!("the step of `{}` does not lead from `from` to `to`", bound.key));
            }
        }
        Ok(bound)
    }

    /// The value at a place between 0 (`from`) and 1 (`to`), as it stands in TOML.
    pub fn value(&self, place: f64) -> String {
        self.written(self.number(place))
    }

    /// The value at a place, in its unit.
    pub(super) fn number(&self, place: f64) -> f64 {
        let place = place.clamp(0.0, 1.0);
        let exact = match self.scale {
            Scale::Linear => self.from + place * (self.to - self.from),
            Scale::Logarithmic => {
                libm::exp(libm::log(self.from) * (1.0 - place) + libm::log(self.to) * place)
            }
        };
        let rounded = match self.step {
            Some(step) => self.from + ((exact - self.from) / step).round() * step,
            None if self.is_whole => four_digits(exact).round(),
            None => format!("{exact:.*}", self.decimals(exact)).parse().unwrap_or(exact),
        };
        rounded.clamp(self.from, self.to)
    }

    fn written(&self, number: f64) -> String {
        let digits = match self.step {
            Some(_) => self.digits,
            None if self.is_whole => 0,
            // A bound keeps all of its digits.
            None if number == self.from || number == self.to => self.digits.max(self.decimals(number)),
            None => self.decimals(number),
        };
        let mut text = format!("{number:.digits$}");
        if text.contains('.') {
            text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
        }
        match &self.unit {
            Some(unit) => format!("\"{text} {unit}\""),
            None if self.is_float && !text.contains('.') => format!("{text}.0"),
            None => text,
        }
    }

    /// Digits behind the decimal point of a value without a step: four significant ones, of it or of the distance of the
    /// bounds.
    fn decimals(&self, number: f64) -> usize {
        decimals(number).max(decimals(self.to - self.from))
    }

    /// How far from a place another value begins, at most.
    pub(super) fn next_value(&self, place: f64, edge: f64) -> f64 {
        let here = self.value(place);
        let mut edge = edge;
        while edge < 1.0 && [place + edge, place - edge].iter().all(|other| self.value(*other) == here) {
            edge *= 2.0;
        }
        edge.min(1.0)
    }

    /// Whether a value is one of the bounds.
    pub fn is_at_bound(&self, value: &str) -> bool {
        value == self.written(self.from) || value == self.written(self.to)
    }
}

/// Digits behind the decimal point that four significant digits need.
fn decimals(number: f64) -> usize {
    match number == 0.0 {
        true => 0,
        false => (3 - libm::floor(libm::log10(number.abs())) as i32).clamp(0, 30) as usize,
    }
}

/// A number rounded to four significant digits.
fn four_digits(number: f64) -> f64 {
    format!("{number:.3e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::VaryTable;

    #[derive(Deserialize)]
    struct File {
        bounds: VaryTable,
    }

    fn bound(text: &str) -> Result<Bound, String> {
        let file: File = toml::from_str(&format!("[bounds]\nx = {text}")).unwrap();
        let leaves = file.bounds.leaves(|_| true);
        Bound::read(leaves[0].0.clone(), leaves[0].1.get_ref()).map_err(|(message, _)| message)
    }

    #[test]
    fn values_have_four_digits_or_steps() {
        let rate = bound("{ from = \"1 Mbps\", to = \"20 Mbps\" }").unwrap();
        assert_eq!(
            [0.0, 0.123_456, 1.0, 2.0].map(|place| rate.value(place)),
            ["\"1 Mbps\"", "\"3.346 Mbps\"", "\"20 Mbps\"", "\"20 Mbps\""]
        );
        assert!(rate.is_at_bound("\"20 Mbps\"") && !rate.is_at_bound("\"19.99 Mbps\""));
        let buffer = bound("{ from = \"10 packets\", to = \"100 packets\" }").unwrap();
        assert_eq!(buffer.value(0.333), "\"40 packets\"");
        let large = bound("{ from = \"1000 B\", to = \"1000000 B\" }").unwrap();
        assert_eq!(large.value(0.123_456), "\"124300 B\"");
        let binary = bound("{ from = \"0.5 KiB\", to = \"64 KiB\" }").unwrap();
        assert_eq!(
            [0.0, 0.000_17, 0.3, 1.0].map(|place| binary.value(place)),
            ["\"512 B\"", "\"523 B\"", "\"20020 B\"", "\"65536 B\""]
        );
        let stepped = bound("{ from = \"1 KiB\", to = \"9 KiB\", step = \"0.5 KiB\" }").unwrap();
        assert_eq!(stepped.value(0.3), "\"3.5 KiB\"");
        let load = bound("{ from = 0.1, to = 0.9, step = 0.05 }").unwrap();
        assert_eq!(load.value(0.5), "0.5");
        assert_eq!(load.value(0.46), "0.45");
        assert_eq!(bound("{ from = 0.0, to = 2.0 }").unwrap().value(0.5), "1.0");
        assert_eq!(bound("{ from = 0.50001, to = 0.50002 }").unwrap().value(0.5), "0.500015");
        assert_eq!(bound("{ from = -1.0, to = 1.0 }").unwrap().value(0.5), "0.0");
        assert_eq!(bound("{ from = 1, to = 9 }").unwrap().value(0.3), "3");
        let weight = bound("{ from = 0.0001, to = 1.0, scale = \"logarithmic\" }").unwrap();
        assert_eq!([0.0, 0.5, 1.0].map(|place| weight.value(place)), ["0.0001", "0.01", "1.0"]);
    }

    #[test]
    fn what_bounds_nothing_is_refused() {
        let message = |text: &str| bound(text).unwrap_err();
        assert_eq!(message("[1, 2]"), "`x` has no bounds");
        assert_eq!(message("{ from = 1 }"), "`x` needs `from` and `to`");
        assert_eq!(message("{ from = 2, to = 1 }"), "`from` of `x` is not below `to`");
        assert!(message("{ from = \"1 ms\", to = \"1 s\" }").contains("different units"));
        assert!(message("{ from = true, to = 1 }").contains("neither a number"));
        assert!(message("{ from = 1, to = 2, steps = 1 }").contains("unknown key `steps`"));
        assert!(message("{ from = 1, to = 2, step = 0 }").contains("the step of `x`"));
        assert!(
            message("{ from = 0.1, to = 0.9, step = 0.3 }").contains("does not lead from `from` to `to`")
        );
        assert!(message("{ from = 0, to = 2, scale = \"logarithmic\" }").contains("without a logarithm"));
        assert!(message("{ from = 1, to = 2, scale = \"log\" }").contains("unknown scale"));
    }
}
