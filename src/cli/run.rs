//! `taunet run SCENARIO`

use std::path::{Path, PathBuf};

use clap::Args;

use super::interrupt::Interrupt;
use super::progress::Bar;
use super::reading::Reading;
use super::text::{bits_per_second, count, counted, decimal_bytes, percent, seconds};
use super::transmissions::print_transmissions;
use super::write::{check_is_no_hyphen, directory_name};
use super::{CliError, Global, Output};
use crate::compare::{AcceptSummary, DelayComparison, Interval, MissedBound, RttAgreement, RttComparison};
use crate::engine::{Engine, EngineError};
use crate::run::{self, ConnectionSummary, MeasuredSummary, Overview, RunError, RunOptions, Summary};
use crate::scenario::{DelayScope, Scenario};
use crate::table::Format;

/// Simulate a scenario and compare it with its measured captures
///
/// Writes a run directory (packets, flows, ports and matched packets as tables, summary.json, meta.json, and
/// report.html to look at) and prints how far the simulated delays are from the measured ones. Exit code 3: an [accept] bound was missed.
#[derive(Debug, Args)]
pub struct Run {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// The run directory [default: runs/<name of the scenario>]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace an earlier run
    #[arg(long)]
    force: bool,
    /// The seed of every random stream, instead of the scenario's
    #[arg(long, allow_negative_numbers = true, value_parser = seed)]
    seed: Option<u64>,
    /// Set one value of the scenario, such as accept.pearson=0.99, or of its topology, such as
    /// topology.link.0.bandwidth="10 Mbps"; a path in it is relative to the current directory
    #[arg(long = "set", value_name = "PATH.TO.KEY=VALUE")]
    overrides: Vec<String>,
    /// The engine, instead of the scenario's; the results are the same
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// Threads of the stream engine; the results are the same for any number [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The format of the tables
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    reading: Reading,
}

impl Run {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        let scenario =
            Scenario::load_from_shell(&self.scenario, &self.overrides, self.seed, &global.registry)?;
        let out = self.out.unwrap_or_else(|| Path::new("runs").join(directory_name(&scenario.name)));
        check_is_no_hyphen(&out)?;
        let options = RunOptions {
            out: out.clone(),
            replace: self.force,
            format: self.format,
            capture: self.reading.options(),
            overrides: self.overrides,
            engine: self.engine,
            threads: self.threads.map_or(0, usize::from),
        };
        let mut bar = Bar::new(global, &scenario.name);
        let interrupt = Interrupt::watch();
        let result = run::run(&scenario, &options, |stage| {
            bar.show(stage);
            interrupt.as_control_flow()
        });
        bar.clear();
        let summary = result.map_err(|error| match error {
            RunError::Engine(EngineError::Interrupted) => CliError::interrupted(),
            error if error.is_bad_input() => CliError::Usage(error.to_string()),
            error => CliError::Failed(Box::new(error)),
        })?;
        global.warn(&summary.warnings);
        let printed = if global.json {
            output.json(&summary)
        } else if !global.quiet {
            let printed = print(&summary, output);
            printed.and_then(|()| {
                output.line(format_args!("\nwritten to {0}: open {0}/report.html", out.display()))
            })
        } else {
            Ok(())
        };
        judged("[accept]", &summary.accept, printed)
    }
}

/// The value of `--seed`.
fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("a seed is a whole number from 0 to {}", u64::MAX))
}

fn print(summary: &Summary, output: &mut Output) -> Result<(), CliError> {
    let packets = &summary.packets;
    output.line(format_args!(
        "{}: {} packets of {} over {}, simulated in {}",
        summary.scenario,
        count(packets.injected),
        match summary.flows {
            1 => "1 flow".to_owned(),
            flows => format!("{} flows", count(flows)),
        },
        seconds(summary.simulated_s),
        seconds(summary.wall_s),
    ))?;
    output.line(format_args!(
        "  {} delivered, {} dropped, {} still inside; {} hops",
        count(packets.delivered),
        count(packets.dropped),
        count(packets.inside),
        count(summary.hops),
    ))?;
    output.line(format_args!("  {} engine: {}", summary.engine, summary.engine_reason))?;
    if let Some(warm_up) = summary.warm_up_s {
        output.line(format_args!(
            "  warm-up: the first {} are in no figure but fingerprint and hops",
            seconds(warm_up)
        ))?;
    }
    if let Some(flows) = summary.stop_after_flows {
        output.line(format_args!("  stops when {} have finished", counted(flows, "flow")))?;
    }
    for drop in &summary.drops {
        let place = drop.port.as_ref().unwrap_or(&drop.device);
        output.line(format_args!("  {} dropped at {place}: {}", count(drop.packets), drop.reason))?;
    }
    for marks in &summary.marks {
        output.line(format_args!(
            "  {} marked at {}: congestion-experienced",
            count(marks.packets),
            marks.port
        ))?;
    }
    output.line(format_args!("  fingerprint {}", summary.fingerprint))?;
    if summary.measured.is_empty() {
        print_overview(&summary.overview, output)?;
    }
    print_connections(&summary.tcp, output)?;
    let divergence =
        |measured: &MeasuredSummary| Some(measured.tcp.as_ref()?.first_divergence.as_ref()?.at_s);
    let earliest = summary.measured.iter().filter_map(divergence).min_by(f64::total_cmp);
    let mut is_found = false;
    for measured in &summary.measured {
        // Of equals the first.
        let is_earliest = !is_found && divergence(measured) == earliest;
        is_found |= is_earliest && earliest.is_some();
        print_measured(measured, is_earliest, output)?;
    }
    for rtts in &summary.rtts {
        print_rtts(rtts, output)?;
    }
    print_kept("[accept]", &summary.accept, output)
}

