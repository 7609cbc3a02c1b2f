//! Tables on disk: batches of columns to Parquet or CSV.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use serde::Serialize;

/// The format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Apache Parquet.
    #[default]
    Parquet,
    /// Comma-separated values with a header line; a null is an empty field.
    Csv,
}

impl Format {
    /// The file name extension.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::Csv => "csv",
        }
    }
}

/// Why a table cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file system refused.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// the file
        path: PathBuf,
        /// what it said
        source: std::io::Error,
    },
    /// The Parquet writer refused.
    #[error("cannot write {}: {source}", path.display())]
    Parquet {
        /// the file
        path: PathBuf,
        /// what it said
        source: parquet::errors::ParquetError,
    },
    /// The columns do not make a table, or the CSV writer refused.
    #[error("cannot write {}: {source}", path.display())]
    Arrow {
        /// the file
        path: PathBuf,
        /// what it said
        source: arrow_schema::ArrowError,
    },
}

/// A table being written.
pub struct TableWriter {
    path: PathBuf,
    writer: Writer,
}

enum Writer {
    Parquet(Box<ArrowWriter<BufWriter<File>>>),
    Csv(Box<arrow_csv::Writer<BufWriter<File>>>),
}

impl TableWriter {
    /// Creates the file `path` for rows of `schema`.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(path: &Path, schema: &Arc<Schema>, format: Format) -> Result<Self, TableError> {
        let file = File::create(path).map_err(|source| TableError::Io { path: path.to_owned(), source })?;
        let file = BufWriter::with_capacity(1 << 16, file);
        let writer = match format {
            Format::Parquet => ArrowWriter::try_new(file, Arc::clone(schema), Some(properties(schema)))
                .map(|writer| Writer::Parquet(Box::new(writer)))
                .map_err(|source| TableError::Parquet { path: path.to_owned(), source })?,
            Format::Csv => {
                Writer::Csv(Box::new(arrow_csv::WriterBuilder::new().with_header(true).build(file)))
            }
        };
        Ok(TableWriter { path: path.to_owned(), writer })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// The disk is full, or the batch is not of the schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        match &mut self.writer {
            Writer::Parquet(writer) => {
                writer.write(batch).map_err(|source| TableError::Parquet { path: self.path.clone(), source })
            }
            Writer::Csv(writer) => {
                writer.write(batch).map_err(|source| TableError::Arrow { path: self.path.clone(), source })
            }
        }
    }

    /// Writes what is left and closes the file.
    ///
    /// # Errors
    /// The disk is full.
    pub fn finish(self) -> Result<(), TableError> {
        let TableWriter { path, writer } = self;
        let file = match writer {
            Writer::Parquet(writer) => {
                writer.into_inner().map_err(|source| TableError::Parquet { path: path.clone(), source })?
            }
            Writer::Csv(writer) => writer.into_inner(),
        };
        let mut file = file;
        file.flush().map_err(|source| TableError::Io { path, source })
    }
}

/// Counts and instants grow slowly from row to row, which delta encoding stores in few bits; names are dictionaries.
fn properties(schema: &Schema) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_dictionary_enabled(false);
    for field in schema.fields() {
        let column = ColumnPath::from(field.name().as_str());
        let data_type = field.data_type();
        if data_type.is_integer() || matches!(data_type, DataType::Timestamp(..)) {
            properties = properties.set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        } else if !data_type.is_floating() && !matches!(data_type, DataType::Boolean) {
            properties = properties.set_column_dictionary_enabled(column, true);
        }
    }
    properties.build()
}

/// A batch of `columns` for the table at `path`.
///
/// # Errors
/// The columns do not fit the schema.
pub fn batch(
    path: &Path,
    schema: &Arc<Schema>,
    columns: Vec<arrow_array::ArrayRef>,
) -> Result<RecordBatch, TableError> {
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|source| TableError::Arrow { path: path.to_owned(), source })
}
