//! taunet in another program: runs in memory, observers that compose and fail, kinds from another crate.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use serde::Deserialize;
use taunet::config::Registry;
use taunet::engine::{
    Engine, EngineError, Hop, Injected, Observed, Observer, ObserverPlace, OnProgress, Unwatched,
};
use taunet::flow::Flows;
use taunet::packet::{FlowKey, Packet, Tau};
use taunet::ptm::{Arrival, Buffer, Departure, FifoQueue, Lindley, Loss, Place, Ptm};
use taunet::run::{RunError, RunOptions, Stage, run};
use taunet::scenario::Scenario;
use taunet::table::{Format, MemoryTables, NoTables, TableError, TableSink, Tables};
use taunet::topology::{ForwardingChoice, ForwardingRule, PortId, Topology};
use taunet::traffic::{Emission, Source, SourcePlace, TrafficError};
use taunet::units::{Span, Time};

fn load(name: &str, set: &[&str]) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name);
    let set: Vec<String> = set.iter().map(|set| (*set).to_owned()).collect();
    Scenario::load(&path, &set, None).unwrap_or_else(|error| panic!("{error}"))
}

fn go_on(_: Stage<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The rows of a table as text.
fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[test]
fn a_run_in_memory_is_the_run_on_disk() {
    let everything = "record={ hops = true, deepqueuenet = true, queues = { every = \"100 ms\" }, \
                      vantages = [\"r1:1 egress\"] }";
    let scenario = load("kernel-tbf-70.toml", &["until=4 s", everything]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let options = RunOptions {
        out: out.clone(),
        replace: false,
        format: Format::Csv,
        capture: Default::default(),
        overrides: Vec::new(),
        engine: None,
        threads: 0,
    };
    let on_disk = run(&scenario, &options, go_on).unwrap();

    let tables = MemoryTables::default();
    let results = scenario.open(&Default::default()).unwrap().run(&tables, Unwatched, go_on).unwrap();
    let mut summary = results.summary;
    summary.wall_s = on_disk.wall_s;
    assert_eq!(summary, on_disk);
    assert_eq!(results.outcome.fingerprint.to_string(), on_disk.fingerprint);
    assert_eq!(results.flows.len() as u64, on_disk.flows);

    let tables = tables.take();
    let mut files: BTreeMap<String, usize> = BTreeMap::new();
    for entry in std::fs::read_dir(&out).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            files.insert(name, csv::Reader::from_path(&path).unwrap().records().count());
        }
    }
    let in_memory: BTreeMap<String, usize> =
        tables.iter().map(|(name, table)| (name.clone(), rows(&table.batches))).collect();
    assert_eq!(in_memory, files);
    assert!(files["packets"] > 1000 && files["hops"] > 1000 && files["matched"] > 1000, "{files:?}");
    assert_eq!(files.len(), 10, "{files:?}");
}

/// Sees every packet.
#[derive(Default)]
struct Counts {
    injected: u64,
    hops: u64,
    settled: Time,
    reports: u64,
}

impl Observer for Counts {
    fn injected(&mut self, _injected: &Injected<'_>) -> Observed {
        self.injected += 1;
        Ok(())
    }
    fn hop(&mut self, _hop: &Hop) -> Observed {
        self.hops += 1;
        Ok(())
    }
    fn settled(&mut self, before: Time) -> Observed {
        assert!(before >= self.settled);
        self.settled = before;
        Ok(())
    }
    fn progress(&mut self, _progress: &taunet::engine::Progress) -> Observed {
        self.reports += 1;
        Ok(())
    }
}

/// Fails at a hop of a number.
struct FailsAt(u64, u64);

impl Observer for FailsAt {
    fn hop(&mut self, _hop: &Hop) -> Observed {
        self.0 += 1;
        if self.0 == self.1 { Err("that is enough".into()) } else { Ok(()) }
    }
}

