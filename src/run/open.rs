//! A scenario with all its files open, ready to run in memory, or into a directory with [`run`](super::run).

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::comparison::{ComparisonTables, Comparisons, Entries, MeasuredIngress, Reading};
use super::connections::summaries;
use super::doubts::{of_replays, still_inside};
use super::observer::{Records, RunObserver};
use super::sources::Sources;
use super::{MeasuredSummary, Overview, RunError, Stage, Summary};
use crate::capture::{CaptureKeys, MatchFields, Options as CaptureOptions, Sorted};
use crate::compare::{
    AcceptSummary, Connections, RttComparison, RttWatch, Transmissions, Watch, Watched, WatchedVantage,
    compare_rtts,
};
use crate::engine::{
    Engine, EngineError, Finished, Observer, ObserverPlace, OnProgress, Outcome, Settings, Simulation,
    Workload,
};
use crate::record::{FlowNames, FlowRecords, PortRecords, VantageRecords, write_requests};
use crate::scenario::{Direction, Scenario, Traffic};
use crate::statistics::Statistics;
use crate::table::{AfterWarmUp, Beside, Tables};
use crate::topology::{DeviceId, Topology};
use crate::traffic::Connections as Connected;
use crate::transport::{ConnectionRecord, Sampling};
use crate::units::{Span, Time, Timestamp};

/// A scenario with all its files open, ready to run.
///
/// [`run`](OpenScenario::run) simulates, compares, and writes to a [`Tables`].
/// [`simulation`](OpenScenario::simulation) gives the bare engine, to be run step by step with the caller's
/// own observer.
pub struct OpenScenario {
    /// The network.
    pub topology: Arc<Topology>,
    /// The absolute time at which the run starts: the first packet of all replayed captures. Without a
    /// replay, a scenario with connections starts at the first TCP packet of the measured captures; otherwise
    /// the run starts in 1970.
    pub start: Timestamp,
    /// The sources with the places where their packets enter, and the hosts with connections.
    pub workload: Workload,
    /// The settings of the engine. The caller may change the engine and the number of threads.
    pub settings: Settings,
    scenario: Scenario,
    reading: CaptureOptions,
    /// The fields that match keys cover.
    fields: MatchFields,
    /// The measured captures.
    captures: Vec<Sorted>,
    /// The absolute time that is 0 for measured times.
    origin: Timestamp,
    /// Whether a replayed capture gives the run its clock.
    is_on_clock: bool,
    /// Warnings about the captures of round-trip times.
    remarks: Vec<String>,
    watch: Watch,
    clock: Instant,
}

/// The results of a run, besides its tables.
pub struct Results {
    /// The contents of `summary.json`.
    pub summary: Summary,
    /// The counters of the engine.
    pub outcome: Outcome,
    /// The statistics of each flow: the table `flows`.
    pub flows: FlowRecords,
    /// The statistics of each port: the table `ports`.
    pub ports: PortRecords,
    /// The packets seen at the vantages of `[record]`, to be written as captures.
    pub vantages: VantageRecords,
    /// The absolute time at which the run started.
    pub start: Timestamp,
    /// The names of the sources, by number.
    pub sources: Vec<String>,
}

impl Scenario {
    /// The engine settings of this scenario, for a run with this absolute start.
    pub(crate) fn settings(&self, start: Timestamp) -> Settings {
        let Scenario { until, seed, engine, stop_after_flows, .. } = *self;
        let warm_up = Time::ZERO + self.warm_up;
        Settings { until, seed, engine, start, warm_up, stop_after_flows, ..Settings::default() }
    }

