//! The distribution of a jitter: uniform, or a table of quantiles.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::de::{self, IntoDeserializer};
use serde::{Deserialize, Deserializer, Serialize};

/// The distribution of a jitter; in `tc`, the table of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DelayDistribution {
    /// From `delay - jitter` to `delay + jitter`, exclusive.
    #[default]
    Uniform,
    /// The normal distribution, with `jitter` as its standard deviation.
    Normal,
    /// A Pareto distribution of shape 3, shifted and scaled: from -2/3 to 4 times the jitter around the
    /// delay, with a mean of -0.03 times the jitter.
    Pareto,
    /// A mixture: a quarter of the normal quantile plus three quarters of the Pareto quantile.
    ParetoNormal,
}

/// Reads a distribution; `experimental` is rejected by name.
pub(super) fn modelled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DelayDistribution, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name == "experimental" {
        return Err(de::Error::custom(
            "the distribution `experimental` is a table of measured values, which is not here; \
             write \"normal\", \"pareto\" or \"paretonormal\"",
        ));
    }
    DelayDistribution::deserialize(name.into_deserializer())
}

/// The same, for an optional key.
pub(super) fn modelled_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DelayDistribution>, D::Error> {
    modelled(deserializer).map(Some)
}

/// The table value of one standard deviation: NETEM_DIST_SCALE.
const SCALE: i64 = 8_192;

/// The number of quantiles in a table.
const QUANTILES: u32 = 4_096;

/// The quantiles of the normal distribution at `(4 i + 1/2) / 16384`.
static NORMAL: LazyLock<Vec<i16>> = LazyLock::new(|| (0..QUANTILES).map(|i| cut(normal(i))).collect());

/// The quantiles of the Pareto distribution of shape 3 at `i / 4096`, less 3/2, times 4/3.
static PARETO: LazyLock<Vec<i16>> = LazyLock::new(|| (0..QUANTILES).map(|i| cut(pareto(i))).collect());

static PARETO_NORMAL: LazyLock<Vec<i16>> =
    LazyLock::new(|| (0..QUANTILES).map(|i| cut((normal(i) + 3 * pareto(i)) / 4)).collect());

/// An entry as stored in the file.
fn cut(value: i32) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// The `i`-th normal quantile, rounded to 1/8192. Bisection needs only `erfc`.
fn normal(i: u32) -> i32 {
    let probability = (f64::from(4 * i) + 0.5) / 16_384.0;
    let below = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
    // The probability is between those of the two ends.
    let (mut low, mut high) = (-8 * SCALE as i32, 8 * SCALE as i32);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if below((f64::from(middle) - 0.5) / SCALE as f64) <= probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The `i`-th Pareto quantile, rounded to 1/8192; the last ones are cut off as in the file.
fn pareto(i: u32) -> i32 {
    let beyond = f64::from(QUANTILES - i) / f64::from(QUANTILES);
    let scaled = (1.0 / libm::cbrt(beyond) - 1.5) * (4.0 / 3.0) * SCALE as f64;
    scaled.min(i16::MAX.into()).round_ties_even() as i32
}

impl DelayDistribution {
    /// The quantiles in 1/8192; `None` for the uniform distribution, which is computed without a table.
    ///
    /// # Source
    /// The distribution functions that iproute2 `netem/normal.c`, `pareto.c` and `paretonormal.c` take from
    /// NIST Net, at the same points. Its files differ by 1/8192 in a few entries, where the quantile is
    /// half-way.
    pub(super) fn table(self) -> Option<&'static [i16]> {
        match self {
            DelayDistribution::Uniform => None,
            DelayDistribution::Normal => Some(&NORMAL),
            DelayDistribution::Pareto => Some(&PARETO),
            DelayDistribution::ParetoNormal => Some(&PARETO_NORMAL),
        }
    }
}

