//! [`Table`]: one row per packet, as CSV or Parquet.

mod columns;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::Schema;

use super::{Frame, Record};
use crate::table::{self, Format, TableError, TableSink, TableWriter, Tables};
pub(super) use columns::instants;
use columns::{Row, columns};

/// Maximum number of rows held before they are written: they stay in the second-level cache.
const ROWS: usize = 1 << 12;

/// Writes a table of packets. The file appears with [`Table::finish`], when it is complete.
///
/// The first columns are:
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
/// The other columns are `source_port`, `destination_port`, `fid`, `trp` (the protocol; 255 without IP),
/// `record`, `original_length_bytes`, `captured_length_bytes`, `interface`, `outer_vlan`, `inner_vlan`,
/// `ip_version`, `dscp`, `ecn`, `ipv6_flow_label`, `ipv6_payload_length_bytes`, `tcp_sequence`,
/// `tcp_acknowledgement`, `tcp_flags` and `outer_pcp`. A field that a frame does not have is null.
///
/// Rows are written in batches, so memory does not grow with their number.
pub struct Table {
    path: PathBuf,
    format: Format,
    schema: Arc<Schema>,
    rows: Vec<Row>,
    sink: Box<dyn TableSink>,
}

impl Table {
    /// Starts a table. The extension of `path` selects the format.
    ///
    /// # Errors
    ///
    /// The extension is unknown, or no file can be created in the folder of `path`.
    pub fn create(path: &Path) -> Result<Self, TableError> {
        let format = Format::of(path)?;
        Self::new(path, format, |schema| Ok(Box::new(TableWriter::create(path, schema, format)?)))
    }

    /// Starts the table `packets` of `tables`, with the types that a Parquet file has.
    ///
    /// # Errors
    ///
    /// The table cannot be created.
    pub fn begin(tables: &dyn Tables) -> Result<Self, TableError> {
        const NAME: &str = "packets";
        Self::new(Path::new(NAME), Format::Parquet, |schema| tables.begin(NAME, schema))
    }

    fn new(
        path: &Path,
        format: Format,
        sink: impl FnOnce(&Arc<Schema>) -> Result<Box<dyn TableSink>, TableError>,
    ) -> Result<Self, TableError> {
        let schema = table::schema(&columns(&[], format));
        let sink = sink(&schema)?;
        Ok(Table { path: path.to_owned(), format, schema, rows: Vec::with_capacity(ROWS), sink })
    }

    /// Adds the row of a packet.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    #[inline]
    pub fn add(&mut self, record: &Record<'_>, frame: &Frame, fid: u32) -> Result<(), TableError> {
        self.rows.push(Row::new(record, frame, fid));
        if self.rows.len() == ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), TableError> {
        let arrays = columns(&self.rows, self.format).into_iter().map(|(_, array)| array).collect();
        self.rows.clear();
        self.sink.write(&table::batch(&self.path, &self.schema, arrays)?)
    }

    /// Completes the table and moves it to its path, replacing an existing file.
    ///
    /// # Errors
    ///
    /// The file cannot be written or renamed.
    pub fn finish(mut self) -> Result<(), TableError> {
        self.flush()?;
        self.sink.finish()
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("path", &self.path).finish_non_exhaustive()
    }
}
