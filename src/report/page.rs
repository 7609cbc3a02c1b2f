//! The page: HTML around the numbers, with style, scripts and points embedded.

use std::fmt::Write;

use serde_json::{Value, json};

use super::metrics::{agreement, statistics};
use super::model::Measured;
use super::rows::{Cell, Table};
use super::text::{bytes, count, escaped, json_in_script, percent, seconds};
use super::{MeasuredCharts, Report};
use crate::scenario::DelayScope;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");
/// uPlot as published on npm, unchanged.
const UPLOT: &str = include_str!("uplot/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("uplot/uPlot.min.css");
const UPLOT_LICENCE: &str = include_str!("uplot/LICENSE");

const UPLOT_VERSION: &str = "1.6.32";

/// A chart of the page: its kind for the script, its title, and how to read it.
pub(crate) struct Chart {
    pub kind: &'static str,
    pub title: &'static str,
    pub note: &'static str,
    pub wide: bool,
}

const CUMULATED: Chart = Chart {
    kind: "cumulated",
    title: "Delay distribution",
    note: "The part of the packets that take no longer than the delay on the axis below.",
    wide: false,
};
const OVER_TIME: Chart = Chart {
    kind: "delays",
    title: "Delay over time",
    note: "Each packet at the time it was sent; where there are more than pixels, from the least to the greatest. Drag to zoom.",
    wide: true,
};
const QUANTILES: Chart = Chart {
    kind: "quantiles",
    title: "Quantile against quantile",
    note: "Points on the diagonal: both distributions have the same quantile there. Above it the simulation is slower.",
    wide: false,
};
const ERRORS: Chart = Chart {
    kind: "errors",
    title: "Error of single packets",
    note: "Simulated less measured delay; the outermost bars hold the 0.5 % beyond on each side.",
    wide: false,
};
const RATE: Chart = Chart {
    kind: "rate",
    title: "Rate over time",
    note: "Packets per second that pass, in windows of equal length.",
    wide: false,
};
const BIT_RATE: Chart = Chart {
    kind: "bits",
    title: "Bit rate over time",
    note: "Bits per second that pass, of lengths on the wire, in the same windows.",
    wide: false,
};
const LOSSES: Chart = Chart {
    kind: "losses",
    title: "Losses over time",
    note: "Packets per window that were lost, by the time they were sent.",
    wide: false,
};
const DROPS: Chart = Chart {
    kind: "drops",
    title: "Drops over time",
    note: "Packets dropped anywhere in the network, per window.",
    wide: false,
};

pub(super) fn write(report: &Report) -> String {
    let mut html = String::with_capacity(1 << 20);
    // Writing to a String cannot fail; so everywhere below.
    let _ = write_page(&mut html, report);
    html
}

fn write_page(html: &mut String, report: &Report) -> std::fmt::Result {
    let Report { summary, meta, .. } = report;
    let from = format!("taunet {} - simulated from {}", meta.version, meta.start);
    write_head(html, &summary.scenario, &from)?;
    write_navigation(html, report)?;
    html.push_str(MAIN);
    write_overview(html, report)?;
    for (number, (measured, charts)) in summary.measured.iter().zip(&report.measured).enumerate() {
        write_measured(html, number, measured, charts)?;
    }
    write_packets(html, report)?;
    write_network(html, report)?;
    write_table(html, "ports", "Egress ports", "ports", &report.ports)?;
    write_table(html, "flows", "Flows", "flows", &report.flows)?;
    write_origin(html, report)?;
    write_foot(html, &points(report))
}

/// The beginning of the content.
pub(crate) const MAIN: &str = "<main id=\"main\">\n<noscript><p class=\"warning\">Charts need JavaScript; tables do not.</p></noscript>\n";

/// Everything before the navigation: `name` is the page's title, `from` stands below it.
pub(crate) fn write_head(html: &mut String, name: &str, from: &str) -> std::fmt::Result {
    let name = escaped(name);
    write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{name} - taunet report</title>\n<style>\n{UPLOT_STYLE}\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the content</a>\n\
         <header>\n<div><h1>{name}</h1>\n<p>{}</p></div>\n\
         <button type=\"button\" id=\"theme\" hidden>Dark</button>\n</header>\n",
        escaped(from),
    )
}

