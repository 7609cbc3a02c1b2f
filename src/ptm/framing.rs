//! The bytes that a link adds to each packet, where a shaper counts them: Linux `tc stab`.

use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::Loss;
use super::buffer::Backlog;
use super::discipline::{Discipline, Next};
use crate::flow::Flows;
use crate::packet::Tau;
use crate::units::{ByteCount, Time};

/// How a link carries a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LinkLayer {
    /// Without cells.
    #[default]
    Ethernet,
    /// In cells of 48 bytes, each with a 5-byte header.
    Atm,
}

/// The bytes that a link adds to each packet, -2048 to 2048: `"24 B"`, `"-14 B"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overhead(i32);

/// The maximum that `tc` accepts, in either direction.
const MOST_OVERHEAD: i32 = 2_048;

impl Overhead {
    /// `bytes` added to each packet, or removed if negative; `None` beyond 2048.
    pub fn new(bytes: i32) -> Option<Self> {
        (-MOST_OVERHEAD..=MOST_OVERHEAD).contains(&bytes).then_some(Overhead(bytes))
    }

    /// The bytes.
    pub fn bytes(self) -> i32 {
        self.0
    }
}

impl Serialize for Overhead {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{} B", self.0))
    }
}

impl<'de> Deserialize<'de> for Overhead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Overhead;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes as text, such as \"24 B\" or \"-14 B\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Overhead, E> {
                let number = text.trim().strip_suffix('B').map(|number| number.trim().parse());
                let Some(Ok(bytes)) = number else {
                    return Err(E::custom(format_args!(
                        "`{text}` is not a number of bytes with its unit; write for example \"24 B\" or \"-14 B\""
                    )));
                };
                Overhead::new(bytes).ok_or_else(|| {
                    E::custom(format_args!("{bytes} B is out of range; write -2048 B to 2048 B"))
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Overhead {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Overhead".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "bytes per packet, -2048 B to 2048 B",
            "type": "string",
            "pattern": r"^\s*-?[0-9]+\s*B\s*$",
            "examples": ["24 B", "-14 B"],
        })
    }
}

/// The lengths of packets as a discipline counts them.
///
/// # Source
/// Linux `net/sched/sch_api.c` (`__qdisc_calculate_pkt_len`); iproute2 6.1 `tc/tc_core.c`
/// (`tc_calc_size_table`): without `mpu` and cells the overhead is added; otherwise a table of 512 lengths is
/// used, in steps of 4 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Framing {
    /// The bytes added to each packet.
    pub overhead: Overhead,
    /// The minimum length, in bytes.
    pub mpu: u32,
    /// How the link carries the packet.
    pub link_layer: LinkLayer,
}

/// Steps of `tc`'s table of lengths [B].
const STEP: i64 = 4;

/// Entries of `tc`'s table.
const ENTRIES: i64 = 512;

/// The bytes that a cell carries, without and with its header.
const CELL: (i64, i64) = (48, 53);

impl Framing {
    pub(super) fn of(overhead: Overhead, mpu: ByteCount, link_layer: LinkLayer) -> Self {
        Framing { overhead, mpu: u32::try_from(mpu.get()).unwrap_or(u32::MAX), link_layer }
    }

    /// Wraps `inner`, which then sees packets with their framed lengths.
    pub(super) fn around(self, inner: Box<dyn Discipline>) -> Box<dyn Discipline> {
        if self == Framing::default() { inner } else { Box::new(Framed::new(inner, self)) }
    }

    /// The framed length of a packet of `length` bytes.
    pub fn length(&self, length: u32) -> u32 {
        let length = i64::from(length) + i64::from(self.overhead.0);
        let framed = if self.mpu == 0 && self.link_layer == LinkLayer::Ethernet {
            length
        } else {
            // A length beyond the table is composed of its last entry and the rest.
            let slot = (length - 1).max(0) / STEP;
            match slot / ENTRIES {
                0 => self.entry(slot),
                times => self.entry(ENTRIES - 1) * times + self.entry(slot % ENTRIES),
            }
        };
        u32::try_from(framed.max(1)).unwrap_or(u32::MAX)
    }

