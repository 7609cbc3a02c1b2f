//! A scenario: a topology, its traffic, the measured captures, and the acceptance bounds.

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

/// The engine that runs a simulation.
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

/// Where the delay at a measured vantage starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DelayScope {
    /// From the packet's injection into the simulation.
    #[default]
    Path,
    /// From the packet's ingress at the device of the vantage: its injection there, or its time in a measured
    /// capture at one of the device's ingress ports.
    Hop,
}

/// The clock of a capture, relative to the clock of the traffic's captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum CaptureClock {
    /// The same clock, or a synchronized one: timestamps are used unchanged
    #[default]
    Same,
    /// An unsynchronized clock: its offset and skew are estimated from the delays and removed
    Skewed,
}

/// A resolved scenario: all names are looked up and all values checked.
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
    /// The absolute time at which the run starts; `None` for the first packet of the captures.
    pub start: Option<Timestamp>,
    /// When the simulation stops; `None` to stop after the last packet has left.
    pub until: Option<Time>,
    /// The length of the warm-up. All statistics leave it out.
    pub warm_up: Span,
    /// The number of finished connections, of those that began after the warm-up, at which the run stops.
    pub stop_after_flows: Option<u64>,
    /// The sources of traffic, by entry.
    pub traffic: Vec<Traffic>,
    /// The captures to compare with.
    pub measured: Vec<Measured>,
    /// The captures whose round-trip times are compared.
    pub rtts: Vec<MeasuredRtts>,
    /// The tables and captures that the run writes.
    pub record: Record,
    /// Observers defined by other crates.
    pub observers: Vec<CustomObserver>,
    /// Every file that the scenario was read from, in order of reading: scenario, topology, captures.
    pub inputs: Vec<PathBuf>,
}

impl Scenario {
    /// Warnings about the generated traffic and about what the run records of it.
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

    /// A warning if the table of connections will be empty.
    pub(crate) fn nothing_to_sample(&self) -> Option<String> {
        let connects = self.traffic.iter().any(|traffic| matches!(traffic, Traffic::Connections(_)));
        (self.record.transport.is_some() && !connects).then(|| {
            "[record] transport: no traffic has connections (TCP), so the table will be empty".to_owned()
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
        /// the filter for its packets
        keys: CaptureKeys,
        /// where its packets are injected
        at: Vantage,
        /// the speed of the replay
        speed: Speed,
    },
    /// A capture distributed over hosts, one source per host.
    ReplayByAddress {
        /// the file
        capture: PathBuf,
        /// the filter for its packets
        keys: CaptureKeys,
        /// the hosts that send and receive
        hosts: Vec<DeviceId>,
        /// the host of each prefix, by position, longest prefix first; `None` to choose hosts by a hash
        prefixes: Option<Vec<(IpNet, u32)>>,
        /// the speed of the replay
        speed: Speed,
    },
    /// Packets generated by a stochastic process, one source per sending host.
    Generated(Generator),
    /// Connections: closed-loop senders.
    Connections(Connections),
    /// Packets of a source defined by another crate.
    Custom(CustomTraffic),
}

/// The default for [`Measured::tolerance`]: 100 us.
pub const TOLERANCE: Span = Span::from_ns(100_000);

/// One measured capture, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The file.
    pub capture: PathBuf,
    /// The filter for its packets.
    pub keys: CaptureKeys,
    /// Where it was recorded.
    pub at: Vantage,
    /// Whether a replay enters at this vantage. Then only packets of connections are compared.
    pub is_entry: bool,
    /// Where its delays start.
    pub delay: DelayScope,
    /// Its clock.
    pub clock: CaptureClock,
    /// The maximum difference between the simulated and the measured time of the same TCP packet.
    pub tolerance: Span,
    /// The acceptance bounds of its comparison.
    pub accept: Accept,
}

/// Acceptance bounds on a comparison. `taunet run` exits with code 3 if one is missed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// Maximum of W1(simulated, measured) / mean(measured), where W1 is the Wasserstein distance.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub w1_normalized: Option<f64>,
    /// Minimum Pearson correlation of matched delays.
    #[serde(default, deserialize_with = "file::correlation")]
    #[schemars(range(min = -1, max = 1))]
    pub pearson: Option<f64>,
    /// Minimum Spearman correlation of matched delays.
    #[serde(default, deserialize_with = "file::correlation")]
    #[schemars(range(min = -1, max = 1))]
    pub spearman: Option<f64>,
    /// Maximum Kolmogorov-Smirnov distance.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub ks: Option<f64>,
    /// Maximum mean absolute error.
    pub mae: Option<Span>,
    /// Maximum median absolute error.
    pub median_abs_error: Option<Span>,
    /// Maximum 99th percentile of the absolute error.
    pub p99_abs_error: Option<Span>,
    /// Maximum relative error of the mean: |simulated - measured| / measured.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub mean_relative_error: Option<f64>,
    /// Maximum relative error of the median.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub p50_relative_error: Option<f64>,
    /// Maximum relative error of the 90th percentile.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub p90_relative_error: Option<f64>,
    /// Maximum relative error of the 99th percentile.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub p99_relative_error: Option<f64>,
    /// Maximum relative error of the 99.9th percentile.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub p999_relative_error: Option<f64>,
    /// Maximum relative error of the jitter.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub jitter_relative_error: Option<f64>,
    /// Maximum relative error of the number of dropped packets.
    #[serde(default, deserialize_with = "file::size")]
    #[schemars(range(min = 0))]
    pub drops_relative_error: Option<f64>,
}

impl Accept {
    /// The first bound that is not defined for round-trip times.
    fn of_packets_alone(&self) -> Option<&'static str> {
        let jitter = self.jitter_relative_error.map(|_| "jitter_relative_error");
        jitter.or(self.drops_relative_error.map(|_| "drops_relative_error"))
    }
}
