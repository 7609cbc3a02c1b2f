//! `taunet inspect`, as a user runs it.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

use crate::lookalike;

fn inspect(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_taunet")).arg("inspect").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn json(arguments: &[&str]) -> Value {
    let (code, stdout, _) = inspect(&[arguments, &["--json"]].concat());
    assert_eq!(code, 0);
    serde_json::from_str(&stdout).unwrap()
}

/// A look-alike of the notebook's trace with so many packets.
pub fn lookalike(folder: &Path, packets: u64) -> PathBuf {
    let path = folder.join("lookalike.pcap");
    let mut file = Vec::new();
    lookalike::write(&mut file, packets, 1).unwrap();
    std::fs::write(&path, file).unwrap();
    path
}

#[test]
fn a_capture_of_every_shape() {
    let (code, stdout, _) = inspect(&["tests/captures/eth_micro_full.pcap"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(stdout);
}

#[test]
fn a_capture_of_every_shape_as_json() {
    let (code, stdout, _) = inspect(&["tests/captures/eth_micro_full.pcap", "--json"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(stdout);
}

#[test]
fn the_notebooks_first_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = lookalike(folder.path(), 20_000);
    let (code, stdout, stderr) = inspect(&[path.to_str().unwrap()]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let first: Vec<_> = stdout.lines().take(3).collect();
    assert_eq!(
        first,
        [
            "Loaded 20000 packets of data covering 81.225012000 seconds starting at \
             2005-09-14 13:21:52.803171000 UTC",
            "Number of devices (distinct IP sources): 120",
            "Most ports (source MACs) on one device: 1",
        ]
    );
}

#[test]
fn the_lookalike_is_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = lookalike(folder.path(), 50_000);
    let summary = json(&[path.to_str().unwrap()]);
    assert_eq!((&summary["packets"], &summary["devices"]), (&50_000.into(), &120.into()));
    assert_eq!(summary["truncated_packets"], 50_000);
    assert_eq!(summary["captured_bytes"], 54 * 50_000);
    assert_eq!(summary["flows"], 360, "two directions of 180 connections");
    let payload = summary["original_bytes"].as_f64().unwrap() / 50_000.0 - 54.0;
    assert!((96.0..100.0).contains(&payload), "{payload}");
    // 246 packets per second
    let rate = summary["packets_per_s"].as_f64().unwrap();
    assert!((rate - 964_842.0 / 3_918.465_169).abs() < 0.01, "{rate}");
}

#[test]
fn another_seed_is_another_trace() {
    let write = |seed| {
        let mut file = Vec::new();
        lookalike::write(&mut file, 1_000, seed).unwrap();
        file
    };
    assert!(write(1) == write(1));
    assert!(write(1) != write(2));
    let all = usize::try_from(lookalike::PACKETS).unwrap() * 70 + 24;
    assert_eq!(write(1).len(), 24 + 1_000 * 70, "{all} bytes in full");
}

#[test]
fn at_most_so_many_packets() {
    assert_eq!(json(&["tests/captures/eth_micro_full.pcap", "--max-packets", "5"])["packets"], 5);
    assert_eq!(json(&["tests/captures/eth_micro_full.pcap", "--max-packets", "0"])["packets"], 0);
}

#[test]
fn a_damaged_file_gives_what_stands_before() {
    let path = "tests/captures/cut_in_record.pcap";
    let (code, stdout, stderr) = inspect(&[path]);
    assert_eq!(code, 2);
    assert!(stdout.starts_with("Loaded 8 packets of data covering "), "{stdout}");
    assert!(stderr.contains("the record at byte 932 needs 114 bytes, but only 68 follow"), "{stderr}");

    let (code, stdout, _) = inspect(&[path, "--json"]);
    assert_eq!(code, 2);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["packets"], 8);
    assert!(report["error"].as_str().unwrap().contains("at byte 932"));

    let (code, stdout, stderr) = inspect(&[path, "--lenient"]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with("Loaded 8 packets"), "{stdout}");
    assert!(stderr.starts_with("warning: tests/captures/cut_in_record.pcap is cut off"), "{stderr}");
}

#[test]
fn an_empty_capture_has_no_packets() {
    let (code, stdout, _) = inspect(&["tests/captures/header_only.pcap"]);
    assert_eq!((code, stdout.as_str()), (0, "Loaded 0 packets of data\n"));
    let report = json(&["tests/captures/header_only.pcap"]);
    assert_eq!((&report["start"], &report["packets_per_s"]), (&Value::Null, &Value::Null));
}

#[test]
fn files_that_are_no_captures() {
    for name in ["empty.pcap", "short_header.pcap", "absurd_caplen.pcap", "no-such.pcap"] {
        let (code, _, stderr) = inspect(&[&format!("tests/captures/{name}")]);
        assert_eq!(code, 2, "{name}");
        assert!(stderr.contains(name), "{stderr}");
    }
}

/// A capture with a packet at each of these times (ns).
fn packets_at(folder: &Path, times: &[i128]) -> PathBuf {
    use taunet::capture::{LinkType, Resolution, Writer};
    use taunet::units::Timestamp;

    let path = folder.join("times.pcap");
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, Resolution::Nanoseconds, LinkType::ETHERNET, 96).unwrap();
    for &time in times {
        writer.write(Timestamp::from_ns(time), 60, &[0; 60]).unwrap();
    }
    std::fs::write(&path, file).unwrap();
    path
}

#[test]
fn gaps_of_years_are_not_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let second = 1_000_000_000;
    let path = packets_at(folder.path(), &[second, 1_000_000_001 * second, 1_000_000_003 * second]);
    let gaps = &json(&[path.to_str().unwrap()])["interarrival"];
    assert_eq!((&gaps["min_s"], &gaps["mean_s"]), (&2.0.into(), &500_000_001.0.into()));
    assert_eq!((&gaps["p99_s"], &gaps["max_s"]), (&1e9.into(), &1e9.into()));
}

#[test]
fn the_mean_gap_is_of_the_whole_span() {
    let folder = tempfile::tempdir().unwrap();
    let second = 1_000_000_000;
    let path = packets_at(folder.path(), &[1, 4, 2, 3, 5].map(|time| time * second));
    let path = path.to_str().unwrap();
    assert_eq!(json(&[path])["interarrival"]["mean_s"], 1.0);
    let (_, stdout, _) = inspect(&[path]);
    let told = "interarrival time  mean 1 s, median 1 s\n                   \
                min 1 s, p5 1 s, p95 3 s, p99 3 s, p99.9 3 s, max 3 s\n                   \
                all but the mean leave out 2 packets out of order\n";
    assert!(stdout.contains(told), "{stdout}");
}

#[test]
fn packets_out_of_order_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = packets_at(folder.path(), &[10_000_000_000, 10_000_000_500, 10_000_000_100, 8_000_000_000]);
    let order = &json(&[path.to_str().unwrap()])["time_order"];
    assert_eq!((&order["out_of_order_packets"], &order["beyond_window_packets"]), (&2.into(), &1.into()));
    assert_eq!(order["largest_step_back_s"], 2.000_000_5);
}
