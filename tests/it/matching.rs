//! Joins two captures of one path packet by packet, and distinguishes their clocks.
//!
//! The included recordings are always tested. `TAUNET_RECORDINGS` names a folder with more of them and their
//! `manifest.toml`; every hop in it is then tested, too.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use taunet::capture::{LinkType, Options, Reader, Resolution, Writer};
use taunet::compare::{CompareOptions, Joined, compare_captures, join_captures};
use taunet::run::{RunOptions, run};
use taunet::scenario::{CaptureClock, Scenario};
use taunet::table::Format;
use taunet::units::{Span, Timestamp};

/// A recorded frame: when, its length on the wire, its captured bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub at: Timestamp,
    pub length: u32,
    pub bytes: Vec<u8>,
}

const IDENTIFICATION: std::ops::Range<usize> = 18..20;
const SOURCE: std::ops::Range<usize> = 26..30;
const SOURCE_PORT: std::ops::Range<usize> = 34..36;
const SEQUENCE: std::ops::Range<usize> = 38..42;
const ACKNOWLEDGEMENT: std::ops::Range<usize> = 42..46;
pub const TCP: u8 = 6;

impl Record {
    pub fn protocol(&self) -> u8 {
        self.bytes[23]
    }

    /// The recordings' own key: 5-tuple, IP identification, and of UDP the first 8 bytes of payload, of TCP sequence
    /// number, acknowledgement and flags.
    fn key(&self) -> Vec<u8> {
        let own = if self.protocol() == TCP { &[38..46, 47..48] } else { &[42..50, 0..0] };
        let parts = [IDENTIFICATION, 23..24, 26..38].into_iter().chain(own.iter().cloned());
        parts.flat_map(|part| self.bytes[part].to_vec()).collect()
    }

    fn set(&mut self, place: std::ops::Range<usize>, change: impl FnOnce(u32) -> u32) {
        let number =
            self.bytes[place.clone()].iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        let bytes = change(number).to_be_bytes();
        let length = place.len();
        self.bytes[place].copy_from_slice(&bytes[4 - length..]);
    }
}

pub fn read(path: &Path) -> Vec<Record> {
    let mut reader = Reader::open(path, &Options::default()).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        let (at, length) = (record.timestamp, record.original_length);
        records.push(Record { at, length, bytes: record.bytes.to_vec() });
    }
    records
}

pub fn write(path: &Path, records: &[Record]) {
    write_cut(path, records, 262_144);
}

fn write_cut(path: &Path, records: &[Record], snap_length: u32) {
    let file = BufWriter::new(File::create(path).unwrap());
    let mut writer = Writer::new(file, Resolution::Nanoseconds, LinkType::ETHERNET, snap_length).unwrap();
    for record in records {
        writer.write(record.at, record.length, &record.bytes).unwrap();
    }
    writer.finish().unwrap();
}

/// The files of one hop: where packets come in, and where they come out.
#[derive(Debug)]
struct Hop {
    case: String,
    first: PathBuf,
    second: PathBuf,
}

fn folder() -> Option<PathBuf> {
    std::env::var_os("TAUNET_RECORDINGS").map(PathBuf::from)
}

/// The hops of a folder of recordings, by its manifest, or of those that ship, by the names of their files.
fn hops() -> Vec<Hop> {
    let Some(folder) = folder() else {
        let folder = Path::new("scenarios/captures");
        let ship = ["kernel-4ports", "kernel-drops", "kernel-game-80", "kernel-tandem", "kernel-tbf-70"];
        let cases = ship.map(|case| folder.join(case));
        let ways = ["in1 out", "in2 out", "in3 out", "in4 out", "p0 p1", "p1 p2", "x0 p2"];
        let hop = |case: &PathBuf, way: &str| {
            let (from, to) = way.split_once(' ')?;
            let file = |point: &str| case.join(format!("{point}.pcap.xz"));
            let hop = Hop { case: case.display().to_string(), first: file(from), second: file(to) };
            hop.first.is_file().then_some(hop)
        };
        let hops: Vec<Hop> =
            cases.iter().flat_map(|case| ways.iter().filter_map(|way| hop(case, way))).collect();
        assert_eq!((cases.len(), hops.len()), (5, 10));
        return hops;
    };
    let mut hops = Vec::new();
    for case in manifest(&folder)["case"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        for hop in case["hop"].as_array().unwrap() {
            let file = |point: &str| folder.join(name).join(format!("{point}.pcap.xz"));
            for from in hop["from"].as_str().unwrap().split('+') {
                let to = hop["to"].as_str().unwrap();
                hops.push(Hop { case: format!("{name} {from}"), first: file(from), second: file(to) });
            }
        }
    }
    hops
}

