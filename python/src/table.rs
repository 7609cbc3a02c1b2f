//! Tables in memory, as streams of the Arrow C data interface.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::ffi::FFI_ArrowSchema;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchIterator};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyList};
use taunet::table::MemoryTable;

use crate::failure::{Failure, guarded};

/// The key of a column's unit in the metadata of its field.
const UNIT: &str = "unit";

/// A table in memory: columns of one length, in batches.
#[pyclass(frozen, module = "taunet._taunet")]
pub struct Table {
    schema: Arc<Schema>,
    batches: Vec<RecordBatch>,
}

impl Table {
    /// A table of the library, with the units of its columns.
    ///
    /// # Errors
    /// The batches do not have the table's columns.
    pub fn new(table: MemoryTable) -> Result<Self, Failure> {
        let fields = table.schema.fields().iter().map(|field| with_unit(field));
        let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), table.schema.metadata().clone());
        let schema = Arc::new(schema);
        let batches = table.batches.iter().filter(|batch| batch.num_rows() > 0);
        let batches =
            batches.map(|batch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()));
        let batches = batches.collect::<Result<_, _>>().map_err(|error| Failure::Fault(error.to_string()))?;
        Ok(Table { schema, batches })
    }

    /// The table as the library has it.
    pub fn memory(&self) -> MemoryTable {
        MemoryTable { schema: Arc::clone(&self.schema), batches: self.batches.clone() }
    }

    fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    fn index(&self, name: &str) -> PyResult<usize> {
        self.schema.index_of(name).map_err(|_| PyKeyError::new_err(name.to_owned()))
    }
}

/// The unit of a column, by the end of its name, as the documentation of the tables says.
fn unit(name: &str, data_type: &DataType) -> Option<&'static str> {
    const BY_NAME: [(&str, &str); 3] = [("pkt_len", "B"), ("offset", "8 B"), ("timestamp", "ns")];
    const BY_END: [(&str, &str); 9] = [
        ("_per_s", "1/s"),
        ("_bps", "bit/s"),
        ("_bytes", "B"),
        ("_ps", "ps"),
        ("_us", "us"),
        ("_ns", "ns"),
        ("_packets", "packets"),
        ("_segments", "segments"),
        ("_s", "s"),
    ];
    if let DataType::Timestamp(TimeUnit::Nanosecond, _) = data_type {
        return Some("ns");
    }
    let by_name = BY_NAME.iter().find(|(known, _)| *known == name);
    let found = by_name.or(BY_END.iter().find(|(end, _)| name.ends_with(end)));
    found.map(|(_, unit)| *unit).filter(|_| data_type.is_numeric())
}

fn with_unit(field: &Field) -> Field {
    let mut metadata: HashMap<String, String> = field.metadata().clone();
    if let Some(unit) = unit(field.name(), field.data_type()) {
        metadata.entry(UNIT.to_owned()).or_insert_with(|| unit.to_owned());
    }
    field.clone().with_metadata(metadata)
}

/// The type of a column's bytes, in the words of NumPy.
fn numpy_type(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::UInt8 => "|u1",
        DataType::UInt16 => "<u2",
        DataType::UInt32 => "<u4",
        DataType::UInt64 => "<u8",
        DataType::Int8 => "|i1",
        DataType::Int16 => "<i2",
        DataType::Int32 => "<i4",
        DataType::Int64 => "<i8",
        DataType::Float32 => "<f4",
        DataType::Float64 => "<f8",
        DataType::Timestamp(TimeUnit::Nanosecond, _) => "<M8[ns]",
        _ => return None,
    })
}

#[pymethods]
impl Table {
    /// The number of rows.
    fn __len__(&self) -> usize {
        self.rows()
    }

    /// The names of the columns.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The units of the columns that have one.
    #[getter]
    fn units(&self) -> HashMap<String, String> {
        let unit = |field: &Arc<Field>| Some((field.name().clone(), field.metadata().get(UNIT)?.clone()));
        self.schema.fields().iter().filter_map(unit).collect()
    }

    /// The metadata of the table.
    #[getter]
    fn metadata(&self) -> HashMap<String, String> {
        self.schema.metadata().clone()
    }

