//! The frame of every page, with style and scripts embedded; charts and tables.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::rows::{Cell, Table};
use super::text::{escaped, json_in_script};

const STYLE: &str = include_str!("report.css");
/// The page's own scripts, in one scope: a file uses those before it.
const SCRIPTS: [&str; 7] = [
    include_str!("script/units.js"),
    include_str!("script/series.js"),
    include_str!("script/kinds.js"),
    include_str!("script/choice.js"),
    include_str!("script/save.js"),
    include_str!("script/chart.js"),
    include_str!("script/page.js"),
];
/// uPlot as published on npm, unchanged.
const UPLOT: &str = include_str!("uplot/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("uplot/uPlot.min.css");
const UPLOT_LICENCE: &str = include_str!("uplot/LICENSE");

const UPLOT_VERSION: &str = "1.6.32";

/// A browser may load nothing that is not in the page.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// A text that comes from outside; see [`escaped`].
pub(crate) fn text(text: &str) -> Markup {
    PreEscaped(escaped(text))
}

/// A page.
pub(crate) struct Page<'a> {
    /// Its title.
    pub name: &'a str,
    /// The line below the title.
    pub from: &'a str,
    /// The links to the sections: id and title of each; none for no bar of links.
    pub sections: &'a [(String, &'a str)],
    /// The sections.
    pub content: Markup,
    /// The points of the charts, as the script reads them.
    pub points: &'a Value,
}

impl Page<'_> {
    /// The page as HTML.
    pub fn into_html(self) -> String {
        let Page { name, from, sections, content, points } = self;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                (head(name))
                body {
                    a class="skip" href="#main" { "Skip to the content" }
                    header {
                        div { h1 { (text(name)) } p { (text(from)) } }
                        button type="button" id="theme" hidden { "Dark" }
                    }
                    @if !sections.is_empty() {
                        nav aria-label="Sections" {
                            @for (id, title) in sections { a href={ "#" (id) } { (text(title)) } }
                        }
                    }
                    main id="main" {
                        noscript { p class="warning" { "Charts need JavaScript; tables do not." } }
                        (content)
                    }
                    footer {
                        details {
                            summary { "Charts are drawn by uPlot " (UPLOT_VERSION) " (MIT)" }
                            pre { (text(UPLOT_LICENCE)) }
                        }
                    }
                    script type="application/json" id="points" { (PreEscaped(json_in_script(points))) }
                    script { (PreEscaped(UPLOT)) }
                    script {
                        (PreEscaped("\"use strict\";\n(() => {\n"))
                        @for script in SCRIPTS { (PreEscaped(script)) }
                        (PreEscaped("})();\n"))
                    }
                }
            }
        };
        page.into_string()
    }
}

fn head(name: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta http-equiv="Content-Security-Policy" content=(POLICY);
            link rel="icon" href="data:,";
            title { (text(name)) " - taunet report" }
            style { (PreEscaped(UPLOT_STYLE)) "\n" (PreEscaped(STYLE)) }
        }
    }
}

/// A chart of the page: its kind for the script, its title, and how to read it.
pub(crate) struct Chart {
    pub kind: &'static str,
    pub title: &'static str,
    pub note: &'static str,
    pub wide: bool,
}

/// Charts of the points that are called `of`, two in a row; a chart without a neighbour is wide.
pub(crate) fn charts(of: &str, charts: &[Chart]) -> Markup {
    html! {
        div class="charts" {
            @for (Chart { kind, title, note, .. }, wide) in charts.iter().zip(widths(charts)) {
                figure class=(if wide { "chart wide" } else { "chart" }) data-of=(of) data-kind=(kind) {
                    figcaption { strong { (title) } " " span { (note) } }
                    div class="plot" tabindex="0" role="group" aria-label={ "Chart: " (title) ". " (note) } {}
                }
            }
        }
    }
}

/// Whether each chart takes a row of its own.
fn widths(charts: &[Chart]) -> Vec<bool> {
    let mut wide = Vec::new();
    let mut is_second = false;
    for (place, chart) in charts.iter().enumerate() {
        let has_neighbour = charts.get(place + 1).is_some_and(|next| !next.wide);
        wide.push(chart.wide || (!is_second && !has_neighbour));
        is_second = !wide[place] && !is_second;
    }
    wide
}

/// A figure that stands out; `class` is `"key"` for the most important one.
pub(crate) fn tile(name: &str, value: &str, class: &str) -> Markup {
    html! { div class=(class) { dt { (text(name)) } dd { (value) } } }
}

/// Warnings, one below the other.
pub(crate) fn warnings(warnings: &[String]) -> Markup {
    html! { @for warning in warnings { p class="warning" { (text(warning)) } } }
}

/// The names of a table's columns; all but the first `words` hold numbers.
pub(crate) fn header(names: &[&str], words: usize) -> Markup {
    html! {
        thead {
            tr {
                @for (column, name) in names.iter().enumerate() {
                    th scope="col" class=[(column >= words).then_some("number")] { (name) }
                }
            }
        }
    }
}

/// A cell with a number.
pub(crate) fn number(value: &str) -> Markup {
    html! { td class="number" { (text(value)) } }
}

/// A table that the script makes sortable and filters.
pub(crate) fn rows(title: &str, table: &Table) -> Markup {
    let is_number = |column: usize| table.rows.iter().any(|row| row[column].key.is_some());
    let numbers: Vec<bool> = (0..table.columns.len()).map(is_number).collect();
    html! {
        div class="rows" {
            div class="tools" hidden {
                label { "Filter " input type="search" placeholder="words"; }
                span class="shown" role="status" {}
                button type="button" class="all" hidden { "Show all" }
            }
            div class="scroll" tabindex="0" role="region" aria-label=(title) {
                table {
                    thead {
                        tr {
                            @for ((name, meaning), number) in table.columns.iter().zip(&numbers) {
                                th scope="col" class=[number.then_some("number")] title=(meaning) { (name) }
                            }
                        }
                    }
                    tbody { @for row in &table.rows { (cells(row, &numbers)) } }
                }
            }
        }
    }
}

fn cells(row: &[Cell], numbers: &[bool]) -> Markup {
    html! {
        tr {
            @for (cell, number) in row.iter().zip(numbers) {
                td class=[(*number || cell.key.is_some()).then_some("number")] data-key=[cell.key] {
                    (text(&cell.text))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_without_a_neighbour_is_wide() {
        let widths = |asked: &[bool]| {
            let charts: Vec<Chart> =
                asked.iter().map(|wide| Chart { kind: "", title: "", note: "", wide: *wide }).collect();
            widths(&charts)
        };
        let [w, n] = [true, false];
        assert_eq!(widths(&[n, n, w, n, n, n]), [n, n, w, n, n, w]);
        assert_eq!(widths(&[n, w, n]), [w, w, w]);
        assert_eq!(widths(&[]), [] as [bool; 0]);
    }

    #[test]
    fn embedded_files_are_those_that_the_page_names() {
        assert!(UPLOT.starts_with(&format!("/*! https://github.com/leeoniya/uPlot (v{UPLOT_VERSION}) */")));
        assert!(UPLOT_LICENCE.starts_with("The MIT License (MIT)"), "{UPLOT_LICENCE}");
        // Nothing that is embedded ends its element, and nothing is fetched.
        let mut scripts = SCRIPTS.iter().chain(std::iter::once(&UPLOT));
        assert!(scripts.all(|script| !script.contains("</script")));
        assert!(
            [STYLE, UPLOT_STYLE].iter().all(|style| !style.contains("</style") && !style.contains("url("))
        );
    }
}
