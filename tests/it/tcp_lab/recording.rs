//! The content of a kernel recording.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use taunet::transport::congestion::Algorithm;
use taunet::transport::tcp::Parameters;
use taunet::units::{Span, Time};

/// When the recorded guests booted: instants count from there.
pub const BOOT_NS: i64 = 1_767_225_600_000_000_000;

/// A flow: the number of its source, and its port.
pub type FlowName = (usize, u16);

/// A packet as it is compared: sequence numbers and PSH of data; of an acknowledgement its number, window and blocks; of both, ECN.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Shape {
    Data { seq: u64, end: u64, push: bool, ecn: Ecn },
    Ack { ack: u64, window: u64, sack: Vec<(u64, u64)>, ecn: Ecn },
}

/// The flags ECE and CWR, and the ECN field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ecn {
    pub ece: bool,
    pub cwr: bool,
    pub field: u8,
}

/// A packet at a point: instant in ns, flow, shape.
pub type Sighting = (i64, FlowName, Shape);

/// Packets at a point.
pub type Seen = Vec<Sighting>;

pub struct RecordedFlow {
    pub name: FlowName,
    pub algorithm: Algorithm,
    /// None: until the end.
    pub bytes: Option<u64>,
    /// When its SYN was sent, in ns.
    pub syn: i64,
    pub connected: i64,
    pub written: i64,
    /// When its process read the end.
    pub done: Option<i64>,
}

/// What drops, holds or delays packets on a way besides the queue. SYNs are counted apart where they are dropped.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// All but every n-th SYN, or answer to one, is dropped; 0: none.
    pub syn: u64,
    /// Every n-th other packet is; 0: none.
    pub drop: u64,
    /// Every n-th packet that is left is held for that long.
    pub hold: Option<(u64, Span)>,
    /// Meanwhile all are dropped.
    pub silent: Vec<(Time, Time)>,
    /// From when on the delay is another.
    pub delay: Vec<(Time, Span)>,
}

impl Way {
    fn read(meta: &Value, key: &str) -> Way {
        let way = &meta["config"][key];
        let pairs = |key: &str| -> Vec<(f64, f64)> {
            let pairs = way[key].as_array().into_iter().flatten();
            pairs.map(|pair| (pair[0].as_f64().unwrap(), pair[1].as_f64().unwrap())).collect()
        };
        // A change takes effect between two instants.
        let changes: Vec<&Value> = meta["changes"].as_array().into_iter().flatten().collect();
        let changed = |planned: f64| {
            let change = changes.iter().find(|change| change[0].as_f64() == Some(planned)).unwrap();
            time((change[1].as_i64().unwrap() + change[2].as_i64().unwrap()) / 2 - BOOT_NS)
        };
        Way {
            syn: way["syn"].as_u64().unwrap_or(0),
            drop: way["drop"].as_u64().unwrap_or(0),
            hold: way["hold"][0].as_u64().map(|every| (every, milliseconds(&way["hold"][1]))),
            silent: pairs("silent").iter().map(|(since, until)| (changed(*since), changed(*until))).collect(),
            delay: pairs("delay")
                .iter()
                .map(|(since, ms)| (changed(*since), milliseconds(&(*ms).into())))
                .collect(),
        }
    }

    /// Whether it drops and holds nothing.
    pub fn is_plain(&self) -> bool {
        self.syn == 0 && self.drop == 0 && self.hold.is_none() && self.silent.is_empty()
    }
}

/// From when on the server reads how many bytes at a time, and how often; without a gap it reads all at once.
#[derive(Debug, Clone)]
pub struct Reads {
    pub since: Time,
    pub bytes: u64,
    pub gap: Span,
}

fn milliseconds(value: &Value) -> Span {
    Span::from_ns((value.as_f64().unwrap() * 1e6) as u64)
}

/// An instant, by its ns since the boot.
pub fn time(ns: i64) -> Time {
    Time::from_ps(ns as u64 * 1_000)
}

pub struct Case {
    pub name: String,
    pub commands: String,
    /// Those of the queue of the sources' own ports, if they have one.
    pub host_commands: String,
    /// Clients ask for ECN (`tcp_ecn`).
    pub ecn: bool,
    /// What the server's process asks for.
    pub server: Algorithm,
    /// Of all links, in bytes.
    pub mtu: u32,
    /// What a receiver compresses at most, where that is not the default.
    pub compressed_acks: Option<u32>,
    pub data_way: Way,
    pub acks_way: Way,
    /// What the flow writes when, where not all at once.
    pub writes: Vec<(Time, u64)>,
    pub reads: Vec<Reads>,
    /// Of each source, in ns.
    pub delays: Vec<u64>,
    /// When flows without a length end, in ns.
    pub stop: i64,
    pub flows: Vec<RecordedFlow>,
    pub entering: Seen,
    pub leaving: Seen,
    pub acks: Seen,
    /// What else came in, from the first source.
    pub datagrams: Vec<Datagram>,
}

