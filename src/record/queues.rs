//! `queues`: the number of packets and bytes waiting at egress ports, sampled at multiples of an interval.

use std::sync::Arc;

use arrow_array::{ArrayRef, UInt16Array, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};

use super::names::Names;
use crate::scenario::QueueSamples;
use crate::table::{OpenTable, TableError, Tables};
use crate::topology::{PortId, Topology};
use crate::units::{Span, Time};

/// Maximum number of samples of all ports held in memory, of 16 bytes each.
const MOST: u64 = 1 << 26;

/// Number of rows per batch.
const ROWS: u64 = 1 << 15;

/// The change in waiting packets and bytes from the previous sample.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    packets: i64,
    bytes: i64,
}

/// The queue lengths of a run.
///
/// A packet waits from the time when it joins a port's PTM, inclusive, to its egress or loss, exclusive. The
/// waiting time is known only when it is over, so the samples of a run are held until its end.
#[derive(Debug, Clone)]
pub struct QueueLengths {
    every: Span,
    ports: Vec<PortId>,
    /// By port of the topology: its index in `changes`.
    places: Vec<Option<usize>>,
    changes: Vec<Vec<Change>>,
    /// The packets waiting at the end of the run: port, bytes, and start of waiting.
    waiting: Vec<(PortId, u32, Time)>,
}

/// There are more samples than a run can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "[record] queues: samples every {every} up to {end} at {ports} ports are more than {MOST}: \
     choose a longer interval or fewer ports"
)]
pub struct TooManySamples {
    every: Span,
    end: Time,
    ports: usize,
}

impl QueueLengths {
    /// Starts with empty queues.
    pub fn new(samples: &QueueSamples, topology: &Topology) -> Self {
        let mut places = vec![None; topology.ports().len()];
        for (place, port) in samples.ports.iter().enumerate() {
            places[port.index()] = Some(place);
        }
        let changes = vec![Vec::new(); samples.ports.len()];
        QueueLengths {
            every: samples.every,
            ports: samples.ports.clone(),
            places,
            changes,
            waiting: Vec::new(),
        }
    }

    /// Records that a packet of `length` bytes waited at a port from `joined` to `left`.
    ///
    /// # Errors
    /// There would be too many samples.
    #[inline]
    pub fn waited(
        &mut self,
        port: PortId,
        length: u32,
        joined: Time,
        left: Time,
    ) -> Result<(), TooManySamples> {
        let Some(place) = self.places[port.index()] else { return Ok(()) };
        let every = self.every.as_ps();
        let (from, to) = (joined.as_ps().div_ceil(every), left.as_ps().div_ceil(every));
        if from == to {
            return Ok(());
        }
        self.check(left)?;
        let changes = &mut self.changes[place];
        if changes.len() <= to as usize {
            changes.resize(to as usize + 1, Change::default());
        }
        for (index, sign) in [(from, 1), (to, -1)] {
            let change = &mut changes[index as usize];
            change.packets += sign;
            change.bytes += sign * i64::from(length);
        }
        Ok(())
    }

    /// Records that a packet of `length` bytes has waited at a port since `joined` and still waits at the end
    /// of the run.
    pub fn waits(&mut self, port: PortId, length: u32, joined: Time) {
        self.waiting.push((port, length, joined));
    }

    /// Adds the packets that still wait at the end of the run.
    ///
    /// # Errors
    /// There would be too many samples.
    pub fn end(&mut self, end: Time) -> Result<(), TooManySamples> {
        self.check(end)?;
        for (port, length, joined) in std::mem::take(&mut self.waiting) {
            // The end itself may be sampled.
            self.waited(port, length, joined, end + Span::from_ps(1))?;
        }
        Ok(())
    }

    /// Checks the number of samples up to `end`.
    ///
    /// # Errors
    /// There are too many.
    fn check(&self, end: Time) -> Result<(), TooManySamples> {
        let samples = (end.as_ps() / self.every.as_ps() + 2).saturating_mul(self.ports.len() as u64);
        match samples > MOST {
            true => Err(TooManySamples { every: self.every, end, ports: self.ports.len() }),
            false => Ok(()),
        }
    }

    /// Writes the table of a run that ended at `end`: every port at every sample, by time.
    ///
    /// # Errors
    /// The table cannot be written.
    pub fn write(&self, tables: &dyn Tables, topology: &Topology, end: Time) -> Result<(), TableError> {
        let names = Names::devices(topology);
        let schema = Schema::new(vec![
            Field::new("time_ps", DataType::UInt64, false),
            Field::new("device", Names::data_type(), false),
            Field::new("port", DataType::UInt16, false),
            Field::new("packets", DataType::UInt64, false),
            Field::new("bytes", DataType::UInt64, false),
        ]);
        let mut table = OpenTable::begin(tables, "queues", schema)?;
        let mut lengths = vec![Change::default(); self.ports.len()];
        let per_batch = (ROWS / self.ports.len().max(1) as u64).max(1);
        let samples = end.as_ps() / self.every.as_ps() + 1;
        for first in (0..samples).step_by(per_batch as usize) {
            let (mut times, mut numbers, mut packets, mut bytes) = (vec![], vec![], vec![], vec![]);
            let mut devices: Vec<u32> = vec![];
            for sample in first..samples.min(first + per_batch) {
                for ((port, changes), length) in self.ports.iter().zip(&self.changes).zip(&mut lengths) {
                    let change = changes.get(sample as usize).copied().unwrap_or_default();
                    length.packets += change.packets;
                    length.bytes += change.bytes;
                    let port = topology.port(*port);
                    times.push(sample * self.every.as_ps());
                    devices.push(port.device.index() as u32);
                    numbers.push(port.number);
                    packets.push(length.packets as u64);
                    bytes.push(length.bytes as u64);
                }
            }
            let arrays: Vec<ArrayRef> = vec![
                Arc::new(UInt64Array::from(times)),
                names.column(UInt32Array::from(devices)),
                Arc::new(UInt16Array::from(numbers)),
                Arc::new(UInt64Array::from(packets)),
                Arc::new(UInt64Array::from(bytes)),
            ];
            table.write(arrays)?;
        }
        table.finish()
    }
}
