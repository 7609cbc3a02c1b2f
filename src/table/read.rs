//! Reads columns of a table on disk, batch by batch.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Format;
use super::column::{Column, Kind, Unreadable};
use super::csv::read_csv;
use super::parquet::read_parquet;

/// Errors of reading a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file system reported an error.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// the file
        path: PathBuf,
        /// the error of the operating system
        source: std::io::Error,
    },
    /// The file is not the expected table.
    #[error("{} is not a table of a run: {reason}", path.display())]
    NotTheTable {
        /// the file
        path: PathBuf,
        /// the reason
        reason: String,
    },
    /// The table does not have a column, as if written by another version.
    #[error("{} is not a table of a run: there is no column `{column}`", path.display())]
    NoColumn {
        /// the file
        path: PathBuf,
        /// the column
        column: String,
    },
}

/// Reads the columns `wanted` of a table, in this order, batch by batch. `table` is its path without the
/// extension; the format is that of the file that exists. Returns `false` if there is none.
///
/// # Errors
/// The file exists but does not have these columns.
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
            return read.map(|()| true).map_err(|error| match error {
                Unreadable::NoColumn(column) => ReadError::NoColumn { path, column },
                Unreadable::Damaged(reason) => ReadError::NotTheTable { path, reason },
            });
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, BooleanArray, Float64Array, StringArray, UInt16Array, UInt32Array, UInt64Array,
    };

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

    /// A small table of every kind of column.
    fn small(folder: &Path, format: Format) -> (PathBuf, Vec<u8>) {
        std::fs::create_dir(folder).unwrap();
        let table = folder.join("t");
        let path = table.with_extension(format.extension());
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("ab"), None, Some("c"), Some("ab")]));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("name", names),
            ("count", Arc::new(UInt32Array::from(vec![Some(7), None, Some(0), Some(9)]))),
            ("ratio", Arc::new(Float64Array::from(vec![Some(0.25), None, Some(-1e-9), Some(2.0)]))),
            ("lost", Arc::new(BooleanArray::from(vec![true, false, true, true]))),
        ];
        write_columns(&path, format, columns).unwrap();
        (table, std::fs::read(path).unwrap())
    }

    /// Damages a file at every byte. None of it may panic; an error names the file.
    #[test]
    fn damage_at_every_byte_is_an_error_or_unseen() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = [
            ("name", Kind::Texts),
            ("count", Kind::Integers),
            ("ratio", Kind::Numbers),
            ("lost", Kind::Integers),
        ];
        for format in [Format::Parquet, Format::Csv] {
            let (table, whole) = small(&folder.path().join(format.extension()), format);
            let path = table.with_extension(format.extension());
            let mut told = 0;
            let mut read = |bytes: &[u8]| {
                std::fs::remove_file(&path).unwrap();
                std::fs::write(&path, bytes).unwrap();
                let mut rows = 0;
                if let Err(error) = read_columns(&table, &wanted, |batch| rows += batch[1].integers().len()) {
                    assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
                    told += 1;
                }
                assert!(rows <= 1 << 20, "{rows} rows");
            };
            read(&whole);
            for at in 0..whole.len() {
                read(&whole[..at]);
                for byte in [0, 1, 0x15, 0x7f, 0x80, 0xff, whole[at] ^ 1, whole[at] ^ 0x10, whole[at] ^ 0x80]
                {
                    let mut bytes = whole.clone();
                    bytes[at] = byte;
                    read(&bytes);
                    // Variable-length numbers of the headers become huge.
                    bytes.splice(at..=at, [0xfe, 0xff, 0xff, 0xff, 0x07]);
                    read(&bytes);
                }
            }
            // A byte of a text may be another, a line may be missing: half of the damage to CSV is unseen.
            assert!(told > whole.len() / 2, "only {told} errors");
        }
    }
}
