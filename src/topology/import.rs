//! Networks from elsewhere: GraphML, GML, DOT, SNDlib and node-link JSON become a topology file.
//!
//! [`decode`] makes text of a file. A reader per format gives nodes, edges and demands with what the file says about
//! them, as texts; `facts` takes out of these what it understands, and `convert` makes one router of each node, with a
//! host at it. What a file does not say takes a default of [`ImportOptions`]. Every default, everything assumed and
//! everything left out is told in [`Imported::remarks`].
//!
//! To add a format: one file here that makes a `Network`, one line in [`ImportFormat`] and one in `read`.

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
    /// The format that a file's name and content tell: `.xml` may be GraphML or SNDlib.
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

    /// The format that a text looks like, whatever its file is called.
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

    /// Its name, for people.
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

/// What holds where a file says nothing.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The topology's name, instead of the file's.
    pub name: Option<String>,
    /// One host at each node.
    pub hosts: bool,
    /// The bandwidth of links that have none.
    pub bandwidth: Bandwidth,
    /// The propagation delay of links that have neither delay nor length, and whose ends have no coordinates.
    pub delay: Span,
    /// The bandwidth of the links to the hosts that are added.
    pub access_bandwidth: Bandwidth,
    /// What a bandwidth of 1 means where the file gives no unit; without it [`MEGABIT`](Self::MEGABIT) is assumed.
    pub bandwidth_unit: Option<Rate>,
    /// What a delay of 1 means where the file gives no unit; without it such a delay is left out.
    pub delay_unit: Option<Span>,
    /// What a length of 1 means where the file gives no unit; without it such a length is left out.
    pub length_unit: Option<Distance>,
    /// What a demand of 1 means: most files give no unit.
    pub demand_unit: Rate,
}

impl ImportOptions {
    /// What a bandwidth or a demand of 1 stands for where nothing says it: 1 Mbps.
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
    /// The name of the host that sends.
    pub source: String,
    /// The name of the host that receives.
    pub destination: String,
    /// How much.
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
    /// What the file did not say and what was left out, for people.
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
            let _ = writeln!(text, "{source},{destination},{}", bandwidth.as_bps());
        }
        text
    }
}

/// Imports the network in `text`; `name` stands for its file in errors.
///
/// # Errors
/// A text that is not of that format or describes no network, with its place.
///
/// # Examples
/// ```
/// use taunet::topology::Topology;
/// use taunet::topology::import::{ImportFormat, ImportOptions, import};
///
/// let text = r#"graph { a -- b [bandwidth="1 Gbps", delay="2 ms"]; b -- c }"#;
/// let imported = import("abc.dot", text, ImportFormat::Dot, &ImportOptions::default())?;
/// assert!(imported.remarks.contains(&"1 link has no bandwidth: 10 Gbps taken".to_owned()));
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
    // What is written must read back; a mistake here is a network that no topology can hold.
    Topology::from_document(&Document::parse(name, &imported.to_toml())?)
        .map_err(|error| source.whole(format!("this network makes no topology: {}", error.message())))?;
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

/// The text that is imported.
struct ImportedText(Arc<SourceText>);

impl ImportedText {
    fn text(&self) -> &str {
        &self.0.text
    }

    /// A mistake at a place.
    fn error(&self, span: std::ops::Range<usize>, message: impl Into<String>) -> ConfigError {
        ConfigError::at(Arc::clone(&self.0), span, message)
    }

    /// A mistake of the file as such.
    fn whole(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::whole(&self.0.name, message)
    }

    /// The offset of a line and column, both from 1, where columns count bytes.
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
