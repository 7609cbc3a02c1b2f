//! The tables of flows and ports, as rows of a page.

use std::path::Path;

use super::ReportError;
use super::text::{bits_per_second, bytes, count, four_digits, seconds};
use crate::table::{Column, Kind, read_columns};

/// Rows of one table in the page, at most; the files hold all.
pub(super) const MOST: usize = 1_000;

/// One cell: its text, and the number by which it sorts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub text: String,
    /// `None` for texts, which sort as texts.
    pub key: Option<f64>,
}

/// A table of the page.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Table {
    /// The head of each column, and its meaning.
    pub columns: Vec<(&'static str, &'static str)>,
    pub rows: Vec<Vec<Cell>>,
    /// Rows in the file.
    pub total: usize,
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Cell { text: text.into(), key: None }
    }

    pub(crate) fn number(value: Option<f64>, show: impl Fn(f64) -> String) -> Self {
        match value {
            Some(value) => Cell { text: show(value), key: Some(value) },
            None => Cell::text(""),
        }
    }

    fn count(value: Option<i128>) -> Self {
        Cell::number(value.map(|value| value as f64), |value| count(value as u64))
    }
}

fn ps(value: f64) -> String {
    seconds(value * 1e-12)
}

fn ratio(value: f64) -> String {
    format!("{} %", four_digits(value * 100.0))
}

/// A row of a batch of columns.
pub(super) struct Row<'a> {
    pub columns: &'a [Column],
    pub row: usize,
}

impl Row<'_> {
    pub fn integer(&self, column: usize) -> Option<i128> {
        self.columns[column].integers().get(self.row).copied().flatten()
    }

    pub fn number(&self, column: usize) -> Option<f64> {
        match &self.columns[column] {
            Column::Integers(values) => values.get(self.row).copied().flatten().map(|value| value as f64),
            column => column.numbers().get(self.row).copied().flatten(),
        }
    }

    pub fn text(&self, column: usize) -> String {
        self.columns[column].text(self.row).unwrap_or_default().to_owned()
    }

    /// An address and a port.
    pub fn end(&self, address: usize, port: usize) -> String {
        match (self.text(address), self.integer(port)) {
            (address, Some(port)) if address.contains(':') => format!("[{address}]:{port}"),
            (address, Some(port)) => format!("{address}:{port}"),
            (address, None) => address,
        }
    }
}

/// The columns of connections in the table of flows.
const CONNECTION_COLUMNS: [(&str, Kind); 5] = [
    ("goodput_bps", Kind::Numbers),
    ("completion_ps", Kind::Integers),
    ("retransmissions", Kind::Integers),
    ("timeouts", Kind::Integers),
    ("delivered_ce", Kind::Integers),
];
const CONNECTION_HEADS: [(&str, &str); 5] = [
    (
        "goodput",
        "Acknowledged bits per second, from the first segment to the last acknowledgement of new bytes",
    ),
    ("completion", "From the SYN to the acknowledgement of the last byte and of the FIN"),
    ("retransmitted", "Retransmitted segments"),
    ("timeouts", "Expiries of the retransmission timer"),
    ("marks echoed", "Segments delivered by acknowledgements that echoed a mark of congestion (ECE)"),
];

/// The cells of these columns, which begin at `first`.
fn connection_cells(row: &Row<'_>, first: usize) -> [Cell; 5] {
    [
        Cell::number(row.number(first), bits_per_second),
        Cell::number(row.number(first + 1), ps),
        Cell::count(row.integer(first + 2)),
        Cell::count(row.integer(first + 3)),
        Cell::count(row.integer(first + 4)),
    ]
}

