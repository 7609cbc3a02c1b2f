//! `taunet inspect --rtt`: the round-trip times of a capture's TCP connections.

use std::cmp::Reverse;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::failed;
use crate::capture::{ConnectionRtts, Frame, Record, RttEstimator, RttTable, SideRtts, TcpSegment};
use crate::cli::CliError;
use crate::cli::text::{count, counted, seconds};

/// Connections that the text lists.
const LISTED: usize = 20;
const TCP: u8 = 6;

/// The estimator at work on a capture.
pub(super) struct Rtts {
    estimator: RttEstimator,
    table: Option<RttTable>,
    unreadable: u64,
}

/// Its results.
#[derive(Debug, Serialize)]
pub(super) struct RttReport {
    /// TCP packets that are fragments, or whose header was not captured.
    tcp_packets_left_out: u64,
    /// In order of appearance.
    connections: Vec<ConnectionRtts>,
}

impl Rtts {
    pub(super) fn begin(samples: Option<&Path>) -> Result<Self, CliError> {
        let table = samples.map(RttTable::create).transpose().map_err(failed)?;
        Ok(Rtts { estimator: RttEstimator::new(), table, unreadable: 0 })
    }

    pub(super) fn add(&mut self, record: &Record<'_>, frame: &Frame) -> Result<(), CliError> {
        if frame.protocol != Some(TCP) {
            return Ok(());
        }
        let Some(segment) = TcpSegment::parse(record.link_type, record.bytes, record.original_length) else {
            self.unreadable += 1;
            return Ok(());
        };
        for rtt in self.estimator.add(record.timestamp, record.index, &segment) {
            if let Some(table) = &mut self.table {
                table.add(rtt).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Completes the table, unless the capture is `damaged`.
    pub(super) fn finish(self, damaged: bool) -> Result<RttReport, CliError> {
        if let (Some(table), false) = (self.table, damaged) {
            table.finish().map_err(failed)?;
        }
        let connections = self.estimator.connections().collect();
        Ok(RttReport { tcp_packets_left_out: self.unreadable, connections })
    }
}

impl RttReport {
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out)?;
        let total = self.connections.len();
        if self.tcp_packets_left_out > 0 {
            let packets = counted(self.tcp_packets_left_out, "TCP packet");
            writeln!(out, "{packets} left out: fragments, or headers that were not captured")?;
        }
        if total == 0 {
            return writeln!(out, "No round-trip times: there is no TCP connection in the capture");
        }
        let one_sided = self.connections.iter().filter(|connection| connection.one_direction).count();
        if one_sided == total {
            return writeln!(
                out,
                "No round-trip times: only one direction of {} was captured",
                counted(total as u64, "TCP connection")
            );
        }
        let samples: u64 = self.connections.iter().map(ConnectionRtts::samples).sum();
        writeln!(
            out,
            "{} in {}, from the capture point to each side and back",
            counted(samples, "round-trip time"),
            counted(total as u64, "TCP connection")
        )?;
        if one_sided > 0 {
            writeln!(out, "{one_sided} of them captured in one direction only: they have none")?;
        }
        let mut listed: Vec<&ConnectionRtts> =
            self.connections.iter().filter(|it| it.samples() > 0).collect();
        listed.sort_by_key(|connection| Reverse(connection.samples()));
        let more = listed.len().saturating_sub(LISTED);
        for connection in listed.into_iter().take(LISTED) {
            print_connection(connection, out)?;
        }
        if more > 0 {
            writeln!(out, "\n{} with fewer samples: see --json", counted(more as u64, "connection"))?;
        }
        Ok(())
    }
}

fn print_connection(connection: &ConnectionRtts, out: &mut impl Write) -> io::Result<()> {
    let ConnectionRtts { a, b, .. } = connection;
    writeln!(out, "\nconnection {}: A {a}, B {b}", connection.connection)?;
    let heads = ["samples", "min", "p50", "p90", "p99", "max"];
    write!(out, "  {:<20}", "")?;
    writeln!(out, "{}", heads.map(|head| format!("{head:>12}")).concat())?;
    for (name, side) in [("A", &connection.to_a), ("B", &connection.to_b)] {
        for (method, found) in [("ack", &side.ack_s), ("timestamp", &side.timestamp_s)] {
            let Some(rtts) = found else { continue };
            let times = [rtts.min, rtts.p50, rtts.p90, rtts.p99, rtts.max]
                .map(|time| format!("{:>12}", seconds(time)));
            let name = format!("to {name}, by {method}");
            writeln!(out, "  {name:<20}{:>12}{}", count(rtts.samples), times.concat())?;
        }
        print_without(name, side, out)?;
    }
    Ok(())
}

/// The segments that gave no sample, by reason.
fn print_without(name: &str, side: &SideRtts, out: &mut impl Write) -> io::Result<()> {
    let counts = &side.counts;
    let reasons = [
        (counts.retransmitted_segments, "retransmitted or overtaken segment"),
        (counts.ambiguous_acknowledgements, "ambiguous acknowledgement"),
        (counts.inexact_acknowledgements, "acknowledgement inside a segment"),
        (counts.keepalives, "keepalive"),
        (counts.impossible, "answer at an impossible time"),
        (counts.forgotten, "unanswered segment or TSval forgotten"),
    ];
    let reasons: Vec<String> = reasons
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, noun)| format!("{noun}: {}", count(*number)))
        .collect();
    if reasons.is_empty() {
        Ok(())
    } else {
        writeln!(out, "  to {name}, no sample from: {}", reasons.join(", "))
    }
}
