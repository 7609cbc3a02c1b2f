//! Fair queueing with pacing: one queue per flow, served by credit, new flows first. Linux `fq`.

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::buffer::Backlog;
use super::discipline::Next;
use super::error::PtmError;
use super::flow_queues::{FlowQueues, SameQueue};
use super::held::Queueing;
use super::parameter::{bytes_above_zero, hash_values};
use super::psched::{self, Clock, instant, nanoseconds, span_ns};
use super::{Loss, Place};
use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::units::{ByteCount, Rate, Span, Time};

/// The parameters of an `fq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FqSpec {
    /// The maximum number of waiting packets (default: 10000).
    #[serde(default = "default_limit")]
    pub limit: u64,
    /// The maximum number of waiting packets of a flow (default: 100).
    #[serde(default = "default_flow_limit")]
    pub flow_limit: u64,
    /// The credit per round (default: 3028 B, two of the longest packets).
    #[serde(default = "default_quantum", deserialize_with = "bytes_above_zero")]
    pub quantum: ByteCount,
    /// The initial credit of a new flow (default: 15140 B, ten of the longest packets).
    #[serde(default = "default_initial_quantum")]
    pub initial_quantum: ByteCount,
    /// The number of hash values for flows: Linux's `orphan_mask` plus one, a power of 2 (default: 1024).
    #[serde(default = "default_flows", deserialize_with = "hash_values")]
    #[schemars(range(min = 1, max = 65_536))]
    pub flows: u32,
    /// The maximum rate of each flow (default: unlimited).
    #[serde(default)]
    pub max_rate: Option<Rate>,
    /// Flows whose `max_rate` is at most this are paced packet by packet, without credit (default: 550 kbps).
    #[serde(default = "default_low_rate")]
    pub low_rate_threshold: Rate,
    /// After this time without packets, the credit of a flow is raised to at least a quantum (default: 40
    /// ms).
    #[serde(default = "default_refill_delay")]
    pub refill_delay: Span,
    /// The maximum lateness of the timer that releases paced packets (default: 10 us).
    #[serde(default = "default_timer_slack")]
    pub timer_slack: Span,
    /// Marks every ECN-capable packet that leaves more than this after it was due (default: no marking).
    #[serde(default)]
    pub ce_threshold: Option<Span>,
    /// The kernel's timer frequency, in interrupts (jiffies) per second; `refill_delay` is counted in jiffies
    /// (default: 250).
    #[serde(default = "default_hz")]
    pub hz: NonZeroU32,
    /// Groups of flows that share a queue, where this is known; every other flow has its own queue. Without
    /// this key, flows are hashed.
    #[serde(default)]
    pub same_queue: Option<SameQueue>,
}

fn default_limit() -> u64 {
    10_000
}

fn default_flow_limit() -> u64 {
    100
}

fn default_quantum() -> ByteCount {
    ByteCount::new(2 * 1_514)
}

fn default_initial_quantum() -> ByteCount {
    ByteCount::new(10 * 1_514)
}

fn default_flows() -> u32 {
    1_024
}

fn default_low_rate() -> Rate {
    const { Rate::from_bps(550_000).expect("550 kbps is a rate") }
}

fn default_refill_delay() -> Span {
    Span::from_ns(40_000_000)
}

fn default_timer_slack() -> Span {
    Span::from_ns(10_000)
}

fn default_hz() -> NonZeroU32 {
    psched::DEFAULT_HZ
}

impl Default for FqSpec {
    fn default() -> Self {
        FqSpec {
            limit: default_limit(),
            flow_limit: default_flow_limit(),
            quantum: default_quantum(),
            initial_quantum: default_initial_quantum(),
            flows: default_flows(),
            max_rate: None,
            low_rate_threshold: default_low_rate(),
            refill_delay: default_refill_delay(),
            timer_slack: default_timer_slack(),
            ce_threshold: None,
            hz: default_hz(),
            same_queue: None,
        }
    }
}

impl FqSpec {
    pub(super) fn check(&self) -> Result<(), PtmError> {
        self.same_queue.as_ref().map_or(Ok(()), SameQueue::check)
    }
}