/// The table of flows: those of the most packets; `connects` says whether the run has connections.
pub(super) fn flows(run: &Path, connects: bool) -> Result<Table, ReportError> {
    use Kind::{Integers, Numbers, Texts};
    let mut wanted = vec![
        ("fid", Integers),
        ("source", Texts),
        ("destination", Texts),
        ("protocol", Integers),
        ("source_port", Integers),
        ("destination_port", Integers),
        ("packets_injected", Integers),
        ("bytes_injected", Integers),
        ("packets_delivered", Integers),
        ("packets_dropped", Integers),
        ("delay_mean_ps", Numbers),
        ("delay_p50_ps", Integers),
        ("delay_p99_ps", Integers),
        ("jitter_ps", Numbers),
        ("loss_ratio", Numbers),
        ("packets_reordered", Integers),
        ("packets_marked", Integers),
    ];
    let mut columns = vec![
        ("flow", "Number of the flow (fid)"),
        ("from", "Source address and port"),
        ("to", "Destination address and port"),
        ("protocol", "Transport protocol"),
        ("packets", "Packets injected"),
        ("bytes", "Bytes injected"),
        ("dropped", "Packets dropped"),
        ("marked", "Packets that a queue marked: congestion experienced (ECN)"),
        ("loss", "Dropped / (dropped + delivered)"),
        ("mean delay", "Mean one-way delay of delivered packets"),
        ("p50", "Median one-way delay"),
        ("p99", "99th percentile of the one-way delay"),
        ("jitter", "Mean difference of the delays of one packet and the next"),
        ("reordered", "Packets that arrived after a packet that was sent later"),
    ];
    if connects {
        wanted.extend(CONNECTION_COLUMNS);
        columns.extend(CONNECTION_HEADS);
    }
    let row = |row: Row<'_>| {
        let mut cells = vec![
            Cell::count(row.integer(0)),
            Cell::text(row.end(1, 4)),
            Cell::text(row.end(2, 5)),
            Cell::text(row.integer(3).map_or(String::new(), protocol)),
            Cell::count(row.integer(6)),
            Cell::number(row.number(7), |value| bytes(value as u64)),
            Cell::count(row.integer(9)),
            Cell::count(row.integer(16)),
            Cell::number(row.number(14), ratio),
            Cell::number(row.number(10), ps),
            Cell::number(row.number(11), ps),
            Cell::number(row.number(12), ps),
            Cell::number(row.number(13), ps),
            Cell::count(row.integer(15)),
        ];
        if connects {
            cells.extend(connection_cells(&row, 17));
        }
        cells
    };
    read(run, "flows", &wanted, columns, 6, row)
}

pub(super) fn protocol(number: i128) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmpv6".to_owned(),
        132 => "sctp".to_owned(),
        other => other.to_string(),
    }
}

/// The table of ports: those of the most packets.
pub(super) fn ports(run: &Path) -> Result<Table, ReportError> {
    use Kind::{Integers, Numbers, Texts};
    let wanted = [
        ("device", Texts),
        ("port", Integers),
        ("packets", Integers),
        ("bytes", Integers),
        ("packets_dropped", Integers),
        ("throughput_bps", Numbers),
        ("capacity_bps", Integers),
        ("load", Numbers),
        ("waiting_mean_ps", Numbers),
        ("waiting_p50_ps", Integers),
        ("waiting_p99_ps", Integers),
        ("waiting_max_ps", Integers),
        ("queue_mean_packets", Numbers),
        ("packets_marked", Integers),
    ];
    let columns = vec![
        ("port", "Egress port: device and number"),
        ("packets", "Packets that passed"),
        ("bytes", "Bytes that passed"),
        ("dropped", "Packets dropped here"),
        ("marked", "Packets marked here: congestion experienced (ECN)"),
        ("throughput", "Bytes divided by the length of the run"),
        ("capacity", "Bandwidth of the link, or rate of the shaper if that is lower"),
        ("load", "Throughput divided by capacity"),
        ("mean wait", "Mean waiting time in the queue"),
        ("p50", "Median waiting time"),
        ("p99", "99th percentile of the waiting time"),
        ("max", "Longest waiting time"),
        ("queue", "Mean number of waiting packets over the run"),
    ];
    let row = |row: Row<'_>| {
        vec![
            Cell::text(format!("{}:{}", row.text(0), row.integer(1).unwrap_or_default())),
            Cell::count(row.integer(2)),
            Cell::number(row.number(3), |value| bytes(value as u64)),
            Cell::count(row.integer(4)),
            Cell::count(row.integer(13)),
            Cell::number(row.number(5), bits_per_second),
            Cell::number(row.number(6), bits_per_second),
            Cell::number(row.number(7), ratio),
            Cell::number(row.number(8), ps),
            Cell::number(row.number(9), ps),
            Cell::number(row.number(10), ps),
            Cell::number(row.number(11), ps),
            Cell::number(row.number(12), four_digits),
        ]
    };
    read(run, "ports", &wanted, columns, 2, row)
}

