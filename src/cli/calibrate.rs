//! `taunet calibrate --ingress A... --egress B -o DIR`

use std::path::PathBuf;

use clap::Args;

use super::error::to_stderr;
use super::interrupt::Interrupt;
use super::reading::{Reading, keys_of_each};
use super::text::{count, seconds};
use super::write::check_is_no_hyphen;
use super::{CliError, Global, Output};
use crate::calibrate::{
    Bottleneck, BufferEstimate, CalibrateError, CalibrateOptions, CalibrateStage, Calibration, Counts,
    Figure, LossFinding, Score, calibrate, framing_text, parameters, path_figures, write,
};
use crate::capture::{CaptureDirection, CaptureKeys, InterfaceName};

/// Estimate the device between captures: its rate, burst, buffer and discipline
///
/// Reads one capture per ingress port of a device and one taken behind its egress port at the same time.
/// Writes a directory: topology.toml has the device and the evidence for it, scenario.toml replays the
/// captures through it, calibration.json has all figures, report.html explains them. Prints the estimates,
/// and the errors on the second half of the recording of a device that was fitted on the first.
#[derive(Debug, Args)]
pub struct Calibrate {
    /// The captures of the ingress ports, one per port (`-`: standard input)
    #[arg(long, required = true, num_args = 1.., value_name = "CAPTURE")]
    ingress: Vec<PathBuf>,
    /// The capture behind the egress port (`-`: standard input)
    #[arg(long, value_name = "CAPTURE")]
    egress: PathBuf,
    /// The directory to write
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Replace an earlier calibration
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    reading: Reading,
    /// Use only the packets of this interface of the ingress captures: its name, or its number as `taunet
    /// inspect` shows it; once for all captures, or once per capture
    #[arg(long, num_args = 1.., value_name = "NAME")]
    ingress_interface: Vec<InterfaceName>,
    /// Use only the packets of this direction of the ingress captures; once for all captures, or once per
    /// capture
    #[arg(long, num_args = 1.., value_enum, value_name = "DIRECTION")]
    ingress_direction: Vec<CaptureDirection>,
    /// Use only the packets of this interface of the egress capture
    #[arg(long, value_name = "NAME")]
    egress_interface: Option<InterfaceName>,
    /// Use only the packets of this direction of the egress capture
    #[arg(long, value_enum, value_name = "DIRECTION")]
    egress_direction: Option<CaptureDirection>,
}

impl Calibrate {
    fn options(&self) -> Result<CalibrateOptions, CliError> {
        let window = self.reading.unusual_window();
        let (interfaces, directions) = (&self.ingress_interface, &self.ingress_direction);
        let mut ingress_keys = keys_of_each("ingress", self.ingress.len(), interfaces, directions)?;
        ingress_keys.iter_mut().for_each(|keys| keys.reorder_window = window);
        Ok(CalibrateOptions {
            ingress: self.ingress.clone(),
            egress: self.egress.clone(),
            capture: self.reading.options(),
            ingress_keys,
            egress_keys: CaptureKeys {
                interface: self.egress_interface.clone(),
                direction: self.egress_direction,
                reorder_window: window,
            },
        })
    }

    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        check_is_no_hyphen(&self.out)?;
        let options = self.options()?;
        let interrupt = Interrupt::watch();
        let told = |error: CalibrateError| match error {
            CalibrateError::Interrupted => CliError::interrupted(),
            error if error.is_bad_input() => CliError::Usage(error.to_string()),
            error => CliError::Failed(Box::new(error)),
        };
        let calibration = calibrate(&options, |stage| {
            if global.verbose || global.draws_progress() {
                to_stderr(&match stage {
                    CalibrateStage::Reading => "reading the captures".to_owned(),
                    CalibrateStage::Estimating => "estimating the parameters".to_owned(),
                    CalibrateStage::Trying(number, of) => format!("simulating candidate {number} of {of}"),
                });
            }
            interrupt.as_control_flow()
        })
        .map_err(told)?;
        let place = write(&calibration, &self.out, self.force).map_err(told)?;
        global.warn(&calibration.warnings);
        if global.json {
            output.json(&calibration)
        } else if global.quiet {
            Ok(())
        } else {
            print(&calibration, output)?;
            output.line(format_args!(
                "\nwritten to {}; look at {}",
                place.display(),
                place.join("report.html").display()
            ))
        }
    }
}

