//! TCP on a real, noisy machine: `TAUNET_RECORDINGS=FOLDER` with the recordings of TCP through a token bucket
//! (`b4`, `b5`, `f5`).
//!
//! The reverse path was not recorded, and the kernel is 6.18. The UDP traffic of the recording is replayed.
//! TCP connections start at the time of their SYNs and send as long as their iperf3 did. The response time of
//! the hosts is taken from the recording: it is exponential, because processes wait for a processor there,
//! and its mean is that of the time from a packet's egress to the next burst of its sender.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use taunet::engine::Unwatched;
use taunet::packet::FlowKey;
use taunet::scenario::Scenario;
use taunet::units::Timestamp;

use crate::matching::{Record, TCP, read, write as write_capture};

/// A sender of the recording: its address and port.
type Sender = [u8; 6];

impl Record {
    fn is_tcp(&self) -> bool {
        self.protocol() == TCP
    }

    fn sender(&self) -> Sender {
        let mut sender = [0; 6];
        sender[..4].copy_from_slice(&self.bytes[26..30]);
        sender[4..].copy_from_slice(&self.bytes[34..36]);
        sender
    }

    fn sequence(&self) -> u32 {
        u32::from_be_bytes(self.bytes[38..42].try_into().unwrap())
    }

    fn is_syn(&self) -> bool {
        self.bytes[47] & 2 > 0
    }

    fn payload(&self) -> u32 {
        let total = u32::from(u16::from_be_bytes([self.bytes[16], self.bytes[17]]));
        total - 20 - u32::from(self.bytes[46] >> 4) * 4
    }
}

/// What a recording shows of its connections.
struct Recorded {
    start: Timestamp,
    /// By ingress port: UDP packets.
    datagrams: Vec<Vec<Record>>,
    /// Ingress port, when the SYN came in s after the start.
    connections: Vec<(usize, f64)>,
    /// Bytes of each connection that left the router.
    bytes: Vec<u64>,
    drops: usize,
    /// The mean time that hosts take to answer, in us.
    answer_us: f64,
}

/// The ns from one instant to another.
fn since(later: Timestamp, earlier: Timestamp) -> i64 {
    (later.as_ps() - earlier.as_ps()) as i64 / 1_000
}

/// A connection for control sends fewer bytes.
const CONTROL: u32 = 100_000;

/// What follows within this many ns is the same burst.
const BURST: i64 = 100_000;

fn recorded(folder: &Path, ports: usize) -> Recorded {
    let out = read(&folder.join("out.pcap.xz"));
    let mut left: HashMap<Sender, (u32, u32)> = HashMap::new();
    let mut departures: HashMap<Sender, Vec<Timestamp>> = HashMap::new();
    for record in out.iter().filter(|record| record.is_tcp()) {
        let (first, highest) = left.entry(record.sender()).or_insert((record.sequence(), 0));
        let end = record.sequence().wrapping_sub(*first) + record.payload();
        *highest = (*highest).max(end);
        departures.entry(record.sender()).or_default().push(record.at);
    }
    let ins: Vec<Vec<Record>> =
        (1..=ports).map(|port| read(&folder.join(format!("in{port}.pcap.xz")))).collect();
    let start = ins.iter().filter_map(|records| Some(records.first()?.at)).min().unwrap();
    let drops = ins.iter().map(Vec::len).sum::<usize>() - out.len();
    let (mut connections, mut answers) = (Vec::new(), Vec::new());
    for (port, records) in ins.iter().enumerate() {
        let mut last: HashMap<Sender, Timestamp> = HashMap::new();
        for record in records.iter().filter(|record| record.is_tcp()) {
            let sender = record.sender();
            // iperf3's first connection is for control: it sends some hundred bytes.
            if left.get(&sender).is_none_or(|(_, highest)| *highest < CONTROL) {
                continue;
            }
            if record.is_syn() {
                connections.push((port, since(record.at, start) as f64 / 1e9));
            }
            if record.payload() == 0 {
                continue;
            }
            let is_burst = last.insert(sender, record.at).is_none_or(|last| since(record.at, last) > BURST);
            let departures = departures.get(&sender).map_or(&[][..], Vec::as_slice);
            let before = departures.partition_point(|at| *at <= record.at);
            if is_burst && before > 0 {
                answers.push(since(record.at, departures[before - 1]));
            }
        }
    }
    let bytes =
        left.values().map(|(_, highest)| u64::from(*highest)).filter(|bytes| *bytes > u64::from(CONTROL));
    let answer_us = answers.iter().sum::<i64>() as f64 / answers.len() as f64 / 1e3;
    let bytes = bytes.collect();
    let datagrams =
        ins.into_iter().map(|records| records.into_iter().filter(|record| !record.is_tcp()).collect());
    Recorded { start, datagrams: datagrams.collect(), connections, bytes, drops, answer_us }
}

