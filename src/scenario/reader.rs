//! Resolves the names in a scenario file: files, captures, ports.

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
    /// Whether a capture is standard input.
    reads_standard_input: bool,
}

impl<'a> Reader<'a> {
    /// A reader of a document. Paths are relative to `folder`.
    pub(super) fn new(document: &'a Document, folder: &'a Path) -> Self {
        Reader { document, folder, errors: Vec::new(), inputs: Vec::new(), reads_standard_input: false }
    }

    /// The mistakes, as one error.
    pub(super) fn finish(self) -> ConfigError {
        ConfigError::all(self.errors).unwrap_or_else(|| self.document.error(0..0, "cannot be read"))
    }

    pub(super) fn wrong(&mut self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.errors.push(self.document.error(span, message).with_help(help));
    }

    /// Resolves a file named in the scenario, relative to the scenario's folder.
    pub(super) fn file(&mut self, named: &Spanned<PathBuf>) -> Option<PathBuf> {
        let path = self.folder.join(named.get_ref());
        match find_file(&path) {
            Ok(()) => Some(path),
            Err((message, help)) => {
                self.wrong(named.span(), message, help);
                None
            }
        }
    }

    /// Resolves a capture named in the scenario, relative to the scenario's folder. `-` is standard input.
    pub(super) fn capture(&mut self, named: &Spanned<PathBuf>) -> Option<PathBuf> {
        if !standard_input::is_meant(named.get_ref()) {
            return self.file(named);
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
