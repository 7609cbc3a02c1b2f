//! Calibrates recordings of Linux's own queueing code and compares the results with the commands that created
//! them. `TAUNET_LAB=FOLDER` names a folder with `manifest.toml` and the captures that it names;
//! `TAUNET_LAB_CASES=a,b` selects some of them.
//!
//! `TAUNET_LAB=... cargo test --release --test it kinds_come_back -- --nocapture` prints the table of
//! `docs/calibration.md`. Only this test reads the commands.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use taunet::calibrate::{
    AqmKind, Bottleneck, CalibrateOptions, Calibration, DisciplineKind, JitterBehind, calibrate,
};
use taunet::ptm::{Buffer, PtmSpec};
use taunet::units::Span;
use toml::Table;

/// What calibration is to find.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Aqm(AqmKind),
    Discipline(DisciplineKind),
    /// A FIFO behind a bottleneck, with tail drop or without losses.
    Fifo,
    /// A path that delays packets one by one.
    Jitter,
    Reordering,
    /// A constant delay alone.
    Delay,
    /// Taunet has no such discipline.
    Unknown,
}

/// The words of the commands, and what they are to be recognized as.
struct Truth {
    kind: Kind,
    /// Figures by the name of their parameter, in its unit.
    figures: BTreeMap<&'static str, f64>,
}

/// The value behind a word, as milliseconds, bytes or a plain number.
fn after(line: &str, word: &str) -> Option<f64> {
    let value = line.split_whitespace().skip_while(|token| *token != word).nth(1)?;
    for (unit, factor) in
        [("ms", 1.0), ("us", 1e-3), ("%", 1e-2), ("mbit", 1e6), ("kbit", 1e3), ("k", 1024.0)]
    {
        if let Some(number) = value.strip_suffix(unit).and_then(|number| number.parse::<f64>().ok()) {
            return Some(number * factor);
        }
    }
    value.parse().ok()
}

fn truth(commands: &[String]) -> Truth {
    let qdiscs: Vec<&String> = commands.iter().filter(|line| line.starts_with("qdisc add")).collect();
    let of = |name: &str| {
        qdiscs.iter().copied().find(|line| line.split_whitespace().any(|word| word == name)).cloned()
    };
    let has_classes = commands.iter().filter(|line| line.contains("classid")).count() > 1;
    let mut figures = BTreeMap::new();
    let mut figure = |name, value: Option<f64>| {
        figures.extend(value.map(|value| (name, value)));
    };
    let kind = if let Some(line) = of("codel") {
        figure("target", after(&line, "target").or(Some(5.0)));
        figure("interval", after(&line, "interval").or(Some(100.0)));
        figure("buffer", after(&line, "limit"));
        Kind::Aqm(AqmKind::Codel)
    } else if let Some(line) = of("fq_codel") {
        figure("target", after(&line, "target").or(Some(5.0)));
        figure("interval", after(&line, "interval").or(Some(100.0)));
        figure("quantum", after(&line, "quantum").or(Some(1_514.0)));
        figure("limit", after(&line, "limit"));
        if has_classes { Kind::Unknown } else { Kind::Discipline(DisciplineKind::FqCodel) }
    } else if let Some(line) = of("pie") {
        figure("target", after(&line, "target").or(Some(15.0)));
        figure("t_update", after(&line, "tupdate").or(Some(15.0)));
        Kind::Aqm(AqmKind::Pie)
    } else if let Some(line) = of("red") {
        figure("min", after(&line, "min"));
        figure("max", after(&line, "max"));
        figure("max_p", after(&line, "probability"));
        Kind::Aqm(AqmKind::Red)
    } else if let Some(line) = of("sfq") {
        figure("quantum", after(&line, "quantum").or(Some(1_514.0)));
        figure("limit", after(&line, "limit").or(Some(127.0)));
        Kind::Discipline(DisciplineKind::Sfq)
    } else if let Some(line) = of("fq_pie") {
        figure("target", after(&line, "target").or(Some(15.0)));
        figure("quantum", after(&line, "quantum").or(Some(1_514.0)));
        Kind::Discipline(DisciplineKind::FqPie)
    } else if of("fq").is_some() {
        Kind::Discipline(DisciplineKind::Fq)
    } else if of("cake").is_some() {
        Kind::Discipline(DisciplineKind::Cake)
    } else if of("ets").is_some() {
        Kind::Discipline(DisciplineKind::PriorityAndSharing)
    } else if of("prio").is_some() {
        Kind::Discipline(DisciplineKind::Priority)
    } else if of("drr").is_some() {
        Kind::Discipline(DisciplineKind::Sharing)
    } else if let Some(line) = of("netem") {
        figure("delay", after(&line, "delay"));
        let words: Vec<&str> = line.split_whitespace().collect();
        let next = |word: &str| words.iter().skip_while(|other| **other != word).nth(1).copied();
        let jitters =
            words.iter().skip_while(|word| **word != "delay").nth(2).is_some_and(|w| w.ends_with("ms"));
        if words.contains(&"rate") {
            figure("rate", after(&line, "rate").map(|bps| bps / 1e6));
            if !jitters {
                figure("buffer", after(&line, "limit"));
            }
            Kind::Fifo
        } else if next("loss") == Some("gemodel") {
            Kind::Aqm(AqmKind::BurstyLoss)
        } else if words.contains(&"loss") {
            figure("loss", after(&line, "loss"));
            Kind::Aqm(AqmKind::RandomLoss)
        } else if jitters {
            Kind::Jitter
        } else if next("reorder").is_some() && next("gap") != Some("1") {
            Kind::Reordering
        } else {
            Kind::Delay
        }
    } else if let Some(line) = of("tbf") {
        figure("rate", after(&line, "rate").map(|bps| bps / 1e6));
        figure("overhead", after(&qdiscs[0].clone(), "overhead").or(Some(0.0)));
        Kind::Fifo
    } else if commands.iter().any(|line| line.contains(" prio 1 ") && line.contains("htb")) {
        Kind::Discipline(DisciplineKind::Priority)
    } else {
        Kind::Unknown
    };
    Truth { kind, figures }
}

