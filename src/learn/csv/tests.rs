use proptest::prelude::*;

use super::*;

const RATE: &str = "8 Mbps";

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.csv");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn device(text: &str) -> Result<Vec<(u16, Trace)>, String> {
    let (folder, path) = file(text);
    let told = |error: CsvError| error.to_string().replace(&format!("{}/", folder.path().display()), "");
    read_device(&path, RATE.parse().unwrap()).map_err(told)
}

fn network(text: &str) -> Result<Vec<NetworkRow>, String> {
    let (folder, path) = file(text);
    let told = |error: CsvError| error.to_string().replace(&format!("{}/", folder.path().display()), "");
    read_network(&path).map_err(told)
}

const HEADER: &str = "timestamp (sec),pkt len (byte),priority,src,dst,time_in_sys\n";

#[test]
fn a_port_that_packets_went_to_is_a_trace() {
    // 100 bytes take 100 us.
    let rows = "0.25,100,0,3,1,0.0001\n0.250000000001,200,1.0,0,2,3e-04\n# a comment\n\
                0.3,100,,3,1,\n 0.2 ,100,0,3,1,0.00012345678901\n";
    let traces = device(&format!("{HEADER}{rows}")).unwrap();
    let shown: Vec<_> = traces
        .iter()
        .flat_map(|(port, trace)| trace.visits.iter().map(move |visit| (*port, visit)))
        .map(|(port, visit)| {
            let Packet { pid, length, in_port, .. } = visit.packet;
            (port, visit.arrival.as_ps(), pid, length, visit.class, in_port, visit.start.map(Time::as_ps))
        })
        .collect();
    assert_eq!(
        shown,
        [
            (1, 200_000_000_000, 3, 100, 0, 3, Some(200_023_456_789)),
            (1, 250_000_000_000, 0, 100, 0, 3, Some(250_000_000_000)),
            (1, 300_000_000_000, 2, 100, 0, 3, None),
            (2, 250_000_000_001, 1, 200, 1, 0, Some(250_100_000_001)),
        ]
    );
    assert_eq!((traces[0].1.name.as_str(), traces[1].1.visits[0].packet.dscp), ("trace:1", 1));
}

#[test]
fn mistakes_are_told_with_their_place() {
    let row = |row: &str| device(&format!("{HEADER}0,100,0,0,0,1\n{row}\n")).unwrap_err();
    let at = |found: &str, column: &str, what: &str| {
        format!("trace.csv: `{found}` in line 3, column `{column}`, is not {what}")
    };
    let time = "a time in seconds, from 0 to 18446744";
    assert_eq!(row("x,1,0,0,0,1"), at("x", "timestamp (sec)", time));
    for wrong in ["-1", "1e8", "1e", ".", "", "1.2.3", "nan", "1e-99999999999", "１"] {
        assert_eq!(row(&format!("{wrong},1,0,0,0,1")), at(wrong, "timestamp (sec)", time));
    }
    let length = "a length in bytes, a whole number from 0 to 4294967295";
    for wrong in ["", "1.5", "4294967296", "-1", "1e3"] {
        assert_eq!(row(&format!("0,{wrong},0,0,0,1")), at(wrong, "pkt len (byte)", length));
    }
    assert_eq!(row("0,1,64,0,0,1"), at("64", "priority", "a class, a whole number from 0 to 63"));
    assert_eq!(row("0,1,0,65536,0,1"), at("65536", "src", "a port, a whole number from 0 to 65535"));
    assert_eq!(row("0,1,0,0,a,1"), at("a", "dst", "a port, a whole number from 0 to 65535"));
    let fast = "the time of a packet of 1000 B, whose transmission alone takes 1 ms at 8 Mbps: give the rate at \
                which the device serves";
    assert_eq!(row("0,1000,0,0,0,0.000998"), at("0.000998", "time_in_sys", fast));
    assert!(device(&format!("{HEADER}0,1000,0,0,0,0.0009991\n")).is_ok(), "what rounding can do");
    assert!(
        row("0,1,0,0,0").starts_with("cannot read trace.csv: CSV error: record 2 (line: 3"),
        "{}",
        row("0,1")
    );
    assert_eq!(device(HEADER).unwrap_err(), "trace.csv has no packets: nothing follows its header");
    assert_eq!(
        device("timestamp,len\n").unwrap_err(),
        "trace.csv: the columns in line 1 are `timestamp,len`; expected \
         `timestamp (sec),pkt len (byte),priority,src,dst,time_in_sys`"
    );
    let missing = read_device(Path::new("nowhere.csv"), RATE.parse().unwrap()).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read nowhere.csv: "), "{missing}");
}

