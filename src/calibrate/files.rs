//! Writes the result of a calibration: a topology, a scenario that can be run directly, and all figures.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::aqm::{AqmEstimate, AqmKind, Parameter};
use super::bucket::Figure;
use super::buffer::{BufferEstimate, Counts, LossFinding};
use super::model::{Bottleneck, DEVICE, EGRESS_PORT, SINK, framing_text, host};
use super::path::PathEstimate;
use super::report;
use super::{CalibrateError, Calibration};
use crate::capture::{CaptureKeys, standard_input};
use crate::config::toml_value;
use crate::ptm::{NetemSpec, PtmSpec};
use crate::record::{DirectoryError, RunDirectory};
use crate::units::{Bandwidth, ByteCount, Span};

const TOPOLOGY: &str = "topology.toml";
const SCENARIO: &str = "scenario.toml";
const FIGURES: &str = "calibration.json";
const PAGE: &str = "report.html";

fn is_file_of_a_calibration(name: &str) -> bool {
    [TOPOLOGY, SCENARIO, FIGURES, PAGE].contains(&name)
}

/// Writes the directory of a calibration, completely or not at all: `topology.toml`, `scenario.toml`,
/// `calibration.json`, `report.html`. The captures are referenced by relative paths, not copied. With
/// `replace`, an earlier calibration in this place is replaced.
///
/// # Errors
/// The place exists and may not be replaced, or a file cannot be written.
pub fn write(calibration: &Calibration, place: &Path, replace: bool) -> Result<PathBuf, CalibrateError> {
    let directory = RunDirectory::begin_with(place, replace, is_file_of_a_calibration)?;
    // The final location; its parent exists at this point.
    let from = match place.exists() {
        true => fs::canonicalize(place),
        false => {
            let parent =
                place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            fs::canonicalize(parent).map(|parent| parent.join(place.file_name().unwrap_or_default()))
        }
    };
    let from = from.map_err(|source| io_error(place, source))?;
    let name = name(&from);
    directory.write_text(TOPOLOGY, &topology_text(calibration, &name))?;
    let scenario = scenario_text(calibration, &name, |capture| {
        if standard_input::is_meant(capture) {
            return Ok(capture.to_owned());
        }
        fs::canonicalize(capture)
            .map(|capture| relative(&from, &capture))
            .map_err(|error| io_error(capture, error))
    })?;
    directory.write_text(SCENARIO, &scenario)?;
    directory.write_json(FIGURES, calibration)?;
    directory.write_text(PAGE, &report::page(&name, calibration))?;
    Ok(directory.commit()?)
}

fn io_error(path: &Path, source: io::Error) -> CalibrateError {
    DirectoryError::Io { path: path.to_owned(), source }.into()
}

/// The name of the topology and the scenario: that of their directory, as far as it is a valid name.
fn name(place: &Path) -> String {
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.chars().any(char::is_alphanumeric) { name } else { "calibrated".to_owned() }
}

/// The relative path from the directory `from` to `to`, both absolute.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    if common == 0 {
        return to.iter().collect();
    }
    let up = from[common..].iter().map(|_| Component::ParentDir);
    up.chain(to[common..].iter().copied()).collect()
}

/// A path in the form that files use on every machine.
fn path_text(path: &Path) -> String {
    toml_value(&path.to_string_lossy().replace('\\', "/"))
}

fn scenario_text(
    calibration: &Calibration,
    name: &str,
    path: impl Fn(&Path) -> Result<PathBuf, CalibrateError>,
) -> Result<String, CalibrateError> {
    let mut text = format!(
        "# Replays the recorded packets through the calibrated device, and compares them with the capture behind it.\n\
         name = {}\ntopology = {}\n",
        toml_value(&name),
        toml_value(&TOPOLOGY)
    );
    let way = Way::of(calibration);
    for (index, capture) in calibration.ingress.iter().enumerate() {
        let at = match way.before[index] {
            0 => format!("{{ port = \"{DEVICE}:{}\", direction = \"ingress\" }}", index + 1),
            _ => format!("{{ port = \"{}:0\", direction = \"egress\" }}", host(index + 1)),
        };
        text.push_str(&format!(
            "\n[[traffic]]\nkind = \"replay\"\ncapture = {}\n{}at = {at}\n",
            path_text(&path(capture)?),
            calibration.ingress_keys.get(index).map_or(String::new(), keys_text)
        ));
    }
    let at = match calibration.model.is_seen_at_far_end() || way.behind > 0 || way.jitter.is_some() {
        true => format!("{{ port = \"{SINK}:0\", direction = \"ingress\" }}"),
        false => format!("{{ port = \"{DEVICE}:{EGRESS_PORT}\", direction = \"egress\" }}"),
    };
    text.push_str(&format!(
        "\n[[measured]]\ncapture = {}\n{}at = {at}\n",
        path_text(&path(&calibration.egress)?),
        keys_text(&calibration.egress_keys)
    ));
    Ok(text)
}

