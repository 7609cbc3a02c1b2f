//! `transport`: the state of connections, in time order.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, UInt32Builder, UInt64Builder};
use arrow_array::{ArrayRef, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};

use super::names::Names;
use crate::table::{OpenTable, TableError, Tables};
use crate::transport::{State, TransportSample};
use crate::units::{PS_PER_S, Span};

/// Maximum number of rows held before they are written.
const ROWS: usize = 1 << 15;

/// The table `transport`.
pub struct TransportRows {
    table: OpenTable,
    states: Names,
    columns: Columns,
}

#[derive(Default)]
struct Columns {
    time: Vec<u64>,
    fid: Vec<u32>,
    state: Vec<u32>,
    cwnd: Vec<u32>,
    ssthresh: UInt32Builder,
    in_flight: Vec<u32>,
    unacknowledged: Vec<u32>,
    mss: Vec<u32>,
    srtt: UInt64Builder,
    rto: Vec<u64>,
    acknowledged: Vec<u64>,
    delivered_ce: Vec<u64>,
    alpha: Float64Builder,
    least_rtt: UInt64Builder,
    pacing_rate: UInt64Builder,
}

impl TransportRows {
    /// Begins the table.
    ///
    /// # Errors
    /// The table cannot be created.
    pub fn create(tables: &dyn Tables) -> Result<Self, TableError> {
        let schema = Schema::new(vec![
            Field::new("time_ps", DataType::UInt64, false),
            Field::new("fid", DataType::UInt32, false),
            Field::new("state", Names::data_type(), false),
            Field::new("cwnd_segments", DataType::UInt32, false),
            Field::new("ssthresh_segments", DataType::UInt32, true),
            Field::new("in_flight_segments", DataType::UInt32, false),
            Field::new("unacknowledged_segments", DataType::UInt32, false),
            Field::new("mss_bytes", DataType::UInt32, false),
            Field::new("srtt_us", DataType::UInt64, true),
            Field::new("rto_us", DataType::UInt64, false),
            Field::new("bytes_acknowledged", DataType::UInt64, false),
            Field::new("delivered_ce", DataType::UInt64, false),
            Field::new("alpha", DataType::Float64, true),
            Field::new("min_rtt_us", DataType::UInt64, true),
            Field::new("pacing_rate_bps", DataType::UInt64, true),
        ]);
        Ok(TransportRows {
            table: OpenTable::begin(tables, "transport", schema)?,
            states: Names::new(State::ALL.iter().map(|state| state.name())),
            columns: Columns::default(),
        })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// The table cannot be written.
    pub fn push(&mut self, sample: &TransportSample) -> Result<(), TableError> {
        let columns = &mut self.columns;
        columns.time.push(sample.time.as_ps());
        columns.fid.push(sample.fid);
        columns.state.push(sample.state.number());
        columns.cwnd.push(sample.cwnd);
        columns.ssthresh.append_option(sample.ssthresh);
        columns.in_flight.push(sample.in_flight);
        columns.unacknowledged.push(sample.unacknowledged);
        columns.mss.push(sample.mss);
        columns.srtt.append_option(sample.srtt.map(microseconds));
        columns.rto.push(microseconds(sample.rto));
        columns.acknowledged.push(sample.acknowledged);
        columns.delivered_ce.push(sample.delivered_ce);
        columns.alpha.append_option(sample.alpha.map(|alpha| f64::from(alpha) / 1024.0));
        columns.least_rtt.append_option(sample.least_rtt.map(microseconds));
        columns.pacing_rate.append_option(sample.pacing_rate.map(|bytes| 8 * bytes));
        if columns.time.len() == ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), TableError> {
        let mut columns = std::mem::take(&mut self.columns);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(columns.time)),
            Arc::new(UInt32Array::from(columns.fid)),
            self.states.column(UInt32Array::from(columns.state)),
            Arc::new(UInt32Array::from(columns.cwnd)),
            Arc::new(columns.ssthresh.finish()),
            Arc::new(UInt32Array::from(columns.in_flight)),
            Arc::new(UInt32Array::from(columns.unacknowledged)),
            Arc::new(UInt32Array::from(columns.mss)),
            Arc::new(columns.srtt.finish()),
            Arc::new(UInt64Array::from(columns.rto)),
            Arc::new(UInt64Array::from(columns.acknowledged)),
            Arc::new(UInt64Array::from(columns.delivered_ce)),
            Arc::new(columns.alpha.finish()),
            Arc::new(columns.least_rtt.finish()),
            Arc::new(columns.pacing_rate.finish()),
        ];
        self.table.write(arrays)
    }

    /// Writes the remaining rows.
    ///
    /// # Errors
    /// The table cannot be written.
    pub fn finish(mut self) -> Result<(), TableError> {
        self.flush()?;
        self.table.finish()
    }
}

/// Converts a span to whole microseconds.
fn microseconds(span: Span) -> u64 {
    span.as_ps() / (PS_PER_S / 1_000_000)
}
