//! Two runs in one page: their curves one over the other, and their figures by port and by flow side by side.

use std::collections::BTreeMap;
use std::path::Path;

use maud::{Markup, html};
use serde_json::json;

use super::distribution::Distribution;
use super::groups::{self, Sides};
use super::model::{Meta, Summary};
use super::page::{Chart, Page, charts, header, number, rows, text, tile};
use super::rows::{Cell, MOST, Row, Table};
use super::series::{Counts, Reservoir};
use super::text::{bits_per_second, count, four_digits, fraction, percent, seconds};
use super::{ReportError, drawn, instant, read_json};
use crate::compare::{DelayComparison, RunsComparison, RunsPackets};
use crate::table::{Kind, read_columns};

const CHARTS: [Chart; 8] = [
    Chart {
        kind: "cumulated",
        title: "Delay distribution",
        note: "Fraction of packets whose delay does not exceed the value below, of all packets that each run delivered.",
        wide: false,
    },
    Chart {
        kind: "ccdf",
        title: "Delay distribution, CCDF",
        note: "Fraction of packets whose delay exceeds the value below, on logarithmic axes.",
        wide: false,
    },
    Chart {
        kind: "delays",
        title: "Delay over time",
        note: "Packets delivered in both runs, at the time when the first run sent them. Drag to zoom.",
        wide: true,
    },
    Chart {
        kind: "quantiles",
        title: "Quantile against quantile",
        note: "Packets delivered in both runs. Above the diagonal, the second run is slower.",
        wide: false,
    },
    Chart {
        kind: "errors",
        title: "Change per packet",
        note: "Delay in the second run minus delay in the first. The outermost bars include the 0.5 % of packets beyond them.",
        wide: false,
    },
    Chart {
        kind: "rate",
        title: "Packet rate over time",
        note: "Packets delivered, in windows of equal length.",
        wide: false,
    },
    Chart {
        kind: "bits",
        title: "Bit rate over time",
        note: "Lengths on the wire of packets delivered.",
        wide: false,
    },
    Chart {
        kind: "losses",
        title: "Loss over time",
        note: "Packets dropped in percent of those dropped or delivered in the window.",
        wide: false,
    },
];

/// One of the runs.
struct Side {
    path: String,
    summary: Summary,
    meta: Meta,
    /// Of all packets delivered, in picoseconds.
    delays: Vec<i64>,
    ports: BTreeMap<String, PortFigures>,
    flows: BTreeMap<String, FlowFigures>,
}

#[derive(Default)]
struct PortFigures {
    packets: u64,
    dropped: u64,
    load: Option<f64>,
    waiting_mean_s: Option<f64>,
    waiting_p99_s: Option<f64>,
    queue: Option<f64>,
    throughput_bps: Option<f64>,
}

#[derive(Default)]
struct FlowFigures {
    packets: u64,
    loss: Option<f64>,
    mean_s: Option<f64>,
    p99_s: Option<f64>,
    goodput_bps: Option<f64>,
}

