//! Weighted fair queueing: packet-by-packet generalized processor sharing.

mod gps;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::buffer::{Backlog, Buffer};
use super::classes::{Classes, ClassesBy, check_classes_or_flows, class};
use super::discipline::{Discipline, Next};
use super::error::PtmError;
use super::{Loss, Place};
use crate::flow::Flows;
use crate::link::Link;
use crate::packet::Tau;
use crate::units::{Bandwidth, Time};
use gps::Gps;

/// The parameters of `wfq`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WfqSpec {
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
    pub class: Vec<WfqClass>,
}

class! {
    /// A class of `wfq`.
    #[derive(Default)]
    pub struct WfqClass {
        /// Its name, for messages.
        name,
        /// The share of the link relative to the other classes (1 to 65535, default: 1).
        #[serde(default)]
        pub weight: Option<NonZeroU16>,
    }
}

impl WfqSpec {
    pub(super) fn check(&self, link: &Link) -> Result<(), PtmError> {
        let flow_key = self.flow_buffer.map(|_| "flow_buffer");
        check_classes_or_flows("wfq", self.classes, flow_key, &self.class)?;
        match link.bandwidth {
            Bandwidth::Limited(_) => Ok(()),
            Bandwidth::Unlimited => Err(PtmError::UnlimitedLink { kind: "wfq" }),
        }
    }
}

/// Weighted fair queueing: packets leave in the order in which they would finish if the link served all
/// backlogged classes at once, in proportion to their weights.
///
/// - The fluid reference (GPS) runs in parallel with the packets at the link's bandwidth, overhead included.
///   Its virtual time is exact, with iterated deletion of the classes that have finished (see the module
///   `gps` for the arithmetic).
/// - The virtual finish of a packet is that of the previous packet in its class, or the current virtual time
///   if the class is idle in GPS, plus `transmission time / weight`. When the link becomes free, the waiting
///   packet with the earliest finish is sent; of two with equal finishes, the one that arrived first.
/// - A packet finishes at most one longest transmission time later than in GPS.
/// - If a class has its own discipline, a later packet of the class may be sent in place of the first one. A
///   class whose discipline holds its packets back is skipped. GPS still counts packets that such a
///   discipline drops later.
///
/// # Complexity
/// O(log classes) per packet.
///
/// # Source
/// A. Demers, S. Keshav and S. Shenker, "Analysis and simulation of a fair queueing algorithm", SIGCOMM 1989;
/// A. Parekh and R. Gallager, "A generalized processor sharing approach to flow control in integrated
/// services networks: the single-node case", IEEE/ACM Transactions on Networking 1 (3), 1993, section III.
pub struct Wfq {
    link: Link,
    classes: Classes,
    gps: Gps,
    /// The finishes of the waiting packets, per class: (virtual finish, order of arrival).
    finishes: Vec<VecDeque<(u128, u64)>>,
    /// The flow of each class created for a flow.
    flows: Vec<u32>,
    /// The first finish of each class with packets.
    heads: BinaryHeap<Reverse<(u128, u64, usize)>>,
    /// Heads that were skipped; empty between calls.
    held: Vec<Reverse<(u128, u64, usize)>>,
    arrivals: u64,
}

impl Wfq {
    /// Creates empty classes.
    pub fn new(spec: &WfqSpec, place: &Place<'_>) -> Self {
        let classes = Classes::by(spec.classes, &spec.class, spec.flow_buffer, spec.buffer, place);
        let weights = spec.class.iter().map(|class| class.weight.map_or(1, NonZeroU16::get));
        Wfq {
            link: place.link,
            classes,
            gps: Gps::new(weights),
            finishes: vec![VecDeque::new(); spec.class.len()],
            flows: vec![0; spec.class.len()],
            heads: BinaryHeap::new(),
            held: Vec::new(),
            arrivals: 0,
        }
    }

    /// Advances GPS. Classes created for flows are removed when neither GPS nor the link has packets of them.
    fn advance(&mut self, now: Time) {
        let Wfq { gps, classes, flows, .. } = self;
        gps.advance(now, |class| {
            if classes.is_empty(class) {
                classes.release(class, flows[class]);
            }
        });
        if self.gps.is_idle() && self.classes.backlog().packets() == 0 {
            self.gps.restart();
        }
    }

    /// Removes the latest finishes of packets that the class's own discipline has dropped.
    fn settle(&mut self, class: usize) {
        let packets = self.classes.packets(class) as usize;
        self.finishes[class].truncate(packets);
    }