/// Draws a value around `mean` with a spread of `deviation`, in nanoseconds. No number is drawn for a
/// deviation of zero.
///
/// The remainder by the width removes most of a correlation unless the width is near 2^32, as in the kernel.
///
/// # Source
/// Linux 6.1 `net/sched/sch_netem.c` (`tabledist`).
pub(super) fn drawn_around(
    mean: i64,
    deviation: i32,
    table: Option<&[i16]>,
    draw: impl FnOnce() -> u32,
) -> i64 {
    if deviation <= 0 {
        return mean;
    }
    let number = draw();
    let deviation = i64::from(deviation);
    let Some(table) = table else {
        return i64::from(number) % (2 * deviation) + mean - deviation;
    };
    let quantile = i64::from(table[number as usize % table.len()]);
    let fine = deviation % SCALE * quantile;
    let half = if fine >= 0 { SCALE / 2 } else { -SCALE / 2 };
    (fine + half) / SCALE + deviation / SCALE * quantile + mean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(distribution: DelayDistribution) -> &'static [i16] {
        distribution.table().unwrap()
    }

    #[test]
    fn the_tables_have_their_quantiles() {
        for name in [DelayDistribution::Normal, DelayDistribution::Pareto, DelayDistribution::ParetoNormal] {
            let table = table(name);
            assert_eq!(table.len(), 4_096);
            assert!(table.is_sorted(), "{name:?}");
        }
        let normal = table(DelayDistribution::Normal);
        // Known quantiles: 0.5, and 0.975 between the entries 3993 and 3994.
        assert_eq!(normal[2_048], 1, "16384 Phi(x) = 8192.5");
        assert!((normal[3_993]..=normal[3_994]).contains(&16_056), "1.96 times 8192");
        let pareto = table(DelayDistribution::Pareto);
        assert_eq!((pareto[0], pareto[4_095]), (-5_461, i16::MAX), "-2/3, and 4 where it is cut");
        // Half of the values are lower: (2^(1/3) - 3/2) * 4/3 * 8192.
        assert_eq!(pareto[2_048], -2_622);
    }

    #[test]
    fn the_tables_are_portable() {
        // Must never change: a changed value changes every seeded result.
        let sum = |distribution| {
            let weighed = table(distribution).iter().zip(1_i64..).map(|(&value, i)| i * i64::from(value));
            weighed.sum::<i64>()
        };
        let sums = [DelayDistribution::Normal, DelayDistribution::Pareto, DelayDistribution::ParetoNormal];
        insta::assert_snapshot!(format!("{:?}", sums.map(sum)), @"[38719986836, 22904699865, 26857925933]");
    }

    #[test]
    fn a_uniform_value_lies_from_one_jitter_below_up_to_one_above() {
        let of = |number| drawn_around(1_000, 10, None, || number);
        assert_eq!([0, 1, 19, 20, 4_000_000_007].map(of), [990, 991, 1_009, 990, 997]);
        assert_eq!(drawn_around(1_000, i32::MAX, None, || u32::MAX), 1_000 - i64::from(i32::MAX) + 1);
    }

    #[test]
    fn a_value_of_a_table_is_rounded_to_a_nanosecond() {
        let of = |deviation, quantile: i16| drawn_around(0, deviation, Some(&[quantile]), || 7);
        assert_eq!(of(5_000_000, 8_192), 5_000_000);
        assert_eq!(of(5_000_000, -8_192), -5_000_000);
        // 3 * 1365 / 8192 = 0.49988, 3 * 1366 / 8192 = 0.50024
        assert_eq!([1_365, 1_366, -1_365, -1_366].map(|quantile| of(3, quantile)), [0, 1, 0, -1]);
        assert_eq!(of(i32::MAX, i16::MIN), -4 * i64::from(i32::MAX));
    }

    #[test]
    fn without_jitter_nothing_is_drawn() {
        assert_eq!(drawn_around(7, 0, None, || unreachable!()), 7);
    }
}
