//! A tin: its queues, and the order in which they are served.

use std::collections::VecDeque;

use rand::Rng;

use super::Shared;
use super::cobalt::{Cobalt, Law};
use super::diffserv::Share;
use super::framing::memory;
use super::shaper::ByteTime;
use super::ways::{FlowHashes, Found, Hosts, QUEUES, Tags};
use crate::packet::{DropReason, Tau};
use crate::ptm::psched::nanoseconds;
use crate::ptm::{Isolation, Loss};
use crate::units::Time;

/// The state of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Standing {
    /// In no list.
    #[default]
    Idle,
    /// In the list of new queues.
    Sparse,
    /// In the list of old queues, but empty; it still counts as sparse.
    SparseWait,
    /// In the list of old queues.
    Bulk,
    /// In the list of empty queues whose COBALT state has not decayed.
    Decaying,
}

#[derive(Default)]
struct Queue {
    packets: VecDeque<Tau>,
    deficit: i64,
    cobalt: Cobalt,
    standing: Standing,
    /// The places of the queue's hosts.
    source: u16,
    destination: u16,
}

/// The lists of queues to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    New,
    Old,
    Decaying,
}

/// A tin.
pub(super) struct Tin {
    law: Law,
    rate: ByteTime,
    /// The quantum of a queue [B].
    flow_quantum: u32,
    share: Share,
    /// The bytes that the tin may still send, without a rate.
    deficit: i64,
    /// When the time of the packets sent, at the tin's rate, has passed [ns].
    next: i64,
    /// Empty before the first packet.
    queues: Vec<Queue>,
    /// The bytes of each queue.
    bytes: Vec<u64>,
    tags: Tags,
    sources: Hosts,
    destinations: Hosts,
    /// In the order of [`List`].
    lists: [VecDeque<u16>; 3],
    sparse_flows: u32,
    bulk_flows: u32,
    /// The bytes of all queues.
    backlog: u64,
}

impl Tin {
    /// `target` and `interval` [ns] are those of a fast tin; `mtu` is the longest packet [B].
    pub fn new(share: Share, mtu: u32, target: i64, interval: i64) -> Self {
        let rate = ByteTime::new(share.threshold);
        let flow_quantum = match share.threshold {
            0 => 1_514,
            threshold => (threshold >> 12).clamp(300, 1_514) as u32,
        };
        Tin {
            law: Law::new(target, interval, rate.time(mtu)),
            rate,
            flow_quantum,
            share,
            deficit: 0,
            next: 0,
            queues: Vec::new(),
            bytes: Vec::new(),
            tags: Tags::new(),
            sources: Hosts::new(),
            destinations: Hosts::new(),
            lists: Default::default(),
            sparse_flows: 0,
            bulk_flows: 0,
            backlog: 0,
        }
    }