/// Everything after the content; the script draws `points`.
pub(crate) fn write_foot(html: &mut String, points: &Value) -> std::fmt::Result {
    write!(
        html,
        "</main>\n<footer><details><summary>Charts are drawn by uPlot {UPLOT_VERSION} (MIT)</summary><pre>{}</pre></details></footer>\n\
         <script type=\"application/json\" id=\"points\">{}</script>\n\
         <script>{UPLOT}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escaped(UPLOT_LICENCE),
        json_in_script(points),
    )
}

/// What the script draws.
fn points(report: &Report) -> Value {
    let measured = |charts: &MeasuredCharts| {
        json!({
            "distribution": charts.distribution.to_json(),
            "delays": charts.delays.to_json(),
            "rate": charts.rate.to_json(),
            "bits": charts.bits.to_json(),
            "losses": charts.losses.to_json(),
        })
    };
    let packets = report.packets.as_ref().map(|charts| {
        json!({
            "distribution": charts.distribution.to_json(),
            "delays": charts.delays.to_json(),
            "rate": charts.rate.to_json(),
            "bits": charts.bits.to_json(),
            "drops": charts.drops.to_json(),
        })
    });
    json!({ "measured": report.measured.iter().map(measured).collect::<Vec<_>>(), "packets": packets })
}

fn write_navigation(html: &mut String, report: &Report) -> std::fmt::Result {
    html.push_str("<nav aria-label=\"Sections\"><a href=\"#overview\">Overview</a>");
    for (number, measured) in report.summary.measured.iter().enumerate() {
        write!(html, "<a href=\"#measured-{number}\">{}</a>", escaped(&measured.vantage))?;
    }
    for (id, name) in [
        ("packets", "All packets"),
        ("network", "Network"),
        ("ports", "Ports"),
        ("flows", "Flows"),
        ("origin", "Inputs"),
    ] {
        let there = match id {
            "packets" => report.packets.is_some(),
            "network" => report.picture.is_some(),
            _ => true,
        };
        if there {
            write!(html, "<a href=\"#{id}\">{name}</a>")?;
        }
    }
    html.push_str("</nav>\n");
    Ok(())
}

fn write_overview(html: &mut String, report: &Report) -> std::fmt::Result {
    let summary = &report.summary;
    let packets = &summary.packets;
    html.push_str("<section id=\"overview\" class=\"first\"><h2>Overview</h2>\n<dl class=\"tiles\">");
    let mut tile = |name: &str, value: &str, class: &str| {
        write!(html, "<div class=\"{class}\"><dt>{name}</dt><dd>{value}</dd></div>")
    };
    for measured in &summary.measured {
        if let Some(w1) = measured.delays.as_ref().and_then(|delays| delays.agreement.w1_normalized) {
            tile(&format!("w1_normalized at {}", escaped(&measured.vantage)), &format!("{w1:.4}"), "key")?;
        }
    }
    tile("packets injected", &count(packets.injected), "")?;
    tile("delivered", &count(packets.delivered), "")?;
    tile("dropped", &count(packets.dropped), "")?;
    if summary.marked > 0 {
        tile("marked", &count(summary.marked), "")?;
    }
    tile("still inside", &count(packets.inside), "")?;
    tile("flows", &count(summary.flows), "")?;
    tile("hops", &count(summary.hops), "")?;
    tile("simulated time", &seconds(summary.simulated_s), "")?;
    html.push_str("</dl>\n");
    let accept = &summary.accept;
    if accept.bounds > 0 && accept.passed {
        let bounds =
            if accept.bounds == 1 { "1 bound".to_owned() } else { format!("{} bounds", accept.bounds) };
        writeln!(html, "<p class=\"kept\">All accepted bounds are kept ({bounds}).</p>")?;
    }
    if !accept.passed {
        write!(
            html,
            "<div class=\"missed\" role=\"alert\"><p>{} of {} accepted bounds missed:</p><ul>",
            accept.missed.len(),
            accept.bounds
        )?;
        for missed in &accept.missed {
            let value = missed.value.map_or("undefined".to_owned(), |value| value.to_string());
            write!(
                html,
                "<li>{}: {} is {value}, {} {} was asked</li>",
                escaped(&missed.vantage),
                escaped(&missed.metric),
                escaped(&missed.relation),
                missed.bound
            )?;
        }
        html.push_str("</ul></div>\n");
    }
    for warning in &summary.warnings {
        writeln!(html, "<p class=\"warning\">{}</p>", escaped(warning))?;
    }
    html.push_str("</section>\n");
    Ok(())
}

