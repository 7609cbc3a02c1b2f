//! Strict priority.

mod by_class;

pub(super) use by_class::ByClass;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::buffer::{Backlog, Buffer};
use super::classes::{Classes, check_classes, class};
use super::discipline::{Discipline, Next};
use super::error::PtmError;
use super::{Loss, Place};
use crate::flow::Flows;
use crate::packet::Tau;
use crate::units::Time;

/// The parameters of `priority`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrioritySpec {
    /// The maximum backlog of all classes together (default: unlimited).
    #[serde(default)]
    pub buffer: Option<Buffer>,
    /// Which of the packets that arrive at the same instant is sent first (default: arrival).
    #[serde(default, skip_serializing_if = "AtOneInstant::is_arrival")]
    pub at_one_instant: AtOneInstant,
    /// The classes, the most urgent first.
    #[serde(default)]
    pub class: Vec<PriorityClass>,
}

/// Which of the packets that arrive at the same instant, to the picosecond, is sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AtOneInstant {
    /// The first arrival starts at a free link, as in Linux; the others come after it.
    #[default]
    Arrival,
    /// The packet of the most urgent class: the port decides after all arrivals of the instant.
    Class,
}

impl AtOneInstant {
    fn is_arrival(&self) -> bool {
        *self == AtOneInstant::Arrival
    }
}

class! {
    /// A class of `priority`.
    #[derive(Default)]
    pub struct PriorityClass {
        /// Its name, for messages.
        name,
    }
}

impl PrioritySpec {
    pub(super) fn check(&self) -> Result<(), PtmError> {
        check_classes("priority", &self.class)
    }
}

/// Strict priority, non-preemptive: when the link becomes free, the first class with a packet to send is
/// served.
///
/// A class whose own discipline holds its packets back (a token bucket) is skipped. Of the packets that
/// arrive at one instant, the first starts at a free link; [`AtOneInstant::Class`] uses `ByClass` instead.
///
/// # Complexity
/// O(1) per packet; O(classes) if a class holds its packets back.
///
/// # Source
/// L. Kleinrock, "Queueing Systems", volume 2, 1976, section 3.4 (head of the line). Linux
/// `net/sched/sch_prio.c` behaves the same.
pub struct Priority {
    classes: Classes,
    /// One bit per class that is asked, 64 to the word: the classes with packets, and those with their own
    /// discipline, whose state may change when asked (see [`Discipline::next`]).
    busy: Vec<u64>,
    /// The same for the classes with their own discipline.
    nested: Vec<u64>,
}

impl Priority {
    /// Empty classes.
    pub fn new(spec: &PrioritySpec, place: &Place<'_>) -> Self {
        let classes = Classes::new(&spec.class, spec.buffer, place);
        let mut nested = vec![0; spec.class.len().div_ceil(64)];
        for &class in classes.nested() {
            nested[class / 64] |= 1 << (class % 64);
        }
        Priority { classes, busy: nested.clone(), nested }
    }

    /// The first class with a packet to send, and the length of the packet; or why there is none.
    #[inline]
    fn first(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<(usize, u32), Next> {
        let mut earliest = None;
        for word in 0..self.busy.len() {
            let mut bits = self.busy[word];
            while bits != 0 {
                let class = 64 * word + bits.trailing_zeros() as usize;
                match self.classes.next(class, now, losses) {
                    Next::Ready(length) => return Ok((class, length)),
                    Next::Nothing => self.busy[word] &= !(1 << (class % 64)) | self.nested[word],
                    Next::Throttled(fires) => {
                        earliest = Some(earliest.map_or(fires, |earliest: Time| earliest.min(fires)));
                    }
                }
                bits &= bits - 1;
            }
        }
        Err(earliest.map_or(Next::Nothing, Next::Throttled))
    }
}

impl Discipline for Priority {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        if let Some(class) = self.classes.enqueue(tau, flows, losses) {
            self.busy[class / 64] |= 1 << (class % 64);
        }
    }

    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        self.first(now, losses).map_or_else(|none| none, |(_, length)| Next::Ready(length))
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        let (class, _) = self.first(now, losses).ok()?;
        let tau = self.classes.dequeue(class, now, losses);
        self.classes.idle_below(class, now);
        if self.classes.is_empty(class) {
            self.busy[class / 64] &= !(1 << (class % 64)) | self.nested[class / 64];
        }
        tau
    }

    fn idle(&mut self, now: Time) {
        self.classes.idle_below(self.classes.len(), now);
    }

    fn backlog(&self) -> Backlog {
        self.classes.backlog()
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        self.classes.waiting(waiting);
    }
}