/// Reads a table, and keeps the rows that are greatest by one of the columns that are read, in the table's own order.
fn read(
    run: &Path,
    name: &str,
    wanted: &[(&str, Kind)],
    columns: Vec<(&'static str, &'static str)>,
    by: usize,
    make: impl Fn(Row<'_>) -> Vec<Cell>,
) -> Result<Table, ReportError> {
    let (rows, total) = largest(run, name, wanted, (by, MOST), make)?;
    Ok(Table { columns, rows, total })
}

/// The `most` rows of a table that are greatest by one of the columns that are read, in the table's own order; and how many
/// there are.
pub(super) fn largest<T>(
    run: &Path,
    name: &str,
    wanted: &[(&str, Kind)],
    (by, most): (usize, usize),
    make: impl Fn(Row<'_>) -> T,
) -> Result<(Vec<T>, usize), ReportError> {
    let mut greatest = Greatest::new(most);
    let mut total = 0;
    read_columns(&run.join(name), wanted, |batch| {
        let count = batch.iter().map(column_length).max().unwrap_or(0);
        total += count;
        for row in 0..count {
            let row = Row { columns: batch, row };
            greatest.push(row.number(by).unwrap_or(0.0), || make(row));
        }
    })?;
    Ok((greatest.finish(), total))
}

/// The rows with the greatest keys, in the order in which they came; of equal ones the first.
struct Greatest<T> {
    most: usize,
    rows: Vec<(f64, T)>,
    /// Enough rows have keys as great as this: another has to be greater.
    least: f64,
}

impl<T> Greatest<T> {
    fn new(most: usize) -> Self {
        Greatest { most, rows: Vec::new(), least: f64::NEG_INFINITY }
    }

    /// A row, which is made if it may be among the greatest.
    fn push(&mut self, key: f64, make: impl FnOnce() -> T) {
        if key > self.least {
            self.rows.push((key, make()));
        }
        if self.rows.len() >= 2 * self.most {
            self.prune();
        }
    }

    fn prune(&mut self) {
        let mut keys: Vec<f64> = self.rows.iter().map(|(key, _)| *key).collect();
        keys.sort_by(|a, b| b.total_cmp(a));
        let least = keys[self.most - 1];
        let mut equal = keys[..self.most].iter().filter(|key| **key == least).count();
        self.rows.retain(|(key, _)| {
            let is_equal = *key == least;
            let keep = *key > least || (is_equal && equal > 0);
            equal -= usize::from(is_equal && keep);
            keep
        });
        self.least = least;
    }

    fn finish(mut self) -> Vec<T> {
        if self.rows.len() > self.most {
            self.prune();
        }
        self.rows.into_iter().map(|(_, row)| row).collect()
    }
}

fn column_length(column: &Column) -> usize {
    match column {
        Column::Integers(values) => values.len(),
        Column::Numbers(values) => values.len(),
        Column::Texts(keys, _) => keys.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_greatest_rows_are_kept_in_their_order(keys in prop::collection::vec(0..9u8, 0..60), most in 1..9usize) {
            let mut greatest = Greatest::new(most);
            for (place, key) in keys.iter().enumerate() {
                greatest.push(f64::from(*key), || place);
            }
            let mut expected: Vec<usize> = (0..keys.len()).collect();
            expected.sort_by_key(|place| std::cmp::Reverse(keys[*place]));
            expected.truncate(most);
            expected.sort_unstable();
            prop_assert_eq!(greatest.finish(), expected);
        }
    }
}
