//! A run and a capture.

use super::Compare;
use crate::cli::interrupt::Interrupt;
use crate::cli::progress::Bar;
use crate::cli::run::{judged, print_kept, print_measured};
use crate::cli::{CliError, Global, Output};
use crate::engine::EngineError;
use crate::run::{AgainError, Against, RunError, compare_run};
use crate::scenario::{DelayScope, TOLERANCE, VantageText};

pub(super) fn compare(
    arguments: &Compare,
    at: &VantageText,
    global: &Global,
    output: &mut Output,
) -> Result<(), CliError> {
    let options = arguments.options();
    let against = Against {
        capture: &arguments.second,
        keys: options.second,
        at,
        delay: if arguments.hop { DelayScope::Hop } else { DelayScope::Path },
        accept: arguments.bounds()?,
        clock: arguments.clock,
        tolerance: arguments.tolerance.unwrap_or(TOLERANCE),
        options: options.capture,
        registry: &global.registry,
    };
    let mut bar = Bar::new(global, &arguments.first.display().to_string());
    let interrupt = Interrupt::watch();
    let result = compare_run(&arguments.first, &against, |stage| {
        bar.show(stage);
        interrupt.as_control_flow()
    });
    bar.clear();
    let found = result.map_err(told)?;
    global.warn(&found.warnings);
    let printed = if global.json {
        output.json(&found)
    } else if global.quiet {
        Ok(())
    } else {
        print_measured(&found.measured, true, output)
            .and_then(|()| print_kept("--accept", &found.accept, output))
    };
    judged("--accept", &found.accept, printed)
}

fn told(error: AgainError) -> CliError {
    match error {
        AgainError::Config(error) => error.into(),
        AgainError::Run(error) => match *error {
            RunError::Engine(EngineError::Interrupted) => CliError::interrupted(),
            error if error.is_bad_input() => CliError::Usage(error.to_string()),
            error => CliError::Failed(Box::new(error)),
        },
        error => CliError::Usage(error.to_string()),
    }
}
