//! Queue lengths of recorded ports over time.

use std::collections::BTreeMap;
use std::path::Path;

use maud::{Markup, html};
use serde_json::{Value, json};

use super::groups::{MOST_GROUPS, Names};
use super::page::{Chart, charts};
use super::rows::Row;
use super::series::{Series, Steps};
use super::{ReportError, instant};
use crate::table::{Kind, read_columns};
use crate::units::PS_PER_S;

const PACKETS: Chart = Chart {
    kind: "queues",
    title: "Queue length over time",
    note: "Packets waiting at each port; the packet in transmission does not count. Where samples are closer than pixels, from the minimum to the maximum.",
    wide: true,
};
const BYTES: Chart = Chart {
    kind: "queue_bytes",
    title: "Queue length in bytes over time",
    note: "The same samples in bytes.",
    wide: true,
};

/// The queues of the ports with the longest queues, at most [`MOST_GROUPS`].
#[derive(Default)]
pub(super) struct QueueCharts {
    ports: Names,
    packets: Series,
    bytes: Series,
    /// Recorded ports whose queue was never longer than 0.
    empty: usize,
}

/// Reads the table of queues of a run of `end_s` seconds; `None` where the run recorded none.
pub(super) fn read_queues(run: &Path, end_s: f64) -> Result<Option<QueueCharts>, ReportError> {
    let wanted = [
        ("time_ps", Kind::Integers),
        ("device", Kind::Texts),
        ("port", Kind::Integers),
        ("packets", Kind::Integers),
        ("bytes", Kind::Integers),
    ];
    let name = |row: &Row<'_>| Some(format!("{}:{}", row.columns[1].text(row.row)?, row.integer(2)?));
    let mut longest: BTreeMap<String, i128> = BTreeMap::new();
    let queues = run.join("queues");
    let found = read_columns(&queues, &wanted, |batch| {
        for row in 0..batch[0].integers().len() {
            let row = Row { columns: batch, row };
            if let (Some(name), Some(packets)) = (name(&row), row.integer(3)) {
                let most = longest.entry(name).or_default();
                *most = packets.max(*most);
            }
        }
    })?;
    if !found {
        return Ok(None);
    }
    let recorded = longest.len();
    let mut ports: Vec<(String, i128)> = longest.into_iter().filter(|(_, most)| *most > 0).collect();
    ports.sort_by_key(|(_, most)| std::cmp::Reverse(*most));
    let total = ports.len();
    ports.truncate(MOST_GROUPS);
    let names: Vec<String> = ports.into_iter().map(|(name, _)| name).collect();
    let end = (end_s * PS_PER_S as f64) as u64;
    let (mut packets, mut bytes) = (Steps::new(end, names.len()), Steps::new(end, names.len()));
    read_columns(&queues, &wanted, |batch| {
        for row in 0..batch[0].integers().len() {
            let row = Row { columns: batch, row };
            let line = name(&row).and_then(|name| names.iter().position(|port| *port == name));
            if let (Some(line), Some(at)) = (line, row.integer(0)) {
                for (steps, column) in [(&mut packets, 3), (&mut bytes, 4)] {
                    if let Some(value) = row.integer(column) {
                        steps.push(instant(at), line, value as f64);
                    }
                }
            }
        }
    })?;
    Ok(Some(QueueCharts {
        ports: Names { names, total },
        packets: packets.into_series(),
        bytes: bytes.into_series(),
        empty: recorded - total,
    }))
}

impl QueueCharts {
    fn is_empty(&self) -> bool {
        self.ports.names.is_empty()
    }

    /// As the page's script reads it.
    pub fn to_json(&self) -> Value {
        if self.is_empty() {
            return Value::Null;
        }
        let mut port = self.ports.to_json();
        port["packets"] = self.packets.to_json();
        port["bytes"] = self.bytes.to_json();
        json!({ "by": { "port": port } })
    }

    /// The section of the page.
    pub fn markup(&self) -> Markup {
        html! {
            section id="queues" {
                h2 { "Queues" }
                @if self.is_empty() {
                    p class="note" { "No packet waited at a recorded port at the instants of the samples." }
                } @else {
                    (charts("queues", &[PACKETS, BYTES]))
                    @if self.empty > 0 {
                        p class="note" {
                            "Not shown: recorded ports whose queue is empty in every sample (" (self.empty) ")."
                        }
                    }
                }
            }
        }
    }
}
