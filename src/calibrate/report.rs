//! A calibration as a page: the findings, the evidence for each figure, and the accuracy of the device.

mod figures;

use maud::{Markup, html};
use serde_json::{Value, json};

use super::aqm::AqmKind;
use super::curves::{Curves, Dots};
use super::model::Model;
use super::simulate::Score;
use super::{Calibration, Trial};
use crate::report::{
    Cell, Chart, Page, Table, bits_per_second, charts, count, four_digits, number, rows, seconds, singles,
    text, tile, warnings,
};
use figures::figures;

const SOJOURNS: Chart = Chart {
    kind: "sojourns",
    title: "Sojourn time against backlog",
    note: "A dot is a packet: the bytes that it found waiting, and its sojourn time. The line is the backlog at the rate found.",
    wide: true,
};
const LOSSES: Chart = Chart {
    kind: "chance",
    title: "Probability of loss against backlog",
    note: "Packets lost or marked, as a fraction of those that found as much waiting, with the binomial 95 % interval.",
    wide: true,
};
const CUMULATED: Chart = Chart {
    kind: "cumulated",
    title: "Sojourn distribution",
    note: "Fraction of packets that stay no longer than the time below.",
    wide: false,
};
const TAIL: Chart = Chart {
    kind: "ccdf",
    title: "Sojourn distribution, CCDF",
    note: "Fraction of packets that stay longer than the time below, on logarithmic axes.",
    wide: false,
};
const OVER_TIME: Chart = Chart {
    kind: "delays",
    title: "Sojourn time over time",
    note: "Each packet at the time it arrived; where there are too many, from the minimum to the maximum. Drag to zoom.",
    wide: true,
};

/// The page of a calibration that is called `name`.
pub(super) fn page(name: &str, calibration: &Calibration) -> String {
    let content = html! {
        (overview(calibration))
        section id="figures" {
            h2 { "Figures" }
            (rows("Figures", &figures(calibration)))
            p class="note" {
                "Taken as: the roundest value within the uncertainty, used in the topology."
            }
        }
        (curves(calibration))
        (classes(calibration))
        section id="candidates" {
            h2 { "Candidates" }
            (rows("Candidates", &candidates(calibration)))
            p class="note" {
                "Every candidate is simulated on the recorded arrivals. The log loss is the negative \
                 log-likelihood of the losses and marks under its rule, in nats: lower is better. Rules that differ by less \
                 than 4.6 nats are not distinguished."
            }
        }
        (origin(calibration))
    };
    let sections =
        SECTIONS.iter().filter(|(id, _)| *id != "classes" || !calibration.model.classes.is_empty());
    let page = Page {
        name,
        from: &format!("taunet {} - calibrated from captures", env!("CARGO_PKG_VERSION")),
        sections: &sections.map(|(id, title)| ((*id).to_owned(), *title)).collect::<Vec<_>>(),
        content,
        points: &json!({ "curves": points(&calibration.curves) }),
    };
    page.into_html()
}

const SECTIONS: &[(&str, &str)] = &[
    ("overview", "Overview"),
    ("figures", "Figures"),
    ("curves", "Device and recording"),
    ("classes", "Classes"),
    ("candidates", "Candidates"),
    ("origin", "Inputs"),
];

/// The data that the script draws.
fn points(curves: &Curves) -> Value {
    let numbers = |values: &[f64]| singles(values.iter().copied());
    let dots = |dots: &Dots| json!([numbers(&dots.waiting), numbers(&dots.sojourns)]);
    let losses = curves.losses.as_ref().map(|losses| {
        json!({
            "waiting": numbers(&losses.waiting),
            "measured": numbers(&losses.measured),
            "low": numbers(&losses.low),
            "high": numbers(&losses.high),
            "rule": numbers(&losses.by_rule),
            "simulated": numbers(&losses.simulated),
        })
    });
    json!({
        "measured": dots(&curves.measured),
        "simulated": dots(&curves.simulated),
        "rate": dots(&curves.at_rate),
        "losses": losses,
        "distribution": curves.distribution.to_json(),
        "delays": curves.over_time.to_json(),
    })
}

/// The device as text: `fifo with red at 10.00 Mbps (bucket with debt)`.
fn device(model: &Model) -> String {
    match model.rate_bps {
        0 => model.words(),
        bps => format!("{} at {} ({})", model.words(), bits_per_second(bps as f64), model.bottleneck.words()),
    }
}

fn file(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or("undefined".to_owned(), |value| format!("{value:.digits$}"))
}

/// The origin of the scores.
fn scored_on(calibration: &Calibration) -> &'static str {
    match calibration.held_out {
        Some(_) => "fitted on the first half of the recording and scored on the second",
        None => "fitted and scored on the same packets: the recording is too short for two halves",
    }
}

