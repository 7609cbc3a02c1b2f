//! Exports a topology to other programs: DOT, GraphML, and an SVG picture.
//!
//! To add a format: one file here with its `write`, and one line each in [`ExportFormat`] and
//! [`Topology::export`].

mod dot;
mod graphml;
mod svg;

use std::path::Path;

use super::{DeviceKind, DirectedLink, Topology};
use crate::units::Bandwidth;

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum ExportFormat {
    /// Graphviz
    Dot,
    /// GraphML, which networkx, Gephi and yEd read
    Graphml,
    /// A picture
    Svg,
}

impl ExportFormat {
    /// The format for a file name's extension.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_lowercase().as_str() {
            "dot" | "gv" => Some(ExportFormat::Dot),
            "graphml" | "xml" => Some(ExportFormat::Graphml),
            "svg" => Some(ExportFormat::Svg),
            _ => None,
        }
    }
}

/// Options of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportOptions {
    /// Whether to show bandwidth and delay at each link of an SVG picture.
    pub link_labels: bool,
}

impl Topology {
    /// The topology as text in this format. The same topology gives the same text.
    ///
    /// GraphML and DOT contain the properties that [`super::import`] reads back: names, kinds, addresses,
    /// ports, bandwidths and delays. They omit disciplines, processing delays, routes and overheads.
    ///
    /// # Examples
    /// ```
    /// use taunet::topology::Topology;
    /// use taunet::topology::export::{ExportFormat, ExportOptions};
    ///
    /// let topology = Topology::from_toml("star.toml", r#"
    ///     name = "star"
    ///     generate = { kind = "star", hosts = 2 }
    ///     defaults.link.bandwidth = "1 Gbps"
    /// "#)?;
    /// let dot = topology.export(ExportFormat::Dot, ExportOptions::default());
    /// assert!(dot.contains(r#""h0" -- "s0""#));
    /// # Ok::<(), taunet::config::ConfigError>(())
    /// ```
    pub fn export(&self, format: ExportFormat, options: ExportOptions) -> String {
        match format {
            ExportFormat::Dot => dot::write(self),
            ExportFormat::Graphml => graphml::write(self),
            ExportFormat::Svg => svg::write(self, options, None),
        }
    }

    /// The topology as an SVG picture, with links coloured by the load of their ports. `loads` holds, by
    /// port, the carried traffic divided by the capacity, or `None` if the capacity is unlimited.
    pub fn picture(&self, loads: &[Option<f64>]) -> String {
        svg::write(self, ExportOptions::default(), Some(loads))
    }

    /// Whether the two directions of every link are equal.
    fn is_symmetric(&self) -> bool {
        self.forward_links().all(|(_, link)| self.backward(link).link == link.link)
    }

    /// The other direction.
    fn backward(&self, link: &DirectedLink) -> &DirectedLink {
        self.link(self.port(link.from).ingress)
    }

    /// The directions that an export lists: one per link if the two are equal.
    fn listed_links(&self, symmetric: bool) -> impl Iterator<Item = &DirectedLink> {
        self.links().step_by(if symmetric { 2 } else { 1 }).map(|(_, link)| link)
    }
}

fn kind_name(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Host => "host",
        DeviceKind::Switch => "switch",
        DeviceKind::Router => "router",
    }
}

/// Addresses separated by spaces.
fn addresses(device: &super::DeviceNode) -> String {
    device.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn bits_per_second(bandwidth: Bandwidth) -> Option<u64> {
    match bandwidth {
        Bandwidth::Limited(rate) => Some(rate.as_bps()),
        Bandwidth::Unlimited => None,
    }
}

/// A text between tags or in an attribute. Control characters that XML cannot represent are replaced.
fn xml_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}')
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