fn write_measured(
    html: &mut String,
    number: usize,
    measured: &Measured,
    charts: &MeasuredCharts,
) -> std::fmt::Result {
    let from = match measured.delay {
        DelayScope::Path => "Delays count from the injection.",
        DelayScope::Hop => "Delays count from the ingress at this device.",
    };
    write!(
        html,
        "<section id=\"measured-{number}\"><h2>Simulated against measured at {}</h2>\n\
         <p>Measured: <code>{}</code>. {} packets matched, {} ambiguous, {} only simulated, {} only measured. {from}</p>\n",
        escaped(&measured.vantage),
        escaped(&measured.capture),
        count(measured.matched),
        count(measured.ambiguous),
        count(measured.only_simulated),
        count(measured.only_measured),
    )?;
    let Some(delays) = &measured.delays else {
        html.push_str(
            "<p class=\"warning\">No packet was matched: there is nothing to compare.</p></section>\n",
        );
        return Ok(());
    };
    let all = [CUMULATED, QUANTILES, OVER_TIME, ERRORS, RATE, BIT_RATE, LOSSES];
    let shown = if charts.losses.is_empty() { &all[..all.len() - 1] } else { &all };
    write_charts(html, &format!("measured.{number}"), shown)?;

    html.push_str(
        "<div class=\"columns metrics\"><div><h3>How well they agree</h3><div class=\"scroll\"><table><thead><tr>\
         <th scope=\"col\">metric</th><th scope=\"col\" class=\"number\">value</th>\
         <th scope=\"col\" class=\"number\">95 % interval</th></tr></thead><tbody>\n",
    );
    for metric in agreement(measured) {
        writeln!(
            html,
            "<tr><th scope=\"row\">{} <small>{}</small></th><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            metric.name,
            metric.meaning,
            metric.value,
            metric.interval.unwrap_or_default()
        )?;
    }
    html.push_str(
        "</tbody></table></div></div><div><h3>Delays</h3><div class=\"scroll\"><table><thead><tr><th scope=\"col\"></th>\
         <th scope=\"col\" class=\"number\">simulated</th><th scope=\"col\" class=\"number\">measured</th>\
         <th scope=\"col\" class=\"number\">error</th><th scope=\"col\" class=\"number\">95 % interval of the error</th></tr></thead><tbody>\n",
    );
    for row in statistics(measured) {
        writeln!(
            html,
            "<tr><th scope=\"row\">{} <small>{}</small></th><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            row.name, row.meaning, row.simulated, row.measured, row.error, row.interval
        )?;
    }
    html.push_str("</tbody></table></div></div></div>\n");
    if let Some(confidence) = &delays.confidence {
        writeln!(
            html,
            "<p class=\"note\">Error is (simulated - measured) / measured. Intervals are from {} resamples of a moving-block \
             bootstrap with blocks of {} packets: delays of neighbouring packets are not independent.</p>",
            confidence.resamples,
            count(confidence.block_packets as u64)
        )?;
    }
    write_losses(html, measured)?;
    write_paths(html, measured)?;
    html.push_str("</section>\n");
    Ok(())
}

fn write_losses(html: &mut String, measured: &Measured) -> std::fmt::Result {
    let loss = &measured.loss;
    write!(
        html,
        "<div class=\"columns\"><div><h3>Losses</h3><div class=\"scroll\"><table><thead><tr><td></td>\
         <th scope=\"col\" class=\"number\">lost in reality</th><th scope=\"col\" class=\"number\">not lost in reality</th></tr></thead>\
         <tbody><tr><th scope=\"row\">lost in the simulation</th><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\
         <tr><th scope=\"row\">not lost in the simulation</th><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\
         </tbody></table></div>\
         <p class=\"note\">Packets sent from the first to the last matched packet. Lost packets have no delay: they stand beside \
         every quantile, not in it.</p></div>",
        count(loss.both),
        count(loss.only_simulated),
        count(loss.only_measured),
        count(loss.neither)
    )?;
    writeln!(
        html,
        "<div><h3>Reordering</h3><p>{} packets in the simulation and {} in reality arrived after one that was sent later \
         (RFC 4737).</p></div></div>",
        count(measured.reordered.simulated),
        count(measured.reordered.measured)
    )
}

