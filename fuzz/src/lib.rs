//! The bodies of the fuzz targets: functions of bytes that must return, whatever the bytes. libFuzzer calls
//! them (`run.sh`), and the test `corpora` calls them with everything that libFuzzer has kept.

mod networks;

use std::cell::OnceCell;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use taunet::capture::{Frame, LinkType, Options, Reader, RttEstimator, Sorted, Statistics, TcpSegment};
use taunet::compare::{CompareOptions, join_captures};
use taunet::config::Document;
use taunet::learn::csv::{read_device, read_network};
use taunet::learn::spec::TrainingFile;
use taunet::ptm::neural::{Card, Model, Tensors, sha256};
use taunet::scenario::{CaptureClock, Scenario};
use taunet::sweep::Sweep;
use taunet::table::{Kind, read_columns};
use taunet::topology::Topology;
use taunet::topology::import::{ImportFormat, ImportOptions, decode, import};
use taunet::topology::tc::{RouterOptions, TcOptions, convert};
use taunet::traffic::matrix::read_demands;
use taunet::tune::Tune;
use taunet::units::Timestamp;

/// A target with its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 9] = [
    ("captures", captures),
    ("frames", frames),
    ("matching", matching),
    ("documents", documents),
    ("imports", imports),
    ("models", models),
    ("tables", tables),
    ("commands", commands),
    ("networks", networks::networks),
];

/// Calls the target of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.unwrap_or_else(|| panic!("no target is named {name}")).1(bytes);
}

/// A capture file: all that `taunet inspect` reads, and what matching reads.
pub fn captures(bytes: &[u8]) {
    let lenient = Options { lenient: true, ..Options::default() };
    let open =
        |options: &Options| Reader::from_source(Cursor::new(bytes.to_vec()), Path::new("capture"), options);
    let mut strict = 0;
    if let Ok(mut reader) = open(&Options::default()) {
        let mut statistics = Statistics::new(&Options::default());
        let mut rtts = RttEstimator::new();
        while let Ok(Some(record)) = reader.next_record() {
            let frame = Frame::parse(record.link_type, record.bytes, record.original_length);
            statistics.add(&record, &frame);
            if let Some(segment) = TcpSegment::parse(record.link_type, record.bytes, record.original_length) {
                rtts.add(record.timestamp, record.index, &segment).for_each(drop);
            }
            strict += 1;
        }
        let mut warnings = reader.remarks();
        warnings.extend(statistics.remarks(reader.path()));
        assert_eq!(statistics.summary(10).packets, strict);
    }
    if let Ok(reader) = open(&lenient) {
        let mut sorted = Sorted::new(reader, &lenient).with_segments();
        let (mut seen, mut latest) = (0, Timestamp::from_ps(i128::MIN));
        while let Some(observation) = sorted.next_observation().expect("lenient reading ends with a warning")
        {
            assert!(observation.timestamp >= latest, "not in order of time");
            latest = observation.timestamp;
            sorted.take_segment(observation.record);
            observation.frame.match_key();
            seen += 1;
        }
        sorted.remarks();
        assert!(seen >= strict, "lenient reading gave {seen} packets, strict reading {strict}");
    }
}

/// A frame: two bytes of link type, two of the length on the wire, and the captured bytes.
pub fn frames(bytes: &[u8]) {
    let Some((&[a, b, c, d], frame)) = bytes.split_first_chunk() else { return };
    let (link_type, length) = (LinkType(u16::from_le_bytes([a, b])), u16::from_le_bytes([c, d]).into());
    let parsed = Frame::parse(link_type, frame, length);
    parsed.match_key();
    parsed.flow_key();
    TcpSegment::parse(link_type, frame, length);
}

/// Two captures: the length of the first in two bytes, then both.
pub fn matching(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first_chunk() else { return };
    let (first, second) = rest.split_at(usize::from(u16::from_le_bytes(*first)).min(rest.len()));
    let (first, second) = (written("first.pcap", first), written("second.pcap", second));
    for nat in [false, true] {
        for clock in [CaptureClock::Same, CaptureClock::Skewed] {
            let capture = Options { lenient: true, ..Options::default() };
            let options = CompareOptions { capture, nat, clock, ..CompareOptions::default() };
            if let Ok(joined) = join_captures(&first, &second, &options) {
                assert!(joined.pairs.len() as u64 <= joined.packets_first.min(joined.packets_second));
            }
        }
    }
}

