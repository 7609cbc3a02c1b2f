//! Captures: their packets, what two of them say about a path, and the device between them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow_schema::{Field, Schema};
use pyo3::prelude::*;
use serde_json::{Value, json};
use taunet::calibrate::{self as calibration, CalibrateOptions, CalibrateStage};
use taunet::capture::{
    CaptureDirection, CaptureKeys, FlowTable, Frame, Options, Reader, Table as PacketTable,
};
use taunet::compare::{
    AcceptSummary, CompareOptions, Joined, PathAccept, Way, compare_captures_by_packet, write_flows_to,
};
use taunet::config::Document;
use taunet::scenario::CaptureClock;
use taunet::table::{MemoryTable, MemoryTables};

use crate::busy::{Watch, busy};
use crate::failure::{Failure, json, quantity, with_causes};
use crate::scenario::reading;
use crate::table::{Table, tables};

/// How many packets are read between two looks at the watch.
const LOOK: u64 = 1 << 14;

/// A capture's interface and direction, both optional.
pub type Chosen = (Option<String>, Option<String>);

/// The packets that an argument chooses of a capture.
///
/// # Errors
/// The direction or the interface is none.
pub fn keys(chosen: Chosen) -> Result<CaptureKeys, Failure> {
    let (interface, direction) = chosen;
    let direction = direction.map(|direction| match direction.as_str() {
        "in" => Ok(CaptureDirection::In),
        "out" => Ok(CaptureDirection::Out),
        other => {
            let message = format!("`{other}` is no direction: write \"in\" or \"out\"");
            Err(Failure::argument("direction", message))
        }
    });
    let interface = interface.map(|interface| quantity("interface", &interface));
    Ok(CaptureKeys {
        interface: interface.transpose()?,
        direction: direction.transpose()?,
        reorder_window: None,
    })
}

/// The clock of the second of two captures.
///
/// # Errors
/// There is no such clock.
pub fn clock_of(name: &str) -> Result<CaptureClock, Failure> {
    match name {
        "same" => Ok(CaptureClock::Same),
        "skewed" => Ok(CaptureClock::Skewed),
        other => {
            let message = format!("`{other}` is no clock: write \"same\" or \"skewed\"");
            Err(Failure::argument("clock", message))
        }
    }
}

/// Acceptance bounds, as TOML.
///
/// # Errors
/// A bound is unknown, or its value is none.
pub fn bounds<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Failure> {
    Ok(Document::parse("accept", text)?.deserialize()?)
}

fn input(error: impl std::fmt::Display) -> Failure {
    Failure::Input(error.to_string())
}

/// Reads a capture: gives its packets, and warnings.
#[pyfunction]
#[pyo3(signature = (path, *, max_packets, chosen, lenient, reorder_window, progress))]
pub fn read_pcap(
    py: Python<'_>,
    path: PathBuf,
    max_packets: Option<u64>,
    chosen: Chosen,
    lenient: bool,
    reorder_window: Option<&str>,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<(Table, Vec<String>)> {
    let CaptureKeys { interface, direction, .. } = keys(chosen)?;
    let options = Options { max_packets, interface, direction, ..reading(lenient, reorder_window)? };
    busy(py, progress, move |watch| packets(&path, &options, watch))
}

fn packets(path: &Path, options: &Options, watch: &Watch) -> Result<(Table, Vec<String>), Failure> {
    let memory = MemoryTables::default();
    let mut reader = Reader::open(path, options).map_err(input)?;
    let mut table = PacketTable::begin(&memory).map_err(input)?;
    let mut flows = FlowTable::new();
    let mut count = 0_u64;
    loop {
        if count.is_multiple_of(LOOK) {
            watch.check()?;
            let fraction = reader.file_size().map(|size| reader.bytes_read() as f64 / size.max(1) as f64);
            watch.show(fraction, format!("{count} packets"));
        }
        // By reference: moving a record costs as much as its row.
        let Some(ref record) = reader.next_record().map_err(input)? else { break };
        let frame = Frame::parse(record.link_type, record.bytes, record.original_length);
        let fid = flows.fid(&frame);
        table.add(record, &frame, fid).map_err(input)?;
        count += 1;
    }
    table.finish().map_err(input)?;
    let table = memory.take().remove("packets");
    let table = table.ok_or_else(|| Failure::Fault("a fault of taunet: no table".to_owned()))?;
    Ok((Table::new(table)?, reader.remarks()))
}

/// Compares two captures of a path: gives the comparison as JSON, and tables.
#[pyfunction]
#[pyo3(signature = (first, second, *, chosen, lenient, reorder_window, nat, max_delay, min_delay, clock, accept, progress))]
#[allow(clippy::too_many_arguments)]
pub fn compare_captures(
    py: Python<'_>,
    first: PathBuf,
    second: PathBuf,
    chosen: (Chosen, Chosen),
    lenient: bool,
    reorder_window: Option<&str>,
    nat: bool,
    max_delay: Option<&str>,
    min_delay: Option<&str>,
    clock: &str,
    accept: &str,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<(String, BTreeMap<String, Table>)> {
    let mut options = CompareOptions {
        capture: reading(lenient, reorder_window)?,
        first: keys(chosen.0)?,
        second: keys(chosen.1)?,
        nat,
        clock: clock_of(clock)?,
        ..CompareOptions::default()
    };
    if let Some(text) = max_delay {
        options.max_delay = quantity("max_delay", text)?;
    }
    if let Some(text) = min_delay {
        options.min_delay = quantity("min_delay", text)?;
    }
    let bounds: PathAccept = bounds(accept)?;
    busy(py, progress, move |watch| {
        watch.show(None, "matching packets");
        let (comparison, joined) = compare_captures_by_packet(&first, &second, &options)?;
        let mut accept = AcceptSummary::default();
        accept.check_path(&format!("{} to {}", first.display(), second.display()), &bounds, &comparison);
        let memory = MemoryTables::default();
        write_flows_to(&memory, &comparison.flows).map_err(|error| Failure::Failed(with_causes(&error)))?;
        let mut tables = tables(&memory)?;
        tables.insert("matched".to_owned(), matched(&joined)?);
        Ok((with_accept(&comparison, &accept)?, tables))
    })
}

/// A comparison and its bounds as one JSON object.
///
/// # Errors
/// It is none, which is a fault.
pub fn with_accept(comparison: &impl serde::Serialize, accept: &AcceptSummary) -> Result<String, Failure> {
    let fault = |error: serde_json::Error| Failure::Fault(format!("a fault of taunet: {error}"));
    let mut all = serde_json::to_value(comparison).map_err(fault)?;
    if let Value::Object(all) = &mut all {
        all.insert("accept".to_owned(), json!(accept));
    }
    json(&all)
}

/// The packets that both captures have, in the order of sending.
fn matched(joined: &Joined) -> Result<Table, Failure> {
    let pairs = || joined.pairs.iter().filter(|pair| joined.way(pair.fid) != Way::Backward);
    let fids = UInt32Array::from_iter_values(pairs().map(|pair| pair.fid));
    let times = |of: fn((i64, i64)) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(pairs().map(|pair| of((pair.first_ps, pair.second_ps)))))
    };
    table_of(vec![
        ("fid", Arc::new(fids)),
        ("first_ps", times(|(first, _)| first)),
        ("second_ps", times(|(_, second)| second)),
        ("delay_ps", times(|(first, second)| second - first)),
    ])
}

