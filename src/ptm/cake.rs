//! CAKE: a shaper, tins by code point, one queue per flow with fairness between hosts, and CoDel with BLUE.
//! Linux `cake`.
//!
//! `shaper` has the clock, `diffserv` the tins, `ways` the hash, `tin` the round of queues, and `cobalt` the
//! drops.

mod cobalt;
mod diffserv;
mod framing;
mod shaper;
mod spec;
mod tin;
mod ways;

pub use spec::{CakeLinkLayer, CakeSpec, Diffserv, Isolation};

use super::buffer::Backlog;
use super::discipline::Next;
use super::held::Queueing;
use super::psched::{instant, nanoseconds, span_ns};
use super::{Loss, Place};
use crate::flow::Flows;
use crate::packet::Tau;
use crate::random::{Draws, Stream, stream};
use crate::units::{Span, Time};
use framing::Framing;
use shaper::{ByteTime, Shaper};
use tin::Tin;
use ways::Hashes;

/// CAKE, as Linux runs it.
///
/// **Shaper.** A packet may leave when the shaper's clock has passed. It advances the clock by its
/// transmission time at `bandwidth`, however late it leaves. An idle clock restarts at the present. Lengths
/// are those on the link: `overhead`, `mpu`, `linklayer`.
///
/// **Tins.** The code point of a packet selects its tin. Each tin has a clock like the shaper's, at its
/// fraction of the rate. Among the tins with packets, the last one whose clock has passed sends; if no clock
/// has passed, the one whose clock passes first sends. Without a `bandwidth`, tins are served round robin, a
/// quantum each.
///
/// **Queues.** A hash selects one of 1,024 places and the seven beside it. A flow takes the place that it
/// had, or the first free one; it shares a place only if all eight are in use. A queue that was empty joins
/// the new queues, which are served first. A queue that has used up its credit gets new credit and goes
/// behind the old queues. The credit is a quantum, divided by the number of bulk flows of the source or
/// destination, as `isolation` says. Its fraction of a byte is rounded at random.
///
/// **COBALT.** Each queue has CoDel and BLUE.
/// - CoDel drops or marks a departing packet while packets wait for longer than the target. The first drop
///   comes one interval after that began, the next ones `interval / sqrt(count)` apart. While packets wait
///   for less, `count` falls at the same pace.
/// - The target is 1/20 of `rtt`, and at least 1.5 times the transmission time of the longest packet at the
///   tin's rate. CoDel does not drop a packet that has waited for at most four times that transmission time,
///   nor the last packet of a queue.
/// - The first interval of a queue that has never dropped is 0: the kernel's root of its `count` starts at 0.
/// - BLUE drops at random. Its probability rises by 1/256 when the queue overflows, and falls by 1/4096 when
///   the queue is served and is empty, each at most once per target.
/// - An empty queue keeps its place until the state of CoDel and BLUE has decayed. One such queue is checked
///   at each departure.
///
/// **Memory.** A packet counts as the buffer that it occupies. Above `memory_limit`, the queue with the most
/// bytes loses its oldest packet; among several such queues, any one.
///
/// With `ingress`, dropped packets count as sent.
///
/// # Complexity
/// O(tins) per packet; O(queues) per packet that overflows; O(decaying queues) when one of them gets a
/// packet.
///
/// # Source
/// Linux 6.1 `net/sched/sch_cake.c` (`cake_enqueue`, `cake_dequeue`, `cake_drop`, `cake_reconfigure`, and the
/// functions named in each submodule). Filters, firewall marks, `ack-filter`, `nat` and `autorate-ingress`
/// are not modelled.
pub struct Cake {
    tins: Vec<Tin>,
    diffserv: Diffserv,
    hashes: Hashes,
    memory_limit: u64,
    wash: bool,
    release_slack: Span,
    /// The tin that sent last, without a rate.
    current: usize,
    shared: Shared,
}

/// State shared by all tins.
struct Shared {
    shaper: Shaper,
    framing: Framing,
    isolation: Isolation,
    ingress: bool,
    /// The backlog of all tins.
    backlog: Backlog,
    /// The kernel memory that this occupies [B].
    memory: u64,
    random: Stream,
}

/// The minimum memory, unless it is given [B].
const LEAST_MEMORY: u32 = 4 << 20;

/// The default maximum of memory, in packets of maximum length.
const MOST_PACKETS: u32 = 10_240;

