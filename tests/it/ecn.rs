//! Explicit congestion notification (RFC 3168), from the traffic key to every place that counts marks.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use assert_cmd::Command;
use taunet::capture::{Frame, Options as CaptureOptions, Reader};
use taunet::engine::Engine;
use taunet::run::{RunOptions, Summary, run};
use taunet::scenario::{Scenario, Traffic};
use taunet::table::Format;

/// `a` -- r1 -- r2 -- `b`: random early detection at r1:1, controlled delay at r2:1, both overloaded and both marking.
const TOPOLOGY: &str = r#"
name = "two-queues"

[[device]]
name = "a"
kind = "host"
addresses = ["10.0.0.1"]

[[device]]
name = "r1"
kind = "router"

[[device]]
name = "r2"
kind = "router"

[[device]]
name = "b"
kind = "host"
addresses = ["10.0.0.2"]

[[link]]
between = ["a:0", "r1:0"]
bandwidth = "100 Mbps"

[[link]]
between = ["r1:1", "r2:0"]
bandwidth = "10 Mbps"
ptm = { kind = "red", min = "20 packets", max = "60 packets", max_p = 0.1, ecn = true, hard_drop = false }

[[link]]
between = ["r2:1", "b:0"]
bandwidth = "9 Mbps"
ptm = { kind = "codel", target = "5 ms", interval = "20 ms", ecn = true }
"#;

/// The rows of a table, each by the names of its columns.
fn rows(run: &Path, name: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(run.join(name)).unwrap();
    reader.deserialize().map(|row| row.unwrap()).collect()
}

fn number(row: &BTreeMap<String, String>, column: &str) -> u64 {
    row[column].parse().unwrap()
}

/// Writes a scenario of Poisson senders of 5.5 Mbps each, with these keys; gives its path.
fn write(folder: &Path, senders: &[&str], rest: &str) -> std::path::PathBuf {
    fs::write(folder.join("topology.toml"), TOPOLOGY).unwrap();
    let mut text = format!("name = \"ecn\"\ntopology = \"topology.toml\"\n{rest}\n");
    for keys in senders {
        text += &format!(
            "[[traffic]]\nkind = \"poisson\"\nfrom = \"a\"\nto = \"b\"\nrate = \"5.5 Mbps\"\nsize = \"1000 B\"\n\
             packets = 1500\n{keys}\n"
        );
    }
    let path = folder.join("scenario.toml");
    fs::write(&path, text).unwrap();
    path
}

fn simulate(scenario: &Scenario, out: &Path, engine: Engine, threads: usize) -> Summary {
    let options = RunOptions {
        out: out.to_owned(),
        replace: true,
        format: Format::Csv,
        capture: CaptureOptions::default(),
        overrides: Vec::new(),
        engine: Some(engine),
        threads,
    };
    run(scenario, &options, |_| ControlFlow::Continue(())).unwrap()
}

fn load(path: &Path) -> Scenario {
    Scenario::load(path, &[], None).unwrap_or_else(|error| panic!("{error}"))
}

/// The packets in a capture, and those of them that carry CE.
fn seen(path: &Path) -> (u64, u64) {
    let mut reader = Reader::open(path, &CaptureOptions::default()).unwrap();
    let (mut packets, mut marked) = (0, 0);
    while let Some(record) = reader.next_record().unwrap() {
        let frame = Frame::parse(record.link_type, record.bytes, record.original_length);
        packets += 1;
        marked += u64::from(frame.ecn == Some(3));
    }
    (packets, marked)
}

