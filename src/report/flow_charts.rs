//! How long flows took: completion times, slowdowns by size, and marks over time.

use std::path::Path;

use maud::{Markup, html};
use serde_json::{Value, json};

use super::distribution::{Collected, Distribution};
use super::model::Connections;
use super::page::{Chart, charts, rows};
use super::rows::{Cell, Row, Table};
use super::series::{Bars, Counts};
use super::text::{bytes, count, four_digits};
use super::{Report, ReportError, drawn, instant};
use crate::packet::CE;
use crate::table::{Kind, read_columns};

/// Groups of flows that have a point of their own, each of as many flows.
const GROUPS: usize = 24;
/// Flows of a group, at least: with fewer, all percentiles above the 94th are its largest slowdown.
const OF_GROUP: usize = 20;

const COMPLETIONS: Chart = Chart {
    kind: "completions",
    title: "Completion times",
    note: "Fraction of finished flows that take no longer than the time below.",
    wide: false,
};
const COMPLETIONS_CCDF: Chart = Chart {
    kind: "completions_ccdf",
    title: "Completion times, CCDF",
    note: "Fraction of finished flows that take longer, on logarithmic axes.",
    wide: false,
};
const SLOWDOWNS: Chart = Chart {
    kind: "slowdowns",
    title: "Slowdown by size",
    note: "Completion time divided by the ideal one: percentiles of groups of flows of similar size, at least 20 flows each.",
    wide: false,
};
const MARKS: Chart = Chart {
    kind: "marks",
    title: "Marks over time",
    note: "Packets that end with a mark (congestion experienced), per window of time.",
    wide: false,
};

/// The charts of flow completion.
#[derive(Default)]
pub(super) struct FlowCharts {
    completions: Distribution,
    /// By group: the mean size in bytes, and three percentiles.
    slowdowns: [Vec<f64>; 4],
    marks: Bars,
}

/// Reads what a run of `end_s` seconds has of its flows; `marked` packets were marked in it.
pub(super) fn read_flow_charts(run: &Path, end_s: f64, marked: u64) -> Result<FlowCharts, ReportError> {
    let (completions, slowdowns) = read_flows(run)?;
    let marks = if marked > 0 { read_marks(run, end_s)? } else { Bars::default() };
    Ok(FlowCharts { completions, slowdowns, marks })
}

fn read_flows(run: &Path) -> Result<(Distribution, [Vec<f64>; 4]), ReportError> {
    let wanted = [
        ("bytes_acknowledged", Kind::Integers),
        ("completion_ps", Kind::Integers),
        ("slowdown", Kind::Numbers),
    ];
    let mut completions = Collected::default();
    let mut found: Vec<(u64, f64)> = Vec::new();
    read_columns(&run.join("flows"), &wanted, |batch| {
        for row in 0..batch[0].integers().len() {
            let slowdown = batch[2].numbers().get(row).copied().flatten();
            let row = Row { columns: batch, row };
            if let Some(completion) = row.integer(1) {
                completions.push(drawn(completion));
            }
            if let (Some(bytes), Some(slowdown)) = (row.integer(0), slowdown) {
                found.push((instant(bytes), slowdown));
            }
        }
    })?;
    Ok((Distribution::of_one(completions), grouped(found)))
}

/// Sizes and the p50, p95 and p99 of the slowdowns, by groups of flows of about equal size.
fn grouped(mut found: Vec<(u64, f64)>) -> [Vec<f64>; 4] {
    found.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut columns: [Vec<f64>; 4] = Default::default();
    let groups = (found.len() / OF_GROUP).clamp(1, GROUPS);
    for number in 0..groups {
        let group = &found[number * found.len() / groups..(number + 1) * found.len() / groups];
        if group.is_empty() {
            break;
        }
        let size = group.iter().map(|(bytes, _)| *bytes as f64).sum::<f64>() / group.len() as f64;
        // A point per size: the axis is one of numbers that rise.
        if columns[0].last().is_some_and(|last| size <= *last) {
            continue;
        }
        let mut slowdowns: Vec<f64> = group.iter().map(|(_, slowdown)| *slowdown).collect();
        slowdowns.sort_by(f64::total_cmp);
        let at = |level: f64| slowdowns[((level * slowdowns.len() as f64).ceil() as usize).max(1) - 1];
        for (column, value) in columns.iter_mut().zip([size, at(0.5), at(0.95), at(0.99)]) {
            column.push(value);
        }
    }
    columns
}

