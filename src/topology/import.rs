//! Imports networks: GraphML, GML, DOT, SNDlib and node-link JSON become a topology file.
//!
//! [`decode`] converts the bytes of a file to text. A reader per format extracts nodes, edges and demands
//! with their attributes, as texts. `facts` interprets the attributes, and `convert` makes a router with a
//! host of each node. [`ImportOptions`] supplies the defaults of missing values. [`Imported::remarks`]
//! reports every default, every assumption and everything that is left out.
//!
//! To add a format: one file here that makes a `Network`, and one line each in [`ImportFormat`] and in
//! `read`.

mod attributes;
mod convert;
mod dot;
mod encoding;
mod facts;
mod gml;
mod graphml;
mod keys;
mod labels;
mod names;
mod network;
mod node_link;
mod notes;
mod pairs;
mod quantity;
mod reason;
mod sndlib;
mod words;
mod xml;

pub use encoding::{Decoded, decode};

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use super::{Draft, FileText};
use crate::config::{ConfigError, Document, SourceText};
use crate::table::guarded;
use crate::topology::Topology;
use crate::units::{Bandwidth, Distance, Rate, Span};
use network::Network;

/// The format of a network to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum ImportFormat {
    /// GraphML, as of the Internet Topology Zoo and yEd
    Graphml,
    /// GML, as of the Internet Topology Zoo
    Gml,
    /// Graphviz
    Dot,
    /// SNDlib: XML or its native format
    Sndlib,
    /// Node-link JSON, as of networkx, TopoHub and D3
    Json,
}

impl ImportFormat {
    /// The format according to a file's name and content: `.xml` may be GraphML or SNDlib.
    pub fn of(path: &Path, text: &str) -> Option<Self> {
        if sndlib::is_native(text) {
            return Some(ImportFormat::Sndlib);
        }
        let extension = path.extension()?.to_str()?.to_lowercase();
        Some(match extension.as_str() {
            "graphml" => ImportFormat::Graphml,
            "gml" => ImportFormat::Gml,
            "dot" | "gv" => ImportFormat::Dot,
            "json" | "mn" => ImportFormat::Json,
            "xml" if text.contains("<graphml") => ImportFormat::Graphml,
            "xml" => ImportFormat::Sndlib,
            _ => return None,
        })
    }

    /// The format according to the text alone.
    fn seen_in(text: &str) -> Option<Self> {
        let text = text.trim_start();
        let mut words = text.split_whitespace();
        let first = words.next()?.to_lowercase();
        Some(match first.as_str() {
            _ if sndlib::is_native(text) || text.contains("<networkStructure") => ImportFormat::Sndlib,
            _ if text.contains("<graphml") => ImportFormat::Graphml,
            _ if text.starts_with(['{', '[']) => ImportFormat::Json,
            "graph[" | "creator" => ImportFormat::Gml,
            "graph" if words.next()?.starts_with('[') => ImportFormat::Gml,
            "graph" | "digraph" | "strict" | "graph{" | "digraph{" => ImportFormat::Dot,
            _ => return None,
        })
    }

    /// Its name in messages.
    fn name(self) -> &'static str {
        match self {
            ImportFormat::Graphml => "GraphML",
            ImportFormat::Gml => "GML",
            ImportFormat::Dot => "DOT",
            ImportFormat::Sndlib => "SNDlib",
            ImportFormat::Json => "node-link JSON",
        }
    }

    /// Its name on the command line.
    fn option(self) -> &'static str {
        match self {
            ImportFormat::Graphml => "graphml",
            ImportFormat::Gml => "gml",
            ImportFormat::Dot => "dot",
            ImportFormat::Sndlib => "sndlib",
            ImportFormat::Json => "json",
        }
    }
}

/// The defaults of missing values.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The topology's name, instead of that in the file.
    pub name: Option<String>,
    /// Whether to add a host at each node.
    pub hosts: bool,
    /// The bandwidth of links without one.
    pub bandwidth: Bandwidth,
    /// The propagation delay of links without delay and length whose ends have no coordinates.
    pub delay: Span,
    /// The bandwidth of the links to added hosts.
    pub access_bandwidth: Bandwidth,
    /// The unit of bandwidths without a unit; `None` assumes [`MEGABIT`](Self::MEGABIT).
    pub bandwidth_unit: Option<Rate>,
    /// The unit of delays without a unit; `None` leaves out such delays.
    pub delay_unit: Option<Span>,
    /// The unit of lengths without a unit; `None` leaves out such lengths.
    pub length_unit: Option<Distance>,
    /// The unit of demands. Most files state none.
    pub demand_unit: Rate,
}

