//! Quantities as other programs write them, with more spellings than taunet's own files allow.
//!
//! Each reader returns `None` for a text that is not such a quantity. A number without a unit is returned
//! without one.

use crate::ptm::Buffer;
use crate::units::{Bandwidth, ByteCount, Distance, Probability, Rate, Span};

/// The maximum accepted length: ten times the distance to the sun.
const LONGEST_M: f64 = 1.5e12;
/// The maximum accepted delay: a day, in picoseconds.
const LONGEST_PS: f64 = 86_400e12;

/// A quantity read from a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Said<T> {
    /// A quantity with its unit.
    Clearly(T),
    /// A quantity in a short form such as `10G`, assumed to be bits per second.
    Shortly(T),
    /// A number without a unit.
    Number(f64),
}

impl<T> Said<T> {
    /// The quantity, if it has a unit.
    pub fn with_unit(self) -> Option<T> {
        match self {
            Said::Clearly(value) | Said::Shortly(value) => Some(value),
            Said::Number(_) => None,
        }
    }
}

/// A bandwidth: `10 Gbps`, `100Mbit/s`, `10mbit`, `1 GB/s`, `unlimited`; short forms `10G`, `1GbE`.
pub(super) fn bandwidth(text: &str) -> Option<Said<Bandwidth>> {
    if text.trim() == "unlimited" {
        return Some(Said::Clearly(Bandwidth::Unlimited));
    }
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        return Some(Said::Number(number));
    }
    let (factor, is_short) = rate_unit(unit)?;
    let bandwidth = bits(number * factor)?;
    Some(if is_short { Said::Shortly(bandwidth) } else { Said::Clearly(bandwidth) })
}

/// Bits per second as a bandwidth, if that is above zero.
pub(super) fn bits(bits: f64) -> Option<Bandwidth> {
    let bits = bits.round();
    let bits = (1.0..1e18).contains(&bits).then_some(bits as u64)?;
    Rate::from_bps(bits).map(Bandwidth::Limited)
}

/// The bits per second of a unit, and whether it is a short form that could also mean bytes.
fn rate_unit(unit: &str) -> Option<(f64, bool)> {
    const BITS: [&str; 12] = [
        "bits per second",
        "bits/sec",
        "bit/sec",
        "bits/s",
        "bit/s",
        "b/sec",
        "b/s",
        "bps",
        "bitps",
        "bits",
        "bit",
        "Bit/s",
    ];
    const BYTES: [&str; 5] = ["Bytes/s", "bytes/s", "Byte/s", "B/s", "Bps"];
    const SHORT: [&str; 6] = ["GbE", "GigE", "GE", "bE", "b", ""];
    let by =
        |suffixes: &[&str]| suffixes.iter().find_map(|suffix| prefix(unit.strip_suffix(suffix)?.trim_end()));
    if let Some(factor) = by(&BITS) {
        return Some((factor, false));
    }
    if let Some(factor) = by(&BYTES) {
        return Some((8.0 * factor, false));
    }
    match unit {
        "GbE" | "GigE" | "GE" => Some((1e9, true)),
        "b" => None,
        _ => by(&SHORT).filter(|_| !unit.starts_with('m')).map(|factor| (factor, true)),
    }
}

/// The factor of an SI or IEC prefix. `mbps` is megabits, because a thousandth of a bit is not meaningful.
fn prefix(text: &str) -> Option<f64> {
    Some(match text {
        "" => 1.0,
        "k" | "K" | "kilo" => 1e3,
        "M" | "m" | "mega" | "Mega" => 1e6,
        "G" | "g" | "giga" | "Giga" => 1e9,
        "T" | "t" | "tera" | "Tera" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        _ => return None,
    })
}

/// A span of time: `5ms`, `20 usec`, `1.5 s`.
pub(super) fn span(text: &str) -> Option<Said<Span>> {
    said(text, time_unit, |ps| (0.0..=LONGEST_PS).contains(&ps).then(|| Span::from_ps(ps.round() as u64)))
}

