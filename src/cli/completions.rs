//! `taunet completions SHELL`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, CliError, Output};

/// Print the completion script for a shell
///
/// For bash: taunet completions bash > ~/.local/share/bash-completion/completions/taunet
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, output: &mut Output) -> Result<(), CliError> {
        // clap_complete panics where it cannot write: a closed pipe is handled below.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "taunet", &mut script);
        output.bytes(&script)
    }
}
