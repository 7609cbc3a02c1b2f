//! XML texts as trees.

use roxmltree::{Document, Node, ParsingOptions};

use super::ImportedText;
use crate::config::ConfigError;
use crate::foreign::contain;

/// The maximum number of nodes of a tree: elements, attributes, texts.
const MOST_NODES: u32 = 20_000_000;

/// An element of a tree.
pub(super) type Element<'a> = Node<'a, 'a>;

/// Parses a text. A document type with declarations is rejected, because its entities could expand without
/// limit. A document type that only names a DTD is accepted.
pub(super) fn parse(source: &ImportedText) -> Result<Document<'_>, ConfigError> {
    let text = source.text();
    if let Some(start) = text.find("<!DOCTYPE")
        && let Some(end) = text[start..].find(['[', '>'])
        && text[start + end..].starts_with('[')
    {
        let message = "this document type declares entities or elements, which taunet does not read";
        let help = "remove the `[ ... ]` from the <!DOCTYPE>, and replace each entity by its text";
        return Err(source.error(start..start + end, message).with_help(help.to_owned()));
    }
    let options = ParsingOptions { allow_dtd: true, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let parsed = contain(|| Document::parse_with_options(text, options))
        .map_err(|panicked| source.error(0..0, format!("invalid XML: {panicked}")))?;
    parsed.map_err(|error| {
        let place = error.pos();
        // The parser's columns count characters.
        let line = source.offset(place.row as usize, 1);
        let column = text[line..].chars().take(place.col.saturating_sub(1) as usize);
        let offset = line + column.map(char::len_utf8).sum::<usize>();
        let message = error.to_string();
        let message = message.split(" at ").next().unwrap_or_default();
        source.error(offset..offset, format!("invalid XML: {message}"))
    })
}

/// The children with this name, in any namespace.
pub(super) fn children<'a>(element: Element<'a>, name: &'static str) -> impl Iterator<Item = Element<'a>> {
    element.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

/// The text of the first child with this name.
pub(super) fn child_text<'a>(element: Element<'a>, name: &'static str) -> Option<&'a str> {
    children(element, name).next()?.text().map(str::trim)
}

/// A required attribute.
pub(super) fn required<'a>(
    source: &ImportedText,
    element: Element<'a>,
    name: &'static str,
) -> Result<&'a str, ConfigError> {
    element.attribute(name).ok_or_else(|| {
        source.error(head(element), format!("<{}> has no attribute `{name}`", element.tag_name().name()))
    })
}

/// The position of an element's first line.
pub(super) fn head(element: Element<'_>) -> std::ops::Range<usize> {
    let range = element.range();
    let text = element.document().input_text();
    let end = text[range.clone()].find(['>', '\n']).map_or(range.end, |end| range.start + end);
    range.start..end
}
