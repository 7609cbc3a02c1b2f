//! What serde and the TOML parser say about a mistake, in the words of this crate.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::synonym::synonym;
use super::tagged_keys::{CUSTOM, is_tagged};

/// How many names a message lists.
const MOST_NAMES: usize = 12;

/// What precedes the words that fit.
const ONE_OF: &str = "it is one of";

/// Where a table can be of another crate's kinds only, and there are none.
const NO_KINDS: &str = "this program knows no kinds here: one that embeds taunet can add its own";

/// A message and what would be right.
pub(super) struct Said {
    pub message: String,
    pub help: Option<String>,
    /// The key that is missing, where that is the mistake.
    missing: Option<String>,
    /// There is nothing where a tagged table stood.
    hollow: bool,
}

impl Said {
    /// Whether it says no more than that the removed keys are gone.
    pub fn follows_from(&self, removed: &mut Vec<String>) -> bool {
        let missed = removed.iter().position(|key| self.missing.as_ref() == Some(key));
        if let Some(index) = missed {
            removed.remove(index);
        }
        self.hollow || missed.is_some()
    }
}

/// The candidate that `name` is another name for, or else the one that looks most like it, unless none does.
pub(super) fn meant<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
) -> Option<&'a str> {
    let candidates = candidates.into_iter();
    synonym(name, candidates.clone()).or_else(|| nearest(name, candidates))
}

/// The candidate that looks most like `name`, unless none looks like it.
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

/// The names, or the first of them and how many there are more.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names = names.into_iter().collect::<Vec<_>>();
    let shown = names.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect::<Vec<_>>();
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The parser's message, and what would be right.
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

/// Translates what serde said about the value at `span` in a tree, the table `name` or a whole file. The `kinds` of
/// tables at a key fit as well as those that serde knows.
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
        (format!("unknown key `{key}`{}", place.inside()), suggest(&key, &known, "keys that fit"))
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
        // [device] where [[device]] is meant.
        let help = (found == "map" && expected == "a sequence")
            .then(|| format!("write [[{}]] for each of them", place.key));
        (format!("expected {}, found {}", expected_words(expected), found_words(found)), help)
    } else {
        // Messages of this crate's own types: "what is wrong; what would be right".
        match said.split_once("; ") {
            Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
            None => (said.to_owned(), None),
        }
    };
    Said { message, help, missing, hollow: said.starts_with("wanted exactly 1 element") }
}

/// The kinds that fit: those of serde, and those that another crate added.
fn with_kinds(kinds: &dyn Fn(&str) -> Vec<String>, mut known: Vec<String>, place: &Place) -> Vec<String> {
    if let Some(custom) = known.iter().position(|kind| kind == CUSTOM) {
        known.remove(custom);
        known.extend(kinds(last(place.table.trim_matches(['[', ']']))));
    }
    known
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
    // A name given by the user may hold a backtick: what serde appends is split off first.
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

/// Where in the tree a span stands.
#[derive(Default)]
struct Place {
    /// The table that holds it: `a.b`, or `[[a]]` for an element; empty for the file itself.
    table: String,
    /// Its key.
    key: String,
    /// The span is the key's, not the value's.
    is_key: bool,
    /// It is an element of an array of tables.
    element: bool,
}

impl Place {
    /// " in [[device]]", for a key that stands in it.
    fn inside(&self) -> String {
        match self.table.as_str() {
            "" => " at the top of the file".to_owned(),
            element if element.starts_with('[') => format!(" in {element}"),
            table => format!(" in `{table}`"),
        }
    }

    /// The same for a table that lacks something.
    fn itself(&self) -> String {
        match (self.key.as_str(), self.element) {
            ("", _) => " at the top of the file".to_owned(),
            (key, true) => format!(" in [[{key}]]"),
            (key, false) => format!(" in `{key}`"),
        }
    }

    /// The same for a tagged table: its own key was rewritten to an empty one.
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
        // An array of tables has the span of its first header: elements come first.
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
