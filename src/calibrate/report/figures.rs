//! The table of figures: each estimate and its evidence.

use serde_json::Value;

use super::packets;
use crate::calibrate::Calibration;
use crate::calibrate::aqm::AqmEstimate;
use crate::calibrate::bucket::Figure;
use crate::calibrate::buffer::{BufferEstimate, Counts, LossFinding};
use crate::calibrate::model::framing_text;
use crate::calibrate::model::{Model, rounded};
use crate::report::{Cell, Table, count, four_digits, seconds};

/// A row of the table of figures: name, value, uncertainty, taken as, evidence.
type Row = [String; 5];

/// A value and its uncertainty, both to two significant digits of the uncertainty.
fn both(value: f64, uncertainty: f64, unit: &str) -> [String; 2] {
    let digits = match uncertainty.abs() {
        small if !small.is_finite() => return [with_unit(four_digits(value), unit), "not seen".to_owned()],
        small if small <= 0.0 => 3,
        small => (1.0 - libm::log10(small).floor()).clamp(0.0, 6.0) as usize,
    };
    // Avoids -0.000.
    let value = if value.abs() < 0.5 * libm::pow(0.1, digits as f64) { 0.0 } else { value };
    [with_unit(format!("{value:.digits$}"), unit), with_unit(format!("{uncertainty:.digits$}"), unit)]
}

fn with_unit(number: String, unit: &str) -> String {
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

fn row(what: &str, [value, uncertainty]: [String; 2], taken: String, rests_on: String) -> Row {
    [what.to_owned(), value, uncertainty, taken, rests_on]
}

/// A figure, or the reason why there is none.
fn seen(figure: Option<Figure>, unit: &str) -> [String; 2] {
    match figure {
        Some(Figure { value, uncertainty }) => both(value, uncertainty, unit),
        None => ["not seen alone".to_owned(), String::new()],
    }
}

/// Every figure, its uncertainty, and its evidence.
pub(super) fn figures(calibration: &Calibration) -> Table {
    let mut rows = path_rows(calibration);
    rows.extend(bottleneck_rows(calibration));
    rows.extend(loss_rows(calibration));
    rows.extend(class_rows(calibration));
    let rows: Vec<Vec<Cell>> = rows.into_iter().map(|row| row.map(Cell::text).to_vec()).collect();
    let columns = vec![
        ("figure", "What was estimated"),
        ("value", "As estimated"),
        ("uncertainty", "Half the width of the interval consistent with the recording"),
        ("taken as", "Value in the topology"),
        ("rests on", "The packets that show it"),
    ];
    Table { columns, total: rows.len(), rows }
}

fn path_rows(calibration: &Calibration) -> Vec<Row> {
    let path = &calibration.path;
    let mut rows = Vec::new();
    let passed = || packets(calibration.packets.matched, "that passed");
    if path.delay_us > 0.0 {
        let values = both(path.delay_us / 1e3, path.delay_uncertainty_us / 1e3, "ms");
        rows.push(row("path delay", values, seconds(path.delay_us * 1e-6), passed()));
    }
    for (capture, us) in path.before_us.iter().enumerate().filter(|(_, us)| **us > 0.0) {
        let what = format!("path delay, ingress capture {}", capture + 1);
        let values = both(us / 1e3, path.delay_uncertainty_us / 1e3, "ms more");
        rows.push(row(&what, values, seconds(us * 1e-6), passed()));
    }
    if let Some(jitter) = &path.jitter {
        let overtook = || packets(jitter.overtaking, "that overtook one of their own flow");
        for (what, us) in [
            ("jitter, mean", jitter.mean_us),
            ("jitter, standard deviation", jitter.std_us),
            ("jitter, most", jitter.most_us),
        ] {
            rows.push(row(what, [seconds(us * 1e-6), String::new()], String::new(), overtook()));
        }
    }
    if let Some(found) = &path.reordering {
        let value = format!("{:.1} %, one of {} at most", 100.0 * found.part, found.gap);
        rows.push(row("packets that go at once", [value, String::new()], String::new(), passed()));
        let delay = [seconds(found.delay_us * 1e-6), String::new()];
        rows.push(row("delay of the others", delay, String::new(), passed()));
    }
    rows
}

fn bottleneck_rows(calibration: &Calibration) -> Vec<Row> {
    let Calibration { model, estimates, .. } = calibration;
    let mut rows = Vec::new();
    if let Some(found) = &estimates.processing {
        rows.push(row(
            "processing delay",
            both(found.typical_us, found.uncertainty_us, "us"),
            seconds(model.processing_ps as f64 * 1e-12),
            packets(found.packets, "that found the device idle"),
        ));
    }
    let Some(rate) = &estimates.rate else { return rows };
    let periods = if rate.periods == 1 {
        "1 backlogged period"
    } else {
        &*format!("{} backlogged periods", count(rate.periods))
    };
    let departures = || format!("{} departures in {periods}", count(rate.departures));
    rows.push(row(
        "rate",
        both(rate.bps / 1e6, rate.uncertainty_bps / 1e6, "Mbps"),
        format!("{} Mbps", model.rate_bps as f64 / 1e6),
        departures(),
    ));
    let overhead = match rate.overhead_uncertainty_bytes.is_finite() {
        true => both(rate.overhead_measured_bytes, rate.overhead_uncertainty_bytes, "B"),
        false => ["not seen: packets of one length".to_owned(), String::new()],
    };
    rows.push(row("framing overhead", overhead, framing_text(&model.framing), departures()));
    if let Some(burst) = estimates.burst.as_ref().filter(|_| model.burst_bytes > 0) {
        let border = format!(
            "{} left at once on credit, {} waited, {} do not fit",
            count(burst.at_once),
            count(burst.waited),
            count(burst.misfits)
        );
        rows.push(row("burst", seen(burst.bytes, "B"), format!("{} B", model.burst_bytes), border));
        let slack = seconds(model.release_slack_ps as f64 * 1e-12);
        rows.push(row(
            "release slack",
            seen(burst.slack_us, "us"),
            slack,
            packets(burst.waited, "that waited"),
        ));
    }
    rows
}

fn buffer_row(what: &str, buffer: &BufferEstimate) -> Row {
    let unit = if buffer.counts == Counts::Bytes { "B" } else { "packets" };
    let rests_on = format!("{} losses, {}", count(buffer.lost), packets(buffer.misfits, "do not fit"));
    row(what, both(buffer.limit, buffer.uncertainty, unit), text(&rounded(buffer)), rests_on)
}

/// A value in the form of the topology.
fn text(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(Value::Null) | Err(_) => String::new(),
        Ok(other) => other.to_string(),
    }
}

