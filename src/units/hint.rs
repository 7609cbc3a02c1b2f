//! Suggestions for units that do not fit.

use super::decimal::decimal;
use super::{ByteCount, Rate};

/// A sentence that suggests what `number unit` was meant to be, for a quantity with these `units`; `None` if
/// nothing is likely.
pub(super) fn hint(number: &str, unit: &str, units: &[(&'static str, u64)]) -> Option<String> {
    let has = |name: &str| units.iter().any(|(unit, _)| *unit == name);
    let told = |name: &str| format!("did you mean {name:?}?");
    if unit.starts_with(',') {
        return Some("a number has a decimal point, not a comma.".to_owned());
    }
    let spelt = if has("bps") {
        return rate(number, unit, units).or_else(|| similar(unit, units).map(told));
    } else if has("B") {
        return size(number, unit, units).or_else(|| similar(unit, units).map(told));
    } else if has("packets/s") {
        packets(unit)
    } else if has("ms") {
        if let Some(hint) = time(number, unit) {
            return Some(hint);
        }
        begins(unit, TIMES)
    } else {
        if let Some(hint) = foreign(unit, has("m/s")) {
            return Some(hint);
        }
        begins(unit, DISTANCES).filter(|name| has(name))
    };
    spelt.or_else(|| similar(unit, units)).map(told)
}

/// Prefixes of spelt-out units of time, longer ones before shorter ones.
const TIMES: &[(&str, &str)] = &[
    ("picos", "ps"),
    ("nanos", "ns"),
    ("micros", "us"),
    ("millis", "ms"),
    ("min", "min"),
    ("psec", "ps"),
    ("nsec", "ns"),
    ("usec", "us"),
    ("msec", "ms"),
    ("sec", "s"),
    ("hour", "h"),
    ("hr", "h"),
];

/// The same for distances.
const DISTANCES: &[(&str, &str)] =
    &[("micro", "um"), ("milli", "mm"), ("centi", "cm"), ("kilo", "km"), ("met", "m")];

/// The unit of the first matching prefix.
fn begins(unit: &str, spellings: &[(&str, &'static str)]) -> Option<&'static str> {
    let lower = unit.to_lowercase();
    spellings.iter().find(|(spelling, _)| lower.starts_with(spelling)).map(|(_, name)| *name)
}

/// An amount of data, or of data per second, in any spelling: `Mbit`, `MB`, `MBps`, `kilobytes`, `10M`.
struct Amount {
    /// As taunet writes it: `M`, `Ki`.
    prefix: &'static str,
    counts: Counts,
    per_second: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    Bytes,
    /// `b`: bits, or bytes written carelessly.
    SmallB,
    Bits,
    /// Only a prefix is given.
    Unsaid,
}

impl Amount {
    fn of(unit: &str) -> Option<Amount> {
        let per_second =
            ["/second", "/sec", "/s", "per second"].iter().find_map(|end| unit.strip_suffix(end));
        // `MBPS` means bits, as printed on packaging; `MBps` means bytes.
        let (amount, per_second, shouted) =
            match (per_second, unit.strip_suffix("ps"), unit.strip_suffix("PS")) {
                (Some(amount), ..) | (None, Some(amount), _) => (amount.trim_end(), true, false),
                (None, None, Some(amount)) => (amount, true, true),
                _ => (unit, false, false),
            };
        let lower = amount.to_lowercase();
        let word = |words: &[&str]| words.iter().find_map(|word| lower.strip_suffix(word));
        let (prefix, counts) = if let Some(prefix) = word(&["bits", "bit"]) {
            (prefix, Counts::Bits)
        } else if let Some(prefix) = word(&["bytes", "byte", "octets", "octet"]) {
            (prefix, Counts::Bytes)
        } else if let Some(prefix) = lower.strip_suffix('b') {
            (prefix, if amount.ends_with('B') && !shouted { Counts::Bytes } else { Counts::SmallB })
        } else {
            (lower.as_str(), Counts::Unsaid)
        };
        let prefix = match prefix.trim() {
            "" => "",
            "k" | "kilo" => "k",
            "m" | "mega" => "M",
            "g" | "giga" => "G",
            "t" | "tera" => "T",
            "ki" | "kibi" => "Ki",
            "mi" | "mebi" => "Mi",
            "gi" | "gibi" => "Gi",
            _ => return None,
        };
        Some(Amount { prefix, counts, per_second })
    }
}

/// The number in whole base units, for a unit of `factor` base units.
fn whole(number: &str, unit: &str, units: &[(&'static str, u64)]) -> Option<u64> {
    let &(_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let (digits, exponent) = decimal(number)?;
    let value = digits.checked_mul(factor.into())?;
    let power = 10u128.checked_pow(exponent.unsigned_abs())?;
    let value = if exponent < 0 {
        (value % power == 0).then_some(value / power)?
    } else {
        value.checked_mul(power)?
    };
    u64::try_from(value).ok()
}

/// Bytes given for a rate most likely mean bytes per second; everything else means bits per second.
fn rate(number: &str, unit: &str, units: &[(&'static str, u64)]) -> Option<String> {
    let Amount { prefix, counts, per_second } = Amount::of(unit)?;
    let name = match counts {
        Counts::Bytes => format!("{prefix}B/s"),
        Counts::Unsaid if prefix.is_empty() => return None,
        _ => format!("{prefix}bps"),
    };
    units.iter().find(|(known, _)| *known == name)?;
    if counts == Counts::Bytes && !per_second {
        let bits = whole(number, &name, units).and_then(Rate::from_bps);
        let bits = bits.map_or(String::new(), |bits| format!(" ({bits})"));
        return Some(format!("did you mean \"{number} {name}\"{bits}?"));
    }
    Some(format!("did you mean {name:?}?"))
}

/// A size is in bytes: a bare prefix means bytes, and bits are converted.
fn size(number: &str, unit: &str, units: &[(&'static str, u64)]) -> Option<String> {
    let Amount { prefix, counts, per_second } = Amount::of(unit)?;
    let name = format!("{prefix}B");
    units.iter().find(|(known, _)| *known == name)?;
    match counts {
        _ if per_second => Some("that is a rate; a size is in bytes.".to_owned()),
        Counts::Unsaid if prefix.is_empty() => None,
        Counts::Bits => {
            let bytes = whole(number, &name, units).filter(|bits| bits % 8 == 0)? / 8;
            Some(format!("a size is in bytes; did you mean \"{}\"?", ByteCount::new(bytes)))
        }
        _ => Some(format!("did you mean \"{number} {name}\"?")),
    }
}

/// `pps` and its multiples.
fn packets(unit: &str) -> Option<&'static str> {
    match unit.to_lowercase().strip_suffix("pps")? {
        "" => Some("packets/s"),
        "k" => Some("kpackets/s"),
        "m" => Some("Mpackets/s"),
        _ => None,
    }
}

/// Days and weeks, and `m`, which may mean minutes or milliseconds.
fn time(number: &str, unit: &str) -> Option<String> {
    let hours = |each: u64| match whole(number, "h", &[("h", each)]) {
        Some(hours) => format!("did you mean \"{hours} h\"?"),
        None => format!("write it in hours: it has {each} of them."),
    };
    match unit.to_lowercase().as_str() {
        "d" | "day" | "days" => Some(hours(24)),
        "w" | "wk" | "week" | "weeks" => Some(hours(7 * 24)),
        "m" => Some(format!("did you mean \"{number} ms\" or \"{number} min\"?")),
        _ => None,
    }
}

/// Units of other systems.
fn foreign(unit: &str, is_speed: bool) -> Option<String> {
    let (name, metres) = match unit.to_lowercase().as_str() {
        "c" if is_speed => {
            return Some(
                "a bit in fibre or copper travels at about \"2e8 m/s\", two thirds of c.".to_owned(),
            );
        }
        "mi" | "mile" | "miles" => ("mile", "1609.344 m"),
        "ft" | "foot" | "feet" => ("foot", "0.3048 m"),
        "yd" | "yard" | "yards" => ("yard", "0.9144 m"),
        "in" | "inch" | "inches" => ("inch", "2.54 cm"),
        "nmi" => ("nautical mile", "1852 m"),
        _ => return None,
    };
    (!is_speed).then(|| format!("a {name} is {metres}."))
}

/// The most similar unit; single letters have no similar unit.
fn similar(unit: &str, units: &[(&'static str, u64)]) -> Option<&'static str> {
    let lower = unit.to_lowercase();
    units
        .iter()
        .map(|&(name, _)| (strsim::damerau_levenshtein(&name.to_lowercase(), &lower), name))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, name)| {
            distance <= 2
                && distance < name.len().max(2)
                && (distance == 0 || distance < unit.chars().count())
        })
        .map(|(_, name)| name)
}
