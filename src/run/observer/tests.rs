use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use super::*;
use crate::capture::Options;
use crate::engine::{Engine, Unwatched};
use crate::scenario::Scenario;
use crate::table::{Format, TableFiles};

/// Losses in a full buffer, within a queue and on a link; priorities; jitter; a processing delay; an early
/// end.
const TOPOLOGY: &str = r#"
name = "two-switches"

[defaults.link]
bandwidth = "100 Mbps"
delay = "20 us"

[[device]]
name = "a"
kind = "host"
addresses = ["10.0.0.1"]

[[device]]
name = "b"
kind = "host"
addresses = ["10.0.0.2"]

[[device]]
name = "s"
kind = "switch"
processing = "3 us"
ptm = { kind = "codel", target = "1 ms", interval = "10 ms", buffer = "60 packets" }

[[device]]
name = "t"
kind = "router"
processing = "2 us"
ptm = { kind = "fifo", buffer = "20 kB" }

[[device]]
name = "c"
kind = "host"
addresses = ["10.0.0.3"]

[[device]]
name = "d"
kind = "host"
addresses = ["10.0.0.4"]

[[link]]
between = ["a:0", "s:0"]

[[link]]
between = ["b:0", "s:1"]

[[link]]
between = ["s:2", "t:0"]
bandwidth = "80 Mbps"
loss = 0.01
jitter = { distribution = "uniform", max = "300 us", order = "break" }

[[link]]
between = ["t:1", "c:0"]
bandwidth = "30 Mbps"

[[link]]
between = ["t:2", "d:0"]
bandwidth = "unlimited"
"#;

const SCENARIO: &str = r#"
name = "both"
topology = "topology.toml"
until = "200 ms"

[[traffic]]
kind = "poisson"
matrix = "uniform"
rate = "60 Mbps"
size = { min = "64 B", max = "1500 B" }

[record]
hops = true
deepqueuenet = true
queues = { every = "1 ms" }
vantages = ["s:2 egress", { port = "t:0", direction = "ingress" }, "d:0 ingress"]
"#;

/// The files that a run writes on an engine, by name.
fn files(engine: Engine, threads: usize) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("topology.toml"), TOPOLOGY).unwrap();
    let path = folder.path().join("scenario.toml");
    fs::write(&path, SCENARIO).unwrap();
    let scenario = Scenario::load(&path, &[], None).unwrap_or_else(|error| panic!("{error}"));
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let mut open = scenario.open(&Options::default()).unwrap();
    (open.settings.engine, open.settings.threads) = (engine, threads);
    let tables = TableFiles::new(&out, Format::Csv);
    let results = open.run(&tables, Unwatched, |_| ControlFlow::Continue(())).unwrap();
    results.vantages.write(&scenario.topology, results.start, |name| out.join(name)).unwrap();
    let read = |path: &Path| fs::read(path).unwrap();
    fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), read(&entry.path())))
        .collect()
}

/// The rows of a table, by column name.
fn rows(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(files[name].as_slice()).deserialize().map(|row| row.unwrap()).collect()
}

fn number(row: &BTreeMap<String, String>, column: &str) -> Option<i128> {
    row[column].parse().ok()
}

#[test]
fn the_tables_are_the_same_whichever_engine_ran() {
    let event = files(Engine::Event, 1);
    assert_eq!(event.len(), 13, "{:?}", event.keys());
    for threads in [1, 2] {
        let stream = files(Engine::Stream, threads);
        assert!(event.keys().eq(stream.keys()));
        for (name, bytes) in &event {
            let other = &stream[name];
            let lines =
                |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
            let differ = lines(bytes).into_iter().zip(lines(other)).find(|(one, other)| one != other);
            assert!(bytes == other, "{name}, {threads} threads: {differ:?}");
        }
    }
    // The cases that can change the order do occur.
    let packets = rows(&event, "packets.csv");
    for reason in ["buffer-full", "sojourn-above-target", "lost-on-link"] {
        assert!(packets.iter().any(|row| row["reason"] == reason), "{reason}");
    }
    assert!(packets.iter().any(|row| row["outcome"] == "inside"));
    assert!(rows(&event, "flows.csv").iter().any(|row| number(row, "packets_reordered").unwrap() > 0));
}

