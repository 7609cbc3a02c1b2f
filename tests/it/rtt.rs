//! Round-trip times of a single capture: the estimator on hand-made connections and on a small TCP with known
//! delays, and compared with tshark; `taunet inspect --rtt`.

mod simulated;
mod tshark;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use etherparse::{PacketBuilder, TcpOptionElement};
use serde_json::Value;
use taunet::capture::{
    ConnectionRtts, LinkType, Options, Reader, Resolution, Rtt, RttEstimator, RttMethod, Signs, TcpSegment,
    TcpTimestamps, Writer,
};
use taunet::units::Timestamp;

const A: ([u8; 4], u16) = ([10, 0, 0, 1], 1_000);
const B: ([u8; 4], u16) = ([10, 0, 0, 2], 80);

/// A segment to build.
#[derive(Clone, Copy)]
struct Segment {
    from_a: bool,
    sequence: u32,
    acknowledgement: Option<u32>,
    payload: usize,
    syn: bool,
    fin: bool,
    timestamps: Option<(u32, u32)>,
}

fn data(from_a: bool, sequence: u32, acknowledgement: u32, payload: usize) -> Segment {
    let acknowledgement = Some(acknowledgement);
    Segment { from_a, sequence, acknowledgement, payload, syn: false, fin: false, timestamps: None }
}

fn ack(from_a: bool, sequence: u32, acknowledgement: u32) -> Segment {
    data(from_a, sequence, acknowledgement, 0)
}

impl Segment {
    fn bytes(&self) -> Vec<u8> {
        let ((source, source_port), (destination, port)) = if self.from_a { (A, B) } else { (B, A) };
        let mut builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4(source, destination, 64)
            .tcp(source_port, port, self.sequence, 500);
        if let Some(number) = self.acknowledgement {
            builder = builder.ack(number);
        }
        if self.syn {
            builder = builder.syn();
        }
        if self.fin {
            builder = builder.fin();
        }
        if let Some((value, echo)) = self.timestamps {
            builder = builder.options(&[TcpOptionElement::Timestamp(value, echo)]).unwrap();
        }
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &vec![7; self.payload]).unwrap();
        bytes
    }
}

fn parse(bytes: &[u8]) -> Option<TcpSegment> {
    TcpSegment::parse(LinkType::ETHERNET, bytes, 1_514)
}

/// Segments at milliseconds, through the estimator: the samples, and the connections.
fn estimate(segments: &[(i128, Segment)]) -> (Vec<Rtt>, Vec<ConnectionRtts>) {
    let mut estimator = RttEstimator::new();
    let mut found = Vec::new();
    for ((ms, segment), record) in segments.iter().zip(0..) {
        let segment = parse(&segment.bytes()).unwrap();
        found.extend(estimator.add(Timestamp::from_ns(ms * 1_000_000), record, &segment));
    }
    let connections = estimator.connections().collect();
    (found, connections)
}

/// (the method, from whom, milliseconds) of every sample.
fn brief(found: &[Rtt]) -> Vec<(RttMethod, char, u64)> {
    let side = |address: SocketAddr| if address.port() == A.1 { 'A' } else { 'B' };
    found.iter().map(|rtt| (rtt.method, side(rtt.responder), rtt.rtt.as_ps() / 1_000_000_000)).collect()
}

fn file(folder: &Path, frames: &[(i128, Vec<u8>)]) -> PathBuf {
    let path = folder.join("tcp.pcap");
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, Resolution::Nanoseconds, LinkType::ETHERNET, 96).unwrap();
    for (ns, bytes) in frames {
        writer.write(Timestamp::from_ns(*ns), bytes.len() as u32, bytes).unwrap();
    }
    std::fs::write(&path, file).unwrap();
    path
}

