//! Messages of serde and the TOML parser, translated to the words of this crate.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::file_kind::{FileKind, header_mistake, other_place, tables_with};
use super::synonym::synonym;
use super::tagged_keys::{CUSTOM, is_tagged};

/// How many names a message lists.
const MOST_NAMES: usize = 12;

/// The words before a list of allowed values.
const ONE_OF: &str = "it is one of";

/// For a table of another crate's kinds, where there are none.
const NO_KINDS: &str = "this program has no kinds here: one that embeds taunet can add its own";

/// A message and its correction.
pub(super) struct Said {
    pub message: String,
    pub help: Option<String>,
    /// The missing key, where that is the mistake.
    missing: Option<String>,
    /// A tagged table is empty, since its content was removed.
    hollow: bool,
}

impl Said {
    /// Whether it only reports that removed keys are missing.
    pub fn follows_from(&self, removed: &mut Vec<String>) -> bool {
        let missed = removed.iter().position(|key| self.missing.as_ref() == Some(key));
        if let Some(index) = missed {
            removed.remove(index);
        }
        self.hollow || missed.is_some()
    }
}

/// The candidate that `name` is a synonym of, or else the most similar one, if any is similar.
pub(super) fn meant<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
) -> Option<&'a str> {
    let candidates = candidates.into_iter();
    synonym(name, candidates.clone()).or_else(|| nearest(name, candidates))
}

/// The candidate that is most similar to `name`, if any is similar.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let bound = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&candidate.to_lowercase(), &lower), candidate))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, candidate)| distance <= bound && candidate != name)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `name`?"
pub fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// The names, or the first of them and the number of the others.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names = names.into_iter().collect::<Vec<_>>();
    let shown = names.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect::<Vec<_>>();
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The parser's message and its correction.
pub(super) fn syntax(said: &str, snippet: &str) -> (String, Option<String>) {
    let (message, expected) = said.trim().split_once(", expected ").unwrap_or((said.trim(), "nothing"));
    let help = match (message, expected) {
        ("string values must be quoted", _) => {
            return ("text must be in quotes".to_owned(), Some(format!("write {:?}", snippet.trim())));
        }
        (_, "nothing") => None,
        _ => Some(format!("expected {expected}")),
    };
    (message.to_owned(), help)
}

