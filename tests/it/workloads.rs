//! The workloads of closed loops, the results per flow, the warm-up and the end of a run.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use taunet::engine::{Engine, Unwatched};
use taunet::link::Link;
use taunet::run::Summary;
use taunet::scenario::Scenario;
use taunet::table::{Format, MemoryTable, MemoryTables, TableFiles, Tables};
use taunet::transport::ideal::Way;
use taunet::units::{Bandwidth, Span};

pub type Found = BTreeMap<String, MemoryTable>;

/// Two hosts at a router, and a link of 1 Gbps and 1 ms from it to a third.
const NETWORK: &str = r#"
name = "three"
[defaults.link]
bandwidth = "1 Gbps"
delay = "1 ms"
[[device]]
name = "a"
kind = "host"
[[device]]
name = "b"
kind = "host"
[[device]]
name = "c"
kind = "host"
[[device]]
name = "r"
kind = "router"
[[link]]
between = ["a:0", "r:0"]
[[link]]
between = ["b:0", "r:1"]
[[link]]
between = ["c:0", "r:2"]
"#;

fn load(topology: &str, scenario: &str) -> Result<(tempfile::TempDir, Scenario), String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("net.toml"), topology).unwrap();
    let text = format!("name = \"test\"\ntopology = \"net.toml\"\n{scenario}");
    let path = folder.path().join("scenario.toml");
    std::fs::write(&path, text).unwrap();
    let scenario = Scenario::load(&path, &[], None).map_err(|error| format!("{error}"))?;
    Ok((folder, scenario))
}

fn run_on(topology: &str, scenario: &str, engine: Engine) -> (Summary, Found) {
    let (_folder, scenario) = load(topology, scenario).unwrap();
    let tables = MemoryTables::default();
    let mut open = scenario.open(&Default::default()).unwrap();
    open.settings.engine = engine;
    let results = open.run(&tables, Unwatched, |_| ControlFlow::Continue(())).unwrap();
    (results.summary, tables.take())
}

fn run(scenario: &str) -> (Summary, Found) {
    run_on(NETWORK, scenario, Engine::Auto)
}

fn column<T>(tables: &Found, table: &str, name: &str, of: impl Fn(&RecordBatch, &str) -> Vec<T>) -> Vec<T> {
    tables[table].batches.iter().flat_map(|batch| of(batch, name)).collect()
}

/// Whole numbers; 0 for none.
pub fn integers(tables: &Found, table: &str, name: &str) -> Vec<u64> {
    column(tables, table, name, |batch, name| {
        let column = batch.column_by_name(name).unwrap_or_else(|| panic!("{name}"));
        column.as_primitive::<UInt64Type>().iter().map(|value| value.unwrap_or(0)).collect()
    })
}

pub fn numbers(tables: &Found, table: &str, name: &str) -> Vec<Option<f64>> {
    column(tables, table, name, |batch, name| {
        let column = batch.column_by_name(name).unwrap_or_else(|| panic!("{name}"));
        column.as_primitive::<Float64Type>().iter().collect()
    })
}

#[track_caller]
fn near(value: f64, expected: f64, part: f64) {
    assert!((value - expected).abs() <= part * expected.abs(), "{value}, not {expected}");
}