/// A TOML file of any kind, beside a topology `line.toml`, a scenario `s.toml` and a capture `in.pcap`.
pub fn documents(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let path = written("document.toml", bytes);
    if Document::parse("document.toml", text).is_err() {
        return;
    }
    let _ = Topology::from_toml("document.toml", text).map(|topology| topology.devices().len());
    let _ = Scenario::load(&path, &[], None).map(|scenario| scenario.warnings());
    let _ = TrainingFile::load(&path, &[]);
    let _ = Sweep::load(&path, &[]).map(|sweep| sweep.jobs().take(10).count());
    let _ = Tune::load(&path, &[]).map(|tune| tune.replications());
}

/// A network in another format: a byte that chooses it, then the file. What is imported is a topology.
pub fn imports(bytes: &[u8]) {
    const FORMATS: [ImportFormat; 5] = [
        ImportFormat::Graphml,
        ImportFormat::Gml,
        ImportFormat::Dot,
        ImportFormat::Sndlib,
        ImportFormat::Json,
    ];
    let Some((format, file)) = bytes.split_first() else { return };
    let Ok(decoded) = decode("network", file, None) else { return };
    let format = FORMATS[usize::from(*format) % FORMATS.len()];
    if let Ok(imported) = import("network", &decoded.text, format, &ImportOptions::default()) {
        let topology = Topology::from_toml("network.toml", &imported.to_toml());
        let topology = topology.unwrap_or_else(|error| panic!("not a topology: {error}"));
        assert_eq!(topology.devices().len(), imported.draft.devices.len());
        imported.demands_csv();
    }
}

/// A model: the length of its card in two bytes, the card, and the weights. The card gets their hash.
pub fn models(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk() else { return };
    let (card, weights) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
    if let Ok(tensors) = Tensors::read(weights) {
        assert_eq!(Tensors::read(&tensors.to_bytes()).expect("it was written"), tensors);
    }
    let Ok(text) = std::str::from_utf8(card) else { return };
    let card = Document::parse("model.toml", text).and_then(|document| document.deserialize::<Card>());
    if let Ok(card) = card {
        let _ = Model::from_bytes(Card { weights_sha256: sha256(weights), ..card }, weights);
    }
}

/// The columns that are read of a table: of the flows of a run.
const COLUMNS: [(&str, Kind); 4] = [
    ("traffic", Kind::Texts),
    ("packets_injected", Kind::Integers),
    ("loss_ratio", Kind::Numbers),
    ("protocol", Kind::Integers),
];

/// A table: a byte that chooses what it is, then the file.
pub fn tables(bytes: &[u8]) {
    let Some((kind, file)) = bytes.split_first() else { return };
    let table = folder().join("table");
    match kind % 5 {
        kind @ (0 | 1) => {
            for (number, extension) in ["parquet", "csv"].into_iter().enumerate() {
                let _ = std::fs::remove_file(table.with_extension(extension));
                if usize::from(kind) == number {
                    written(&format!("table.{extension}"), file);
                }
            }
            let mut rows = 0;
            let read = read_columns(&table, &COLUMNS, |batch| {
                rows += batch[1].integers().len();
                (0..batch[1].integers().len()).for_each(|row| {
                    std::hint::black_box(batch[0].text(row));
                });
            });
            if let Err(error) = read {
                assert!(error.to_string().contains("table."), "no file is named: {error}");
            }
        }
        2 => drop(read_demands(&written("demands.csv", file))),
        3 => drop(read_device(&written("device.csv", file), "10 Mbps".parse().expect("a rate"))),
        _ => drop(read_network(&written("network.csv", file))),
    }
}

/// Commands of Linux tc. What is converted forms a router.
pub fn commands(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(converted) = convert("commands", text, &TcOptions::default()) {
        let network = |text: &str| text.parse().expect("a prefix");
        let options = RouterOptions {
            name: "router".to_owned(),
            sources: vec![network("10.9.1.0/24")],
            destination: network("10.9.200.0/24"),
        };
        let router = converted.to_router(&options).expect("no addresses overlap");
        Topology::from_toml("router.toml", &router)
            .unwrap_or_else(|error| panic!("not a router: {error}\n{router}"));
    }
}

thread_local! {
    static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

/// A folder of this thread, in memory where the system has one there.
fn folder() -> PathBuf {
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| {
            let memory = Path::new("/dev/shm");
            let at = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
            let folder = tempfile::tempdir_in(at).expect("a folder");
            let write =
                |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
            write("line.toml", networks::LINE);
            write("s.toml", networks::SCENARIO);
            write("in.pcap", "");
            folder
        });
        folder.path().to_owned()
    })
}

fn written(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    std::fs::write(&path, bytes).expect("a file in a folder of our own");
    path
}
