//! Quantities with units: exact integers inside, `"10 Mbps"` outside.
//!
//! | type | counts | written |
//! |---|---|---|
//! | [`Time`] | picoseconds since the start of the run | never in files; columns end in `_ps` |
//! | [`Timestamp`] | picoseconds since 1970-01-01 00:00 UTC | `2005-09-14 13:21:52.803170944 UTC` |
//! | [`Span`] | picoseconds | `"20 us"` |
//! | [`Rate`] | bits per second, above zero | `"10 Mbps"`, `"100 B/s"` |
//! | [`PacketRate`] | millionths of a packet per second, above zero | `"5000 packets/s"` |
//! | [`ByteCount`] | bytes | `"64 KiB"` |
//! | [`Distance`] | micrometres | `"1.5 km"` |
//! | [`Probability`] | none: a number from 0 to 1 | `0.01` |
//! | [`Speed`] | micrometres per second, above zero | `"2e8 m/s"` |
//!
//! Text is parsed without floating point: `"0.1 us"` is exactly 100,000 ps. A value finer than the base unit
//! is an error and is not rounded.

mod bandwidth;
mod decimal;
mod hint;
mod packet_rate;
mod probability;
mod text;
mod time;

pub use bandwidth::Bandwidth;
pub use packet_rate::PacketRate;
pub use probability::Probability;
pub use text::UnitError;
pub use time::{Elapsed, Time, Timestamp};

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use text::{parse, write_quantity};

/// Picoseconds in one second.
pub const PS_PER_S: u64 = 1_000_000_000_000;

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
                    "pattern": format!(
                        r"^\s*\+?[0-9._]+([eE][-+]?[0-9]+)?\s*({})\s*$",
                        units.join("|").replace('u', "[u\u{b5}\u{3bc}]"),
                    ),
                })
            }
        }
    };
}

/// A span of time in picoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(u64);

impl Span {
    /// Zero.
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

    /// [`transmission_time`](Rate::transmission_time), rounded down: the times of parts never add up to more
    /// than that of the whole.
    #[inline]
    pub fn transmission_time_rounded_down(self, length: ByteCount) -> Span {
        match length.0.checked_mul(8 * PS_PER_S) {
            Some(numerator) => Span(numerator / self.0.get()),
            None => {
                Span::from_wide(u128::from(length.0) * u128::from(8 * PS_PER_S) / u128::from(self.0.get()))
            }
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
    /// Two thirds of the speed of light in vacuum: about the speed of a signal in fibre or copper.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_read_exactly() {
        assert_eq!("20 us".parse(), Ok(Span::from_ps(20_000_000)));
        assert_eq!("0.1us".parse(), Ok(Span::from_ps(100_000)));
        for micro in ["us", "\u{b5}s", "\u{3bc}s"] {
            assert_eq!(format!("2.43 {micro}").parse(), Ok(Span::from_ps(2_430_000)), "{micro}");
        }
        assert_eq!("3 \u{3bc}m".parse(), Ok(Distance::from_um(3)));
        assert_eq!("3\u{b5}m/s".parse::<Speed>().ok(), Speed::from_um_per_s(3));
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
    fn a_unit_of_another_quantity_leads_to_what_was_meant() {
        fn hint<T: FromStr<Err = UnitError>>(text: &str) -> String {
            match text.parse::<T>().err() {
                Some(UnitError::UnknownUnit { hint, .. }) => hint.unwrap_or_default(),
                error => panic!("{text}: {error:?}"),
            }
        }
        for (text, meant) in [
            ("10 MB", "did you mean \"10 MB/s\" (80 Mbps)?"),
            ("1.5 KiB", "did you mean \"1.5 KiB/s\" (12.288 kbps)?"),
            ("10 MBps", "did you mean \"MB/s\"?"),
            ("10 KB/s", "did you mean \"kB/s\"?"),
            ("10 Mb", "did you mean \"Mbps\"?"),
            ("10M", "did you mean \"Mbps\"?"),
            ("1 gigabit", "did you mean \"Gbps\"?"),
            ("1 Gbit per second", "did you mean \"Gbps\"?"),
            ("10 parsec", ""),
        ] {
            assert_eq!(hint::<Rate>(text), meant, "{text}");
        }
        for (text, meant) in [
            ("15k", "did you mean \"15 kB\"?"),
            ("15 Kb", "did you mean \"15 kB\"?"),
            ("2 megabytes", "did you mean \"2 MB\"?"),
            ("1500 bytes", "did you mean \"1500 B\"?"),
            ("12 kbit", "a size is in bytes; did you mean \"1.5 kB\"?"),
            ("10 Mbps", "that is a rate; a size is in bytes."),
            ("3 s", ""),
        ] {
            assert_eq!(hint::<ByteCount>(text), meant, "{text}");
        }
        for (text, meant) in [
            ("10 m", "did you mean \"10 ms\" or \"10 min\"?"),
            ("2 days", "did you mean \"48 h\"?"),
            ("3 sec", "did you mean \"s\"?"),
            ("3 milliseconds", "did you mean \"ms\"?"),
            ("3 \u{3bc}sec", "did you mean \"us\"?"),
            ("3 x", ""),
        ] {
            assert_eq!(hint::<Span>(text), meant, "{text}");
        }
        assert_eq!(hint::<Distance>("2 miles"), "a mile is 1609.344 m.");
        assert_eq!(hint::<Distance>("2 kilometres"), "did you mean \"km\"?");
        assert!(hint::<Speed>("0.66 c").contains("2e8 m/s"));
        assert_eq!(hint::<PacketRate>("5 kpps"), "did you mean \"kpackets/s\"?");
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
