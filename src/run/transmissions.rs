//! The tables of transmissions and of goodput, and warnings about connections.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray, UInt16Array, UInt32Array, UInt64Array};

use crate::compare::{FlowAt, Transmission, TransmissionComparison, VantageTransmissions};
use crate::table::{TableError, Tables, write_table};

/// A row of `transmissions`: a transmission on one side or on both.
struct Row<'a> {
    number: usize,
    fid: u32,
    simulated: Option<&'a Transmission>,
    measured: Option<&'a Transmission>,
}

impl Row<'_> {
    /// A property that both sides share, taken from the side that exists.
    fn either<T>(&self, of: impl FnOnce(&Transmission) -> T) -> Option<T> {
        self.simulated.or(self.measured).map(of)
    }

    fn at_ps(&self) -> Option<i64> {
        self.either(|packet| packet.at_ps)
    }

    fn sack(&self) -> Option<String> {
        let blocks = self.either(|packet| packet.sack.clone())??;
        let blocks: Vec<String> = blocks.iter().map(|(start, end)| format!("{start}-{end}")).collect();
        (!blocks.is_empty()).then(|| blocks.join(" "))
    }
}

/// The rows of a flow, in time order.
fn rows(number: usize, flow: &FlowAt) -> Vec<Row<'_>> {
    let fid = flow.fid;
    let partners = flow.partners();
    let simulated = flow.simulated.iter().zip(partners).map(|(packet, partner)| Row {
        number,
        fid,
        simulated: Some(packet),
        measured: partner.map(|place| &flow.measured[place]),
    });
    let alone =
        flow.only_measured().map(|packet| Row { number, fid, simulated: None, measured: Some(packet) });
    let mut rows: Vec<Row<'_>> = simulated.chain(alone).collect();
    rows.sort_by_key(Row::at_ps);
    rows
}

/// Writes `transmissions`: one row per TCP packet of a connection at a vantage. `name` gives the vantage of a
/// comparison.
pub(super) fn write_transmissions<'a>(
    tables: &dyn Tables,
    vantages: &[VantageTransmissions],
    name: &impl Fn(usize) -> &'a str,
) -> Result<(), TableError> {
    let rows: Vec<Row<'_>> = vantages
        .iter()
        .flat_map(|vantage| vantage.flows.iter().flat_map(|flow| rows(vantage.number, flow)))
        .collect();
    let position = |of: fn(&Transmission) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.either(of))))
    };
    let of_simulated = |of: fn(&Transmission) -> Option<u64>| -> ArrayRef {
        Arc::new(UInt64Array::from_iter(rows.iter().map(|row| row.simulated.and_then(of))))
    };
    let acknowledgements = rows.iter().map(|row| row.either(|packet| packet.acknowledgement).flatten());
    let measured_windows = rows.iter().map(|row| row.measured.and_then(|packet| packet.window));
    let nth = rows.iter().map(|row| row.either(|packet| packet.nth));
    let simulated = rows.iter().map(|row| row.simulated.map(|packet| packet.at_ps));
    let measured = rows.iter().map(|row| row.measured.map(|packet| packet.at_ps));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("comparison", Arc::new(UInt16Array::from_iter_values(rows.iter().map(|row| row.number as u16)))),
        ("vantage", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| name(row.number))))),
        ("fid", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.fid)))),
        ("pid", of_simulated(|packet| Some(packet.tag))),
        ("start", position(|packet| packet.start)),
        ("end", position(|packet| packet.end)),
        ("nth", Arc::new(UInt32Array::from_iter(nth))),
        ("acknowledgement", Arc::new(Int64Array::from_iter(acknowledgements))),
        ("sack", Arc::new(StringArray::from_iter(rows.iter().map(Row::sack)))),
        ("simulated_window_bytes", of_simulated(|packet| packet.window)),
        ("measured_window_bytes", Arc::new(UInt64Array::from_iter(measured_windows))),
        ("simulated_ps", Arc::new(Int64Array::from_iter(simulated))),
        ("measured_ps", Arc::new(Int64Array::from_iter(measured))),
    ];
    write_table(tables, "transmissions", columns)
}

/// Writes `goodput`: one row per flow at a vantage and time window.
pub(super) fn write_goodput<'a>(
    tables: &dyn Tables,
    vantages: &[VantageTransmissions],
    name: &impl Fn(usize) -> &'a str,
) -> Result<(), TableError> {
    let rows: Vec<_> = vantages
        .iter()
        .flat_map(|vantage| {
            let goodput = &vantage.goodput;
            let start = |window: i64| goodput.start_ps + window * goodput.length_ps;
            let of_row = move |row| (vantage.number, goodput.length_ps, row);
            goodput.rows.iter().map(move |row| (start(row.window), of_row(row)))
        })
        .collect();
    let bytes = |side: usize| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, (_, _, row))| row.bytes[side])))
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("comparison", Arc::new(UInt16Array::from_iter_values(rows.iter().map(|(_, row)| row.0 as u16)))),
        ("vantage", Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, row)| name(row.0))))),
        ("fid", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|(_, row)| row.2.fid)))),
        ("start_ps", Arc::new(Int64Array::from_iter_values(rows.iter().map(|(start, _)| *start)))),
        ("length_ps", Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, row)| row.1)))),
        ("simulated_bytes", bytes(0)),
        ("measured_bytes", bytes(1)),
    ];
    write_table(tables, "goodput", columns)
}

/// Warnings about a comparison of connections that may mislead.
pub(super) fn transmission_doubts(vantage: &str, found: &TransmissionComparison) -> Vec<String> {
    let counts = &found.connections;
    let mut doubts = Vec::new();
    if counts.without_syn > 0 {
        doubts.push(format!(
            "{} connections at {vantage} have no SYN in the capture: their first packet is assumed to carry their first byte",
            counts.without_syn
        ));
    }
    if found.segmented > 0 {
        doubts.push(format!(
            "{} TCP packets in the capture at {vantage} are longer than the simulated segments, and match none: \
             switch segmentation offload off (`ethtool -K DEVICE tso off gso off gro off`), or give the links their `mtu`",
            found.segmented
        ));
    }
    if counts.only_measured > 0 {
        doubts.push(format!(
            "{} connections in the capture at {vantage} have no simulated counterpart: the scenario has fewer connections \
             between these addresses",
            counts.only_measured
        ));
    }
    doubts
}
