//! Two captures.

use serde::Serialize;

use super::Compare;
use crate::cli::text::{count, seconds};
use crate::cli::{CliError, Global, Output, run};
use crate::compare::{AcceptSummary, CaptureComparison, compare_captures};

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    comparison: &'a CaptureComparison,
    accept: &'a AcceptSummary,
}

pub(super) fn compare(arguments: &Compare, global: &Global, output: &mut Output) -> Result<(), CliError> {
    let bounds = arguments.bounds()?;
    let comparison = compare_captures(&arguments.first, &arguments.second, &arguments.options())
        .map_err(|error| CliError::Usage(error.to_string()))?;
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

fn print(comparison: &CaptureComparison, output: &mut Output) -> Result<(), CliError> {
    let CaptureComparison {
        packets_first, packets_second, matched, ambiguous, only_first, only_second, ..
    } = comparison;
    output.line(format_args!(
        "{} packets in the first capture, {} in the second",
        count(*packets_first),
        count(*packets_second)
    ))?;
    output.line(format_args!(
        "  {} matched, {} ambiguous, {} only in the first, {} only in the second, {} without IP",
        count(*matched),
        count(*ambiguous),
        count(*only_first),
        count(*only_second),
        count(comparison.without_key),
    ))?;
    output.line(format_args!(
        "  {} lost between the first and the last matched packet, {} reordered",
        count(comparison.lost),
        count(comparison.reordered)
    ))?;
    let Some(delay) = &comparison.delay_s else {
        return output.line("  no packet was matched: are these two captures of one path?");
    };
    output.line("  one-way delay, by the two clocks as they are")?;
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
    Ok(())
}
