//! The printed comparison of TCP packets at a vantage.

use super::text::{count, counted, seconds};
use super::{CliError, Output};
use crate::compare::{
    Difference, DivergedSide, Divergence, FlowSide, FlowTransmissions, SenderState, ShownTransmission,
    TransmissionComparison, TransportState,
};
use crate::report::bits_per_second;

/// The most flows that are listed.
const LISTED: usize = 10;

/// Prints how the TCP packets at a vantage compare and where they diverge first. The packets around that
/// point are printed where it `is_earliest` of all vantages.
pub(super) fn print_transmissions(
    tcp: &TransmissionComparison,
    is_earliest: bool,
    output: &mut Output,
) -> Result<(), CliError> {
    let connections = &tcp.connections;
    output.line(format_args!(
        "  TCP: connections: {} by addresses and ports, {} by addresses and order of start, {} only simulated, {} only \
         measured",
        count(connections.by_ports),
        count(connections.by_order),
        count(connections.only_simulated),
        count(connections.only_measured),
    ))?;
    output.line(format_args!(
        "  transmissions: {} matched, {} only simulated, {} only measured; after the end of the other side: {} simulated, \
         {} measured",
        count(tcp.matched),
        count(tcp.only_simulated),
        count(tcp.only_measured),
        count(tcp.after_end.simulated),
        count(tcp.after_end.measured),
    ))?;
    output.line(format_args!("  {:<11} {:>13} {:>13}", "", "simulated", "measured"))?;
    let again = &tcp.retransmissions;
    let mut rows = vec![("sent again", again.simulated, again.measured)];
    rows.extend(tcp.drops.map(|drops| ("dropped", drops.simulated, drops.measured)));
    for (name, simulated, measured) in rows {
        output.line(format_args!("  {name:<11} {:>13} {:>13}", count(simulated), count(measured)))?;
    }
    for flow in tcp.flows.iter().take(LISTED) {
        print_flow(flow, output)?;
    }
    match tcp.flows.len().saturating_sub(LISTED) {
        0 => {}
        more => output.line(format_args!("  {} more: see --json", counted(more as u64, "flow")))?,
    }
    if let Some(aligned) = tcp.aligned_s.filter(|aligned| *aligned != 0.0) {
        let earlier = if aligned > 0.0 { "earlier" } else { "later" };
        output.line(format_args!(
            "  measured times are moved {} {earlier}: the first transmission of both sides is at one instant",
            seconds(aligned.abs())
        ))?;
    }
    match &tcp.first_divergence {
        None => output.line(format_args!("  no divergence; tolerance {}", seconds(tcp.tolerance_s))),
        Some(divergence) => {
            print_divergence(divergence, tcp.tolerance_s, output)?;
            match is_earliest {
                true => print_around(divergence, output),
                false => {
                    output.line("    another vantage has an earlier divergence, with the packets around it")
                }
            }
        }
    }
}

fn print_flow(flow: &FlowTransmissions, output: &mut Output) -> Result<(), CliError> {
    let measured = flow.measured_flow.as_ref().filter(|measured| **measured != flow.flow);
    let measured = measured.map_or(String::new(), |measured| format!(" (measured {measured})"));
    output.line(format_args!("  {}{measured}", flow.flow))?;
    let kind = if flow.has_payload { "goodput" } else { "acknowledged" };
    let rate = |side: &FlowSide| side.goodput_bps.map_or("undefined".to_owned(), bits_per_second);
    let until = match flow.diverges_at_s {
        None => "the same to the end".to_owned(),
        Some(at) => format!("the same until {at:.9} s"),
    };
    output.line(format_args!(
        "    {kind} {} simulated, {} measured; {until}",
        rate(&flow.simulated),
        rate(&flow.measured)
    ))
}

fn print_divergence(divergence: &Divergence, tolerance_s: f64, output: &mut Output) -> Result<(), CliError> {
    let how = match divergence.difference {
        Difference::Another => "another transmission".to_owned(),
        Difference::Time => format!("the same transmission, more than {} apart", seconds(tolerance_s)),
        Difference::OnlySimulated => "no transmission is measured in its place".to_owned(),
        Difference::OnlyMeasured => "no transmission is simulated in its place".to_owned(),
    };
    output.line(format_args!(
        "  first divergence at {:.9} s, flow {} ({}): {how}",
        divergence.at_s, divergence.fid, divergence.flow
    ))
}

fn print_around(divergence: &Divergence, output: &mut Output) -> Result<(), CliError> {
    for (name, side) in [("simulated", &divergence.simulated), ("measured", &divergence.measured)] {
        print_side(name, side, output)?;
    }
    Ok(())
}

fn print_side(name: &str, side: &DivergedSide, output: &mut Output) -> Result<(), CliError> {
    output.line(format_args!("    {name}: {}", state(&side.sender)))?;
    if let Some(around) = &side.transport {
        let before = format!("before {:.9} s", around.at_s);
        for (when, known) in [(before.as_str(), &around.before), ("after it", &around.after)] {
            output.line(format_args!("      sender {when:<18} {}", transport(known.as_ref())))?;
        }
    }
    for transmission in &side.around {
        let mark = if Some(transmission) == side.transmission.as_ref() { ">" } else { " " };
        output.line(format_args!("    {mark} {}", line(transmission)))?;
    }
    Ok(())
}

fn state(sender: &SenderState) -> String {
    let number = |number: Option<i64>| number.map_or("unknown".to_owned(), |number| number.to_string());
    format!(
        "sent up to {}, acknowledged up to {}, in flight {}",
        number(sender.highest),
        number(sender.acknowledged),
        sender.in_flight.map_or("unknown".to_owned(), |bytes| format!("{bytes} B"))
    )
}

/// `open, cwnd 20, ssthresh 10, in flight 20, srtt 40.123 ms, rto 244.000 ms`.
fn transport(known: Option<&TransportState>) -> String {
    let Some(known) = known else { return "has nothing to send".to_owned() };
    let TransportState { state, cwnd_segments, ssthresh_segments, in_flight_segments, srtt_us, rto_us } =
        known;
    let microseconds = |us: u32| seconds(f64::from(us) / 1e6);
    format!(
        "{}, cwnd {cwnd_segments}, ssthresh {}, in flight {in_flight_segments}, srtt {}, rto {}",
        state.name(),
        ssthresh_segments.map_or("infinite".to_owned(), |segments| segments.to_string()),
        srtt_us.map_or("unknown".to_owned(), microseconds),
        microseconds(*rto_us)
    )
}

/// `0.040001007 s  1-1449  n=1  ack 1  window 64256`.
fn line(transmission: &ShownTransmission) -> String {
    let ShownTransmission { at_s, start, end, nth, acknowledgement, window, sack, .. } = transmission;
    let what = if end > start { format!("{start}-{end}") } else { "-".to_owned() };
    let mut line = format!("{at_s:>14.9} s  {what:<19} n={nth}");
    if let Some(number) = acknowledgement {
        line += &format!("  ack {number}");
    }
    if let Some(window) = window {
        line += &format!("  window {window}");
    }
    for (start, end) in sack.iter().flatten() {
        line += &format!("  sack {start}-{end}");
    }
    let flags = transmission.ecn_flags();
    if !flags.is_empty() {
        line += &format!("  {flags}");
    }
    line
}
