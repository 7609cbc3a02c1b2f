//! A scenario: a topology, its traffic, the measured captures, and what a run must reach.

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capture::CaptureKeys;
use crate::topology::{DeviceId, Topology};
use crate::traffic::replay::Speed;
use crate::traffic::{Connections, CustomTraffic, Generator};
use crate::units::{Span, Time, Timestamp};

mod file;
mod observer;
mod reader;
mod record;
mod rtt;
mod traffic;

pub use crate::topology::{Direction, Vantage, VantageSpec};
pub use file::{MeasuredFile, ScenarioFile, StopFile};
pub(crate) use observer::OBSERVER;
pub use observer::{CustomObserver, ObserverSpec};
pub use record::{QueueSamples, QueuesFile, Record, RecordFile, VantageText};
pub use rtt::{MeasuredRtts, RttFile};
pub(crate) use traffic::entry_name;

/// Which engine runs a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The stream engine wherever it is exact, else the event engine
    #[default]
    Auto,
    /// The network as sorted streams, port by port: fast
    Stream,
    /// The event queue: the reference
    Event,
}

impl Engine {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Auto => "auto",
            Engine::Stream => "stream",
            Engine::Event => "event",
        }
    }
}

/// What the delay at a measured vantage counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DelayScope {
    /// From the packet's injection into the simulation.
    #[default]
    Path,
    /// From the packet's ingress at the device of the vantage: its injection there, or a measured
    /// capture at one of the device's ingress ports.
    Hop,
}

/// Whether a capture's clock is that of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum CaptureClock {
    /// The same clock, or one that is kept in step: its times are taken as they are
    #[default]
    Same,
    /// A clock of its own: its offset and its skew are found from the delays, and taken away
    Skewed,
}

/// A resolved scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The network.
    pub topology: Arc<Topology>,
    /// The seed of every random stream.
    pub seed: u64,
    /// The engine.
    pub engine: Engine,
    /// The absolute time of the run's start; without it that of the first packet of the captures.
    pub start: Option<Timestamp>,
    /// When the simulation stops; without it, when the last packet has left.
    pub until: Option<Time>,
    /// What happens before is left out of all statistics.
    pub warm_up: Span,
    /// The run stops when so many connections that began after the warm-up have finished.
    pub stop_after_flows: Option<u64>,
    /// The sources, by entry.
    pub traffic: Vec<Traffic>,
    /// The captures to compare with.
    pub measured: Vec<Measured>,
    /// The captures whose round-trip times are compared.
    pub rtts: Vec<MeasuredRtts>,
    /// What is written down.
    pub record: Record,
    /// Observers of other crates.
    pub observers: Vec<CustomObserver>,
    /// Every file that it was read from, in the order of reading: scenario, topology, captures.
    pub inputs: Vec<PathBuf>,
}

impl Scenario {
    /// What is odd about the generated traffic and what is recorded of it, in words.
    pub fn warnings(&self) -> Vec<String> {
        let generators = self.traffic.iter().filter_map(|traffic| match traffic {
            Traffic::Generated(generator) => Some(generator),
            _ => None,
        });
        let of_traffic = generators.flat_map(|generator| generator.warnings.iter().cloned());
        of_traffic
            .chain(self.connections().flat_map(|entry| entry.warnings().iter().cloned()))
            .chain(self.nothing_to_sample())
            .collect()
    }

    /// The entries of connections, in the order of the file.
    pub(crate) fn connections(&self) -> impl Iterator<Item = &Connections> + Clone {
        self.traffic.iter().filter_map(|traffic| match traffic {
            Traffic::Connections(entry) => Some(entry),
            _ => None,
        })
    }

    /// A word on a table of connections that will be empty.
    pub(crate) fn nothing_to_sample(&self) -> Option<String> {
        let connects = self.traffic.iter().any(|traffic| matches!(traffic, Traffic::Connections(_)));
        (self.record.transport.is_some() && !connects).then(|| {
            "[record] transport: no traffic has connections (TCP), so that the table will be empty".to_owned()
        })
    }
}

/// One `[[traffic]]` entry, resolved.
#[derive(Debug, Clone)]
pub enum Traffic {
    /// A capture replayed at a vantage.
    Replay {
        /// the file
        capture: PathBuf,
        /// which of its packets count
        keys: CaptureKeys,
        /// where it is injected
        at: Vantage,
        /// how fast
        speed: Speed,
    },
    /// A capture spread over hosts, one source per host.
    ReplayByAddress {
        /// the file
        capture: PathBuf,
        /// which of its packets count
        keys: CaptureKeys,
        /// who sends and receives
        hosts: Vec<DeviceId>,
        /// the host of each prefix, by position, the longest prefix first; a hash without it
        prefixes: Option<Vec<(IpNet, u32)>>,
        /// how fast
        speed: Speed,
    },
    /// Packets that a process generates, one source per sending host.
    Generated(Generator),
    /// Connections, whose senders answer what arrives.
    Connections(Connections),
    /// Packets of a source that another crate defines.
    Custom(CustomTraffic),
}

/// How far apart in time the same TCP packet may be, where nothing else is asked: 100 us.
pub const TOLERANCE: Span = Span::from_ns(100_000);

/// One measured capture, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The file.
    pub capture: PathBuf,
    /// Which of its packets count.
    pub keys: CaptureKeys,
    /// Where it was taken.
    pub at: Vantage,
    /// Whether a replay enters there: then the packets of connections alone are compared.
    pub is_entry: bool,
    /// What its delays count from.
    pub delay: DelayScope,
    /// Its clock.
    pub clock: CaptureClock,
    /// How far apart in time the same TCP packet may be on both sides.
    pub tolerance: Span,
    /// The bounds that its comparison must keep.
    pub accept: Accept,
}

/// Bounds on a comparison; `run` exits with 3 when one is missed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// W1(simulated, measured) / mean(measured), at most.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub w1_normalized: Option<f64>,
    /// Pearson correlation of matched delays, at least.
    #[serde(default, deserialize_with = "file::correlation")]
    #[schemars(range(min = -1, max = 1))]
    pub pearson: Option<f64>,
    /// Spearman correlation of matched delays, at least.
    #[serde(default, deserialize_with = "file::correlation")]
    #[schemars(range(min = -1, max = 1))]
    pub spearman: Option<f64>,
    /// Kolmogorov-Smirnov distance, at most.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub ks: Option<f64>,
    /// Mean absolute error, at most.
    pub mae: Option<Span>,
    /// Median absolute error, at most.
    pub median_abs_error: Option<Span>,
    /// 99th percentile of the absolute error, at most.
    pub p99_abs_error: Option<Span>,
    /// |simulated mean - measured mean| / measured mean, at most.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub mean_relative_error: Option<f64>,
    /// The same of the medians.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub p50_relative_error: Option<f64>,
    /// The same of the 90th percentiles.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub p90_relative_error: Option<f64>,
    /// The same of the 99th percentiles.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub p99_relative_error: Option<f64>,
    /// The same of the 99.9th percentiles.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub p999_relative_error: Option<f64>,
    /// The same of the jitter.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub jitter_relative_error: Option<f64>,
    /// |simulated drops - measured drops| / measured drops, at most.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub drops_relative_error: Option<f64>,
}

impl Accept {
    /// The first bound that is none of round-trip times.
    fn of_packets_alone(&self) -> Option<&'static str> {
        let jitter = self.jitter_relative_error.map(|_| "jitter_relative_error");
        jitter.or(self.drops_relative_error.map(|_| "drops_relative_error"))
    }
}
