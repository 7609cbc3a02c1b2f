//! Packet traffic management: how long a packet waits at an egress port, or whether it is dropped.
//!
//! A PTM is a causal function from an ingress stream to an egress stream. The [`Ptm`] trait offers it in two
//! forms: one event at a time ([`arrive`](Ptm::arrive), [`next_departure`](Ptm::next_departure),
//! [`depart`](Ptm::depart)) and one batch at a time ([`forward_trace`](Ptm::forward_trace)). Both give the
//! same departures. A property test checks this for every model.
//!
//! Most models are a queueing [`Discipline`] behind a [`Server`]. A model whose departures are known at
//! arrival ([`Fifo`]) implements [`Ptm`] directly. A discipline that removes a packet from its queue when
//! asked for the next one is a [`Queueing`] inside a [`Held`].
//!
//! To add a discipline, write one file here with its parameters (`FooSpec`) and its model, and add one line
//! to each of [`PtmSpec`], [`PtmSpec::discipline`] and [`PtmSpec::inner`]. Add one to [`PtmSpec::check`] if
//! parameters can contradict each other. `docs/disciplines.md` lists all disciplines.

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

/// The traffic management of an egress port, as written in a topology file: `ptm = { kind = "fifo", ... }`.
///
/// [`crate::config`] reads the `kind` key as the variant, which keeps the positions of errors inside it.
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
    /// One CoDel queue per flow, served round robin: Linux `fq_codel`.
    FqCodel(FqCodelSpec),
    /// A shaper with a CoDel queue per flow, fairness between hosts, and tins by code point: Linux `cake`.
    Cake(CakeSpec),
    /// One queue per flow, served by credit, with pacing: Linux `fq`.
    Fq(FqSpec),
    /// One queue per flow, served in rounds of bytes: Linux `sfq`.
    Sfq(SfqSpec),
    /// A proportional-integral controller of the waiting time: Linux `pie`.
    Pie(PieSpec),
    /// One PIE queue per flow, served round robin: Linux `fq_pie`.
    FqPie(FqPieSpec),
    /// Strict priority.
    Priority(PrioritySpec),
    /// Hierarchical token buckets: Linux `htb`.
    Htb(HtbSpec),
    /// Deficit round robin.
    Drr(DrrSpec),
    /// Enhanced transmission selection, strict classes before deficit round robin: Linux `ets`.
    Ets(EtsSpec),
    /// Weighted round robin, by packets.
    Wrr(WrrSpec),
    /// Weighted fair queueing.
    Wfq(WfqSpec),
    /// A network emulator: Linux `netem`.
    Netem(Box<NetemSpec>),
    /// A model learned from data.
    Neural(NeuralSpec),
    /// A discipline defined by another crate.
    #[serde(rename = "$custom")]
    #[schemars(skip)]
    Custom(CustomSpec),
}

impl Default for PtmSpec {
    fn default() -> Self {
        PtmSpec::Fifo(FifoSpec::default())
    }
}

/// The environment of a model.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The link that the model sends on.
    pub link: Link,
    /// The seed of the run.
    pub seed: u64,
    /// The name of the port, which names its random stream: `crate::random::stream(seed, "ptm", port)`.
    pub port: &'a str,
    /// The start of the run, for models that depend on the ticks of a clock.
    pub start: Timestamp,
}

impl PtmSpec {
    /// Checks that the parameters are consistent, also with the link, and then those of the inner
    /// disciplines.
    ///
    /// # Errors
    /// The first inconsistency: a classful discipline without classes, a class that no packet reaches, a rule
    /// that needs a link of limited bandwidth, and so on.
    pub fn check(&self, link: &Link) -> Result<(), PtmError> {
        let mut checked = Ok(());
        self.each(&mut |ptm| {
            if checked.is_ok() {
                checked = ptm.check_own(link);
            }
            if let (Ok(()), PtmSpec::Custom(spec), false) = (&checked, ptm, std::ptr::eq(ptm, self)) {
                checked = spec.check_inside();
            }
        });
        checked
    }

    /// [`check`](Self::check) without the inner disciplines.
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

    /// The long-term rate of the port in bits per second. This is the bandwidth of the link or, where lower,
    /// the rate of a token bucket, of `cake` or of `netem`, or the ceilings of `htb`'s outermost classes.
    /// `None` without a bound.
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

