//! SNDlib's XML.

use super::super::ImportedText;
use super::super::attributes::Attributes;
use super::super::network::{Network, RawDemand};
use super::super::reason::Owner;
use super::super::xml::{self, Element, child_text, children, head, required};
use super::capacity;
use crate::config::ConfigError;

/// Adds the content of the file. Returns the number of links whose capacity is that of a module.
pub fn read(source: &ImportedText, network: &mut Network) -> Result<usize, ConfigError> {
    let document = xml::parse(source)?;
    let root = document.root_element();
    let structure = children(root, "networkStructure").next().filter(|_| root.tag_name().name() == "network");
    let Some(structure) = structure else {
        let message = format!("not SNDlib: <{}> without a <networkStructure>", root.tag_name().name());
        let help = "SNDlib XML has <network><networkStructure>; GraphML is read with --format graphml";
        return Err(source.error(head(root), message).with_help(help.to_owned()));
    };
    for meta in children(root, "meta") {
        add_rest(&mut network.attributes, meta, &[]);
    }
    for nodes in children(structure, "nodes") {
        read_nodes(source, nodes, network)?;
    }
    let mut by_module = 0;
    for link in children(structure, "links").flat_map(|links| children(links, "link")) {
        let ends = ends(source, link, network)?;
        let (attributes, is_module) = link_attributes(link);
        by_module += usize::from(is_module);
        network.add_edge(source, ends, attributes, Some(head(link)))?;
    }
    for demand in children(root, "demands").flat_map(|demands| children(demands, "demand")) {
        let ends = ends(source, demand, network)?;
        let text = child_text(demand, "demandValue").unwrap_or_default();
        let value = text
            .parse()
            .map_err(|_| source.error(head(demand), "this demand has no <demandValue> that is a number"))?;
        network.demands.push(RawDemand { ends, value });
        let mut attributes = Attributes::default();
        attributes.add("id", demand.attribute("id").unwrap_or_default());
        add_rest(&mut attributes, demand, &["source", "target", "demandValue"]);
        network.notes.leave(Owner::Demand, &attributes);
    }
    Ok(by_module)
}

fn read_nodes(source: &ImportedText, nodes: Element<'_>, network: &mut Network) -> Result<(), ConfigError> {
    let geographic = nodes.attribute("coordinatesType") != Some("pixel");
    if !geographic {
        network.remarks.push("coordinates are those of a picture: they give no lengths".to_owned());
    }
    for node in children(nodes, "node") {
        let mut attributes = Attributes::default();
        let coordinates = children(node, "coordinates").next().filter(|_| geographic);
        for (axis, name) in [("x", "longitude"), ("y", "latitude")] {
            if let Some(text) = coordinates.and_then(|coordinates| child_text(coordinates, axis)) {
                attributes.set(name, text);
            }
        }
        add_rest(&mut attributes, node, &["coordinates"]);
        network.add_node(source, required(source, node, "id")?, attributes, Some(head(node)))?;
    }
    Ok(())
}

fn ends(source: &ImportedText, element: Element<'_>, network: &Network) -> Result<[usize; 2], ConfigError> {
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

fn link_attributes(link: Element<'_>) -> (Attributes, bool) {
    let mut attributes = Attributes::default();
    attributes.add("id", link.attribute("id").unwrap_or_default());
    let installed = children(link, "preInstalledModule").next();
    let modules = || children(link, "additionalModules").flat_map(|modules| children(modules, "addModule"));
    let of_modules = modules().filter_map(|module| child_text(module, "capacity")).collect::<Vec<_>>();
    let installed_capacity = installed.and_then(|module| child_text(module, "capacity"));
    let by_module = capacity(&mut attributes, installed_capacity, &of_modules);
    add_rest(&mut attributes, link, &["source", "target", "preInstalledModule", "additionalModules"]);
    let costs = installed.into_iter().chain(modules()).filter_map(|module| child_text(module, "cost"));
    for cost in costs {
        attributes.add("module cost", cost);
    }
    (attributes, by_module)
}

/// Adds the texts of the elements that are not `known`; for an element with child elements, its name.
fn add_rest(attributes: &mut Attributes, element: Element<'_>, known: &[&str]) {
    for child in element.children().filter(Element::is_element) {
        let name = child.tag_name().name();
        if !known.contains(&name) {
            let is_leaf = !child.children().any(|inner| inner.is_element());
            let text = if is_leaf { child.text().unwrap_or_default().trim() } else { "..." };
            attributes.add(name, text);
        }
    }
}
