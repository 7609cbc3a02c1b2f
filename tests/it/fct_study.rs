//! The included study of flow completion times: its six results, as in `docs/flow-completion-times.md`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::json;
use taunet::engine::Unwatched;
use taunet::run::Summary;
use taunet::scenario::Scenario;
use taunet::table::{Format, MemoryTables};

use crate::browser::{Browser, installed};
use crate::report::{INK, keep, run_to};
use crate::workloads::{integers, numbers};

const TUTORIAL: &str = "docs/flow-completion-times.md";
const SHIPPED: &str = "scenarios/fct-fat-tree.toml";
const LOADS: [&str; 3] = ["0.3", "0.5", "0.8"];
/// The transports, with the networks that they are studied on: of the tutorial, and those that ship.
const TRANSPORTS: [(&str, &str, &str); 2] = [
    ("cubic", "net.toml", "../topologies/fat-tree-4-ecmp.toml"),
    ("dctcp", "net-ecn.toml", "../topologies/fat-tree-4-ecn.toml"),
];
/// Flows up to this size are short, in bytes.
const SHORT: u64 = 100_000;

/// The files of the tutorial, as it shows them.
fn tutorial() -> tempfile::TempDir {
    let page = std::fs::read_to_string(TUTORIAL).unwrap();
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    let [network, marking, study] = blocks[..] else { panic!("three blocks: {}", blocks.len()) };
    let folder = tempfile::tempdir().unwrap();
    let marks: String = network
        .lines()
        .map(|line| if line.starts_with("ptm") { marking.to_owned() } else { format!("{line}\n") })
        .collect();
    for (name, text) in [("net.toml", network), ("net-ecn.toml", &marks), ("study.toml", study)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// A result, and the slowdowns of its short flows in increasing order.
fn run(scenario: &Path, control: &str, topology: &str, load: &str) -> (Summary, Vec<f64>) {
    let overrides = [
        format!("topology={topology}"),
        format!("transport.congestion_control={control}"),
        format!("traffic.0.rate.load={load}"),
    ];
    let scenario = Scenario::load(scenario, &overrides, None).unwrap_or_else(|error| panic!("{error:#?}"));
    let tables = MemoryTables::default();
    let open = scenario.open(&Default::default()).unwrap();
    let results = open.run(&tables, Unwatched, |_| ControlFlow::Continue(())).unwrap();
    let tables = tables.take();
    let bytes = integers(&tables, "flows", "bytes_acknowledged");
    let slowdowns = numbers(&tables, "flows", "slowdown").into_iter().zip(bytes);
    let mut short: Vec<f64> =
        slowdowns.filter(|(_, bytes)| *bytes <= SHORT).filter_map(|(slowdown, _)| slowdown).collect();
    short.sort_by(f64::total_cmp);
    (results.summary, short)
}

/// A row of the tutorial's table.
fn row(load: &str, summary: &Summary) -> String {
    let [entry] = &summary.tcp[..] else { panic!("{:?}", summary.tcp) };
    let by_size: Vec<String> =
        entry.slowdown_by_size.iter().map(|bin| format!("{:.1}", bin.slowdowns.p99)).collect();
    format!(
        "| {} | {load} | {} | {} | {:.1} | {} | {} | {} |",
        entry.congestion_control,
        entry.finished,
        entry.unfinished,
        entry.slowdown.unwrap().p50,
        by_size.join(" | "),
        summary.packets.dropped,
        summary.marked
    )
}

#[test]
fn the_study_shows_what_its_tutorial_says() {
    let folder = tutorial();
    let mut rows = Vec::new();
    let mut p99 = BTreeMap::new();
    for (control, topology, shipped) in TRANSPORTS {
        for load in LOADS {
            let (summary, short) = run(&folder.path().join("study.toml"), control, topology, load);
            if load == LOADS[0] {
                let of_shipped = run(Path::new(SHIPPED), control, shipped, load).0;
                assert_eq!(of_shipped.fingerprint, summary.fingerprint, "{control}");
            }
            let packets = summary.packets;
            assert_eq!(
                packets.injected,
                packets.delivered + packets.dropped + packets.inside,
                "{control} {load}"
            );
            let entry = &summary.tcp[0];
            assert_eq!(entry.flows, entry.finished + entry.unfinished + entry.gave_up, "{control} {load}");
            assert_eq!(
                entry.unfinished > 0,
                summary.warnings.iter().any(|warning| warning.contains("had not finished")),
                "{control} {load}: {:?}",
                summary.warnings
            );
            let offered = entry.offered.as_ref().unwrap().bps / (16.0 * 10e9);
            assert!((offered - load.parse::<f64>().unwrap()).abs() < 1e-6, "{control} {load}: {offered}");
            // Only DCTCP sends packets that can be marked, and only its switches mark.
            assert_eq!(control == "dctcp", summary.marked > 0, "{control} {load}");
            assert!(short.len() > 80, "{control} {load}: {} short flows", short.len());
            p99.insert((control, load), short[(short.len() * 99).div_ceil(100) - 1]);
            let row = row(load, &summary);
            println!("{row}");
            rows.push(row);
        }
    }
    println!("{p99:?}");
    for load in ["0.5", "0.8"] {
        assert!(p99[&("dctcp", load)] < p99[&("cubic", load)], "{p99:?}");
    }
    let tutorial = std::fs::read_to_string(TUTORIAL).unwrap();
    for row in rows {
        assert!(tutorial.contains(&row), "the tutorial lacks {row}");
    }
}

#[test]
fn the_report_draws_the_study() {
    let Some(program) = installed() else {
        eprintln!(
            "SKIPPED: no chromium on the PATH; install the package `chromium` to test the report in a browser"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let overrides = [
        "topology=../topologies/fat-tree-4-ecn.toml",
        "transport.congestion_control=dctcp",
        "traffic.0.rate.load=0.8",
        "traffic.0.stop=15 ms",
        "warm_up=0 s",
        "record.packets=true",
    ];
    run_to(Path::new(SHIPPED), &overrides, folder.path().join("run"), Format::Parquet);
    let mut browser = Browser::start(&program);
    for (name, width, dark) in
        [("study", 1280, false), ("study-dark", 1280, true), ("study-phone", 390, false)]
    {
        browser.screen(width, 900, 1, dark);
        browser.open(&folder.path().join("run/report.html"));
        let kinds =
            browser.value("taunet.charts.filter(chart => chart.of === 'flows').map(chart => chart.kind)");
        assert_eq!(kinds, json!(["completions", "completions_ccdf", "slowdowns", "marks"]));
        let ink = browser.value(INK);
        assert!(ink.as_array().unwrap().iter().all(|ink| ink.as_u64().unwrap() > 150), "{ink}");
        // Powers of ten stand at the logarithmic axes, with units; what is pressed can be read.
        let mut texts = |kind: &str| {
            browser.value(&format!("taunet.charts.find(chart => chart.kind === '{kind}').texts[0]"))
        };
        assert_eq!(texts("slowdowns"), json!(["10 kB", "100 kB", "1 MB"]));
        let times = texts("completions");
        let powers = ["0.01", "0.1", "1", "10", "100"];
        let texts: Vec<&str> = times.as_array().unwrap().iter().filter_map(|text| text.as_str()).collect();
        assert!(texts.len() > 2 && texts.iter().all(|text| powers.contains(text)), "{times}");
        let pressed = "(style => style.color !== style.backgroundColor)\
                       (getComputedStyle(document.querySelector('.bar [aria-pressed=true]')))";
        assert_eq!(browser.value(pressed), true);
        assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth"), true);
        keep(&mut browser, name);
    }
    assert_eq!(browser.complaints, [] as [String; 0]);
}