fn loss_rows(calibration: &Calibration) -> Vec<Row> {
    let Calibration { model, estimates, .. } = calibration;
    if let Some(aqm) = calibration.chosen_aqm().filter(|_| model.discipline.is_single()) {
        return rule_rows(aqm, calibration);
    }
    if model.discipline.is_per_flow() {
        return flow_queue_rows(model);
    }
    match &estimates.losses {
        LossFinding::TailDrop(buffer) if model.buffer.is_some() => vec![buffer_row("buffer", buffer)],
        LossFinding::NoneLost { waiting_bytes } => {
            let value = format!("more than {waiting_bytes:.0} B");
            let nothing = "nothing was lost".to_owned();
            vec![row("buffer", [value, String::new()], "no limit".to_owned(), nothing)]
        }
        _ => Vec::new(),
    }
}

/// The parameters of a rule, and the values in the topology.
fn rule_rows(aqm: &AqmEstimate, calibration: &Calibration) -> Vec<Row> {
    let hits = format!(
        "{} lost and {} marked of {}",
        count(calibration.packets.lost),
        count(calibration.curves.marked),
        count(calibration.packets.ingress)
    );
    let spec = calibration.model.queue.as_ref().and_then(|queue| serde_json::to_value(queue).ok());
    let taken = |name: &str| {
        let keys = spec.as_ref()?.as_object()?.values().next()?;
        Some(text(keys.get(name)?))
    };
    aqm.parameters
        .iter()
        .map(|parameter| {
            let what = format!("{} {}", aqm.kind.words(), parameter.name);
            let values = both(parameter.value, parameter.uncertainty, parameter.unit);
            row(&what, values, taken(parameter.name).unwrap_or_default(), hits.clone())
        })
        .collect()
}

/// The parameters of a queue per flow: by simulation, starting with the defaults of Linux.
fn flow_queue_rows(model: &Model) -> Vec<Row> {
    let spec = model.queue.as_ref().and_then(|queue| serde_json::to_value(queue).ok());
    let Some(Value::Object(spec)) = spec else { return Vec::new() };
    let keys = spec.values().filter_map(Value::as_object).flatten();
    keys.filter(|(_, value)| value.is_string() || value.is_number())
        .map(|(key, value)| {
            let what = format!("{} {key}", model.discipline.words());
            let rests_on = "the first half; the default of Linux where it makes no difference".to_owned();
            row(&what, ["by simulation".to_owned(), String::new()], text(value), rests_on)
        })
        .collect()
}

fn class_rows(calibration: &Calibration) -> Vec<Row> {
    let Calibration { model, estimates, .. } = calibration;
    let Some(found) = estimates.classes.as_ref() else { return Vec::new() };
    let mut rows = Vec::new();
    for (index, class) in model.classes.iter().enumerate() {
        let name = format!("class {}", 10 * (index + 1));
        let who = format!("{} {}", found.field.key(), model.takes(index));
        let of_class = |counts: &[Vec<u64>]| -> (u64, u64) {
            let over = counts[index].iter().sum::<u64>() - counts[index][index];
            let under = counts.iter().map(|row| row[index]).sum::<u64>() - counts[index][index];
            (over, under)
        };
        let (over, under) = of_class(&found.overtaken);
        let rests_on = format!("overtook {} of other classes, {} overtook it", count(over), count(under));
        rows.push(row(&name, [who, String::new()], format!("priority {}", class.prio), rests_on));
        if let Some(quantum) = class.quantum_bytes {
            let figure = estimates.quanta.get(index).and_then(|quantum| quantum.bytes);
            let rests_on = match figure {
                Some(_) => "its turns while other classes wait",
                None => "simulations of the first half: it rarely waited with others",
            };
            let what = format!("{name}, quantum");
            rows.push(row(&what, seen(figure, "B"), format!("{quantum} B"), rests_on.to_owned()));
        }
        rows.extend(class.buffer.map(|buffer| buffer_row(&format!("{name}, buffer"), &buffer)));
    }
    rows
}
