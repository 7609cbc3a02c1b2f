//! Quantities with their units: exact integers inside, `"10 Mbps"` outside.
//!
//! | type | counts | written |
//! |---|---|---|
//! | [`Time`] | picoseconds since the run's start | never in files; columns end in `_ps` |
//! | [`Timestamp`] | picoseconds since 1970-01-01 00:00 UTC | `2005-09-14 13:21:52.803170944 UTC` |
//! | [`Span`] | picoseconds | `"20 us"` |
//! | [`Rate`] | bits per second, above zero | `"10 Mbps"`, `"100 B/s"` |
//! | [`ByteCount`] | bytes | `"64 KiB"` |
//! | [`Distance`] | micrometres | `"1.5 km"` |
//! | [`Speed`] | micrometres per second, above zero | `"2e8 m/s"` |
//!
//! Text is read without floating point: `"0.1 us"` is exactly 100,000 ps, and a value finer than
//! the base unit is an error, not a rounding.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Picoseconds in one second.
pub const PS_PER_S: u64 = 1_000_000_000_000;

/// An instant of a run: picoseconds since the run's start, up to 213 days.
///
/// Sums saturate at [`Time::NEVER`], and an engine refuses an event there: an overflow is an
/// error, never a wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Time(u64);

impl Time {
    /// The run's start.
    pub const ZERO: Time = Time(0);
    /// Later than every instant that a run can reach.
    pub const NEVER: Time = Time(u64::MAX);

    /// The instant `picoseconds` after the run's start.
    pub const fn from_ps(picoseconds: u64) -> Self {
        Time(picoseconds)
    }

    /// Picoseconds since the run's start.
    pub const fn as_ps(self) -> u64 {
        self.0
    }

    /// Seconds since the run's start, rounded to a double.
    pub fn as_seconds_f64(self) -> f64 {
        self.0 as f64 / PS_PER_S as f64
    }

    /// The span from `earlier` to here; zero when `earlier` is later.
    pub const fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Time;
    fn sub(self, span: Span) -> Time {
        Time(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0.into(), 12)?;
        f.write_str(" s")
    }
}

/// An absolute instant: picoseconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i128);

impl Timestamp {
    /// The instant `picoseconds` after 1970-01-01 00:00 UTC.
    pub const fn from_ps(picoseconds: i128) -> Self {
        Timestamp(picoseconds)
    }

    /// The instant `nanoseconds` after 1970-01-01 00:00 UTC.
    pub const fn from_ns(nanoseconds: i128) -> Self {
        Timestamp(nanoseconds * 1_000)
    }

    /// Picoseconds since 1970-01-01 00:00 UTC.
    pub const fn as_ps(self) -> i128 {
        self.0
    }

    /// Nanoseconds since 1970-01-01 00:00 UTC, rounded down; `None` outside the years 1677 to 2262.
    pub fn as_ns(self) -> Option<i64> {
        i64::try_from(self.0.div_euclid(1_000)).ok()
    }

    /// The run's instant at this timestamp when the run starts at `start`; `None` before `start`
    /// or more than 213 days after it.
    pub fn relative_to(self, start: Timestamp) -> Option<Time> {
        let picoseconds = self.0.checked_sub(start.0)?;
        u64::try_from(picoseconds).ok().filter(|&ps| ps != u64::MAX).map(Time)
    }
}