/// What the network as a whole did.
fn print_overview(overview: &Overview, output: &mut Output) -> Result<(), CliError> {
    let Overview { delay_s, loss_ratio, offered_bps, carried_bps, busiest_ports } = overview;
    let rate = |bps: &Option<f64>| bps.map_or("undefined".to_owned(), bits_per_second);
    let loss = loss_ratio.map_or("undefined".to_owned(), |ratio| format!("{:.3} %", 100.0 * ratio));
    output.line(format_args!(
        "\nnetwork: offered {}, carried {}, loss {loss}",
        rate(offered_bps),
        rate(carried_bps)
    ))?;
    if let Some(delay) = delay_s {
        output.line(format_args!(
            "  delay: mean {}, p50 {}, p99 {}, p99.9 {}, max {}",
            seconds(delay.mean),
            seconds(delay.p50),
            seconds(delay.p99),
            seconds(delay.p999),
            seconds(delay.max)
        ))?;
    }
    if busiest_ports.is_empty() {
        return Ok(());
    }
    let heading = "busiest ports";
    let names = busiest_ports.iter().map(|port| port.port.chars().count() + 2);
    let width = names.max().unwrap_or(0).max(heading.len());
    output.line(format_args!(
        "  {heading:<width$} {:>9} {:>12} {:>10} {:>13}",
        "load", "carried", "dropped", "waiting p99"
    ))?;
    for port in busiest_ports {
        output.line(format_args!(
            "    {:<inner$} {:>9} {:>12} {:>10} {:>13}",
            port.port,
            port.load.map_or("-".to_owned(), |load| format!("{:.1} %", 100.0 * load)),
            bits_per_second(port.throughput_bps),
            count(port.packets_dropped),
            port.waiting_p99_s.map_or("-".to_owned(), seconds),
            inner = width - 2
        ))?;
    }
    Ok(())
}

/// Entries whose connections are listed.
const LISTED_ENTRIES: usize = 20;

fn print_connections(entries: &[ConnectionSummary], output: &mut Output) -> Result<(), CliError> {
    if entries.is_empty() {
        return Ok(());
    }
    let name = |entry: &ConnectionSummary| format!("{} ({})", entry.entry, entry.congestion_control);
    let listed = &entries[..entries.len().min(LISTED_ENTRIES)];
    let width = listed.iter().map(|entry| name(entry).chars().count()).max().unwrap_or(0);
    let heading = width + 2;
    output.line(format_args!(
        "\n{:<heading$} {:>9} {:>9} {:>12} {:>14} {:>12} {:>13} {:>8} {:>8}",
        "tcp", "flows", "finished", "goodput", "completion p50", "p99", "retransmitted", "timeouts", "marked"
    ))?;
    for entry in listed {
        let of = entry.completion_s;
        let time = |value: Option<f64>| value.map_or("-".to_owned(), seconds);
        output.line(format_args!(
            "  {:<width$} {:>9} {:>9} {:>12} {:>14} {:>12} {:>13} {:>8} {:>8}",
            name(entry),
            count(entry.flows),
            count(entry.finished),
            entry.goodput_bps.map_or("-".to_owned(), bits_per_second),
            time(of.map(|of| of.p50)),
            time(of.map(|of| of.p99)),
            count(entry.retransmissions),
            count(entry.timeouts),
            count(entry.delivered_ce),
        ))?;
    }
    match entries.len() - listed.len() {
        0 => {}
        1 => output.line("  1 more entry: see --json")?,
        more => output.line(format_args!("  {} more entries: see --json", count(more as u64)))?,
    }
    listed.iter().try_for_each(|entry| print_entry(entry, output))
}

