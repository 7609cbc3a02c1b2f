//! Node-link JSON: networkx's `node_link_data`, and TopoHub's files, which add lengths and demands.
//!
//! # Source
//! networkx, `readwrite.json_graph.node_link_data`; P. Jurkiewicz, "TopoHub: A repository of reference Gabriel graph and
//! real-world topologies for networking research", SoftwareX 24, 2023.

use serde_json::{Map, Value};

use super::Source;
use super::attributes::Attributes;
use super::network::{Network, RawDemand, shortened};
use crate::config::ConfigError;

pub(super) fn read(source: &Source) -> Result<Network, ConfigError> {
    let value: Value = serde_json::from_str(source.text()).map_err(|error| {
        let offset = source.offset(error.line(), error.column());
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        source.error(offset..offset, format!("not JSON as it should be: {message}"))
    })?;
    let Some(root) = value.as_object() else {
        return Err(source.whole("not node-link JSON: the file is no object"));
    };
    let Some(nodes) = root.get("nodes").and_then(Value::as_array) else {
        return Err(source.whole("not node-link JSON: there is no list `nodes`"));
    };
    // networkx wrote `links` up to its version 3.3, and `edges` since.
    let Some(edges) = ["edges", "links"].iter().find_map(|key| root.get(*key)).and_then(Value::as_array)
    else {
        return Err(source.whole("not node-link JSON: there is no list `edges` or `links`"));
    };
    let graph = root.get("graph").and_then(Value::as_object);
    let name = graph.and_then(|graph| graph.get("name")).and_then(Value::as_str).map(str::to_owned);
    let directed = root.get("directed").and_then(Value::as_bool).unwrap_or(false);
    let mut network = Network::new(name, directed);
    for (index, node) in nodes.iter().enumerate() {
        let node = object(source, node, "nodes", index)?;
        let id =
            scalar(node.get("id")).ok_or_else(|| source.whole(format!("`nodes[{index}]` has no `id`")))?;
        network.add_node(source, &id, attributes(node), None)?;
    }
    for (index, edge) in edges.iter().enumerate() {
        let edge = object(source, edge, "edges", index)?;
        let mut ends = [0; 2];
        for (end, key) in ends.iter_mut().zip(["source", "target"]) {
            let id = scalar(edge.get(key))
                .ok_or_else(|| source.whole(format!("`edges[{index}]` has no `{key}`")))?;
            *end = network.find(&id).ok_or_else(|| {
                source.whole(format!("`edges[{index}]`: no node has the id `{}`", shortened(&id)))
            })?;
        }
        network.add_edge(source, ends, attributes(edge), None)?;
    }
    if let Some(demands) = graph.and_then(|graph| graph.get("demands")) {
        read_demands(source, demands, &mut network)?;
    }
    Ok(network)
}

fn object<'a>(
    source: &Source,
    value: &'a Value,
    list: &str,
    index: usize,
) -> Result<&'a Map<String, Value>, ConfigError> {
    value.as_object().ok_or_else(|| source.whole(format!("`{list}[{index}]` is no object")))
}

/// `{ from: { to: rate } }`, in the order of the nodes.
fn read_demands(source: &Source, demands: &Value, network: &mut Network) -> Result<(), ConfigError> {
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

/// A number or a text, as a text.
fn scalar(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        // networkx has tuples for ids, such as those of a grid.
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            let items = items.iter().map(|item| scalar(Some(item))).collect::<Option<Vec<_>>>()?;
            Some(items.join("-"))
        }
        _ => None,
    }
}

fn attributes(object: &Map<String, Value>) -> Attributes {
    let mut attributes = Attributes::default();
    for (key, value) in object {
        match (key.as_str(), value) {
            // TopoHub: longitude, latitude. A layout in a picture is another `pos`, in units of its own.
            ("pos", Value::Array(position)) => {
                let numbers = position.iter().map(Value::as_f64).collect::<Option<Vec<_>>>();
                if let Some([longitude, latitude]) = numbers.as_deref()
                    && longitude.abs() <= 180.0
                    && latitude.abs() <= 90.0
                {
                    attributes.set("longitude", longitude.to_string());
                    attributes.set("latitude", latitude.to_string());
                }
            }
            _ => {
                if let Some(text) = scalar(Some(value)) {
                    attributes.set(key, text);
                }
            }
        }
    }
    attributes
}