#[test]
fn observers_compose_and_an_error_ends_the_run() {
    for engine in [Engine::Event, Engine::Stream] {
        let scenario = load("kernel-tbf-70.toml", &["until=4 s"]);
        let open = || {
            let mut open = scenario.open(&Default::default()).unwrap();
            open.settings.engine = engine;
            open
        };
        let (mut one, mut other) = (Counts::default(), Counts::default());
        let group = (&mut one, vec![Some(&mut other), None]);
        let outcome = open().simulation(group).unwrap().finish().unwrap().outcome;
        assert_eq!((one.injected, one.hops), (outcome.packets.injected, outcome.hops));
        assert_eq!((other.injected, other.hops), (one.injected, one.hops));
        assert_eq!(one.settled, Time::NEVER);
        assert!(one.reports > 0);

        // Nobody is told anything after the error, and the run does not go on.
        let mut told = Counts::default();
        let mut simulation = open().simulation((&mut told, FailsAt(0, 100))).unwrap();
        let error = simulation.run_until(Time::NEVER).unwrap_err();
        assert!(
            matches!(&error, EngineError::Observer(error) if error.to_string() == "that is enough"),
            "{error}"
        );
        assert!(matches!(simulation.run_until(Time::NEVER), Err(EngineError::Failed)));
        drop(simulation);
        assert_eq!(told.hops, 100);

        let never = OnProgress(|_: &_| ControlFlow::Break(()));
        let stopped = open().simulation(never).unwrap().finish();
        assert!(matches!(stopped.map(|end| end.outcome), Err(EngineError::Interrupted)));
    }
}

/// A disk with room for so many batches, and how many it was asked to take.
struct Disk(u64, Arc<AtomicU64>);

impl Tables for Disk {
    fn begin(&self, _: &str, _: &Arc<Schema>) -> Result<Box<dyn TableSink>, TableError> {
        Ok(Box::new(Disk(self.0, Arc::clone(&self.1))))
    }
}

impl TableSink for Disk {
    fn write(&mut self, _: &RecordBatch) -> Result<(), TableError> {
        if self.1.fetch_add(1, Ordering::Relaxed) < self.0 {
            return Ok(());
        }
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        Err(TableError::Io { path: PathBuf::from("packets"), source })
    }
    fn finish(self: Box<Self>) -> Result<(), TableError> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_run_at_once() {
    let text = r#"
        name = "long"
        topology = "pair.toml"
        until = "1000 s"
        [[traffic]]
        kind = "poisson"
        from = "a"
        to = "b"
        rate = "100 Mbps"
        size = "100 B"
    "#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pair.toml"), PAIR).unwrap();
    std::fs::write(folder.path().join("long.toml"), text).unwrap();
    let scenario = Scenario::load(&folder.path().join("long.toml"), &[], None).unwrap();
    for engine in [Engine::Event, Engine::Stream] {
        let mut open = scenario.open(&Default::default()).unwrap();
        open.settings.engine = engine;
        let asked = Arc::new(AtomicU64::new(0));
        let mut seen = Counts::default();
        let full = open.run(&Disk(2, Arc::clone(&asked)), &mut seen, go_on);
        let error = full.map(|results| results.outcome).unwrap_err();
        assert!(matches!(&error, RunError::Table(TableError::Io { .. })), "{error}");
        assert!(!error.is_bad_input());
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        // 125 million packets in all; a batch is some 32,000.
        assert!((90_000..400_000).contains(&seen.injected), "{} packets", seen.injected);
    }
}

const PAIR: &str = r#"
    name = "pair"
    device = [{ name = "a", kind = "host" }, { name = "b", kind = "host" }]
    [[link]]
    between = ["a:0", "b:0"]
    bandwidth = "200 Mbps"
"#;

/// The keys of a discipline.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueKeys {
    buffer: Buffer,
}

/// The keys of a source.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PulseKeys {
    to: String,
    every: Span,
    packets: u64,
}

/// A packet each `every`.
struct Pulses {
    flow: FlowKey,
    every: Span,
    packets: u64,
    sent: u64,
}

impl Source for Pulses {
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError> {
        if self.sent == self.packets {
            return Ok(None);
        }
        let timestamp = Time::from_ps(self.sent * self.every.as_ps());
        let packet = Packet { length: 1000, trp: 17, ttl: 64, ..Packet::default() };
        self.sent += 1;
        let (tau, record) = (Tau { timestamp, packet }, self.sent - 1);
        Ok(Some(Emission { tau, record, match_key: None }))
    }
    fn flow(&self, _fid: u32) -> FlowKey {
        self.flow
    }
}

/// The best port of the highest number; or none.
struct Highest;

impl ForwardingRule for Highest {
    fn choose(&self, choice: &ForwardingChoice<'_>) -> Option<PortId> {
        choice.best.iter().copied().max()
    }
}

/// A rule without keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

/// The keys of an observer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitKeys {
    most: u64,
}

/// The keys of a model of a port.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PortKeys {
    tag: String,
}