/// The page of two runs, the baseline first, as HTML; `comparison` and `packets` are theirs.
///
/// # Errors
/// One of the directories is not one that a run wrote.
///
/// # Complexity
/// O(packets x log packets); the delays of both runs are held in memory.
pub fn runs_page(
    runs: [&Path; 2],
    comparison: &RunsComparison,
    packets: RunsPackets,
) -> Result<String, ReportError> {
    let mut sides = [read_side(runs[0])?, read_side(runs[1])?];
    let end_s = sides[0].summary.simulated_s.max(sides[1].summary.simulated_s);
    // The second run has the place of a simulation, and comes first in the curves.
    let (mut rate, mut bits) = (Counts::new(end_s, 2), Counts::new(end_s, 2));
    let (mut drops, mut ended) = (Counts::new(end_s, 2), Counts::new(end_s, 2));
    for (line, side) in [1, 0].into_iter().enumerate() {
        let wanted =
            [("ended_ps", Kind::Integers), ("delay_ps", Kind::Integers), ("length_bytes", Kind::Integers)];
        let mut delays = Vec::new();
        read_columns(&runs[side].join("packets"), &wanted, |batch| {
            for row in 0..batch[0].integers().len() {
                let row = Row { columns: batch, row };
                let Some(at) = row.integer(0).map(instant) else { continue };
                ended.count(at, line, 1);
                match row.integer(1) {
                    Some(delay) => {
                        delays.push(drawn(delay));
                        rate.count(at, line, 1);
                        bits.count(at, line, row.integer(2).map_or(0, instant));
                    }
                    None => drops.count(at, line, 1),
                }
            }
        })?;
        sides[side].delays = delays;
    }
    let places = groups::flows(runs[0])?;
    let mut flows = Sides::new(&places, end_s);
    let mut points = Reservoir::new(1);
    let RunsPackets { injected_ps, fids, delays } = packets;
    for (row, injected) in injected_ps.iter().enumerate() {
        let both = [delays.simulated[row], delays.measured[row]];
        points.push(instant(*injected), both);
        if let Some(place) = places.place(Some(fids[row].into())) {
            flows.push(place, instant(*injected), both);
        }
    }
    let all =
        Distribution::of_several([1, 0].map(|side: usize| std::mem::take(&mut sides[side].delays)).into());
    let both = Distribution::of_two(delays.simulated, delays.measured);
    let mut distribution = both.to_json();
    let all_json = all.to_json();
    for key in ["delays", "above"] {
        distribution[key] = all_json[key].clone();
    }
    let points = points.into_series();
    let (drops, ended) = (drops.into_bars(), ended.into_bars());
    let mut losses = drops.to_json();
    losses["of"] = json!(ended.counts);
    let shown: Vec<Chart> = CHARTS
        .into_iter()
        .filter(|chart| match chart.kind {
            "cumulated" => !all.delays.is_empty(),
            "ccdf" => all.varies(),
            "delays" => !points.is_empty(),
            "quantiles" | "errors" => both.packets > 0,
            "losses" => !drops.is_empty(),
            _ => true,
        })
        .collect();
    let points = json!({
        "sides": ["second", "first"],
        "runs": {
            "distribution": distribution,
            "delays": points.to_json(),
            "rate": rate.into_bars().to_json(),
            "bits": bits.into_bars().to_json(),
            "losses": losses,
            "by": groups::to_json([("flow", &flows.into_group())]),
        },
    });
    let content = html! {
        (overview(&sides, comparison))
        section id="delays" {
            h2 { "Delays" }
            (charts("runs", &shown))
            @if let Some(delays) = &comparison.delays { (statistics(delays)) }
        }
        section id="ports" {
            h2 { "Egress ports" }
            (rows("Egress ports", &ports(&sides)))
        }
        section id="flows" {
            h2 { "Flows" }
            (rows("Flows", &flow_table(&sides)))
        }
        (origin(&sides))
    };
    let sections = [
        ("overview", "Overview"),
        ("delays", "Delays"),
        ("ports", "Ports"),
        ("flows", "Flows"),
        ("origin", "Inputs"),
    ];
    let name = format!("{} against {}", sides[1].path, sides[0].path);
    let page = Page {
        name: &name,
        from: &format!("taunet {} - two runs", env!("CARGO_PKG_VERSION")),
        sections: &sections.map(|(id, title)| (id.to_owned(), title)),
        content,
        points: &points,
    };
    Ok(page.into_html())
}

fn read_side(run: &Path) -> Result<Side, ReportError> {
    Ok(Side {
        path: run.display().to_string(),
        summary: read_json(&run.join("summary.json"))?,
        meta: read_json(&run.join("meta.json"))?,
        delays: Vec::new(),
        ports: read_ports(run)?,
        flows: read_flows(run)?,
    })
}

fn seconds_in(ps: Option<f64>) -> Option<f64> {
    ps.map(|ps| ps * 1e-12)
}

