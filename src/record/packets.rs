//! `packets`: one row per packet, in the order in which packets end.

use std::sync::Arc;

use arrow_array::builder::{UInt32Builder, UInt64Builder};
use arrow_array::{ArrayRef, TimestampNanosecondArray, UInt8Array, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema, TimeUnit};

use super::names::Names;
use crate::packet::DropReason;
use crate::statistics::{End, EndedPacket};
use crate::table::{OpenTable, TableError, Tables};
use crate::topology::Topology;
use crate::units::{Span, Timestamp};

/// The time zone as an offset, which every reader supports.
const UTC: &str = "+00:00";

/// Maximum number of rows held before they are written.
const ROWS: usize = 1 << 15;

/// The table `packets`.
pub struct PacketRows {
    table: OpenTable,
    start: Timestamp,
    outcomes: Names,
    devices: Names,
    reasons: Names,
    columns: Columns,
}

#[derive(Default)]
struct Columns {
    pid: Vec<u64>,
    fid: Vec<u32>,
    source: Vec<u32>,
    record: Vec<u64>,
    length: Vec<u32>,
    injected_at: Vec<Option<i64>>,
    injected: Vec<u64>,
    ended: UInt64Builder,
    delay: UInt64Builder,
    hops: Vec<u32>,
    ecn: Vec<u8>,
    outcome: Vec<u32>,
    device: UInt32Builder,
    reason: UInt32Builder,
}

impl PacketRows {
    /// Begins the table for a run that starts at `start`.
    ///
    /// # Errors
    /// The table cannot be created.
    pub fn create(tables: &dyn Tables, topology: &Topology, start: Timestamp) -> Result<Self, TableError> {
        let schema = Schema::new(vec![
            Field::new("pid", DataType::UInt64, false),
            Field::new("fid", DataType::UInt32, false),
            Field::new("source", DataType::UInt32, false),
            Field::new("record", DataType::UInt64, false),
            Field::new("length_bytes", DataType::UInt32, false),
            Field::new("injected_at", DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into())), true),
            Field::new("injected_ps", DataType::UInt64, false),
            Field::new("ended_ps", DataType::UInt64, true),
            Field::new("delay_ps", DataType::UInt64, true),
            Field::new("hops", DataType::UInt32, false),
            Field::new("ecn", DataType::UInt8, false),
            Field::new("outcome", Names::data_type(), false),
            Field::new("device", Names::data_type(), true),
            Field::new("reason", Names::data_type(), true),
        ]);
        Ok(PacketRows {
            table: OpenTable::begin(tables, "packets", schema)?,
            start,
            outcomes: Names::new(["delivered", "dropped", "inside"].into_iter()),
            devices: Names::devices(topology),
            reasons: Names::reasons(),
            columns: Columns::default(),
        })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// The table cannot be written.
    #[inline]
    pub fn push(&mut self, row: &EndedPacket) -> Result<(), TableError> {
        let columns = &mut self.columns;
        let packet = &row.tau.packet;
        columns.pid.push(packet.pid);
        columns.fid.push(packet.fid);
        columns.source.push(row.source);
        columns.record.push(row.record);
        columns.length.push(packet.length);
        columns.injected_at.push((self.start + Span::from_ps(row.injected.as_ps())).as_ns());
        columns.injected.push(row.injected.as_ps());
        columns.hops.push(row.hops);
        columns.ecn.push(packet.ecn);
        let at = row.tau.timestamp.as_ps();
        let (outcome, ended_ps, delay_ps, why) = match row.end {
            End::Delivered => (0, Some(at), Some(row.tau.timestamp.since(row.injected).as_ps()), None),
            End::Dropped(reason) => (1, Some(at), None, Some(reason)),
            End::Inside => (2, None, None, None),
        };
        columns.outcome.push(outcome);
        columns.ended.append_option(ended_ps);
        columns.delay.append_option(delay_ps);
        columns.reason.append_option(why.map(DropReason::number));
        columns.device.append_option(row.device.map(|device| device.index() as u32));
        if columns.pid.len() == ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), TableError> {
        let mut columns = std::mem::take(&mut self.columns);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(columns.pid)),
            Arc::new(UInt32Array::from(columns.fid)),
            Arc::new(UInt32Array::from(columns.source)),
            Arc::new(UInt64Array::from(columns.record)),
            Arc::new(UInt32Array::from(columns.length)),
            Arc::new(TimestampNanosecondArray::from(columns.injected_at).with_timezone(UTC)),
            Arc::new(UInt64Array::from(columns.injected)),
            Arc::new(columns.ended.finish()),
            Arc::new(columns.delay.finish()),
            Arc::new(UInt32Array::from(columns.hops)),
            Arc::new(UInt8Array::from(columns.ecn)),
            self.outcomes.column(UInt32Array::from(columns.outcome)),
            self.devices.column(columns.device.finish()),
            self.reasons.column(columns.reason.finish()),
        ];
        self.table.write(arrays)
    }

    /// Writes the remaining rows.
    ///
    /// # Errors
    /// The table cannot be written.
    pub fn finish(mut self) -> Result<(), TableError> {
        self.flush()?;
        self.table.finish()
    }
}