fn manifest(folder: &Path) -> toml::Table {
    fs::read_to_string(folder.join("manifest.toml")).unwrap().parse().unwrap()
}

/// Who is in both, by the recordings' own key: the instants in either.
fn truth(first: &[Record], second: &[Record]) -> Vec<(Timestamp, Timestamp)> {
    let mut sent: HashMap<Vec<u8>, Timestamp> = HashMap::new();
    for record in first {
        assert!(sent.insert(record.key(), record.at).is_none(), "the recordings' key is unique");
    }
    let mut pairs: Vec<_> =
        second.iter().filter_map(|record| Some((*sent.get(&record.key())?, record.at))).collect();
    pairs.sort_unstable();
    pairs
}

/// How many of the true pairs were found, and how many were found that are none.
fn score(joined: &Joined, truth: &[(Timestamp, Timestamp)]) -> (usize, usize) {
    let at = |ps: i64| Timestamp::from_ps(joined.start.as_ps() + i128::from(ps));
    let mut left: HashMap<(Timestamp, Timestamp), usize> = HashMap::new();
    for pair in truth {
        *left.entry(*pair).or_default() += 1;
    }
    let mut found = 0;
    for pair in &joined.pairs {
        if let Some(times) = left.get_mut(&(at(pair.first_ps), at(pair.second_ps)))
            && *times > 0
        {
            *times -= 1;
            found += 1;
        }
    }
    (found, joined.pairs.len() - found)
}

/// Every packet of either capture is counted once.
fn check_counts(joined: &Joined) {
    let counts = &joined.counts;
    let second = counts.matched
        + counts.ambiguous_second
        + counts.only_second
        + counts.copies_second
        + counts.segmented_second;
    let first =
        counts.matched + counts.ambiguous + counts.only_first + counts.copies_first + counts.segmented_first;
    assert_eq!(
        first + second + counts.without_key,
        joined.packets_first + joined.packets_second,
        "{counts:?}"
    );
}

#[test]
fn every_packet_of_the_recordings_is_matched() {
    if folder().is_none() {
        eprintln!("TAUNET_RECORDINGS is not set: only the recordings that ship are tested");
    }
    let mut cases = BTreeSet::new();
    let mut packets = 0;
    for hop in hops() {
        let joined = join_captures(&hop.first, &hop.second, &CompareOptions::default()).unwrap();
        let truth = truth(&read(&hop.first), &read(&hop.second));
        assert_eq!(score(&joined, &truth), (truth.len(), 0), "{hop:?}");
        check_counts(&joined);
        let counts = joined.counts;
        assert_eq!((counts.ambiguous, counts.copies_first, counts.segmented_first), (0, 0, 0), "{hop:?}");
        // The recordings lost nothing themselves, and nobody acknowledges what was dropped.
        assert_eq!((counts.missed_by_first, counts.missed_by_second), (0, 0), "{hop:?}");
        packets += truth.len();
        cases.insert(hop.case.split(' ').next().unwrap().to_owned());
    }
    println!("{packets} packets of {} recordings", cases.len());
    assert!(packets > 100_000);
    assert_eq!(cases.len(), if folder().is_some() { 29 } else { 5 });
}

