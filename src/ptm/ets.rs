//! Enhanced transmission selection: strict classes before a deficit round robin. Linux `ets`.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::buffer::Buffer;
use super::classes::{Classes, check_classes, class};
use super::error::PtmError;
use super::round_robin::{Bytes, RoundRobin};
use super::{Place, parameter};
use crate::units::ByteCount;

/// The parameters of `ets`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtsSpec {
    /// The maximum backlog of all classes together (default: unlimited).
    #[serde(default)]
    pub buffer: Option<Buffer>,
    /// The classes (Linux: bands): first the strict ones, the most urgent first, then those that share the
    /// rest of the bandwidth.
    #[serde(default)]
    pub class: Vec<EtsClass>,
}

class! {
    /// A class of `ets`.
    #[derive(Default)]
    pub struct EtsClass {
        /// Its name, for messages.
        name,
        /// The quantum added to the deficit of the class in a round, 256 B to 1 MiB; without it, the class is
        /// strict.
        #[serde(default, deserialize_with = "quantum")]
        #[schemars(with = "Option<ByteCount>")]
        pub quantum: Option<ByteCount>,
    }
}

fn quantum<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteCount>, D::Error> {
    parameter::quantum(deserializer).map(Some)
}

impl EtsSpec {
    pub(super) fn check(&self) -> Result<(), PtmError> {
        check_classes("ets", &self.class)?;
        let strict = self.strict();
        match self.class.iter().enumerate().skip(strict).find(|(_, class)| class.quantum.is_none()) {
            Some((index, _)) => Err(PtmError::StrictBehindShared { class: index + 1 }),
            None => Ok(()),
        }
    }

    /// The number of strict classes.
    fn strict(&self) -> usize {
        self.class.iter().take_while(|class| class.quantum.is_none()).count()
    }
}

/// Strict classes, and deficit round robin among the others while no strict class has a packet to send.
///
/// # Complexity
/// O(strict classes) per packet.
///
/// # Source
/// IEEE 802.1Qaz; Linux 6.1 `net/sched/sch_ets.c` (`ets_qdisc_dequeue`).
pub type Ets = RoundRobin<Bytes>;

impl EtsSpec {
    pub(super) fn discipline(&self, place: &Place<'_>) -> Ets {
        let quanta = self.class.iter().map(|class| class.quantum.map_or(0, ByteCount::get));
        RoundRobin::new(Classes::new(&self.class, self.buffer, place), quanta, 0).behind_strict(self.strict())
    }
}

#[cfg(test)]
mod tests {
    use crate::ptm::testing::{order, spec, told};

    const THREE: &str = r#"kind = "ets"
        class = [
            { match = { dscp = 46 } },
            { match = { dscp = 1 }, quantum = "300 B" },
            { quantum = "600 B" },
        ]"#;

    #[test]
    fn strict_classes_go_first_and_the_others_share_by_their_quanta() {
        // Packet 0 keeps the link busy while the others arrive.
        let arrivals = [
            (0, 300, 1),
            (0, 300, 1),
            (0, 300, 1),
            (0, 300, 2),
            (0, 300, 2),
            (0, 300, 2),
            (0, 300, 46),
            (0, 300, 46),
        ];
        assert_eq!(order(THREE, &arrivals), [0, 6, 7, 1, 3, 4, 2, 5]);
    }

    #[test]
    fn what_does_not_hold_together_is_told() {
        let (message, help) =
            told("kind = \"ets\"\nclass = [{ match = { dscp = 1 }, quantum = \"300 B\" }, {}]", "1 Mbps");
        assert_eq!(message, "the class 2 of `ets` is strict and comes after one with a `quantum`");
        assert!(help.contains("quantum"), "{help}");
        assert_eq!(told("kind = \"ets\"", "1 Mbps").0, "`ets` has no classes");
        let small = std::panic::catch_unwind(|| spec("kind = \"ets\"\nclass = [{ quantum = \"1 B\" }]"));
        assert!(small.is_err(), "a quantum below 256 B is refused");
    }
}
