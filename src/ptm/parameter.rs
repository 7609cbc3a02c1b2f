//! Deserialization of discipline parameters with a limited range. Error messages say what to write instead.

use serde::{Deserialize, Deserializer, de};

use crate::units::{ByteCount, Probability, Span};

/// Reads a time above zero.
pub(super) fn span_above_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let span = Span::deserialize(deserializer)?;
    if span == Span::ZERO {
        return Err(de::Error::custom("a time of 0 s is not allowed here; write for example \"100 ms\""));
    }
    Ok(span)
}

/// Reads a size above zero.
pub(super) fn bytes_above_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteCount, D::Error> {
    let bytes = ByteCount::deserialize(deserializer)?;
    if bytes == ByteCount::ZERO {
        return Err(de::Error::custom("a size of 0 B is not allowed here; write for example \"1000 B\""));
    }
    Ok(bytes)
}

/// Reads a quantum above zero, for an optional key.
pub(super) fn optional_quantum<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ByteCount>, D::Error> {
    let quantum = ByteCount::deserialize(deserializer)?;
    if quantum > ByteCount::ZERO {
        return Ok(Some(quantum));
    }
    Err(de::Error::custom("a quantum of 0 B lets no packet through; write for example \"1514 B\""))
}

/// Reads a quantum in the range that the kernel accepts unchanged.
pub(super) fn quantum<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteCount, D::Error> {
    let quantum = ByteCount::deserialize(deserializer)?;
    if (256..=1 << 20).contains(&quantum.get()) {
        return Ok(quantum);
    }
    Err(de::Error::custom(format_args!(
        "a quantum of {quantum} is out of range: 256 B to 1 MiB, such as \"1514 B\""
    )))
}

/// Reads the number of values of a hash.
pub(super) fn hash_values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let values = u32::deserialize(deserializer)?;
    if values.is_power_of_two() && values <= 65_536 {
        return Ok(values);
    }
    Err(de::Error::custom(format_args!("{values} is not a power of 2 up to 65536; write for example 1024")))
}

/// Reads a probability above zero.
pub(super) fn probability_above_zero<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Probability, D::Error> {
    let probability = Probability::deserialize(deserializer)?;
    if probability == Probability::ZERO {
        return Err(de::Error::custom("0 has no effect here; write a number above 0, such as 0.01"));
    }
    Ok(probability)
}

/// Reads a number that is zero or more.
pub(super) fn not_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    if !number.is_finite() || number < 0.0 {
        return Err(de::Error::custom(format_args!(
            "{number} is out of range; write a number that is zero or more"
        )));
    }
    Ok(number)
}
