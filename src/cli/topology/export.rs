//! `taunet topology export FILE --format FORMAT -o OUT`

use std::path::PathBuf;

use clap::Args;

use crate::cli::write::write_file;
use crate::cli::{CliError, Global, Output};
use crate::topology::Topology;
use crate::topology::export::{ExportFormat, ExportOptions};

/// Write a topology for other programs: DOT, GraphML, or an SVG picture
#[derive(Debug, Args)]
pub struct Export {
    /// The topology file
    #[arg(value_name = "TOML")]
    file: PathBuf,
    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The format [default: by the extension of --out]
    #[arg(long, value_enum)]
    format: Option<ExportFormat>,
    /// Label each link of a picture with its bandwidth and delay
    #[arg(long)]
    link_labels: bool,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

impl Export {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        let format =
            self.format.or_else(|| self.out.as_deref().and_then(ExportFormat::of)).ok_or_else(|| {
                CliError::Usage("the format is unknown: write --format dot, graphml or svg".to_owned())
            })?;
        let topology = Topology::load_with(&self.file, &global.registry)?;
        let text = topology.export(format, ExportOptions { link_labels: self.link_labels });
        match &self.out {
            Some(path) => write_file(path, &text, self.force),
            None => output.bytes(text.as_bytes()),
        }
    }
}
