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
//! [`PtmSpec`], one in [`PtmSpec::discipline`] and one in [`PtmSpec::inner`]; and one in [`PtmSpec::check`] where
//! parameters may contradict each other. `docs/disciplines.md` has them all.

mod buffer;
mod cake;
mod codel;
mod classes;
mod custom;
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
mod inside;
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
#[cfg(test)]
mod tests;

pub use buffer::{Backlog, Buffer};
pub use cake::{Cake, CakeLinkLayer, CakeSpec, Diffserv, Isolation};
pub use classes::{AnyOf, ClassesBy, FlowName, Interval, Match, MatchTextError, Protocol};
pub use codel::{Codel, CodelSpec};
pub(crate) use codel::{Dequeue as CodelDequeue, Law as CodelLaw, State as CodelState};
pub use custom::CustomSpec;
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
pub use priority::{AtOneInstant, Priority, PriorityClass, PrioritySpec};
pub(crate) use psched::DEFAULT_HZ;
pub(crate) use red::Decay as RedDecay;
use red::RedPort;
pub use red::{Red, RedSpec};
pub use round_robin::{Bytes, Cost, Packets, RoundRobin};
pub use server::{LastServer, Server};
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
    /// Defined by another crate.
    #[serde(rename = "$custom")]
    #[schemars(skip)]
    Custom(CustomSpec),
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
    /// Whether the parameters hold together, and at that link; then those of the disciplines inside.
    ///
    /// # Errors
    /// The first thing that does not: a classful discipline without classes, a class that no packet reaches, a rule
    /// that needs a link of limited bandwidth, and so on.
    pub fn check(&self, link: &Link) -> Result<(), PtmError> {
        let mut checked = Ok(());
        self.each(&mut |ptm| {
            if checked.is_ok() {
                checked = ptm.check_own(link);
            }
        });
        checked
    }

    /// [`check`](Self::check) without the disciplines inside.
    fn check_own(&self, link: &Link) -> Result<(), PtmError> {
        match self {
            PtmSpec::TokenBucket(spec) => spec.check(),
            PtmSpec::FqCodel(spec) => spec.check(),
            PtmSpec::Fq(spec) => spec.check(),
            PtmSpec::Sfq(spec) => spec.check(),
            PtmSpec::FqPie(spec) => spec.check(),
            PtmSpec::Priority(spec) => spec.check(),
            PtmSpec::Htb(spec) => spec.check(),
            PtmSpec::Drr(spec) => spec.check(),
            PtmSpec::Ets(spec) => spec.check(),
            PtmSpec::Wrr(spec) => spec.check(),
            PtmSpec::Wfq(spec) => spec.check(link),
            PtmSpec::Netem(spec) => spec.check(),
            PtmSpec::Neural(spec) => spec.check(link),
            PtmSpec::Custom(spec) => spec.check(),
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
        self.each_mut(&mut |ptm| {
            if let PtmSpec::Neural(spec) = ptm {
                spec.load(base, cache);
            }
        });
    }

    /// Whether the port sends at an instant only after everything of that instant has arrived: it, or a discipline
    /// inside it, is a `priority` with [`AtOneInstant::Class`].
    pub fn decides_last(&self) -> bool {
        let mut last = false;
        self.each(&mut |ptm| {
            last |= matches!(ptm, PtmSpec::Priority(spec) if spec.at_one_instant == AtOneInstant::Class);
        });
        last
    }

    /// The model at work. The parameters are such that [`check`](Self::check) accepts them.
    pub fn build(&self, place: &Place<'_>) -> Box<dyn Ptm> {
        match self {
            PtmSpec::Fifo(spec) => Box::new(Fifo::new(spec, place.link)),
            PtmSpec::Red(spec) => Box::new(RedPort::new(spec, place)),
            _ if self.decides_last() => Box::new(LastServer::new(self.discipline(place), place.link)),
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
            PtmSpec::Priority(spec) if spec.at_one_instant == AtOneInstant::Class => {
                Box::new(priority::ByClass::new(spec, place))
            }
            PtmSpec::Priority(spec) => Box::new(Priority::new(spec, place)),
            PtmSpec::Htb(spec) => spec.discipline(place),
            PtmSpec::Drr(spec) => Box::new(Held::new(Drr::of(spec, place))),
            PtmSpec::Ets(spec) => Box::new(Held::new(spec.discipline(place))),
            PtmSpec::Wrr(spec) => Box::new(Held::new(Wrr::of(spec, place))),
            PtmSpec::Wfq(spec) => Box::new(Wfq::new(spec, place)),
            PtmSpec::Netem(spec) => Box::new(Held::new(Netem::new(spec, place))),
            PtmSpec::Neural(spec) => spec.discipline(place),
            PtmSpec::Custom(spec) => spec.discipline(place),
        }
    }

    /// The model as the discipline inside another that has no classes, with random numbers of its own.
    fn inside(&self, place: &Place<'_>) -> Box<dyn Discipline> {
        self.discipline(&Place { port: &format!("{} inside", place.port), ..*place })
    }
}

/// What became of an arriving packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It leaves at this instant: the PTM keeps nothing of it, and [`Ptm::depart`] will not give it.
    Departs(Time),
    /// The same, with the mark of congestion (RFC 3168).
    Marked(Time),
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
/// [`next_departure`](Ptm::next_departure) at or before `t`. Where the PTM [decides last](Ptm::decides_last), it is the
/// other way round: it takes every departure before `t`, and those at `t` after the last arrival at `t`.
pub trait Ptm: Send {
    /// A packet joins at `tau.timestamp`.
    fn arrive(&mut self, tau: &Tau, flows: &Flows) -> Arrival;

    /// When the next waiting packet leaves, as far as is known now: an arrival may bring it forward.
    /// Never, by default: each departure is known as the packet arrives.
    fn next_departure(&self) -> Option<Time> {
        None
    }

    /// Takes the packet that leaves at [`next_departure`](Ptm::next_departure); `None` when none does, after all: it
    /// has been lost, or waits for a later instant.
    fn depart(&mut self) -> Option<Departure> {
        None
    }

    /// A packet that was queued and has been lost since; asked until `None` after every
    /// [`arrive`](Ptm::arrive) and [`depart`](Ptm::depart).
    fn lost(&mut self) -> Option<Loss> {
        None
    }

    /// Whether at one instant arrivals come before departures, so that the PTM can choose among all of them.
    fn decides_last(&self) -> bool {
        false
    }

    /// Every packet that waits for [`depart`](Ptm::depart), in no particular order.
    fn waiting(&self) -> Vec<Tau> {
        Vec::new()
    }

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
    // Departures at the instant of an arrival come before it, or after all arrivals of that instant.
    let put_off = u64::from(ptm.decides_last());
    for tau in ingress {
        if let Some(until) = tau.timestamp.as_ps().checked_sub(put_off) {
            take_departures(ptm, Time::from_ps(until), departures, losses);
        }
        match ptm.arrive(tau, flows) {
            Arrival::Departs(start) => departures.push(Departure { tau: *tau, start }),
            Arrival::Marked(start) => departures.push(Departure { tau: tau.marked(), start }),
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