/// A table of columns without missing values.
///
/// # Errors
/// They differ in length, which is a fault.
pub fn table_of(columns: Vec<(&str, ArrayRef)>) -> Result<Table, Failure> {
    let fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), false));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays);
    let batch = batch.map_err(|error| Failure::Fault(format!("a fault of taunet: {error}")))?;
    Table::new(MemoryTable { schema, batches: vec![batch] })
}

/// The device between captures.
#[pyclass(frozen, module = "taunet._taunet")]
pub struct Calibration(Arc<calibration::Calibration>);

#[pymethods]
impl Calibration {
    /// All figures, as `calibration.json` has them.
    fn json(&self, py: Python<'_>) -> PyResult<String> {
        Ok(py.detach(|| json(&*self.0))?)
    }

    /// The discipline and the bottleneck in words.
    fn words(&self) -> (String, String) {
        let found = &self.0;
        (found.model.words(), found.model.bottleneck.words().to_owned())
    }

    /// Writes topology, scenario, figures and page to a directory, which is given.
    fn write(&self, py: Python<'_>, out: PathBuf, replace: bool) -> PyResult<PathBuf> {
        let found = Arc::clone(&self.0);
        busy(py, None, move |_| Ok(calibration::write(&found, &out, replace)?))
    }
}

/// Finds the device between captures.
#[pyfunction]
#[pyo3(signature = (ingress, egress, *, ingress_chosen, egress_chosen, lenient, reorder_window, progress))]
#[allow(clippy::too_many_arguments)]
pub fn calibrate(
    py: Python<'_>,
    ingress: Vec<PathBuf>,
    egress: PathBuf,
    ingress_chosen: Vec<Chosen>,
    egress_chosen: Chosen,
    lenient: bool,
    reorder_window: Option<&str>,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<Calibration> {
    let capture = reading(lenient, reorder_window)?;
    // The scenario that is written says how its captures are read, where that is unusual.
    let window = reorder_window.map(|_| capture.reorder_window);
    let of = |chosen| Ok::<_, Failure>(CaptureKeys { reorder_window: window, ..keys(chosen)? });
    let options = CalibrateOptions {
        ingress,
        egress,
        capture: capture.clone(),
        ingress_keys: ingress_chosen.into_iter().map(of).collect::<Result<_, _>>()?,
        egress_keys: of(egress_chosen)?,
    };
    busy(py, progress, move |watch| {
        let found = calibration::calibrate(&options, |stage| {
            match stage {
                CalibrateStage::Reading => watch.show(None, "reading the captures"),
                CalibrateStage::Estimating => watch.show(None, "estimating the parameters"),
                CalibrateStage::Trying(number, of) => {
                    let fraction = number.saturating_sub(1) as f64 / of.max(1) as f64;
                    watch.show(Some(fraction), format!("simulating candidate {number} of {of}"));
                }
            }
            watch.go_on()
        })?;
        Ok(Calibration(Arc::new(found)))
    })
}
