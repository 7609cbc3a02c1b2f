//! `deepqueuenet.csv`: what a whole network did, as DeepQueueNet writes it, a row per packet that arrived.

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

/// A packet's way through a network: a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRow {
    /// `index`: its number.
    pub index: u64,
    /// `timestamp (sec)`: when it arrived at the first device.
    pub timestamp: Time,
    /// `pkt len (byte)`: its length.
    pub length: u32,
    /// `priority`: its class, from 0 to 63.
    pub class: u8,
    /// `src_pc`: the number of the host that sent it. In the published fat tree of 20 switches, host n stands at port
    /// n modulo 2 of the switch 12 + n / 2.
    pub source: u32,
    /// `path`, such as `12_2-4_2-0_1`: the number and the egress port of every device on its way, in order.
    pub path: Vec<(u32, u16)>,
    /// `etime`: when its last bit left the last device. Links of the original have no length; with propagation, that
    /// of the last link is not in it.
    pub end: Time,
}

impl NetworkRow {
    /// As text, column by column.
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

/// Writes such a table.
pub struct NetworkWriter<W: io::Write>(csv::Writer<W>);

impl<W: io::Write> NetworkWriter<W> {
    /// Begins with the header.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(NETWORK)?;
        Ok(NetworkWriter(writer))
    }

    /// Appends a row.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn push(&mut self, row: &NetworkRow) -> io::Result<()> {
        Ok(self.0.write_record(row.fields())?)
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Picoseconds as seconds, exactly.
pub(crate) fn seconds(picoseconds: u64) -> String {
    let (whole, fraction) = (picoseconds / PS_PER_S, picoseconds % PS_PER_S);
    let text = format!("{whole}.{fraction:012}");
    let shortest = text.trim_end_matches('0');
    // As Python writes it: 1.0, not 1.
    if shortest.ends_with('.') { format!("{shortest}0") } else { shortest.to_owned() }
}

/// Rows that are handed on at a time.
const ROWS: usize = 1 << 13;

/// The table of a run, in the order in which packets arrive, at one instant by pid.
pub struct NetworkRows {
    topology: Arc<Topology>,
    table: OpenTable,
    rows: Vec<NetworkRow>,
    /// By device: its number among the hosts, or among the others, in the order of the topology.
    numbers: Vec<u32>,
    /// By pid: the packets that a host sent and that are on their way.
    inside: FxHashMap<u64, NetworkRow>,
    arrived: Held<NetworkRow>,
}

impl NetworkRows {
    /// Begins the table.
    ///
    /// # Errors
    /// There is no place for it.
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

    /// A packet enters. It has a row if it comes from a host.
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

    /// A packet passed a device.
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

    /// A packet has arrived. What passed no device has no row.
    pub fn delivered(&mut self, pid: u64, at: Time) {
        if let Some(row) = self.inside.remove(&pid).filter(|row| !row.path.is_empty()) {
            self.arrived.push(at, pid, row);
        }
    }

    /// A packet is lost: the original knows no such packets.
    pub fn dropped(&mut self, pid: u64) {
        self.inside.remove(&pid);
    }

    /// Writes the rows of packets that arrived before an instant.
    ///
    /// # Errors
    /// The disk is full.
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

    /// Writes what is left.
    ///
    /// # Errors
    /// The disk is full.
    pub fn finish(mut self) -> Result<(), TableError> {
        self.settle(Time::NEVER)?;
        self.flush()?;
        self.table.finish()
    }
}
