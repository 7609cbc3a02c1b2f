//! A run as a page to look at: `report.html`, one file that opens offline.
//!
//! The page is made from the files of the run directory alone (`summary.json`, `meta.json`, `topology.svg`, the tables), so that
//! `taunet report` makes it again from any run. Tables that a run has not written leave their charts out.
//!
//! 1. `model` reads the two JSON files, `series` and `distribution` turn the tables of packets into a bounded
//!    number of points, `transport` and `flow_charts` those of connections, `rows` into rows.
//! 2. `page` is the frame of every page, `run_page` that of a run: HTML by `maud`. `report.css` and `report.js` stand
//!    beside them and are embedded, as is uPlot, which draws.
//!
//! Charts of time keep the extremes: points are kept as they are up to a bound, and beyond it as the least and the greatest of
//! each of 16,384 buckets, from which the page makes coarser levels as one zooms.

mod base64;
mod distribution;
mod flow_charts;
mod metrics;
mod model;
mod page;
mod rows;
mod run_page;
mod series;
mod text;
mod training;
mod transmissions;
mod transport;

pub(crate) use base64::singles;
pub(crate) use distribution::Distribution;
pub(crate) use page::{Chart, Page, charts, number, rows, text, tile, warnings};
pub(crate) use rows::{Cell, Table};
pub(crate) use series::{Reservoir, Series};
pub(crate) use text::{bits_per_second, count, four_digits, seconds};
pub use training::{Scatter, training_page};

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::table::{Kind, ReadError, read_columns};
use model::{Meta, Summary};

/// Why a report cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file of the run is not there, or cannot be read.
    #[error("cannot read {}: {source}; is this a directory that `taunet run` wrote?", path.display())]
    Unreadable {
        /// the file
        path: PathBuf,
        /// what the file system said
        source: std::io::Error,
    },
    /// A file of the run is not what a run writes.
    #[error("{} is not what a run of this version writes: {reason}", path.display())]
    NotARun {
        /// the file
        path: PathBuf,
        /// why
        reason: String,
    },
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] ReadError),
    /// The page cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// the file
        path: PathBuf,
        /// what the file system said
        source: std::io::Error,
    },
}

/// The page's file name.
const FILE: &str = "report.html";

/// Writes `report.html` into the run directory `run`, from the other files there. An earlier one is replaced.
///
/// # Errors
/// The directory is not one that a run wrote, or cannot be written to.
///
/// # Complexity
/// O(packets x log packets); the delays of one vantage at a time are held in memory.
pub fn write_report(run: &Path) -> Result<PathBuf, ReportError> {
    let html = run_page::page(&read_run(run)?);
    let path = run.join(FILE);
    let written = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".taunet-report-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // What a new file gets, less the umask.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(run)?;
        file.write_all(html.as_bytes())?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    written().map_err(|source| ReportError::Unwritable { path: path.clone(), source })?;
    Ok(path)
}

/// What the page shows.
struct Report {
    summary: Summary,
    meta: Meta,
    /// The picture of the network, as it stands in the page.
    picture: Option<String>,
    /// What the packets of the run did; `None` where the run wrote no table of packets.
    packets: Option<PacketCharts>,
    /// What connections did; `None` where the run has none.
    transport: Option<transport::TransportCharts>,
    /// How long their flows took; `None` where the run has none.
    flow_charts: Option<flow_charts::FlowCharts>,
    /// What each measured capture shows, in the order of the summary.
    measured: Vec<MeasuredCharts>,
    flows: rows::Table,
    ports: rows::Table,
}

/// The charts of all packets of a run.
struct PacketCharts {
    distribution: Distribution,
    delays: series::Series,
    rate: series::Bars,
    /// Bytes.
    bits: series::Bars,
    drops: series::Bars,
}

/// The charts of a comparison; those without packets are empty.
#[derive(Default)]
struct MeasuredCharts {
    distribution: Distribution,
    delays: series::Series,
    rate: series::Bars,
    /// Bytes.
    bits: series::Bars,
    losses: series::Bars,
    /// Bytes of payload that passed for the first time.
    goodput: series::Bars,
}

