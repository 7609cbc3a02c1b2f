//! Rows as comma-separated values.

use std::io::{self, Write};

use tempfile::NamedTempFile;

use super::columns::{COLUMNS, Cell, Row};
use crate::units::PS_PER_S;

/// Bytes written at a time.
const CHUNK: usize = 256 * 1024;

pub(super) struct CsvRows {
    writer: csv::Writer<NamedTempFile>,
    /// One field's text, kept for its memory.
    field: Vec<u8>,
}

impl CsvRows {
    pub(super) fn new(file: NamedTempFile) -> io::Result<Self> {
        let mut writer = csv::WriterBuilder::new().buffer_capacity(CHUNK).from_writer(file);
        writer.write_record(COLUMNS.iter().map(|column| column.name))?;
        Ok(CsvRows { writer, field: Vec::new() })
    }

    pub(super) fn add(&mut self, row: &Row<'_>) -> io::Result<()> {
        for column in &COLUMNS {
            self.field.clear();
            match (column.value)(row) {
                Cell::Null => {}
                Cell::Time(timestamp) => {
                    let (sign, ps) = (if timestamp.as_ps() < 0 { "-" } else { "" }, timestamp.as_ps());
                    // rounded down to a nanosecond, as in Parquet
                    let ns = ps.div_euclid(1_000).unsigned_abs();
                    let second = u128::from(PS_PER_S / 1_000);
                    write!(self.field, "{sign}{}.{:09}", ns / second, ns % second)?;
                }
                Cell::Mac(mac) => write!(self.field, "{mac}")?,
                Cell::Address(address) => write!(self.field, "{address}")?,
                Cell::Flag(flag) => self.field.push(if flag { b'1' } else { b'0' }),
                Cell::Number(number) => write!(self.field, "{number}")?,
            }
            self.writer.write_field(&self.field)?;
        }
        self.writer.write_record(None::<&[u8]>)?;
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<NamedTempFile> {
        self.writer.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}
