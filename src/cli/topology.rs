//! `taunet topology show|generate|import|export|tc`

mod export;
mod generate;
mod import;
mod show;
mod tc;

use clap::{Args, Subcommand};

use super::{CliError, Global, Output};

/// Show, generate, import or export a topology; convert commands of Linux tc
#[derive(Debug, Args)]
pub struct TopologyVerb {
    /// What to do with it.
    #[command(subcommand)]
    action: Action,
}

/// One file per action.
#[derive(Debug, Subcommand)]
enum Action {
    Show(show::Show),
    Generate(generate::Generate),
    Import(import::ImportFile),
    Export(export::Export),
    Tc(tc::Tc),
}

impl TopologyVerb {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        match self.action {
            Action::Show(show) => show.run(global, output),
            Action::Generate(generate) => generate.run(global, output),
            Action::Import(import) => import.run(global, output),
            Action::Export(export) => export.run(global, output),
            Action::Tc(tc) => tc.run(global, output),
        }
    }
}
