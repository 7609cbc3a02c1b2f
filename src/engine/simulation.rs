//! A simulation that can be run step by step.

use std::sync::Arc;

use super::event::EventEngine;
use super::network::{Network, instant_cycle};
use super::observer::Observer;
use super::running::{LAST, Running};
use super::stream::StreamEngine;
use super::tally::Tally;
use super::{Engine, EngineError, Outcome, Progress, Settings, Workload};
use crate::statistics::Statistics;
use crate::topology::Topology;
use crate::transport::{Answer, ConnectionRecord};
use crate::units::Time;

/// A network between the start and the end of its simulation. It can move to another thread, and can pause at
/// any instant: packets in the network are part of its state.
///
/// # Examples
/// ```
/// use taunet::engine::{Settings, Simulation, Unwatched};
/// # use taunet::topology::Topology;
/// # use taunet::units::Time;
/// # let topology = Topology::from_toml("pair.toml", r#"
/// #     name = "pair"
/// #     device = [{ name = "a", kind = "host" }, { name = "b", kind = "host" }]
/// #     link = [{ between = ["a:0", "b:0"], bandwidth = "1 Gbps" }]
/// # "#)?;
/// # let injections: Vec<taunet::engine::Injection> = Vec::new();
/// let mut simulation = Simulation::start(topology, injections, Settings::default(), Unwatched)?;
/// let progress = simulation.run_until(Time::from_ps(1_000_000))?; // a microsecond of simulated time
/// println!("{} packets so far", progress.injected);
/// let finished = simulation.finish()?; // and the rest
/// println!("{}", finished.outcome.fingerprint);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Simulation<O> {
    engine: Box<dyn Running<O>>,
    observer: O,
    kind: Engine,
    reason: &'static str,
    /// Whether it has stopped with an error.
    failed: bool,
}

/// A simulation that has ended.
#[derive(Debug)]
pub struct Finished<O> {
    /// The outcome.
    pub outcome: Outcome,
    /// Warnings of the sources.
    pub warnings: Vec<String>,
    /// The statistics of each flow and each port, if the [`Settings`] ask for them.
    pub statistics: Option<Statistics>,
    /// The records of both ends of connections.
    pub connections: Vec<ConnectionRecord>,
    /// The answered requests of connections, in order.
    pub answers: Vec<Answer>,
    /// The observer.
    pub observer: O,
}

impl<O: Observer> Simulation<O> {
    /// A network before its first event; the first packet of every source is read. Pass `&mut observer` to
    /// keep access to the observer.
    ///
    /// # Errors
    /// A source fails, the threads cannot be started, or a closed loop has no delay.
    pub fn start(
        topology: impl Into<Arc<Topology>>,
        workload: impl Into<Workload>,
        settings: Settings,
        observer: O,
    ) -> Result<Self, EngineError> {
        let topology = topology.into();
        let workload = workload.into();
        let (kind, reason) = settings.engine.for_workload(&topology, &workload);
        if kind == Engine::Stream && !workload.endpoints.is_empty() {
            return Err(EngineError::StreamEndpoints);
        }
        let until = settings.until.unwrap_or(LAST).min(LAST);
        let network = Network::new(topology, &workload, until, &settings)?;
        let Workload { injections, endpoints } = workload;
        let engine: Box<dyn Running<O>> = match (kind, observer.watches()) {
            (Engine::Stream, true) => Box::new(StreamEngine::<true>::new(network, injections, &settings)?),
            (Engine::Stream, false) => Box::new(StreamEngine::<false>::new(network, injections, &settings)?),
            (_, true) => Box::new(EventEngine::<true>::new(network, injections, endpoints, &settings)?),
            (_, false) => Box::new(EventEngine::<false>::new(network, injections, endpoints, &settings)?),
        };
        Ok(Simulation { engine, observer, kind, reason, failed: false })
    }

    /// Simulates up to and including `end`, or to the end of the run if that is earlier. The results do not
    /// depend on where or how often a run pauses.
    ///
    /// # Errors
    /// A source or the observer fails, a flow is in an endless forwarding loop, or the time exceeds the
    /// maximum. The simulation then cannot continue or be finished.
    pub fn run_until(&mut self, end: Time) -> Result<Progress, EngineError> {
        if std::mem::replace(&mut self.failed, true) {
            return Err(EngineError::Failed);
        }
        self.engine.run_until(end, &mut self.observer)?;
        let progress = self.engine.progress();
        self.observer.progress(&progress)?;
        self.failed = false;
        Ok(progress)
    }

    /// Runs to the end, or to the `until` of the settings, and checks that every packet is conserved.
    ///
    /// # Errors
    /// The same as for [`run_until`](Simulation::run_until).
    pub fn finish(mut self) -> Result<Finished<O>, EngineError> {
        self.run_until(Time::NEVER)?;
        let Simulation { mut engine, mut observer, .. } = self;
        let tally = engine.finish(&mut observer)?;
        let last = Progress { time: tally.now, injected: tally.packets.injected, fraction: None };
        observer.settled(Time::NEVER).and_then(|()| observer.progress(&last))?;
        let Tally { packets, hops, now: end, fingerprint, .. } = tally;
        let outcome = Outcome { packets, hops, end, fingerprint };
        let (warnings, statistics) = (engine.warnings(), engine.statistics());
        let (connections, answers) = (engine.take_connections(), engine.take_answers());
        Ok(Finished { outcome, warnings, statistics, connections, answers, observer })
    }

    /// The engine in use ([`Engine::Stream`] or [`Engine::Event`]), and the reason.
    pub fn engine(&self) -> (Engine, &'static str) {
        (self.kind, self.reason)
    }

    /// The progress so far.
    pub fn progress(&self) -> Progress {
        self.engine.progress()
    }

    /// The observer.
    pub fn observer(&self) -> &O {
        &self.observer
    }
}

/// Runs a network from start to end.
///
/// # Errors
/// The same as for [`Simulation::start`] and [`Simulation::run_until`].
pub fn simulate(
    topology: impl Into<Arc<Topology>>,
    workload: impl Into<Workload>,
    settings: Settings,
    observer: impl Observer,
) -> Result<Outcome, EngineError> {
    let finished = Simulation::start(topology, workload, settings, observer)?.finish()?;
    Ok(finished.outcome)
}

impl Engine {
    /// The engine that runs a workload under this setting ([`Engine::Stream`] or [`Engine::Event`]), and the
    /// reason.
    pub fn for_workload(self, topology: &Topology, workload: &Workload) -> (Engine, &'static str) {
        match self {
            Engine::Auto if !workload.endpoints.is_empty() => {
                (Engine::Event, "closed loops (TCP) are run event by event")
            }
            engine => engine.for_network(topology),
        }
    }

    /// The engine that runs a network under this setting ([`Engine::Stream`] or [`Engine::Event`]), and the
    /// reason.
    pub fn for_network(self, topology: &Topology) -> (Engine, &'static str) {
        match self {
            Engine::Auto if instant_cycle(topology).is_some() => {
                (Engine::Event, "a forwarding loop could have zero delay, which only the event engine orders")
            }
            Engine::Auto => (Engine::Stream, "no forwarding loop has zero delay, so it is exact"),
            engine => (engine, "as asked for"),
        }
    }
}
