//! `taunet topology import FILE [-o OUT]`

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use serde::Serialize;

use crate::cli::error::to_stderr;
use crate::cli::write::{check_free, write_file};
use crate::cli::{CliError, Global, Output};
use crate::config::read_bytes;
use crate::topology::import::{Decoded, ImportFormat, ImportOptions, decode, import};
use crate::units::{Bandwidth, Distance, Rate, Span, UnitError};

/// Make a topology file from a network in another format
///
/// Reads GraphML (as of the Internet Topology Zoo and yEd), GML, DOT, SNDlib and node-link JSON (as of networkx, TopoHub
/// and D3). Every node becomes a router with one host, unless the file says that it is something else. What the file
/// does not say takes the defaults below. Every default and everything left out is reported on standard error and in
/// the comment of the file that is written.
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
    /// The unit of bandwidths that have none, such as Mbps [default: Mbps, reported]
    #[arg(long, value_name = "UNIT", alias = "capacity-unit", value_parser = unit::<Rate>)]
    bandwidth_unit: Option<Rate>,
    /// The unit of delays that have none, such as ms [default: such delays are left out]
    #[arg(long, value_name = "UNIT", value_parser = unit::<Span>)]
    delay_unit: Option<Span>,
    /// The unit of lengths that have none, such as km [default: such lengths are left out]
    #[arg(long, value_name = "UNIT", value_parser = unit::<Distance>)]
    length_unit: Option<Distance>,
    /// The unit of demands, where the file gives none
    #[arg(long, value_name = "UNIT", default_value = "Mbps", value_parser = unit::<Rate>)]
    demand_unit: Rate,
    /// The encoding of the file [default: what a byte order mark or the XML declaration says, else UTF-8]
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// Write the demands as CSV: source,destination,bandwidth_bps
    #[arg(long, value_name = "CSV")]
    demands: Option<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    force: bool,
}

/// A unit, `Mbps`, or a number of one, `100 kbps`.
fn unit<T: FromStr<Err = UnitError>>(text: &str) -> Result<T, UnitError> {
    match text.trim_start().starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        true => text.parse(),
        false => format!("1 {text}").parse(),
    }
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
        let name = self.file.display().to_string();
        let Decoded { text, remarks } = decode(&name, &read_bytes(&self.file)?, self.encoding.as_deref())?;
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
            bandwidth_unit: self.bandwidth_unit,
            delay_unit: self.delay_unit,
            length_unit: self.length_unit,
            demand_unit: self.demand_unit,
        };
        let mut imported = import(&name, &text, format, &options)?;
        imported.remarks.splice(0..0, remarks);
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
