//! Impairments of a link: it loses packets and delays packets at random.
//!
//! Every draw belongs to a packet (its `pid`) and a direction of a link, so it does not depend on the order
//! of the calls: all engines draw the same numbers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random::Draws;
use crate::units::{Probability, Span};

/// The impairments of one direction of a link.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ImpairmentSpec {
    /// The loss probability of each packet, independently.
    pub loss: Probability,
    /// The extra delay of each packet, independently.
    pub jitter: Option<Jitter>,
}

/// A random extra delay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter {
    /// The distribution of the delay.
    pub distribution: Distribution,
    /// Whether packets stay in order.
    pub order: Order,
}

/// The distribution of a jitter. A draw below zero counts as zero, and one above `max` as `max`; where this
/// is likely, the mean differs from the given one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distribution {
    /// The uniform distribution from zero to `max`.
    Uniform {
        /// the largest value
        max: Span,
    },
    /// The normal distribution.
    Normal {
        /// the mean
        mean: Span,
        /// the standard deviation
        std: Span,
        /// the largest value
        max: Option<Span>,
    },
    /// The exponential distribution.
    Exponential {
        /// the mean
        mean: Span,
        /// the largest value
        max: Option<Span>,
    },
    /// The Pareto distribution: its minimum is `mean * (shape - 1) / shape`, and a few values are very large.
    Pareto {
        /// the mean
        mean: Span,
        /// the shape, above 1: how fast large values become rare
        shape: f64,
        /// the largest value
        max: Option<Span>,
    },
}

/// Whether jitter keeps packets in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// A packet arrives no earlier than those that left before it.
    #[default]
    Keep,
    /// A packet may overtake others.
    Break,
}

/// The impairments of one direction of a link in a run.
///
/// # Examples
/// ```
/// use taunet::impairment::{Impairment, ImpairmentSpec};
/// use taunet::units::Probability;
///
/// let half = ImpairmentSpec { loss: Probability::new(0.5).unwrap(), jitter: None };
/// let link = Impairment::new(&half, 1, "r1:0").unwrap();
/// let lost = (0..1000).filter(|&pid| link.pass(pid).is_none()).count();
/// assert!((400..600).contains(&lost));
/// assert!(Impairment::new(&ImpairmentSpec::default(), 1, "r1:0").is_none());
/// ```
#[derive(Debug, Clone)]
pub struct Impairment {
    spec: ImpairmentSpec,
    loss: Draws,
    jitter: Draws,
    /// A normal value needs two draws.
    angle: Draws,
}

impl Impairment {
    /// The effect of `spec` on the packets that leave by `port` (`"r1:0"`); `None` if it has no effect.
    pub fn new(spec: &ImpairmentSpec, seed: u64, port: &str) -> Option<Self> {
        if spec.loss == Probability::ZERO && spec.jitter.is_none() {
            return None;
        }
        let draws = |purpose| Draws::new(seed, purpose, port);
        Some(Impairment {
            spec: *spec,
            loss: draws("loss"),
            jitter: draws("jitter"),
            angle: draws("jitter angle"),
        })
    }

    /// The extra delay of the packet on this link, or `None` if the link loses it.
    #[inline]
    pub fn pass(&self, pid: u64) -> Option<Span> {
        if self.loss.unit(pid) < self.spec.loss.get() {
            return None;
        }
        Some(self.spec.jitter.map_or(Span::ZERO, |jitter| self.delay(&jitter.distribution, pid)))
    }

    /// Whether packets arrive in the order in which they leave, even with jitter.
    #[inline]
    pub fn keeps_order(&self) -> bool {
        self.spec.jitter.is_none_or(|jitter| jitter.order == Order::Keep)
    }

