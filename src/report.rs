//! A run as a page to look at: `report.html`, one file that opens offline.
//!
//! The page is made from the files of the run directory alone (`summary.json`, `meta.json`, `topology.svg`, the tables).
//! `taunet report` can therefore write it again for any run. Charts of tables that a run has not written are left out.
//!
//! 1. `model` reads the two JSON files. `series` and `distribution` turn the table of packets into a bounded number of
//!    points, `groups` the same by flow, source and port, `queues` the table of queues, `transport` and `flow_charts`
//!    those of connections. `rows` turns tables into rows.
//! 2. `page` is the frame of every page, `run_page` that of a run: HTML by `maud`. `report.css`, the files of `script/`
//!    and uPlot, which draws, are embedded.
//!
//! Charts over time keep the extremes. Up to a bound, points are kept as they are; beyond it, the minimum and the maximum
//! of each of 16,384 buckets, from which the page computes coarser levels for zooming.

mod base64;
mod distribution;
mod flow_charts;
mod groups;
mod metrics;
mod model;
mod overlay;
mod page;
mod queues;
mod rows;
mod run_charts;
mod run_page;
mod series;
mod text;
mod training;
mod transmissions;
mod transport;

pub(crate) use base64::singles;
pub(crate) use distribution::{Collected, Distribution};
pub use overlay::runs_page;
pub(crate) use page::{Chart, Page, charts, number, rows, text, tile, warnings};
pub(crate) use rows::{Cell, Table};
pub(crate) use series::{Reservoir, Series};
pub(crate) use text::{bits_per_second, count, four_digits, seconds};
pub use training::{Scatter, training_page};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::limits;
use crate::table::{Kind, ReadError, read_columns};
use crate::write::NewFile;
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
    NewFile::write(&path, html.as_bytes(), true)
        .map_err(|source| ReportError::Unwritable { path: path.clone(), source })?;
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
    /// Queue lengths over time; `None` where the run recorded none.
    queues: Option<queues::QueueCharts>,
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
    flows: groups::Group,
    /// By traffic, and how the script names that.
    traffic: (&'static str, groups::Group),
    /// What ports sent; `None` where the run recorded no hops.
    ports: Option<groups::Group>,
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
    /// Packets sent in the windows of the losses.
    sent: series::Bars,
    /// Bytes of payload that passed for the first time.
    goodput: series::Bars,
    flows: groups::Group,
    /// The first and the last instant at which a matched packet passed, on either side.
    passed: Option<(i128, i128)>,
}

