//! TCP packets at a vantage, on the page of a run.

use maud::{Markup, html};

use super::page::{header, number, rows, text};
use super::rows::{Cell, Table};
use super::text::{bits_per_second, count, seconds};
use crate::compare::{
    Difference, DivergedSide, Divergence, FlowTransmissions, ShownTransmission, TransmissionComparison,
    TransportAround, TransportState,
};

/// The TCP packets at a vantage: counts, flows, and the first divergence.
pub(super) fn transmissions(tcp: &TransmissionComparison) -> Markup {
    let connections = &tcp.connections;
    html! {
        h3 { "TCP, transmission by transmission" }
        p {
            (count(tcp.matched)) " transmissions matched, " (count(tcp.only_simulated)) " only simulated, "
            (count(tcp.only_measured)) " only measured. Connections: " (count(connections.by_ports))
            " found by addresses and ports, " (count(connections.by_order))
            " by addresses and order of start, " (count(connections.only_simulated)) " only simulated, "
            (count(connections.only_measured)) " only measured."
        }
        (flows(tcp))
        @match &tcp.first_divergence {
            None => p class="kept" { "No divergence, with a tolerance of " (seconds(tcp.tolerance_s)) "." },
            Some(divergence) => (first(divergence, tcp.tolerance_s)),
        }
    }
}

fn flows(tcp: &TransmissionComparison) -> Markup {
    const MOST: usize = 1_000;
    let columns = vec![
        ("flow", "The simulated flow"),
        ("matched", "Transmissions on both sides"),
        ("only simulated", "Transmissions only in the simulation"),
        ("only measured", "Transmissions only in the capture"),
        (
            "goodput simulated",
            "New bytes of payload divided by the duration of the flow; acknowledged bytes for flows without payload here",
        ),
        ("goodput measured", "The same, measured"),
        ("retransmitted simulated", "Segments that start below the highest sequence number that has passed"),
        ("retransmitted measured", "The same, measured"),
        ("dropped simulated", "Lost since the ingress of the device"),
        ("dropped measured", "The same, measured"),
        ("diverges at", "The first transmission that differs"),
    ];
    let number = |value: u64| Cell::number(Some(value as f64), |value| count(value as u64));
    let maybe =
        |value: Option<u64>| Cell::number(value.map(|value| value as f64), |value| count(value as u64));
    let row = |flow: &FlowTransmissions| {
        let FlowTransmissions { simulated, measured, .. } = flow;
        vec![
            Cell::text(flow.flow.clone()),
            number(flow.matched),
            number(flow.only_simulated),
            number(flow.only_measured),
            Cell::number(simulated.goodput_bps, bits_per_second),
            Cell::number(measured.goodput_bps, bits_per_second),
            number(simulated.retransmissions),
            number(measured.retransmissions),
            maybe(simulated.drops),
            maybe(measured.drops),
            Cell::number(flow.diverges_at_s, |at| format!("{at:.9} s")),
        ]
    };
    let shown = tcp.flows.iter().take(MOST).map(row).collect();
    rows("Flows of TCP", &Table { columns, total: tcp.flows.len(), rows: shown })
}

fn first(divergence: &Divergence, tolerance_s: f64) -> Markup {
    let how = match divergence.difference {
        Difference::Another => "a different transmission comes in its place".to_owned(),
        Difference::Time => format!("the same transmission is more than {} apart", seconds(tolerance_s)),
        Difference::OnlySimulated => "the capture has no transmission in its place".to_owned(),
        Difference::OnlyMeasured => "the simulation has no transmission in its place".to_owned(),
    };
    let at = format!("{:.9} s", divergence.at_s);
    html! {
        h3 { "First divergence" }
        p { "At " (at) ", flow " (divergence.fid) ", " (text(&divergence.flow)) ": " (how) "." }
        div class="columns" {
            (side("simulated", &divergence.simulated))
            (side("measured", &divergence.measured))
        }
    }
}

fn side(name: &str, side: &DivergedSide) -> Markup {
    let sender = &side.sender;
    let known = |value: Option<i64>| value.map_or("unknown".to_owned(), |value| value.to_string());
    html! {
        div {
            h4 { (name) }
            p {
                "Sent up to " (known(sender.highest)) ", acknowledged up to " (known(sender.acknowledged))
                ", in flight " (known(sender.in_flight)) " B."
            }
            @if let Some(around) = &side.transport { (transport(around)) }
            div class="scroll" {
                table {
                    (header(&["time", "range", "n", "ack", "window", "SACK", "ECN"], 0))
                    tbody {
                        @for transmission in &side.around {
                            @if Some(transmission) == side.transmission.as_ref() {
                                tr class="diverged" { (cells(transmission)) }
                            } @else {
                                tr { (cells(transmission)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The state of the sender around the divergence.
fn transport(around: &TransportAround) -> Markup {
    let row = |when: &str, known: &TransportState| {
        html! {
            tr {
                td { (when) } td { (known.state.name()) }
                (number(&known.cwnd_segments.to_string()))
                (number(&known.ssthresh_segments.map_or("infinite".to_owned(), |segments| segments.to_string())))
                (number(&known.in_flight_segments.to_string()))
                (number(&known.srtt_us.map_or(String::new(), |us| us.to_string())))
                (number(&known.rto_us.to_string()))
            }
        }
    };
    html! {
        p { "The sender around " (format!("{:.9} s", around.at_s)) ", windows in segments:" }
        div class="scroll" {
            table {
                (header(&["", "state", "cwnd", "ssthresh", "in flight", "srtt (us)", "rto (us)"], 2))
                tbody {
                    @if let Some(known) = &around.before { (row("before", known)) }
                    @if let Some(known) = &around.after { (row("after", known)) }
                }
            }
        }
    }
}

fn cells(transmission: &ShownTransmission) -> Markup {
    let ShownTransmission { at_s, start, end, nth, acknowledgement, window, sack, .. } = transmission;
    let range = if end > start { format!("{start}-{end}") } else { String::new() };
    let blocks: Vec<String> = sack.iter().flatten().map(|(start, end)| format!("{start}-{end}")).collect();
    html! {
        (number(&format!("{at_s:.9} s"))) (number(&range)) (number(&nth.to_string()))
        (number(&acknowledgement.map_or(String::new(), |number| number.to_string())))
        (number(&window.map_or(String::new(), |window| window.to_string())))
        (number(&blocks.join(" ")))
        (number(&transmission.ecn_flags()))
    }
}
