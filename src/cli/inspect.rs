//! `taunet inspect`: what is in a capture.

mod rtt;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::interrupt::Interrupt;
use super::reading::Reading;
use super::text::counted;
use super::write::check_free;
use super::{CliError, Global, Output};
use crate::capture::{
    CaptureDirection, Frame, InterfaceCount, InterfaceName, Options, Reader, Statistics, Summary, Table,
};
use crate::table::{Format, TableError};
use crate::units::{PS_PER_S, Span};
use rtt::{RttReport, Rtts};

/// Flows that the summary lists.
const LARGEST_FLOWS: usize = 10;

/// Describe a capture: packets, span, devices, flows, sizes, gaps
///
/// The capture may be pcap or pcapng, plain or compressed with gzip, zstd or xz. Of a damaged file, the part
/// before the damage is described, and then the error is printed.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The capture; `-` is standard input
    capture: PathBuf,
    /// Also write a table with one row per packet; the extension (.csv or .parquet) chooses the format
    #[arg(long, value_name = "OUT")]
    packets: Option<PathBuf>,
    /// Print the round-trip times of TCP connections too, by acknowledgements of data and by timestamps
    #[arg(long)]
    rtt: bool,
    /// Write a table with one row per round-trip time, and imply --rtt; .csv or .parquet, as with --packets
    #[arg(long, value_name = "OUT")]
    rtt_samples: Option<PathBuf>,
    /// Replace an earlier table
    #[arg(long)]
    force: bool,
    /// Read at most N packets
    #[arg(long, value_name = "N")]
    max_packets: Option<u64>,
    /// Use only the packets of this interface: its name, or its number
    #[arg(long, value_name = "NAME")]
    interface: Option<InterfaceName>,
    /// Use only the packets of this direction
    #[arg(long, value_enum, value_name = "DIRECTION")]
    direction: Option<CaptureDirection>,
    #[command(flatten)]
    reading: Reading,
}

