//! The numbers of tc, with tc's units.
//!
//! # Source
//! iproute2 6.1 `lib/utils_math.c` (`get_rate64`, `get_size`), `tc/tc_util.c` (`get_time`, `parse_percent`)
//! and tc(8): rates are whole bytes per second, sizes whole bytes, times whole microseconds, each rounded
//! down.

use super::error::{Refusal, TcError};
use super::words::Word;
use crate::units::{ByteCount, Rate, Span};

/// A rate: `10mbit`. `bps` are bytes per second; a number without a unit is bits per second.
pub(super) fn rate(word: Word<'_>) -> Result<Rate, Refusal> {
    const UNITS: &[(&str, f64)] = &[
        ("", 1.0),
        ("bit", 1.0),
        ("kibit", 1024.0),
        ("kbit", 1e3),
        ("mibit", 1_048_576.0),
        ("mbit", 1e6),
        ("gibit", 1_073_741_824.0),
        ("gbit", 1e9),
        ("tibit", 1_099_511_627_776.0),
        ("tbit", 1e12),
        ("bps", 8.0),
        ("kibps", 8.0 * 1024.0),
        ("kbps", 8e3),
        ("mibps", 8.0 * 1_048_576.0),
        ("mbps", 8e6),
        ("gibps", 8.0 * 1_073_741_824.0),
        ("gbps", 8e9),
        ("tibps", 8.0 * 1_099_511_627_776.0),
        ("tbps", 8e12),
    ];
    if word.text.ends_with('%') {
        return Err(word.no_counterpart("a share of the device's speed", "write the rate, such as 10mbit"));
    }
    let bits = with_unit(word, UNITS).ok_or_else(|| word.bad("a rate of tc", "10mbit"))?;
    let bytes = whole(bits / 8.0).ok_or_else(|| word.bad("a rate of tc", "10mbit"))?;
    let rate = bytes.checked_mul(8).and_then(Rate::from_bps);
    rate.ok_or_else(|| word.bad("a rate of at least 1 byte per second", "10mbit"))
}

/// A size in bytes: `15k` is 15 times 1024 bytes, `1mbit` an eighth of 1024 * 1024 bytes.
pub(super) fn size(word: Word<'_>) -> Result<ByteCount, Refusal> {
    const UNITS: &[(&str, f64)] = &[
        ("", 1.0),
        ("b", 1.0),
        ("k", 1024.0),
        ("kb", 1024.0),
        ("kbit", 128.0),
        ("m", 1_048_576.0),
        ("mb", 1_048_576.0),
        ("mbit", 131_072.0),
        ("g", 1_073_741_824.0),
        ("gb", 1_073_741_824.0),
        ("gbit", 134_217_728.0),
    ];
    let bytes = with_unit(word, UNITS).and_then(whole).filter(|&bytes| bytes <= u32::MAX.into());
    bytes.map(ByteCount::new).ok_or_else(|| word.bad("a size of tc", "15k for 15 KiB, or 1500 for bytes"))
}

const TIMES: &[(&str, f64)] = &[
    ("s", 1e9),
    ("sec", 1e9),
    ("secs", 1e9),
    ("ms", 1e6),
    ("msec", 1e6),
    ("msecs", 1e6),
    ("us", 1e3),
    ("usec", 1e3),
    ("usecs", 1e3),
    ("ns", 1.0),
    ("nsec", 1.0),
    ("nsecs", 1.0),
];

/// A span of time: `5ms`. A number without a unit is microseconds.
pub(super) fn time(word: Word<'_>) -> Result<Span, Refusal> {
    let number_alone = word.text.parse::<f64>().ok().filter(|number| *number >= 0.0).map(|us| us * 1e3);
    let coarse =
        || with_unit(word, TIMES).filter(|_| !word.text.ends_with("ns") && !word.text.contains("nsec"));
    let ns = number_alone.or_else(coarse).and_then(whole);
    let us = ns.map(|ns| ns / 1_000).filter(|&us| us <= u32::MAX.into());
    us.map(|us| Span::from_ns(us * 1_000)).ok_or_else(|| word.bad("a time of tc, in s, ms or us", "5ms"))
}

/// The same in nanoseconds, for words whose default unit differs between versions of tc.
pub(super) fn time_ns(word: Word<'_>) -> Result<Span, Refusal> {
    if word.text.parse() == Ok(0.0) {
        return Ok(Span::ZERO);
    }
    let ns = with_unit(word, TIMES).and_then(whole).filter(|&ns| ns <= i64::MAX as u64);
    ns.map(Span::from_ns).ok_or_else(|| word.bad("a time with its unit: s, ms, us or ns", "5ms"))
}

/// A percentage as a fraction: `0.5%`; `%` is optional.
pub(super) fn percent(word: Word<'_>) -> Result<f64, Refusal> {
    let number = word.text.strip_suffix('%').unwrap_or(word.text).parse::<f64>().ok();
    let fraction = number.map(|number| number / 100.0).filter(|fraction| (0.0..=1.0).contains(fraction));
    fraction.ok_or_else(|| word.bad("a percentage from 0% to 100%", "0.5%"))
}

