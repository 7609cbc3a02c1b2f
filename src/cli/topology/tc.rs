//! `taunet topology tc FILE [--router OUT]`

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::error::to_stderr;
use crate::cli::write::{check_free, write_file};
use crate::cli::{CliError, Global, Output};
use crate::config::read_text;
use crate::limits::read_text_from;
use crate::prefix::Prefix;
use crate::topology::tc::{RouterOptions, TcOptions, convert};

/// Convert commands of Linux tc to the equivalent [ptm] table
///
/// Reads `qdisc add`, `class add` and `filter add` for one network device, one command per line, with or
/// without `tc` and `dev NAME`. Defaults of tc and the kernel are written out. Features that taunet does not
/// have are refused with their line. Differences from the kernel are reported on standard error and in the
/// table's comment.
#[derive(Debug, Args)]
pub struct Tc {
    /// The file with the commands, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The network device, where the commands name several
    #[arg(long = "dev", value_name = "NAME")]
    device: Option<String>,
    /// The device's MTU in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1500, value_parser = clap::value_parser!(u32).range(68..=65535))]
    mtu: u32,
    /// The device's txqueuelen in packets
    #[arg(long, value_name = "PACKETS", default_value_t = 1000)]
    txqueuelen: u32,
    /// The kernel's timer interrupts per second
    #[arg(long, default_value = "250")]
    hz: NonZeroU32,
    /// Write a topology: hosts s1, s2, ... and a router r1 with the table at its port to a host d
    #[arg(long, value_name = "TOML")]
    router: Option<PathBuf>,
    /// The addresses of s1, s2, ... [default: 10.9.1.0/24]
    #[arg(long, value_name = "PREFIX", requires = "router")]
    source: Vec<Prefix>,
    /// The addresses of d [default: 10.9.200.0/24]
    #[arg(long, value_name = "PREFIX", requires = "router")]
    destination: Option<Prefix>,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    remarks: Vec<String>,
}

impl Tc {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        if global.json && self.router.is_none() {
            return Err(CliError::Usage("--json reports on a file: name it with --router".to_owned()));
        }
        let (name, text) = match self.file.to_str() {
            Some("-") => ("standard input".to_owned(), standard_input()?),
            _ => (self.file.display().to_string(), read_text(&self.file)?),
        };
        let options =
            TcOptions { device: self.device, mtu: self.mtu, txqueuelen: self.txqueuelen, hz: self.hz };
        let converted = convert(&name, &text, &options)?;
        match &self.router {
            None => output.bytes(converted.to_toml().as_bytes())?,
            Some(path) => {
                check_free(path, self.force)?;
                let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("router");
                let given = self.source.into_iter().map(|prefix| prefix.0).collect::<Vec<_>>();
                let default = |text: &str| text.parse().expect("the default is a prefix");
                let router = RouterOptions {
                    name: stem.to_owned(),
                    sources: if given.is_empty() { vec![default("10.9.1.0/24")] } else { given },
                    destination: self.destination.map_or_else(|| default("10.9.200.0/24"), |prefix| prefix.0),
                };
                write_file(path, &converted.to_router(&router)?, self.force)?;
            }
        }
        if global.json {
            return output.json(&Report { remarks: converted.remarks });
        }
        for remark in converted.remarks.iter().filter(|_| !global.quiet) {
            to_stderr(remark);
        }
        Ok(())
    }
}

fn standard_input() -> Result<String, CliError> {
    let cannot = |error| CliError::Usage(format!("cannot read the commands from standard input: {error}"));
    read_text_from(std::io::stdin()).map_err(cannot)
}
