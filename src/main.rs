//! A stand-in for the command line: the one verb `inspect`.

#[path = "cli/inspect.rs"]
mod inspect;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "taunet")]
enum Cli {
    Inspect {
        #[command(flatten)]
        args: inspect::InspectArgs,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let Cli::Inspect { args, json } = Cli::parse();
    match inspect::inspect(&args, json, &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
