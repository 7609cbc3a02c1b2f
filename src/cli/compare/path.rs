//! Two captures.

use std::cmp::Reverse;
use std::path::Path;

use serde::Serialize;

use super::Compare;
use crate::cli::text::{count, seconds};
use crate::cli::write::check_free;
use crate::cli::{CliError, Global, Output, run};
use crate::compare::{
    AcceptSummary, CaptureComparison, ClockSummary, FlowPassage, Interval, JoinCounts, Share,
    compare_captures, write_flows,
};
use crate::table::Format;

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    comparison: &'a CaptureComparison,
    accept: &'a AcceptSummary,
}

pub(super) fn compare(arguments: &Compare, global: &Global, output: &mut Output) -> Result<(), CliError> {
    let bounds = arguments.bounds()?;
    let table = arguments.flows.as_deref().map(|path| table(path, arguments)).transpose()?;
    let comparison = compare_captures(&arguments.first, &arguments.second, &arguments.options())
        .map_err(|error| CliError::Usage(error.to_string()))?;
    global.warn(&comparison.warnings);
    if let Some((path, format)) = table {
        write_flows(path, format, &comparison.flows).map_err(|error| CliError::Failed(Box::new(error)))?;
    }
    let mut accept = AcceptSummary::default();
    let path = format!("{} to {}", arguments.first.display(), arguments.second.display());
    accept.check_path(&path, &bounds, &comparison);
    let printed = if global.json {
        output.json(&Printed { comparison: &comparison, accept: &accept })
    } else if global.quiet {
        Ok(())
    } else {
        print(&comparison, output).and_then(|()| run::print_kept("--accept", &accept, output))
    };
    run::judged("--accept", &accept, printed)
}

/// The table of flows: its place, which must be free and neither capture, and its format.
fn table<'a>(path: &'a Path, arguments: &Compare) -> Result<(&'a Path, Format), CliError> {
    let format = Format::of(path).map_err(|error| CliError::Usage(error.to_string()))?;
    let same = |capture: &Path| {
        path.canonicalize().is_ok_and(|path| capture.canonicalize().is_ok_and(|capture| capture == path))
    };
    if same(&arguments.first) || same(&arguments.second) {
        return Err(CliError::Usage(format!(
            "{} is one of the captures: choose another file",
            path.display()
        )));
    }
    check_free(path, arguments.force)?;
    Ok((path, format))
}

fn print(comparison: &CaptureComparison, output: &mut Output) -> Result<(), CliError> {
    let CaptureComparison { packets_first, packets_second, counts, .. } = comparison;
    output.line(format_args!(
        "{} packets in the first capture, {} in the second",
        count(*packets_first),
        count(*packets_second)
    ))?;
    output.line(format_args!(
        "  {} matched, {} ambiguous, {} only in the first, {} only in the second, {} without IP",
        count(counts.matched),
        count(counts.ambiguous),
        count(counts.only_first),
        count(counts.only_second),
        count(counts.without_key - counts.cut_short),
    ))?;
    for line in seldom(counts) {
        output.line(format_args!("  {line}"))?;
    }
    output.line(format_args!(
        "  {} lost between the first and the last matched packet, {} reordered",
        count(comparison.lost),
        count(comparison.reordered)
    ))?;
    if let Some(Share { ratio, interval: Some(Interval { low, high }), .. }) = comparison.loss_ratio {
        let [ratio, low, high] = [ratio, low, high].map(|part| 100.0 * part);
        output.line(format_args!("  loss ratio {ratio:.3} %, 95 % interval {low:.3} to {high:.3} %"))?;
    }
    let Some(delay) = &comparison.delay_s else {
        return output.line(match comparison.backward_delay_s {
            Some(_) => "  all matched packets go from the second capture to the first",
            None => "  no packet was matched: are these two captures of one path?",
        });
    };
    let clock = comparison.clock.as_ref();
    match clock {
        Some(clock) if clock.corrected => output.line("  one-way delay, the second clock put right")?,
        _ => output.line("  one-way delay, by the two clocks as they are")?,
    }
    let confidence = comparison.one_way.and_then(|one_way| one_way.confidence);
    let interval = |of: fn(&crate::compare::StatisticIntervals) -> Option<crate::compare::Interval>| {
        let found = confidence.and_then(|confidence| of(&confidence.delay_s));
        found.map_or(String::new(), |found| format!("   {} to {}", seconds(found.low), seconds(found.high)))
    };
    let rows = [
        ("mean", delay.mean, interval(|all| all.mean)),
        ("min", delay.min, String::new()),
        ("p50", delay.p50, interval(|all| all.p50)),
        ("p90", delay.p90, interval(|all| all.p90)),
        ("p99", delay.p99, interval(|all| all.p99)),
        ("p99.9", delay.p999, interval(|all| all.p999)),
        ("max", delay.max, String::new()),
    ];
    for (name, value, interval) in rows {
        output.line(format_args!("  {name:<8}{:>14}{interval}", seconds(value)))?;
    }
    if let Some(jitter) = comparison.jitter_s {
        output.line(format_args!("  {:<8}{:>14}", "jitter", seconds(jitter)))?;
    }
    if let Some(one_way) = &comparison.one_way {
        if let Some(ipdv) = &one_way.ipdv_s {
            output.line(format_args!("  {:<8}{:>14} to {}", "IPDV", seconds(ipdv.p1), seconds(ipdv.p99)))?;
        }
        output.line(format_args!("  {:<8}{:>14}", "PDV p99", seconds(one_way.pdv_s.p99)))?;
    }
    if let Some(confidence) = confidence {
        output.line(format_args!(
            "  intervals: {:.0} %, moving-block bootstrap with blocks of {} packets; IPDV from p1 to p99",
            confidence.level * 100.0,
            count(confidence.block_packets as u64)
        ))?;
    }
    if let Some(delay) = &comparison.backward_delay_s {
        output.line(format_args!(
            "  the other way: {} packets, mean {}, min {}, max {}",
            count(counts.matched_backward),
            seconds(delay.mean),
            seconds(delay.min),
            seconds(delay.max)
        ))?;
    }
    if let Some(clock) = clock {
        print_clock(clock, output)?;
    }
    print_flows(&comparison.flows, output)
}