#[test]
fn flows_arrive_as_often_as_their_load_says() {
    let flows = |rate: &str| {
        let text = format!(
            "until = \"10 s\"\n[[traffic]]\nkind = \"flows\"\nmatrix = \"uniform\"\nsize = \"10 kB\"\n\
             {rate}\nstop = \"2 s\"\n"
        );
        let (_folder, scenario) = load(NETWORK, &text).unwrap();
        let traffic = scenario.traffic.clone();
        let [taunet::scenario::Traffic::Connections(entry)] = &traffic[..] else { panic!("{traffic:?}") };
        let drawn = entry.entry(&scenario.topology, 1).flows;
        let offered = entry.offered().unwrap().clone();
        near(drawn.len() as f64 / 2.0, offered.flows_per_s, 0.1);
        near(offered.bps, offered.flows_per_s * 8e4, 1e-9);
        assert!(drawn.is_sorted_by_key(|flow| flow.at));
        (offered.bps, offered.definition, offered.arrivals, drawn)
    };
    let close = |rate: &str, bps: f64, definition: &str| {
        let (found, words, ..) = flows(rate);
        near(found, bps, 1e-6);
        assert!(words.contains(definition), "{words}");
    };
    close("rate = \"20 Mbps\"", 60e6, "20 Mbps in bytes of flows");
    close("rate = \"250 flows/s\"", 60e6, "flows per second");
    close("interval = \"4 ms\"", 60e6, "every 4 ms");
    close("rate = { load = 0.02 }", 60e6, "first port of each sending host");
    close("rate = { load = 0.06, of = \"r:2\" }", 60e6, "of the link of r:2");
    // `a` is one half, `b` and `c` the other, which sends back half of what it sends: 1 of 2 to `a`.
    close("rate = { load = 0.02, of = \"bisection\" }", 60e6, "of the bisection");
    let lognormal = "rate = { load = 0.2 }\narrivals = { distribution = \"lognormal\", sigma = 1.5 }";
    let (_, _, arrivals, drawn) = flows(lognormal);
    assert_eq!(arrivals, "lognormal, sigma 1.5");
    let poisson = flows("rate = { load = 0.2 }").3;
    // Bursts: of windows of 10 ms, the most flows.
    let most = |flows: &[taunet::application::Flow]| {
        let mut windows: BTreeMap<u64, u32> = BTreeMap::new();
        flows.iter().for_each(|flow| *windows.entry(flow.at.as_ps() / 10_000_000_000).or_default() += 1);
        windows.into_values().max().unwrap()
    };
    assert!(most(&drawn) > most(&poisson) + 10, "{} {}", most(&drawn), most(&poisson));
}

#[test]
fn the_bisection_of_a_fat_tree_is_that_of_its_hosts() {
    let topology = std::fs::read_to_string("topologies/fat-tree-4.toml").unwrap();
    let text = "[[traffic]]\nkind = \"flows\"\nmatrix = \"uniform\"\nsize = \"web-search\"\n\
                rate = { load = 0.3, of = \"bisection\" }\nstop = \"100 ms\"\n";
    let (_folder, scenario) = load(&topology, text).unwrap();
    let entry = scenario.traffic.iter().find_map(|traffic| match traffic {
        taunet::scenario::Traffic::Connections(entry) => entry.offered().cloned(),
        _ => None,
    });
    let offered = entry.unwrap();
    // 8 hosts of 10 Gbps on each side, and 8 of 15 flows cross.
    near(offered.bps, 0.3 * 80e9 * 2.0 * 15.0 / 8.0, 1e-6);
    assert!(offered.definition.contains("80 Gbps"), "{}", offered.definition);
    near(offered.mean_bytes, 1_711_250.0, 1e-5);
}

