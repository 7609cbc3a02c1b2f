//! Packet traffic management: how long a packet waits at an egress port, or that it is dropped.
//!
//! A PTM is a causal function from an ingress stream to an egress stream. The [`Ptm`] trait offers
//! it in two forms: one event at a time ([`arrive`](Ptm::arrive),
//! [`next_departure`](Ptm::next_departure), [`depart`](Ptm::depart)) and a batch at a time
//! ([`forward_trace`](Ptm::forward_trace)). Both give the same departures; a property test holds
//! every model to that.
//!
//! Most models are a queueing [`Discipline`] behind a [`Server`]; a model whose departures are known at
//! arrival ([`Fifo`]) is a PTM of its own. A discipline that takes a packet out when it is asked which one goes next is a
//! [`Queueing`], [`Held`].
//!
//! To add a discipline: one file here with its parameters (`FooSpec`) and its model, one line in
//! [`PtmSpec`] and one in [`PtmSpec::discipline`]; and one in [`PtmSpec::check`] where parameters may contradict each
//! other. `docs/disciplines.md` has them all.

mod buffer;
mod cake;
mod codel;
mod classes;
mod discipline;
mod drr;
mod error;
mod ets;
mod fifo;
mod flow_lists;
mod flow_queues;
mod fq_codel;
mod fq;
mod fq_pie;
mod framing;
mod held;
mod parameter;
mod pie;
mod red;
mod htb;
mod netem;
pub mod neural;
mod priority;
pub(crate) mod psched;
mod round_robin;
mod server;
mod sfq;
mod token_bucket;
mod wfq;
mod wrr;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;

pub use buffer::{Backlog, Buffer};
pub use cake::{Cake, CakeLinkLayer, CakeSpec, Diffserv, Isolation};
pub use classes::{AnyOf, ClassesBy, FlowName, Interval, Match, MatchTextError, Protocol};
pub use codel::{Codel, CodelSpec};
pub(crate) use codel::{Law as CodelLaw, Source as CodelSource, State as CodelState};
pub use discipline::{Discipline, Next};
pub use drr::{Drr, DrrClass, DrrSpec};
pub use error::PtmError;
pub use ets::{Ets, EtsClass, EtsSpec};
pub use fifo::{Fifo, FifoQueue, FifoSpec, Lindley};
pub use flow_queues::SameQueue;
pub use fq::{Fq, FqSpec};
pub use fq_codel::{FqCodel, FqCodelSpec};
pub use fq_pie::{FqPie, FqPieSpec};
pub use framing::{Framing, LinkLayer, Overhead};
pub use held::{Held, Queueing};
pub use htb::{Htb, HtbClass, HtbSpec};
pub use netem::{
    DelayDistribution, FourStateLoss, GilbertElliottLoss, LossModel, LossSpec, Netem, NetemError, NetemSpec,
    SlotSpec,
};
pub use neural::{ModelCache, NeuralSpec};
pub(crate) use pie::{Law as PieLaw, State as PieState};
pub use pie::{Pie, PieSpec};
pub use priority::{Priority, PriorityClass, PrioritySpec};
pub(crate) use psched::DEFAULT_HZ;
pub(crate) use red::Decay as RedDecay;
pub use red::{Red, RedSpec};
pub use round_robin::{Bytes, Cost, Packets, RoundRobin};
pub use server::Server;
pub use sfq::{Sfq, SfqSpec};
pub use token_bucket::{TokenBucket, TokenBucketSpec};
pub use wfq::{Wfq, WfqClass, WfqSpec};
pub use wrr::{Wrr, WrrClass, WrrSpec};

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::flow::Flows;
use crate::link::Link;
use crate::packet::{DropReason, Tau};
use crate::units::{Bandwidth, Time, Timestamp};

