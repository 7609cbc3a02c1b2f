//! What a run says of the network as a whole: figures, names, and warnings where figures would mislead.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use taunet::capture::LinkType;
use taunet::engine::Unwatched;
use taunet::run::{Results, Summary};
use taunet::scenario::Scenario;
use taunet::table::{MemoryTable, MemoryTables};

use crate::bytes::{TCP, UDP, frame, ip, tcp, udp, write};

type Tables = BTreeMap<String, MemoryTable>;

/// a -- r -- b, 10 Mbps behind the router, whose queue holds `buffer`.
fn topology(folder: &Path, buffer: &str) {
    let text = format!(
        "name = \"three\"\n\
         device = [\n\
         {{ name = \"a\", kind = \"host\", addresses = [\"10.0.0.1\"] }},\n\
         {{ name = \"r\", kind = \"router\", ptm = {{ kind = \"fifo\", buffer = \"{buffer}\" }} }},\n\
         {{ name = \"b\", kind = \"host\", addresses = [\"10.0.0.2\"] }},\n]\n\
         [[link]]\nbetween = [\"a:0\", \"r:0\"]\nbandwidth = \"1 Gbps\"\ndelay = \"5 us\"\n\
         [[link]]\nbetween = [\"r:1\", \"b:0\"]\nbandwidth = \"10 Mbps\"\ndelay = \"5 us\"\n"
    );
    fs::write(folder.join("topology.toml"), text).unwrap();
}

/// Runs a scenario of this traffic; `keys` are those of the scenario itself.
fn run(folder: &Path, keys: &str, traffic: &str) -> (Summary, Tables) {
    let text = format!("name = \"test\"\ntopology = \"topology.toml\"\n{keys}\n{traffic}\n");
    let path = folder.join("scenario.toml");
    fs::write(&path, text).unwrap();
    let scenario = Scenario::load(&path, &[], None).unwrap_or_else(|error| panic!("{error}"));
    let tables = MemoryTables::default();
    let open = scenario.open(&Default::default()).unwrap();
    let Results { summary, .. } = open.run(&tables, Unwatched, |_| ControlFlow::Continue(())).unwrap();
    (summary, tables.take())
}

fn warnings(folder: &Path, keys: &str, traffic: &str) -> Vec<String> {
    run(folder, keys, traffic).0.warnings
}

/// The rows of a table, in one batch.
fn table(tables: &Tables, name: &str) -> RecordBatch {
    let [batch] = &tables[name].batches[..] else { panic!("a small run has one batch") };
    batch.clone()
}

fn numbers(batch: &RecordBatch, column: &str) -> Vec<u64> {
    let column = batch.column_by_name(column).unwrap();
    column.as_primitive::<UInt64Type>().iter().flatten().collect()
}

fn names(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = batch.column_by_name(column).unwrap();
    let text = |names: &dyn Array| -> Vec<Option<String>> {
        names.as_string::<i32>().iter().map(|name| name.map(str::to_owned)).collect()
    };
    match column.as_dictionary_opt::<UInt32Type>() {
        Some(numbers) => {
            let names = text(numbers.values());
            numbers.keys().iter().map(|number| names[number? as usize].clone()).collect()
        }
        None => text(column),
    }
}

const POISSON: &str = "[[traffic]]\nname = \"load\"\nkind = \"poisson\"\nfrom = \"a\"\nto = \"b\"\nrate = \"12 Mbps\"\nsize = \"1000 B\"\n\
                       packets = 2000\nflows = 3\n";

#[test]
fn figures_are_those_of_the_packets() {
    let folder = tempfile::tempdir().unwrap();
    topology(folder.path(), "20 packets");
    let (summary, tables) = run(folder.path(), "", POISSON);
    let overview = summary.overview;
    let packets = table(&tables, "packets");
    let mut delays = numbers(&packets, "delay_ps");
    delays.sort_unstable();
    let delivered = delays.len() as f64;
    assert!(delivered < 2_000.0, "some are lost");
    assert_eq!(overview.loss_ratio, Some((2_000.0 - delivered) / 2_000.0));
    let length = summary.simulated_s;
    assert_eq!(overview.offered_bps, Some(2_000.0 * 8_000.0 / length));
    assert_eq!(overview.carried_bps, Some(delivered * 8_000.0 / length));
    let delay = overview.delay_s.unwrap();
    let mean = delays.iter().map(|ps| *ps as f64).sum::<f64>() / delivered * 1e-12;
    assert!((delay.mean - mean).abs() < 1e-12 * mean, "{} {mean}", delay.mean);
    assert_eq!(delay.max, *delays.last().unwrap() as f64 / 1e12);
    for (part, found) in [(0.5, delay.p50), (0.9, delay.p90), (0.99, delay.p99), (0.999, delay.p999)] {
        let exact = delays[(part * delivered).ceil() as usize - 1] as f64 / 1e12;
        assert!((found - exact).abs() <= exact / 256.0, "{part}: {found}, not {exact}");
    }
    let ports: Vec<&str> = overview.busiest_ports.iter().map(|port| port.port.as_str()).collect();
    assert_eq!(ports, ["r:1", "a:0"]);
    let busiest = &overview.busiest_ports[0];
    assert!(busiest.load.unwrap() > 0.95 && busiest.packets_dropped as f64 == 2_000.0 - delivered);
}

