//! `--set path.to.key=value`: one value of a document, from the command line.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::SourceText;
use super::file_kind::ARRAYS;
use super::message::{did_you_mean, nearest};
use super::nesting;
use crate::limits::MOST_NESTING;

/// The place of overrides that stand on the command line.
pub(super) const SHELL: &str = "--set";

/// An example of an override, for help texts.
pub(super) const EXAMPLE: &str = "write for example traffic.0.capture=a.pcap";

/// The keys whose value is the path of another file, whose values can be set below it.
const FILES: &[&str] = &["topology"];

/// The keys whose value is a path that is not looked up by its place.
const PATHS: &[&str] = &["model"];

/// Which folder the paths in an override are relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// That of the file.
    File,
    /// The current directory.
    Shell,
}

/// One override. Its spans are those of its text plus `base`, which is past the end of the file's text.
#[derive(Debug, Clone)]
pub(super) struct Override {
    pub source: Arc<SourceText>,
    pub base: usize,
    pub origin: Origin,
    path: Vec<Range<usize>>,
    value: Range<usize>,
}

/// A mistake: its span and its message.
type Wrong = (Range<usize>, String);

impl Override {
    /// Splits `path.to.key=value`, which stands at `place`. A key with a dot in it stands in quotes.
    pub fn parse(
        text: &str,
        place: &str,
        base: usize,
        origin: Origin,
    ) -> Result<Self, (Arc<SourceText>, Range<usize>, String)> {
        let source = Arc::new(SourceText { name: place.to_owned(), text: text.to_owned() });
        let Some(equals) = outside_quotes(text, '=').next() else {
            let message = format!("`{text}` sets nothing: it has no `=`");
            return Err((source, 0..text.len(), message));
        };
        let mut path = Vec::new();
        let mut start = 0;
        for end in outside_quotes(&text[..equals], '.').chain([equals]) {
            let part = &text[start..end];
            let leading = part.len() - part.trim_start().len();
            let mut span = start + leading..start + leading + part.trim().len();
            if is_quoted(&text[span.clone()]) {
                span = span.start + 1..span.end - 1;
            }
            if span.is_empty() {
                let message = match text[..equals].trim() {
                    "" => "there is no key before the `=`".to_owned(),
                    path => format!("`{path}` is not the path of a key"),
                };
                return Err((source, 0..equals.max(1), message));
            }
            path.push(span);
            start = end + 1;
        }
        if path.len() > MOST_NESTING {
            let message =
                format!("this path has {} keys: no key is more than {MOST_NESTING} deep", path.len());
            return Err((source, 0..equals, message));
        }
        let after = &text[equals + 1..];
        let leading = after.len() - after.trim_start().len();
        let value = equals + 1 + leading..equals + 1 + leading + after.trim().len();
        // Another value is one number or one text.
        if text[value.clone()].starts_with(['[', '{'])
            && let Some(span) = nesting::too_deep(&text[value.clone()])
        {
            return Err((source, value.start + span.start..value.start + span.end, nesting::message().0));
        }
        Ok(Override { source, base, origin, path, value })
    }

    /// The key whose value is the path of a file, where this override sets a value in that file.
    pub fn file_key(&self) -> Option<&str> {
        let key = self.path.first().map(|span| &self.source.text[span.clone()])?;
        (self.path.len() > 1 && FILES.contains(&key)).then_some(key)
    }

    /// The same override of the file that its first key names.
    pub fn of_the_named_file(self, base: usize) -> Self {
        let path = self.path[1..].to_vec();
        Override { path, base, ..self }
    }

    /// The first offset past its text.
    pub fn end(&self) -> usize {
        self.base + self.source.text.len() + 1
    }

