//! `taunet inspect`: what is in a capture.

mod rtt;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::interrupt::Interrupt;
use super::text::counted;
use super::{CliError, Global, Output};
use crate::capture::{CaptureError, Frame, Options, Reader, Statistics, Summary, Table};
use crate::table::{Format, TableError};
use crate::units::{PS_PER_S, Span};
use rtt::{RttReport, Rtts};

/// Flows that the summary lists.
const LARGEST_FLOWS: usize = 10;

/// Say what is in a capture: packets, span, devices, flows, sizes, gaps
///
/// The capture may be pcap or pcapng, plain or compressed with gzip, zstd or xz. What stands before the damage in a
/// damaged file is printed before the error.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The capture
    capture: PathBuf,
    /// Also write a table with one row per packet; the extension (.csv or .parquet) chooses the format
    #[arg(long, value_name = "OUT")]
    packets: Option<PathBuf>,
    /// Also give the round-trip times of TCP connections, from data to acknowledgement and by timestamps
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
    /// Take a damaged capture as ending where the damage begins
    #[arg(long)]
    lenient: bool,
}

impl Inspect {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        for path in [&self.packets, &self.rtt_samples].into_iter().flatten() {
            Format::of(path).map_err(bad_input)?;
            self.check_out(path)?;
        }
        if self.packets.is_some() && self.packets == self.rtt_samples {
            return Err(bad_input("--packets and --rtt-samples name the same file: two tables need two"));
        }
        if self.force && self.packets.is_none() && self.rtt_samples.is_none() {
            return Err(bad_input("--force replaces a table: name one with --packets or --rtt-samples"));
        }
        let options = Options { lenient: self.lenient, max_packets: self.max_packets, ..Options::default() };
        let mut reader = Reader::open(&self.capture, &options).map_err(bad_input)?;
        let mut table = self.packets.as_deref().map(Table::create).transpose().map_err(failed)?;
        let mut rtts = (self.rtt || self.rtt_samples.is_some())
            .then(|| Rtts::begin(self.rtt_samples.as_deref()))
            .transpose()?;
        let mut statistics = Statistics::new(&options);
        let interrupt = Interrupt::new()?;
        let damage = loop {
            if interrupt.as_control_flow().is_break() {
                return Err(CliError::interrupted());
            }
            match reader.next_record() {
                Ok(Some(record)) => {
                    let frame = Frame::parse(record.link_type, record.bytes, record.original_length);
                    let fid = statistics.add(&record, &frame);
                    if let Some(table) = &mut table {
                        table.add(&record, &frame, fid).map_err(failed)?;
                    }
                    if let Some(rtts) = &mut rtts {
                        rtts.add(&record, &frame)?;
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
        if !global.quiet || global.json {
            let summary = statistics.summary(LARGEST_FLOWS);
            report(&self, global.json, &reader, summary, rtts, damage.as_ref(), output.writer())?;
        }
        global.warn(reader.warnings());
        damage.map_or(Ok(()), |error| Err(bad_input(error)))
    }

    /// Refuses a table that would replace the capture, or, unless asked to, another file.
    fn check_out(&self, out: &Path) -> Result<(), CliError> {
        if out.symlink_metadata().is_err() {
            return Ok(());
        }
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
        if !self.force {
            return Err(bad_input(format_args!(
                "{} exists: choose another file, or replace it with --force",
                out.display()
            )));
        }
        Ok(())
    }
}

fn bad_input(error: impl Display) -> CliError {
    CliError::Usage(error.to_string())
}

fn failed(error: TableError) -> CliError {
    CliError::Failed(Box::new(error))
}

fn report(
    args: &Inspect,
    json: bool,
    reader: &Reader,
    summary: Summary,
    rtt: Option<RttReport>,
    damage: Option<&CaptureError>,
    out: &mut impl Write,
) -> io::Result<()> {
    if json {
        let report = JsonReport {
            capture: args.capture.display().to_string(),
            summary,
            rtt,
            untimed_packets: reader.untimed(),
            error: damage.map(ToString::to_string),
            warnings: reader.warnings().iter().map(ToString::to_string).collect(),
        };
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        print(&summary, reader.untimed(), out)?;
        rtt.map_or(Ok(()), |rtt| rtt.print(out))?;
    }
    out.flush()
}

#[derive(Serialize)]
struct JsonReport {
    capture: String,
    #[serde(flatten)]
    summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<RttReport>,
    untimed_packets: u64,
    /// Why the capture could not be read to its end.
    error: Option<String>,
    warnings: Vec<String>,
}

fn print(summary: &Summary, untimed: u64, out: &mut impl Write) -> io::Result<()> {
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
    if untimed > 0 {
        line(
            out,
            "without a time",
            format_args!("{} took that of the packet before", counted(untimed, "packet")),
        )?;
    }
    line(out, "link types", list(&summary.link_types))?;
    line(out, "interfaces", summary.interfaces)?;
    print_frames(summary, out)?;
    print_flows(summary, out)
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