/// A whole port that is first in, first out.
struct Plain(Lindley);

impl Ptm for Plain {
    fn arrive(&mut self, tau: &Tau, _flows: &Flows) -> Arrival {
        Arrival::Departs(self.0.send(tau.timestamp, tau.packet.length).0)
    }

    fn forward_trace(
        &mut self,
        ingress: &[Tau],
        _flows: &Flows,
        _until: Time,
        departures: &mut Vec<Departure>,
        _losses: &mut Vec<Loss>,
    ) {
        departures.extend(ingress.iter().map(|tau| {
            let (start, _) = self.0.send(tau.timestamp, tau.packet.length);
            Departure { tau: *tau, start }
        }));
    }
}

/// All the kinds of this crate.
fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.ptm("plain", |keys: &PortKeys, place: &Place<'_>| {
        assert!(!keys.tag.is_empty(), "`check` has seen it");
        Plain(Lindley::new(&place.link))
    });
    registry.check("plain", |keys| match keys["tag"].as_str() {
        Some("") => Err("`tag` is empty".to_owned()),
        _ => Ok(()),
    });
    registry.discipline("my-queue", |keys: &QueueKeys, _: &Place<'_>| FifoQueue::new(Some(keys.buffer)));
    registry.source("pulses", |keys: &PulseKeys, place: &mut SourcePlace<'_>| {
        let (source, destination) = (place.own_address()?, place.address_of(&keys.to)?);
        let flow = FlowKey::Ip { source, destination, protocol: 17, ports: Some((1, 2)) };
        Ok(Pulses { flow, every: keys.every, packets: keys.packets, sent: 0 })
    });
    registry.forwarding_rule("highest", |_: &NoKeys, _: &Topology| Highest);
    registry.observer("limit", |keys: &LimitKeys, _: &ObserverPlace<'_>| match keys.most {
        0 => Err("a limit of 0 lets nothing happen".into()),
        most => Ok(FailsAt(0, most)),
    });
    registry
}

const TOPOLOGY: &str = r#"
name = "diamond"

[defaults.link]
bandwidth = "100 Mbps"
delay = "10 us"

[defaults.switch]
ptm = { kind = "priority", class = [{ match = { dscp = 46 } }, { ptm = { kind = "my-queue", buffer = "2 packets" } }] }

[forwarding]
rule = { kind = "highest" }

[[device]]
name = "a"
kind = "host"

[[device]]
name = "b"
kind = "host"

[[device]]
name = "s"
kind = "switch"

[[device]]
name = "t"
kind = "switch"

[[link]]
between = ["a:0", "s:0"]
bandwidth = "1 Gbps"

[[link]]
between = ["s:1", "t:1"]

[[link]]
between = ["s:2", "t:2"]

[[link]]
between = ["t:0", "b:0"]
"#;

const SCENARIO: &str = r#"
name = "custom"
topology = "topology.toml"

[[traffic]]
kind = "pulses"
name = "beat"
from = "a"
to = "b"
every = "20 us"
packets = 500
"#;

/// What these files are, or what is wrong with them.
fn custom(topology: &str, scenario: &str) -> Result<Scenario, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("topology.toml"), topology).unwrap();
    let path = folder.path().join("scenario.toml");
    std::fs::write(&path, scenario).unwrap();
    let loaded = Scenario::load_with(&path, &[], None, &registry());
    let place = format!("{}/", folder.path().display());
    loaded.map_err(|error| {
        error.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").replace(&place, "")
    })
}

#[test]
fn kinds_of_another_crate_run_on_both_engines() {
    let scenario = custom(TOPOLOGY, SCENARIO).unwrap();
    let run = |engine, threads| {
        let mut open = scenario.open(&Default::default()).unwrap();
        (open.settings.engine, open.settings.threads) = (engine, threads);
        let tables = MemoryTables::default();
        let mut hops = Ports(BTreeMap::new());
        let results = open.run(&tables, &mut hops, go_on).unwrap();
        assert_eq!(results.sources, ["beat: pulses from a"]);
        (results.outcome, hops.0)
    };
    let (outcome, hops) = run(Engine::Event, 1);
    assert_eq!(outcome.packets.injected, 500);
    // 80 us each on a link at 100 Mbps: two may wait.
    assert!(outcome.packets.dropped > 300, "{outcome:?}");
    let name = |port: &PortId| scenario.topology.port_name(*port);
    let used: Vec<String> = hops.keys().map(name).collect();
    assert_eq!(used, ["a:0", "s:2", "t:0"], "the rule takes the highest port");
    for threads in [1, 2] {
        assert_eq!(run(Engine::Stream, threads), (outcome, hops.clone()));
    }
}

