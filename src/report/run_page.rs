//! The page of a run.

use maud::{Markup, PreEscaped, html};
use serde_json::{Value, json};

use super::metrics::{agreement, statistics};
use super::model::{CompletionTimes, Connections, Measured};
use super::page::{Chart, Page, charts, header, number, rows, text, tile, warnings};
use super::rows::{Cell, Table};
use super::run_charts::{
    ARRIVED, BIT_RATE, CCDF, CUMULATED, CWND, DROPS, ERRORS, GOODPUT, LOSSES, MEASURED_GOODPUT, OVER_TIME,
    QUANTILES, RATE, RTT,
};
use super::text::{bits_per_second, bytes, count, four_digits, fraction, percent, seconds};
use super::transmissions::transmissions;
use super::transport::OverTime;
use super::{MeasuredCharts, PacketCharts, Report, groups};
use crate::scenario::DelayScope;

/// The height of the key below the picture of the network.
const KEY_HEIGHT: f64 = 60.0;

/// The page as HTML.
pub(super) fn page(report: &Report) -> String {
    let Report { summary, meta, .. } = report;
    let content = html! {
        (overview(report))
        @for (number, (of, charts)) in summary.measured.iter().zip(&report.measured).enumerate() {
            (measured(number, of, charts))
        }
        (tcp(report))
        (packets(report))
        @if let Some(queues) = &report.queues { (queues.markup()) }
        (network(report))
        (table("ports", "Egress ports", &report.ports))
        (table("flows", "Flows", &report.flows))
        (origin(report))
    };
    let page = Page {
        name: &summary.scenario,
        from: &format!("taunet {} - simulated from {}", meta.version, meta.start),
        sections: &sections(report),
        content,
        points: &points(report),
    };
    page.into_html()
}

/// The points of the charts, as the script reads them.
fn points(report: &Report) -> Value {
    let measured = |charts: &MeasuredCharts| {
        let mut losses = charts.losses.to_json();
        // Both sides have the same packets.
        losses["of"] = json!([charts.sent.counts.first(), charts.sent.counts.first()]);
        json!({
            "distribution": charts.distribution.to_json(),
            "delays": charts.delays.to_json(),
            "rate": charts.rate.to_json(),
            "bits": charts.bits.to_json(),
            "losses": losses,
            "goodput": charts.goodput.to_json(),
            "by": groups::to_json([("flow", &charts.flows)]),
        })
    };
    let measured: Vec<Value> = report.measured.iter().map(measured).collect();
    let packets = report.packets.as_ref().map(packet_points);
    let mut points = json!({ "measured": measured, "packets": packets });
    if let Some(found) = &report.transport {
        let mut flow = found.flows.to_json();
        match &found.over_time {
            OverTime::Sampled { cwnd, rtt, goodput } => {
                flow["cwnd"] = cwnd.to_json();
                flow["rtt"] = rtt.to_json();
                flow["goodput"] = goodput.to_json();
            }
            OverTime::Arrived(bytes) => flow["goodput"] = bytes.to_json(),
            OverTime::Unknown => {}
        }
        points["tcp"] = json!({ "by": { "flow": flow } });
    }
    if let Some(found) = &report.flow_charts {
        points["flows"] = found.to_json();
    }
    if let Some(found) = &report.queues {
        points["queues"] = found.to_json();
    }
    points
}

fn packet_points(charts: &PacketCharts) -> Value {
    let mut drops = charts.drops.to_json();
    let ended = charts.drops.counts.iter().zip(&charts.rate.counts);
    let ended = ended.map(|(dropped, delivered)| dropped.iter().zip(delivered).map(|(a, b)| a + b).collect());
    drops["of"] = json!(ended.collect::<Vec<Vec<u64>>>());
    let (traffic, by_traffic) = &charts.traffic;
    let by = [("flow", Some(&charts.flows)), (*traffic, Some(by_traffic)), ("port", charts.ports.as_ref())];
    json!({
        "distribution": charts.distribution.to_json(),
        "delays": charts.delays.to_json(),
        "rate": charts.rate.to_json(),
        "bits": charts.bits.to_json(),
        "drops": drops,
        "by": groups::to_json(by.into_iter().filter_map(|(key, group)| Some((key, group?)))),
    })
}

