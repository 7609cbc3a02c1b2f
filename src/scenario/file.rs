//! The scenario file as written, and its conversion to a [`Scenario`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::reader::Reader;
use super::{
    Accept, CaptureClock, DelayScope, Direction, Engine, Measured, ObserverSpec, RecordFile, RttFile,
    Scenario, TOLERANCE, Traffic,
};
use crate::capture::{CaptureDirection, CaptureKeys, InterfaceName};
use crate::config::{ConfigError, Document, FileKind, Registry, Spanned};
use crate::topology::{Topology, VantageSpec};
use crate::traffic::{TrafficSpec, TransportSpec};
use crate::units::{Span, Time};

/// A scenario: a topology, its traffic, and the captures measured there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioFile {
    /// The scenario's name. It must contain a letter or a digit.
    #[serde(deserialize_with = "crate::config::name")]
    #[schemars(length(min = 1))]
    pub name: String,
    /// A description for readers.
    pub description: Option<String>,
    /// The topology file, relative to this file.
    #[schemars(with = "PathBuf")]
    pub topology: Spanned<PathBuf>,
    /// The seed of every random stream (default: 1).
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// When the simulation stops (default: when the last packet has left).
    pub until: Option<Span>,
    /// The length of the warm-up. All statistics leave it out (default: 0 s).
    #[schemars(with = "Option<Span>")]
    pub warm_up: Option<Spanned<Span>>,
    /// A further condition that stops the run, if it is met before `until`.
    #[schemars(with = "Option<StopFile>")]
    pub stop_when: Option<Spanned<StopFile>>,
    /// The engine (default: auto, which is the stream engine where it is exact). The results do not depend on
    /// it.
    #[serde(default)]
    pub engine: Engine,
    /// The transport of connections, for entries without their own.
    #[serde(default)]
    pub transport: TransportSpec,
    /// The sources of traffic.
    #[serde(default)]
    #[schemars(with = "Vec<TrafficSpec>")]
    pub traffic: Vec<Spanned<TrafficSpec>>,
    /// The measured captures to compare with.
    #[serde(default)]
    pub measured: Vec<MeasuredFile>,
    /// The bidirectional captures whose round-trip times are compared with simulated ones.
    #[serde(default)]
    pub rtt: Vec<RttFile>,
    /// The acceptance bounds of every comparison, for captures without their own.
    #[schemars(with = "Option<Accept>")]
    pub accept: Option<Spanned<Accept>>,
    /// The tables and captures that the run writes (default: the table of packets).
    pub record: Option<RecordFile>,
    /// Observers added by a program that embeds taunet.
    #[serde(default)]
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub observer: Vec<ObserverSpec>,
}

/// A condition that stops the run.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopFile {
    /// The number of finished connections, of those that began after the warm-up, at which the run stops.
    #[schemars(with = "u64", range(min = 1))]
    pub flows_finished: Spanned<u64>,
}

/// A measured capture to compare with.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeasuredFile {
    /// The capture file, relative to the scenario file.
    #[schemars(with = "PathBuf")]
    pub capture: Spanned<PathBuf>,
    /// Compare only the packets of this interface: its name, or the number that `taunet inspect` shows
    /// (default: all).
    pub interface: Option<InterfaceName>,
    /// Compare only the packets of this direction, if the file records it: "in" or "out" (default: both).
    pub direction: Option<CaptureDirection>,
    /// How far out of order its packets may be (default: the value of --reorder-window, 1 s).
    pub reorder_window: Option<Span>,
    /// Where it was recorded.
    pub at: VantageSpec,
    /// Where its delays start (default: path). "hop" is allowed at egress vantages only.
    #[schemars(with = "Option<DelayScope>")]
    pub delay: Option<Spanned<DelayScope>>,
    /// Its clock relative to the clock of the traffic's captures (default: same). With "skewed", offset and
    /// skew are estimated from the delays and removed; the minimum delay is then assumed to equal the
    /// simulated minimum.
    #[serde(default)]
    pub clock: CaptureClock,
    /// For simulated TCP connections: the maximum difference between the simulated and the measured time of
    /// the same packet, before the two sides count as diverged (default: 100 us).
    pub tolerance: Option<Span>,
    /// The acceptance bounds of this comparison, instead of the scenario's.
    pub accept: Option<Accept>,
}

fn default_seed() -> u64 {
    1
}

/// Reads a bound that is zero or more.
pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    bound(deserializer, 0.0..=f64::MAX, "zero or more")
}

/// Reads a bound on a correlation.
pub(super) fn correlation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    bound(deserializer, -1.0..=1.0, "from -1 to 1")
}

fn bound<'de, D: Deserializer<'de>>(
    deserializer: D,
    range: std::ops::RangeInclusive<f64>,
    words: &str,
) -> Result<Option<f64>, D::Error> {
    let bound = Option::<f64>::deserialize(deserializer)?;
    match bound {
        Some(number) if !range.contains(&number) => {
            Err(de::Error::custom(format_args!("{number} is not a valid bound; the bound must be {words}")))
        }
        _ => Ok(bound),
    }
}

