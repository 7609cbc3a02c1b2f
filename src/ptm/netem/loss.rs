//! Random loss: with a probability per packet, or by a Markov chain.

use std::fmt;

use rand::Rng;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::chance::{Correlated, fraction};
use super::error::NetemError;
use crate::random::Stream;
use crate::units::Probability;

/// The loss of packets: a probability, or a table with a `model`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum LossSpec {
    /// Each packet is lost with this probability: `tc`'s `loss random`.
    Random(Probability),
    /// Packets are lost by a Markov chain.
    Model(LossModel),
}

impl Default for LossSpec {
    fn default() -> Self {
        LossSpec::Random(Probability::ZERO)
    }
}

/// A Markov chain that loses packets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "model", rename_all = "lowercase")]
pub enum LossModel {
    /// Four states: `tc`'s `loss state`.
    State(FourStateLoss),
    /// Gilbert-Elliott: `tc`'s `loss gemodel`.
    Gemodel(GilbertElliottLoss),
}

/// The transition probabilities of four states: 1 receives, 2 receives within a burst, 3 loses within a
/// burst, 4 loses a single packet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FourStateLoss {
    /// From receiving to a burst.
    pub p13: Probability,
    /// From a burst to receiving (default: `1 - p13`).
    #[serde(default)]
    pub p31: Option<Probability>,
    /// From losing to receiving within a burst (default: 0).
    #[serde(default)]
    pub p32: Probability,
    /// From receiving to losing within a burst (default: 1).
    #[serde(default = "certain")]
    pub p23: Probability,
    /// From receiving to a single loss (default: 0).
    #[serde(default)]
    pub p14: Probability,
}

/// Two states, good and bad, each with a loss probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GilbertElliottLoss {
    /// The probability of going from good to bad.
    pub p: Probability,
    /// The probability of going from bad to good (default: `1 - p`).
    #[serde(default)]
    pub r: Option<Probability>,
    /// The probability of a loss in the bad state (default: 1).
    #[serde(default = "certain", rename = "1-h")]
    pub loss_in_bad: Probability,
    /// The probability of a loss in the good state (default: 0).
    #[serde(default, rename = "1-k")]
    pub loss_in_good: Probability,
}

fn certain() -> Probability {
    const { Probability::new(1.0).expect("1 is a probability") }
}

fn complement(probability: Probability) -> Probability {
    Probability::new(1.0 - probability.get()).expect("1 less a probability is one")
}

