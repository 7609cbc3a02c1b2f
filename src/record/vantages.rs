//! Simulated captures at vantages: one pcapng file each.

use std::io::{BufWriter, IntoInnerError};
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use crate::capture::{LinkType, PcapngWriter, WriteError, headers};
use crate::engine::Hop;
use crate::packet::{FlowKey, Packet, Tau};
use crate::scenario::{Direction, Vantage};
use crate::topology::{DeviceId, DeviceKind, PortId, Topology};
use crate::units::{Span, Timestamp};
use crate::write::NewFile;

/// A capture cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct VantageError {
    path: PathBuf,
    source: WriteError,
}

/// The packets at the vantages of a scenario. They are sorted by time at the end of the run, because the
/// arrival of a packet at a device is reported only when it leaves. Each packet takes 32 bytes until then.
#[derive(Debug, Clone)]
pub struct VantageRecords {
    vantages: Vec<(Vantage, Vec<Tau>)>,
    /// By egress port: the index of the vantage.
    egress: FxHashMap<PortId, usize>,
    /// By ingress port, named as in packets: the index of the vantage.
    ingress: FxHashMap<(DeviceId, u16), usize>,
    flows: Vec<FlowKey>,
    /// By device: whether it is a router.
    routers: Vec<bool>,
}

impl VantageRecords {
    /// Starts without packets at `vantages`.
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

    /// Adds the next flow.
    pub fn flow(&mut self, key: FlowKey) {
        if !self.vantages.is_empty() {
            self.flows.push(key);
        }
    }

    /// Records a packet that passed a device and arrived there with `ecn` in its ECN field. A queue may have
    /// marked it since.
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

    /// Records a packet that reached a device at `tau.timestamp`. If the device `forwards` it, a router has
    /// decremented its time to live since.
    #[inline]
    pub fn reached(&mut self, device: DeviceId, tau: &Tau, forwards: bool) {
        if let Some(place) = self.ingress.get(&(device, tau.packet.in_port)) {
            let taken = u8::from(forwards && self.routers[device.index()]);
            let packet = Packet { ttl: tau.packet.ttl.saturating_add(taken), ..tau.packet };
            self.vantages[*place].1.push(Tau { packet, ..*tau });
        }
    }

    /// Writes one file per vantage for a run that starts at `start`. `file` returns the path for a name.
    ///
    /// # Errors
    /// A file cannot be written, or the run is not in the years 1970 to 2554.
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
    let sink = BufWriter::with_capacity(1 << 16, NewFile::create(path, true)?);
    let mut writer = PcapngWriter::new(sink, LinkType::ETHERNET, interface)?;
    let mut bytes = Vec::new();
    for tau in seen {
        let packet = &tau.packet;
        headers(&flows[packet.fid as usize], packet, &mut bytes);
        let at = start + Span::from_ps(tau.timestamp.as_ps());
        writer.write(at, packet.length, &bytes, packet.pid)?;
    }
    let file = writer.finish()?.into_inner().map_err(IntoInnerError::into_error)?;
    Ok(file.finish()?)
}

/// `vantage-0-r1-1-egress.pcapng`. Characters of the device name other than letters, digits, `.`, `-` and `_`
/// become `_`.
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