/// The keys of a capture, as a scenario has them.
fn keys_text(keys: &CaptureKeys) -> String {
    let interface = keys.interface.as_ref().map(|interface| ("interface", toml_value(interface)));
    let direction = keys.direction.map(|direction| ("direction", toml_value(&direction)));
    let window = keys.reorder_window.map(|window| ("reorder_window", toml_value(&window)));
    let lines = [interface, direction, window].into_iter().flatten();
    lines.map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// The path in the form of the topology.
struct Way {
    /// The delay of the link before each ingress port, in picoseconds.
    before: Vec<u64>,
    /// The delay of the link behind the device, in picoseconds.
    behind: u64,
    /// Its jitter.
    jitter: Option<String>,
}

impl Way {
    /// A delay behind a link starts at the end of a transmission. If the egress capture shows the start, the
    /// delay is put before the device.
    fn of(calibration: &Calibration) -> Self {
        let Calibration { path, model, .. } = calibration;
        let ps = |us: f64| (us * 1e6).round() as u64;
        let mut before: Vec<u64> = path.before_us.iter().map(|us| ps(*us)).collect();
        let shows_start = model.shows_start();
        let netem_delays =
            model.path_limit.is_some() || (model.bottleneck == Bottleneck::None && path.netem().is_some());
        let mut behind = if netem_delays { 0 } else { ps(path.delay_us) };
        if shows_start {
            for delay in &mut before {
                *delay += behind;
            }
            behind = 0;
        }
        Way { before, behind, jitter: path.link_jitter().filter(|_| !shows_start) }
    }
}

fn topology_text(calibration: &Calibration, name: &str) -> String {
    let model = &calibration.model;
    let mut text = String::new();
    for line in evidence(calibration) {
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
    text.push_str(&format!(
        "name = {}\n\n[defaults.link]\nbandwidth = \"unlimited\"\ndelay = \"0 s\"\n",
        toml_value(&name)
    ));
    for number in 1..=calibration.ingress.len() {
        text.push_str(&format!("\n[[device]]\nname = \"{}\"\nkind = \"host\"\n", host(number)));
    }
    let kind = if model.routes { "router" } else { "switch" };
    text.push_str(&format!(
        "\n[[device]]\nname = \"{DEVICE}\"\nkind = \"{kind}\"\nprocessing = {}\n",
        span(model.processing_ps)
    ));
    text.push_str(&format!(
        "\n# All destinations are behind the single egress port.\n[[device]]\nname = \"{SINK}\"\nkind = \"host\"\n\
         addresses = [\"0.0.0.0/0\", \"::/0\"]\n"
    ));
    let way = Way::of(calibration);
    for number in 1..=calibration.ingress.len() {
        text.push_str(&format!("\n[[link]]\nbetween = [\"{}:0\", \"{DEVICE}:{number}\"]\n", host(number)));
        if way.before[number - 1] > 0 {
            text.push_str(&format!("delay = {}\n", span(way.before[number - 1])));
        }
    }
    text.push_str(&format!("\n[[link]]\nbetween = [\"{DEVICE}:{EGRESS_PORT}\", \"{SINK}:0\"]\n"));
    let mut forward = Vec::new();
    let link = model.link();
    if link.bandwidth != Bandwidth::Unlimited {
        forward.push(format!("bandwidth = {}", toml_value(&model.rate())));
        if link.overhead > ByteCount::ZERO {
            forward.push(format!("overhead = {}", toml_value(&link.overhead)));
        }
    }
    if way.behind > 0 {
        forward.push(format!("delay = {}", span(way.behind)));
    }
    if let Some(jitter) = way.jitter {
        forward.push(format!("jitter = {jitter}"));
    }
    if !forward.is_empty() {
        text.push_str(&format!("forward = {{ {} }}\n", forward.join(", ")));
    }
    let ptm = match (model.bottleneck, calibration.path.netem(), &model.queue) {
        (Bottleneck::None, Some(netem), Some(PtmSpec::Netem(queue))) => {
            PtmSpec::Netem(Box::new(NetemSpec { loss: queue.loss, ..netem }))
        }
        (Bottleneck::None, Some(netem), _) => PtmSpec::Netem(Box::new(netem)),
        _ => model.ptm(),
    };
    // Serialized in the form that the reader accepts, for any discipline.
    if let Ok(Value::Object(spec)) = serde_json::to_value(ptm)
        && let Some((kind, Value::Object(keys))) = spec.into_iter().next()
    {
        text.push_str(&format!("\n[link.ptm]\nkind = {}\n", toml_value(&kind)));
        table(&mut text, "link.ptm", &keys);
    }
    text
}

fn span(picoseconds: u64) -> String {
    match picoseconds {
        0 => "\"0 s\"".to_owned(),
        picoseconds => toml_value(&Span::from_ps(picoseconds)),
    }
}

/// The keys that come first, for readability.
const FIRST_KEYS: [&str; 8] = ["name", "match", "rate", "ceil", "burst", "cburst", "prio", "quantum"];

/// Appends the keys of a table: first its values, then its arrays of tables.
fn table(text: &mut String, path: &str, keys: &serde_json::Map<String, Value>) {
    let mut ordered: Vec<(&String, &Value)> = keys.iter().collect();
    ordered
        .sort_by_key(|(key, _)| FIRST_KEYS.iter().position(|first| first == key).unwrap_or(FIRST_KEYS.len()));
    for (key, value) in ordered {
        match value {
            Value::Null => {}
            Value::Array(items) if items.is_empty() || items.iter().all(Value::is_object) => {}
            value => text.push_str(&format!("{key} = {}\n", inline(value))),
        }
    }
    for (key, value) in keys {
        for item in value.as_array().into_iter().flatten() {
            if let Value::Object(keys) = item {
                let path = format!("{path}.{key}");
                text.push_str(&format!("\n[[{path}]]\n"));
                table(text, &path, keys);
            }
        }
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(keys) => {
            let keys: Vec<String> = keys
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| format!("{key} = {}", inline(value)))
                .collect();
            format!("{{ {} }}", keys.join(", "))
        }
        Value::Array(items) => match &items[..] {
            [item] => inline(item),
            items => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        },
        Value::String(string) if string == "0 ps" => toml_value(&"0 s"),
        Value::String(string) => toml_value(string),
        other => other.to_string(),
    }
}

/// The findings about the path: names and figures.
pub(crate) fn path_figures(path: &PathEstimate) -> Vec<(&'static str, String)> {
    let mut figures = Vec::new();
    let ms = |us: f64| us / 1e3;
    if path.delay_us > 0.0 {
        let (delay, off) = (ms(path.delay_us), path.delay_uncertainty_us);
        figures.push((
            "path",
            format!("{delay:.3} ms, of which less than {off:.0} us may be forwarding in the device"),
        ));
    }
    for (capture, us) in path.before_us.iter().enumerate().filter(|(_, us)| **us > 0.0) {
        figures.push(("path", format!("{:.3} ms more before ingress capture {}", ms(*us), capture + 1)));
    }
    if let Some(jitter) = &path.jitter {
        let (mean, std, most) = (ms(jitter.mean_us), ms(jitter.std_us), ms(jitter.most_us));
        figures.push((
            "jitter",
            format!(
                "mean {mean:.3} ms, standard deviation {std:.3} ms, maximum {most:.3} ms; {} packets overtook one of \
                 their own flow",
                jitter.overtaking
            ),
        ));
    }
    if let Some(found) = &path.reordering {
        figures.push((
            "reordering",
            format!(
                "{:.1} % of packets go at once (gap {}, probability {:.3}), the others after {:.3} ms",
                100.0 * found.part,
                found.gap,
                found.probability(),
                ms(found.delay_us)
            ),
        ));
    }
    figures
}

/// The parameters of a rule, as text.
pub(crate) fn parameters(aqm: &AqmEstimate) -> String {
    let texts = aqm.parameters.iter().map(|parameter| {
        let Parameter { name, value, uncertainty, unit } = parameter;
        let digits = match uncertainty.abs() {
            small if small <= 0.0 => 3,
            small => (1.0 - libm::log10(small).floor()).clamp(0.0, 6.0) as usize,
        };
        format!("{name} {value:.digits$} +- {uncertainty:.digits$} {unit}").trim_end().to_owned()
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// `9.998 ± 0.003`.
fn figure(figure: &Figure) -> String {
    format!("{:.1} +- {:.1}", figure.value, figure.uncertainty)
}

fn buffer(buffer: &BufferEstimate) -> String {
    let unit = if buffer.counts == Counts::Bytes { "B" } else { "packets" };
    format!(
        "{:.0} +- {:.0} {unit} ({} losses, {} packets do not fit)",
        buffer.limit, buffer.uncertainty, buffer.lost, buffer.misfits
    )
}

/// The evidence for the parameters, line by line.
fn evidence(calibration: &Calibration) -> Vec<String> {
    let Calibration { model, estimates, packets, .. } = calibration;
    let mut lines = vec![
        format!("A device calibrated from captures: {}, {}.", model.words(), model.bottleneck.words()),
        String::new(),
        format!(
            "{} packets came in, {} left, {} were lost, {} are left out.",
            packets.ingress, packets.matched, packets.lost, packets.unknown
        ),
    ];
    lines.extend(path_figures(&calibration.path).into_iter().map(|(name, text)| format!("{name}: {text}")));
    let mut line = |text: String| lines.push(text);
    if let Some(processing) = &estimates.processing {
        line(format!(
            "processing: median {:.2} +- {:.2} us, minimum {:.2} us ({} packets that found the device idle)",
            processing.typical_us, processing.uncertainty_us, processing.least_us, processing.packets
        ));
    }
    if let Some(rate) = &estimates.rate {
        line(format!(
            "rate: {:.6} +- {:.6} Mbps ({} departures in {} backlogged periods)",
            rate.bps / 1e6,
            rate.uncertainty_bps / 1e6,
            rate.departures,
            rate.periods
        ));
        if rate.overhead_uncertainty_bytes.is_finite() {
            line(format!(
                "overhead per packet: {:.1} +- {:.1} B, taken as {}",
                rate.overhead_measured_bytes,
                rate.overhead_uncertainty_bytes,
                framing_text(&model.framing)
            ));
        }
    }
    if let Some(burst) = &estimates.burst {
        if let Some(bytes) = &burst.bytes {
            line(format!(
                "burst: {} B ({} packets left at once on credit, {} waited, {} do not fit)",
                figure(bytes),
                burst.at_once,
                burst.waited,
                burst.misfits
            ));
        }
        if let Some(slack) = &burst.slack_us {
            line(format!("release slack: {} us (median lateness of the head)", figure(slack)));
        }
    }
    if let LossFinding::TailDrop(all) = &estimates.losses
        && model.aqm == Some(AqmKind::TailDrop)
    {
        line(format!("buffer: {}", buffer(all)));
    }
    if let Some(aqm) = calibration.chosen_aqm() {
        line(format!("{}: {}", aqm.kind.words(), parameters(aqm)));
    }
    if let (Some(classes), false) = (&estimates.classes, model.classes.is_empty()) {
        line(format!(
            "classes by {}: {} packets overtook one of another class, {} one of their own",
            classes.field.key(),
            classes.overtaking_between,
            classes.overtaking_within
        ));
        for (index, class) in model.classes.iter().enumerate() {
            let quantum = estimates.quanta.get(index).and_then(|quantum| quantum.bytes);
            let quantum = quantum.map_or(String::new(), |bytes| format!(", {} B per round", figure(&bytes)));
            let limit = class.buffer.map_or(String::new(), |limit| format!(", buffer {}", buffer(&limit)));
            line(format!(
                "  class {}: {}, priority {}{quantum}{limit}",
                10 * (index + 1),
                model.takes(index),
                class.prio
            ));
        }
    }
    if let Some(score) = &calibration.held_out
        && let Some(w1) = score.w1_normalized()
    {
        line(format!("fitted on the first half, w1_normalized on the second half is {w1:.6}."));
    }
    for unknown in &calibration.not_identified {
        line(format!("not identified: {unknown}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_from_the_directory() {
        let of = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(of("/a/b/out", "/a/captures/in.pcap"), Path::new("../../captures/in.pcap"));
        assert_eq!(of("/a", "/a/in.pcap"), Path::new("in.pcap"));
    }
}