/// FQ, for forwarded packets.
///
/// - The hash of the 5-tuple selects the queue of a packet; the hash differs between seeds and between ports.
///   `same_queue` assigns flows to queues instead. A packet is dropped if `limit` packets wait in all, or
///   `flow_limit` in its queue.
/// - A queue that was empty joins the new queues. It keeps its credit; after `refill_delay` without packets
///   the credit is at least a quantum. The initial credit is `initial_quantum`.
/// - The first new queue is served; if there is none, the first old queue. A queue without credit gets a
///   quantum and goes behind the old queues. An empty new queue also goes there if there are old queues;
///   otherwise an empty queue leaves.
/// - A packet that leaves is charged to the credit of its queue, which may become negative.
/// - With `max_rate`, a queue whose credit is used up waits for the transmission time of its packet (at least
///   of a quantum) at that rate; then it goes behind the old queues. At `low_rate_threshold` or less it waits
///   after every packet. Lateness of the timer is made up for, by at most half of that time.
///
/// A packet that has been taken from its queue still counts towards `limit`.
///
/// # Complexity
/// O(1) per packet; O(log queues) with `max_rate`.
///
/// Linux 6.1 `net/sched/sch_fq.c` (`fq_enqueue`, `fq_dequeue`, `fq_check_throttled`) and `sch_api.c`
/// (`qdisc_watchdog_schedule_range_ns`). Forwarded packets carry none of the settings of local sockets (their
/// rates, departure times, control traffic). Queues are never removed; the kernel removes queues that are
/// idle for 3 s or longer when there are more than twice as many queues as buckets.
pub struct Fq {
    spec: FqSpec,
    clock: Clock,
    /// Nanoseconds per jiffy.
    jiffy: u64,
    /// [jiffies]
    refill_delay: u64,
    queue_of: FlowQueues,
    queues: Vec<Queue>,
    new: VecDeque<u32>,
    old: VecDeque<u32>,
    /// Throttled queues, by the end of their wait [ns] and in order of arrival.
    throttled: BTreeSet<(i64, u64, u32)>,
    throttles: u64,
    /// The instant for which the timer is set; it fires up to `timer_slack` later [ns].
    timer: i64,
    backlog: Backlog,
}

struct Queue {
    packets: VecDeque<Tau>,
    credit: i64,
    /// When it became empty [jiffies], or [`NEVER_SEEN`]; `None` while it is in a list.
    left: Option<u64>,
    /// No packet leaves before this [ns].
    due: i64,
}

/// Later than any refill, so the first credit is unchanged.
const NEVER_SEEN: u64 = u64::MAX;

impl Fq {
    /// Creates an empty queue.
    pub fn new(spec: &FqSpec, place: &Place<'_>) -> Self {
        let jiffy = 1_000_000_000 / u64::from(spec.hz.get()).min(1_000_000_000);
        let credit = i64::try_from(spec.initial_quantum.get()).unwrap_or(i64::MAX);
        let queue = || Queue { packets: VecDeque::new(), credit, left: Some(NEVER_SEEN), due: 0 };
        Fq {
            clock: Clock::new(place.start),
            jiffy,
            refill_delay: (span_ns(spec.refill_delay) as u64).div_ceil(jiffy),
            queue_of: FlowQueues::new(spec.flows, spec.same_queue.as_ref(), place),
            queues: std::iter::repeat_with(queue).take(spec.flows as usize).collect(),
            new: VecDeque::new(),
            old: VecDeque::new(),
            throttled: BTreeSet::new(),
            throttles: 0,
            timer: i64::MIN / 2,
            backlog: Backlog::default(),
            spec: spec.clone(),
        }
    }

    fn jiffies(&self, now: Time) -> u64 {
        self.clock.ns(now) / self.jiffy
    }

    /// Queues whose wait has ended by `now` go behind the old queues.
    fn release(&mut self, now: i64) {
        while let Some(&(due, _, index)) = self.throttled.first()
            && due <= now
        {
            self.throttled.pop_first();
            self.old.push_back(index);
        }
    }

    /// Takes the packet that leaves at `now` from its queue, or says when one may leave if any waits.
    fn next_packet(&mut self, now: Time) -> Result<Tau, Next> {
        if self.backlog.packets() == 0 {
            // The lists stay unchanged.
            return Err(Next::Nothing);
        }
        let clock = nanoseconds(now);
        let quantum = i64::try_from(self.spec.quantum.get()).unwrap_or(i64::MAX);
        self.release(clock);
        loop {
            let from_new = !self.new.is_empty();
            let list = if from_new { &mut self.new } else { &mut self.old };
            let Some(&index) = list.front() else {
                return Err(self
                    .throttled
                    .first()
                    .map(|(due, ..)| *due)
                    .map_or(Next::Nothing, |due| Next::Throttled(self.set_timer(clock, due).max(now))));
            };
            let queue = &mut self.queues[index as usize];
            if queue.credit <= 0 {
                queue.credit = queue.credit.saturating_add(quantum);
                list.pop_front();
                self.old.push_back(index);
                continue;
            }
            let Some(&head) = queue.packets.front() else {
                list.pop_front();
                if from_new && !self.old.is_empty() {
                    self.old.push_back(index);
                } else {
                    let left = self.jiffies(now) | 1;
                    self.queues[index as usize].left = Some(left);
                }
                continue;
            };
            let due = nanoseconds(head.timestamp).max(queue.due);
            if clock < due {
                queue.due = due;
                list.pop_front();
                self.throttles += 1;
                self.throttled.insert((due, self.throttles, index));
                continue;
            }
            queue.packets.pop_front();
            return Ok(self.send(index as usize, head, clock, due));
        }
    }