fn read_ports(run: &Path) -> Result<BTreeMap<String, PortFigures>, ReportError> {
    use Kind::{Integers, Numbers, Texts};
    let wanted = [
        ("device", Texts),
        ("port", Integers),
        ("packets", Integers),
        ("packets_dropped", Integers),
        ("load", Numbers),
        ("waiting_mean_ps", Numbers),
        ("waiting_p99_ps", Integers),
        ("queue_mean_packets", Numbers),
        ("throughput_bps", Numbers),
    ];
    let mut found = BTreeMap::new();
    read_columns(&run.join("ports"), &wanted, |batch| {
        for row in 0..batch[1].integers().len() {
            let row = Row { columns: batch, row };
            let name = format!("{}:{}", row.text(0), row.integer(1).unwrap_or_default());
            let figures = PortFigures {
                packets: row.integer(2).map_or(0, instant),
                dropped: row.integer(3).map_or(0, instant),
                load: row.number(4),
                waiting_mean_s: seconds_in(row.number(5)),
                waiting_p99_s: seconds_in(row.number(6)),
                queue: row.number(7),
                throughput_bps: row.number(8),
            };
            found.insert(name, figures);
        }
    })?;
    Ok(found)
}

fn read_flows(run: &Path) -> Result<BTreeMap<String, FlowFigures>, ReportError> {
    use Kind::{Integers, Numbers, Texts};
    let mut wanted = vec![
        ("source", Texts),
        ("source_port", Integers),
        ("destination", Texts),
        ("destination_port", Integers),
        ("protocol", Integers),
        ("packets_injected", Integers),
        ("loss_ratio", Numbers),
        ("delay_mean_ps", Numbers),
        ("delay_p99_ps", Integers),
    ];
    let summary: Summary = read_json(&run.join("summary.json"))?;
    let connects = !summary.tcp.is_empty();
    if connects {
        wanted.push(("goodput_bps", Numbers));
    }
    let mut found: BTreeMap<String, FlowFigures> = BTreeMap::new();
    read_columns(&run.join("flows"), &wanted, |batch| {
        for row in 0..batch[1].integers().len() {
            let row = Row { columns: batch, row };
            let protocol = row
                .integer(4)
                .map_or(String::new(), |number| format!(" ({})", super::rows::protocol(number)));
            let figures = FlowFigures {
                packets: row.integer(5).map_or(0, instant),
                loss: row.number(6),
                mean_s: seconds_in(row.number(7)),
                p99_s: seconds_in(row.number(8)),
                goodput_bps: if connects { row.number(9) } else { None },
            };
            found.insert(format!("{} to {}{protocol}", row.end(0, 1), row.end(2, 3)), figures);
        }
    })?;
    Ok(found)
}

fn change(first: Option<f64>, second: Option<f64>) -> Option<f64> {
    let (first, second) = (first?, second?);
    (first != 0.0).then(|| (second - first) / first)
}

/// The cells of a figure of both runs: first, second, and the change.
fn both(first: Option<f64>, second: Option<f64>, show: fn(f64) -> String) -> [Cell; 3] {
    [Cell::number(first, show), Cell::number(second, show), Cell::number(change(first, second), percent)]
}

fn counts(first: Option<u64>, second: Option<u64>) -> [Cell; 2] {
    [first, second].map(|value| Cell::number(value.map(|value| value as f64), |value| count(value as u64)))
}

fn parts(value: f64) -> String {
    format!("{}\u{a0}%", four_digits(value * 100.0))
}

/// The names of both runs, those with the most packets in both together first; and how many there are.
fn names<T>(sides: [&BTreeMap<String, T>; 2], packets: fn(&T) -> u64) -> (Vec<String>, usize) {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for side in sides {
        for (name, figures) in side {
            *all.entry(name).or_default() += packets(figures);
        }
    }
    let mut all: Vec<(&str, u64)> = all.into_iter().filter(|(_, packets)| *packets > 0).collect();
    all.sort_by_key(|(_, packets)| std::cmp::Reverse(*packets));
    let total = all.len();
    (all.into_iter().take(MOST).map(|(name, _)| name.to_owned()).collect(), total)
}