#[cfg(test)]
mod tests {
    use crate::ptm::testing::{MS, departures, drops, order};

    /// At 1 Mbps, 125 bytes take 1 ms.
    const TWO: &str = "kind = \"priority\"\nclass = [{ match = { dscp = 46 } }, {}]";

    #[test]
    fn the_first_class_goes_first_and_waits_for_no_more_than_the_packet_in_transmission() {
        // (arrival, length, DSCP)
        let arrivals = [(0, 125, 0), (0, 125, 0), (MS / 2, 125, 46), (MS / 2, 250, 46), (5 * MS, 125, 46)];
        let starts = [(0, 0), (2, MS), (3, 2 * MS), (1, 4 * MS), (4, 5 * MS)];
        assert_eq!(departures(TWO, "1 Mbps", &arrivals), starts);
    }

    /// `TWO` with the given keys, `at_one_instant = "class"` among them.
    fn by_class(keys: &str) -> String {
        format!("{}\nat_one_instant = \"class\"\n{keys}", TWO)
    }

    #[test]
    fn at_one_instant_the_first_arrival_or_the_first_class_starts() {
        let arrivals = [(0, 125, 0), (0, 125, 46), (0, 125, 46), (0, 125, 0)];
        assert_eq!(order(TWO, &arrivals), [0, 1, 2, 3], "as Linux");
        assert_eq!(order(&by_class(""), &arrivals), [1, 2, 0, 3]);
    }

    #[test]
    fn a_packet_that_arrives_as_the_link_falls_free_is_in_time_by_class() {
        // The first packet has been sent after 1 ms, when the urgent one arrives; another bulk packet has
        // waited.
        let arrivals = [(0, 125, 0), (0, 125, 0), (MS, 125, 46)];
        assert_eq!(order(TWO, &arrivals), [0, 1, 2]);
        assert_eq!(order(&by_class(""), &arrivals), [0, 2, 1]);
        assert_eq!(order(&by_class(""), &[(0, 125, 0), (0, 125, 0), (MS + 1, 125, 46)]), [0, 1, 2]);
    }

    #[test]
    fn what_starts_at_the_instant_needs_no_room_by_class() {
        let one = by_class("buffer = \"1 packets\"");
        assert!(drops(&one, &[(0, 125, 0), (0, 125, 46)]).is_empty());
        assert_eq!(departures(&one, "1 Mbps", &[(0, 125, 0), (0, 125, 46)]), [(1, 0), (0, MS)]);
        // When the link becomes free: one waits, one is urgent, and one finds no room.
        let arrivals = [(0, 125, 0), (0, 125, 0), (MS, 125, 0), (MS, 125, 46)];
        assert_eq!(drops(&one, &arrivals), [2]);
        assert_eq!(order(&one, &arrivals), [0, 3, 1]);
        let starts = departures(&one, "unlimited", &[(0, 125, 0), (0, 125, 46), (0, 125, 0), (0, 125, 46)]);
        assert_eq!(starts, [(1, 0), (3, 0), (0, 0), (2, 0)]);
        let none = by_class("buffer = \"100 B\"");
        assert_eq!(drops(&none, &[(0, 125, 46), (0, 100, 0)]), [0], "room for itself is needed, as always");
    }

    #[test]
    fn inside_another_discipline_classes_go_first_too() {
        let inner =
            "{ kind = \"priority\", at_one_instant = \"class\", class = [{ match = { dscp = 46 } }, {}] }";
        let bucket = format!("kind = \"token-bucket\"\nrate = \"1 Mbps\"\nburst = \"125 B\"\nptm = {inner}");
        let classes =
            format!("kind = \"priority\"\nclass = [{{ match = {{ dscp = 1 }} }}, {{ ptm = {inner} }}]");
        for toml in [bucket, classes] {
            assert_eq!(order(&toml, &[(0, 125, 0), (0, 125, 46), (0, 125, 0)]), [1, 0, 2], "{toml}");
        }
    }

