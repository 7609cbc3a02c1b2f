//! Two runs.

use serde::Serialize;

use super::Compare;
use crate::cli::run::{judged, print_kept};
use crate::cli::text::{count, percent, seconds};
use crate::cli::write::{check_free, write_file};
use crate::cli::{CliError, Global, Output};
use crate::compare::{AcceptSummary, DelayComparison, RunsComparison, RunsError, compare_runs_by_packet};
use crate::report::runs_page;

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    comparison: &'a RunsComparison,
    accept: &'a AcceptSummary,
}

pub(super) fn compare(arguments: &Compare, global: &Global, output: &mut Output) -> Result<(), CliError> {
    let bounds = arguments.bounds()?;
    if let Some(page) = &arguments.html {
        check_free(page, arguments.force)?;
    }
    let (first, second) = (&arguments.first, &arguments.second);
    let (comparison, packets) = compare_runs_by_packet(first, second)
        .map_err(|error: RunsError| CliError::Usage(error.to_string()))?;
    if let Some(page) = &arguments.html {
        let html = runs_page([first, second], &comparison, packets)
            .map_err(|error| CliError::Usage(error.to_string()))?;
        write_file(page, &html, arguments.force)?;
    }
    let mut accept = AcceptSummary::default();
    accept.check("delivery", &bounds, comparison.delays.as_ref(), &comparison.loss);
    let printed = if global.json {
        output.json(&Printed { comparison: &comparison, accept: &accept })
    } else if global.quiet {
        Ok(())
    } else {
        print(&comparison, output).and_then(|()| print_kept("--accept", &accept, output)).and_then(|()| {
            match &arguments.html {
                Some(page) => output.line(format_args!("\nwritten to {}", page.display())),
                None => Ok(()),
            }
        })
    };
    judged("--accept", &accept, printed)
}

fn print(comparison: &RunsComparison, output: &mut Output) -> Result<(), CliError> {
    let RunsComparison { matched, only_first, only_second, delays, loss } = comparison;
    output.line(format_args!(
        "{} packets delivered in both runs, {} only in the first, {} only in the second",
        count(*matched),
        count(*only_first),
        count(*only_second)
    ))?;
    // The first run stands in the place of the measurement.
    output.line(format_args!(
        "  dropped: {} in the first, {} in the second ({} the same packets)",
        count(loss.measured()),
        count(loss.simulated()),
        count(loss.both)
    ))?;
    match delays {
        Some(delays) => print_delays(delays, output),
        None => output.line("  no packet was delivered in both: are these runs of the same traffic?"),
    }
}

fn print_delays(delays: &DelayComparison, output: &mut Output) -> Result<(), CliError> {
    let (first, second) = (&delays.delay_s.measured, &delays.delay_s.simulated);
    let jitter = (delays.jitter_s.measured, delays.jitter_s.simulated);
    output.line("  one-way delay of packets delivered in both; change: (second - first) / first")?;
    output.line(format_args!("  {:<8} {:>13} {:>13} {:>11}", "", "first", "second", "change"))?;
    let rows = [
        ("mean", Some(first.mean), Some(second.mean)),
        ("p50", Some(first.p50), Some(second.p50)),
        ("p90", Some(first.p90), Some(second.p90)),
        ("p99", Some(first.p99), Some(second.p99)),
        ("p99.9", Some(first.p999), Some(second.p999)),
        ("jitter", jitter.0, jitter.1),
    ];
    for (name, first, second) in rows {
        let (Some(first), Some(second)) = (first, second) else { continue };
        let change = (first != 0.0).then(|| (second - first) / first);
        output.line(format_args!(
            "  {name:<8} {:>13} {:>13} {:>11}",
            seconds(first),
            seconds(second),
            percent(change)
        ))?;
    }
    let agreement = &delays.agreement;
    let figure = |value: Option<f64>| value.map_or("undefined".to_owned(), |value| format!("{value:.6}"));
    output.line(format_args!(
        "  w1_normalized {}   pearson {}   spearman {}   ks {:.4}",
        figure(agreement.w1_normalized),
        figure(agreement.pearson),
        figure(agreement.spearman),
        agreement.ks
    ))?;
    output.line(format_args!(
        "  absolute difference per packet: mean {}, median {}, p99 {}",
        seconds(agreement.mae_s),
        seconds(agreement.median_abs_error_s),
        seconds(agreement.p99_abs_error_s)
    ))
}
