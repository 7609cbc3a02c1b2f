//! Training data: converts captures, scenarios and tables to traces.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LearnError;
use super::csv::read_device;
use super::spec::{CapturesFile, DataFile, Part, PartOfData, TrainingFile};
use super::trace::{Trace, Visit};
use crate::calibrate::{Bottleneck, CalibrateOptions, Model as CalibratedModel, Recording};
use crate::capture::Options as CaptureOptions;
use crate::config::Spanned;
use crate::engine::{self, Dropped, Hop, Observed, Observer};
use crate::flow::Flows;
use crate::link::Link;
use crate::packet::{FlowKey, Packet, Tau};
use crate::ptm::neural::residual::Pace;
use crate::ptm::neural::{Classing, NeuralClass};
use crate::run::{Sources, hash_input};
use crate::scenario::Scenario;
use crate::topology::{PortId, PortName};
use crate::units::{Bandwidth, ByteCount, Span, Time, Timestamp};

/// One source of data.
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// The part of training that it is used for.
    pub part: PartOfData,
    /// Its files, with the SHA-256 of each.
    pub files: BTreeMap<String, String>,
    /// The traces, one per egress port.
    pub traces: Vec<Trace>,
    /// The bottleneck, if the data do not give it: calibrated on the training part.
    pub pace: Option<Pace>,
    /// Warnings about its captures.
    pub warnings: Vec<String>,
}

/// Reads all data of a training file. Also returns the names of the contexts, in order of appearance.
///
/// # Errors
/// A file cannot be read or has no usable data.
pub fn load(
    file: &TrainingFile,
    mut progress: impl FnMut(&str) -> ControlFlow<()>,
) -> Result<(Vec<Dataset>, Vec<String>), LearnError> {
    let mut contexts: Vec<String> = Vec::new();
    let mut sources = Vec::new();
    for data in &file.data {
        let data = data.get_ref();
        if progress(&data.title()).is_break() {
            return Err(LearnError::Interrupted);
        }
        let name = data.context.clone().unwrap_or_else(|| "device".to_owned());
        let context = contexts.iter().position(|known| *known == name).unwrap_or_else(|| {
            contexts.push(name);
            contexts.len() - 1
        });
        let mut source = read(data, file)?;
        source.traces.iter_mut().for_each(|trace| trace.context = context);
        if source.traces.iter().all(|trace| trace.visits.is_empty()) {
            return Err(LearnError::Nothing(source.name));
        }
        sources.push(source);
    }
    Ok((sources, contexts))
}

fn read(data: &DataFile, file: &TrainingFile) -> Result<Dataset, LearnError> {
    let mut source = Dataset {
        name: data.title(),
        part: data.part,
        files: BTreeMap::new(),
        traces: Vec::new(),
        pace: None,
        warnings: Vec::new(),
    };
    if let Some(captures) = &data.captures {
        read_captures(captures, file, &mut source)?;
        hash(data.files().map(Spanned::get_ref), &mut source.files)?;
    }
    if let Some(path) = &data.scenario {
        let scenario = Scenario::load(path.get_ref(), &data.set, None)?;
        source.traces = simulate(&scenario, &data.ports, &file.class, &source.name)?;
        hash(scenario.inputs.iter(), &mut source.files)?;
    }
    if let Some((path, rate)) = data.deepqueuenet.as_ref().zip(data.rate) {
        for (_, mut trace) in read_device(path.get_ref(), rate)? {
            classed(&mut trace.visits, &file.class, &trace.flows);
            source.traces.push(trace);
        }
        hash(data.files().map(Spanned::get_ref), &mut source.files)?;
    }
    Ok(source)
}

