//! `taunet compare A B`

use std::path::PathBuf;

use clap::Args;

use super::text::{count, seconds};
use super::{CliError, Global, Output};
use crate::capture::Options as CaptureOptions;
use crate::compare::{CaptureComparison, compare_captures};

/// Compare two captures of one path, packet by packet
///
/// Packets are recognized by what no router changes: addresses, protocol, ports, IP identification, and the
/// protocol's own sequence. Prints one-way delays from the first capture to the second, losses and reordering.
#[derive(Debug, Args)]
pub struct Compare {
    /// The capture that packets pass first
    first: PathBuf,
    /// The capture that they pass then
    second: PathBuf,
    /// Take a damaged capture as ending where the damage begins
    #[arg(long)]
    lenient: bool,
}

impl Compare {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        let options = CaptureOptions { lenient: self.lenient, ..CaptureOptions::default() };
        let comparison = compare_captures(&self.first, &self.second, &options)
            .map_err(|error| CliError::Usage(error.to_string()))?;
        if global.json {
            output.json(&comparison)
        } else if global.quiet {
            Ok(())
        } else {
            print(&comparison, output)
        }
    }
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
    let rows = [
        ("mean", delay.mean),
        ("min", delay.min),
        ("p50", delay.p50),
        ("p90", delay.p90),
        ("p99", delay.p99),
        ("p99.9", delay.p999),
        ("max", delay.max),
    ];
    for (name, value) in rows {
        output.line(format_args!("  {name:<8}{:>14}", seconds(value)))?;
    }
    if let Some(jitter) = comparison.jitter_s {
        output.line(format_args!("  {:<8}{:>14}", "jitter", seconds(jitter)))?;
    }
    Ok(())
}
