//! Resolves a replayed capture: its place, its hosts and its speed.

use std::ops::Range;

use ipnet::IpNet;

use super::{Resolved, Told};
use crate::config::Spanned;
use crate::scenario::Traffic;
use crate::scenario::reader::Reader;
use crate::topology::{DeviceId, DeviceKind, Direction, Topology, Vantage};
use crate::traffic::rate::RateSpec;
use crate::traffic::replay::{ByAddressSpec, Speed};
use crate::traffic::{Mistake, ReplaySpec};

/// The place where a replay enters.
enum Place {
    At(Vantage),
    Hosts(Vec<DeviceId>, Option<Vec<(IpNet, u32)>>),
}

impl Reader<'_> {
    pub(super) fn replay(
        &mut self,
        replay: &ReplaySpec,
        entry: Range<usize>,
        topology: &Topology,
    ) -> Resolved<Traffic> {
        let (capture, keys) = (self.capture(&replay.capture), replay.keys());
        let place = match (&replay.at, &replay.by_address) {
            (Some(at), None) => self.vantage(at, topology).map(Place::At).ok_or(Told),
            (None, Some(by)) => self.by_address(by, topology),
            (_, by) => {
                let message = match by {
                    Some(_) => "a capture is replayed either `at` a vantage or `by_address`",
                    None => "missing key `at` in [[traffic]]",
                };
                let span = by.as_ref().map_or(entry, Spanned::span);
                let help =
                    "write at = { port = \"r1:0\", direction = \"ingress\" }, or by_address = \"hash\"";
                Err(self.told(Mistake::new(span, message).with_help(help)))
            }
        };
        let speed = self.speed(replay, place.as_ref().ok(), topology);
        let (capture, speed) = (capture.ok_or(Told)?, speed?);
        Ok(match place? {
            Place::At(at) => Traffic::Replay { capture, keys, at, speed },
            Place::Hosts(hosts, prefixes) => {
                Traffic::ReplayByAddress { capture, keys, hosts, prefixes, speed }
            }
        })
    }

    /// The hosts that a capture is distributed over, and the host of each prefix; no prefixes if a hash
    /// chooses the host.
    fn by_address(&mut self, by: &Spanned<ByAddressSpec>, topology: &Topology) -> Resolved<Place> {
        let ByAddressSpec::Table(table) = by.get_ref() else {
            let hosts = topology.devices().filter(|(_, device)| device.kind == DeviceKind::Host);
            return Ok(Place::Hosts(hosts.map(|(id, _)| id).collect(), None));
        };
        let mut hosts: Vec<DeviceId> = Vec::new();
        let mut prefixes = Vec::new();
        for (prefix, name) in table {
            let host = self.host(name, topology).ok_or(Told)?;
            let known = hosts.iter().position(|known| *known == host);
            let number = known.unwrap_or_else(|| {
                hosts.push(host);
                hosts.len() - 1
            });
            prefixes.push((prefix.get_ref().0, number as u32));
        }
        if hosts.len() < 2 {
            let message = "the table needs at least two hosts: packets go from one to another";
            return Err(self.told(Mistake::new(by.span(), message)));
        }
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.prefix_len()));
        Ok(Place::Hosts(hosts, Some(prefixes)))
    }

    fn speed(&mut self, replay: &ReplaySpec, place: Option<&Place>, topology: &Topology) -> Resolved<Speed> {
        const BOUNDS: std::ops::RangeInclusive<f64> = 1e-6..=1e9;
        let rate = match (&replay.speed, &replay.rate) {
            (None, None) => return Ok(Speed::Recorded),
            (Some(speed), None) if BOUNDS.contains(speed.get_ref()) => {
                return Ok(Speed::Times(*speed.get_ref()));
            }
            (Some(speed), None) => {
                let message = format!("{} is not a valid speed", speed.get_ref());
                let help = "write 0.000001 to 1000000000; 1 is the recorded speed";
                return Err(self.told(Mistake::new(speed.span(), message).with_help(help)));
            }
            (Some(_), Some(rate)) => {
                let mistake = Mistake::new(rate.span(), "the `speed` already sets the rate");
                return Err(self.told(mistake.with_help("write only one of them")));
            }
            (None, Some(rate)) => rate,
        };
        let RateSpec::Load(load) = rate.get_ref() else { return Ok(Speed::To(rate.get_ref().clone(), None)) };
        let link = match (&load.of, place) {
            (Some(of), _) => {
                let port = self.port(of, topology).ok_or(Told)?;
                (topology.port(port).egress, port)
            }
            (None, Some(Place::At(at))) => match at.direction {
                Direction::Egress => (topology.port(at.port).egress, at.port),
                Direction::Ingress => (topology.port(at.port).ingress, at.port),
            },
            (None, _) => {
                let mistake = Mistake::new(load.load.span(), "the load does not name its link");
                return Err(self.told(mistake.with_help("write { load = 0.7, of = \"r1:1\" }")));
            }
        };
        let (link, name) = (topology.link(link.0).link, topology.port_name(link.1));
        // The packet lengths are not known yet, but the link is: check whether a load of it is defined.
        load.gap(&link, &name, 1.0).map_err(|mistake| self.told(mistake))?;
        Ok(Speed::To(rate.get_ref().clone(), Some((link, name))))
    }
}
