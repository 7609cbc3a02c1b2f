//! Exact decimal numbers.

/// `"1.5e3"` as (15, 2): digits times a power of ten.
pub(super) fn decimal(number: &str) -> Option<(u128, i32)> {
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