fn read_run(run: &Path) -> Result<Report, ReportError> {
    let summary: Summary = read_json(&run.join("summary.json"))?;
    let meta: Meta = read_json(&run.join("meta.json"))?;
    let picture = std::fs::read_to_string(run.join("topology.svg")).ok();
    let end = summary.simulated_s;
    let packets = read_packets(run, end)?;
    let mut measured = read_matched(run, summary.measured.len())?;
    for (number, charts) in measured.iter_mut().enumerate() {
        read_over_time(run, number, charts)?;
        charts.goodput = read_goodput(run, number)?;
    }
    let connects = !summary.tcp.is_empty();
    let flow_charts =
        connects.then(|| flow_charts::read_flow_charts(run, end, summary.marked)).transpose()?;
    Ok(Report {
        flows: rows::flows(run, connects)?,
        ports: rows::ports(run)?,
        summary,
        meta,
        picture,
        packets,
        transport: connects.then(|| transport::read_transport(run, end)).transpose()?,
        flow_charts,
        measured,
    })
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ReportError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ReportError::Unreadable { path: path.to_owned(), source })?;
    serde_json::from_str(&text)
        .map_err(|error| ReportError::NotARun { path: path.to_owned(), reason: error.to_string() })
}

/// An instant of a run in picoseconds, as a chart takes it.
fn instant(ps: i128) -> u64 {
    ps.clamp(0, u64::MAX.into()) as u64
}

