//! `hops`: one row per packet and device that it passed or was lost at, in time order.

use std::sync::Arc;

use arrow_array::builder::{UInt16Builder, UInt32Builder, UInt64Builder};
use arrow_array::{ArrayRef, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};

use super::held::Held;
use super::names::Names;
use crate::engine::{Dropped, Hop};
use crate::packet::DropReason;
use crate::table::{OpenTable, TableError, Tables};
use crate::topology::{DeviceId, PortId, Topology};
use crate::units::Time;

/// Number of rows per batch.
const ROWS: usize = 1 << 15;

/// One row.
#[derive(Debug, Clone, Copy)]
struct Row {
    fid: u32,
    pid: u64,
    device: DeviceId,
    port: Option<PortId>,
    ingress: Time,
    joined: Option<Time>,
    egress: Option<Time>,
    /// Time when it left the queue, by egress or loss.
    left: Time,
    reason: Option<DropReason>,
}

/// The table `hops`.
pub struct HopRows {
    topology: Arc<Topology>,
    table: OpenTable,
    devices: Names,
    reasons: Names,
    held: Held<Row>,
    columns: Columns,
}

#[derive(Default)]
struct Columns {
    pid: Vec<u64>,
    fid: Vec<u32>,
    device: Vec<u32>,
    port: UInt16Builder,
    ingress: Vec<u64>,
    joined: UInt64Builder,
    egress: UInt64Builder,
    waiting: UInt64Builder,
    sojourn: Vec<u64>,
    reason: UInt32Builder,
}

impl HopRows {
    /// Begins the table.
    ///
    /// # Errors
    /// The table cannot be created.
    pub fn create(tables: &dyn Tables, topology: &Arc<Topology>) -> Result<Self, TableError> {
        let schema = Schema::new(vec![
            Field::new("pid", DataType::UInt64, false),
            Field::new("fid", DataType::UInt32, false),
            Field::new("device", Names::data_type(), false),
            Field::new("port", DataType::UInt16, true),
            Field::new("ingress_ps", DataType::UInt64, false),
            Field::new("joined_ps", DataType::UInt64, true),
            Field::new("egress_ps", DataType::UInt64, true),
            Field::new("waiting_ps", DataType::UInt64, true),
            Field::new("sojourn_ps", DataType::UInt64, false),
            Field::new("reason", Names::data_type(), true),
        ]);
        Ok(HopRows {
            topology: Arc::clone(topology),
            table: OpenTable::begin(tables, "hops", schema)?,
            devices: Names::devices(topology),
            reasons: Names::reasons(),
            held: Held::default(),
            columns: Columns::default(),
        })
    }

    /// Records a packet that passed a device.
    #[inline]
    pub fn hop(&mut self, hop: &Hop) {
        let row = Row {
            fid: hop.packet.fid,
            pid: hop.packet.pid,
            device: hop.device,
            port: Some(hop.port),
            ingress: hop.ingress,
            joined: Some(hop.joined),
            egress: Some(hop.egress),
            left: hop.egress,
            reason: None,
        };
        self.held.push(hop.egress, row.pid, row);
    }

    /// Records a lost packet. A packet lost on a link has passed the device: its last row gets the reason.
    pub fn dropped(&mut self, drop: &Dropped) {
        let packet = &drop.tau.packet;
        if drop.reason == DropReason::LostOnLink {
            if let Some(row) = self.held.last_mut()
                && row.pid == packet.pid
                && row.port == drop.port
            {
                row.reason = Some(drop.reason);
            }
            return;
        }
        let ingress = drop.tau.timestamp;
        let row = Row {
            fid: packet.fid,
            pid: packet.pid,
            device: drop.device,
            port: drop.port,
            ingress,
            joined: drop.port.map(|_| ingress + self.topology.device(drop.device).processing),
            egress: None,
            left: drop.at,
            reason: Some(drop.reason),
        };
        self.held.push(drop.at, row.pid, row);
    }

    /// Writes the rows before an instant.
    ///
    /// # Errors
    /// The table cannot be written.
    pub fn settle(&mut self, before: Time) -> Result<(), TableError> {
        let mut held = std::mem::take(&mut self.held);
        let written = held.settle(before, |_, row| self.push(&row));
        self.held = held;
        written
    }

    fn push(&mut self, row: &Row) -> Result<(), TableError> {
        let columns = &mut self.columns;
        columns.pid.push(row.pid);
        columns.fid.push(row.fid);
        columns.device.push(row.device.index() as u32);
        columns.port.append_option(row.port.map(|port| self.topology.port(port).number));
        columns.ingress.push(row.ingress.as_ps());
        columns.joined.append_option(row.joined.map(Time::as_ps));
        columns.egress.append_option(row.egress.map(Time::as_ps));
        columns.waiting.append_option(row.joined.map(|joined| row.left.since(joined).as_ps()));
        columns.sojourn.push(row.left.since(row.ingress).as_ps());
        columns.reason.append_option(row.reason.map(DropReason::number));
        if columns.pid.len() == ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), TableError> {
        let mut columns = std::mem::take(&mut self.columns);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(columns.pid)),
            Arc::new(UInt32Array::from(columns.fid)),
            self.devices.column(UInt32Array::from(columns.device)),
            Arc::new(columns.port.finish()),
            Arc::new(UInt64Array::from(columns.ingress)),
            Arc::new(columns.joined.finish()),
            Arc::new(columns.egress.finish()),
            Arc::new(columns.waiting.finish()),
            Arc::new(UInt64Array::from(columns.sojourn)),
            self.reasons.column(columns.reason.finish()),
        ];
        self.table.write(arrays)
    }

    /// Writes the remaining rows.
    ///
    /// # Errors
    /// The table cannot be written.
    pub fn finish(mut self) -> Result<(), TableError> {
        self.settle(Time::NEVER)?;
        self.flush()?;
        self.table.finish()
    }
}