/// Rewrites both captures of every hop, and asks for at least 99.9 % of the packets and no false match.
fn rewritten(options: &CompareOptions, rewrite: impl Fn(&mut Vec<Record>, &mut Vec<Record>)) {
    let folder = tempfile::tempdir().unwrap();
    let [to_first, to_second] = ["first.pcap", "second.pcap"].map(|name| folder.path().join(name));
    let (mut expected, mut matched) = (0, 0);
    for hop in hops() {
        let (mut first, mut second) = (read(&hop.first), read(&hop.second));
        let truth = truth(&first, &second);
        rewrite(&mut first, &mut second);
        write(&to_first, &first);
        write(&to_second, &second);
        let joined = join_captures(&to_first, &to_second, options).unwrap();
        let (found, wrong) = score(&joined, &truth);
        check_counts(&joined);
        println!("{}: {found} of {}, {wrong} wrong, {:?}", hop.case, truth.len(), joined.counts);
        assert_eq!(wrong, 0, "{hop:?}");
        assert!(found as f64 >= 0.999 * truth.len() as f64, "{hop:?}: {found} of {}", truth.len());
        (expected, matched) = (expected + truth.len(), matched + found);
    }
    println!("{matched} of {expected}");
}

fn without_identification(records: &mut [Record]) {
    records.iter_mut().for_each(|record| record.set(IDENTIFICATION, |_| 0));
}

/// As a router that translates source addresses does: one address outside, a port for each flow; and TCP's numbers start
/// elsewhere where `with_numbers`.
fn translate(records: &mut [Record], with_numbers: bool) {
    let mut ports: HashMap<Vec<u8>, u32> = HashMap::new();
    for record in records {
        let next = 61_000 - 7 * ports.len() as u32;
        let port = *ports.entry(record.bytes[26..38].to_vec()).or_insert(next);
        record.bytes[SOURCE].copy_from_slice(&[203, 0, 113, 7]);
        record.set(SOURCE_PORT, |_| port);
        if with_numbers && record.protocol() == TCP {
            record.set(SEQUENCE, |number| number.wrapping_add(port * 100_003));
            record.set(ACKNOWLEDGEMENT, |number| number.wrapping_sub(port * 7_919));
        }
    }
}

#[test]
fn packets_without_identification_are_matched() {
    rewritten(&CompareOptions::default(), |first, second| {
        without_identification(first);
        without_identification(second);
    });
}

#[test]
fn packets_whose_identification_is_cleared_on_the_way_are_matched() {
    rewritten(&CompareOptions::default(), |_, second| without_identification(second));
}

#[test]
fn packets_behind_address_translation_are_matched() {
    let options = CompareOptions { nat: true, ..CompareOptions::default() };
    rewritten(&options, |_, second| translate(second, false));
}

#[test]
fn packets_behind_a_router_that_changes_all_numbers_are_matched() {
    let options = CompareOptions { nat: true, ..CompareOptions::default() };
    rewritten(&options, |first, second| {
        translate(second, true);
        without_identification(first);
        without_identification(second);
    });
}

#[test]
fn packets_cut_at_different_lengths_are_matched() {
    let folder = tempfile::tempdir().unwrap();
    let [to_first, to_second] = ["first.pcap", "second.pcap"].map(|name| folder.path().join(name));
    for hop in hops().into_iter().take(4) {
        let (first, second) = (read(&hop.first), read(&hop.second));
        let truth = truth(&first, &second);
        for (snap_first, snap_second) in [(60, 96), (96, 54), (64, 72)] {
            write_cut(&to_first, &first, snap_first);
            write_cut(&to_second, &second, snap_second);
            let joined = join_captures(&to_first, &to_second, &CompareOptions::default()).unwrap();
            assert_eq!(score(&joined, &truth), (truth.len(), 0), "{hop:?} {snap_first} {snap_second}");
        }
    }
}

