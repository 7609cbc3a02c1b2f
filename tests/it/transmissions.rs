//! Simulated connections against recordings, transmission by transmission, up to the first divergence.

mod written;

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;
use taunet::capture::LinkType;

use super::bytes;

/// The network of the recordings: a source, a router with a token bucket, a server; the round trip is the delay of the way back.
fn topology(buffer: &str, delay: &str) -> String {
    format!(
        r#"name = "lab"
device = [
    {{ name = "r", kind = "switch" }},
    {{ name = "server", kind = "host", addresses = ["10.9.200.2"] }},
    {{ name = "s1", kind = "host", addresses = ["10.9.1.1"] }},
]

[[link]]
between = ["r:0", "server:0"]
bandwidth = "unlimited"
delay = "0 s"
ptm = {{ kind = "token-bucket", rate = "20 Mbps", burst = "2000 B", buffer = "{buffer}" }}

[[link]]
between = ["s1:0", "r:1"]
bandwidth = "unlimited"
delay = "0 s"
backward = {{ delay = "{delay}" }}
"#
    )
}

/// The captures of a recording: data at the ingress, behind the queue, and the acknowledgements.
fn measured(folder: &str, which: &[&str], more: &str) -> String {
    let entry = |name: &&str| {
        let (port, direction, delay) = match *name {
            "in1" => ("r:1", "ingress", "path"),
            "out" => ("r:0", "egress", "hop"),
            _ => ("r:0", "ingress", "path"),
        };
        format!(
            "[[measured]]\ncapture = \"{folder}/{name}.pcap.xz\"\nat = {{ port = \"{port}\", direction = \"{direction}\" }}\n\
             delay = \"{delay}\"\n{more}"
        )
    };
    which.iter().map(entry).collect()
}

