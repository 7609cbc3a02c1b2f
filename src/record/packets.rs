//! `packets`: one row per packet, in the order in which packets end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{StringDictionaryBuilder, UInt32Builder, UInt64Builder};
use arrow_array::types::UInt16Type;
use arrow_array::{ArrayRef, TimestampNanosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};

use crate::packet::{DropReason, Tau};
use crate::table::{Format, TableError, TableWriter, batch};
use crate::units::{Span, Time, Timestamp};

/// The time zone as an offset, which every reader knows.
const UTC: &str = "+00:00";

/// Rows that are held before they are written.
const ROWS: usize = 1 << 15;

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It arrived.
    Delivered,
    /// It was lost.
    Dropped(DropReason),
    /// The run ended before it did.
    Inside,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct PacketRow<'a> {
    /// The packet and the instant of its end: of a delivered packet, its arrival; of a dropped one, its ingress at the
    /// device that lost it; of one still inside, its injection.
    pub tau: Tau,
    /// The number of its source.
    pub source: u32,
    /// Its number in the source.
    pub record: u64,
    /// When it was injected.
    pub injected: Time,
    /// The devices that it passed.
    pub hops: u32,
    /// The device where it ended; empty for a packet still inside.
    pub device: &'a str,
    /// What became of it.
    pub end: End,
}

/// The table `packets`.
pub struct PacketRows {
    path: PathBuf,
    table: TableWriter,
    schema: Arc<Schema>,
    start: Timestamp,
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
    hops: UInt32Builder,
    outcome: StringDictionaryBuilder<UInt16Type>,
    device: StringDictionaryBuilder<UInt16Type>,
    reason: StringDictionaryBuilder<UInt16Type>,
}

impl PacketRows {
    /// Creates the table in a run that starts at `start`.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(path: &Path, format: Format, start: Timestamp) -> Result<Self, TableError> {
        let name = || DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
        let schema = Arc::new(Schema::new(vec![
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
            Field::new("outcome", name(), false),
            Field::new("device", name(), true),
            Field::new("reason", name(), true),
        ]));
        let table = TableWriter::create(path, &schema, format)?;
        Ok(PacketRows { path: path.to_owned(), table, schema, start, columns: Columns::default() })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// The disk is full.
    pub fn push(&mut self, row: &PacketRow<'_>) -> Result<(), TableError> {
        let Columns {
            pid,
            fid,
            source,
            record,
            length,
            injected_at,
            injected,
            ended,
            delay,
            hops,
            outcome,
            device,
            reason,
        } = &mut self.columns;
        let packet = &row.tau.packet;
        pid.push(packet.pid);
        fid.push(packet.fid);
        source.push(row.source);
        record.push(row.record);
        length.push(packet.length);
        injected_at.push((self.start + Span::from_ps(row.injected.as_ps())).as_ns());
        injected.push(row.injected.as_ps());
        hops.append_value(row.hops);
        let at = row.tau.timestamp.as_ps();
        let (name, ended_ps, delay_ps, why) = match row.end {
            End::Delivered => {
                ("delivered", Some(at), Some(row.tau.timestamp.since(row.injected).as_ps()), None)
            }
            End::Dropped(reason) => ("dropped", Some(at), None, Some(reason.name())),
            End::Inside => ("inside", None, None, None),
        };
        ended.append_option(ended_ps);
        delay.append_option(delay_ps);
        outcome.append_value(name);
        reason.append_option(why);
        device.append_option((!row.device.is_empty()).then_some(row.device));
        if pid.len() == ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), TableError> {
        let mut columns = std::mem::take(&mut self.columns);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(arrow_array::UInt64Array::from(columns.pid)),
            Arc::new(arrow_array::UInt32Array::from(columns.fid)),
            Arc::new(arrow_array::UInt32Array::from(columns.source)),
            Arc::new(arrow_array::UInt64Array::from(columns.record)),
            Arc::new(arrow_array::UInt32Array::from(columns.length)),
            Arc::new(TimestampNanosecondArray::from(columns.injected_at).with_timezone(UTC)),
            Arc::new(arrow_array::UInt64Array::from(columns.injected)),
            Arc::new(columns.ended.finish()),
            Arc::new(columns.delay.finish()),
            Arc::new(columns.hops.finish()),
            Arc::new(columns.outcome.finish()),
            Arc::new(columns.device.finish()),
            Arc::new(columns.reason.finish()),
        ];
        self.table.write(&batch(&self.path, &self.schema, arrays)?)
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// The disk is full.
    pub fn finish(mut self) -> Result<(), TableError> {
        self.flush()?;
        self.table.finish()
    }
}
