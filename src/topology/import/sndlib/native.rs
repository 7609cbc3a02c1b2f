//! SNDlib's native format: sections of lists in parentheses.
//!
//! ```text
//! ?SNDlib native format; type: network; version: 1.0
//! NODES ( Berlin ( 13.48 52.52 ) )
//! LINKS ( L1 ( Berlin Ulm ) 9920.00 0.00 0.00 133.00 ( 40.00 1.00 160.00 3.00 ) )
//! DEMANDS ( D1 ( Berlin Ulm ) 1 195.00 UNLIMITED )
//! ```

use std::ops::Range;

use super::super::ImportedText;
use super::super::attributes::Attributes;
use super::super::network::{Network, RawDemand};
use super::super::reason::Owner;
use super::{NATIVE, capacity};
use crate::config::ConfigError;

/// The numbers of a link between its ends and its modules.
const LINK_NUMBERS: [&str; 4] =
    ["preinstalled capacity", "preinstalled capacity cost", "routing cost", "setup cost"];

/// The number of words of a demand after its ends.
const DEMAND_WORDS: usize = 3;

/// A word or a list, with its position.
enum Item<'a> {
    Word(&'a str, Range<usize>),
    List(Vec<Item<'a>>, Range<usize>),
}

impl<'a> Item<'a> {
    fn span(&self) -> Range<usize> {
        match self {
            Item::Word(_, span) | Item::List(_, span) => span.clone(),
        }
    }

    fn word(&self) -> Option<&'a str> {
        if let Item::Word(word, _) = self { Some(word) } else { None }
    }
}

/// Adds the content of the file. Returns the number of links whose capacity is that of a module.
pub fn read(source: &ImportedText, network: &mut Network) -> Result<usize, ConfigError> {
    check_head(source)?;
    let items = items(source)?;
    let mut by_module = 0;
    let mut items = items.iter();
    while let Some(item) = items.next() {
        let Some(name) = item.word() else {
            return Err(source.error(item.span(), "expected the name of a section, such as `NODES`"));
        };
        let Some(Item::List(section, _)) = items.next() else {
            return Err(source.error(item.span(), format!("`{name}` needs `( ... )` after it")));
        };
        match name {
            "META" => read_meta(section, network),
            "NODES" => read_nodes(source, section, network)?,
            "LINKS" => by_module += read_links(source, section, network)?,
            "DEMANDS" => read_demands(source, section, network)?,
            _ if section.is_empty() => {}
            other => {
                network.remarks.push(format!("left out: the section {other}: taunet has no counterpart"))
            }
        }
    }
    Ok(by_module)
}

/// Checks that the first line declares a network.
fn check_head(source: &ImportedText) -> Result<(), ConfigError> {
    let text = source.text();
    let start = text.len() - text.trim_start().len();
    let line = text[start..].lines().next().unwrap_or_default();
    let kind = line.split(';').find_map(|part| part.trim().strip_prefix("type:")).map(str::trim);
    match kind {
        None | Some("network") => Ok(()),
        Some(kind) => {
            let message = format!("this SNDlib file has the type `{kind}`: taunet reads a `network`");
            Err(source.error(start..start + line.len(), message))
        }
    }
}

/// `key = value`, word by word.
fn read_meta(section: &[Item<'_>], network: &mut Network) {
    // A remark may be in parentheses.
    let of_item = |item: &Item<'_>| match item {
        Item::Word(word, _) => (*word).to_owned(),
        Item::List(items, _) => items.iter().filter_map(Item::word).collect::<Vec<_>>().join(" "),
    };
    let words = section.iter().map(of_item).collect::<Vec<_>>();
    let mut key: Option<&str> = None;
    for (index, word) in words.iter().enumerate() {
        if words.get(index + 1).is_some_and(|next| next == "=") {
            key = Some(word);
        } else if let (Some(key), true) = (key, word != "=") {
            let before = network.attributes.get(key).map(|text| format!("{text} ")).unwrap_or_default();
            network.attributes.set(key, format!("{before}{word}"));
        }
    }
}