    /// Whether a queue is waiting to be served.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.sparse_flows + self.bulk_flows > 0
    }

    /// When the time of the packets sent, at the tin's rate, has passed [ns].
    #[inline]
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Whether the tin may send, without a rate.
    pub fn is_solvent(&self) -> bool {
        self.deficit >= 0
    }

    /// Starts a round, without a rate.
    pub fn start_round(&mut self) {
        if self.deficit <= 0 {
            self.deficit += i64::from(self.share.quantum);
        }
    }

    /// The bytes and the index of the queue with the most bytes; `None` if all are empty.
    pub fn longest(&self) -> Option<(u64, usize)> {
        let with_bytes = self.bytes.iter().zip(0..).filter(|(bytes, _)| **bytes > 0);
        with_bytes.map(|(bytes, queue)| (*bytes, queue)).max()
    }

    /// Appends every packet that waits.
    pub fn waiting(&self, waiting: &mut Vec<Tau>) {
        for queue in &self.queues {
            waiting.extend(&queue.packets);
        }
    }

    /// Enqueues a packet in the queue of its flow.
    pub fn enqueue(&mut self, tau: Tau, hashes: FlowHashes, shared: &mut Shared) {
        if self.queues.is_empty() {
            self.queues.resize_with(QUEUES, Queue::default);
            self.bytes.resize(QUEUES, 0);
        }
        let index = self.queue_of(hashes, shared.isolation);
        if self.backlog == 0 {
            self.next = self.next.max(nanoseconds(tau.timestamp));
        }
        let length = tau.packet.length;
        self.queues[index].packets.push_back(tau);
        self.bytes[index] += u64::from(length);
        self.backlog += u64::from(length);
        shared.backlog.add(length);
        shared.memory += u64::from(memory(length));
        match self.queues[index].standing {
            standing @ (Standing::Idle | Standing::Decaying) => {
                if standing == Standing::Decaying {
                    let decaying = &mut self.lists[List::Decaying as usize];
                    let at = decaying.iter().position(|queue| usize::from(*queue) == index);
                    at.and_then(|at| decaying.remove(at));
                }
                self.lists[List::New as usize].push_back(index as u16);
                self.sparse_flows += 1;
                self.queues[index].standing = Standing::Sparse;
                self.queues[index].deficit = self.turn(index, shared);
            }
            Standing::SparseWait => self.becomes_bulk(index, shared.isolation),
            Standing::Sparse | Standing::Bulk => {}
        }
    }

    /// The queue of a flow; updates the places of its hosts if they may have changed.
    fn queue_of(&mut self, hashes: FlowHashes, isolation: Isolation) -> usize {
        if isolation == Isolation::Flowblind {
            return 0;
        }
        let queues = &self.queues;
        let place = self.tags.find(hashes.queue, |place| queues[place].standing != Standing::Idle);
        let index = match place {
            Found::Kept(index) => return index,
            Found::Free(index) | Found::Shared(index) => index,
        };
        // Where flows share a queue, it counts for the hosts of the latest flow.
        let is_bulk = self.queues[index].standing == Standing::Bulk;
        if is_bulk {
            self.leaves_hosts(index, isolation);
        }
        let queue = &mut self.queues[index];
        if isolation.by_source() {
            queue.source = self.sources.find(hashes.source);
        }
        if isolation.by_destination() {
            queue.destination = self.destinations.find(hashes.destination);
        }
        if is_bulk {
            self.joins_hosts(index, isolation);
        }
        index
    }

    fn joins_hosts(&mut self, index: usize, isolation: Isolation) {
        let Queue { source, destination, .. } = self.queues[index];
        if isolation.by_source() {
            self.sources.add(source);
        }
        if isolation.by_destination() {
            self.destinations.add(destination);
        }
    }

    fn leaves_hosts(&mut self, index: usize, isolation: Isolation) {
        let Queue { source, destination, .. } = self.queues[index];
        if isolation.by_source() {
            self.sources.remove(source);
        }
        if isolation.by_destination() {
            self.destinations.remove(destination);
        }
    }

    /// A sparse queue becomes a bulk queue.
    fn becomes_bulk(&mut self, index: usize, isolation: Isolation) {
        self.queues[index].standing = Standing::Bulk;
        self.sparse_flows -= 1;
        self.bulk_flows += 1;
        self.joins_hosts(index, isolation);
    }

    /// The credit of a queue for one round: a quantum, divided by the number of bulk flows of its busier
    /// host. A fraction of a byte is rounded up or down at random, with the right mean.
    fn turn(&self, index: usize, shared: &mut Shared) -> i64 {
        let Queue { source, destination, .. } = self.queues[index];
        let mut load = 1;
        if shared.isolation.by_source() {
            load = load.max(self.sources.bulk_flows(source));
        }
        if shared.isolation.by_destination() {
            load = load.max(self.destinations.bulk_flows(destination));
        }
        let part = u32::from(u16::MAX / load);
        let dither = shared.random.next_u32() & u32::from(u16::MAX);
        i64::from((self.flow_quantum * part + dither) >> 16)
    }

    /// Takes the head of a queue.
    fn pull(&mut self, index: usize, shared: &mut Shared) -> Option<Tau> {
        let tau = self.queues[index].packets.pop_front()?;
        let length = tau.packet.length;
        self.bytes[index] -= u64::from(length);
        self.backlog -= u64::from(length);
        shared.backlog.remove(length);
        shared.memory -= u64::from(memory(length));
        Some(tau)
    }

    /// A queue loses its head because memory ran out.
    pub fn overflow(&mut self, index: usize, at: Time, shared: &mut Shared, losses: &mut Vec<Loss>) {
        let Some(tau) = self.pull(index, shared) else { return };
        let now = nanoseconds(at);
        self.queues[index].cobalt.overflowed(&self.law, now);
        if shared.ingress {
            self.charge(tau.packet.length, now, true, shared);
        }
        losses.push(Loss { tau, at, reason: DropReason::BufferFull });
    }

    /// Charges a packet to the tin's clock and the shaper. Returns its length on the link.
    fn charge(&mut self, length: u32, now: i64, is_lost: bool, shared: &mut Shared) -> i64 {
        let length = shared.framing.length(length);
        if !shared.shaper.is_unlimited() {
            let time = self.rate.time(length);
            self.next = if self.next < now { self.next + time } else { self.next.max(now + time) };
            shared.shaper.charge(length, is_lost);
        }
        length.into()
    }

    /// The packet that leaves at `at`; `None` if a queue was served and was empty. With `decaying`, an empty
    /// queue that is still decaying is served first, once.
    pub fn serve(
        &mut self,
        at: Time,
        decaying: &mut bool,
        shared: &mut Shared,
        losses: &mut Vec<Loss>,
    ) -> Option<Tau> {
        let now = nanoseconds(at);
        loop {
            let (list, index) = self.first(std::mem::take(decaying))?;
            if self.queues[index].deficit <= 0 {
                self.end_turn(list, index, shared);
                continue;
            }
            let Some(mut tau) = self.pull(index, shared) else {
                self.retire(list, index, now, shared.isolation);
                return None;
            };
            loop {
                let bulk_flows = if shared.ingress { self.bulk_flows } else { 0 };
                let Queue { cobalt, packets, .. } = &mut self.queues[index];
                let verdict = cobalt.judge(&self.law, now, &mut tau, bulk_flows, &mut shared.random);
                // The last packet of a queue is not dropped.
                let Some(reason) = verdict.filter(|_| !packets.is_empty()) else {
                    self.pay(index, tau.packet.length, now, false, shared);
                    return Some(tau);
                };
                losses.push(Loss { tau, at, reason });
                if shared.ingress {
                    self.pay(index, tau.packet.length, now, true, shared);
                    break;
                }
                tau = self.pull(index, shared)?;
            }
        }
    }

    /// Charges a packet to a queue and to the tin.
    fn pay(&mut self, index: usize, length: u32, now: i64, is_lost: bool, shared: &mut Shared) {
        let length = self.charge(length, now, is_lost, shared);
        self.queues[index].deficit -= length;
        self.deficit -= length;
    }

    /// The queue to be served next, and its list.
    fn first(&self, decaying: bool) -> Option<(List, usize)> {
        let mut order = [List::Decaying, List::New, List::Old, List::Decaying].into_iter();
        if !decaying {
            order.next();
        }
        order.find_map(|list| Some((list, usize::from(*self.lists[list as usize].front()?))))
    }

    /// A queue has used up its credit: it gets more, behind the old queues.
    fn end_turn(&mut self, list: List, index: usize, shared: &mut Shared) {
        if self.queues[index].standing == Standing::Sparse {
            if self.queues[index].packets.is_empty() {
                self.queues[index].standing = Standing::SparseWait;
            } else {
                self.becomes_bulk(index, shared.isolation);
            }
        }
        let turn = self.turn(index, shared);
        self.queues[index].deficit += turn;
        self.lists[list as usize].pop_front();
        self.lists[List::Old as usize].push_back(index as u16);
    }

    /// An empty queue was served: it leaves its list, and decays or becomes free.
    fn retire(&mut self, list: List, index: usize, now: i64, isolation: Isolation) {
        self.lists[list as usize].pop_front();
        let queue = &mut self.queues[index];
        queue.cobalt.emptied(&self.law, now);
        let is_active = queue.cobalt.is_active(now);
        let before = std::mem::replace(
            &mut queue.standing,
            if is_active { Standing::Decaying } else { Standing::Idle },
        );
        if is_active {
            self.lists[List::Decaying as usize].push_back(index as u16);
        }
        match before {
            Standing::Bulk => {
                self.bulk_flows -= 1;
                self.leaves_hosts(index, isolation);
            }
            Standing::Sparse | Standing::SparseWait => self.sparse_flows -= 1,
            Standing::Idle | Standing::Decaying => {}
        }
    }
}