fn recording(name: &str) -> String {
    format!("{}/tests/captures/tcp/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// `taunet run` in a folder: the summary, and what is printed.
fn run(folder: &Path, scenario: &str) -> (Value, String) {
    fs::write(folder.join("s.toml"), format!("name = \"s\"\ntopology = \"net.toml\"\n{scenario}")).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taunet"));
        let output =
            command.current_dir(folder).args(["run", "s.toml", "--force"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    (serde_json::from_str(&run(&["--json"])).unwrap(), run(&["--format", "csv"]))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

const RENO: &str = r#"
[transport]
kind = "tcp"
congestion_control = "reno"

[[traffic]]
kind = "bulk"
from = "s1"
to = "server"
stop = "14.998051321 s"
"#;

#[test]
fn a_recording_of_reno_is_simulated_transmission_by_transmission() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("net.toml"), topology("100000 B", "40 ms")).unwrap();
    let captures = measured(&recording("t_reno1"), &["in1", "out", "ack"], "");
    let (summary, printed) = run(folder.path(), &format!("{RENO}{captures}"));
    let [entering, leaving, back] = [0, 1, 2].map(|place| summary["measured"][place]["tcp"].clone());
    for (point, packets) in [(&entering, 25_314), (&leaving, 25_174), (&back, 13_544)] {
        assert_eq!(point["connections"]["by_order"], 1, "{printed}");
        assert_eq!((&point["matched"], &point["only_simulated"]), (&packets.into(), &0.into()), "{printed}");
        assert_eq!(
            (&point["only_measured"], &point["first_divergence"]),
            (&0.into(), &Value::Null),
            "{printed}"
        );
    }
    let flow = &leaving["flows"][0];
    for (figure, least) in [("goodput_bps", 18.9e6), ("drops", 140.0), ("retransmissions", 139.0)] {
        let [simulated, measured] = ["simulated", "measured"].map(|side| number(&flow[side][figure]));
        assert!((simulated - measured).abs() <= 1e-6 * measured && measured >= least, "{figure}: {flow}");
    }
    assert_eq!(flow["measured_flow"], "10.9.1.1:60912 > 10.9.200.2:6001 TCP");
    // Who was lost is the same, and so are the delays in the queue.
    assert_eq!(summary["measured"][1]["loss"]["both"], 140, "{printed}");
    assert_eq!(
        summary["measured"][1]["delay_s"]["measured"]["p50"].as_f64().map(|s| (s * 1e6).round()),
        Some(21166.0)
    );
    assert!(printed.contains("no divergence; tolerance 100.000 us"), "{printed}");
    assert!(printed.contains("(measured 10.9.1.1:60912 > 10.9.200.2:6001 TCP)"), "{printed}");
    // The same simulation, compared with a capture afterwards.
    let mut command = Command::new(env!("CARGO_BIN_EXE_taunet"));
    let capture = format!("{}/out.pcap.xz", recording("t_reno1"));
    let arguments = ["compare", "runs/s", &capture, "--at", "r:0 egress", "--tolerance", "1 ms"];
    let output = command.current_dir(folder.path()).args(arguments).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("25,174 matched, 0 only simulated"), "{printed}{:?}", output.stderr);
}

#[test]
fn a_wrong_buffer_shows_at_the_first_packet_that_is_dropped_differently() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("net.toml"), topology("90000 B", "40 ms")).unwrap();
    let captures = measured(&recording("t_reno1"), &["in1", "out"], "");
    let record = |what: &str| format!("{RENO}{captures}[record]\ntransport = {what}\n");
    let (summary, printed) = run(folder.path(), &record("true"));
    let found = &summary["measured"][1]["tcp"]["first_divergence"];
    assert_eq!(found["difference"], "another", "{printed}");
    // The first packet that one side drops and the other does not: the simulation's smaller queue drops it.
    let (ours, theirs) = (&found["simulated"]["transmission"], &found["measured"]["transmission"]);
    assert!(number(&theirs["start"]) < number(&ours["start"]), "{printed}");
    assert_eq!(theirs["nth"], 1);
    let losses = table(&folder.path().join("runs/s/losses.csv"));
    let differs = |row: &&Vec<String>| row[0] == "1" && row[5] != row[6];
    let first = losses.iter().find(differs).unwrap();
    assert_eq!([&first[5], &first[6]], ["true", "false"], "{first:?}");
    let transmissions = table(&folder.path().join("runs/s/transmissions.csv"));
    let entered = transmissions.iter().find(|row| row[0] == "0" && row[3] == first[2]).unwrap();
    assert_eq!(entered[4], theirs["start"].to_string());
    assert!(number(&found["simulated"]["sender"]["highest"]) > number(&theirs["start"]));
    assert!(printed.contains("first divergence at "), "{printed}");
    let report = fs::read_to_string(folder.path().join("runs/s/report.html")).unwrap();
    assert!(report.contains("First divergence") && report.contains("data-kind=\"goodput\""));
    assert_eq!(printed.matches("    > ").count(), 2, "what is around the earliest alone: {printed}");

    // What the sender knows of itself around the instant at which it sent the divergent segment.
    let changes = table(&folder.path().join("runs/s/transport.csv"));
    let transport = &found["simulated"]["transport"];
    let at_ps = (number(&transport["at_s"]) * 1e12).round() as u64;
    let sent = transmissions
        .iter()
        .find(|row| row[0] == "0" && ours["start"] == row[4].parse::<u64>().unwrap())
        .unwrap();
    assert_eq!((&sent[11], &found["measured"]["transport"]), (&at_ps.to_string(), &Value::Null));
    let place = changes.iter().position(|row| row[0].parse::<u64>().unwrap() >= at_ps).unwrap();
    let known = |row: &[String]| {
        let number = |text: &String| text.parse::<u64>().map_or(Value::Null, Value::from);
        serde_json::json!({
            "state": row[2], "cwnd_segments": number(&row[3]), "ssthresh_segments": number(&row[4]),
            "in_flight_segments": number(&row[5]), "srtt_us": number(&row[8]), "rto_us": number(&row[9]),
        })
    };
    let last = changes.iter().rfind(|row| row[0].parse::<u64>().unwrap() <= at_ps).unwrap();
    assert_eq!([&transport["before"], &transport["after"]], [&known(&changes[place - 1]), &known(last)]);
    let cwnd = format!("{}, cwnd {}, ", last[2], last[3]);
    assert!(printed.contains(&cwnd) && report.contains("The sender around "), "{cwnd}{printed}");

    // The table holds what it is asked to hold: instants, each with what the last change has left.
    let (summary, _) = run(folder.path(), &record("{ every = \"7 ms\" }"));
    assert_eq!(summary["measured"][1]["tcp"]["first_divergence"], *found);
    let instants = table(&folder.path().join("runs/s/transport.csv"));
    assert!(instants.len() > 2_000, "{}", instants.len());
    for (row, next) in instants.iter().zip(&instants[1..]) {
        let [time, next] = [row, next].map(|row| row[0].parse::<u64>().unwrap());
        assert_eq!((time % 7_000_000_000, next - time), (0, 7_000_000_000));
        let place = changes.partition_point(|change| change[0].parse::<u64>().unwrap() <= time);
        assert_eq!(changes[place - 1][1..], row[1..]);
    }
    assert!(run(folder.path(), &record("false")).0["measured"] == summary["measured"]);
    assert!(!folder.path().join("runs/s/transport.csv").exists());
}