    /// Opens every file that a run reads. Writes nothing: no directory, no table. A file that cannot be
    /// opened is reported here, before the simulation. `reading` sets how captures are read.
    ///
    /// # Errors
    /// A capture cannot be read, or no address is routed to a host with traffic.
    ///
    /// # Examples
    /// ```no_run
    /// use std::ops::ControlFlow;
    /// use std::path::Path;
    /// use taunet::engine::Unwatched;
    /// use taunet::scenario::Scenario;
    /// use taunet::table::MemoryTables;
    ///
    /// let scenario = Scenario::load(Path::new("scenario.toml"), &[], None)?;
    /// let tables = MemoryTables::default();
    /// let results = scenario.open(&Default::default())?.run(&tables, Unwatched, |_| ControlFlow::Continue(()))?;
    /// println!("{} packets lost", results.summary.packets.dropped);
    /// for batch in &tables.take()["packets"].batches {
    ///     println!("{} rows", batch.num_rows()); // an Arrow record batch
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(&self, reading: &CaptureOptions) -> Result<OpenScenario, RunError> {
        let clock = Instant::now();
        let is_replay =
            |traffic: &&Traffic| matches!(traffic, Traffic::Replay { .. } | Traffic::ReplayByAddress { .. });
        let replayed = self.traffic.iter().filter(is_replay).count();
        let captures_at_once = replayed + self.measured.len() + self.rtts.len();
        let reading = &CaptureOptions { captures_at_once, ..reading.clone() };
        let mut sources = Sources::open(self, reading)?;
        let has_connections = sources.has_connections();
        let watch = Watch::new(&self.topology, &self.measured)?;
        let open = |capture: &Path, keys: &CaptureKeys| Sorted::open(capture, &reading.with(keys));
        let captures = self.measured.iter().map(|measured| {
            let capture = open(&measured.capture, &measured.keys);
            capture.map(|capture| if has_connections { capture.with_segments() } else { capture })
        });
        let mut captures = captures.collect::<Result<Vec<_>, _>>()?;
        let rtts = self.rtts.iter().map(|measured| open(&measured.capture, &measured.keys));
        let mut rtts = rtts.collect::<Result<Vec<_>, _>>()?;
        let fields = match_fields(&mut sources, captures.iter_mut().chain(&mut rtts).collect());
        captures.iter_mut().chain(&mut rtts).try_for_each(Sorted::check_start)?;
        let recorded_start = sources.recorded_start();
        let replayed = sources.recordings().map(|recording| recording.path().to_owned()).next();
        if let (None, Some(path), false) = (recorded_start, replayed, captures.is_empty()) {
            return Err(RunError::NothingReplayed(path));
        }
        let measured_start =
            has_connections.then(|| captures.iter_mut().filter_map(first_of_tcp).min()).flatten();
        let start = sources.start(self.start.or(measured_start).unwrap_or_default());
        let settings = self.settings(start);
        Ok(OpenScenario {
            topology: Arc::clone(&self.topology),
            start,
            workload: sources.into_workload(&self.topology, start)?,
            settings,
            scenario: self.clone(),
            reading: reading.clone(),
            fields,
            captures,
            origin: recorded_start.or(measured_start).unwrap_or_default(),
            is_on_clock: recorded_start.is_some(),
            remarks: rtts.iter().filter_map(Sorted::passing_twice).collect(),
            watch,
            clock,
        })
    }
}

/// Clears the ideal completion time of flows without a given size: their application decides how long they
/// last.
fn only_of_sizes(scenario: &Scenario, connections: &mut [ConnectionRecord]) {
    let sized: Vec<bool> = scenario.connections().map(Connected::has_sizes).collect();
    for connection in connections {
        if !sized.get(connection.entry as usize).copied().unwrap_or(false) {
            connection.ideal = Span::ZERO;
        }
    }
}

/// The connections among the flows of a run.
fn connections(flows: &FlowRecords) -> Connections {
    let keys = flows.flows().iter().map(|flow| &flow.key);
    let records = (0..flows.len()).map(|fid| flows.connection(fid));
    Connections::new(keys.zip(records))
}

/// The time of the first TCP packet in a capture.
fn first_of_tcp(capture: &mut Sorted) -> Option<Timestamp> {
    /// The number of packets examined.
    const SAMPLE: usize = 4_096;
    let packets = capture.look_ahead(SAMPLE).filter(|observation| observation.frame.tcp_sequence.is_some());
    packets.map(|observation| observation.timestamp).min()
}

