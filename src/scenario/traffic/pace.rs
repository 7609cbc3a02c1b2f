//! Converts the rate of an entry to the gap between the packets of each sender.

use super::{Entry, Resolved, Told};
use crate::config::Spanned;
use crate::link::Link;
use crate::scenario::reader::Reader;
use crate::topology::{DeviceId, PortId, Topology};
use crate::traffic::generator::Sender;
use crate::traffic::matrix::{self, MatrixSpec, Row};
use crate::traffic::rate::{Gap, LoadSpec, RateSpec};
use crate::traffic::size::Sizes;
use crate::traffic::{Generator, Mistake, Process};
use crate::units::Bandwidth;

/// The rate of an entry, as written.
#[derive(Clone)]
pub(super) enum Pace {
    /// A rate.
    Rate(Spanned<RateSpec>),
    /// A gap.
    Gap(Gap),
    /// No rate: the process or the matrix sets its own.
    Own,
}

impl Reader<'_> {
    /// The gap between the packets of one of `count` senders; `None` if the process sets its own.
    pub(super) fn gap(
        &mut self,
        entry: &Entry<'_>,
        process: &Process,
        pace: &Pace,
        row: &Row,
        (host, count): (DeviceId, usize),
        sizes: &Sizes,
    ) -> Resolved<Option<Gap>> {
        let scale = entry.keys.matrix.as_ref().and_then(|matrix| match matrix.get_ref() {
            MatrixSpec::Table(table) => table.scale.as_ref(),
            MatrixSpec::Named(_) => None,
        });
        if let (Some(scale), false) = (scale, matches!(pace, Pace::Own)) {
            let mistake = Mistake::new(
                scale.span(),
                "`scale` has no effect: the entry's rate already scales the demands",
            );
            return Err(self.told(mistake.with_help("remove `scale`, or the rate")));
        }
        let gap = match pace {
            Pace::Gap(gap) => Ok(gap.of_part(row.part)),
            Pace::Rate(rate) => match rate.get_ref() {
                RateSpec::Bandwidth(rate) => Ok(rate.gap(sizes.mean()).of_part(row.part)),
                RateSpec::Packets(rate) => Ok(rate.gap().of_part(row.part)),
                RateSpec::Load(load) => {
                    self.load_gap(entry.topology, load, host, row.part / count as f64, sizes)?
                }
            },
            Pace::Own => match (process, row.demand_bps) {
                (_, Some(demand)) => {
                    let span = entry.keys.matrix.as_ref().map_or(entry.span.clone(), Spanned::span);
                    matrix::scaled(demand, scale, span).map(|rate| rate.gap(sizes.mean()))
                }
                (Process::Markovian(_), None) => return Ok(None),
                (process, None) => {
                    let or = match process {
                        Process::Cbr(_) => ", or an `interval`",
                        Process::OnOff(..) => ", or a `peak`",
                        Process::ThinStreams(_) => ", or a `gap`",
                        _ => "",
                    };
                    let help = format!("write \"70 Mbps\", \"5000 packets/s\" or {{ load = 0.7 }}{or}");
                    Err(Mistake::new(entry.span.clone(), "missing key `rate` in [[traffic]]").with_help(help))
                }
            },
        };
        gap.map(Some).map_err(|mistake| self.told(mistake))
    }

    /// The gap of a sender that offers a load to its own link, or the fraction `part` of a load to a given
    /// link.
    fn load_gap(
        &mut self,
        topology: &Topology,
        load: &LoadSpec,
        host: DeviceId,
        part: f64,
        sizes: &Sizes,
    ) -> Resolved<Result<Gap, Mistake>> {
        let Some(of) = &load.of else {
            let (Some(port), Some(link)) = access(topology, host) else {
                let message = format!("`{}` has no link", topology.device(host).name);
                return Err(self.told(Mistake::new(load.load.span(), message)));
            };
            return Ok(load.gap(link, &topology.port_name(port), sizes.mean()));
        };
        let port = self.port(of, topology).ok_or(Told)?;
        let link = &topology.link(topology.port(port).egress).link;
        let gap = load.gap(link, &of.get_ref().to_string(), sizes.mean());
        Ok(gap.map(|gap| gap.of_part(part)))
    }
}

/// A host's first port, and the link of its outgoing packets.
pub(super) fn access(topology: &Topology, host: DeviceId) -> (Option<PortId>, Option<&Link>) {
    let port = topology.device(host).ports.first().copied();
    (port, port.map(|port| &topology.link(topology.port(port).egress).link))
}

pub(super) fn overload(port: &str, load: f64) -> String {
    format!("the link of {port} is offered {load:.3} times its capacity: its queue grows without bound")
}

/// The warning for senders that overload their own links.
pub(super) fn overloads(generator: &Generator, topology: &Topology, mean_over_peak: f64) -> Vec<String> {
    let load = |sender: &Sender| -> Option<(PortId, f64)> {
        let (port, link) = access(topology, sender.host);
        let Bandwidth::Limited(rate) = link?.bandwidth else { return None };
        let packets_per_s = match (&generator.process, sender.gap) {
            (_, Some(gap)) => gap.as_packets_per_s() * mean_over_peak,
            (Process::Markovian(map), None) => map.packets_per_s(),
            (_, None) => return None,
        };
        let bits = 8.0 * (generator.sizes.mean() + link?.overhead.get() as f64);
        Some((port?, packets_per_s * bits / rate.as_bps() as f64))
    };
    // Rounding may raise a load of exactly 1 slightly.
    let over: Vec<(PortId, f64)> =
        generator.senders.iter().filter_map(load).filter(|(_, load)| *load > 1.000_001).collect();
    let Some((port, worst)) = over.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else { return Vec::new() };
    let others = match over.len() - 1 {
        0 => String::new(),
        others => format!(" (and {others} other links of this entry)"),
    };
    vec![format!("{}{others}", overload(&topology.port_name(*port), *worst))]
}