/// The traffic management of an egress port, as a topology file names it: `ptm = { kind = "fifo", ... }`.
///
/// [`crate::config`] reads the `kind` key as the variant, so that a mistake inside keeps its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(tag = "kind", description = "The traffic management of an egress port.")]
pub enum PtmSpec {
    /// First in, first out.
    Fifo(FifoSpec),
    /// A token bucket over a FIFO: Linux `tbf`.
    TokenBucket(TokenBucketSpec),
    /// Random early detection.
    #[serde(deserialize_with = "red::checked")]
    Red(RedSpec),
    /// Controlled delay: Linux `codel`.
    Codel(CodelSpec),
    /// A CoDel queue per flow, served in turns: Linux `fq_codel`.
    FqCodel(FqCodelSpec),
    /// A shaper with a CoDel queue per flow, shares per host, and tins by code point: Linux `cake`.
    Cake(CakeSpec),
    /// A queue per flow, served by credit, with pacing: Linux `fq`.
    Fq(FqSpec),
    /// A queue per flow, served in turns of bytes: Linux `sfq`.
    Sfq(SfqSpec),
    /// A proportional integral controller of the waiting time: Linux `pie`.
    Pie(PieSpec),
    /// A PIE queue per flow, served in turns: Linux `fq_pie`.
    FqPie(FqPieSpec),
    /// Strict priority.
    Priority(PrioritySpec),
    /// Hierarchical token buckets: Linux `htb`.
    Htb(HtbSpec),
    /// Deficit round robin.
    Drr(DrrSpec),
    /// Enhanced transmission selection, strict classes before a deficit round robin: Linux `ets`.
    Ets(EtsSpec),
    /// Weighted round robin, by packets.
    Wrr(WrrSpec),
    /// Weighted fair queueing.
    Wfq(WfqSpec),
    /// A network emulator: Linux `netem`.
    Netem(Box<NetemSpec>),
    /// Learned from data.
    Neural(NeuralSpec),
}

impl Default for PtmSpec {
    fn default() -> Self {
        PtmSpec::Fifo(FifoSpec::default())
    }
}

/// Where a model is at work.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The link that it sends on.
    pub link: Link,
    /// The run's seed.
    pub seed: u64,
    /// The name of the port, for its random stream: `crate::random::stream(seed, "ptm", port)`.
    pub port: &'a str,
    /// The run's start, for models that go by the ticks of a clock.
    pub start: Timestamp,
}

impl PtmSpec {
    /// Whether the parameters hold together, and at that link.
    ///
    /// # Errors
    /// The first thing that does not: a classful discipline without classes, a class that no packet reaches, a rule
    /// that needs a link of limited bandwidth, and so on.
    pub fn check(&self, link: &Link) -> Result<(), PtmError> {
        match self {
            PtmSpec::TokenBucket(spec) => spec.check(link),
            PtmSpec::FqCodel(spec) => spec.check(),
            PtmSpec::Fq(spec) => spec.check(),
            PtmSpec::Sfq(spec) => spec.check(),
            PtmSpec::FqPie(spec) => spec.check(),
            PtmSpec::Priority(spec) => spec.check(link),
            PtmSpec::Htb(spec) => spec.check(link),
            PtmSpec::Drr(spec) => spec.check(link),
            PtmSpec::Ets(spec) => spec.check(link),
            PtmSpec::Wrr(spec) => spec.check(link),
            PtmSpec::Wfq(spec) => spec.check(link),
            PtmSpec::Netem(spec) => spec.check(link),
            PtmSpec::Neural(spec) => spec.check(link),
            _ => Ok(()),
        }
    }

    /// What the port can send in the long run, in bits per second: the bandwidth of its link, or the rate of a token
    /// bucket, of `cake` or of `netem` or the ceilings of `htb`'s outermost classes where that is less. `None` without a bound.
    pub fn capacity_bps(&self, link: &Link) -> Option<u64> {
        let shaped = match self {
            PtmSpec::TokenBucket(spec) => Some(spec.rate.as_bps()),
            PtmSpec::Cake(spec) => spec.bandwidth.map(|rate| rate.as_bps()),
            PtmSpec::Htb(spec) => spec.most_bps(),
            PtmSpec::Netem(spec) => spec.most_bps(link),
            PtmSpec::Neural(spec) => spec.shaped_bps(),
            _ => None,
        };
        let link = match link.bandwidth {
            Bandwidth::Limited(rate) => Some(rate.as_bps()),
            Bandwidth::Unlimited => None,
        };
        [shaped, link].into_iter().flatten().min()
    }

