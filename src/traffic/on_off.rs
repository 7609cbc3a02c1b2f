//! On-off sources: bursts at a peak rate, separated by silence.

use schemars::JsonSchema;
use serde::Deserialize;

use super::arrivals::{Arrivals, Clock};
use super::draw::{exponential, pareto, unit};
use super::mistake::Mistake;
use super::rate::{Gap, RateSpec};
use super::spec::generated;
use crate::config::Spanned;
use crate::random::Stream;
use crate::units::{Span, Time};

generated!(
    /// The parameters of an `on-off`.
    OnOffSpec {
        /// The mean rate of each sending host over on and off periods; alternatively, give the `peak`.
        #[schemars(with = "Option<RateSpec>")]
        rate: Option<Spanned<RateSpec>>,
        /// The rate of each sending host during on periods; alternatively, give the mean `rate`.
        #[schemars(with = "Option<RateSpec>")]
        peak: Option<Spanned<RateSpec>>,
        /// The lengths of the on periods, in which the host sends.
        #[schemars(with = "PeriodSpec")]
        on: Spanned<PeriodSpec>,
        /// The lengths of the off periods, in which the host is silent.
        #[schemars(with = "PeriodSpec")]
        off: Spanned<PeriodSpec>,
    }
);

/// The lengths of on or off periods.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeriodSpec {
    /// The mean length.
    #[schemars(with = "Span")]
    pub mean: Spanned<Span>,
    /// The distribution of the lengths (default: exponential).
    #[serde(default)]
    pub distribution: PeriodDistribution,
    /// The shape of a Pareto distribution, at least 1.01; below 2 its variance is infinite (default: 1.5).
    #[schemars(with = "Option<f64>")]
    pub shape: Option<Spanned<f64>>,
}

/// The distribution of periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PeriodDistribution {
    /// Memoryless.
    #[default]
    Exponential,
    /// Heavy-tailed (type I).
    Pareto,
    /// Always equal to the mean.
    Constant,
}

/// The distribution of period lengths, ready to draw from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Period {
    mean_ps: f64,
    distribution: PeriodDistribution,
    shape: f64,
}

impl PeriodSpec {
    /// Checks the specification.
    ///
    /// # Errors
    /// A mean below a nanosecond, a shape without a mean, or a shape so small that the rarest periods alone
    /// determine the mean.
    pub fn resolve(&self) -> Result<Period, Mistake> {
        const DEFAULT_SHAPE: f64 = 1.5;
        /// Shorter periods begin more often than packets can be sent.
        const LEAST_MEAN: Span = Span::from_ns(1);
        /// Here periods rarer than one in 10^12 have three quarters of the mean: P(X > x)^(1 - 1 / shape) of it.
        const LEAST_SHAPE: f64 = 1.01;
        let mean = *self.mean.get_ref();
        if mean == Span::ZERO {
            return Err(Mistake::new(self.mean.span(), "a period cannot have a mean of zero"));
        }
        if mean < LEAST_MEAN {
            let message = format!("a period cannot have a mean of {mean}");
            return Err(Mistake::new(self.mean.span(), message).with_help("the shortest mean is 1 ns"));
        }
        if let Some(shape) = &self.shape {
            if self.distribution != PeriodDistribution::Pareto {
                return Err(Mistake::new(shape.span(), "`shape` is for `distribution = \"pareto\"`"));
            }
            if !(*shape.get_ref() > 1.0 && shape.get_ref().is_finite()) {
                let message = format!("a Pareto distribution of shape {} has no mean", shape.get_ref());
                return Err(Mistake::new(shape.span(), message).with_help("the shape must be above 1"));
            }
            if *shape.get_ref() < LEAST_SHAPE {
                let message = format!(
                    "a Pareto distribution of shape {} has its mean in periods that no run contains",
                    shape.get_ref()
                );
                let help = format!("the smallest shape is {LEAST_SHAPE}; 1.5 is usual");
                return Err(Mistake::new(shape.span(), message).with_help(help));
            }
        }
        let shape = self.shape.as_ref().map_or(DEFAULT_SHAPE, |shape| *shape.get_ref());
        Ok(Period { mean_ps: mean.as_ps() as f64, distribution: self.distribution, shape })
    }
}

impl Period {
    /// The mean in picoseconds.
    pub(crate) fn mean_ps(&self) -> f64 {
        self.mean_ps
    }

    /// Draws one period, rounded down to a picosecond.
    pub(super) fn span(&self, random: &mut Stream) -> Span {
        Span::from_ps(self.draw(random) as u64)
    }

    fn draw(&self, random: &mut Stream) -> f64 {
        self.mean_ps
            * match self.distribution {
                PeriodDistribution::Exponential => exponential(random),
                PeriodDistribution::Pareto => pareto(random, self.shape),
                PeriodDistribution::Constant => 1.0,
            }
    }
}

/// Alternating on and off periods, with even spacing within the on periods.
///
/// Packets are evenly spaced in on time: the rest of a gap at the end of an on period continues in the next
/// one. So the mean rate is the peak rate times the fraction of on time, even if an on period contains few
/// packets.
///
/// # Source
/// Willinger, Taqqu, Sherman, Wilson, "Self-similarity through high-variability", 1997: many such sources
/// with Pareto periods of shape below 2 add up to self-similar traffic.
pub struct OnOff {
    clock: Clock,
    /// The gap between packets in on periods.
    gap_ps: f64,
    on: Period,
    off: Period,
    /// The rest of the on period.
    left_ps: f64,
    /// Whether the first call has been made, which draws whether the process starts on or off.
    begun: bool,
}

