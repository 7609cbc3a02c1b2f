//! The largest connections over time: congestion window, round-trip time and goodput of each.

use std::path::Path;

use super::groups::{MOST_GROUPS, Names};
use super::rows::{Row, largest};
use super::series::{Bars, Counts, Series, Steps};
use super::{ReportError, instant};
use crate::table::{Column, Kind, read_columns};
use crate::units::PS_PER_S;

/// The charts of connections.
pub(super) struct TransportCharts {
    /// The flows in the charts, by their ends.
    pub flows: Names,
    pub over_time: OverTime,
}

/// These flows over time.
pub(super) enum OverTime {
    /// By the table of transport: windows in segments, round-trip times in seconds, acknowledged bytes.
    Sampled { cwnd: Series, rtt: Series, goodput: Bars },
    /// By the table of packets alone: bytes that arrived.
    Arrived(Bars),
    /// Neither table was written.
    Unknown,
}

/// Reads what a run of `end_s` seconds has of its connections.
pub(super) fn read_transport(run: &Path, end_s: f64) -> Result<TransportCharts, ReportError> {
    let (flows, total) = largest_flows(run)?;
    let (fids, names): (Vec<i128>, Vec<String>) = flows.into_iter().unzip();
    let over_time = match (sampled(run, &fids, end_s)?, fids.is_empty()) {
        (Some(sampled), false) => sampled,
        (None, false) => arrived(run, &fids, end_s)?.map_or(OverTime::Unknown, OverTime::Arrived),
        (_, true) => OverTime::Unknown,
    };
    Ok(TransportCharts { flows: Names { names, total }, over_time })
}

/// The flows with the most bytes acknowledged, the largest first, by number and name; and how many have any.
fn largest_flows(run: &Path) -> Result<(Vec<(i128, String)>, usize), ReportError> {
    use Kind::{Integers, Texts};
    let wanted = [
        ("fid", Integers),
        ("source", Texts),
        ("source_port", Integers),
        ("destination", Texts),
        ("destination_port", Integers),
        ("bytes_acknowledged", Integers),
    ];
    let name = |row: Row<'_>| {
        let bytes = row.integer(5).unwrap_or(0);
        (bytes, row.integer(0).unwrap_or(-1), format!("{} to {}", row.end(1, 2), row.end(3, 4)))
    };
    let (mut flows, _) = largest(run, "flows", &wanted, (5, MOST_GROUPS), name)?;
    let mut total = 0;
    read_columns(&run.join("flows"), &[("bytes_acknowledged", Integers)], |batch| {
        total += batch[0].integers().iter().flatten().filter(|bytes| **bytes > 0).count();
    })?;
    flows.retain(|(bytes, ..)| *bytes > 0);
    flows.sort_by_key(|(bytes, ..)| std::cmp::Reverse(*bytes));
    Ok((flows.into_iter().map(|(_, fid, name)| (fid, name)).collect(), total))
}

/// The lines of the table `transport`; `None` where the run wrote none.
fn sampled(run: &Path, fids: &[i128], end_s: f64) -> Result<Option<OverTime>, ReportError> {
    let wanted = [
        ("time_ps", Kind::Integers),
        ("fid", Kind::Integers),
        ("cwnd_segments", Kind::Integers),
        ("srtt_us", Kind::Integers),
        ("bytes_acknowledged", Kind::Integers),
    ];
    let end = (end_s * PS_PER_S as f64) as u64;
    let (mut cwnd, mut rtt) = (Steps::new(end, fids.len()), Steps::new(end, fids.len()));
    let mut goodput = Counts::new(end_s, fids.len());
    let mut before: Vec<Option<(u64, u64)>> = vec![None; fids.len()];
    let found = read_columns(&run.join("transport"), &wanted, |batch| {
        for row in 0..batch[0].integers().len() {
            let row = Row { columns: batch, row };
            let line = fids.iter().position(|fid| Some(*fid) == row.integer(1));
            let (Some(line), Some(at)) = (line, row.integer(0)) else { continue };
            let at = instant(at);
            if let Some(segments) = row.integer(2) {
                cwnd.push(at, line, segments as f64);
            }
            if let Some(us) = row.integer(3) {
                rtt.push(at, line, us as f64 * 1e-6);
            }
            let bytes = row.integer(4).map_or(0, instant);
            let (from, known) = before[line].replace((at, bytes)).unwrap_or((at, 0));
            goodput.spread(from..at, line, bytes.saturating_sub(known));
        }
    })?;
    Ok(found.then(|| OverTime::Sampled {
        cwnd: cwnd.into_series(),
        rtt: rtt.into_series(),
        goodput: goodput.into_bars(),
    }))
}

/// The bytes of these flows that arrived; `None` where the run wrote no table of packets.
fn arrived(run: &Path, fids: &[i128], end_s: f64) -> Result<Option<Bars>, ReportError> {
    let wanted = [
        ("fid", Kind::Integers),
        ("ended_ps", Kind::Integers),
        ("delay_ps", Kind::Integers),
        ("length_bytes", Kind::Integers),
    ];
    let mut bytes = Counts::new(end_s, fids.len());
    let found = read_columns(&run.join("packets"), &wanted, |batch| {
        let cell = |column: &Column, row: usize| column.integers().get(row).copied().flatten();
        let [of, ended, delay, length] = batch else { return };
        for (row, fid) in of.integers().iter().enumerate() {
            let line = fids.iter().position(|known| Some(*known) == *fid);
            // A packet with a delay has arrived.
            if let (Some(line), Some(at), Some(_), Some(length)) =
                (line, cell(ended, row), cell(delay, row), cell(length, row))
            {
                bytes.count(instant(at), line, length as u64);
            }
        }
    })?;
    Ok(found.then(|| bytes.into_bars()))
}
