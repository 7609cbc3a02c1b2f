//! DOT, the language of Graphviz.

use std::fmt::Write;

use super::{addresses, kind_name};
use crate::topology::{DeviceKind, Position, Topology};

pub(super) fn write(topology: &Topology) -> String {
    let symmetric = topology.is_symmetric();
    let (graph, arrow) = if symmetric { ("graph", "--") } else { ("digraph", "->") };
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{graph} {} {{", quoted(topology.name()));
    for (_, device) in topology.devices() {
        let shape = if device.kind == DeviceKind::Host { "box" } else { "ellipse" };
        let _ = write!(text, "  {} [kind={}, shape={shape}", quoted(&device.name), kind_name(device.kind));
        if !device.addresses.is_empty() {
            let _ = write!(text, ", addresses={}", quoted(&addresses(device)));
        }
        if let Some(Position::Geographic { latitude, longitude }) = device.position {
            let _ = write!(text, ", latitude={latitude}, longitude={longitude}");
        }
        text.push_str("];\n");
    }
    for link in topology.listed_links(symmetric) {
        let [from, to] = topology.ends(link).map(|device| quoted(&topology.device(device).name));
        let [from_port, to_port] = [link.from, link.to].map(|port| topology.port(port).number);
        let _ = writeln!(
            text,
            "  {from} {arrow} {to} [taillabel={from_port}, headlabel={to_port}, bandwidth=\"{}\", delay=\"{}\"];",
            link.link.bandwidth,
            link.link.propagation_delay()
        );
    }
    text.push_str("}\n");
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
