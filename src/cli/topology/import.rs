//! `taunet topology import FILE [-o OUT]`

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::error::to_stderr;
use crate::cli::write::{check_free, write_file};
use crate::cli::{CliError, Global, Output};
use crate::config::read_text;
use crate::topology::import::{ImportFormat, ImportOptions, import};
use crate::units::{Bandwidth, Rate, Span};

/// Make a topology file from a network in another format
///
/// Reads GraphML and GML (as of the Internet Topology Zoo), DOT, SNDlib XML and node-link JSON (as of networkx and
/// TopoHub). Every node becomes a router with one host. What the file does not say takes the defaults below, and is
/// told on standard error and in the comment of the file that is written.
#[derive(Debug, Args)]
pub struct ImportFile {
    /// The file to read
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The topology file to write [default: standard output]
    #[arg(short, long, value_name = "TOML")]
    out: Option<PathBuf>,
    /// The format [default: what extension and content tell]
    #[arg(long, value_enum)]
    format: Option<ImportFormat>,
    /// The topology's name [default: the file's]
    #[arg(long)]
    name: Option<String>,
    /// The bandwidth of links that have none
    #[arg(long, default_value = "10 Gbps")]
    bandwidth: Bandwidth,
    /// The propagation delay of links without delay, length and coordinates
    #[arg(long, default_value = "0 s")]
    delay: Span,
    /// Add no hosts
    #[arg(long, conflicts_with = "demands")]
    no_hosts: bool,
    /// The bandwidth of the links to the hosts
    #[arg(long, default_value = "100 Gbps")]
    access_bandwidth: Bandwidth,
    /// What a capacity of 1 stands for, where the file gives no unit
    #[arg(long, value_name = "RATE", default_value = "1 Mbps")]
    capacity_unit: Rate,
    /// What a demand of 1 stands for
    #[arg(long, value_name = "RATE", default_value = "1 Mbps")]
    demand_unit: Rate,
    /// Write the demands as CSV: source,destination,bandwidth_bps
    #[arg(long, value_name = "CSV")]
    demands: Option<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    force: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    name: String,
    devices: usize,
    links: usize,
    demands: usize,
    remarks: Vec<String>,
}

impl ImportFile {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        let text = read_text(&self.file)?;
        let format = self.format.or_else(|| ImportFormat::of(&self.file, &text)).ok_or_else(|| {
            CliError::Usage(format!(
                "the format of {} is not known: write --format graphml, gml, dot, sndlib or json",
                self.file.display()
            ))
        })?;
        if global.json && self.out.is_none() {
            return Err(CliError::Usage("--json reports on a file: name it with --out".to_owned()));
        }
        let options = ImportOptions {
            name: self.name,
            hosts: !self.no_hosts,
            bandwidth: self.bandwidth,
            delay: self.delay,
            access_bandwidth: self.access_bandwidth,
            capacity_unit: self.capacity_unit,
            demand_unit: self.demand_unit,
        };
        let imported = import(&self.file.display().to_string(), &text, format, &options)?;
        if self.demands.is_some() && imported.demands.is_empty() {
            return Err(CliError::Usage(format!("there are no demands in {}", self.file.display())));
        }
        // Both files, or none.
        for path in [&self.out, &self.demands].into_iter().flatten() {
            check_free(path, self.force)?;
        }
        if let Some(path) = &self.demands {
            write_file(path, &imported.demands_csv(), self.force)?;
        }
        match &self.out {
            Some(path) => write_file(path, &imported.to_toml(), self.force)?,
            None => output.bytes(imported.to_toml().as_bytes())?,
        }
        if global.json {
            return output.json(&Report {
                devices: imported.draft.devices.len(),
                links: imported.draft.links.len(),
                demands: imported.demands.len(),
                name: imported.name,
                remarks: imported.remarks,
            });
        }
        for remark in imported.remarks.iter().filter(|_| !global.quiet) {
            to_stderr(remark);
        }
        Ok(())
    }
}