fn read_marks(run: &Path, end_s: f64) -> Result<Bars, ReportError> {
    let wanted = [("ended_ps", Kind::Integers), ("ecn", Kind::Integers)];
    let mut marks = Counts::new(end_s, 1);
    let found = read_columns(&run.join("packets"), &wanted, |batch| {
        for row in 0..batch[0].integers().len() {
            let row = Row { columns: batch, row };
            if let (Some(at), true) = (row.integer(0), row.integer(1) == Some(CE.into())) {
                marks.count(instant(at), 0, 1);
            }
        }
    })?;
    Ok(if found { marks.into_bars() } else { Bars::default() })
}

impl FlowCharts {
    /// As the page's script reads it.
    pub fn to_json(&self) -> Value {
        json!({
            "distribution": self.completions.to_json(),
            "slowdowns": self.slowdowns,
            "marks": self.marks.to_json(),
        })
    }

    /// The charts and tables of the page.
    pub fn markup(&self, report: &Report) -> Markup {
        let shown = [
            (COMPLETIONS, self.completions.packets > 0),
            (COMPLETIONS_CCDF, self.completions.varies()),
            (SLOWDOWNS, self.slowdowns[0].len() > 1),
            (MARKS, !self.marks.is_empty()),
        ];
        let shown: Vec<Chart> =
            shown.into_iter().filter(|(_, is_there)| *is_there).map(|(it, _)| it).collect();
        let sized: Vec<&Connections> =
            report.summary.tcp.iter().filter(|entry| entry.slowdown.is_some()).collect();
        html! {
            @if report.summary.marked > 0 && self.marks.is_empty() {
                p class="note" {
                    "Marks over time are not recorded. They come from the table " code { "packets" } ": write "
                    code { "[record]" } " " code { "packets = true" } " into the scenario."
                }
            }
            (charts("flows", &shown))
            @if !sized.is_empty() {
                h3 { "Slowdown by size" }
                p class="note" {
                    "Completion time divided by the ideal one. The ideal flow sends the handshake, all data as one \
                     train of segments, and the last acknowledgement over the links of its path, store and forward, \
                     without queues and without a window."
                }
                (rows("Slowdown by size", &by_size(&sized)))
            }
        }
    }
}

/// The slowdowns of each entry, by size.
fn by_size(entries: &[&Connections]) -> Table {
    let columns = vec![
        ("traffic", "The entry of the scenario"),
        ("size", "Bytes of a flow"),
        ("flows", "Flows that finished"),
        ("p50", "Median of their slowdowns"),
        ("p95", "95th percentile"),
        ("p99", "99th percentile"),
    ];
    let mut found = Vec::new();
    for entry in entries {
        let all = entry.slowdown.iter().map(|all| ("all".to_owned(), all));
        let bins = entry.slowdown_by_size.iter().map(|bin| {
            let size = match bin.up_to_bytes {
                Some(most) => format!("up to {}", bytes(most)),
                None => format!("above {}", bytes(bin.above_bytes)),
            };
            (size, &bin.slowdowns)
        });
        found.extend(bins.chain(all).map(|(size, slowdowns)| {
            let number = |value: f64| Cell::number(Some(value), four_digits);
            vec![
                Cell::text(&entry.entry),
                Cell::text(size),
                Cell { text: count(slowdowns.flows), key: Some(slowdowns.flows as f64) },
                number(slowdowns.p50),
                number(slowdowns.p95),
                number(slowdowns.p99),
            ]
        }));
    }
    Table { columns, total: found.len(), rows: found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slowdowns_are_grouped_by_size() {
        let found: Vec<(u64, f64)> = (1..=2_400u64).rev().map(|size| (size, 1.0 + size as f64)).collect();
        let [sizes, p50, p95, p99] = grouped(found);
        assert_eq!((sizes.len(), sizes[0], sizes[23]), (24, 50.5, 2_350.5));
        assert_eq!((p50[0], p95[0], p99[0]), (51.0, 96.0, 100.0));
        // p95 and p99 differ: there are 20 flows in each group.
        let few = grouped((1..=59u64).map(|size| (size, size as f64)).collect());
        assert_eq!((few[0].len(), &few[2][..], &few[3][..]), (2, &[28.0, 58.0][..], &[29.0, 59.0][..]));
        assert_eq!(grouped(Vec::new())[0], [] as [f64; 0]);
        // All of one size are one point.
        assert_eq!(grouped(vec![(10, 2.0); 100])[0], [10.0]);
    }
}
