//! Tables as Apache Parquet, without the `arrow` feature of the crate `parquet`, which takes long to compile.
//! Only these files name that crate.

mod read;
mod texts;
mod write;

pub(super) use read::read_parquet;
pub(super) use write::{ParquetWriter, supported};

pub use ::parquet::errors::ParquetError;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;
    use std::sync::Arc;

    use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt16Type;
    use arrow_array::{
        Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int8Array, Int16Array, Int32Array,
        Int64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt8Array, UInt16Array, UInt32Array,
        UInt64Array,
    };
    use arrow_schema::{DataType, Field, Schema};

    use super::*;
    use crate::table::{Column, Kind};

    /// Three rows of every type, the second of which is null if `nulls` is set.
    fn columns(nulls: bool) -> Vec<(&'static str, ArrayRef)> {
        fn rows<T>(nulls: bool, [first, second, third]: [T; 3]) -> Vec<Option<T>> {
            vec![Some(first), (!nulls).then_some(second), Some(third)]
        }
        let instants = TimestampNanosecondArray::from(rows(nulls, [i64::MIN, 0, i64::MAX]));
        let names: DictionaryArray<UInt16Type> = rows(nulls, ["b", "c", "b"]).into_iter().collect();
        vec![
            ("boolean", Arc::new(BooleanArray::from(rows(nulls, [true, false, false])))),
            ("i8", Arc::new(Int8Array::from(rows(nulls, [i8::MIN, 0, i8::MAX])))),
            ("i16", Arc::new(Int16Array::from(rows(nulls, [i16::MIN, 0, i16::MAX])))),
            ("i32", Arc::new(Int32Array::from(rows(nulls, [i32::MIN, 0, i32::MAX])))),
            ("i64", Arc::new(Int64Array::from(rows(nulls, [i64::MIN, 0, i64::MAX])))),
            ("u8", Arc::new(UInt8Array::from(rows(nulls, [1, 0, u8::MAX])))),
            ("u16", Arc::new(UInt16Array::from(rows(nulls, [1, 0, u16::MAX])))),
            ("u32", Arc::new(UInt32Array::from(rows(nulls, [1, 0, u32::MAX])))),
            ("u64", Arc::new(UInt64Array::from(rows(nulls, [1, 0, u64::MAX])))),
            ("f64", Arc::new(Float64Array::from(rows(nulls, [-1e-9, 0.0, f64::INFINITY])))),
            ("text", Arc::new(StringArray::from(rows(nulls, ["a", "", "é"])))),
            ("instant", Arc::new(instants.with_timezone("UTC"))),
            ("name", Arc::new(names)),
        ]
    }

    fn write(path: &Path, batch: &RecordBatch) {
        let mut writer = ParquetWriter::create(File::create(path).unwrap(), batch.schema_ref()).unwrap();
        writer.write(batch).unwrap();
        writer.finish().unwrap();
    }

    #[test]
    fn other_readers_find_every_type_as_it_was_with_and_without_nulls() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        for nulls in [true, false] {
            let (names, arrays): (Vec<_>, Vec<_>) = columns(nulls).into_iter().unzip();
            let field =
                |(name, array): (&&str, &ArrayRef)| Field::new(*name, array.data_type().clone(), nulls);
            let schema = Schema::new(names.iter().zip(&arrays).map(field).collect::<Vec<_>>());
            write(&path, &RecordBatch::try_new(Arc::new(schema), arrays.clone()).unwrap());

            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
            assert!(reader.schema().fields().iter().all(|field| field.is_nullable() == nulls));
            let batch = reader.build().unwrap().next().unwrap().unwrap();
            for ((name, array), read) in names.iter().zip(&arrays).zip(batch.columns()) {
                if let Some(names) = array.as_any_dictionary_opt() {
                    // A dictionary arrives as plain texts.
                    let (names, keys) = (names.values().as_string::<i32>(), names.normalized_keys());
                    let texts = (0..3).map(|row| array.is_valid(row).then(|| names.value(keys[row])));
                    assert_eq!(read.as_string::<i32>(), &texts.collect::<StringArray>(), "{name}");
                } else {
                    assert_eq!(array, read, "{name}");
                }
            }
        }
    }

    #[test]
    fn what_is_read_back_keeps_its_sign_and_its_nulls() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let (names, arrays): (Vec<_>, Vec<_>) = columns(true).into_iter().unzip();
        let field = |(name, array): (&&str, &ArrayRef)| Field::new(*name, array.data_type().clone(), true);
        let schema = Schema::new(names.iter().zip(&arrays).map(field).collect::<Vec<_>>());
        write(&path, &RecordBatch::try_new(Arc::new(schema), arrays).unwrap());
        let wanted = ["i64", "u64", "i8", "u32"].map(|name| (name, Kind::Integers));
        let mut read = Vec::new();
        read_parquet(File::open(&path).unwrap(), &wanted, |batch| read.push(batch.to_vec())).unwrap();
        let column = |first, third| Column::Integers(vec![Some(first), None, Some(third)]);
        let expected = [
            column(i64::MIN.into(), i64::MAX.into()),
            column(1, u64::MAX.into()),
            column(-128, 127),
            column(1, u32::MAX.into()),
        ];
        assert_eq!(read, [expected]);
        for (name, kind, held) in [
            ("instant", Kind::Integers, "Timestamp"),
            ("f64", Kind::Integers, "DOUBLE"),
            ("text", Kind::Numbers, "String"),
            ("u8", Kind::Texts, "Integer"),
        ] {
            let error =
                read_parquet(File::open(&path).unwrap(), &[(name, kind)], |_| ()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("the column `{name}` holds {held}")), "{error}");
        }
    }

    #[test]
    fn row_groups_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let rows = write::ROW_GROUP as u64 + 1;
        let schema = Arc::new(Schema::new(vec![Field::new("pid", DataType::UInt64, false)]));
        let column = |rows| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(rows)) };
        let batch = |rows| RecordBatch::try_new(Arc::clone(&schema), vec![column(rows)]).unwrap();
        let mut writer = ParquetWriter::create(File::create(&path).unwrap(), &schema).unwrap();
        // A batch that ends inside a group, one that spans two, and one without rows.
        for rows in [0..1000, 1000..rows, 0..0] {
            writer.write(&batch(rows)).unwrap();
        }
        writer.finish().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        let groups: Vec<_> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [write::ROW_GROUP as i64, 1]);
        let mut next = 0;
        read_parquet(File::open(&path).unwrap(), &[("pid", Kind::Integers)], |columns| {
            for pid in columns[0].integers() {
                assert_eq!(*pid, Some(next));
                next += 1;
            }
        })
        .unwrap();
        assert_eq!(next, i128::from(rows));
    }
}