/// A UDP packet.
pub struct Datagram {
    pub at: i64,
    pub ports: (u16, u16),
    /// Of the frame, in bytes.
    pub length: u32,
}

/// The congestion control of this name.
fn algorithm(name: &str) -> Algorithm {
    let all = [Algorithm::Cubic, Algorithm::Reno, Algorithm::Dctcp, Algorithm::Bbr];
    *all.iter().find(|algorithm| algorithm.name() == name).unwrap_or_else(|| panic!("{name}"))
}

pub fn unpack(path: &Path) -> Vec<u8> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    liblzma::read::XzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A TCP packet of a capture.
struct Packet {
    at: i64,
    source: [u8; 4],
    destination: [u8; 4],
    ports: (u16, u16),
    seq: u32,
    ack: u32,
    flags: u8,
    /// The ECN field.
    field: u8,
    window: u16,
    payload: u32,
    sack: Vec<(u32, u32)>,
}

/// The IPv4 frames of a classic pcap file: when, how long, and what of them was kept.
fn frames(bytes: &[u8]) -> impl Iterator<Item = (i64, u32, &[u8])> {
    let le = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let unit = if le(0) == 0xa1b2_3c4d { 1 } else { 1_000 };
    let mut at = 24;
    std::iter::from_fn(move || {
        let header = at;
        (header < bytes.len()).then(|| {
            let captured = le(header + 8) as usize;
            at = header + 16 + captured;
            let stamp = i64::from(le(header)) * 1_000_000_000 + i64::from(le(header + 4)) * unit;
            (stamp - BOOT_NS, le(header + 12), &bytes[header + 16..at])
        })
    })
    .filter(|(_, _, frame)| frame[12..14] == [8, 0])
}

/// The UDP packets of a capture.
fn datagrams(path: &Path) -> Vec<Datagram> {
    let bytes = unpack(path);
    let port = |frame: &[u8], at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    frames(&bytes)
        .filter(|(_, _, frame)| frame[23] == 17)
        .map(|(at, length, frame)| Datagram { at, ports: (port(frame, 34), port(frame, 36)), length })
        .collect()
}

/// The TCP packets of a capture.
fn packets(path: &Path) -> Vec<Packet> {
    let bytes = unpack(path);
    let mut found = Vec::new();
    for (at, _, frame) in frames(&bytes) {
        if frame[23] != 6 {
            continue;
        }
        let be16 = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let be32 = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        let ip = usize::from(frame[14] & 15) * 4;
        let tcp = 14 + ip;
        let header = usize::from(frame[tcp + 12] >> 4) * 4;
        let mut sack = Vec::new();
        let mut option = tcp + 20;
        while option < tcp + header {
            match frame[option] {
                0 => break,
                1 => option += 1,
                kind => {
                    let length = usize::from(frame[option + 1]);
                    if kind == 5 {
                        sack.extend(
                            (option + 2..option + length).step_by(8).map(|at| (be32(at), be32(at + 4))),
                        );
                    }
                    option += length;
                }
            }
        }
        found.push(Packet {
            at,
            source: frame[26..30].try_into().unwrap(),
            destination: frame[30..34].try_into().unwrap(),
            ports: (be16(tcp), be16(tcp + 2)),
            seq: be32(tcp + 4),
            ack: be32(tcp + 8),
            flags: frame[tcp + 13],
            field: frame[15] & 3,
            window: be16(tcp + 14),
            payload: u32::from(be16(16)) - (ip + header) as u32,
            sack,
        });
    }
    found
}

impl Packet {
    fn ecn(&self) -> Ecn {
        Ecn { ece: self.flags & 0x40 > 0, cwr: self.flags & 0x80 > 0, field: self.field }
    }
}

impl Case {
    /// The parameters of a socket.
    pub fn parameters(&self, algorithm: Algorithm) -> Parameters {
        let defaults = Parameters::new(algorithm, self.mtu - 52);
        let compressed_acks = self.compressed_acks.unwrap_or(defaults.compressed_acks);
        Parameters { compressed_acks, ecn: defaults.ecn || self.ecn, ..defaults }
    }

