//! `deepqueuenet.csv`: the packets of a whole network in the form of DeepQueueNet, one row per packet that
//! arrived.

use std::io;
use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field, Schema};
use rustc_hash::FxHashMap;

use super::held::Held;
use crate::engine::{Hop, InjectionPoint};
use crate::packet::Packet;
use crate::table::{OpenTable, TableError, Tables};
use crate::topology::{DeviceKind, Topology};
use crate::units::{PS_PER_S, Time};

/// The columns.
pub const NETWORK: [&str; 7] =
    ["index", "timestamp (sec)", "pkt len (byte)", "priority", "src_pc", "path", "etime"];

/// A row: the path of a packet through a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRow {
    /// `index`: its number.
    pub index: u64,
    /// `timestamp (sec)`: time of arrival at the first device.
    pub timestamp: Time,
    /// `pkt len (byte)`: its length.
    pub length: u32,
    /// `priority`: its class, from 0 to 63.
    pub class: u8,
    /// `src_pc`: the number of the sending host. In the published fat tree of 20 switches, host n is at port
    /// n modulo 2 of the switch 12 + n / 2.
    pub source: u32,
    /// `path`, such as `12_2-4_2-0_1`: the number and the egress port of every device on the path, in order.
    pub path: Vec<(u32, u16)>,
    /// `etime`: time when the last bit left the last device. Links of the original have no propagation delay;
    /// with propagation, that of the last link is not included.
    pub end: Time,
}

impl NetworkRow {
    /// The row as text, column by column.
    fn fields(&self) -> [String; 7] {
        let hops: Vec<String> = self.path.iter().map(|(device, port)| format!("{device}_{port}")).collect();
        [
            self.index.to_string(),
            seconds(self.timestamp.as_ps()),
            self.length.to_string(),
            self.class.to_string(),
            self.source.to_string(),
            hops.join("-"),
            seconds(self.end.as_ps()),
        ]
    }
}

/// Writes a table in the network form.
pub struct NetworkWriter<W: io::Write>(csv::Writer<W>);

impl<W: io::Write> NetworkWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(NETWORK)?;
        Ok(NetworkWriter(writer))
    }

    /// Appends a row.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn push(&mut self, row: &NetworkRow) -> io::Result<()> {
        Ok(self.0.write_record(row.fields())?)
    }

    /// Writes the remaining rows.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Converts picoseconds to seconds, exactly.
pub(crate) fn seconds(picoseconds: u64) -> String {
    let (whole, fraction) = (picoseconds / PS_PER_S, picoseconds % PS_PER_S);
    let text = format!("{whole}.{fraction:012}");
    let shortest = text.trim_end_matches('0');
    // As in Python: 1.0, not 1.
    if shortest.ends_with('.') { format!("{shortest}0") } else { shortest.to_owned() }
}

/// Number of rows per batch.
const ROWS: usize = 1 << 13;

/// The table of a run. Rows are in order of arrival, and at one instant in order of pid.
pub struct NetworkRows {
    topology: Arc<Topology>,
    table: OpenTable,
    rows: Vec<NetworkRow>,
    /// By device: its number among the hosts or among the other devices, in the order of the topology.
    numbers: Vec<u32>,
    /// By pid: the packets sent by hosts that are inside the network.
    inside: FxHashMap<u64, NetworkRow>,
    arrived: Held<NetworkRow>,
}

impl NetworkRows {
    /// Begins the table.
    ///
    /// # Errors
    /// The table cannot be created.
    pub fn create(tables: &dyn Tables, topology: &Arc<Topology>) -> Result<Self, TableError> {
        let (mut hosts, mut others) = (0, 0);
        let numbers = topology.devices().map(|(_, device)| {
            let next = if device.kind == DeviceKind::Host { &mut hosts } else { &mut others };
            *next += 1;
            *next - 1
        });
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        Ok(NetworkRows {
            numbers: numbers.collect(),
            topology: Arc::clone(topology),
            table: OpenTable::begin(tables, "deepqueuenet", Schema::new(NETWORK.map(text).to_vec()))?,
            rows: Vec::new(),
            inside: FxHashMap::default(),
            arrived: Held::default(),
        })
    }

    /// Records a packet that enters. Only packets from hosts get a row.
    pub fn injected(&mut self, packet: &Packet, at: InjectionPoint) {
        let topology = &*self.topology;
        let sender = match at {
            InjectionPoint::Host(host) => host,
            InjectionPoint::Egress(port) => topology.port(port).device,
            InjectionPoint::Ingress(port) => {
                let link = topology.link(topology.port(port).ingress);
                topology.port(link.from).device
            }
        };
        if topology.device(sender).kind == DeviceKind::Host {
            let row = NetworkRow {
                index: packet.pid,
                timestamp: Time::ZERO,
                length: packet.length,
                class: packet.dscp,
                source: self.numbers[sender.index()],
                path: Vec::new(),
                end: Time::ZERO,
            };
            self.inside.insert(packet.pid, row);
        }
    }

    /// Records a packet that passed a device.
    #[inline]
    pub fn hop(&mut self, hop: &Hop) {
        if self.topology.device(hop.device).kind == DeviceKind::Host {
            return;
        }
        let Some(row) = self.inside.get_mut(&hop.packet.pid) else { return };
        if row.path.is_empty() {
            row.timestamp = hop.ingress;
        }
        let port = self.topology.port(hop.port);
        row.path.push((self.numbers[hop.device.index()], port.number));
        row.end =
            hop.egress + self.topology.link(port.egress).link.transmission_time(hop.packet.byte_count());
    }

    /// Records a packet that arrived. Packets that passed no device get no row.
    pub fn delivered(&mut self, pid: u64, at: Time) {
        if let Some(row) = self.inside.remove(&pid).filter(|row| !row.path.is_empty()) {
            self.arrived.push(at, pid, row);
        }
    }

    /// Records a lost packet, which gets no row: the form does not support losses.
    pub fn dropped(&mut self, pid: u64) {
        self.inside.remove(&pid);
    }

    /// Writes the rows of packets that arrived before an instant.
    ///
    /// # Errors
    /// The table cannot be written.
    pub fn settle(&mut self, before: Time) -> Result<(), TableError> {
        let NetworkRows { arrived, rows, .. } = self;
        let kept: Result<(), TableError> = arrived.settle(before, |_, row| {
            rows.push(row);
            Ok(())
        });
        kept.and_then(|()| if self.rows.len() >= ROWS { self.flush() } else { Ok(()) })
    }

    fn flush(&mut self) -> Result<(), TableError> {
        let fields: Vec<[String; 7]> = self.rows.drain(..).map(|row| row.fields()).collect();
        let column = |column: usize| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(fields.iter().map(|row| &row[column])))
        };
        self.table.write((0..NETWORK.len()).map(column).collect())
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
