//! Stochastic fairness queueing: one queue per flow, served in rounds of bytes. Linux `sfq`.

mod lengths;

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::buffer::Backlog;
use super::discipline::Next;
use super::error::PtmError;
use super::flow_queues::{FlowQueues, SameQueue};
use super::held::Queueing;
use super::parameter::{hash_values, quantum, span_above_zero};
use super::{Loss, Place};
use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::units::{ByteCount, Span, Time};
use lengths::Lengths;

/// The parameters of an `sfq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SfqSpec {
    /// The maximum number of waiting packets, 2 or more; at most `depth` times `flows` (default: 127).
    #[serde(default = "default_many")]
    pub limit: u32,
    /// The maximum number of waiting packets of a flow, 1 to 127 (default: 127).
    #[serde(default = "default_many", deserialize_with = "depth")]
    #[schemars(range(min = 1, max = 127))]
    pub depth: u32,
    /// The maximum number of flows with waiting packets, 1 to 65408 (default: 127).
    #[serde(default = "default_many", deserialize_with = "flows")]
    #[schemars(range(min = 1, max = 65_408))]
    pub flows: u32,
    /// The number of hash values for flows: a power of 2, up to 65536 (default: 1024).
    #[serde(default = "default_divisor", deserialize_with = "hash_values")]
    #[schemars(range(min = 1, max = 65_536))]
    pub divisor: u32,
    /// The bytes that a queue may send per round, 256 B to 1 MiB (default: 1514 B).
    #[serde(default = "default_quantum", deserialize_with = "quantum")]
    pub quantum: ByteCount,
    /// Whether a queue without room drops its oldest packet instead of its newest (default: false).
    #[serde(default)]
    pub head_drop: bool,
    /// The interval at which flows are rehashed (default: never).
    #[serde(default, deserialize_with = "perturb")]
    #[schemars(with = "Option<Span>")]
    pub perturb: Option<Span>,
    /// Groups of flows that share a queue, where this is known; every other flow has its own queue. Without
    /// this key, flows are hashed.
    #[serde(default)]
    pub same_queue: Option<SameQueue>,
}

fn default_many() -> u32 {
    127
}

fn default_divisor() -> u32 {
    1_024
}

fn default_quantum() -> ByteCount {
    ByteCount::new(1_514)
}

fn depth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        depth @ 1..=127 => Ok(depth),
        depth => {
            Err(de::Error::custom(format_args!("a depth of {depth} packets is out of range; write 1 to 127")))
        }
    }
}

fn flows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        flows @ 1..=65_408 => Ok(flows),
        flows => Err(de::Error::custom(format_args!(
            "{flows} flows are out of range; write 1 to 65408, such as 127"
        ))),
    }
}

fn perturb<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    span_above_zero(deserializer).map(Some)
}

impl Default for SfqSpec {
    fn default() -> Self {
        SfqSpec {
            limit: default_many(),
            depth: default_many(),
            flows: default_many(),
            divisor: default_divisor(),
            quantum: default_quantum(),
            head_drop: false,
            perturb: None,
            same_queue: None,
        }
    }
}

impl SfqSpec {
    pub(super) fn check(&self) -> Result<(), PtmError> {
        if self.limit < 2 {
            return Err(PtmError::LimitOfOne);
        }
        if let Some(same_queue) = &self.same_queue {
            if self.perturb.is_some() {
                return Err(PtmError::IdleKey {
                    key: "perturb",
                    place: "beside `same_queue` of `sfq`".to_owned(),
                    help: "leave it out: known queues are not rehashed",
                });
            }
            same_queue.check()?;
        }
        Ok(())
    }
}

/// SFQ.
///
/// - The hash of the 5-tuple, among `divisor` values, selects the queue of a packet. The hash differs between
///   seeds and between ports, and changes every `perturb`. `same_queue` assigns flows to queues instead.
/// - An arriving packet is dropped if `flows` other queues have packets, or if `depth` packets wait in its
///   queue; with `head_drop`, the oldest of these is dropped instead.
/// - When more than `limit` packets wait, with the arriving packet, the queue with the most packets loses its
///   newest, or its oldest with `head_drop`. Among several such queues, it is the one whose length changed
///   last. If every queue has one packet, it is the queue next in the round.
/// - Queues with packets are served in rounds. A queue that was empty joins at the tail, with a quantum. A
///   queue whose allotment is used up gets a quantum and goes to the tail. Otherwise it sends, and is charged
///   for the bytes; its allotment may become negative.
///
/// A packet that has been taken from its queue still counts towards `limit`.
///
/// # Complexity
/// O(1) per packet; O(packets) when flows are rehashed.
///
/// # Source
/// P. McKenney, "Stochastic Fairness Queueing", 1990; Linux 6.1 `net/sched/sch_sfq.c` (`sfq_enqueue`,
/// `sfq_drop`, `sfq_dequeue`, `sfq_rehash`), without its RED mode.
pub struct Sfq {
    spec: SfqSpec,
    limit: u64,
    most_queues: usize,
    queue_of: Spread,
    /// One per hash value.
    queues: Vec<Queue>,
    /// Queues with packets, the next one of the round first.
    round: VecDeque<u32>,
    lengths: Lengths,
    backlog: Backlog,
}