fn read_nodes(source: &ImportedText, section: &[Item<'_>], network: &mut Network) -> Result<(), ConfigError> {
    let mut entries = Entries { source, rest: section };
    while let Some((id, span)) = entries.id()? {
        let mut attributes = Attributes::default();
        for (text, name) in entries.list().unwrap_or_default().iter().zip(["longitude", "latitude"]) {
            attributes.set(name, *text);
        }
        network.add_node(source, id, attributes, Some(span))?;
    }
    Ok(())
}

/// `ID ( SOURCE TARGET ) CAPACITY COST COST COST ( CAPACITY COST ... )`
fn read_links(
    source: &ImportedText,
    section: &[Item<'_>],
    network: &mut Network,
) -> Result<usize, ConfigError> {
    let mut by_module = 0;
    let mut entries = Entries { source, rest: section };
    while let Some((id, span)) = entries.id()? {
        let ends = entries.ends(id, span.clone(), network)?;
        let numbers = entries.words(LINK_NUMBERS.len());
        let modules = entries.list().unwrap_or_default();
        let mut attributes = Attributes::default();
        attributes.add("id", id);
        let capacities = modules.iter().step_by(2).copied().collect::<Vec<_>>();
        by_module += usize::from(capacity(&mut attributes, numbers.first().copied(), &capacities));
        for (number, name) in numbers.iter().zip(LINK_NUMBERS).skip(1) {
            attributes.add(name, *number);
        }
        for cost in modules.iter().skip(1).step_by(2) {
            attributes.add("module cost", *cost);
        }
        network.add_edge(source, ends, attributes, Some(span))?;
    }
    Ok(by_module)
}

/// `ID ( SOURCE TARGET ) UNIT VALUE LENGTH`
fn read_demands(
    source: &ImportedText,
    section: &[Item<'_>],
    network: &mut Network,
) -> Result<(), ConfigError> {
    let mut entries = Entries { source, rest: section };
    while let Some((id, span)) = entries.id()? {
        let ends = entries.ends(id, span.clone(), network)?;
        let words = entries.words(DEMAND_WORDS);
        let value = words.get(1).and_then(|text| text.parse::<f64>().ok()).ok_or_else(|| {
            source.error(span, "this demand is not `ID ( SOURCE TARGET ) UNIT VALUE LENGTH`")
        })?;
        network.demands.push(RawDemand { ends, value });
        let mut attributes = Attributes::default();
        attributes.add("id", id);
        attributes.add("routing unit", words[0]);
        attributes.add("max path length", words.get(2).copied().unwrap_or_default());
        network.notes.leave(Owner::Demand, &attributes);
    }
    Ok(())
}

/// The entries of a section, item by item.
struct Entries<'s, 'e, 'a> {
    source: &'s ImportedText,
    rest: &'e [Item<'a>],
}

impl<'a> Entries<'_, '_, 'a> {
    /// The word that starts an entry; `None` after the last.
    fn id(&mut self) -> Result<Option<(&'a str, Range<usize>)>, ConfigError> {
        let Some((first, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        match first {
            Item::Word(id, span) => Ok(Some((id, span.clone()))),
            Item::List(_, span) => Err(self.source.error(span.clone(), "expected an id before this list")),
        }
    }

    /// The words of the next list, if there is one.
    fn list(&mut self) -> Option<Vec<&'a str>> {
        let (Item::List(items, _), rest) = self.rest.split_first()? else { return None };
        self.rest = rest;
        Some(items.iter().filter_map(Item::word).collect())
    }

    /// The next words, at most `most` of them.
    fn words(&mut self, most: usize) -> Vec<&'a str> {
        let words = self.rest.iter().take(most).map_while(Item::word).collect::<Vec<_>>();
        self.rest = &self.rest[words.len()..];
        words
    }

    /// The nodes of `( SOURCE TARGET )`.
    fn ends(&mut self, id: &str, span: Range<usize>, network: &Network) -> Result<[usize; 2], ConfigError> {
        let words = self.list().unwrap_or_default();
        let [from, to] = words[..] else {
            return Err(self.source.error(span, format!("`{id}` has no `( SOURCE TARGET )`")));
        };
        let node = |id| network.node(self.source, id, Some(span.clone()));
        Ok([node(from)?, node(to)?])
    }
}

/// The words and lists of a file, without its head and comments.
fn items<'a>(source: &'a ImportedText) -> Result<Vec<Item<'a>>, ConfigError> {
    /// The maximum depth of lists: sections, entries, paths.
    const DEEPEST: usize = 16;
    let text = source.text();
    let mut items = Vec::new();
    let mut open: Vec<(Vec<Item<'a>>, usize)> = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        match next {
            '#' | '?'
                if text[..at].trim_end_matches([' ', '\t']).chars().next_back().is_none_or(|c| c == '\n') =>
            {
                at += text[at..].find('\n').unwrap_or(text.len() - at);
            }
            '(' if open.len() == DEEPEST => {
                return Err(source.error(at..at + 1, format!("lists are nested more than {DEEPEST} deep")));
            }
            '(' => {
                open.push((std::mem::take(&mut items), at));
                at += 1;
            }
            ')' => {
                let Some((outer, start)) = open.pop() else {
                    return Err(source.error(at..at + 1, "`)` has no matching `(`"));
                };
                let list = std::mem::replace(&mut items, outer);
                at += 1;
                items.push(Item::List(list, start..at));
            }
            ',' => at += 1,
            space if space.is_whitespace() => at += space.len_utf8(),
            _ => {
                let length = text[at..].find(|c: char| c.is_whitespace() || "(),".contains(c));
                let end = length.map_or(text.len(), |length| at + length);
                items.push(Item::Word(&text[at..end], at..end));
                at = end;
            }
        }
    }
    match open.pop() {
        Some((_, start)) => Err(source.error(start..start + 1, "this `(` is not closed")),
        None if text.trim_start().starts_with(NATIVE) => Ok(items),
        None => {
            Err(source.whole(format!("not SNDlib's native format: the first line is not `{NATIVE}; ...`")))
        }
    }
}
