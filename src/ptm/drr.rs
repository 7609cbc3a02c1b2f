//! Deficit round robin.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use super::buffer::Buffer;
use super::classes::{Classes, ClassesBy, check_classes_or_flows, class};
use super::error::PtmError;
use super::parameter::optional_quantum;
use super::round_robin::{Bytes, RoundRobin};
use crate::units::ByteCount;

/// The parameters of `drr`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrrSpec {
    /// The maximum backlog of all classes together (default: unlimited).
    #[serde(default)]
    pub buffer: Option<Buffer>,
    /// `"per-flow"` for a class per flow, instead of `class` tables.
    #[serde(default)]
    pub classes: Option<ClassesBy>,
    /// With a class per flow: the quantum added to the deficit of each flow in a round (default: 1514 B).
    #[serde(default, deserialize_with = "optional_quantum")]
    #[schemars(with = "Option<ByteCount>")]
    pub quantum: Option<ByteCount>,
    /// With a class per flow: the maximum backlog of each flow (default: unlimited).
    #[serde(default)]
    pub flow_buffer: Option<Buffer>,
    /// The classes.
    #[serde(default)]
    pub class: Vec<DrrClass>,
}

class! {
    /// A class of `drr`.
    #[derive(Default)]
    pub struct DrrClass {
        /// Its name, for messages.
        name,
        /// The quantum added to the deficit of the class in a round (default: 1514 B). With less than the
        /// length of the longest packet, a class may send nothing in some rounds.
        #[serde(default, deserialize_with = "optional_quantum")]
        #[schemars(with = "Option<ByteCount>")]
        pub quantum: Option<ByteCount>,
    }
}

/// The longest Ethernet frame without its FCS.
const DEFAULT_QUANTUM: ByteCount = ByteCount::new(1_514);

impl DrrSpec {
    pub(super) fn check(&self) -> Result<(), PtmError> {
        let flow_key = self.quantum.map(|_| "quantum").or(self.flow_buffer.map(|_| "flow_buffer"));
        check_classes_or_flows("drr", self.classes, flow_key, &self.class)
    }
}

/// Deficit round robin: classes with packets are served in rounds, each with a quantum of bytes. A class
/// keeps the rest of its quantum for the next round if its next packet is too long for it. See
/// [`RoundRobin`].
///
/// # Complexity
/// O(1) per packet if every quantum is at least the length of the longest packet.
///
/// # Source
/// M. Shreedhar and G. Varghese, "Efficient fair queuing using deficit round-robin", IEEE/ACM Transactions on
/// Networking 4 (3), 1996. A class leaves the list when its last packet starts onto the link, as in Linux
/// `net/sched/sch_drr.c`; the paper's program, where sending takes time, does not define this instant.
pub type Drr = RoundRobin<Bytes>;

impl Drr {
    /// Empty classes.
    pub fn of(spec: &DrrSpec, place: &Place<'_>) -> Self {
        let quantum = |quantum: Option<ByteCount>| quantum.unwrap_or(DEFAULT_QUANTUM).get();
        let classes = Classes::by(spec.classes, &spec.class, spec.flow_buffer, spec.buffer, place);
        RoundRobin::new(classes, spec.class.iter().map(|class| quantum(class.quantum)), quantum(spec.quantum))
    }
}

#[cfg(test)]
mod tests {
    use crate::ptm::testing::{departures, drops, order, told};

    #[test]
    fn the_example_of_the_paper() {
        // Shreedhar and Varghese 1996: with a quantum of 500, flow 1 holds packets of 200, 750 and 20 bytes.
        // It sends the first and keeps 300; after the other flow's 500 it has 800, and sends 750 and 20.
        let toml = "kind = \"drr\"\nclass = [{ match = { dscp = 1 }, quantum = \"500 B\" }, { quantum = \"500 B\" }]";
        // Packet 0 keeps the link busy while the others arrive.
        let arrivals = [(0, 64, 2), (0, 200, 1), (0, 750, 1), (0, 20, 1), (0, 500, 2), (0, 500, 2)];
        assert_eq!(order(toml, &arrivals), [0, 1, 4, 2, 3, 5]);
    }

