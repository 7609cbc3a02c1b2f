//! Comparisons of runs: with each other, and with a capture.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{Int64Array, UInt32Array};
use pyo3::prelude::*;
use taunet::compare::{AcceptSummary, RunsPackets, compare_runs_by_packet};
use taunet::run::{self, Against};
use taunet::scenario::{Accept, DelayScope, TOLERANCE, VantageText};
use taunet::table::{Format, TableWriter};
use tempfile::TempDir;

use crate::busy::busy;
use crate::captures::{Chosen, bounds, clock_of, keys, table_of, with_accept};
use crate::failure::{Failure, json, quantity, with_causes};
use crate::kinds::registry;
use crate::scenario::{reading, show};
use crate::table::Table;

/// A run: its directory, or the table of its packets.
#[derive(FromPyObject)]
pub enum Run<'py> {
    Directory(PathBuf),
    Packets(Bound<'py, Table>),
}

/// A run on the disk; one that was in memory only until this is dropped.
enum Kept {
    Directory(PathBuf),
    Folder(TempDir),
}

impl Kept {
    fn path(&self) -> &Path {
        match self {
            Kept::Directory(path) => path,
            Kept::Folder(folder) => folder.path(),
        }
    }
}

/// Writes the packets of a run to a folder of its own, since runs are compared by their files.
fn keep(table: &taunet::table::MemoryTable) -> Result<Kept, Failure> {
    let folder = tempfile::tempdir().map_err(|error| Failure::Failed(format!("no folder: {error}")))?;
    let failed = |error| Failure::Failed(with_causes(&error));
    let path = folder.path().join("packets.parquet");
    let mut writer = TableWriter::create(&path, &table.schema, Format::Parquet).map_err(failed)?;
    table.batches.iter().try_for_each(|batch| writer.write(batch)).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(Kept::Folder(folder))
}

/// Compares two runs packet by packet: gives the comparison as JSON, and the packets that both delivered.
#[pyfunction]
#[pyo3(signature = (first, second, *, accept, progress))]
pub fn compare_runs(
    py: Python<'_>,
    first: Run<'_>,
    second: Run<'_>,
    accept: &str,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<(String, Table)> {
    let bounds: Accept = bounds(accept)?;
    let runs = [first, second].map(|run| match run {
        Run::Directory(path) => Ok(path),
        Run::Packets(table) => Err(table.get().memory()),
    });
    busy(py, progress, move |watch| {
        watch.show(None, "matching packets");
        let mut kept = Vec::new();
        for run in runs {
            kept.push(run.map_or_else(|table| keep(&table), |path| Ok(Kept::Directory(path)))?);
        }
        let (comparison, packets) = compare_runs_by_packet(kept[0].path(), kept[1].path())
            .map_err(|error| Failure::Input(error.to_string()))?;
        let mut accept = AcceptSummary::default();
        accept.check("delivery", &bounds, comparison.delays.as_ref(), &comparison.loss);
        Ok((with_accept(&comparison, &accept)?, matched(&packets)?))
    })
}

/// The packets that both runs delivered, in the order in which the first sent them.
fn matched(packets: &RunsPackets) -> Result<Table, Failure> {
    let injected = packets.injected_ps.iter().map(|at| i64::try_from(*at).unwrap_or(i64::MAX));
    table_of(vec![
        ("fid", Arc::new(UInt32Array::from(packets.fids.clone()))),
        ("injected_ps", Arc::new(Int64Array::from_iter_values(injected))),
        ("first_delay_ps", Arc::new(Int64Array::from(packets.delays.measured.clone()))),
        ("second_delay_ps", Arc::new(Int64Array::from(packets.delays.simulated.clone()))),
    ])
}

/// Compares the run in a directory with a capture taken in its network; gives the comparison as JSON.
#[pyfunction]
#[pyo3(signature = (run, capture, *, at, hop, tolerance, chosen, lenient, reorder_window, clock, accept, progress))]
#[allow(clippy::too_many_arguments)]
pub fn compare_run(
    py: Python<'_>,
    run: PathBuf,
    capture: PathBuf,
    at: &str,
    hop: bool,
    tolerance: Option<&str>,
    chosen: Chosen,
    lenient: bool,
    reorder_window: Option<&str>,
    clock: &str,
    accept: &str,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<String> {
    let at: VantageText = quantity("at", at)?;
    let tolerance = tolerance.map(|text| quantity("tolerance", text)).transpose()?.unwrap_or(TOLERANCE);
    let (keys, clock, accept) = (keys(chosen)?, clock_of(clock)?, bounds::<Accept>(accept)?);
    let options = reading(lenient, reorder_window)?;
    busy(py, progress, move |watch| {
        let began = Instant::now();
        let against = Against {
            capture: &capture,
            keys,
            at: &at,
            delay: if hop { DelayScope::Hop } else { DelayScope::Path },
            accept,
            clock,
            tolerance,
            options,
            registry: &registry(),
        };
        let found = run::compare_run(&run, &against, |stage| {
            show(watch, stage, began);
            watch.go_on()
        })?;
        json(&found)
    })
}
