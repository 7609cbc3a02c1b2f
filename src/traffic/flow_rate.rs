//! The arrivals of flows: by a rate, by the load of links, or by the time between flows.

use schemars::JsonSchema;
use serde::Deserialize;

use super::arrivals::{Arrivals, Clock};
use super::draw::log_normal;
use super::mistake::{Mistake, positive};
use super::rate::Gap;
use super::text_or_table::text_or_table;
use crate::config::Spanned;
use crate::random::Stream;
use crate::topology::PortName;
use crate::units::{PacketRate, Rate, Time};

/// The mean rate of flows of each sending host: `"70 Mbps"`, `"5000 flows/s"` or `{ load = 0.7 }`.
#[derive(Debug, Clone, PartialEq)]
pub enum FlowRateSpec {
    /// Bits of flows per second: payload bytes only, without headers.
    Bandwidth(Rate),
    /// Flows per second.
    Flows(FlowsPerSecond),
    /// A fraction of the capacity of a link, or of the bisection.
    Load(FlowLoadSpec),
}

text_or_table!(
    FlowRateSpec,
    "a rate as text, such as \"70 Mbps\" or \"5000 flows/s\", or a table such as { load = 0.7 }",
    |text| FlowRateText => Ok(match text.contains("flow") {
        true => FlowRateSpec::Flows(FlowsPerSecond::read(text)?),
        false => FlowRateSpec::Bandwidth(text.parse()?),
    }),
    |table| FlowLoadSpec => FlowRateSpec::Load(table)
);

/// The schema of a rate given as text.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum FlowRateText {
    Bandwidth(Rate),
    Flows(FlowsPerSecond),
}

/// Flows per second, in steps of a millionth, above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("pattern" = r"^\s*\+?[0-9._]+([eE][-+]?[0-9]+)?\s*[kM]?flows?/s\s*$"))]
pub struct FlowsPerSecond(PacketRate);

impl FlowsPerSecond {
    /// Parses text such as `5000 flows/s`.
    fn read(text: &str) -> Result<Self, String> {
        let rate = text.replace("flow", "packet").parse::<PacketRate>().map(FlowsPerSecond);
        rate.map_err(|error| error.to_string().replace("packet", "flow"))
    }

    /// The gap between flows at this rate.
    pub(crate) fn gap(self) -> Gap {
        self.0.gap()
    }
}

/// The load offered by flows: payload bytes only, without headers and acknowledgements.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowLoadSpec {
    /// The offered load as a fraction of the bandwidth; may be above 1.
    #[schemars(with = "f64", range(min = 0))]
    pub load: Spanned<f64>,
    /// `"bisection"`, or the port that sends onto the link (default: the first port of each sending host).
    #[schemars(with = "Option<LoadOf>")]
    pub of: Option<Spanned<LoadOf>>,
}

/// The reference of a load.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub enum LoadOf {
    /// The capacity between the two halves of the hosts.
    Bisection,
    /// The link of an egress port.
    Port(PortName),
}

impl<'de> Deserialize<'de> for LoadOf {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "bisection" => Ok(LoadOf::Bisection),
            port => port.parse().map(LoadOf::Port).map_err(|error| {
                serde::de::Error::custom(format_args!(
                    "{error}; write a port such as \"r1:1\", or \"bisection\""
                ))
            }),
        }
    }
}

/// The arrival process of flows, at the same mean rate: `"poisson"`, or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum ArrivalsSpec {
    /// Independent exponential gaps.
    Poisson,
    /// Independent gaps of another distribution.
    Gaps(GapsSpec),
}

text_or_table!(
    ArrivalsSpec,
    "\"poisson\", or a table such as { distribution = \"lognormal\", sigma = 1.0 }",
    |text| PoissonName => match text {
        "poisson" => Ok(ArrivalsSpec::Poisson),
        other => Err(format!("unknown arrivals `{other}`; write \"poisson\" or \
                              {{ distribution = \"lognormal\", sigma = 1.0 }}").into()),
    },
    |table| GapsSpec => ArrivalsSpec::Gaps(table)
);

/// The schema of arrivals given as text.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code)]
enum PoissonName {
    Poisson,
}

/// The gaps between flows of a sending host.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GapsSpec {
    /// The distribution.
    pub distribution: GapDistribution,
    /// The standard deviation of the logarithm of a gap.
    #[schemars(with = "f64", range(min = 0, max = 5))]
    pub sigma: Spanned<f64>,
}

/// The distribution of gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GapDistribution {
    /// The logarithm of a gap is normal.
    Lognormal,
}