/// Little's law, exactly. The integral of the number of waiting packets, computed from the hop times, equals
/// that of the queue lengths in the table of ports, which come from sums of waiting times. The samples agree
/// with both.
#[test]
fn littles_law_holds_at_every_port() {
    let files = files(Engine::Stream, 1);
    let (hops, queues) = (rows(&files, "hops.csv"), rows(&files, "queues.csv"));
    let end = 200_000_000_000i128;
    let mut checked = 0;
    for port in rows(&files, "ports.csv") {
        let here =
            |row: &&BTreeMap<String, String>| row["device"] == port["device"] && row["port"] == port["port"];
        // Packets that join and leave; the order within one instant does not matter.
        let mut changes: BTreeMap<i128, i128> = BTreeMap::new();
        let mut count = 0;
        for hop in hops.iter().filter(here) {
            let joined = number(hop, "joined_ps").unwrap();
            *changes.entry(joined).or_default() += 1;
            *changes.entry(joined + number(hop, "waiting_ps").unwrap()).or_default() -= 1;
            count += 1;
        }
        // Packets that still wait at the end have no hop; the last sample counts them.
        let still = number(&port, "packets_joined").unwrap() - count;
        let samples: Vec<_> = queues.iter().filter(here).collect();
        assert_eq!(samples.len(), 201);
        assert_eq!(number(samples[200], "packets"), Some(still), "{port:?}");
        let mean: f64 = port["queue_mean_packets"].parse().unwrap();
        let law = port["joined_per_s"].parse::<f64>().unwrap();
        assert!((law * 0.2 - number(&port, "packets_joined").unwrap() as f64).abs() < 1e-6);
        if still > 0 {
            continue;
        }
        let (mut waiting, mut since, mut integral) = (0, 0, 0);
        for (instant, change) in &changes {
            integral += waiting * (instant - since);
            (waiting, since) = (waiting + change, *instant);
            assert!(waiting >= 0, "{port:?}");
        }
        assert_eq!(waiting, 0);
        assert!((integral as f64 / end as f64 - mean).abs() <= 1e-12 * mean.max(1.0), "{port:?}");
        for sample in &samples {
            let at = number(sample, "time_ps").unwrap();
            let waiting: i128 = changes.range(..=at).map(|(_, change)| change).sum();
            assert_eq!(number(sample, "packets"), Some(waiting), "{sample:?}");
        }
        checked += usize::from(count > 0);
    }
    assert!(checked >= 6, "only {checked} ports were used and empty at the end");
}

/// taunet's own reader finds every packet that passed, with its flow and length.
#[test]
fn a_vantage_is_a_capture_of_what_passed() {
    use crate::capture::{Frame, Reader};
    let files = files(Engine::Event, 1);
    let hops = rows(&files, "hops.csv");
    let passed: Vec<i128> = hops
        .iter()
        .filter(|row| row["device"] == "s" && row["port"] == "2")
        .filter_map(|row| number(row, "egress_ps"))
        .collect();
    let file = files["vantage-0-s-2-egress.pcapng"].clone();
    let mut reader =
        Reader::from_source(std::io::Cursor::new(file), Path::new("a.pcapng"), &Options::default()).unwrap();
    let mut seen = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        let key = Frame::parse(record.link_type, record.bytes, record.original_length).flow_key();
        assert!(matches!(key, FlowKey::Ip { protocol: 17, ports: Some(_), .. }), "{key}");
        assert_eq!(record.bytes.len(), 42);
        seen.push(record.timestamp.as_ps() / 1000);
    }
    assert!(seen.len() > 100);
    let at_router = files["vantage-1-t-0-ingress.pcapng"].clone();
    let mut reader =
        Reader::from_source(std::io::Cursor::new(at_router), Path::new("b.pcapng"), &Options::default())
            .unwrap();
    let record = reader.next_record().unwrap().unwrap();
    let frame = Frame::parse(record.link_type, record.bytes, record.original_length);
    assert_eq!(frame.ttl, Some(64), "the router has not taken from it yet");
    assert_eq!(seen, passed.iter().map(|ps| ps / 1000).collect::<Vec<_>>());
}
