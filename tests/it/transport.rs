//! The table `transport`: the state of connections over time.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch, StringArray};
use serde_json::{Value, json};
use taunet::engine::{Observed, Observer, Settings, Unwatched};
use taunet::run::Summary;
use taunet::scenario::Scenario;
use taunet::table::{Format, MemoryTables};
use taunet::transport::{Sampling, State, TransportSample};
use taunet::units::{Span, Time};

use crate::browser::{Browser, installed};
use crate::report::{INK, keep, points, run_to};

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    time: u64,
    fid: u32,
    state: String,
    cwnd: u32,
    ssthresh: Option<u32>,
    in_flight: u32,
    unacknowledged: u32,
    mss: u32,
    srtt_us: Option<u64>,
    rto_us: u64,
    acknowledged: u64,
    min_rtt_us: Option<u64>,
    pacing_rate_bps: Option<u64>,
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("{name}"));
    let small = |name: &str| column(name).as_primitive::<UInt32Type>().clone();
    let large = |name: &str| column(name).as_primitive::<UInt64Type>().clone();
    let states = column("state").as_dictionary::<UInt32Type>().clone();
    let state = states.downcast_dict::<StringArray>().unwrap();
    let (times, fids, cwnd, ssthresh) =
        (large("time_ps"), small("fid"), small("cwnd_segments"), small("ssthresh_segments"));
    let (in_flight, out, mss) =
        (small("in_flight_segments"), small("unacknowledged_segments"), small("mss_bytes"));
    let (srtt, rto, acknowledged) = (large("srtt_us"), large("rto_us"), large("bytes_acknowledged"));
    let (least, pacing) = (large("min_rtt_us"), large("pacing_rate_bps"));
    let row = |row: usize| Row {
        time: times.value(row),
        fid: fids.value(row),
        state: state.values().value(states.keys().value(row) as usize).to_owned(),
        cwnd: cwnd.value(row),
        ssthresh: ssthresh.is_valid(row).then(|| ssthresh.value(row)),
        in_flight: in_flight.value(row),
        unacknowledged: out.value(row),
        mss: mss.value(row),
        srtt_us: srtt.is_valid(row).then(|| srtt.value(row)),
        rto_us: rto.value(row),
        acknowledged: acknowledged.value(row),
        min_rtt_us: least.is_valid(row).then(|| least.value(row)),
        pacing_rate_bps: pacing.is_valid(row).then(|| pacing.value(row)),
    };
    (0..batch.num_rows()).map(row).collect()
}

/// Runs a scenario, and reads its table.
fn run(scenario: &str, overrides: &[&str]) -> (Summary, Option<Vec<Row>>) {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let scenario = Scenario::load(Path::new(scenario), &overrides, None).unwrap();
    let tables = MemoryTables::default();
    let open = scenario.open(&Default::default()).unwrap();
    let results = open.run(&tables, Unwatched, |_| ControlFlow::Continue(())).unwrap();
    let tables = tables.take();
    let rows = tables.get("transport").map(|table| table.batches.iter().flat_map(rows_of).collect());
    (results.summary, rows)
}

const FAIRNESS: &str = "scenarios/tcp-fairness.toml";

#[test]
fn samples_change_nothing_and_are_the_last_changes() {
    let plain = run(FAIRNESS, &["until=8 s", "record={}"]);
    let changes = run(FAIRNESS, &["until=8 s", "record.transport=true"]);
    let sampled = run(FAIRNESS, &["until=8 s", "record.transport={ every = \"7 ms\" }"]);
    let off = run(FAIRNESS, &["until=8 s", "record.transport=false"]);
    for (summary, _) in [&changes, &sampled, &off] {
        assert_eq!((&summary.fingerprint, summary.simulated_s), (&plain.0.fingerprint, plain.0.simulated_s));
        assert_eq!(summary.tcp, plain.0.tcp);
    }
    assert_eq!((&plain.1, &off.1), (&None, &None));
    let (changes, sampled) = (changes.1.unwrap(), sampled.1.unwrap());
    assert!(changes.is_sorted_by_key(|row| row.time) && sampled.is_sorted_by_key(|row| row.time));

    let mut times: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    let mut by_flow: BTreeMap<u32, Vec<&Row>> = BTreeMap::new();
    changes.iter().for_each(|row| by_flow.entry(row.fid).or_default().push(row));
    for row in &sampled {
        times.entry(row.fid).or_default().push(row.time);
        let known = &by_flow[&row.fid];
        let place = known.partition_point(|change| change.time <= row.time);
        assert_eq!(Row { time: row.time, ..known[place - 1].clone() }, *row);
    }
    // One flow from the start on, and one from 5 s on; none of acknowledgements.
    assert_eq!(times.len(), 2);
    assert_eq!(by_flow.len(), 2);
    for (times, start) in times.values().zip([0, 5_000_000_000_000]) {
        let every = 7_000_000_000;
        assert!(times.iter().zip(&times[1..]).all(|(one, next)| next - one == every), "{times:?}");
        assert!(times[0].is_multiple_of(every));
        assert!(times[0] > start && times[0] < start + 100_000_000_000, "{}", times[0]);
        assert_eq!(*times.last().unwrap(), 8_000_000_000_000 / every * every);
    }
}