#[test]
fn mistakes_about_flows_are_reported() {
    let told = |keys: &str| load(NETWORK, &format!("until = \"1 s\"\n{keys}")).unwrap_err();
    let flows =
        |keys: &str| told(&format!("[[traffic]]\nkind = \"flows\"\nfrom = \"a\"\nto = \"b\"\n{keys}"));
    let cases = [
        (flows("size = \"1 kB\""), "missing key `rate`"),
        (flows("size = \"1 kB\"\nrate = \"1 Mbps\"\ninterval = \"1 s\""), "already sets the rate"),
        (flows("size = \"1 kB\"\nrate = { load = 0 }"), "a load cannot be 0"),
        (flows("size = \"1 kB\"\nrate = { load = 0.1, of = \"half\" }"), "bisection"),
        (flows("size = \"1 kB\"\nrate = \"1 Mbps\"\narrivals = \"pareto\""), "unknown arrivals `pareto`"),
        (
            flows(
                "size = \"1 kB\"\nrate = \"1 Mbps\"\narrivals = { distribution = \"lognormal\", sigma = 9 }",
            ),
            "`sigma` cannot be 9",
        ),
        (flows("size = \"web-serch\"\nrate = \"1 Mbps\""), "did you mean `web-search`?"),
        (
            told(
                "[[traffic]]\nkind = \"poisson\"\nfrom = \"a\"\nto = \"b\"\nrate = \"1 Mbps\"\nsize = \"hadoop\"",
            ),
            "these are sizes of flows",
        ),
        (
            told("[[traffic]]\nkind = \"bulk\"\nfrom = \"a\"\nto = \"b\"\non = { mean = \"1 s\" }"),
            "needs both `on` and `off`",
        ),
        (told("[[traffic]]\nkind = \"bulk\"\nfrom = \"a\"\nto = \"b\"\nwrite = \"1 kB\""), "needs a `rate`"),
        (
            told(
                "[[traffic]]\nkind = \"request-response\"\nfrom = \"a\"\nto = \"b\"\nrequest = \"1 B\"\nresponse = \"1 B\"\n\
                 turns = 0",
            ),
            "0 turns send nothing",
        ),
        (
            told("warm_up = \"1 s\"\n[[traffic]]\nkind = \"bulk\"\nfrom = \"a\"\nto = \"b\""),
            "leaves nothing of the run",
        ),
        (
            told(
                "stop_when = { flows_finished = 1 }\n[[traffic]]\nkind = \"cbr\"\nfrom = \"a\"\nto = \"b\"\n\
                 rate = \"1 Mbps\"\nsize = \"100 B\"",
            ),
            "no traffic has connections",
        ),
    ];
    for (found, expected) in cases {
        assert!(found.contains(expected), "{found}\n{expected}");
    }
}

/// A flow alone.
fn alone(bytes: &str) -> (Summary, Found) {
    run(&format!("[[traffic]]\nkind = \"bulk\"\nfrom = \"a\"\nto = \"c\"\nbytes = \"{bytes}\"\n"))
}

#[test]
fn a_short_flow_alone_takes_its_ideal_time() {
    for (bytes, segments) in [("100 B", 1), ("1448 B", 1), ("14480 B", 10)] {
        let (summary, tables) = alone(bytes);
        let ideal = integers(&tables, "flows", "ideal_ps")[0];
        let took = integers(&tables, "flows", "completion_ps")[0];
        // Two round trips of 4 ms: the handshake, and the data with its acknowledgement.
        assert!(ideal > 8_000_000_000 && ideal < 8_200_000_000, "{ideal}");
        // The end of the stream has a packet of its own: 66 B, on two links.
        assert!((ideal..=ideal + 2 * 66 * 8_000).contains(&took), "{bytes}: {took}, not {ideal}");
        // Store and forward: each segment once on the first link, and the last once more.
        let (whole, last) = (segments - 1, if bytes == "100 B" { 166 } else { 1_514 });
        let train =
            (u64::from(whole == 0) * last + whole * 1_514 + if whole > 0 { 2 * last } else { last }) * 8_000;
        let handshake = 4 * 74 * 8_000 + 2 * 66 * 8_000;
        assert_eq!(ideal, 8_000_000_000 + train + handshake, "{bytes}");
        let slowdown = summary.tcp[0].slowdown.unwrap();
        assert!(slowdown.flows == 1 && slowdown.p99 >= 1.0 && slowdown.p99 < 1.001, "{slowdown:?}");
        assert!(tables["flows"].schema.metadata["ideal_ps"].contains("store and forward"));
    }
    // Slow start takes more round trips.
    let slowdown = alone("1 MB").0.tcp[0].slowdown.unwrap();
    assert!(slowdown.p50 > 1.5 && slowdown.p50 < 4.0, "{slowdown:?}");
}