fn inspect(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_taunet")).arg("inspect").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_payload_counts_whether_it_was_captured_or_not() {
    let built = Segment { timestamps: Some((4, 9)), ..data(true, u32::MAX, 77, 700) };
    let bytes = built.bytes();
    let segment = parse(&bytes).unwrap();
    assert_eq!(segment.source, "10.0.0.1:1000".parse().unwrap());
    assert_eq!(segment.destination, "10.0.0.2:80".parse().unwrap());
    assert_eq!(
        (segment.sequence, segment.acknowledgement, segment.sequence_length()),
        (u32::MAX, Some(77), 700)
    );
    assert_eq!(segment.timestamps, Some(TcpTimestamps { value: 4, echo_reply: 9 }));
    assert_eq!(parse(&bytes[..66]).unwrap(), segment);
    // Its options are not there, or only in part.
    for captured in [48, 54, 60] {
        let window = segment.window.filter(|_| captured > 48);
        let cut_off = TcpSegment { timestamps: None, sack: None, window, ..segment };
        assert_eq!(parse(&bytes[..captured]).unwrap(), cut_off);
    }
    // Ethernet pads what is short: that is no payload.
    let mut padded = ack(true, 1, 1).bytes();
    padded.resize(60, 0);
    assert_eq!(parse(&padded).unwrap().payload_length, 0);
}

#[test]
fn what_is_no_whole_segment_is_none() {
    let bytes = data(true, 1, 1, 10).bytes();
    assert_eq!(parse(&bytes[..46]), None, "cut off before the flags");
    let changed = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        parse(&bytes)
    };
    assert!(changed(46, 0x50).is_some());
    assert_eq!(changed(20, 0x20), None, "a first fragment");
    assert_eq!(changed(21, 1), None, "a later fragment");
    assert_eq!(changed(46, 0x40), None, "a header of 16 bytes");
    assert_eq!(changed(46, 0xf0), None, "a header longer than the packet");
    assert_eq!(changed(23, 17), None, "UDP");
    assert_eq!(parse(&[0; 60]), None);
}

#[test]
fn a_round_trip_is_split_at_the_capture_point() {
    let syn = Segment { syn: true, acknowledgement: None, ..data(true, 100, 0, 0) };
    let syn_ack = Segment { syn: true, ..data(false, 500, 101, 0) };
    let fin = Segment { fin: true, ..data(true, 111, 521, 0) };
    let (found, connections) = estimate(&[
        (0, syn),
        (30, syn_ack),
        (34, ack(true, 101, 501)),
        (40, data(true, 101, 501, 10)),
        (75, data(false, 501, 111, 20)),
        (80, fin),
        (112, ack(false, 521, 112)),
    ]);
    use RttMethod::{Ack, Handshake};
    assert_eq!(
        brief(&found),
        [(Handshake, 'B', 30), (Handshake, 'A', 4), (Ack, 'B', 35), (Ack, 'A', 5), (Ack, 'B', 32)]
    );
    assert_eq!((found[2].sent_record, found[2].answer_record), (3, 4));
    assert_eq!(found[2].at, Timestamp::from_ns(75_000_000));
    let [connection] = connections.as_slice() else { panic!("{connections:?}") };
    assert_eq!((connection.a.port(), connection.signs, connection.span_s), (A.1, Signs::Opened, 0.112));
    let to_b = connection.to_b.ack_s.unwrap();
    assert_eq!((to_b.samples, to_b.min, to_b.max), (3, 0.030, 0.035));
    assert_eq!(connection.to_a.ack_s.unwrap().samples, 2);
    assert!(connection.to_a.timestamp_s.is_none());
    assert_eq!((connection.samples(), connection.one_direction), (5, false));
}

#[test]
fn who_answers_a_syn_is_b() {
    let (_, connections) = estimate(&[(0, Segment { syn: true, ..data(true, 100, 7, 0) })]);
    assert_eq!((connections[0].a.port(), connections[0].signs), (B.1, Signs::Opened));
    let (_, connections) = estimate(&[(0, data(true, 100, 7, 10))]);
    assert_eq!((connections[0].a.port(), connections[0].signs), (A.1, Signs::Midway));
}

