//! `taunet compare A B`

use std::path::PathBuf;

use clap::Args;

use super::text::{count, seconds};
use super::{CliError, Global, Output};
use crate::capture::Options as CaptureOptions;
use crate::compare::{CaptureComparison, ClockSummary, CompareOptions, JoinCounts, compare_captures};
use crate::scenario::CaptureClock;
use crate::units::Span;

/// Compare two captures of one path, packet by packet
///
/// Packets are recognized by what no router changes: addresses, protocol, ports, IP identification, length, the
/// protocol's own sequence, and the payload as far as both captures have it. Prints one-way delays from the first
/// capture to the second, losses and reordering, and how the two clocks run against each other.
#[derive(Debug, Args)]
pub struct Compare {
    /// The capture that packets pass first
    first: PathBuf,
    /// The capture that they pass then
    second: PathBuf,
    /// Take a damaged capture as ending where the damage begins
    #[arg(long)]
    lenient: bool,
    /// A router between the two translates addresses or ports: learn which flow is which, in a first reading
    #[arg(long)]
    nat: bool,
    /// By how much a delay may be above or below the usual one, as the clocks show it
    #[arg(long, value_name = "TIME", default_value = "10 s")]
    max_delay: Span,
    /// The clock of the second capture
    #[arg(long, value_enum, default_value_t)]
    clock: CaptureClock,
    /// The least delay of a packet: with packets of one direction only, the offset of the clocks is relative to it
    #[arg(long, value_name = "TIME", default_value = "0 s")]
    min_delay: Span,
}

impl Compare {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        let options = CompareOptions {
            capture: CaptureOptions { lenient: self.lenient, ..CaptureOptions::default() },
            nat: self.nat,
            max_delay: self.max_delay,
            clock: self.clock,
            min_delay: self.min_delay,
        };
        let comparison = compare_captures(&self.first, &self.second, &options)
            .map_err(|error| CliError::Usage(error.to_string()))?;
        global.warn(&comparison.warnings);
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
    let Some(delay) = &comparison.delay_s else {
        return output.line("  no packet was matched: are these two captures of one path?");
    };
    let clock = comparison.clock.as_ref();
    match clock {
        Some(clock) if clock.corrected => {
            output.line("  one-way delay, the second clock put right")?;
        }
        _ => output.line("  one-way delay, by the two clocks as they are")?,
    }
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
    if let Some(delay) = &comparison.backward_delay_s {
        output.line(format_args!(
            "  the other way: {} packets, mean {}, min {}, max {}",
            count(counts.matched_backward),
            seconds(delay.mean),
            seconds(delay.min),
            seconds(delay.max)
        ))?;
    }
    clock.map_or(Ok(()), |clock| print_clock(clock, output))
}

/// What does not happen in most captures, where it did.
fn seldom(counts: &JoinCounts) -> Vec<String> {
    let both =
        |first: u64, second: u64| format!("{} in the first, {} in the second", count(first), count(second));
    let JoinCounts { copies_first, copies_second, segmented_first, segmented_second, .. } = *counts;
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
