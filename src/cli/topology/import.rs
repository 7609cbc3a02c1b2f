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

/// Convert a network in another format to a topology file
///
/// Reads GraphML (Internet Topology Zoo, yEd), GML, DOT, SNDlib and node-link JSON (networkx, TopoHub, D3).
/// Every node becomes a router with one host, unless the file says otherwise. Values that the file does not
/// give take the defaults below. Standard error and a comment in the written file report every default and
/// all that is left out.
#[derive(Debug, Args)]
pub struct ImportFile {
    /// The file to read
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The topology file to write [default: standard output]
    #[arg(short, long, value_name = "TOML")]
    out: Option<PathBuf>,
    /// The format [default: by extension and content]
    #[arg(long, value_enum)]
    format: Option<ImportFormat>,
    /// The topology's name [default: the file's]
    #[arg(long)]
    name: Option<String>,
    /// The bandwidth of links for which the file gives none
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
    /// The unit of demands for which the file gives none
    #[arg(long, value_name = "UNIT", default_value = "Mbps", value_parser = unit::<Rate>)]
    demand_unit: Rate,
    /// The encoding of the file [default: by its byte order mark or XML declaration, else UTF-8]
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// Write the demands as CSV: source,destination,bandwidth_bps
    #[arg(long, value_name = "CSV")]
    demands: Option<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    force: bool,
}

/// A unit, such as `Mbps`, or a multiple of one, such as `100 kbps`.
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
                "the format of {} is unknown: write --format graphml, gml, dot, sndlib or json",
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
        // Both files or neither.
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