#[test]
fn what_was_sent_twice_gives_no_sample_but_by_timestamp() {
    let with = |segment: Segment, value, echo| Segment { timestamps: Some((value, echo)), ..segment };
    let (found, connections) = estimate(&[
        (0, with(data(true, 1, 1, 10), 70, 5)),
        (200, with(data(true, 1, 1, 10), 80, 5)),
        (230, with(ack(false, 1, 11), 6, 80)),
        (240, with(data(true, 11, 1, 10), 90, 6)),
        (270, with(ack(false, 1, 21), 7, 90)),
    ]);
    use RttMethod::{Ack, Timestamp};
    assert_eq!(brief(&found), [(Timestamp, 'B', 30), (Ack, 'B', 30), (Timestamp, 'B', 30)]);
    let counts = connections[0].to_b.counts;
    assert_eq!(
        (counts.data_segments, counts.retransmitted_segments, counts.ambiguous_acknowledgements),
        (3, 1, 1)
    );
}

#[test]
fn what_waited_for_a_retransmission_gives_no_sample() {
    let (found, connections) = estimate(&[
        (0, data(true, 1, 1, 10)),
        (1, data(true, 11, 1, 10)),
        (2, data(true, 21, 1, 10)),
        (30, ack(false, 1, 11)),
        (33, ack(false, 1, 11)),
        (40, data(true, 11, 1, 10)),
        (70, ack(false, 1, 31)),
        // Sent again although it had been acknowledged: that keeps nothing waiting.
        (80, data(true, 31, 1, 10)),
        (81, data(true, 1, 1, 10)),
        (110, ack(false, 1, 41)),
    ]);
    assert_eq!(brief(&found), [(RttMethod::Ack, 'B', 30), (RttMethod::Ack, 'B', 30)]);
    let counts = connections[0].to_b.counts;
    assert_eq!((counts.retransmitted_segments, counts.ambiguous_acknowledgements), (2, 1));
    assert_eq!(counts.covered_with_newer, 1);
}

#[test]
fn of_what_one_acknowledgement_covers_the_newest_counts() {
    let (found, connections) = estimate(&[
        (0, data(true, 1, 1, 10)),
        (4, data(true, 11, 1, 10)),
        (9, data(true, 21, 1, 100)),
        (34, ack(false, 1, 21)),
        (36, ack(false, 1, 71)), // inside the third
        (39, ack(false, 1, 121)),
        (50, ack(false, 1, 400)), // beyond all that was captured
        (60, data(true, 400, 1, 10)),
        (90, ack(false, 1, 410)),
    ]);
    let expected = [30, 30, 30].map(|ms| (RttMethod::Ack, 'B', ms));
    assert_eq!(brief(&found), expected);
    let counts = connections[0].to_b.counts;
    assert_eq!((counts.covered_with_newer, counts.inexact_acknowledgements), (1, 2));
}

#[test]
fn numbers_wrap() {
    let with = |segment: Segment, value, echo| Segment { timestamps: Some((value, echo)), ..segment };
    let start = u32::MAX - 14;
    let mut segments = Vec::new();
    for round in 0..4 {
        let sequence = start.wrapping_add(round * 10);
        let value = (u32::MAX - 1).wrapping_add(round);
        let at = i128::from(round) * 100;
        segments.push((at, with(data(true, sequence, 1, 10), value, 3)));
        segments.push((at + 30, with(ack(false, 1, sequence.wrapping_add(10)), 4, value)));
    }
    let (found, connections) = estimate(&segments);
    let expected = [(RttMethod::Ack, 'B', 30), (RttMethod::Timestamp, 'B', 30)].repeat(4);
    assert_eq!(brief(&found), expected);
    assert_eq!(connections[0].to_b.counts.retransmitted_segments, 0);
}