/// What was offered, how fair it was, and the slowdowns by size: six lines at most, and a line of responses.
fn print_entry(entry: &ConnectionSummary, output: &mut Output) -> Result<(), CliError> {
    if let Some(offered) = &entry.offered {
        output.line(format_args!(
            "\n{}: offered {} in {:.1} flows/s of {:.0} B on average ({})",
            entry.entry,
            bits_per_second(offered.bps),
            offered.flows_per_s,
            offered.mean_bytes,
            offered.definition
        ))?;
    }
    if let Some(responses) = &entry.response_s {
        output.line(format_args!(
            "  {}: {} answered, response time p50 {}, p95 {}, p99 {}",
            entry.entry,
            counted(responses.requests, "request"),
            seconds(responses.p50),
            seconds(responses.p95),
            seconds(responses.p99),
        ))?;
    }
    let Some(all) = entry.slowdown else { return Ok(()) };
    let fair = entry.jain.map_or(String::new(), |jain| format!("; Jain's index of goodput {jain:.3}"));
    output.line(format_args!(
        "  slowdown of {} (completion / ideal): p50 {:.2}, p95 {:.2}, p99 {:.2}; {} unfinished{fair}",
        entry.entry,
        all.p50,
        all.p95,
        all.p99,
        count(entry.unfinished)
    ))?;
    for bin in entry.slowdown_by_size.iter().filter(|_| entry.slowdown_by_size.len() > 1) {
        let size = match bin.up_to_bytes {
            Some(most) => format!("up to {}", decimal_bytes(most)),
            None => format!("above {}", decimal_bytes(bin.above_bytes)),
        };
        output.line(format_args!(
            "    {size:<13} {:>9} flows: p50 {:>8.2}, p95 {:>8.2}, p99 {:>8.2}",
            count(bin.slowdowns.flows),
            bin.slowdowns.p50,
            bin.slowdowns.p95,
            bin.slowdowns.p99
        ))?;
    }
    Ok(())
}

/// Prints how a measured capture compares; `is_earliest`: no other one diverges before it.
pub(super) fn print_measured(
    measured: &MeasuredSummary,
    is_earliest: bool,
    output: &mut Output,
) -> Result<(), CliError> {
    let from = match measured.delay {
        DelayScope::Path => "from the injection",
        DelayScope::Hop => "from the ingress at this device",
    };
    output.line(format_args!("\n{} against {}", measured.vantage, measured.capture.display()))?;
    output.line(format_args!(
        "  {} matched, {} ambiguous, {} only simulated, {} only measured, {} measured without IP",
        count(measured.counts.matched),
        count(measured.counts.ambiguous),
        count(measured.counts.only_simulated),
        count(measured.counts.only_measured),
        count(measured.without_key),
    ))?;
    if measured.without_ingress > 0 {
        let reason = match (measured.delay, &measured.tcp) {
            (DelayScope::Path, Some(_)) => {
                "packets of TCP, whose delays are those of `delay = \"hop\"` alone"
            }
            _ => "without a measured ingress at this device",
        };
        output.line(format_args!(
            "  {} matched {reason}: left out of the delays",
            count(measured.without_ingress)
        ))?;
    }
    let loss = &measured.loss;
    output.line(format_args!(
        "  lost: {} simulated, {} measured ({} the same packets)",
        count(loss.simulated()),
        count(loss.measured()),
        count(loss.both)
    ))?;
    match &measured.delays {
        Some(delays) => {
            output.line(format_args!("  delay {from}"))?;
            print_delays(delays, Sides { simulated: "simulated", measured: "measured" }, output)?;
        }
        None if measured.counts.matched == 0 => {
            output.line("  no packet was matched: there is nothing to compare")?;
        }
        None => {}
    }
    measured.tcp.as_ref().map_or(Ok(()), |tcp| print_transmissions(tcp, is_earliest, output))
}

/// What the two sides of a comparison are called.
pub(super) struct Sides {
    pub simulated: &'static str,
    pub measured: &'static str,
}