/// The picoseconds of a unit.
pub(super) fn time_unit(unit: &str) -> Option<f64> {
    Some(match unit.to_lowercase().as_str() {
        "ps" => 1.0,
        "ns" | "nsec" | "nsecs" | "nanoseconds" => 1e3,
        "us" | "\u{b5}s" | "\u{3bc}s" | "usec" | "usecs" | "microseconds" => 1e6,
        "ms" | "msec" | "msecs" | "milliseconds" => 1e9,
        "s" | "sec" | "secs" | "second" | "seconds" => 1e12,
        _ => return None,
    })
}

/// A length: `12 km`, `850m`, `3 miles`.
pub(super) fn length(text: &str) -> Option<Said<Distance>> {
    said(text, length_unit, metres)
}

/// Metres as a distance, rounded to a millimetre.
pub(super) fn metres(metres: f64) -> Option<Distance> {
    (0.0..LONGEST_M).contains(&metres).then(|| Distance::from_um((metres * 1e3).round() as u64 * 1_000))
}

/// The metres of a unit.
pub(super) fn length_unit(unit: &str) -> Option<f64> {
    Some(match unit.to_lowercase().as_str() {
        "mm" => 1e-3,
        "cm" => 1e-2,
        "m" | "meter" | "meters" | "metre" | "metres" => 1.0,
        "km" | "kms" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => 1e3,
        "mi" | "mile" | "miles" => 1_609.344,
        "ft" | "feet" => 0.3048,
        _ => return None,
    })
}

/// A probability: `1%`, `0.5 percent`.
pub(super) fn probability(text: &str) -> Option<Said<Probability>> {
    said(text, probability_unit, Probability::new)
}

/// The fraction of a unit.
pub(super) fn probability_unit(unit: &str) -> Option<f64> {
    Some(match unit.to_lowercase().as_str() {
        "%" | "percent" | "pct" | "percentage" => 0.01,
        "probability" | "ratio" | "fraction" => 1.0,
        _ => return None,
    })
}

/// The size of a queue: `100 packets`, `64 KiB`, `1000p`.
pub(super) fn buffer(text: &str) -> Option<Said<Buffer>> {
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        return Some(Said::Number(number));
    }
    match size_unit(unit)? {
        Size::Packets => packets(number).map(Said::Clearly),
        Size::Bytes(factor) => {
            let bytes = (number * factor).round();
            let bytes = (0.0..1e15).contains(&bytes).then_some(bytes as u64)?;
            Some(Said::Clearly(Buffer::Bytes(ByteCount::new(bytes))))
        }
    }
}