#[test]
fn what_keeps_a_connection_alive_is_no_sample() {
    let (found, connections) = estimate(&[
        (0, data(true, 1, 1, 10)),
        (30, ack(false, 1, 11)),
        (7_000, data(true, 10, 1, 1)),
        (7_030, ack(false, 1, 11)),
        (9_000, ack(true, 10, 1)),
        (9_030, ack(false, 1, 11)),
        (10_000, data(true, 11, 1, 10)),
        (10_030, ack(false, 1, 21)),
    ]);
    assert_eq!(brief(&found), [(RttMethod::Ack, 'B', 30), (RttMethod::Ack, 'B', 30)]);
    let counts = connections[0].to_b.counts;
    assert_eq!((counts.keepalives, counts.retransmitted_segments), (2, 0));
}

#[test]
fn an_echo_that_acknowledges_nothing_new_is_no_sample() {
    let with = |segment: Segment, value, echo| Segment { timestamps: Some((value, echo)), ..segment };
    let (found, _) = estimate(&[
        (0, with(data(true, 1, 1, 10), 70, 5)),
        (30, with(ack(false, 1, 11), 6, 70)),
        // The application thinks; then B's data echoes the stamp of an empty acknowledgement.
        (40, with(ack(true, 11, 1), 80, 6)),
        (900, with(data(false, 1, 11, 10), 7, 80)),
    ]);
    assert_eq!(brief(&found), [(RttMethod::Ack, 'B', 30), (RttMethod::Timestamp, 'B', 30)]);
}

#[test]
fn the_same_ports_again_are_another_connection() {
    let syn = |sequence| Segment { syn: true, acknowledgement: None, ..data(true, sequence, 0, 0) };
    let syn_ack = |acknowledgement| Segment { syn: true, ..data(false, 9, acknowledgement, 0) };
    let (found, connections) = estimate(&[
        (0, syn(100)),
        (1_000, syn(100)), // again: still the first, and ambiguous
        (1_030, syn_ack(101)),
        (5_000, syn(7)),
        (5_031, syn_ack(8)),
    ]);
    assert_eq!(connections.len(), 2);
    assert_eq!(brief(&found), [(RttMethod::Handshake, 'B', 31)]);
    assert_eq!(found[0].connection, 1);
}

#[test]
fn what_is_never_answered_is_forgotten() {
    let segments: Vec<_> = (0..5_000)
        .map(|n| (i128::from(n), Segment { timestamps: Some((n, 1)), ..data(true, n * 10, 1, 10) }))
        .collect();
    let (found, connections) = estimate(&segments);
    assert!(found.is_empty());
    assert_eq!(connections[0].to_b.counts.forgotten, 2 * (5_000 - 4_096));
    assert!(connections[0].one_direction);
}

#[test]
fn an_answer_before_its_segment_is_counted() {
    let (found, connections) = estimate(&[(50, data(true, 1, 1, 10)), (20, ack(false, 1, 11))]);
    assert!(found.is_empty());
    assert_eq!(connections[0].to_b.counts.impossible, 1);
}

/// Nanoseconds from the sender to the capture point, and from there to the receiver.
const NEAR: i128 = 300_000;
const AHEAD: i128 = 4_700_000;

