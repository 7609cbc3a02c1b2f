//! The command line: arguments in, exit code out. All computation is in the library.
//!
//! One file per verb. A verb is a [`clap::Args`] struct in a file of its own, a variant of
//! [`Verb`], and its line in `Verb::run`.
//!
//! The result goes to standard output, errors and the log to standard error. Exit codes: 0 success,
//! 1 failure, 2 bad usage or a bad input file, 3 an `[accept]` bound was missed, 128 + N ended by signal N: 130 for Ctrl-C.

mod calibrate;
mod check;
mod compare;
mod completions;
mod error;
mod inspect;
mod interrupt;
mod output;
mod progress;
mod reading;
mod report;
mod run;
mod sweep;
mod tune;
mod text;
mod topology;
mod train;
mod transmissions;
mod write;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Registry;
use crate::write::take_recovered;
pub use error::CliError;
pub use output::Output;

/// A discrete-event network simulator that is checked against recorded captures.
#[derive(Debug, Parser)]
#[command(name = "taunet", version, arg_required_else_help = true)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Print errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Report progress on standard error
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Draw a progress bar (auto: on a terminal only)
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
    /// The kinds of another crate that files may name.
    #[arg(skip)]
    pub registry: Registry,
}

impl Global {
    /// Whether to draw a progress bar on standard error.
    pub fn draws_progress(&self) -> bool {
        self.progress == Progress::Auto && !self.quiet && std::io::stderr().is_terminal()
    }

    /// Prints warnings.
    fn warn<T: std::fmt::Display>(&self, warnings: &[T]) {
        for warning in warnings.iter().filter(|_| !self.quiet) {
            error::to_stderr(&format!("warning: {warning}"));
        }
    }
}

/// When to draw a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// On a terminal.
    Auto,
    /// Not at all.
    Never,
}

/// The verbs, in the order of typical use.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
#[allow(missing_docs)] // A verb's help is the text at its own struct: text here would hide it.
pub enum Verb {
    Inspect(inspect::Inspect),
    Check(check::Check),
    Topology(topology::TopologyVerb),
    Run(run::Run),
    Sweep(sweep::SweepVerb),
    Tune(tune::TuneVerb),
    Compare(compare::Compare),
    Calibrate(calibrate::Calibrate),
    Train(train::Train),
    Report(report::Report),
    Completions(completions::Completions),
}

impl Verb {
    fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        match self {
            Verb::Inspect(inspect) => inspect.run(global, output),
            Verb::Check(check) => check.run(global, output),
            Verb::Topology(topology) => topology.run(global, output),
            Verb::Run(run) => run.run(global, output),
            Verb::Sweep(sweep) => sweep.run(global, output),
            Verb::Tune(tune) => tune.run(global, output),
            Verb::Compare(compare) => compare.run(global, output),
            Verb::Calibrate(calibrate) => calibrate.run(global, output),
            Verb::Train(train) => train.run(global, output),
            Verb::Report(report) => report.run(global, output),
            Verb::Completions(completions) => completions.run(output),
        }
    }
}

/// Prints the help or the version, or what is wrong with the arguments.
fn print_help(error: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    match error.print().and_then(|()| std::io::stdout().flush()) {
        Err(printed) if !error.use_stderr() => {
            let printed = CliError::from(printed);
            printed.print();
            printed.exit_code()
        }
        _ => code,
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    main_with(Registry::default())
}

/// The same, where files may also name the kinds of `registry`: disciplines, sources, forwarding rules and observers of
/// another crate.
pub fn main_with(registry: Registry) -> ExitCode {
    if let Err(error) = interrupt::listen() {
        error::to_stderr(&format!("warning: signals end the process as they always do: {error}"));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => Cli { global: Global { registry, ..cli.global }, ..cli },
        Err(error) => return print_help(&error),
    };
    let mut output = Output::stdout();
    let done = cli.verb.run(&cli.global, &mut output);
    // The result is printed before its errors.
    let printed = output.flush().map_err(CliError::from);
    let recovered = |place: std::path::PathBuf| {
        format!(
            "an earlier run was killed while it replaced a result: the new one was complete, and is now {}",
            place.display()
        )
    };
    cli.global.warn(&take_recovered().into_iter().map(recovered).collect::<Vec<_>>());
    let errors: Vec<CliError> = [done.err(), printed.err()].into_iter().flatten().collect();
    for error in &errors {
        error.print();
    }
    errors.first().map_or(ExitCode::SUCCESS, CliError::exit_code)
}
