//! Numbers in messages.

pub(super) use crate::report::count;

/// `1 packet`, `2 packets`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A round number of bytes in a suitable unit: `10 kB`.
pub(super) fn decimal_bytes(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1_000_000 => format!("{} MB", bytes / 1_000_000),
        _ if bytes >= 1_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{bytes} B"),
    }
}

/// Seconds in a suitable unit: `620.67 us`.
pub(super) fn seconds(seconds: f64) -> String {
    let size = seconds.abs();
    let (factor, unit) = match size {
        _ if size >= 1.0 || size == 0.0 => (1.0, "s"),
        _ if size >= 1e-3 => (1e3, "ms"),
        _ if size >= 1e-6 => (1e6, "us"),
        _ => (1e9, "ns"),
    };
    format!("{:.3} {unit}", seconds * factor)
}

/// Bits per second in a suitable unit: `9.412 Mbps`.
pub(super) fn bits_per_second(rate: f64) -> String {
    let (factor, unit) = match rate {
        _ if rate >= 1e9 => (1e-9, "Gbps"),
        _ if rate >= 1e6 => (1e-6, "Mbps"),
        _ if rate >= 1e3 => (1e-3, "kbps"),
        _ => (1.0, "bps"),
    };
    format!("{:.3} {unit}", rate * factor)
}

/// A number with four significant digits: `0.0006153`, `26740`, `1.200e-7`.
pub(super) fn significant(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        size if (1e-4..1e7).contains(&size) => {
            format!("{number:.*}", (3 - libm::floor(libm::log10(size)) as i32).max(0) as usize)
        }
        _ => format!("{number:.3e}"),
    }
}

/// A relative error as a percentage with its sign.
pub(super) fn percent(part: Option<f64>) -> String {
    part.map_or("undefined".to_owned(), |part| format!("{:+.3} %", part * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0.0, 6.15256e-4, -0.5, 26_740.0, 1.2e-7, 99.996].map(significant),
            ["0", "0.0006153", "-0.5000", "26740", "1.200e-7", "100.00"]
        );
        assert_eq!(
            [0, 999, 1_000, 26_740, 1_234_567].map(count),
            ["0", "999", "1,000", "26,740", "1,234,567"]
        );
        assert_eq!(
            [2.0, 0.0, 0.0205, -620.67e-6, 5e-9].map(seconds),
            ["2.000 s", "0.000 s", "20.500 ms", "-620.670 us", "5.000 ns"]
        );
        assert_eq!([0, 1, 2].map(|number| counted(number, "packet")), ["0 packets", "1 packet", "2 packets"]);
        assert_eq!([0.5, 9_411_700.0, 2e9].map(bits_per_second), ["0.500 bps", "9.412 Mbps", "2.000 Gbps"]);
        assert_eq!(percent(Some(-0.0088)), "-0.880 %");
    }
}