/// The ideal times that m3 publishes, of its 25 scenarios in `TAUNET_ORACLES`/m3: store and forward of whole packets of 1048 B,
/// each transmission truncated to whole nanoseconds.
#[test]
fn ideal_times_are_those_of_m3() {
    let Some(folder) = std::env::var_os("TAUNET_ORACLES") else {
        eprintln!("skipped: TAUNET_ORACLES names no folder");
        return;
    };
    let link = |rate: &str| Link::with_delay(rate.parse::<Bandwidth>().unwrap(), Span::from_ns(1_000));
    let links = [link("10 Gbps"), link("100000 Gbps"), link("10 Gbps")];
    let mut flows = 0;
    for shard in 0..100 {
        let path = Path::new(&folder).join(format!("m3/shard{shard:02}.csv"));
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for line in text.lines().skip(1) {
            let fields: Vec<u64> = line.split(',').map(|field| field.parse().unwrap()).collect();
            let [_, _, bytes, from, to, _, expected] = fields[..] else { panic!("{line}") };
            let way = Way::new([from, to].map(|host| (&links[host as usize], Span::ZERO)));
            let rest = bytes % 1_000;
            let rest = if rest > 0 { rest as u32 + 48 } else { 0 };
            let found = way.train(bytes / 1_000, 1_048, rest).as_ps() as f64 / 1e3;
            let packets = bytes.div_ceil(1_000) as f64;
            // What is truncated of each packet, and 1 ns of a link that takes 0.1 ns.
            let less = found - expected as f64;
            assert!((0.0..=packets + 3.0).contains(&less), "{line}: {found}");
            flows += 1;
        }
    }
    assert!(flows > 5_000, "{flows}");
}

#[test]
fn requests_are_answered_turn_by_turn() {
    let (summary, tables) = run(
        "[[traffic]]\nkind = \"request-response\"\nfrom = \"a\"\nto = \"c\"\nflows = 2\n\
         request = \"200 B\"\nresponse = { min = \"1000 B\", max = \"5000 B\" }\nturns = 5\nthink = \"50 ms\"\n",
    );
    let times = integers(&tables, "requests", "response_ps");
    assert_eq!(times.len(), 10);
    // A round trip of 4 ms, and a few packets.
    assert!(times.iter().all(|ps| (4_000_000_000..4_200_000_000).contains(ps)), "{times:?}");
    let responses = integers(&tables, "requests", "response_bytes");
    assert!(responses.iter().all(|bytes| (1_000..=5_000).contains(bytes)) && responses[0] != responses[2]);
    // Both ends agree on what each response has: that is what the server's flows carried.
    let acknowledged = integers(&tables, "flows", "bytes_acknowledged");
    assert_eq!(acknowledged.iter().sum::<u64>(), 10 * 200 + responses.iter().sum::<u64>());
    let starts = integers(&tables, "requests", "start_ps");
    let gap = starts[2] - starts[0];
    assert!((54_000_000_000..54_200_000_000).contains(&gap), "{gap}");
    let entry = &summary.tcp[0];
    assert_eq!((entry.finished, entry.unfinished, entry.slowdown), (2, 0, None));
    assert_eq!(entry.response_s.unwrap().requests, 10);
}

#[test]
fn requests_stop_and_connections_arrive_at_random() {
    let (summary, tables) = run("[[traffic]]\nkind = \"request-response\"\nmatrix = \"permutation\"\n\
         request = \"1 kB\"\nresponse = \"100 kB\"\nthink = { mean = \"20 ms\" }\ninterval = \"100 ms\"\nstop = \"2 s\"\n");
    let entry = &summary.tcp[0];
    near(entry.flows as f64, 60.0, 0.4);
    assert_eq!((entry.finished, entry.unfinished), (entry.flows, 0));
    assert!(entry.response_s.unwrap().requests > entry.flows);
    assert!(integers(&tables, "requests", "start_ps").iter().all(|start| *start < 2_000_000_000_000));
}