    /// The class that sends next, which is the first of `heads`, and the length of its packet.
    fn first(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<(usize, u32), Next> {
        let mut earliest = None;
        let found = loop {
            let Some(&Reverse(head)) = self.heads.peek() else {
                break Err(earliest.map_or(Next::Nothing, Next::Throttled));
            };
            match self.classes.next(head.2, now, losses) {
                Next::Ready(length) => break Ok((head, length)),
                Next::Nothing => {
                    self.heads.pop();
                    self.settle(head.2);
                }
                Next::Throttled(fires) => {
                    earliest = Some(earliest.map_or(fires, |earliest: Time| earliest.min(fires)));
                    self.heads.pop();
                    self.held.push(Reverse(head));
                }
            }
        };
        if self.held.is_empty() {
            return found.map(|((_, _, class), length)| (class, length));
        }
        self.heads.extend(self.held.drain(..));
        found.map(|((_, _, class), length)| (class, length))
    }

    fn take_head(&mut self, class: usize) {
        if self.heads.peek().is_some_and(|head| head.0.2 == class) {
            self.heads.pop();
        } else {
            self.heads.retain(|head| head.0.2 != class);
        }
    }
}

impl Discipline for Wfq {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        self.advance(tau.timestamp);
        let Some(class) = self.classes.enqueue(tau, flows, losses) else { return };
        while self.gps.len() < self.classes.len() {
            self.gps.add();
            self.finishes.push(VecDeque::new());
            self.flows.push(0);
        }
        self.flows[class] = tau.packet.fid;
        let queued = &mut self.finishes[class];
        if queued.len() as u64 >= self.classes.packets(class) {
            return self.settle(class); // the newcomer, or as many others, were dropped
        }
        let work = self.link.transmission_time(tau.packet.byte_count());
        let finish = (self.gps.arrive(class, work), self.arrivals);
        self.arrivals += 1;
        if queued.is_empty() {
            self.heads.push(Reverse((finish.0, finish.1, class)));
        }
        queued.push_back(finish);
    }

    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        self.first(now, losses).map_or_else(|none| none, |(_, length)| Next::Ready(length))
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        let (class, _) = self.first(now, losses).ok()?;
        let tau = self.classes.dequeue(class, now, losses);
        self.take_head(class);
        self.finishes[class].pop_front();
        self.settle(class);
        if let Some(&(finish, order)) = self.finishes[class].front() {
            self.heads.push(Reverse((finish, order, class)));
        } else if !self.gps.is_backlogged(class) && self.classes.is_empty(class) {
            self.classes.release(class, self.flows[class]);
        }
        tau
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
    use crate::ptm::testing::{MS, departures, drops, order, told};

    #[test]
    fn the_order_is_that_of_virtual_finishes() {
        // Weights 1 and 2, packets of 125 B (1 ms): virtual finishes of the first class are 1, 2, 3 ms, of
        // the second 0.5, 1, 1.5, 2 ms; of equal finishes, the first arrival is sent first.
        let toml = "kind = \"wfq\"\nclass = [{ match = { dscp = 1 } }, { weight = 2 }]";
        let arrivals =
            [(0, 125, 1), (0, 125, 1), (0, 125, 1), (0, 125, 2), (0, 125, 2), (0, 125, 2), (0, 125, 2)];
        assert_eq!(order(toml, &arrivals), [0, 3, 4, 5, 1, 6, 2]);
    }

    #[test]
    fn a_class_is_not_punished_for_what_it_sent_alone() {
        // The first class had the link to itself until 10 ms; from then on both have half.
        let toml = "kind = \"wfq\"\nclass = [{ match = { dscp = 1 } }, {}]";
        let mut arrivals = vec![(0, 125, 1); 20];
        arrivals.extend([(10 * MS, 125, 2); 3]);
        let starts = departures(toml, "1 Mbps", &arrivals);
        let second =
            starts.iter().filter(|(pid, _)| *pid >= 20).map(|(_, start)| start / MS).collect::<Vec<_>>();
        assert_eq!(second, [11, 13, 15]);
    }

    #[test]
    fn a_class_may_get_far_ahead_of_the_fluid_server() {
        // J. Bennett and H. Zhang, "WF2Q", INFOCOM 1996: a session with half of the weight sends 11 packets
        // at time 0, ten others with a twentieth each send one. The first session's k-th packet finishes at
        // virtual time 2k, those of the others at 20: ten of the first session are sent in a row, then the
        // others, then its last.
        let mut classes = vec!["{ match = { dscp = 0 }, weight = 10 }".to_owned()];
        classes.extend((1..=10).map(|dscp| format!("{{ match = {{ dscp = {dscp} }} }}")));
        let toml = format!("kind = \"wfq\"\nclass = [{}]", classes.join(", "));
        let mut arrivals = vec![(0, 125, 0); 11];
        arrivals.extend((1..=10).map(|dscp| (0, 125, dscp)));
        let expected: Vec<u64> = (0..10).chain(11..=20).chain([10]).collect();
        assert_eq!(order(&toml, &arrivals), expected);
    }

    #[test]
    fn flows_can_be_classes() {
        let toml = "kind = \"wfq\"\nclasses = \"per-flow\"\nflow_buffer = \"3 packets\"";
        let arrivals = [
            (0, 125, 7),
            (0, 125, 7),
            (0, 125, 7),
            (0, 125, 7),
            (0, 125, 7),
            (0, 125, 8),
            (MS, 125, 9),
            (9 * MS, 125, 7),
        ];
        assert_eq!(drops(toml, &arrivals), [4]);
        assert_eq!(order(toml, &arrivals), [0, 5, 6, 1, 2, 3, 7]);
    }

    #[test]
    fn the_link_must_be_limited() {
        let (message, help) = told("kind = \"wfq\"\nclasses = \"per-flow\"", "unlimited");
        assert_eq!(message, "`wfq` needs a link of limited bandwidth: its rule is a share of the bandwidth");
        assert_eq!(help, "give the link a `bandwidth`, such as \"1 Gbps\"");
        let nested = "kind = \"priority\"\nclass = [{ ptm = { kind = \"wfq\", classes = \"per-flow\" } }]";
        assert_eq!(told(nested, "unlimited").0, message);
    }
}