#[test]
fn every_table_counts_the_same_marks() {
    let folder = tempfile::tempdir().unwrap();
    let record =
        "[record]\nvantages = [\"r1:0 ingress\", \"r1:1 egress\", \"r2:0 ingress\", \"b:0 ingress\"]\n";
    let senders = ["ecn = \"ect0\"", "ecn = \"ect1\"", "name = \"came marked\""];
    let mut scenario = load(&write(folder.path(), &senders, record));
    // As a replay may bring it.
    let Traffic::Generated(generator) = &mut scenario.traffic[2] else { panic!("generated traffic") };
    generator.template.ecn = 3;
    let out = folder.path().join("run");
    let summary = simulate(&scenario, &out, Engine::Auto, 1);
    assert_eq!((summary.packets.injected, summary.packets.delivered), (4500, 4500), "nothing is dropped");

    let ports: BTreeMap<String, u64> = rows(&out, "ports.csv")
        .iter()
        .map(|row| (format!("{}:{}", row["device"], row["port"]), number(row, "packets_marked")))
        .filter(|(_, marked)| *marked > 0)
        .collect();
    assert!(ports.keys().eq(["r1:1", "r2:1"]) && ports.values().all(|marked| *marked > 10), "{ports:?}");
    let in_summary = summary.marks.iter().map(|marks| (marks.port.clone(), marks.packets)).collect();
    assert_eq!(ports, in_summary);
    assert_eq!(summary.marked, ports.values().sum::<u64>());

    let mut of_packets = [0; 3];
    for row in rows(&out, "packets.csv") {
        of_packets[number(&row, "fid") as usize] += u64::from(number(&row, "ecn") == 3);
    }
    let flows = rows(&out, "flows.csv");
    assert_eq!(flows.len(), 3);
    for flow in &flows {
        let (packets, marked) = (of_packets[number(flow, "fid") as usize], number(flow, "packets_marked"));
        match flow["source_port"].as_str() {
            "49154" => assert_eq!((packets, marked), (1500, 0), "they came marked"),
            _ => assert!(packets == marked && marked > 50, "{flow:?}: {packets}"),
        }
    }
    assert_eq!(summary.marked, flows.iter().map(|flow| number(flow, "packets_marked")).sum::<u64>());

    // A capture shows a mark behind the queue that made it, and not in front.
    let at = |number: usize, vantage: &str| seen(&out.join(format!("vantage-{number}-{vantage}.pcapng")));
    assert_eq!(at(0, "r1-0-ingress"), (4500, 1500));
    assert_eq!(at(1, "r1-1-egress"), (4500, 1500 + ports["r1:1"]));
    assert_eq!(at(2, "r2-0-ingress"), (4500, 1500 + ports["r1:1"]));
    assert_eq!(at(3, "b-0-ingress"), (4500, 1500 + summary.marked));
    let html = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(html.contains("marked at</th>") && html.contains("<dt>marked</dt>"));
}

#[test]
fn without_ecn_the_same_packets_are_dropped_and_not_marked() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let capable = load(&write(folder.path(), &["ecn = \"ect0\"", "ecn = \"ect0\""], ""));
    let marking = simulate(&capable, &out, Engine::Auto, 1);
    assert!(marking.marked > 100 && marking.packets.dropped == 0, "{marking:?}");
    for keys in ["", "ecn = \"not-ect\""] {
        let plain = load(&write(folder.path(), &[keys, keys], ""));
        let dropping = simulate(&plain, &out, Engine::Auto, 1);
        assert_eq!(dropping.packets.injected, marking.packets.injected);
        assert!(dropping.packets.dropped > 100, "{dropping:?}");
        assert_eq!((dropping.marked, dropping.marks.len()), (0, 0));
        assert!(rows(&out, "packets.csv").iter().all(|row| row["ecn"] == "0"));
        assert!(rows(&out, "flows.csv").iter().all(|row| row["packets_marked"] == "0"));
    }
}

/// Also where the run ends with marked packets in the queues, on links and lost.
#[test]
fn both_engines_count_the_same_marks() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &["ecn = \"ect0\"", "ecn = \"ect1\"", ""], "until = \"1 s\"");
    let topology = TOPOLOGY.replace("hard_drop = false", "buffer = \"70 packets\"");
    fs::write(folder.path().join("topology.toml"), topology).unwrap();
    let scenario = load(&path);
    let out = folder.path().join("run");
    let tables = |engine, threads| {
        let summary = simulate(&scenario, &out, engine, threads);
        assert!(summary.marked > 100 && summary.packets.dropped > 100 && summary.packets.inside > 10);
        let rows = ["packets.csv", "flows.csv", "ports.csv"].map(|name| rows(&out, name));
        let ecn = rows[0].iter().filter(|row| row["ecn"] == "3").count();
        assert_eq!(ecn as u64, summary.marked);
        (rows, summary.marks)
    };
    let event = tables(Engine::Event, 1);
    for threads in [1, 2] {
        assert!(tables(Engine::Stream, threads) == event, "{threads} threads");
    }
}