fn ports(sides: &[Side; 2]) -> Table {
    let columns = vec![
        ("port", "Egress port: device and number"),
        ("packets, first", "Packets that passed in the first run"),
        ("second", "Packets that passed in the second run"),
        ("dropped, first", "Packets dropped here in the first run"),
        ("second", "Packets dropped here in the second run"),
        ("load, first", "Throughput divided by capacity, first run"),
        ("second", "The same, second run"),
        ("throughput, first", "Bytes divided by the length of the run, first run"),
        ("second", "The same, second run"),
        ("change", "(second - first) / first"),
        ("mean wait, first", "Mean waiting time in the queue, first run"),
        ("second", "The same, second run"),
        ("change", "(second - first) / first"),
        ("p99 wait, first", "99th percentile of the waiting time, first run"),
        ("second", "The same, second run"),
        ("change", "(second - first) / first"),
        ("queue, first", "Mean number of waiting packets, first run"),
        ("second", "The same, second run"),
    ];
    let (names, total) = names([&sides[0].ports, &sides[1].ports], |port| port.packets);
    let row = |name: String| {
        let [x, y] = [0, 1].map(|side: usize| sides[side].ports.get(&name));
        let of = |figure: fn(&PortFigures) -> Option<f64>| (x.and_then(figure), y.and_then(figure));
        let whole = |figure: fn(&PortFigures) -> u64| (x.map(figure), y.map(figure));
        let pair = |(first, second): (Option<f64>, Option<f64>), show: fn(f64) -> String| {
            [Cell::number(first, show), Cell::number(second, show)]
        };
        let triple = |(first, second), show| both(first, second, show);
        let mut cells = vec![Cell::text(name.clone())];
        let (packets, dropped) = (whole(|port| port.packets), whole(|port| port.dropped));
        cells.extend(counts(packets.0, packets.1));
        cells.extend(counts(dropped.0, dropped.1));
        cells.extend(pair(of(|port| port.load), parts));
        cells.extend(triple(of(|port| port.throughput_bps), bits_per_second));
        cells.extend(triple(of(|port| port.waiting_mean_s), seconds));
        cells.extend(triple(of(|port| port.waiting_p99_s), seconds));
        cells.extend(pair(of(|port| port.queue), four_digits));
        cells
    };
    Table { columns, total, rows: names.into_iter().map(row).collect() }
}

fn flow_table(sides: &[Side; 2]) -> Table {
    let mut columns = vec![
        ("flow", "Source and destination"),
        ("packets, first", "Packets injected in the first run"),
        ("second", "Packets injected in the second run"),
        ("loss, first", "Dropped / (dropped + delivered), first run"),
        ("second", "The same, second run"),
        ("mean delay, first", "Mean one-way delay, first run"),
        ("second", "The same, second run"),
        ("change", "(second - first) / first"),
        ("p99, first", "99th percentile of the one-way delay, first run"),
        ("second", "The same, second run"),
        ("change", "(second - first) / first"),
    ];
    let connects = sides.iter().any(|side| !side.summary.tcp.is_empty());
    if connects {
        columns.extend([
            ("goodput, first", "Acknowledged bits per second, first run"),
            ("second", "The same, second run"),
            ("change", "(second - first) / first"),
        ]);
    }
    let (names, total) = names([&sides[0].flows, &sides[1].flows], |flow| flow.packets);
    let row = |name: String| {
        let [x, y] = [0, 1].map(|side: usize| sides[side].flows.get(&name));
        let of = |figure: fn(&FlowFigures) -> Option<f64>| (x.and_then(figure), y.and_then(figure));
        let loss = of(|flow| flow.loss);
        let (mean, p99) = (of(|flow| flow.mean_s), of(|flow| flow.p99_s));
        let mut cells = vec![Cell::text(name.clone())];
        cells.extend(counts(x.map(|flow| flow.packets), y.map(|flow| flow.packets)));
        cells.extend([Cell::number(loss.0, parts), Cell::number(loss.1, parts)]);
        cells.extend(both(mean.0, mean.1, seconds));
        cells.extend(both(p99.0, p99.1, seconds));
        if connects {
            let goodput = of(|flow| flow.goodput_bps);
            cells.extend(both(goodput.0, goodput.1, bits_per_second));
        }
        cells
    };
    Table { columns, total, rows: names.into_iter().map(row).collect() }
}

