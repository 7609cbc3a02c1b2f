//! Columns of a table on disk, read back batch by batch.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use indexmap::IndexMap;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Format;

/// Rows of a batch.
const ROWS: usize = 1 << 15;

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// the file
        path: PathBuf,
        /// what it said
        source: std::io::Error,
    },
    /// It is not the table that it should be.
    #[error("{} is not the table that a run writes: {reason}", path.display())]
    NotTheTable {
        /// the file
        path: PathBuf,
        /// why
        reason: String,
    },
}

/// The values of a column in a batch `[rows]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Whole numbers: of 64 bits, with or without a sign.
    Integers(Vec<Option<i128>>),
    /// Numbers.
    Numbers(Vec<Option<f64>>),
    /// Texts: the place of each in a list.
    Texts(Vec<Option<u32>>, Vec<String>),
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers, or truth as 0 and 1.
    Integers,
    /// Numbers.
    Numbers,
    /// Texts.
    Texts,
}

impl Column {
    /// The whole numbers; none of another column.
    pub fn integers(&self) -> &[Option<i128>] {
        if let Column::Integers(values) = self { values } else { &[] }
    }

    /// The numbers; none of another column.
    pub fn numbers(&self) -> &[Option<f64>] {
        if let Column::Numbers(values) = self { values } else { &[] }
    }

    /// The text of a row.
    pub fn text(&self, row: usize) -> Option<&str> {
        match self {
            Column::Texts(keys, names) => Some(names.get((*keys.get(row)?)? as usize)?),
            _ => None,
        }
    }
}

/// Reads the columns `wanted` of a table, in this order, batch by batch. `table` is its path without the extension:
/// whichever format is there is read; `false` when none is.
///
/// # Errors
/// A file is there, and has not these columns.
pub fn read_columns(
    table: &Path,
    wanted: &[(&str, Kind)],
    take: impl FnMut(&[Column]),
) -> Result<bool, ReadError> {
    let path = |format: Format| table.with_extension(format.extension());
    for format in [Format::Parquet, Format::Csv] {
        let path = path(format);
        if path.is_file() {
            let file = File::open(&path).map_err(|source| ReadError::Io { path: path.clone(), source })?;
            let read = match format {
                Format::Parquet => read_parquet(file, wanted, take),
                Format::Csv => read_csv(file, wanted, take),
            };
            return read.map(|()| true).map_err(|reason| ReadError::NotTheTable { path, reason });
        }
    }
    Ok(false)
}

fn no_column(name: &str) -> String {
    format!("there is no column `{name}`")
}

fn read_parquet(file: File, wanted: &[(&str, Kind)], mut take: impl FnMut(&[Column])) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| told(&error))?;
    for (name, _) in wanted {
        builder.schema().field_with_name(name).map_err(|_| no_column(name))?;
    }
    let names = wanted.iter().map(|(name, _)| *name);
    let mask = ProjectionMask::columns(builder.parquet_schema(), names);
    let reader = builder.with_projection(mask).with_batch_size(ROWS).build().map_err(|error| told(&error))?;
    for batch in reader {
        let batch = batch.map_err(|error| told(&error))?;
        let column = |(name, kind): &(&str, Kind)| {
            let array = batch.column_by_name(name).ok_or_else(|| no_column(name))?;
            decoded(array, *kind).ok_or_else(|| format!("the column `{name}` holds {}", array.data_type()))
        };
        take(&wanted.iter().map(column).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(())
}

/// The values of an array.
fn decoded(array: &ArrayRef, kind: Kind) -> Option<Column> {
    macro_rules! integers {
        ($($of:ty),+) => {$(
            if let Some(values) = array.as_primitive_opt::<$of>() {
                return Some(Column::Integers(values.iter().map(|value| value.map(i128::from)).collect()));
            }
        )+};
    }
    match kind {
        Kind::Integers => {
            integers!(UInt64Type, Int64Type, UInt32Type, UInt16Type, UInt8Type);
            let truths = array.as_boolean_opt()?;
            Some(Column::Integers(truths.iter().map(|value| value.map(i128::from)).collect()))
        }
        Kind::Numbers => Some(Column::Numbers(array.as_primitive_opt::<Float64Type>()?.iter().collect())),
        Kind::Texts => {
            if let Some(dictionary) = array.as_any_dictionary_opt() {
                let names = dictionary.values().as_string_opt::<i32>()?;
                // A dictionary without names has nulls only.
                let keys: Vec<Option<u32>> = if names.is_empty() {
                    vec![None; array.len()]
                } else {
                    let keys = dictionary.normalized_keys();
                    let key = |(row, key): (usize, usize)| array.is_valid(row).then_some(key as u32);
                    keys.into_iter().enumerate().map(key).collect()
                };
                let names = names.iter().map(|name| name.unwrap_or_default().to_owned());
                return Some(Column::Texts(keys, names.collect()));
            }
            let mut texts = Texts::default();
            array.as_string_opt::<i32>()?.iter().for_each(|text| texts.push(text));
            Some(texts.column())
        }
    }
}

/// A column of texts in the making.
#[derive(Default)]
struct Texts {
    keys: Vec<Option<u32>>,
    names: IndexMap<String, ()>,
}

impl Texts {
    fn push(&mut self, text: Option<&str>) {
        let key = text.map(|text| match self.names.get_index_of(text) {
            Some(place) => place as u32,
            None => self.names.insert_full(text.to_owned(), ()).0 as u32,
        });
        self.keys.push(key);
    }

    fn column(&mut self) -> Column {
        let names = std::mem::take(&mut self.names).into_keys().collect();
        Column::Texts(std::mem::take(&mut self.keys), names)
    }
}

/// A column of a CSV file in the making; an empty field is a null.
enum Cells {
    Integers(Vec<Option<i128>>),
    Numbers(Vec<Option<f64>>),
    Texts(Texts),
}

impl Cells {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Integers => Cells::Integers(Vec::new()),
            Kind::Numbers => Cells::Numbers(Vec::new()),
            Kind::Texts => Cells::Texts(Texts::default()),
        }
    }

    fn push(&mut self, cell: &str) -> Result<(), String> {
        let cell = Some(cell).filter(|cell| !cell.is_empty());
        let wrong = || format!("`{}` is no number", cell.unwrap_or_default());
        match self {
            Cells::Integers(values) => values.push(match cell {
                Some("true") => Some(1),
                Some("false") => Some(0),
                Some(cell) => Some(cell.parse().map_err(|_| wrong())?),
                None => None,
            }),
            Cells::Numbers(values) => {
                values.push(cell.map(str::parse).transpose().map_err(|_| wrong())?);
            }
            Cells::Texts(texts) => texts.push(cell),
        }
        Ok(())
    }

    fn column(&mut self) -> Column {
        match self {
            Cells::Integers(values) => Column::Integers(std::mem::take(values)),
            Cells::Numbers(values) => Column::Numbers(std::mem::take(values)),
            Cells::Texts(texts) => texts.column(),
        }
    }
}