/// How flows are assigned to queues.
struct Spread {
    queues: FlowQueues,
    place: (u64, String),
    divisor: u32,
    /// How often flows have been rehashed.
    times: u64,
    /// When they are rehashed next.
    next: Time,
}

#[derive(Default)]
struct Queue {
    packets: VecDeque<Tau>,
    allotment: i64,
}

impl Sfq {
    /// Creates an empty queue.
    pub fn new(spec: &SfqSpec, place: &Place<'_>) -> Self {
        let limit =
            u64::from(spec.limit).min(u64::from(spec.depth) * u64::from(spec.flows.min(spec.divisor)));
        Sfq {
            limit,
            most_queues: spec.flows.min(spec.divisor).min(spec.limit) as usize,
            queue_of: Spread {
                queues: FlowQueues::new(spec.divisor, spec.same_queue.as_ref(), place),
                place: (place.seed, place.port.to_owned()),
                divisor: spec.divisor,
                times: 0,
                next: spec.perturb.map_or(Time::NEVER, |period| Time::ZERO + period),
            },
            queues: std::iter::repeat_with(Queue::default).take(spec.divisor as usize).collect(),
            round: VecDeque::new(),
            lengths: Lengths::new(spec.divisor as usize, spec.depth as usize),
            backlog: Backlog::default(),
            spec: spec.clone(),
        }
    }

    fn join(&mut self, index: usize, tau: Tau) {
        let queue = &mut self.queues[index];
        queue.packets.push_back(tau);
        self.backlog.add(tau.packet.length);
        let now = queue.packets.len();
        if now == 1 {
            queue.allotment = self.spec.quantum.get() as i64;
            self.round.push_back(index as u32);
        }
        self.lengths.change(index, now - 1, now);
    }

    /// Takes the oldest or the newest packet of a queue.
    fn pull(&mut self, index: usize, oldest: bool) -> Option<Tau> {
        let packets = &mut self.queues[index].packets;
        let tau = if oldest { packets.pop_front() } else { packets.pop_back() }?;
        self.backlog.remove(tau.packet.length);
        let now = packets.len();
        self.lengths.change(index, now + 1, now);
        Some(tau)
    }

    /// Makes room for one packet.
    fn drop_one(&mut self) -> Option<Tau> {
        let mut index = self.lengths.longest()?;
        if self.queues[index].packets.len() == 1 {
            index = self.round.pop_front()? as usize;
        }
        self.pull(index, self.spec.head_drop)
    }

    /// Rehashes the flows if this has become due since the last arrival.
    fn perturb_until(&mut self, now: Time, flows: &Flows, losses: &mut Vec<Loss>) {
        let Some(period) = self.spec.perturb.filter(|_| self.queue_of.next <= now) else { return };
        // If several are due, only the last one matters.
        let times = now.since(self.queue_of.next).as_ps() / period.as_ps() + 1;
        self.queue_of.times += times;
        self.queue_of.next = self.queue_of.next + Span::from_ps(period.as_ps().saturating_mul(times));
        let (seed, port) = &self.queue_of.place;
        let port = &format!("{port} spread {}", self.queue_of.times);
        let draws = crate::random::Draws::new(*seed, "ptm", port);
        self.queue_of.queues = FlowQueues::Hashed { draws, queues: self.queue_of.divisor };
        let mut packets = Vec::new();
        for queue in &mut self.queues {
            packets.extend(queue.packets.drain(..));
        }
        self.lengths = Lengths::new(self.queues.len(), self.spec.depth as usize);
        self.round.clear();
        self.backlog = Backlog::default();
        for tau in packets {
            let index = self.queue_of.queues.queue(tau.packet.fid, flows);
            let queue = &self.queues[index].packets;
            let is_full = queue.len() >= self.spec.depth as usize
                || (queue.is_empty() && self.round.len() >= self.most_queues);
            if is_full {
                losses.push(Loss { tau, at: now, reason: DropReason::BufferFull });
            } else {
                self.join(index, tau);
            }
        }
    }

    /// Takes the packet that leaves next from its queue.
    fn next_packet(&mut self) -> Option<Tau> {
        loop {
            let index = *self.round.front()? as usize;
            let queue = &mut self.queues[index];
            if queue.allotment <= 0 {
                queue.allotment += self.spec.quantum.get() as i64;
                self.round.rotate_left(1);
                continue;
            }
            let tau = self.pull(index, true)?;
            let queue = &mut self.queues[index];
            if queue.packets.is_empty() {
                self.round.pop_front();
            } else {
                queue.allotment -= i64::from(tau.packet.length);
            }
            return Some(tau);
        }
    }
}