/// The accuracy of the device, as text.
fn verdict(calibration: &Calibration, score: &Score) -> String {
    let part = |w1: f64| format!("{} %", four_digits(100.0 * w1));
    let Some(w1) = score.w1_normalized() else {
        return "There is no delay to compare.".to_owned();
    };
    let which = match calibration.held_out {
        Some(_) => "Fitted on the first half of the recording, on the second half",
        None => "The recording is too short for two halves: on the packets that it was fitted on",
    };
    let mean = score.measured_s.map_or(String::new(), |measured| seconds(measured.mean));
    let without = calibration.baselines.no_queue.w1_normalized();
    let without =
        without.map_or(String::new(), |w1| format!("; a device without a queue misses it by {}", part(w1)));
    format!(
        "{which} it misses the measured distribution of sojourn times by {} of their mean, {mean}{without}.",
        part(w1)
    )
}

fn overview(calibration: &Calibration) -> Markup {
    let Calibration { packets, model, held_out, in_sample, baselines, .. } = calibration;
    let score = held_out.as_ref().unwrap_or(in_sample);
    let ingress: Vec<String> = calibration.ingress.iter().map(|path| file(path)).collect();
    let pearson = score.agreement.and_then(|agreement| agreement.pearson);
    html! {
        section id="overview" class="first" {
            h2 { "Overview" }
            p {
                "Between " code { (text(&ingress.join(", "))) } " and " code { (text(&file(&calibration.egress))) }
                ": " strong { (text(&device(model))) } ". " (verdict(calibration, score))
            }
            dl class="tiles" {
                (tile("w1_normalized", &figure(score.w1_normalized(), 4), "key"))
                (tile("pearson", &figure(pearson, 4), ""))
                (tile("w1_normalized without a queue", &figure(baselines.no_queue.w1_normalized(), 4), ""))
                @if let Some(mm1) = &baselines.mm1 {
                    (tile("w1_normalized of M/M/1", &figure(mm1.w1_normalized(), 4), ""))
                }
                (tile("packets in", &count(packets.ingress), ""))
                (tile("out", &count(packets.matched), ""))
                (tile("lost", &count(packets.lost), ""))
                @if calibration.curves.marked > 0 { (tile("marked", &count(calibration.curves.marked), "")) }
                (tile("left out", &count(packets.unknown), ""))
            }
            (warnings(&calibration.warnings))
            @if !calibration.not_identified.is_empty() {
                h3 { "What the recording does not show" }
                ul { @for unknown in &calibration.not_identified { li { (text(unknown)) } } }
            }
        }
    }
}

fn packets(number: u64, which: &str) -> String {
    let packets = if number == 1 { "packet" } else { "packets" };
    format!("{} {packets} {which}", count(number))
}

fn curves(calibration: &Calibration) -> Markup {
    let found = &calibration.curves;
    html! {
        section id="curves" {
            h2 { "Device and recording" }
            p {
                "Simulated is the chosen device, " (scored_on(calibration)) "."
                @if let Some(next) = &found.next_best { " The next-best candidate is " (text(next)) "." }
                @if calibration.path.is_seen() { " What the path adds is taken off the measured times." }
            }
            @if found.distribution.packets == 0 {
                p class="warning" { "No packet left both in the recording and in the simulation." }
            } @else {
                (charts("curves", &shown(found)))
                p class="note" { (reading(found)) (hits(found)) }
            }
        }
    }
}

/// Whether any packet found another waiting; otherwise there is no backlog to draw against.
fn waits(curves: &Curves) -> bool {
    curves.measured.waiting.last().is_some_and(|most| *most > 0.0)
}

/// The charts with content.
fn shown(curves: &Curves) -> Vec<Chart> {
    let varies = curves.distribution.delays.len() > 2;
    let losses = curves.losses.as_ref().filter(|losses| losses.waiting.len() > 1);
    let all = [
        waits(curves).then_some(SOJOURNS),
        losses.map(|_| LOSSES),
        Some(CUMULATED),
        varies.then_some(TAIL),
        Some(OVER_TIME),
    ];
    all.into_iter().flatten().collect()
}

/// An explanation of the dots.
fn reading(curves: &Curves) -> &'static str {
    if waits(curves) {
        "Dots are packets at equal distances in the order of the backlog. Dots below the line left on the credit of a \
         burst, or overtook packets that were waiting. "
    } else {
        "No packet found another waiting. "
    }
}

/// The number of packets lost or marked, and what is drawn of it.
fn hits(curves: &Curves) -> String {
    let Some(losses) = &curves.losses else {
        return "Nothing was lost or marked here: there is no probability of loss to draw.".to_owned();
    };
    let mut text = format!("{} here.", packets(losses.hits, "were lost or marked"));
    if let ([part], [low], [high]) = (&losses.measured[..], &losses.low[..], &losses.high[..]) {
        let [part, low, high] = [part, low, high].map(|part| four_digits(100.0 * part));
        text.push_str(&format!(" These are {part} % ({low} to {high})."));
    } else if !losses.by_rule.is_empty() {
        text.push_str(" The rule gives a probability to each packet from what was recorded before it.");
    }
    if curves.marked > 0 {
        text.push_str(" The simulation has no line: its marks are not counted.");
    }
    text
}

