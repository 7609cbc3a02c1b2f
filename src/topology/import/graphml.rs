//! GraphML, as written by the Internet Topology Zoo, yEd and others.
//!
//! # Source
//! U. Brandes et al., GraphML Primer; S. Knight et al., "The Internet Topology Zoo", IEEE JSAC 29(9), 2011.

mod yed;

use indexmap::IndexMap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::ImportedText;
use super::attributes::Attributes;
use super::network::Network;
use super::notes::Note;
use super::reason::Owner;
use super::words::counted;
use super::xml::{self, Element, child_text, children, head, required};
use crate::config::ConfigError;

/// The declarations of `<key>`: attribute names by id, and defaults by element.
struct Keys<'a> {
    names: FxHashMap<&'a str, &'a str>,
    nodes: Attributes,
    edges: Attributes,
}

/// The reader of a file.
struct Reader<'a> {
    source: &'a ImportedText,
    keys: Keys<'a>,
    network: Network,
    /// The ids and labels of group nodes.
    groups: FxHashMap<&'a str, String>,
}

pub(super) fn read(source: &ImportedText) -> Result<Network, ConfigError> {
    let document = xml::parse(source)?;
    let root = document.root_element();
    if root.tag_name().name() != "graphml" {
        let message = format!("not GraphML: the file is a <{}>", root.tag_name().name());
        return Err(source.error(head(root), message));
    }
    let mut graphs = children(root, "graph");
    let Some(graph) = graphs.next() else {
        return Err(source.error(head(root), "there is no <graph> in this file"));
    };
    let mut reader = Reader {
        source,
        keys: keys(source, root)?,
        network: Network::default(),
        groups: FxHashMap::default(),
    };
    reader.read_graph(root, graph)?;
    let more = graphs.count();
    if more > 0 {
        reader.network.remarks.push(format!("left out: {} after the first", counted(more, "graph")));
    }
    Ok(reader.network)
}

impl<'a> Reader<'a> {
    fn read_graph(&mut self, root: Element<'a>, graph: Element<'a>) -> Result<(), ConfigError> {
        let mut described = attributes(graph, &self.keys);
        for entry in attributes(root, &self.keys).iter() {
            described.add(&entry.key, entry.text.as_str());
        }
        let name = described.take(&["network", "name", "label"]);
        self.network.name = name.or_else(|| graph.attribute("id").map(str::to_owned));
        self.network.attributes = described;
        self.network.directed = graph.attribute("edgedefault") == Some("directed");
        // Nodes may contain graphs; edges may precede their nodes.
        let elements = || graph.descendants().filter(|element| element.is_element());
        let named = |name| elements().filter(move |element| element.tag_name().name() == name);
        let with_edges = named("edge")
            .flat_map(|edge| [edge.attribute("source"), edge.attribute("target")])
            .flatten()
            .collect::<FxHashSet<_>>();
        for nested in named("graph").filter(|nested| *nested != graph) {
            let frame = attributes(nested, &self.keys);
            self.network.notes.leave(Owner::Subgraph, &frame);
        }
        for node in named("node") {
            self.read_node(node, &with_edges)?;
        }
        for element in elements() {
            match element.tag_name().name() {
                "edge" => self.read_edge(element)?,
                "hyperedge" => self.read_hyperedge(element)?,
                _ => {}
            }
        }
        self.leave_ports(graph);
        self.leave_elements(graph);
        Ok(())
    }

    fn read_node(&mut self, node: Element<'a>, with_edges: &FxHashSet<&str>) -> Result<(), ConfigError> {
        let id = required(self.source, node, "id")?;
        let mut attributes = attributes(node, &self.keys).or(&self.keys.nodes);
        let labels = yed::labels(node, yed::NODE_LABELS);
        // A node that contains a graph is a group, or a device if edges end at it and it is not drawn as a
        // group.
        let holds_graph = children(node, "graph").next().is_some() && !with_edges.contains(id);
        if yed::is_group(node) || holds_graph {
            let label = labels.into_iter().next().or_else(|| attributes.take(&["label", "name"]));
            let label = label.unwrap_or_else(|| id.to_owned());
            self.network.notes.count(Note::Group, &label);
            self.network.notes.leave(Owner::Node, &attributes);
            self.groups.insert(id, label);
            return Ok(());
        }
        let mut labels = labels.into_iter();
        if let Some(first) = labels.next() {
            let key = if attributes.get("label").is_some() { "NodeLabel" } else { "label" };
            attributes.add(key, first);
        }
        labels.for_each(|label| attributes.add("NodeLabel", label));
        self.network.add_node(self.source, id, attributes, Some(head(node)))?;
        Ok(())
    }