/// The rows of a table.
fn table(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn flows_of_one_pair_of_hosts_are_paired_by_their_order() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("net.toml"), topology("60000 B", "10 ms")).unwrap();
    let mut text = String::new();
    let file = fs::File::open(format!("{}/flows_s1.csv.xz", recording("t_incast_cubic"))).unwrap();
    std::io::Read::read_to_string(&mut liblzma::read::XzDecoder::new(file), &mut text).unwrap();
    let mut starts: Vec<i64> =
        text.lines().skip(1).map(|line| line.split(',').nth(6).unwrap().parse().unwrap()).collect();
    starts.sort_unstable();
    let rows = starts.iter().map(|start| format!("{}e-9,s1,server,65536\n", start - starts[0]));
    let rows: String = rows.collect();
    fs::write(folder.path().join("flows.csv"), format!("start_s,source,destination,bytes\n{rows}")).unwrap();
    let captures = measured(&recording("t_incast_cubic"), &["in1", "out", "ack"], "");
    let (summary, printed) =
        run(folder.path(), &format!("[[traffic]]\nkind = \"flows\"\nfile = \"flows.csv\"\n{captures}"));
    let tcp = &summary["measured"][0]["tcp"];
    assert_eq!(tcp["connections"]["by_order"], 120, "{printed}");
    assert_eq!(tcp["flows"].as_array().unwrap().len(), 120);
    // The recorded processes wait for their processor, so that the first data come up to 20 us late behind twenty handshakes.
    assert!(number(&tcp["matched"]) > 0.99 * 7_522.0, "{printed}");
    assert_eq!(tcp["first_divergence"]["difference"], "time", "{printed}");
    assert!(printed.contains("110 flows more: see --json"), "{printed}");
}

#[test]
fn connections_are_compared_where_a_replay_enters_and_the_replay_is_not() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("net.toml"), topology("100000 B", "40 ms")).unwrap();
    // A packet of UDP at the microsecond of the first SYN; the recording does not have it.
    let packet = bytes::ip("10.9.1.1", "10.9.200.2", bytes::UDP, 7, &bytes::udp((9, 9), &[7; 18]));
    let at_us = 67_225_602_001_948;
    bytes::write(&folder.path().join("udp.pcap"), LinkType::ETHERNET, 96, &[(at_us, bytes::frame(&packet))]);
    let bulk = RENO.replace("stop = \"14.998051321 s\"", "start = \"682 ns\"\nstop = \"14.998052003 s\"");
    let replay = "[[traffic]]\nkind = \"replay\"\ncapture = \"udp.pcap\"\nat = { port = \"r:1\", direction = \"ingress\" }\n";
    let captures = measured(&recording("t_reno1"), &["in1", "out"], "");
    let (summary, printed) = run(folder.path(), &format!("{bulk}{replay}{captures}"));
    let [entering, leaving] = [0, 1].map(|place| summary["measured"][place].clone());
    assert_eq!((&entering["matched"], &entering["only_measured"]), (&25_314.into(), &0.into()), "{printed}");
    assert_eq!((&leaving["matched"], &leaving["only_simulated"]), (&25_174.into(), &1.into()), "{printed}");
    for point in [&entering["tcp"], &leaving["tcp"]] {
        assert_eq!(
            (&point["aligned_s"], &point["first_divergence"]),
            (&Value::Null, &Value::Null),
            "{printed}"
        );
    }
}