fn ms(span: Span) -> f64 {
    span.as_ps() as f64 / 1e9
}

/// What was found, by the names of [`Truth::figures`]: the value and its uncertainty, where one is stated.
fn figures(found: &Calibration) -> BTreeMap<&'static str, (f64, Option<f64>)> {
    let mut figures = BTreeMap::new();
    if let Some(rate) = &found.estimates.rate {
        figures.insert("rate", (found.model.rate_bps as f64 / 1e6, Some(rate.uncertainty_bps / 1e6)));
        let overhead = f64::from(found.model.framing.overhead.bytes());
        figures.insert("overhead", (overhead, Some(rate.overhead_uncertainty_bytes)));
    }
    if let Some(buffer) = &found.model.buffer {
        figures.insert("buffer", (buffer.limit, Some(buffer.uncertainty)));
    }
    for parameter in found.chosen_aqm().map_or(&[][..], |aqm| &aqm.parameters) {
        figures.insert(parameter.name, (parameter.value, Some(parameter.uncertainty)));
    }
    figures.insert("delay", (found.path.delay_us / 1e3, Some(found.path.delay_uncertainty_us / 1e3)));
    if let Some(jitter) = &found.path.jitter {
        figures.insert("delay", ((found.path.delay_us + jitter.mean_us) / 1e3, Some(jitter.std_us / 1e3)));
    }
    if let Some(found) = &found.path.reordering {
        figures.insert("delay", (found.delay_us / 1e3, None));
    }
    match &found.model.queue {
        Some(PtmSpec::FqCodel(spec)) => {
            figures.insert("target", (ms(spec.target), None));
            figures.insert("interval", (ms(spec.interval), None));
            figures.insert("quantum", (spec.quantum.get() as f64, None));
            figures.insert("limit", (spec.limit as f64, None));
        }
        Some(PtmSpec::FqPie(spec)) => {
            figures.insert("target", (ms(spec.target), None));
            figures.insert("quantum", (spec.quantum.get() as f64, None));
        }
        Some(PtmSpec::Sfq(spec)) => {
            figures.insert("quantum", (spec.quantum.get() as f64, None));
            figures.insert("limit", (spec.limit.into(), None));
        }
        Some(PtmSpec::Codel(spec)) => {
            if let Some(Buffer::Packets(packets)) = spec.buffer {
                figures.insert("buffer", (packets as f64, None));
            }
        }
        _ => {}
    }
    figures
}