    #[test]
    fn waiting_times_are_those_of_head_of_the_line_priority() {
        // Cobham (1954): W1 = R / (1 - rho1), W2 = R / ((1 - rho1) (1 - rho1 - rho2)) for Poisson arrivals.
        // Two M/D/1 classes of 1 ms each at rho = 0.3 and 0.4: R = 0.35 ms, W1 = 0.5 ms, W2 = 1.6667 ms.
        use rand::Rng;
        let mut random = crate::random::stream(1, "test", "cobham");
        let mut arrivals = Vec::new();
        for (rate, dscp) in [(0.3, 46), (0.4, 0)] {
            let mut at = 0.0;
            while at < 300_000.0 {
                let uniform = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
                at += -libm::log(1.0 - uniform) / rate;
                arrivals.push(((at * MS as f64) as u64, 125, dscp));
            }
        }
        arrivals.sort_unstable();
        let mut waited = [(0u128, 0u128); 2];
        for (pid, start) in departures(TWO, "1 Mbps", &arrivals) {
            let (arrival, _, dscp) = arrivals[pid as usize];
            let class = &mut waited[usize::from(dscp == 0)];
            *class = (class.0 + u128::from(start - arrival), class.1 + 1);
        }
        let mean = waited.map(|(sum, count)| sum as f64 / count as f64 / MS as f64);
        assert!((mean[0] / 0.5 - 1.0).abs() < 0.02, "{mean:?}");
        assert!((mean[1] / (0.35 / (0.7 * 0.3)) - 1.0).abs() < 0.03, "{mean:?}");
    }

    #[test]
    fn there_may_be_more_classes_than_bits_in_a_word() {
        let classes = (0..100).map(|port| format!("{{ match = {{ ingress_ports = {port} }} }}"));
        let toml = format!("kind = \"priority\"\nclass = [{}]", classes.collect::<Vec<_>>().join(", "));
        // The helper also uses the third number as the ingress port.
        let arrivals = [(0, 125, 0), (0, 125, 99), (0, 125, 3), (0, 125, 63), (0, 125, 64)];
        assert_eq!(order(&toml, &arrivals), [0, 2, 3, 4, 1]);
    }

    #[test]
    fn buffers_are_per_class_and_shared() {
        let toml = r#"
            kind = "priority"
            buffer = "3 packets"
            class = [{ match = { dscp = 46 }, buffer = "250 B" }, { buffer = "2 packets" }]
        "#;
        // The first is sent at once and needs no room after that.
        let arrivals = [(0, 125, 0), (0, 125, 46), (0, 125, 46), (0, 125, 46), (0, 125, 0), (0, 125, 0)];
        assert_eq!(drops(toml, &arrivals), [3, 5]);
        let arrivals = [(0, 125, 0), (0, 125, 0), (0, 125, 0), (0, 125, 0), (0, 125, 46)];
        assert_eq!(drops(toml, &arrivals), [3], "the class of bulk is full, the port is not");
    }

    #[test]
    fn a_class_that_holds_back_is_passed_over() {
        let toml = r#"
            kind = "priority"
            class = [
                { match = { dscp = 46 }, ptm = { kind = "token-bucket", rate = "500 kbps", burst = "125 B" } },
                {},
            ]
        "#;
        // The first class may send every 2 ms.
        let arrivals = [(0, 125, 46), (0, 125, 46), (0, 125, 0), (0, 250, 0), (0, 125, 46)];
        let starts = [(0, 0), (2, MS), (1, 2 * MS), (3, 3 * MS), (4, 5 * MS)];
        assert_eq!(departures(toml, "1 Mbps", &arrivals), starts);
        let alone = [(0, 125, 46), (0, 125, 46)];
        assert_eq!(departures(toml, "1 Mbps", &alone), [(0, 0), (1, 2 * MS)], "the link waits for the timer");
    }
}
