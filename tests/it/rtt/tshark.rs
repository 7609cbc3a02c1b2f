//! Comparison with tshark.

use super::*;

/// A row of tshark: what a frame is in its TCP stream.
struct Row {
    stream: String,
    port: String,
    sequence: u64,
    next: u64,
    /// The frame that it acknowledges, and how long that took, in seconds.
    acknowledges: Option<(u64, f64)>,
}

fn tshark(capture: &Path) -> BTreeMap<u64, Row> {
    let fields = [
        "frame.number",
        "tcp.stream",
        "tcp.srcport",
        "tcp.len",
        "tcp.nxtseq",
        "tcp.analysis.acks_frame",
        "tcp.analysis.ack_rtt",
        "tcp.seq",
    ];
    let mut command = std::process::Command::new("tshark");
    command.arg("-r").arg(capture).args(["-Y", "tcp", "-T", "fields"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let mut rows = BTreeMap::new();
    for line in output.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let number = |column: usize| columns.get(column).and_then(|text| text.parse::<u64>().ok());
        let (Some(frame), Some(sequence), Some(next)) = (number(0), number(7), number(4)) else { continue };
        let rtt = columns.get(6).and_then(|text| text.parse().ok());
        let row = Row {
            stream: columns[1].to_owned(),
            port: columns[2].to_owned(),
            sequence,
            next,
            acknowledges: number(5).zip(rtt),
        };
        rows.insert(frame, row);
    }
    rows
}

/// That tshark finds the same; returns how many samples they share, and how many only tshark has.
fn beside_tshark(capture: &Path) -> (usize, usize) {
    let options = Options { lenient: true, ..Options::default() };
    let Ok(mut reader) = Reader::open(capture, &options) else { return (0, 0) };
    let mut estimator = RttEstimator::new();
    let mut ours: BTreeMap<u64, Rtt> = BTreeMap::new();
    while let Some(record) = reader.next_record().unwrap() {
        let segment = TcpSegment::parse(record.link_type, record.bytes, record.original_length);
        for rtt in segment.iter().flat_map(|segment| estimator.add(record.timestamp, record.index, segment)) {
            if rtt.method != RttMethod::Timestamp {
                ours.insert(rtt.answer_record + 1, rtt);
            }
        }
    }
    let rows = tshark(capture);
    let name = capture.display();
    for (frame, rtt) in &ours {
        let (acknowledged, seconds) = rows[frame].acknowledges.unwrap_or_else(|| panic!("{name}: {rtt:?}"));
        assert_eq!(acknowledged, rtt.sent_record + 1, "{name}");
        assert!((seconds - rtt.rtt.as_seconds_f64()).abs() < 2e-9, "{name} {frame}: {seconds} {rtt:?}");
    }
    let mut only_tshark = 0;
    for (frame, row) in &rows {
        let Some((acknowledged, seconds)) = row.acknowledges.filter(|_| !ours.contains_key(frame)) else {
            continue;
        };
        only_tshark += 1;
        // tshark knows no Karn: something up to the segment's end was sent twice, or after the segment.
        let segment = &rows[&acknowledged];
        let same_way = |other: &Row| other.stream == segment.stream && other.port == segment.port;
        let is_old =
            rows.range(..acknowledged).any(|(_, other)| same_way(other) && other.next > segment.sequence);
        let after = (acknowledged + 1)..*frame;
        let waited = rows.range(after).any(|(_, other)| {
            same_way(other) && other.next > other.sequence && other.sequence < segment.next
        });
        let impossible = !(0.0..=1e7).contains(&seconds);
        assert!(is_old || waited || impossible, "{name}: frame {frame} has {seconds} s in tshark alone");
    }
    (ours.len(), only_tshark)
}

/// Where tshark is installed: on captures of our own, and on those below the folder that `TAUNET_PUBLIC_CAPTURES`
/// names.
#[test]
fn tshark_finds_the_same_but_for_karns_rule() {
    if std::process::Command::new("tshark").arg("--version").output().is_err() {
        eprintln!("skipped: tshark is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (shared, _) = beside_tshark(&file(folder.path(), &conversation(8, 500, 0)));
    assert_eq!(shared, 500);
    let (shared, only_tshark) = beside_tshark(&file(folder.path(), &conversation(9, 500, 4)));
    assert!(shared > 100 && only_tshark > 10, "{shared} {only_tshark}");
    let Ok(more) = std::env::var("TAUNET_PUBLIC_CAPTURES") else {
        eprintln!("skipped: TAUNET_PUBLIC_CAPTURES names no folder of captures");
        return;
    };
    let mut all = (0, 0);
    for folder in
        std::fs::read_dir(more).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for capture in std::fs::read_dir(folder).unwrap() {
            let found = beside_tshark(&capture.unwrap().path());
            all = (all.0 + found.0, all.1 + found.1);
        }
    }
    println!("{} samples shared with tshark, {} in tshark alone", all.0, all.1);
    assert!(all.0 > 100, "{all:?}");
}