#[test]
fn a_model_of_a_whole_port_replaces_that_of_taunet() {
    let with = |ptm: &str| {
        let (before, after) = TOPOLOGY.split_once("ptm = {").unwrap();
        let after = after.split_once('\n').unwrap().1;
        custom(&format!("{before}ptm = {ptm}\n{after}"), SCENARIO)
    };
    let outcome = |scenario: &Scenario, engine| {
        let mut open = scenario.open(&Default::default()).unwrap();
        open.settings.engine = engine;
        open.run(&NoTables, Unwatched, go_on).unwrap().outcome
    };
    let (ours, theirs) =
        (with("{ kind = \"fifo\" }").unwrap(), with("{ kind = \"plain\", tag = \"x\" }").unwrap());
    for engine in [Engine::Event, Engine::Stream] {
        assert_eq!(outcome(&ours, engine), outcome(&theirs, engine));
    }
    // Its keys are checked where the file is read, and it cannot be a class of another.
    let said = [
        with("{ kind = \"plain\", tag = \"\" }").unwrap_err(),
        with("{ kind = \"plain\" }").unwrap_err(),
        with("{ kind = \"priority\", class = [{ ptm = { kind = \"plain\", tag = \"x\" } }] }").unwrap_err(),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    topology.toml:9:7: `tag` is empty
    topology.toml:9:7: missing key `tag` in `plain`
    topology.toml:23:8: `plain` is a model of a whole port, and cannot be inside a discipline (use it as the `ptm` of a link, a device or of `defaults`)
    topology.toml:27:8: `plain` is a model of a whole port, and cannot be inside a discipline (use it as the `ptm` of a link, a device or of `defaults`)
    ");
}

/// Packets by port.
struct Ports(BTreeMap<PortId, u64>);

impl Observer for Ports {
    fn hop(&mut self, hop: &Hop) -> Observed {
        *self.0.entry(hop.port).or_default() += 1;
        Ok(())
    }
}

#[test]
fn an_observer_by_name_sees_the_run() {
    let observed = format!("{SCENARIO}\n[[observer]]\nkind = \"limit\"\nmost = 7\n");
    let scenario = custom(TOPOLOGY, &observed).unwrap();
    let run = scenario.open(&Default::default()).unwrap().run(&NoTables, Unwatched, go_on);
    let error = run.map(|results| results.outcome).unwrap_err();
    assert_eq!(error.to_string(), "that is enough");
    let scenario = custom(TOPOLOGY, &observed.replace("most = 7", "most = 0")).unwrap();
    let run = scenario.open(&Default::default()).unwrap().run(&NoTables, Unwatched, go_on);
    let error = run.map(|results| results.outcome).unwrap_err();
    assert_eq!(error.to_string(), "an observer cannot be created: a limit of 0 lets nothing happen");
    assert!(error.is_bad_input());
}

#[test]
fn mistakes_in_the_tables_of_other_kinds_keep_their_places() {
    let topology = |from: &str, to: &str| {
        assert!(TOPOLOGY.contains(from));
        custom(&TOPOLOGY.replace(from, to), SCENARIO).unwrap_err()
    };
    let scenario = |from: &str, to: &str| {
        assert!(SCENARIO.contains(from));
        custom(TOPOLOGY, &SCENARIO.replace(from, to)).unwrap_err()
    };
    let said = [
        topology("buffer = \"2 packets\"", "bufer = \"2 packets\""),
        topology("buffer = \"2 packets\"", "buffer = 2"),
        topology("\"my-queue\"", "\"my-quoue\""),
        topology("\"highest\"", "\"lowest\""),
        topology("kind = \"highest\"", "kind = \"highest\", ports = 1"),
        scenario("every =", "evry ="),
        scenario("\"20 us\"", "20"),
        scenario("\"pulses\"", "\"pulse\""),
        scenario("from = \"a\"", "from = \"c\""),
        scenario("from = \"a\"\n", ""),
    ];
    insta::assert_snapshot!(said.join("\n"));
    // Without the registry nobody knows them, and the file says what there is.
    let error = Topology::from_toml("topology.toml", TOPOLOGY).unwrap_err();
    insta::assert_snapshot!(error.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}