/// The distribution of gaps, with its parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gaps {
    /// Exponential.
    Exponential,
    /// Log-normal, with the standard deviation of the logarithm.
    Lognormal(f64),
}

impl Gaps {
    /// Resolves the specification of a scenario; Poisson by default.
    ///
    /// # Errors
    /// A spread of zero or less, or so large that the rarest gaps alone determine the mean.
    pub fn resolve(spec: Option<&Spanned<ArrivalsSpec>>) -> Result<Self, Mistake> {
        const MOST: f64 = 5.0;
        let Some(ArrivalsSpec::Gaps(gaps)) = spec.map(Spanned::get_ref) else { return Ok(Gaps::Exponential) };
        let sigma = positive(&gaps.sigma, "`sigma`")?;
        match sigma <= MOST {
            true => Ok(Gaps::Lognormal(sigma)),
            false => Err(Mistake::new(gaps.sigma.span(), format!("`sigma` cannot be {sigma}"))
                .with_help("write 5 or less: ln(gap) has this standard deviation")),
        }
    }

    /// About how many gaps fit into this many mean gaps. Until a long gap of a heavy tail comes, short ones follow
    /// each other: the mean of the gaps that fit determines their number.
    pub fn expected(self, mean_gaps: f64) -> f64 {
        match self {
            Gaps::Exponential => mean_gaps,
            // E[X; X < t] / E[X] = Phi(ln(t) / sigma - sigma / 2) for a log-normal X of mean 1.
            Gaps::Lognormal(sigma) => {
                let at = libm::log(mean_gaps) / sigma - sigma / 2.0;
                mean_gaps / (0.5 * libm::erfc(-at / std::f64::consts::SQRT_2))
            }
        }
    }

    /// The name and parameter, for display.
    pub fn describe(self) -> String {
        match self {
            Gaps::Exponential => "poisson".to_owned(),
            Gaps::Lognormal(sigma) => format!("lognormal, sigma {sigma}"),
        }
    }
}

/// Independent log-normal gaps.
pub struct Lognormal {
    clock: Clock,
    gap_ps: f64,
    sigma: f64,
}

impl Lognormal {
    /// Arrivals after `start` with this mean gap; `sigma` is the standard deviation of the logarithm of a
    /// gap.
    pub fn new(gap: Gap, sigma: f64, start: Time) -> Self {
        Lognormal { clock: Clock::new(start), gap_ps: gap.as_ps_f64(), sigma }
    }
}

impl Arrivals for Lognormal {
    fn next_instant(&mut self, random: &mut Stream) -> Time {
        let gap = log_normal(random, self.sigma) * self.gap_ps;
        self.clock.advance(gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::statistics::{gaps_s, moments};

    #[test]
    fn lognormal_gaps_have_their_mean_and_their_variation() {
        let mut arrivals = Lognormal::new(Gap::new(2_000_000, 1), 1.0, Time::ZERO);
        let (mean, variation) = moments(&gaps_s(&mut arrivals, 400_000));
        assert!((mean / 2e-6 - 1.0).abs() < 0.01, "{mean}");
        // e - 1.
        assert!((variation / 1.718 - 1.0).abs() < 0.1, "{variation}");
    }

    #[test]
    fn a_heavy_tail_has_more_gaps_than_its_mean_says() {
        for (sigma, mean_gaps) in [(0.5, 1e3), (2.0, 100.0), (5.0, 1e3)] {
            let gap = 1_000_000_u64;
            let end = Time::from_ps((mean_gaps * gap as f64) as u64);
            let counts = (0..200).map(|run| {
                let mut random = crate::random::stream(run, "test", "lognormal");
                let mut arrivals = Lognormal::new(Gap::new(gap.into(), 1), sigma, Time::ZERO);
                std::iter::from_fn(|| Some(arrivals.next_instant(&mut random)))
                    .take_while(|at| *at < end)
                    .count()
            });
            let mean = counts.sum::<usize>() as f64 / 200.0;
            let expected = Gaps::Lognormal(sigma).expected(mean_gaps);
            assert!((0.5..2.0).contains(&(mean / expected)), "{sigma}: {mean}, expected {expected}");
        }
        assert_eq!(Gaps::Exponential.expected(7.0), 7.0);
    }

    #[test]
    fn rates_of_flows_are_read() {
        assert_eq!(FlowsPerSecond::read("5000 flows/s").unwrap().gap(), Gap::new(200_000_000, 1));
        assert!(FlowsPerSecond::read("5000 flow").unwrap_err().contains("flows/s"));
    }
}
