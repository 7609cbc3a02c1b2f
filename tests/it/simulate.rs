//! Every included scenario, from its files to its result.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use taunet::capture::Options as CaptureOptions;
use taunet::compare::CompareOptions;
use taunet::engine::Engine;
use taunet::run::{RunError, RunOptions, Summary, run};
use taunet::scenario::{Scenario, Traffic};
use taunet::table::Format;

use crate::determinism::expect_fingerprints;
use crate::inspect::lookalike;

fn options(out: PathBuf) -> RunOptions {
    RunOptions {
        out,
        replace: false,
        format: Format::Parquet,
        capture: CaptureOptions::default(),
        overrides: Vec::new(),
        engine: None,
        threads: 0,
    }
}

fn load(path: &Path, overrides: &[&str]) -> Scenario {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Scenario::load(path, &overrides, None).unwrap()
}

fn simulate(scenario: &Scenario) -> Summary {
    simulate_on(scenario, None, 0)
}

fn simulate_on(scenario: &Scenario, engine: Option<Engine>, threads: usize) -> Summary {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions { engine, threads, ..options(folder.path().join("run")) };
    run(scenario, &options, |_| ControlFlow::Continue(())).unwrap()
}

fn shipped() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir("scenarios")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    paths
}

/// The fingerprints are the same on every machine: times are integers.
#[test]
fn every_scenario_keeps_its_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let trace = format!("traffic.0.capture={}", lookalike(folder.path(), 20_000).display());
    let (mut table, mut fingerprints) = (String::new(), String::new());
    for path in shipped() {
        // Its own trace may not be shipped.
        let overrides = if path.ends_with("any-capture.toml") { vec![trace.as_str()] } else { Vec::new() };
        let scenario = load(&path, &overrides);
        let summary = simulate(&scenario);
        let is_closed = scenario.traffic.iter().any(|traffic| matches!(traffic, Traffic::Connections(_)));
        let (kind, other) = if is_closed { ("event", Engine::Event) } else { ("stream", Engine::Stream) };
        assert_eq!(summary.engine, kind, "{}: {}", summary.scenario, summary.engine_reason);
        for (engine, threads) in [(Engine::Event, 1), (other, 3)] {
            let other = simulate_on(&scenario, Some(engine), threads);
            assert_eq!(other.fingerprint, summary.fingerprint, "{} {engine:?}", summary.scenario);
            assert_eq!((other.packets, other.hops), (summary.packets, summary.hops));
        }
        let packets = summary.packets;
        writeln!(
            table,
            "{}: {} injected, {} delivered, {} dropped, {} hops",
            summary.scenario, packets.injected, packets.delivered, packets.dropped, summary.hops
        )
        .unwrap();
        writeln!(fingerprints, "{} {}", summary.scenario, summary.fingerprint).unwrap();
        for measured in &summary.measured {
            let agreement = measured.delays.unwrap().agreement;
            writeln!(
                table,
                "  {} ({:?}): {} matched, {} ambiguous, lost {} simulated, {} measured, w1_normalized {:.6}, pearson {}",
                measured.vantage,
                measured.delay,
                measured.counts.matched,
                measured.counts.ambiguous,
                measured.loss.simulated(),
                measured.loss.measured(),
                agreement.w1_normalized.unwrap(),
                // Where all delays are the same there is none.
                agreement.pearson.map_or("-".to_owned(), |pearson| format!("{pearson:.6}"))
            )
            .unwrap();
        }
        assert!(summary.accept.passed, "{}: {:?}", summary.scenario, summary.accept.missed);
        assert_eq!(
            summary.accept.bounds > 0,
            !summary.measured.is_empty(),
            "{} proves nothing",
            summary.scenario
        );
    }
    insta::assert_snapshot!(table);
    expect_fingerprints(&fingerprints);
}

/// Those whose captures do not ship are sound but for the captures; where somebody has put these, they keep their bounds.
#[test]
fn scenarios_without_captures_are_sound() {
    let mut paths =
        fs::read_dir("scenarios/unshipped").unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    paths.sort();
    assert_eq!(paths.len(), 11);
    for path in paths {
        match Scenario::load(&path, &[], None) {
            Ok(scenario) => {
                let summary = simulate(&scenario);
                assert!(summary.accept.passed, "{}: {:?}", summary.scenario, summary.accept.missed);
            }
            Err(error) => {
                let missing =
                    |message: &str| message.starts_with("no such file: `") && message.ends_with(".pcap.xz`");
                assert!(error.iter().all(|mistake| missing(mistake.message())), "{error}");
            }
        }
    }
}

#[test]
fn every_scenario_says_what_it_shows() {
    for path in shipped().iter().chain(&topologies()) {
        let text = fs::read_to_string(path).unwrap();
        let first = text.lines().find(|line| !line.starts_with("#:schema")).unwrap();
        assert!(first.starts_with("# "), "{} opens without a word", path.display());
    }
}