impl Scenario {
    /// Reads a scenario file with its topology, and locates its captures.
    ///
    /// `overrides` are `path.to.key=value`, as [`Document::set`] reads them, and paths in them are relative to the
    /// scenario's folder; `seed` overrules the file's.
    ///
    /// # Errors
    /// Every mistake in the scenario, its overrides and its topology, each with its position.
    pub fn load(path: &Path, overrides: &[String], seed: Option<u64>) -> Result<Self, ConfigError> {
        Self::load_with(path, overrides, seed, &Registry::default())
    }

    /// Like [`load`](Scenario::load), for files that may also name the kinds in `registry`.
    ///
    /// # Errors
    /// The same as for [`load`](Scenario::load).
    pub fn load_with(
        path: &Path,
        overrides: &[String],
        seed: Option<u64>,
        registry: &Registry,
    ) -> Result<Self, ConfigError> {
        let mut document = Document::read(path)?.with(registry);
        document.must_be(FileKind::Scenario)?;
        document.set_all(overrides)?;
        Self::from_document(&document, path, seed)
    }

    /// The same, where the overrides are those of a command line: paths in them are relative to the current directory.
    ///
    /// # Errors
    /// As [`load`](Scenario::load) has them.
    pub fn load_from_shell(
        path: &Path,
        overrides: &[String],
        seed: Option<u64>,
        registry: &Registry,
    ) -> Result<Self, ConfigError> {
        let mut document = Document::read(path)?.with(registry);
        document.must_be(FileKind::Scenario)?;
        document.set_from_shell(overrides)?;
        Self::from_document(&document, path, seed)
    }

    /// Reads a scenario from a document; paths in it are relative to the folder of `path`.
    ///
    /// # Errors
    /// Every mistake in the scenario and its topology, each with its position.
    pub fn from_document(document: &Document, path: &Path, seed: Option<u64>) -> Result<Self, ConfigError> {
        Self::resolve(document, path, seed, None)
    }

    /// The same on the network of another document, whatever file the scenario's `topology` names. Overrides
    /// below `topology` are those of that document.
    ///
    /// # Errors
    /// The same as for [`from_document`](Scenario::from_document).
    pub fn from_document_on(
        document: &Document,
        path: &Path,
        seed: Option<u64>,
        topology: &Document,
    ) -> Result<Self, ConfigError> {
        Self::resolve(document, path, seed, Some(topology))
    }

    fn resolve(
        document: &Document,
        path: &Path,
        seed: Option<u64>,
        network: Option<&Document>,
    ) -> Result<Self, ConfigError> {
        document.must_be(FileKind::Scenario)?;
        let file: ScenarioFile = document.deserialize()?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut reader = Reader::new(document, folder);
        let seed = seed.unwrap_or(file.seed);
        let until = file.until.map(|until| Time::ZERO + until);

        let topology_path = if network.is_some() { None } else { reader.file(&file.topology) };
        let topology = match network {
            Some(network) => Some(inheriting(document, network.clone())),
            None => topology_path.as_deref().map(|path| topology(document, &file.topology, path)),
        };
        let topology = match topology {
            Some(Ok(topology)) => Arc::new(topology),
            Some(Err(error)) => {
                reader.errors.push(error);
                return Err(reader.finish());
            }
            None => return Err(reader.finish()),
        };

        if file.traffic.is_empty() {
            let error = document.error(0..0, "the scenario has no traffic");
            reader.errors.push(error.with_help("add a [[traffic]] table".to_owned()));
        }
        let traffic = reader.all_traffic(&file.traffic, &topology, seed, until, &file.transport);
        let warm_up = reader.warm_up(&file, until);
        let stop_after_flows = reader.stop_when(&file, &traffic);
        let accept = file.accept.as_ref().map(|accept| *accept.get_ref());
        let measured = file
            .measured
            .iter()
            .filter_map(|spec| reader.measured(spec, accept.unwrap_or_default(), &traffic, &topology))
            .collect::<Vec<_>>();
        let rtts: Vec<_> = file.rtt.iter().filter_map(|spec| reader.rtts(spec, &topology)).collect();
        if let (Some(accept), true) = (&file.accept, file.measured.is_empty()) {
            let error =
                document.error(accept.span(), "[accept] has no effect: there is no [[measured]] capture");
            reader.errors.push(error.with_help("add a [[measured]] table, or leave [accept] out".to_owned()));
        }
        let record = file.record.as_ref().map(|file| reader.record(file, &topology)).unwrap_or_default();
        let observers = file.observer.iter().filter_map(|spec| reader.observer(spec)).collect();
        if !reader.errors.is_empty() {
            return Err(reader.finish());
        }

        let captures = traffic.iter().filter_map(|source| match source {
            Traffic::Replay { capture, .. } | Traffic::ReplayByAddress { capture, .. } => Some(capture),
            Traffic::Generated(_) | Traffic::Connections(_) | Traffic::Custom(_) => None,
        });
        let captures = captures.chain(&reader.inputs);
        let captures = captures.chain(measured.iter().map(|measured| &measured.capture));
        let captures = captures.chain(rtts.iter().map(|measured| &measured.capture));
        let mut inputs = vec![path.to_owned()];
        for input in topology_path.iter().chain(topology.models()).chain(captures) {
            if !inputs.contains(input) {
                inputs.push(input.clone());
            }
        }
        Ok(Scenario {
            name: file.name,
            topology,
            seed,
            engine: file.engine,
            start: None,
            until,
            warm_up,
            stop_after_flows,
            traffic,
            measured,
            rtts,
            record,
            observers,
            inputs,
        })
    }
}