    /// Reads the learned models in it, their paths relative to `base`. What fails is told by [`check`](Self::check).
    pub fn load_models(&mut self, base: &Path, cache: &mut ModelCache) {
        match self {
            PtmSpec::Neural(spec) => spec.load(base, cache),
            PtmSpec::TokenBucket(spec) => nested([&mut spec.ptm].into_iter(), base, cache),
            PtmSpec::Netem(spec) => nested([&mut spec.ptm].into_iter(), base, cache),
            PtmSpec::Priority(spec) => nested(spec.class.iter_mut().map(|class| &mut class.ptm), base, cache),
            PtmSpec::Drr(spec) => nested(spec.class.iter_mut().map(|class| &mut class.ptm), base, cache),
            PtmSpec::Ets(spec) => nested(spec.class.iter_mut().map(|class| &mut class.ptm), base, cache),
            PtmSpec::Wrr(spec) => nested(spec.class.iter_mut().map(|class| &mut class.ptm), base, cache),
            PtmSpec::Wfq(spec) => nested(spec.class.iter_mut().map(|class| &mut class.ptm), base, cache),
            PtmSpec::Htb(spec) => {
                spec.each_leaf(&mut |leaf| nested([&mut leaf.ptm].into_iter(), base, cache))
            }
            _ => {}
        }
    }

    /// The model at work. The parameters are such that [`check`](Self::check) accepts them.
    pub fn build(&self, place: &Place<'_>) -> Box<dyn Ptm> {
        match self {
            PtmSpec::Fifo(spec) => Box::new(Fifo::new(spec, place.link)),
            _ => Box::new(Server::new(self.discipline(place), place.link)),
        }
    }

    /// The model as a discipline, that a class of another can hold.
    pub fn discipline(&self, place: &Place<'_>) -> Box<dyn Discipline> {
        match self {
            PtmSpec::Fifo(spec) => Box::new(FifoQueue::new(spec.buffer)),
            PtmSpec::TokenBucket(spec) => spec.discipline(place),
            PtmSpec::Red(spec) => Box::new(Red::new(spec, place)),
            PtmSpec::Codel(spec) => Box::new(Held::new(Codel::new(spec, place))),
            PtmSpec::FqCodel(spec) => Box::new(Held::new(FqCodel::new(spec, place))),
            PtmSpec::Cake(spec) => Box::new(Held::new(Cake::new(spec, place))),
            PtmSpec::Fq(spec) => Box::new(Held::new(Fq::new(spec, place))),
            PtmSpec::Sfq(spec) => Box::new(Held::new(Sfq::new(spec, place))),
            PtmSpec::Pie(spec) => Box::new(Held::new(Pie::new(spec, place))),
            PtmSpec::FqPie(spec) => Box::new(Held::new(FqPie::new(spec, place))),
            PtmSpec::Priority(spec) => Box::new(Priority::new(spec, place)),
            PtmSpec::Htb(spec) => spec.discipline(place),
            PtmSpec::Drr(spec) => Box::new(Held::new(Drr::of(spec, place))),
            PtmSpec::Ets(spec) => Box::new(Held::new(spec.discipline(place))),
            PtmSpec::Wrr(spec) => Box::new(Held::new(Wrr::of(spec, place))),
            PtmSpec::Wfq(spec) => Box::new(Wfq::new(spec, place)),
            PtmSpec::Netem(spec) => Box::new(Held::new(Netem::new(spec, place))),
            PtmSpec::Neural(spec) => spec.discipline(place),
        }
    }

    /// The model as the discipline inside another that has no classes, with random numbers of its own.
    fn inside(&self, place: &Place<'_>) -> Box<dyn Discipline> {
        self.discipline(&Place { port: &format!("{} inside", place.port), ..*place })
    }
}

fn nested<'a>(
    classes: impl Iterator<Item = &'a mut Option<Box<PtmSpec>>>,
    base: &Path,
    cache: &mut ModelCache,
) {
    for ptm in classes.flatten() {
        ptm.load_models(base, cache);
    }
}

/// What became of an arriving packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It leaves at this instant: the PTM keeps nothing of it, and [`Ptm::depart`] will not give it.
    Departs(Time),
    /// It waits; [`Ptm::depart`] will give it, or [`Ptm::lost`].
    Queued,
    /// It is lost.
    Dropped(DropReason),
}

/// A packet that leaves a PTM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// The packet as it joined the PTM.
    pub tau: Tau,
    /// When its first bit starts onto the link.
    pub start: Time,
}

impl Departure {
    /// The packet as it starts onto the link.
    pub fn egress(&self) -> Tau {
        Tau { timestamp: self.start, ..self.tau }
    }
}

/// A packet that a PTM lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// The packet as it joined the PTM.
    pub tau: Tau,
    /// When it was lost.
    pub at: Time,
    /// Why it was lost.
    pub reason: DropReason,
}