/// The scenario: hosts, a router with the recorded token bucket, UDP replayed, TCP simulated.
fn scenario(folder: &Path, recorded: &Recorded, algorithms: &[&str]) -> PathBuf {
    let mut topology = "name = \"recorded\"\n\
        device = [{ name = \"r\", kind = \"switch\", processing = \"5 us\" }, { name = \"d\", kind = \"host\", addresses = [\"10.9.200.2\"] }]\n\
        link = [{ between = [\"r:0\", \"d:0\"], bandwidth = \"unlimited\", delay = \"0 s\", \
        ptm = { kind = \"token-bucket\", rate = \"20 Mbps\", burst = \"2000 B\", buffer = \"60000 B\", release_slack = \"20 us\" } }]\n"
        .to_owned();
    let mut text = "name = \"recorded\"\ntopology = \"topology.toml\"\nseed = 1\n".to_owned();
    let mut devices = String::new();
    let mut links = String::new();
    for (port, records) in recorded.datagrams.iter().enumerate() {
        let number = port + 1;
        write!(devices, ", {{ name = \"s{number}\", kind = \"host\", addresses = [\"10.9.{number}.1\"] }}")
            .unwrap();
        let jitter = format!(
            "jitter = {{ distribution = \"exponential\", mean = \"{:.3} us\", order = \"keep\" }}",
            recorded.answer_us
        );
        write!(
            links,
            ", {{ between = [\"s{number}:0\", \"r:{number}\"], bandwidth = \"unlimited\", delay = \"0 s\", backward = {{ delay = \"1 us\", {jitter} }} }}"
        )
        .unwrap();
        if records.is_empty() {
            continue;
        }
        write_capture(&folder.join(format!("in{number}.pcap")), records);
        writeln!(
            text,
            "[[traffic]]\nkind = \"replay\"\ncapture = \"in{number}.pcap\"\nat = {{ port = \"r:{number}\", direction = \"ingress\" }}"
        )
        .unwrap();
    }
    topology = topology.replacen("}]\nlink", &format!("}}{devices}]\nlink"), 1);
    topology.truncate(topology.trim_end().len() - 1);
    topology += &format!("{links}]\n");
    for (port, start) in &recorded.connections {
        // The replay begins with the first packet of all.
        let (number, stop) = (port + 1, start + 20.0);
        writeln!(
            text,
            "[[traffic]]\nkind = \"bulk\"\nfrom = \"s{number}\"\nto = \"d\"\nstart = \"{start:.9} s\"\nstop = \"{stop:.9} s\"\n\
             transport = {{ kind = \"tcp\", congestion_control = \"{}\" }}",
            algorithms[*port]
        )
        .unwrap();
    }
    fs::write(folder.join("topology.toml"), topology).unwrap();
    let path = folder.join("scenario.toml");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn tcp_on_a_noisy_machine() {
    let Some(folder) = std::env::var_os("TAUNET_RECORDINGS").map(PathBuf::from) else {
        eprintln!("TAUNET_RECORDINGS is not set: recordings of TCP on a real machine were not compared");
        return;
    };
    let cases = [
        ("b4_tcp_cubic4", vec!["cubic"]),
        ("b5_tcp_reno2_mmpp", vec!["reno"]),
        ("f5_4port_tcp", vec!["-", "-", "cubic", "reno"]),
    ];
    let mut missed = Vec::new();
    for (case, algorithms) in cases {
        let recorded = recorded(&folder.join(case), algorithms.len());
        let temporary = tempfile::tempdir().unwrap();
        let path = scenario(temporary.path(), &recorded, &algorithms);
        let scenario = Scenario::load(&path, &[], None).unwrap_or_else(|error| panic!("{error}"));
        let open = scenario.open(&Default::default()).unwrap();
        let finished = open.simulation(Unwatched).unwrap().finish().unwrap();
        let own = finished.connections.iter().filter(|connection| connection.opened_here);
        let mut bytes: Vec<(u64, &FlowKey)> =
            own.map(|connection| (connection.acknowledged, &connection.key)).collect();
        bytes.sort();
        let mut theirs = recorded.bytes.clone();
        theirs.sort_unstable();
        let total: u64 = bytes.iter().map(|(bytes, _)| bytes).sum();
        let goodput = total as f64 / theirs.iter().sum::<u64>() as f64 - 1.0;
        let dropped = finished.outcome.packets.dropped;
        let drops = dropped as f64 / recorded.drops as f64 - 1.0;
        println!(
            "{case} (from {}, answers after {:.0} us): goodput {:+.2} %, drops {dropped} for {} ({:+.1} %)",
            recorded.start,
            recorded.answer_us,
            100.0 * goodput,
            recorded.drops,
            100.0 * drops
        );
        for ((bytes, key), theirs) in bytes.iter().zip(&theirs) {
            println!("  {key}: {bytes} B; one of the recording {theirs} B");
        }
        if goodput.abs() > 0.02 || drops.abs() > 0.15 {
            missed.push(case);
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}
