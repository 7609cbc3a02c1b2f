//! `taunet report RUN`

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Global, Output};
use crate::report::{ReportError, write_report};

/// Write the report of a run again: report.html, one page that opens offline
///
/// `taunet run` writes it too; this makes it anew from the tables in the run directory, after an update of taunet or
/// when it was lost.
#[derive(Debug, Args)]
pub struct Report {
    /// The run directory
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

impl Report {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        let path = write_report(&self.run).map_err(|error| match error {
            ReportError::Unwritable { .. } => CliError::Failed(Box::new(error)),
            error => CliError::Usage(error.to_string()),
        })?;
        if global.json {
            output.json(&serde_json::json!({ "report": path }))
        } else if global.quiet {
            Ok(())
        } else {
            output.line(format_args!("written to {}", path.display()))
        }
    }
}