impl ImportOptions {
    /// The default unit of bandwidths and demands: 1 Mbps.
    pub const MEGABIT: Rate = Rate::from_bps(1_000_000).expect("above zero");
}

impl Default for ImportOptions {
    fn default() -> Self {
        let gigabits = |number: u64| {
            Rate::from_bps(number * 1_000_000_000).map_or(Bandwidth::Unlimited, Bandwidth::Limited)
        };
        ImportOptions {
            name: None,
            hosts: true,
            bandwidth: gigabits(10),
            delay: Span::ZERO,
            access_bandwidth: gigabits(100),
            bandwidth_unit: None,
            delay_unit: None,
            length_unit: None,
            demand_unit: Self::MEGABIT,
        }
    }
}

/// Traffic from one host to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The name of the sending host.
    pub source: String,
    /// The name of the receiving host.
    pub destination: String,
    /// The rate.
    pub bandwidth: Rate,
}

/// An imported network.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The topology's name.
    pub name: String,
    /// Its devices and links.
    pub draft: Draft,
    /// Its demands, in the order of the file.
    pub demands: Vec<Demand>,
    /// Assumptions, and what was left out, for the user.
    pub remarks: Vec<String>,
    file: FileText,
}

impl Imported {
    /// The topology file.
    pub fn to_toml(&self) -> String {
        self.file.with(&self.draft)
    }

    /// The demands as CSV: `source,destination,bandwidth_bps`.
    pub fn demands_csv(&self) -> String {
        let mut text = "source,destination,bandwidth_bps\n".to_owned();
        for Demand { source, destination, bandwidth } in &self.demands {
            // Names have no commas and no quotes: the importer cleaned them.
            let [source, destination] = [source, destination].map(|name| guarded(name));
            let _ = writeln!(text, "{source},{destination},{}", bandwidth.as_bps());
        }
        text
    }
}

/// Imports the network in `text`. `name` is the name of its file in errors.
///
/// # Errors
/// The text is not in this format or does not describe a network, with the position.
///
/// # Examples
/// ```
/// use taunet::topology::Topology;
/// use taunet::topology::import::{ImportFormat, ImportOptions, import};
///
/// let text = r#"graph { a -- b [bandwidth="1 Gbps", delay="2 ms"]; b -- c }"#;
/// let imported = import("abc.dot", text, ImportFormat::Dot, &ImportOptions::default())?;
/// assert!(imported.remarks.contains(&"1 link has no bandwidth: 10 Gbps assumed".to_owned()));
/// let topology = Topology::from_toml("abc.toml", &imported.to_toml())?;
/// assert_eq!(topology.devices().len(), 6); // a router and a host for each node
/// # Ok::<(), taunet::config::ConfigError>(())
/// ```
pub fn import(
    name: &str,
    text: &str,
    format: ImportFormat,
    options: &ImportOptions,
) -> Result<Imported, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
    let source = ImportedText(Arc::new(SourceText { name: name.to_owned(), text }));
    let network = read(&source, format).map_err(|error| match ImportFormat::seen_in(source.text()) {
        Some(seen) if seen != format && error.help().is_none() => {
            let (kind, option) = (seen.name(), seen.option());
            error.with_help(format!("the file looks like {kind}: --format {option} reads that"))
        }
        _ => error,
    })?;
    let imported = convert::convert(&source, network, format, options)?;
    // The result must be readable; a mistake here means that no topology can represent the network.
    Topology::from_document(&Document::parse(name, &imported.to_toml())?).map_err(|error| {
        source.whole(format!("this network does not form a topology: {}", error.message()))
    })?;
    Ok(imported)
}

fn read(source: &ImportedText, format: ImportFormat) -> Result<Network, ConfigError> {
    match format {
        ImportFormat::Graphml => graphml::read(source),
        ImportFormat::Gml => gml::read(source),
        ImportFormat::Dot => dot::read(source),
        ImportFormat::Sndlib => sndlib::read(source),
        ImportFormat::Json => node_link::read(source),
    }
}

/// The imported text.
struct ImportedText(Arc<SourceText>);

impl ImportedText {
    fn text(&self) -> &str {
        &self.0.text
    }

    /// A mistake at a position.
    fn error(&self, span: std::ops::Range<usize>, message: impl Into<String>) -> ConfigError {
        ConfigError::at(Arc::clone(&self.0), span, message)
    }

    /// A mistake of the whole file.
    fn whole(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::whole(&self.0.name, message)
    }

    /// The offset of a line and column, both from 1. Columns count bytes.
    fn offset(&self, line: usize, column: usize) -> usize {
        let start: usize = self.text().split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let mut offset = (start + column.saturating_sub(1)).min(self.text().len());
        while !self.text().is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

#[cfg(test)]
mod tests;
