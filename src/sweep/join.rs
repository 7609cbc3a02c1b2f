//! The joined results of a sweep in its directory: tables and page.

use super::SweepError;
use super::execute::Ran;
use super::file::Sweep;
use super::page::sweep_page;
use super::results::SweepResults;
use super::store::Store;
use crate::table::{Format, TableFiles};

/// Writes the tables `results`, `means` and `differences` and the page `report.html` of these jobs, which are all of the sweep; `failed` of them failed.
/// Tables of an earlier call in another format are removed: they would be out of date.
///
/// # Errors
/// The directory cannot be written.
pub fn write_joined(
    sweep: &Sweep,
    store: &Store,
    all: &[Ran],
    failed: usize,
    format: Format,
) -> Result<(), SweepError> {
    for other in [Format::Parquet, Format::Csv].into_iter().filter(|other| *other != format) {
        for name in ["results", "means", "differences"] {
            store.remove(&format!("{name}.{}", other.extension()))?;
        }
    }
    let results = SweepResults::new(sweep, all);
    results.write(&TableFiles::new(store.directory(), format))?;
    let page = sweep_page(sweep, &results, all.len(), failed);
    store.write(&store.directory().join("report.html"), page.as_bytes())
}
