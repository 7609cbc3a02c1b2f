//! Tagged tables: `{ kind = "fifo", buffer = "64 KiB" }` becomes `{ fifo = { buffer = "64 KiB" } }`.
//!
//! serde reads the second form as an ordinary enum, and a mistake inside keeps its span. The
//! "internally tagged" form of serde buffers the table and loses every span.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::message::{did_you_mean, meant};
use super::overrides::in_words;
use super::registry::Registry;
use super::tagged_keys::{CUSTOM, MANY, ONE, OWN};

/// The key with the name of the variant.
const TAG: &str = "kind";

/// A value that cannot be rewritten.
pub(super) struct Mistake {
    pub span: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

/// Rewrites every tagged table below `table`, at any depth.
pub(super) fn rewrite(table: &mut DeTable<'_>, registry: &Registry) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    rewrite_table(table, registry, &mut mistakes, &PATHS);
    mistakes
}

/// The tables at the top of a file whose keys are paths into another file.
const PATHS: [&str; 3] = ["vary", "zip", "bounds"];

fn rewrite_table(table: &mut DeTable<'_>, registry: &Registry, mistakes: &mut Vec<Mistake>, but: &[&str]) {
    for (key, value) in table.iter_mut().filter(|(key, _)| !but.contains(&key.get_ref().as_ref())) {
        let key = key.get_ref().as_ref();
        let span = value.span();
        match value.get_mut() {
            DeValue::Array(items) => {
                for item in items.iter_mut() {
                    rewrite_item(item, key, registry, mistakes);
                }
            }
            DeValue::Table(table) => {
                rewrite_table(table, registry, mistakes, &[]);
                if ONE.contains(&key) {
                    rewrite_tagged(table, (key, &format!("`{key}`")), span, registry, mistakes);
                }
            }
            other if ONE.contains(&key) => mistakes.push(not_a_table(key, other, span)),
            _ => {}
        }
    }
}

fn rewrite_item(
    item: &mut Spanned<DeValue<'_>>,
    key: &str,
    registry: &Registry,
    mistakes: &mut Vec<Mistake>,
) {
    let span = item.span();
    match item.get_mut() {
        DeValue::Table(table) => {
            rewrite_table(table, registry, mistakes, &[]);
            if MANY.contains(&key) {
                rewrite_tagged(table, (key, &format!("[[{key}]]")), span, registry, mistakes);
            }
        }
        other if MANY.contains(&key) => mistakes.push(not_a_table(key, other, span)),
        _ => {}
    }
}

fn not_a_table(key: &str, found: &DeValue<'_>, span: Range<usize>) -> Mistake {
    let message = format!("`{key}` must be a table with a `kind`, found {}", in_words(found));
    let word = found.as_str().unwrap_or("...");
    let help = Some(format!("write {{ kind = \"{word}\" }} and the other keys beside it"));
    Mistake { span, message, help }
}

fn rewrite_tagged(
    table: &mut DeTable<'_>,
    (key, place): (&str, &str),
    span: Range<usize>,
    registry: &Registry,
    mistakes: &mut Vec<Mistake>,
) {
    let kind = table.remove(TAG).or_else(|| misspelt_tag(table, place, mistakes));
    // Without a kind, the name of the variant is empty: serde then lists all kinds.
    let kind = match kind {
        None => Spanned::new(span.clone(), Cow::Borrowed("")),
        Some(kind) => {
            let kind_span = kind.span();
            match kind.into_inner() {
                DeValue::String(name) => Spanned::new(kind_span, name),
                other => {
                    let message = format!("`{TAG}` must be text in quotes, found {}", in_words(&other));
                    mistakes.push(Mistake { span, message, help: None });
                    return;
                }
            }
        }
    };
    let (kind, rest) = match registry.has(key, kind.get_ref()) {
        true => (Spanned::new(kind.span(), Cow::Borrowed(CUSTOM)), custom(key, kind, table, &span)),
        false => (kind, std::mem::take(table)),
    };
    table.insert(kind, Spanned::new(span, DeValue::Table(rest)));
}

/// A table of a kind of another crate: the kind, the common keys of such tables at `key`, and the parameters
/// of the kind.
fn custom<'a>(
    key: &str,
    kind: Spanned<Cow<'a, str>>,
    table: &mut DeTable<'a>,
    span: &Range<usize>,
) -> DeTable<'a> {
    let mut whole = DeTable::new();
    let own = OWN.iter().filter(|(place, _)| *place == key).flat_map(|(_, own)| own.iter());
    for name in own {
        if let Some((key, value)) = table.remove_entry(*name) {
            whole.insert(key, value);
        }
    }
    let nested = |name, table| {
        (Spanned::new(span.clone(), Cow::Borrowed(name)), Spanned::new(span.clone(), DeValue::Table(table)))
    };
    let mut inner = DeTable::new();
    let kind_span = kind.span();
    inner.insert(
        Spanned::new(kind_span.clone(), Cow::Borrowed(TAG)),
        Spanned::new(kind_span, DeValue::String(kind.into_inner())),
    );
    let (name, parameters) = nested("parameters", std::mem::take(table));
    inner.insert(name, parameters);
    let (name, inner) = nested("table", inner);
    whole.insert(name, inner);
    whole
}

/// The value of a key that is similar to `kind` or a synonym of it, if any.
fn misspelt_tag<'a>(
    table: &mut DeTable<'a>,
    place: &str,
    mistakes: &mut Vec<Mistake>,
) -> Option<Spanned<DeValue<'a>>> {
    let texts = table.iter().filter(|(_, value)| value.get_ref().is_str());
    let (key, span) = texts
        .map(|(key, _)| (key.get_ref().to_string(), key.span()))
        .find(|(key, _)| meant(key, [TAG]).is_some())?;
    let message = format!("unknown key `{key}` in {place}");
    mistakes.push(Mistake { span, message, help: Some(did_you_mean(TAG)) });
    table.remove(key.as_str())
}
