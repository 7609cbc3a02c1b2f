//! What would be captured at a vantage: one pcapng file each.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use crate::capture::{LinkType, PcapngWriter, WriteError, headers};
use crate::engine::Hop;
use crate::packet::{FlowKey, Packet, Tau};
use crate::scenario::{Direction, Vantage};
use crate::topology::{DeviceId, DeviceKind, PortId, Topology};
use crate::units::{Span, Timestamp};

/// Why a capture cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct VantageError {
    path: PathBuf,
    source: WriteError,
}

/// The packets seen at the vantages of a scenario. They are sorted by time at the end of the run, since it is known
/// that a packet reached a device only when it leaves: 32 bytes each are held till then.
#[derive(Debug, Clone)]
pub struct VantageRecords {
    vantages: Vec<(Vantage, Vec<Tau>)>,
    /// Per egress port: its place.
    egress: FxHashMap<PortId, usize>,
    /// Per ingress port, as packets name it: its place.
    ingress: FxHashMap<(DeviceId, u16), usize>,
    flows: Vec<FlowKey>,
    /// Per device: whether it is a router.
    routers: Vec<bool>,
}

impl VantageRecords {
    /// Nothing has been seen at `vantages`.
    pub fn new(topology: &Topology, vantages: &[Vantage]) -> Self {
        let (mut egress, mut ingress) = (FxHashMap::default(), FxHashMap::default());
        for (place, vantage) in vantages.iter().enumerate() {
            let port = topology.port(vantage.port);
            match vantage.direction {
                Direction::Egress => drop(egress.insert(vantage.port, place)),
                Direction::Ingress => drop(ingress.insert((port.device, port.number), place)),
            }
        }
        let vantages = vantages.iter().map(|vantage| (*vantage, Vec::new())).collect();
        let routers = topology.devices().map(|(_, device)| device.kind == DeviceKind::Router).collect();
        VantageRecords { vantages, egress, ingress, flows: Vec::new(), routers }
    }

    /// The next flow.
    pub fn flow(&mut self, key: FlowKey) {
        if !self.vantages.is_empty() {
            self.flows.push(key);
        }
    }

    /// A packet passed a device, with `ecn` in its ECN field as it came: a queue there may have marked it since.
    #[inline]
    pub fn hop(&mut self, hop: &Hop, ecn: u8) {
        if self.vantages.is_empty() {
            return;
        }
        let packet = Packet { ecn, ..hop.packet };
        self.reached(hop.device, &Tau { timestamp: hop.ingress, packet }, true);
        if let Some(place) = self.egress.get(&hop.port) {
            self.vantages[*place].1.push(Tau { timestamp: hop.egress, packet: hop.packet });
        }
    }

    /// A packet reached a device at `tau.timestamp`; where the device `forwards` it, a router has taken from its time
    /// to live since.
    #[inline]
    pub fn reached(&mut self, device: DeviceId, tau: &Tau, forwards: bool) {
        if let Some(place) = self.ingress.get(&(device, tau.packet.in_port)) {
            let taken = u8::from(forwards && self.routers[device.index()]);
            let packet = Packet { ttl: tau.packet.ttl.saturating_add(taken), ..tau.packet };
            self.vantages[*place].1.push(Tau { packet, ..*tau });
        }
    }

    /// Writes a file per vantage into a run that starts at `start`; `file` gives the path of a name.
    ///
    /// # Errors
    /// The file system refuses, or the run is not in the years 1970 to 2554.
    pub fn write(
        self,
        topology: &Topology,
        start: Timestamp,
        file: impl Fn(&str) -> PathBuf,
    ) -> Result<(), VantageError> {
        for (number, (vantage, mut seen)) in self.vantages.into_iter().enumerate() {
            seen.sort_unstable_by_key(|tau| (tau.timestamp, tau.packet.pid));
            let path = file(&file_name(topology, number, vantage));
            let written = write(&path, &topology.port_name(vantage.port), start, &seen, &self.flows);
            written.map_err(|source| VantageError { path, source })?;
        }
        Ok(())
    }
}

fn write(
    path: &Path,
    interface: &str,
    start: Timestamp,
    seen: &[Tau],
    flows: &[FlowKey],
) -> Result<(), WriteError> {
    let sink = BufWriter::with_capacity(1 << 16, File::create(path)?);
    let mut writer = PcapngWriter::new(sink, LinkType::ETHERNET, interface)?;
    let mut bytes = Vec::new();
    for tau in seen {
        let packet = &tau.packet;
        headers(&flows[packet.fid as usize], packet, &mut bytes);
        let at = start + Span::from_ps(tau.timestamp.as_ps());
        writer.write(at, packet.length, &bytes, packet.pid)?;
    }
    writer.finish().map(drop)
}

/// `vantage-0-r1-1-egress.pcapng`; what is neither letter, digit, `.`, `-` nor `_` in the device's name becomes `_`.
fn file_name(topology: &Topology, number: usize, vantage: Vantage) -> String {
    let port = topology.port(vantage.port);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let device: String = topology.device(port.device).name.chars().map(plain).take(100).collect();
    let direction = match vantage.direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    };
    format!("vantage-{number}-{device}-{}-{direction}.pcapng", port.number)
}
