//! `report.html` of a sweep: metrics over parameters with confidence bands, heat maps, and tables.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::{Value, json};

use super::file::Sweep;
use super::results::{Difference, PointMean, SweepResults};
use super::vary::Parameter;
use crate::report::{Cell, Page, Table, count, four_digits, rows, text, tile};

/// Metrics that are drawn; the tables hold all.
const DRAWN: usize = 24;

/// Lines of a chart.
const LINES: usize = 8;

/// Rows of a table in the page.
const ROWS: usize = 2_000;

/// Metrics that are drawn first where a sweep names none.
const FIRST: [&str; 6] =
    ["delay_s.mean", "delay_s.p50", "delay_s.p99", "loss_ratio", "offered_bps", "carried_bps"];

/// The page of a sweep with the jobs that are done; `jobs` are all jobs, `failed` those that failed.
pub fn sweep_page(sweep: &Sweep, results: &SweepResults<'_>, jobs: usize, failed: usize) -> String {
    let means = results.means();
    let metrics = drawn(sweep, results);
    let axis = x_axis(sweep);
    let points: Vec<Value> = match axis {
        Some(axis) => metrics.iter().map(|metric| chart_points(sweep, &means, metric, axis)).collect(),
        None => Vec::new(),
    };
    let content = html! {
        section id="overview" class="first" {
            h2 { "Overview" }
            dl class="tiles" {
                (tile("jobs done", &format!("{} of {}", count(results.len() as u64), count(jobs as u64)), "key"))
                (tile("combinations", &count(sweep.points.len() as u64), ""))
                (tile("replications", &count(sweep.seeds.len() as u64), ""))
                @if failed > 0 { (tile("failed", &count(failed as u64), "")) }
            }
            p class="note" { "Points are means over the replications; bands are 95 % confidence intervals (Student's t)." }
        }
        @if let Some(axis) = axis {
            section id="metrics" {
                h2 { "Metrics over " (text(&axis_name(sweep, axis))) }
                div class="charts" {
                    @for (number, metric) in metrics.iter().enumerate() { (metric_figure(number, metric)) }
                }
                @if results.metrics().len() > metrics.len() {
                    p class="note" {
                        (metrics.len()) " of " (results.metrics().len()) " metrics are drawn; `metrics` in the sweep file chooses them."
                    }
                }
            }
        }
        @if let Some(maps) = heat_maps(sweep, &means, &metrics) {
            section id="maps" { h2 { "Heat maps" } (maps) }
        }
        section id="means" { h2 { "Means" } (rows("Means", &means_table(sweep, &means))) }
        @let differences = results.differences();
        @if !differences.is_empty() {
            section id="differences" {
                h2 { "Differences" }
                p class="note" {
                    "A metric minus that at the parameter's first value, paired by replication, since both have the same seed."
                }
                (rows("Differences", &differences_table(sweep, &differences)))
            }
        }
    };
    let mut sections = vec![("overview".to_owned(), "Overview")];
    if axis.is_some() {
        sections.push(("metrics".to_owned(), "Metrics"));
    }
    sections.push(("means".to_owned(), "Means"));
    let page = Page {
        name: &sweep.name,
        from: &format!("taunet {} - sweep of {}", env!("CARGO_PKG_VERSION"), sweep.scenario.display()),
        sections: &sections,
        content,
        points: &json!({ "metrics": points }),
    };
    page.into_html()
}

/// A chart of a metric.
pub(crate) fn metric_figure(number: usize, metric: &str) -> Markup {
    html! {
        figure class="chart" data-of={ "metrics." (number) } data-kind="sweep" {
            figcaption { strong { (text(metric)) } }
            div class="plot" tabindex="0" role="group" aria-label={ "Chart: " (text(metric)) "." } {}
        }
    }
}

/// The metrics that are drawn.
fn drawn(sweep: &Sweep, results: &SweepResults<'_>) -> Vec<String> {
    let all = results.metrics();
    let mut chosen: Vec<String> = match sweep.metrics.is_empty() {
        false => all.to_vec(),
        true => {
            let first = FIRST.iter().map(|name| (*name).to_owned()).filter(|name| all.contains(name));
            let of_flows =
                all.iter().filter(|name| name.starts_with("tcp.") || name.starts_with("measured.")).cloned();
            first.chain(of_flows).collect()
        }
    };
    chosen.truncate(DRAWN);
    chosen
}

