//! FQ-PIE: one queue per flow, each with PIE, served round robin with new flows first.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::buffer::Backlog;
use super::discipline::Next;
use super::error::PtmError;
use super::flow_lists::FlowLists;
use super::flow_queues::{FlowQueues, SameQueue};
use super::fq_codel::{default_flows, default_limit, queues};
use super::held::Queueing;
use super::parameter::{bytes_above_zero, not_negative, quantum};
use super::pie::{
    Law, PieSpec, State, default_alpha, default_beta, default_hz, default_mark_ecnth, default_max_burst,
    default_mtu, default_target, t_update,
};
use super::psched::{jiffy, stepped_timer_period};
use super::{Loss, Place};
use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::random::{Stream, stream};
use crate::units::{ByteCount, Probability, Span, Time};

/// The parameters of an `fq-pie`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FqPieSpec {
    /// The maximum number of waiting packets (default: 10240).
    #[serde(default = "default_limit")]
    pub limit: u64,
    /// The number of queues over which flows are hashed, 1 to 65536 (default: 1024).
    #[serde(default = "default_flows", deserialize_with = "queues")]
    #[schemars(range(min = 1, max = 65_536))]
    pub flows: u32,
    /// The bytes that a queue may send per round, 256 B to 1 MiB (default: 1514 B).
    #[serde(default = "default_mtu", deserialize_with = "quantum")]
    pub quantum: ByteCount,
    /// The target waiting time of each queue (default: 15 ms).
    #[serde(default = "default_target")]
    pub target: Span,
    /// The update interval of the drop probabilities, 1 us or more; rounded up to jiffies, plus one jiffy
    /// (default: 15 ms).
    #[serde(default = "default_target", deserialize_with = "t_update")]
    pub t_update: Span,
    /// The length of a burst of a queue that is admitted without drops (default: 150 ms).
    #[serde(default = "default_max_burst")]
    pub max_burst: Span,
    /// The weight of the deviation from the target, per second (default: 0.125).
    #[serde(default = "default_alpha", deserialize_with = "not_negative")]
    #[schemars(range(min = 0))]
    pub alpha: f64,
    /// The weight of the change since the last update, per second (default: 1.25).
    #[serde(default = "default_beta", deserialize_with = "not_negative")]
    #[schemars(range(min = 0))]
    pub beta: f64,
    /// PIE drops nothing in a queue with less than two of these: the longest packet (default: 1514 B).
    #[serde(default = "default_mtu", deserialize_with = "bytes_above_zero")]
    pub mtu: ByteCount,
    /// Whether to mark ECN-capable packets instead of dropping them (default: false).
    #[serde(default)]
    pub ecn: bool,
    /// The drop probability above which ECN-capable packets are dropped too (default: 0.1).
    #[serde(default = "default_mark_ecnth")]
    pub mark_ecnth: Probability,
    /// The kernel's timer frequency, in interrupts (jiffies) per second (default: 250).
    #[serde(default = "default_hz")]
    pub hz: NonZeroU32,
    /// Groups of flows that share a queue, where this is known; every other flow has its own queue. Without
    /// this key, flows are hashed.
    #[serde(default)]
    pub same_queue: Option<SameQueue>,
}

impl Default for FqPieSpec {
    fn default() -> Self {
        FqPieSpec {
            limit: default_limit(),
            flows: default_flows(),
            quantum: default_mtu(),
            target: default_target(),
            t_update: default_target(),
            max_burst: default_max_burst(),
            alpha: default_alpha(),
            beta: default_beta(),
            mtu: default_mtu(),
            ecn: false,
            mark_ecnth: default_mark_ecnth(),
            hz: default_hz(),
            same_queue: None,
        }
    }
}

impl FqPieSpec {
    pub(super) fn check(&self) -> Result<(), PtmError> {
        self.same_queue.as_ref().map_or(Ok(()), SameQueue::check)
    }

    /// PIE in each queue.
    fn pie(&self) -> PieSpec {
        PieSpec {
            buffer: None,
            target: self.target,
            t_update: self.t_update,
            max_burst: self.max_burst,
            alpha: self.alpha,
            beta: self.beta,
            mtu: self.mtu,
            ecn: self.ecn,
            mark_ecnth: self.mark_ecnth,
            hz: self.hz,
        }
    }
}