/// Traffic management at one egress port.
///
/// The caller presents events in the order of time, and at one instant departures before arrivals:
/// before [`arrive`](Ptm::arrive) at `t`, it takes every departure with
/// [`next_departure`](Ptm::next_departure) at or before `t`.
pub trait Ptm: Send {
    /// A packet joins at `tau.timestamp`.
    fn arrive(&mut self, tau: &Tau, flows: &Flows) -> Arrival;

    /// When the next waiting packet leaves, as far as is known now: an arrival may bring it forward.
    fn next_departure(&self) -> Option<Time>;

    /// Takes the packet that leaves at [`next_departure`](Ptm::next_departure); `None` when none does, after all: it
    /// has been lost, or waits for a later instant.
    fn depart(&mut self) -> Option<Departure>;

    /// A packet that was queued and has been lost since; asked until `None` after every
    /// [`arrive`](Ptm::arrive) and [`depart`](Ptm::depart).
    fn lost(&mut self) -> Option<Loss> {
        None
    }

    /// Every packet that waits for [`depart`](Ptm::depart), in no particular order.
    fn waiting(&self) -> Vec<Tau>;

    /// A batch at a time: presents the ingress Taus `[packets]`, sorted by time, and appends the
    /// departures that are known by `until` to `departures` `[packets]`, in order, and the lost packets to
    /// `losses`. What is not known by then stays inside for the next batch.
    ///
    /// # Source
    /// The function that the DeepQueueNet notebook left to be written.
    fn forward_trace(
        &mut self,
        ingress: &[Tau],
        flows: &Flows,
        until: Time,
        departures: &mut Vec<Departure>,
        losses: &mut Vec<Loss>,
    ) {
        forward_one_by_one(self, ingress, flows, until, departures, losses);
    }
}

/// [`Ptm::forward_trace`] by the calls for one event at a time.
fn forward_one_by_one<P: Ptm + ?Sized>(
    ptm: &mut P,
    ingress: &[Tau],
    flows: &Flows,
    until: Time,
    departures: &mut Vec<Departure>,
    losses: &mut Vec<Loss>,
) {
    for tau in ingress {
        take_departures(ptm, tau.timestamp, departures, losses);
        match ptm.arrive(tau, flows) {
            Arrival::Departs(start) => departures.push(Departure { tau: *tau, start }),
            Arrival::Queued => losses.extend(std::iter::from_fn(|| ptm.lost())),
            Arrival::Dropped(reason) => losses.push(Loss { tau: *tau, at: tau.timestamp, reason }),
        }
    }
    take_departures(ptm, until, departures, losses);
}