/// The parameters of the axis that is drawn along x: the one with most values, numbers before texts.
fn x_axis(sweep: &Sweep) -> Option<usize> {
    let values = |axis: usize| &sweep.parameters[sweep.axes[axis].start].values;
    let several = (0..sweep.axes.len()).filter(|axis| values(*axis).len() > 1);
    several.rev().max_by_key(|axis| (are_numbers(values(*axis)), values(*axis).len()))
}

fn are_numbers(values: &[String]) -> bool {
    values.iter().all(|value| value.parse::<f64>().is_ok())
}

/// The first parameter of an axis, which stands for those that change with it.
fn parameter(sweep: &Sweep, axis: usize) -> &Parameter {
    &sweep.parameters[sweep.axes[axis].start]
}

fn axis_name(sweep: &Sweep, axis: usize) -> String {
    parameter(sweep, axis).key.clone()
}

/// The values of all axes but some, for people: `dctcp, 1000 B`.
fn label(sweep: &Sweep, point: usize, without: &[usize]) -> String {
    let others = (0..sweep.axes.len()).filter(|axis| !without.contains(axis));
    let several = others.filter(|axis| parameter(sweep, *axis).values.len() > 1);
    let value = |axis: usize| Parameter::label(sweep.value(point, sweep.axes[axis].start));
    let text = several.map(value).collect::<Vec<_>>().join(", ");
    if text.is_empty() { "mean".to_owned() } else { text }
}

/// A line for each combination of the other axes, with a mean and an interval for each value along x.
fn chart_points(sweep: &Sweep, means: &[PointMean], metric: &str, axis: usize) -> Value {
    let place = sweep.axes[axis].start;
    let values = &sweep.parameters[place].values;
    let is_number = are_numbers(values);
    let x: Vec<f64> = match is_number {
        true => values.iter().filter_map(|value| value.parse().ok()).collect(),
        false => (0..values.len()).map(|number| number as f64).collect(),
    };
    let mut lines: Vec<(String, Vec<Option<[f64; 3]>>)> = Vec::new();
    for of in means.iter().filter(|of| of.metric == metric) {
        let name = label(sweep, of.point, &[axis]);
        let line = match lines.iter().position(|(known, _)| *known == name) {
            Some(line) => line,
            None => {
                lines.push((name, vec![None; values.len()]));
                lines.len() - 1
            }
        };
        let half = of.mean.half_width.unwrap_or(0.0);
        let mean = of.mean.mean;
        lines[line].1[sweep.points[of.point][place]] = Some([mean, mean - half, mean + half]);
    }
    let all = lines.len();
    lines.truncate(LINES);
    // Values along x may stand in any order in the file.
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|a, b| x[*a].total_cmp(&x[*b]));
    let part = |line: &[Option<[f64; 3]>], part: usize| -> Vec<Option<f64>> {
        order.iter().map(|place| line[*place].map(|values| values[part])).collect()
    };
    let line = |(name, values): &(String, Vec<Option<[f64; 3]>>)| json!({ "name": name, "mean": part(values, 0), "low": part(values, 1), "high": part(values, 2) });
    let names: Vec<String> = values.iter().map(|value| Parameter::label(value)).collect();
    json!({
        "x": order.iter().map(|place| x[*place]).collect::<Vec<_>>(),
        "names": if is_number { Value::Null } else { json!(names) },
        "parameter": parameter(sweep, axis).key,
        "metric": metric,
        "lines": lines.iter().map(line).collect::<Vec<_>>(),
        "more": all.saturating_sub(LINES),
    })
}