/// The number of queues that the timer updates when it fires; the next ones follow a jiffy later.
const QUEUES_PER_STEP: u32 = 2_048;

/// FQ-PIE.
///
/// - The hash of the 5-tuple selects the queue of a packet; the hash differs between seeds and between ports.
///   `same_queue` assigns flows to queues instead.
/// - The packet is dropped if `limit` packets wait in all. Otherwise PIE (see [`Pie`](super::Pie)) decides,
///   with the probability and the bytes of its queue.
/// - Queues are served as in [`FqCodel`](super::FqCodel): new queues first, each with a credit in bytes.
/// - One timer updates the probabilities of all queues, including empty ones: 2048 at a time, the next 2048 a
///   jiffy later. After the last ones it waits for `t_update`, rounded up to jiffies, plus one jiffy. Its
///   phase is random.
///
/// A packet that has been taken from its queue still counts towards `limit`, but no longer as waiting in its
/// queue.
///
/// # Complexity
/// O(1) per packet and update; the updates of a queue are computed when a packet joins or leaves it.
///
/// # Source
/// Linux 6.1 `net/sched/sch_fq_pie.c` (`fq_pie_qdisc_enqueue`, `fq_pie_qdisc_dequeue`, `fq_pie_timer`) and
/// the functions of `sch_pie.c`, without `bytemode` and `dq_rate_estimator`. In Linux `memory_limit` only
/// counts packets and drops none; there is no such key here.
pub struct FqPie {
    law: Law,
    /// [packets]
    limit: u64,
    queue_of: FlowQueues,
    /// One per queue.
    queues: Vec<Queue>,
    lists: FlowLists,
    /// The backlog of the queues.
    backlog: Backlog,
    random: Stream,
}

struct Queue {
    packets: VecDeque<Tau>,
    bytes: u64,
    state: State,
}

impl FqPie {
    /// Creates an empty queue.
    pub fn new(spec: &FqPieSpec, place: &Place<'_>) -> Self {
        let mut random = stream(place.seed, "ptm", place.port);
        let last_step = (spec.flows - 1) / QUEUES_PER_STEP;
        let period = stepped_timer_period(spec.t_update, last_step.into(), spec.hz);
        let law = Law::new(&spec.pie(), period, place);
        let phase = law.draw_phase(&mut random).as_ps();
        let queue = |index| {
            let step = u64::from(index / QUEUES_PER_STEP) * jiffy(spec.hz).as_ps();
            let first_update = Span::from_ps((phase + step) % period.as_ps());
            Queue { packets: VecDeque::new(), bytes: 0, state: State::new(&law, first_update) }
        };
        FqPie {
            limit: spec.limit,
            queue_of: FlowQueues::new(spec.flows, spec.same_queue.as_ref(), place),
            queues: (0..spec.flows).map(queue).collect(),
            lists: FlowLists::new(spec.flows, spec.quantum),
            backlog: Backlog::default(),
            law,
            random,
        }
    }
}

impl Queueing for FqPie {
    fn enqueue(&mut self, mut tau: Tau, flows: &Flows, held: Backlog, losses: &mut Vec<Loss>) {
        let now = tau.timestamp;
        let index = self.queue_of.queue(tau.packet.fid, flows);
        let Queue { packets, bytes, state } = &mut self.queues[index];
        state.update_until(&self.law, now, *bytes);
        if (held + self.backlog).packets() >= self.limit {
            state.dropped();
            losses.push(Loss { tau, at: now, reason: DropReason::BufferFull });
        } else if !state.admits(&self.law, &mut tau, *bytes, &mut self.random) {
            losses.push(Loss { tau, at: now, reason: DropReason::EarlyDrop });
        } else {
            packets.push_back(tau);
            *bytes += u64::from(tau.packet.length);
            self.backlog.add(tau.packet.length);
            self.lists.join(index);
        }
    }

    fn take(&mut self, now: Time, _losses: &mut Vec<Loss>) -> Result<Tau, Next> {
        let FqPie { law, queues, backlog, .. } = self;
        let tau = self.lists.next(|index| {
            let Queue { packets, bytes, state } = &mut queues[index];
            state.update_until(law, now, *bytes);
            let tau = packets.pop_front()?;
            *bytes -= u64::from(tau.packet.length);
            backlog.remove(tau.packet.length);
            state.depart(law, tau.timestamp, now, *bytes);
            Some(tau)
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