/// As the tool that made the skewed recordings: t + (t - t0) x ppm + offset, in whole nanoseconds.
fn skew(records: &mut [Record], offset_ns: i128, ppm: i128) {
    let start = records[0].at.as_ps() / 1000;
    for record in records {
        let at = record.at.as_ps() / 1000;
        record.at = Timestamp::from_ns(at + (at - start) * ppm / 1_000_000 + offset_ns);
    }
}

/// Asks for the skew within 0.5 ppm, the offset at `start` within 20 us, and delays within 10 % of those of `straight`.
fn check_clock(first: &Path, straight: &Path, skewed: &Path, start: Timestamp, offset_s: f64, ppm: f64) {
    let options = CompareOptions { clock: CaptureClock::Skewed, ..CompareOptions::default() };
    let joined = join_captures(first, skewed, &options).unwrap();
    let clocks = joined.clocks.unwrap();
    let since_start = (start.as_ps() - joined.start.as_ps()) as i64;
    let found_s = clocks.offset_ps(since_start) as f64 * 1e-12;
    let corrected = compare_captures(first, skewed, &options).unwrap();
    let clock = corrected.clock.as_ref().unwrap();
    let found_ppm = clock.parts[0].skew_ppm.unwrap();
    println!(
        "{}: {found_ppm:.4} ppm of {ppm}, {:.3} us from {offset_s} s",
        first.display(),
        1e6 * (found_s - offset_s)
    );
    assert_eq!((clock.parts.len(), clock.relative, clock.corrected), (1, true, true));
    assert!((found_ppm - ppm).abs() < 0.5, "{found_ppm}");
    assert!((found_s - offset_s).abs() < 20e-6, "{found_s}");
    let truth = compare_captures(first, straight, &CompareOptions::default()).unwrap();
    assert_eq!(truth.counts.matched, corrected.counts.matched);
    let (truth, found) = (truth.delay_s.unwrap(), corrected.delay_s.unwrap());
    for (found, truth) in [
        (found.mean, truth.mean),
        (found.p50, truth.p50),
        (found.p90, truth.p90),
        (found.p99, truth.p99),
        (found.p999, truth.p999),
        (found.max, truth.max),
        (found.pdv_p99, truth.pdv_p99),
    ] {
        assert!((found - truth).abs() < 0.1 * truth + 2e-6, "{found} of {truth}");
    }
}

#[test]
fn skewed_clocks_of_recordings_are_found() {
    let Some(folder) = folder() else {
        eprintln!("TAUNET_RECORDINGS is not set: skipped, the skewed recordings do not ship");
        return;
    };
    let mut cases = 0;
    for case in manifest(&folder)["case"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let file = |point: &str| folder.join(name).join(format!("{point}.pcap.xz"));
        let captures = case["capture"].as_array().unwrap();
        for capture in captures.iter().filter(|capture| capture.get("clock_skew_ppm").is_some()) {
            let skewed = capture["point"].as_str().unwrap();
            let straight = file(skewed.strip_suffix("_skewed").unwrap());
            let start = read(&straight)[0].at;
            let (offset, ppm) = (&capture["clock_offset_s"], &capture["clock_skew_ppm"]);
            for first in captures.iter().filter_map(|capture| capture["point"].as_str()) {
                if first.starts_with("in") {
                    let (offset, ppm) = (offset.as_float().unwrap(), ppm.as_float().unwrap());
                    check_clock(&file(first), &straight, &file(skewed), start, offset, ppm);
                }
            }
            cases += 1;
        }
    }
    assert_eq!(cases, 2);
}

#[test]
fn a_clock_of_its_own_is_found_and_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let case = Path::new("scenarios/captures/kernel-tbf-70");
    let [first, straight] = ["in1", "out"].map(|point| case.join(format!("{point}.pcap.xz")));
    let skewed = folder.path().join("skewed.pcap");
    for (offset_ns, ppm) in [(-350_000_000, 60), (3_600_000_000_000, -110)] {
        let mut records = read(&straight);
        let start = records[0].at;
        skew(&mut records, offset_ns, ppm);
        write(&skewed, &records);
        check_clock(&first, &straight, &skewed, start, offset_ns as f64 * 1e-9, ppm as f64);
    }
}

