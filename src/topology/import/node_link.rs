//! Node-link JSON: networkx's `node_link_data`, TopoHub's files (with lengths and demands), D3's (without
//! ids), vis.js, Cytoscape.js, NetJSON, JSON Graph Format, MiniEdit and containerlab.
//!
//! # Source
//! networkx, `readwrite.json_graph.node_link_data`; P. Jurkiewicz, "TopoHub: A repository of reference
//! Gabriel graph and real-world topologies for networking research", SoftwareX 24, 2023; the documentation of
//! d3-force, vis.js and Cytoscape.js; NetJSON "NetworkGraph"; JSON Graph Format 2.

mod layout;
mod miniedit;
mod numbers;

use serde_json::{Map, Value};

use super::ImportedText;
use super::attributes::Attributes;
use super::network::{Network, RawDemand};
use super::words::{counted, shortened};
use crate::config::ConfigError;

/// Objects whose keys belong to the node or edge that contains them.
const NESTED: [&str; 6] = ["data", "metadata", "properties", "attributes", "attrs", "opts"];
/// The keys for the ends of an edge.
const ENDS: [&[&str]; 2] =
    [&["source", "from", "src", "node1", "a"], &["target", "to", "dst", "dest", "node2", "z"]];
/// The attributes for the ports at these ends.
const PORTS: [&str; 2] = ["source_port", "target_port"];

/// The lists of nodes and edges, and further objects.
struct Parts<'a> {
    nodes: Vec<(Option<&'a str>, &'a Value)>,
    edges: &'a [Value],
    /// The key of the list of edges.
    edge_list: &'static str,
    /// Objects that describe the graph.
    described: Vec<&'a Map<String, Value>>,
}

pub(super) fn read(source: &ImportedText) -> Result<Network, ConfigError> {
    let value = numbers::parse(source)?;
    let Some(root) = value.as_object() else {
        return Err(source.whole("not node-link JSON: the file is not an object"));
    };
    let of_miniedit = miniedit::as_node_link(root);
    let root = of_miniedit.as_ref().unwrap_or(root);
    let parts = parts(source, root)?;
    let graph = root.get("graph").and_then(Value::as_object);
    let mut described = Attributes::default();
    for object in &parts.described {
        describe(object, parts.edge_list, &mut described);
    }
    let directed = described.take(&["directed"]).is_some_and(|text| text == "true");
    described.take(&["multigraph"]);
    let name = described.take(&["name", "label"]);
    let mut network = Network::new(name, directed);
    network.attributes = described;
    let have_ids = read_nodes(source, &parts, &mut network)?;
    let edges = parts.edges.iter().enumerate();
    let edges = edges.map(|(index, edge)| read_edge(source, edge, parts.edge_list, index));
    let edges = edges.collect::<Result<Vec<_>, _>>()?;
    let by = By::of(&network, &edges, have_ids);
    by.tell(&mut network);
    for (index, edge) in edges.into_iter().enumerate() {
        let mut ends = [0; 2];
        for (end, id) in ends.iter_mut().zip(&edge.ends) {
            *end = by.find(&network, id).ok_or_else(|| {
                let place = format!("`{}[{index}]`", parts.edge_list);
                let message = format!("{place}: no node has the {} `{}`", by.name(), shortened(id));
                source.whole(message).with_help(by.help())
            })?;
        }
        network.add_edge(source, ends, edge.attributes, None)?;
    }
    if let Some(demands) = graph.and_then(|graph| graph.get("demands")) {
        read_demands(source, demands, &mut network)?;
    }
    layout::place(&mut network);
    Ok(network)
}

/// Finds the nodes and edges.
fn parts<'a>(source: &ImportedText, root: &'a Map<String, Value>) -> Result<Parts<'a>, ConfigError> {
    // Cytoscape.js and JSON Graph Format place them one level down.
    let below = ["elements", "graph"].iter().filter_map(|key| root.get(*key)).filter_map(Value::as_object);
    let holder = below.into_iter().find(|holder| holder.contains_key("nodes")).unwrap_or(root);
    let nodes = match holder.get("nodes") {
        Some(Value::Array(nodes)) => nodes.iter().map(|node| (None, node)).collect(),
        Some(Value::Object(nodes)) => nodes.iter().map(|(id, node)| (Some(id.as_str()), node)).collect(),
        _ => return Err(source.whole("not node-link JSON: there is no list `nodes`")),
    };
    // networkx wrote `links` up to version 3.3, and `edges` since.
    let lists = ["edges", "links"].into_iter().filter_map(|key| Some((key, holder.get(key)?.as_array()?)));
    let Some((edge_list, edges)) = lists.into_iter().next() else {
        let adjacency = root.contains_key("adjacency");
        let help = adjacency.then(|| "write networkx's node_link_data, not its adjacency_data".to_owned());
        return Err(source.whole("not node-link JSON: there is no list `edges` or `links`").with_help(help));
    };
    let mut described = vec![root];
    described.extend(root.get("graph").and_then(Value::as_object));
    Ok(Parts { nodes, edges, edge_list, described })
}