/// Reads the topology file of a scenario, with what is set in it.
fn topology(document: &Document, named: &Spanned<PathBuf>, path: &Path) -> Result<Topology, ConfigError> {
    let here = |message: String| document.error(named.span(), message);
    let topology = Document::read(path).map_err(|error| match error.span() {
        Some(_) => error,
        None => {
            here(format!("`{}`: {}", path.display(), error.message())).with_help(TOPOLOGY_HELP.to_owned())
        }
    })?;
    let topology = topology.with(document.registry());
    if let Err(error) = topology.must_be(FileKind::Topology) {
        let message = format!("`{}`: {}", path.display(), error.message());
        return Err(here(message).with_help(TOPOLOGY_HELP.to_owned()));
    }
    inheriting(document, topology)
}

/// The network of a topology file, with what the scenario's overrides set in it.
fn inheriting(document: &Document, mut topology: Document) -> Result<Topology, ConfigError> {
    topology.inherit(document, "topology")?;
    Topology::from_document(&topology)
}

/// What the key `topology` names.
const TOPOLOGY_HELP: &str = "name a topology file, such as topology = \"net.toml\": it has [[device]] and [[link]] tables, or [generate]";

impl Reader<'_> {
    /// The length of the warm-up.
    fn warm_up(&mut self, file: &ScenarioFile, until: Option<Time>) -> Span {
        let Some(written) = &file.warm_up else { return Span::ZERO };
        let warm_up = *written.get_ref();
        if until.is_some_and(|until| Time::ZERO + warm_up >= until) {
            let message = format!("the warm-up of {warm_up} leaves nothing of the run");
            self.wrong(written.span(), message, Some("end it before `until`".to_owned()));
        }
        if !file.measured.is_empty() || !file.rtt.is_empty() {
            let message = "a comparison with captures needs every packet, and a warm-up leaves some out";
            let help = "remove `warm_up`, or remove [[measured]] and [[rtt]]";
            self.wrong(written.span(), message, Some(help.to_owned()));
        }
        warm_up
    }

    /// The number of finished connections at which the run stops.
    fn stop_when(&mut self, file: &ScenarioFile, traffic: &[Traffic]) -> Option<u64> {
        let written = &file.stop_when.as_ref()?.get_ref().flows_finished;
        let flows = *written.get_ref();
        if flows == 0 {
            self.wrong(
                written.span(),
                "the run would stop before it begins",
                Some("write 1 or more".to_owned()),
            );
        }
        if !traffic.iter().any(|traffic| matches!(traffic, Traffic::Connections(_))) {
            let message = "no traffic has connections (TCP), so no flow ever finishes";
            let help = "add traffic of `kind = \"flows\"`, or end the run with `until`";
            self.wrong(written.span(), message, Some(help.to_owned()));
        }
        Some(flows)
    }

    fn measured(
        &mut self,
        spec: &MeasuredFile,
        accept: Accept,
        traffic: &[Traffic],
        topology: &Topology,
    ) -> Option<Measured> {
        let (capture, at) = (self.capture(&spec.capture), self.vantage(&spec.at, topology));
        let is_replay =
            |source: &Traffic| matches!(source, Traffic::Replay { at: entry, .. } if Some(*entry) == at);
        let is_entry = traffic.iter().any(is_replay);
        let has_connections = traffic.iter().any(|source| matches!(source, Traffic::Connections(_)));
        if is_entry && !has_connections {
            let message = "the replay enters at this vantage: it would be compared with itself";
            let help = "compare at a vantage that its packets reach later";
            self.wrong(spec.at.port.span(), message, Some(help.to_owned()));
        }
        let delay = spec.delay.as_ref().map_or(DelayScope::default(), |delay| *delay.get_ref());
        if let (Some(written), DelayScope::Hop, Direction::Ingress) = (&spec.delay, delay, spec.at.direction)
        {
            let message = "a packet has no delay at the ingress of its own device";
            let help = "use delay = \"hop\" at egress vantages only";
            self.wrong(written.span(), message, Some(help.to_owned()));
        }
        let accept = spec.accept.unwrap_or(accept);
        let keys = CaptureKeys {
            interface: spec.interface.clone(),
            direction: spec.direction,
            reorder_window: spec.reorder_window,
        };
        let (clock, tolerance) = (spec.clock, spec.tolerance.unwrap_or(TOLERANCE));
        Some(Measured { capture: capture?, keys, at: at?, is_entry, delay, clock, tolerance, accept })
    }
}
