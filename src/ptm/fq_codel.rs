//! FQ-CoDel: one queue per flow, each with CoDel, served round robin with new flows first.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::buffer::Backlog;
use super::codel::{CodelSpec, Dequeue, Law, State, default_interval, default_mtu, default_target};
use super::discipline::Next;
use super::error::PtmError;
use super::flow_lists::FlowLists;
use super::flow_queues::{FlowQueues, SameQueue};
use super::held::Queueing;
use super::parameter::span_above_zero;
use super::{Loss, Place};
use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::units::{ByteCount, Span, Time};

/// The parameters of an `fq-codel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FqCodelSpec {
    /// The maximum number of waiting packets (default: 10240).
    #[serde(default = "default_limit")]
    pub limit: u64,
    /// The maximum number of waiting bytes (default: 32 MiB).
    #[serde(default = "default_memory_limit")]
    pub memory_limit: ByteCount,
    /// The number of queues over which flows are hashed, 1 to 65536 (default: 1024).
    #[serde(default = "default_flows", deserialize_with = "queues")]
    #[schemars(range(min = 1, max = 65_536))]
    pub flows: u32,
    /// The bytes that a queue may send per round, 256 B or more (default: 1514 B).
    #[serde(default = "default_mtu", deserialize_with = "quantum")]
    pub quantum: ByteCount,
    /// The maximum number of packets dropped at once from the longest queue, when a limit is exceeded
    /// (default: 64).
    #[serde(default = "default_drop_batch", deserialize_with = "drop_batch")]
    #[schemars(range(min = 1))]
    pub drop_batch: u64,
    /// The acceptable standing waiting time (default: 5 ms).
    #[serde(default = "default_target")]
    pub target: Span,
    /// How long packets must wait longer than `target` before one is dropped (default: 100 ms).
    #[serde(default = "default_interval", deserialize_with = "span_above_zero")]
    pub interval: Span,
    /// CoDel drops nothing while at most this much waits in all: the longest packet (default: 1514 B).
    #[serde(default = "default_mtu")]
    pub mtu: ByteCount,
    /// Whether to mark ECN-capable packets instead of dropping them (default: true).
    #[serde(default = "default_ecn")]
    pub ecn: bool,
    /// Marks every ECN-capable packet that has waited longer than this (default: no such marking).
    #[serde(default)]
    pub ce_threshold: Option<Span>,
    /// Groups of flows that share a queue, where this is known; every other flow has its own queue. Without
    /// this key, flows are hashed.
    #[serde(default)]
    pub same_queue: Option<SameQueue>,
}

pub(super) fn default_limit() -> u64 {
    10_240
}

fn default_memory_limit() -> ByteCount {
    ByteCount::new(32 << 20)
}

pub(super) fn default_flows() -> u32 {
    1_024
}

fn default_drop_batch() -> u64 {
    64
}

fn default_ecn() -> bool {
    true
}

/// The smallest quantum that Linux accepts; with less, a queue too often sends nothing in a round.
const LEAST_QUANTUM: u64 = 256;

/// Reads a number of queues.
pub(super) fn queues<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        flows @ 1..=65_536 => Ok(flows),
        flows => Err(de::Error::custom(format_args!(
            "{flows} queues are out of range; write 1 to 65536, such as 1024"
        ))),
    }
}

fn quantum<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteCount, D::Error> {
    let quantum = ByteCount::deserialize(deserializer)?;
    if quantum.get() < LEAST_QUANTUM {
        let message = format!("a quantum of {quantum} is too small: 256 B or more, such as \"1514 B\"");
        return Err(de::Error::custom(message));
    }
    Ok(quantum)
}

fn drop_batch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        0 => Err(de::Error::custom("a batch of 0 packets makes no room; write 1 or more, such as 64")),
        packets => Ok(packets),
    }
}

impl Default for FqCodelSpec {
    fn default() -> Self {
        FqCodelSpec {
            limit: default_limit(),
            memory_limit: default_memory_limit(),
            flows: default_flows(),
            quantum: default_mtu(),
            drop_batch: default_drop_batch(),
            target: default_target(),
            interval: default_interval(),
            mtu: default_mtu(),
            ecn: default_ecn(),
            ce_threshold: None,
            same_queue: None,
        }
    }
}

impl FqCodelSpec {
    pub(super) fn check(&self) -> Result<(), PtmError> {
        self.same_queue.as_ref().map_or(Ok(()), SameQueue::check)
    }
}