    fn read_edge(&mut self, edge: Element<'a>) -> Result<(), ConfigError> {
        let place = Some(head(edge));
        let ids = [required(self.source, edge, "source")?, required(self.source, edge, "target")?];
        if let Some(group) = ids.iter().find_map(|id| self.groups.get(id)) {
            self.network.notes.count(Note::EdgeOfGroup, group);
            return Ok(());
        }
        let from = self.network.node(self.source, ids[0], place.clone())?;
        let to = self.network.node(self.source, ids[1], place.clone())?;
        let mut attributes = attributes(edge, &self.keys).or(&self.keys.edges);
        if attributes.get("id").is_none() {
            attributes.add("id", edge.attribute("id").unwrap_or_default());
        }
        let labels = yed::labels(edge, yed::EDGE_LABELS);
        if !labels.is_empty() {
            let key = if attributes.get("label").is_some() { "EdgeLabel" } else { "label" };
            attributes.add(key, labels.join("\n"));
        }
        for (key, name) in [("sourceport", "source_port"), ("targetport", "target_port")] {
            if let Some(port) = edge.attribute(key) {
                attributes.set(name, port);
            }
        }
        let directed = match edge.attribute("directed") {
            Some(text) => Some(text == "true"),
            // Drawn without an arrowhead.
            None => yed::has_arrows(edge),
        };
        let edge = self.network.add_edge(self.source, [from, to], attributes, place)?;
        edge.directed = directed.unwrap_or(edge.directed);
        Ok(())
    }

    /// A hyperedge becomes a node, joined to each of its ends.
    fn read_hyperedge(&mut self, hyperedge: Element<'a>) -> Result<(), ConfigError> {
        let place = Some(head(hyperedge));
        let name = hyperedge.attribute("id").unwrap_or("hyperedge");
        let mut number = self.network.nodes.len();
        let mut id = format!("{name} {number}");
        while self.network.find(&id).is_some() {
            number += 1;
            id = format!("{name} {number}");
        }
        let mut described = Attributes::default();
        described.set("hyperedge", "1");
        described.set("label", name);
        let center = self.network.add_node(self.source, &id, described, place.clone())?;
        self.network.notes.count(Note::Hyperedge, name);
        for endpoint in children(hyperedge, "endpoint") {
            let node = required(self.source, endpoint, "node")?;
            if let Some(group) = self.groups.get(node) {
                self.network.notes.count(Note::EdgeOfGroup, group);
                continue;
            }
            let node = self.network.node(self.source, node, Some(head(endpoint)))?;
            let mut attributes = attributes(hyperedge, &self.keys);
            if let Some(port) = endpoint.attribute("port") {
                attributes.set("target_port", port);
            }
            let edge = self.network.add_edge(self.source, [center, node], attributes, place.clone())?;
            edge.directed = false;
        }
        Ok(())
    }

    /// Reports elements that are not read, such as `<locator>`.
    fn leave_elements(&mut self, graph: Element<'a>) {
        const READ: [&str; 8] = ["graph", "node", "edge", "hyperedge", "endpoint", "port", "desc", "data"];
        let in_data =
            |element: &Element<'_>| element.ancestors().skip(1).any(|outer| outer.has_tag_name("data"));
        let mut left = IndexMap::<&str, usize>::new();
        for element in graph.descendants().filter(Element::is_element) {
            let name = element.tag_name().name();
            if !READ.contains(&name) && !in_data(&element) {
                *left.entry(name).or_default() += 1;
            }
        }
        let told =
            left.iter().map(|(name, count)| format!("left out: {}", counted(*count, &format!("<{name}>"))));
        self.network.remarks.extend(told);
    }

    /// Reports ports that no edge names, and attributes of ports.
    fn leave_ports(&mut self, graph: Element<'a>) {
        let elements = || graph.descendants().filter(|element| element.is_element());
        let named = ["sourceport", "targetport", "port"];
        let used = elements()
            .filter(|element| element.tag_name().name() != "port")
            .flat_map(|element| named.into_iter().filter_map(move |name| element.attribute(name)))
            .collect::<FxHashSet<_>>();
        let ports = elements().filter(|element| element.tag_name().name() == "port");
        let mut unused = Vec::new();
        for port in ports {
            self.network.notes.leave(Owner::Port, &attributes(port, &self.keys));
            unused.extend(port.attribute("name").filter(|name| !used.contains(name)));
        }
        if let Some(first) = unused.first() {
            let ports = counted(unused.len(), "port");
            self.network.remarks.push(format!("left out: {ports} that no edge names, such as `{first}`"));
        }
    }
}

fn keys<'a>(source: &ImportedText, root: Element<'a>) -> Result<Keys<'a>, ConfigError> {
    let mut keys =
        Keys { names: FxHashMap::default(), nodes: Attributes::default(), edges: Attributes::default() };
    for key in children(root, "key") {
        let id = required(source, key, "id")?;
        let name = key.attribute("attr.name").or_else(|| key.attribute("yfiles.type")).unwrap_or(id);
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
        let Some(key) = entry.attribute("key") else { continue };
        let name = keys.names.get(key).copied().unwrap_or(key);
        if yed::is_labels(name) {
            continue;
        }
        match entry.children().find(Element::is_element) {
            Some(inner) => attributes.add(name, format!("<{}>", inner.tag_name().name())),
            None => attributes.add(name, entry.text().unwrap_or_default()),
        }
    }
    for text in children(element, "desc").filter_map(|desc| desc.text()) {
        attributes.add("desc", text);
    }
    attributes
}
