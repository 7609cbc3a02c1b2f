//! DeepQueueNet's tables, written by the command line and read by the library.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use taunet::learn::csv::{NetworkRow, read_device, read_network};
use taunet::learn::data::load;
use taunet::learn::spec::TrainingFile;
use taunet::learn::trace::Visit;
use taunet::packet::Packet;
use taunet::scenario::Scenario;
use taunet::topology::DeviceKind;
use taunet::units::{ByteCount, Time};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs taunet, which ends with this code; what it says.
fn taunet(code: i32, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_taunet")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// The rows of a table, each by the names of its columns.
fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.deserialize().map(|row| row.unwrap()).collect()
}

#[test]
fn a_network_is_written_as_its_hops_say() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let file = root("training/networks/fat-tree-16-poisson.toml");
    let set = ["until=30 ms", "record.hops=true", "record.deepqueuenet=true"];
    let mut arguments = vec!["run", file.to_str().unwrap(), "--format", "csv", "-o", out.to_str().unwrap()];
    set.iter().for_each(|set| arguments.extend(["--set", set]));
    taunet(0, &arguments);

    let scenario = Scenario::load(&file, &[], None).unwrap();
    let topology = &scenario.topology;
    let named = |is_host: bool| -> Vec<&str> {
        let devices = topology.devices().map(|(_, device)| device);
        let devices = devices.filter(|device| (device.kind == DeviceKind::Host) == is_host);
        devices.map(|device| &*device.name).collect()
    };
    let (hosts, switches) = (named(true), named(false));
    let mut hops: BTreeMap<u64, Vec<BTreeMap<String, String>>> = BTreeMap::new();
    for hop in rows(&out.join("hops.csv")) {
        if switches.contains(&hop["device"].as_str()) {
            hops.entry(hop["pid"].parse().unwrap()).or_default().push(hop);
        }
    }
    let at = |hop: &BTreeMap<String, String>, column: &str| Time::from_ps(hop[column].parse().unwrap());
    let expected = |packet: &BTreeMap<String, String>| {
        let index: u64 = packet["pid"].parse().unwrap();
        let length: u32 = packet["length_bytes"].parse().unwrap();
        // Every class is an entry, and every host of it a source.
        let source: usize = packet["source"].parse().unwrap();
        let hops = &hops[&index];
        let number = |hop: &BTreeMap<String, String>| {
            let device = switches.iter().position(|name| *name == hop["device"]).unwrap();
            (device as u32, hop["port"].parse().unwrap())
        };
        let last = hops.last().unwrap();
        let port = format!("{}:{}", last["device"], last["port"]).parse().unwrap();
        let link = topology.link(topology.port(topology.port_named(&port).unwrap()).egress).link;
        NetworkRow {
            index,
            timestamp: at(&hops[0], "ingress_ps"),
            length,
            class: (source / hosts.len()) as u8,
            source: (source % hosts.len()) as u32,
            path: hops.iter().map(number).collect(),
            end: at(last, "egress_ps") + link.transmission_time(ByteCount::new(length.into())),
        }
    };
    let packets = rows(&out.join("packets.csv"));
    let delivered = packets.iter().filter(|packet| packet["outcome"] == "delivered");
    let expected: Vec<NetworkRow> = delivered.map(expected).collect();
    let written = read_network(&out.join("deepqueuenet.csv")).unwrap();
    assert!(written.len() > 500 && written.iter().any(|row| row.path.len() == 5));
    for (written, expected) in written.iter().zip(&expected) {
        assert_eq!(written, expected);
    }
    assert_eq!(written.len(), expected.len());
}

#[test]
fn a_replay_comes_from_the_host_on_the_link() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let file = root("tests/cmd/run.in/replay.toml");
    let arguments = ["run", file.to_str().unwrap(), "-o", out.to_str().unwrap()];
    taunet(0, &[&arguments[..], &["--set", "record.deepqueuenet=true"]].concat());
    let rows = read_network(&out.join("deepqueuenet.csv")).unwrap();
    assert!(rows.iter().all(|row| row.source == 0 && row.path == [(0, 1)] && row.end > row.timestamp));
    // On the last link no device is left to pass.
    let set = ["record.deepqueuenet=true", "traffic.0.at={ port = \"r1:1\", direction = \"egress\" }"];
    let measured = "measured.0.at={ port = \"far:0\", direction = \"ingress\" }";
    let set = ["--set", set[0], "--set", set[1], "--set", measured, "--force"];
    taunet(0, &[&arguments[..], &set].concat());
    assert!(read_network(&out.join("deepqueuenet.csv")).unwrap_err().to_string().contains("has no packets"));
}

#[test]
fn training_data_are_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.toml");
    let scenario = root("training/map.toml");
    let data = |name: &str, port: &str| {
        format!(
            "[[data]]\nname = {name:?}\nscenario = {scenario:?}\nports = [{port}]\n\
             set = [\"topology=topologies/drr.toml\", \"until=300 ms\"]\n"
        )
    };
    let classes = "class = [{ match = { dscp = 0 } }, { match = { dscp = 1 } }, { match = { dscp = 2 } }]\n";
    let text = [classes, &data("two ports", "\"s0:5\", \"s0:7\""), &data("one", "\"s0:6\"")].concat();
    fs::write(&path, &text).unwrap();
    let tables = folder.path().join("new/tables");
    let export = ["train", path.to_str().unwrap(), "--export", tables.to_str().unwrap()];
    let said = taunet(0, &export);
    assert!(said.contains("two-ports.csv: ") && said.contains(" 0 of them lost; ports: 2\n"), "{said}");

    let (sources, _) = load(&TrainingFile::load(&path, &[]).unwrap(), |_| ControlFlow::Continue(())).unwrap();
    for (source, name) in sources.iter().zip(["two-ports.csv", "one.csv"]) {
        let read = read_device(&tables.join(name), "2621440 B/s".parse().unwrap()).unwrap();
        assert_eq!(read.len(), source.traces.len());
        for ((port, read), (place, trace)) in read.iter().zip((0..).zip(&source.traces)) {
            let told = |visit: &Visit| {
                let Packet { length, in_port, .. } = visit.packet;
                (visit.arrival, length, in_port, visit.class, visit.start)
            };
            assert!(*port == place && trace.visits.len() > 200);
            assert!(read.visits.iter().map(told).eq(trace.visits.iter().map(told)), "{name}");
            assert!(read.visits.iter().all(|visit| u16::from(visit.packet.dscp) == visit.class));
        }
    }

    assert!(taunet(2, &export).contains("two-ports.csv exists"));
    taunet(0, &[&export[..], &["--force", "--quiet"]].concat());
    assert!(taunet(2, &[&export[..], &["--evaluate", "x"]].concat()).contains("cannot be used with"));
    fs::write(&path, [text, data("two/ports", "\"s0:4\"")].concat()).unwrap();
    assert!(taunet(2, &[&export[..], &["--force"]].concat()).contains("give each [[data]] table a `name`"));
}