/// FQ-CoDel.
///
/// - The hash of the 5-tuple selects the queue of a packet; the hash differs between seeds and between ports.
///   `same_queue` assigns flows to queues instead.
/// - When more than `limit` packets or `memory_limit` bytes wait, with the arriving packet, the queue with
///   the most bytes loses packets from its head: half of its bytes, at most `drop_batch` packets. CoDel
///   counts them as drops.
/// - A queue that was empty joins the new queues, with a quantum of credit. The first new queue is served; if
///   there is none, the first old queue. A queue without credit gets a quantum and goes behind the old
///   queues. An empty new queue also goes there, which keeps it from becoming new again at once. An empty old
///   queue leaves.
/// - The queue that is served sends the packet that CoDel gives (see [`Codel`](super::Codel)). The packet is
///   charged to the credit of the queue, which may become negative.
///
/// The decision about a packet is final when it is taken from the queue; it still counts towards `limit`.
///
/// # Complexity
/// O(1) per packet; O(flows) per batch of drops.
///
/// # Source
/// Linux 6.1 `net/sched/sch_fq_codel.c` (`fq_codel_enqueue`, `fq_codel_drop`, `fq_codel_dequeue`); RFC 8290,
/// Sections 4.1 and 4.2. CoDel's check for at most one packet of bytes counts all queues together. Memory is
/// counted in bytes on the wire; Linux counts the true size of its buffers.
pub struct FqCodel {
    law: Law,
    spec: FqCodelSpec,
    queue_of: FlowQueues,
    /// One per queue.
    queues: Vec<Queue>,
    /// The bytes of each queue, contiguous for the search for the longest.
    bytes: Vec<u64>,
    lists: FlowLists,
    /// The backlog of the queues.
    backlog: Backlog,
}

#[derive(Default)]
struct Queue {
    packets: VecDeque<Tau>,
    state: State,
}

/// One queue, with the totals of the discipline.
struct Turn<'a> {
    packets: &'a mut VecDeque<Tau>,
    bytes: &'a mut u64,
    backlog: &'a mut Backlog,
}

impl Dequeue for Turn<'_> {
    fn take(&mut self) -> Option<Tau> {
        let tau = self.packets.pop_front()?;
        *self.bytes -= u64::from(tau.packet.length);
        self.backlog.remove(tau.packet.length);
        Some(tau)
    }

    fn bytes(&self) -> u64 {
        self.backlog.bytes()
    }
}

impl FqCodel {
    /// Creates an empty queue.
    pub fn new(spec: &FqCodelSpec, place: &Place<'_>) -> Self {
        let codel = CodelSpec {
            buffer: None,
            target: spec.target,
            interval: spec.interval,
            mtu: spec.mtu,
            ecn: spec.ecn,
            ce_threshold: spec.ce_threshold,
        };
        let flows = spec.flows as usize;
        FqCodel {
            law: Law::new(&codel, place),
            spec: spec.clone(),
            queue_of: FlowQueues::new(spec.flows, spec.same_queue.as_ref(), place),
            queues: std::iter::repeat_with(Queue::default).take(flows).collect(),
            bytes: vec![0; flows],
            lists: FlowLists::new(spec.flows, spec.quantum),
            backlog: Backlog::default(),
        }
    }

    /// Makes room: drops from the head of the queue with the most bytes.
    fn drop_batch(&mut self, now: Time, losses: &mut Vec<Loss>) {
        let mut longest = 0;
        for (index, &bytes) in self.bytes.iter().enumerate() {
            if bytes > self.bytes[longest] {
                longest = index;
            }
        }
        let half = self.bytes[longest] / 2;
        let Queue { packets, state } = &mut self.queues[longest];
        let mut turn = Turn { packets, bytes: &mut self.bytes[longest], backlog: &mut self.backlog };
        let (mut dropped, mut bytes) = (0, 0);
        while let Some(tau) = turn.take() {
            losses.push(Loss { tau, at: now, reason: DropReason::BufferFull });
            dropped += 1;
            bytes += u64::from(tau.packet.length);
            if dropped >= self.spec.drop_batch || bytes >= half {
                break;
            }
        }
        state.dropped_elsewhere(dropped);
    }
}

impl Queueing for FqCodel {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, held: Backlog, losses: &mut Vec<Loss>) {
        let index = self.queue_of.queue(tau.packet.fid, flows);
        self.queues[index].packets.push_back(tau);
        self.bytes[index] += u64::from(tau.packet.length);
        self.backlog.add(tau.packet.length);
        self.lists.join(index);
        let waits = held + self.backlog;
        if waits.packets() > self.spec.limit || self.backlog.bytes() > self.spec.memory_limit.get() {
            self.drop_batch(tau.timestamp, losses);
        }
    }

    fn take(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<Tau, Next> {
        let FqCodel { law, queues, bytes, backlog, .. } = self;
        let tau = self.lists.next(|index| {
            let Queue { packets, state } = &mut queues[index];
            let mut turn = Turn { packets, bytes: &mut bytes[index], backlog };
            state.dequeue(law, now, &mut turn, losses)
        });
        tau.ok_or(Next::Nothing)
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
mod tests;