/// A whole number of packets.
pub(super) fn packets(number: f64) -> Option<Buffer> {
    (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(Buffer::Packets(number as u64))
}

/// The unit of a queue's size.
enum Size {
    Packets,
    Bytes(f64),
}

fn size_unit(unit: &str) -> Option<Size> {
    Some(match unit {
        "packets" | "packet" | "pkts" | "pkt" | "p" => Size::Packets,
        "B" | "bytes" | "byte" | "Bytes" => Size::Bytes(1.0),
        "kB" | "KB" | "kbytes" => Size::Bytes(1e3),
        "MB" | "Mbytes" => Size::Bytes(1e6),
        "GB" => Size::Bytes(1e9),
        "KiB" => Size::Bytes(1024.0),
        "MiB" => Size::Bytes(1_048_576.0),
        _ => return None,
    })
}

/// Whether a text is a unit of a rate, in any case, as at the end of a key: `capacity_gbps`.
pub(super) fn is_rate_unit(text: &str) -> bool {
    key_rate_unit(text).is_some()
}

/// The bits per second of a unit at the end of a key. The case distinguishes bytes from bits.
pub(super) fn key_rate_unit(text: &str) -> Option<f64> {
    const MOST: [&str; 4] = ["bps", "kbps", "mbps", "gbps"];
    match rate_unit(text) {
        Some((factor, false)) => Some(factor),
        _ => MOST
            .iter()
            .zip([1.0, 1e3, 1e6, 1e9])
            .find(|(name, _)| text.eq_ignore_ascii_case(name) && !text.contains('B'))
            .map(|(_, factor)| factor),
    }
}

/// Whether a text is a unit of a queue's size.
pub(super) fn is_size_unit(text: &str) -> bool {
    size_unit(text).is_some()
}

fn said<T>(text: &str, unit: fn(&str) -> Option<f64>, value: fn(f64) -> Option<T>) -> Option<Said<T>> {
    let (number, text) = split(text)?;
    if text.is_empty() {
        return Some(Said::Number(number));
    }
    value(number * unit(text)?).map(Said::Clearly)
}

/// A finite number, and the text after it.
fn split(text: &str) -> Option<(f64, &str)> {
    const LONGEST: usize = 40;
    let text = text.trim();
    let of_number = |c: char| c.is_ascii_digit() || ".+-eE".contains(c);
    let end = text.find(|c: char| !of_number(c)).unwrap_or(text.len()).min(LONGEST);
    // In `5edges`, `5e` is not a number, but `5` is.
    (1..=end).rev().find_map(|end| {
        let number = text[..end].parse::<f64>().ok().filter(|number| number.is_finite())?;
        Some((number, text[end..].trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bps(text: &str) -> Option<(u64, bool)> {
        match bandwidth(text)? {
            Said::Clearly(Bandwidth::Limited(rate)) => Some((rate.as_bps(), false)),
            Said::Shortly(Bandwidth::Limited(rate)) => Some((rate.as_bps(), true)),
            _ => None,
        }
    }

    #[test]
    fn bandwidths_in_the_spellings_of_others() {
        for text in
            ["10 Mbps", "10Mbps", "10Mbit/s", "10 Mb/s", "10mbit", "10 Mbits/sec", "1e4 kbps", "10 mbps"]
        {
            assert_eq!(bps(text), Some((10_000_000, false)), "{text}");
        }
        assert_eq!(bps("10 MB/s"), Some((80_000_000, false)));
        assert_eq!(bps("10 MBps"), Some((80_000_000, false)));
        for (text, bits) in [("10G", 10), ("10 Gb", 10), ("1GbE", 1), ("40GE", 40), ("1 GigE", 1)] {
            assert_eq!(bps(text), Some((bits * 1_000_000_000, true)), "{text}");
        }
        for text in
            ["10 MB", "10 m", "10 b", "fast", "45-155", "-1 Gbps", "0 bps", "NaN", "1 GBPS", "10 Mbps full"]
        {
            assert_eq!(bps(text), None, "{text}");
        }
        assert_eq!(bandwidth("unlimited"), Some(Said::Clearly(Bandwidth::Unlimited)));
        assert_eq!(bandwidth("2.5"), Some(Said::Number(2.5)));
    }

    #[test]
    fn other_quantities() {
        for text in ["5ms", "5 msec", "5000 us", "0.005 s", "5000 \u{b5}s", "5000 \u{3bc}s"] {
            assert_eq!(span(text), Some(Said::Clearly(Span::from_ns(5_000_000))), "{text}");
        }
        assert_eq!(span("5 parsecs"), None);
        assert_eq!(span("-5 ms"), None);
        assert_eq!(length("1.5 km"), Some(Said::Clearly(Distance::from_um(1_500_000_000))));
        assert_eq!(length("1 mile"), Some(Said::Clearly(Distance::from_um(1_609_344_000))));
        assert_eq!(probability("1%"), Some(Said::Clearly(Probability::new(0.01).unwrap())));
        assert_eq!(probability("101 %"), None);
        assert_eq!(buffer("1000p"), Some(Said::Clearly(Buffer::Packets(1_000))));
        assert_eq!(buffer("64 KiB"), Some(Said::Clearly(Buffer::Bytes(ByteCount::new(65_536)))));
        assert_eq!(buffer("1.5 packets"), None);
    }
}
