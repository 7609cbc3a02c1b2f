//! `report.html` of a search: the metric over the points that were run, and over the parameter where there is one alone.

use maud::html;
use serde_json::{Value, json};

use super::file::{Objective, Tune};
use super::results::TuneResults;
use super::search::PointResult;
use crate::report::{Cell, Page, Table, count, rows, tile};
use crate::sweep::{Parameter, figure_of, metric_figure};

/// Rows of the table in the page.
const ROWS: usize = 2_000;

/// The page of a search.
pub fn tune_page(tune: &Tune, points: &[PointResult]) -> String {
    let results = TuneResults::new(tune, points);
    let charts: Vec<Value> =
        [Some(over_points(tune, points)), over_parameter(tune, points)].into_iter().flatten().collect();
    let wanted = match tune.objective {
        Objective::Smallest => "smallest".to_owned(),
        Objective::Largest => "largest".to_owned(),
        Objective::Nearest(target) => format!("{target}"),
    };
    let content = html! {
        section id="overview" class="first" {
            h2 { "Overview" }
            dl class="tiles" {
                @if let Some((best, metric)) = results.best() {
                    @for (bound, value) in tune.bounds.iter().zip(&best.point) {
                        (tile(&bound.key, &Parameter::label(value), "key"))
                    }
                    (tile(&tune.metric, &figure_of(metric.mean), ""))
                }
                (tile("wanted", &wanted, ""))
                (tile("points", &count(points.len() as u64), ""))
                (tile("runs of each", &count(tune.replications() as u64), ""))
            }
            p class="note" { "Bands are 95 % confidence intervals of the metric over the runs of a point (Student's t)." }
        }
        section id="search" {
            h2 { "Search" }
            div class="charts" {
                @for (number, chart) in charts.iter().enumerate() {
                    (metric_figure(number, &format!("{} over {}", tune.metric, chart["parameter"].as_str().unwrap_or_default())))
                }
            }
        }
        section id="evaluations" { h2 { "Points" } (rows("Points", &table(tune, points))) }
    };
    let sections = [
        ("overview".to_owned(), "Overview"),
        ("search".to_owned(), "Search"),
        ("evaluations".to_owned(), "Points"),
    ];
    let page = Page {
        name: tune.name(),
        from: &format!("taunet {} - search over {}", env!("CARGO_PKG_VERSION"), tune.scenario().display()),
        sections: &sections,
        content,
        points: &json!({ "metrics": charts }),
    };
    page.into_html()
}

/// A line of a chart, with its interval.
fn line(name: &str, values: &[Option<(f64, f64)>]) -> Value {
    let part = |sign: f64| -> Vec<Option<f64>> {
        values.iter().map(|value| value.map(|(mean, half)| mean + sign * half)).collect()
    };
    json!({ "name": name, "mean": part(0.0), "low": part(-1.0), "high": part(1.0) })
}

fn metric_of(result: &PointResult) -> Option<(f64, f64)> {
    result.metric.map(|metric| (metric.mean, metric.half_width.unwrap_or(0.0)))
}

/// The metric of each point in the order of the search, and the best so far.
fn over_points(tune: &Tune, points: &[PointResult]) -> Value {
    let values: Vec<Option<(f64, f64)>> = points.iter().map(metric_of).collect();
    let mut best: Option<f64> = None;
    let so_far: Vec<Option<(f64, f64)>> = values
        .iter()
        .map(|value| {
            let known = best.into_iter().chain(value.map(|(mean, _)| mean));
            best = known.min_by(|a, b| tune.objective.cost(*a).total_cmp(&tune.objective.cost(*b)));
            best.map(|best| (best, 0.0))
        })
        .collect();
    json!({
        "x": (0..points.len()).collect::<Vec<_>>(),
        "names": Value::Null,
        "parameter": "evaluation",
        "metric": tune.metric,
        "lines": [line("point", &values), line("best so far", &so_far)],
        "more": 0,
    })
}

/// The metric over the values of the parameter, if there is one alone.
fn over_parameter(tune: &Tune, points: &[PointResult]) -> Option<Value> {
    let [bound] = &tune.bounds[..] else { return None };
    let number = |result: &PointResult| {
        let label = Parameter::label(&result.point[0]);
        label.split(' ').next().and_then(|number| number.parse::<f64>().ok())
    };
    let mut sorted: Vec<(f64, &PointResult)> =
        points.iter().filter_map(|result| Some((number(result)?, result))).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    sorted.dedup_by(|a, b| a.0 == b.0);
    let values: Vec<Option<(f64, f64)>> = sorted.iter().map(|(_, result)| metric_of(result)).collect();
    let unit = bound.unit.as_ref().map_or(String::new(), |unit| format!(" [{unit}]"));
    Some(json!({
        "x": sorted.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        "names": Value::Null,
        "parameter": format!("{}{unit}", bound.key),
        "metric": tune.metric,
        "lines": [line("point", &values)],
        "more": 0,
    }))
}

fn table(tune: &Tune, points: &[PointResult]) -> Table {
    let row = |(number, result): (usize, &PointResult)| {
        let values: Vec<String> = result.point.iter().map(|value| Parameter::label(value)).collect();
        vec![
            Cell::number(Some(number as f64), |number| format!("{number:.0}")),
            Cell::number(Some(result.start as f64), |start| format!("{start:.0}")),
            Cell::text(values.join(", ")),
            Cell::number(result.metric.map(|metric| metric.mean), figure_of),
            Cell::number(result.metric.and_then(|metric| metric.half_width), figure_of),
            Cell::number(result.metric.map(|metric| tune.objective.cost(metric.mean)), figure_of),
        ]
    };
    let columns = vec![
        ("evaluation", "In the order of the search"),
        ("start", "The search that asked for it"),
        ("values", "Of the parameters, in the order of the file"),
        ("metric", "Its mean over the runs of the point"),
        ("+/- 95 %", "Half the width of the confidence interval of the mean"),
        ("cost", "Distance to the target, or the metric: the smaller, the better"),
    ];
    Table { columns, rows: points.iter().enumerate().take(ROWS).map(row).collect(), total: points.len() }
}