    /// Loads the learned models in this spec; their paths are relative to `base`. [`check`](Self::check)
    /// reports failures.
    pub fn load_models(&mut self, base: &Path, cache: &mut ModelCache) {
        self.each_mut(&mut |ptm| {
            if let PtmSpec::Neural(spec) = ptm {
                spec.load(base, cache);
            }
        });
    }

    /// Whether the port sends at an instant only after all arrivals of that instant: this discipline, or one
    /// inside it, is a `priority` with [`AtOneInstant::Class`].
    pub fn decides_last(&self) -> bool {
        let mut last = false;
        self.each(&mut |ptm| {
            last |= matches!(ptm, PtmSpec::Priority(spec) if spec.at_one_instant == AtOneInstant::Class);
        });
        last
    }

    /// Builds the model. [`check`](Self::check) must have accepted the parameters.
    pub fn build(&self, place: &Place<'_>) -> Box<dyn Ptm> {
        match self {
            PtmSpec::Fifo(spec) => Box::new(Fifo::new(spec, place.link)),
            PtmSpec::Red(spec) => Box::new(RedPort::new(spec, place)),
            PtmSpec::Custom(spec) => spec.build(place),
            _ if self.decides_last() => Box::new(LastServer::new(self.discipline(place), place.link)),
            _ => Box::new(Server::new(self.discipline(place), place.link)),
        }
    }

    /// Builds the model as a discipline, which a class of another discipline can hold.
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

    /// The model as the inner discipline of one without classes, with its own random numbers.
    fn inside(&self, place: &Place<'_>) -> Box<dyn Discipline> {
        self.discipline(&Place { port: &format!("{} inside", place.port), ..*place })
    }
}

/// The outcome of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The packet leaves at this instant. The PTM keeps no state for it, and [`Ptm::depart`] does not return
    /// it.
    Departs(Time),
    /// The same, with the ECN congestion mark (RFC 3168).
    Marked(Time),
    /// The packet waits; [`Ptm::depart`] or [`Ptm::lost`] returns it later.
    Queued,
    /// The packet is dropped.
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

/// A packet dropped by a PTM after it was queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// The packet as it joined the PTM.
    pub tau: Tau,
    /// When it was dropped.
    pub at: Time,
    /// Why it was dropped.
    pub reason: DropReason,
}

/// Traffic management at one egress port.
///
/// The caller presents events in the order of time, and departures before arrivals at the same instant:
/// before [`arrive`](Ptm::arrive) at `t`, it takes every departure with
/// [`next_departure`](Ptm::next_departure) at or before `t`. Where the PTM [decides last](Ptm::decides_last),
/// the order is reversed: the caller takes every departure before `t`, and those at `t` after the last
/// arrival at `t`.
pub trait Ptm: Send {
    /// A packet joins at `tau.timestamp`.
    fn arrive(&mut self, tau: &Tau, flows: &Flows) -> Arrival;

    /// When the next waiting packet leaves, as far as is known now; an arrival may make it earlier. `None` by
    /// default, for models that know each departure at its arrival.
    fn next_departure(&self) -> Option<Time> {
        None
    }

    /// Takes the packet that leaves at [`next_departure`](Ptm::next_departure). `None` when no packet leaves
    /// after all, because it was dropped or waits for a later instant.
    fn depart(&mut self) -> Option<Departure> {
        None
    }

    /// A packet that was queued and has been dropped since. The caller asks until `None` after every
    /// [`arrive`](Ptm::arrive) and [`depart`](Ptm::depart).
    fn lost(&mut self) -> Option<Loss> {
        None
    }

    /// Whether arrivals at an instant come before departures, so that the PTM can choose among all of them.
    fn decides_last(&self) -> bool {
        false
    }

    /// Every packet that waits for [`depart`](Ptm::depart), in no particular order.
    fn waiting(&self) -> Vec<Tau> {
        Vec::new()
    }

    /// Processes one batch: presents the ingress Taus `[packets]`, sorted by time. Appends the departures
    /// that are known by `until` to `departures` `[packets]`, in order, and the dropped packets to `losses`.
    /// Other packets stay inside for the next batch.
    ///
    /// # Source
    /// The function that the DeepQueueNet notebook leaves unimplemented.
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

/// [`Ptm::forward_trace`] implemented by the calls for single events.
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