fn classes(calibration: &Calibration) -> Markup {
    let (Some(found), false) = (&calibration.estimates.classes, calibration.model.classes.is_empty()) else {
        return html! {};
    };
    let takes = |index: usize| {
        let is_known = index < calibration.model.classes.len();
        if is_known { calibration.model.takes(index) } else { String::new() }
    };
    html! {
        section id="classes" {
            h2 { "Classes" }
            p {
                "Classes by " code { (text(found.field.key())) } ". How often a packet of the class in the row left \
                 before an earlier packet of the class in the column. Within a class nothing should overtake."
            }
            div class="scroll" {
                table {
                    thead {
                        tr {
                            td {}
                            @for class in 1..=found.classes.len() {
                                th scope="col" class="number" { "class " (10 * class) }
                            }
                        }
                    }
                    tbody {
                        @for (index, counts) in found.overtaken.iter().enumerate() {
                            tr {
                                th scope="row" { "class " (10 * (index + 1)) ": " (text(&takes(index))) }
                                @for overtaken in counts { (number(&count(*overtaken))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn candidates(calibration: &Calibration) -> Table {
    let cell = |value: Option<f64>, digits: usize| Cell { text: figure(value, digits), key: value };
    let losses = |packets: u64| Cell::number(Some(packets as f64), |packets| count(packets as u64));
    let scores = |score: &Score, log_loss: Option<f64>| {
        vec![
            cell(score.w1_normalized(), 6),
            cell(score.agreement.and_then(|agreement| agreement.pearson), 5),
            losses(score.loss.simulated()),
            losses(score.loss.measured()),
            Cell::number(log_loss, |nats| format!("{nats:.1}")),
        ]
    };
    let rank = |place: usize| Cell::number(Some(place as f64 + 1.0), |place| format!("{place:.0}"));
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (place, trial) in calibration.trials.iter().enumerate() {
        let words = [
            discipline(trial),
            trial.aqm.map_or("-", AqmKind::words).to_owned(),
            trial.bottleneck.words().to_owned(),
        ];
        let mut row = vec![rank(place)];
        row.push(Cell::text(remark(calibration, place)));
        row.extend(words.map(Cell::text));
        row.extend(scores(&trial.held_out, trial.log_loss_nats));
        rows.push(row);
    }
    let Calibration { baselines, .. } = calibration;
    let mm1 = baselines.mm1.as_ref().map(|score| ("M/M/1 at the measured load", score));
    for (name, score) in [("propagation + serialization only", &baselines.no_queue)].into_iter().chain(mm1) {
        let mut row = vec![rank(rows.len())];
        row.extend(["rule of thumb", name, "-", "-"].map(Cell::text));
        row.extend(scores(score, None));
        rows.push(row);
    }
    let columns = vec![
        ("rank", "By cost on the packets used for scoring"),
        ("remark", "Chosen, or not distinguished from the chosen"),
        ("discipline", "Scheduling discipline"),
        ("rule", "Rule for losing or marking packets"),
        ("bottleneck", "Kind of bottleneck"),
        ("w1_normalized", "Wasserstein-1 distance of both distributions over the mean measured sojourn"),
        ("pearson", "Correlation of simulated and measured sojourns over packets"),
        ("lost", "Packets that the simulation loses"),
        ("measured", "Packets that were lost in the recording"),
        ("log loss", "Negative log-likelihood of the losses and marks under the rule, in nats"),
    ];
    Table { columns, total: rows.len(), rows }
}

fn discipline(trial: &Trial) -> String {
    let mut words = trial.discipline.words().to_owned();
    if trial.flow_queues_in_classes {
        words.push_str(", fq-codel in each class");
    }
    if trial.top_owns_rate {
        words.push_str(", the first sure of 95 %");
    }
    words
}

/// Whether a candidate is the chosen one, or not distinguishable from it.
fn remark(calibration: &Calibration, place: usize) -> &'static str {
    let (chosen, trial) = (&calibration.trials[0], &calibration.trials[place]);
    let is_close = trial.aqm.is_some_and(|aqm| calibration.indistinguishable.contains(&aqm));
    match place {
        0 => "chosen",
        _ if chosen.discipline.is_single() && trial.discipline.is_single() && is_close => "not distinguished",
        _ => "",
    }
}

fn origin(calibration: &Calibration) -> Markup {
    html! {
        section id="origin" {
            h2 { "Inputs" }
            dl class="origin" {
                @for (number, path) in calibration.ingress.iter().enumerate() {
                    dt { "ingress capture " (number + 1) } dd { code { (text(&file(path))) } }
                }
                dt { "egress capture" } dd { code { (text(&file(&calibration.egress))) } }
                dt { "files" }
                dd {
                    code { "topology.toml" } ": the device, with the evidence. " code { "scenario.toml" }
                    ": the captures through it. " code { "calibration.json" } ": every figure."
                }
            }
        }
    }
}