/// A sender with a window of 20 segments that repeats what is not acknowledged after 40 ms, and a receiver that
/// acknowledges every segment at once, over a path of constant delay that loses data on both sides of the capture point.
/// Timestamps are echoed as RFC 7323, section 4.3 has it.
fn conversation(seed: u64, segments: u32, loss_percent: u64) -> Vec<(i128, Vec<u8>)> {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Event {
        Data { number: u32, stamp: u32 },
        Acknowledgement { received: u32 },
        Send,
    }
    const SIZE: u32 = 100;
    let start = u32::MAX - segments * SIZE / 2;
    let mut random = seed;
    let mut lost = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % 100 < loss_percent
    };
    let mut events = BinaryHeap::from([Reverse((0, Event::Send))]);
    let (mut next, mut acknowledged) = (0, 0);
    let mut sent_at: BTreeMap<u32, i128> = BTreeMap::new();
    let (mut received, mut expected, mut recent) = (vec![false; segments as usize], 0u32, 0);
    let mut frames = Vec::new();
    while let Some(Reverse((now, event))) = events.pop() {
        match event {
            Event::Send if acknowledged == segments => break,
            Event::Send => {
                events.push(Reverse((now + 170_000, Event::Send)));
                let overdue = sent_at.range(acknowledged..).next().filter(|(_, at)| now - **at > 40_000_000);
                let number = match overdue {
                    Some((number, _)) => *number,
                    None if next < segments.min(acknowledged + 20) => {
                        next += 1;
                        next - 1
                    }
                    None => continue,
                };
                sent_at.insert(number, now);
                let stamp = u32::MAX.wrapping_sub(50).wrapping_add((now / 100_000) as u32);
                if lost() {
                    continue;
                }
                let sequence = start.wrapping_add(number * SIZE);
                let segment =
                    Segment { timestamps: Some((stamp, 1)), ..data(true, sequence, 1, SIZE as usize) };
                frames.push((now + NEAR, segment.bytes()));
                if !lost() {
                    events.push(Reverse((now + NEAR + AHEAD, Event::Data { number, stamp })));
                }
            }
            Event::Data { number, stamp } => {
                received[number as usize] = true;
                if number <= expected {
                    recent = stamp;
                }
                while received.get(expected as usize) == Some(&true) {
                    expected += 1;
                }
                let number = start.wrapping_add(expected * SIZE);
                let segment = Segment { timestamps: Some((1, recent)), ..ack(false, 1, number) };
                frames.push((now + AHEAD, segment.bytes()));
                events.push(Reverse((now + AHEAD + NEAR, Event::Acknowledgement { received: expected })));
            }
            Event::Acknowledgement { received } => acknowledged = acknowledged.max(received),
        }
    }
    frames.sort_by_key(|(at, _)| *at);
    frames
}

#[test]
fn on_a_path_of_constant_delay_every_sample_is_that_delay() {
    for (seed, loss) in [(1, 0), (2, 1), (3, 5), (4, 20)] {
        let mut estimator = RttEstimator::new();
        let mut samples: BTreeMap<&str, u64> = BTreeMap::new();
        for ((at, bytes), record) in conversation(seed, 2_000, loss).iter().zip(0..) {
            for rtt in estimator.add(Timestamp::from_ns(*at), record, &parse(bytes).unwrap()) {
                assert_eq!(i128::from(rtt.rtt.as_ps()), 2 * AHEAD * 1_000, "{loss} % {rtt:?}");
                *samples.entry(rtt.method.name()).or_default() += 1;
            }
        }
        let connection = estimator.connections().next().unwrap();
        let counts = connection.to_b.counts;
        let [by_ack, by_timestamp] = ["ack", "timestamp"].map(|name| samples[name]);
        if loss == 0 {
            assert_eq!((by_ack, by_timestamp, counts.retransmitted_segments), (2_000, 2_000, 0));
        } else {
            assert!(counts.retransmitted_segments > 10, "{counts:?}");
            let at_least = if loss < 20 { 200 } else { 1 };
            assert!(by_ack >= at_least && by_ack < 2_000 && by_timestamp > by_ack, "{samples:?}");
        }
    }
}