#[test]
fn a_sender_keeps_its_rate_and_its_bursts() {
    let at = |keys: &str| {
        let text = format!(
            "until = \"10 s\"\n[[traffic]]\nkind = \"bulk\"\nfrom = \"a\"\nto = \"c\"\nstop = \"10 s\"\n{keys}\n"
        );
        run(&text).0.tcp[0].bytes_acknowledged as f64 * 8.0 / 10.0
    };
    near(at("rate = \"5 Mbps\""), 5e6, 0.01);
    near(at("rate = \"5 Mbps\"\nwrite = \"10 kB\""), 5e6, 0.01);
    let constant = "on = { mean = \"100 ms\", distribution = \"constant\" }\n\
                    off = { mean = \"300 ms\", distribution = \"constant\" }";
    near(at(&format!("rate = \"40 Mbps\"\n{constant}")), 10e6, 0.02);
    // A mean gap of writes that is longer than a burst.
    near(at(&format!("rate = \"1 Mbps\"\nwrite = \"50 kB\"\n{constant}")), 0.25e6, 0.25);
    let greedy = at(constant);
    assert!(greedy > 150e6 && greedy < 500e6, "{greedy}");
    let (summary, _) =
        run("[[traffic]]\nkind = \"bulk\"\nfrom = \"a\"\nto = \"c\"\nbytes = \"1 MB\"\nrate = \"8 Mbps\"\n");
    let entry = &summary.tcp[0];
    assert_eq!((entry.finished, entry.bytes_acknowledged), (1, 1_000_000));
    near(entry.completion_s.unwrap().p50, 1.0, 0.02);
    assert_eq!(entry.slowdown, None);
}

#[test]
fn a_warm_up_is_in_no_statistic_of_either_engine() {
    let packets = |warm_up: &str| {
        format!(
            "until = \"3 s\"\n{warm_up}\n[[traffic]]\nkind = \"poisson\"\nfrom = \"a\"\nto = \"c\"\nrate = {{ load = 0.6 }}\n\
             size = \"1000 B\"\nstop = \"3 s\"\n[[traffic]]\nkind = \"cbr\"\nfrom = \"b\"\nto = \"c\"\nrate = \"300 Mbps\"\n\
             size = \"1000 B\"\nstart = \"1 s\"\nstop = \"3 s\"\n"
        )
    };
    let all = run_on(NETWORK, &packets(""), Engine::Event);
    let [event, stream] =
        [Engine::Event, Engine::Stream].map(|engine| run_on(NETWORK, &packets("warm_up = \"1 s\""), engine));
    for table in ["flows", "ports"] {
        assert_eq!(event.1[table].batches, stream.1[table].batches, "{table}");
    }
    let (summary, tables) = &event;
    assert_eq!(summary.fingerprint, all.0.fingerprint);
    assert_eq!((summary.warm_up_s, all.0.warm_up_s), (Some(1.0), None));
    assert_eq!(summary.packets, stream.0.packets);
    let injected = integers(tables, "flows", "packets_injected");
    near(injected[0] as f64, 0.6 * 125_000.0 * 2.0, 0.02);
    assert_eq!(injected[1], 75_000);
    assert_eq!(summary.packets.injected, injected.iter().sum::<u64>());
    assert!(tables.values().all(|table| table.schema.metadata["warm_up_ps"] == "1000000000000"));
    // While both send, the port to `c` is busy for 0.9 of the time; over the whole run it is less.
    let busiest = |tables: &Found| {
        let utilization = numbers(tables, "ports", "utilization");
        utilization.into_iter().flatten().fold(0.0, f64::max)
    };
    near(busiest(tables), 0.9, 0.01);
    near(busiest(&all.1), 0.8, 0.01);
    let mean = numbers(tables, "ports", "queue_mean_packets").into_iter().flatten().fold(0.0, f64::max);
    let joined = numbers(tables, "ports", "joined_per_s").into_iter().flatten().fold(0.0, f64::max);
    let waiting = numbers(tables, "ports", "waiting_mean_ps").into_iter().flatten().fold(0.0, f64::max);
    near(mean, joined * waiting * 1e-12, 0.001);
}

