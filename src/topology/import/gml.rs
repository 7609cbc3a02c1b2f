//! GML, the Graph Modelling Language.
//!
//! # Source
//! M. Himsolt, "GML: A portable Graph File Format", University of Passau, 1997.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::ImportedText;
use super::attributes::Attributes;
use super::labels::without_entities;
use super::network::Network;
use super::notes::Note;
use super::reason::Owner;
use crate::config::ConfigError;

/// The maximum depth of lists: trees are read and dropped level by level.
const DEEPEST: usize = 64;

/// `key value`, with its position.
struct Entry {
    key: String,
    value: Value,
    span: Range<usize>,
}

enum Value {
    /// A number or a text.
    Text(String),
    List(Vec<Entry>),
}

pub(super) fn read(source: &ImportedText) -> Result<Network, ConfigError> {
    if source.text().trim_start().starts_with('<') {
        let message = "not GML, the Graph Modelling Language: the file is XML";
        return Err(source.whole(message).with_help("GraphML is read with --format graphml".to_owned()));
    }
    let mut entries = parse(source)?;
    let graph = entries.iter().position(|entry| entry.key == "graph");
    let graph = graph.map(|graph| entries.remove(graph).value);
    let Some(Value::List(graph)) = graph else {
        return Err(source.whole("not GML: there is no `graph [ ... ]`"));
    };
    let mut network = Network::default();
    let is_part =
        |entry: &&Entry| matches!(&entry.value, Value::List(_)) && matches!(&entry.key[..], "node" | "edge");
    let mut described = attributes(graph.iter().filter(|entry| !is_part(entry)).chain(&entries));
    network.directed = described.take(&["directed"]).as_deref() == Some("1");
    described.take(&["multigraph"]);
    network.name = described.take(&["network", "name", "label"]);
    network.attributes = described;
    let groups = read_nodes(source, &graph, &mut network)?;
    for (keys, entry) in lists(&graph, "edge") {
        read_edge(source, keys, entry, &groups, &mut network)?;
    }
    Ok(network)
}

/// Adds the nodes. Returns the labels of group nodes, by id.
fn read_nodes(
    source: &ImportedText,
    graph: &[Entry],
    network: &mut Network,
) -> Result<FxHashMap<String, String>, ConfigError> {
    let mut groups = FxHashMap::default();
    for (keys, entry) in lists(graph, "node") {
        let mut attributes = attributes(keys.iter());
        let Some(id) = attributes.take(&["id"]) else {
            return Err(source.error(entry.span.clone(), "this node has no `id`"));
        };
        // yEd: whether the node is a group, and the group that contains it.
        let is_group = attributes.take(&["isGroup"]).is_some_and(|text| text == "1");
        if is_group {
            let label = attributes.take(&["label"]).unwrap_or_else(|| id.clone());
            network.notes.count(Note::Group, &label);
            network.notes.leave(Owner::Node, &attributes);
            groups.insert(id, label);
            continue;
        }
        network.add_node(source, &id, attributes, Some(entry.span.clone()))?;
    }
    Ok(groups)
}

fn read_edge(
    source: &ImportedText,
    keys: &[Entry],
    entry: &Entry,
    groups: &FxHashMap<String, String>,
    network: &mut Network,
) -> Result<(), ConfigError> {
    let mut attributes = attributes(keys.iter());
    let mut ends = [0; 2];
    for (end, key) in ends.iter_mut().zip(["source", "target"]) {
        let Some(id) = attributes.take(&[key]) else {
            return Err(source.error(entry.span.clone(), format!("this edge has no `{key}`")));
        };
        if let Some(group) = groups.get(&id) {
            network.notes.count(Note::EdgeOfGroup, group);
            return Ok(());
        }
        *end = network.node(source, &id, Some(entry.span.clone()))?;
    }
    network.add_edge(source, ends, attributes, Some(entry.span.clone()))?;
    Ok(())
}