    pub fn read(folder: &Path, name: &str) -> Case {
        let folder = folder.join(name);
        let meta: Value = serde_json::from_slice(&std::fs::read(folder.join("meta.json")).unwrap()).unwrap();
        let config = &meta["config"];
        let commands = |key: &str, before: &str| -> String {
            let lines = config[key].as_array().into_iter().flatten();
            let lines: Vec<String> = lines.map(|line| before.to_owned() + line.as_str().unwrap()).collect();
            lines.join("\n").replace("DEV", "dev eth0")
        };
        let delays: Vec<u64> = config["rtt_ms"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rtt| (rtt.as_f64().unwrap() * 1e6) as u64)
            .collect();
        let start = meta["start_ns"].as_i64().unwrap() - BOOT_NS;
        let stop = start + (config["dur"].as_f64().unwrap() * 1e9) as i64;
        let rows = |key: &str| config[key].as_array().into_iter().flatten();
        let after = |seconds: &Value| time(start + (seconds.as_f64().unwrap() * 1e9).round() as i64);
        let mut case = Case {
            name: name.to_owned(),
            commands: commands("tc", "tc "),
            host_commands: commands("host", ""),
            ecn: config["sysctl"]["net.ipv4.tcp_ecn"] == 1,
            server: Algorithm::Cubic,
            mtu: config["mtu"].as_u64().unwrap_or(1_500) as u32,
            compressed_acks: config["sysctl"]["net.ipv4.tcp_comp_sack_nr"].as_u64().map(|most| most as u32),
            data_way: Way::read(&meta, "data"),
            acks_way: Way::read(&meta, "acks"),
            writes: rows("write").map(|row| (after(&row[0]), row[1].as_u64().unwrap())).collect(),
            reads: rows("read")
                .map(|row| Reads {
                    since: after(&row[0]),
                    bytes: row[1].as_u64().unwrap(),
                    gap: milliseconds(&(row[2].as_f64().unwrap() * 1e3).into()),
                })
                .collect(),
            delays,
            stop,
            flows: Vec::new(),
            entering: Vec::new(),
            leaving: Vec::new(),
            acks: Vec::new(),
            datagrams: datagrams(&folder.join("in1.pcap.xz")),
        };
        let mut first = HashMap::new();
        let mut syn = HashMap::new();
        let data = |packet: &Packet, first: &HashMap<FlowName, u32>, flow: FlowName| {
            let seq = u64::from(packet.seq.wrapping_sub(first[&flow]));
            let control = u64::from(packet.flags & 1) + u64::from(packet.flags >> 1 & 1);
            let end = seq + u64::from(packet.payload) + control;
            (packet.at, flow, Shape::Data { seq, end, push: packet.flags & 8 > 0, ecn: packet.ecn() })
        };
        for source in 0..case.delays.len() {
            for packet in packets(&folder.join(format!("in{}.pcap.xz", source + 1))) {
                let flow = (source, packet.ports.0);
                if packet.flags & 2 > 0 {
                    first.entry(flow).or_insert(packet.seq);
                    syn.entry(flow).or_insert(packet.at);
                }
                case.entering.push(data(&packet, &first, flow));
            }
        }
        case.entering.sort_by_key(|(at, ..)| *at);
        for packet in packets(&folder.join("out.pcap.xz")) {
            let flow = (usize::from(packet.source[2]) - 1, packet.ports.0);
            case.leaving.push(data(&packet, &first, flow));
        }
        for packet in packets(&folder.join("ack.pcap.xz")) {
            if packet.flags & 2 > 0 {
                continue;
            }
            let flow = (usize::from(packet.destination[2]) - 1, packet.ports.1);
            let number = |seq: u32| u64::from(seq.wrapping_sub(first[&flow]));
            let sack = packet.sack.iter().map(|(start, end)| (number(*start), number(*end))).collect();
            let window = u64::from(packet.window) << 7;
            let shape = Shape::Ack { ack: number(packet.ack), window, sack, ecn: packet.ecn() };
            case.acks.push((packet.at, flow, shape));
        }
        for source in 0..case.delays.len() {
            let text =
                String::from_utf8(unpack(&folder.join(format!("flows_s{}.csv.xz", source + 1)))).unwrap();
            for line in text.lines().skip(1) {
                let cells: Vec<&str> = line.split(',').collect();
                let number = |place: usize| cells[place].parse::<i64>().unwrap();
                let name = (source, number(2) as u16);
                case.flows.push(RecordedFlow {
                    name,
                    algorithm: algorithm(cells[4]),
                    bytes: u64::try_from(number(5)).ok(),
                    syn: syn[&name],
                    connected: number(7) - BOOT_NS,
                    written: number(8) - BOOT_NS,
                    done: Some(number(9)).filter(|done| *done > 0).map(|done| done - BOOT_NS),
                });
            }
        }
        case.flows.sort_by_key(|flow| flow.syn);
        // Only a receiver that does DCTCP as well echoes each change of the marks.
        case.server = match config["server_cc"].as_str() {
            Some(name) => algorithm(name),
            None if case.flows.iter().any(|flow| flow.algorithm == Algorithm::Dctcp) => Algorithm::Dctcp,
            None => case.server,
        };
        case
    }
}