fn sections(report: &Report) -> Vec<(String, &str)> {
    let measured = report.summary.measured.iter().enumerate();
    let measured = measured.map(|(number, of)| (format!("measured-{number}"), of.vantage.as_str()));
    let others = [
        ("tcp", "TCP", report.transport.is_some()),
        ("packets", "All packets", report.packets.is_some()),
        ("queues", "Queues", report.queues.is_some()),
        ("network", "Network", report.picture.is_some()),
        ("ports", "Ports", true),
        ("flows", "Flows", true),
        ("origin", "Inputs", true),
    ];
    let others = others.into_iter().filter(|(_, _, is_there)| *is_there);
    let overview = std::iter::once(("overview".to_owned(), "Overview"));
    overview.chain(measured).chain(others.map(|(id, title, _)| (id.to_owned(), title))).collect()
}

fn overview(report: &Report) -> Markup {
    let summary = &report.summary;
    let packets = &summary.packets;
    html! {
        section id="overview" class="first" {
            h2 { "Overview" }
            dl class="tiles" {
                @for measured in &summary.measured {
                    @if let Some(w1) = measured.delays.as_ref().and_then(|delays| delays.agreement.w1_normalized) {
                        (tile(&format!("w1_normalized at {}", measured.vantage), &format!("{w1:.4}"), "key"))
                    }
                }
                (tile("packets injected", &count(packets.injected), ""))
                (tile("delivered", &count(packets.delivered), ""))
                (tile("dropped", &count(packets.dropped), ""))
                @if packets.dropped + packets.delivered > 0 {
                    (tile("loss", &fraction(packets.dropped, packets.dropped + packets.delivered), ""))
                }
                @if summary.marked > 0 { (tile("marked", &count(summary.marked), "")) }
                (tile("still inside", &count(packets.inside), ""))
                (tile("flows", &count(summary.flows), ""))
                (tile("hops", &count(summary.hops), ""))
                (tile("simulated time", &seconds(summary.simulated_s), ""))
            }
            (accepted(report))
            (warnings(&summary.warnings))
        }
    }
}

fn accepted(report: &Report) -> Markup {
    let accept = &report.summary.accept;
    let bounds = if accept.bounds == 1 { "1 bound".to_owned() } else { format!("{} bounds", accept.bounds) };
    html! {
        @if accept.bounds > 0 && accept.passed {
            p class="kept" { "All bounds are kept (" (bounds) ")." }
        }
        @if !accept.passed {
            div class="missed" role="alert" {
                p { (accept.missed.len()) " of " (accept.bounds) " bounds missed:" }
                ul {
                    @for missed in &accept.missed {
                        @let value = missed.value.map_or("undefined".to_owned(), |value| value.to_string());
                        li {
                            (text(&missed.vantage)) ": " (text(&missed.metric)) " is " (value) ", "
                            "the bound is " (text(&missed.relation)) " " (missed.bound)
                        }
                    }
                }
            }
        }
    }
}

