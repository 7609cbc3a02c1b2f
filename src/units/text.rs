//! Quantities as text, parsed and written without floating point.

use std::fmt;

use super::decimal::decimal;
use super::hint::hint;

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// A number without its unit.
    #[error("{what} needs a unit: {text:?} has none; write for example {example:?} (units: {units})")]
    NoUnit {
        /// the text as given
        text: String,
        /// the quantity expected
        what: &'static str,
        /// a valid text
        example: &'static str,
        /// all valid units
        units: String,
    },
    /// The unit does not belong to this quantity.
    #[error("{unit:?} is not a unit of {what}; {}units: {units}", suggestion(.hint))]
    UnknownUnit {
        /// the unit as given
        unit: String,
        /// the quantity expected
        what: &'static str,
        /// what it most likely means, as a sentence
        hint: Option<String>,
        /// all valid units
        units: String,
    },
    /// There is no number.
    #[error("{text:?} is not {what}; write for example {example:?}")]
    NotANumber {
        /// the text as given
        text: String,
        /// the quantity expected
        what: &'static str,
        /// a valid text
        example: &'static str,
    },
    /// The value is not a whole number of base units.
    #[error("{text:?} is finer than {what} can be: the smallest step is {base}")]
    TooFine {
        /// the text as given
        text: String,
        /// the quantity expected
        what: &'static str,
        /// the smallest step
        base: &'static str,
    },
    /// The value is too large.
    #[error("{text:?} is too large for {what}: the largest is {largest}")]
    TooLarge {
        /// the text as given
        text: String,
        /// the quantity expected
        what: &'static str,
        /// the largest value
        largest: String,
    },
    /// Zero or less, where this is not allowed.
    #[error("{text:?} is not {what}: it must be {bound}")]
    OutOfRange {
        /// the text as given
        text: String,
        /// the quantity expected
        what: &'static str,
        /// the allowed range
        bound: &'static str,
    },
}

fn suggestion(hint: &Option<String>) -> String {
    hint.as_ref().map_or(String::new(), |hint| format!("{hint} "))
}

/// The units of a list, as in messages.
fn listed(units: &[(&'static str, u64)]) -> String {
    units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Parses `text` as a whole number of base units, exactly.
pub(super) fn parse(
    text: &str,
    what: &'static str,
    example: &'static str,
    units: &[(&'static str, u64)],
) -> Result<u64, UnitError> {
    let not_a_number = || UnitError::NotANumber { text: text.to_owned(), what, example };
    let trimmed = text.trim();
    let number_len = number_prefix(trimmed);
    let (number, unit) = (&trimmed[..number_len], trimmed[number_len..].trim_start());
    if number.is_empty() {
        return Err(not_a_number());
    }
    if unit.is_empty() {
        return Err(UnitError::NoUnit { text: text.to_owned(), what, example, units: listed(units) });
    }
    let Some(&(base, _)) = units.first() else { return Err(not_a_number()) };
    // The micro sign (U+00B5) and the Greek letter mu (U+03BC) look alike.
    let plain = unit.replace(['\u{b5}', '\u{3bc}'], "u");
    let known = units.iter().find(|(name, _)| *name == plain);
    let &(_, factor) = known.ok_or_else(|| {
        let hint = hint(number, &plain, units);
        UnitError::UnknownUnit { unit: unit.to_owned(), what, hint, units: listed(units) }
    })?;
    if number.starts_with('-') {
        return Err(UnitError::OutOfRange { text: text.to_owned(), what, bound: "zero or more" });
    }
    let too_large = || {
        let largest = format!("{} {base}", u64::MAX - 1);
        UnitError::TooLarge { text: text.to_owned(), what, largest }
    };
    let (digits, exponent) = decimal(number).ok_or_else(not_a_number)?;
    if digits == 0 {
        return Ok(0);
    }
    let mut value = digits.checked_mul(factor.into()).ok_or_else(too_large)?;
    for _ in 0..exponent.max(0) {
        value = value.checked_mul(10).ok_or_else(too_large)?;
    }
    for _ in exponent..0 {
        if value % 10 != 0 {
            return Err(UnitError::TooFine { text: text.to_owned(), what, base: units[0].0 });
        }
        value /= 10;
    }
    u64::try_from(value).ok().filter(|&value| value != u64::MAX).ok_or_else(too_large)
}

/// The length of the decimal number that `text` starts with (`-1.5e-3`).
fn number_prefix(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.' || *byte == b'_') {
            at += 1;
        }
        at
    };
    let start = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let mantissa = digits(start);
    if mantissa == start {
        return 0;
    }
    if matches!(bytes.get(mantissa), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(mantissa + 1), Some(b'-' | b'+')));
        let exponent = mantissa + 1 + sign;
        let end = digits(exponent);
        if end > exponent {
            return end;
        }
    }
    mantissa
}

/// Writes `value / 10^places` without trailing zeros.
pub(super) fn write_decimal(f: &mut fmt::Formatter<'_>, value: u128, places: u32) -> fmt::Result {
    let scale = 10u128.pow(places);
    write!(f, "{}", value / scale)?;
    let fraction = value % scale;
    if fraction != 0 {
        let digits = format!("{fraction:0width$}", width = places as usize);
        write!(f, ".{}", digits.trim_end_matches('0'))?;
    }
    Ok(())
}

/// Writes `value` in the largest of `units` (name, power of ten) that it reaches.
pub(super) fn write_quantity(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u32)]) -> fmt::Result {
    let (name, places) =
        units.iter().rev().find(|(_, places)| value >= 10u64.pow(*places)).unwrap_or(&units[0]);
    write_decimal(f, value.into(), *places)?;
    write!(f, " {name}")
}
