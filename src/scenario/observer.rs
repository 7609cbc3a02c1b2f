//! The observers that a scenario names. Each is defined by another crate.

use serde::Deserialize;

use super::reader::Reader;
use crate::config::CustomTable;

/// The key of the tables of observers.
pub(crate) const OBSERVER: &str = "observer";

/// An observer, as written in the file.
#[derive(Debug, Clone, Deserialize)]
pub enum ObserverSpec {
    /// An observer defined by another crate.
    #[serde(rename = "$custom")]
    Custom(CustomObserver),
}

/// An observer defined by another crate. [`CustomObserver::observer`] creates it for a run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CustomObserver {
    pub(crate) table: CustomTable,
}

impl Reader<'_> {
    /// Reads the parameters of an observer.
    pub(super) fn observer(&mut self, spec: &ObserverSpec) -> Option<CustomObserver> {
        let ObserverSpec::Custom(CustomObserver { table }) = spec;
        let mut table = table.clone();
        match table.make(OBSERVER, self.document) {
            Ok(()) => Some(CustomObserver { table }),
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }
}