/// Prints the metrics of delays.
pub(super) fn print_delays(
    delays: &DelayComparison,
    sides: Sides,
    output: &mut Output,
) -> Result<(), CliError> {
    let DelayComparison { delay_s: delay, relative_error: error, agreement, jitter_s, confidence, .. } =
        delays;
    let (simulated, real) = (&delay.simulated, &delay.measured);
    output
        .line(format_args!("  {:<8} {:>13} {:>13} {:>11}", "", sides.simulated, sides.measured, "error"))?;
    let rows = [
        ("mean", simulated.mean, real.mean, error.mean),
        ("p50", simulated.p50, real.p50, error.p50),
        ("p90", simulated.p90, real.p90, error.p90),
        ("p99", simulated.p99, real.p99, error.p99),
        ("p99.9", simulated.p999, real.p999, error.p999),
    ];
    for (name, simulated, real, error) in rows {
        output.line(format_args!(
            "  {name:<8} {:>13} {:>13} {:>11}",
            seconds(simulated),
            seconds(real),
            percent(error)
        ))?;
    }
    if let (Some(simulated), Some(real)) = (jitter_s.simulated, jitter_s.measured) {
        let error = (real != 0.0).then(|| (simulated - real) / real);
        output.line(format_args!(
            "  {:<8} {:>13} {:>13} {:>11}",
            "jitter",
            seconds(simulated),
            seconds(real),
            percent(error)
        ))?;
    }
    let figure = |value: Option<f64>| value.map_or("undefined".to_owned(), |value| format!("{value:.6}"));
    output.line(format_args!(
        "  w1_normalized {}   pearson {}   spearman {}   ks {:.4}",
        figure(agreement.w1_normalized),
        figure(agreement.pearson),
        figure(agreement.spearman),
        agreement.ks
    ))?;
    output.line(format_args!(
        "  absolute error per packet: mean {}, median {}, p99 {}",
        seconds(agreement.mae_s),
        seconds(agreement.median_abs_error_s),
        seconds(agreement.p99_abs_error_s)
    ))?;
    let Some(confidence) = confidence else { return Ok(()) };
    let interval = |interval: Option<Interval>| {
        interval.map_or("undefined".to_owned(), |found| format!("{:.6} to {:.6}", found.low, found.high))
    };
    output.line(format_args!(
        "  {:.0} % intervals (blocks of {} packets): w1_normalized {}, pearson {}",
        confidence.level * 100.0,
        count(confidence.block_packets as u64),
        interval(confidence.w1_normalized),
        interval(confidence.pearson)
    ))
}

/// Says that all bounds were kept, if there are any.
pub(super) fn print_kept(name: &str, accept: &AcceptSummary, output: &mut Output) -> Result<(), CliError> {
    match accept.bounds > 0 && accept.passed {
        true => output.line(format_args!("\n{name}: {} kept", counted(accept.bounds as u64, "bound"))),
        false => Ok(()),
    }
}

/// The verdict: a missed bound outranks a reader that has gone.
pub(super) fn judged(
    name: &str,
    accept: &AcceptSummary,
    printed: Result<(), CliError>,
) -> Result<(), CliError> {
    if accept.passed { printed } else { Err(CliError::AcceptMissed(missed(name, accept))) }
}

fn missed(name: &str, accept: &AcceptSummary) -> String {
    let line = |missed: &MissedBound| {
        let value = missed.value.map_or("undefined".to_owned(), |value| value.to_string());
        format!(
            "  {}: {} is {value}, {} {} was asked",
            missed.vantage, missed.metric, missed.relation, missed.bound
        )
    };
    let lines: Vec<String> = accept.missed.iter().map(line).collect();
    let bounds = counted(accept.bounds as u64, "bound");
    format!("{name}: {} of {bounds} missed\n{}", lines.len(), lines.join("\n"))
}

/// Connections whose round-trip times are listed.
const LISTED: usize = 10;

fn print_rtts(rtts: &RttComparison, output: &mut Output) -> Result<(), CliError> {
    output.line(format_args!("\nround-trip times at {} against {}", rtts.port, rtts.capture.display()))?;
    output.line(format_args!(
        "  {} measured: {} compared, {} not simulated, {} answered at the port itself; turnaround {}",
        count(rtts.measured),
        count(rtts.compared),
        count(rtts.not_simulated),
        count(rtts.answered_here),
        seconds(rtts.turnaround_s),
    ))?;
    let Some(all) = &rtts.all else { return Ok(()) };
    print_rtt_agreement("all", all, output)?;
    for side in rtts.connections.iter().take(LISTED) {
        let name =
            format!("connection {}, from {} answered by {}", side.connection, side.sender, side.responder);
        print_rtt_agreement(&name, &side.agreement, output)?;
    }
    match rtts.connections.len().saturating_sub(LISTED) {
        0 => Ok(()),
        more => output.line(format_args!("  {} more: see --json", counted(more as u64, "side"))),
    }
}

fn print_rtt_agreement(name: &str, rtts: &RttAgreement, output: &mut Output) -> Result<(), CliError> {
    output.line(format_args!("  {name}: {} round trips", count(rtts.samples)))?;
    let (simulated, real) = (&rtts.simulated_s, &rtts.measured_s);
    for (name, line) in [("simulated", simulated), ("measured", real)] {
        let figures =
            [("min", line.min), ("p50", line.p50), ("p90", line.p90), ("p99", line.p99), ("max", line.max)];
        let figures = figures.map(|(name, value)| format!("  {name} {:>11}", seconds(value)));
        output.line(format_args!("    {name:<10}{}", figures.concat()))?;
    }
    let figure = rtts.agreement.w1_normalized.map_or("undefined".to_owned(), |value| format!("{value:.6}"));
    output.line(format_args!("    w1_normalized {figure}"))
}
