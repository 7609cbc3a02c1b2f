//! `taunet inspect --packets`: the table of packets, as CSV and Parquet.

use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use assert_cmd::Command;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const CAPTURE: &str = "tests/captures/eth_micro_full.pcap";
const NOTEBOOK: [&str; 13] = [
    "timestamp",
    "i_port",
    "e_port",
    "eth_type",
    "src",
    "dst",
    "id",
    "pkt_len",
    "ttl",
    "df",
    "mf",
    "offset",
    "protocol",
];

fn packets(capture: &str, out: &Path, more: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_taunet"))
        .args(["inspect", capture, "--packets"])
        .arg(out)
        .args(more)
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// The rows of a CSV table, the header first.
fn csv_rows(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(!text.contains('"'), "no field needs quotes");
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn parquet_batch(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap());
    let mut batches = reader.unwrap().with_batch_size(1 << 20).build().unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    batch
}

#[test]
fn csv_has_the_notebooks_columns_first() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("packets.csv");
    assert_eq!(packets(CAPTURE, &out, &[]).0, 0);
    assert_eq!(files(folder.path()), 1, "no temporary file stays");
    let rows = csv_rows(&out);
    assert_eq!(rows[0][..13], NOTEBOOK);
    assert_eq!(rows.len(), 1 + 72);
    // the first echo request, and an LLDP frame
    let echo = "1785127209.549970000 02:00:00:00:00:02 02:00:00:00:00:03 2048 10.9.1.1 10.9.200.2";
    let row = rows.iter().find(|row| row[12] == "1").unwrap();
    assert_eq!(row[1..6].join(" "), echo.split_once(' ').unwrap().1);
    assert_eq!(row[7..13].join(" "), "84 64 1 0 0 1");
    let row = rows.iter().find(|row| row[3] == "35020").unwrap();
    assert!(row[4..13].iter().all(String::is_empty), "{row:?}");
    let column = |name: &str| rows[0].iter().position(|it| it == name).unwrap();
    assert_eq!((row[column("trp")].as_str(), row[column("original_length_bytes")].as_str()), ("255", "34"));
}

#[test]
fn times_are_exact_decimals() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("packets.csv");
    assert_eq!(packets("tests/captures/two_interfaces.pcapng", &out, &[]).0, 0);
    let output = Command::new(env!("CARGO_BIN_EXE_taunet"))
        .args(["inspect", "tests/captures/two_interfaces.pcapng", "--json"])
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let (seconds, fraction) =
        csv_rows(&out)[1][0].split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!((seconds.len(), fraction.len()), (10, 9));
    assert!(report["start"].as_str().unwrap().contains(&format!(".{fraction} UTC")));
}

#[test]
fn parquet_holds_the_same_as_csv() {
    let folder = tempfile::tempdir().unwrap();
    let (csv, parquet) = (folder.path().join("packets.csv"), folder.path().join("packets.parquet"));
    packets(CAPTURE, &csv, &[]);
    packets(CAPTURE, &parquet, &[]);
    let rows = csv_rows(&csv);
    let batch = parquet_batch(&parquet);
    let schema = batch.schema();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, rows[0]);
    assert_eq!(batch.num_rows(), rows.len() - 1);
    let column = |name: &str| batch.column_by_name(name).unwrap();
    assert_eq!(schema.field(0).data_type().to_string(), "Timestamp(ns, \"UTC\")");
    for (index, row) in rows[1..].iter().enumerate() {
        let ns = column("timestamp").as_primitive::<TimestampNanosecondType>().value(index);
        assert_eq!(format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000), row[0]);
        let text = |name: &str| {
            let column = column(name).as_string::<i32>();
            if column.is_null(index) { "" } else { column.value(index) }
        };
        assert_eq!(
            [text("i_port"), text("e_port"), text("src"), text("dst")],
            [&row[1], &row[2], &row[4], &row[5]]
        );
        let eth_type = column("eth_type").as_primitive::<UInt16Type>();
        assert_eq!(
            if eth_type.is_null(index) { String::new() } else { eth_type.value(index).to_string() },
            row[3]
        );
        let length = column("pkt_len").as_primitive::<UInt32Type>();
        assert_eq!(
            if length.is_null(index) { String::new() } else { length.value(index).to_string() },
            row[7]
        );
        assert_eq!(column("trp").as_primitive::<UInt8Type>().value(index).to_string(), row[16]);
        let flag = column("df").as_boolean();
        let flag = if flag.is_null(index) { "" } else { ["0", "1"][usize::from(flag.value(index))] };
        assert_eq!(flag, row[9]);
    }
}

#[test]
fn an_existing_table_is_replaced_only_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("packets.csv");
    std::fs::write(&out, "something else").unwrap();
    let (code, stderr) = packets(CAPTURE, &out, &["--max-packets", "2"]);
    assert_eq!(code, 2);
    let message = format!("{} exists: choose another file, or replace it with --force", out.display());
    assert!(stderr.contains(&message), "{stderr}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "something else");
    assert_eq!(packets(CAPTURE, &out, &["--max-packets", "2", "--force"]).0, 0);
    assert_eq!(csv_rows(&out).len(), 3);
}

#[test]
fn the_capture_itself_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture.csv");
    std::fs::copy(CAPTURE, &capture).unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let roundabout = folder.path().join("sub/../capture.csv");
    for more in [&[][..], &["--force"]] {
        let (code, stderr) = packets(capture.to_str().unwrap(), &roundabout, more);
        assert_eq!(code, 2);
        assert!(stderr.contains("capture.csv is the capture itself: choose another file"), "{stderr}");
        assert_eq!(std::fs::read(&capture).unwrap(), std::fs::read(CAPTURE).unwrap());
    }
}

#[test]
fn an_unknown_extension_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (code, stderr) = packets(CAPTURE, &folder.path().join("packets.xlsx"), &[]);
    assert_ne!(code, 0);
    assert!(stderr.contains("ends neither in .csv nor in .parquet"), "{stderr}");
    assert_eq!(files(folder.path()), 0);
}

#[test]
fn a_folder_that_is_not_there() {
    let (code, stderr) = packets(CAPTURE, Path::new("no/such/folder/packets.csv"), &[]);
    assert_eq!(code, 2);
    assert!(stderr.contains("there is no folder `no/such/folder`"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "the reason is told once: {stderr}");
}

#[test]
fn a_damaged_capture_makes_a_table_only_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = "tests/captures/cut_in_record.pcap";
    let out = folder.path().join("packets.parquet");
    assert_eq!(packets(damaged, &out, &[]).0, 2);
    assert_eq!(files(folder.path()), 0);
    assert_eq!(packets(damaged, &out, &["--lenient"]).0, 0);
    assert_eq!(parquet_batch(&out).num_rows(), 8);
}