fn hash<'a>(
    paths: impl Iterator<Item = &'a PathBuf>,
    files: &mut BTreeMap<String, String>,
) -> Result<(), LearnError> {
    for path in paths {
        let input = hash_input(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        files.insert(format!("{folder}/{name}"), input.sha256.unwrap_or_default());
    }
    Ok(())
}

fn classed(visits: &mut [Visit], classes: &[NeuralClass], flows: &Flows) {
    let mut classing = Classing::new(classes);
    for visit in visits {
        visit.class = classing.class(&visit.packet, flows) as u16;
    }
}

fn read_captures(
    captures: &CapturesFile,
    file: &TrainingFile,
    source: &mut Dataset,
) -> Result<(), LearnError> {
    let options = CalibrateOptions {
        ingress: captures.ingress.iter().map(|path| path.get_ref().clone()).collect(),
        egress: captures.egress.get_ref().clone(),
        ..CalibrateOptions::default()
    };
    let recording = Recording::read(&options)?;
    source.warnings = recording.remarks().to_vec();
    let mut flows = Flows::default();
    for key in recording.flows() {
        flows.add(*key);
    }
    let transits = recording.transits();
    let at = |ps: i64| Time::from_ps(ps.max(0) as u64);
    let mut visits: Vec<Visit> = transits
        .map(|transit| {
            let arrival = at(transit.arrival_ps);
            let packet = Packet { in_port: transit.capture + 1, ..transit.packet };
            // If clocks differ by less than a delay, a departure may precede the arrival.
            let start = transit.departure_ps.map(|ps| at(ps).max(arrival));
            Visit { arrival, packet, class: 0, start }
        })
        .collect();
    classed(&mut visits, &file.class, &flows);
    let trace = Trace {
        name: source.name.clone(),
        context: 0,
        link: Link::with_delay(Bandwidth::Unlimited, Span::ZERO),
        flows: Arc::new(flows),
        visits,
    };
    if source.part != PartOfData::Test && file.pace.is_none() {
        let until = Part::Train.of(&trace, source.part, &file.split).end;
        let end = trace.visits.get(until).map_or(i64::MAX, |visit| visit.arrival.as_ps() as i64);
        let model = recording.model(i64::MIN..end)?;
        if model.at_far_end {
            return Err(LearnError::FarEnd(source.name.clone()));
        }
        source.pace = Some(pace_of(&model, file.class.len() > 1, &source.name)?);
    }
    source.traces.push(trace);
    Ok(())
}

/// The bottleneck of a calibrated device. A link is a bucket without depth, because the path behind it is not
/// simulated.
fn pace_of(model: &CalibratedModel, several: bool, name: &str) -> Result<Pace, LearnError> {
    let rate = model.rate();
    let burst = ByteCount::new(model.burst_bytes);
    let overhead = model.overhead().ok_or_else(|| LearnError::Framing(name.to_owned()))?;
    match model.bottleneck {
        Bottleneck::None => Err(LearnError::NoBottleneck(name.to_owned())),
        Bottleneck::Link => Ok(Pace::DebtBucket { rate, burst: ByteCount::ZERO, overhead }),
        Bottleneck::TokenBucket if !several => Ok(Pace::TokenBucket { rate, burst, overhead }),
        Bottleneck::TokenBucket | Bottleneck::DebtBucket => Ok(Pace::DebtBucket { rate, burst, overhead }),
    }
}

/// Observes the ports of interest.
struct Ports {
    ports: Vec<PortId>,
    /// The processing delays of their devices.
    processing: Vec<Span>,
    flows: Flows,
    visits: Vec<Vec<Visit>>,
}

impl Observer for Ports {
    fn flow(&mut self, _fid: u32, key: &FlowKey) -> Observed {
        self.flows.add(*key);
        Ok(())
    }
    fn hop(&mut self, hop: &Hop) -> Observed {
        if let Some(port) = self.ports.iter().position(|port| *port == hop.port) {
            let (packet, start) = (hop.packet, Some(hop.egress));
            self.visits[port].push(Visit { arrival: hop.joined, packet, class: 0, start });
        }
        Ok(())
    }
    fn dropped(&mut self, drop: &Dropped) -> Observed {
        if let Some(port) = self.ports.iter().position(|port| Some(*port) == drop.port) {
            let Tau { timestamp, packet } = drop.tau;
            let arrival = timestamp + self.processing[port];
            self.visits[port].push(Visit { arrival, packet, class: 0, start: None });
        }
        Ok(())
    }
}

/// Runs a scenario and records the packets at its ports.
fn simulate(
    scenario: &Scenario,
    ports: &[Spanned<PortName>],
    classes: &[NeuralClass],
    name: &str,
) -> Result<Vec<Trace>, LearnError> {
    let topology = &scenario.topology;
    let find = |name: &Spanned<PortName>| {
        topology
            .port_named(name.get_ref())
            .map_err(|error| LearnError::Port(format!("{error}; {}", error.help())))
    };
    let found = ports.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let mut sources = Sources::open(scenario, &CaptureOptions::default())?;
    let start = sources.start(Timestamp::default());
    let settings = scenario.settings(start);
    let workload = sources.into_workload(topology, start)?;
    let visits = vec![Vec::new(); found.len()];
    let processing =
        found.iter().map(|port| topology.device(topology.port(*port).device).processing).collect();
    let mut observer = Ports { ports: found, processing, flows: Flows::default(), visits };
    engine::simulate(Arc::clone(topology), workload, settings, &mut observer)?;
    let flows = Arc::new(observer.flows);
    let traces = observer.ports.iter().zip(observer.visits).map(|(port, mut visits)| {
        visits.sort_by_key(|visit| (visit.arrival, visit.packet.pid));
        classed(&mut visits, classes, &flows);
        let name = match ports.len() {
            1 => name.to_owned(),
            _ => format!("{name} {}", topology.port_name(*port)),
        };
        let link = topology.link(topology.port(*port).egress).link;
        Trace { name, context: 0, link, flows: Arc::clone(&flows), visits }
    });
    Ok(traces.collect())
}