fn topologies() -> Vec<PathBuf> {
    fs::read_dir("topologies").unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn the_same_scenario_twice_has_the_same_fingerprint() {
    let scenario = load(Path::new("scenarios/kernel-drops.toml"), &[]);
    let (first, second) = (simulate(&scenario), simulate(&scenario));
    assert_eq!(first.fingerprint, second.fingerprint);
    assert_eq!(first.measured, second.measured);
    let other = load(Path::new("scenarios/kernel-drops.toml"), &["until=10 s"]);
    assert_ne!(simulate(&other).fingerprint, first.fingerprint);
}

#[test]
fn the_notebooks_packet_takes_one_second() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let scenario = load(Path::new("scenarios/notebook.toml"), &[]);
    let options = RunOptions { format: Format::Csv, ..options(out.clone()) };
    let summary = run(&scenario, &options, |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((summary.packets.delivered, summary.packets.dropped), (256, 0));
    let packets = fs::read_to_string(out.join("packets.csv")).unwrap();
    let mut lines = packets.lines();
    let column = lines.next().unwrap().split(',').position(|name| name == "delay_ps").unwrap();
    let delays: Vec<&str> = lines.map(|line| line.split(',').nth(column).unwrap()).collect();
    assert_eq!(delays, ["1000000000000"; 256]);
}

#[test]
fn the_run_directory_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    for (format, extension) in [(Format::Parquet, "parquet"), (Format::Csv, "csv")] {
        let out = folder.path().join(extension);
        let scenario = load(Path::new("scenarios/kernel-tbf-70.toml"), &["until=2 s"]);
        run(&scenario, &RunOptions { format, ..options(out.clone()) }, |_| ControlFlow::Continue(()))
            .unwrap();
        let mut names: Vec<String> = fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let tables = ["agreement", "flows", "losses", "matched", "packets", "ports", "windows"]
            .map(|table| format!("{table}.{extension}"));
        let mut expected = tables.to_vec();
        expected.extend(["meta.json", "report.html", "summary.json", "topology.svg"].map(str::to_owned));
        expected.sort();
        assert_eq!(names, expected);
    }
    let meta: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("csv/meta.json")).unwrap()).unwrap();
    // `sha256sum scenarios/captures/kernel-tbf-70/in1.pcap.xz`
    let input = &meta["inputs"][2];
    assert_eq!(input["sha256"], "a884b003b33ccc47fdfbd831f60c6ec3ebfddeced1414634e616a79bcf7ddb07");
    assert_eq!(input["bytes"], 224_596);
}

#[test]
fn windows_hold_every_matched_packet_and_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let scenario = load(Path::new("scenarios/kernel-tbf-70.toml"), &["until=2 s"]);
    let options = RunOptions { format: Format::Csv, ..options(out.clone()) };
    let summary = run(&scenario, &options, |_| ControlFlow::Continue(())).unwrap();
    let column = |table: &str, column: &str| -> Vec<u64> {
        let text = fs::read_to_string(out.join(format!("{table}.csv"))).unwrap();
        let mut lines = text.lines();
        let place = lines.next().unwrap().split(',').position(|name| name == column).unwrap();
        lines.map(|line| line.split(',').nth(place).unwrap().parse().unwrap()).collect()
    };
    let lengths: HashMap<u64, u64> =
        column("packets", "pid").into_iter().zip(column("packets", "length_bytes")).collect();
    let bytes: u64 = column("matched", "pid").iter().map(|pid| lengths[pid]).sum();
    for side in ["simulated", "measured"] {
        let packets: u64 = column("windows", &format!("{side}_packets")).iter().sum();
        assert_eq!(packets, summary.measured[0].counts.matched);
        assert_eq!(column("windows", &format!("{side}_bytes")).iter().sum::<u64>(), bytes);
    }
    let over_time = summary.measured[0].over_time.unwrap();
    assert!(over_time.bit_rate_pearson.unwrap() > 0.9, "{over_time:?}");
    assert!(over_time.bit_rate_relative_mae.unwrap() < 0.1, "{over_time:?}");
}

#[test]
fn what_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.pcap");
    fs::copy("tests/captures/cut_in_record.pcap", &cut).unwrap();
    let overrides = [format!("traffic.0.capture={}", cut.display())];
    let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
    let scenario = load(Path::new("scenarios/kernel-tbf-70.toml"), &overrides);
    let out = folder.path().join("runs/one");
    let error = run(&scenario, &options(out.clone()), |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.is_bad_input(), "{error}");
    assert!(error.to_string().contains("cut.pcap"), "{error}");
    assert_eq!(fs::read_dir(folder.path().join("runs")).unwrap().count(), 0);
    let lenient = CaptureOptions { lenient: true, ..CaptureOptions::default() };
    let summary = run(&scenario, &RunOptions { capture: lenient, ..options(out.clone()) }, |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(summary.packets.injected > 0);
    assert!(summary.warnings[0].contains("is cut off"), "{:?}", summary.warnings);
    assert!(
        matches!(run(&scenario, &options(out), |_| ControlFlow::Continue(())), Err(RunError::Directory(_))),
        "an earlier run is kept"
    );
}