/// An edge before its ends are looked up.
struct RawEdge {
    ends: [String; 2],
    attributes: Attributes,
}

/// `{ "source": a, "target": b, ... }`, or `[a, b, { ... }]`.
fn read_edge(source: &ImportedText, edge: &Value, list: &str, index: usize) -> Result<RawEdge, ConfigError> {
    let place = || format!("`{list}[{index}]`");
    if let Value::Array(parts) = edge
        && let [Some(from), Some(to)] = [0, 1].map(|end| parts.get(end).and_then(scalar))
    {
        let described = parts.get(2).and_then(Value::as_object);
        return Ok(RawEdge { ends: [from, to], attributes: described.map(attributes).unwrap_or_default() });
    }
    let edge = edge.as_object().ok_or_else(|| source.whole(format!("{} is not an object", place())))?;
    let mut attributes = attributes(edge);
    let mut ends = [String::new(), String::new()];
    for ((end, keys), port) in ends.iter_mut().zip(ENDS).zip(PORTS) {
        let found = keys.iter().find_map(|key| value_of(edge, key));
        *end = found
            .and_then(end_id)
            .ok_or_else(|| source.whole(format!("{} has no `{}`", place(), keys[0])))?;
        attributes.take(keys);
        // containerlab: the node, its interface, and other keys.
        if let Some(Value::Object(described)) = found
            && described.contains_key("node")
        {
            for (key, value) in described.iter().filter(|(key, _)| *key != "node") {
                add(&mut attributes, if key == "interface" { port } else { key }, value);
            }
        }
    }
    Ok(RawEdge { ends, attributes })
}

/// How edges refer to nodes.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Id,
    /// Nodes have no ids: by name, or by position in the list, from 0.
    NameOrPosition,
    /// By position only, as in D3 before version 4 and networkx before version 2.
    Position,
}

impl By {
    fn of(network: &Network, edges: &[RawEdge], have_ids: bool) -> By {
        let mut ends = edges.iter().flat_map(|edge| &edge.ends);
        let by_id = ends.clone().all(|end| network.find(end).is_some());
        let by_position = ends.all(|end| position(network, end).is_some());
        match (have_ids, by_id, by_position) {
            (true, false, true) => By::Position,
            (true, _, _) => By::Id,
            // Names may be numbers; all edges refer to nodes in the same way.
            (false, false, true) => By::Position,
            (false, _, _) => By::NameOrPosition,
        }
    }

    fn tell(self, network: &mut Network) {
        let nodes = counted(network.nodes.len(), "node");
        match self {
            By::Id => {}
            By::NameOrPosition => network
                .remarks
                .push(format!("{nodes} without ids: edges name them by name, or by position from 0")),
            By::Position => network
                .remarks
                .push("edges name nodes by position from 0, as of D3 3 and networkx 1".to_owned()),
        }
    }

    fn find(self, network: &Network, end: &str) -> Option<usize> {
        match self {
            By::Id => network.find(end),
            By::NameOrPosition => network.find(end).or_else(|| position(network, end)),
            By::Position => position(network, end),
        }
    }

    fn name(self) -> &'static str {
        match self {
            By::Id => "id",
            By::NameOrPosition => "name or the position",
            By::Position => "position",
        }
    }

    fn help(self) -> Option<String> {
        let help = "nodes have no `id`: edges name them by `name`, or by their position from 0";
        (self == By::NameOrPosition).then(|| help.to_owned())
    }
}

/// The node at a position in the list, from 0.
fn position(network: &Network, end: &str) -> Option<usize> {
    end.parse().ok().filter(|position| *position < network.nodes.len())
}