    /// Sets the value in the tree. Missing tables on the path are created, missing elements of arrays are
    /// not.
    pub fn apply<'a>(&'a self, tree: &mut DeTable<'a>) -> Result<(), Wrong> {
        self.set_in_table(tree, 0)
    }

    fn set_in_table<'a>(&'a self, table: &mut DeTable<'a>, depth: usize) -> Result<(), Wrong> {
        let (span, key) = self.part(depth);
        if depth + 1 == self.path.len() {
            let value = self.value_at(key);
            table.insert(Spanned::new(span, Cow::Borrowed(key)), value);
            return Ok(());
        }
        if !table.contains_key(key) {
            if depth == 0 && ARRAYS.contains(&key) {
                let hint = if table.contains_key("generate") { GENERATED } else { "" };
                return Err((span, format!("the file has no [[{key}]]{hint}")));
            }
            let made = Spanned::new(span.clone(), DeValue::Table(DeTable::new()));
            table.insert(Spanned::new(span, Cow::Borrowed(key)), made);
        }
        match table.get_mut(key) {
            Some(value) => self.set_in(value, depth + 1),
            None => Ok(()),
        }
    }

    fn set_in<'a>(&'a self, value: &mut Spanned<DeValue<'a>>, depth: usize) -> Result<(), Wrong> {
        let (span, key) = self.part(depth);
        let parent = self.part(depth - 1).1;
        match value.get_mut() {
            DeValue::Table(table) => self.set_in_table(table, depth),
            DeValue::Array(items) => {
                let count = items.len();
                let names = named(items);
                let index = key.parse::<usize>().ok().or_else(|| position_of(items, key));
                let Some(item) = index.and_then(|index| items.get_mut(index)) else {
                    let message = match (key.parse::<usize>(), count) {
                        (Err(_), _) if names.is_empty() => {
                            let end = if parent == "link" { ", or by one of its ends" } else { "" };
                            format!("`{parent}` is an array: name an element by its index from 0{end}")
                        }
                        (Err(_), _) => {
                            let near = nearest(key, names.iter().map(String::as_str));
                            let near = near.map_or(String::new(), |near| format!("; {}", did_you_mean(near)));
                            format!(
                                "`{parent}` has no element `{key}`: name an element by its index from 0, or by its name{near}"
                            )
                        }
                        (Ok(_), 0) => format!("`{parent}` has no elements"),
                        (Ok(_), 1) => format!("`{parent}` has no element {key}: its only one is 0"),
                        (Ok(_), _) => {
                            format!("`{parent}` has no element {key}: they count from 0 to {}", count - 1)
                        }
                    };
                    return Err((span, message));
                };
                if depth + 1 == self.path.len() {
                    *item = self.value_at(parent);
                    return Ok(());
                }
                self.set_in(item, depth + 1)
            }
            other => {
                let message =
                    format!("`{key}` cannot be set: `{parent}` is not a table but {}", in_words(other));
                Err((span, message))
            }
        }
    }

    fn part(&self, depth: usize) -> (Range<usize>, &str) {
        let span = self.path[depth].clone();
        (span.start + self.base..span.end + self.base, &self.source.text[span])
    }

    /// The value as TOML, or else as text: `until=10 s` needs no quotes.
    fn value(&self) -> Spanned<DeValue<'_>> {
        let text = &self.source.text[self.value.clone()];
        let base = self.base + self.value.start;
        match DeValue::parse(text) {
            Ok(value) => moved(value, base),
            Err(_) => Spanned::new(base..base + text.len(), DeValue::String(Cow::Borrowed(text))),
        }
    }

    /// The value, in which paths that are not looked up by their place are absolute.
    fn value_at(&self, key: &str) -> Spanned<DeValue<'_>> {
        let mut value = self.value();
        if self.origin == Origin::Shell {
            make_absolute(&mut value, key);
        }
        value
    }
}

/// Makes the paths below a key absolute.
fn make_absolute(value: &mut Spanned<DeValue<'_>>, key: &str) {
    match value.get_mut() {
        DeValue::Table(table) => {
            table.iter_mut().for_each(|(key, value)| make_absolute(value, key.get_ref().as_ref()));
        }
        DeValue::Array(items) => items.iter_mut().for_each(|item| make_absolute(item, key)),
        DeValue::String(text) if PATHS.contains(&key) => {
            if let Ok(path) = std::path::absolute(text.as_ref())
                && let Some(path) = path.to_str()
            {
                *text = Cow::Owned(path.to_owned());
            }
        }
        _ => {}
    }
}

/// Why [`Override::apply`] finds no array to change in a generated network.
const GENERATED: &str = ": the network comes from [generate]; set values in `defaults`, or write a [[link]] with both ends of a link";

/// Where `sign` stands in a text, outside of quotes.
fn outside_quotes(text: &str, sign: char) -> impl Iterator<Item = usize> {
    let mut quote = None;
    text.char_indices().filter_map(move |(at, found)| {
        match quote {
            None if found == '"' || found == '\'' => quote = Some(found),
            Some(open) if open == found => quote = None,
            _ => {}
        }
        (quote.is_none() && found == sign).then_some(at)
    })
}

fn is_quoted(key: &str) -> bool {
    ['"', '\''].iter().any(|quote| key.len() >= 2 && key.starts_with(*quote) && key.ends_with(*quote))
}

/// The names of the tables of an array.
fn named(items: &DeArray<'_>) -> Vec<String> {
    let tables = items.iter().filter_map(|item| item.get_ref().as_table());
    let names = tables.filter_map(|table| table.get("name")?.get_ref().as_str());
    names.map(str::to_owned).collect()
}

/// The table of an array that has this `name`, or a link with this end.
fn position_of(items: &DeArray<'_>, name: &str) -> Option<usize> {
    let is_text = |value: &Spanned<DeValue<'_>>| value.get_ref().as_str() == Some(name);
    let is_it = |item: &Spanned<DeValue<'_>>| {
        let Some(table) = item.get_ref().as_table() else { return false };
        let ends = table.get("between").and_then(|ends| ends.get_ref().as_array());
        table.get("name").is_some_and(is_text) || ends.is_some_and(|ends| ends.iter().any(is_text))
    };
    items.iter().position(is_it)
}

/// The type of a value, in words.
pub(super) fn in_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The same value with `base` added to every span.
fn moved<'a>(value: Spanned<DeValue<'a>>, base: usize) -> Spanned<DeValue<'a>> {
    let span = value.span();
    let inner = match value.into_inner() {
        DeValue::Array(items) => DeValue::Array(items.into_iter().map(|item| moved(item, base)).collect()),
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .map(|(key, value)| {
                    let span = key.span();
                    let key = Spanned::new(span.start + base..span.end + base, key.into_inner());
                    (key, moved(value, base))
                })
                .collect(),
        ),
        scalar => scalar,
    };
    Spanned::new(span.start + base..span.end + base, inner)
}