/// The lists of a key.
fn lists<'a>(entries: &'a [Entry], key: &'static str) -> impl Iterator<Item = (&'a [Entry], &'a Entry)> {
    entries.iter().filter(move |entry| entry.key == key).filter_map(|entry| match &entry.value {
        Value::List(list) => Some((list.as_slice(), entry)),
        Value::Text(_) => None,
    })
}

fn attributes<'a>(entries: impl Iterator<Item = &'a Entry>) -> Attributes {
    let mut attributes = Attributes::default();
    for entry in entries {
        match &entry.value {
            Value::Text(text) => attributes.add(&entry.key, text.as_str()),
            Value::List(list) => {
                let keys = list.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>();
                attributes.add(&entry.key, format!("[ {} ]", keys.join(" ")));
            }
        }
    }
    attributes
}

/// A word, a quoted text or a bracket.
enum Token<'a> {
    Word(&'a str),
    Text(&'a str),
    Open,
    Close,
}

fn parse(source: &ImportedText) -> Result<Vec<Entry>, ConfigError> {
    let mut tokens = Tokens { source, text: source.text(), at: 0 };
    let mut entries = Vec::new();
    // Open lists: their entries so far, their key and its position.
    let mut open: Vec<(Vec<Entry>, String, Range<usize>)> = Vec::new();
    while let Some((token, span)) = tokens.next()? {
        let key = match token {
            Token::Word(key) => key.to_owned(),
            Token::Close => {
                let Some((outer, key, key_span)) = open.pop() else {
                    return Err(source.error(span, "`]` has no matching `[`"));
                };
                let list = std::mem::replace(&mut entries, outer);
                entries.push(Entry { key, value: Value::List(list), span: key_span });
                continue;
            }
            Token::Text(_) | Token::Open => return Err(source.error(span, "expected a key")),
        };
        match tokens.next()? {
            Some((Token::Word(text), _)) => {
                entries.push(Entry { key, value: Value::Text(text.to_owned()), span })
            }
            Some((Token::Text(text), _)) => entries.push(Entry {
                key,
                value: Value::Text(without_entities(&text.replace("\\\"", "\""))),
                span,
            }),
            Some((Token::Open, _)) if open.len() < DEEPEST => {
                open.push((std::mem::take(&mut entries), key, span));
            }
            Some((Token::Open, span)) => {
                return Err(source.error(span, format!("lists are nested more than {DEEPEST} deep")));
            }
            Some((Token::Close, span)) => return Err(source.error(span, format!("`{key}` has no value"))),
            None => return Err(source.error(span, format!("`{key}` has no value"))),
        }
    }
    match open.pop() {
        Some((_, key, span)) => Err(source.error(span, format!("`{key} [` is not closed"))),
        None => Ok(entries),
    }
}

struct Tokens<'a> {
    source: &'a ImportedText,
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Result<Option<(Token<'a>, Range<usize>)>, ConfigError> {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                break;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
        let rest = &self.text[self.at..];
        let start = self.at;
        let (token, length) = match rest.chars().next() {
            None => return Ok(None),
            Some('[') => (Token::Open, 1),
            Some(']') => (Token::Close, 1),
            Some('"') => match end_of_text(&rest[1..]) {
                Some(end) => (Token::Text(&rest[1..end + 1]), end + 2),
                None => return Err(self.source.error(start..start + 1, "this text is not closed")),
            },
            Some(_) => {
                let end = rest.find(|c: char| c.is_whitespace() || "[]\"".contains(c)).unwrap_or(rest.len());
                (Token::Word(&rest[..end]), end)
            }
        };
        self.at += length;
        Ok(Some((token, start..start + length)))
    }
}

/// The position of the quote that ends a text. GML writes `&quot;` inside a text; a quote after a backslash,
/// as others write it, ends the text only if a space follows.
fn end_of_text(text: &str) -> Option<usize> {
    let mut quotes = text.match_indices('"').map(|(at, _)| at);
    quotes.find(|&at| {
        let next = text[at + 1..].chars().next();
        !text[..at].ends_with('\\') || next.is_none_or(|next| next.is_whitespace() || next == ']')
    })
}
