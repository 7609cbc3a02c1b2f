//! Columns of a table, as they are read back.

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

/// Rows of a batch: few enough for the cache.
pub(super) const ROWS: usize = 1 << 12;

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

/// What a table lacks.
pub(super) fn no_column(name: &str) -> String {
    format!("there is no column `{name}`")
}

/// A column of texts in the making.
#[derive(Default)]
pub(super) struct Texts {
    keys: Vec<Option<u32>>,
    names: IndexSet<String, FxBuildHasher>,
}

impl Texts {
    pub(super) fn push(&mut self, text: Option<&str>) {
        let key = text.map(|text| match self.names.get_index_of(text) {
            Some(place) => place as u32,
            None => self.names.insert_full(text.to_owned()).0 as u32,
        });
        self.keys.push(key);
    }

    pub(super) fn column(&mut self) -> Column {
        let names = std::mem::take(&mut self.names).into_iter().collect();
        Column::Texts(std::mem::take(&mut self.keys), names)
    }
}
