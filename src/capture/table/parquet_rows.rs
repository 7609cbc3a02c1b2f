//! Rows as Parquet.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, StringBuilder, TimestampNanosecondBuilder, UInt8Builder, UInt16Builder, UInt32Builder,
    UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use tempfile::NamedTempFile;

use super::columns::{COLUMNS, Cell, Kind, Row};

/// Rows handed over at a time.
const BATCH: usize = 16 * 1024;
/// Rows of a row group, which is encoded in memory: about 10 MB.
const ROW_GROUP: usize = 256 * 1024;

pub(super) struct ParquetRows {
    schema: Arc<Schema>,
    writer: ArrowWriter<NamedTempFile>,
    builders: Vec<Builder>,
    rows: usize,
    /// One field's text, kept for its memory.
    text: String,
}

impl ParquetRows {
    pub(super) fn new(file: NamedTempFile) -> io::Result<Self> {
        let fields: Vec<_> =
            COLUMNS.iter().map(|column| Field::new(column.name, data_type(column.kind), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(io_error)?;
        let builders = COLUMNS.iter().map(|column| Builder::new(column.kind)).collect();
        Ok(ParquetRows { schema, writer, builders, rows: 0, text: String::new() })
    }

    pub(super) fn add(&mut self, row: &Row<'_>) -> io::Result<()> {
        for (column, builder) in COLUMNS.iter().zip(&mut self.builders) {
            builder.append((column.value)(row), &mut self.text);
        }
        self.rows += 1;
        if self.rows == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.rows = 0;
        let arrays = self.builders.iter_mut().map(Builder::finish).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(io::Error::other)?;
        self.writer.write(&batch).map_err(io_error)
    }

    pub(super) fn finish(mut self) -> io::Result<NamedTempFile> {
        self.flush()?;
        self.writer.into_inner().map_err(io_error)
    }
}

fn io_error(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        Kind::Mac | Kind::Address => DataType::Utf8,
        Kind::Flag => DataType::Boolean,
        Kind::U8 => DataType::UInt8,
        Kind::U16 => DataType::UInt16,
        Kind::U32 => DataType::UInt32,
        Kind::U64 => DataType::UInt64,
    }
}

enum Builder {
    Time(TimestampNanosecondBuilder),
    Text(StringBuilder),
    Flag(BooleanBuilder),
    U8(UInt8Builder),
    U16(UInt16Builder),
    U32(UInt32Builder),
    U64(UInt64Builder),
}

impl Builder {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Time => Builder::Time(TimestampNanosecondBuilder::new().with_timezone("UTC")),
            Kind::Mac | Kind::Address => Builder::Text(StringBuilder::new()),
            Kind::Flag => Builder::Flag(BooleanBuilder::new()),
            Kind::U8 => Builder::U8(UInt8Builder::new()),
            Kind::U16 => Builder::U16(UInt16Builder::new()),
            Kind::U32 => Builder::U32(UInt32Builder::new()),
            Kind::U64 => Builder::U64(UInt64Builder::new()),
        }
    }

    /// Appends a cell; a value that the column's type cannot hold (a time before 1677 or after 2262)
    /// is null.
    fn append(&mut self, cell: Cell, text: &mut String) {
        let number = if let Cell::Number(number) = cell { Some(number) } else { None };
        match self {
            Builder::Time(builder) => builder.append_option(match cell {
                Cell::Time(timestamp) => timestamp.as_ns(),
                _ => None,
            }),
            Builder::Text(builder) => {
                text.clear();
                // writing into a String cannot fail
                let _ = match cell {
                    Cell::Mac(mac) => write!(text, "{mac}"),
                    Cell::Address(address) => write!(text, "{address}"),
                    _ => return builder.append_null(),
                };
                builder.append_value(&text);
            }
            Builder::Flag(builder) => {
                builder.append_option(if let Cell::Flag(flag) = cell { Some(flag) } else { None });
            }
            Builder::U8(builder) => builder.append_option(number.and_then(|it| it.try_into().ok())),
            Builder::U16(builder) => builder.append_option(number.and_then(|it| it.try_into().ok())),
            Builder::U32(builder) => builder.append_option(number.and_then(|it| it.try_into().ok())),
            Builder::U64(builder) => builder.append_option(number),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Time(builder) => Arc::new(builder.finish()),
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::Flag(builder) => Arc::new(builder.finish()),
            Builder::U8(builder) => Arc::new(builder.finish()),
            Builder::U16(builder) => Arc::new(builder.finish()),
            Builder::U32(builder) => Arc::new(builder.finish()),
            Builder::U64(builder) => Arc::new(builder.finish()),
        }
    }
}