fn measured(number: usize, measured: &Measured, found: &MeasuredCharts) -> Markup {
    let from = match measured.delay {
        DelayScope::Path => "Delays are from injection to the vantage.",
        DelayScope::Hop => "Delays are from the ingress of this device to the vantage.",
    };
    let all = [CUMULATED, CCDF, OVER_TIME, QUANTILES, ERRORS, RATE, BIT_RATE, LOSSES];
    let is_shown = |chart: &Chart| match chart.kind {
        "ccdf" => found.distribution.varies(),
        "losses" => !found.losses.is_empty(),
        _ => true,
    };
    let shown: Vec<Chart> = all.into_iter().filter(is_shown).collect();
    html! {
        section id={ "measured-" (number) } {
            h2 { "Simulated against measured at " (text(&measured.vantage)) }
            p {
                "Measured: " code { (text(&measured.capture)) } ". " (count(measured.matched)) " packets matched, "
                (count(measured.ambiguous)) " ambiguous, " (count(measured.only_simulated)) " only simulated, "
                (count(measured.only_measured)) " only measured. " (from)
            }
            @match &measured.delays {
                None if measured.matched > 0 => {},
                None => p class="warning" { "No packet was matched, so there is nothing to compare." },
                Some(delays) => {
                    (charts(&format!("measured.{number}"), &shown))
                    (metrics(measured))
                    @if let Some(confidence) = &delays.confidence {
                        p class="note" {
                            "Error is (simulated - measured) / measured. Intervals are from " (confidence.resamples)
                            " resamples of a moving-block bootstrap with blocks of "
                            (count(confidence.block_packets as u64))
                            " packets: delays of neighbouring packets are not independent."
                        }
                    }
                    (losses(measured))
                    (paths(measured))
                }
            }
            @if let Some(tcp) = &measured.tcp {
                (transmissions(tcp))
                @if !found.goodput.is_empty() { (charts(&format!("measured.{number}"), &[MEASURED_GOODPUT])) }
            }
        }
    }
}