#[test]
fn inspect_prints_them_per_connection_and_side() {
    let folder = tempfile::tempdir().unwrap();
    let capture = file(folder.path(), &conversation(5, 200, 3));
    let capture = capture.to_str().unwrap();
    let (code, stdout, stderr) = inspect(&[capture, "--rtt"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let from = stdout.find("round-trip times in").unwrap();
    insta::assert_snapshot!(&stdout[stdout[..from].rfind('\n').unwrap() + 1..]);
    let (code, plain, _) = inspect(&[capture]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with(&plain) && !plain.contains("round-trip"), "{plain}");
}

#[test]
fn every_sample_is_a_row_in_both_formats() {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{TimestampNanosecondType, UInt64Type};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    let folder = tempfile::tempdir().unwrap();
    let capture = file(folder.path(), &conversation(6, 3_000, 1));
    let capture = capture.to_str().unwrap();
    let (csv, parquet) = (folder.path().join("rtt.csv"), folder.path().join("rtt.parquet"));
    let (code, stdout, _) = inspect(&[capture, "--rtt-samples", csv.to_str().unwrap(), "--json"]);
    assert_eq!(code, 0);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let to_b = &report["rtt"]["connections"][0]["to_b"];
    let samples = ["ack_s", "timestamp_s"].map(|name| to_b[name]["samples"].as_u64().unwrap());
    assert_eq!(to_b["ack_s"]["p50"], 0.0094, "all samples are the same: {to_b}");
    let text = std::fs::read_to_string(&csv).unwrap();
    let mut lines = text.lines();
    let head = "timestamp,connection,sender,responder,method,rtt_ps,sent_record,answer_record";
    assert_eq!(lines.next(), Some(head));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len() as u64, samples.iter().sum::<u64>());
    assert!(rows.len() > 4_096, "more than a batch");
    let first = ["0.009700000", "0", "10.0.0.1:1000", "10.0.0.2:80", "ack", "9400000000", "0"];
    assert_eq!(rows[0][..7], first);

    let again = ["--rtt-samples", parquet.to_str().unwrap()];
    assert_eq!(inspect(&[&[capture][..], &again].concat()).0, 0);
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&parquet).unwrap()).unwrap();
    let batch = reader.with_batch_size(1 << 20).build().unwrap().next().unwrap().unwrap();
    assert_eq!(batch.num_rows(), rows.len());
    let column = |name: &str| batch.column_by_name(name).unwrap();
    for (index, row) in rows.iter().enumerate() {
        let ns = column("timestamp").as_primitive::<TimestampNanosecondType>().value(index);
        assert_eq!(format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000), row[0]);
        assert_eq!(column("method").as_string::<i32>().value(index), row[4]);
        assert_eq!(column("rtt_ps").as_primitive::<UInt64Type>().value(index).to_string(), row[5]);
        assert_eq!(column("answer_record").as_primitive::<UInt64Type>().value(index).to_string(), row[7]);
    }

    let (code, _, stderr) = inspect(&[&[capture][..], &again].concat());
    assert_eq!(code, 2);
    assert!(stderr.contains("rtt.parquet exists: choose another file"), "{stderr}");
    assert_eq!(inspect(&[&[capture, "--force"][..], &again].concat()).0, 0);
    let (code, _, stderr) = inspect(&[capture, "--force"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("name one with --packets or --rtt-samples"), "{stderr}");
    let same = folder.path().join("same.csv");
    let same = same.to_str().unwrap();
    let (code, _, stderr) = inspect(&[capture, "--packets", same, "--rtt-samples", same]);
    assert_eq!(code, 2);
    assert!(stderr.contains("each table needs its own"), "{stderr}");
}

#[test]
fn without_answers_there_are_none_and_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut frames = conversation(7, 50, 0);
    frames.retain(|(_, bytes)| parse(bytes).unwrap().source.port() == A.1);
    let capture = file(folder.path(), &frames);
    let (code, stdout, _) = inspect(&[capture.to_str().unwrap(), "--rtt"]);
    assert_eq!(code, 0);
    let told = "No round-trip times: only one direction of 1 TCP connection was captured\n";
    assert!(stdout.ends_with(told), "{stdout}");
    let (_, stdout, _) = inspect(&["tests/captures/header_only.pcap", "--rtt"]);
    assert!(stdout.ends_with("No round-trip times: there is no TCP connection in the capture\n"), "{stdout}");
}
