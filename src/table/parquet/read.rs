//! Reads columns of a Parquet file, row group by row group.
//!
//! On a damaged file the crate `parquet` can panic, or reserve memory for a count that the file claims. Every
//! call is therefore [contained](crate::foreign), and [`Bounded`] and [`Checked`] reject counts that exceed
//! the bytes that are there.

use std::fs::File;
use std::io::BufReader;

use bytes::Bytes;
use parquet::basic::{Encoding, LogicalType, Type as Physical};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{ByteArrayType, DataType};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, FileReader, Length, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use crate::foreign::contain_result;
use crate::table::column::{Column, Kind, ROWS, Texts, Unreadable};

/// Reads the columns `wanted`, in this order, batch by batch.
pub(in crate::table) fn read_parquet(
    file: File,
    wanted: &[(&str, Kind)],
    mut take: impl FnMut(&[Column]),
) -> Result<(), Unreadable> {
    let reader = contain_result(|| SerializedFileReader::new(Bounded::new(file)?))?;
    let columns = reader.metadata().file_metadata().schema_descr().columns();
    let place = |(name, kind): &(&str, Kind)| {
        let place = columns.iter().position(|column| column.path().parts() == [*name]);
        let place = place.ok_or_else(|| Unreadable::NoColumn((*name).to_owned()))?;
        match kind_of(&columns[place]) {
            Some(held) if held == *kind => Ok(place),
            _ => Err(format!("the column `{name}` holds {}", type_of(&columns[place])).into()),
        }
    };
    let places = wanted.iter().map(place).collect::<Result<Vec<_>, Unreadable>>()?;
    for group in 0..reader.num_row_groups() {
        let damaged = |reason| format!("row group {group} is damaged: {reason}");
        let mut group =
            contain_result(|| reader.get_row_group(group).and_then(|group| Group::open(&*group, &places)))
                .map_err(damaged)?;
        while group.left > 0 {
            take(&contain_result(|| group.next()).map_err(damaged)?);
        }
    }
    Ok(())
}

/// The wanted columns of a row group.
struct Group {
    /// Each with whether its integers are unsigned.
    readers: Vec<(ColumnReader, bool)>,
    /// Rows that were not read yet.
    left: usize,
}

impl Group {
    fn open(group: &dyn RowGroupReader, places: &[usize]) -> Result<Self> {
        let reader = |place: &usize| {
            let column = group.metadata().column(*place).column_descr_ptr();
            let unsigned = !is_signed(&column);
            let pages = Checked(group.get_column_page_reader(*place)?);
            Ok((get_column_reader(column, Box::new(pages)), unsigned))
        };
        let readers = places.iter().map(reader).collect::<Result<Vec<_>>>()?;
        Ok(Group { readers, left: usize::try_from(group.metadata().num_rows())? })
    }

    /// The next rows, at most [`ROWS`].
    fn next(&mut self) -> Result<Vec<Column>> {
        let rows = self.left.min(ROWS);
        self.left -= rows;
        self.readers.iter_mut().map(|(reader, unsigned)| column(reader, *unsigned, rows)).collect()
    }
}

/// A file that is asked for no more bytes than it has.
struct Bounded {
    file: File,
    length: u64,
}

impl Bounded {
    fn new(file: File) -> Result<Self> {
        let length = file.metadata()?.len();
        Ok(Bounded { file, length })
    }
}

impl Length for Bounded {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Bounded {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        match start.checked_add(length as u64) {
            Some(end) if end <= self.length => self.file.get_bytes(start, length),
            _ => Err(ParquetError::EOF(format!(
                "{length} bytes are claimed at byte {start}, but the file has {}",
                self.length
            ))),
        }
    }
}

/// Pages whose counts fit their bytes. A column reader reserves memory for all values of a dictionary, and, in
/// two encodings that taunet does not write, for all lengths of texts.
struct Checked(Box<dyn PageReader>);

