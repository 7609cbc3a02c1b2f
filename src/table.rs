//! Tables on disk: writes batches of columns to Parquet or CSV.

mod after_warm_up;
mod beside;
mod column;
mod csv;
mod formula;
mod parquet;
mod read;
mod tables;

pub use self::parquet::ParquetError;
pub(crate) use after_warm_up::AfterWarmUp;
pub(crate) use beside::Beside;
pub use column::{Column, Kind};
pub(crate) use formula::{guarded, unguarded};
pub use read::{ReadError, read_columns};
pub(crate) use tables::{Both, OpenTable, write_table};
pub use tables::{MemoryTable, MemoryTables, NoTables, TableFiles, TableSink, Tables};

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use serde::Serialize;

use self::csv::CsvWriter;
use self::parquet::ParquetWriter;
use crate::write::NewFile;

/// Number of bytes per write to the operating system.
const CHUNK: usize = 1 << 16;

/// The format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Apache Parquet.
    #[default]
    Parquet,
    /// Comma-separated values with a header line; a null is an empty field, and a text that a spreadsheet
    /// would take for a formula has an apostrophe before it.
    Csv,
}

impl Format {
    /// The format for the extension of a file name.
    ///
    /// # Errors
    /// The extension is neither `csv` nor `parquet`.
    pub fn of(path: &Path) -> Result<Self, TableError> {
        [Format::Parquet, Format::Csv]
            .into_iter()
            .find(|format| path.extension().is_some_and(|extension| extension == format.extension()))
            .ok_or_else(|| TableError::UnknownExtension { path: path.to_owned() })
    }

    /// The file name extension.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::Csv => "csv",
        }
    }
}

/// Errors of writing a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file name does not give the format.
    #[error("{} ends neither in .csv nor in .parquet: the extension chooses the format", path.display())]
    UnknownExtension {
        /// the file
        path: PathBuf,
    },
    /// The file system reported an error.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// the file
        path: PathBuf,
        /// the error of the operating system
        source: std::io::Error,
    },
    /// The Parquet writer reported an error.
    #[error("cannot write {}: {source}", path.display())]
    Parquet {
        /// the file
        path: PathBuf,
        /// the error of the writer
        source: ParquetError,
    },
    /// The caller's [`Tables`] reported an error.
    #[error("cannot take the table {name}: {source}")]
    Sink {
        /// the table
        name: String,
        /// the error
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Tables of this format cannot have columns of this type.
    #[error("cannot write {}: the column `{column}` of type {data_type} is not supported in a .{} table", path.display(), format.extension())]
    UnsupportedType {
        /// the file
        path: PathBuf,
        /// the column
        column: String,
        /// its type
        data_type: DataType,
        /// the format of the table
        format: Format,
    },
    /// The columns do not form a table, or not this one.
    #[error("cannot write {}: {source}", path.display())]
    Arrow {
        /// the file
        path: PathBuf,
        /// the error
        source: ArrowError,
    },
}

/// Writes a table. The file appears when it is complete: until [`TableWriter::finish`], the rows are in a
/// [`NewFile`].
pub struct TableWriter {
    path: PathBuf,
    schema: Arc<Schema>,
    writer: Writer,
}

enum Writer {
    Parquet(Box<ParquetWriter<BufWriter<NewFile>>>),
    Csv(Box<CsvWriter<BufWriter<NewFile>>>),
}

impl TableWriter {
    /// Begins the file `path` for rows of `schema`. The supported types are integers, 64-bit floating-point
    /// numbers, booleans, texts (plain or dictionaries) and timestamps in nanoseconds (in CSV: in UTC); in
    /// CSV also decimals.
    ///
    /// # Errors
    /// No file can be created in the folder of `path`, or a column has another type.
    pub fn create(path: &Path, schema: &Arc<Schema>, format: Format) -> Result<Self, TableError> {
        let supported = match format {
            Format::Parquet => parquet::supported,
            Format::Csv => csv::supported,
        };
        if let Some(field) = schema.fields().iter().find(|field| !supported(field.data_type())) {
            return Err(TableError::UnsupportedType {
                path: path.to_owned(),
                column: field.name().clone(),
                data_type: field.data_type().clone(),
                format,
            });
        }
        let io = |source| TableError::Io { path: path.to_owned(), source };
        let file = BufWriter::with_capacity(CHUNK, NewFile::create(path, true).map_err(io)?);
        let writer = match format {
            Format::Parquet => ParquetWriter::create(file, schema)
                .map(|writer| Writer::Parquet(Box::new(writer)))
                .map_err(|source| TableError::Parquet { path: path.to_owned(), source })?,
            Format::Csv => Writer::Csv(Box::new(CsvWriter::create(file, schema).map_err(io)?)),
        };
        Ok(TableWriter { path: path.to_owned(), schema: Arc::clone(schema), writer })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// The file cannot be written, or the batch does not match the schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        if *batch.schema_ref() != self.schema {
            let source = ArrowError::SchemaError(format!(
                "the columns are {}, but the table has {}",
                batch.schema_ref(),
                self.schema
            ));
            return Err(TableError::Arrow { path: self.path.clone(), source });
        }
        match &mut self.writer {
            Writer::Parquet(writer) => {
                writer.write(batch).map_err(|source| TableError::Parquet { path: self.path.clone(), source })
            }
            Writer::Csv(writer) => {
                writer.write(batch).map_err(|source| TableError::Io { path: self.path.clone(), source })
            }
        }
    }

    /// Writes the remaining rows and moves the file to its path, replacing an existing file.
    ///
    /// # Errors
    /// The file cannot be written or renamed.
    pub fn finish(self) -> Result<(), TableError> {
        let TableWriter { path, writer, .. } = self;
        let file = match writer {
            Writer::Parquet(writer) => {
                writer.finish().map_err(|source| TableError::Parquet { path: path.clone(), source })?
            }
            Writer::Csv(writer) => {
                writer.finish().map_err(|source| TableError::Io { path: path.clone(), source })?
            }
        };
        file.into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .and_then(NewFile::finish)
            .map_err(|source| TableError::Io { path, source })
    }
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The schema of a table with these columns. Each column may hold nulls.
pub fn schema(columns: &[(&str, ArrayRef)]) -> Arc<Schema> {
    let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// A batch of `columns` for the table at `path`.
///
/// # Errors
/// The columns do not match the schema.
pub fn batch(path: &Path, schema: &Arc<Schema>, columns: Vec<ArrayRef>) -> Result<RecordBatch, TableError> {
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|source| TableError::Arrow { path: path.to_owned(), source })
}

