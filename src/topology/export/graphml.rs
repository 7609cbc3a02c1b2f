//! GraphML.

use std::fmt::Write;

use super::{addresses, bits_per_second, kind_name, xml_text};
use crate::topology::{Position, Topology};

/// The attributes: owner, name and type.
const KEYS: [(&str, &str, &str); 10] = [
    ("node", "label", "string"),
    ("node", "kind", "string"),
    ("node", "addresses", "string"),
    ("node", "latitude", "double"),
    ("node", "longitude", "double"),
    ("edge", "source_port", "int"),
    ("edge", "target_port", "int"),
    ("edge", "bandwidth_bps", "long"),
    ("edge", "bandwidth", "string"),
    ("edge", "delay_ps", "long"),
];

pub(super) fn write(topology: &Topology) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n"
        .to_owned();
    for (owner, name, kind) in KEYS {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  <key id=\"{name}\" for=\"{owner}\" attr.name=\"{name}\" attr.type=\"{kind}\"/>"
        );
    }
    let symmetric = topology.is_symmetric();
    let direction = if symmetric { "undirected" } else { "directed" };
    let _ = writeln!(text, "  <graph id=\"{}\" edgedefault=\"{direction}\">", xml_text(topology.name()));
    for (_, device) in topology.devices() {
        let name = xml_text(&device.name);
        let _ = write!(text, "    <node id=\"{name}\">");
        entry(&mut text, "label", &name);
        entry(&mut text, "kind", kind_name(device.kind));
        if !device.addresses.is_empty() {
            entry(&mut text, "addresses", addresses(device));
        }
        if let Some(Position::Geographic { latitude, longitude }) = device.position {
            entry(&mut text, "latitude", latitude);
            entry(&mut text, "longitude", longitude);
        }
        text.push_str("</node>\n");
    }
    for link in topology.listed_links(symmetric) {
        let [from, to] = topology.ends(link).map(|device| xml_text(&topology.device(device).name));
        let _ = write!(text, "    <edge source=\"{from}\" target=\"{to}\">");
        entry(&mut text, "source_port", topology.port(link.from).number);
        entry(&mut text, "target_port", topology.port(link.to).number);
        match bits_per_second(link.link.bandwidth) {
            Some(bits) => entry(&mut text, "bandwidth_bps", bits),
            None => entry(&mut text, "bandwidth", link.link.bandwidth),
        }
        entry(&mut text, "delay_ps", link.link.propagation_delay().as_ps());
        text.push_str("</edge>\n");
    }
    text.push_str("  </graph>\n</graphml>\n");
    text
}

fn entry(text: &mut String, key: &str, value: impl std::fmt::Display) {
    let _ = write!(text, "<data key=\"{key}\">{value}</data>");
}
