//! The columns of a table of packets, for both formats.

use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;

use arrow_array::types::{ArrowPrimitiveType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, PrimitiveArray, StringArray,
    TimestampNanosecondArray, UInt16Array,
};
use arrow_schema::DataType;
use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

use crate::capture::{Frame, Record};
use crate::table::Format;
use crate::units::Timestamp;

/// The values of a row.
#[derive(Debug)]
pub(super) struct Row {
    timestamp: Timestamp,
    index: u64,
    original_length: u32,
    captured_length: u32,
    interface: u32,
    fid: u32,
    frame: Frame,
}

impl Row {
    #[inline]
    pub(super) fn new(record: &Record<'_>, frame: &Frame, fid: u32) -> Self {
        Row {
            timestamp: record.timestamp,
            index: record.index,
            original_length: record.original_length,
            captured_length: u32::try_from(record.bytes.len()).unwrap_or(u32::MAX),
            interface: record.interface,
            fid,
            frame: *frame,
        }
    }
}

/// The transport protocol without IP, as in [`crate::packet::Packet::trp`].
const NO_PROTOCOL: u8 = 255;

/// The columns of a table in their order. At most 65,536 rows.
pub(super) fn columns(rows: &[Row], format: Format) -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("timestamp", instants(rows.iter().map(|row| row.timestamp), format)),
        ("i_port", names(rows, |row| row.frame.source_mac)),
        ("e_port", names(rows, |row| row.frame.destination_mac)),
        ("eth_type", numbers::<UInt16Type>(rows, |row| row.frame.ether_type)),
        ("src", names(rows, |row| row.frame.source)),
        ("dst", names(rows, |row| row.frame.destination)),
        ("id", numbers::<UInt32Type>(rows, |row| row.frame.identification)),
        ("pkt_len", numbers::<UInt32Type>(rows, |row| row.frame.total_length)),
        ("ttl", numbers::<UInt8Type>(rows, |row| row.frame.ttl)),
        ("df", flags(rows, format, |row| row.frame.dont_fragment)),
        ("mf", flags(rows, format, |row| row.frame.more_fragments)),
        ("offset", numbers::<UInt16Type>(rows, |row| row.frame.fragment_offset)),
        ("protocol", numbers::<UInt8Type>(rows, |row| row.frame.protocol)),
        ("source_port", numbers::<UInt16Type>(rows, |row| row.frame.source_port)),
        ("destination_port", numbers::<UInt16Type>(rows, |row| row.frame.destination_port)),
        ("fid", numbers::<UInt32Type>(rows, |row| Some(row.fid))),
        ("trp", numbers::<UInt8Type>(rows, |row| Some(row.frame.protocol.unwrap_or(NO_PROTOCOL)))),
        ("record", numbers::<UInt64Type>(rows, |row| Some(row.index))),
        ("original_length_bytes", numbers::<UInt32Type>(rows, |row| Some(row.original_length))),
        ("captured_length_bytes", numbers::<UInt32Type>(rows, |row| Some(row.captured_length))),
        ("interface", numbers::<UInt32Type>(rows, |row| Some(row.interface))),
        ("outer_vlan", numbers::<UInt16Type>(rows, |row| row.frame.outer_vlan)),
        ("inner_vlan", numbers::<UInt16Type>(rows, |row| row.frame.inner_vlan)),
        ("ip_version", numbers::<UInt8Type>(rows, |row| row.frame.ip_version)),
        ("dscp", numbers::<UInt8Type>(rows, |row| row.frame.dscp)),
        ("ecn", numbers::<UInt8Type>(rows, |row| row.frame.ecn)),
        ("ipv6_flow_label", numbers::<UInt32Type>(rows, |row| row.frame.ipv6_flow_label)),
        ("ipv6_payload_length_bytes", numbers::<UInt16Type>(rows, |row| row.frame.ipv6_payload_length)),
        ("tcp_sequence", numbers::<UInt32Type>(rows, |row| row.frame.tcp_sequence)),
        ("tcp_acknowledgement", numbers::<UInt32Type>(rows, |row| row.frame.tcp_acknowledgement)),
        ("tcp_flags", numbers::<UInt8Type>(rows, |row| row.frame.tcp_flags)),
        ("outer_pcp", numbers::<UInt8Type>(rows, |row| row.frame.outer_pcp)),
    ]
}

fn numbers<T: ArrowPrimitiveType>(rows: &[Row], value: impl Fn(&Row) -> Option<T::Native>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<PrimitiveArray<T>>())
}

/// Times, rounded down to a nanosecond. A decimal holds all of them and is written with its digits. A Parquet
/// timestamp is null before 1677 and after 2262.
pub(in crate::capture) fn instants(times: impl Iterator<Item = Timestamp>, format: Format) -> ArrayRef {
    match format {
        Format::Parquet => {
            let array: TimestampNanosecondArray = times.map(Timestamp::as_ns).collect();
            Arc::new(array.with_timezone("UTC"))
        }
        Format::Csv => {
            let array = Decimal128Array::from_iter_values(times.map(|time| time.as_ps().div_euclid(1_000)));
            Arc::new(array.with_data_type(DataType::Decimal128(38, 9)))
        }
    }
}

/// Booleans; in CSV 1 and 0.
fn flags(rows: &[Row], format: Format, value: impl Fn(&Row) -> Option<bool>) -> ArrayRef {
    match format {
        Format::Parquet => Arc::new(rows.iter().map(value).collect::<BooleanArray>()),
        Format::Csv => numbers::<UInt8Type>(rows, |row| value(row).map(u8::from)),
    }
}

/// Addresses as text: a dictionary, so that each is formatted once per batch.
fn names<T: Display + Eq + Hash>(rows: &[Row], value: impl Fn(&Row) -> Option<T>) -> ArrayRef {
    let mut names = IndexSet::<T, FxBuildHasher>::default();
    let key = |row: &Row| {
        let (index, _) = names.insert_full(value(row)?);
        Some(u16::try_from(index).expect("a batch has at most 65,536 rows"))
    };
    let keys: UInt16Array = rows.iter().map(key).collect();
    let names = StringArray::from_iter_values(names.iter().map(T::to_string));
    Arc::new(DictionaryArray::new(keys, Arc::new(names)))
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    use super::*;

    #[test]
    fn an_instant_that_parquet_cannot_hold_is_exact_in_csv() {
        let row = |timestamp| Row {
            timestamp,
            index: 0,
            original_length: 0,
            captured_length: 0,
            interface: 0,
            fid: 0,
            frame: Frame::default(),
        };
        let rows = [-1, 0, 10_000_000_000_000_000_001].map(|ns| row(Timestamp::from_ns(ns)));
        let times = || rows.iter().map(|row| row.timestamp);
        let csv = instants(times(), Format::Csv);
        let csv = csv.as_primitive::<arrow_array::types::Decimal128Type>();
        let text = [0, 1, 2].map(|index| csv.value_as_string(index));
        assert_eq!(text, ["-0.000000001", "0.000000000", "10000000000.000000001"]);
        let parquet = instants(times(), Format::Parquet);
        assert_eq!([0, 1, 2].map(|index| parquet.is_null(index)), [false, false, true]);
    }
}