/// A table with colours for each of the first metrics, of a sweep over two parameters with three values or more.
fn heat_maps(sweep: &Sweep, means: &[PointMean], metrics: &[String]) -> Option<Markup> {
    let several: Vec<usize> =
        (0..sweep.axes.len()).filter(|axis| parameter(sweep, *axis).values.len() > 2).collect();
    let [down, across] = several[..] else { return None };
    let (rows_of, columns_of) = (parameter(sweep, down), parameter(sweep, across));
    let all_others_one = (0..sweep.axes.len())
        .all(|axis| axis == down || axis == across || parameter(sweep, axis).values.len() == 1);
    all_others_one.then_some(())?;
    let map = |metric: &String| {
        let mut cells: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        for of in means.iter().filter(|of| of.metric == *metric) {
            let values = &sweep.points[of.point];
            cells.insert((values[sweep.axes[down].start], values[sweep.axes[across].start]), of.mean.mean);
        }
        let low = cells.values().copied().fold(f64::INFINITY, f64::min);
        let high = cells.values().copied().fold(f64::NEG_INFINITY, f64::max);
        let share = |value: f64| if high > low { 70.0 * (value - low) / (high - low) } else { 0.0 };
        html! {
            h3 { (text(metric)) }
            div class="scroll" {
                table class="heat" {
                    thead {
                        tr {
                            th scope="col" { (text(&rows_of.key)) " \\ " (text(&columns_of.key)) }
                            @for value in &columns_of.values { th scope="col" class="number" { (text(&Parameter::label(value))) } }
                        }
                    }
                    tbody {
                        @for (row, value) in rows_of.values.iter().enumerate() {
                            tr {
                                th scope="row" { (text(&Parameter::label(value))) }
                                @for column in 0..columns_of.values.len() {
                                    @match cells.get(&(row, column)) {
                                        Some(value) => {
                                            td class="number" style={
                                                "background:color-mix(in srgb, var(--accent) " (format!("{:.0}", share(*value))) "%, transparent)"
                                            } { (figure_of(*value)) }
                                        }
                                        None => { td {} }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    Some(html! { @for metric in metrics.iter().take(6) { (map(metric)) } })
}

/// A number of any size in four digits.
pub(crate) fn figure_of(value: f64) -> String {
    match value.abs() {
        size if size != 0.0 && !(1e-3..1e6).contains(&size) => format!("{value:.3e}"),
        _ => four_digits(value),
    }
}

fn means_table(sweep: &Sweep, means: &[PointMean]) -> Table {
    let number = |value: f64| Cell::number(Some(value), figure_of);
    let optional = |value: Option<f64>| Cell::number(value, figure_of);
    let row = |of: &PointMean| {
        let mut cells = vec![Cell::text(values(sweep, of.point)), Cell::text(of.metric.as_str())];
        cells.extend([
            number(of.mean.mean),
            optional(of.mean.half_width),
            optional(of.mean.standard_deviation),
        ]);
        cells.extend([
            number(of.min),
            number(of.max),
            Cell::number(Some(of.mean.count as f64), |n| format!("{n:.0}")),
        ]);
        cells
    };
    let columns = vec![
        ("values", "The combination of values"),
        ("metric", "As the summary of a run names it"),
        ("mean", "Over the replications"),
        ("+/- 95 %", "Half the width of the confidence interval of the mean"),
        ("deviation", "Sample standard deviation"),
        ("min", "Smallest value"),
        ("max", "Largest value"),
        ("replications", "Values of this metric"),
    ];
    Table { columns, rows: means.iter().take(ROWS).map(row).collect(), total: means.len() }
}

fn differences_table(sweep: &Sweep, differences: &[Difference]) -> Table {
    let row = |of: &Difference| {
        vec![
            Cell::text(of.parameter.as_str()),
            Cell::text(values(sweep, of.point)),
            Cell::text(of.metric.as_str()),
            Cell::number(Some(of.mean.mean), figure_of),
            Cell::number(of.mean.half_width, figure_of),
            Cell::number(of.relative, |share| format!("{:+.2} %", 100.0 * share)),
        ]
    };
    let columns = vec![
        ("parameter", "Differs from its first value; all else is equal"),
        ("values", "The combination of values"),
        ("metric", "As the summary of a run names it"),
        ("difference", "Mean over the replications"),
        ("+/- 95 %", "Half the width of the confidence interval of the mean difference"),
        ("relative", "To the mean at the first value"),
    ];
    Table { columns, rows: differences.iter().take(ROWS).map(row).collect(), total: differences.len() }
}

/// The values of a point in one cell, without the parameters that have a single one.
fn values(sweep: &Sweep, point: usize) -> String {
    let several = (0..sweep.parameters.len()).filter(|place| sweep.parameters[*place].values.len() > 1);
    several.map(|place| Parameter::label(sweep.value(point, place))).collect::<Vec<_>>().join(", ")
}