fn read_run(run: &Path) -> Result<Report, ReportError> {
    let summary: Summary = read_json(&run.join("summary.json"))?;
    let meta: Meta = read_json(&run.join("meta.json"))?;
    let picture = limits::read_text(&run.join("topology.svg")).ok();
    let end = summary.simulated_s;
    let flows = groups::flows(run)?;
    let packets = read_packets(run, end, &flows, &meta.sources)?;
    let mut measured = read_matched(run, (summary.measured.len(), end), &flows)?;
    for (number, charts) in measured.iter_mut().enumerate() {
        read_over_time(run, number, charts)?;
        charts.goodput = read_goodput(run, number, charts.passed)?;
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
        queues: queues::read_queues(run, end)?,
        measured,
    })
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ReportError> {
    let text = limits::read_text(path)
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
fn read_packets(
    run: &Path,
    end_s: f64,
    flows: &groups::Places,
    sources: &[String],
) -> Result<Option<PacketCharts>, ReportError> {
    let wanted = [
        ("injected_ps", Kind::Integers),
        ("ended_ps", Kind::Integers),
        ("delay_ps", Kind::Integers),
        ("length_bytes", Kind::Integers),
        ("fid", Kind::Integers),
        ("source", Kind::Integers),
    ];
    let traffic = groups::traffic(run, sources)?;
    let mut by_flow = groups::Gathered::new(flows, end_s);
    let mut by_traffic = groups::Gathered::new(traffic.places(), end_s);
    let mut delays = Collected::default();
    let mut points = Reservoir::new(1);
    let mut rate = series::Counts::new(end_s, 1);
    let mut bits = series::Counts::new(end_s, 1);
    let mut drops = series::Counts::new(end_s, 1);
    let found = read_columns(&run.join("packets"), &wanted, |batch| {
        for row in 0..batch[0].integers().len() {
            let row = rows::Row { columns: batch, row };
            match (row.integer(0), row.integer(1), row.integer(2)) {
                (Some(injected), Some(ended), Some(delay)) => {
                    let ((injected, ended), delay) = groups::of_packet(injected, ended, delay);
                    let bytes = row.integer(3).unwrap_or(0) as u64;
                    delays.push(delay);
                    points.push(injected, [delay]);
                    rate.count(ended, 0, 1);
                    bits.count(ended, 0, bytes);
                    for (group, place) in [
                        (&mut by_flow, flows.place(row.integer(4))),
                        (&mut by_traffic, traffic.place(row.integer(4), row.integer(5))),
                    ] {
                        if let Some(place) = place {
                            group.delivered(place, (injected, ended), delay, bytes);
                        }
                    }
                }
                // It has ended, and not arrived.
                (_, Some(ended), None) => drops.count(instant(ended), 0, 1),
                _ => {}
            }
        }
    })?;
    let ports = if found { groups::ports(run, end_s)? } else { None };
    Ok(found.then(|| PacketCharts {
        distribution: Distribution::of_one(delays),
        delays: points.into_series(),
        rate: rate.into_bars(),
        bits: bits.into_bars(),
        drops: drops.into_bars(),
        flows: by_flow.into_group(),
        traffic: (traffic.key(), by_traffic.into_group()),
        ports,
    }))
}

/// The delays of one vantage in the making.
struct Delays {
    simulated: Vec<i64>,
    measured: Vec<i64>,
    points: Reservoir<2>,
    flows: groups::Sides,
    passed: Option<(i128, i128)>,
}

impl Delays {
    fn new(charts: usize, end_s: f64, flows: &groups::Places) -> Self {
        Delays {
            simulated: Vec::new(),
            measured: Vec::new(),
            points: Reservoir::new(charts),
            flows: groups::Sides::new(flows, end_s),
            passed: None,
        }
    }

    fn into_charts(self) -> MeasuredCharts {
        MeasuredCharts {
            distribution: Distribution::of_two(self.simulated, self.measured),
            delays: self.points.into_series(),
            flows: self.flows.into_group(),
            passed: self.passed,
            ..MeasuredCharts::default()
        }
    }
}

/// The delays of each comparison of a run, by their number and its end. The table has the rows of one comparison after
/// those of another, and the delays of one at a time are held.
fn read_matched(
    run: &Path,
    (comparisons, end_s): (usize, f64),
    flows: &groups::Places,
) -> Result<Vec<MeasuredCharts>, ReportError> {
    let wanted = [
        ("comparison", Kind::Integers),
        ("simulated_ps", Kind::Integers),
        ("measured_ps", Kind::Integers),
        ("simulated_delay_ps", Kind::Integers),
        ("measured_delay_ps", Kind::Integers),
        ("fid", Kind::Integers),
    ];
    let flows = flows.shared(comparisons);
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
        for row in 0..batch[0].integers().len() {
            let row = rows::Row { columns: batch, row };
            let number = row.integer(0).and_then(|number| usize::try_from(number).ok());
            let times = (row.integer(1), row.integer(2));
            let delays = (row.integer(3), row.integer(4));
            let (Some(number), (Some(at), Some(real)), (Some(x), Some(y))) = (number, times, delays) else {
                continue;
            };
            if now.as_ref().is_none_or(|(current, _)| *current != number) {
                end(now.replace((number, Delays::new(comparisons, end_s, &flows))));
            }
            if let Some((_, delays)) = &mut now {
                let both = [drawn(x), drawn(y)];
                let injected = instant(at - x);
                delays.simulated.push(both[0]);
                delays.measured.push(both[1]);
                delays.points.push(injected, both);
                if let Some(place) = flows.place(row.integer(5)) {
                    delays.flows.push(place, injected, both);
                }
                let (first, last) = delays.passed.unwrap_or((at, at));
                delays.passed = Some((first.min(at).min(real), last.max(at).max(real)));
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
    if let Some((first, last)) = charts.passed {
        [&mut rate, &mut bits].into_iter().for_each(|bars| bars.cover(seconds_of(first), seconds_of(last)));
    }
    charts.rate = rate;
    charts.bits = bits;
    charts.losses = losses.into_bars();
    if !charts.losses.is_empty() {
        charts.sent = read_sent(run, number, &charts.losses)?;
    }
    Ok(())
}

/// Packets sent towards the vantage of the comparison of that number, in the windows of its losses: those that were
/// matched, and those that either side lost.
fn read_sent(run: &Path, number: usize, losses: &series::Bars) -> Result<series::Bars, ReportError> {
    let mut sent = series::Counts::like(losses, 1);
    let matched = [
        ("comparison", Kind::Integers),
        ("simulated_ps", Kind::Integers),
        ("simulated_delay_ps", Kind::Integers),
    ];
    let lost = [("comparison", Kind::Integers), ("injected_ps", Kind::Integers)];
    for (table, wanted) in [("matched", &matched[..]), ("losses", &lost[..])] {
        read_columns(&run.join(table), wanted, |batch| {
            for row in 0..batch[0].integers().len() {
                let row = rows::Row { columns: batch, row };
                let later = if wanted.len() > 2 { row.integer(2) } else { Some(0) };
                if let (Some(at), Some(later), true) =
                    (row.integer(1), later, row.integer(0) == Some(number as i128))
                {
                    sent.count(instant(at - later), 0, 1);
                }
            }
        })?;
    }
    Ok(sent.into_bars())
}

fn seconds_of(ps: i128) -> f64 {
    ps as f64 * 1e-12
}

/// New bytes of all flows of TCP over time, of the comparison of that number; empty without any.
fn read_goodput(
    run: &Path,
    number: usize,
    passed: Option<(i128, i128)>,
) -> Result<series::Bars, ReportError> {
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
    bars.start = seconds_of(*first);
    if let Some((first, last)) = passed {
        bars.cover(seconds_of(first), seconds_of(last));
    }
    Ok(bars)
}