#[test]
fn a_hop_needs_the_measured_ingress() {
    // Without the capture between the routers, only the cross traffic's ingress at r2 is known.
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string("scenarios/kernel-tandem.toml").unwrap();
    let between = text.find("# Between the routers").unwrap();
    let after = text.find("# After the second router").unwrap();
    let root = fs::canonicalize(".").unwrap();
    let text = format!("{}{}", &text[..between], &text[after..])
        .replace("../topologies", &root.join("topologies").display().to_string())
        .replace("captures/", &format!("{}/", root.join("scenarios/captures").display()));
    let path = folder.path().join("tandem.toml");
    fs::write(&path, text).unwrap();
    let summary = simulate(&load(&path, &[]));
    assert_eq!(summary.measured[0].without_ingress, 60_869);
    assert_eq!(summary.measured[0].counts.matched, 87_077);
    assert_eq!(summary.measured[1].without_ingress, 0);
}

/// A topology of two hosts, and a scenario on it.
fn between_hosts(folder: &Path, hosts: &str, scenario: &str) -> Scenario {
    let topology = format!(
        "name = \"pair\"\ndevice = [{hosts}]\n[[link]]\nbetween = [\"a:0\", \"b:0\"]\nbandwidth = \"8 Mbps\"\n\
         delay = \"1 ms\"\n"
    );
    fs::write(folder.join("pair.toml"), topology).unwrap();
    let path = folder.join("scenario.toml");
    fs::write(&path, format!("name = \"s\"\ntopology = \"pair.toml\"\n{scenario}")).unwrap();
    load(&path, &[])
}

const CBR: &str = r#"
[[traffic]]
kind = "cbr"
from = "a"
to = "b"
size = "1000 B"
interval = "1 ms"
packets = 10
"#;

#[test]
fn generated_traffic_reaches_the_host_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    // The first address of b is a's own.
    let hosts = r#"{ name = "a", kind = "host", addresses = ["10.0.0.0/24"] },
        { name = "b", kind = "host", addresses = ["10.0.0.0/8"] }"#;
    let summary = simulate(&between_hosts(folder.path(), hosts, CBR));
    assert_eq!((summary.packets.delivered, summary.hops), (10, 10));
    // All addresses of b are a's own.
    let hosts = r#"{ name = "a", kind = "host", addresses = ["10.0.0.0/25", "10.0.0.128/25"] },
        { name = "b", kind = "host", addresses = ["10.0.0.0/24"] }"#;
    let scenario = between_hosts(folder.path(), hosts, CBR);
    let error =
        run(&scenario, &options(folder.path().join("run")), |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(&error, RunError::NoAddress { host } if host == "b"), "{error}");
}

#[test]
fn utilization_counts_what_was_transmitted_by_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = r#"{ name = "a", kind = "host" }, { name = "b", kind = "host" }"#;
    let utilization = |until: &str| {
        let scenario = between_hosts(folder.path(), hosts, &format!("until = \"{until}\"\n{CBR}"));
        let out = folder.path().join("run");
        let options = RunOptions { format: Format::Csv, replace: true, ..options(out.clone()) };
        run(&scenario, &options, |_| ControlFlow::Continue(())).unwrap();
        let ports = fs::read_to_string(out.join("ports.csv")).unwrap();
        let mut lines = ports.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let column = lines.next().unwrap().iter().position(|name| *name == "utilization").unwrap();
        lines.next().unwrap()[column].to_owned()
    };
    // Ten packets of 1 ms each, back to back.
    assert_eq!(utilization("0 s"), "");
    assert_eq!(utilization("4500 us"), "1.0");
    let whole: f64 = utilization("20 ms").parse().unwrap();
    assert!((whole - 10.0 / 11.0).abs() < 1e-12, "{whole}: the last packet arrives at 11 ms");
}

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = load(Path::new("scenarios/kernel-tbf-70.toml"), &[]);
    let stopped = run(&scenario, &options(folder.path().join("run")), |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(RunError::Engine(taunet::engine::EngineError::Interrupted))));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_capture_of_another_time_is_refused() {
    use taunet::capture::{LinkType, Resolution, Writer};
    use taunet::units::Timestamp;
    let folder = tempfile::tempdir().unwrap();
    let frame = [&[0u8; 12][..], &[8, 0, 0x45], &[0; 25], &[0; 8]].concat();
    let capture = |name: &str, day: i128| {
        let path = folder.path().join(name);
        let mut file = fs::File::create(&path).unwrap();
        let mut writer = Writer::new(&mut file, Resolution::Nanoseconds, LinkType::ETHERNET, 96).unwrap();
        writer.write(Timestamp::from_ns(day * 86_400_000_000_000), 100, &frame).unwrap();
        path
    };
    let (first, second) = (capture("first.pcap", 19_000), capture("second.pcap", 0));
    let error = taunet::compare::compare_captures(&first, &second, &CompareOptions::default()).unwrap_err();
    assert!(error.to_string().contains("second.pcap is from 1970-01-01 00:00:00"), "{error}");
    let same = taunet::compare::compare_captures(&first, &first, &CompareOptions::default()).unwrap();
    assert_eq!(same.counts.matched, 1);
}