#[test]
fn a_row_of_a_network_tells_the_whole_way() {
    let header = "index,timestamp (sec),pkt len (byte),priority,src_pc,path,etime\n";
    let rows = network(&format!("{header}7,0.5,64,2,15,12_2-4_2-0_1,0.500001\n")).unwrap();
    let path = vec![(12, 2), (4, 2), (0, 1)];
    let (timestamp, end) = (Time::from_ps(500_000_000_000), Time::from_ps(500_001_000_000));
    assert_eq!(rows, [NetworkRow { index: 7, timestamp, length: 64, class: 2, source: 15, path, end }]);
    for wrong in ["", "12", "12_2-", "12_2_3", "a_1", "12_65536"] {
        let told = network(&format!("{header}7,0.5,64,2,15,{wrong},1\n")).unwrap_err();
        let a_path = "a path: device and egress port of each hop, such as `12_2-4_2-0_1`";
        assert_eq!(told, format!("trace.csv: `{wrong}` in line 2, column `path`, is not {a_path}"));
    }
    assert!(network(HEADER).unwrap_err().contains("; expected `index,timestamp (sec)"));
}

#[test]
fn times_are_read_to_the_nearest_picosecond() {
    let read = |text: &str| scaled(text, 12);
    assert_eq!(read("0.0000000000005"), Some(1), "half up");
    assert_eq!(read("0.00000000000049999"), Some(0));
    assert_eq!(read("1.5E+2"), Some(150_000_000_000_000));
    assert_eq!(read("1."), Some(1_000_000_000_000));
    assert_eq!(read(".25"), Some(250_000_000_000));
    assert_eq!(read("0e99"), Some(0));
    assert_eq!(read("1e-300"), Some(0));
    assert_eq!(read(&format!("1.{}", "3".repeat(60))), Some(1_333_333_333_333));
    assert_eq!(read("18446744.073709551615"), Some(u64::MAX));
    assert_eq!(read("18446744.073709551616"), None);
    assert_eq!(read("1e2147483647"), None);
    assert_eq!(seconds(1_000_000_000_000), "1.0");
    assert_eq!(seconds(1), "0.000000000001");
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        packets in prop::collection::vec((0..1u64 << 60, 0..10_000u32, 0..64u8, 0..9u16, 0..4u16, prop::option::of(0..1u64 << 50)), 1..50),
    ) {
        let rate: Rate = RATE.parse().unwrap();
        let mut ports: BTreeMap<u16, Vec<Visit>> = BTreeMap::new();
        let mut sorted = packets.clone();
        sorted.sort_unstable();
        for (pid, (at, length, class, in_port, port, waiting)) in sorted.into_iter().enumerate() {
            let arrival = Time::from_ps(at);
            let packet =
                Packet { pid: pid as u64, length, dscp: class, in_port, trp: 255, ttl: 255, ..Packet::default() };
            let start = waiting.map(|waiting| arrival + Span::from_ps(waiting));
            ports.entry(port).or_default().push(Visit { arrival, packet, class: class.into(), start });
        }
        let link = Link::with_delay(Bandwidth::Limited(rate), Span::ZERO);
        let trace = |(port, visits)| (port, Trace { name: String::new(), context: 0, link, flows: Default::default(), visits });
        let traces: Vec<_> = ports.into_iter().map(trace).collect();
        let mut text = Vec::new();
        write_device(&mut text, &traces).unwrap();
        let read = device(std::str::from_utf8(&text).unwrap()).unwrap();
        prop_assert_eq!(read.len(), traces.len());
        for ((port, trace), (read_port, read_trace)) in traces.iter().zip(&read) {
            prop_assert_eq!(port, read_port);
            prop_assert_eq!(&trace.visits, &read_trace.visits);
        }
    }

    #[test]
    fn a_network_is_read_as_written(
        rows in prop::collection::vec((any::<u64>(), 0..u64::MAX, any::<u32>(), 0..64u8, any::<u32>(), prop::collection::vec(any::<(u32, u16)>(), 1..6), 0..u64::MAX), 1..20),
    ) {
        let row = |(index, at, length, class, source, path, end)| {
            NetworkRow { index, timestamp: Time::from_ps(at), length, class, source, path, end: Time::from_ps(end) }
        };
        let rows: Vec<NetworkRow> = rows.into_iter().map(row).collect();
        let mut text = Vec::new();
        let mut writer = NetworkWriter::new(&mut text).unwrap();
        rows.iter().for_each(|row| writer.push(row).unwrap());
        writer.finish().unwrap();
        prop_assert_eq!(network(std::str::from_utf8(&text).unwrap()), Ok(rows));
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = device(&text);
        let _ = device(&format!("{HEADER}{text},1,1,1,1,1"));
        let _ = scaled(&text, 12);
    }
}
