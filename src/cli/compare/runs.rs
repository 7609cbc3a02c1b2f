//! Two runs.

use serde::Serialize;

use super::Compare;
use crate::cli::run::{Sides, judged, print_delays, print_kept};
use crate::cli::text::count;
use crate::cli::{CliError, Global, Output};
use crate::compare::{AcceptSummary, RunsComparison, RunsError, compare_runs};

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    comparison: &'a RunsComparison,
    accept: &'a AcceptSummary,
}

pub(super) fn compare(arguments: &Compare, global: &Global, output: &mut Output) -> Result<(), CliError> {
    let bounds = arguments.bounds()?;
    let comparison = compare_runs(&arguments.first, &arguments.second)
        .map_err(|error: RunsError| CliError::Usage(error.to_string()))?;
    let mut accept = AcceptSummary::default();
    accept.check("delivery", &bounds, comparison.delays.as_ref(), &comparison.loss);
    let printed = if global.json {
        output.json(&Printed { comparison: &comparison, accept: &accept })
    } else if global.quiet {
        Ok(())
    } else {
        print(&comparison, output).and_then(|()| print_kept("--accept", &accept, output))
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
    output.line(format_args!(
        "  dropped: {} in the first, {} in the second ({} the same packets)",
        count(loss.simulated()),
        count(loss.measured()),
        count(loss.both)
    ))?;
    let Some(delays) = delays else {
        return output.line("  no packet was delivered in both: are these runs of the same traffic?");
    };
    output.line("  one-way delay; the error is (first - second) / second")?;
    print_delays(delays, Sides { simulated: "first", measured: "second" }, output)
}
