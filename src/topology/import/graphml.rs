//! GraphML, as the Internet Topology Zoo writes it.
//!
//! # Source
//! U. Brandes et al., GraphML Primer; S. Knight et al., "The Internet Topology Zoo", IEEE JSAC 29(9), 2011.

use rustc_hash::FxHashMap;

use super::Source;
use super::attributes::Attributes;
use super::network::Network;
use super::xml::{self, Element, child_text, children, head, required};
use crate::config::ConfigError;

/// What `<key>` declares: by id, the name of an attribute and its default, by what it is for.
struct Keys<'a> {
    names: FxHashMap<&'a str, &'a str>,
    nodes: Attributes,
    edges: Attributes,
}

pub(super) fn read(source: &Source) -> Result<Network, ConfigError> {
    let document = xml::parse(source)?;
    let root = document.root_element();
    if root.tag_name().name() != "graphml" {
        let message = format!("not GraphML: the file is a <{}>", root.tag_name().name());
        return Err(source.error(head(root), message));
    }
    let keys = keys(source, root)?;
    let mut network = Network::default();
    let Some(graph) = children(root, "graph").next() else {
        return Err(source.error(head(root), "there is no <graph> in this file"));
    };
    let described = attributes(graph, &keys);
    network.name = described.get(&["network", "name", "label"]).or(graph.attribute("id")).map(str::to_owned);
    network.directed = graph.attribute("edgedefault") == Some("directed");
    // Nodes may hold graphs; edges may stand before their nodes.
    let elements = || graph.descendants().filter(|element| element.is_element());
    for node in elements().filter(|element| element.tag_name().name() == "node") {
        let id = required(source, node, "id")?;
        network.add_node(source, id, attributes(node, &keys).or(&keys.nodes), Some(head(node)))?;
    }
    for element in elements() {
        match element.tag_name().name() {
            "edge" => read_edge(source, element, &keys, &mut network)?,
            "hyperedge" => read_hyperedge(source, element, &keys, &mut network)?,
            _ => {}
        }
    }
    Ok(network)
}

fn read_edge(
    source: &Source,
    edge: Element<'_>,
    keys: &Keys<'_>,
    network: &mut Network,
) -> Result<(), ConfigError> {
    let place = Some(head(edge));
    let from = network.node(source, required(source, edge, "source")?, place.clone())?;
    let to = network.node(source, required(source, edge, "target")?, place.clone())?;
    let mut attributes = attributes(edge, keys).or(&keys.edges);
    for (key, name) in [("sourceport", "source_port"), ("targetport", "target_port")] {
        if let Some(port) = edge.attribute(key) {
            attributes.set(name, port);
        }
    }
    network.add_edge(source, [from, to], attributes, place)
}

/// An edge of several ends becomes a node of its own, joined to each of them.
fn read_hyperedge(
    source: &Source,
    hyperedge: Element<'_>,
    keys: &Keys<'_>,
    network: &mut Network,
) -> Result<(), ConfigError> {
    let place = Some(head(hyperedge));
    let name = hyperedge.attribute("id").unwrap_or("hyperedge");
    let mut number = network.nodes.len();
    let mut id = format!("{name} {number}");
    while network.find(&id).is_some() {
        number += 1;
        id = format!("{name} {number}");
    }
    let mut described = Attributes::default();
    described.set("hyperedge", "1");
    described.set("label", name);
    let center = network.add_node(source, &id, described, place.clone())?;
    for endpoint in children(hyperedge, "endpoint") {
        let node = network.node(source, required(source, endpoint, "node")?, Some(head(endpoint)))?;
        network.add_edge(source, [center, node], attributes(hyperedge, keys), place.clone())?;
    }
    Ok(())
}

fn keys<'a>(source: &Source, root: Element<'a>) -> Result<Keys<'a>, ConfigError> {
    let mut keys =
        Keys { names: FxHashMap::default(), nodes: Attributes::default(), edges: Attributes::default() };
    for key in children(root, "key") {
        let id = required(source, key, "id")?;
        let name = key.attribute("attr.name").unwrap_or(id);
        keys.names.insert(id, name);
        if let Some(default) = child_text(key, "default") {
            let what = key.attribute("for").unwrap_or("all");
            for (wanted, defaults) in [("node", &mut keys.nodes), ("edge", &mut keys.edges)] {
                if what == wanted || what == "all" {
                    defaults.set(name, default);
                }
            }
        }
    }
    Ok(keys)
}

fn attributes(element: Element<'_>, keys: &Keys<'_>) -> Attributes {
    let mut attributes = Attributes::default();
    for entry in children(element, "data") {
        if let (Some(key), Some(text)) = (entry.attribute("key"), entry.text()) {
            attributes.set(keys.names.get(key).copied().unwrap_or(key), text);
        }
    }
    attributes
}
