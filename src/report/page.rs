//! What every page has: its frame, with style and scripts embedded, charts, and tables.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::rows::{Cell, Table};
use super::text::{escaped, json_in_script};

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");
/// uPlot as published on npm, unchanged.
const UPLOT: &str = include_str!("uplot/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("uplot/uPlot.min.css");
const UPLOT_LICENCE: &str = include_str!("uplot/LICENSE");

const UPLOT_VERSION: &str = "1.6.32";

/// What a browser may load: nothing but what the page has in it.
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
    /// Stands below the title.
    pub from: &'a str,
    /// The links to the sections: id and title of each; none for no bar of links.
    pub sections: &'a [(String, &'a str)],
    /// The sections.
    pub content: Markup,
    /// What the script draws.
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
                    script { (PreEscaped(SCRIPT)) }
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

/// Charts of the points that are called `of`.
pub(crate) fn charts(of: &str, charts: &[Chart]) -> Markup {
    html! {
        div class="charts" {
            @for Chart { kind, title, note, wide } in charts {
                figure class=(if *wide { "chart wide" } else { "chart" }) data-of=(of) data-kind=(kind) {
                    figcaption { strong { (title) } " " span { (note) } }
                    div class="plot" tabindex="0" role="group" aria-label={ "Chart: " (title) ". " (note) } {}
                }
            }
        }
    }
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