/// Translates the message of serde about the value at `span` in a tree: the table `name`, or a whole file.
/// `kinds` gives the kinds of another crate that tables at a key may be of.
pub(super) fn explain(
    said: &str,
    (tree, name): (&DeTable<'_>, &str),
    span: &Range<usize>,
    kinds: &dyn Fn(&str) -> Vec<String>,
) -> Said {
    let said = said.trim();
    let itself = || Place { key: name.to_owned(), ..Place::default() };
    let place = place(tree, span, name).unwrap_or_else(itself);
    let mut missing = None;
    let (message, help) = if let Some(rest) = said.strip_prefix("unknown field ") {
        let (key, known) = quoted(rest);
        let own = FileKind::of(tree);
        let elsewhere =
            own.and_then(|own| other_place(&key, own, (&place.inside(), place.table.is_empty()), tree));
        match elsewhere {
            Some((message, help)) => (message, Some(help)),
            None => {
                let tables = own.and_then(|_| tables_with(&key));
                (format!("unknown key `{key}`{}", place.inside()), suggest_key(&key, &known, tables))
            }
        }
    } else if let Some(rest) = said.strip_prefix("unknown variant ") {
        let (word, known) = quoted(rest);
        let known = with_kinds(kinds, known, &place);
        if word.is_empty() {
            let help = format!("{ONE_OF}: {}", listed(known.iter().map(String::as_str)));
            (format!("missing key `kind`{}", place.holder()), Some(help))
        } else {
            let what = if place.is_key { "kind" } else { place.key.as_str() };
            let help = match known.is_empty() {
                true => Some(NO_KINDS.to_owned()),
                false => suggest(&word, &known, ONE_OF),
            };
            (format!("unknown {what} `{word}`"), help)
        }
    } else if let Some(rest) = said.strip_prefix("missing field ") {
        let key = rest.trim_matches('`').to_owned();
        let message = format!("missing key `{key}`{}", place.itself());
        missing = Some(key);
        (message, None)
    } else if let Some((found, expected)) = said
        .strip_prefix("invalid type: ")
        .or_else(|| said.strip_prefix("invalid value: "))
        .and_then(|rest| rest.split_once(", expected "))
    {
        match found == "map" && expected == "a sequence" && !place.key.is_empty() {
            true => {
                let (message, help) = header_mistake(&place.key, true, tree);
                (message, Some(help))
            }
            false => (format!("expected {}, found {}", expected_words(expected), found_words(found)), None),
        }
    } else {
        // Messages of this crate's own types: "message; correction".
        match said.split_once("; ") {
            Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
            None => (said.to_owned(), None),
        }
    };
    Said { message, help, missing, hollow: said.starts_with("wanted exactly 1 element") }
}

/// The allowed kinds: those of serde, and those of another crate.
fn with_kinds(kinds: &dyn Fn(&str) -> Vec<String>, mut known: Vec<String>, place: &Place) -> Vec<String> {
    if let Some(custom) = known.iter().position(|kind| kind == CUSTOM) {
        known.remove(custom);
        known.extend(kinds(last(place.table.trim_matches(['[', ']']))));
    }
    known
}

/// The key that may be meant, or else the `tables` that have such a key, and the keys that fit.
fn suggest_key(key: &str, known: &[String], tables: Option<String>) -> Option<String> {
    let fitting = suggest(key, known, "keys that fit")?;
    let is_meant = meant(key, known.iter().map(String::as_str)).is_some();
    Some(match tables.filter(|_| !is_meant) {
        Some(tables) => format!("{tables}; {fitting}"),
        None => fitting,
    })
}

fn suggest(name: &str, known: &[String], what: &str) -> Option<String> {
    if known.is_empty() {
        return Some("no keys fit here".to_owned());
    }
    let all = format!("{what}: {}", listed(known.iter().map(String::as_str)));
    Some(match meant(name, known.iter().map(String::as_str)) {
        Some(near) => format!("{} {all}", did_you_mean(near)),
        None => all,
    })
}

/// "`a`, expected `b` or `c`" as (a, [b, c]).
fn quoted(text: &str) -> (String, Vec<String>) {
    // A name from the user may hold a backtick: the text that serde appends is split off first.
    let (name, known) = match text.rsplit_once(", expected ") {
        Some((name, known)) => (name, known),
        None => (text.rsplit_once(", there are no").map_or(text, |(name, _)| name), ""),
    };
    let name = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')).unwrap_or(name);
    (name.to_owned(), known.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

fn found_words(found: &str) -> String {
    match found {
        "map" => "a table".to_owned(),
        "sequence" => "an array".to_owned(),
        _ => match found.split_once(' ') {
            Some(("integer" | "boolean", value)) => value.to_owned(),
            Some(("string", text)) => format!("the text {text}"),
            Some(("floating", _)) => found.trim_start_matches("floating point ").to_owned(),
            _ => found.to_owned(),
        },
    }
}

fn expected_words(expected: &str) -> String {
    match expected {
        "a sequence" => "an array".to_owned(),
        "a map" => "a table".to_owned(),
        "a string" | "path string" => "text in quotes".to_owned(),
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number of zero or more".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        _ if expected.starts_with("struct ") => "a table".to_owned(),
        _ => expected.to_owned(),
    }
}

/// The place of a span in the tree.
#[derive(Default)]
struct Place {
    /// The table around it: `a.b`, or `[[a]]` for an element; empty for the file itself.
    table: String,
    /// Its key.
    key: String,
    /// The span is that of the key, not of the value.
    is_key: bool,
    /// It is an element of an array of tables.
    element: bool,
}

impl Place {
    /// " in [[device]]", for a key in that table.
    fn inside(&self) -> String {
        match self.table.as_str() {
            "" => " at the top of the file".to_owned(),
            element if element.starts_with('[') => format!(" in {element}"),
            table => format!(" in `{table}`"),
        }
    }

    /// The same for a table with a missing key.
    fn itself(&self) -> String {
        match (self.key.as_str(), self.element) {
            ("", _) => " at the top of the file".to_owned(),
            (key, true) => format!(" in [[{key}]]"),
            (key, false) => format!(" in `{key}`"),
        }
    }

    /// The same for a tagged table, whose own key was rewritten to an empty one.
    fn holder(&self) -> String {
        if self.key.is_empty() && !self.table.is_empty() { self.inside() } else { self.itself() }
    }
}

/// The last key of a dotted name.
fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn place(table: &DeTable<'_>, span: &Range<usize>, name: &str) -> Option<Place> {
    table.iter().find_map(|(key, value)| {
        let key_text = key.get_ref().to_string();
        let here = |is_key, element| Place { table: name.to_owned(), key: key_text.clone(), is_key, element };
        let within = |value: &DeValue<'_>, name: &str| match value {
            DeValue::Table(table) => place(table, span, name),
            _ => None,
        };
        // An array of tables has the span of its first header: its elements are searched first.
        let deeper = match value.get_ref() {
            DeValue::Array(items) => items.iter().find_map(|item| {
                let element = item.get_ref().is_table();
                within(item.get_ref(), &format!("[[{key_text}]]"))
                    .or_else(|| (item.span() == *span).then(|| here(false, element)))
            }),
            // The name of a tagged table is its kind: `token-bucket` says more than `ptm`.
            inner if name.is_empty() || name.starts_with('[') || is_tagged(last(name)) => {
                within(inner, &key_text)
            }
            inner => within(inner, &format!("{name}.{key_text}")),
        };
        deeper.or_else(|| {
            let is_key = key.span() == *span;
            (is_key || value.span() == *span).then(|| here(is_key, false))
        })
    })
}
