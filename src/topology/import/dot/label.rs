//! Labels of DOT: escapes, records, HTML.
//!
//! # Source
//! Graphviz documentation, "escString", "Record-based Nodes", "HTML-Like Labels".

use crate::topology::import::labels::{of_html, without_entities};

/// The objects that escapes refer to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Objects<'a> {
    /// `\G`: the graph.
    pub graph: &'a str,
    /// `\N`: the node.
    pub node: &'a str,
    /// `\T` and `\H`: the nodes at the tail and the head of an edge.
    pub ends: [&'a str; 2],
}

/// A text with its escapes resolved: `\n`, `\l` and `\r` end a line.
pub fn unescaped(text: &str, objects: Objects<'_>) -> String {
    let mut resolved = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            resolved.push(character);
            continue;
        }
        match characters.next() {
            Some('n' | 'l' | 'r') => resolved.push('\n'),
            Some('N') => resolved.push_str(objects.node),
            Some('G') => resolved.push_str(objects.graph),
            Some('T') => resolved.push_str(objects.ends[0]),
            Some('H') => resolved.push_str(objects.ends[1]),
            Some('E') => resolved.push_str(&objects.ends.join("--")),
            // The label itself, in other texts of an object.
            Some('L') | None => {}
            Some(other) => resolved.push(other),
        }
    }
    without_entities(resolved.trim())
}

/// A field of a record: its port name, and its text with escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    pub port: Option<String>,
    pub text: String,
}

/// The fields of a record label, `{<a> x | y}`; `None` if it is not a record.
pub fn fields(label: &str) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    let mut field = Field::default();
    let mut has_marks = false;
    let mut characters = label.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                field.text.push('\\');
                field.text.extend(characters.next());
            }
            '|' | '{' | '}' => {
                has_marks = true;
                fields.push(std::mem::take(&mut field));
            }
            '<' => {
                has_marks = true;
                let port = characters.by_ref().take_while(|c| *c != '>').collect::<String>();
                field.port = Some(port.trim().to_owned());
            }
            _ => field.text.push(character),
        }
    }
    fields.push(field);
    fields.retain(|field| field.port.is_some() || !field.text.trim().is_empty());
    has_marks.then_some(fields)
}

/// An HTML label as a label with escapes.
pub fn from_html(html: &str) -> String {
    let lines = of_html(html).into_iter().map(|line| {
        let mut escaped = String::new();
        for character in line.chars() {
            if "\\|{}<>".contains(character) {
                escaped.push('\\');
            }
            escaped.push(character);
        }
        escaped
    });
    lines.collect::<Vec<_>>().join("\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let objects = Objects { graph: "g", node: "r1", ends: ["a", "b"] };
        let of = |text| unescaped(text, objects);
        assert_eq!(of(r"CORE_1\n192.0.2.168\l"), "CORE_1\n192.0.2.168");
        assert_eq!(of(r"\N of \G, \T to \H, \E, a\\b\{"), r"r1 of g, a to b, a--b, a\b{");
        assert_eq!((of(r"\"), of("AT&amp;T")), (String::new(), "AT&T".to_owned()));
    }

    #[test]
    fn records() {
        let field =
            |port: Option<&str>, text: &str| Field { port: port.map(str::to_owned), text: text.to_owned() };
        assert_eq!(
            fields("{<p0> ge-0/0/0|SW5|{}<p1> ge-0/0/1}"),
            Some(vec![field(Some("p0"), " ge-0/0/0"), field(None, "SW5"), field(Some("p1"), " ge-0/0/1")])
        );
        assert_eq!(fields(r"a \| b \<c\>"), None);
        assert_eq!(from_html("<b>A|B</b><br/>c"), r"A\|B\nc");
    }
}
