//! `schemas/*.schema.json` match the types that read the files, and accept the same files.
//!
//! `UPDATE_SCHEMAS=1 cargo test schemas` regenerates them.

use std::fs;
use std::path::{Path, PathBuf};

use schemars::Schema;
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema(name: &str) -> Schema {
    match name {
        "topology" => schemars::schema_for!(taunet::topology::TopologyFile),
        "sweep" => schemars::schema_for!(taunet::sweep::SweepFile),
        "tune" => schemars::schema_for!(taunet::tune::TuneFile),
        "training" => schemars::schema_for!(taunet::learn::spec::TrainingFile),
        _ => schemars::schema_for!(taunet::scenario::ScenarioFile),
    }
}

fn fresh(name: &str) {
    let path = root().join(format!("schemas/{name}.schema.json"));
    let now = format!("{:#}\n", schema(name).as_value());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert!(written == now, "{} is out of date: UPDATE_SCHEMAS=1 cargo test schemas", path.display());
}

#[test]
fn the_topology_schema_is_fresh() {
    fresh("topology");
}

#[test]
fn the_sweep_schema_is_fresh() {
    fresh("sweep");
}

#[test]
fn the_tune_schema_is_fresh() {
    fresh("tune");
}

#[test]
fn the_scenario_schema_is_fresh() {
    fresh("scenario");
}

#[test]
fn the_training_schema_is_fresh() {
    fresh("training");
}

/// Every example of a folder, as JSON.
fn examples(folder: &str) -> Vec<(PathBuf, Value)> {
    let mut files = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            let value = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            (path, value)
        })
        .collect::<Vec<_>>();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!files.is_empty());
    files
}

fn valid(name: &str, value: &Value) -> bool {
    jsonschema::validator_for(schema(name).as_value()).unwrap().is_valid(value)
}

#[test]
fn every_example_is_valid() {
    let folders = [
        ("topology", "topologies"),
        ("scenario", "scenarios"),
        ("sweep", "scenarios/sweeps"),
        ("tune", "scenarios/tune"),
        ("topology", "training/topologies"),
        ("scenario", "training"),
        ("scenario", "training/networks"),
        ("training", "training/models"),
    ];
    for (name, folder) in folders {
        for (path, value) in examples(folder) {
            let validator = jsonschema::validator_for(schema(name).as_value()).unwrap();
            let errors = validator.iter_errors(&value).map(|error| error.to_string()).collect::<Vec<_>>();
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        }
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let topology = |device: Value, link: Value| json!({ "name": "t", "device": [device], "link": [link] });
    let device = |ptm: Value| json!({ "name": "r1", "kind": "switch", "ptm": ptm });
    let link = || json!({ "between": ["r1:0", "r1:1"], "bandwidth": "1 Gbps" });
    let fifo = || json!({ "kind": "fifo" });
    assert!(valid("topology", &topology(device(fifo()), link())));
    let bucket = json!({ "kind": "token-bucket", "rate": "1 Mbps", "burst": "2000 B" });
    assert!(valid("topology", &topology(device(bucket), link())));

    let classes = json!([
        { "match": { "dscp": [46, "32-39"], "protocol": "udp", "ingress_ports": 0 }, "weight": 2 },
        { "ptm": { "kind": "drr", "classes": "per-flow" } },
    ]);
    assert!(valid("topology", &topology(device(json!({ "kind": "wrr", "class": classes })), link())));

    let netem = json!({
        "kind": "netem", "delay": "10 ms", "loss": { "model": "gemodel", "p": 0.01, "1-h": 0.7 }, "rate": "1 Mbps",
        "packet_overhead": "-14 B", "slot": { "min_delay": "1 ms", "packets": 3 }, "ptm": { "kind": "codel" },
    });
    assert!(valid("topology", &topology(device(netem), link())));
    assert!(valid("topology", &topology(device(json!({ "kind": "netem", "loss": 0.01 })), link())));

    for ptm in [
        json!({ "kind": "netem", "duplicate": 0.01 }),
        json!({ "kind": "netem", "loss": "2%" }),
        json!({ "kind": "netem", "loss": { "model": "gemodel", "p": 0.01, "h": 0.3 } }),
        json!({ "kind": "netem", "gap": 0 }),
        json!({ "kind": "netem", "packet_overhead": -14 }),
        json!({ "kind": "wrr", "class": [{ "match": { "dscp": 64 } }] }),
        json!({ "kind": "wrr", "class": [{ "match": { "dscp": [] } }] }),
        json!({ "kind": "wrr", "class": [{ "match": { "port": 64 } }] }),
        json!({ "kind": "wrr", "class": [{ "weight": 0 }] }),
        json!({ "kind": "htb", "class": [{ "rate": "1 Mbps", "prio": 8 }] }),
        json!({ "kind": "fifo", "bufer": "1 B" }),
        json!({ "kind": "fiffo" }),
        json!({ "buffer": "1 B" }),
        json!({ "fifo": {} }),
        json!({ "kind": "token-bucket", "rate": "1 Mbps" }),
        json!({ "kind": "token-bucket", "rate": 1_000_000, "burst": "2000 B" }),
        json!({ "kind": "token-bucket", "rate": "1 Mbit", "burst": "2000 B" }),
    ] {
        assert!(!valid("topology", &topology(device(ptm.clone()), link())), "{ptm}");
    }
    for link in [
        json!({ "between": ["r1:0", "r1:1"], "bandwith": "1 Gbps" }),
        json!({ "between": ["r1:0"] }),
        json!({ "between": ["r1:0", "r1:"] }),
        json!({ "between": ["r1:0", "r1:1"], "forward": { "delay": "1 s", "between": [] } }),
    ] {
        assert!(!valid("topology", &topology(device(fifo()), link.clone())), "{link}");
    }

    let at = json!({ "port": "r1:0", "direction": "ingress" });
    let replay = json!({ "kind": "replay", "capture": "a.pcap", "at": at });
    let scenario = |traffic: &Value| json!({ "name": "s", "topology": "t.toml", "traffic": [traffic] });
    assert!(valid("scenario", &scenario(&replay)));
    for (key, value) in
        [("capture", json!(3)), ("kind", json!("cbr")), ("kin", json!("x")), ("at", json!("r1:0"))]
    {
        let mut wrong = replay.clone();
        wrong[key] = value;
        assert!(!valid("scenario", &scenario(&wrong)), "{wrong}");
    }
}
