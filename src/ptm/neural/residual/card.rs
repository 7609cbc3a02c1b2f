//! The card of a residual model: the parameters of inference besides the weights.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ptm::neural::ModelError;
use crate::units::{ByteCount, Rate};

/// What limits the pace of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum Pace {
    /// The link: a packet waits until the previous one is sent.
    Link,
    /// A token bucket that must hold the whole packet: Linux `tbf`.
    TokenBucket {
        /// the rate of the tokens
        rate: Rate,
        /// the depth of the bucket
        burst: ByteCount,
        /// bytes charged for each packet beyond its length
        overhead: ByteCount,
    },
    /// A token bucket that may go below zero: Linux `htb`.
    DebtBucket {
        /// the rate of the tokens
        rate: Rate,
        /// the depth of the bucket
        burst: ByteCount,
        /// bytes charged for each packet beyond its length
        overhead: ByteCount,
    },
}

impl Pace {
    /// The rate of the bucket.
    pub fn rate(&self) -> Option<Rate> {
        match self {
            Pace::Link => None,
            Pace::TokenBucket { rate, .. } | Pace::DebtBucket { rate, .. } => Some(*rate),
        }
    }

    pub(super) fn with_rate(self, other: Option<Rate>) -> Self {
        let mut pace = self;
        if let (Pace::TokenBucket { rate, .. } | Pace::DebtBucket { rate, .. }, Some(other)) =
            (&mut pace, other)
        {
            *rate = other;
        }
        pace
    }
}

/// The share of a class of the port, measured on the training data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassShare {
    /// Its share of the rate while all classes have packets to send; the shares sum to 1.
    pub share: f64,
    /// Packets sent per round, as in weighted round robin.
    pub turn_packets: f64,
    /// Bytes sent per round, as in deficit round robin: the rest is lost when the class becomes empty.
    pub turn_bytes: f64,
    /// Bytes sent per round, as in `htb`: the rest is kept.
    pub kept_turn_bytes: f64,
}

impl ClassShare {
    /// A class that is alone on the port.
    pub const ALONE: ClassShare =
        ClassShare { share: 1.0, turn_packets: 1e6, turn_bytes: 1e6, kept_turn_bytes: 1e6 };
}

/// One of the devices that a model was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Its name.
    pub name: String,
    /// Its classes.
    pub class: Vec<ClassShare>,
}

/// The parameters of inference besides the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidualCard {
    /// What limits the pace.
    pub pace: Pace,
    /// The mean packet length, in bytes: the unit of lengths. Its service time is the unit of time.
    pub mean_length: f64,
    /// The unit of lateness, in service times: the network uses the inverse hyperbolic sine of the quotient.
    pub lateness_unit: f64,
    /// The minimum and maximum lateness in training, in service times. The output of the network is clamped
    /// to this range, so it cannot diverge outside the training data.
    pub lateness_range: [f64; 2],
    /// The outputs of each hidden layer.
    pub hidden: usize,
    /// The size of the recurrent state.
    pub recurrent: usize,
    /// The largest backlogs observed, in bytes including the arriving packet: of the port, and of each class;
    /// none if no packet was dropped.
    pub limits: Option<Limits>,
    /// The devices that the model was trained on; a port is one of them.
    pub context: Vec<Context>,
}

/// The largest backlogs observed, in bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Of the port.
    pub port: f64,
    /// Of each class.
    pub class: Vec<f64>,
}

impl ResidualCard {
    /// The size of the encoding of the device.
    pub fn contexts(&self) -> usize {
        if self.context.len() > 1 { self.context.len() } else { 0 }
    }

    pub(super) fn check(&self, classes: usize) -> Result<(), ModelError> {
        let fine = |value: f64| value.is_finite() && value > 0.0;
        let wrong = |what: &str| Err(ModelError::Contradiction(what.to_owned()));
        if self.context.is_empty() || self.context.iter().any(|context| context.class.len() != classes.max(1))
        {
            return wrong("every `context` must have a `class` for each class of the card");
        }
        let shares = self.context.iter().flat_map(|context| &context.class);
        if !shares
            .flat_map(|share| [share.share, share.turn_packets, share.turn_bytes, share.kept_turn_bytes])
            .all(fine)
            || !fine(self.mean_length)
            || !fine(self.lateness_unit)
        {
            return wrong("shares, turns, `mean_length` and `lateness_unit` must be positive numbers");
        }
        let [least, most] = self.lateness_range;
        if !(least <= most && least.is_finite() && most.is_finite()) {
            return wrong("`lateness_range` must be two numbers, the smaller one first");
        }
        if self.hidden == 0 || self.hidden > 4096 || self.recurrent > 4096 {
            return wrong("`hidden` must be from 1 to 4096, `recurrent` at most 4096");
        }
        match &self.limits {
            Some(limits) if limits.class.len() != classes.max(1) => {
                wrong("`limits` must have a `class` for each class")
            }
            _ => Ok(()),
        }
    }
}
