//! `taunet compare A B`

mod path;
mod run;
mod runs;

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde::de::DeserializeOwned;

use super::reading::Reading;
use super::{CliError, Global, Output};
use crate::capture::{CaptureDirection, CaptureKeys, InterfaceName};
use crate::compare::CompareOptions;
use crate::config::Document;
use crate::scenario::{CaptureClock, VantageText};
use crate::units::Span;

/// Compare two captures of one path, a run with a capture, or two runs, packet by packet
///
/// Two captures: prints one-way delays from the first capture to the second, losses, reordering, and offset and skew of the
/// two clocks. Packets are matched by fields that routers leave unchanged: addresses, protocol, ports, IP identification,
/// length, the protocol's own sequence number, and the payload that both captures hold.
///
/// A run directory and a capture taken --at a port of its network: prints the error of the simulation. The run is simulated
/// again from its inputs, which must not have changed.
///
/// Two run directories of the same traffic: prints delays and losses in both, packet by packet. The first run is the
/// baseline; changes are (second - first) / first. --html writes a page that overlays the two.
///
/// Exit code 3: a bound of --accept was missed.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("written").args(["flows", "html"]).multiple(true)))]
pub struct Compare {
    /// The capture that packets pass first (`-`: standard input), or a run directory; of two runs, the baseline
    first: PathBuf,
    /// The capture that packets pass second (`-`: standard input), or a run directory
    second: PathBuf,
    /// The port and direction where the capture was taken, such as "r1:1 egress": for a run and a capture
    #[arg(long, value_name = "VANTAGE")]
    at: Option<VantageText>,
    /// Count delays from the ingress at the device of the vantage instead of from injection
    #[arg(long, requires = "at")]
    hop: bool,
    /// The difference in time from which the same TCP packet of a simulated connection counts as diverged [default: 100 us]
    #[arg(long, value_name = "TIME", requires = "at")]
    tolerance: Option<Span>,
    /// Bounds to keep, such as w1_normalized=0.05 mae=1ms; of two captures, such as delay_p99=5ms loss_ratio=0.01
    #[arg(long, value_name = "METRIC=BOUND", num_args = 1..)]
    accept: Vec<String>,
    #[command(flatten)]
    reading: Reading,
    /// Of the first capture, only the packets of this interface: its name, or the number that `inspect` gives
    #[arg(long, value_name = "NAME")]
    interface_first: Option<InterfaceName>,
    /// Of the first capture, only the packets of this direction
    #[arg(long, value_enum, value_name = "DIRECTION")]
    direction_first: Option<CaptureDirection>,
    /// Of the second capture, only the packets of this interface
    #[arg(long, value_name = "NAME")]
    interface_second: Option<InterfaceName>,
    /// Of the second capture, only the packets of this direction
    #[arg(long, value_enum, value_name = "DIRECTION")]
    direction_second: Option<CaptureDirection>,
    /// A router between the captures translates addresses or ports: match flows in a first pass
    #[arg(long)]
    nat: bool,
    /// The maximum difference of a delay from the usual one, by the clocks of the captures
    #[arg(long, value_name = "TIME", default_value = "10 s")]
    max_delay: Span,
    /// The clock of the second capture
    #[arg(long, value_enum, default_value_t)]
    clock: CaptureClock,
    /// The minimum delay of a packet. With packets of one direction only, the offset of the clocks is relative to it
    #[arg(long, value_name = "TIME", default_value = "0 s")]
    min_delay: Span,
    /// Of two captures: write a table with one row per flow; the extension (.csv or .parquet) chooses the format
    #[arg(long, value_name = "OUT")]
    flows: Option<PathBuf>,
    /// Of two runs: write a page that overlays their curves, and shows ports and flows side by side
    #[arg(long, value_name = "PAGE")]
    html: Option<PathBuf>,
    /// Replace an existing table or page
    #[arg(long, requires = "written")]
    force: bool,
}

impl Compare {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        if self.flows.is_some() && (self.first.is_dir() || self.second.is_dir()) {
            let message = "--flows is for two captures: a run has the tables `flows` and `agreement`";
            return Err(CliError::Usage(message.to_owned()));
        }
        if self.html.is_some() && !(self.first.is_dir() && self.second.is_dir()) {
            let message = "--html is for two runs: name two run directories";
            return Err(CliError::Usage(message.to_owned()));
        }
        self.check_choices()?;
        match (self.first.is_dir(), self.second.is_dir(), &self.at) {
            (true, true, None) => runs::compare(&self, global, output),
            (true, false, Some(at)) => run::compare(&self, at, global, output),
            (true, false, None) => Err(CliError::Usage(format!(
                "where was {} taken? write for example --at \"r1:1 egress\"",
                self.second.display()
            ))),
            (false, true, _) => Err(CliError::Usage("write the run first, and then the capture".to_owned())),
            (_, _, Some(_)) => Err(CliError::Usage("--at is for a run directory and a capture".to_owned())),
            (false, false, None) => path::compare(&self, global, output),
        }
    }

    /// That interfaces and directions are chosen of captures.
    fn check_choices(&self) -> Result<(), CliError> {
        let chosen = [
            (&self.first, self.interface_first.is_some() || self.direction_first.is_some(), "first"),
            (&self.second, self.interface_second.is_some() || self.direction_second.is_some(), "second"),
        ];
        match chosen.into_iter().find(|(path, is_chosen, _)| *is_chosen && path.is_dir()) {
            Some((path, _, side)) => Err(CliError::Usage(format!(
                "--interface-{side} and --direction-{side} are for a capture, and {} is a run directory",
                path.display()
            ))),
            None => Ok(()),
        }
    }

    fn options(&self) -> CompareOptions {
        CompareOptions {
            capture: self.reading.options(),
            first: CaptureKeys {
                interface: self.interface_first.clone(),
                direction: self.direction_first,
                reorder_window: None,
            },
            second: CaptureKeys {
                interface: self.interface_second.clone(),
                direction: self.direction_second,
                reorder_window: None,
            },
            nat: self.nat,
            max_delay: self.max_delay,
            clock: self.clock,
            min_delay: self.min_delay,
        }
    }

    /// The bounds, as a scenario's `[accept]` has them.
    fn bounds<T: DeserializeOwned>(&self) -> Result<T, CliError> {
        let mut text = String::new();
        for bound in &self.accept {
            let Some((metric, value)) = bound.split_once('=') else {
                return Err(CliError::Usage(format!(
                    "`{bound}` is no bound: write for example --accept w1_normalized=0.05"
                )));
            };
            let (metric, value) = (metric.trim(), value.trim().trim_matches('"'));
            // A quantity is a text to TOML.
            match value.parse::<f64>() {
                Ok(_) => text.push_str(&format!("{metric} = {value}\n")),
                Err(_) => text.push_str(&format!("{metric} = {value:?}\n")),
            }
        }
        Ok(Document::parse("--accept", &text)?.deserialize()?)
    }
}
