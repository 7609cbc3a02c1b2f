//! Extensions of GraphML by yEd and other yFiles programs: labels, groups, arrows.
//!
//! # Source
//! yWorks, "yFiles GraphML" and its schema `ygraphml/1.1`; files of yEd 3 and yEd Live.

use super::super::labels::of_html;
use super::super::xml::{Element, children};

/// The elements with a label of a node.
pub const NODE_LABELS: &[&str] = &["NodeLabel"];
/// The elements with a label of an edge.
pub const EDGE_LABELS: &[&str] = &["EdgeLabel"];

/// Whether an attribute contains labels as written by yEd Live, which [`labels`] reads.
pub fn is_labels(name: &str) -> bool {
    matches!(name, "NodeLabels" | "EdgeLabels")
}

/// The labels of a node or an edge, in the order of the file: those of `names`, and those of yEd Live.
pub fn labels(element: Element<'_>, names: &[&str]) -> Vec<String> {
    let mut labels = Vec::new();
    for inner in children(element, "data").flat_map(|entry| entry.descendants()) {
        let name = inner.tag_name().name();
        let text = match name {
            "Label" => inner.attribute("Text").or_else(|| inner.attribute("Label.Text")).map(str::to_owned),
            "Label.Text" => Some(own_text(inner)),
            _ if names.contains(&name) && inner.attribute("hasText") != Some("false") => {
                Some(own_text(inner))
            }
            _ => None,
        };
        let text =
            text.map(
                |text| if text.trim_start().starts_with("<html") { of_html(&text).join("\n") } else { text },
            );
        labels.extend(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()));
    }
    labels
}

/// The text of an element without that of its child elements.
fn own_text(element: Element<'_>) -> String {
    element.children().filter(|child| child.is_text()).filter_map(|child| child.text()).collect()
}

/// Whether a node is a group, open or closed.
pub fn is_group(node: Element<'_>) -> bool {
    let mut attributes = node.attributes();
    attributes.any(|attribute| {
        matches!(attribute.name(), "yfiles.foldertype" | "foldertype")
            && matches!(attribute.value(), "group" | "folder")
    })
}

/// Whether an edge is drawn with one arrowhead; `None` if nothing is stated.
pub fn has_arrows(edge: Element<'_>) -> Option<bool> {
    let data = children(edge, "data").flat_map(|entry| entry.descendants());
    let arrows = data.into_iter().find(|inner| inner.tag_name().name() == "Arrows")?;
    let is_there = |name| arrows.attribute(name).is_some_and(|arrow| arrow != "none");
    Some(is_there("source") != is_there("target"))
}