#[test]
fn a_warm_up_leaves_out_the_start_of_connections() {
    let text = |warm_up: &str| {
        format!(
            "until = \"4 s\"\n{warm_up}\n[[traffic]]\nname = \"long\"\nkind = \"bulk\"\nfrom = \"a\"\nto = \"c\"\nrate = \"100 Mbps\"\n\
             [[traffic]]\nname = \"short\"\nkind = \"flows\"\nfrom = \"b\"\nto = \"c\"\nsize = \"10 kB\"\ninterval = \"10 ms\"\n"
        )
    };
    let (all, _) = run(&text(""));
    let (warm, tables) = run(&text("warm_up = \"2 s\""));
    assert_eq!(all.fingerprint, warm.fingerprint);
    let [long, short] = &warm.tcp[..] else { panic!("{:?}", warm.tcp) };
    near(long.bytes_acknowledged as f64, 100e6 / 8.0 * 2.0, 0.01);
    near(long.goodput_bps.unwrap(), 100e6, 0.01);
    near(short.flows as f64, all.tcp[1].flows as f64 / 2.0, 0.25);
    let starts = integers(&tables, "flows", "start_ps");
    let took = integers(&tables, "flows", "completion_ps");
    let whole = starts.iter().zip(&took).filter(|(_, took)| **took > 0);
    assert!(whole.clone().all(|(start, _)| *start >= 2_000_000_000_000));
    assert!(whole.count() as u64 <= short.finished);
}

#[test]
fn a_run_stops_when_enough_flows_have_finished() {
    let text = |stop: &str| {
        format!(
            "until = \"60 s\"\n{stop}\n[[traffic]]\nkind = \"flows\"\nfrom = \"a\"\nto = \"c\"\nsize = \"20 kB\"\ninterval = \"5 ms\"\n\
             stop = \"3 s\"\n"
        )
    };
    let (all, _) = run(&text(""));
    let (stopped, tables) = run(&text("stop_when = { flows_finished = 100 }"));
    assert_eq!((stopped.tcp[0].finished, stopped.stop_after_flows), (100, Some(100)));
    assert!(stopped.simulated_s < 1.0 && all.tcp[0].finished > 400, "{}", stopped.simulated_s);
    let took = integers(&tables, "flows", "completion_ps");
    assert_eq!(took.iter().filter(|took| **took > 0).count(), 100);
    let open = stopped.tcp[0].unfinished;
    assert!(
        open > 0 && stopped.warnings.iter().any(|warning| warning.contains("had not finished")),
        "{open}"
    );
    let (later, _) = run(&text("warm_up = \"1 s\"\nstop_when = { flows_finished = 100 }"));
    assert!(later.simulated_s > 1.2, "{}", later.simulated_s);
    assert_eq!(later.tcp[0].slowdown.unwrap().flows, 100);
}

#[test]
fn fairness_and_slowdowns_stand_in_the_summary() {
    let (summary, _) = run(
        "until = \"3 s\"\n[[traffic]]\nkind = \"bulk\"\nfrom = \"a\"\nto = \"c\"\nflows = 2\n\
         rate = \"10 Mbps\"\n[[traffic]]\nname = \"mixed\"\nkind = \"flows\"\nfrom = \"b\"\nto = \"c\"\nsize = \"ali-storage\"\n\
         rate = { load = 0.2 }\nstop = \"2 s\"\n",
    );
    near(summary.tcp[0].jain.unwrap(), 1.0, 0.001);
    let mixed = &summary.tcp[1];
    let all = mixed.slowdown.unwrap();
    assert_eq!(all.flows, mixed.slowdown_by_size.iter().map(|bin| bin.slowdowns.flows).sum::<u64>());
    assert!(mixed.slowdown_by_size.len() >= 3 && all.p50 >= 1.0 && all.p99 > all.p50, "{mixed:?}");
    assert!(mixed.jain.is_some_and(|jain| jain < 1.0));
}

#[test]
fn the_metadata_of_tables_is_in_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let files = TableFiles::new(folder.path(), Format::Parquet);
    let schema = arrow_schema::Schema::new_with_metadata(
        vec![arrow_schema::Field::new("n", arrow_schema::DataType::UInt64, true)],
        [("warm_up_ps".to_owned(), "7".to_owned())].into(),
    );
    files.begin("x", &std::sync::Arc::new(schema)).unwrap().finish().unwrap();
    let bytes = std::fs::read(folder.path().join("x.parquet")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("warm_up_ps"), "{text}");
}