    #[test]
    fn a_class_that_empties_loses_its_deficit() {
        let toml = "kind = \"drr\"\nclass = [{ match = { dscp = 1 }, quantum = \"300 B\" }, { quantum = \"100 B\" }]";
        // The first class sends 100 B of its 300 B and empties; when it comes back it has 300 B, not 500 B.
        let back = 1_000_000_000;
        let arrivals =
            [(0, 100, 1), (0, 100, 2), (0, 100, 2), (back, 400, 1), (back, 100, 2), (back, 100, 2)];
        // At 1 Mbps 100 B take 0.8 ms: at 1 ms packet 1 is on the link; the first class joins behind the
        // second.
        assert_eq!(order(toml, &arrivals), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn shares_are_those_of_the_quanta() {
        let toml = r#"
            kind = "drr"
            class = [
                { match = { dscp = 1 }, quantum = "1500 B" },
                { match = { dscp = 2 }, quantum = "3000 B" },
                { quantum = "6000 B" },
            ]
        "#;
        let lengths = [64, 1514, 576];
        let arrivals =
            (0..3_000).map(|index| (0, lengths[index % 7 % 3], index as u8 % 3 + 1)).collect::<Vec<_>>();
        let mut sent = [0u64; 3];
        for (pid, _) in departures(toml, "1 Mbps", &arrivals).iter().take(1_000) {
            let (_, length, class) = arrivals[*pid as usize];
            sent[usize::from(class) - 1] += u64::from(length);
        }
        let share = |class: usize| sent[class] as f64 / sent.iter().sum::<u64>() as f64;
        for (class, expected) in [(0, 1.0 / 7.0), (1, 2.0 / 7.0), (2, 4.0 / 7.0)] {
            assert!((share(class) - expected).abs() < 0.01, "{sent:?}");
        }
    }

    #[test]
    fn a_quantum_may_be_shorter_than_a_packet() {
        let toml =
            "kind = \"drr\"\nclass = [{ match = { dscp = 1 }, quantum = \"1 B\" }, { quantum = \"2 B\" }]";
        let arrivals = [(0, 100, 1), (0, 100, 1), (0, 100, 2), (0, 100, 2)];
        assert_eq!(order(toml, &arrivals), [0, 2, 1, 3]);
    }

    #[test]
    fn flows_can_be_classes_with_a_buffer_each() {
        let toml = "kind = \"drr\"\nclasses = \"per-flow\"\nquantum = \"125 B\"\nflow_buffer = \"2 packets\"";
        let arrivals = [(0, 125, 7), (0, 125, 7), (0, 125, 7), (0, 125, 7), (0, 125, 8), (0, 125, 9)];
        assert_eq!(drops(toml, &arrivals), [3]);
        assert_eq!(order(toml, &arrivals), [0, 1, 4, 5, 2]);
    }

    #[test]
    fn what_does_not_hold_together_is_told() {
        let cases = [
            ("", "`drr` has no classes"),
            (
                "classes = \"per-flow\"\nclass = [{}]",
                "`drr` has both `class` tables and classes = \"per-flow\"",
            ),
            ("quantum = \"1 B\"\nclass = [{}]", "`quantum` has no effect beside the classes of `drr`"),
            (
                "flow_buffer = \"1 B\"\nclass = [{}]",
                "`flow_buffer` has no effect beside the classes of `drr`",
            ),
            (
                "class = [{ buffer = \"1 B\", ptm = { kind = \"fifo\" } }]",
                "`buffer` has no effect in the class 1, which has a `ptm`",
            ),
            ("class = [{ ptm = { kind = \"priority\" } }]", "`priority` has no classes"),
        ];
        for (toml, message) in cases {
            assert_eq!(told(&format!("kind = \"drr\"\n{toml}"), "unlimited").0, message);
        }
    }
}