fn overview(sides: &[Side; 2], comparison: &RunsComparison) -> Markup {
    let [first, second] = sides;
    let loss = |side: &Side| {
        let packets = &side.summary.packets;
        fraction(packets.dropped, packets.dropped + packets.delivered)
    };
    let same = first.summary.fingerprint == second.summary.fingerprint;
    html! {
        section id="overview" class="first" {
            h2 { "Overview" }
            p {
                "First run, the baseline: " code { (text(&first.path)) } ", scenario " (text(&first.summary.scenario))
                ". Second run: " code { (text(&second.path)) } ", scenario " (text(&second.summary.scenario))
                ". Changes are (second - first) / first."
            }
            dl class="tiles" {
                (tile("delivered in both", &count(comparison.matched), ""))
                (tile("packets only in the first", &count(comparison.only_first), ""))
                (tile("packets only in the second", &count(comparison.only_second), ""))
                @if let Some(delays) = &comparison.delays {
                    @let (x, y) = (delays.delay_s.measured.mean, delays.delay_s.simulated.mean);
                    (tile("mean delay, first", &seconds(x), ""))
                    (tile("mean delay, second", &seconds(y), ""))
                    @if let Some(change) = change(Some(x), Some(y)) { (tile("change", &percent(change), "key")) }
                }
                (tile("loss, first", &loss(first), ""))
                (tile("loss, second", &loss(second), ""))
            }
            @if same { p class="kept" { "Both runs have the same fingerprint: they are equal." } }
            @if comparison.matched == 0 {
                p class="warning" {
                    "No packet was delivered in both runs. A packet is recognized by its source and its number there: \
                     compare runs of the same traffic."
                }
            }
        }
    }
}

fn statistics(delays: &DelayComparison) -> Markup {
    let (first, second) = (&delays.delay_s.measured, &delays.delay_s.simulated);
    let jitter = (delays.jitter_s.measured, delays.jitter_s.simulated);
    let rows = [
        ("mean", Some(first.mean), Some(second.mean)),
        ("p50", Some(first.p50), Some(second.p50)),
        ("p90", Some(first.p90), Some(second.p90)),
        ("p99", Some(first.p99), Some(second.p99)),
        ("p99.9", Some(first.p999), Some(second.p999)),
        ("max", Some(first.max), Some(second.max)),
        ("jitter", jitter.0, jitter.1),
    ];
    let agreement = &delays.agreement;
    let figure = |value: Option<f64>| value.map_or("undefined".to_owned(), |value| format!("{value:.4}"));
    html! {
        h3 { "Delays of packets delivered in both" }
        div class="scroll" {
            table {
                (header(&["", "first", "second", "change"], 1))
                tbody {
                    @for (name, first, second) in rows {
                        @if let (Some(x), Some(y)) = (first, second) {
                            tr {
                                th scope="row" { (name) }
                                (number(&seconds(x))) (number(&seconds(y)))
                                (number(&change(first, second).map_or("undefined".to_owned(), percent)))
                            }
                        }
                    }
                }
            }
        }
        p class="note" {
            "w1_normalized " (figure(agreement.w1_normalized)) ", pearson " (figure(agreement.pearson)) ", spearman "
            (figure(agreement.spearman)) ", ks " (figure(Some(agreement.ks)))
            "; mean absolute difference per packet " (seconds(agreement.mae_s)) "."
        }
    }
}

fn origin(sides: &[Side; 2]) -> Markup {
    let row = |name: &str, of: &dyn Fn(&Side) -> String| {
        html! { tr { th scope="row" { (name) } @for side in sides { td { (text(&of(side))) } } } }
    };
    html! {
        section id="origin" {
            h2 { "Inputs" }
            div class="scroll" {
                table {
                    (header(&["", "first", "second"], 3))
                    tbody {
                        (row("directory", &|side| side.path.clone()))
                        (row("scenario", &|side| side.summary.scenario.clone()))
                        (row("changed", &|side| side.meta.overrides.join(" ")))
                        (row("version", &|side| side.meta.version.clone()))
                        (row("seed", &|side| side.summary.seed.to_string()))
                        (row("engine", &|side| side.summary.engine.clone()))
                        (row("simulated time", &|side| seconds(side.summary.simulated_s)))
                        (row("fingerprint", &|side| side.summary.fingerprint.clone()))
                    }
                }
            }
        }
    }
}
