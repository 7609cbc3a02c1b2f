//! Numbers and names in HTML.

/// No line breaks between a number and its unit.
const SPACE: char = '\u{a0}';

/// A text between tags or in a quoted attribute. Control characters become the replacement character.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(character),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

/// JSON inside a script element: nothing in it ends the element or begins a comment.
pub(super) fn json_in_script(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// `26740` as `26,740`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds in a fitting unit: `620.7 us`.
pub(crate) fn seconds(seconds: f64) -> String {
    let (factor, unit) = second_unit(seconds);
    format!("{}{SPACE}{unit}", four_digits(seconds * factor))
}

/// An interval of seconds, in one unit.
pub(super) fn seconds_between(low: f64, high: f64) -> String {
    let (factor, unit) = second_unit(low.abs().max(high.abs()));
    format!("{} to {}{SPACE}{unit}", four_digits(low * factor), four_digits(high * factor))
}

fn second_unit(seconds: f64) -> (f64, &'static str) {
    match seconds.abs() {
        size if size >= 1.0 || size == 0.0 => (1.0, "s"),
        size if size >= 1e-3 => (1e3, "ms"),
        size if size >= 1e-6 => (1e6, "us"),
        _ => (1e9, "ns"),
    }
}

/// A number with four digits, or more before the point.
pub(crate) fn four_digits(number: f64) -> String {
    let size = number.abs();
    let digits = match size {
        _ if size >= 1_000.0 || size == 0.0 => 0,
        _ if size >= 100.0 => 1,
        _ if size >= 10.0 => 2,
        _ if size >= 1.0 => 3,
        _ => 4,
    };
    format!("{number:.digits$}")
}

/// A fraction in percent with its sign: `-0.87 %`.
pub(super) fn percent(fraction: f64) -> String {
    let digits = if fraction.abs() < 0.1 { 3 } else { 1 };
    format!("{:+.digits$}{SPACE}%", fraction * 100.0)
}

/// Packets in percent of others: `13.8 %`.
pub(crate) fn fraction(packets: u64, of: u64) -> String {
    match (packets, of) {
        (_, 0) => "undefined".to_owned(),
        (0, _) => format!("0{SPACE}%"),
        _ => format!("{:.3}{SPACE}%", 100.0 * packets as f64 / of as f64),
    }
}

/// Bytes with their unit.
pub(super) fn bytes(number: u64) -> String {
    match number as f64 {
        size if size >= 1e9 => format!("{} GB", four_digits(size / 1e9)),
        size if size >= 1e6 => format!("{} MB", four_digits(size / 1e6)),
        size if size >= 1e3 => format!("{} kB", four_digits(size / 1e3)),
        _ => format!("{number} B"),
    }
}

/// Bits per second with their unit.
pub(crate) fn bits_per_second(number: f64) -> String {
    match number {
        size if size >= 1e9 => format!("{} Gbps", four_digits(size / 1e9)),
        size if size >= 1e6 => format!("{} Mbps", four_digits(size / 1e6)),
        size if size >= 1e3 => format!("{} kbps", four_digits(size / 1e3)),
        size => format!("{} bps", four_digits(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_markup() {
        assert_eq!(
            escaped("<a href=\"x\" b='&'>\u{0}"),
            "&lt;a href=&quot;x&quot; b=&#39;&amp;&#39;&gt;\u{fffd}"
        );
        let json = json_in_script(&serde_json::json!("</script><!-- &"));
        assert_eq!(json, "\"\\u003c/script\\u003e\\u003c!-- \\u0026\"");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "</script><!-- &");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1_234_567].map(count), ["0", "999", "1,234,567"]);
        let plain = |text: String| text.replace(SPACE, " ");
        assert_eq!(
            [0.0, 2.0, 0.62067e-3, -5e-9].map(seconds).map(plain),
            ["0 s", "2.000 s", "620.7 us", "-5.000 ns"]
        );
        assert_eq!(plain(seconds_between(-5e-7, 2e-6)), "-0.5000 to 2.000 us");
        assert_eq!([-0.0087, 1.5].map(percent).map(plain), ["-0.870 %", "+150.0 %"]);
        assert_eq!(
            [(3, 80), (0, 5), (0, 0)].map(|(a, b)| plain(fraction(a, b))),
            ["3.750 %", "0 %", "undefined"]
        );
        assert_eq!([12, 1_500, 2_500_000].map(bytes), ["12 B", "1.500 kB", "2.500 MB"]);
        assert_eq!(bits_per_second(9.87e6), "9.870 Mbps");
    }
}
