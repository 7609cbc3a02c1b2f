//! Tagged tables: `{ kind = "fifo", buffer = "64 KiB" }` becomes `{ fifo = { buffer = "64 KiB" } }`.
//!
//! serde reads the second form as an ordinary enum, and a mistake inside keeps its span. Its own
//! "internally tagged" form buffers the table and forgets every span.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys whose value, or whose elements, are tagged tables.
const TAGGED: &[&str] = &["ptm", "traffic"];

/// The key that names the variant.
const TAG: &str = "kind";

/// A value that cannot be rewritten.
pub(super) struct Mistake {
    pub span: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

/// Rewrites every tagged table below `table`, at any depth.
pub(super) fn rewrite(table: &mut DeTable<'_>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    rewrite_table(table, &mut mistakes);
    mistakes
}

fn rewrite_table(table: &mut DeTable<'_>, mistakes: &mut Vec<Mistake>) {
    for (key, value) in table.iter_mut() {
        let tagged = TAGGED.contains(&key.get_ref().as_ref());
        rewrite_value(value, tagged.then(|| key.get_ref().as_ref()), mistakes);
    }
}

fn rewrite_value(value: &mut Spanned<DeValue<'_>>, tagged: Option<&str>, mistakes: &mut Vec<Mistake>) {
    let span = value.span();
    match value.get_mut() {
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                rewrite_value(item, tagged, mistakes);
            }
        }
        DeValue::Table(table) => {
            rewrite_table(table, mistakes);
            if tagged.is_some() {
                mistakes.extend(rewrite_tagged(table, span).err());
            }
        }
        other => {
            if let Some(key) = tagged {
                let message = format!("`{key}` must be a table, found a {}", other.type_str());
                let word = other.as_str().unwrap_or("...");
                let help = Some(format!("write {{ kind = \"{word}\" }} and the other keys beside it"));
                mistakes.push(Mistake { span, message, help });
            }
        }
    }
}

fn rewrite_tagged(table: &mut DeTable<'_>, span: Range<usize>) -> Result<(), Mistake> {
    // Without a kind the variant's name is empty: serde then lists the kinds there are.
    let kind = match table.remove(TAG) {
        None => Spanned::new(span.clone(), Cow::Borrowed("")),
        Some(kind) => {
            let kind_span = kind.span();
            match kind.into_inner() {
                DeValue::String(name) => Spanned::new(kind_span, name),
                other => {
                    let message = format!("`{TAG}` must be text in quotes, found a {}", other.type_str());
                    return Err(Mistake { span, message, help: None });
                }
            }
        }
    };
    let rest = Spanned::new(span, DeValue::Table(std::mem::take(table)));
    table.insert(kind, rest);
    Ok(())
}