    /// A capsule with an `ArrowSchema`.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = FFI_ArrowSchema::try_from(&*self.schema);
        let schema = schema.map_err(|error| Failure::Fault(error.to_string()))?;
        PyCapsule::new_with_value(py, schema, c"arrow_schema")
    }

    /// A capsule with an `ArrowArrayStream`. The table's own types are given, whatever schema is requested.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // The interface allows a producer to ignore it.
        drop(requested_schema);
        let batches = self.batches.clone().into_iter().map(Ok);
        let reader = RecordBatchIterator::new(batches, Arc::clone(&self.schema));
        PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(Box::new(reader)), c"arrow_array_stream")
    }

    /// Some rows, without a copy.
    fn slice(&self, offset: usize, length: usize) -> Table {
        let (mut skip, mut left) = (offset, length);
        let mut batches = Vec::new();
        for batch in &self.batches {
            let begin = skip.min(batch.num_rows());
            let taken = left.min(batch.num_rows() - begin);
            skip -= begin;
            left -= taken;
            if taken > 0 {
                batches.push(batch.slice(begin, taken));
            }
        }
        Table { schema: Arc::clone(&self.schema), batches }
    }

    /// Some columns, without a copy.
    fn select(&self, names: Vec<String>) -> PyResult<Table> {
        let places = names.iter().map(|name| self.index(name)).collect::<PyResult<Vec<_>>>()?;
        let fault = |error: arrow_schema::ArrowError| PyErr::from(Failure::Fault(error.to_string()));
        let schema = self.schema.project(&places).map_err(fault)?;
        let batches = self.batches.iter().map(|batch| batch.project(&places));
        let batches = batches.collect::<Result<Vec<_>, _>>().map_err(fault)?;
        Ok(Table { schema: Arc::new(schema), batches })
    }

    /// A column of numbers as `(bytes, type of NumPy, a byte per row that is 0 where there is no value)`; the last
    /// is none where no value is missing. None for a column of texts or truth values.
    #[allow(clippy::type_complexity)]
    fn numbers<'py>(
        &self,
        py: Python<'py>,
        name: &str,
    ) -> PyResult<Option<(Bound<'py, PyBytes>, &'static str, Option<Bound<'py, PyBytes>>)>> {
        let index = self.index(name)?;
        let data_type = self.schema.field(index).data_type();
        let (Some(kind), Some(width)) = (numpy_type(data_type), data_type.primitive_width()) else {
            return Ok(None);
        };
        let mut bytes = Vec::with_capacity(self.rows() * width);
        let mut valid = Vec::new();
        let has_nulls = self.batches.iter().any(|batch| batch.column(index).null_count() > 0);
        for batch in &self.batches {
            let column = batch.column(index);
            let data = column.to_data();
            let from = data.offset() * width;
            bytes.extend_from_slice(&data.buffers()[0].as_slice()[from..from + data.len() * width]);
            if has_nulls {
                valid.extend((0..column.len()).map(|row| u8::from(column.is_valid(row))));
            }
        }
        let valid = has_nulls.then(|| PyBytes::new(py, &valid));
        Ok(Some((PyBytes::new(py, &bytes), kind, valid)))
    }

    /// A column of texts or truth values.
    fn texts<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyList>> {
        let index = self.index(name)?;
        let list = PyList::empty(py);
        for batch in &self.batches {
            append(py, batch.column(index), &list)?;
        }
        Ok(list)
    }
}

/// Appends the texts or truth values of a column.
fn append<'py>(py: Python<'py>, column: &ArrayRef, list: &Bound<'py, PyList>) -> PyResult<()> {
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().try_for_each(|text| list.append(text)),
        DataType::Boolean => column.as_boolean().iter().try_for_each(|value| list.append(value)),
        DataType::Dictionary(_, value) if **value == DataType::Utf8 => {
            let dictionary = column.as_any_dictionary();
            let names = dictionary.values().as_string::<i32>();
            let names: Vec<_> = names.iter().map(|name| name.into_pyobject(py)).collect::<Result<_, _>>()?;
            let keys = dictionary.normalized_keys();
            keys.iter().enumerate().try_for_each(|(row, key)| match dictionary.is_valid(row) {
                true => list.append(&names[*key]),
                false => list.append(py.None()),
            })
        }
        other => Err(PyTypeError::new_err(format!("a column of {other}"))),
    }
}

/// The tables of a run by name.
///
/// # Errors
/// A table does not have its columns.
pub fn tables(
    tables: &taunet::table::MemoryTables,
) -> Result<std::collections::BTreeMap<String, Table>, Failure> {
    guarded(|| tables.take().into_iter().map(|(name, table)| Ok((name, Table::new(table)?))).collect())
}
