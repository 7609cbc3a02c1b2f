//! The rate of a source: a bandwidth, packets per second, or the offered load of a link.

use schemars::JsonSchema;
use serde::Deserialize;

use super::mistake::{Mistake, positive};
use super::text_or_table::text_or_table;
use crate::config::Spanned;
use crate::link::Link;
use crate::topology::PortName;
use crate::units::{Bandwidth, PS_PER_S, PacketRate, Rate};

/// The mean rate of a source, as written in a scenario: `"70 Mbps"`, `"5000 packets/s"` or `{ load = 0.7 }`.
#[derive(Debug, Clone, PartialEq)]
pub enum RateSpec {
    /// Bits of packets per second, without the overhead of a link.
    Bandwidth(Rate),
    /// Packets per second.
    Packets(PacketRate),
    /// A fraction of the capacity of a link.
    Load(LoadSpec),
}

/// The offered load of a link.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadSpec {
    /// The fraction of the link's time that the packets take, including the link's overhead; may be above 1.
    #[schemars(with = "f64", range(min = 0))]
    pub load: Spanned<f64>,
    /// The port that sends onto the link (default: the first port of each sending host).
    #[schemars(with = "Option<PortName>")]
    pub of: Option<Spanned<PortName>>,
}

text_or_table!(
    RateSpec,
    "a rate as text, such as \"70 Mbps\" or \"5000 packets/s\", or a table such as { load = 0.7 }",
    |text| RateText => Ok(match PacketRate::is_meant_by(text) {
        true => RateSpec::Packets(text.parse()?),
        false => RateSpec::Bandwidth(text.parse()?),
    }),
    |table| LoadSpec => RateSpec::Load(table)
);

/// The schema of a rate given as text.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum RateText {
    Bandwidth(Rate),
    Packets(PacketRate),
}

/// The mean time from one packet to the next, in picoseconds: a fraction, so even spacing has no rounding
/// drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    numerator: u128,
    denominator: u128,
}

impl Gap {
    /// `numerator / denominator` picoseconds; neither is zero.
    pub(crate) fn new(numerator: u128, denominator: u128) -> Self {
        let (mut a, mut b) = (numerator, denominator);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let divisor = a.max(1);
        Gap { numerator: numerator / divisor, denominator: (denominator / divisor).max(1) }
    }

    /// The numerator and denominator, in lowest terms.
    pub(crate) fn parts(self) -> (u128, u128) {
        (self.numerator, self.denominator)
    }

    /// Picoseconds, rounded to a double.
    pub fn as_ps_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    /// Packets per second, rounded to a double.
    pub fn as_packets_per_s(self) -> f64 {
        PS_PER_S as f64 / self.as_ps_f64()
    }

    /// The gap of a source that sends `part` times as much as this one (in steps of a billionth).
    pub(crate) fn of_part(self, part: f64) -> Self {
        let billionths = (part * 1e9).round().max(1.0) as u128;
        match (self.numerator.checked_mul(1_000_000_000), self.denominator.checked_mul(billionths)) {
            (Some(numerator), Some(denominator)) => Gap::new(numerator, denominator),
            _ => Gap::new((self.as_ps_f64() / part).round().max(1.0) as u128, 1),
        }
    }
}

/// Millionths of a byte.
fn microbytes(bytes: f64) -> u128 {
    (bytes * 1e6).round() as u128
}

impl Rate {
    /// The gap between packets of `mean` bytes at this rate.
    pub(crate) fn gap(self, mean: f64) -> Gap {
        Gap::new(microbytes(mean) * 8 * u128::from(PS_PER_S), u128::from(self.as_bps()) * 1_000_000)
    }
}

impl PacketRate {
    /// The gap between packets at this rate.
    pub(crate) fn gap(self) -> Gap {
        Gap::new(u128::from(PS_PER_S) * 1_000_000, u128::from(self.as_millionths()))
    }
}

impl LoadSpec {
    /// The gap between packets of `mean` bytes for this load on `link`, which is named `name`.
    ///
    /// # Errors
    /// A load of zero or less, or a link of unlimited bandwidth.
    pub(crate) fn gap(&self, link: &Link, name: &str, mean: f64) -> Result<Gap, Mistake> {
        let load = positive(&self.load, "a load")?;
        let Bandwidth::Limited(rate) = link.bandwidth else {
            let message =
                format!("the link of `{name}` has unlimited bandwidth, of which a load cannot be a fraction");
            return Err(Mistake::new(self.load.span(), message)
                .with_help("give the rate as text, such as \"70 Mbps\", or another link with `of`"));
        };
        let full = rate.gap(mean + link.overhead.get() as f64);
        Ok(full.of_part(load))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{ByteCount, Span};

    #[test]
    fn a_gap_is_exact() {
        let rate: Rate = "3 Mbps".parse().unwrap();
        assert_eq!(rate.gap(1000.0).parts(), (8_000_000_000, 3));
        let rate: PacketRate = "0.3 packets/s".parse().unwrap();
        assert_eq!(rate.gap().parts(), (10_000_000_000_000, 3));
        assert_eq!(rate.gap().of_part(0.5).parts(), (20_000_000_000_000, 3));
    }

    #[test]
    fn a_load_counts_the_overhead() {
        let mut link = Link::with_delay("1 Gbps".parse().unwrap(), Span::ZERO);
        link.overhead = ByteCount::new(24);
        let load = LoadSpec { load: Spanned::new(0..0, 0.7), of: None };
        let gap = load.gap(&link, "h0:0", 1000.0).unwrap();
        // 1024 B at 1 Gbps take 8192 ns.
        assert_eq!(gap.parts(), (81_920_000, 7));
    }

    #[test]
    fn a_load_of_nothing_is_told() {
        let link = Link::with_delay("1 Gbps".parse().unwrap(), Span::ZERO);
        let unlimited = Link::with_delay(Bandwidth::Unlimited, Span::ZERO);
        let told = |load: f64, link: &Link| {
            LoadSpec { load: Spanned::new(0..0, load), of: None }
                .gap(link, "h0:0", 1000.0)
                .unwrap_err()
                .message
        };
        assert_eq!(told(0.0, &link), "a load cannot be 0");
        assert_eq!(told(-1.0, &link), "a load cannot be -1");
        assert_eq!(told(f64::NAN, &link), "a load cannot be NaN");
        assert!(told(0.5, &unlimited).contains("unlimited bandwidth"));
    }
}
