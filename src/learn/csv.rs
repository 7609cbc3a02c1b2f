//! The CSV tables of packets for training and running DeepQueueNet.
//!
//! The *device form* describes one device:
//!
//! | column | |
//! |---|---|
//! | `timestamp (sec)` | when the packet arrived at the device |
//! | `pkt len (byte)` | its length |
//! | `priority` | its class, from 0 to 63 |
//! | `src`, `dst` | its ingress and egress port, from 0 to 65535 |
//! | `time_in_sys` | seconds from its arrival until its last bit left: waiting and transmission |
//!
//! It becomes one [`Trace`] per egress port. The *network form* describes a whole network: a [`NetworkRow`]
//! per packet.
//!
//! Numbers are read without floating point, to the nearest picosecond, and written with all digits. The
//! header is the first line, with exactly these names; lines that start with `#` are comments. As in the
//! original, an empty `priority` is 0. An empty `time_in_sys` is a lost packet, which the original does not
//! support.
//!
//! # Source
//! The data and the notebooks published with DeepQueueNet (SIGCOMM 2022).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::trace::{Trace, Visit};
use crate::limits::Rows;
use crate::link::Link;
use crate::packet::Packet;
use crate::record::seconds;
pub use crate::record::{NETWORK, NetworkRow, NetworkWriter};
use crate::units::{Bandwidth, ByteCount, Rate, Span, Time};

/// The columns of the device form.
pub const DEVICE: [&str; 6] = ["timestamp (sec)", "pkt len (byte)", "priority", "src", "dst", "time_in_sys"];

/// Tolerance for a time shorter than the transmission, due to rounding in files.
const ROUNDED: Span = Span::from_ns(1_000);

/// Errors of reading such a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CsvError {
    /// The file cannot be read, or its lines differ in the number of columns.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// the file
        path: PathBuf,
        /// the error of the reader
        source: csv::Error,
    },
    /// The columns are wrong.
    #[error("{}: the columns in line {line} are `{found}`; expected `{expected}`", path.display())]
    Columns {
        /// the file
        path: PathBuf,
        /// line of the header
        line: u64,
        /// the header
        found: String,
        /// the expected header
        expected: String,
    },
    /// A value is not valid in its column.
    #[error("{}: `{found}` in line {line}, column `{column}`, is not {expected}", path.display())]
    Value {
        /// the file
        path: PathBuf,
        /// the line, from 1
        line: u64,
        /// the column
        column: &'static str,
        /// the value
        found: String,
        /// description of a valid value
        expected: String,
    },
    /// There are no packets.
    #[error("{} has no packets: nothing follows its header", path.display())]
    Empty {
        /// the file
        path: PathBuf,
    },
}

/// Reads the device form of a device that serves each port at `rate`. Returns a [`Trace`] for each port in
/// `dst`, with the number of the port.
///
/// A packet's class is also its DSCP, so that a `match` can distinguish classes. Its id is its index in the
/// file.
///
/// # Errors
/// The file cannot be read or does not have this form, or a packet was faster than its transmission.
pub fn read_device(path: &Path, rate: Rate) -> Result<Vec<(u16, Trace)>, CsvError> {
    let link = Link::with_delay(Bandwidth::Limited(rate), Span::ZERO);
    let mut ports: BTreeMap<u16, Vec<Visit>> = BTreeMap::new();
    let mut pid = 0;
    read(path, &DEVICE, |row| {
        let arrival = row.time(0)?;
        let length = row.whole(1, u32::MAX, "a length in bytes, a whole number from 0 to 4294967295")?;
        let class = row.class(2)?;
        let (in_port, out_port) = (row.port(3)?, row.port(4)?);
        let start = match row.field(5) {
            "" => None,
            _ => {
                let transmission = link.transmission_time(ByteCount::new(length.into()));
                let in_system = row.time(5)?.since(Time::ZERO);
                if in_system + ROUNDED < transmission {
                    let expected = format!(
                        "the time of a packet of {length} B, whose transmission alone takes {transmission} at {rate}: \
                         give the rate at which the device serves"
                    );
                    return Err(row.wrong(5, expected));
                }
                Some(arrival + (in_system - transmission))
            }
        };
        let packet = Packet { pid, length, dscp: class, in_port, trp: 255, ttl: 255, ..Packet::default() };
        pid += 1;
        let visit = Visit { arrival, packet, class: class.into(), start };
        ports.entry(out_port).or_default().push(visit);
        Ok(())
    })?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let trace = |(port, mut visits): (u16, Vec<Visit>)| {
        visits.sort_by_key(|visit| visit.arrival);
        (port, Trace { name: format!("{name}:{port}"), context: 0, link, flows: Default::default(), visits })
    };
    Ok(ports.into_iter().map(trace).collect())
}

/// Writes the device form: the packets of a device's ports, by arrival. Each port has a number, for `dst`,
/// and serves at the rate of its link. On an unlimited link, transmission takes no time.
///
/// # Errors
/// `out` cannot be written.
pub fn write_device(out: impl io::Write, ports: &[(u16, Trace)]) -> io::Result<()> {
    let mut rows: Vec<(u16, &Link, &Visit)> = ports
        .iter()
        .flat_map(|(port, trace)| trace.visits.iter().map(|visit| (*port, &trace.link, visit)))
        .collect();
    rows.sort_by_key(|(.., visit)| (visit.arrival, visit.packet.pid));
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(DEVICE)?;
    for (port, link, visit) in rows {
        let Packet { length, in_port, .. } = visit.packet;
        let transmission = link.transmission_time(ByteCount::new(length.into()));
        let in_system = visit.start.map(|start| start.since(visit.arrival) + transmission);
        writer.write_record([
            seconds(visit.arrival.as_ps()),
            length.to_string(),
            visit.class.to_string(),
            in_port.to_string(),
            port.to_string(),
            in_system.map_or(String::new(), |span| seconds(span.as_ps())),
        ])?;
    }
    writer.flush()
}