impl OnOff {
    /// Periods from `start` on, with this gap in on periods. The initial state is drawn in proportion to the
    /// time spent on and off.
    pub fn new(peak_gap: Gap, on: Period, off: Period, start: Time) -> Self {
        OnOff { clock: Clock::new(start), gap_ps: peak_gap.as_ps_f64(), on, off, left_ps: 0.0, begun: false }
    }
}

impl Arrivals for OnOff {
    #[inline]
    fn next_instant(&mut self, random: &mut Stream) -> Time {
        let mut gap = self.gap_ps;
        let mut elapsed = 0.0;
        if !self.begun {
            self.begun = true;
            gap *= unit(random);
            if unit(random) <= self.on.mean_ps / (self.on.mean_ps + self.off.mean_ps) {
                self.left_ps = self.on.draw(random);
            }
        }
        while self.left_ps < gap {
            gap -= self.left_ps;
            elapsed += self.left_ps + self.off.draw(random);
            self.left_ps = self.on.draw(random);
        }
        self.left_ps -= gap;
        self.clock.advance(elapsed + gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::statistics::{gaps_s, moments};

    fn period(mean_ps: f64, distribution: PeriodDistribution, shape: f64) -> Period {
        Period { mean_ps, distribution, shape }
    }

    #[test]
    fn the_duty_cycle_gives_the_mean_rate() {
        use PeriodDistribution::{Constant, Exponential, Pareto};
        for (distribution, shape, error) in
            [(Constant, 0.0, 0.001), (Exponential, 0.0, 0.02), (Pareto, 2.5, 0.02)]
        {
            // On a third of the time, 10 packets per period; and half a packet per period.
            for on_ps in [1e7, 5e5] {
                let on = period(on_ps, distribution, shape);
                let off = period(2.0 * on_ps, distribution, shape);
                let mut on_off = OnOff::new(Gap::new(1_000_000, 1), on, off, Time::ZERO);
                let (mean, _) = moments(&gaps_s(&mut on_off, 400_000));
                assert!((mean / 3e-6 - 1.0).abs() < error, "{distribution:?}: {mean}");
            }
        }
    }

    #[test]
    fn gaps_within_a_burst_are_even_and_bursts_have_their_length() {
        let on = period(1e8, PeriodDistribution::Exponential, 0.0);
        let off = period(3e8, PeriodDistribution::Exponential, 0.0);
        let mut on_off = OnOff::new(Gap::new(1_000_000, 1), on, off, Time::ZERO);
        let gaps = gaps_s(&mut on_off, 400_000);
        let silences: Vec<f64> = gaps.iter().copied().filter(|gap| *gap > 1.001e-6).collect();
        // One silence per 100 packets, exponential with a mean of 300 us.
        assert!((400_000.0 / silences.len() as f64 / 100.0 - 1.0).abs() < 0.05, "{}", silences.len());
        let (mean, variation) = moments(&silences);
        assert!((mean / 301e-6 - 1.0).abs() < 0.05, "{mean}");
        assert!((variation - 1.0).abs() < 0.1, "{variation}");
        assert!(gaps[1..].iter().all(|gap| *gap >= 0.999e-6));
    }

    #[test]
    fn periods_without_a_mean_are_told() {
        let spec = |mean: &str, distribution, shape: Option<f64>| PeriodSpec {
            mean: Spanned::new(1..2, mean.parse().unwrap()),
            distribution,
            shape: shape.map(|shape| Spanned::new(3..4, shape)),
        };
        let told = |spec: PeriodSpec| spec.resolve().unwrap_err();
        let mistake = told(spec("0 s", PeriodDistribution::Constant, None));
        assert_eq!((mistake.span, mistake.message.as_str()), (1..2, "a period cannot have a mean of zero"));
        let mistake = told(spec("1 s", PeriodDistribution::Pareto, Some(1.0)));
        assert_eq!(
            (mistake.span, mistake.message.as_str()),
            (3..4, "a Pareto distribution of shape 1 has no mean")
        );
        for shape in [1.000_000_000_1, 1.009] {
            let mistake = told(spec("1 s", PeriodDistribution::Pareto, Some(shape)));
            let message = format!(
                "a Pareto distribution of shape {shape} has its mean in periods that no run contains"
            );
            assert_eq!((mistake.span, mistake.message), (3..4, message));
        }
        let mistake = told(spec("999 ps", PeriodDistribution::Exponential, None));
        assert_eq!((mistake.span, mistake.message.as_str()), (1..2, "a period cannot have a mean of 999 ps"));
        assert!(spec("1 ns", PeriodDistribution::Pareto, Some(1.01)).resolve().is_ok());
        let mistake = told(spec("1 s", PeriodDistribution::Exponential, Some(2.0)));
        assert_eq!(mistake.message, "`shape` is for `distribution = \"pareto\"`");
        assert!(spec("1 s", PeriodDistribution::Pareto, None).resolve().is_ok());
    }
}