#[test]
fn flows_have_the_names_of_hosts_and_traffic() {
    let folder = tempfile::tempdir().unwrap();
    topology(folder.path(), "1 MB");
    let bulk = "[[traffic]]\nkind = \"bulk\"\nfrom = \"b\"\nto = \"a\"\nbytes = \"30 kB\"\n";
    let pages =
        "[[traffic]]\nname = \"pages\"\nkind = \"bulk\"\nfrom = \"a\"\nto = \"b\"\nbytes = \"20 kB\"\n";
    let (_, tables) = run(folder.path(), "", &format!("{POISSON}{bulk}{pages}"));
    let flows = table(&tables, "flows");
    let [source, destination, traffic] =
        ["source_host", "destination_host", "traffic"].map(|column| names(&flows, column));
    let addresses = ["source", "destination"].map(|column| names(&flows, column));
    let host = |address: &Option<String>| match address.as_deref() {
        Some("10.0.0.1") => Some("a".to_owned()),
        Some("10.0.0.2") => Some("b".to_owned()),
        other => panic!("{other:?}"),
    };
    assert_eq!(source, addresses[0].iter().map(host).collect::<Vec<_>>());
    assert_eq!(destination, addresses[1].iter().map(host).collect::<Vec<_>>());
    // Three flows of packets; of each connection both directions.
    let count = |name: &str| traffic.iter().filter(|of| of.as_deref() == Some(name)).count();
    assert_eq!([count("load"), count("bulk 1"), count("pages")], [3, 2, 2], "{traffic:?}");
    assert_eq!(traffic.len(), 7);
    // All that was sent has arrived.
    assert_eq!(numbers(&flows, "bytes_delivered"), numbers(&flows, "bytes_injected"));
}

#[test]
fn packets_that_are_left_inside_are_told() {
    let folder = tempfile::tempdir().unwrap();
    topology(folder.path(), "10 MB");
    let told = warnings(folder.path(), "until = \"1 s\"", POISSON);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("were still inside when the run ended (r:1 was busy"), "{told:?}");
    // Without an end of its own the run lasts until the last packet has left.
    assert_eq!(warnings(folder.path(), "", POISSON), [""; 0]);
}

#[test]
fn a_load_of_a_port_that_no_packet_passes_is_told() {
    let folder = tempfile::tempdir().unwrap();
    topology(folder.path(), "1 MB");
    let load = |port: &str| POISSON.replace("\"12 Mbps\"", &format!("{{ load = 0.5, of = \"{port}\" }}"));
    assert_eq!(
        warnings(folder.path(), "", &load("b:0")),
        [
            "[[traffic]] `load` gives its rate as a load of b:0, but its packets do not pass that port: name one on their way, \
          such as r:1"
        ]
    );
    assert_eq!(warnings(folder.path(), "", &load("r:1")), [""; 0]);
    let flows = |port: &str| {
        format!(
            "[[traffic]]\nkind = \"flows\"\nfrom = \"a\"\nto = \"b\"\nsize = \"5 kB\"\ncount = 20\n\
             rate = {{ load = 0.1, of = \"{port}\" }}\n"
        )
    };
    let told = warnings(folder.path(), "", &flows("r:0"));
    assert!(told.len() == 1 && told[0].contains("as a load of r:0"), "{told:?}");
    assert_eq!(warnings(folder.path(), "", &flows("r:1")), [""; 0]);
}

/// A capture of these packets, 1 ms apart.
fn capture(folder: &Path, packets: &[Vec<u8>]) {
    let frames: Vec<(i128, Vec<u8>)> =
        (0..).step_by(1_000).zip(packets.iter().map(|packet| frame(packet))).collect();
    write(&folder.join("trace.pcap"), LinkType::ETHERNET, 65_535, &frames);
}

const REPLAY: &str = "[[traffic]]\nkind = \"replay\"\ncapture = \"trace.pcap\"\nat = { port = \"r:0\", direction = \"ingress\" }\n";