/// A whole number, decimal or hexadecimal with `0x`.
pub(super) fn count(word: Word<'_>) -> Result<u32, Refusal> {
    let number = match word.text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => word.text.parse(),
    };
    number.map_err(|_| word.bad("a whole number", "100"))
}

/// A number that tc reads as hexadecimal, with or without `0x`.
pub(super) fn hexadecimal(word: Word<'_>) -> Result<u32, Refusal> {
    let digits = word.text.strip_prefix("0x").unwrap_or(word.text);
    u32::from_str_radix(digits, 16).map_err(|_| word.bad("a hexadecimal number", "0xff"))
}

/// A whole number that may be negative.
pub(super) fn signed(word: Word<'_>) -> Result<i32, Refusal> {
    word.text.parse().map_err(|_| word.bad("a whole number", "-14"))
}

/// The handle of a qdisc or class, as `1:10` in hexadecimal: major, minor.
pub(super) fn handle(word: Word<'_>) -> Result<(u16, u16), Refusal> {
    let bad = || word.bad("a handle", "1: for a qdisc, or 1:10 for a class");
    let (major, minor) = word.text.split_once(':').ok_or_else(bad)?;
    let number = |text: &str| if text.is_empty() { Ok(0) } else { u16::from_str_radix(text, 16) };
    Ok((number(major).map_err(|_| bad())?, number(minor).map_err(|_| bad())?))
}

/// A handle as tc writes it.
pub(super) fn handle_text((major, minor): (u16, u16)) -> String {
    if minor == 0 { format!("{major:x}:") } else { format!("{major:x}:{minor:x}") }
}

/// The value in base units, rounded down; `None` if it does not fit.
fn whole(value: f64) -> Option<u64> {
    (0.0..9e15).contains(&value).then_some(value as u64)
}

/// The number times its unit, in any case; `None` if either is invalid.
fn with_unit(word: Word<'_>, units: &[(&str, f64)]) -> Option<f64> {
    let split = word.text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.text.len());
    let (number, unit) = word.text.split_at(split);
    let unit = unit.to_ascii_lowercase();
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// Checks that a value is not 0, which the kernel would refuse or ignore.
pub(super) fn above_zero<T: PartialEq + Default>(
    word: Word<'_>,
    value: T,
    what: &'static str,
    example: &'static str,
) -> Result<T, Refusal> {
    if value == T::default() {
        let text = word.text.to_owned();
        return Err(word.refuse(TcError::BadValue { text, what, example }));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word<'_> {
        Word { text, at: 0 }
    }

    #[test]
    fn rates_are_whole_bytes_per_second() {
        let bps = |text| rate(word(text)).unwrap().as_bps();
        assert_eq!(["10mbit", "10000kbit", "10000000", "1.25mbps"].map(bps), [10_000_000; 4]);
        assert_eq!(["1Mibit", "1KBps", "1Kibps", "1gbit"].map(bps), [1_048_576, 8_000, 8_192, 1_000_000_000]);
        assert_eq!(bps("15"), 8, "1.875 bytes per second, rounded down");
        for wrong in ["7", "10mb", "mbit", "-1mbit", "1e300tbit"] {
            assert!(rate(word(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_count_by_1024() {
        let bytes = |text| size(word(text)).unwrap().get();
        assert_eq!(
            ["1600", "1600b", "15k", "1kbit", "0.5m", "32Mb"].map(bytes),
            [1_600, 1_600, 15_360, 128, 524_288, 33_554_432]
        );
        for wrong in ["15kib", "5g", "k", "-1"] {
            assert!(size(word(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_without_unit_is_microseconds_or_refused() {
        assert_eq!(
            ["5ms", "5000", "5000usec", "0.005s"].map(|text| time(word(text)).unwrap().as_ps()),
            [5_000_000_000; 4]
        );
        assert_eq!(time(word("1.9us")), Ok(Span::from_ns(1_000)));
        assert_eq!(time_ns(word("1.5us")), Ok(Span::from_ns(1_500)));
        assert_eq!(time_ns(word("0")), Ok(Span::ZERO));
        assert!(time(word("5ns")).is_err() && time(word("5 s")).is_err());
        assert!(time_ns(word("5000")).is_err());
    }

    #[test]
    fn the_other_numbers() {
        assert_eq!(percent(word("0.1%")), Ok(0.001));
        assert_eq!(percent(word("2")), Ok(0.02));
        assert!(percent(word("101%")).is_err());
        assert_eq!(count(word("0x10")), Ok(16));
        assert_eq!(hexadecimal(word("ffc0")), Ok(0xffc0));
        assert_eq!(signed(word("-14")), Ok(-14));
        assert_eq!(handle(word("1:1a")), Ok((1, 26)));
        assert_eq!(handle(word("10:")).map(handle_text), Ok("10:".to_owned()));
        assert!(handle(word("1")).is_err() && handle(word("1:g")).is_err());
    }
}