/// Adds the nodes. Returns whether they have ids.
fn read_nodes(source: &ImportedText, parts: &Parts<'_>, network: &mut Network) -> Result<bool, ConfigError> {
    let nothing = Map::new();
    let mut without = Vec::new();
    let mut read = Vec::new();
    for (index, (key, node)) in parts.nodes.iter().enumerate() {
        // A node that consists only of its id, or of its key.
        let (described, own) = match (node, key, scalar(node)) {
            (Value::Object(described), _, _) => (described, None),
            (Value::Null, Some(_), _) => (&nothing, None),
            (_, None, Some(id)) => (&nothing, Some(id)),
            _ => return Err(source.whole(format!("`nodes[{index}]` is not an object"))),
        };
        let id = match value_of(described, "id") {
            Some(id) => Some(scalar(id).ok_or_else(|| {
                source.whole(format!("`nodes[{index}]` has an `id` that is neither a text nor a number"))
            })?),
            None => own.or(key.map(str::to_owned)),
        };
        if id.is_none() {
            without.push(index);
        }
        read.push((id, described));
    }
    if let Some(first) = without.first()
        && without.len() < read.len()
    {
        return Err(source.whole(format!("`nodes[{first}]` has no `id`, and others have one")));
    }
    for (index, (id, described)) in read.into_iter().enumerate() {
        let mut attributes = attributes(described);
        attributes.take(&["id"]);
        let id = id.unwrap_or_else(|| {
            let named = ["name", "label"].iter().find_map(|key| scalar(value_of(described, key)?));
            let mut ids = named.into_iter().chain([index.to_string()]);
            let free = ids.find(|id| network.find(id).is_none());
            free.unwrap_or_else(|| format!("node {index}"))
        });
        network.add_node(source, &id, attributes, None)?;
    }
    Ok(without.is_empty())
}

/// The value of a key, directly or in an object such as `data`.
fn value_of<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    let nested = || NESTED.iter().filter_map(|nested| object.get(*nested)?.as_object()?.get(key)).next();
    object.get(key).filter(|value| !value.is_null()).or_else(nested)
}

/// The node that an edge's end refers to: an id, or an object that contains it, as in D3 and containerlab.
fn end_id(value: &Value) -> Option<String> {
    match value {
        Value::Object(node) => ["id", "node", "name", "index"].iter().find_map(|key| scalar(node.get(*key)?)),
        other => scalar(other),
    }
}

/// `{ from: { to: rate } }`, in the order of the nodes.
fn read_demands(source: &ImportedText, demands: &Value, network: &mut Network) -> Result<(), ConfigError> {
    let wrong = || source.whole("`graph.demands` is not { from: { to: rate } }");
    let mut read = Vec::new();
    for (from, row) in demands.as_object().ok_or_else(wrong)? {
        for (to, value) in row.as_object().ok_or_else(wrong)? {
            let mut ends = [0; 2];
            for (end, id) in ends.iter_mut().zip([from, to]) {
                *end = network.find(id).ok_or_else(|| {
                    source.whole(format!("`graph.demands`: no node has the id `{}`", shortened(id)))
                })?;
            }
            read.push(RawDemand { ends, value: value.as_f64().ok_or_else(wrong)? });
        }
    }
    read.sort_by_key(|demand| demand.ends);
    network.demands = read;
    Ok(())
}

/// A number or a text, as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        // networkx has tuples as ids, for example in grids.
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            let items = items.iter().map(scalar).collect::<Option<Vec<_>>>()?;
            Some(items.join("-"))
        }
        _ => None,
    }
}

/// The attributes of the graph, without nodes, edges and keys read elsewhere.
fn describe(object: &Map<String, Value>, edge_list: &str, described: &mut Attributes) {
    for (key, value) in object {
        let is_elsewhere = match key.as_str() {
            "nodes" | "demands" => true,
            "edges" | "links" => key == edge_list,
            "graph" | "elements" => value.is_object(),
            _ => false,
        };
        if !is_elsewhere {
            add(described, key, value);
        }
    }
}

fn attributes(object: &Map<String, Value>) -> Attributes {
    let mut attributes = Attributes::default();
    for (key, value) in object {
        match value {
            Value::Object(inner) if NESTED.contains(&key.as_str()) => {
                inner.iter().for_each(|(key, value)| add(&mut attributes, key, value));
            }
            _ => add(&mut attributes, key, value),
        }
    }
    attributes
}

/// Adds a value as an attribute. `null` and empty values are ignored.
fn add(attributes: &mut Attributes, key: &str, value: &Value) {
    let is_empty = match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(keys) => keys.is_empty(),
        _ => false,
    };
    if !is_empty {
        attributes.add(key, scalar(value).filter(|_| !value.is_array()).unwrap_or_else(|| value.to_string()));
    }
}