#[test]
fn the_window_of_reno_follows_its_rules() {
    let reno = "transport={ kind = \"tcp\", congestion_control = \"reno\" }";
    let (summary, rows) = run(FAIRNESS, &["until=20 s", reno, "record.transport=true"]);
    let rows: Vec<Row> = rows.unwrap().into_iter().filter(|row| row.fid == 0).collect();
    let first = &rows[0];
    // TCP small queues let two bursts of two segments go at once.
    assert_eq!((first.cwnd, first.ssthresh, first.in_flight, first.state.as_str()), (10, None, 4, "open"));
    assert_eq!((first.mss, first.acknowledged), (1_448, 0));
    assert!(first.srtt_us.unwrap() > 22_000 && first.rto_us > 200_000, "{first:?}");
    // The pipe holds 22 ms at 50 Mbps and a queue of 100 packets; slow start sends twice that at most.
    let pipe = 22_000 * 50 / 8 / 1_514 + 100;
    assert!(rows.iter().all(|row| row.cwnd <= 2 * pipe + 10));
    let mut recoveries = 0;
    for (before, row) in rows.iter().zip(&rows[1..]) {
        assert!(*before != Row { time: before.time, ..row.clone() }, "no change: {row:?}");
        assert!(row.acknowledged >= before.acknowledged);
        assert!(row.in_flight <= row.cwnd.max(before.cwnd) || row.state != "open", "{row:?}");
        // A loss leaves half.
        if before.ssthresh != row.ssthresh && row.state == "recovery" {
            // A reduction that was complete has first left its threshold as the window.
            let window = if before.state == "recovery" { before.ssthresh } else { Some(before.cwnd) };
            assert_eq!(row.ssthresh, window.map(|window| window / 2), "{before:?} {row:?}");
            recoveries += 1;
        }
        // Without a loss the window grows, in slow start by what is acknowledged at most, and then by one at most.
        if before.state == "open" && row.state == "open" && row.cwnd > before.cwnd {
            let segments = (row.acknowledged - before.acknowledged).div_ceil(1_448) as u32;
            let most = if before.ssthresh.is_none_or(|most| before.cwnd < most) { segments } else { 1 };
            assert!(row.cwnd - before.cwnd <= most, "{before:?} {row:?}");
        }
    }
    assert!(recoveries >= 3, "{recoveries}");
    let acknowledged = rows.last().unwrap().acknowledged;
    let of_flow = summary.tcp.iter().find(|entry| entry.entry == "short way").unwrap();
    assert_eq!((of_flow.bytes_acknowledged, of_flow.congestion_control), (acknowledged, "reno"));
}

#[test]
fn connections_end_with_everything_acknowledged() {
    let (summary, rows) = run("scenarios/tcp-flows.toml", &["until=60 s", "record.transport=true"]);
    let mut last: BTreeMap<u32, Row> = BTreeMap::new();
    for row in rows.unwrap() {
        last.insert(row.fid, row);
    }
    let [web, backup, queries] = &summary.tcp[..] else { panic!("{:?}", summary.tcp) };
    let flows: u64 = summary.tcp.iter().map(|entry| entry.flows).sum();
    let finished: u64 = summary.tcp.iter().map(|entry| entry.finished).sum();
    assert_eq!((backup.flows, backup.bytes_acknowledged, queries.flows), (1, 20_000_000, 15));
    assert_eq!(queries.bytes_acknowledged, 15 * 65_536);
    assert!(web.flows > 500 && web.completion_s.unwrap().p50 < web.completion_s.unwrap().p99);
    assert_eq!((last.len() as u64, finished), (flows, flows));
    assert!(last.values().all(|row| row.in_flight == 0 && row.unacknowledged == 0));
    let bytes: u64 = last.values().map(|row| row.acknowledged).sum();
    assert_eq!(bytes, summary.tcp.iter().map(|entry| entry.bytes_acknowledged).sum::<u64>());
}