/// Flows that are listed.
const LISTED: usize = 10;

fn print_flows(flows: &[FlowPassage], output: &mut Output) -> Result<(), CliError> {
    let mut most: Vec<&FlowPassage> = flows.iter().collect();
    most.sort_by_key(|flow| Reverse(flow.matched + flow.lost));
    let title = match flows.len() > LISTED {
        true => format!("the {LISTED} of {} flows with the most packets", count(flows.len() as u64)),
        false => "flow".to_owned(),
    };
    output.line(format_args!(
        "\n{:>10} {:>8} {:>11} {:>11} {:>11}  {title}",
        "matched", "lost", "mean", "p99", "jitter"
    ))?;
    for flow in most.into_iter().take(LISTED) {
        let time = |value: Option<f64>| value.map_or("undefined".to_owned(), seconds);
        output.line(format_args!(
            "{:>10} {:>8} {:>11} {:>11} {:>11}  {}",
            count(flow.matched),
            count(flow.lost),
            time(flow.delay_s.map(|delay| delay.mean)),
            time(flow.delay_s.map(|delay| delay.p99)),
            time(flow.jitter_s),
            flow.flow
        ))?;
    }
    Ok(())
}

/// What does not happen in most captures, where it did.
fn seldom(counts: &JoinCounts) -> Vec<String> {
    let both =
        |first: u64, second: u64| format!("{} in the first, {} in the second", count(first), count(second));
    let JoinCounts { copies_first, copies_second, segmented_first, segmented_second, .. } = *counts;
    let JoinCounts { fragments_first, fragments_second, .. } = *counts;
    let JoinCounts { missed_by_first, missed_by_second, .. } = *counts;
    let mut lines = Vec::new();
    if counts.ambiguous_second > 0 {
        lines.push(format!("{} ambiguous in the second", count(counts.ambiguous_second)));
    }
    if copies_first + copies_second > 0 {
        lines.push(format!("copies of a frame (a mirror port?): {}", both(copies_first, copies_second)));
    }
    if segmented_first + segmented_second > 0 {
        let frames = both(segmented_first, segmented_second);
        lines.push(format!("frames cut differently (segmentation offload): {frames}"));
    }
    if fragments_first + fragments_second > 0 {
        let fragments = both(fragments_first, fragments_second);
        lines
            .push(format!("datagrams cut differently, by their last fragment; others left out: {fragments}"));
    }
    if missed_by_first + missed_by_second > 0 {
        let missed = both(missed_by_first, missed_by_second);
        lines.push(format!("missed by a capture, as TCP proves: {missed}"));
    }
    if counts.cut_short > 0 {
        lines.push(format!(
            "of {} packets too little was captured to recognize them",
            count(counts.cut_short)
        ));
    }
    if let Some(flows) = counts.translated_flows {
        lines.push(format!("{} flows translated on the way", count(flows)));
    }
    lines
}

fn print_clock(clock: &ClockSummary, output: &mut Output) -> Result<(), CliError> {
    let relation = match (clock.least_delay_s, clock.half_round_trip_s) {
        (_, Some(half)) => format!("from both directions, right within {}", seconds(half)),
        (least, None) => format!("relative to a least delay of {}", seconds(least.unwrap_or(0.0))),
    };
    output.line(format_args!("  second clock against the first, {relation}"))?;
    for part in &clock.parts {
        let skew = part
            .skew_ppm
            .map_or("skew not to be told from delays".to_owned(), |skew| format!("{skew:+.3} ppm"));
        let range =
            part.skew_range_ppm.map_or(String::new(), |(low, high)| format!(" ({low:+.3} to {high:+.3})"));
        let at = format!("{:.6} s", part.from_s);
        output.line(format_args!("  from {at:>16}: ahead by {:.6} s, {skew}{range}", part.offset_s))?;
    }
    Ok(())
}