fn recognizes(found: &Calibration, kind: Kind) -> bool {
    let model = &found.model;
    match kind {
        Kind::Aqm(kind) => {
            model.discipline.is_single()
                && (model.aqm == Some(kind) || found.indistinguishable.contains(&kind))
        }
        Kind::Discipline(discipline) => model.discipline == discipline || found.alike.contains(&discipline),
        Kind::Fifo => {
            let limits = matches!(model.aqm, None | Some(AqmKind::TailDrop | AqmKind::PathLimit));
            model.discipline == DisciplineKind::Fifo && limits
        }
        Kind::Jitter => {
            model.bottleneck == Bottleneck::None
                && found.path.jitter.is_some_and(|jitter| jitter.behind == JitterBehind::NoQueue)
        }
        Kind::Reordering => model.bottleneck == Bottleneck::None && found.path.reordering.is_some(),
        Kind::Delay => {
            model.bottleneck == Bottleneck::None && model.aqm.is_none() && found.path.delay_us > 0.0
        }
        Kind::Unknown => false,
    }
}

/// A figure is shown where its stated uncertainty is less than this part of it: it must then be right to the same part.
const SHOWN: f64 = 0.1;

/// The part of the recordings whose kind must be recognized.
const RECOGNIZED: f64 = 0.9;

fn find(folder: &Path, name: &str) -> (Calibration, Duration) {
    let file = |point: &str| folder.join(name).join(format!("{point}.pcap.xz"));
    let options =
        CalibrateOptions { ingress: vec![file("in1")], egress: file("out"), ..CalibrateOptions::default() };
    let began = Instant::now();
    let found = calibrate(&options, |_| ControlFlow::Continue(())).unwrap();
    (found, began.elapsed())
}

#[test]
fn kinds_come_back() {
    let Some(folder) = std::env::var_os("TAUNET_LAB").map(PathBuf::from) else {
        println!("skipped: TAUNET_LAB names no folder of recordings");
        return;
    };
    let wanted = std::env::var("TAUNET_LAB_CASES").ok();
    let wanted = |name: &str| wanted.as_ref().is_none_or(|cases| cases.split(',').any(|case| case == name));
    let manifest: Table = fs::read_to_string(folder.join("manifest.toml")).unwrap().parse().unwrap();
    let (mut table, mut wrong) = (String::new(), Vec::new());
    let (mut all, mut recognized, mut longest) = (0, 0, Duration::ZERO);
    for case in manifest["case"].as_array().unwrap() {
        let case = case.as_table().unwrap();
        let name = case["name"].as_str().unwrap();
        if case["tcp"].as_bool() == Some(true) || !wanted(name) {
            continue;
        }
        let commands = case["qdisc_r1"].as_array().unwrap().iter();
        let commands: Vec<String> = commands.map(|line| line.as_str().unwrap().to_owned()).collect();
        let truth = truth(&commands);
        let (found, took) = find(&folder, name);
        longest = longest.max(took);
        let is_right = recognizes(&found, truth.kind);
        all += 1;
        recognized += u32::from(is_right);
        let mut row = String::new();
        let values = figures(&found);
        for (key, true_value) in &truth.figures {
            let Some((value, uncertainty)) = values.get(key).filter(|_| is_right) else { continue };
            let off = (value - true_value).abs() / true_value.abs().max(1e-9);
            let shown = uncertainty.is_none_or(|uncertainty| uncertainty < SHOWN * value.abs());
            let off_bytes = (value - true_value).abs();
            let fails = match *key {
                "overhead" => off_bytes > 0.5,
                "rate" => off > 0.0002,
                _ => shown && off > SHOWN && found.indistinguishable.len() <= 1,
            };
            write!(row, "{key} {value:.4} ({true_value}){}; ", if shown { "" } else { " not shown" })
                .unwrap();
            if fails {
                wrong.push(format!("{name}: {key} {value} +- {uncertainty:?} is not {true_value}"));
            }
        }
        let w1 = found.held_out.and_then(|score| score.w1_normalized()).unwrap_or(0.0);
        writeln!(
            table,
            "| {name} | {}, {} | {} | {} | {w1:.4} | {:.1} s |",
            found.model.words(),
            found.model.bottleneck.words(),
            if is_right { "yes" } else { "no" },
            row.trim_end_matches("; "),
            took.as_secs_f64()
        )
        .unwrap();
    }
    println!(
        "| recording | found | recognized | figures (truth) | held-out w1 | took |\n|---|---|---|---|---|---|\n{table}\n\
         {recognized} of {all} recognized; the longest took {:.1} s",
        longest.as_secs_f64()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(f64::from(recognized) >= RECOGNIZED * f64::from(all), "{recognized} of {all} recognized");
}