#[test]
fn a_run_puts_the_clock_of_a_capture_right() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let case = root.join("scenarios/captures/kernel-tbf-70");
    let skewed = folder.path().join("skewed.pcap");
    let mut records = read(&case.join("out.pcap.xz"));
    skew(&mut records, 1_700_000_000, 35);
    write(&skewed, &records);
    let simulate = |capture: &Path, clock: &str| {
        let scenario = folder.path().join("scenario.toml");
        let text = format!(
            "name = \"clocks\"\ntopology = \"{}\"\n\
             [[traffic]]\nkind = \"replay\"\ncapture = \"{}\"\nat = {{ port = \"r1:0\", direction = \"ingress\" }}\n\
             [[measured]]\ncapture = \"{}\"\nat = {{ port = \"r1:1\", direction = \"egress\" }}\n{clock}",
            root.join("topologies/kernel-tbf-70.toml").display(),
            case.join("in1.pcap.xz").display(),
            capture.display(),
        );
        fs::write(&scenario, text).unwrap();
        let out = tempfile::tempdir().unwrap();
        let options = RunOptions {
            out: out.path().join("run"),
            replace: false,
            format: Format::Parquet,
            capture: Options::default(),
            overrides: Vec::new(),
            engine: None,
            threads: 1,
        };
        let scenario = Scenario::load(&scenario, &[], None).unwrap();
        let summary = run(&scenario, &options, |_| ControlFlow::Continue(())).unwrap();
        (summary.measured[0].clone(), summary.warnings)
    };
    let (truth, _) = simulate(&case.join("out.pcap.xz"), "");
    let (corrected, warnings) = simulate(&skewed, "clock = \"skewed\"");
    assert_eq!((corrected.counts, warnings.len()), (truth.counts, 0), "{warnings:?}");
    let clock = corrected.clock.as_ref().unwrap();
    assert!((clock.parts[0].skew_ppm.unwrap() - 35.0).abs() < 0.5 && clock.relative);
    assert!((clock.parts[0].offset_s - 1.7).abs() < 20e-6);
    let both = [&truth, &corrected].map(|summary| summary.delays.as_ref().unwrap());
    let [truth_s, found_s] = both.map(|delays| delays.delay_s.measured);
    let [truth, found] = both.map(|delays| delays.agreement);
    println!(
        "w1 {:?} of {:?}, mae {} of {}",
        found.w1_normalized, truth.w1_normalized, found.mae_s, truth.mae_s
    );
    for (found, truth) in [
        (found_s.mean, truth_s.mean),
        (found_s.p99, truth_s.p99),
        (found.w1_normalized.unwrap(), truth.w1_normalized.unwrap()),
        (found.mae_s, truth.mae_s),
        (found.pearson.unwrap(), truth.pearson.unwrap()),
    ] {
        assert!((found - truth).abs() <= 0.1 * truth, "{found} of {truth}");
    }
    // As it is, a clock that is behind shows.
    skew(&mut records, -2_700_000_000, 0);
    write(&skewed, &records);
    let (_, warnings) = simulate(&skewed, "");
    assert!(warnings[0].contains("clock = \"skewed\""), "{warnings:?}");
}