    /// Draws by the inverse of the distribution function; for the normal distribution, by G. Box and M.
    /// Muller, 1958. The functions are those of `libm`, which give the same result on every machine.
    fn delay(&self, distribution: &Distribution, pid: u64) -> Span {
        let ps = |span: Span| span.as_ps() as f64;
        // In (0, 1]: its logarithm is finite.
        let unit = 1.0 - self.jitter.unit(pid);
        let (drawn, max) = match *distribution {
            Distribution::Uniform { max } => (ps(max) * unit, Some(max)),
            Distribution::Normal { mean, std, max } => {
                let angle = std::f64::consts::TAU * self.angle.unit(pid);
                let standard = libm::sqrt(-2.0 * libm::log(unit)) * libm::cos(angle);
                (ps(mean) + ps(std) * standard, max)
            }
            Distribution::Exponential { mean, max } => (-ps(mean) * libm::log(unit), max),
            Distribution::Pareto { mean, shape, max } => {
                let least = ps(mean) * ((shape - 1.0) / shape);
                (least * libm::pow(unit, -1.0 / shape), max)
            }
        };
        // A cast saturates: negative values become zero.
        let span = Span::from_ps((drawn + 0.5) as u64);
        max.map_or(span, |max| span.min(max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: f64 = 1e9;

    fn ms(milliseconds: u64) -> Span {
        Span::from_ns(milliseconds * 1_000_000)
    }

    fn jitter(distribution: Distribution) -> Impairment {
        let jitter = Some(Jitter { distribution, order: Order::Keep });
        Impairment::new(&ImpairmentSpec { jitter, ..ImpairmentSpec::default() }, 1, "r1:0").unwrap()
    }

    /// Mean and standard deviation in milliseconds, smallest and largest, of 200,000 packets.
    fn moments(distribution: Distribution) -> (f64, f64, f64, f64) {
        let impairment = jitter(distribution);
        let delays: Vec<f64> =
            (0..200_000).map(|pid| impairment.pass(pid).unwrap().as_ps() as f64 / MS).collect();
        let count = delays.len() as f64;
        let mean = delays.iter().sum::<f64>() / count;
        let variance = delays.iter().map(|delay| (delay - mean) * (delay - mean)).sum::<f64>() / count;
        let least = delays.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = delays.iter().copied().fold(0.0, f64::max);
        (mean, variance.sqrt(), least, largest)
    }

    fn near(value: f64, expected: f64, tolerance: f64) {
        assert!((value / expected - 1.0).abs() < tolerance, "{value}, not {expected}");
    }

    #[test]
    fn a_uniform_jitter_has_its_moments() {
        let (mean, deviation, least, largest) = moments(Distribution::Uniform { max: ms(12) });
        near(mean, 6.0, 0.01);
        near(deviation, 12.0 / 12f64.sqrt(), 0.01);
        assert!(least < 0.01 && largest <= 12.0);
    }

    #[test]
    fn a_normal_jitter_has_its_moments() {
        let (mean, deviation, ..) = moments(Distribution::Normal { mean: ms(50), std: ms(10), max: None });
        near(mean, 50.0, 0.01);
        near(deviation, 10.0, 0.01);
        let (_, _, least, largest) =
            moments(Distribution::Normal { mean: ms(5), std: ms(5), max: Some(ms(9)) });
        assert_eq!((least, largest), (0.0, 9.0), "cut at zero and at the largest");
        let narrow = jitter(Distribution::Normal { mean: ms(50), std: ms(10), max: None });
        let within = (0..100_000)
            .filter(|&pid| (40.0..60.0).contains(&(narrow.pass(pid).unwrap().as_ps() as f64 / MS)));
        near(within.count() as f64 / 100_000.0, 0.6827, 0.01);
    }

    #[test]
    fn an_exponential_jitter_has_its_moments() {
        let (mean, deviation, ..) = moments(Distribution::Exponential { mean: ms(7), max: None });
        near(mean, 7.0, 0.01);
        near(deviation, 7.0, 0.02);
        let (.., largest) = moments(Distribution::Exponential { mean: ms(7), max: Some(ms(10)) });
        assert_eq!(largest, 10.0);
    }

    #[test]
    fn a_pareto_jitter_has_its_moments() {
        let (mean, _, least, _) = moments(Distribution::Pareto { mean: ms(8), shape: 4.0, max: None });
        near(mean, 8.0, 0.01);
        assert!((6.0..6.01).contains(&least), "8 * 3 / 4: {least}");
        let heavy = jitter(Distribution::Pareto { mean: ms(8), shape: 4.0, max: None });
        // P(X > 12) = (6 / 12)^4
        let far = (0..200_000).filter(|&pid| heavy.pass(pid).unwrap() > ms(12)).count();
        near(far as f64 / 200_000.0, 1.0 / 16.0, 0.03);
    }

    #[test]
    fn loss_has_its_probability_and_is_independent_from_packet_to_packet() {
        let loss = Probability::new(0.1).unwrap();
        let link = Impairment::new(&ImpairmentSpec { loss, jitter: None }, 1, "r1:0").unwrap();
        let lost: Vec<bool> = (0..200_000).map(|pid| link.pass(pid).is_none()).collect();
        near(lost.iter().filter(|&&lost| lost).count() as f64 / 200_000.0, 0.1, 0.02);
        let pairs = lost.windows(2).filter(|pair| pair[0] && pair[1]).count();
        near(pairs as f64 / 200_000.0, 0.01, 0.1);
        let all = ImpairmentSpec { loss: Probability::new(1.0).unwrap(), jitter: None };
        let link = Impairment::new(&all, 1, "r1:0").unwrap();
        assert!((0..1_000).all(|pid| link.pass(pid).is_none()));
    }

    #[test]
    fn the_order_of_asking_changes_nothing_and_links_differ() {
        let spec = ImpairmentSpec {
            loss: Probability::new(0.3).unwrap(),
            jitter: Some(Jitter {
                distribution: Distribution::Normal { mean: ms(5), std: ms(2), max: None },
                order: Order::Break,
            }),
        };
        let of = |seed, port: &str| {
            let link = Impairment::new(&spec, seed, port).unwrap();
            assert!(!link.keeps_order());
            (0..1_000).map(|pid| link.pass(pid)).collect::<Vec<_>>()
        };
        let link = Impairment::new(&spec, 1, "a:0").unwrap();
        let mut backwards: Vec<_> = (0..1_000).rev().map(|pid| link.pass(pid)).collect();
        backwards.reverse();
        assert_eq!(of(1, "a:0"), backwards);
        assert_ne!(of(1, "a:0"), of(1, "b:0"));
        assert_ne!(of(1, "a:0"), of(2, "a:0"));
    }

    #[test]
    fn loss_and_jitter_are_independent() {
        let distribution = Distribution::Uniform { max: ms(10) };
        let jitter = Some(Jitter { distribution, order: Order::Keep });
        let spec = ImpairmentSpec { loss: Probability::new(0.5).unwrap(), jitter };
        let link = Impairment::new(&spec, 1, "r1:0").unwrap();
        let passed: Vec<f64> =
            (0..100_000).filter_map(|pid| link.pass(pid)).map(|delay| delay.as_ps() as f64 / MS).collect();
        near(passed.iter().sum::<f64>() / passed.len() as f64, 5.0, 0.02);
    }

    #[test]
    fn a_draw_is_portable() {
        // Must never change: a changed value changes every seeded result.
        let of = |distribution| jitter(distribution).pass(7).unwrap().as_ps();
        let max = None;
        insta::assert_snapshot!(format!(
            "{} {} {} {}",
            of(Distribution::Uniform { max: ms(10) }),
            of(Distribution::Normal { mean: ms(10), std: ms(2), max }),
            of(Distribution::Exponential { mean: ms(10), max }),
            of(Distribution::Pareto { mean: ms(10), shape: 3.0, max }),
        ), @"8796848249 10349034906 1281915892 6957710817");
    }
}
