//! `requests`: one row per request with a complete response, by the end of the response.

use std::sync::Arc;

use arrow_array::{ArrayRef, UInt32Array, UInt64Array};

use crate::table::{TableError, Tables, write_table};
use crate::transport::Answer;

/// Writes the table. `docs/results.md` describes its columns.
///
/// # Errors
/// The table cannot be written.
pub fn write_requests(answers: &[Answer], tables: &dyn Tables) -> Result<(), TableError> {
    let of = |part: fn(&Answer) -> u64| {
        Arc::new(UInt64Array::from_iter_values(answers.iter().map(part))) as ArrayRef
    };
    let fids = Arc::new(UInt32Array::from_iter_values(answers.iter().map(|answer| answer.fid)));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("fid", fids),
        ("start_ps", of(|answer| answer.began.as_ps())),
        ("request_bytes", of(|answer| answer.request)),
        ("response_bytes", of(|answer| answer.response)),
        ("response_ps", of(|answer| answer.ended.since(answer.began).as_ps())),
    ];
    write_table(tables, "requests", columns)
}
