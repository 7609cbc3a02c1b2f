//! `taunet topology show FILE`

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::text::{count, counted};
use crate::cli::write::write_file;
use crate::cli::{CliError, Global, Output};
use crate::topology::export::{ExportFormat, ExportOptions};
use crate::topology::{DeviceId, DeviceKind, Topology, TopologyStatistics};
use crate::units::{Bandwidth, Span};

/// The most devices that are listed without --all.
const LISTED: usize = 40;
/// The most neighbours of a device that are listed without --all.
const NEIGHBOURS: usize = 8;

/// Describe a topology: devices, links, ports, diameter, bandwidths
#[derive(Debug, Args)]
pub struct Show {
    /// The topology file
    #[arg(value_name = "TOML")]
    file: PathBuf,
    /// List every device and neighbour
    #[arg(long)]
    all: bool,
    /// Write an SVG picture too
    #[arg(long, value_name = "SVG")]
    svg: Option<PathBuf>,
    /// Label each link of the picture with its bandwidth and delay
    #[arg(long, requires = "svg")]
    link_labels: bool,
    /// Replace an existing picture
    #[arg(long)]
    force: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    name: String,
    #[serde(flatten)]
    statistics: TopologyStatistics,
    device: Vec<DeviceReport>,
    link: Vec<LinkReport>,
}

#[derive(Serialize)]
struct DeviceReport {
    name: String,
    kind: DeviceKind,
    addresses: Vec<String>,
    processing_ps: u64,
    ports: Vec<u16>,
}

/// One direction of a link.
#[derive(Serialize)]
struct LinkReport {
    from: String,
    to: String,
    /// None where it is unlimited.
    bandwidth_bps: Option<u64>,
    delay_ps: u64,
    overhead_bytes: u64,
}

impl Show {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        let topology = Topology::load_with(&self.file, &global.registry)?;
        if let Some(path) = &self.svg {
            let picture = topology.export(ExportFormat::Svg, ExportOptions { link_labels: self.link_labels });
            write_file(path, &picture, self.force)?;
        }
        if global.json {
            return output.json(&report(&topology));
        }
        if global.quiet {
            return Ok(());
        }
        print_summary(&topology, output)?;
        print_devices(&topology, self.all, output)
    }
}

fn report(topology: &Topology) -> Report {
    let device = topology.devices().map(|(_, device)| DeviceReport {
        name: device.name.clone(),
        kind: device.kind,
        addresses: device.addresses.iter().map(ToString::to_string).collect(),
        processing_ps: device.processing.as_ps(),
        ports: device.ports.iter().map(|&port| topology.port(port).number).collect(),
    });
    let link = topology.links().map(|(_, link)| LinkReport {
        from: topology.port_name(link.from),
        to: topology.port_name(link.to),
        bandwidth_bps: match link.link.bandwidth {
            Bandwidth::Limited(rate) => Some(rate.as_bps()),
            Bandwidth::Unlimited => None,
        },
        delay_ps: link.link.propagation_delay().as_ps(),
        overhead_bytes: link.link.overhead.get(),
    });
    Report {
        name: topology.name().to_owned(),
        statistics: topology.statistics(),
        device: device.collect(),
        link: link.collect(),
    }
}

fn print_summary(topology: &Topology, output: &mut Output) -> Result<(), CliError> {
    let statistics = topology.statistics();
    output.line(format_args!("topology `{}`", topology.name()))?;
    let kinds = [
        (statistics.hosts, "host", "hosts"),
        (statistics.switches, "switch", "switches"),
        (statistics.routers, "router", "routers"),
    ];
    let kinds = kinds.iter().filter(|(number, _, _)| *number > 0).map(|(number, one, many)| {
        format!("{} {}", count(*number as u64), if *number == 1 { one } else { many })
    });
    let kinds = kinds.collect::<Vec<_>>().join(", ");
    let devices = counted(statistics.devices as u64, "device");
    let mut line = |name: &str, value: String| output.line(format_args!("  {name:<12} {value}"));
    line("devices", format!("{devices}: {kinds}"))?;
    line("ports", count(statistics.ports as u64))?;
    line("links", count(statistics.links as u64))?;
    let hops = counted(statistics.diameter as u64, "link");
    let hops = if statistics.diameter_is_exact { hops } else { format!("{hops} or more") };
    line(
        "diameter",
        match statistics.pieces {
            1 => hops,
            pieces => format!("{hops}; in {pieces} parts that no link joins"),
        },
    )?;
    let bandwidths = statistics.bandwidths.iter().map(|found| {
        let share = found.directions as f64 / 2.0;
        format!("{} x {}", share, found.bandwidth)
    });
    let bandwidths = bandwidths.collect::<Vec<_>>();
    if !bandwidths.is_empty() {
        line("bandwidth", bandwidths.join(", "))?;
    }
    if let (Some(least), Some(most)) = (statistics.min_delay_ps, statistics.max_delay_ps) {
        let [least, most] = [least, most].map(Span::from_ps);
        line("delay", if least == most { most.to_string() } else { format!("{least} to {most}") })?;
    }
    Ok(())
}

fn print_devices(topology: &Topology, all: bool, output: &mut Output) -> Result<(), CliError> {
    let shown = if all { usize::MAX } else { LISTED };
    let rows = topology.devices().take(shown).map(|(id, device)| {
        let addresses = device.addresses.iter().map(|net| match net.prefix_len() == net.max_prefix_len() {
            true => net.addr().to_string(),
            false => net.to_string(),
        });
        let kind = match device.kind {
            DeviceKind::Host => "host",
            DeviceKind::Switch => "switch",
            DeviceKind::Router => "router",
        };
        let addresses = addresses.collect::<Vec<_>>().join(" ");
        [device.name.clone(), kind.to_owned(), addresses, neighbours(topology, id, all)]
    });
    let head = ["device", "kind", "addresses", "port:neighbour"].map(str::to_owned);
    let rows = std::iter::once(head).chain(rows).collect::<Vec<_>>();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [first, second, third] = [0, 1, 2].map(width);
    output.line("")?;
    for [name, kind, addresses, neighbours] in &rows {
        let line = format!("{name:<first$}  {kind:<second$}  {addresses:<third$}  {neighbours}");
        output.line(line.trim_end())?;
    }
    let left_out = topology.devices().len().saturating_sub(shown);
    if left_out > 0 {
        output.line(format_args!("... and {left_out} more: --all lists them"))?;
    }
    Ok(())
}

/// `0:h0 1:s1`
fn neighbours(topology: &Topology, id: DeviceId, all: bool) -> String {
    let ports = &topology.device(id).ports;
    let shown = if all { usize::MAX } else { NEIGHBOURS };
    let names = ports.iter().take(shown).map(|&port| {
        let port = topology.port(port);
        let other = topology.port(topology.link(port.egress).to).device;
        format!("{}:{}", port.number, topology.device(other).name)
    });
    let mut names = names.collect::<Vec<_>>().join(" ");
    if ports.len() > shown {
        names.push_str(&format!(" and {} more", ports.len() - shown));
    }
    names
}