fn write_paths(html: &mut String, measured: &Measured) -> std::fmt::Result {
    // One path is the whole.
    if measured.paths.len() < 2 {
        return Ok(());
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
    let rows = measured.paths.iter().map(|path| {
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
    let rows: Vec<Vec<Cell>> = rows.collect();
    html.push_str("<h3>By path</h3>\n");
    write_rows(html, "Paths", &Table { columns, total: rows.len(), rows })
}

fn write_packets(html: &mut String, report: &Report) -> std::fmt::Result {
    let Some(charts) = &report.packets else { return Ok(()) };
    html.push_str("<section id=\"packets\"><h2>All packets</h2>\n<p>Simulated one-way delays, from injection to delivery.</p>\n");
    if charts.delays.is_empty() {
        html.push_str("<p class=\"warning\">No packet was delivered.</p>\n");
    }
    let all = [CUMULATED, RATE, OVER_TIME, BIT_RATE, DROPS];
    let from = if charts.delays.is_empty() { all.len() - 1 } else { 0 };
    let to = if charts.drops.is_empty() { all.len() - 1 } else { all.len() };
    write_charts(html, "packets", &all[from..to])?;
    write_drops(html, report)?;
    write_marks(html, report)?;
    html.push_str("</section>\n");
    Ok(())
}

fn write_drops(html: &mut String, report: &Report) -> std::fmt::Result {
    if !report.summary.drops.is_empty() {
        html.push_str(
            "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">dropped at</th><th scope=\"col\">reason</th>\
             <th scope=\"col\" class=\"number\">packets</th></tr></thead><tbody>\n",
        );
        for drop in &report.summary.drops {
            let place = drop.port.as_ref().unwrap_or(&drop.device);
            let (place, reason) = (escaped(place), escaped(&drop.reason));
            let packets = count(drop.packets);
            writeln!(html, "<tr><td>{place}</td><td>{reason}</td><td class=\"number\">{packets}</td></tr>")?;
        }
        html.push_str("</tbody></table></div>\n");
    }
    Ok(())
}

fn write_marks(html: &mut String, report: &Report) -> std::fmt::Result {
    if !report.summary.marks.is_empty() {
        html.push_str(
            "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">marked at</th>\
             <th scope=\"col\" class=\"number\">packets</th></tr></thead><tbody>\n",
        );
        for marks in &report.summary.marks {
            let (place, packets) = (escaped(&marks.port), count(marks.packets));
            writeln!(html, "<tr><td>{place}</td><td class=\"number\">{packets}</td></tr>")?;
        }
        html.push_str("</tbody></table></div>\n");
    }
    Ok(())
}

fn write_network(html: &mut String, report: &Report) -> std::fmt::Result {
    let Some(picture) = &report.picture else { return Ok(()) };
    write!(
        html,
        "<section id=\"network\"><h2>Network</h2>\n<p class=\"note\">Load is what a port sent over what it can send: the bandwidth of its \
         link, or the rate of its shaper where that is less. A link has the colour of its busier direction; a grey, thin one has no \
         bound.</p>\n<div class=\"picture scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Picture of the network\">{picture}</div></section>\n"
    )
}

pub(crate) fn write_charts(html: &mut String, of: &str, charts: &[Chart]) -> std::fmt::Result {
    html.push_str("<div class=\"charts\">\n");
    for Chart { kind, title, note, wide } in charts {
        let class = if *wide { "chart wide" } else { "chart" };
        writeln!(
            html,
            "<figure class=\"{class}\" data-of=\"{of}\" data-kind=\"{kind}\"><figcaption><strong>{title}</strong> \
             <span>{note}</span></figcaption><div class=\"plot\" tabindex=\"0\" role=\"group\" aria-label=\"Chart: {title}. {note}\">\
             </div></figure>"
        )?;
    }
    html.push_str("</div>\n");
    Ok(())
}

fn write_table(html: &mut String, id: &str, title: &str, file: &str, table: &Table) -> std::fmt::Result {
    writeln!(html, "<section id=\"{id}\"><h2>{title}</h2>")?;
    if table.rows.len() < table.total {
        writeln!(
            html,
            "<p class=\"note\">The {} of {} with the most packets; all of them are in the table <code>{file}</code> of the run.</p>",
            count(table.rows.len() as u64),
            count(table.total as u64)
        )?;
    }
    write_rows(html, title, table)?;
    html.push_str("</section>\n");
    Ok(())
}

/// A table that the script makes sortable and filters.
pub(crate) fn write_rows(html: &mut String, title: &str, table: &Table) -> std::fmt::Result {
    write!(
        html,
        "<div class=\"rows\"><div class=\"tools\" hidden><label>Filter <input type=\"search\" placeholder=\"words\"></label>\
         <span class=\"shown\" role=\"status\"></span><button type=\"button\" class=\"all\" hidden>Show all</button></div>\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table><thead><tr>"
    )?;
    let is_number = |column: usize| table.rows.iter().any(|row| row[column].key.is_some());
    let numbers: Vec<bool> = (0..table.columns.len()).map(is_number).collect();
    for ((name, meaning), number) in table.columns.iter().zip(&numbers) {
        let class = if *number { " class=\"number\"" } else { "" };
        write!(html, "<th scope=\"col\"{class} title=\"{meaning}\">{name}</th>")?;
    }
    html.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for (cell, number) in row.iter().zip(&numbers) {
            match (cell.key, number) {
                (Some(key), _) => write!(html, "<td class=\"number\" data-key=\"{key}\">")?,
                (None, true) => html.push_str("<td class=\"number\">"),
                (None, false) => html.push_str("<td>"),
            }
            write!(html, "{}</td>", escaped(&cell.text))?;
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div></div>\n");
    Ok(())
}

fn write_origin(html: &mut String, report: &Report) -> std::fmt::Result {
    let Report { summary, meta, .. } = report;
    write!(
        html,
        "<section id=\"origin\"><h2>Inputs</h2>\n<dl class=\"origin\">\
         <dt>fingerprint</dt><dd><code>{}</code><br>A hash over every passage of every packet: equal fingerprints mean equal simulations.</dd>\
         <dt>seed</dt><dd>{}</dd><dt>engine</dt><dd>{}: {}</dd><dt>start</dt><dd>{}</dd>",
        escaped(&summary.fingerprint),
        summary.seed,
        escaped(&summary.engine),
        escaped(&summary.engine_reason),
        escaped(&meta.start),
    )?;
    if !meta.overrides.is_empty() {
        write!(html, "<dt>changed</dt><dd><code>{}</code></dd>", escaped(&meta.overrides.join(" ")))?;
    }
    html.push_str("<dt>sources</dt><dd>");
    for source in meta.sources.iter().take(20) {
        write!(html, "{}<br>", escaped(source))?;
    }
    if meta.sources.len() > 20 {
        write!(html, "and {} more", count(meta.sources.len() as u64 - 20))?;
    }
    html.push_str(
        "</dd></dl>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">file</th><th scope=\"col\" class=\"number\">size</th>\
         <th scope=\"col\">SHA-256</th></tr></thead><tbody>\n",
    );
    for input in &meta.inputs {
        writeln!(
            html,
            "<tr><td>{}</td><td class=\"number\">{}</td><td><code class=\"hash\">{}</code></td></tr>",
            escaped(&input.path),
            input.bytes.map_or("not a file".to_owned(), bytes),
            escaped(input.sha256.as_deref().unwrap_or_default())
        )?;
    }
    html.push_str("</tbody></table></div></section>\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_is_what_the_page_says() {
        assert!(UPLOT.starts_with(&format!("/*! https://github.com/leeoniya/uPlot (v{UPLOT_VERSION}) */")));
        assert!(UPLOT_LICENCE.starts_with("The MIT License (MIT)"), "{UPLOT_LICENCE}");
        // Nothing that is embedded ends its element, and nothing is fetched.
        assert!([UPLOT, SCRIPT].iter().all(|script| !script.contains("</script")));
        assert!(
            [STYLE, UPLOT_STYLE].iter().all(|style| !style.contains("</style") && !style.contains("url("))
        );
    }
}
