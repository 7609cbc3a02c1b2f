//! Times and delays beyond 2^63 ps (106 days), up to the limit of a run, 2^64 ps.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use taunet::capture::{
    Frame, LinkType, Options as CaptureOptions, PcapngWriter, Reader, Sorted, Statistics, headers,
};
use taunet::compare::compare_runs;
use taunet::packet::{FlowKey, Packet};
use taunet::run::{RunOptions, Summary, run};
use taunet::scenario::Scenario;
use taunet::table::{Format, Kind, read_columns};
use taunet::units::{PS_PER_S, Timestamp};

fn topology(delay: &str) -> String {
    format!(
        r#"
name = "far"
device = [
    {{ name = "a", kind = "host" }},
    {{ name = "s", kind = "switch" }},
    {{ name = "b", kind = "host" }},
]
[[link]]
between = ["a:0", "s:0"]
bandwidth = "1 Gbps"
[[link]]
between = ["s:1", "b:0"]
bandwidth = "1 Gbps"
delay = "{delay}"
"#
    )
}

/// Runs ten packets from `start` over a link of this delay.
fn simulate(folder: &Path, delay: &str, start: &str, format: Format) -> Summary {
    fs::write(folder.join("topology.toml"), topology(delay)).unwrap();
    let path = folder.join("scenario.toml");
    let traffic = format!(
        "[[traffic]]\nkind = \"cbr\"\nfrom = \"a\"\nto = \"b\"\ninterval = \"1 ms\"\nsize = \"1000 B\"\npackets = 10\nstart = \"{start}\"\n"
    );
    let record = "[record]\nhops = true\n";
    fs::write(&path, format!("name = \"far\"\ntopology = \"topology.toml\"\n{traffic}{record}")).unwrap();
    let scenario = Scenario::load(&path, &[], None).unwrap_or_else(|error| panic!("{error}"));
    let options = RunOptions {
        out: folder.join(format.extension()),
        replace: true,
        format,
        capture: CaptureOptions::default(),
        overrides: Vec::new(),
        engine: None,
        threads: 1,
    };
    run(&scenario, &options, |_| ControlFlow::Continue(())).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn csv_holds_what_parquet_holds() {
    // 107, 120 and 213 days.
    for (delay, start) in [("0 s", "2568 h"), ("2880 h", "0 s"), ("5120 h", "1 h")] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let [csv, parquet] =
            [Format::Csv, Format::Parquet].map(|format| simulate(folder, delay, start, format));
        assert_eq!((csv.packets.delivered, parquet.packets.delivered), (10, 10), "{delay}, {start}");
        assert_eq!(csv.fingerprint, parquet.fingerprint);
        let table = |format: &str| {
            let wanted =
                [("injected_ps", Kind::Integers), ("ended_ps", Kind::Integers), ("delay_ps", Kind::Integers)];
            let mut columns = Vec::new();
            read_columns(&folder.join(format).join("packets"), &wanted, |batch| {
                columns.extend(batch.to_vec())
            })
            .unwrap();
            columns
        };
        let columns = table("csv");
        assert!(columns.iter().all(|column| column.integers().iter().all(Option::is_some)), "{columns:?}");
        assert!(columns[1].integers().iter().all(|ended| *ended > Some(i64::MAX.into())), "{columns:?}");
        assert_eq!(columns, table("parquet"));
        let same = compare_runs(&folder.join("csv"), &folder.join("parquet")).unwrap();
        assert_eq!((same.matched, same.only_first, same.only_second), (10, 0, 0));
    }
}

/// A frame stamped by the uptime behind one of the wall clock steps back by decades.
#[test]
fn a_step_back_may_be_longer_than_a_run() {
    let key: FlowKey = "192.0.2.1:1 > 198.51.100.2:2 UDP".parse().unwrap();
    let mut writer = PcapngWriter::new(Vec::new(), LinkType::ETHERNET, "eth0").unwrap();
    let mut bytes = Vec::new();
    let start = 1_551_200_000;
    for (number, second) in [(0, start), (1, 1_520), (2, start + 1)] {
        let packet = Packet { pid: number, length: 100, ..Packet::default() };
        headers(&key, &packet, &mut bytes);
        let at = Timestamp::from_ps(i128::from(second) * i128::from(PS_PER_S));
        writer.write(at, 100, &bytes, number).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.pcapng");
    fs::write(&path, writer.finish().unwrap()).unwrap();
    let options = CaptureOptions { lenient: true, ..CaptureOptions::default() };
    let expected = u128::from(PS_PER_S) * (start as u128 - 1_520);

    let mut reader = Reader::open(&path, &options).unwrap();
    let mut statistics = Statistics::new(&options);
    while let Some(record) = reader.next_record().unwrap() {
        statistics.add(&record, &Frame::parse(record.link_type, record.bytes, record.original_length));
    }
    let order = statistics.summary(1).time_order;
    assert_eq!((order.out_of_order_packets, order.largest_step_back.as_ps()), (1, expected));
    let json = serde_json::to_value(&order).unwrap();
    assert_eq!(json["largest_step_back_s"], 1_551_198_480.0);

    let mut sorted = Sorted::open(&path, &options).unwrap();
    while sorted.next_observation().unwrap().is_some() {}
    assert_eq!(sorted.largest_step_back().as_ps(), expected);
    assert!(
        sorted.remarks().iter().any(|remark| remark.contains("by at most 1551198480 s")),
        "{:?}",
        sorted.remarks()
    );
}
