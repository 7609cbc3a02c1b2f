//! Weighted round robin.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use super::buffer::Buffer;
use super::classes::{Classes, ClassesBy, check_classes_or_flows, class};
use super::error::PtmError;
use super::round_robin::{Packets, RoundRobin};

/// The parameters of `wrr`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WrrSpec {
    /// The maximum backlog of all classes together (default: unlimited).
    #[serde(default)]
    pub buffer: Option<Buffer>,
    /// `"per-flow"` for a class per flow, each of weight 1, instead of `class` tables.
    #[serde(default)]
    pub classes: Option<ClassesBy>,
    /// With a class per flow: the maximum backlog of each flow (default: unlimited).
    #[serde(default)]
    pub flow_buffer: Option<Buffer>,
    /// The classes.
    #[serde(default)]
    pub class: Vec<WrrClass>,
}

class! {
    /// A class of `wrr`.
    #[derive(Default)]
    pub struct WrrClass {
        /// Its name, for messages.
        name,
        /// The number of packets that the class may send per round (default: 1).
        #[serde(default)]
        pub weight: Option<NonZeroU64>,
    }
}

impl WrrSpec {
    pub(super) fn check(&self) -> Result<(), PtmError> {
        let flow_key = self.flow_buffer.map(|_| "flow_buffer");
        check_classes_or_flows("wrr", self.classes, flow_key, &self.class)
    }
}

/// Weighted round robin: classes with packets are served in rounds, and each sends up to its weight of
/// packets per round, one after the other. The packets of a class are not spread over the round as in the
/// smooth or interleaved variants. See [`RoundRobin`].
///
/// # Complexity
/// O(1) per packet.
///
/// # Source
/// M. Katevenis, S. Sidiropoulos and C. Courcoubetis, "Weighted round-robin cell multiplexing in a
/// general-purpose ATM switch chip", IEEE JSAC 9 (8), 1991, for packets of any length.
pub type Wrr = RoundRobin<Packets>;

impl Wrr {
    /// Empty classes.
    pub fn of(spec: &WrrSpec, place: &Place<'_>) -> Self {
        let classes = Classes::by(spec.classes, &spec.class, spec.flow_buffer, spec.buffer, place);
        RoundRobin::new(classes, spec.class.iter().map(|class| class.weight.map_or(1, NonZeroU64::get)), 1)
    }
}

#[cfg(test)]
mod tests {
    use crate::ptm::testing::{drops, order, told};

    const WEIGHTED: &str = "kind = \"wrr\"\nclass = [{ match = { dscp = 1 }, weight = 3 }, { weight = 2 }]";

    #[test]
    fn a_class_sends_its_weight_of_packets_in_a_row() {
        let arrivals: Vec<_> = (0..12).map(|index| (0, 125, 1 + index % 2)).collect();
        // The first class has the even packets. Packet 0 finds the link free; then the second class comes
        // first.
        assert_eq!(order(WEIGHTED, &arrivals), [0, 1, 3, 2, 4, 6, 5, 7, 8, 10, 9, 11]);
    }

    #[test]
    fn lengths_do_not_count() {
        let arrivals =
            [(0, 9_000, 1), (0, 9_000, 1), (0, 64, 2), (0, 9_000, 1), (0, 64, 2), (0, 64, 2), (0, 64, 1)];
        assert_eq!(order(WEIGHTED, &arrivals), [0, 1, 3, 6, 2, 4, 5]);
    }

    #[test]
    fn a_class_that_empties_gives_its_turn_up() {
        let ms = crate::ptm::testing::MS;
        // The first class sends one of three and becomes empty; its later packet joins the round behind the
        // second class.
        let arrivals = [(0, 125, 1), (0, 125, 2), (0, 125, 2), (0, 125, 2), (ms / 2, 125, 1)];
        assert_eq!(order(WEIGHTED, &arrivals), [0, 1, 2, 4, 3]);
    }

    #[test]
    fn flows_can_be_classes() {
        let toml = "kind = \"wrr\"\nclasses = \"per-flow\"\nbuffer = \"4 packets\"";
        let arrivals = [(0, 125, 7), (0, 125, 7), (0, 125, 7), (0, 125, 8), (0, 125, 9), (0, 125, 9)];
        assert_eq!(order(toml, &arrivals), [0, 1, 3, 4, 2]);
        assert_eq!(drops(toml, &arrivals), [5]);
    }

    #[test]
    fn what_does_not_hold_together_is_told() {
        assert_eq!(told("kind = \"wrr\"", "unlimited").0, "`wrr` has no classes");
        let both = told("kind = \"wrr\"\nclasses = \"per-flow\"\nclass = [{}]", "unlimited").0;
        assert_eq!(both, "`wrr` has both `class` tables and classes = \"per-flow\"");
    }
}
