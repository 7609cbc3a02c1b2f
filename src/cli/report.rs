//! `taunet report RUN`

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Global, Output};
use crate::report::{ReportError, write_report};

/// Write the report of a run again: report.html, one page that opens offline
///
/// `taunet run` writes it too. This command writes it again from the tables of the run directory, for example
/// after an update of taunet.
#[derive(Debug, Args)]
pub struct Report {
    /// The run directory
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

impl Report {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        if self.run.is_file() {
            return Err(CliError::Usage(format!(
                "{} is a file, not a run directory: name a directory that `taunet run` wrote",
                self.run.display()
            )));
        }
        if self.run.join("jobs").is_dir() && !self.run.join("summary.json").exists() {
            return Err(CliError::Usage(format!(
                "{0} is the directory of a sweep or a search, whose report is {0}/report.html: the command that wrote it \
                 writes it again, and runs nothing that is done",
                self.run.display()
            )));
        }
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