impl Queueing for Sfq {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, held: Backlog, losses: &mut Vec<Loss>) {
        let at = tau.timestamp;
        self.perturb_until(at, flows, losses);
        let mut lost = |tau| losses.push(Loss { tau, at, reason: DropReason::BufferFull });
        let index = self.queue_of.queues.queue(tau.packet.fid, flows);
        let waiting = self.queues[index].packets.len();
        if waiting == 0 && self.round.len() >= self.most_queues {
            return lost(tau);
        }
        if waiting >= self.spec.depth as usize {
            if !self.spec.head_drop {
                return lost(tau);
            }
            // The length of the queue does not change.
            let queue = &mut self.queues[index].packets;
            if let Some(oldest) = queue.pop_front() {
                self.backlog.remove(oldest.packet.length);
                lost(oldest);
            }
            queue.push_back(tau);
            self.backlog.add(tau.packet.length);
            return;
        }
        self.join(index, tau);
        if (held + self.backlog).packets() > self.limit {
            self.drop_one().map(lost);
        }
    }

    fn take(&mut self, _now: Time, _losses: &mut Vec<Loss>) -> Result<Tau, Next> {
        self.next_packet().ok_or(Next::Nothing)
    }

    fn backlog(&self) -> Backlog {
        self.backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        for queue in &self.queues {
            waiting.extend(&queue.packets);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ptm::testing::{drops, forward, order, taus, told};

    /// Packet 0 keeps the link busy while the others arrive; the third number is the flow.
    const TWO_FLOWS: [(u64, u32, u8); 6] =
        [(0, 1_000, 1), (0, 1_000, 2), (0, 1_000, 2), (0, 1_000, 2), (0, 1_000, 3), (0, 1_000, 3)];

    fn toml(keys: &str) -> String {
        format!("kind = \"sfq\"\nsame_queue = []\n{keys}")
    }

    #[test]
    fn flows_take_turns_of_a_quantum() {
        // With 1514 B of credit a flow sends two packets of 1000 B, and is then 486 B in debt.
        assert_eq!(order(&toml(""), &TWO_FLOWS), [0, 1, 2, 4, 5, 3]);
        assert_eq!(order(&toml("quantum = \"1000 B\""), &TWO_FLOWS), [0, 1, 4, 2, 5, 3]);
    }

    #[test]
    fn the_longest_queue_loses_its_newest_packet_or_its_oldest() {
        // Three packets of flow 2 wait, then one of flow 3: the fourth exceeds the limit.
        assert_eq!(drops(&toml("limit = 3"), &TWO_FLOWS[..5]), [3]);
        assert_eq!(drops(&toml("limit = 3\nhead_drop = true"), &TWO_FLOWS[..5]), [1]);
    }

    #[test]
    fn among_queues_of_one_length_the_one_that_changed_last_loses() {
        // Two packets of each flow wait when the limit of 3 is exceeded: flow 3 has grown last.
        let arrivals = [(0, 1_000, 1), (0, 1_000, 2), (0, 1_000, 2), (0, 1_000, 3), (0, 1_000, 3)];
        assert_eq!(drops(&toml("limit = 3"), &arrivals), [4]);
    }

    #[test]
    fn where_every_queue_has_one_packet_the_one_whose_turn_it_is_loses_it() {
        let arrivals = [(0, 1_000, 1), (0, 1_000, 2), (0, 1_000, 3), (0, 1_000, 4)];
        assert_eq!(drops(&toml("limit = 2"), &arrivals), [3], "there are no more flows than packets");
        // The bucket holds the packet of flow 2, which counts; with those of flows 3 and 4 the limit is
        // exceeded.
        let bucket = "kind = \"token-bucket\"\nrate = \"1 Mbps\"\nburst = \"1000 B\"";
        let bucket = format!("{bucket}\nptm = {{ kind = \"sfq\", same_queue = [], limit = 2 }}");
        let (_, losses) = forward(&bucket, "unlimited", &taus(&arrivals));
        assert_eq!(losses.iter().map(|loss| loss.tau.packet.pid).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_queue_takes_no_more_than_its_depth_and_flows_no_more_than_their_number() {
        assert_eq!(drops(&toml("depth = 2"), &TWO_FLOWS), [3]);
        assert_eq!(drops(&toml("depth = 2\nhead_drop = true"), &TWO_FLOWS), [1]);
        assert_eq!(drops(&toml("flows = 1"), &TWO_FLOWS), [4, 5]);
    }

    #[test]
    fn spreading_anew_keeps_packets() {
        let arrivals: Vec<_> = (0..50u64).map(|at| (at * 1_000_000_000, 500, (at % 7) as u8)).collect();
        let toml = "kind = \"sfq\"\nperturb = \"10 ms\"";
        assert_eq!(order(toml, &arrivals).len() + drops(toml, &arrivals).len(), 50);
    }

    #[test]
    fn what_does_not_hold_together_is_told() {
        assert_eq!(
            told("kind = \"sfq\"\nlimit = 1", "1 Mbps").0,
            "a `limit` of fewer than 2 packets keeps `sfq` from queueing"
        );
        assert!(told(&toml("perturb = \"1 s\""), "1 Mbps").0.contains("`perturb` has no effect"));
    }
}