    /// The entry of the table for lengths up to `4 * (slot + 1)` bytes.
    fn entry(&self, slot: i64) -> i64 {
        let length = ((slot + 1) * STEP).max(self.mpu.into());
        match self.link_layer {
            LinkLayer::Ethernet => length,
            LinkLayer::Atm => (length + CELL.0 - 1) / CELL.0 * CELL.1,
        }
    }
}

/// A discipline that sees packets with their framed lengths.
pub(super) struct Framed {
    inner: Box<dyn Discipline>,
    framing: Framing,
    /// The true length of each packet in the discipline.
    lengths: FxHashMap<u64, u32>,
}

impl Framed {
    pub fn new(inner: Box<dyn Discipline>, framing: Framing) -> Self {
        Framed { inner, framing, lengths: FxHashMap::default() }
    }

    /// Restores the true length of a packet that leaves.
    fn restore(&mut self, tau: &mut Tau) {
        if let Some(length) = self.lengths.remove(&tau.packet.pid) {
            tau.packet.length = length;
        }
    }

    fn restore_losses(&mut self, losses: &mut [Loss]) {
        for loss in losses {
            self.restore(&mut loss.tau);
        }
    }
}

impl Discipline for Framed {
    fn enqueue(&mut self, mut tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        let before = losses.len();
        self.lengths.insert(tau.packet.pid, tau.packet.length);
        tau.packet.length = self.framing.length(tau.packet.length);
        self.inner.enqueue(tau, flows, losses);
        self.restore_losses(&mut losses[before..]);
    }

    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        let before = losses.len();
        let next = self.inner.next(now, losses);
        self.restore_losses(&mut losses[before..]);
        next
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        let before = losses.len();
        let mut tau = self.inner.dequeue(now, losses);
        self.restore_losses(&mut losses[before..]);
        if let Some(tau) = &mut tau {
            self.restore(tau);
        }
        tau
    }

    fn idle(&mut self, now: Time) {
        self.inner.idle(now);
    }

    fn backlog(&self) -> Backlog {
        self.inner.backlog()
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        let before = waiting.len();
        self.inner.waiting(waiting);
        for tau in &mut waiting[before..] {
            if let Some(&length) = self.lengths.get(&tau.packet.pid) {
                tau.packet.length = length;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptm::testing::{MS, departures, forward, taus};

    fn framing(overhead: i32, mpu: u32, link_layer: LinkLayer) -> Framing {
        Framing { overhead: Overhead::new(overhead).unwrap(), mpu, link_layer }
    }

    #[test]
    fn an_overhead_alone_is_added() {
        assert_eq!(framing(24, 0, LinkLayer::Ethernet).length(1514), 1538);
        assert_eq!(framing(-14, 0, LinkLayer::Ethernet).length(10), 1);
    }

    #[test]
    fn with_a_shortest_length_or_cells_lengths_come_from_a_table() {
        let mpu = framing(0, 64, LinkLayer::Ethernet);
        assert_eq!([40, 64, 65, 68].map(|length| mpu.length(length)), [64, 64, 68, 68]);
        let atm = framing(0, 0, LinkLayer::Atm);
        assert_eq!([1, 48, 49, 96, 97].map(|length| atm.length(length)), [53, 53, 106, 106, 159]);
        // Beyond 2048 bytes: the last entry (43 cells) and that of the rest.
        assert_eq!(atm.length(2_049), 43 * 53 + 53);
    }

    #[test]
    fn tokens_and_buffer_count_the_framing_and_the_link_does_not() {
        let toml = r#"kind = "token-bucket"
            rate = "1 Mbps"
            burst = "125 B"
            overhead = "25 B"
            buffer = "250 B""#;
        // 100 B and 25 B of framing take 1 ms of tokens; two of them fill the buffer, where the head waits too.
        let arrivals = [(0, 100, 0), (0, 100, 0), (0, 100, 0), (0, 100, 0)];
        assert_eq!(departures(toml, "unlimited", &arrivals), [(0, 0), (1, MS), (2, 2 * MS)]);
        let (departures, losses) = forward(toml, "unlimited", &taus(&arrivals));
        assert!(departures.iter().all(|departure| departure.tau.packet.length == 100));
        assert!(losses.len() == 1 && losses[0].tau.packet.length == 100);
    }
}