#[test]
fn the_console_says_where_packets_were_marked() {
    let folder = tempfile::tempdir().unwrap();
    let run = |keys: &str| {
        let path = write(folder.path(), &[keys, keys], "");
        let out = folder.path().join("run");
        let output = Command::new(env!("CARGO_BIN_EXE_taunet"))
            .args(["run".as_ref(), path.as_os_str(), "--force".as_ref(), "--out".as_ref(), out.as_os_str()])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let said = run("ecn = \"ect0\"");
    assert!(said.contains(" marked at r1:1: congestion-experienced\n"), "{said}");
    assert!(said.contains(" marked at r2:1: congestion-experienced\n"), "{said}");
    assert!(!run("").contains("marked"));
}

#[test]
fn other_codepoints_are_refused_with_those_that_fit() {
    let folder = tempfile::tempdir().unwrap();
    let told = |value: &str| {
        let path = write(folder.path(), &[&format!("ecn = {value}")], "");
        let error = Scenario::load(&path, &[], None).unwrap_err();
        assert_eq!(error.line_column().map(|(line, _)| line), Some(11), "{error}");
        format!("{} | {}", error.message(), error.help().unwrap_or_default())
    };
    let fit = "it is one of: `not-ect`, `ect0`, `ect1`";
    let marks = "congestion experienced is set by queues, not by senders | write \"ect0\" or \"ect1\", which allows it";
    assert_eq!((told("\"ce\"").as_str(), told("\"CE\"").as_str()), (marks, marks));
    assert_eq!(told("\"ect2\""), format!("unknown ecn `ect2` | did you mean `ect0`? {fit}"));
    assert_eq!(told("true"), "`ecn = true` is not a codepoint | write \"ect0\"");
    assert_eq!(told("false"), "`ecn = false` is not a codepoint | write \"not-ect\"");
    for (value, found) in [("2", "`2`"), ("\"\"", "the text \"\"")] {
        assert_eq!(told(value), format!("expected \"not-ect\", \"ect0\" or \"ect1\", found {found} | "));
    }
}

/// A step of RED at 30 kB, as DCTCP wants it: 90 packets of 1000 B every 510 us, into a link that takes 1 ms for each.
#[test]
fn a_step_marks_the_packets_that_find_as_much_waiting() {
    // What waits as each arrives, the packet in transmission not counted.
    let (mut starts, mut free) = (Vec::<u64>::new(), 0);
    let mut waiting = Vec::new();
    for at in (0..90).map(|number| number * 510) {
        waiting.push(1_000 * starts.iter().filter(|start| **start > at).count());
        starts.push(free.max(at));
        free = free.max(at) + 1_000;
    }
    let at_least = waiting.iter().filter(|bytes| **bytes >= 30_000).count() as u64;
    let more = waiting.iter().filter(|bytes| **bytes > 30_000).count() as u64;
    assert_eq!((at_least, more), (28, 26));
    for (max, expected) in [("30 kB", at_least), ("30001 B", more)] {
        let folder = tempfile::tempdir().unwrap();
        let topology = format!(
            "name = \"step\"\ndevice = [{{ name = \"a\", kind = \"host\" }}, {{ name = \"s\", kind = \"switch\" }}, \
             {{ name = \"b\", kind = \"host\" }}]\n[[link]]\nbetween = [\"a:0\", \"s:0\"]\nbandwidth = \"unlimited\"\n\
             [[link]]\nbetween = [\"s:1\", \"b:0\"]\nbandwidth = \"8 Mbps\"\n\
             ptm = {{ kind = \"red\", min = \"30 kB\", max = \"{max}\", max_p = 1.0, weight = 1.0, ecn = true, hard_drop = false }}\n"
        );
        fs::write(folder.path().join("topology.toml"), topology).unwrap();
        let scenario = "name = \"step\"\ntopology = \"topology.toml\"\n[[traffic]]\nkind = \"cbr\"\nfrom = \"a\"\nto = \"b\"\n\
                        interval = \"510 us\"\nsize = \"1000 B\"\npackets = 90\necn = \"ect0\"\n";
        let path = folder.path().join("scenario.toml");
        fs::write(&path, scenario).unwrap();
        let out = folder.path().join("run");
        let summary = simulate(&load(&path), &out, Engine::Auto, 1);
        assert_eq!((summary.marked, summary.packets.delivered), (expected, 90), "{max}");
        let flows = rows(&out, "flows.csv");
        assert_eq!(number(&flows[0], "packets_marked"), expected);
    }
}