impl Cake {
    /// Creates an empty queue.
    pub fn new(spec: &CakeSpec, place: &Place<'_>) -> Self {
        let rate = spec.bandwidth.map_or(0, |rate| rate.as_bps() / 8);
        let mtu = u32::try_from(spec.mtu.get()).unwrap_or(u32::MAX);
        // Whole microseconds, as in the kernel.
        let rtt_us = (span_ns(spec.rtt) / 1_000).clamp(1, u32::MAX.into());
        let (target, interval) = ((rtt_us / 20).max(1) * 1_000, rtt_us * 1_000);
        let tin = |share| Tin::new(share, mtu, target, interval);
        Cake {
            tins: spec.diffserv.shares(rate).into_iter().map(tin).collect(),
            diffserv: spec.diffserv,
            hashes: Hashes::new(Draws::new(place.seed, "ptm", place.port), spec.isolation),
            memory_limit: spec.memory_limit.map_or_else(
                || default_memory(rate, rtt_us as u64, mtu),
                |limit| limit.get().min(u32::MAX.into()),
            ),
            wash: spec.wash,
            release_slack: spec.release_slack,
            current: 0,
            shared: Shared {
                shaper: Shaper::new(ByteTime::new(rate)),
                framing: Framing::new(spec),
                isolation: spec.isolation,
                ingress: spec.ingress,
                backlog: Backlog::default(),
                memory: 0,
                random: stream(place.seed, "ptm", place.port),
            },
        }
    }

    /// The tin that sends at `now`; `None` if no tin has a packet.
    fn choose(&mut self, now: i64) -> Option<usize> {
        if self.shared.shaper.is_unlimited() {
            return self.next_in_round();
        }
        let mut best: Option<(i64, usize)> = None;
        for (index, tin) in self.tins.iter().enumerate().filter(|(_, tin)| tin.is_active()) {
            let wait = tin.next() - now;
            if wait <= 0 || best.is_none_or(|(shortest, _)| wait <= shortest) {
                best = Some((wait, index));
            }
        }
        best.map(|(_, index)| index)
    }

    /// The next tin in the round, without a rate.
    fn next_in_round(&mut self) -> Option<usize> {
        if !self.tins.iter().any(Tin::is_active) {
            return None;
        }
        loop {
            let tin = &mut self.tins[self.current];
            if tin.is_active() && tin.is_solvent() {
                return Some(self.current);
            }
            tin.start_round();
            self.current = (self.current + 1) % self.tins.len();
        }
    }
}

/// The default memory limit for waiting packets [B]; the kernel computes it in 32 bits.
fn default_memory(rate: u64, rtt_us: u64, mtu: u32) -> u64 {
    let most = MOST_PACKETS.wrapping_mul(mtu);
    if rate == 0 {
        return most.into();
    }
    let four_times = (u128::from(rate) * u128::from(rtt_us) / 250_000) as u32;
    four_times.max(LEAST_MEMORY).min(most).into()
}

impl Queueing for Cake {
    fn enqueue(&mut self, mut tau: Tau, flows: &Flows, held: Backlog, losses: &mut Vec<Loss>) {
        let at = tau.timestamp;
        let hashes = self.hashes.of(tau.packet.fid, flows);
        let dscp = if hashes.is_arp { CLASS_7 } else { tau.packet.dscp };
        if self.wash {
            tau.packet.dscp = 0;
        }
        if (held + self.shared.backlog).packets() == 0 {
            self.shared.shaper.wake(nanoseconds(at));
        }
        self.tins[self.diffserv.tin(dscp & 63)].enqueue(tau, hashes, &mut self.shared);
        while self.shared.memory > self.memory_limit {
            let longest = self.tins.iter().zip(0..).filter_map(|(of, tin)| Some((of.longest()?, tin))).max();
            let Some(((_, queue), tin)) = longest else { break };
            self.tins[tin].overflow(queue, at, &mut self.shared, losses);
        }
    }

    fn take(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<Tau, Next> {
        let clock = nanoseconds(now);
        let mut decaying = true;
        while self.shared.backlog.packets() > 0 {
            if let Some(next) = self.shared.shaper.blocked_until(clock) {
                return Err(Next::Throttled(instant(next) + self.release_slack));
            }
            let Some(tin) = self.choose(clock) else { break };
            if let Some(tau) = self.tins[tin].serve(now, &mut decaying, &mut self.shared, losses) {
                return Ok(tau);
            }
        }
        Err(Next::Nothing)
    }

    fn backlog(&self) -> Backlog {
        self.shared.backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        for tin in &self.tins {
            tin.waiting(waiting);
        }
    }
}

/// The code point of network control (RFC 2474).
const CLASS_7: u8 = 56;

#[cfg(test)]
mod tests;