impl<'de> Deserialize<'de> for LossSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = LossSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a probability such as 0.01, or a table such as { model = \"gemodel\", p = 0.01, r = 0.2 }",
                )
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<LossSpec, E> {
                Probability::deserialize(de::value::F64Deserializer::new(number)).map(LossSpec::Random)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<LossSpec, E> {
                self.visit_f64(number as f64)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<LossSpec, E> {
                self.visit_f64(number as f64)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LossSpec, A::Error> {
                LossModel::deserialize(MapAccessDeserializer::new(map)).map(LossSpec::Model)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl FourStateLoss {
    fn p31(&self) -> Probability {
        self.p31.unwrap_or_else(|| complement(self.p13))
    }
}

impl LossSpec {
    /// Whether no packet is lost, whatever other keys are given.
    pub fn is_none(&self) -> bool {
        *self == LossSpec::default()
    }

    /// Checks that the transition probabilities of each state add up to at most 1.
    pub(super) fn check(&self) -> Result<(), NetemError> {
        let LossSpec::Model(LossModel::State(state)) = self else { return Ok(()) };
        let exits = [("p13", state.p13, "p14", state.p14), ("p31", state.p31(), "p32", state.p32)];
        for (first, one, second, other) in exits {
            if one.get() + other.get() > 1.0 + SLACK {
                return Err(NetemError::ExitsAboveOne { first, second });
            }
        }
        Ok(())
    }
}

/// The rounding error allowed in a sum of probabilities that is 1.
const SLACK: f64 = 1e-12;

/// A running loss model.
///
/// # Source
/// Linux 6.1 `net/sched/sch_netem.c` (`loss_event`, `loss_4state`, `loss_gilb_ell`), with the same draws in
/// the same order. A sum of probabilities that rounds to 2^32 is 1 here; in the kernel's 32 bits it becomes
/// 0.
pub(super) enum LossProcess {
    Random { loss: u32, chance: Correlated },
    FourState { state: State, p13: u64, p31: u64, p32: u64, p14: u64, p23: u64 },
    GilbertElliott { bad: bool, p: u32, r: u32, h: u32, loss_in_good: u32 },
}

/// The states 1 to 4 of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    ReceivesInGap,
    ReceivesInBurst,
    LosesInBurst,
    LosesInGap,
}

impl LossProcess {
    /// Starts in the state that receives packets.
    pub fn new(spec: &LossSpec, correlation: Probability, random: &mut Stream) -> Self {
        let of = |probability: Probability| fraction(probability.get());
        match spec {
            LossSpec::Random(loss) => {
                LossProcess::Random { loss: of(*loss), chance: Correlated::new(correlation, random) }
            }
            LossSpec::Model(LossModel::State(chain)) => LossProcess::FourState {
                state: State::ReceivesInGap,
                p13: of(chain.p13).into(),
                p31: of(chain.p31()).into(),
                p32: of(chain.p32).into(),
                p14: of(chain.p14).into(),
                p23: of(chain.p23).into(),
            },
            LossSpec::Model(LossModel::Gemodel(chain)) => LossProcess::GilbertElliott {
                bad: false,
                p: of(chain.p),
                r: of(chain.r.unwrap_or_else(|| complement(chain.p))),
                h: u32::MAX - of(chain.loss_in_bad),
                loss_in_good: of(chain.loss_in_good),
            },
        }
    }

    /// Whether the next packet is lost.
    pub fn strikes(&mut self, random: &mut Stream) -> bool {
        match self {
            LossProcess::Random { loss, chance } => *loss > 0 && *loss >= chance.draw(random),
            LossProcess::FourState { state, p13, p31, p32, p14, p23 } => {
                let number = u64::from(random.next_u32());
                *state = match *state {
                    State::ReceivesInGap if number < *p14 => State::LosesInGap,
                    State::ReceivesInGap if number < *p13 + *p14 => State::LosesInBurst,
                    State::ReceivesInBurst if number < *p23 => State::LosesInBurst,
                    State::LosesInBurst if number < *p32 => State::ReceivesInBurst,
                    State::LosesInBurst if number < *p31 + *p32 => State::ReceivesInGap,
                    State::LosesInGap => State::ReceivesInGap,
                    same => same,
                };
                matches!(state, State::LosesInBurst | State::LosesInGap)
            }
            LossProcess::GilbertElliott { bad, p, r, h, loss_in_good } => {
                // The previous state decides about the packet, whatever the next state is.
                let (leaves, was_bad) = (if *bad { *r } else { *p }, *bad);
                if random.next_u32() < leaves {
                    *bad = !*bad;
                }
                let number = random.next_u32();
                if was_bad { number > *h } else { number < *loss_in_good }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptm::PtmSpec;
    use crate::ptm::testing::spec;
    use crate::random::stream;

    fn read(toml: &str) -> LossSpec {
        let PtmSpec::Netem(netem) = spec(&format!("kind = \"netem\"\nloss = {toml}")) else {
            panic!("a netem")
        };
        netem.loss
    }

    fn lost(toml: &str, packets: usize) -> Vec<bool> {
        let mut random = stream(1, "ptm", "r1:0");
        let mut process = LossProcess::new(&read(toml), Probability::ZERO, &mut random);
        (0..packets).map(|_| process.strikes(&mut random)).collect()
    }

    fn near(value: f64, expected: f64, tolerance: f64) {
        assert!((value / expected - 1.0).abs() < tolerance, "{value}, not {expected}");
    }

    fn ratio(lost: &[bool]) -> f64 {
        lost.iter().filter(|&&lost| lost).count() as f64 / lost.len() as f64
    }

    /// The mean length of a series of losses.
    fn mean_run(lost: &[bool]) -> f64 {
        let runs = lost.windows(2).filter(|pair| pair[0] && !pair[1]).count();
        lost.iter().filter(|&&lost| lost).count() as f64 / runs as f64
    }

    #[test]
    fn a_loss_is_a_number_or_a_table() {
        assert_eq!(read("0.25"), LossSpec::Random(Probability::new(0.25).unwrap()));
        assert_eq!(read("1"), LossSpec::Random(Probability::new(1.0).unwrap()));
        let LossSpec::Model(LossModel::Gemodel(chain)) =
            read("{ model = \"gemodel\", p = 0.01, 1-h = 0.7, 1-k = 0.001 }")
        else {
            panic!("a gemodel")
        };
        let values = [chain.p, chain.loss_in_bad, chain.loss_in_good].map(Probability::get);
        assert_eq!((values, chain.r), ([0.01, 0.7, 0.001], None));
    }

    #[test]
    fn nothing_is_lost_with_probability_0_and_everything_with_1() {
        assert!(lost("0", 1_000).iter().all(|lost| !lost));
        assert!(lost("1", 1_000).iter().all(|lost| *lost));
    }

    #[test]
    fn random_losses_have_their_probability_and_no_memory() {
        let lost = lost("0.1", 200_000);
        near(ratio(&lost), 0.1, 0.02);
        near(mean_run(&lost), 1.0 / 0.9, 0.01);
    }

    #[test]
    fn p13_alone_is_a_loss_without_memory() {
        let lost = lost("{ model = \"state\", p13 = 0.1 }", 200_000);
        near(ratio(&lost), 0.1, 0.02);
        near(mean_run(&lost), 1.0 / 0.9, 0.01);
    }

    #[test]
    fn p31_sets_the_length_of_bursts() {
        let lost = lost("{ model = \"state\", p13 = 0.01, p31 = 0.2 }", 500_000);
        near(ratio(&lost), 0.01 / 0.21, 0.05);
        near(mean_run(&lost), 5.0, 0.05);
    }

    #[test]
    fn four_states_have_their_stationary_shares() {
        // The balance of the chain: pi3 p31 = pi1 p13, pi2 p23 = pi3 p32, pi4 = pi1 p14.
        let lost =
            lost("{ model = \"state\", p13 = 0.02, p31 = 0.2, p32 = 0.3, p23 = 0.6, p14 = 0.05 }", 500_000);
        let (burst, gap, single) = (0.02 / 0.2, 0.02 / 0.2 * 0.3 / 0.6, 0.05);
        near(ratio(&lost), (burst + single) / (1.0 + burst + gap + single), 0.02);
    }

    #[test]
    fn a_single_loss_is_followed_by_a_packet() {
        let lost = lost("{ model = \"state\", p13 = 0, p14 = 0.5 }", 10_000);
        near(ratio(&lost), 1.0 / 3.0, 0.05);
        assert!(lost.windows(2).all(|pair| !(pair[0] && pair[1])));
    }

    #[test]
    fn gilbert_elliott_has_its_two_loss_ratios() {
        let lost = lost("{ model = \"gemodel\", p = 0.01, r = 0.2, 1-h = 0.7, 1-k = 0.001 }", 1_000_000);
        let bad = 0.01 / 0.21;
        near(ratio(&lost), bad * 0.7 + (1.0 - bad) * 0.001, 0.03);
    }

    #[test]
    fn gilbert_elliott_loses_by_the_state_before_the_step() {
        // Each state is left at once: every other packet is lost, the first one is not.
        let every_other = lost("{ model = \"gemodel\", p = 1, r = 1 }", 10);
        assert!((0..10).all(|index| every_other[index] == (index % 2 == 1)), "{every_other:?}");
        // 1-h = 0: no number is greater than 2^32 - 1.
        assert!(lost("{ model = \"gemodel\", p = 1, r = 0, 1-h = 0 }", 1_000).iter().all(|lost| !lost));
    }

    #[test]
    fn correlated_losses_come_in_longer_runs() {
        let mut random = stream(1, "ptm", "r1:0");
        let correlation = Probability::new(0.5).unwrap();
        let mut process = LossProcess::new(&read("0.3"), correlation, &mut random);
        let lost: Vec<bool> = (0..100_000).map(|_| process.strikes(&mut random)).collect();
        let without_memory = 1.0 / (1.0 - ratio(&lost));
        assert!(mean_run(&lost) > 1.3 * without_memory, "{}", mean_run(&lost));
    }
}