fn read_csv(file: File, wanted: &[(&str, Kind)], mut take: impl FnMut(&[Column])) -> Result<(), String> {
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().map_err(|error| error.to_string())?;
    let place = |name: &str| header.iter().position(|field| field == name).ok_or_else(|| no_column(name));
    let places = wanted.iter().map(|(name, _)| place(name)).collect::<Result<Vec<_>, _>>()?;
    let mut cells: Vec<Cells> = wanted.iter().map(|(_, kind)| Cells::new(*kind)).collect();
    let mut record = csv::StringRecord::new();
    let mut rows = 0;
    let mut give = |cells: &mut Vec<Cells>| take(&cells.iter_mut().map(Cells::column).collect::<Vec<_>>());
    while reader.read_record(&mut record).map_err(|error| error.to_string())? {
        for (cells, place) in cells.iter_mut().zip(&places) {
            cells.push(record.get(*place).unwrap_or_default())?;
        }
        rows += 1;
        if rows % ROWS == 0 {
            give(&mut cells);
        }
    }
    if rows % ROWS != 0 {
        give(&mut cells);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{BooleanArray, Float64Array, StringArray, UInt16Array, UInt32Array, UInt64Array};

    use super::*;
    use crate::table::write_columns;

    #[test]
    fn what_was_written_is_read_back_from_either_format() {
        let folder = tempfile::tempdir().unwrap();
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a,\"b"), None, Some("c")]));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("name", names),
            ("count", Arc::new(UInt32Array::from(vec![Some(7), None, Some(0)]))),
            // 213 days of picoseconds, beyond 2^63.
            ("time", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0)]))),
            ("port", Arc::new(UInt16Array::from(vec![1, 2, 3]))),
            ("ratio", Arc::new(Float64Array::from(vec![Some(0.25), None, Some(-1e-9)]))),
            ("lost", Arc::new(BooleanArray::from(vec![true, false, true]))),
        ];
        let wanted = [
            ("lost", Kind::Integers),
            ("ratio", Kind::Numbers),
            ("name", Kind::Texts),
            ("count", Kind::Integers),
            ("time", Kind::Integers),
        ];
        for format in [Format::Parquet, Format::Csv] {
            let table = folder.path().join(format.extension());
            write_columns(&table.with_extension(format.extension()), format, columns.clone()).unwrap();
            let mut batches = Vec::new();
            assert!(read_columns(&table, &wanted, |batch| batches.push(batch.to_vec())).unwrap());
            let [batch] = &batches[..] else { panic!("{batches:?}") };
            assert_eq!(batch[0].integers(), [Some(1), Some(0), Some(1)]);
            assert_eq!(batch[1].numbers(), [Some(0.25), None, Some(-1e-9)]);
            assert_eq!([0, 1, 2].map(|row| batch[2].text(row)), [Some("a,\"b"), None, Some("c")]);
            assert_eq!(batch[3].integers(), [Some(7), None, Some(0)]);
            assert_eq!(batch[4].integers(), [Some(u64::MAX.into()), None, Some(0)]);
            let error = read_columns(&table, &[("nobody", Kind::Texts)], |_| ()).unwrap_err();
            assert!(error.to_string().ends_with("there is no column `nobody`"), "{error}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_read_and_what_is_no_table_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("t");
        assert!(!read_columns(&table, &[], |_| ()).unwrap());
        std::fs::write(table.with_extension("parquet"), "no table").unwrap();
        let error = read_columns(&table, &[("a", Kind::Texts)], |_| ()).unwrap_err();
        assert!(matches!(error, ReadError::NotTheTable { .. }), "{error}");
    }
}
