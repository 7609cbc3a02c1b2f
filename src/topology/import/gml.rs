//! GML, the Graph Modelling Language.
//!
//! # Source
//! M. Himsolt, "GML: A portable Graph File Format", University of Passau, 1997.

use std::ops::Range;

use super::Source;
use super::attributes::Attributes;
use super::network::Network;
use crate::config::ConfigError;

/// The deepest list: trees are dropped, and read, level by level.
const DEEPEST: usize = 64;

/// `key value`, where it stands.
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

pub(super) fn read(source: &Source) -> Result<Network, ConfigError> {
    let entries = parse(source)?;
    let graph = entries.iter().find(|entry| entry.key == "graph");
    let Some(Entry { value: Value::List(graph), .. }) = graph else {
        return Err(source.whole("not GML: there is no `graph [ ... ]`"));
    };
    let described = attributes(graph);
    let name = described.get(&["network", "name", "label"]).map(str::to_owned);
    let mut network = Network::new(name, described.get(&["directed"]) == Some("1"));
    for (keys, entry) in lists(graph, "node") {
        let attributes = attributes(keys);
        let Some(id) = attributes.get(&["id"]).map(str::to_owned) else {
            return Err(source.error(entry.span.clone(), "this node has no `id`"));
        };
        network.add_node(source, &id, attributes, Some(entry.span.clone()))?;
    }
    for (keys, entry) in lists(graph, "edge") {
        let attributes = attributes(keys);
        let mut ends = [0; 2];
        for (end, key) in ends.iter_mut().zip(["source", "target"]) {
            let Some(id) = attributes.get(&[key]) else {
                return Err(source.error(entry.span.clone(), format!("this edge has no `{key}`")));
            };
            *end = network.node(source, id, Some(entry.span.clone()))?;
        }
        network.add_edge(source, ends, attributes, Some(entry.span.clone()))?;
    }
    Ok(network)
}

/// The lists below a key.
fn lists<'a>(entries: &'a [Entry], key: &'static str) -> impl Iterator<Item = (&'a [Entry], &'a Entry)> {
    entries.iter().filter(move |entry| entry.key == key).filter_map(|entry| match &entry.value {
        Value::List(list) => Some((list.as_slice(), entry)),
        Value::Text(_) => None,
    })
}

fn attributes(entries: &[Entry]) -> Attributes {
    let mut attributes = Attributes::default();
    for entry in entries {
        if let Value::Text(text) = &entry.value {
            attributes.set(&entry.key, text.as_str());
        }
    }
    attributes
}

/// A word, a text in quotes or a bracket.
enum Token<'a> {
    Word(&'a str),
    Text(&'a str),
    Open,
    Close,
}

fn parse(source: &Source) -> Result<Vec<Entry>, ConfigError> {
    let mut tokens = Tokens { source, text: source.text(), at: 0 };
    let mut entries = Vec::new();
    // Lists that are open: their entries so far, their key and its place.
    let mut open: Vec<(Vec<Entry>, String, Range<usize>)> = Vec::new();
    while let Some((token, span)) = tokens.next()? {
        let key = match token {
            Token::Word(key) => key.to_owned(),
            Token::Close => {
                let Some((outer, key, key_span)) = open.pop() else {
                    return Err(source.error(span, "`]` closes nothing"));
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
            Some((Token::Text(text), _)) => {
                entries.push(Entry { key, value: Value::Text(decoded(text)), span })
            }
            Some((Token::Open, _)) if open.len() < DEEPEST => {
                open.push((std::mem::take(&mut entries), key, span));
            }
            Some((Token::Open, span)) => {
                return Err(source.error(span, format!("lists are more than {DEEPEST} deep")));
            }
            Some((Token::Close, span)) => return Err(source.error(span, format!("`{key}` has no value"))),
            None => return Err(source.error(span, format!("`{key}` has no value"))),
        }
    }
    match open.pop() {
        Some((_, key, span)) => Err(source.error(span, format!("`{key} [` is never closed"))),
        None => Ok(entries),
    }
}

struct Tokens<'a> {
    source: &'a Source,
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
            Some('"') => match rest[1..].find('"') {
                Some(end) => (Token::Text(&rest[1..end + 1]), end + 2),
                None => return Err(self.source.error(start..start + 1, "this text is never closed")),
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

/// A text with its character entities resolved: `&amp;`, `&#252;`.
fn decoded(text: &str) -> String {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.bytes().take(12).position(|byte| byte == b';');
        let character = end.and_then(|end| match &rest[1..end] {
            "amp" => Some('&'),
            "quot" => Some('"'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "apos" => Some('\''),
            number => number.strip_prefix('#')?.parse().ok().and_then(char::from_u32),
        });
        match (character, end) {
            (Some(character), Some(end)) => {
                decoded.push(character);
                rest = &rest[end + 1..];
            }
            _ => {
                decoded.push('&');
                rest = &rest[1..];
            }
        }
    }
    decoded + rest
}