#[test]
fn a_replay_of_both_directions_at_one_place_is_told() {
    let folder = tempfile::tempdir().unwrap();
    topology(folder.path(), "1 MB");
    let there = |n| ip("10.0.0.1", "10.0.0.2", UDP, n, &udp((5_000, 53), &[1; 40]));
    let back = |n| ip("10.0.0.2", "10.0.0.1", UDP, n, &udp((53, 5_000), &[2; 90]));
    capture(folder.path(), &[there(1), there(2), there(3)]);
    assert_eq!(warnings(folder.path(), "", REPLAY), [""; 0]);
    capture(folder.path(), &[there(1), back(2), there(3)]);
    let told = warnings(folder.path(), "", REPLAY);
    assert!(
        told.iter().any(|told| told.contains("holds both directions of a conversation")
            && told.contains("all of its packets enter at r:0 ingress")),
        "{told:?}"
    );
}

#[test]
fn an_open_loop_replay_of_tcp_is_told() {
    let folder = tempfile::tempdir().unwrap();
    topology(folder.path(), "1 MB");
    let of_tcp =
        |n: u16| ip("10.0.0.1", "10.0.0.2", TCP, n, &tcp((5_000, 80), u32::from(n) * 100, &[1; 100]));
    let of_udp = |n| ip("10.0.0.1", "10.0.0.2", UDP, n, &udp((5_000, 53), &[1; 400]));
    capture(folder.path(), &[of_tcp(1), of_tcp(2), of_tcp(3)]);
    let told = warnings(folder.path(), "", REPLAY);
    assert!(told.len() == 1 && told[0].starts_with("100 % of the bytes of "), "{told:?}");
    assert!(told[0].contains("a replay is open-loop"), "{told:?}");
    capture(folder.path(), &[of_tcp(1), of_udp(2), of_udp(3)]);
    assert_eq!(warnings(folder.path(), "", REPLAY), [""; 0]);
    // Beside a measured capture the comparison says how far it is off.
    capture(folder.path(), &[of_tcp(1), of_tcp(2), of_tcp(3)]);
    let measured =
        "[[measured]]\ncapture = \"trace.pcap\"\nat = { port = \"r:1\", direction = \"egress\" }\n";
    assert_eq!(warnings(folder.path(), "", &format!("{REPLAY}{measured}")), [""; 0]);
}

#[test]
fn frames_that_offload_has_merged_are_told() {
    let folder = tempfile::tempdir().unwrap();
    topology(folder.path(), "1 MB");
    let packet = |n, payload: usize| ip("10.0.0.1", "10.0.0.2", UDP, n, &udp((5_000, 53), &vec![1; payload]));
    capture(folder.path(), &[packet(1, 1_472), packet(2, 4_000), packet(3, 2_000)]);
    let told = warnings(folder.path(), "", REPLAY);
    assert!(told.len() == 1 && told[0].starts_with("2 frames of "), "{told:?}");
    assert!(
        told[0].contains("longer than the 1514 B that the link carries (the longest has 4042 B)"),
        "{told:?}"
    );
    let text = fs::read_to_string(folder.path().join("topology.toml")).unwrap();
    let jumbo = text.replace("\"1 Gbps\"\n", "\"1 Gbps\"\nmtu = \"9014 B\"\n");
    fs::write(folder.path().join("topology.toml"), jumbo).unwrap();
    assert_eq!(warnings(folder.path(), "", REPLAY), [""; 0]);
}

#[test]
fn a_comparison_of_nothing_misses_its_bounds() {
    let folder = tempfile::tempdir().unwrap();
    topology(folder.path(), "1 MB");
    let packet = |port, n| ip("10.0.0.1", "10.0.0.2", UDP, n, &udp((port, 53), &[1; 40]));
    capture(folder.path(), &[packet(1_000, 1), packet(1_000, 2)]);
    fs::rename(folder.path().join("trace.pcap"), folder.path().join("other.pcap")).unwrap();
    capture(folder.path(), &[packet(2_000, 3), packet(2_000, 4)]);
    let measured = "[[measured]]\ncapture = \"other.pcap\"\nat = { port = \"r:1\", direction = \"egress\" }\n\
                    [accept]\nw1_normalized = 0.1\n";
    let (summary, _) = run(folder.path(), "", &format!("{REPLAY}{measured}"));
    assert!(!summary.accept.passed);
    assert_eq!(summary.accept.missed.len(), 1);
    assert!(summary.warnings.iter().any(|told| told.contains("no packet at r:1 egress was matched")));
}
