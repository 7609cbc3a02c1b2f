//! The observers that a scenario names: of another crate, all of them.

use serde::Deserialize;

use super::reader::Reader;
use crate::config::CustomTable;

/// The key whose tables they are.
pub(crate) const OBSERVER: &str = "observer";

/// An observer, as written.
#[derive(Debug, Clone, Deserialize)]
pub enum ObserverSpec {
    /// One that another crate defines.
    #[serde(rename = "$custom")]
    Custom(CustomObserver),
}

/// An observer that another crate defines; [`CustomObserver::observer`] makes it for a run.
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