/// The fields that match keys cover: those that every replayed and every measured capture contains.
fn match_fields(sources: &mut Sources, captures: Vec<&mut Sorted>) -> MatchFields {
    if captures.is_empty() {
        return MatchFields::ALL;
    }
    let replayed = sources.recordings().map(|recording| recording.match_fields());
    let replayed = replayed.fold(MatchFields::ALL, MatchFields::and);
    let fields = captures.into_iter().map(Sorted::match_fields).fold(replayed, MatchFields::and);
    sources.recordings().for_each(|recording| recording.match_over(fields));
    fields
}

impl OpenScenario {
    /// The bare simulation with the caller's observer. Nothing is recorded or compared.
    ///
    /// # Errors
    /// A source fails, or threads cannot be started.
    pub fn simulation<O: Observer>(self, observer: O) -> Result<Simulation<O>, EngineError> {
        Simulation::start(self.topology, self.workload, self.settings, observer)
    }

    /// The engine that will run, and the reason.
    pub fn engine(&self) -> (Engine, &'static str) {
        self.settings.engine.for_workload(&self.topology, &self.workload)
    }

    /// Simulates, compares with every measured capture, and writes the tables to `tables`. `observer` sees
    /// the events of the simulation. `progress` can interrupt the run.
    ///
    /// # Errors
    /// The simulation or the observer fails, a table cannot be written, or a capture cannot be compared.
    pub fn run(
        mut self,
        tables: &dyn Tables,
        mut observer: impl Observer,
        mut progress: impl FnMut(Stage<'_>) -> ControlFlow<()>,
    ) -> Result<Results, RunError> {
        let after = AfterWarmUp { tables, warm_up: self.scenario.warm_up };
        let tables: &dyn Tables = if self.scenario.warm_up > Span::ZERO { &after } else { tables };
        let engine = self.engine();
        let hosts: Vec<DeviceId> = self.workload.endpoints.iter().map(|endpoint| endpoint.host).collect();
        let (finished, records) = self.simulate(tables, &mut observer, &mut progress)?;
        let Finished { outcome, warnings, statistics, mut connections, answers, .. } = finished;
        let Statistics { flows, ports, drops } = statistics.unwrap_or_default();
        only_of_sizes(&self.scenario, &mut connections);
        let tcp = summaries(&self.scenario, &connections, &answers);
        let names = FlowNames::new(&self.topology, &self.scenario, &connections);
        let flows = FlowRecords::new(flows, connections);
        let (flows, ports) = (flows, PortRecords::new(&self.topology, ports, drops));
        let Records { queues, vantages, watch, rtts } = records;
        flows.write(tables, &names)?;
        drop(names);
        if self.scenario.connections().any(Connected::has_requests) {
            write_requests(&answers, tables)?;
        }
        ports.write(tables, &self.topology, outcome.end)?;
        if let Some(mut queues) = queues {
            queues.end(outcome.end)?;
            queues.write(tables, &self.topology, outcome.end)?;
        }
        let homeless = flows.homeless(&self.topology);
        let mut comparison = Comparison { warnings, ..Comparison::default() };
        comparison.warnings.extend(homeless);
        comparison.warnings.extend(of_replays(&self.scenario, &flows));
        comparison.warnings.extend(self.scenario.nothing_to_sample());
        let odd = self.scenario.connections().flat_map(|entry| entry.warnings().iter().cloned());
        comparison.warnings.extend(odd);
        let entries = self.scenario.connections();
        comparison.warnings.extend(entries.zip(&tcp).flat_map(|(entry, tcp)| tcp.doubts(entry)));
        comparison.warnings.append(&mut self.remarks);
        let mut names = self.scenario.entries();
        names.extend(hosts.iter().map(|host| self.topology.device(*host).name.clone()));
        let entries = Entries { sources: flows.sources(), names };
        let ends = (self.scenario.until.is_some(), outcome.end);
        self.compare_vantages((watch, ends), (entries, &flows), tables, &mut progress, &mut comparison)?;
        self.compare_rtts(rtts, &mut progress, &mut comparison)?;
        let Comparison { measured, rtts, warnings } = comparison;
        let accept = self.accept(&measured, &rtts);
        let summary = self.summary(engine, &outcome, (&flows, &ports), (measured, rtts), accept, warnings);
        let mut summary = Summary { tcp, ..summary };
        summary.warnings.extend(still_inside(&summary.packets, &summary.overview));
        let traffic = self.scenario.traffic.iter();
        let mut sources: Vec<String> =
            traffic.flat_map(|traffic| traffic.source_names(&self.topology)).collect();
        sources.extend(hosts.iter().map(|host| format!("tcp of {}", self.topology.device(*host).name)));
        Ok(Results { summary, outcome, flows, ports, vantages, start: self.start, sources })
    }

    /// Runs the simulation. Afterwards the tables of packets and hops are complete; the other records remain
    /// to be written.
    fn simulate(
        &mut self,
        tables: &dyn Tables,
        observer: &mut dyn Observer,
        progress: &mut dyn FnMut(Stage<'_>) -> ControlFlow<()>,
    ) -> Result<(Finished<()>, Records), RunError> {
        let scenario = &self.scenario;
        let watch = std::mem::take(&mut self.watch);
        let rtts = RttWatch::new(&self.topology, &scenario.rtts);
        let workload = std::mem::take(&mut self.workload);
        let entries = workload.places().collect();
        let watches_captures = !watch.is_empty();
        let watches = (watch, rtts, entries);
        // With several threads, the per-packet tables are written on their own threads.
        let beside = Beside(tables);
        let of_packets: &dyn Tables = if self.settings.threads == 1 { tables } else { &beside };
        let mut records =
            RunObserver::create(&self.topology, &scenario.record, watches, self.start, of_packets)?;
        let place = ObserverPlace { topology: &self.topology, start: self.start };
        let others = scenario.observers.iter().map(|observer| observer.observer(&place));
        let others = others.collect::<Result<Vec<_>, _>>().map_err(RunError::Observer)?;
        let shown = OnProgress(|state: &_| progress(Stage::Simulating(*state)));
        let observers = (&mut records, (others, (observer, shown)));
        let topology = Arc::clone(&self.topology);
        let packets = scenario.record.packets || self.settings.packets;
        let transport = scenario.record.transport.or(self.settings.transport);
        // The first divergence from a measured capture shows the state of its sender.
        let transport = match watches_captures {
            true => Some(transport.map_or(Sampling::Changes, Sampling::with_changes)),
            false => transport,
        };
        let settings = Settings { statistics: true, packets, transport, ..self.settings };
        let finished = Simulation::start(topology, workload, settings, observers)?.finish()?;
        let Finished { outcome, warnings, statistics, connections, answers, .. } = finished;
        let finished = Finished { outcome, warnings, statistics, connections, answers, observer: () };
        Ok((finished, records.finish()?))
    }

    /// Compares with the captures of `[[measured]]`. `ends` holds whether the scenario sets an end, and the
    /// last instant.
    fn compare_vantages(
        &mut self,
        (watch, (has_end, end)): (Watch, (bool, Time)),
        (entries, flows): (Entries, &FlowRecords),
        tables: &dyn Tables,
        progress: &mut dyn FnMut(Stage<'_>) -> ControlFlow<()>,
        comparison: &mut Comparison,
    ) -> Result<(), RunError> {
        let (topology, scenario) = (&*self.topology, &self.scenario);
        let (fields, start) = (self.fields, self.origin);
        let Watched { vantages, segments, senders } = watch.into_watched();
        // There may be millions of connections.
        let connections =
            if scenario.measured.is_empty() { Connections::default() } else { connections(flows) };
        let mut comparisons = Comparisons {
            tables: ComparisonTables::create(tables, entries)?,
            ingress: MeasuredIngress::new(topology, &scenario.measured),
            transmissions: Transmissions::new(connections, segments, senders, self.is_on_clock),
            end_ps: if has_end { i64::try_from(end.as_ps()).unwrap_or(i64::MAX) } else { i64::MAX },
        };
        let mut measured = Vec::new();
        let captures = std::mem::take(&mut self.captures);
        // Ingress captures first: they give the ingress times that egress vantages of the same device need.
        let mut order: Vec<(usize, (WatchedVantage, Sorted))> =
            vantages.into_iter().zip(captures).enumerate().collect();
        order.sort_by_key(|(index, _)| scenario.measured[*index].at.direction == Direction::Egress);
        for (index, (vantage, mut capture)) in order {
            let target = &scenario.measured[index];
            if progress(Stage::Comparing(&target.capture)).is_break() {
                return Err(EngineError::Interrupted.into());
            }
            let expected = vantage.expected;
            let of_connections = target.is_entry;
            let reading = Reading { capture: &mut capture, fields, start, of_connections };
            let summary = comparisons.vantage(topology, (index, target), vantage, reading)?;
            comparison.warnings.extend(capture.remarks());
            comparison.warnings.extend(summary.doubts(expected));
            measured.push((index, summary));
        }
        measured.sort_by_key(|(index, _)| *index);
        comparison.measured.extend(measured.into_iter().map(|(_, summary)| summary));
        let warnings = comparisons.finish(tables, &mut comparison.measured)?;
        comparison.warnings.extend(warnings);
        Ok(())
    }

    /// Compares with the captures of `[[rtt]]`.
    fn compare_rtts(
        &self,
        rtts: RttWatch,
        progress: &mut dyn FnMut(Stage<'_>) -> ControlFlow<()>,
        comparison: &mut Comparison,
    ) -> Result<(), RunError> {
        for (measured, port) in self.scenario.rtts.iter().zip(rtts.into_ports()) {
            if progress(Stage::Comparing(&measured.capture)).is_break() {
                return Err(EngineError::Interrupted.into());
            }
            let name = self.topology.port_name(measured.at);
            let (found, doubts) = compare_rtts(name, measured, &port, &self.fields, &self.reading)?;
            comparison.warnings.extend(doubts);
            comparison.rtts.push(found);
        }
        Ok(())
    }

    /// Checks the acceptance bounds.
    fn accept(&self, measured: &[MeasuredSummary], rtts: &[RttComparison]) -> AcceptSummary {
        let mut accept = AcceptSummary::default();
        for (target, measured) in self.scenario.measured.iter().zip(measured) {
            accept.check(&measured.vantage, &target.accept, measured.delays.as_ref(), &measured.loss);
        }
        for (target, found) in self.scenario.rtts.iter().zip(rtts) {
            accept.check_rtts(&target.accept, found);
        }
        accept
    }

    fn summary(
        &self,
        (engine, engine_reason): (Engine, &'static str),
        outcome: &Outcome,
        (flows, ports): (&FlowRecords, &PortRecords),
        (measured, rtts): (Vec<MeasuredSummary>, Vec<RttComparison>),
        accept: AcceptSummary,
        warnings: Vec<String>,
    ) -> Summary {
        let marks = ports.marks(&self.topology);
        let warm_up = self.scenario.warm_up;
        Summary {
            scenario: self.scenario.name.clone(),
            engine: engine.name(),
            engine_reason,
            seed: self.settings.seed,
            fingerprint: outcome.fingerprint.to_string(),
            warm_up_s: (warm_up > Span::ZERO).then(|| (Time::ZERO + warm_up).as_seconds_f64()),
            stop_after_flows: self.scenario.stop_after_flows,
            packets: if warm_up > Span::ZERO { flows.packets() } else { outcome.packets },
            flows: flows.len() as u64,
            hops: outcome.hops,
            simulated_s: outcome.end.as_seconds_f64(),
            wall_s: self.clock.elapsed().as_secs_f64(),
            overview: Overview::new(&self.topology, (flows, ports), (Time::ZERO + warm_up, outcome.end)),
            drops: ports.drops(&self.topology),
            marked: marks.iter().map(|marks| marks.packets).sum(),
            marks,
            accept,
            tcp: Vec::new(),
            measured,
            rtts,
            warnings,
        }
    }
}

/// The results of the comparisons so far.
#[derive(Default)]
struct Comparison {
    measured: Vec<MeasuredSummary>,
    rtts: Vec<RttComparison>,
    warnings: Vec<String>,
}
