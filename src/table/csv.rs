//! Tables as comma-separated values with a header line. A null is an empty field. A text that a spreadsheet
//! would take for a formula has an apostrophe before it (`table/formula.rs`).

use std::fs::File;
use std::io::{self, Write};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema, TimeUnit};
use chrono::{DateTime, SecondsFormat};
use csv::{StringRecord, Writer};

use super::column::{Column, Kind, ROWS, Texts, Unreadable};
use super::formula;
use crate::limits::Rows;

/// Writes a CSV file.
pub(super) struct CsvWriter<W: Write> {
    writer: Writer<W>,
}

impl<W: Write> CsvWriter<W> {
    /// Begins a file for rows of `schema`, whose types are [`supported`], and writes its header.
    pub(super) fn create(file: W, schema: &Schema) -> io::Result<Self> {
        let mut writer = Writer::from_writer(file);
        writer.write_record(schema.fields().iter().map(|field| field.name()))?;
        Ok(CsvWriter { writer })
    }

    /// Appends the rows of a batch of this schema.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let columns = batch.columns().iter().map(|column| (column.logical_nulls(), cells(column)));
        let columns: Vec<_> = columns.collect();
        let mut cell = Vec::new();
        for row in 0..batch.num_rows() {
            for (nulls, write) in &columns {
                cell.clear();
                if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                    write(row, &mut cell);
                }
                self.writer.write_field(&cell)?;
            }
            self.writer.write_record(None::<&[u8]>)?;
        }
        self.writer.flush()
    }

    /// Returns the file.
    pub(super) fn finish(self) -> io::Result<W> {
        self.writer.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// Whether a column of this type can be written.
pub(super) fn supported(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean | DataType::Float64 | DataType::Utf8 | DataType::Decimal128(_, 0..) => true,
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => zone.as_deref().is_some_and(is_utc),
        DataType::Dictionary(_, values) => **values == DataType::Utf8,
        integer => integer.is_integer(),
    }
}

fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "+00:00")
}

/// Writes the value of a row.
type Cells<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

fn cells(array: &dyn Array) -> Cells<'_> {
    match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean();
            Box::new(|row, cell| cell.extend_from_slice(if values.value(row) { b"true" } else { b"false" }))
        }
        DataType::Int8 => integers::<Int8Type>(array),
        DataType::Int16 => integers::<Int16Type>(array),
        DataType::Int32 => integers::<Int32Type>(array),
        DataType::Int64 => integers::<Int64Type>(array),
        DataType::UInt8 => integers::<UInt8Type>(array),
        DataType::UInt16 => integers::<UInt16Type>(array),
        DataType::UInt32 => integers::<UInt32Type>(array),
        DataType::UInt64 => integers::<UInt64Type>(array),
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values();
            Box::new(|row, cell| cell.extend_from_slice(ryu::Buffer::new().format(values[row]).as_bytes()))
        }
        DataType::Decimal128(_, scale) => decimals(array, scale.unsigned_abs().into()),
        DataType::Timestamp(..) => {
            let values = array.as_primitive::<TimestampNanosecondType>().values();
            Box::new(|row, cell| {
                let instant = DateTime::from_timestamp_nanos(values[row]);
                cell.extend_from_slice(instant.to_rfc3339_opts(SecondsFormat::AutoSi, true).as_bytes());
            })
        }
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            Box::new(|row, cell| cell.extend_from_slice(formula::guarded(values.value(row)).as_bytes()))
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let names = dictionary.values().as_string::<i32>();
            let keys = if names.is_empty() { Vec::new() } else { dictionary.normalized_keys() };
            Box::new(move |row, cell| {
                cell.extend_from_slice(formula::guarded(names.value(keys[row])).as_bytes())
            })
        }
        other => unreachable!("a table with a column of {other} is not begun"),
    }
}

fn integers<T: ArrowPrimitiveType<Native: itoa::Integer>>(array: &dyn Array) -> Cells<'_> {
    let values = array.as_primitive::<T>().values();
    Box::new(|row, cell| cell.extend_from_slice(itoa::Buffer::new().format(values[row]).as_bytes()))
}

/// Decimals with `digits` digits after the point.
fn decimals(array: &dyn Array, digits: usize) -> Cells<'_> {
    let values = array.as_primitive::<Decimal128Type>().values();
    let one = 10_u128.pow(digits as u32);
    Box::new(move |row, cell| {
        let (value, mut buffer) = (values[row], itoa::Buffer::new());
        if value < 0 {
            cell.push(b'-');
        }
        cell.extend_from_slice(buffer.format(value.unsigned_abs() / one).as_bytes());
        if digits > 0 {
            let fraction = buffer.format(value.unsigned_abs() % one).as_bytes();
            cell.push(b'.');
            cell.resize(cell.len() + digits - fraction.len(), b'0');
            cell.extend_from_slice(fraction);
        }
    })
}

/// A column under construction. An empty field is a null.
enum Values {
    Integers(Vec<Option<i128>>),
    Numbers(Vec<Option<f64>>),
    Texts(Texts),
}