    /// Sets the timer for `due`, and returns when it fires. A timer that is already set for at most a slack
    /// later is kept.
    fn set_timer(&mut self, clock: i64, due: i64) -> Time {
        let slack = span_ns(self.spec.timer_slack);
        let is_set = self.timer + slack > clock;
        if !(is_set && (due..=due + slack).contains(&self.timer)) {
            self.timer = due;
        }
        instant(self.timer + slack)
    }

    /// A packet of a queue leaves at `clock`; it was allowed to leave at `due`.
    fn send(&mut self, index: usize, mut tau: Tau, clock: i64, due: i64) -> Tau {
        let length = tau.packet.length;
        self.backlog.remove(length);
        if self.spec.ce_threshold.is_some_and(|threshold| clock - due > span_ns(threshold)) {
            tau.packet.mark_congestion();
        }
        let queue = &mut self.queues[index];
        queue.credit -= i64::from(length);
        let Some(rate) = self.spec.max_rate else { return tau };
        let mut bytes = u64::from(length);
        if rate <= self.spec.low_rate_threshold {
            queue.credit = 0;
        } else {
            bytes = bytes.max(self.spec.quantum.get());
            if queue.credit > 0 {
                return tau;
            }
        }
        let bytes_per_s = u128::from((rate.as_bps() / 8).max(1));
        let mut wait = (u128::from(bytes) * 1_000_000_000 / bytes_per_s).min(1_000_000_000) as i64;
        if queue.due > 0 {
            wait -= (wait / 2).min(clock - queue.due);
        }
        queue.due = clock + wait;
        tau
    }
}

impl Queueing for Fq {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, held: Backlog, losses: &mut Vec<Loss>) {
        let lost = Loss { tau, at: tau.timestamp, reason: DropReason::BufferFull };
        if (held + self.backlog).packets() >= self.spec.limit {
            losses.push(lost);
            return;
        }
        let index = self.queue_of.queue(tau.packet.fid, flows);
        let now = self.jiffies(tau.timestamp);
        let queue = &mut self.queues[index];
        if queue.packets.len() as u64 >= self.spec.flow_limit {
            losses.push(lost);
            return;
        }
        if let Some(left) = queue.left.take() {
            self.new.push_back(index as u32);
            if now > left.saturating_add(self.refill_delay) {
                queue.credit = queue.credit.max(i64::try_from(self.spec.quantum.get()).unwrap_or(i64::MAX));
            }
        }
        queue.packets.push_back(tau);
        self.backlog.add(tau.packet.length);
    }

    fn take(&mut self, now: Time, _losses: &mut Vec<Loss>) -> Result<Tau, Next> {
        self.next_packet(now)
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
    use crate::ptm::testing::{MS, departures, drops, order};

    fn toml(keys: &str) -> String {
        format!("kind = \"fq\"\nsame_queue = []\n{keys}")
    }

    #[test]
    fn new_flows_go_before_old_ones_and_credit_takes_turns() {
        // Flow 1 has used up its first credit (500 B) with packet 0; flow 2 is new.
        let arrivals = [(0, 1_000, 1), (0, 1_000, 1), (0, 1_000, 1), (0, 100, 2)];
        let toml = toml("initial_quantum = \"500 B\"\nquantum = \"1000 B\"");
        assert_eq!(order(&toml, &arrivals), [0, 3, 1, 2]);
    }

    #[test]
    fn packets_beyond_the_limits_are_dropped() {
        let arrivals =
            [(0, 1_000, 1), (0, 1_000, 1), (0, 1_000, 1), (0, 1_000, 1), (0, 1_000, 2), (0, 1_000, 2)];
        assert_eq!(drops(&toml("flow_limit = 2"), &arrivals), [3]);
        assert_eq!(drops(&toml("limit = 4"), &arrivals), [5]);
    }

    #[test]
    fn a_flow_waits_for_its_time_at_the_most_rate() {
        // 125 B take 1 ms at 1 Mbps. The credit of 125 B is used up with each packet; the timer fires 1 us
        // late, which is made up for.
        let keys =
            "max_rate = \"1 Mbps\"\nquantum = \"125 B\"\ninitial_quantum = \"125 B\"\ntimer_slack = \"1 us\"";
        let us = MS / 1_000;
        let got = departures(&toml(keys), "unlimited", &[(0, 125, 1), (0, 125, 1), (0, 125, 1)]);
        assert_eq!(got, [(0, 0), (1, MS + us), (2, 2 * MS + us)]);
        // Another flow runs the queue in between, so the first leaves on time.
        let helped = departures(&toml(keys), "unlimited", &[(0, 125, 1), (0, 125, 1), (MS, 125, 2)]);
        assert_eq!(helped, [(0, 0), (2, MS), (1, MS)]);
    }
}
