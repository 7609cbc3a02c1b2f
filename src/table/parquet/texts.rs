//! Writes a column of texts to Parquet as a dictionary, which it mostly is already: each text is looked up
//! once per batch, not once per row, as the column writer of the crate would do.

use std::mem::take;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use bytes::Bytes;
use indexmap::IndexSet;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use rustc_hash::FxBuildHasher;

/// Number of rows per page, as in the other columns.
const PAGE: usize = 20_000;

/// The texts of a row group.
pub(super) struct TextChunk {
    column: ColumnDescPtr,
    names: IndexSet<Box<str>, FxBuildHasher>,
    /// For every row of the current page: 1 if it has a text, 0 if it is null.
    levels: Vec<u32>,
    /// The index in `names` of every text of this page.
    keys: Vec<u32>,
    /// The completed pages, with their numbers of rows.
    pages: Vec<(CompressedPage, usize)>,
    nulls: usize,
}

impl TextChunk {
    pub(super) fn new(column: ColumnDescPtr) -> Self {
        let (names, levels, keys, pages) = Default::default();
        TextChunk { column, names, levels, keys, pages, nulls: 0 }
    }

    /// Appends texts or a dictionary of texts.
    pub(super) fn put(&mut self, array: &dyn Array) -> Result<()> {
        let nulls = array.logical_nulls();
        let is_valid = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        if let Some(dictionary) = array.as_any_dictionary_opt().filter(|of| !of.values().is_empty()) {
            let texts = dictionary.values().as_string::<i32>();
            // Only the names that are used are written.
            let mut places = vec![None; texts.len()];
            for (row, key) in dictionary.normalized_keys().into_iter().enumerate() {
                let names = &mut self.names;
                let place = || *places[key].get_or_insert_with(|| place(names, texts.value(key)));
                let place = is_valid(row).then(place);
                self.push(place);
            }
        } else if let Some(texts) = array.as_string_opt::<i32>() {
            for row in 0..texts.len() {
                let key = is_valid(row).then(|| place(&mut self.names, texts.value(row)));
                self.push(key);
            }
        } else {
            // The dictionary is empty.
            (0..array.len()).for_each(|_| self.push(None));
        }
        if self.levels.len() >= PAGE { self.end_page() } else { Ok(()) }
    }

    fn push(&mut self, key: Option<u32>) {
        self.levels.push(key.is_some().into());
        self.keys.extend(key);
    }

    fn end_page(&mut self) -> Result<()> {
        let (levels, keys) = (take(&mut self.levels), take(&mut self.keys));
        self.nulls += levels.len() - keys.len();
        let mut page = Vec::new();
        if self.column.max_def_level() > 0 {
            page.extend([0; 4]);
            hybrid(&levels, 1, &mut page);
            let length = page.len() as u32 - 4;
            page[..4].copy_from_slice(&length.to_le_bytes());
        }
        let last = self.names.len().saturating_sub(1) as u32;
        let width = (u32::BITS - last.leading_zeros()).max(1);
        page.push(width as u8);
        hybrid(&keys, width, &mut page);
        let buf = compressed(&page)?;
        let data = Page::DataPage {
            buf,
            num_values: levels.len() as u32,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.pages.push((CompressedPage::new(data, page.len()), levels.len()));
        Ok(())
    }

    /// The bytes of the chunk, and its metadata for the file.
    pub(super) fn close(mut self) -> Result<(Bytes, ColumnCloseResult)> {
        if !self.levels.is_empty() {
            self.end_page()?;
        }
        let mut sink = TrackedWrite::new(Vec::new());
        let mut writer = SerializedPageWriter::new(&mut sink);
        let dictionary = writer.write_page(self.dictionary()?)?;
        let mut uncompressed = dictionary.uncompressed_size;
        let mut offsets = OffsetIndexBuilder::new();
        let mut rows = 0;
        for (page, of_page) in self.pages {
            let written = writer.write_page(page)?;
            uncompressed += written.uncompressed_size;
            offsets.append_offset_and_size(written.offset as i64, written.compressed_size as i32);
            offsets.append_row_count(of_page as i64);
            rows += of_page;
        }
        let bytes = sink.into_inner()?;
        let text = |name: Option<&Box<str>>| name.map(|name| ByteArray::from(&**name));
        let (least, most) = (text(self.names.iter().min()), text(self.names.iter().max()));
        let metadata = ColumnChunkMetaData::builder(self.column)
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
            .set_num_values(rows as i64)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(uncompressed as i64)
            .set_dictionary_page_offset(Some(0))
            .set_data_page_offset(dictionary.bytes_written as i64)
            .set_statistics(Statistics::byte_array(least, most, None, Some(self.nulls as u64), false))
            .build()?;
        let result = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(offsets.build()),
        };
        Ok((Bytes::from(bytes), result))
    }