impl Values {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Integers => Values::Integers(Vec::new()),
            Kind::Numbers => Values::Numbers(Vec::new()),
            Kind::Texts => Values::Texts(Texts::default()),
        }
    }

    fn push(&mut self, cell: &str) -> Result<(), String> {
        let cell = Some(cell).filter(|cell| !cell.is_empty());
        let wrong = || format!("`{}` is not a number", cell.unwrap_or_default());
        match self {
            Values::Integers(values) => values.push(match cell {
                Some("true") => Some(1),
                Some("false") => Some(0),
                Some(cell) => Some(cell.parse().map_err(|_| wrong())?),
                None => None,
            }),
            Values::Numbers(values) => {
                values.push(cell.map(str::parse).transpose().map_err(|_| wrong())?);
            }
            Values::Texts(texts) => texts.push(cell.map(formula::unguarded)),
        }
        Ok(())
    }

    fn column(&mut self) -> Column {
        match self {
            Values::Integers(values) => Column::Integers(std::mem::take(values)),
            Values::Numbers(values) => Column::Numbers(std::mem::take(values)),
            Values::Texts(texts) => texts.column(),
        }
    }
}

/// Reads the columns `wanted`, in this order, batch by batch.
pub(super) fn read_csv(
    file: File,
    wanted: &[(&str, Kind)],
    mut take: impl FnMut(&[Column]),
) -> Result<(), Unreadable> {
    let file = Rows::of(file).map_err(|error| error.to_string())?;
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().map_err(|error| error.to_string())?;
    let place = |name: &str| {
        let place = header.iter().position(|field| field == name);
        place.ok_or_else(|| Unreadable::NoColumn(name.to_owned()))
    };
    let places = wanted.iter().map(|(name, _)| place(name)).collect::<Result<Vec<_>, _>>()?;
    let mut cells: Vec<Values> = wanted.iter().map(|(_, kind)| Values::new(*kind)).collect();
    let mut record = StringRecord::new();
    let mut rows = 0;
    let mut give = |cells: &mut Vec<Values>| take(&cells.iter_mut().map(Values::column).collect::<Vec<_>>());
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

    use arrow_array::types::UInt32Type;
    use arrow_array::{
        ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Float64Array, Int64Array, StringArray,
        TimestampNanosecondArray, UInt8Array,
    };
    use arrow_schema::Field;

    use super::*;

    fn written(columns: Vec<ArrayRef>) -> String {
        let field = |(place, column): (usize, &ArrayRef)| {
            assert!(supported(column.data_type()));
            Field::new(format!("c{place}"), column.data_type().clone(), true)
        };
        let schema = Arc::new(Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>()));
        let mut writer = CsvWriter::create(Vec::new(), &schema).unwrap();
        writer.write(&RecordBatch::try_new(schema, columns).unwrap()).unwrap();
        String::from_utf8(writer.finish().unwrap()).unwrap()
    }

    #[test]
    fn every_type_has_its_text() {
        let instants = TimestampNanosecondArray::from(vec![Some(1_700_000_000_000_000_000), None, Some(-1)]);
        let decimals = Decimal128Array::from(vec![Some(-1), None, Some(12_000_000_034)]);
        let names: DictionaryArray<UInt32Type> = [Some("b"), None, Some("say \"b\"")].into_iter().collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
            Arc::new(UInt8Array::from(vec![Some(0), None, Some(255)])),
            Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
            Arc::new(Float64Array::from(vec![Some(1.0), None, Some(-2.5e-9)])),
            Arc::new(StringArray::from(vec![Some("a,b"), None, Some("")])),
            Arc::new(instants.with_timezone("+00:00")),
            Arc::new(decimals.with_data_type(DataType::Decimal128(38, 9))),
            Arc::new(names),
        ];
        let rows = [
            "c0,c1,c2,c3,c4,c5,c6,c7",
            "true,0,-9223372036854775808,1.0,\"a,b\",2023-11-14T22:13:20Z,-0.000000001,b",
            ",,,,,,,",
            "false,255,9223372036854775807,-2.5e-9,,1969-12-31T23:59:59.999999999Z,12.000000034,\"say \"\"b\"\"\"",
        ];
        assert_eq!(written(columns), rows.join("\n") + "\n");
    }

    #[test]
    fn numbers_that_are_large_or_none_have_their_text() {
        let numbers = [1e15, 1e16, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1 + 0.2, -0.0];
        let text = "c0\n1000000000000000.0\n1e16\n1e300\nNaN\ninf\n-inf\n0.30000000000000004\n-0.0\n";
        assert_eq!(written(vec![Arc::new(Float64Array::from(numbers.to_vec()))]), text);
    }

    #[test]
    fn names_are_no_formulas_and_numbers_stay() {
        let names = ["=1+2", "-r1", "r1"];
        let dictionary: DictionaryArray<UInt32Type> = names.into_iter().collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(names.to_vec())),
            Arc::new(dictionary),
            Arc::new(Int64Array::from(vec![-1, 0, 1])),
            Arc::new(Float64Array::from(vec![-1.0, 0.0, 1.0])),
        ];
        assert_eq!(written(columns), "c0,c1,c2,c3\n'=1+2,'=1+2,-1,-1.0\n'-r1,'-r1,0,0.0\nr1,r1,1,1.0\n");
    }

    #[test]
    fn a_row_of_one_empty_field_is_no_empty_line() {
        assert_eq!(written(vec![Arc::new(StringArray::from(vec![None, Some("a")]))]), "c0\n\"\"\na\n");
    }

    #[test]
    fn a_dictionary_without_names_has_nulls_only() {
        let names: DictionaryArray<UInt32Type> = [None::<&str>, None].into_iter().collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(names), Arc::new(UInt8Array::from(vec![1, 2]))];
        assert_eq!(written(columns), "c0,c1\n,1\n,2\n");
    }

    #[test]
    fn what_has_no_text_is_not_supported() {
        for data_type in [
            DataType::Binary,
            DataType::Float32,
            DataType::Decimal128(38, -2),
            DataType::Timestamp(TimeUnit::Nanosecond, Some("+02:00".into())),
        ] {
            assert!(!supported(&data_type), "{data_type}");
        }
    }
}