/// An Ethernet frame of TCP over IPv4, all of it captured.
fn tcp(
    at_us: i128,
    way: (u8, u8),
    sequence: u32,
    acknowledgement: u32,
    payload: usize,
    number: u16,
) -> Record {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    bytes.extend([0x45, 0]);
    bytes.extend((40 + payload as u16).to_be_bytes());
    bytes.extend(number.to_be_bytes());
    bytes.extend([0x40, 0, 64, TCP, 0, 0, 10, 0, 0, way.0, 10, 0, 0, way.1]);
    bytes.extend([0x1f, 0x90 + way.0, 0x1f, 0x90 + way.1]);
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(acknowledgement.to_be_bytes());
    bytes.extend([0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    bytes.extend((0..payload).map(|place| (sequence as usize + place) as u8));
    let length = bytes.len() as u32;
    Record { at: Timestamp::from_ns(1_700_000_000_000_000_000 + 1000 * at_us), length, bytes }
}

fn later(record: &Record, us: i128) -> Record {
    let mut later = Record { at: Timestamp::from_ns(record.at.as_ps() / 1000 + 1000 * us), ..record.clone() };
    later.bytes[22] -= 1; // a router counts the time to live down
    later
}

struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    fn new(first: &[Record], second: &[Record]) -> Self {
        let made = Made { folder: tempfile::tempdir().unwrap() };
        for (path, records) in [(made.first(), first), (made.second(), second)] {
            let mut records = records.to_vec();
            records.sort_by_key(|record| record.at);
            write(&path, &records);
        }
        made
    }

    fn first(&self) -> PathBuf {
        self.folder.path().join("first.pcap")
    }

    fn second(&self) -> PathBuf {
        self.folder.path().join("second.pcap")
    }

    fn joined(&self) -> Joined {
        let joined = join_captures(&self.first(), &self.second(), &CompareOptions::default()).unwrap();
        check_counts(&joined);
        joined
    }
}

const FORTH: (u8, u8) = (1, 2);
const BACK: (u8, u8) = (2, 1);

#[test]
fn long_frames_of_segmentation_offload_are_matched_by_their_bytes() {
    let small =
        |number: u16| tcp(i128::from(number) * 1000, FORTH, 1_000_000 + u32::from(number), 1, 0, number);
    let mut first: Vec<Record> = (0..20).map(small).collect();
    let mut second: Vec<Record> = first.iter().map(|record| later(record, 200)).collect();
    // one frame of 4344 bytes before the segmentation, three behind it; and the other way round
    first.push(tcp(30_000, FORTH, 5000, 1, 4344, 100));
    second.extend((0..3).map(|part| later(&tcp(30_000, FORTH, 5000 + 1448 * part, 1, 1448, 100), 300)));
    first.extend((0..2).map(|part| tcp(31_000, FORTH, 20_000 + 1448 * part, 1, 1448, 110)));
    second.push(later(&tcp(31_000, FORTH, 20_000, 1, 2896, 110), 300));
    let counts = Made::new(&first, &second).joined().counts;
    assert_eq!((counts.matched, counts.segmented_first, counts.segmented_second), (20, 3, 4));
    assert_eq!((counts.only_first, counts.only_second), (0, 0));
}

#[test]
fn copies_of_a_mirror_port_are_counted_and_left_out() {
    let first: Vec<Record> = (0..100).map(|n| tcp(1000 * n, FORTH, n as u32, 1, 100, n as u16 + 1)).collect();
    let once: Vec<Record> = first.iter().map(|record| later(record, 200)).collect();
    let again = once.iter().map(|record| later(record, 7));
    let made = Made::new(&first, &once.iter().cloned().chain(again).collect::<Vec<_>>());
    let joined = made.joined();
    assert_eq!((joined.counts.matched, joined.counts.copies_second), (100, 100));
    assert!(joined.pairs.iter().all(|pair| pair.second_ps - pair.first_ps == 200_000_000));
}

#[test]
fn what_a_capture_missed_is_told_from_what_the_network_lost() {
    let data = |n: i128, us: i128, number: u16| tcp(us, FORTH, 1000 * n as u32, 1, 1000, number);
    let mut first: Vec<Record> = (1..=30).map(|n| data(n, 1000 * n, n as u16)).collect();
    let mut second: Vec<Record> = first.iter().map(|record| later(record, 200)).collect();
    // The second capture misses the 10th packet; the network loses the 20th, which is sent again.
    second.remove(19);
    second.remove(9);
    let again = data(20, 25_500, 120);
    second.push(later(&again, 200));
    first.push(again);
    // The first capture misses the 5th.
    first.remove(4);
    // Acknowledgements, from the second capture to the first.
    let acknowledgements: Vec<Record> = (1..=30)
        .map(|n| {
            let upto = if (20..26).contains(&n) { 20 } else { n + 1 };
            tcp(1000 * n + 400, BACK, 1, 1000 * upto as u32, 0, 1000 + n as u16)
        })
        .collect();
    first.extend(acknowledgements.iter().map(|record| later(record, 200)));
    second.extend(acknowledgements);
    let made = Made::new(&first, &second);
    let joined = made.joined();
    let counts = joined.counts;
    assert_eq!((counts.only_first, counts.missed_by_second), (2, 1));
    assert_eq!((counts.only_second, counts.missed_by_first), (1, 1));
    assert_eq!((counts.matched, counts.matched_backward), (28 + 30, 30));
    let comparison = compare_captures(&made.first(), &made.second(), &CompareOptions::default()).unwrap();
    assert_eq!(comparison.lost, 1);
    let (forward, backward) = (comparison.delay_s.unwrap(), comparison.backward_delay_s.unwrap());
    assert!((forward.max - 200e-6).abs() < 1e-9 && (backward.max - 200e-6).abs() < 1e-9);
    let clock = comparison.clock.unwrap();
    assert!(!clock.relative && clock.parts[0].offset_s.abs() < 1e-9);
    assert!((clock.half_round_trip_s.unwrap() - 200e-6).abs() < 1e-9);
}

#[test]
fn repeated_packets_are_assigned_in_order_or_left_out() {
    // Identifications of 0, as of packets that may not be fragmented, and nothing else to tell them apart.
    let same = |us: i128| tcp(us, FORTH, 7, 9, 0, 0);
    let first = [same(0), same(5000), same(30_000_000), same(30_005_000)];
    let second = [later(&same(0), 500), later(&same(5000), 600), later(&same(30_000_000), 500)];
    let counts = Made::new(&first, &second).joined().counts;
    assert_eq!((counts.matched, counts.ambiguous, counts.ambiguous_second), (2, 2, 1));
}

#[test]
fn captures_of_different_times_are_joined() {
    // The first capture began ten minutes before, the clock of the second is an hour ahead.
    let first: Vec<Record> = (0..70_000).map(|n| tcp(10_000 * n, FORTH, n as u32, 1, 64, n as u16)).collect();
    let second: Vec<Record> =
        first[60_000..].iter().map(|record| later(record, 3_600_000_000 + 250)).collect();
    let joined = Made::new(&first, &second).joined();
    assert_eq!((joined.counts.matched, joined.counts.only_first), (10_000, 60_000));
    assert_eq!(joined.pairs[0].second_ps - joined.pairs[0].first_ps, 3_600_000_250_000_000);
}

#[test]
fn the_command_takes_the_flags_and_says_what_is_wrong() {
    let taunet = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_taunet")).arg("compare").args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let case = Path::new("scenarios/captures/kernel-tbf-70");
    let [first, second] =
        ["in1", "out"].map(|point| case.join(format!("{point}.pcap.xz")).display().to_string());
    let flags = ["--nat", "--clock", "skewed", "--min-delay", "2 us", "--max-delay", "1 s", "--json"];
    let (code, stdout, _) = taunet(&[&[first.as_str(), &second], flags.as_slice()].concat());
    assert_eq!(code, Some(0));
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((json["matched"].as_u64(), json["translated_flows"].as_u64()), (Some(26_740), Some(0)));
    assert!((json["delay_s"]["min"].as_f64().unwrap() - 2e-6).abs() < 1e-9);
    assert_eq!(json["clock"]["corrected"], true);
    let (code, _, stderr) = taunet(&[&first, &second, "--max-delay", "10"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("needs a unit"), "{stderr}");
    let (code, _, stderr) = taunet(&[&first, &second, "--clock", "own"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("same") && stderr.contains("skewed"), "{stderr}");
    let (code, _, stderr) = taunet(&["--nat", &first, "/dev/stdin"]);
    assert_eq!(code, Some(2), "{stderr}");
}

#[test]
fn each_flow_has_its_row() {
    let case = Path::new("scenarios/captures/kernel-drops");
    let [first, second] = ["in1", "out"].map(|point| case.join(format!("{point}.pcap.xz")));
    let found = compare_captures(&first, &second, &CompareOptions::default()).unwrap();
    assert!(found.lost > 100 && found.flows.len() == 8, "{} {}", found.lost, found.flows.len());
    let sum = |of: fn(&taunet::compare::FlowPassage) -> u64| found.flows.iter().map(of).sum::<u64>();
    assert_eq!((sum(|flow| flow.matched), sum(|flow| flow.lost)), (found.counts.matched, found.lost));
    let loss = found.loss_ratio.unwrap();
    let interval = loss.interval.unwrap();
    assert_eq!(loss.ratio, found.lost as f64 / (found.lost + found.counts.matched) as f64);
    assert!(interval.low < loss.ratio && loss.ratio < interval.high, "{interval:?}");

    // By hand: the first time of each key in the second capture, by destination port.
    let mut left: HashMap<Vec<u8>, Timestamp> = HashMap::new();
    read(&second).into_iter().for_each(|record| {
        left.insert(record.key(), record.at);
    });
    let mut delays: HashMap<u16, Vec<f64>> = HashMap::new();
    for record in read(&first) {
        let port = u16::from_be_bytes([record.bytes[36], record.bytes[37]]);
        if let Some(at) = left.get(&record.key()) {
            delays.entry(port).or_default().push((at.as_ps() - record.at.as_ps()) as f64 / 1e12);
        }
    }
    for flow in &found.flows {
        let taunet::packet::FlowKey::Ip { ports: Some((_, port)), .. } = flow.flow else {
            panic!("{flow:?}")
        };
        let delays = &delays[&port];
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        assert_eq!(flow.matched, delays.len() as u64);
        assert!((flow.delay_s.unwrap().mean - mean).abs() < 1e-9, "{flow:?} {mean}");
    }

    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("flows.csv");
    let taunet = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taunet"));
        command.arg("compare").args([&first, &second]).arg("--flows").arg(&table).args(more);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), output.stderr)
    };
    let (code, stdout, _) = taunet(&[]);
    assert_eq!(code, 0);
    assert!(stdout.contains("loss ratio") && stdout.contains("jitter  flow\n"), "{stdout}");
    let rows = fs::read_to_string(&table).unwrap();
    let mut lines = rows.lines();
    assert!(lines.next().unwrap().starts_with(
        "fid,source,destination,protocol,source_port,destination_port,packets_matched,packets_lost,loss_ratio,"
    ));
    for (line, flow) in lines.by_ref().zip(&found.flows) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!((cells[0], cells[6]), (flow.fid.to_string().as_str(), flow.matched.to_string().as_str()));
    }
    assert_eq!((rows.lines().count(), lines.next()), (9, None));
    let (code, _, stderr) = taunet(&[]);
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(code == 2 && stderr.contains("flows.csv exists: choose another file"), "{stderr}");
    assert_eq!(taunet(&["--force", "--quiet"]).0, 0);
}

#[test]
fn a_shorter_window_leaves_late_packets_alone() {
    let first: Vec<Record> = (0..100).map(|n| tcp(1000 * n, FORTH, n as u32, 1, 64, n as u16 + 1)).collect();
    let late = |n: usize| if n.is_multiple_of(10) { 900_000 } else { 200 };
    let second: Vec<Record> = first.iter().enumerate().map(|(n, record)| later(record, late(n))).collect();
    let made = Made::new(&first, &second);
    assert_eq!(made.joined().counts.matched, 100);
    let options = CompareOptions { max_delay: Span::from_ps(100_000_000_000), ..CompareOptions::default() };
    let counts = join_captures(&made.first(), &made.second(), &options).unwrap().counts;
    assert_eq!((counts.matched, counts.only_first, counts.only_second), (90, 10, 10));
}
