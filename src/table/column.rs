//! Columns of a table that is read.

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

/// Number of rows per batch, small enough for the cache.
pub(super) const ROWS: usize = 1 << 12;

/// The values of a column in a batch `[rows]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Integers of 64 bits, signed or unsigned.
    Integers(Vec<Option<i128>>),
    /// Floating-point numbers.
    Numbers(Vec<Option<f64>>),
    /// Texts: an index per row, and the list of texts.
    Texts(Vec<Option<u32>>, Vec<String>),
}

/// The kind of values in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Integers, or booleans as 0 and 1.
    Integers,
    /// Floating-point numbers.
    Numbers,
    /// Texts.
    Texts,
}

impl Column {
    /// The integers; empty for another kind of column.
    pub fn integers(&self) -> &[Option<i128>] {
        if let Column::Integers(values) = self { values } else { &[] }
    }

    /// The numbers; empty for another kind of column.
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

/// Why columns of a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("there is no column `{0}`")]
    NoColumn(String),
    #[error("{0}")]
    Damaged(String),
}

impl From<String> for Unreadable {
    fn from(reason: String) -> Self {
        Unreadable::Damaged(reason)
    }
}

/// A column of texts under construction.
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