/// Reads the network form.
///
/// # Errors
/// The file cannot be read or does not have this form.
pub fn read_network(path: &Path) -> Result<Vec<NetworkRow>, CsvError> {
    let mut rows = Vec::new();
    read(path, &NETWORK, |row| {
        let hop = |text: &str| {
            let (device, port) = text.split_once('_')?;
            Some((device.parse().ok()?, port.parse().ok()?))
        };
        let hops: Option<Vec<_>> = row.field(5).split('-').map(hop).collect();
        let a_path = "a path: device and egress port of each hop, such as `12_2-4_2-0_1`";
        rows.push(NetworkRow {
            index: row.whole(0, u64::MAX, "a packet's number, a whole number from 0")?,
            timestamp: row.time(1)?,
            length: row.whole(2, u32::MAX, "a length in bytes, a whole number from 0 to 4294967295")?,
            class: row.class(3)?,
            source: row.whole(4, u32::MAX, "a host's number, a whole number from 0")?,
            path: hops.ok_or_else(|| row.wrong(5, a_path.to_owned()))?,
            end: row.time(6)?,
        });
        Ok(())
    })?;
    Ok(rows)
}

/// A line of a file, with its number.
struct Row<'a> {
    path: &'a Path,
    columns: &'a [&'static str],
    record: &'a csv::StringRecord,
}

impl Row<'_> {
    fn field(&self, column: usize) -> &str {
        self.record.get(column).unwrap_or_default()
    }

    fn wrong(&self, column: usize, expected: String) -> CsvError {
        CsvError::Value {
            path: self.path.to_owned(),
            line: self.record.position().map_or(0, csv::Position::line),
            column: self.columns[column],
            found: self.field(column).to_owned(),
            expected,
        }
    }

    fn time(&self, column: usize) -> Result<Time, CsvError> {
        let expected = || "a time in seconds, from 0 to 18446744".to_owned();
        let picoseconds = scaled(self.field(column), 12).filter(|ps| *ps != u64::MAX);
        picoseconds.map(Time::from_ps).ok_or_else(|| self.wrong(column, expected()))
    }

    /// An integer, which may be written as `3.0`.
    fn whole<T: TryFrom<u64> + Into<u64>>(&self, column: usize, most: T, what: &str) -> Result<T, CsvError> {
        let text = self.field(column);
        let digits = text.split_once('.').map_or(text, |(whole, fraction)| {
            if fraction.bytes().all(|digit| digit == b'0') { whole } else { "" }
        });
        let number = digits.parse().ok().filter(|number: &u64| *number <= most.into());
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| self.wrong(column, what.to_owned()))
    }

    fn port(&self, column: usize) -> Result<u16, CsvError> {
        self.whole(column, u16::MAX, "a port, a whole number from 0 to 65535")
    }

    fn class(&self, column: usize) -> Result<u8, CsvError> {
        match self.field(column) {
            "" => Ok(0),
            _ => self.whole(column, 63, "a class, a whole number from 0 to 63"),
        }
    }
}

/// Reads a file with these columns, line by line.
fn read(
    path: &Path,
    columns: &[&'static str],
    mut take: impl FnMut(&Row<'_>) -> Result<(), CsvError>,
) -> Result<(), CsvError> {
    let unreadable = |source| CsvError::Unreadable { path: path.to_owned(), source };
    let file = Rows::open(path).map_err(|error| unreadable(error.into()))?;
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).trim(csv::Trim::All).from_reader(file);
    let header = reader.headers().map_err(unreadable)?;
    if header.iter().ne(columns.iter().copied()) {
        return Err(CsvError::Columns {
            path: path.to_owned(),
            line: header.position().map_or(1, csv::Position::line),
            found: header.iter().collect::<Vec<_>>().join(","),
            expected: columns.join(","),
        });
    }
    let mut record = csv::StringRecord::new();
    let mut rows = 0;
    while reader.read_record(&mut record).map_err(unreadable)? {
        take(&Row { path, columns, record: &record })?;
        rows += 1;
    }
    if rows == 0 { Err(CsvError::Empty { path: path.to_owned() }) } else { Ok(()) }
}

/// A decimal number such as `1.25` or `3e-05`, times 10^`places`, rounded half up. `None` if it is not a
/// number, is negative or too large.
fn scaled(text: &str, places: i64) -> Option<u64> {
    /// 10^38 fits into 128 bits.
    const DIGITS: usize = 38;
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let exponent: i32 = exponent.parse().ok()?;
    let mut shift = i64::from(exponent) - fraction.len() as i64 + places;
    let mut digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    if digits.len() > DIGITS {
        shift += (digits.len() - DIGITS) as i64;
        digits = &digits[..DIGITS];
    }
    let mut value: u128 = digits.parse().ok()?;
    if shift >= 0 {
        for _ in 0..shift {
            value = value.checked_mul(10)?;
        }
    } else {
        // From 10^39 on, the quotient of 38 digits rounds to 0.
        let Some(divisor) = 10u128.checked_pow(u32::try_from(-shift).ok()?) else { return Some(0) };
        value = value / divisor + u128::from(value % divisor * 2 >= divisor);
    }
    u64::try_from(value).ok()
}

#[cfg(test)]
mod tests;
