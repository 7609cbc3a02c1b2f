//! `--set path.to.key=value`: one value of a document, from the command line.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::SourceText;

/// What an override looks like, for help texts.
pub(super) const EXAMPLE: &str = "write for example traffic.0.capture=a.pcap";

/// One override. Its spans are those of its text, moved by `base` behind the file's.
#[derive(Debug, Clone)]
pub(super) struct Override {
    pub source: Arc<SourceText>,
    pub base: usize,
    path: Vec<Range<usize>>,
    value: Range<usize>,
}

/// A mistake: where and what.
type Wrong = (Range<usize>, String);

impl Override {
    /// Splits `path.to.key=value`.
    pub fn parse(text: &str, base: usize) -> Result<Self, (Arc<SourceText>, Range<usize>, String)> {
        let source = Arc::new(SourceText { name: "--set".to_owned(), text: text.to_owned() });
        let Some(equals) = text.find('=') else {
            let message = format!("`{text}` sets nothing: it has no `=`");
            return Err((source, 0..text.len(), message));
        };
        let mut path = Vec::new();
        let mut start = 0;
        for part in text[..equals].split('.') {
            let leading = part.len() - part.trim_start().len();
            let span = start + leading..start + leading + part.trim().len();
            if span.is_empty() {
                let message = match text[..equals].trim() {
                    "" => "there is no key before the `=`".to_owned(),
                    path => format!("`{path}` is not the path of a key"),
                };
                return Err((source, 0..equals.max(1), message));
            }
            path.push(span);
            start += part.len() + 1;
        }
        let after = &text[equals + 1..];
        let leading = after.len() - after.trim_start().len();
        let value = equals + 1 + leading..equals + 1 + leading + after.trim().len();
        Ok(Override { source, base, path, value })
    }

    /// The first offset behind its text.
    pub fn end(&self) -> usize {
        self.base + self.source.text.len() + 1
    }

    /// Sets the value in the tree; tables on the way are made, elements of arrays are not.
    pub fn apply<'a>(&'a self, tree: &mut DeTable<'a>) -> Result<(), Wrong> {
        self.set_in_table(tree, 0)
    }

    fn set_in_table<'a>(&'a self, table: &mut DeTable<'a>, depth: usize) -> Result<(), Wrong> {
        let (span, key) = self.part(depth);
        if depth + 1 == self.path.len() {
            table.insert(Spanned::new(span, Cow::Borrowed(key)), self.value());
            return Ok(());
        }
        if !table.contains_key(key) {
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
                let Some(item) = key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) else {
                    let message = match (key.parse::<usize>(), count) {
                        (Err(_), _) => format!("`{parent}` is an array: name an element by its index from 0"),
                        (Ok(_), 0) => format!("`{parent}` has no elements"),
                        (Ok(_), 1) => format!("`{parent}` has no element {key}: its only one is 0"),
                        (Ok(_), _) => {
                            format!("`{parent}` has no element {key}: they count from 0 to {}", count - 1)
                        }
                    };
                    return Err((span, message));
                };
                if depth + 1 == self.path.len() {
                    *item = self.value();
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

    /// The value as TOML; else as text, so that `until=10 s` needs no second quotes.
    fn value(&self) -> Spanned<DeValue<'_>> {
        let text = &self.source.text[self.value.clone()];
        let base = self.base + self.value.start;
        match DeValue::parse(text) {
            Ok(value) => moved(value, base),
            Err(_) => Spanned::new(base..base + text.len(), DeValue::String(Cow::Borrowed(text))),
        }
    }
}

/// What a value is.
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

/// The same value with every span moved by `base`.
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