impl Add<Span> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0.into()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = i128::from(PS_PER_S);
        let date = i64::try_from(self.0.div_euclid(second))
            .ok()
            .and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
        let Some(date) = date else {
            return write!(f, "{} ps since 1970", self.0);
        };
        let fraction = self.0.rem_euclid(second);
        write!(f, "{}", date.format("%Y-%m-%d %H:%M:%S"))?;
        if fraction % 1_000 == 0 {
            write!(f, ".{:09} UTC", fraction / 1_000)
        } else {
            write!(f, ".{fraction:012} UTC")
        }
    }
}

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// A number stands there without its unit.
    #[error("{what} needs a unit: {text:?} has none; write for example {example:?} (units: {units})")]
    NoUnit {
        /// the text as given
        text: String,
        /// the quantity expected
        what: &'static str,
        /// a text that would be right
        example: &'static str,
        /// every unit that fits
        units: String,
    },
    /// The unit is not one of this quantity's.
    #[error("{unit:?} is not a unit of {what}; {}units: {units}", suggestion(.nearest))]
    UnknownUnit {
        /// the unit as given
        unit: String,
        /// the quantity expected
        what: &'static str,
        /// the unit that looks most like it
        nearest: Option<&'static str>,
        /// every unit that fits
        units: String,
    },
    /// There is no number.
    #[error("{text:?} is not {what}; write for example {example:?}")]
    NotANumber {
        /// the text as given
        text: String,
        /// the quantity expected
        what: &'static str,
        /// a text that would be right
        example: &'static str,
    },
    /// The value is not a whole count of the base unit.
    #[error("{text:?} is finer than {what} can be: the smallest step is {base}")]
    TooFine {
        /// the text as given
        text: String,
        /// the quantity expected
        what: &'static str,
        /// the smallest step
        base: &'static str,
    },
    /// The value does not fit.
    #[error("{text:?} is too large for {what}: the largest is {largest}")]
    TooLarge {
        /// the text as given
        text: String,
        /// the quantity expected
        what: &'static str,
        /// the largest value
        largest: String,
    },
    /// Zero or less, where that makes no sense.
    #[error("{text:?} is not {what}: it must be {bound}")]
    OutOfRange {
        /// the text as given
        text: String,
        /// the quantity expected
        what: &'static str,
        /// what the value must be
        bound: &'static str,
    },
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map_or(String::new(), |unit| format!("did you mean {unit:?}? "))
}