/// Takes every departure at or before `until`.
fn take_departures<P: Ptm + ?Sized>(
    ptm: &mut P,
    until: Time,
    departures: &mut Vec<Departure>,
    losses: &mut Vec<Loss>,
) {
    while ptm.next_departure().is_some_and(|next| next <= until) {
        departures.extend(ptm.depart());
        losses.extend(std::iter::from_fn(|| ptm.lost()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::units::{ByteCount, Probability, Rate, Span};
    use proptest::prelude::*;

    fn taus() -> impl Strategy<Value = Vec<Tau>> {
        prop::collection::vec((prop_oneof![Just(0u64), 0..5_000_000_000u64], 40..1514u32), 0..200).prop_map(
            |gaps| {
                let mut timestamp = Time::ZERO;
                gaps.into_iter()
                    .enumerate()
                    .map(|(index, (gap, length))| {
                        timestamp = timestamp + Span::from_ps(gap);
                        Tau {
                            timestamp,
                            packet: Packet {
                                pid: index as u64,
                                length,
                                ecn: index as u8 % 4,
                                ..Packet::default()
                            },
                        }
                    })
                    .collect()
            },
        )
    }

    fn buffers() -> impl Strategy<Value = Option<Buffer>> {
        prop_oneof![
            Just(None),
            (0..10_000u64).prop_map(|bytes| Some(Buffer::Bytes(ByteCount::new(bytes)))),
            (0..20u64).prop_map(|packets| Some(Buffer::Packets(packets))),
        ]
    }

    fn specs() -> impl Strategy<Value = PtmSpec> {
        let fifo = buffers().prop_map(|buffer| PtmSpec::Fifo(FifoSpec { buffer }));
        let rate = (1_000_000..50_000_000u64).prop_map(|bps| Rate::from_bps(bps).unwrap());
        let slack = prop_oneof![Just(0u64), 0..100_000_000u64].prop_map(Span::from_ps);
        let inside = prop::option::of(prop_oneof![codel(), sfq(), pie()].prop_map(Box::new));
        let bucket = (rate, 500..4_000u64, buffers(), slack, inside).prop_map(
            |(rate, burst, buffer, release_slack, ptm)| {
                PtmSpec::TokenBucket(TokenBucketSpec {
                    overhead: Overhead::new(burst as i32 % 50 - 20).unwrap(),
                    linklayer: if burst % 3 == 0 { LinkLayer::Atm } else { LinkLayer::Ethernet },
                    ptm,
                    release_slack,
                    ..TokenBucketSpec::new(rate, ByteCount::new(burst), buffer)
                })
            },
        );
        prop_oneof![fifo, bucket, red(), codel(), fq_codel(), cake(), pie(), fq_pie(), sfq(), fq()]
    }

    fn sfq() -> impl Strategy<Value = PtmSpec> {
        (2..30u32, 1..20u32, 1..9u32, any::<(bool, bool)>(), 1..20_000u64).prop_map(
            |(limit, depth, flows, (head_drop, perturbs), period)| {
                PtmSpec::Sfq(SfqSpec {
                    limit,
                    depth,
                    flows,
                    divisor: 8,
                    head_drop,
                    perturb: perturbs.then(|| Span::from_ns(period * 1_000)),
                    ..SfqSpec::default()
                })
            },
        )
    }

    fn fq() -> impl Strategy<Value = PtmSpec> {
        (1..30u64, 1..20u64, 1..6_000u64, prop::option::of(300_000..20_000_000u64), any::<bool>()).prop_map(
            |(limit, flow_limit, quantum, rate, stated)| {
                PtmSpec::Fq(FqSpec {
                    limit,
                    flow_limit,
                    quantum: ByteCount::new(quantum),
                    initial_quantum: ByteCount::new(2 * quantum),
                    max_rate: rate.and_then(Rate::from_bps),
                    ce_threshold: Some(Span::from_ns(quantum)),
                    same_queue: stated.then(SameQueue::default),
                    ..FqSpec::default()
                })
            },
        )
    }

    fn red() -> impl Strategy<Value = PtmSpec> {
        (1..6u64, 1..6u64, 0.01..1.0f64, any::<(bool, bool, bool, bool)>(), buffers()).prop_map(
            |(min, range, probability, (gentle, ecn, hard_drop, bytes), buffer)| {
                let threshold = |packets| match bytes {
                    true => Buffer::Bytes(ByteCount::new(packets * 500)),
                    false => Buffer::Packets(packets),
                };
                PtmSpec::Red(RedSpec {
                    min: threshold(min),
                    max: threshold(min + range),
                    max_p: Probability::new(probability).unwrap(),
                    weight: Probability::new(probability).unwrap(),
                    gentle,
                    ecn,
                    hard_drop,
                    mean_packet: ByteCount::new(500),
                    bandwidth: None,
                    buffer,
                    adaptive: ecn,
                    hz: psched::DEFAULT_HZ,
                })
            },
        )
    }

    fn codel() -> impl Strategy<Value = PtmSpec> {
        (0..5_000u64, 1..20_000u64, 0..3_000u64, any::<bool>(), buffers()).prop_map(
            |(target, interval, mtu, ecn, buffer)| {
                let (target, interval) = (Span::from_ns(target * 1_000), Span::from_ns(interval * 1_000));
                PtmSpec::Codel(CodelSpec {
                    buffer,
                    target,
                    interval,
                    mtu: ByteCount::new(mtu),
                    ecn,
                    ce_threshold: Some(target),
                })
            },
        )
    }

    fn fq_codel() -> impl Strategy<Value = PtmSpec> {
        (0..30u64, 0..30_000u64, 1..5u64, 0..5_000u64, 1..20_000u64).prop_map(
            |(limit, memory, drop_batch, target, interval)| {
                PtmSpec::FqCodel(FqCodelSpec {
                    limit,
                    memory_limit: ByteCount::new(memory),
                    drop_batch,
                    target: Span::from_ns(target * 1_000),
                    interval: Span::from_ns(interval * 1_000),
                    ..FqCodelSpec::default()
                })
            },
        )
    }

    fn cake() -> impl Strategy<Value = PtmSpec> {
        let rate = prop::option::of((1_000_000..50_000_000u64).prop_map(|bps| Rate::from_bps(bps).unwrap()));
        let link_layer =
            prop::sample::select(vec![CakeLinkLayer::Ethernet, CakeLinkLayer::Atm, CakeLinkLayer::Ptm]);
        let diffserv = prop::sample::select(vec![
            Diffserv::Besteffort,
            Diffserv::Precedence,
            Diffserv::Diffserv3,
            Diffserv::Diffserv4,
            Diffserv::Diffserv8,
        ]);
        let isolation = prop::sample::select(vec![
            Isolation::Flowblind,
            Isolation::Hosts,
            Isolation::Flows,
            Isolation::DualSrchost,
            Isolation::TripleIsolate,
        ]);
        let memory = prop::option::of((1..60_000u64).prop_map(ByteCount::new));
        (rate, 1..50_000u64, -64..64i32, link_layer, diffserv, isolation, memory, any::<bool>()).prop_map(
            |(bandwidth, rtt, overhead, linklayer, diffserv, isolation, memory_limit, ingress)| {
                PtmSpec::Cake(CakeSpec {
                    bandwidth,
                    rtt: Span::from_ns(rtt * 1_000),
                    diffserv,
                    isolation,
                    overhead: Overhead::new(overhead),
                    linklayer,
                    memory_limit,
                    ingress,
                    ..CakeSpec::default()
                })
            },
        )
    }

    fn pie() -> impl Strategy<Value = PtmSpec> {
        (0..5_000u64, 1..20_000u64, 0..30_000u64, 0.0..20.0f64, any::<bool>(), buffers()).prop_map(
            |(target, t_update, max_burst, gain, ecn, buffer)| {
                PtmSpec::Pie(PieSpec {
                    buffer,
                    target: Span::from_ns(target * 1_000),
                    t_update: Span::from_ns(t_update * 1_000),
                    max_burst: Span::from_ns(max_burst * 1_000),
                    alpha: gain,
                    beta: gain * 10.0,
                    ecn,
                    ..PieSpec::default()
                })
            },
        )
    }

    fn fq_pie() -> impl Strategy<Value = PtmSpec> {
        (1..30u64, 0..5_000u64, 1..20_000u64, 0..30_000u64, 0.0..20.0f64, any::<bool>()).prop_map(
            |(limit, target, t_update, max_burst, gain, ecn)| {
                PtmSpec::FqPie(FqPieSpec {
                    limit,
                    flows: 4_097,
                    target: Span::from_ns(target * 1_000),
                    t_update: Span::from_ns(t_update * 1_000),
                    max_burst: Span::from_ns(max_burst * 1_000),
                    alpha: gain,
                    beta: gain * 10.0,
                    ecn,
                    ..FqPieSpec::default()
                })
            },
        )
    }

    fn probability() -> impl Strategy<Value = Probability> {
        (0.0..=1.0f64).prop_map(|value| Probability::new(value).unwrap())
    }

    fn loss() -> impl Strategy<Value = LossSpec> {
        prop_oneof![
            probability().prop_map(LossSpec::Random),
            (probability(), probability(), probability(), probability()).prop_map(
                |(p, r, loss_in_bad, loss_in_good)| {
                    LossSpec::Model(LossModel::Gemodel(GilbertElliottLoss {
                        p,
                        r: Some(r),
                        loss_in_bad,
                        loss_in_good,
                    }))
                }
            ),
        ]
    }

    fn slot() -> impl Strategy<Value = Option<SlotSpec>> {
        let spaced =
            (0..5_000u64, 1..5_000u64, 1..5u32, 40..5_000u64).prop_map(|(min, range, packets, bytes)| {
                SlotSpec {
                    min_delay: Some(Span::from_ns(min * 1_000)),
                    max_delay: Some(Span::from_ns((min + range) * 1_000)),
                    packets: packets.try_into().ok(),
                    bytes: Some(ByteCount::new(bytes)),
                    ..SlotSpec::default()
                }
            });
        prop::option::of(spaced)
    }

    /// The one discipline here that does not keep the order.
    fn netem() -> impl Strategy<Value = PtmSpec> {
        let distribution = prop::sample::select(vec![
            DelayDistribution::Uniform,
            DelayDistribution::Normal,
            DelayDistribution::Pareto,
            DelayDistribution::ParetoNormal,
        ]);
        let delay = (0..20_000u64, 0..20_000u64, probability(), distribution);
        let rate = prop::option::of((1_000_000..50_000_000u64).prop_map(|bps| Rate::from_bps(bps).unwrap()));
        let inside = prop::option::of(prop_oneof![codel(), fq_codel(), red()].prop_map(Box::new));
        let reorder = (probability(), 1..5u32);
        (0..60u64, delay, loss(), any::<bool>(), reorder, rate, slot(), inside).prop_map(
            |(
                limit,
                (delay, jitter, correlation, distribution),
                loss,
                ecn,
                (reorder, gap),
                rate,
                slot,
                ptm,
            )| {
                PtmSpec::Netem(Box::new(NetemSpec {
                    limit,
                    delay: Span::from_ns(delay * 1_000),
                    jitter: Span::from_ns(jitter * 1_000),
                    correlation,
                    distribution,
                    loss,
                    ecn,
                    reorder,
                    reorder_correlation: correlation,
                    gap: gap.try_into().ok(),
                    rate,
                    slot,
                    ptm,
                    ..NetemSpec::default()
                }))
            },
        )
    }

    fn links() -> impl Strategy<Value = Link> {
        prop_oneof![Just("unlimited"), Just("10 Mbps"), Just("3 Mbps")]
            .prop_map(|bandwidth| Link::with_delay(bandwidth.parse().unwrap(), Span::ZERO))
    }

    fn build(spec: &PtmSpec, link: Link) -> Box<dyn Ptm> {
        spec.build(&Place { link, seed: 1, port: "r1:0", start: Timestamp::default() })
    }

    /// The event form, exactly as the trait documents it.
    fn one_by_one(ptm: &mut dyn Ptm, ingress: &[Tau]) -> (Vec<Departure>, Vec<Loss>) {
        let (mut departures, mut losses) = (Vec::new(), Vec::new());
        let flows = Flows::default();
        for tau in ingress {
            while ptm.next_departure().is_some_and(|next| next <= tau.timestamp) {
                departures.extend(ptm.depart());
                losses.extend(std::iter::from_fn(|| ptm.lost()));
            }
            match ptm.arrive(tau, &flows) {
                Arrival::Departs(start) => departures.push(Departure { tau: *tau, start }),
                Arrival::Queued => losses.extend(std::iter::from_fn(|| ptm.lost())),
                Arrival::Dropped(reason) => losses.push(Loss { tau: *tau, at: tau.timestamp, reason }),
            }
        }
        while ptm.next_departure().is_some() {
            departures.extend(ptm.depart());
            losses.extend(std::iter::from_fn(|| ptm.lost()));
        }
        (departures, losses)
    }

    proptest! {
        #[test]
        fn both_forms_agree(spec in prop_oneof![6 => specs(), 2 => netem()], link in links(), taus in taus(), cut in 0..200usize) {
            let expected = one_by_one(&mut *build(&spec, link), &taus);
            let mut ptm = build(&spec, link);
            let flows = Flows::default();
            let (mut departures, mut losses) = (Vec::new(), Vec::new());
            let (first, second) = taus.split_at(cut.min(taus.len()));
            let until = first.last().map_or(Time::ZERO, |tau| tau.timestamp);
            ptm.forward_trace(first, &flows, until, &mut departures, &mut losses);
            ptm.forward_trace(second, &flows, Time::NEVER, &mut departures, &mut losses);
            prop_assert_eq!((departures, losses), expected);
        }

        #[test]
        fn packets_are_conserved_and_never_early(
            spec in prop_oneof![6 => specs(), 2 => netem()], link in links(), taus in taus(),
        ) {
            let (departures, losses) = one_by_one(&mut *build(&spec, link), &taus);
            prop_assert_eq!(departures.len() + losses.len(), taus.len());
            let mut free = Time::ZERO;
            for departure in &departures {
                prop_assert!(departure.start >= departure.tau.timestamp);
                prop_assert!(departure.start >= free, "two packets on the link at once");
                free = departure.start + link.transmission_time(departure.tau.packet.byte_count());
            }
            for loss in &losses {
                prop_assert!(loss.at >= loss.tau.timestamp);
            }
        }

        #[test]
        fn packets_keep_their_order(spec in specs(), link in links(), taus in taus()) {
            let (departures, _) = one_by_one(&mut *build(&spec, link), &taus);
            prop_assert!(departures.windows(2).all(|pair| pair[0].tau.packet.pid < pair[1].tau.packet.pid));
        }
    }
}