/// A delay in picoseconds, as a chart takes it: one of more than 106 days counts as that.
fn drawn(ps: i128) -> i64 {
    ps.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// The delays of delivered packets, and drops, over time.
fn read_packets(run: &Path, end_s: f64) -> Result<Option<PacketCharts>, ReportError> {
    let wanted = [
        ("injected_ps", Kind::Integers),
        ("ended_ps", Kind::Integers),
        ("delay_ps", Kind::Integers),
        ("length_bytes", Kind::Integers),
    ];
    let mut delays = Vec::new();
    let mut points = Reservoir::new(1);
    let mut rate = series::Counts::new(end_s, 1);
    let mut bits = series::Counts::new(end_s, 1);
    let mut drops = series::Counts::new(end_s, 1);
    let found = read_columns(&run.join("packets"), &wanted, |batch| {
        let [injected, ended, delay, length] = batch else { return };
        for (row, (injected, (ended, delay))) in
            injected.integers().iter().zip(ended.integers().iter().zip(delay.integers())).enumerate()
        {
            match (injected, ended, delay) {
                (Some(injected), Some(ended), Some(delay)) => {
                    let delay = drawn(*delay);
                    delays.push(delay);
                    points.push(instant(*injected), [delay]);
                    rate.count(instant(*ended), 0, 1);
                    let bytes = length.integers().get(row).copied().flatten().unwrap_or(0);
                    bits.count(instant(*ended), 0, bytes as u64);
                }
                // It has ended, and not arrived.
                (_, Some(ended), None) => drops.count(instant(*ended), 0, 1),
                _ => {}
            }
        }
    })?;
    Ok(found.then(|| PacketCharts {
        distribution: Distribution::of_one(delays),
        delays: points.into_series(),
        rate: rate.into_bars(),
        bits: bits.into_bars(),
        drops: drops.into_bars(),
    }))
}

/// The delays of one vantage in the making.
struct Delays {
    simulated: Vec<i64>,
    measured: Vec<i64>,
    points: Reservoir<2>,
}

impl Delays {
    fn new(charts: usize) -> Self {
        Delays { simulated: Vec::new(), measured: Vec::new(), points: Reservoir::new(charts) }
    }

    fn into_charts(self) -> MeasuredCharts {
        MeasuredCharts {
            distribution: Distribution::of_two(self.simulated, self.measured),
            delays: self.points.into_series(),
            ..MeasuredCharts::default()
        }
    }
}

/// The delays of each of so many comparisons. The table has the rows of one after those of another, so that one at a
/// time is held.
fn read_matched(run: &Path, comparisons: usize) -> Result<Vec<MeasuredCharts>, ReportError> {
    let wanted = [
        ("comparison", Kind::Integers),
        ("simulated_ps", Kind::Integers),
        ("simulated_delay_ps", Kind::Integers),
        ("measured_delay_ps", Kind::Integers),
    ];
    let mut found: Vec<MeasuredCharts> = Vec::new();
    found.resize_with(comparisons, MeasuredCharts::default);
    let mut now: Option<(usize, Delays)> = None;
    let mut end = |ended: Option<(usize, Delays)>| {
        if let Some((number, delays)) = ended
            && let Some(charts) = found.get_mut(number)
        {
            *charts = delays.into_charts();
        }
    };
    read_columns(&run.join("matched"), &wanted, |batch| {
        let [numbers, at, simulated_delay, measured_delay] = batch else { return };
        let delays = simulated_delay.integers().iter().zip(measured_delay.integers());
        for (row, (at, delays)) in at.integers().iter().zip(delays).enumerate() {
            let number = numbers.integers()[row].and_then(|number| usize::try_from(number).ok());
            let (Some(number), Some(at), (Some(x), Some(y))) = (number, at, delays) else { continue };
            if now.as_ref().is_none_or(|(current, _)| *current != number) {
                end(now.replace((number, Delays::new(comparisons))));
            }
            if let Some((_, delays)) = &mut now {
                let both = [drawn(*x), drawn(*y)];
                delays.simulated.push(both[0]);
                delays.measured.push(both[1]);
                delays.points.push(instant(at - x), both);
            }
        }
    })?;
    end(now);
    Ok(found)
}

/// Adds rate and losses over time of the comparison of that number.
fn read_over_time(run: &Path, number: usize, charts: &mut MeasuredCharts) -> Result<(), ReportError> {
    let wanted = [
        ("comparison", Kind::Integers),
        ("start_ps", Kind::Integers),
        ("length_ps", Kind::Integers),
        ("simulated_packets", Kind::Integers),
        ("measured_packets", Kind::Integers),
        ("simulated_bytes", Kind::Integers),
        ("measured_bytes", Kind::Integers),
    ];
    let mut rate = series::Bars::default();
    let mut bits = series::Bars::default();
    read_columns(&run.join("windows"), &wanted, |batch| {
        let [numbers, start, length, counts @ ..] = batch else { return };
        for row in 0..start.integers().len() {
            let cell = |column: &crate::table::Column| column.integers().get(row).copied().flatten();
            if let (Some(start), Some(length), true) =
                (cell(start), cell(length), cell(numbers) == Some(number as i128))
            {
                let counts: Vec<u64> = counts.iter().map(|count| cell(count).unwrap_or(0) as u64).collect();
                let (packets, bytes) = counts.split_at(2);
                rate.push(instant(start), instant(length), packets);
                bits.push(instant(start), instant(length), bytes);
            }
        }
    })?;
    let wanted = [
        ("comparison", Kind::Integers),
        ("injected_ps", Kind::Integers),
        ("simulated", Kind::Integers),
        ("measured", Kind::Integers),
    ];
    let mut losses = series::Counts::like(&rate, 2);
    read_columns(&run.join("losses"), &wanted, |batch| {
        let [numbers, at, simulated, measured] = batch else { return };
        let sides = [simulated, measured];
        for (row, at) in at.integers().iter().enumerate() {
            if let (Some(at), true) = (at, numbers.integers()[row] == Some(number as i128)) {
                for (side, column) in sides.iter().enumerate() {
                    if column.integers().get(row).copied().flatten() == Some(1) {
                        losses.count(instant(*at), side, 1);
                    }
                }
            }
        }
    })?;
    charts.rate = rate;
    charts.bits = bits;
    charts.losses = losses.into_bars();
    Ok(())
}

/// New bytes of all flows of TCP over time, of the comparison of that number; empty without any.
fn read_goodput(run: &Path, number: usize) -> Result<series::Bars, ReportError> {
    let wanted = [
        ("comparison", Kind::Integers),
        ("start_ps", Kind::Integers),
        ("length_ps", Kind::Integers),
        ("simulated_bytes", Kind::Integers),
        ("measured_bytes", Kind::Integers),
    ];
    let mut windows: BTreeMap<i128, [u64; 2]> = BTreeMap::new();
    let mut length = 1;
    read_columns(&run.join("goodput"), &wanted, |batch| {
        let [numbers, starts, lengths, simulated, measured] = batch else { return };
        for row in 0..starts.integers().len() {
            let cell = |column: &crate::table::Column| column.integers().get(row).copied().flatten();
            if let (Some(start), Some(of_row), true) =
                (cell(starts), cell(lengths), cell(numbers) == Some(number as i128))
            {
                length = of_row.max(1);
                let window = windows.entry(start).or_default();
                window[0] += cell(simulated).unwrap_or(0) as u64;
                window[1] += cell(measured).unwrap_or(0) as u64;
            }
        }
    })?;
    let mut bars = series::Bars::default();
    let (Some((first, _)), Some((last, _))) = (windows.first_key_value(), windows.last_key_value()) else {
        return Ok(bars);
    };
    for window in 0..=(last - first) / length {
        let start = first + window * length;
        let bytes = windows.get(&start).copied().unwrap_or_default();
        bars.push(instant(start), instant(length), &bytes);
    }
    bars.start = *first as f64 * 1e-12;
    Ok(bars)
}
