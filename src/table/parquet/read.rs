//! Reads columns of a Parquet file, row group by row group.

use std::fs::File;

use parquet::basic::{LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArrayType, DataType};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use crate::table::column::{Column, Kind, ROWS, Texts, no_column};

/// Reads the columns `wanted`, in this order, batch by batch.
pub(in crate::table) fn read_parquet(
    file: File,
    wanted: &[(&str, Kind)],
    mut take: impl FnMut(&[Column]),
) -> Result<(), String> {
    let reader = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
    let columns = reader.metadata().file_metadata().schema_descr().columns();
    let place = |(name, kind): &(&str, Kind)| {
        let place = columns.iter().position(|column| column.path().parts() == [*name]);
        let place = place.ok_or_else(|| no_column(name))?;
        match kind_of(&columns[place]) {
            Some(held) if held == *kind => Ok(place),
            _ => Err(format!("the column `{name}` holds {}", type_of(&columns[place]))),
        }
    };
    let places = wanted.iter().map(place).collect::<Result<Vec<_>, String>>()?;
    for group in 0..reader.num_row_groups() {
        reader
            .get_row_group(group)
            .and_then(|group| read_group(&*group, &places, &mut take))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn read_group(group: &dyn RowGroupReader, places: &[usize], take: &mut impl FnMut(&[Column])) -> Result<()> {
    let reader = |place: &usize| {
        let unsigned = !is_signed(group.metadata().column(*place).column_descr());
        group.get_column_reader(*place).map(|reader| (reader, unsigned))
    };
    let mut readers = places.iter().map(reader).collect::<Result<Vec<_>>>()?;
    let mut left = usize::try_from(group.metadata().num_rows())?;
    while left > 0 {
        let rows = left.min(ROWS);
        let columns = readers.iter_mut().map(|(reader, unsigned)| column(reader, *unsigned, rows));
        take(&columns.collect::<Result<Vec<_>>>()?);
        left -= rows;
    }
    Ok(())
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