    /// The page of the names, each preceded by its length.
    fn dictionary(&self) -> Result<CompressedPage> {
        let mut page = Vec::new();
        for name in &self.names {
            page.extend((name.len() as u32).to_le_bytes());
            page.extend(name.as_bytes());
        }
        let names = Page::DictionaryPage {
            buf: compressed(&page)?,
            num_values: self.names.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        Ok(CompressedPage::new(names, page.len()))
    }
}

/// The index of a name, which is added if missing.
fn place(names: &mut IndexSet<Box<str>, FxBuildHasher>, name: &str) -> u32 {
    let place = names.get_index_of(name).unwrap_or_else(|| names.insert_full(name.into()).0);
    u32::try_from(place).expect("a row group has fewer rows")
}

fn compressed(page: &[u8]) -> Result<Bytes> {
    Ok(zstd::bulk::compress(page, ZstdLevel::default().compression_level())?.into())
}

/// Appends `values` of `width` bits in Parquet's hybrid of runs and bit-packed groups of eight.
///
/// # Source
/// Apache Parquet, "Run Length Encoding / Bit-Packing Hybrid (RLE = 3)".
fn hybrid(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let (mut packed, mut at) = (0, 0);
    while at < values.len() {
        let run = values[at..].iter().take_while(|value| **value == values[at]).count();
        // A run first completes the open group.
        let to_group = (at - packed).next_multiple_of(8) - (at - packed);
        if run >= to_group + 8 {
            pack(&values[packed..at + to_group], width, out);
            number((run - to_group) << 1, out);
            out.extend(&values[at].to_le_bytes()[..width.div_ceil(8) as usize]);
            packed = at + run;
        }
        at += run;
    }
    pack(&values[packed..], width, out);
}

/// Appends groups of eight values. The last group is padded with zeros.
fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    number(values.len().div_ceil(8) << 1 | 1, out);
    for group in values.chunks(8) {
        let (mut bits, mut filled) = (0_u64, 0);
        for place in 0..8 {
            bits |= u64::from(group.get(place).copied().unwrap_or(0)) << filled;
            filled += width;
            while filled >= 8 {
                out.push(bits as u8);
                bits >>= 8;
                filled -= 8;
            }
        }
    }
}

/// Appends a number, seven bits per byte.
fn number(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::UInt32Type;
    use arrow_array::{ArrayRef, DictionaryArray, RecordBatch, StringArray, UInt32Array};
    use arrow_schema::{DataType, Field, Schema};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use crate::table::parquet::ParquetWriter;

    /// Writes texts as plain texts or as dictionaries, in batches, and reads them as other readers do.
    fn read_back(texts: &[Option<String>], nullable: bool, as_dictionary: bool) -> Vec<Option<String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let data_type = if as_dictionary {
            DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
        } else {
            DataType::Utf8
        };
        let schema = Arc::new(Schema::new(vec![Field::new("text", data_type, nullable)]));
        let mut writer = ParquetWriter::create(file.reopen().unwrap(), &schema).unwrap();
        for batch in texts.chunks(4096) {
            let array: ArrayRef = if as_dictionary {
                Arc::new(batch.iter().map(Option::as_deref).collect::<DictionaryArray<UInt32Type>>())
            } else {
                Arc::new(batch.iter().cloned().collect::<StringArray>())
            };
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), vec![array]).unwrap()).unwrap();
        }
        writer.finish().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.reopen().unwrap()).unwrap();
        let group = reader.metadata().row_group(0).column(0).clone();
        let nulls = texts.iter().filter(|text| text.is_none()).count() as u64;
        let statistics = group.statistics().unwrap();
        assert_eq!(statistics.null_count_opt(), Some(nulls));
        let least = texts.iter().flatten().min().map(String::as_bytes);
        assert_eq!((statistics.min_bytes_opt(), group.num_values()), (least, texts.len() as i64));
        let mut read = Vec::new();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let array = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap();
            read.extend(array.iter().map(|text| text.map(str::to_owned)));
        }
        read
    }

    #[test]
    fn texts_come_back_whatever_their_runs_and_their_number() {
        let of = |key: usize| Some(format!("name {key}"));
        // Long runs, runs that end inside a group of eight, no runs; few names, and more than fit into 16
        // bits.
        let runs: Vec<_> = (0..50_000).map(|row| of(row / 1000 % 7)).collect();
        let short: Vec<_> = (0..50_000).map(|row| of(row / 11 % 300)).collect();
        let mixed: Vec<_> = (0..50_000).map(|row| of(if row % 100 < 37 { 5 } else { row % 3 })).collect();
        let many: Vec<_> = (0..70_000).map(of).collect();
        let nulls: Vec<_> = (0..50_000).map(|row| of(row % 5).filter(|_| row % 13 < 9)).collect();
        let most: Vec<_> = (0..50_000).map(|row| of(row).filter(|_| row == 49_999)).collect();
        let (one, none) = (vec![of(1); 3], vec![None; 9]);
        for texts in [&runs, &short, &mixed, &many, &one] {
            for as_dictionary in [true, false] {
                assert!(read_back(texts, false, as_dictionary) == *texts);
            }
        }
        for texts in [&runs, &short, &mixed, &many, &one, &nulls, &most, &none] {
            for as_dictionary in [true, false] {
                assert!(read_back(texts, true, as_dictionary) == *texts);
            }
        }
    }

    #[test]
    fn only_names_that_rows_use_are_in_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let names = Arc::new(StringArray::from(vec!["a", "b", "c"]));
        let array: ArrayRef =
            Arc::new(DictionaryArray::<UInt32Type>::try_new(UInt32Array::from(vec![1, 1]), names).unwrap());
        let schema = Arc::new(Schema::new(vec![Field::new("name", array.data_type().clone(), false)]));
        let mut writer = ParquetWriter::create(file.reopen().unwrap(), &schema).unwrap();
        writer.write(&RecordBatch::try_new(schema, vec![array]).unwrap()).unwrap();
        writer.finish().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.reopen().unwrap()).unwrap();
        let statistics = reader.metadata().row_group(0).column(0).statistics().unwrap().clone();
        assert_eq!(statistics.min_bytes_opt(), Some(&b"b"[..]));
        assert_eq!(statistics.max_bytes_opt(), Some(&b"b"[..]));
    }
}
