//! Labels, resolved after reading: names of devices and of ports.

use rustc_hash::FxHashMap;

use super::label::{Field, Objects, fields, unescaped};
use crate::topology::import::attributes::Attributes;
use crate::topology::import::network::Network;

/// The reason why a label is left out.
const NO_NAME: &str = "a label of several lines or fields cannot be a name: the node's id is used";

/// Resolves escapes and records. A label that cannot be a name is left out.
pub fn resolve(network: &mut Network) {
    let graph = network.name.clone().unwrap_or_default();
    if let Some(label) = network.attributes.take(&["label"]) {
        let label = unescaped(&label, Objects { graph: &graph, ..Objects::default() });
        match &network.name {
            None if !label.contains('\n') => network.name = Some(label),
            _ => network.attributes.set("label", label),
        }
    }
    let ids = network.nodes.iter().map(|node| node.id.clone()).collect::<Vec<_>>();
    // By node: the text of each record field, by port.
    let mut ports: FxHashMap<usize, Vec<Field>> = FxHashMap::default();
    for (index, node) in network.nodes.iter_mut().enumerate() {
        let objects = Objects { graph: &graph, node: &ids[index], ends: ["", ""] };
        if let Some(fields) = resolve_node(&mut node.attributes, objects) {
            ports.insert(index, fields);
        }
    }
    for edge in &mut network.edges {
        let [tail, head] = edge.ends.map(|end| ids[end].as_str());
        let objects = Objects { graph: &graph, node: "", ends: [tail, head] };
        for key in ["label", "xlabel", "taillabel", "headlabel"] {
            if let Some(text) = edge.attributes.take(&[key]) {
                edge.attributes.set(key, unescaped(&text, objects));
            }
        }
        for (key, end) in ["tailport", "headport"].into_iter().zip(edge.ends) {
            let Some(port) = edge.attributes.take(&[key]) else { continue };
            let field = ports.get(&end).and_then(|fields| {
                let field = fields.iter().find(|field| field.port.as_ref() == Some(&port))?;
                Some(unescaped(&field.text, objects)).filter(|text| !text.is_empty())
            });
            edge.attributes.set(key, field.unwrap_or(port).replace('\n', " "));
        }
    }
}

/// Uses a label as the name of its node, if possible. Returns the fields of a record.
fn resolve_node(attributes: &mut Attributes, objects: Objects<'_>) -> Option<Vec<Field>> {
    if let Some(text) = attributes.take(&["xlabel"]) {
        attributes.set("xlabel", unescaped(&text, objects));
    }
    let label = attributes.take(&["label"])?;
    let fields = fields(&label);
    let texts = match &fields {
        Some(fields) => fields.iter().map(|field| unescaped(&field.text, objects)).collect(),
        None => vec![unescaped(&label, objects)],
    };
    let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim).filter(|line| !line.is_empty());
    let lines = lines.collect::<Vec<_>>();
    match lines[..] {
        [] => {}
        [name] => attributes.set("label", name),
        _ => attributes.leave("label", lines.join(" | "), NO_NAME),
    }
    fields
}
