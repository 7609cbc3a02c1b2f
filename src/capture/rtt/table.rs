//! [`RttTable`]: one row per round-trip time, as CSV or Parquet.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray, UInt32Array, UInt64Array};
use arrow_schema::Schema;

use super::Rtt;
use crate::capture::table::instants;
use crate::table::{self, Format, TableError, TableWriter};

/// Maximum number of rows held before they are written.
const ROWS: usize = 1 << 12;

/// Writes a table of round-trip times. The file appears with [`RttTable::finish`], when it is complete.
///
/// | column | unit | |
/// |---|---|---|
/// | `timestamp` | s (CSV), ns UTC (Parquet) | time when the answer passed the capture point |
/// | `connection` | | number of the connection, from 0 |
/// | `sender` | | sender of the answered segment: address and port |
/// | `responder` | | host that answered: the round trip is from the capture point to this host |
/// | `method` | | `handshake`, `ack` or `timestamp` |
/// | `rtt_ps` | ps | round-trip time |
/// | `sent_record`, `answer_record` | | records of the segment and of its answer in the capture, from 0 |
#[derive(Debug)]
pub struct RttTable {
    path: PathBuf,
    format: Format,
    schema: Arc<Schema>,
    rows: Vec<Rtt>,
    writer: TableWriter,
}

impl RttTable {
    /// Starts a table. The extension of `path` selects the format.
    ///
    /// # Errors
    /// The extension is unknown, or no file can be created in the folder of `path`.
    pub fn create(path: &Path) -> Result<Self, TableError> {
        let format = Format::of(path)?;
        let schema = table::schema(&columns(&[], format));
        let writer = TableWriter::create(path, &schema, format)?;
        Ok(RttTable { path: path.to_owned(), format, schema, rows: Vec::with_capacity(ROWS), writer })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, rtt: Rtt) -> Result<(), TableError> {
        self.rows.push(rtt);
        if self.rows.len() == ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), TableError> {
        let arrays = columns(&self.rows, self.format).into_iter().map(|(_, array)| array).collect();
        self.rows.clear();
        self.writer.write(&table::batch(&self.path, &self.schema, arrays)?)
    }

    /// Completes the table and moves it to its path, replacing an existing file.
    ///
    /// # Errors
    /// The file cannot be written or renamed.
    pub fn finish(mut self) -> Result<(), TableError> {
        self.flush()?;
        self.writer.finish()
    }
}

fn columns(rows: &[Rtt], format: Format) -> Vec<(&'static str, ArrayRef)> {
    let numbers =
        |value: fn(&Rtt) -> u64| Arc::new(UInt64Array::from_iter_values(rows.iter().map(value))) as ArrayRef;
    vec![
        ("timestamp", instants(rows.iter().map(|row| row.at), format)),
        ("connection", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.connection)))),
        ("sender", names(rows, |row| row.sender)),
        ("responder", names(rows, |row| row.responder)),
        ("method", names(rows, |row| row.method.name())),
        ("rtt_ps", numbers(|row| row.rtt.as_ps())),
        ("sent_record", numbers(|row| row.sent_record)),
        ("answer_record", numbers(|row| row.answer_record)),
    ]
}

fn names<T: Display>(rows: &[Rtt], value: impl Fn(&Rtt) -> T) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(|row| value(row).to_string())))
}
