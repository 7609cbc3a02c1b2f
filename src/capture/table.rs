//! [`Table`]: one row per packet, as CSV or Parquet.

mod columns;
mod csv_rows;
mod parquet_rows;

use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{Frame, Record, TableError};
use columns::Row;
use csv_rows::CsvRows;
use parquet_rows::ParquetRows;

/// The file format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// Comma-separated values with a header line; a field that a frame does not have is empty.
    Csv,
    /// Apache Parquet, compressed with Zstandard.
    Parquet,
}

impl TableFormat {
    /// The format that a file name's extension chooses.
    ///
    /// # Errors
    ///
    /// The extension is neither `csv` nor `parquet`.
    pub fn of(path: &Path) -> Result<Self, TableError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(TableFormat::Csv),
            Some("parquet") => Ok(TableFormat::Parquet),
            _ => Err(TableError::UnknownExtension { path: path.to_owned() }),
        }
    }
}

/// A table of packets in the making. The file appears when it is complete: until
/// [`Table::finish`] the rows stand in a temporary file beside it.
///
/// The first 13 columns are those of the notebook that taunet grew from, under their names:
///
/// | column | unit | |
/// |---|---|---|
/// | `timestamp` | s (CSV), ns UTC (Parquet) | since 1970; decimals are exact down to 1 ns |
/// | `i_port`, `e_port` | | source and destination MAC address |
/// | `eth_type` | | EtherType after VLAN tags, as a number |
/// | `src`, `dst` | | IP addresses |
/// | `id` | | IP identification |
/// | `pkt_len` | bytes | length of the IP packet |
/// | `ttl` | | time to live or hop limit |
/// | `df`, `mf` | | don't fragment, more fragments: 0 or 1 in CSV |
/// | `offset` | 8 bytes | fragment offset |
/// | `protocol` | | IP protocol number |
///
/// Then follow `source_port`, `destination_port`, `fid`, `trp` (the protocol; 255 without IP),
/// `record`, `original_length_bytes`, `captured_length_bytes`, `interface`, `outer_vlan`,
/// `inner_vlan`, `ip_version`, `dscp`, `ecn`, `ipv6_flow_label`, `ipv6_payload_length_bytes`,
/// `tcp_sequence`, `tcp_acknowledgement` and `tcp_flags`.
///
/// Rows are written in batches: memory does not grow with their number.
pub struct Table {
    path: PathBuf,
    rows: Rows,
}

enum Rows {
    Csv(CsvRows),
    Parquet(Box<ParquetRows>),
}

impl Table {
    /// Starts a table; the extension of `path` chooses the format.
    ///
    /// # Errors
    ///
    /// The extension is unknown, or no file can be created in the folder of `path`.
    pub fn create(path: &Path) -> Result<Self, TableError> {
        let format = TableFormat::of(path)?;
        let rows = temporary_file(path)
            .and_then(|file| match format {
                TableFormat::Csv => CsvRows::new(file).map(Rows::Csv),
                TableFormat::Parquet => ParquetRows::new(file).map(|rows| Rows::Parquet(Box::new(rows))),
            })
            .map_err(|error| TableError::Write { path: path.to_owned(), error })?;
        Ok(Table { path: path.to_owned(), rows })
    }

    /// Adds the row of a packet.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn add(&mut self, record: &Record<'_>, frame: &Frame, fid: u32) -> Result<(), TableError> {
        let row = Row { record, frame, fid };
        match &mut self.rows {
            Rows::Csv(rows) => rows.add(&row),
            Rows::Parquet(rows) => rows.add(&row),
        }
        .map_err(|error| TableError::Write { path: self.path.clone(), error })
    }

    /// Completes the table and gives it its name, replacing a file that has it.
    ///
    /// # Errors
    ///
    /// The file cannot be written or renamed.
    pub fn finish(self) -> Result<(), TableError> {
        match self.rows {
            Rows::Csv(rows) => rows.finish(),
            Rows::Parquet(rows) => rows.finish(),
        }
        .and_then(|file| file.persist(&self.path).map_err(|error| error.error))
        .map(drop)
        .map_err(|error| TableError::Write { path: self.path, error })
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A file beside `path`, which vanishes if the table is never finished.
fn temporary_file(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".packets-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // what a new file gets, less the umask
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}