impl PageReader for Checked {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.0.get_next_page()?;
        match &page {
            Some(Page::DictionaryPage { buf, num_values, .. }) if *num_values as usize > buf.len() => {
                let reason = format!("a dictionary of {num_values} values has only {} bytes", buf.len());
                Err(ParquetError::General(reason))
            }
            Some(page)
                if matches!(
                    page.encoding(),
                    Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY
                ) =>
            {
                let reason = format!(
                    "the encoding {} is not supported: write texts as PLAIN or with a dictionary",
                    page.encoding()
                );
                Err(ParquetError::NYI(reason))
            }
            _ => Ok(page),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.0.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.0.skip_next_page()
    }
}

impl Iterator for Checked {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

/// The next `rows` values of a column whose [`kind_of`] is known.
fn column(reader: &mut ColumnReader, unsigned: bool, rows: usize) -> Result<Column> {
    Ok(match reader {
        ColumnReader::BoolColumnReader(reader) => Column::Integers(values(reader, rows, i128::from)?),
        ColumnReader::Int32ColumnReader(reader) if unsigned => {
            Column::Integers(values(reader, rows, |value| value.cast_unsigned().into())?)
        }
        ColumnReader::Int64ColumnReader(reader) if unsigned => {
            Column::Integers(values(reader, rows, |value| value.cast_unsigned().into())?)
        }
        ColumnReader::Int32ColumnReader(reader) => Column::Integers(values(reader, rows, i128::from)?),
        ColumnReader::Int64ColumnReader(reader) => Column::Integers(values(reader, rows, i128::from)?),
        ColumnReader::DoubleColumnReader(reader) => Column::Numbers(values(reader, rows, |value| value)?),
        ColumnReader::ByteArrayColumnReader(reader) => {
            let mut texts = Texts::default();
            for value in values::<ByteArrayType, _>(reader, rows, |value| value)? {
                texts.push(value.as_ref().map(|value| value.as_utf8()).transpose()?);
            }
            texts.column()
        }
        _ => return Err(ParquetError::General("a column of another type".to_owned())),
    })
}

/// The next `rows` values, converted by `value`.
fn values<T: DataType, V>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    value: impl Fn(T::T) -> V,
) -> Result<Vec<Option<V>>> {
    let (mut levels, mut present) = (Vec::new(), Vec::new());
    let (read, ..) = reader.read_records(rows, Some(&mut levels), None, &mut present)?;
    if read < rows {
        return Err(ParquetError::EOF(format!("a column ends {} rows before its row group", rows - read)));
    }
    let mut present = present.into_iter().map(value);
    Ok(if levels.is_empty() {
        present.map(Some).collect()
    } else {
        levels.into_iter().map(|level| if level > 0 { present.next() } else { None }).collect()
    })
}

/// The kind of a column; `None` if it is not supported.
fn kind_of(column: &ColumnDescriptor) -> Option<Kind> {
    if column.max_rep_level() > 0 {
        return None;
    }
    match (column.physical_type(), column.logical_type_ref()) {
        (Physical::BOOLEAN, _) => Some(Kind::Integers),
        (Physical::INT32 | Physical::INT64, None | Some(LogicalType::Integer(_))) => Some(Kind::Integers),
        (Physical::DOUBLE, _) => Some(Kind::Numbers),
        (Physical::BYTE_ARRAY, Some(LogicalType::String)) => Some(Kind::Texts),
        _ => None,
    }
}

/// Whether the integers of a column are signed.
fn is_signed(column: &ColumnDescriptor) -> bool {
    !matches!(column.logical_type_ref(), Some(LogicalType::Integer(integer)) if !integer.is_signed)
}

/// The type of a column, as text.
fn type_of(column: &ColumnDescriptor) -> String {
    match column.logical_type_ref() {
        Some(logical) => format!("{logical:?}"),
        None => column.physical_type().to_string(),
    }
}