/// Reads `text` as a whole count of the base unit, exactly.
fn parse(
    text: &str,
    what: &'static str,
    example: &'static str,
    units: &[(&'static str, u64)],
) -> Result<u64, UnitError> {
    let listed = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let not_a_number = || UnitError::NotANumber { text: text.to_owned(), what, example };
    let trimmed = text.trim();
    let number_len = number_prefix(trimmed);
    let (number, unit) = (&trimmed[..number_len], trimmed[number_len..].trim_start());
    if number.is_empty() {
        return Err(not_a_number());
    }
    if unit.is_empty() {
        return Err(UnitError::NoUnit { text: text.to_owned(), what, example, units: listed() });
    }
    let Some(&(base, _)) = units.first() else { return Err(not_a_number()) };
    let factor =
        units.iter().find(|(name, _)| *name == unit).map(|&(_, factor)| factor).ok_or_else(|| {
            let nearest = nearest_unit(unit, units);
            UnitError::UnknownUnit { unit: unit.to_owned(), what, nearest, units: listed() }
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

/// The unit that `unit` is most likely meant to be.
fn nearest_unit(unit: &str, units: &[(&'static str, u64)]) -> Option<&'static str> {
    let lower = unit.to_lowercase();
    let names = || units.iter().map(|&(name, _)| name);
    // Bits per second have many spellings, and `Mb/s` must not become bytes for its looks.
    let bits = ["bit/s", "bits/s", "b/s", "bits", "bit"].into_iter().find_map(|spelling| {
        let prefix = unit.strip_suffix(spelling)?.to_lowercase();
        names().find(|name| name.to_lowercase() == format!("{prefix}bps"))
    });
    let similar = || {
        names()
            .map(|name| (strsim::damerau_levenshtein(&name.to_lowercase(), &lower), name))
            .min_by_key(|&(distance, _)| distance)
            .filter(|&(distance, name)| distance <= 2 && distance < name.len().max(2))
            .map(|(_, name)| name)
    };
    // `seconds`, `usec`, `bytes`
    let spelt_out =
        || names().filter(|name| lower.starts_with(&name.to_lowercase())).max_by_key(|name| name.len());
    bits.or_else(|| if unit.len() > 3 { spelt_out().or_else(similar) } else { similar() })
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

/// `"1.5e3"` as (15, 2): digits times a power of ten.
fn decimal(number: &str) -> Option<(u128, i32)> {
    let number = number.trim_start_matches('+').replace('_', "");
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (number.as_str(), 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() && fraction.is_empty() && !mantissa.contains('0') {
        return None;
    }
    let digits: u128 = format!("0{whole}{fraction}").parse().ok()?;
    let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    (exponent.abs() < 100 || digits == 0).then_some((digits, exponent))
}

/// Writes `value / 10^places` without trailing zeros.
fn write_decimal(f: &mut fmt::Formatter<'_>, value: u128, places: u32) -> fmt::Result {
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
fn write_quantity(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u32)]) -> fmt::Result {
    let (name, places) =
        units.iter().rev().find(|(_, places)| value >= 10u64.pow(*places)).unwrap_or(&units[0]);
    write_decimal(f, value.into(), *places)?;
    write!(f, " {name}")
}

/// The serde, schema and text forms that every quantity shares.
macro_rules! textual {
    ($name:ident, $what:literal, $example:literal, [$(($unit:literal, $factor:expr)),+ $(,)?], [$(($shown:literal, $places:literal)),+ $(,)?]) => {
        impl $name {
            const UNITS: &'static [(&'static str, u64)] = &[$(($unit, $factor)),+];
        }

        impl FromStr for $name {
            type Err = UnitError;
            fn from_str(text: &str) -> Result<Self, UnitError> {
                let count = parse(text, $what, $example, Self::UNITS)?;
                Self::from_count(count).ok_or_else(|| UnitError::OutOfRange {
                    text: text.to_owned(), what: $what, bound: "greater than zero",
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_quantity(f, self.count(), &[$(($shown, $places)),+])
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "{} as text, such as {:?}", $what, $example)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let units: &[&str] = &[$($unit),+];
                json_schema!({
                    "type": "string",
                    "description": concat!($what, ", with its unit"),
                    "examples": [$example],
                    "pattern": format!(r"^\s*\+?[0-9._]+([eE][-+]?[0-9]+)?\s*({})\s*$", units.join("|")),
                })
            }
        }
    };
}

/// A span of time in picoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);
    /// One second.
    pub const SECOND: Span = Span(PS_PER_S);

    /// A span of `picoseconds`.
    pub const fn from_ps(picoseconds: u64) -> Self {
        Span(picoseconds)
    }

    /// A span of `nanoseconds`; saturates after 213 days.
    pub const fn from_ns(nanoseconds: u64) -> Self {
        Span(nanoseconds.saturating_mul(1_000))
    }

    /// Picoseconds.
    pub const fn as_ps(self) -> u64 {
        self.0
    }

    /// Seconds, rounded to a double.
    pub fn as_seconds_f64(self) -> f64 {
        self.0 as f64 / PS_PER_S as f64
    }

    fn from_count(count: u64) -> Option<Self> {
        Some(Span(count))
    }

    fn count(&self) -> u64 {
        self.0
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Span) {
        *self = *self + other;
    }
}

impl Sub for Span {
    type Output = Span;
    fn sub(self, other: Span) -> Span {
        Span(self.0.saturating_sub(other.0))
    }
}

textual!(
    Span,
    "a span of time",
    "20 us",
    [
        ("ps", 1),
        ("ns", 1_000),
        ("us", 1_000_000),
        ("µs", 1_000_000),
        ("ms", 1_000_000_000),
        ("s", PS_PER_S),
        ("min", 60 * PS_PER_S),
        ("h", 3_600 * PS_PER_S)
    ],
    [("ps", 0), ("ns", 3), ("us", 6), ("ms", 9), ("s", 12)]
);

/// A rate in bits per second, above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(NonZeroU64);

impl Rate {
    /// `bits` per second; `None` for zero.
    pub const fn from_bps(bits: u64) -> Option<Self> {
        match NonZeroU64::new(bits) {
            Some(bits) => Some(Rate(bits)),
            None => None,
        }
    }

    /// Bits per second.
    pub const fn as_bps(self) -> u64 {
        self.0.get()
    }

    /// The time to transmit `length` bytes at this rate, `length * 8 / rate` rounded half up to
    /// 1 ps; saturates after 213 days.
    #[inline]
    pub fn transmission_time(self, length: ByteCount) -> Span {
        const PS_PER_BYTE_AT_1_BPS: u64 = 8 * PS_PER_S;
        let rate = self.0.get();
        let numerator =
            length.0.checked_mul(PS_PER_BYTE_AT_1_BPS).and_then(|bits| bits.checked_add(rate / 2));
        match numerator {
            Some(numerator) => Span(numerator / rate),
            None => Span::from_wide(
                (u128::from(length.0) * u128::from(PS_PER_BYTE_AT_1_BPS) + u128::from(rate / 2))
                    / u128::from(rate),
            ),
        }
    }

    fn from_count(count: u64) -> Option<Self> {
        Self::from_bps(count)
    }

    fn count(&self) -> u64 {
        self.0.get()
    }
}

impl Span {
    fn from_wide(picoseconds: u128) -> Span {
        Span(u64::try_from(picoseconds).unwrap_or(u64::MAX))
    }
}

textual!(
    Rate,
    "a rate",
    "10 Mbps",
    [
        ("bps", 1),
        ("kbps", 1_000),
        ("Mbps", 1_000_000),
        ("Gbps", 1_000_000_000),
        ("Tbps", 1_000_000_000_000),
        ("Kibps", 1 << 10),
        ("Mibps", 1 << 20),
        ("Gibps", 1 << 30),
        ("B/s", 8),
        ("kB/s", 8_000),
        ("MB/s", 8_000_000),
        ("GB/s", 8_000_000_000),
        ("KiB/s", 8 << 10),
        ("MiB/s", 8 << 20),
        ("GiB/s", 8 << 30),
    ],
    [("bps", 0), ("kbps", 3), ("Mbps", 6), ("Gbps", 9), ("Tbps", 12)]
);

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteCount(u64);

impl ByteCount {
    /// No bytes.
    pub const ZERO: ByteCount = ByteCount(0);

    /// `bytes` bytes.
    pub const fn new(bytes: u64) -> Self {
        ByteCount(bytes)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    fn from_count(count: u64) -> Option<Self> {
        Some(ByteCount(count))
    }

    fn count(&self) -> u64 {
        self.0
    }
}

textual!(
    ByteCount,
    "a size",
    "64 KiB",
    [
        ("B", 1),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30)
    ],
    [("B", 0), ("kB", 3), ("MB", 6), ("GB", 9)]
);

/// A distance in micrometres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Distance(u64);

impl Distance {
    /// A distance of `micrometres`.
    pub const fn from_um(micrometres: u64) -> Self {
        Distance(micrometres)
    }

    /// Micrometres.
    pub const fn as_um(self) -> u64 {
        self.0
    }

    fn from_count(count: u64) -> Option<Self> {
        Some(Distance(count))
    }

    fn count(&self) -> u64 {
        self.0
    }
}

textual!(
    Distance,
    "a distance",
    "1.5 km",
    [("um", 1), ("mm", 1_000), ("cm", 10_000), ("m", 1_000_000), ("km", 1_000_000_000)],
    [("um", 0), ("mm", 3), ("m", 6), ("km", 9)]
);

/// A speed in micrometres per second, above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Speed(NonZeroU64);

impl Speed {
    /// Two thirds of the speed of light in vacuum: about that of a signal in fibre or copper.
    pub const IN_CABLE: Speed = match Speed::from_um_per_s(200_000_000_000_000) {
        Some(speed) => speed,
        None => panic!("a constant above zero"),
    };

    /// `micrometres` per second; `None` for zero.
    pub const fn from_um_per_s(micrometres: u64) -> Option<Self> {
        match NonZeroU64::new(micrometres) {
            Some(micrometres) => Some(Speed(micrometres)),
            None => None,
        }
    }

    /// The time to travel `distance`, rounded half up to 1 ps; saturates after 213 days.
    pub fn travel_time(self, distance: Distance) -> Span {
        let speed = u128::from(self.0.get());
        Span::from_wide((u128::from(distance.0) * u128::from(PS_PER_S) + speed / 2) / speed)
    }

    fn from_count(count: u64) -> Option<Self> {
        Self::from_um_per_s(count)
    }

    fn count(&self) -> u64 {
        self.0.get()
    }
}

textual!(
    Speed,
    "a speed",
    "2e8 m/s",
    [("um/s", 1), ("mm/s", 1_000), ("m/s", 1_000_000), ("km/s", 1_000_000_000)],
    [("um/s", 0), ("mm/s", 3), ("m/s", 6), ("km/s", 9)]
);

/// The bandwidth of a link: a rate, or a cable that takes no time to put a packet on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bandwidth {
    /// Bits leave at this rate.
    Limited(Rate),
    /// `"unlimited"`: transmission takes no time.
    Unlimited,
}

impl Bandwidth {
    /// The time to put `length` bytes onto the link; see [`Rate::transmission_time`].
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_read_exactly() {
        assert_eq!("20 us".parse(), Ok(Span::from_ps(20_000_000)));
        assert_eq!("0.1us".parse(), Ok(Span::from_ps(100_000)));
        assert_eq!("2.43 µs".parse(), Ok(Span::from_ps(2_430_000)));
        assert_eq!("10 Mbps".parse::<Rate>().map(Rate::as_bps), Ok(10_000_000));
        assert_eq!("100 B/s".parse::<Rate>().map(Rate::as_bps), Ok(800));
        assert_eq!("64 KiB".parse(), Ok(ByteCount::new(65_536)));
        assert_eq!("1.5 km".parse(), Ok(Distance::from_um(1_500_000_000)));
        assert_eq!("2e8 m/s".parse(), Ok(Speed::IN_CABLE));
        assert_eq!("1_000 B".parse(), Ok(ByteCount::new(1_000)));
    }

    #[test]
    fn wrong_texts_are_refused_with_what_would_be_right() {
        let message = |text: &str| text.parse::<Span>().unwrap_err().to_string();
        assert!(message("20").contains("has none; write for example \"20 us\""), "{}", message("20"));
        assert!(message("20 uss").contains("did you mean \"us\"?"), "{}", message("20 uss"));
        assert!(message("fast").contains("\"fast\" is not a span of time"));
        assert!(message("0.5 ps").contains("smallest step is ps"));
        assert!(message("9e9 h").contains("too large"));
        assert!(message("-1 s").contains("zero or more"));
        assert!(message(". s").contains("is not a span"));
        assert!(message("1.2.3 s").contains("is not a span"));
        assert!("0 bps".parse::<Rate>().unwrap_err().to_string().contains("greater than zero"));
        assert!("10 MB".parse::<Rate>().unwrap_err().to_string().contains("did you mean"));
        let meant = |text: &str| text.parse::<Rate>().unwrap_err().to_string();
        for text in ["10 Mbit", "10mbit", "10 Mb/s", "10 Mbits/s", "10 MBPS"] {
            assert!(meant(text).contains("did you mean \"Mbps\"?"), "{}", meant(text));
        }
        for (text, unit) in [("3 seconds", "s"), ("3 usec", "us"), ("3 minutes", "min"), ("3 Ms", "ms")] {
            assert!(message(text).contains(&format!("did you mean {unit:?}?")), "{}", message(text));
        }
    }

    #[test]
    fn transmission_time_is_rounded_half_up() {
        let rate = |bps| Rate::from_bps(bps).unwrap();
        assert_eq!(rate(100_000_000_000).transmission_time(ByteCount::new(64)), Span::from_ps(5_120));
        // 8e12 / 3 = 2,666,666,666,666.67 and 16e12 / 3 = 5,333,333,333,333.33
        assert_eq!(rate(3).transmission_time(ByteCount::new(1)).as_ps(), 2_666_666_666_667);
        assert_eq!(rate(3).transmission_time(ByteCount::new(2)).as_ps(), 5_333_333_333_333);
        // more than 64 bits of picoseconds times bits
        assert_eq!(
            rate(8_000_000_000).transmission_time(ByteCount::new(10_000_000_000)).as_ps(),
            10 * PS_PER_S
        );
        assert_eq!(rate(1).transmission_time(ByteCount::new(u64::MAX)).as_ps(), u64::MAX);
    }

    #[test]
    fn timestamps_are_shown_with_nanoseconds() {
        let start = Timestamp::from_ns(1_126_704_112_803_170_944);
        assert_eq!(start.to_string(), "2005-09-14 13:21:52.803170944 UTC");
        assert_eq!(Timestamp::from_ps(-1).to_string(), "1969-12-31 23:59:59.999999999999 UTC");
        assert_eq!(Timestamp::from_ps(i128::MAX).to_string(), format!("{} ps since 1970", i128::MAX));
        assert_eq!(Timestamp::from_ns(-1).relative_to(Timestamp::from_ns(0)), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(count in 1..u64::MAX) {
            prop_assert_eq!(Span::from_ps(count).to_string().parse(), Ok(Span::from_ps(count)));
            prop_assert_eq!(Rate(NonZeroU64::new(count).unwrap()).to_string().parse::<Rate>().map(Rate::as_bps), Ok(count));
            prop_assert_eq!(ByteCount(count).to_string().parse(), Ok(ByteCount(count)));
            prop_assert_eq!(Distance(count).to_string().parse(), Ok(Distance(count)));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<Span>();
            let _ = text.parse::<Bandwidth>();
        }
    }
}