fn print(calibration: &Calibration, output: &mut Output) -> Result<(), CliError> {
    let Calibration { packets, model, estimates, .. } = calibration;
    output.line(format_args!(
        "{} packets in, {} out, {} lost, {} left out",
        count(packets.ingress),
        count(packets.matched),
        count(packets.lost),
        count(packets.unknown)
    ))?;
    output.line(format_args!("  discipline   {}", model.words()))?;
    output.line(format_args!("  bottleneck   {}", model.bottleneck.words()))?;
    if let Some(processing) = &estimates.processing {
        output.line(format_args!(
            "  processing   {:.2} +- {:.2} us in the median, {:.2} us at least",
            processing.typical_us, processing.uncertainty_us, processing.least_us
        ))?;
    }
    if let Some(rate) = &estimates.rate {
        output.line(format_args!(
            "  rate         {:.6} +- {:.6} Mbps, taken as {} Mbps",
            rate.bps / 1e6,
            rate.uncertainty_bps / 1e6,
            model.rate_bps as f64 / 1e6
        ))?;
        if rate.overhead_uncertainty_bytes.is_finite() {
            output.line(format_args!(
                "  overhead     {:.1} +- {:.1} B per packet, taken as {}",
                rate.overhead_measured_bytes,
                rate.overhead_uncertainty_bytes,
                framing_text(&model.framing)
            ))?;
        }
    }
    if let Some(burst) = &estimates.burst {
        let figure = |figure: &Option<Figure>, unit: &str| {
            figure.map_or("not measurable alone".to_owned(), |figure| {
                format!("{:.1} +- {:.1} {unit}", figure.value, figure.uncertainty)
            })
        };
        if model.bottleneck != Bottleneck::Link {
            output.line(format_args!(
                "  burst        {}, taken as {} B",
                figure(&burst.bytes, "B"),
                model.burst_bytes
            ))?;
            output.line(format_args!(
                "  slack        {}, taken as {:.1} us",
                figure(&burst.slack_us, "us"),
                model.release_slack_ps as f64 / 1e6
            ))?;
        }
    }
    for (name, text) in path_figures(&calibration.path) {
        output.line(format_args!("  {name:<12} {text}"))?;
    }
    if let Some(aqm) = calibration.chosen_aqm() {
        output.line(format_args!("  {:<12} {}", aqm.kind.words(), parameters(aqm)))?;
    }
    if let LossFinding::TailDrop(buffer) = &estimates.losses
        && model.buffer.is_some()
    {
        output.line(format_args!("  buffer       {}", limit(buffer)))?;
    }
    for (index, class) in model.classes.iter().enumerate() {
        let quantum = class.quantum_bytes.map_or(String::new(), |bytes| format!(", quantum {bytes} B"));
        let buffer = class.buffer.map_or(String::new(), |buffer| format!(", buffer {}", limit(&buffer)));
        output.line(format_args!(
            "  class {}     {} {}: priority {}{quantum}{buffer}",
            10 * (index + 1),
            model.field.map_or("", |field| field.key()),
            model.takes(index),
            class.prio
        ))?;
    }
    for unknown in &calibration.not_identified {
        output.line(format_args!("  not identified: {unknown}"))?;
    }
    print_scores(calibration, output)
}

fn limit(buffer: &BufferEstimate) -> String {
    let unit = if buffer.counts == Counts::Bytes { "B" } else { "packets" };
    format!("{:.0} +- {:.0} {unit}", buffer.limit, buffer.uncertainty)
}

fn print_scores(calibration: &Calibration, output: &mut Output) -> Result<(), CliError> {
    let which = match calibration.held_out {
        Some(_) => "fitted on the first half, on the second",
        None => "fitted on all packets, on the same",
    };
    output.line(format_args!(
        "\n  {which:<56} {:>13} {:>9} {:>13} {:>10} {:>10} {:>13}",
        "w1_normalized", "pearson", "mean delay", "lost", "measured", "log loss"
    ))?;
    let row = |name: &str, score: &Score, log_loss: Option<f64>, output: &mut Output| {
        let figure = |value: Option<f64>, digits: usize| {
            value.map_or("undefined".to_owned(), |value| format!("{value:.digits$}"))
        };
        let agreement = score.agreement;
        output.line(format_args!(
            "  {name:<56} {:>13} {:>9} {:>13} {:>10} {:>10} {:>13}",
            figure(agreement.and_then(|agreement| agreement.w1_normalized), 6),
            figure(agreement.and_then(|agreement| agreement.pearson), 5),
            score.simulated_s.map_or("undefined".to_owned(), |delays| seconds(delays.mean)),
            count(score.loss.simulated()),
            count(score.loss.measured()),
            log_loss.map_or("-".to_owned(), |nats| format!("{nats:.1} nats")),
        ))
    };
    for trial in &calibration.trials {
        let own = if trial.top_owns_rate { ", the first sure of 95 %" } else { "" };
        row(
            &format!("{}, {}{own}", trial.words(), trial.bottleneck.words()),
            &trial.held_out,
            trial.log_loss_nats,
            output,
        )?;
    }
    let baselines = &calibration.baselines;
    row("propagation + serialization only", &baselines.no_queue, None, output)?;
    match (&baselines.mm1, baselines.load) {
        (Some(score), Some(load)) => {
            row(&format!("M/M/1 at the measured load, {load:.3}"), score, None, output)
        }
        _ => output.line("  M/M/1: not defined without a rate, or at a load of 1 or more"),
    }
}