/// How well the delays agree, and their statistics, in two columns.
fn metrics(measured: &Measured) -> Markup {
    html! {
        div class="columns metrics" {
            div {
                h3 { "Agreement" }
                div class="scroll" {
                    table {
                        (header(&["metric", "value", "95 % interval"], 1))
                        tbody {
                            @for metric in agreement(measured) {
                                tr {
                                    th scope="row" { (metric.name) " " small { (metric.meaning) } }
                                    (number(&metric.value))
                                    (number(&metric.interval.unwrap_or_default()))
                                }
                            }
                        }
                    }
                }
            }
            div {
                h3 { "Delays" }
                div class="scroll" {
                    table {
                        (header(&["", "simulated", "measured", "error", "95 % interval of the error"], 1))
                        tbody {
                            @for row in statistics(measured) {
                                tr {
                                    th scope="row" { (row.name) " " small { (row.meaning) } }
                                    (number(&row.simulated)) (number(&row.measured))
                                    (number(&row.error)) (number(&row.interval))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn losses(measured: &Measured) -> Markup {
    let loss = &measured.loss;
    let all = loss.both + loss.only_simulated + loss.only_measured + loss.neither;
    let of_all = |packets: u64| format!("{} ({})", count(packets), fraction(packets, all));
    html! {
        div class="columns" {
            div {
                h3 { "Losses" }
                div class="scroll" {
                    table {
                        thead {
                            tr {
                                td {}
                                th scope="col" class="number" { "lost in the capture" }
                                th scope="col" class="number" { "not lost in the capture" }
                            }
                        }
                        tbody {
                            tr {
                                th scope="row" { "lost in the simulation" }
                                (number(&of_all(loss.both))) (number(&of_all(loss.only_simulated)))
                            }
                            tr {
                                th scope="row" { "not lost in the simulation" }
                                (number(&of_all(loss.only_measured))) (number(&of_all(loss.neither)))
                            }
                        }
                    }
                }
                p class="note" {
                    "Simulation: " (fraction(loss.both + loss.only_simulated, all)) " lost; capture: "
                    (fraction(loss.both + loss.only_measured, all)) " lost; of " (count(all))
                    " packets sent from the first to the last matched packet. Lost packets have no delay and are in \
                     no distribution of delays."
                }
            }
            div {
                h3 { "Reordering" }
                p {
                    (count(measured.reordered.simulated)) " packets in the simulation and "
                    (count(measured.reordered.measured))
                    " in the capture arrived after a packet that was sent later (RFC 4737)."
                }
            }
        }
    }
}

fn paths(measured: &Measured) -> Markup {
    // One path is the whole.
    if measured.paths.len() < 2 {
        return html! {};
    }
    let columns = vec![
        ("path", "Where packets entered, and the vantage"),
        ("packets", "Packets matched"),
        ("mean simulated", "Mean simulated delay"),
        ("mean measured", "Mean measured delay"),
        ("error", "(simulated - measured) / measured mean"),
        ("p99 simulated", "99th percentile of the simulated delay"),
        ("p99 measured", "99th percentile of the measured delay"),
        ("w1_normalized", "Wasserstein-1 distance over the mean measured delay"),
        ("pearson", "Correlation over packets"),
        ("mean abs. error", "Mean absolute error"),
    ];
    let cell = |value: Option<f64>, show: fn(f64) -> String| Cell {
        text: value.map_or("undefined".to_owned(), show),
        key: value,
    };
    let by_path = measured.paths.iter().map(|path| {
        let metrics = &path.metrics;
        let (x, y) = (&metrics.delay_s.simulated, &metrics.delay_s.measured);
        vec![
            Cell { text: format!("{} to {}", path.from, path.to), key: None },
            cell(Some(metrics.matched as f64), |value| count(value as u64)),
            cell(Some(x.mean), seconds),
            cell(Some(y.mean), seconds),
            cell((y.mean != 0.0).then(|| (x.mean - y.mean) / y.mean), percent),
            cell(Some(x.p99), seconds),
            cell(Some(y.p99), seconds),
            cell(metrics.w1_normalized, |value| format!("{value:.4}")),
            cell(metrics.pearson, |value| format!("{value:.4}")),
            cell(Some(metrics.mae_s), seconds),
        ]
    });
    let by_path: Vec<Vec<Cell>> = by_path.collect();
    html! {
        h3 { "By path" }
        (rows("Paths", &Table { columns, total: by_path.len(), rows: by_path }))
    }
}

fn tcp(report: &Report) -> Markup {
    let Some(found) = &report.transport else { return html! {} };
    let all: u64 = report.summary.tcp.iter().map(|entry| entry.flows).sum();
    let shown: &[Chart] = match found.over_time {
        OverTime::Sampled { .. } => &[CWND, GOODPUT, RTT],
        OverTime::Arrived(_) => &[ARRIVED],
        OverTime::Unknown => &[],
    };
    html! {
        section id="tcp" {
            h2 { "TCP" }
            (rows("TCP", &connections(report)))
            @if found.flows.names.is_empty() {
                p class="note" { "No byte was acknowledged." }
            } @else {
                @if !shown.is_empty() && (found.flows.names.len() as u64) < all {
                    p class="note" {
                        "The charts hold the " (found.flows.names.len()) " of " (count(all))
                        " connections with the most bytes acknowledged."
                    }
                }
                @if !matches!(found.over_time, OverTime::Sampled { .. }) {
                    p class="note" {
                        "Congestion windows, goodput and round-trip times over time are not recorded: "
                        "write " code { "[record]" } " " code { "transport = { every = \"10 ms\" }" }
                        " into the scenario, or " code { "transport = true" } " for every change."
                    }
                }
                (charts("tcp", shown))
            }
            @if let Some(found) = &report.flow_charts { (found.markup(report)) }
        }
    }
}

/// The connections of each `[[traffic]]` entry.
fn connections(report: &Report) -> Table {
    let columns = vec![
        ("traffic", "The entry of the scenario"),
        ("congestion control", "Congestion control of the senders"),
        ("flows", "Connections that began"),
        ("finished", "Connections with all data and the FIN acknowledged"),
        ("fairness", "Jain's index of the goodputs of the flows: 1 if all are equal"),
        ("bytes", "Bytes acknowledged"),
        (
            "goodput",
            "Bytes acknowledged divided by the time from the first SYN to the last acknowledgement of new bytes",
        ),
        ("completion p50", "Median completion time, from the SYN"),
        ("p90", "90th percentile of the completion times"),
        ("p99", "99th percentile of the completion times"),
        ("retransmitted", "Retransmitted segments"),
        ("timeouts", "Expiries of the retransmission timer"),
        ("marks echoed", "Segments delivered by acknowledgements that echoed a mark of congestion (ECE)"),
    ];
    let number = |value: u64| Cell { text: count(value), key: Some(value as f64) };
    let row = |entry: &Connections| {
        let completion =
            |part: fn(&CompletionTimes) -> f64| Cell::number(entry.completion_s.as_ref().map(part), seconds);
        vec![
            Cell::text(&entry.entry),
            Cell::text(&entry.congestion_control),
            number(entry.flows),
            number(entry.finished),
            Cell::number(entry.jain, four_digits),
            Cell { text: bytes(entry.bytes_acknowledged), key: Some(entry.bytes_acknowledged as f64) },
            Cell::number(entry.goodput_bps, bits_per_second),
            completion(|times| times.p50),
            completion(|times| times.p90),
            completion(|times| times.p99),
            number(entry.retransmissions),
            number(entry.timeouts),
            number(entry.delivered_ce),
        ]
    };
    let rows: Vec<Vec<Cell>> = report.summary.tcp.iter().map(row).collect();
    Table { columns, total: rows.len(), rows }
}

fn packets(report: &Report) -> Markup {
    let Some(found) = &report.packets else { return html! {} };
    let all = [CUMULATED, CCDF, OVER_TIME, RATE, BIT_RATE, DROPS];
    let is_shown = |chart: &Chart| match chart.kind {
        "ccdf" => found.distribution.varies(),
        "drops" => !found.drops.is_empty(),
        _ => !found.delays.is_empty(),
    };
    let shown: Vec<Chart> = all.into_iter().filter(is_shown).collect();
    html! {
        section id="packets" {
            h2 { "All packets" }
            p { "Simulated one-way delays, from injection to delivery." }
            @if found.delays.is_empty() { p class="warning" { "No packet was delivered." } }
            @if !shown.is_empty() { (charts("packets", &shown)) }
            @if found.ports.is_none() {
                p class="note" {
                    "Rates by port come from the table " code { "hops" } ": write " code { "[record]" } " "
                    code { "hops = true" } " into the scenario."
                }
            }
            (drops(report))
            (marks(report))
        }
    }
}

fn drops(report: &Report) -> Markup {
    html! {
        @if !report.summary.drops.is_empty() {
            div class="scroll" {
                table {
                    (header(&["dropped at", "reason", "packets", "of all injected"], 2))
                    tbody {
                        @for drop in &report.summary.drops {
                            tr {
                                td { (text(drop.port.as_ref().unwrap_or(&drop.device))) }
                                td { (text(&drop.reason)) }
                                (number(&count(drop.packets)))
                                (number(&fraction(drop.packets, report.summary.packets.injected)))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn marks(report: &Report) -> Markup {
    html! {
        @if !report.summary.marks.is_empty() {
            div class="scroll" {
                table {
                    (header(&["marked at", "packets"], 1))
                    tbody {
                        @for marks in &report.summary.marks {
                            tr { td { (text(&marks.port)) } (number(&count(marks.packets))) }
                        }
                    }
                }
            }
        }
    }
}

fn network(report: &Report) -> Markup {
    let Some(picture) = &report.picture else { return html! {} };
    html! {
        section id="network" {
            h2 { "Network" }
            p class="note" {
                "Load is the throughput of a port divided by its capacity: the bandwidth of its link, or the rate of \
                 its shaper if that is lower. A link has the colour of its busier direction. A thin grey link has \
                 unlimited bandwidth."
            }
            @let (picture, key) = apart(picture);
            div class="picture scroll" tabindex="0" role="region" aria-label="Picture of the network" {
                (PreEscaped(picture))
            }
            @if let Some(key) = key { div class="key-of-network" { (PreEscaped(key)) } }
        }
    }
}

/// The picture without its key, and the key as a picture of its own: a large picture scrolls in its box, its key does
/// not. A picture of another form stays as it is.
fn apart(picture: &str) -> (String, Option<String>) {
    const KEY: &str = "<g class=\"key\">";
    const WIDTH: f64 = 420.0;
    let found = || {
        let (above, key) = picture.split_once(KEY)?;
        let key = key.strip_suffix("</svg>\n")?;
        let (_, size) = above.split_once("viewBox=\"0 0 ")?;
        let (size, _) = size.split_once('"')?;
        let (width, height) = size.split_once(' ')?;
        let height: f64 = height.parse().ok()?;
        let top = height - KEY_HEIGHT;
        let whole = [format!("viewBox=\"0 0 {size}\""), format!("height=\"{height:.0}\"")];
        let cut = [format!("viewBox=\"0 0 {width} {top:.0}\""), format!("height=\"{top:.0}\"")];
        let above = above.replacen(&whole[0], &cut[0], 1).replacen(&whole[1], &cut[1], 1);
        let key = format!(
            "<svg class=\"network\" viewBox=\"0 {top:.0} {WIDTH} {KEY_HEIGHT}\" width=\"{WIDTH}\" height=\"{KEY_HEIGHT}\" \
             role=\"img\" aria-label=\"Key of the picture\">{KEY}{key}</svg>"
        );
        Some((format!("{above}</svg>\n"), key))
    };
    match found() {
        Some((picture, key)) => (picture, Some(key)),
        None => (picture.to_owned(), None),
    }
}

fn table(id: &str, title: &str, table: &Table) -> Markup {
    html! {
        section id=(id) {
            h2 { (title) }
            @if table.rows.len() < table.total {
                p class="note" {
                    "The " (count(table.rows.len() as u64)) " of " (count(table.total as u64))
                    " with the most packets. The table " code { (id) } " of the run has all."
                }
            }
            (rows(title, table))
        }
    }
}

fn origin(report: &Report) -> Markup {
    const MOST_SOURCES: usize = 20;
    let Report { summary, meta, .. } = report;
    html! {
        section id="origin" {
            h2 { "Inputs" }
            dl class="origin" {
                dt { "fingerprint" }
                dd {
                    code { (text(&summary.fingerprint)) } br;
                    "A hash over every event of every packet. Equal fingerprints mean equal simulations."
                }
                dt { "seed" } dd { (summary.seed) }
                dt { "engine" } dd { (text(&summary.engine)) ": " (text(&summary.engine_reason)) }
                dt { "start" } dd { (text(&meta.start)) }
                @if !meta.overrides.is_empty() {
                    dt { "changed" } dd { code { (text(&meta.overrides.join(" "))) } }
                }
                dt { "sources" }
                dd {
                    @for source in meta.sources.iter().take(MOST_SOURCES) { (text(source)) br; }
                    @if meta.sources.len() > MOST_SOURCES {
                        "and " (count((meta.sources.len() - MOST_SOURCES) as u64)) " more"
                    }
                }
            }
            div class="scroll" {
                table {
                    thead {
                        tr {
                            th scope="col" { "file" }
                            th scope="col" class="number" { "size" }
                            th scope="col" { "SHA-256" }
                        }
                    }
                    tbody {
                        @for input in &meta.inputs {
                            tr {
                                td { (text(&input.path)) }
                                (number(&input.bytes.map_or("not a file".to_owned(), bytes)))
                                td { code class="hash" { (text(input.sha256.as_deref().unwrap_or_default())) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;

    #[test]
    fn the_key_is_taken_off_the_picture() {
        let text =
            "name = \"t\"\ngenerate = { kind = \"star\", hosts = 2 }\ndefaults.link.bandwidth = \"1 Gbps\"";
        let picture = Topology::from_toml("t.toml", text).unwrap().picture(&[Some(0.5); 4]);
        let (above, key) = apart(&picture);
        let key = key.unwrap();
        assert!(picture.contains("to 80 %") && key.contains("to 80 %") && !above.contains("to 80 %"));
        assert!(above.len() < picture.len() && above.ends_with("</svg>\n") && key.ends_with("</svg>"));
        assert_eq!(apart("<svg/>"), ("<svg/>".to_owned(), None));
    }
}
