//! The card of a residual model: what inference needs beside the weights.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ptm::neural::ModelError;
use crate::units::{ByteCount, Rate};

/// What sets the pace of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum Pace {
    /// The link: a packet waits until the one before is out.
    Link,
    /// A token bucket that must hold the whole packet: Linux `tbf`.
    TokenBucket {
        /// how fast tokens come
        rate: Rate,
        /// how many it holds
        burst: ByteCount,
        /// bytes that each packet takes beyond its length
        overhead: ByteCount,
    },
    /// A token bucket that may go below zero: Linux `htb`.
    DebtBucket {
        /// how fast tokens come
        rate: Rate,
        /// how many it holds
        burst: ByteCount,
        /// bytes that each packet takes beyond its length
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

/// What a class gets of the port, as the data show it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassShare {
    /// Its share of the rate while all classes have something to send; they sum to 1.
    pub share: f64,
    /// Packets that it sends in a turn, as weighted round robin counts.
    pub turn_packets: f64,
    /// Bytes that it sends in a turn, as deficit round robin counts: what is left is lost as the class empties.
    pub turn_bytes: f64,
    /// Bytes that it sends in a turn, as `htb` counts: what is left is kept.
    pub kept_turn_bytes: f64,
}

impl ClassShare {
    /// A class that has the port to itself.
    pub const ALONE: ClassShare =
        ClassShare { share: 1.0, turn_packets: 1e6, turn_bytes: 1e6, kept_turn_bytes: 1e6 };
}

/// One of the devices that a model learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Its name.
    pub name: String,
    /// Its classes.
    pub class: Vec<ClassShare>,
}

/// What inference needs beside the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidualCard {
    /// What sets the pace.
    pub pace: Pace,
    /// The mean packet, in bytes: the unit of lengths; its service time is the unit of time.
    pub mean_length: f64,
    /// The unit of lateness, in service times: the network sees the inverse hyperbolic sine of the quotient.
    pub lateness_unit: f64,
    /// The least and the greatest lateness in training, in service times: what the network says is held to them, so that it
    /// cannot run away where it has seen nothing.
    pub lateness_range: [f64; 2],
    /// Outputs of each hidden layer.
    pub hidden: usize,
    /// Numbers that are carried from packet to packet.
    pub recurrent: usize,
    /// The largest backlogs, in bytes with the newcomer, that were seen: of the port, and of each class; none where nothing
    /// was dropped.
    pub limits: Option<Limits>,
    /// The devices that it learned, of which a port is one.
    pub context: Vec<Context>,
}

/// The largest backlogs that were seen, in bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Of the port.
    pub port: f64,
    /// Of each class.
    pub class: Vec<f64>,
}

impl ResidualCard {
    /// Numbers that tell the devices apart.
    pub fn contexts(&self) -> usize {
        if self.context.len() > 1 { self.context.len() } else { 0 }
    }

    pub(super) fn check(&self, classes: usize) -> Result<(), ModelError> {
        let fine = |value: f64| value.is_finite() && value > 0.0;
        let wrong = |what: &str| Err(ModelError::Contradiction(what.to_owned()));
        if self.context.is_empty() || self.context.iter().any(|context| context.class.len() != classes.max(1))
        {
            return wrong("every `context` has a `class` for each class of the card");
        }
        let shares = self.context.iter().flat_map(|context| &context.class);
        if !shares
            .flat_map(|share| [share.share, share.turn_packets, share.turn_bytes, share.kept_turn_bytes])
            .all(fine)
            || !fine(self.mean_length)
            || !fine(self.lateness_unit)
        {
            return wrong("shares, turns, `mean_length` and `lateness_unit` are positive numbers");
        }
        let [least, most] = self.lateness_range;
        if !(least <= most && least.is_finite() && most.is_finite()) {
            return wrong("`lateness_range` is two numbers, the lesser first");
        }
        if self.hidden == 0 || self.hidden > 4096 || self.recurrent > 4096 {
            return wrong("`hidden` is from 1 to 4096, `recurrent` up to 4096");
        }
        match &self.limits {
            Some(limits) if limits.class.len() != classes.max(1) => {
                wrong("`limits` has a `class` for each class")
            }
            _ => Ok(()),
        }
    }
}