impl Inspect {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        for path in [&self.packets, &self.rtt_samples].into_iter().flatten() {
            Format::of(path).map_err(bad_input)?;
            self.check_out(path)?;
        }
        if self.packets.is_some() && self.packets == self.rtt_samples {
            return Err(bad_input(
                "--packets and --rtt-samples name the same file: each table needs its own",
            ));
        }
        if self.force && self.packets.is_none() && self.rtt_samples.is_none() {
            return Err(bad_input("--force replaces a table: name one with --packets or --rtt-samples"));
        }
        let options = self.options();
        let mut reader = Reader::open(&self.capture, &options).map_err(bad_input)?;
        let mut table = self.packets.as_deref().map(Table::create).transpose().map_err(failed)?;
        let mut rtts = (self.rtt || self.rtt_samples.is_some())
            .then(|| Rtts::begin(self.rtt_samples.as_deref()))
            .transpose()?;
        let mut statistics = Statistics::new(&options);
        let interrupt = Interrupt::watch();
        let damage = loop {
            if interrupt.as_control_flow().is_break() {
                return Err(CliError::interrupted());
            }
            match reader.next_record() {
                // By reference: moving a record costs as much as counting it.
                Ok(Some(ref record)) => {
                    let frame = Frame::parse(record.link_type, record.bytes, record.original_length);
                    let fid = statistics.add(record, &frame);
                    if let Some(table) = &mut table {
                        table.add(record, &frame, fid).map_err(failed)?;
                    }
                    if let Some(rtts) = &mut rtts {
                        rtts.add(record, &frame)?;
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        if let (Some(table), None) = (table, &damage) {
            table.finish().map_err(failed)?;
        }
        let rtts = rtts.map(|rtts| rtts.finish(damage.is_some())).transpose()?;
        let mut warnings = reader.remarks();
        warnings.extend(statistics.remarks(reader.path()));
        if !global.quiet || global.json {
            let report = JsonReport {
                capture: self.capture.display().to_string(),
                summary: statistics.summary(LARGEST_FLOWS),
                rtt: rtts,
                untimed_packets: reader.untimed(),
                understated_packets: reader.understated(),
                error: damage.as_ref().map(ToString::to_string),
                warnings: &warnings,
            };
            report.write(global.json, output.writer())?;
        }
        global.warn(&warnings);
        damage.map_or(Ok(()), |error| Err(bad_input(error)))
    }

    fn options(&self) -> Options {
        Options {
            max_packets: self.max_packets,
            interface: self.interface.clone(),
            direction: self.direction,
            ..self.reading.options()
        }
    }

    /// Refuses a table that would replace the capture, or, unless asked to, another file.
    fn check_out(&self, out: &Path) -> Result<(), CliError> {
        let is_capture = match (out.canonicalize(), self.capture.canonicalize()) {
            (Ok(out), Ok(capture)) => out == capture,
            _ => false,
        };
        if is_capture {
            return Err(bad_input(format_args!(
                "{} is the capture itself: choose another file",
                out.display()
            )));
        }
        check_free(out, self.force)
    }
}

fn bad_input(error: impl Display) -> CliError {
    CliError::Usage(error.to_string())
}

fn failed(error: TableError) -> CliError {
    CliError::Failed(Box::new(error))
}

#[derive(Serialize)]
struct JsonReport<'a> {
    capture: String,
    #[serde(flatten)]
    summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<RttReport>,
    untimed_packets: u64,
    /// Packets whose original length was below the captured one.
    understated_packets: u64,
    /// Why the capture could not be read to the end.
    error: Option<String>,
    warnings: &'a [String],
}

impl JsonReport<'_> {
    fn write(&self, json: bool, out: &mut impl Write) -> io::Result<()> {
        if json {
            serde_json::to_writer_pretty(&mut *out, self)?;
            writeln!(out)?;
        } else {
            print(self, out)?;
            self.rtt.as_ref().map_or(Ok(()), |rtt| rtt.print(out))?;
        }
        out.flush()
    }
}

fn print(report: &JsonReport<'_>, out: &mut impl Write) -> io::Result<()> {
    let summary = &report.summary;
    let packets = counted(summary.packets, "packet");
    let Some(start) = summary.start else {
        return writeln!(out, "Loaded 0 packets of data");
    };
    let seconds = decimal_seconds(summary.span_ps);
    writeln!(out, "Loaded {packets} of data covering {seconds} seconds starting at {start}")?;
    writeln!(out, "Number of devices (distinct IP sources): {}", summary.devices)?;
    writeln!(out, "Most ports (source MACs) on one device: {}", summary.most_ports_on_one_device)?;
    writeln!(out)?;
    let (original, captured) = (summary.original_bytes, summary.captured_bytes);
    line(out, "bytes", format_args!("{original} on the wire, {captured} captured"))?;
    line(out, "truncated", counted(summary.truncated_packets, "packet"))?;
    if report.understated_packets > 0 {
        let packets = counted(report.understated_packets, "packet");
        line(out, "understated", format_args!("{packets} on the wire: the captured length counts"))?;
    }
    if let (Some(packets), Some(bits)) = (summary.packets_per_s, summary.bits_per_s) {
        line(out, "rate", format_args!("{packets:.3} packets/s, {bits:.0} bit/s"))?;
    }
    if let Some(size) = &summary.size {
        line(
            out,
            "packet size",
            format_args!(
                "mean {:.1} B; min {}, p50 {}, p90 {}, p99 {}, max {} B",
                size.mean_bytes,
                size.min_bytes,
                size.p50_bytes,
                size.p90_bytes,
                size.p99_bytes,
                size.max_bytes
            ),
        )?;
    }
    print_times(summary, out)?;
    if report.untimed_packets > 0 {
        let packets = counted(report.untimed_packets, "packet");
        line(out, "without a time", format_args!("{packets} took that of the packet before"))?;
    }
    line(out, "link types", list(&summary.link_types))?;
    print_interfaces(&summary.by_interface, out)?;
    print_frames(summary, out)?;
    print_flows(summary, out)
}

/// Gaps and order.
fn print_times(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    if let Some(gap) = &summary.interarrival {
        line(
            out,
            "interarrival time",
            format_args!("mean {}, median {}", time(gap.mean_ps), time(gap.p50_ps)),
        )?;
        line(
            out,
            "",
            format_args!(
                "min {}, p5 {}, p95 {}, p99 {}, p99.9 {}, max {}",
                time(gap.min_ps),
                time(gap.p05_ps),
                time(gap.p95_ps),
                time(gap.p99_ps),
                time(gap.p999_ps),
                time(gap.max_ps)
            ),
        )?;
        let left_out = summary.time_order.out_of_order_packets;
        if left_out > 0 {
            let packets = counted(left_out, "packet");
            line(out, "", format_args!("all but the mean leave out {packets} out of order"))?;
        }
    }
    let order = &summary.time_order;
    line(
        out,
        "out of order",
        format_args!(
            "{}, the largest step back {}",
            counted(order.out_of_order_packets, "packet"),
            time(order.largest_step_back.as_ps())
        ),
    )?;
    if order.beyond_window_packets > 0 {
        line(
            out,
            "",
            format_args!(
                "{} of them beyond the reorder window of {}",
                order.beyond_window_packets, order.reorder_window
            ),
        )?;
    }
    Ok(())
}

/// The interfaces, one a line where there is something to choose.
fn print_interfaces(interfaces: &[InterfaceCount], out: &mut impl Write) -> io::Result<()> {
    /// More are only counted.
    const LISTED: usize = 32;
    line(out, "interfaces", interfaces.len())?;
    let has_choice = |it: &InterfaceCount| it.name.is_some() || it.packets_in + it.packets_out > 0;
    if interfaces.len() < 2 && !interfaces.iter().any(has_choice) {
        return Ok(());
    }
    for interface in interfaces.iter().take(LISTED) {
        let InterfaceCount { number, name, link_type, packets, packets_in, packets_out, .. } = interface;
        let directions = match packets_in + packets_out {
            0 => String::new(),
            _ => format!(" ({packets_in} in, {packets_out} out)"),
        };
        let name = name.as_ref().map_or(String::new(), |name| format!(" {name}"));
        let packets = counted(*packets, "packet");
        line(
            out,
            &format!("  {number}{name}"),
            format_args!("{packets}{directions}, link type {link_type}"),
        )?;
    }
    match interfaces.len().saturating_sub(LISTED) {
        0 => Ok(()),
        more => line(out, "", format_args!("{more} more: see --json")),
    }
}

fn print_frames(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    line(
        out,
        "IP",
        format_args!(
            "{} of IPv4, {} of IPv6; {}",
            counted(summary.ipv4_packets, "packet"),
            summary.ipv6_packets,
            counted(summary.fragments, "fragment")
        ),
    )?;
    line(out, "without IP", counted(summary.packets_without_ip, "packet"))?;
    if summary.packets_without_ip > 0 {
        line(out, "  by EtherType", list(&summary.ether_types_without_ip))?;
    }
    if !summary.vlans.is_empty() {
        line(out, "VLANs", list(&summary.vlans))?;
        line(out, "double-tagged", counted(summary.double_tagged_packets, "packet"))?;
    }
    if summary.deepest_encapsulation > 0 {
        let deepest = counted(summary.deepest_encapsulation as u64, "header");
        line(out, "encapsulated", list(&summary.encapsulations))?;
        line(out, "", format_args!("the innermost IP packet counts, behind at most {deepest}"))?;
    }
    if !summary.unread.is_empty() {
        line(out, "not read further", list(&summary.unread))?;
    }
    for (index, protocol) in summary.protocols.iter().enumerate() {
        line(
            out,
            if index == 0 { "protocols" } else { "" },
            format_args!(
                "{}: {}, {} B",
                protocol.name,
                counted(protocol.packets, "packet"),
                protocol.original_bytes
            ),
        )?;
    }
    Ok(())
}

fn print_flows(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    line(out, "flows", summary.flows)?;
    if !summary.largest_flows.is_empty() {
        writeln!(out, "\n{:>8} {:>10} {:>12}  the flows with the most bytes", "fid", "packets", "bytes")?;
    }
    for flow in &summary.largest_flows {
        writeln!(out, "{:>8} {:>10} {:>12}  {}", flow.fid, flow.packets, flow.original_bytes, flow.flow)?;
    }
    Ok(())
}

fn line(out: &mut impl Write, name: &str, value: impl Display) -> io::Result<()> {
    writeln!(out, "{name:<18} {value}")
}

fn list(pairs: &[(String, u64)]) -> String {
    pairs.iter().map(|(name, count)| format!("{name}: {count}")).collect::<Vec<_>>().join(", ")
}

/// A span with nanosecond digits, or picosecond digits where it has them.
fn decimal_seconds(picoseconds: u128) -> String {
    let second = u128::from(PS_PER_S);
    let (whole, fraction) = (picoseconds / second, picoseconds % second);
    if fraction % 1_000 == 0 {
        format!("{whole}.{:09}", fraction / 1_000)
    } else {
        format!("{whole}.{fraction:012}")
    }
}

/// A span in its own unit, rounded to four digits.
fn time(picoseconds: u128) -> String {
    if picoseconds == 0 {
        return "0 s".to_owned();
    }
    let mut step = 1;
    while picoseconds / step >= 10_000 {
        step *= 10;
    }
    let rounded = (picoseconds + step / 2) / step * step;
    u64::try_from(rounded)
        .map_or_else(|_| format!("{} s", rounded / u128::from(PS_PER_S)), |ps| Span::from_ps(ps).to_string())
}