/// Writes one batch of named columns as a whole table.
///
/// # Errors
/// The file cannot be written, or the columns differ in length.
pub fn write_columns(path: &Path, format: Format, columns: Vec<(&str, ArrayRef)>) -> Result<(), TableError> {
    let schema = schema(&columns);
    let mut table = TableWriter::create(path, &schema, format)?;
    table.write(&batch(path, &schema, columns.into_iter().map(|(_, array)| array).collect())?)?;
    table.finish()
}

#[cfg(test)]
mod tests {
    use arrow_array::{BinaryArray, StringArray, UInt64Array};

    use super::*;

    fn columns(rows: u64) -> Vec<(&'static str, ArrayRef)> {
        vec![("pid", Arc::new(UInt64Array::from_iter_values(0..rows)))]
    }

    /// A table with these rows, not finished.
    fn begun(path: &Path, rows: u64) -> Result<TableWriter, TableError> {
        let schema = schema(&columns(0));
        let mut table = TableWriter::create(path, &schema, Format::of(path)?)?;
        let arrays = columns(rows).into_iter().map(|(_, array)| array).collect();
        table.write(&batch(path, &schema, arrays)?)?;
        Ok(table)
    }

    #[test]
    fn the_extension_chooses_the_format() {
        for format in [Format::Parquet, Format::Csv] {
            assert_eq!(Format::of(&Path::new("a.b").with_extension(format.extension())).unwrap(), format);
        }
        for name in ["a", "csv", "a.csv.gz", "a.CSV"] {
            let error = Format::of(Path::new(name)).unwrap_err();
            assert!(matches!(error, TableError::UnknownExtension { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn a_table_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        for name in ["a.csv", "a.parquet"] {
            let path = folder.path().join(name);
            std::fs::write(&path, "an earlier one").unwrap();
            drop(begun(&path, 3).unwrap());
            assert_eq!((std::fs::read(&path).unwrap().as_slice(), files()), (&b"an earlier one"[..], 1));
            begun(&path, 3).unwrap().finish().unwrap();
            assert_ne!(std::fs::read(&path).unwrap(), b"an earlier one");
            assert_eq!(files(), 1);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_table_is_as_open_as_any_other_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (table, other) = (folder.path().join("a.csv"), folder.path().join("other"));
        begun(&table, 1).unwrap().finish().unwrap();
        std::fs::write(&other, "").unwrap();
        let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(table), mode(other));
    }

    #[test]
    fn a_table_without_rows_has_its_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        TableWriter::create(&path, &schema(&columns(0)), Format::Csv).unwrap().finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "pid\n");
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let missing = begun(Path::new("no/such/folder/a.csv"), 1).unwrap_err();
        assert!(matches!(missing, TableError::Io { .. }));
        assert!(missing.to_string().starts_with("cannot write no/such/folder/a.csv: "), "{missing}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let misfit = batch(&path, &schema(&columns(0)), vec![Arc::clone(&text)]).unwrap_err();
        assert!(matches!(misfit, TableError::Arrow { .. }));

        let other = batch(&path, &schema(&[("pid", Arc::clone(&text))]), vec![text]).unwrap();
        for name in ["a.csv", "a.parquet"] {
            let refused = begun(&folder.path().join(name), 1).unwrap().write(&other).unwrap_err();
            assert!(refused.to_string().contains("the columns are"), "{refused}");
        }

        let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"a"]));
        let refused = write_columns(&path, Format::Parquet, vec![("body", bytes)]).unwrap_err();
        let message = "the column `body` of type Binary is not supported in a .parquet table";
        assert!(refused.to_string().ends_with(message), "{refused}");
    }
}
