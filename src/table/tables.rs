//! Destinations for the tables of a run: files, memory, or the caller's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::Schema;

use super::{Format, TableError, TableWriter, batch, schema};

/// Receives tables by name: `packets`, `flows`, `ports`, ... as in `docs/results.md`.
pub trait Tables {
    /// Begins a table.
    ///
    /// # Errors
    /// The table cannot be created.
    fn begin(&self, name: &str, schema: &Arc<Schema>) -> Result<Box<dyn TableSink>, TableError>;
}

/// Receives the rows of one table.
pub trait TableSink: Send {
    /// Appends rows, which have the schema given at the beginning of the table.
    ///
    /// # Errors
    /// The rows cannot be written.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError>;

    /// Completes the table.
    ///
    /// # Errors
    /// The table cannot be written.
    fn finish(self: Box<Self>) -> Result<(), TableError>;
}

/// Files in a folder, `NAME.parquet` or `NAME.csv`. The folder must exist.
#[derive(Debug, Clone)]
pub struct TableFiles {
    folder: PathBuf,
    format: Format,
}

impl TableFiles {
    /// Tables with a fixed format, required by their readers.
    const ALWAYS_CSV: [&str; 1] = ["deepqueuenet"];

    /// Creates files of this format in `folder`.
    pub fn new(folder: &Path, format: Format) -> Self {
        TableFiles { folder: folder.to_owned(), format }
    }
}

impl Tables for TableFiles {
    fn begin(&self, name: &str, schema: &Arc<Schema>) -> Result<Box<dyn TableSink>, TableError> {
        let format = if Self::ALWAYS_CSV.contains(&name) { Format::Csv } else { self.format };
        let path = self.folder.join(format!("{name}.{}", format.extension()));
        Ok(Box::new(TableWriter::create(&path, schema, format)?))
    }
}

impl TableSink for TableWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        TableWriter::write(self, batch)
    }

    fn finish(self: Box<Self>) -> Result<(), TableError> {
        TableWriter::finish(*self)
    }
}

/// Keeps tables in memory, as record batches. Clones share the memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryTables(Arc<Mutex<BTreeMap<String, MemoryTable>>>);

/// A table in memory.
#[derive(Debug, Clone)]
pub struct MemoryTable {
    /// Its columns.
    pub schema: Arc<Schema>,
    /// Its rows.
    pub batches: Vec<RecordBatch>,
}

impl MemoryTable {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

impl MemoryTables {
    /// Removes and returns every table begun so far, by name.
    pub fn take(&self) -> BTreeMap<String, MemoryTable> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tables for MemoryTables {
    fn begin(&self, name: &str, schema: &Arc<Schema>) -> Result<Box<dyn TableSink>, TableError> {
        let table = MemoryTable { schema: Arc::clone(schema), batches: Vec::new() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), table);
        Ok(Box::new(MemorySink { tables: self.clone(), name: name.to_owned() }))
    }
}

struct MemorySink {
    tables: MemoryTables,
    name: String,
}

impl TableSink for MemorySink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        let mut tables = self.tables.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get_mut(&self.name) {
            table.batches.push(batch.clone());
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), TableError> {
        Ok(())
    }
}

/// Discards all tables, for callers that need only the summary.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTables;

impl Tables for NoTables {
    fn begin(&self, _name: &str, _schema: &Arc<Schema>) -> Result<Box<dyn TableSink>, TableError> {
        Ok(Box::new(NoTables))
    }
}

impl TableSink for NoTables {
    fn write(&mut self, _batch: &RecordBatch) -> Result<(), TableError> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), TableError> {
        Ok(())
    }
}

/// Writes every table to two destinations.
pub(crate) struct Both<'a>(pub &'a dyn Tables, pub &'a dyn Tables);

impl Tables for Both<'_> {
    fn begin(&self, name: &str, schema: &Arc<Schema>) -> Result<Box<dyn TableSink>, TableError> {
        Ok(Box::new(BothSinks(self.0.begin(name, schema)?, self.1.begin(name, schema)?)))
    }
}

struct BothSinks(Box<dyn TableSink>, Box<dyn TableSink>);

impl TableSink for BothSinks {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        self.0.write(batch)?;
        self.1.write(batch)
    }

    fn finish(self: Box<Self>) -> Result<(), TableError> {
        self.0.finish()?;
        self.1.finish()
    }
}

/// A table that has been begun, with its schema.
pub(crate) struct OpenTable {
    name: String,
    schema: Arc<Schema>,
    sink: Box<dyn TableSink>,
}

impl OpenTable {
    /// Begins a table.
    ///
    /// # Errors
    /// The table cannot be created.
    pub fn begin(tables: &dyn Tables, name: &str, schema: Schema) -> Result<Self, TableError> {
        let schema = Arc::new(schema);
        Ok(OpenTable { name: name.to_owned(), sink: tables.begin(name, &schema)?, schema })
    }

    /// Appends rows, column by column.
    ///
    /// # Errors
    /// The rows cannot be written, or the columns do not match the schema.
    pub fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), TableError> {
        self.sink.write(&batch(Path::new(&self.name), &self.schema, columns)?)
    }

    /// Completes the table.
    ///
    /// # Errors
    /// The table cannot be written.
    pub fn finish(self) -> Result<(), TableError> {
        self.sink.finish()
    }
}

/// Writes named columns as a whole table.
///
/// # Errors
/// The table cannot be written, or the columns differ in length.
pub(crate) fn write_table(
    tables: &dyn Tables,
    name: &str,
    columns: Vec<(&str, ArrayRef)>,
) -> Result<(), TableError> {
    let schema = schema(&columns);
    let mut sink = tables.begin(name, &schema)?;
    let columns = columns.into_iter().map(|(_, array)| array).collect();
    sink.write(&batch(Path::new(name), &schema, columns)?)?;
    sink.finish()
}
