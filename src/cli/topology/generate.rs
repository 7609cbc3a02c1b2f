//! `taunet topology generate KIND ... [-o FILE]`

use std::path::PathBuf;

use clap::Args;

use crate::cli::write::write_file;
use crate::cli::{CliError, Global, Output};
use crate::topology::generate::GenerateSpec;
use crate::topology::{Draft, FileText, TimingText};
use crate::units::{Bandwidth, Span};

/// Write a topology file with a generated network
///
/// `taunet topology generate fat-tree --k 4 -o fat-tree.toml` writes a file with a [generate] table. The
/// flags below apply to every kind; `taunet topology generate KIND --help` lists those of a kind.
#[derive(Debug, Args)]
pub struct Generate {
    /// The shape.
    #[command(subcommand)]
    kind: GenerateSpec,
    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE", global = true)]
    out: Option<PathBuf>,
    /// Write every device and link instead of a [generate] table
    #[arg(long, global = true)]
    expand: bool,
    /// The topology's name [default: the kind]
    #[arg(long, global = true)]
    name: Option<String>,
    /// The bandwidth of every link
    #[arg(long, global = true, default_value = "10 Gbps")]
    bandwidth: Bandwidth,
    /// The propagation delay of links that have no length
    #[arg(long, global = true, default_value = "0 s")]
    delay: Span,
    /// The bandwidth of the hosts' links [default: as of the other links]
    #[arg(long, global = true)]
    access_bandwidth: Option<Bandwidth>,
    /// The propagation delay of the hosts' links [default: as of the other links]
    #[arg(long, global = true)]
    access_delay: Option<Span>,
    /// Replace an existing file
    #[arg(long, global = true)]
    force: bool,
}

impl Generate {
    pub(super) fn run(self, _global: &Global, output: &mut Output) -> Result<(), CliError> {
        let draft =
            self.kind.draft().map_err(|error| CliError::Usage(format!("{error} ({})", error.help())))?;
        let file = FileText {
            comment: Vec::new(),
            name: self.name.unwrap_or_else(|| self.kind.name()),
            link: TimingText { bandwidth: Some(self.bandwidth), delay: Some(self.delay), length: None },
            access_link: TimingText {
                bandwidth: self.access_bandwidth,
                delay: self.access_delay,
                length: None,
            },
            generate: (!self.expand).then_some(self.kind),
        };
        let text = file.with(if self.expand { &draft } else { &NOTHING });
        // The name may be invalid: the file must be readable.
        crate::topology::Topology::from_toml("the generated file", &text)?;
        match &self.out {
            Some(path) => write_file(path, &text, self.force),
            None => output.bytes(text.as_bytes()),
        }
    }
}

/// The keys that are added to a [generate] table.
static NOTHING: Draft = Draft { devices: Vec::new(), links: Vec::new() };
