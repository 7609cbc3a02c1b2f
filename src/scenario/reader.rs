//! Resolves the names in a scenario file: files, captures, ports.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::capture::standard_input;
use crate::config::{ConfigError, Document, Spanned, find_file};
use crate::topology::{PortId, PortName, Topology, Vantage, VantageSpec};

/// Resolves the names of a scenario and collects the mistakes.
pub(super) struct Reader<'a> {
    pub(super) document: &'a Document,
    folder: &'a Path,
    pub(super) errors: Vec<ConfigError>,
    /// Files that traffic is read from, other than captures.
    pub(super) inputs: Vec<PathBuf>,
    /// What is odd about the entry of traffic that is read.
    pub(super) remarks: Vec<String>,
    /// The connected part of the network that each device is in, once it is asked for.
    pub(super) parts: Option<Vec<u32>>,
    /// Whether a capture is standard input.
    reads_standard_input: bool,
}

impl<'a> Reader<'a> {
    /// A reader of a document. Paths are relative to `folder`.
    pub(super) fn new(document: &'a Document, folder: &'a Path) -> Self {
        Reader {
            document,
            folder,
            errors: Vec::new(),
            inputs: Vec::new(),
            remarks: Vec::new(),
            parts: None,
            reads_standard_input: false,
        }
    }

    /// The mistakes, as one error.
    pub(super) fn finish(self) -> ConfigError {
        ConfigError::all(self.errors).unwrap_or_else(|| self.document.error(0..0, "cannot be read"))
    }

    pub(super) fn wrong(&mut self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.errors.push(self.document.error(span, message).with_help(help));
    }

    /// A file that the scenario names, from the scenario's folder; one that an override from the command line names, from
    /// the current directory.
    pub(super) fn file(&mut self, named: &Spanned<PathBuf>) -> Option<PathBuf> {
        let path = self.document.folder_at(&named.span(), self.folder).join(named.get_ref());
        match find_file(&path) {
            Ok(()) => Some(path),
            Err((message, help)) => {
                self.wrong(named.span(), message, help);
                None
            }
        }
    }

    /// A capture that the scenario names; `-` is standard input.
    pub(super) fn capture(&mut self, named: &Spanned<PathBuf>) -> Option<PathBuf> {
        if !standard_input::is_meant(named.get_ref()) {
            let path = self.file(named)?;
            if !is_text(&path) {
                return Some(path);
            }
            let help = "name a capture: pcap or pcapng, plain or compressed";
            let message = format!("`{}` is a text, not a capture", path.display());
            self.wrong(named.span(), message, Some(help.to_owned()));
            return None;
        }
        if std::mem::replace(&mut self.reads_standard_input, true) {
            let help = "save it to a file first: standard input can be read only once";
            self.wrong(named.span(), "two captures are read from standard input", Some(help.to_owned()));
            return None;
        }
        Some(named.get_ref().clone())
    }

    /// Resolves a vantage named in the scenario.
    pub(super) fn vantage(&mut self, spec: &VantageSpec, topology: &Topology) -> Option<Vantage> {
        let port = self.port(&spec.port, topology)?;
        Some(Vantage { port, direction: spec.direction })
    }

    pub(super) fn port(&mut self, name: &Spanned<PortName>, topology: &Topology) -> Option<PortId> {
        let found = topology.port_named(name.get_ref());
        found.map_err(|error| self.wrong(name.span(), error.to_string(), Some(error.help().to_owned()))).ok()
    }
}

/// Whether a file begins with printable characters alone, as no capture does. What cannot be read is not judged here.
fn is_text(path: &Path) -> bool {
    const LOOKED_AT: u64 = 64;
    // To open a named pipe is to wait for its writer.
    if !path.is_file() {
        return false;
    }
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LOOKED_AT).read_to_end(&mut start));
    let is_printable = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    read.is_ok() && !start.is_empty() && start.iter().all(is_printable)
}