#[test]
fn a_table_without_connections_is_empty_and_says_so() {
    let (summary, rows) = run("scenarios/traffic-cbr.toml", &["record.transport=true"]);
    assert_eq!(rows, Some(Vec::new()));
    assert!(
        summary.warnings.iter().any(|warning| warning.contains("[record] transport")),
        "{:?}",
        summary.warnings
    );
    assert!(summary.tcp.is_empty());
}

/// Keeps samples.
#[derive(Default)]
pub struct Samples(pub Vec<TransportSample>);

impl Observer for &mut Samples {
    fn watches(&self) -> bool {
        false
    }
    fn sampled(&mut self, sample: &TransportSample) -> Observed {
        self.0.push(*sample);
        Ok(())
    }
}

#[test]
fn an_observer_that_watches_nothing_is_told_samples_however_a_run_pauses() {
    let scenario = Scenario::load(Path::new(FAIRNESS), &["until=2 s".to_owned()], None).unwrap();
    let samples = |every: Span, pauses: u64| {
        let mut open = scenario.open(&Default::default()).unwrap();
        open.settings = Settings { transport: Some(Sampling::Every(every)), ..open.settings };
        let mut samples = Samples::default();
        let mut simulation = open.simulation(&mut samples).unwrap();
        for pause in 0..pauses {
            simulation.run_until(Time::from_ps(pause * 100_000_000_000)).unwrap();
        }
        simulation.finish().unwrap();
        samples.0
    };
    let every = Span::from_ps(100_000_000_000);
    let whole = samples(every, 0);
    assert_eq!(whole, samples(every, 15));
    // The connection is there after 22 ms.
    assert_eq!(whole.len(), 20);
    assert!(whole.iter().all(|sample| sample.cwnd >= 10 && sample.state <= State::Loss));
    // No time from one to the next is every change.
    assert!(samples(Span::ZERO, 0).len() > 1_000);
}

#[test]
fn the_report_draws_connections_over_time() {
    let folder = tempfile::tempdir().unwrap();
    let report = |name: &str, record: &str, format| {
        let record = format!("record={record}");
        run_to(Path::new(FAIRNESS), &["until=7 s", &record], folder.path().join(name), format)
    };
    let every = "{ transport = { every = \"10 ms\" } }";
    let html = report("every", every, Format::Parquet);
    assert_eq!(points(&html), points(&report("csv", every, Format::Csv)));
    assert!(!html.contains("are not recorded"));
    let found = &points(&html)["tcp"]["by"]["flow"];
    let names = ["10.0.1.1:32768 to 10.0.2.1:5001", "10.0.1.2:32768 to 10.0.2.2:5001"];
    assert_eq!(found["names"], json!(names));
    // All that was acknowledged by the last sample is in the windows of goodput.
    let summary: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("every/summary.json")).unwrap()).unwrap();
    for (flow, counts) in found["goodput"]["counts"].as_array().unwrap().iter().enumerate() {
        let sum: u64 = counts.as_array().unwrap().iter().map(|bytes| bytes.as_u64().unwrap()).sum();
        let acknowledged = summary["tcp"][flow]["bytes_acknowledged"].as_u64().unwrap();
        assert!(sum <= acknowledged && sum > acknowledged - 100_000, "{sum} of {acknowledged}");
    }

    let plain = report("plain", "{}", Format::Parquet);
    assert!(plain.contains("are not recorded") && plain.contains("transport = { every"));
    let keys = |html: &str| {
        points(html)["tcp"]["by"]["flow"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys(&plain), ["goodput", "names", "total"]);
    assert_eq!(keys(&report("none", "{ packets = false }", Format::Parquet)), ["names", "total"]);

    let Some(program) = installed() else {
        eprintln!(
            "SKIPPED: no chromium on the PATH; install the package `chromium` to test the report in a browser"
        );
        return;
    };
    let mut browser = Browser::start(&program);
    browser.screen(1280, 900, 1, false);
    browser.open(&folder.path().join("every/report.html"));
    let kinds = browser.value("taunet.charts.slice(0, 3).map(chart => chart.of + ' ' + chart.kind)");
    assert_eq!(kinds, json!(["tcp cwnd", "tcp goodput", "tcp rtt"]));
    let labels = "[...document.querySelectorAll('#tcp .u-legend th')].map(head => head.textContent)";
    assert_eq!(browser.value(labels).as_array().unwrap()[1..3], names.map(|name| json!(name)));
    let ink = browser.value(INK);
    assert!(ink.as_array().unwrap().iter().all(|ink| ink.as_u64().unwrap() > 150), "{ink}");
    keep(&mut browser, "tcp");
    assert_eq!(browser.complaints, Vec::<String>::new());
}
