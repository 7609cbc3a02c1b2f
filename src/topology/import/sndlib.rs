//! SNDlib's XML.
//!
//! # Source
//! S. Orlowski, R. Wessäly, M. Pióro, A. Tomaszewski, "SNDlib 1.0: Survivable Network Design Library", Networks 55(3),
//! 2010, and its XML schema.

use rustc_hash::FxHashSet;

use super::Source;
use super::attributes::Attributes;
use super::convert::counted;
use super::network::{Network, RawDemand};
use super::xml::{self, Element, child_text, children, head, required};
use crate::config::ConfigError;

pub(super) fn read(source: &Source) -> Result<Network, ConfigError> {
    let document = xml::parse(source)?;
    let root = document.root_element();
    let structure = children(root, "networkStructure").next().filter(|_| root.tag_name().name() == "network");
    let Some(structure) = structure else {
        let message = format!("not SNDlib: <{}> without a <networkStructure>", root.tag_name().name());
        return Err(source.error(head(root), message));
    };
    let mut network = Network::new(file_stem(source), false);
    for nodes in children(structure, "nodes") {
        let geographic = nodes.attribute("coordinatesType") != Some("pixel");
        if !geographic {
            network.remarks.push("coordinates are those of a picture: they give no lengths".to_owned());
        }
        for node in children(nodes, "node") {
            let attributes = node_attributes(node, geographic);
            network.add_node(source, required(source, node, "id")?, attributes, Some(head(node)))?;
        }
    }
    let mut modules = 0;
    for link in children(structure, "links").flat_map(|links| children(links, "link")) {
        let ends = ends(source, link, &network)?;
        let (attributes, by_module) = link_attributes(link);
        modules += usize::from(by_module);
        network.add_edge(source, ends, attributes, Some(head(link)))?;
    }
    if modules > 0 {
        let links = counted(modules, "link");
        network.remarks.push(format!("{links} without capacity yet: the first that can be installed taken"));
    }
    network.directed = is_directed(&network);
    if network.directed {
        network.remarks.push("every link is there in both directions: the two are one".to_owned());
    }
    for demand in children(root, "demands").flat_map(|demands| children(demands, "demand")) {
        let ends = ends(source, demand, &network)?;
        let text = child_text(demand, "demandValue").unwrap_or_default();
        let value = text
            .parse()
            .map_err(|_| source.error(head(demand), "this demand has no <demandValue> that is a number"))?;
        network.demands.push(RawDemand { ends, value });
    }
    Ok(network)
}

fn file_stem(source: &Source) -> Option<String> {
    let stem = std::path::Path::new(&source.0.name).file_stem()?;
    Some(stem.to_string_lossy().into_owned())
}

fn ends(source: &Source, element: Element<'_>, network: &Network) -> Result<[usize; 2], ConfigError> {
    let mut ends = [0; 2];
    for (end, name) in ends.iter_mut().zip(["source", "target"]) {
        let Some(id) = child_text(element, name) else {
            let message = format!("<{}> has no <{name}>", element.tag_name().name());
            return Err(source.error(head(element), message));
        };
        *end = network.node(source, id, Some(head(element)))?;
    }
    Ok(ends)
}

fn node_attributes(node: Element<'_>, geographic: bool) -> Attributes {
    let mut attributes = Attributes::default();
    let coordinates = children(node, "coordinates").next().filter(|_| geographic);
    for (axis, name) in [("x", "longitude"), ("y", "latitude")] {
        if let Some(text) = coordinates.and_then(|coordinates| child_text(coordinates, axis)) {
            attributes.set(name, text);
        }
    }
    attributes
}

/// What is installed, else the first module that can be: the problem is which to install.
fn link_attributes(link: Element<'_>) -> (Attributes, bool) {
    let mut attributes = Attributes::default();
    let capacity = |module: Option<Element<'_>>| {
        let capacity = module.and_then(|module| child_text(module, "capacity").map(str::to_owned))?;
        capacity.parse::<f64>().is_ok_and(|number| number > 0.0).then_some(capacity)
    };
    let installed = capacity(children(link, "preInstalledModule").next());
    let modules = children(link, "additionalModules").flat_map(|modules| children(modules, "addModule"));
    let first = || modules.map(|module| capacity(Some(module))).find(Option::is_some).flatten();
    let by_module = installed.is_none();
    let capacity = installed.or_else(first);
    let by_module = by_module && capacity.is_some();
    if let Some(capacity) = capacity {
        attributes.set("capacity", capacity);
    }
    (attributes, by_module)
}

/// Whether each edge has one back: a directed problem lists both.
fn is_directed(network: &Network) -> bool {
    let all = network.edges.iter().map(|edge| edge.ends).collect::<FxHashSet<_>>();
    !all.is_empty()
        && all.len() == network.edges.len()
        && all.iter().all(|&[from, to]| all.contains(&[to, from]))
}
